//! Where a person sees a run besides their own terminal: a window in tmux, a pane in zellij, or another host. What is shown there is a
//! client; the run itself is always its own host's. It must not know what is shown.
//!
//! So a multiplexer whose server vanishes takes a view away and no agent, ends and exit codes are exact, and text reaches an
//! agent by one path only.

mod hosts;
mod program;
mod tmux;
mod zellij;

pub use hosts::Hosts;
pub use tmux::Tmux;
pub use zellij::Zellij;

use crate::spec::Size;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Somewhere a program can be shown.
pub trait Display {
    /// Returns what it is called: `tmux`, `zellij`, `host`.
    fn name(&self) -> &'static str;

    /// Returns its version, if it can be used here.
    ///
    /// # Errors
    /// When it cannot, with the reason as a sentence: it is not installed, or too old.
    fn available(&self) -> Result<String, String>;

    /// Opens a window or pane that runs this command, and returns its name. It closes when the command ends.
    ///
    /// # Errors
    /// When there is no command, or the display cannot be used.
    fn open(&self, place: &Place, argv: &[String], title: &str) -> Result<Id, DisplayError>;

    /// Returns whether the window is there. One whose server is gone is not.
    ///
    /// # Errors
    /// When that cannot be found out, which is no news about the window.
    fn is_open(&self, id: &Id) -> Result<bool, DisplayError>;

    /// Brings the window to the front of its session.
    ///
    /// # Errors
    /// When it is not open, or the display has nothing to bring to the front.
    fn focus(&self, id: &Id) -> Result<(), DisplayError>;

    /// Closes the window. One that is not there is closed.
    ///
    /// # Errors
    /// When the display cannot be talked to.
    fn close(&self, id: &Id) -> Result<(), DisplayError>;

    /// Returns what the window shows as lines of text, top first, without trailing blanks.
    ///
    /// # Errors
    /// When it is not open.
    fn capture(&self, id: &Id) -> Result<String, DisplayError>;
}

/// Where and how a window opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The session it belongs to, by any name a person would give. Two names that differ are two sessions.
    pub session: String,
    /// The directory the command starts in. Absolute.
    pub cwd: PathBuf,
    /// What the command finds in its environment. A multiplexer adds its own; of ours it gets nothing else.
    pub env: Vec<(String, String)>,
    /// The size a new session starts with, until somebody looks at it.
    pub size: Size,
}

/// The name of an open window, unique for as long as the machine runs: its display's own name for it, and which server gave it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id(String);

impl Id {
    /// Returns the id that was written down as this text.
    #[must_use]
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the id as text, to be written down.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a display did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DisplayError {
    /// Its program could not be run.
    #[error("failed to run {program}")]
    Program {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("{program} did not answer in {seconds} seconds")]
    Late {
        /// The program.
        program: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// It refused.
    #[error("{program} refused: {reason}")]
    Refused {
        /// The program.
        program: String,
        /// What it said.
        reason: String,
    },
    /// The window is not open.
    #[error("the window {id} is not open")]
    NotOpen {
        /// Which one.
        id: Id,
    },
}

/// Returns why a command cannot be run by a multiplexer, if so: `env` is put in front of it, to give it its environment.
fn check(display: &str, argv: &[String]) -> Result<(), DisplayError> {
    let reason = match argv.first() {
        None => "there is no command",
        Some(program) if program.is_empty() || program.contains('=') => "no program has such a name",
        Some(_) => return Ok(()),
    };
    Err(DisplayError::Refused { program: display.to_owned(), reason: reason.to_owned() })
}

/// Says that a program cannot even tell its version.
fn unusable(program: &str, answer: &program::Answer) -> String {
    // Where a panic says where and why.
    let said: Vec<&str> =
        answer.stderr.lines().map(str::trim).filter(|line| !line.is_empty()).take(2).collect();
    let why = if said.is_empty() { "it ends without a word".to_owned() } else { said.join(" ") };
    format!("{program} cannot be used: {why}.")
}

/// Returns a word as any POSIX shell reads it (Shell Command Language, 2.2.2).
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./@".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Returns a name that any multiplexer takes as it is, and that no other name becomes: ASCII letters, digits, `-` and `_` stay; where
/// anything else was, there is `_` and a hash of the whole at the end. Multiplexers put names into socket paths, and give a
/// meaning to dots, colons, `=`, `@` and `#`.
fn plain_name(name: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    let is_plain = name.chars().all(plain) && !name.is_empty() && name.len() <= PLAIN_BYTES_MAX;
    if is_plain && !name.starts_with('-') {
        return name.to_owned();
    }
    let start: String = name.chars().map(|char| if plain(char) { char } else { '_' }).take(24).collect();
    format!("_{start}_{}", short_hash(name.as_bytes()))
}

/// The longest name kept as it is, in bytes: it goes into a socket's path.
const PLAIN_BYTES_MAX: usize = 36;

/// Returns a hash of 16 hexadecimal digits, the same for ever: FNV-1a, 64 bits. It keeps names apart, and nobody out.
fn short_hash(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_stay_apart_and_plain_ones_stay_as_they_are() {
        assert_eq!(plain_name("p-10"), "p-10");
        let long = "x".repeat(200);
        let names =
            ["a b", "a.b", "a:b", "a_b", "", "-a", "=a", "@1", "#{pid}", "Grüße", &long, "p-1", "p-1 "];
        let plain: Vec<String> = names.iter().map(|name| plain_name(name)).collect();
        for (at, name) in plain.iter().enumerate() {
            assert!(name.len() <= 42 && !name.starts_with(['-', '=', '@']), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{name}");
            assert!(!plain[..at].contains(name), "{name} twice");
        }
    }

    #[test]
    fn a_word_is_read_back_by_a_shell() {
        for word in ["plain/path-1.x", "a b", "it's", "$HOME `id` \"x\"", "", "~", "=p"] {
            let line = format!("printf %s {}", quoted(word));
            let said = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), word, "{line}");
        }
        assert_eq!(quoted("/run/user/7"), "/run/user/7", "what needs no quotes has none");
    }

    #[test]
    fn a_hash_is_the_same_for_ever() {
        assert_eq!(short_hash(b""), "cbf29ce484222325");
        assert_eq!(short_hash(b"a"), "af63dc4c8601ec8c", "the published value of FNV-1a");
    }
}
