//! The one way oarlock runs the `git` program.
//!
//! Every call has a time limit, bounded output, no terminal, no prompt and a clean environment, and fails with an
//! error that names the operation. Must not know what a workspace or a landing is.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

pub(crate) mod lock;
pub(crate) mod process;
pub(crate) mod read;
pub(crate) mod refname;
pub(crate) mod refs;
pub mod text;

use process::{Job, Keep};
use text::{clean_line, clean_tail};

pub use read::{Operation, WorktreeEntry};

/// The oldest git that can do what oarlock needs: `merge-tree --write-tree` came with 2.38.
pub const VERSION_MIN: (u32, u32) = (2, 38);

/// The oldest git that can replay commits: `merge-tree --merge-base` came with 2.40.
pub const VERSION_MIN_REPLAY: (u32, u32) = (2, 40);

/// Time one call may take: a status of a very large tree on a cold disk takes tens of seconds.
pub const CALL_MAX: Duration = Duration::from_secs(120);

/// Time a call that writes a whole tree or copies a repository may take: 20,000 files took up to 25 s on a slow
/// disk, and repositories fifty times as large exist.
pub const CHECKOUT_MAX: Duration = Duration::from_secs(20 * 60);

/// Bytes of output one call may return: the names of a million files.
pub const OUTPUT_MAX: usize = 64 << 20;

/// Characters of git's stderr kept in an error.
const STDERR_SHOWN: usize = 2_000;

/// Characters of a command line kept in an error.
const ARGV_SHOWN: usize = 160;

/// Variables of git's that reach it from oarlock's own environment: where its configuration and helpers are, and who the
/// user is. All others (`GIT_DIR`, `GIT_INDEX_FILE`, …) would point it at another repository: oarlock may have been
/// started from a hook.
const INHERITED: [&str; 14] = [
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_EXEC_PATH",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_ATTR_NOSYSTEM",
];

/// Configuration fixed for every call: no daemon and no repacking behind a call's back, and machine-readable output.
const CONFIG: [&str; 7] = [
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.quotePath=false",
    "color.ui=false",
    "log.showSignature=false",
    "advice.addEmbeddedRepo=false",
];

/// Why a git call failed.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// git could not be started at all.
    #[error("failed to {operation}: git could not be started")]
    Start {
        /// What was being done.
        operation: &'static str,
        /// Why it did not start.
        #[source]
        source: std::io::Error,
    },
    /// git ended with a status that means failure.
    #[error("failed to {operation}: `git {argv}` ended with {exit}: {stderr}")]
    Failed {
        /// What was being done.
        operation: &'static str,
        /// The arguments, cut short.
        argv: String,
        /// "status 128", "signal 9".
        exit: String,
        /// The end of what git said, without control characters.
        stderr: String,
    },
    /// git took longer than it may and was stopped.
    #[error("failed to {operation}: `git {argv}` was stopped after {} s", time_max.as_secs())]
    TimedOut {
        /// What was being done.
        operation: &'static str,
        /// The arguments, cut short.
        argv: String,
        /// The time it had.
        time_max: Duration,
    },
    /// git wrote more than is read.
    #[error("failed to {operation}: `git {argv}` wrote more than {bytes_max} bytes")]
    TooLong {
        /// What was being done.
        operation: &'static str,
        /// The arguments, cut short.
        argv: String,
        /// The limit.
        bytes_max: usize,
    },
    /// git answered in a way this version of oarlock does not read.
    #[error("failed to {operation}: git's answer was not understood: {answer}")]
    Unreadable {
        /// What was being done.
        operation: &'static str,
        /// The answer, cut short.
        answer: String,
    },
    /// The git found is too old.
    #[error("git {found} is too old: oarlock needs git {}.{} or newer", needed.0, needed.1)]
    TooOld {
        /// What `git --version` said.
        found: String,
        /// Major and minor version needed.
        needed: (u32, u32),
    },
    /// The lock of a repository or workspace could not be had.
    #[error("failed to lock {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A git object's id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Oid(String);

impl Oid {
    /// Returns the id that `text` spells, or `None` when it spells none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Oid> {
        let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (hex && matches!(text.len(), 40 | 64)).then(|| Oid(text.to_owned()))
    }

    /// Returns the digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first ten digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..10]
    }

    /// Returns the id of the same length that names no object: "must not exist" in `git update-ref`.
    #[must_use]
    pub(crate) fn zero_like(&self) -> String {
        "0".repeat(self.0.len())
    }
}

impl std::fmt::Display for Oid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for Oid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Oid {
    type Error = String;

    fn try_from(text: String) -> Result<Oid, String> {
        Oid::parse(&text).ok_or_else(|| format!("not an object id: {}", clean_line(text.as_bytes(), 80)))
    }
}

