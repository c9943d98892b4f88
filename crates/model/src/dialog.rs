//! A conversation as any of the protocols tells it: who said what, and which tools are offered.
//!
//! It knows no protocol and no script.

use std::sync::LazyLock;

use serde_json::Value;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The agent program.
    System,
    /// The person, or whoever types in their place.
    User,
    /// A tool that was called.
    Tool,
    /// The model.
    Assistant,
}

/// What somebody said at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who.
    pub who: Who,
    /// The texts, each as it was sent.
    pub texts: Vec<String>,
}

/// How a tool wants to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With an object of arguments.
    Function,
    /// With a text.
    Custom,
    /// With an object, inside a namespace of this name.
    Inside(String),
}

/// A tool that is offered.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// The JSON schema of its arguments.
    pub schema: Value,
    /// How it is called.
    pub kind: Kind,
}

/// A request for an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dialog {
    /// What was said, in order.
    pub turns: Vec<Turn>,
    /// What is offered.
    pub tools: Vec<Tool>,
    /// The model asked.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
}

impl Dialog {
    /// Adds what somebody said, unless it is nothing; a model's and a tool's turn counts also without words.
    pub fn push(&mut self, who: Who, texts: Vec<String>) {
        if !texts.is_empty() || matches!(who, Who::Assistant | Who::Tool) {
            self.turns.push(Turn { who, texts });
        }
    }

    /// Adds a tool, unless it has no name.
    pub fn offer(&mut self, name: &Value, schema: Option<&Value>, kind: Kind) {
        if let Some(name) = name.as_str() {
            let schema = schema.cloned().unwrap_or(Value::Null);
            self.tools.push(Tool { name: name.to_owned(), schema, kind });
        }
    }

    /// Returns the folder that the agent works in, as far as its words tell: tools that write want whole paths.
    pub fn folder(&self) -> Option<String> {
        let texts = self.turns.iter().filter(|turn| turn.who != Who::Assistant).flat_map(|turn| &turn.texts);
        texts.filter_map(|text| folder(text)).next()
    }
}

/// What stands before the folder's path in the words of the agents.
const BEFORE_FOLDER: &[&str] = &[
    "working directory",
    "<cwd>",
    "cwd:",
    "working in the directory",
    "workspace directories",
    "current directory",
];
/// How far after these words the path may begin, in bytes.
const GAP_BYTES_MAX: usize = 48;

fn folder(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    BEFORE_FOLDER.iter().find_map(|words| {
        lower.match_indices(words).find_map(|(at, _)| path_after(&text[at + words.len()..]))
    })
}

fn path_after(rest: &str) -> Option<String> {
    let begin = rest.find('/').filter(|begin| *begin <= GAP_BYTES_MAX)?;
    // A closing tag or a fraction of a word is no path.
    if rest[..begin].ends_with(|c: char| c == '<' || c.is_alphanumeric()) {
        return None;
    }
    let is_end = |c: char| c.is_whitespace() || "`'\"<>,;)\\".contains(c);
    let path = rest[begin..].split(is_end).next().unwrap_or_default().trim_end_matches(['.', ':']);
    (path.len() > 1).then(|| path.to_owned())
}

/// Returns the texts of a message's content: a string, an object with a text, or a list of such.
pub fn texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(parts) => parts.iter().flat_map(texts).collect(),
        Value::Object(part) => match part.get("text") {
            Some(text) => texts(text),
            None => part.get("content").map(texts).unwrap_or_default(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => vec![],
    }
}

/// Returns the items of a list, or none.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Returns a field, or null where there is none.
pub fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    static NULL: LazyLock<Value> = LazyLock::new(|| Value::Null);
    value.get(name).unwrap_or(&NULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_read_off_the_agents_words() {
        for (text, path) in [
            ("Primary working directory: /a/b\n - Is a git", Some("/a/b")),
            ("<cwd>/a/b</cwd>", Some("/a/b")),
            ("The working directory is `/a/b`.", Some("/a/b")),
            ("I'm currently working in the directory: /a/b.", Some("/a/b")),
            ("the working directory of and/or\n", None),
            ("working directory", None),
            ("<cwd></cwd>", None),
        ] {
            assert_eq!(folder(text).as_deref(), path, "{text}");
        }
    }

    #[test]
    fn texts_are_found_at_any_depth() {
        let content =
            serde_json::json!([{"text": "a"}, {"content": [{"text": "b"}]}, "c", 4, {"image": "x"}]);
        assert_eq!(texts(&content), ["a", "b", "c"]);
    }
}
