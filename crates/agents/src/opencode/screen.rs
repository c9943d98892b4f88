//! What opencode's interface shows, and the keys it takes. Its input box ends in a heavy line; a dialog takes the box's place.

use oarlock_core::session::fact::Showing;
use oarlock_core::text;

use crate::NOTE_CHARS_MAX;
use crate::screen::{Answer, Guard, Keys, Screen, Typing};

/// Rows at the bottom that hold the box and what is below it.
const BOX_ROWS: u16 = 6;
/// Rows at the bottom that hold a dialog.
const DIALOG_ROWS: u16 = 16;

/// Reads the bottom of the screen.
pub fn read(screen: &Screen<'_>) -> Option<Showing> {
    let rows = screen.bottom(usize::from(DIALOG_ROWS));
    if rows.iter().any(|row| row.contains("△ Always allow"))
        && rows.iter().any(|row| row.contains("Confirm   Cancel"))
    {
        return Some(Showing::Dialog("Always allow the like of it?".into()));
    }
    let near = &rows[rows.len().saturating_sub(usize::from(BOX_ROWS))..];
    if near.iter().any(|row| row.contains("Allow once") && row.contains("Reject")) {
        let head = rows.iter().rposition(|row| row.contains("△ Permission required"))?;
        let says = rows[head + 1..].iter().map(|row| row.trim_start_matches(['┃', ' ']));
        let says = says.filter(|row| !row.is_empty() && !row.contains("Allow once"));
        let what = says.clone().find_map(|row| row.strip_prefix("$ ")).or_else(|| says.clone().next());
        let what = what.unwrap_or_default().trim_start_matches("# ");
        return Some(Showing::Dialog(text::line(what.trim(), NOTE_CHARS_MAX)));
    }
    let is_box = |row: &&str| row.trim_start().starts_with("╹▀▀▀▀▀▀▀▀▀▀");
    let at = near.iter().position(is_box)?;
    let below = &near[at + 1..];
    if below.iter().any(|row| row.contains("esc interrupt") || row.contains("esc again to interrupt")) {
        return Some(Showing::Busy);
    }
    Some(Showing::Prompt)
}

/// Returns how it is typed to.
pub fn typing() -> Typing {
    let ready = Guard {
        shows: vec![r"^\s*╹▀▀▀▀▀▀▀▀▀▀".into()],
        hides: vec![r"esc (again to )?interrupt".into(), r"Allow once.*Reject".into()],
        rows: BOX_ROWS,
    };
    // The first Esc asks whether it is meant.
    Typing { ready, steer: None, interrupt: "\u{1b}\u{1b}", clear: "" }
}

/// Returns the keys that answer its permission dialog.
pub fn answer(answer: &Answer) -> Option<Keys> {
    let guard = Guard {
        shows: vec![r"Allow once\s+Allow always\s+Reject".into()],
        hides: Vec::new(),
        rows: BOX_ROWS,
    };
    let (keys, then_say) = match answer {
        Answer::Allow => ("\r", None),
        // It asks once more whether that is meant; Enter says so.
        Answer::AllowAlways => ("\u{1b}[C\r\r", None),
        Answer::Deny(reason) => {
            ("\u{1b}[C\u{1b}[C\r", Some(reason.clone()).filter(|reason| !reason.is_empty()))
        }
        Answer::Words(_) => return None,
    };
    Some(Keys { guard, keys: keys.into(), then_say })
}
