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
    let at =
        status.iter().position(|row| row.starts_with(['•', '◦']) && row.ends_with(" • esc to interrupt)"));
    // While an answer comes in, or a command runs, only the title tells that it is at work.
    let Some(at) = at.filter(|at| status[*at].contains("reconnecting")) else {
        let is_busy = at.is_some() || is_spinner(screen.title);
        return Some(if is_busy { Showing::Busy } else { Showing::Prompt });
    };
    // Why it asks again stands below.
    let is_limit = status[at + 1..].iter().any(|row| row.contains("status: 429"));
    Some(if is_limit { Showing::Limited } else { Showing::Busy })
}

/// Tells whether a title begins with one of the dots that turn while it works.
fn is_spinner(title: &str) -> bool {
    title.starts_with(|c: char| ('\u{2801}'..='\u{28ff}').contains(&c))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(title: &str, rows: &[&str]) -> Option<Showing> {
        let rows: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
        read(&Screen { title, rows: &rows })
    }

    #[test]
    fn while_an_answer_comes_in_the_title_tells_that_it_is_at_work() {
        let rows = [
            "• This answer comes in small pieces",
            "› Ask Codex to do anything",
            "  gpt-5.4 default · ~/shop",
        ];
        assert_eq!(shown("⠋ shop", &rows), Some(Showing::Busy));
        assert_eq!(shown("shop", &rows), Some(Showing::Prompt));
        assert_eq!(
            shown(
                "⠋ shop",
                &["Allow it?", "› 1. Yes, proceed (y)", "  Press enter to confirm or esc to cancel"]
            ),
            Some(Showing::Dialog("Allow it?".into())),
            "a dialog is one, whatever turns"
        );
    }

    #[test]
    fn a_limit_is_told_from_another_reason_to_ask_again() {
        let rows = |why| {
            ["• Server is busy, reconnecting 2/5 (5s • esc to interrupt)", why, "› Ask Codex", "  gpt-5.4"]
        };
        let limit = rows("  └ Exceeded retry limit, last status: 429 Too Many Requests");
        assert_eq!(shown("⠋ shop", &limit), Some(Showing::Limited));
        assert_eq!(shown("⠋ shop", &rows("  └ stream disconnected before completion")), Some(Showing::Busy));
    }
}
