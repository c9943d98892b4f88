//! What hooks of several agents have in common: the call of a tool, named and in one line. It must not know any agent.

use oarlock_core::session::fact::Observation;
use oarlock_core::text;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::lenient::{Text, maybe, members, word};
use crate::{ID_CHARS_MAX, NOTE_CHARS_MAX};

/// What a tool was called with, as far as it says in short what for.
#[derive(Debug, Default, Deserialize)]
struct Input<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    command: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    path: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    file_path: Option<Text<'a>>,
    #[serde(borrow, default, rename = "filePath", deserialize_with = "maybe")]
    file_path_camel: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pattern: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    url: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    question: Option<Text<'a>>,
}

/// A tool's call as a payload tells it: its name and its input.
#[derive(Clone, Copy, Debug)]
pub struct ToolCall<'a> {
    /// The tool's name.
    pub name: &'a str,
    /// Its input, as JSON.
    pub input: Option<&'a RawValue>,
}

impl<'a> ToolCall<'a> {
    fn read(&self) -> Input<'a> {
        self.input.and_then(|input| serde_json::from_str(input.get()).ok()).unwrap_or_default()
    }

    /// Returns the call in one line that people understand; paths are as they are seen from `cwd`.
    #[must_use]
    pub fn what(&self, cwd: &str) -> String {
        let input = self.read();
        let paths = [&input.file_path, &input.file_path_camel, &input.path];
        let path = paths.into_iter().map(|path| word(path.as_ref())).find(|path| !path.is_empty());
        let rest = [&input.pattern, &input.url, &input.question];
        let rest = rest.into_iter().map(|one| word(one.as_ref())).find(|one| !one.is_empty());
        let line = match (word(input.command.as_ref()), path, rest) {
            ("", Some(path), _) => format!("{} {}", self.name, seen_from(path, cwd)),
            ("", None, Some(rest)) => format!("{}: {rest}", self.name),
            ("", None, None) => self.name.into(),
            (command, ..) => format!("{}: {command}", self.name),
        };
        text::line(&line, NOTE_CHARS_MAX)
    }

    /// Returns the question of a tool that asks one.
    #[must_use]
    pub fn question(&self) -> String {
        text::line(word(self.read().question.as_ref()), NOTE_CHARS_MAX)
    }

    /// Returns a name for the call, made of what it does, for agents whose payloads have none. It is the same before the
    /// call, in a permission asked for it and after it, although some call the tool by other names in between: what it does
    /// it to is what stays.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let input = self.read();
        let paths = [&input.file_path, &input.file_path_camel, &input.path];
        let path = paths.into_iter().map(|path| word(path.as_ref())).find(|path| !path.is_empty());
        let hash = match (word(input.command.as_ref()), path) {
            ("", Some(path)) => fnv(&["path", path]),
            ("", None) => {
                // Read and written again, so that neither spaces nor the order of keys matter.
                let value: Option<serde_json::Value> =
                    self.input.and_then(|input| serde_json::from_str(input.get()).ok());
                fnv(&[self.name, &value.unwrap_or_default().to_string()])
            }
            (command, _) => fnv(&["command", command]),
        };
        name_of(hash)
    }
}

/// A payload in the shape that Claude Code's hooks began with and others took up.
#[derive(Debug, Default, Deserialize)]
pub struct Payload<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    session_id: Option<Text<'a>>,
    /// The working directory.
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub cwd: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    model: Option<Text<'a>>,
    /// Where it keeps its record of the conversation.
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub transcript_path: Option<Text<'a>>,
    /// What it answered in the turn that is over.
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub prompt_response: Option<Text<'a>>,
    /// What the agent was told.
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub prompt: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    tool_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_input: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    tool_response: Option<ToolResponse<'a>>,
    /// Set in what a helper of the agent does.
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub agent_id: Option<Text<'a>>,
    /// The kind of a notification.
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub notification_type: Option<Text<'a>>,
    /// A notification's words.
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub message: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    details: Option<Details<'a>>,
    /// Why something ended.
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub reason: Option<Text<'a>>,
    /// An error, in whatever shape.
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct ToolResponse<'a> {
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// What a dialog is about, as Gemini CLI's notification of it says.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Details<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    title: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    command: Option<Text<'a>>,
    #[serde(borrow, default, rename = "filePath", deserialize_with = "maybe")]
    file_path: Option<Text<'a>>,
}

