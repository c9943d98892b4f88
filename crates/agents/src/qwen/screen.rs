//! What Qwen Code's interface shows, and the keys it takes. A row above its prompt tells of work; a dialog takes the place of
//! the prompt, and a row below says that it waits.

use oarlock_core::session::fact::Showing;
use oarlock_core::text;

use crate::NOTE_CHARS_MAX;
use crate::screen::{Answer, Guard, Keys, Screen, Typing};

/// Rows at the bottom that hold the prompt, what is below it and the row above it that tells of work.
const PROMPT_ROWS: u16 = 7;
/// Rows at the bottom that hold a dialog.
const DIALOG_ROWS: u16 = 24;

/// Reads the bottom of the screen.
pub fn read(screen: &Screen<'_>) -> Option<Showing> {
    let rows = screen.bottom(usize::from(DIALOG_ROWS));
    let near = &rows[rows.len().saturating_sub(usize::from(PROMPT_ROWS))..];
    if near.last()?.contains("Waiting for user confirmation") {
        let asks = rows.iter().rev().find_map(|row| row.trim_start().strip_prefix("? "));
        let asks = asks.map(|row| row.trim_end_matches(['█', '│', ' ']).trim_end_matches(" ←"));
        let what = asks.unwrap_or("It asks for a decision.");
        return Some(Showing::Dialog(text::line(what.trim(), NOTE_CHARS_MAX)));
    }
    // Its prompt is `>`, and `*` where it asks nobody.
    let prompt = near.iter().rposition(|row| row.starts_with(['>', '*']))?;
    let is_framed =
        near.get(prompt + 1..).is_some_and(|below| below.iter().any(|row| row.starts_with("────")));
    if !is_framed {
        return None;
    }
    let works = near[..prompt].iter().any(|row| row.contains("esc to cancel)"));
    if works && rows.iter().any(|row| is_limited(row)) {
        return Some(Showing::Limited);
    }
    Some(if works { Showing::Busy } else { Showing::Prompt })
}

/// `✕ [API Error: 429 …] (Retrying in 53s… (attempt 1/10))`, which goes when it has tried again.
fn is_limited(row: &str) -> bool {
    let row = row.trim_start();
    row.starts_with("✕ ")
        && row.split_once("(Retrying in ").is_some_and(|(why, _)| crate::trouble::class(why) == "rate_limit")
}

/// Returns how it is typed to.
pub fn typing() -> Typing {
    let ready = Guard {
        shows: vec!["^[>*]".into()],
        hides: vec![r"esc to cancel\)".into(), "Waiting for user confirmation".into()],
        rows: PROMPT_ROWS,
    };
    let steer = Guard {
        shows: vec!["Enter to steer".into()],
        hides: vec!["Waiting for user confirmation".into()],
        rows: PROMPT_ROWS,
    };
    // An interrupted prompt is put back; a key empties one line of it.
    let clear = "\u{15}\u{7f}\u{15}\u{7f}\u{15}\u{7f}\u{15}\u{7f}\u{15}\u{7f}\u{15}\u{7f}\u{15}\u{7f}\u{15}";
    Typing { ready, steer: Some(steer), interrupt: "\u{1b}", clear }
}

/// Returns the keys that answer its permission dialog.
pub fn answer(answer: &Answer) -> Option<Keys> {
    let asked = |option: &str| Guard { shows: vec![option.into()], hides: Vec::new(), rows: DIALOG_ROWS };
    let (guard, keys, then_say) = match answer {
        Answer::Allow => (asked(r"1\. Yes, allow once"), "1", None),
        // For the project, in its settings: less is not offered.
        Answer::AllowAlways => (asked(r"2\. Always allow"), "2", None),
        Answer::Deny(reason) => (asked(r"\d\. No, suggest changes \(esc\)"), "\u{1b}", Some(reason.clone())),
        Answer::Words(_) => return None,
    };
    Some(Keys { guard, keys: keys.into(), then_say: then_say.filter(|reason| !reason.is_empty()) })
}
