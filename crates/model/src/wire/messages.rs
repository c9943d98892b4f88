//! Anthropic Messages: `POST /v1/messages`. Shapes after the provider's reference for the API version 2023-06-01.

use serde_json::{Value, json};

use super::{Event, Reply, pieces};
use crate::dialog::{Dialog, Kind, Who, field, items, texts};
use crate::script::Fault;
use crate::tools::Input;

/// A signature of reasoning: agents hand it back, and only the provider reads it.
const SIGNATURE: &str = "c2NyaXB0ZWQ=";

pub fn read(body: &Value) -> Dialog {
    let mut dialog = Dialog {
        model: field(body, "model").as_str().unwrap_or_default().to_owned(),
        stream: field(body, "stream").as_bool().unwrap_or_default(),
        ..Dialog::default()
    };
    dialog.push(Who::System, texts(field(body, "system")));
    for message in items(field(body, "messages")) {
        let content = field(message, "content");
        match field(message, "role").as_str() {
            Some("assistant") => dialog.push(Who::Assistant, texts(content)),
            Some("user") => {
                let is_result = |block: &&Value| field(block, "type") == "tool_result";
                let results: Vec<String> = items(content).iter().filter(is_result).flat_map(texts).collect();
                if items(content).iter().any(|block| is_result(&block)) {
                    dialog.push(Who::Tool, results);
                }
                let said = items(content).iter().filter(|block| !is_result(block)).flat_map(texts);
                let said = if content.is_string() { texts(content) } else { said.collect() };
                dialog.push(Who::User, said);
            }
            _ => dialog.push(Who::System, texts(content)),
        }
    }
    for tool in items(field(body, "tools")) {
        dialog.offer(field(tool, "name"), tool.get("input_schema"), Kind::Function);
    }
    dialog
}

/// Returns the message as it is before anything was written.
fn begun(reply: &Reply) -> Value {
    let usage = &reply.usage;
    json!({
        "id": format!("msg_{}", reply.id), "type": "message", "role": "assistant", "model": reply.model,
        "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {
            "input_tokens": usage.input, "cache_read_input_tokens": usage.cache_read,
            "cache_creation_input_tokens": usage.cache_write,
            "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 1, "service_tier": "standard",
        },
    })
}

fn stop(reply: &Reply) -> &str {
    match reply.stop.as_str() {
        "" if reply.calls.is_empty() => "end_turn",
        "" => "tool_use",
        stop => stop,
    }
}

/// Returns the blocks of the answer; an answer has one at least.
fn blocks(reply: &Reply) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !reply.think.is_empty() {
        blocks.push(json!({"type": "thinking", "thinking": reply.think, "signature": SIGNATURE}));
    }
    if !reply.say.is_empty() || reply.calls.is_empty() {
        blocks.push(json!({"type": "text", "text": reply.say}));
    }
    for (index, call) in reply.calls.iter().enumerate() {
        let input = match &call.input {
            Input::Object(object) => Value::Object(object.clone()),
            Input::Text(text) => json!({"input": text}),
        };
        let id = format!("toolu_{}_{index}", reply.id);
        blocks.push(json!({"type": "tool_use", "id": id, "name": call.name, "input": input}));
    }
    blocks
}

pub fn whole(reply: &Reply) -> Value {
    let mut message = begun(reply);
    message["content"] = blocks(reply).into();
    message["stop_reason"] = stop(reply).into();
    message["usage"]["output_tokens"] = reply.usage.output.into();
    message
}