impl Details<'_> {
    /// Returns the dialog in one line.
    #[must_use]
    pub fn what(&self, cwd: &str, message: &str) -> String {
        match (word(self.command.as_ref()), word(self.file_path.as_ref()), word(self.title.as_ref())) {
            ("", "", "") => message.into(),
            ("", "", title) => title.into(),
            ("", path, _) => format!("Edit {}", seen_from(path, cwd)),
            (command, ..) => format!("Shell: {command}"),
        }
    }

    /// Returns the fingerprint of the call it is about; `None` when it does not say enough for one.
    #[must_use]
    pub fn ask(&self) -> Option<String> {
        match (word(self.command.as_ref()), word(self.file_path.as_ref())) {
            ("", "") => None,
            ("", path) => Some(name_of(fnv(&["path", path]))),
            (command, _) => Some(name_of(fnv(&["command", command]))),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
struct Questions<'a> {
    #[serde(borrow, default)]
    questions: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct Question<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    question: Option<Text<'a>>,
}

impl<'a> Payload<'a> {
    /// Returns the tool's call it is about.
    #[must_use]
    pub fn call(&self) -> ToolCall<'_> {
        ToolCall { name: word(self.tool_name.as_ref()), input: self.tool_input }
    }

    /// Returns that the agent is up.
    #[must_use]
    pub fn started(&self) -> Observation {
        let id =
            |text: Option<&Text<'_>>| Some(text::line(word(text), ID_CHARS_MAX)).filter(|id| !id.is_empty());
        Observation::Started {
            conversation: id(self.session_id.as_ref()),
            model: id(self.model.as_ref()),
            version: None,
        }
    }

    /// Tells whether the tool says that it failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        let error = self.tool_response.as_ref().and_then(|response| response.error);
        error.is_some_and(|error| !matches!(error.get(), "null" | "false" | "\"\""))
    }

    /// Returns what a dialog is about.
    #[must_use]
    pub fn details(&self) -> Details<'a> {
        self.details.clone().unwrap_or_default()
    }

    /// Returns the first question of a tool that asks some.
    #[must_use]
    pub fn questions(&self) -> String {
        let asked: Questions<'_> =
            self.tool_input.and_then(|input| serde_json::from_str(input.get()).ok()).unwrap_or_default();
        let asked: Vec<Question<'_>> = members(asked.questions);
        text::line(asked.first().map_or("", |first| word(first.question.as_ref())), NOTE_CHARS_MAX)
    }
}

fn name_of(hash: u64) -> String {
    format!("call-{hash:016x}")
}

/// Returns a path as it is seen from a folder.
#[must_use]
pub fn seen_from<'p>(path: &'p str, folder: &str) -> &'p str {
    path.strip_prefix(folder.trim_end_matches('/'))
        .and_then(|rest| rest.strip_prefix('/'))
        .filter(|rest| !rest.is_empty() && !folder.is_empty())
        .unwrap_or(path)
}

/// The FNV-1a hash, 64 bits: it need only tell a few calls of one run apart.
fn fnv(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'a>(name: &'a str, input: &'a str) -> ToolCall<'a> {
        ToolCall { name, input: Some(serde_json::from_str(input).unwrap()) }
    }

    #[test]
    fn a_call_is_one_line() {
        assert_eq!(call("Bash", r#"{"command":"git\npush"}"#).what("/w"), "Bash: git push");
        assert_eq!(
            call("Write", r#"{"file_path":"/w/src/a.rs","content":"x"}"#).what("/w"),
            "Write src/a.rs"
        );
        assert_eq!(
            call("Write", r#"{"file_path":"/elsewhere/a","content":7}"#).what("/w"),
            "Write /elsewhere/a"
        );
        assert_eq!(call("list", r#"{"command":["not","text"]}"#).what("/w"), "list");
    }

    #[test]
    fn a_call_has_one_name_by_whatever_name_its_tool_goes() {
        let before = call("create", r#"{"path":"/w/a","file_text":"x"}"#).fingerprint();
        assert_eq!(call("edit", r#"{"file_path":"/w/a"}"#).fingerprint(), before);
        assert_ne!(call("create", r#"{"path":"/w/b","file_text":"x"}"#).fingerprint(), before);
        let two = call("t", r#"{"a":1,"b":2}"#).fingerprint();
        assert_eq!(call("t", r#"{ "b": 2, "a": 1 }"#).fingerprint(), two);
        assert_ne!(call("u", r#"{"a":1,"b":2}"#).fingerprint(), two);
    }
}
