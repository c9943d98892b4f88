//! What to run, as the caller says it: `spec.json`. It must not know how it is run.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The environment variable that marks every process of a run: `OARLOCK_RUN=<run>`. The host always sets it.
pub const RUN_MARK: &str = "OARLOCK_RUN";

/// Rows a terminal may have. More than any screen shows; bounds the memory of a screen model and of one frame.
pub const ROWS_MAX: u16 = 300;
/// Columns a terminal may have, for the same reason.
pub const COLS_MAX: u16 = 500;

/// One run: what the host starts. Stored as `spec.json` in the run's directory, mode 0600, since it holds the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The run's id: the value of the mark in the environment of all its processes. Not empty.
    pub run: String,
    /// The program and its arguments. `argv[0]` is looked up in the `PATH` of [`Spec::env`] unless it holds a `/`.
    pub argv: Vec<String>,
    /// The directory the child starts in. Absolute.
    pub cwd: PathBuf,
    /// The complete environment of the child; nothing is inherited. The run's mark is added by the host.
    pub env: Vec<(String, String)>,
    /// How the child's input and output are held.
    pub io: Io,
    /// How long what remains of the run may take to end after SIGTERM, in milliseconds.
    pub grace_ms: u64,
}

/// How a child's input and output are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Io {
    /// A pseudo-terminal, which starts with this size.
    Pty {
        /// The first size; later ones come from clients.
        size: Size,
    },
    /// A pipe for stdin, and one for stdout and stderr together, so that their order is kept.
    Pipes,
}

/// The size of a terminal in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Rows, 1 to 300.
    pub rows: u16,
    /// Columns, 1 to 500.
    pub cols: u16,
}

impl Size {
    /// Returns a size within bounds: each side at least 1, and at most 300 rows by 500 columns.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self { rows: self.rows.clamp(1, ROWS_MAX), cols: self.cols.clamp(1, COLS_MAX) }
    }
}

impl Default for Size {
    /// Returns 24 rows by 80 columns, the size terminals start with.
    fn default() -> Self {
        Self { rows: 24, cols: 80 }
    }
}

impl Spec {
    /// Returns why this cannot be run at all, if so: an empty or unprintable part that no kernel would take.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let has_nul = |s: &str| s.contains('\0');
        let bad_name = |name: &str| name.is_empty() || name.contains('=') || has_nul(name);
        if self.run.is_empty() || has_nul(&self.run) {
            Some("the run's id is empty or holds a NUL")
        } else if self.argv.first().is_none_or(String::is_empty) {
            Some("there is no program to start")
        } else if self.argv.iter().any(|arg| has_nul(arg)) {
            Some("an argument holds a NUL")
        } else if self.env.iter().any(|(name, value)| bad_name(name) || has_nul(value)) {
            Some("a variable's name is empty or holds '=' or NUL, or its value holds a NUL")
        } else if !self.cwd.is_absolute() {
            Some("the working directory is not absolute")
        } else {
            None
        }
    }

    /// Returns the child's environment: the given one, with the run's mark.
    pub(crate) fn marked_env(&self) -> Vec<(String, String)> {
        let mut env: Vec<_> = self.env.iter().filter(|(name, _)| name != RUN_MARK).cloned().collect();
        env.push((RUN_MARK.to_owned(), self.run.clone()));
        env
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        let env = vec![("OARLOCK_RUN".into(), "another".into()), ("PATH".into(), "/bin".into())];
        Spec {
            run: "p-1".into(),
            argv: vec!["true".into()],
            cwd: "/".into(),
            env,
            io: Io::Pipes,
            grace_ms: 1,
        }
    }

    #[test]
    fn the_mark_of_the_run_wins_over_an_inherited_one() {
        let env = spec().marked_env();
        assert_eq!(
            env.iter().filter(|(name, _)| name == RUN_MARK).count(),
            1,
            "two marks would be ambiguous"
        );
        assert!(env.contains(&(RUN_MARK.into(), "p-1".into())));
    }

    #[test]
    fn a_spec_nobody_could_run_says_why() {
        assert_eq!(spec().fault(), None);
        assert!(Spec { argv: vec![], ..spec() }.fault().is_some());
        assert!(Spec { run: String::new(), ..spec() }.fault().is_some());
        assert!(Spec { cwd: "here".into(), ..spec() }.fault().is_some());
        assert!(Spec { env: vec![("A=B".into(), String::new())], ..spec() }.fault().is_some());
    }
}
