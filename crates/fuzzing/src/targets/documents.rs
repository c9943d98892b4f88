//! Settings that people wrote, edited: whatever a document is, values put into it and taken out again leave the values it had, and
//! what cannot be done so is not begun.

use oarlock_agents::launch::{Edit, Put};
use oarlock_world::fuzzing::document;
use serde_json::{Value, json};

/// Keys that edits use: few, so that they meet those of the document.
const KEYS: [&str; 4] = ["a", "b", "hooks", "/w/x.y"];

/// The first byte says how many edits there are, three more for each say what; the rest is the document.
pub fn run(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else { return };
    let (plan, text) = rest.split_at(rest.len().min(usize::from(count % 8) * 3));
    let Ok(text) = std::str::from_utf8(text) else { return };
    let edits: Vec<Edit> = plan.chunks_exact(3).map(|bytes| edit(bytes[0], bytes[1], bytes[2])).collect();
    let Some((with, after)) = document(text, &edits) else { return };
    // A document is edited only where every reader of JSON with comments agrees on it.
    let (Some((same, _)), Some((again, _))) = (document(text, &[]), document(&with, &[])) else {
        panic!("what was written cannot be read again: {with:?}");
    };
    assert_eq!(again, with);
    if text.trim_start().starts_with('{') {
        assert_eq!(same, text, "nothing to be done is nothing done");
    }
    if let Some(before) = plain(text) {
        assert_eq!(plain(&after), Some(before), "from {text:?} to {after:?}");
        assert!(plain(&with).is_some(), "plain JSON stays plain: {with:?}");
    }
}

fn edit(keys: u8, value: u8, put: u8) -> Edit {
    let key = |shift: u8| KEYS[usize::from(keys >> shift) % KEYS.len()].to_owned();
    let path = [key(0), key(2), key(4)].into_iter().take(usize::from(keys >> 6).max(1)).collect();
    let value = match value % 6 {
        0 => json!(null),
        1 => json!(true),
        2 => json!(7),
        3 => json!("text\n\u{1f980}"),
        4 => json!([1, {"a": []}]),
        _ => json!({"a": {"b": 1}}),
    };
    let put = match put % 3 {
        0 => Put::Set,
        1 => Put::Default,
        _ => Put::Append,
    };
    Edit { path, value, put }
}

/// Returns the value of a document that is JSON without comments, has no key twice, and no number that is not kept exactly.
fn plain(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}