pub fn events(reply: &Reply) -> Vec<Event> {
    let mut events = Vec::new();
    let mut say = |name: &'static str, mut data: Value| {
        data["type"] = name.into();
        events.push(Event { name: Some(name), data: data.to_string() });
    };
    say("message_start", json!({"message": begun(reply)}));
    say("ping", json!({}));
    for (index, block) in blocks(reply).into_iter().enumerate() {
        let text = |name: &str| field(&block, name).as_str().unwrap_or_default().to_owned();
        let (empty, deltas): (Value, Vec<Value>) = match field(&block, "type").as_str() {
            Some("thinking") => {
                let thoughts = pieces(&text("thinking")).into_iter();
                let thoughts = thoughts.map(|piece| json!({"type": "thinking_delta", "thinking": piece}));
                let signature = json!({"type": "signature_delta", "signature": SIGNATURE});
                (
                    json!({"type": "thinking", "thinking": "", "signature": ""}),
                    thoughts.chain([signature]).collect(),
                )
            }
            Some("text") => {
                let words = pieces(&text("text")).into_iter();
                let words = words.map(|piece| json!({"type": "text_delta", "text": piece}));
                (json!({"type": "text", "text": ""}), words.collect())
            }
            _ => {
                let input = pieces(&field(&block, "input").to_string()).into_iter();
                let input = input.map(|piece| json!({"type": "input_json_delta", "partial_json": piece}));
                let empty = json!({"type": "tool_use", "id": text("id"), "name": text("name"), "input": {}});
                (empty, input.collect())
            }
        };
        say("content_block_start", json!({"index": index, "content_block": empty}));
        for delta in deltas {
            say("content_block_delta", json!({"index": index, "delta": delta}));
        }
        say("content_block_stop", json!({"index": index}));
    }
    let mut usage = begun(reply)["usage"].clone();
    usage["output_tokens"] = reply.usage.output.into();
    let delta = json!({"stop_reason": stop(reply), "stop_sequence": null});
    say("message_delta", json!({"delta": delta, "usage": usage}));
    say("message_stop", json!({}));
    events
}

pub fn error(fault: &Fault) -> Value {
    json!({"type": "error", "error": {"type": fault.kind, "message": fault.message}})
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::script::Usage;
    use crate::tools::Called;

    fn reply() -> Reply {
        let input = Map::from_iter([("command".to_owned(), json!("ls"))]);
        let call = Called { name: "Bash".into(), input: Input::Object(input), kind: Kind::Function };
        let usage = Usage { input: 3, cache_read: 4, cache_write: 5, output: 6, thinking: 1 };
        Reply {
            id: "1".into(),
            think: "hm".into(),
            say: "a".repeat(50),
            calls: vec![call],
            usage,
            ..Reply::default()
        }
    }

    #[test]
    fn a_stream_adds_up_to_the_whole() {
        let mut content: Vec<Value> = Vec::new();
        let mut json_text = String::new();
        for event in events(&reply()) {
            let data: Value = serde_json::from_str(&event.data).expect("JSON");
            assert_eq!(event.name, data["type"].as_str(), "the name stands in both places");
            match event.name.expect("a name") {
                "content_block_start" => content.push(data["content_block"].clone()),
                "content_block_delta" => {
                    let block = content.last_mut().expect("begun");
                    let delta = &data["delta"];
                    for name in ["text", "thinking", "signature"] {
                        if let (Some(piece), Some(so_far)) = (delta[name].as_str(), block[name].as_str()) {
                            block[name] = format!("{so_far}{piece}").into();
                        }
                    }
                    json_text.push_str(delta["partial_json"].as_str().unwrap_or_default());
                }
                "message_delta" => {
                    assert_eq!(data["usage"], whole(&reply())["usage"]);
                    assert_eq!(data["delta"]["stop_reason"], "tool_use");
                }
                _ => {}
            }
        }
        content.last_mut().expect("a call")["input"] = serde_json::from_str(&json_text).expect("JSON");
        assert_eq!(Value::Array(content), whole(&reply())["content"]);
    }

    #[test]
    fn a_tools_result_and_the_words_beside_it_are_two_turns() {
        let body = json!({"model": "m", "stream": true, "system": [{"text": "s"}], "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "Bash", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"text": "out"}]},
                {"type": "text", "text": "and more"}]},
        ], "tools": [{"name": "Bash", "input_schema": {}}, {"type": "no name"}]});
        let dialog = read(&body);
        let turns: Vec<(Who, String)> =
            dialog.turns.iter().map(|turn| (turn.who, turn.texts.concat())).collect();
        let turn = |who, text: &str| (who, text.to_owned());
        use Who::{Assistant, System, Tool, User};
        let said = [
            turn(System, "s"),
            turn(User, "go"),
            turn(Assistant, ""),
            turn(Tool, "out"),
            turn(User, "and more"),
        ];
        assert_eq!(turns, said);
        assert_eq!((dialog.tools.len(), dialog.stream), (1, true));
    }
}
