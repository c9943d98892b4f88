//! What hooks of several agents have in common: the call of a tool, named and in one line. It must not know any agent.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::lenient::{Text, maybe, word};
use oarlock_core::text;

use crate::NOTE_CHARS_MAX;

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
        format!("call-{hash:016x}")
    }
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
