//! Gemini: `POST /v1beta/models/M:generateContent` and its stream. Shapes after the provider's reference for v1beta.

use serde_json::{Value, json};

use super::{Event, Reply, pieces};
use crate::dialog::{Dialog, Kind, Who, field, items, texts};
use crate::script::Fault;
use crate::tools::Input;

/// A signature of reasoning: the agent hands it back, and only the provider reads it.
const SIGNATURE: &str = "c2NyaXB0ZWQ=";

pub fn read(path: &str, body: &Value) -> Dialog {
    let model = path.rsplit('/').next().and_then(|last| last.split(':').next()).unwrap_or_default();
    let stream = path.ends_with(":streamGenerateContent");
    let mut dialog = Dialog { model: model.to_owned(), stream, ..Dialog::default() };
    let parts =
        |content: &Value| -> Vec<String> { items(field(content, "parts")).iter().flat_map(texts).collect() };
    for name in ["systemInstruction", "system_instruction"] {
        dialog.push(Who::System, parts(field(body, name)));
    }
    for content in items(field(body, "contents")) {
        if field(content, "role") == "model" {
            dialog.push(Who::Assistant, parts(content));
            continue;
        }
        let results: Vec<&Value> =
            items(field(content, "parts")).iter().filter_map(|part| part.get("functionResponse")).collect();
        if !results.is_empty() {
            dialog.push(Who::Tool, results.into_iter().map(result).collect());
        }
        dialog.push(Who::User, parts(content));
    }
    for tool in items(field(body, "tools")) {
        for function in items(field(tool, "functionDeclarations")) {
            let schema = function.get("parametersJsonSchema").or_else(|| function.get("parameters"));
            dialog.offer(field(function, "name"), schema, Kind::Function);
        }
    }
    dialog
}

/// Returns the words of a tool's answer: its output, else all of it.
fn result(part: &Value) -> String {
    let response = field(part, "response");
    match field(response, "output").as_str().or_else(|| field(response, "error").as_str()) {
        Some(text) => text.to_owned(),
        None => response.to_string(),
    }
}

fn parts(reply: &Reply) -> Vec<Value> {
    let mut parts = Vec::new();
    if !reply.think.is_empty() {
        parts.push(json!({"text": reply.think, "thought": true}));
    }
    if !reply.say.is_empty() || reply.calls.is_empty() {
        parts.push(json!({"text": reply.say}));
    }
    for (index, call) in reply.calls.iter().enumerate() {
        let args = match &call.input {
            Input::Object(object) => Value::Object(object.clone()),
            Input::Text(text) => json!({"input": text}),
        };
        let call = json!({"id": reply.call_id(index), "name": call.name, "args": args});
        parts.push(json!({"functionCall": call, "thoughtSignature": SIGNATURE}));
    }
    parts
}

fn chunk(reply: &Reply, parts: Vec<Value>, last: bool) -> Value {
    let usage = &reply.usage;
    let said = usage.output.saturating_sub(usage.thinking);
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    if last {
        let stop = if reply.stop.is_empty() { "STOP" } else { reply.stop.as_str() };
        candidate["finishReason"] = stop.into();
    }
    json!({
        "candidates": [candidate], "modelVersion": reply.model, "responseId": reply.id,
        "usageMetadata": {
            "promptTokenCount": usage.read(), "cachedContentTokenCount": usage.cache_read,
            "candidatesTokenCount": said, "thoughtsTokenCount": usage.thinking,
            "totalTokenCount": usage.read() + usage.output,
        },
    })
}

pub fn whole(reply: &Reply) -> Value {
    chunk(reply, parts(reply), true)
}

pub fn events(reply: &Reply) -> Vec<Event> {
    let mut all = Vec::new();
    for part in parts(reply) {
        match field(&part, "text").as_str() {
            Some(text) if !text.is_empty() => all.extend(pieces(text).into_iter().map(|piece| {
                let mut part = part.clone();
                part["text"] = piece.into();
                part
            })),
            _ => all.push(part),
        }
    }
    let count = all.len();
    let chunks = all.into_iter().enumerate();
    chunks.map(|(index, part)| Event::plain(&chunk(reply, vec![part], index + 1 == count))).collect()
}

pub fn error(fault: &Fault) -> Value {
    let status = match fault.status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        429 => "RESOURCE_EXHAUSTED",
        503 | 529 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    let mut error = json!({"code": fault.status, "message": fault.message, "status": status});
    if let Some(seconds) = fault.retry_after_s {
        let kind = "type.googleapis.com/google.rpc.RetryInfo";
        error["details"] = json!([{"@type": kind, "retryDelay": format!("{seconds}s")}]);
    }
    json!({"error": error})
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::tools::Called;

    #[test]
    fn a_stream_adds_up_to_the_whole() {
        let input = Map::from_iter([("command".to_owned(), json!("ls"))]);
        let call = Called { name: "run".into(), input: Input::Object(input), kind: Kind::Function };
        let reply = Reply { id: "1".into(), say: "a".repeat(50), calls: vec![call], ..Reply::default() };
        let events = events(&reply);
        let mut said = String::new();
        let mut last = Value::Null;
        for (index, event) in events.iter().enumerate() {
            let data: Value = serde_json::from_str(&event.data).expect("JSON");
            let candidate = &data["candidates"][0];
            assert_eq!(
                candidate["finishReason"].is_null(),
                index + 1 < events.len(),
                "only the last says why"
            );
            last = candidate["content"]["parts"][0].clone();
            said.push_str(last["text"].as_str().unwrap_or_default());
        }
        let whole = whole(&reply);
        assert_eq!(said, whole["candidates"][0]["content"]["parts"][0]["text"]);
        assert_eq!(last, whole["candidates"][0]["content"]["parts"][1]);
    }

    #[test]
    fn a_conversation_is_read() {
        let body = json!({"systemInstruction": {"parts": [{"text": "s"}]}, "contents": [
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [{"functionCall": {}}]},
            {"role": "user", "parts": [{"functionResponse": {"response": {"output": "out"}}}, {"text": "more"}]},
        ], "tools": [{"functionDeclarations": [{"name": "run", "parametersJsonSchema": {"a": 1}}]}]});
        let dialog = read("/v1beta/models/gemini-x:streamGenerateContent", &body);
        let turns: Vec<(Who, String)> =
            dialog.turns.iter().map(|turn| (turn.who, turn.texts.concat())).collect();
        let turn = |who, text: &str| (who, text.to_owned());
        use Who::{Assistant, System, Tool, User};
        let said =
            [turn(System, "s"), turn(User, "go"), turn(Assistant, ""), turn(Tool, "out"), turn(User, "more")];
        assert_eq!(turns, said);
        assert_eq!((dialog.model.as_str(), dialog.stream), ("gemini-x", true));
        assert_eq!(dialog.tools[0].schema, json!({"a": 1}));
    }
}
