//! What Claude Code's own interface shows, and the keys it takes. Only the bottom of the screen counts: above it is what
//! was said, which may look like anything.

use oarlock_core::session::fact::Showing;
use oarlock_core::text;

use crate::NOTE_CHARS_MAX;
use crate::screen::{Answer, Guard, Keys, Screen, Typing};

/// Rows looked at: a dialog with a diff is long, and its question is near its end.
const ROWS: usize = 24;
/// Rows of the footer below the input line: hints, and a status line of the user's.
const FOOTER_ROWS_MAX: usize = 6;
/// Characters that draw the line above and below the input.
const RULE_CHARS_MIN: usize = 10;
/// Empties its input, line by line: a prompt interrupted before an answer comes back there. The key does nothing when it
/// is empty, other than Esc and Ctrl-C, which do more.
const CLEAR: &str =
    "\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}\u{15}";

/// Reads the screen; `None` when unsure.
pub fn read(screen: &Screen<'_>) -> Option<Showing> {
    let rows = screen.bottom(ROWS);
    let (last, above) = rows.split_last()?;
    if last.contains("Esc to cancel") {
        return dialog(last, above);
    }
    // From the bottom: the footer, a rule, the input line and what more was typed, a rule.
    let rule =
        rows.iter().rposition(|row| is_rule(row)).filter(|rule| rows.len() - rule <= FOOTER_ROWS_MAX + 1)?;
    let input = rows[..rule].iter().rposition(|row| is_rule(row)).map(|top| top + 1)?;
    if !rows[input].starts_with('❯') {
        return None;
    }
    let is_busy = rows[rule..].iter().any(|row| row.contains("esc to interrupt"));
    let above = &rows[..input.saturating_sub(1)];
    Some(match is_busy {
        true if is_limited(above) => Showing::Limited,
        true => Showing::Busy,
        false => Showing::Prompt,
    })
}

/// Tells whether the row above the input says that the provider makes it wait. At the first attempts it says only that there
/// was an error of the provider's, and when it asks again; what error it was comes later, and when it is a limit.
fn is_limited(above: &[&str]) -> bool {
    let last = above.last().map_or("", |row| row.trim());
    let Some((why, _)) = last.split_once(" · retrying") else { return false };
    let why = why.to_ascii_lowercase();
    ["api error", "429", "529", "rate limit", "overloaded"].iter().any(|word| why.contains(word))
}

/// A dialog stands below a rule, has an option selected, or both; a question has another rule within.
fn dialog(last: &str, above: &[&str]) -> Option<Showing> {
    let is_question = last.contains("Enter to select");
    let mut rules = (0..above.len()).rev().filter(|at| is_rule(above[*at]));
    let top = if is_question { rules.nth(1) } else { rules.next() };
    let rows = &above[top.map_or(0, |top| top + 1)..];
    let selected = rows.iter().position(|row| row.trim_start().starts_with('❯'));
    top.or(selected)?;
    let before = &rows[..selected.unwrap_or(rows.len())];
    let asks = before.iter().rev().find(|row| row.trim_end().ends_with('?')).or_else(|| before.first());
    let what = text::line(asks.map_or("", |row| row.trim()), NOTE_CHARS_MAX);
    Some(if is_question { Showing::Question(what) } else { Showing::Dialog(what) })
}

fn is_rule(row: &str) -> bool {
    let row = row.trim();
    row.chars().count() >= RULE_CHARS_MIN && row.chars().all(|c| c == '─')
}

/// Returns how it is typed to. It queues what it is told during a turn.
pub fn typing() -> Typing {
    Typing {
        ready: Guard {
            shows: vec!["^❯".into()],
            hides: [DIALOG, "esc to interrupt"].map(Into::into).to_vec(),
            rows: 9,
        },
        steer: Some(Guard { shows: vec!["esc to interrupt".into()], hides: vec![DIALOG.into()], rows: 9 }),
        interrupt: "\u{1b}",
        clear: CLEAR,
    }
}

/// What every dialog says in its last row.
const DIALOG: &str = r"Esc to cancel|Enter to confirm|Enter to select";
/// The last row of a dialog for a permission.
const PERMISSION: &str = r"^\s*Esc to cancel";
/// The last row of a question.
const QUESTION: &str = r"^\s*Enter to select";

/// Returns the keys that give an answer, and when they may be pressed.
pub fn keys(answer: &Answer) -> Keys {
    let guard = |shows: &str, hides: &[&str]| Guard {
        shows: vec![shows.into()],
        hides: hides.iter().map(|row| (*row).into()).collect(),
        rows: 12,
    };
    let (guard, keys, then_say) = match answer {
        Answer::Allow => (guard(r"^\s*❯ 1\. Yes", &[QUESTION, "Enter to confirm"]), "1", ""),
        Answer::AllowAlways => (guard(r"^\s*2\. Yes", &[QUESTION, "Enter to confirm"]), "2", ""),
        Answer::Deny(why) => (guard(PERMISSION, &["Enter to confirm"]), "\u{1b}", why.as_str()),
        Answer::Words(words) => match words.trim() {
            // The number of an option presses it.
            number if matches!(number.as_bytes(), [b'1'..=b'9']) => (guard(QUESTION, &[]), number, ""),
            words => (guard(QUESTION, &[]), "\u{1b}", words),
        },
    };
    let then_say = Some(then_say.to_owned()).filter(|words| !words.is_empty());
    Keys { guard, keys: keys.into(), then_say }
}
