//! The four protocols: how each tells a conversation, and how each is answered.
//!
//! They are pure: JSON in, JSON out. They know nothing of scripts and of HTTP but the status of an error.

mod chat;
mod gemini;
mod messages;
mod responses;

use serde_json::Value;

use crate::dialog::Dialog;
use crate::script::{Fault, Usage};
use crate::tools::Called;

/// Longest piece of a text in a stream, in characters: a sentence takes a few.
const PIECE_CHARS_MAX: usize = 40;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Anthropic Messages.
    Messages,
    /// OpenAI Responses.
    Responses,
    /// OpenAI Chat Completions.
    Chat,
    /// Gemini.
    Gemini,
}

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// An answer.
    Answer,
    /// The number of tokens.
    Count,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// Its id, unique among all answers of all servers.
    pub id: String,
    /// When it was made, in seconds since the epoch.
    pub at_s: u64,
    /// The model that was asked.
    pub model: String,
    /// Reasoning.
    pub think: String,
    /// Text.
    pub say: String,
    /// Calls of tools.
    pub calls: Vec<Called>,
    /// What it costs.
    pub usage: Usage,
    /// Why it ended; the protocol's usual word when empty.
    pub stop: String,
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name, where the protocol names events.
    pub name: Option<&'static str>,
    /// Its data, in one line.
    pub data: String,
}

impl Reply {
    /// Returns the id of a call.
    fn call_id(&self, index: usize) -> String {
        format!("call_{}_{index}", self.id)
    }
}

impl Event {
    fn plain(data: &Value) -> Self {
        Self { name: None, data: data.to_string() }
    }
}

impl Protocol {
    /// Returns the protocol that a path of a `POST` belongs to, and what it wants.
    pub fn of(path: &str) -> Option<(Self, Want)> {
        let ends = |end: &str| path.ends_with(end);
        Some(match () {
            () if ends("/messages") => (Self::Messages, Want::Answer),
            () if ends("/messages/count_tokens") => (Self::Messages, Want::Count),
            () if ends("/responses") => (Self::Responses, Want::Answer),
            () if ends("/chat/completions") => (Self::Chat, Want::Answer),
            () if ends(":generateContent") || ends(":streamGenerateContent") => (Self::Gemini, Want::Answer),
            () if ends(":countTokens") => (Self::Gemini, Want::Count),
            () => return None,
        })
    }

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Responses => "responses",
            Self::Chat => "chat",
            Self::Gemini => "gemini",
        }
    }

    /// Reads a conversation. What it does not know it leaves out.
    pub fn read(self, path: &str, body: &Value) -> Dialog {
        match self {
            Self::Messages => messages::read(body),
            Self::Responses => responses::read(body),
            Self::Chat => chat::read(body),
            Self::Gemini => gemini::read(path, body),
        }
    }

    /// Returns the answer in one piece.
    pub fn whole(self, reply: &Reply) -> Value {
        match self {
            Self::Messages => messages::whole(reply),
            Self::Responses => responses::whole(reply),
            Self::Chat => chat::whole(reply),
            Self::Gemini => gemini::whole(reply),
        }
    }

    /// Returns the answer as a stream.
    pub fn events(self, reply: &Reply) -> Vec<Event> {
        match self {
            Self::Messages => messages::events(reply),
            Self::Responses => responses::events(reply),
            Self::Chat => chat::events(reply),
            Self::Gemini => gemini::events(reply),
        }
    }

    /// Returns the answer to a request for the number of tokens.
    pub fn count(self, tokens: usize) -> Value {
        match self {
            Self::Gemini => serde_json::json!({"totalTokens": tokens}),
            Self::Messages | Self::Responses | Self::Chat => serde_json::json!({"input_tokens": tokens}),
        }
    }

    /// Returns the body of an error, at a time in seconds since the epoch.
    pub fn error(self, fault: &Fault, now_s: u64) -> Value {
        match self {
            Self::Messages => messages::error(fault),
            Self::Responses | Self::Chat => chat::error(fault, now_s),
            Self::Gemini => gemini::error(fault),
        }
    }
}

/// Returns a text in pieces, or none for an empty one.
fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(PIECE_CHARS_MAX).map(|chunk| chunk.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_its_protocol() {
        for (path, name) in [
            ("/v1/messages", "messages"),
            ("/responses", "responses"),
            ("/v1/chat/completions", "chat"),
            ("/v1beta/models/m:streamGenerateContent", "gemini"),
        ] {
            assert_eq!(Protocol::of(path).map(|(protocol, _)| protocol.name()), Some(name), "{path}");
        }
        assert_eq!(Protocol::of("/v1/messages/count_tokens").map(|(_, want)| want), Some(Want::Count));
        assert_eq!(Protocol::of("/v1/embeddings"), None);
    }

    #[test]
    fn pieces_are_cut_between_characters() {
        let text = "é".repeat(PIECE_CHARS_MAX + 1);
        assert_eq!(pieces(&text).concat(), text);
        assert_eq!((pieces(&text).len(), pieces("").len()), (2, 0));
    }
}
