//! OpenAI Chat Completions: `POST /v1/chat/completions`. Shapes after the provider's reference; `reasoning_content` is
//! what compatible providers call reasoning.

use serde_json::{Value, json};

use super::{Event, Reply, pieces};
use crate::dialog::{Dialog, Kind, Who, field, items, texts};
use crate::script::Fault;
use crate::tools::Input;

pub fn read(body: &Value) -> Dialog {
    let mut dialog = Dialog {
        model: field(body, "model").as_str().unwrap_or_default().to_owned(),
        stream: field(body, "stream").as_bool().unwrap_or_default(),
        ..Dialog::default()
    };
    for message in items(field(body, "messages")) {
        let who = match field(message, "role").as_str() {
            Some("assistant") => Who::Assistant,
            Some("user") => Who::User,
            Some("tool" | "function") => Who::Tool,
            _ => Who::System,
        };
        dialog.push(who, texts(field(message, "content")));
    }
    for tool in items(field(body, "tools")) {
        let function = field(tool, "function");
        dialog.offer(field(function, "name"), function.get("parameters"), Kind::Function);
        dialog.offer(field(field(tool, "custom"), "name"), None, Kind::Custom);
    }
    dialog
}

fn frame(reply: &Reply, object: &str, choices: Value) -> Value {
    json!({"id": format!("chatcmpl-{}", reply.id), "object": object, "created": reply.at_s, "model": reply.model,
        "system_fingerprint": "scripted", "choices": choices})
}

fn usage(reply: &Reply) -> Value {
    let usage = &reply.usage;
    json!({"prompt_tokens": usage.read(), "completion_tokens": usage.output,
        "total_tokens": usage.read() + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": usage.thinking}})
}

fn stop(reply: &Reply) -> &str {
    match reply.stop.as_str() {
        "" if reply.calls.is_empty() => "stop",
        "" => "tool_calls",
        stop => stop,
    }
}

/// Returns each call with its arguments as text.
fn calls(reply: &Reply) -> Vec<(String, &str, String)> {
    let text = |input: &Input| match input {
        Input::Object(object) => Value::Object(object.clone()).to_string(),
        Input::Text(text) => text.clone(),
    };
    let calls = reply.calls.iter().enumerate();
    calls.map(|(index, call)| (reply.call_id(index), call.name.as_str(), text(&call.input))).collect()
}

fn call((id, name, arguments): &(String, &str, String)) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

pub fn whole(reply: &Reply) -> Value {
    let mut message = json!({"role": "assistant", "content": reply.say});
    if !reply.calls.is_empty() {
        message["tool_calls"] = calls(reply).iter().map(call).collect();
    }
    if !reply.think.is_empty() {
        message["reasoning_content"] = reply.think.as_str().into();
    }
    let choice = json!({"index": 0, "message": message, "finish_reason": stop(reply), "logprobs": null});
    let mut whole = frame(reply, "chat.completion", json!([choice]));
    whole["usage"] = usage(reply);
    whole
}

pub fn events(reply: &Reply) -> Vec<Event> {
    let mut deltas = vec![json!({"role": "assistant", "content": ""})];
    deltas.extend(pieces(&reply.think).into_iter().map(|piece| json!({"reasoning_content": piece})));
    deltas.extend(pieces(&reply.say).into_iter().map(|piece| json!({"content": piece})));
    for (index, (id, name, arguments)) in calls(reply).into_iter().enumerate() {
        let mut begun = call(&(id, name, String::new()));
        begun["index"] = index.into();
        deltas.push(json!({"tool_calls": [begun]}));
        for piece in pieces(&arguments) {
            deltas.push(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}));
        }
    }
    let chunk = |choices: Value| frame(reply, "chat.completion.chunk", choices);
    let choice =
        |delta: Value, stop: Option<&str>| json!([{"index": 0, "delta": delta, "finish_reason": stop}]);
    let mut events: Vec<Event> =
        deltas.into_iter().map(|delta| Event::plain(&chunk(choice(delta, None)))).collect();
    events.push(Event::plain(&chunk(choice(json!({}), Some(stop(reply))))));
    let mut last = chunk(json!([]));
    last["usage"] = usage(reply);
    events.push(Event::plain(&last));
    events.push(Event { name: None, data: "[DONE]".into() });
    events
}

/// Returns the body of an error, which both of this provider's protocols share.
pub fn error(fault: &Fault, now_s: u64) -> Value {
    let mut error = json!({"type": fault.kind, "code": fault.kind, "message": fault.message, "param": null});
    if let Some(seconds) = fault.resets_in_s {
        error["resets_in_seconds"] = seconds.into();
        error["resets_at"] = (now_s + seconds).into();
    }
    json!({"error": error})
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::tools::Called;

    fn reply() -> Reply {
        let input = Map::from_iter([("command".to_owned(), json!("x".repeat(50)))]);
        let call = Called { name: "bash".into(), input: Input::Object(input), kind: Kind::Function };
        Reply {
            id: "1".into(),
            think: "hm".into(),
            say: "a".repeat(50),
            calls: vec![call.clone(), call],
            ..Reply::default()
        }
    }

    #[test]
    fn a_stream_adds_up_to_the_whole() {
        let mut message =
            json!({"role": "assistant", "content": "", "reasoning_content": "", "tool_calls": []});
        let events = events(&reply());
        let (end, chunks) = events.split_last().expect("an end");
        assert_eq!(end.data, "[DONE]");
        let mut stop = Value::Null;
        let mut usage = Value::Null;
        let add = |to: &mut Value, piece: &Value| {
            let so_far = to.as_str().unwrap_or_default().to_owned();
            *to = (so_far + piece.as_str().unwrap_or_default()).into();
        };
        for event in chunks {
            let data: Value = serde_json::from_str(&event.data).expect("JSON");
            usage = data["usage"].clone();
            let Some(choice) = data["choices"].get(0) else { continue };
            stop = choice["finish_reason"].clone();
            let delta = &choice["delta"];
            add(&mut message["content"], &delta["content"]);
            add(&mut message["reasoning_content"], &delta["reasoning_content"]);
            for call in items(&delta["tool_calls"]) {
                let index = call["index"].as_u64().expect("a place") as usize;
                if call.get("id").is_some() {
                    let mut call = call.clone();
                    call.as_object_mut().expect("an object").remove("index");
                    message["tool_calls"].as_array_mut().expect("a list").push(call);
                } else {
                    add(
                        &mut message["tool_calls"][index]["function"]["arguments"],
                        &call["function"]["arguments"],
                    );
                }
            }
        }
        let whole = whole(&reply());
        assert_eq!((&message, &stop), (&whole["choices"][0]["message"], &json!("tool_calls")));
        assert_eq!(usage, whole["usage"]);
    }

    #[test]
    fn a_conversation_is_read() {
        let body = json!({"model": "m", "messages": [{"role": "developer", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "go"}]},
            {"role": "assistant", "content": null, "tool_calls": [{}]}, {"role": "tool", "content": "out"}],
            "tools": [{"type": "function", "function": {"name": "bash"}}, {"type": "custom", "custom": {"name": "p"}}]});
        let dialog = read(&body);
        let who: Vec<Who> = dialog.turns.iter().map(|turn| turn.who).collect();
        assert_eq!(who, [Who::System, Who::User, Who::Assistant, Who::Tool]);
        let kinds: Vec<&Kind> = dialog.tools.iter().map(|tool| &tool.kind).collect();
        assert_eq!(kinds, [&Kind::Function, &Kind::Custom]);
        assert!(!dialog.stream);
    }
}
