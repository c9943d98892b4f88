//! Outside text made harmless: what commits, agents and people write is data, never control.
//!
//! It must not know where the text goes; every text that reaches an agent, a terminal or a log passes here first.

use alloc::string::String;

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

#[cfg(test)]
mod tests {
    use super::*;

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
