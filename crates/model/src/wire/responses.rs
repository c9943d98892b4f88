//! OpenAI Responses: `POST /v1/responses`. Shapes after the provider's reference; tools handed over inside the input, and
//! inside namespaces, are Codex's (seen in 0.169).

use serde_json::{Map, Value, json};

use super::{Event, Reply, pieces};
use crate::dialog::{Dialog, Kind, Who, field, items, texts};
use crate::tools::Input;

pub fn read(body: &Value) -> Dialog {
    let mut dialog = Dialog {
        model: field(body, "model").as_str().unwrap_or_default().to_owned(),
        stream: field(body, "stream").as_bool().unwrap_or_default(),
        ..Dialog::default()
    };
    dialog.push(Who::System, texts(field(body, "instructions")));
    let input = field(body, "input");
    if input.is_string() {
        dialog.push(Who::User, texts(input));
    }
    for item in items(input) {
        let kind = field(item, "type").as_str().unwrap_or("message");
        match (kind, field(item, "role").as_str()) {
            ("message", Some("assistant")) => dialog.push(Who::Assistant, texts(field(item, "content"))),
            ("message", Some("user")) => dialog.push(Who::User, texts(field(item, "content"))),
            ("message", _) => dialog.push(Who::System, texts(field(item, "content"))),
            ("additional_tools", _) => offer(&mut dialog, field(item, "tools"), None),
            (kind, _) if kind.ends_with("_output") => dialog.push(Who::Tool, texts(field(item, "output"))),
            (kind, _) if kind.ends_with("_call") || kind == "reasoning" => {
                dialog.push(Who::Assistant, vec![])
            }
            _ => {}
        }
    }
    offer(&mut dialog, field(body, "tools"), None);
    dialog
}

fn offer(dialog: &mut Dialog, tools: &Value, inside: Option<&str>) {
    for tool in items(tools) {
        let kind = field(tool, "type").as_str().unwrap_or("function");
        match (kind, inside) {
            // One deep: a namespace inside another has not been seen.
            ("namespace", None) => offer(dialog, field(tool, "tools"), field(tool, "name").as_str()),
            ("custom", _) => dialog.offer(field(tool, "name"), None, Kind::Custom),
            (_, Some(space)) => {
                dialog.offer(field(tool, "name"), tool.get("parameters"), Kind::Inside(space.to_owned()));
            }
            (_, None) => dialog.offer(field(tool, "name"), tool.get("parameters"), Kind::Function),
        }
    }
}

/// Returns the items of the answer; an answer has one at least.
fn output(reply: &Reply) -> Vec<Value> {
    let id = &reply.id;
    let mut output = Vec::new();
    if !reply.think.is_empty() {
        let summary = json!([{"type": "summary_text", "text": reply.think}]);
        output.push(json!({"type": "reasoning", "id": format!("rs_{id}"), "summary": summary}));
    }
    if !reply.say.is_empty() || reply.calls.is_empty() {
        let content = json!([{"type": "output_text", "text": reply.say, "annotations": []}]);
        output.push(json!({"type": "message", "id": format!("msg_{id}"), "role": "assistant",
            "status": "completed", "content": content}));
    }
    for (index, call) in reply.calls.iter().enumerate() {
        let call_id = reply.call_id(index);
        output.push(match &call.input {
            Input::Text(text) => json!({"type": "custom_tool_call", "id": format!("ctc_{id}_{index}"),
                "call_id": call_id, "name": call.name, "input": text, "status": "completed"}),
            Input::Object(object) => {
                let arguments = Value::Object(object.clone()).to_string();
                let mut item = json!({"type": "function_call", "id": format!("fc_{id}_{index}"),
                    "call_id": call_id, "name": call.name, "arguments": arguments, "status": "completed"});
                if let Kind::Inside(space) = &call.kind {
                    item["namespace"] = space.as_str().into();
                }
                item
            }
        });
    }
    output
}

fn response(reply: &Reply, status: &str, output: Vec<Value>) -> Value {
    let usage = &reply.usage;
    let usage = match status {
        "completed" => json!({
            "input_tokens": usage.read(), "output_tokens": usage.output,
            "total_tokens": usage.read() + usage.output,
            "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
            "output_tokens_details": {"reasoning_tokens": usage.thinking},
        }),
        _ => Value::Null,
    };
    json!({
        "id": format!("resp_{}", reply.id), "object": "response", "created_at": reply.at_s, "status": status,
        "model": reply.model, "output": output, "usage": usage, "error": null, "incomplete_details": null,
        "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
    })
}

pub fn whole(reply: &Reply) -> Value {
    response(reply, "completed", output(reply))
}

/// Writes events down, numbered.
struct Stream(Vec<Event>);

