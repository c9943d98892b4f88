//! What Codex's own interface shows, and the keys it takes. Only the bottom of the screen counts: above it is what was
//! said, which may look like anything.

use oarlock_core::session::fact::Showing;
use oarlock_core::text;

use crate::NOTE_CHARS_MAX;
use crate::screen::{Answer, Guard, Keys, Screen, Typing};

/// Rows looked at: a dialog shows the whole command.
const ROWS: usize = 24;
/// Rows below the line that it is typed into: its footer.
const FOOTER_ROWS_MAX: usize = 3;
/// Rows above it in which it says that it works: queued messages stand between.
const STATUS_ROWS_MAX: usize = 12;

/// Empties its input, line by line. It does nothing when that is empty.
const CLEAR: &str =
    "\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}";

/// Reads the screen; `None` when unsure.
pub fn read(screen: &Screen<'_>) -> Option<Showing> {
    let rows = screen.bottom(ROWS);
    let (last, above) = rows.split_last()?;
    let selected = rows.iter().rposition(|row| row.starts_with('›'))?;
    if is_option(rows[selected]) {
        return is_dialog(last).then(|| dialog(&above[..selected.min(above.len())]));
    }
    if rows.len() - 1 - selected > FOOTER_ROWS_MAX {
        return None;
    }
    let status = &rows[selected.saturating_sub(STATUS_ROWS_MAX)..selected];
    let is_busy =
        status.iter().any(|row| row.starts_with(['•', '◦']) && row.ends_with(" • esc to interrupt)"));
    Some(if is_busy { Showing::Busy } else { Showing::Prompt })
}

fn is_option(row: &str) -> bool {
    row.trim_start_matches('›').trim_start().starts_with(|c: char| c.is_ascii_digit())
}

fn is_dialog(last: &str) -> bool {
    let last = last.trim_start().to_ascii_lowercase();
    ["press enter to confirm", "enter "].iter().any(|start| last.starts_with(start)) && last.contains("esc")
}

fn dialog(above: &[&str]) -> Showing {
    let asks = above.iter().rev().find(|row| row.contains('?')).or_else(|| above.last());
    let command = above.iter().rev().find_map(|row| row.trim_start().strip_prefix("$ "));
    let what = command.map(|command| format!("Bash: {command}")).or_else(|| asks.map(|row| (*row).into()));
    Showing::Dialog(text::line(what.unwrap_or_default().trim(), NOTE_CHARS_MAX))
}

/// What dialogs say in their last row.
const DIALOG: &str = r"^\s*(Press enter to|enter (continue|confirm|submit|select))|^› \d\. ";

/// Returns how it is typed to. What it is told during a turn goes into the turn.
pub fn typing() -> Typing {
    let guard = |hides: &[&str]| Guard {
        shows: vec!["^›".into()],
        hides: hides.iter().map(|row| (*row).into()).collect(),
        rows: 12,
    };
    Typing {
        ready: guard(&[DIALOG, r"^[•◦] .* • esc to interrupt\)$"]),
        steer: Some(guard(&[DIALOG])),
        interrupt: "\u{1b}",
        clear: CLEAR,
    }
}

/// Returns the keys that give an answer, and when they may be pressed.
pub fn keys(answer: &Answer) -> Keys {
    let guard = |shows: &str| Guard { shows: vec![shows.into()], hides: Vec::new(), rows: 12 };
    let (guard, keys, then_say) = match answer {
        Answer::Allow => (guard(r"^›? *1\. Yes.*\(y\)"), "y", ""),
        Answer::AllowAlways => (guard(r"^›? *2\. Yes.*\(p\)"), "p", ""),
        Answer::Deny(why) => (guard(r"\d\. No.*\(esc\)"), "\u{1b}", why.as_str()),
        Answer::Words(words) => (guard(r"\d\. No.*\(esc\)"), "\u{1b}", words.as_str()),
    };
    let then_say = Some(then_say.to_owned()).filter(|words| !words.is_empty());
    Keys { guard, keys: keys.into(), then_say }
}
