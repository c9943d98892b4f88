//! Outside text made harmless: what commits, agents and people write is data, never control.
//!
//! It must not know where the text goes; every text that reaches an agent, a terminal or a log passes here first.

use alloc::string::String;

use crate::ids::Timestamp;

/// Returns the text without control characters: C0, DEL and C1 go, line ends become `\n`, tabs stay.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => out.push('\n'),
            '\n' | '\t' => out.push(c),
            // Bidirectional overrides reorder what a person reads, so they hide text as well as ESC does.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Returns the text on one line of at most `chars_max` characters; a cut is shown as `…`.
#[must_use]
pub fn line(text: &str, chars_max: usize) -> String {
    let flat: String = clean(text).chars().map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c }).collect();
    if flat.chars().count() <= chars_max {
        return flat;
    }
    let Some(kept) = chars_max.checked_sub(1) else { return String::new() };
    let mut cut: String = flat.chars().take(kept).collect();
    cut.push('…');
    cut
}

/// Returns a number with its noun, in the plural unless it is one.
#[must_use]
pub fn count(number: u32, noun: &str) -> String {
    if number == 1 { alloc::format!("1 {noun}") } else { alloc::format!("{number} {noun}s") }
}

/// Returns a moment to the minute, such as `2026-11-25 16:05 UTC`.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    let minutes = at.0 / 60_000;
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    // Years are counted from March, so that the day that may be missing is their last: four hundred of them repeat.
    let days = minutes / (24 * 60) + 719_468;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = days / 146_097 * 400 + year_of_era + u64::from(month <= 2);
    alloc::format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_its_date() {
        for (seconds, date) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_795_622_718, "2026-11-25 16:05 UTC"),
            (4_107_542_399, "2100-02-28 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(moment(Timestamp(seconds * 1000)), date);
        }
        assert!(moment(Timestamp(u64::MAX)).ends_with(" UTC"), "no moment is too far");
    }

    #[test]
    fn nothing_that_drives_a_terminal_survives() {
        assert_eq!(clean("a\x1b[2Jb\x03c\u{9b}d\x7f"), "a[2Jbcd");
        assert_eq!(clean("one\r\ntwo\rthree\tx"), "one\ntwo\nthree\tx");
        assert_eq!(clean("safe\u{202e}txt.exe"), "safetxt.exe");
    }

    #[test]
    fn a_line_is_one_line_and_says_when_it_was_cut() {
        assert_eq!(line("a\nb", 10), "a b");
        assert_eq!(line("abcdef", 4), "abc…");
        assert_eq!(line("abcdef", 0), "", "not even the mark of a cut fits");
    }
}
