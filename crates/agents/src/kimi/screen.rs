//! What Kimi Code's interface shows, and the keys it takes. It is all that is seen of it in a terminal. Above its box a moon
//! tells of work; a dialog stands between two lines in the place of the box. The first in a new folder asks to trust it, and
//! with it the servers that the repository names: that is a person's to answer.

use oarlock_core::session::fact::Showing;
use oarlock_core::text;

use crate::NOTE_CHARS_MAX;
use crate::screen::{Answer, Guard, Keys, Screen, Typing};

/// Rows at the bottom that hold the box, what is below it and the row above it that tells of work.
const BOX_ROWS: u16 = 6;
/// Rows at the bottom that hold a dialog.
const DIALOG_ROWS: u16 = 16;
/// The phases of the moon that turn while it works.
const MOONS: &str = "🌑🌒🌓🌔🌕🌖🌗🌘";

/// Reads the bottom of the screen.
pub fn read(screen: &Screen<'_>) -> Option<Showing> {
    let rows = screen.bottom(usize::from(DIALOG_ROWS));
    if rows.iter().any(|row| row.trim() == "Trust this folder?")
        && rows.iter().any(|row| row.contains("Enter select"))
    {
        return Some(Showing::Dialog("Trust this folder?".into()));
    }
    let near = &rows[rows.len().saturating_sub(usize::from(BOX_ROWS))..];
    if near.iter().any(|row| row.contains("↑/↓ select") && row.contains("↵ confirm")) {
        let head = rows
            .iter()
            .rposition(|row| row.trim_start().starts_with("▶ ") && row.trim_end().ends_with('?'))?;
        let command = rows[head..].iter().find_map(|row| row.trim_start().strip_prefix("$ "));
        let what = command.unwrap_or_else(|| rows[head].trim_start().trim_start_matches("▶ "));
        return Some(Showing::Dialog(text::line(what.trim(), NOTE_CHARS_MAX)));
    }
    let input = near.iter().rposition(|row| row.trim_start().starts_with("│ >"))?;
    let above = input.checked_sub(2).map(|at| near[at].trim_start());
    let works = above.is_some_and(|row| row.starts_with(|c| MOONS.contains(c)));
    Some(if works { Showing::Busy } else { Showing::Prompt })
}

/// Returns how it is typed to.
pub fn typing() -> Typing {
    let ready = Guard {
        shows: vec![r"^\s*│ >".into()],
        hides: vec![r"^\s*[🌑🌒🌓🌔🌕🌖🌗🌘]".into(), "↵ confirm".into(), "Enter select".into()],
        rows: BOX_ROWS,
    };
    Typing { ready, steer: None, interrupt: "\u{1b}", clear: "" }
}

/// Returns the keys that answer its permission dialog.
pub fn answer(answer: &Answer) -> Option<Keys> {
    let asked = |option: &str| Guard { shows: vec![option.into()], hides: Vec::new(), rows: DIALOG_ROWS };
    let (guard, keys, then_say) = match answer {
        Answer::Allow => (asked(r"1\. Approve once"), "1", None),
        Answer::AllowAlways => (asked(r"2\. Approve for this session"), "2", None),
        Answer::Deny(reason) => (asked(r"3\. Reject"), "3", Some(reason.clone())),
        Answer::Words(_) => return None,
    };
    Some(Keys { guard, keys: keys.into(), then_say: then_say.filter(|reason| !reason.is_empty()) })
}
