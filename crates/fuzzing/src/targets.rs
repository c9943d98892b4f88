//! The targets, one file each, and how they cut bytes. Each says which property it holds its parsers to.

pub mod commands;
pub mod documents;
pub mod drivers;
pub mod feed;
pub mod fold;
pub mod git_output;
pub mod hooks;
pub mod issues;
pub mod log;
pub mod project_file;
pub mod protocol;
pub mod records;
pub mod reports;
pub mod requests;
pub mod screen;
pub mod script;
pub mod streams;
pub mod words;

/// Cuts bytes into pieces whose lengths the first bytes say: the number of lengths, then a length each, then what is cut.
/// The lengths are taken again from the start until nothing is left; one of 0 is an empty piece, as a reader may get.
fn pieces(data: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let Some((count, rest)) = data.split_first() else { return (Vec::new(), data) };
    let (lengths, whole) = rest.split_at(rest.len().min(usize::from(count % 8)));
    let mut pieces = Vec::new();
    let mut left = whole;
    // All lengths of 0 would never end.
    for length in lengths.iter().cycle().take(whole.len() * 8).map(|length| usize::from(*length)) {
        if left.is_empty() {
            break;
        }
        let (piece, more) = left.split_at(left.len().min(length));
        pieces.push(piece);
        left = more;
    }
    pieces.push(left);
    (pieces, whole)
}

/// Says whether a character could drive a terminal or reorder the text around it. Written here again, so that the parsers'
/// own rule is not judged by itself.
fn is_hostile(c: char) -> bool {
    let reorders = ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}') || reorders
}

/// Asserts that a text can be shown on one line of at most so many characters.
fn is_a_line(text: &str, chars_max: usize) {
    assert!(!text.contains(is_hostile), "{text:?} would drive a terminal");
    assert!(text.chars().count() <= chars_max, "{text:?} has more than {chars_max} characters");
}
