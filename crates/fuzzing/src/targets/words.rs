//! Names, slugs and text cleaning: whatever comes in, what comes out cannot drive a terminal, keeps to its limit, and is not
//! changed by cleaning it again.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use oarlock_core::ids::{NAME_LEN_MAX, Name};
use oarlock_core::text;
use oarlock_term::fuzzing as term;
use oarlock_world::git::text as git;

use super::{is_a_line, is_hostile};

const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// The first byte is a limit in characters; the rest is the text.
pub fn run(data: &[u8]) {
    let Some((limit, bytes)) = data.split_first() else { return };
    let limit = usize::from(*limit);
    let words = String::from_utf8_lossy(bytes);
    cleaning(&words, limit);
    typing(&words);
    names(&words, limit);
    bytes_of_repositories(bytes, limit);
}

fn cleaning(words: &str, limit: usize) {
    let clean = text::clean(words);
    assert!(!clean.contains(|c| is_hostile(c) && c != '\n' && c != '\t'), "{clean:?}");
    assert_eq!(text::clean(&clean), clean, "cleaning twice is cleaning once");
    let line = text::line(words, limit);
    is_a_line(&line, limit);
    assert_eq!(text::line(&line, limit), line, "a line is its own line");
    if clean.chars().count() > limit && limit > 0 {
        assert!(line.ends_with('…'), "a cut is shown: {line:?}");
    }
}

fn typing(words: &str) {
    let plain = term::typed(words, false);
    let typed = String::from_utf8(plain.clone()).expect("text stays text");
    assert!(typed.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'), "{typed:?} presses keys");
    assert_eq!(term::typed(&typed, false), plain, "what is clean is typed as it is");
    let pasted = term::typed(words, true);
    if plain.is_empty() {
        assert!(pasted.is_empty());
    } else {
        assert_eq!(pasted, [PASTE_BEGIN, &plain, PASTE_END].concat(), "a paste has one end");
    }
    // The daemon cleans before the host does: nothing of what it lets through is lost on the way.
    let sent = text::clean(words);
    assert_eq!(term::typed(&sent, false), sent.as_bytes());
}

fn names(words: &str, limit: usize) {
    if let Some(name) = Name::parse(words) {
        assert_eq!(name.as_str(), words);
        let slug = Name::slug(words, NAME_LEN_MAX);
        assert!(slug == Some(name) || words.contains("--"), "a name is its own slug: {slug:?}");
    }
    if let Some(slug) = Name::slug(words, limit) {
        assert_eq!(Name::parse(slug.as_str()), Some(slug.clone()), "a slug is a name");
        assert!(slug.as_str().len() <= limit.min(NAME_LEN_MAX));
    }
    let id = oarlock_world::git::Oid::parse(words);
    assert!(id.is_none_or(|id| id.as_str() == words && id.short().len() == 10));
    let key = oarlock_world::fuzzing::record_key(words);
    assert!(
        key.len() <= 60 && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
        "{key} is no file name"
    );
}

fn bytes_of_repositories(bytes: &[u8], limit: usize) {
    let line = git::clean_line(bytes, limit);
    // One more says that it was cut.
    is_a_line(&line, limit + 1);
    let tail = git::clean_tail(bytes, limit);
    assert!(!tail.contains(|c| is_hostile(c) && c != '\n' && c != '\t'), "{tail:?}");
    assert!(tail.chars().count() <= limit);
    let escaped = git::escape(bytes);
    assert!(escaped.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{escaped:?}");
    assert_eq!(git::unescape(&escaped), bytes, "nothing is lost by escaping");
    let quoted = git::c_quoted(OsStr::from_bytes(bytes));
    assert_eq!(unquoted(&quoted).as_deref(), Some(bytes), "git reads the path back");
}

/// Reads a path in C style, as git does.
fn unquoted(quoted: &[u8]) -> Option<Vec<u8>> {
    let inside = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut plain = Vec::new();
    let mut bytes = inside.iter();
    while let Some(byte) = bytes.next() {
        let next = match byte {
            b'"' | b'\n' => return None,
            b'\\' => bytes.next()?,
            byte => {
                plain.push(*byte);
                continue;
            }
        };
        plain.push(match next {
            b'"' | b'\\' => *next,
            _ => {
                let digits = [*next, *bytes.next()?, *bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 8).ok()?
            }
        });
    }
    Some(plain)
}
