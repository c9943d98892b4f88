//! What the server was asked: requests, and what people were heard to say.
//!
//! Each request repeats its conversation, so what counts is how often a thing stands in one request: a message that
//! arrived twice stands there twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::choice::sha256;
use crate::dialog::{Dialog, Who};

/// Most requests that are kept, the latest; a test makes a few hundred.
pub const REQUESTS_MAX: usize = 10_000;
/// Most different messages, and most marks, that are kept, the first.
pub const MESSAGES_MAX: usize = 10_000;
/// What begins a measured text and what ends it, around an id and `]]`.
const MARK: (&str, &str) = ("[[msg:", "[[end:");
/// Longest id of a mark, in bytes.
const ID_BYTES_MAX: usize = 128;

/// What was seen since the server began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// How many requests there were.
    pub count: u64,
    /// The latest of them.
    pub requests: Vec<Asked>,
    /// Texts of people, by their SHA-256. What an agent adds to a prompt on its own is among them.
    pub messages: BTreeMap<String, Message>,
    /// Texts between `[[msg:ID]]` and `[[end:ID]]`, by their id.
    pub marks: BTreeMap<String, Mark>,
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Its number, from 1.
    pub number: u64,
    /// Milliseconds since the epoch.
    pub at_ms: u64,
    /// The HTTP method and path.
    pub path: String,
    /// The protocol; none where the path belongs to none.
    pub protocol: Option<String>,
    /// The model asked.
    pub model: String,
    /// The scenario; none for an aside, and for what is no conversation.
    pub scenario: Option<String>,
    /// The step, from 0.
    pub step: usize,
    /// The tools offered.
    pub tools: Vec<String>,
    /// The tools called in the answer.
    pub called: Vec<String>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Whether a step of its scenario answers; what is asked after the last is none of the scenario's.
    #[serde(default)]
    pub played: bool,
    /// When the first of the answer was handed over, in milliseconds since the epoch; none while it waits.
    #[serde(default)]
    pub begun_at_ms: Option<u64>,
    /// When the last of the answer was handed over, or the asker went away, in milliseconds since the epoch; none while it is
    /// on its way.
    #[serde(default)]
    pub over_at_ms: Option<u64>,
    /// Whether the answer was handed over to its end.
    #[serde(default)]
    pub whole: bool,
    /// SHA-256 of the texts of people that were not seen before.
    pub fresh: Vec<String>,
}

/// A text of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its length, in bytes.
    pub bytes: usize,
    /// How often it stood in one request, at most.
    pub times: usize,
}

/// A measured text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// How often its beginning stood in one request, at most.
    pub times: usize,
    /// Whether its end was found.
    pub whole: bool,
    /// Its length, in bytes, without the marks; that of the first that was whole.
    pub bytes: usize,
    /// The SHA-256 of the same.
    pub sha256: String,
}

impl Seen {
    /// Takes what people said in a conversation and returns the SHA-256 of texts that are new.
    pub fn hear(&mut self, dialog: &Dialog) -> Vec<String> {
        let mut messages: BTreeMap<String, Message> = BTreeMap::new();
        let mut marks: BTreeMap<String, Mark> = BTreeMap::new();
        for text in dialog.turns.iter().filter(|turn| turn.who == Who::User).flat_map(|turn| &turn.texts) {
            let message = messages.entry(sha256(text.as_bytes())).or_default();
            message.bytes = text.len();
            message.times += 1;
            measure(text, &mut marks);
        }
        let mut fresh = Vec::new();
        for (hash, message) in messages {
            let room = self.messages.len() < MESSAGES_MAX;
            match self.messages.get_mut(&hash) {
                Some(known) => known.times = known.times.max(message.times),
                None if room => {
                    fresh.push(hash.clone());
                    self.messages.insert(hash, message);
                }
                None => {}
            }
        }
        for (id, mark) in marks {
            let room = self.marks.len() < MESSAGES_MAX;
            match self.marks.get_mut(&id) {
                Some(known) => {
                    let times = known.times.max(mark.times);
                    if !known.whole {
                        *known = mark;
                    }
                    known.times = times;
                }
                None if room => drop(self.marks.insert(id, mark)),
                None => {}
            }
        }
        fresh
    }

    /// Takes a request, under its number.
    pub fn note(&mut self, mut asked: Asked) -> u64 {
        self.count += 1;
        asked.number = self.count;
        if self.requests.len() == REQUESTS_MAX {
            self.requests.remove(0);
        }
        self.requests.push(asked);
        self.count
    }
}

fn measure(text: &str, marks: &mut BTreeMap<String, Mark>) {
    for (at, _) in text.match_indices(MARK.0) {
        let rest = &text[at + MARK.0.len()..];
        let Some(close) = rest.find("]]").filter(|close| *close <= ID_BYTES_MAX) else { continue };
        let (id, body) = (&rest[..close], &rest[close + 2..]);
        let mark = marks.entry(id.to_owned()).or_default();
        mark.times += 1;
        let end = format!("{}{id}]]", MARK.1);
        if let Some(end) = body.find(&end).filter(|_| !mark.whole) {
            mark.whole = true;
            mark.bytes = end;
            mark.sha256 = sha256(&body.as_bytes()[..end]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog(texts: &[&str]) -> Dialog {
        let mut dialog = Dialog::default();
        for text in texts {
            dialog.push(Who::User, vec![(*text).to_owned()]);
        }
        dialog.push(Who::Assistant, vec!["[[msg:a]]".into()]);
        dialog
    }

    #[test]
    fn a_message_counts_by_how_often_it_stands_in_one_conversation() {
        let mut seen = Seen::default();
        assert_eq!(seen.hear(&dialog(&["x", "y"])).len(), 2);
        assert_eq!(seen.hear(&dialog(&["x", "y"])), [""; 0], "a request repeats what was said before");
        seen.hear(&dialog(&["x", "y", "x"]));
        let times: Vec<usize> = seen.messages.values().map(|message| message.times).collect();
        assert_eq!(times.iter().sum::<usize>(), 3, "x was said twice");
    }

    #[test]
    fn a_measured_text_is_whole_once_its_end_is_there() {
        let mut seen = Seen::default();
        seen.hear(&dialog(&["[[msg:a]]12"]));
        assert_eq!(seen.marks["a"], Mark { times: 1, ..Mark::default() });
        seen.hear(&dialog(&["[[msg:a]]12", "> [[msg:a]]1234[[end:a]] [[msg:b]]x[[end:a]][[msg:"]));
        let whole = Mark { times: 2, whole: true, bytes: 4, sha256: sha256(b"1234") };
        assert_eq!(seen.marks["a"], whole);
        assert!(!seen.marks["b"].whole, "another's end is not its own");
        assert_eq!(seen.marks.len(), 2);
    }

    #[test]
    fn only_the_latest_requests_are_kept() {
        let mut seen = Seen::default();
        for _ in 0..REQUESTS_MAX + 2 {
            seen.note(Asked::default());
        }
        assert_eq!((seen.requests.len(), seen.requests[0].number), (REQUESTS_MAX, 3));
    }
}
