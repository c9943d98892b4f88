//! What Gemini CLI's interface shows, and the keys it takes. Its window title says it in a sign; where there is none, its rows
//! do. A dialog is a frame in the place of the prompt.

use oarlock_core::session::fact::Showing;
use oarlock_core::text;

use crate::NOTE_CHARS_MAX;
use crate::screen::{Answer, Guard, Keys, Screen, Typing};

/// Rows at the bottom that hold the prompt, what is below it and the row above it that tells of work.
const PROMPT_ROWS: u16 = 9;
/// Rows at the bottom that hold a dialog.
const DIALOG_ROWS: u16 = 20;

/// Reads the bottom of the screen.
pub fn read(screen: &Screen<'_>) -> Option<Showing> {
    let rows = screen.bottom(usize::from(DIALOG_ROWS));
    let near = &rows[rows.len().saturating_sub(usize::from(PROMPT_ROWS))..];
    let is_prompt = near.iter().any(|row| is_prompt(row));
    let offers = rows.iter().any(|row| row.contains("● 1. ")) && rows.iter().any(|row| row.contains("(esc)"));
    if (offers && !is_prompt) || screen.title.starts_with('✋') {
        let asks = rows.iter().rev().find_map(|row| row.strip_prefix("│ ? "));
        let what = asks.map_or("It asks for a decision.", |row| row.trim_matches(['│', ' ']));
        return Some(Showing::Dialog(text::line(what, NOTE_CHARS_MAX)));
    }
    if near.iter().any(|row| row.contains("(esc to cancel")) || screen.title.starts_with('✦') {
        return Some(Showing::Busy);
    }
    is_prompt.then_some(Showing::Prompt)
}

/// Its prompt is `>`, and where it asks nobody a star that stands apart as no item of a list does.
fn is_prompt(row: &str) -> bool {
    let row = row.trim_start();
    row.starts_with("> ") || row.starts_with("*   ") || matches!(row.trim_end(), ">" | "*")
}

/// Returns how it is typed to.
pub fn typing() -> Typing {
    let ready = Guard {
        shows: vec![r"^\s?(>|\*(  |$))(\s|$)".into()],
        hides: vec![r"\(esc to cancel".into(), r"● \d\. ".into()],
        rows: PROMPT_ROWS,
    };
    Typing { ready, steer: None, interrupt: "\u{1b}", clear: "" }
}

/// Returns the keys that answer its permission dialog.
pub fn answer(answer: &Answer) -> Option<Keys> {
    let asked = |option: &str| Guard { shows: vec![option.into()], hides: Vec::new(), rows: DIALOG_ROWS };
    let (guard, keys, then_say) = match answer {
        Answer::Allow => (asked(r"● 1\. Allow once"), "1", None),
        Answer::AllowAlways => (asked(r"2\. Allow for this session"), "2", None),
        Answer::Deny(reason) => (asked(r"\d\. No, suggest changes \(esc\)"), "\u{1b}", Some(reason.clone())),
        Answer::Words(_) => return None,
    };
    Some(Keys { guard, keys: keys.into(), then_say: then_say.filter(|reason| !reason.is_empty()) })
}
