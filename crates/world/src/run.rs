//! Runs: an agent's process behind a host. Start, stop, type, and ask what became of it.
//!
//! It must not decide anything: what is wanted comes as an effect, what was seen goes back as facts.

pub(crate) mod digest;
mod environment;
pub mod inbox;
pub mod program;
mod start;
pub(crate) mod talk;
pub(crate) mod watch;

use std::path::Path;

use oarlock_core::ids::RunId;
use oarlock_core::session::fact::{Exit, Fact, Trouble};
use oarlock_core::text;
use oarlock_term::{Client, Probe, Size};

use crate::trouble;

pub(crate) use start::{Start, Surroundings, start};

/// The terminal an agent starts in; a person who attaches brings another size.
const TERMINAL: Size = Size { rows: 40, cols: 120 };
/// Longest last words, in characters.
const LAST_WORDS_CHARS_MAX: usize = 300;

/// Ends a run; its host sees to it whoever dies meanwhile. A run that is over needs nothing. `grace_ms` is the time between
/// SIGTERM and SIGKILL; 0 kills at once.
///
/// # Errors
/// When its host lives and cannot be told.
pub fn stop(folder: &Path, grace_ms: u64) -> Result<Vec<Fact>, Trouble> {
    let stopped = Client::connect(folder).and_then(|mut client| match grace_ms {
        0 => client.kill(),
        _ => client.stop(grace_ms),
    });
    match stopped {
        Ok(()) => Ok(vec![]),
        // Whoever is not there cannot be stopped; the watch says how it ended.
        Err(_) if !matches!(oarlock_term::probe(folder), Ok(Probe::Live(_))) => Ok(vec![]),
        Err(error) => Err(trouble::error("host", "The agent's host could not be told to stop", &error)),
    }
}

/// Returns the fact that a run is over.
pub(crate) fn ended(run: RunId, exit: Exit, last_words: String) -> Fact {
    Fact::RunEnded { run, exit, last_words }
}

/// Returns the last line a run showed, cleaned.
pub(crate) fn last_words(folder: &Path) -> String {
    let Ok(screen) = oarlock_term::render(folder, None, TERMINAL) else { return String::new() };
    let last = screen.lines.iter().rev().find(|line| !line.trim().is_empty());
    last.map(|line| text::line(line.trim(), LAST_WORDS_CHARS_MAX)).unwrap_or_default()
}
