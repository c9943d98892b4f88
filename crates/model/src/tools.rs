//! Tools: a script's own words for what a model does, mapped onto what an agent offers.
//!
//! The names are those that the agents of `xtask/src/agents/table.rs` offer; arguments follow the schema that each sends
//! along, so that a renamed field is mostly found by itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::choice::fill;
use crate::dialog::{Dialog, Kind, Tool, field, items};
use crate::script::Call;

const SHELL: &[&str] = &[
    "Bash",
    "bash",
    "exec_command",
    "shell_command",
    "shell",
    "run_shell_command",
    "Shell",
    "run_command",
    "terminal",
];
const WRITE: &[&str] = &["Write", "write", "write_file", "WriteFile", "create", "create_file"];
const READ: &[&str] = &["Read", "read", "read_file", "ReadFile", "view"];
const ASK: &[&str] =
    &["AskUserQuestion", "ask_user_question", "ask_user", "question", "request_user_input", "ask_question"];
const PATH: &[&str] = &["file_path", "filePath", "absolute_path", "path"];
const COMMAND: &[&str] = &["command", "cmd", "script"];
const CONTENT: &[&str] = &["content", "file_text", "contents", "text"];
/// Deepest a schema is followed: those of questions are three deep.
const DEPTH_MAX: usize = 6;

/// What a tool is called with.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// An object.
    Object(Map<String, Value>),
    /// A text, for tools of [`Kind::Custom`].
    Text(String),
}

/// A call as the agent expects it.
#[derive(Clone, Debug, PartialEq)]
pub struct Called {
    /// The tool's name.
    pub name: String,
    /// What it is called with.
    pub input: Input,
    /// How it is called.
    pub kind: Kind,
}

/// What a script's call becomes.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapped {
    /// A call.
    Call(Called),
    /// Words, where the agent offers nothing for it.
    Say(String),
}

/// Maps a call. Where a file cannot be written or read by a tool of its own, the shell does it.
pub fn map(call: &Call, dialog: &Dialog, words: &BTreeMap<String, String>) -> Mapped {
    let put = |text: &str| fill(text, words);
    match call {
        Call::Write { path, text } => write(dialog, &put(path), &put(text)),
        Call::Shell { command } => shell(dialog, &put(command)),
        Call::Read { path } => read(dialog, &put(path)),
        Call::Ask { question, options } => {
            let options: Vec<String> = options.iter().map(|option| put(option)).collect();
            ask(dialog, &put(question), &options)
        }
        Call::Named { name, arguments } => named(dialog, name, &put(arguments)),
    }
}

fn offered<'a>(dialog: &'a Dialog, names: &[&str]) -> Option<&'a Tool> {
    names.iter().find_map(|name| dialog.tools.iter().find(|tool| tool.name == *name))
}

fn call(tool: &Tool, mut arguments: Map<String, Value>) -> Mapped {
    for name in items(field(&tool.schema, "required")).iter().filter_map(Value::as_str) {
        if !arguments.contains_key(name) {
            arguments.insert(name.to_owned(), anything(property(&tool.schema, name)));
        }
    }
    Mapped::Call(Called { name: tool.name.clone(), input: Input::Object(arguments), kind: tool.kind.clone() })
}

fn property<'a>(schema: &'a Value, name: &str) -> &'a Value {
    field(field(schema, "properties"), name)
}

/// Returns whichever of the names the tool's schema has, or the first.
fn argument(tool: &Tool, names: &[&str]) -> String {
    let known = names.iter().find(|name| !property(&tool.schema, name).is_null());
    known.or(names.first()).map(|name| (*name).to_owned()).unwrap_or_default()
}

/// Returns a value that a schema allows.
fn anything(schema: &Value) -> Value {
    if let Some(first) = items(field(schema, "enum")).first() {
        return first.clone();
    }
    let kind = field(schema, "type");
    let kind = kind.as_str().or_else(|| items(kind).first().and_then(Value::as_str)).unwrap_or("string");
    match kind.to_ascii_lowercase().as_str() {
        "boolean" => json!(false),
        "number" | "integer" => json!(1),
        "array" => json!([]),
        "object" => json!({}),
        _ => json!("as the script says"),
    }
}

