//! Every way a verb can fail, in one funnel: what is printed, and the exit code.

use std::process::ExitCode;

use oarlock_api::client::ClientError;
use oarlock_api::place::PlaceError;
use oarlock_api::{exit, wire};
use oarlock_world::init::Trouble;

use crate::out;

/// Why a verb did not do what was asked.
#[derive(Debug)]
pub enum CliError {
    /// The command line makes no sense.
    Usage(String, String),
    /// The daemon said no, with the HTTP status it said it by.
    Refused(wire::Error, u16),
    /// No daemon answers and none could be started.
    NoDaemon(String, String),
    /// Something failed.
    Failed(String, String),
    /// It was said on the way already; only the exit code is left.
    Said(u8),
}

/// What a verb returns.
pub type Done = Result<(), CliError>;

impl CliError {
    /// Something failed, with a hint.
    pub fn failed(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Failed(message.into(), hint.into())
    }

    /// Something of the system failed.
    pub fn io(doing: &str, error: &std::io::Error) -> Self {
        Self::Failed(format!("Failed to {doing}: {error}."), String::new())
    }

    fn parts(&self) -> Option<(u8, wire::Error)> {
        let plain = |code: &str, message: &str, hint: &str| wire::Error {
            code: code.into(),
            message: message.into(),
            hint: hint.into(),
            paths: vec![],
        };
        Some(match self {
            CliError::Usage(message, hint) => (exit::USAGE, plain("usage", message, hint)),
            CliError::Refused(error, status) => {
                let code = match status {
                    400 => exit::USAGE,
                    404 => exit::NOT_FOUND,
                    403 | 409 | 410 => exit::REFUSED,
                    _ => exit::FAILED,
                };
                (code, error.clone())
            }
            CliError::NoDaemon(message, hint) => (exit::NO_DAEMON, plain("no_daemon", message, hint)),
            CliError::Failed(message, hint) => (exit::FAILED, plain("failed", message, hint)),
            CliError::Said(_) => return None,
        })
    }

    /// Returns the exit code.
    pub fn code(&self) -> u8 {
        match (self.parts(), self) {
            (Some((code, _)), _) => code,
            (None, CliError::Said(code)) => *code,
            (None, _) => exit::FAILED,
        }
    }

    /// Prints the error on stderr, as a sentence or as JSON, and returns the exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        let Some((code, error)) = self.parts() else { return ExitCode::from(self.code()) };
        if json {
            out::talk(&serde_json::to_string(&error).unwrap_or_default());
            return ExitCode::from(code);
        }
        // Whatever is quoted in it, and whoever forgot to clean it: the person's terminal is not driven by it.
        out::talk(&format!("error: {}", out::clean(&error.message)));
        for path in &error.paths {
            out::talk(&format!("  {}", out::clean(path)));
        }
        if !error.hint.is_empty() {
            out::talk(&format!("hint: {}", out::clean(&error.hint)));
        }
        ExitCode::from(code)
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(error, status) => Self::Refused(error, status),
            ClientError::NoDaemon { .. } => {
                Self::NoDaemon(sentence(&error), "Start it with \"oarlock start\".".into())
            }
            ClientError::NotOurs { .. } => {
                Self::failed(sentence(&error), "Set OARLOCK_HOME to a folder of your own.")
            }
            ClientError::Broken(_) | ClientError::Slow => {
                Self::failed(sentence(&error), "Is it well? See \"oarlock status\".")
            }
        }
    }
}

impl From<Trouble> for CliError {
    fn from(trouble: Trouble) -> Self {
        // What the system refused may go well another time; all else is a no.
        let status =
            if matches!(trouble.code.as_str(), "io" | "disk_full" | "git_failed") { 500 } else { 409 };
        let Trouble { code, message, hint, paths } = trouble;
        Self::Refused(wire::Error { code, message, hint, paths }, status)
    }
}

impl From<PlaceError> for CliError {
    fn from(error: PlaceError) -> Self {
        let hint = "Set OARLOCK_HOME to a folder of your own that can be written to.";
        Self::failed(sentence(&error), hint)
    }
}

/// Writes an error and everything that caused it.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source))).unwrap_or_default();
    format!("{error}{source}")
}

/// Writes an error and everything that caused it as a sentence.
pub fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    format!("{}.", capital(&chain(error)))
}

/// Returns a text with a capital first.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