impl Stream {
    fn say(&mut self, name: &'static str, fields: &[(&str, &Value)]) {
        let mut data = Map::from_iter([
            ("type".to_owned(), json!(name)),
            ("sequence_number".to_owned(), json!(self.0.len())),
        ]);
        data.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())));
        self.0.push(Event { name: Some(name), data: Value::Object(data).to_string() });
    }

    /// Says one item: that it began, its pieces, and that it ended.
    fn item(&mut self, index: usize, item: &Value) {
        let index = json!(index);
        let place = [("output_index", &index), ("item_id", field(item, "id"))];
        let mut empty = item.clone();
        empty["status"] = json!("in_progress");
        let kind = field(item, "type").as_str().unwrap_or_default();
        match kind {
            "message" => empty["content"] = json!([]),
            "reasoning" => empty["summary"] = json!([]),
            "function_call" => empty["arguments"] = json!(""),
            _ => empty["input"] = json!(""),
        }
        self.say("response.output_item.added", &[("output_index", &index), ("item", &empty)]);
        match kind {
            "message" => self.part(&place, "content_index", &item["content"][0], TEXT),
            "reasoning" => self.part(&place, "summary_index", &item["summary"][0], SUMMARY),
            "function_call" => self.pieces(&place, "arguments", &item["arguments"], ARGUMENTS),
            _ => self.pieces(&place, "input", &item["input"], INPUT),
        }
        self.say("response.output_item.done", &[("output_index", &index), ("item", item)]);
    }

    /// Says a part with a text: that it began, its pieces, and that it ended.
    fn part(&mut self, place: &[(&str, &Value)], index: &str, part: &Value, names: [&'static str; 4]) {
        let zero = json!(0);
        let mut empty = part.clone();
        empty["text"] = json!("");
        let mut say = |name: &'static str, key: &str, value: &Value| {
            self.say(name, &[place, &[(index, &zero), (key, value)]].concat());
        };
        say(names[0], "part", &empty);
        for piece in pieces(part["text"].as_str().unwrap_or_default()) {
            say(names[1], "delta", &piece.into());
        }
        say(names[2], "text", &part["text"]);
        say(names[3], "part", part);
    }

    fn pieces(
        &mut self,
        place: &[(&str, &Value)],
        name: &'static str,
        text: &Value,
        names: [&'static str; 2],
    ) {
        for piece in pieces(text.as_str().unwrap_or_default()) {
            self.say(names[0], &[place, &[("delta", &piece.into())]].concat());
        }
        self.say(names[1], &[place, &[(name, text)]].concat());
    }
}

const TEXT: [&str; 4] = [
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
];
const SUMMARY: [&str; 4] = [
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_summary_part.done",
];
const ARGUMENTS: [&str; 2] =
    ["response.function_call_arguments.delta", "response.function_call_arguments.done"];
const INPUT: [&str; 2] = ["response.custom_tool_call_input.delta", "response.custom_tool_call_input.done"];

pub fn events(reply: &Reply) -> Vec<Event> {
    let mut stream = Stream(Vec::new());
    let begun = response(reply, "in_progress", vec![]);
    stream.say("response.created", &[("response", &begun)]);
    stream.say("response.in_progress", &[("response", &begun)]);
    for (index, item) in output(reply).iter().enumerate() {
        stream.item(index, item);
    }
    stream.say("response.completed", &[("response", &whole(reply))]);
    stream.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Usage;
    use crate::tools::Called;

    fn reply() -> Reply {
        let object = |kind| Called {
            name: "exec".into(),
            input: Input::Object(Map::from_iter([("cmd".to_owned(), json!("ls"))])),
            kind,
        };
        let text = Called { name: "patch".into(), input: Input::Text("x".repeat(50)), kind: Kind::Custom };
        let usage = Usage { input: 3, cache_read: 4, cache_write: 5, output: 6, thinking: 1 };
        let calls = vec![object(Kind::Function), object(Kind::Inside("space".into())), text];
        Reply { id: "1".into(), think: "hm".into(), say: "a".repeat(50), calls, usage, ..Reply::default() }
    }

    #[test]
    fn a_stream_adds_up_to_the_whole() {
        let mut items: Vec<Value> = Vec::new();
        let mut texts = vec![String::new(); 5];
        for (number, event) in events(&reply()).iter().enumerate() {
            let data: Value = serde_json::from_str(&event.data).expect("JSON");
            assert_eq!((event.name, &data["sequence_number"]), (data["type"].as_str(), &json!(number)));
            if let Some(delta) = data["delta"].as_str() {
                texts[data["output_index"].as_u64().expect("a place") as usize].push_str(delta);
            }
            match event.name {
                Some("response.output_item.done") => items.push(data["item"].clone()),
                Some("response.completed") => assert_eq!(data["response"], whole(&reply())),
                _ => {}
            }
        }
        assert_eq!(Value::Array(items.clone()), whole(&reply())["output"]);
        assert_eq!(texts, ["hm", &"a".repeat(50), "{\"cmd\":\"ls\"}", "{\"cmd\":\"ls\"}", &"x".repeat(50)]);
        assert_eq!((&items[3]["namespace"], &items[2]["namespace"]), (&json!("space"), &Value::Null));
        assert_eq!(whole(&reply())["usage"]["input_tokens"], 12, "this protocol counts the cache in");
    }

    #[test]
    fn tools_are_found_wherever_they_are_offered() {
        let body = json!({"input": [
            {"type": "message", "role": "developer", "content": "rules"},
            {"role": "user", "content": [{"type": "input_text", "text": "go"}]},
            {"type": "reasoning"},
            {"type": "function_call", "call_id": "1", "name": "exec", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "out"},
            {"type": "additional_tools", "tools": [{"type": "function", "name": "late"}]},
        ], "tools": [{"type": "function", "name": "exec"}, {"type": "custom", "name": "patch"}, {"type": "web_search"},
            {"type": "namespace", "name": "space", "tools": [{"type": "function", "name": "inner"}]}]});
        let dialog = read(&body);
        let tools: Vec<(&str, &Kind)> =
            dialog.tools.iter().map(|tool| (tool.name.as_str(), &tool.kind)).collect();
        let inside = Kind::Inside("space".into());
        use Kind::{Custom, Function};
        assert_eq!(tools, [("late", &Function), ("exec", &Function), ("patch", &Custom), ("inner", &inside)]);
        let who: Vec<Who> = dialog.turns.iter().map(|turn| turn.who).collect();
        assert_eq!(who, [Who::System, Who::User, Who::Assistant, Who::Assistant, Who::Tool]);
        assert_eq!(read(&json!({"input": "go"})).turns[0].texts, ["go"]);
    }
}