fn write(dialog: &Dialog, path: &str, text: &str) -> Mapped {
    if let Some(tool) = offered(dialog, WRITE) {
        let arguments = [(argument(tool, PATH), whole(dialog, path)), (argument(tool, CONTENT), text.into())];
        return call(tool, arguments.into_iter().map(|(name, text)| (name, text.into())).collect());
    }
    if let Some(tool) = offered(dialog, &["apply_patch"]) {
        let lines: String = text.lines().map(|line| format!("+{line}\n")).collect();
        let patch = format!("*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch\n");
        return match tool.kind {
            Kind::Custom => Mapped::Call(Called {
                name: tool.name.clone(),
                input: Input::Text(patch),
                kind: Kind::Custom,
            }),
            Kind::Function | Kind::Inside(_) => {
                let name = argument(tool, &["input", "patch"]);
                call(tool, [(name, patch.into())].into_iter().collect())
            }
        };
    }
    let end = "END_OF_FILE";
    shell(dialog, &format!("cat > '{path}' <<'{end}'\n{}\n{end}", text.strip_suffix('\n').unwrap_or(text)))
}

fn read(dialog: &Dialog, path: &str) -> Mapped {
    match offered(dialog, READ) {
        Some(tool) => call(tool, [(argument(tool, PATH), whole(dialog, path).into())].into_iter().collect()),
        None => shell(dialog, &format!("cat '{path}'")),
    }
}

fn shell(dialog: &Dialog, command: &str) -> Mapped {
    let Some(tool) = offered(dialog, SHELL) else {
        return Mapped::Say(format!("No tool runs commands here, so I cannot run: {command}"));
    };
    let name = argument(tool, COMMAND);
    let takes_list = field(property(&tool.schema, &name), "type") == "array";
    let command = if takes_list { json!(["bash", "-c", command]) } else { json!(command) };
    let mut arguments: Map<String, Value> = [(name, command)].into_iter().collect();
    if !property(&tool.schema, "description").is_null() {
        arguments.insert("description".into(), json!("Do a step of the script"));
    }
    call(tool, arguments)
}

fn ask(dialog: &Dialog, question: &str, options: &[String]) -> Mapped {
    let Some(tool) = offered(dialog, ASK) else {
        return Mapped::Say(format!("{question} {}", options.join(" or ")));
    };
    match shape(&tool.schema, "", &Ask { question, options }, 0) {
        Value::Object(arguments) => call(tool, arguments),
        _ => call(tool, [("question".to_owned(), json!(question))].into_iter().collect()),
    }
}

/// A question, to be put into whatever shape a tool wants it in.
struct Ask<'a> {
    question: &'a str,
    options: &'a [String],
}

/// Returns a value for a schema, by the names of its fields.
fn shape(schema: &Value, name: &str, ask: &Ask, depth: usize) -> Value {
    let inside = field(schema, "items");
    match name {
        _ if depth > DEPTH_MAX => Value::Null,
        "questions" => json!([shape(inside, "", ask, depth + 1)]),
        "options" | "choices" => {
            let one = |option: &String| match field(inside, "properties").is_object() {
                true => shape(inside, "", &Ask { question: option, options: &[] }, depth + 1),
                false => json!(option),
            };
            ask.options.iter().map(one).collect()
        }
        // Copilot's tool wants the schema of a form.
        "requestedSchema" => {
            let choice = json!({"type": "string", "title": "Choice", "enum": ask.options});
            json!({"properties": {"choice": choice}, "required": ["choice"]})
        }
        "question" | "prompt" | "message" | "label" | "description" | "value" => json!(ask.question),
        "header" | "title" => json!("Choice"),
        "id" => json!("choice"),
        _ => match field(schema, "properties").as_object() {
            Some(properties) => {
                let required = items(field(schema, "required"));
                let known = ["questions", "options", "choices", "question", "header", "requestedSchema"];
                let wanted = |name: &str| known.contains(&name) || required.iter().any(|r| r == name);
                let filled = properties.iter().filter(|(name, _)| wanted(name));
                filled.map(|(name, inner)| (name.clone(), shape(inner, name, ask, depth + 1))).collect()
            }
            None => anything(schema),
        },
    }
}

fn named(dialog: &Dialog, name: &str, arguments: &str) -> Mapped {
    let ends = |tool: &&Tool| {
        tool.name == name
            || tool.name.strip_suffix(name).is_some_and(|head| head.ends_with(['_', '-', '/', '.', ':']))
    };
    let Some(tool) = dialog.tools.iter().find(ends) else {
        return Mapped::Say(format!("There is no tool {name} here."));
    };
    call(tool, serde_json::from_str(arguments).unwrap_or_default())
}

