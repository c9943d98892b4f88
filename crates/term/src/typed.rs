//! What may be typed into a terminal on somebody's behalf: text without anything that operates the terminal.
//! It must not know who sends it or where it goes.

/// Starts and ends a paste for applications with mode 2004 on (xterm control sequences, "Bracketed Paste Mode").
const PASTE: (&[u8], &[u8]) = (b"\x1b[200~", b"\x1b[201~");

/// Returns the text without control characters: C0, DEL and C1 go, newline and tab stay, and CR LF and CR become LF.
/// What is left can end no paste and press no key, so the text of strangers stays text.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => cleaned.push('\n'),
            '\n' | '\t' => cleaned.push(char),
            _ if char.is_control() => {}
            _ => cleaned.push(char),
        }
    }
    cleaned
}

/// Returns the bytes to type for a clean text.
pub(crate) fn paste(clean: &str, bracketed: bool) -> Vec<u8> {
    if bracketed && !clean.is_empty() {
        [PASTE.0, clean.as_bytes(), PASTE.1].concat()
    } else {
        clean.as_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_operates_a_terminal_gets_through() {
        let hostile = "a\x1b[201~rm\x03\x04\x07\x08\x7f\u{9b}31mb\0c";
        assert_eq!(clean(hostile), "a[201~rm31mbc");
        let all: String = (0u32..0x100).filter_map(char::from_u32).collect();
        assert!(clean(&all).chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
    }

    #[test]
    fn newlines_are_normalised_and_kept() {
        assert_eq!(clean("a\r\nb\rc\n\td"), "a\nb\nc\n\td");
    }

    #[test]
    fn text_in_any_language_is_untouched() {
        assert_eq!(clean("Grüße 漢字 🛶"), "Grüße 漢字 🛶");
    }

    #[test]
    fn a_paste_is_bracketed_only_when_asked_and_not_empty() {
        assert_eq!(paste("hi", true), b"\x1b[200~hi\x1b[201~");
        assert_eq!(paste("hi", false), b"hi");
        assert_eq!(paste("", true), b"");
    }
}
