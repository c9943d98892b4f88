//! Issues, which anybody may write: whatever one says, the agent is told it in a fence that it does not close, without what drives a
//! terminal or hides, and cut; what gh answers is understood or refused; and no name of one is taken for an option of gh.

use oarlock_world::fuzzing::github_issue;
use oarlock_world::issue::{Issue, MATERIAL_BYTES_MAX, Named, cleaned, named, prompt};

use super::{is_a_line, is_hostile};

/// The first byte is where the words are cut into a title and a text, in sixteenths; the rest is an answer of gh, a name, and
/// words of an issue.
pub fn run(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let words = String::from_utf8_lossy(bytes);
    names(&words);
    let clean = cleaned(&words);
    is_clean(&clean);
    assert_eq!(cleaned(&clean), clean, "cleaning twice is cleaning once");
    let middle = words.floor_char_boundary(words.len() * usize::from(cut % 16) / 16);
    let (title, text) = words.split_at(middle);
    let title = oarlock_core::text::line(cleaned(title).trim(), 200);
    let by = [(title.clone(), text.to_owned())];
    let issue =
        Issue { reference: None, title, text: text.into(), comments: by.into(), notes: vec![text.into()] };
    is_fenced(&issue);
    // A short one again and again is a long one.
    let long = Issue { text: text.repeat(MATERIAL_BYTES_MAX / text.len().max(64) + 2), ..issue };
    is_fenced(&long);
    match github_issue(bytes) {
        Ok(issue) => {
            is_a_line(&issue.title, 200);
            let url = issue.reference.as_deref().expect("an issue on GitHub has an address");
            assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url:?} is more than an address");
            is_fenced(&issue);
        }
        Err(says) => assert!(!says.contains(is_hostile), "{says:?} would drive a terminal"),
    }
}

fn names(words: &str) {
    match named(words) {
        Ok(Named::GitHub { repository, number }) => {
            assert!(number > 0);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            for part in repository.iter().flat_map(|repository| repository.split('/')) {
                assert!(part.bytes().all(plain) && !part.starts_with('-') && !part.is_empty(), "{part:?}");
            }
        }
        Ok(Named::File(_) | Named::Standard) => {}
        Err(trouble) => assert!(!trouble.message.contains(is_hostile), "{:?}", trouble.message),
    }
}

fn is_clean(text: &str) {
    let hides = |c: char| ('\u{e0000}'..='\u{e007f}').contains(&c);
    let bad = |c: char| hides(c) || (is_hostile(c) && c != '\n' && c != '\t');
    assert!(!text.contains(bad), "{text:?} drives a terminal, or hides");
}

/// Asserts that all that others wrote is between the fences, and no more than may be told.
fn is_fenced(issue: &Issue) {
    let told = prompt(issue, "");
    is_clean(&told);
    let begin = told.lines().find(|line| line.starts_with("```")).expect("a fence begins it");
    let fence = begin.strip_suffix("text").expect("the first fence is ours");
    let (before, after) = told.split_once(&format!("\n{begin}\n")).expect("it stands on its line");
    let (inside, behind) = after.split_once(&format!("\n{fence}\n")).expect("a fence ends it");
    assert!(!inside.contains(fence), "the fence is longer than any in it");
    assert!(inside.len() <= MATERIAL_BYTES_MAX, "{} bytes are told", inside.len());
    let ours = prompt(&Issue { reference: issue.reference.clone(), ..Issue::default() }, "");
    assert!(ours.starts_with(before), "what stands before it is ours");
    assert!(behind.is_empty() || behind.starts_with("\nThe issue "), "{behind:?} is not ours");
}
