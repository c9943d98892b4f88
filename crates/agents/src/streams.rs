//! Readers of what agents print, a line of JSON at a time, when they are run for one turn. Pure: lines in, steps out.
//!
//! [`crate::turns`] uses them for agents that have no better protocol. A reader must not know processes; that a turn is
//! over, and that it went well, is said by the stream and the exit code together ([`ended`]).

pub mod amp;
pub mod claude;
pub mod codex;
pub mod copilot;
pub mod cursor;
pub mod fault;
pub mod gemini;
pub mod goose;
pub mod grok;
pub mod kimi;
pub(crate) mod loose;
pub mod opencode;
pub mod qwen;

use oarlock_core::session::fact::{Observation, TurnEnd};
use oarlock_core::text;
use serde::Deserialize;

use crate::ID_CHARS_MAX;
use crate::drive::{Show, Step};
use loose::Text;

/// Longest line made of a tool's call, in characters: it is shown on one line.
const WHAT_CHARS_MAX: usize = 200;
/// Longest piece of a tool's output that is shown, in characters: the agent has all of it.
const OUTPUT_CHARS_MAX: usize = 2_000;
/// Longest record of usage kept, in bytes.
const RAW_BYTES_MAX: usize = 4 * 1024;

/// Reads the lines that one agent prints over one turn.
pub trait Reader: Send {
    /// Takes in one line, without its end. What is no line of the stream says nothing.
    fn line(&mut self, line: &[u8]) -> Vec<Step>;

    /// Returns the conversation, once it is known.
    fn conversation(&self) -> Option<&str>;

    /// Returns how the turn ended as far as the stream said; `None` when it did not.
    fn end(&self) -> Option<TurnEnd>;
}

/// Makes a reader.
pub type New = fn() -> Box<dyn Reader>;

/// Every agent whose stream is known.
pub const READERS: &[(&str, New)] = &[
    ("claude-code", || Box::<claude::Claude>::default()),
    ("codex", || Box::<codex::Codex>::default()),
    ("opencode", || Box::<opencode::Opencode>::default()),
    ("gemini", || Box::<gemini::Gemini>::default()),
    ("qwen", || Box::new(qwen::reader())),
    ("copilot", || Box::<copilot::Copilot>::default()),
    ("cursor", || Box::<cursor::Cursor>::default()),
    ("grok", || Box::<grok::Grok>::default()),
    ("kimi", || Box::<kimi::Kimi>::default()),
    ("goose", || Box::<goose::Goose>::default()),
    ("amp", || Box::new(amp::reader())),
];

/// Returns the reader of an agent's stream.
#[must_use]
pub fn reader(agent: &str) -> Option<Box<dyn Reader>> {
    READERS.iter().find(|(name, _)| *name == agent).map(|(_, new)| new())
}

/// Returns how a turn ended, from what the stream said, the exit code (`None` for a signal) and the end of standard error.
///
/// A stream that ends well and a process that does not is a failure: agents say "success" of a request that was refused.
#[must_use]
pub fn ended(said: Option<TurnEnd>, code: Option<i32>, stderr: &str) -> TurnEnd {
    match (said, code) {
        (Some(bad @ (TurnEnd::Error(_) | TurnEnd::Interrupted)), _) => bad,
        (Some(end), Some(0)) => end,
        (None, Some(0)) => TurnEnd::Unknown,
        (Some(TurnEnd::Ok | TurnEnd::Unknown) | None, _) => TurnEnd::Error(fault::class(None, stderr).into()),
    }
}

