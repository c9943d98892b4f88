//! What went wrong in the world, as the core's [`Trouble`]: a code, a sentence, a hint.

use std::error::Error;
use std::io;
use std::path::Path;

use oarlock_core::session::fact::Trouble;
use oarlock_core::text;

/// Longest sentence, in characters: git's answers can be long, a person reads a few lines.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// Makes a trouble of a code and a sentence.
pub(crate) fn new(code: &str, message: String) -> Trouble {
    Trouble { code: code.into(), message, hint: String::new(), paths: vec![] }
}

/// Makes a trouble of a failed operation on a path.
pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> Trouble {
    let code = if error.kind() == io::ErrorKind::StorageFull { "disk_full" } else { "io" };
    new(code, format!("Failed to {doing} at {}: {error}.", path.display()))
}

/// Makes a trouble of an error and everything that caused it.
pub(crate) fn error(code: &str, says: &str, error: &(dyn Error + 'static)) -> Trouble {
    new(code, format!("{says}: {}", chain(error)))
}

/// Writes an error and everything that caused it on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        parts.push(cause.to_string());
        source = cause.source();
    }
    text::line(&parts.join(": "), MESSAGE_CHARS_MAX)
}

/// Writes an error and everything that caused it as a sentence: a capital first, a full stop last.
pub(crate) fn sentence(error: &(dyn Error + 'static)) -> String {
    let chain = chain(error);
    let mut chars = chain.chars();
    let first = chars.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
    let end = if chain.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