/// Returns an absolute path where the agent's folder is known: most tools want one.
fn whole(dialog: &Dialog, path: &str) -> String {
    match dialog.folder() {
        Some(folder) if !path.starts_with('/') => format!("{}/{path}", folder.trim_end_matches('/')),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialog::Who;

    fn dialog(name: &str, schema: Value) -> Dialog {
        let mut dialog = Dialog::default();
        dialog.push(Who::System, vec!["Working directory: /w\n".into()]);
        dialog.offer(&name.into(), Some(&schema), Kind::Function);
        dialog
    }

    fn arguments(mapped: Mapped) -> Value {
        match mapped {
            Mapped::Call(Called { input: Input::Object(object), .. }) => Value::Object(object),
            other => panic!("{other:?}"),
        }
    }

    fn words() -> BTreeMap<String, String> {
        [("f".to_owned(), "a.txt".to_owned())].into()
    }

    #[test]
    fn arguments_have_the_names_of_the_tools_schema() {
        let write = Call::Write { path: "{f}".into(), text: "x\n".into() };
        let schema = json!({"properties": {"path": {}, "file_text": {}, "mode": {"enum": ["new"]}}, "required": ["mode"]});
        let found = arguments(map(&write, &dialog("create", schema), &words()));
        assert_eq!(found, json!({"path": "/w/a.txt", "file_text": "x\n", "mode": "new"}));
        let shell = Call::Shell { command: "cat {f}".into() };
        let schema = json!({"properties": {"command": {"type": "array"}}});
        let found = arguments(map(&shell, &dialog("shell", schema), &words()));
        assert_eq!(found, json!({"command": ["bash", "-c", "cat a.txt"]}));
    }

    #[test]
    fn a_file_is_written_by_the_shell_where_nothing_else_writes() {
        let write = Call::Write { path: "{f}".into(), text: "x\n".into() };
        let schema = json!({"properties": {"cmd": {"type": "string"}}});
        let found = arguments(map(&write, &dialog("exec_command", schema), &words()));
        assert_eq!(found, json!({"cmd": "cat > 'a.txt' <<'END_OF_FILE'\nx\nEND_OF_FILE"}));
    }

    #[test]
    fn a_question_takes_the_shape_that_its_tool_wants() {
        let ask = Call::Ask { question: "Which?".into(), options: vec!["tea".into(), "{f}".into()] };
        let option = json!({"type": "object", "properties": {"label": {}, "description": {}},
            "required": ["label", "description"]});
        let question = json!({"type": "object", "properties": {"question": {}, "header": {},
            "multiSelect": {"type": "boolean"}, "options": {"items": option}}, "required": ["multiSelect"]});
        let schema = json!({"properties": {"questions": {"items": question}}, "required": ["questions"]});
        let found = arguments(map(&ask, &dialog("AskUserQuestion", schema), &words()));
        let option = |label: &str| json!({"label": label, "description": label});
        let one = json!({"question": "Which?", "header": "Choice", "multiSelect": false,
            "options": [option("tea"), option("a.txt")]});
        assert_eq!(found, json!({"questions": [one]}));
        let schema = json!({"properties": {"question": {}, "choices": {"items": {"type": "string"}}}});
        let found = arguments(map(&ask, &dialog("ask_user", schema), &words()));
        assert_eq!(found, json!({"question": "Which?", "choices": ["tea", "a.txt"]}));
        let schema = json!({"properties": {"message": {}, "requestedSchema": {}}, "required": ["message"]});
        let found = arguments(map(&ask, &dialog("ask_user", schema), &words()));
        let choice = json!({"type": "string", "title": "Choice", "enum": ["tea", "a.txt"]});
        let form = json!({"properties": {"choice": choice}, "required": ["choice"]});
        assert_eq!(found, json!({"message": "Which?", "requestedSchema": form}));
        assert_eq!(map(&ask, &Dialog::default(), &words()), Mapped::Say("Which? tea or a.txt".into()));
    }

    #[test]
    fn a_servers_tool_is_known_by_the_end_of_its_name() {
        let named = Call::Named { name: "report".into(), arguments: "{\"a\":1}".into() };
        let found = arguments(map(&named, &dialog("mcp__x__report", Value::Null), &words()));
        assert_eq!(found, json!({"a": 1}));
        let other = map(&named, &dialog("misreport", Value::Null), &words());
        assert_eq!(other, Mapped::Say("There is no tool report here.".into()));
    }
}