impl From<Oid> for String {
    fn from(oid: Oid) -> String {
        oid.0
    }
}

/// A place to run git: a directory, and variables set for every call.
#[derive(Clone, Debug)]
pub struct Git {
    dir: PathBuf,
    env: Vec<(OsString, OsString)>,
}

impl Git {
    /// Returns git as run in `dir`: a checkout, a directory inside one, or a git directory.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Git {
        Git { dir: dir.into(), env: Vec::new() }
    }

    /// Sets a variable for every call.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Git {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Returns the directory git runs in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Begins a call that only reads: git then takes no optional lock. `operation` completes "failed to …".
    #[must_use]
    pub fn reads(&self, operation: &'static str) -> Call {
        let mut call = self.writes(operation);
        call.command.env("GIT_OPTIONAL_LOCKS", "0");
        call
    }

    /// Begins a call that writes. `operation` completes "failed to …".
    #[must_use]
    pub fn writes(&self, operation: &'static str) -> Call {
        let mut command = Command::new(program());
        scrub(&mut command);
        command.current_dir(&self.dir).env("GIT_LITERAL_PATHSPECS", "1");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        for setting in CONFIG {
            command.arg("-c").arg(setting);
        }
        Call {
            operation,
            command,
            argv: Vec::new(),
            input: None,
            time_max: CALL_MAX,
            bytes_max: OUTPUT_MAX,
            cut: false,
            allowed: Vec::new(),
            stdout_file: None,
        }
    }
}

/// Returns the git found first in PATH, looked for once: a search at every call costs as much as a small call itself. Where
/// there is none, the bare name lets each call say so.
fn program() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let is_program = |path: &PathBuf| {
            path.is_absolute()
                && path.is_file()
                && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
        };
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&folders).map(|folder| folder.join("git")).find(is_program);
        found.unwrap_or_else(|| "git".into())
    })
}

/// Removes what would lead a git started from `command` astray, and makes it quiet and plain.
pub(crate) fn scrub(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let is_gits = name.as_encoded_bytes().starts_with(b"GIT_");
        if is_gits && !INHERITED.iter().any(|kept| OsStr::new(kept) == name) {
            command.env_remove(&name);
        }
    }
    command
        .env("LC_ALL", "C")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_EDITOR", "true")
        .env("GIT_PAGER", "cat");
}

/// One call of git, being put together.
#[derive(Debug)]
pub struct Call {
    operation: &'static str,
    command: Command,
    argv: Vec<OsString>,
    input: Option<Vec<u8>>,
    time_max: Duration,
    bytes_max: usize,
    cut: bool,
    allowed: Vec<i32>,
    stdout_file: Option<std::fs::File>,
}