/// What a tool is called with, as far as one line about it needs: its names in several agents' tools.
///
/// Each has its own field: a call may have two of them, and an alias met twice is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Input<'a> {
    #[serde(borrow)]
    command: Text<'a>,
    #[serde(borrow)]
    cmd: Text<'a>,
    #[serde(borrow)]
    file_path: Text<'a>,
    #[serde(borrow, rename = "filePath")]
    file_path_camel: Text<'a>,
    #[serde(borrow)]
    absolute_path: Text<'a>,
    #[serde(borrow)]
    target_file: Text<'a>,
    #[serde(borrow)]
    path: Text<'a>,
    #[serde(borrow)]
    pattern: Text<'a>,
    #[serde(borrow)]
    glob_pattern: Text<'a>,
    #[serde(borrow)]
    query: Text<'a>,
    #[serde(borrow)]
    search_term: Text<'a>,
    #[serde(borrow)]
    url: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    prompt: Text<'a>,
}

/// Returns a tool's call in one line: `Bash: git push`, `Write src/a.rs`.
pub(crate) fn what(name: &str, input: &Input<'_>) -> String {
    let line = |words: &str| text::line(words.trim(), WHAT_CHARS_MAX);
    let first = |all: &[&Text<'_>]| all.iter().find(|one| !one.is_empty()).map(|one| one.to_string());
    if let Some(command) = first(&[&input.command, &input.cmd]) {
        return line(&format!("{name}: {command}"));
    }
    let searches = [&input.pattern, &input.glob_pattern, &input.query, &input.search_term];
    let paths =
        [&input.file_path, &input.file_path_camel, &input.absolute_path, &input.target_file, &input.path];
    let others = [&input.url, &input.description, &input.prompt];
    match (first(&searches), first(&paths), first(&others)) {
        (Some(other), _, _) | (None, None, Some(other)) => line(&format!("{name}: {other}")),
        (None, Some(path), _) => line(&format!("{name} {path}")),
        (None, None, None) => line(name),
    }
}

/// Returns the steps of a tool's start.
pub(crate) fn tool_started(id: &str, name: &str, what: String) -> [Step; 2] {
    let name = text::line(name, ID_CHARS_MAX);
    let started = Observation::ToolStarted { id: text::line(id, ID_CHARS_MAX), name, what: what.clone() };
    [Step::Observe(started), Step::Show(Show::Tool(what))]
}

/// Returns the steps of a tool's end.
pub(crate) fn tool_ended(id: &str, ok: bool, output: &str) -> Vec<Step> {
    let mut steps = vec![Step::Observe(Observation::ToolEnded { id: text::line(id, ID_CHARS_MAX), ok })];
    steps.extend(shown(output).map(|cut| Step::Show(Show::Output(cut))));
    steps
}

/// Returns a tool's output, cut; `None` for nothing.
fn shown(output: &str) -> Option<String> {
    let output = output.trim();
    if output.is_empty() {
        return None;
    }
    let end = output.char_indices().nth(OUTPUT_CHARS_MAX).map_or(output.len(), |(at, _)| at);
    Some(text::clean(&output[..end]))
}

/// Returns the step that shows whole words; none for nothing.
pub(crate) fn words(text: &str) -> Option<Step> {
    (!text.trim().is_empty()).then(|| Step::Show(Show::Words { text: text.into(), whole: true }))
}

/// Returns the step that shows the next piece of words; none for nothing.
pub(crate) fn piece(text: &str) -> Option<Step> {
    (!text.is_empty()).then(|| Step::Show(Show::Words { text: text.into(), whole: false }))
}

/// Returns the step that shows a note.
pub(crate) fn note(text: impl Into<String>) -> Step {
    Step::Show(Show::Note(text::line(&text.into(), WHAT_CHARS_MAX)))
}

/// Returns the step that keeps a record of usage, cut at a border of characters.
pub(crate) fn raw(line: &[u8]) -> Step {
    let cut = &line[..line.len().min(RAW_BYTES_MAX)];
    Step::Raw(String::from_utf8_lossy(cut).into_owned())
}

/// Returns an amount of dollars in millionths.
pub(crate) fn micros(dollars: f64) -> u64 {
    loose::Number((dollars * 1e6).round()).whole()
}
