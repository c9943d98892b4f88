//! What Copilot's interface shows, and the keys it takes. Below its prompt is one row, which says that it works; a dialog is a
//! frame in the place of the prompt.

use oarlock_core::session::fact::Showing;
use oarlock_core::text;

use crate::NOTE_CHARS_MAX;
use crate::screen::{Answer, Guard, Keys, Screen, Typing};

/// Rows at the bottom that hold the prompt and what is below it.
const PROMPT_ROWS: u16 = 5;
/// Rows at the bottom that hold a dialog.
const DIALOG_ROWS: u16 = 20;

/// Reads the bottom of the screen.
pub fn read(screen: &Screen<'_>) -> Option<Showing> {
    let rows = screen.bottom(usize::from(DIALOG_ROWS));
    let (last, above) = rows.split_last()?;
    if last.starts_with('╰') {
        let help = above.last()?.to_lowercase();
        if !help.contains("esc") || !help.contains("enter") {
            return None;
        }
        let top = above.iter().rposition(|row| row.starts_with('╭'))?;
        let said = above[top + 1..].iter().map(|row| row.trim_matches(['│', ' ']));
        // What it is about has a frame of its own.
        let framed = above[top + 1..]
            .iter()
            .find_map(|row| row.strip_prefix("│ │"))
            .map(|row| row.trim_matches(['│', ' ']));
        let what = framed.or_else(|| said.clone().find(|row| !row.is_empty())).unwrap_or_default();
        return Some(Showing::Dialog(text::line(what, NOTE_CHARS_MAX)));
    }
    let near = &rows[rows.len().saturating_sub(usize::from(PROMPT_ROWS))..];
    let prompt = near.iter().rposition(|row| row.starts_with('❯'))?;
    let is_framed = near.get(prompt + 1).is_some_and(|row| row.starts_with("────"));
    if !is_framed {
        return None;
    }
    let works =
        last.trim_start().chars().next().is_some_and(|c| "○◉◎●◌".contains(c)) && last.contains("Working");
    Some(match works {
        // How much of an answer came in stands there while one does.
        true if last.contains("Working · ") => Showing::Answering,
        true => Showing::Busy,
        false => Showing::Prompt,
    })
}

/// Returns how it is typed to.
pub fn typing() -> Typing {
    let ready = Guard {
        shows: vec!["^❯".into()],
        hides: vec![r"^\s*[○◉◎●◌] Working".into(), r"(?i)enter.*esc (to )?cancel".into()],
        rows: PROMPT_ROWS,
    };
    // One Esc alone does nothing to a turn; an interrupted prompt is put back.
    Typing { ready, steer: None, interrupt: "\u{1b}\u{1b}", clear: "\u{15}" }
}

/// Returns the keys that answer its permission dialog.
pub fn answer(answer: &Answer) -> Option<Keys> {
    let asked = |option: &str| Guard { shows: vec![option.into()], hides: Vec::new(), rows: DIALOG_ROWS };
    let (guard, keys, then_say) = match answer {
        Answer::Allow => (asked(r"❯? 1\. Yes"), "1", None),
        Answer::AllowAlways => (asked(r"2\. Yes, and don't ask again"), "2", None),
        // It stops then, and takes what to do instead at its prompt.
        Answer::Deny(reason) => (asked(r"\d\. No.*\(Esc to stop\)"), "\u{1b}", Some(reason.clone())),
        Answer::Words(_) => return None,
    };
    Some(Keys { guard, keys: keys.into(), then_say: then_say.filter(|reason| !reason.is_empty()) })
}