impl Call {
    /// Adds one setting for this call, `name=value`.
    #[must_use]
    pub fn config(mut self, setting: &str) -> Call {
        self.command.arg("-c").arg(setting);
        self
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Call {
        self.argv.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Call {
        self.argv.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable for this call.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Call {
        self.command.env(name, value);
        self
    }

    /// Lets pathspecs of this call use magic and wildcards; elsewhere a path is only ever itself.
    #[must_use]
    pub fn magic_pathspecs(mut self) -> Call {
        self.command.env_remove("GIT_LITERAL_PATHSPECS");
        self
    }

    /// Gives git this on its standard input, which is empty otherwise.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Call {
        self.input = Some(bytes.into());
        self
    }

    /// Sets the time this call may take instead of [`CALL_MAX`].
    #[must_use]
    pub fn time_max(mut self, time_max: Duration) -> Call {
        self.time_max = time_max;
        self
    }

    /// Keeps at most this many bytes of output and lets the rest go, instead of failing.
    #[must_use]
    pub fn cut_at(mut self, bytes_max: usize) -> Call {
        self.bytes_max = bytes_max;
        self.cut = true;
        self
    }

    /// Makes an exit status other than zero an answer, not a failure.
    #[must_use]
    pub fn allow(mut self, code: i32) -> Call {
        self.allowed.push(code);
        self
    }

    /// Sends the output to a file instead of into the answer.
    #[must_use]
    pub fn into_file(mut self, file: std::fs::File) -> Call {
        self.stdout_file = Some(file);
        self
    }

    /// Runs git and returns its answer.
    ///
    /// # Errors
    /// [`GitError`] when git does not start, takes too long, writes too much, or ends with a status that was not allowed.
    pub fn run(mut self) -> Result<Answer, GitError> {
        use std::os::unix::process::ExitStatusExt;
        self.command.args(&self.argv);
        let job = Job {
            command: self.command,
            input: self.input,
            time_max: self.time_max,
            stdout_max: self.bytes_max,
            keep: Keep::Head,
            stdout_file: self.stdout_file,
        };
        let operation = self.operation;
        let ended = process::run(job).map_err(|source| GitError::Start { operation, source })?;
        let argv = || shown(&self.argv);
        if ended.timed_out {
            return Err(GitError::TimedOut { operation, argv: argv(), time_max: self.time_max });
        }
        if ended.truncated && !self.cut {
            return Err(GitError::TooLong { operation, argv: argv(), bytes_max: self.bytes_max });
        }
        let code = ended.status.code().unwrap_or(if ended.truncated { 0 } else { -1 });
        if code != 0 && !self.allowed.contains(&code) {
            let exit = match ended.status.signal() {
                Some(signal) => format!("signal {signal}"),
                None => format!("status {code}"),
            };
            let stderr = clean_tail(&ended.stderr, STDERR_SHOWN);
            return Err(GitError::Failed { operation, argv: argv(), exit, stderr });
        }
        Ok(Answer { operation, code, stdout: ended.stdout, stderr: ended.stderr, truncated: ended.truncated })
    }
}

fn shown(argv: &[OsString]) -> String {
    let mut line = Vec::new();
    for arg in argv {
        if !line.is_empty() {
            line.push(b' ');
        }
        line.extend_from_slice(arg.as_encoded_bytes());
    }
    clean_line(&line, ARGV_SHOWN)
}

/// What git answered.
#[derive(Debug)]
pub struct Answer {
    operation: &'static str,
    /// The exit status: zero, or one that was allowed.
    pub code: i32,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// The end of what it said beside that, as it came.
    pub stderr: Vec<u8>,
    /// Whether output was let go.
    pub truncated: bool,
}

impl Answer {
    /// Returns the output without its last line end.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        self.stdout.strip_suffix(b"\n").unwrap_or(&self.stdout)
    }

    /// Returns the output as text without its last line end; bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.line()).into_owned()
    }

    /// Returns the NUL-terminated fields of the output.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let whole = self.stdout.strip_suffix(b"\0").unwrap_or(&self.stdout);
        let none = self.stdout.is_empty();
        whole.split(|byte| *byte == 0).filter(move |_| !none)
    }

    /// Returns the object id the output consists of.
    ///
    /// # Errors
    /// [`GitError::Unreadable`] when it is none.
    pub fn oid(&self) -> Result<Oid, GitError> {
        Oid::parse(self.text().trim()).ok_or_else(|| self.unreadable())
    }

    /// Returns the error that says the output was not understood.
    #[must_use]
    pub(crate) fn unreadable(&self) -> GitError {
        GitError::Unreadable { operation: self.operation, answer: clean_line(&self.stdout, ARGV_SHOWN) }
    }
}

/// Returns the version of the git found, as major and minor; asked once per process.
///
/// # Errors
/// [`GitError`] when git cannot be run or its answer not read.
pub fn version() -> Result<(u32, u32), GitError> {
    static FOUND: OnceLock<(u32, u32)> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(*found);
    }
    let answer = Git::at("/").reads("ask git for its version").arg("version").run()?;
    let text = answer.text();
    let mut parts = text.trim_start_matches("git version ").split('.').map_while(|part| part.parse().ok());
    let (Some(major), Some(minor)) = (parts.next(), parts.next()) else {
        return Err(answer.unreadable());
    };
    Ok(*FOUND.get_or_init(|| (major, minor)))
}

/// Checks that git is new enough.
///
/// # Errors
/// [`GitError::TooOld`] when it is older than `needed`.
pub fn require(needed: (u32, u32)) -> Result<(), GitError> {
    let found = version()?;
    if found < needed {
        return Err(GitError::TooOld { found: format!("{}.{}", found.0, found.1), needed });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_operation_and_what_git_said() {
        let dir = tempfile::tempdir().unwrap();
        let error =
            Git::at(dir.path()).reads("read the log").args(["log", "-1"]).run().unwrap_err().to_string();
        assert!(error.contains("failed to read the log"), "{error}");
        assert!(error.contains("status 128") && error.contains("not a git repository"), "{error}");
    }

    #[test]
    fn only_whole_hexadecimal_ids_are_ids() {
        assert!(Oid::parse(&"a".repeat(40)).is_some());
        assert!(Oid::parse(&"a".repeat(64)).is_some());
        assert!(Oid::parse(&"A".repeat(40)).is_none());
        assert!(Oid::parse("HEAD").is_none());
    }

    #[test]
    fn the_git_here_is_new_enough() {
        require(VERSION_MIN).unwrap();
    }
}
