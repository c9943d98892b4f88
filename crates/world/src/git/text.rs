//! Makes text from repositories and children safe to show, and paths safe to write on one line.
//!
//! Must not know who shows it. Commit subjects, branch names and stderr are other people's text: they may hold
//! escape sequences, carriage returns and bidirectional overrides.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Returns `text` on one line: control characters removed, line ends and tabs as a space, cut to `chars_max`.
#[must_use]
pub fn clean_line(text: &[u8], chars_max: usize) -> String {
    let lossy = String::from_utf8_lossy(text);
    let mut line = String::new();
    let mut count = 0;
    for c in lossy.chars() {
        let shown = if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c };
        if is_hostile(shown) {
            continue;
        }
        if count == chars_max {
            line.push('…');
            break;
        }
        line.push(shown);
        count += 1;
    }
    line.trim().to_owned()
}

/// Returns the last `chars_max` characters of `text`, its lines kept and every other control character removed.
#[must_use]
pub fn clean_tail(text: &[u8], chars_max: usize) -> String {
    let lossy = String::from_utf8_lossy(text);
    let shown: Vec<char> = lossy.chars().filter(|c| *c == '\n' || *c == '\t' || !is_hostile(*c)).collect();
    let cut = shown.len().saturating_sub(chars_max);
    shown[cut..].iter().collect::<String>().trim().to_owned()
}

/// A character that could drive a terminal or reorder the text around it.
fn is_hostile(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes bytes as one line of printable ASCII: `%` and every byte outside it as `%XX`.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_graphic() && *byte != b'%' || *byte == b' ' {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Reads what [`escape`] wrote; an escape that is none stays as it is.
#[must_use]
pub fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = if bytes[at] == b'%' { bytes.get(at + 1..at + 3) } else { None };
        let value =
            hex.and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        if let Some(value) = value {
            plain.push(value);
            at += 3;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    plain
}

/// Returns the path whose bytes git wrote.
#[must_use]
pub fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()))
}

/// Quotes a path the way git reads names from lines (`git hash-object --stdin-paths`): C style, octal escapes.
/// See "core.quotePath" in git-config(1).
#[must_use]
pub fn c_quoted(path: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in path.as_bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend_from_slice(&[b'\\', *byte]),
            0x20..=0x7e => quoted.push(*byte),
            _ => quoted.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
        }
    }
    quoted.push(b'"');
    quoted
}

/// Returns a number, its noun and "is" or "are".
pub(crate) fn are(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one} is") } else { format!("{number} {many} are") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_subject_cannot_drive_a_terminal() {
        let shown = clean_line(b"fix\r\x1b[2J\x03 it \xe2\x80\xaeback\xff", 80);
        assert!(!shown.chars().any(is_hostile), "{shown:?}");
        assert!(shown.starts_with("fix") && shown.contains("it"));
    }

    #[test]
    fn a_long_line_is_cut_and_shows_it() {
        assert_eq!(clean_line(b"abcdef", 3), "abc…");
    }

    #[test]
    fn escaping_gives_back_every_byte() {
        let all: Vec<u8> = (0..=255).collect();
        let text = escape(&all);
        assert!(text.is_ascii() && !text.contains('\n'));
        assert_eq!(unescape(&text), all);
    }
}
