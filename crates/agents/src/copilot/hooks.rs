//! What Copilot's hooks are given, and the plugin folder that calls them. Payloads name neither the event nor the call.

use oarlock_core::session::fact::{Observation, TurnEnd};
use oarlock_core::text;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::launch::{Launch, Place, Plant, What};
use crate::lenient::{Text, maybe, word};
use crate::payload::ToolCall;
use crate::{Hooked, ID_CHARS_MAX, NOTE_CHARS_MAX, trouble};

/// The events asked for.
pub const ALL: &[&str] = &[
    "sessionStart",
    "userPromptSubmitted",
    "preToolUse",
    "permissionRequest",
    "postToolUse",
    "postToolUseFailure",
    "errorOccurred",
    "agentStop",
    "sessionEnd",
];

/// What is told of beside a protocol that tells the rest: it says nothing of what is tried again.
pub const BESIDE: &[&str] = &["errorOccurred"];

/// How long Copilot waits for a hook, in seconds: ours takes milliseconds.
const HOOK_SECONDS_MAX: u64 = 10;

/// Returns the plugin's files, which tell of events. Where nothing is asked the request for a permission is not told: it is
/// called for what is allowed as well.
pub fn plugin(launch: &Launch<'_>, folder: &str, events: &[&str], asks: bool) -> Vec<Plant> {
    let mut hooks = serde_json::Map::new();
    for event in events.iter().filter(|event| asks || **event != "permissionRequest") {
        let command = launch.hook_command("copilot", event);
        hooks.insert(
            (*event).into(),
            json!([{"type": "command", "bash": command, "timeoutSec": HOOK_SECONDS_MAX}]),
        );
    }
    let manifest = json!({
        "name": "oarlock",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Tells oarlock what happens in this run.",
        "hooks": "hooks/hooks.json",
    });
    let text = |name: &str, text: String| Plant {
        place: Place::Run(format!("{folder}/{name}")),
        what: What::Text(text),
    };
    vec![
        text("plugin.json", manifest.to_string()),
        text("hooks/hooks.json", json!({"version": 1, "hooks": hooks}).to_string()),
    ]
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    session_id: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    cwd: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    tool_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_args: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_input: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    tool_result: Option<Outcome<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    stop_reason: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "maybe")]
    recoverable: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    result_type: Option<Text<'a>>,
}

/// Reads what a hook is given.
pub fn read(event: &str, payload: &[u8]) -> Hooked {
    let Ok(payload) = serde_json::from_slice::<Payload<'_>>(payload) else { return Hooked::default() };
    let name = word(payload.tool_name.as_ref());
    let call = ToolCall { name, input: payload.tool_args.or(payload.tool_input) };
    let what = || call.what(word(payload.cwd.as_ref()));
    let one = match event {
        "sessionStart" => {
            let conversation = text::line(word(payload.session_id.as_ref()), ID_CHARS_MAX);
            let conversation = Some(conversation).filter(|id| !id.is_empty());
            Observation::Started { conversation, model: None, version: None }
        }
        "userPromptSubmitted" => Observation::TurnStarted,
        "preToolUse" if name == "ask_user" => Observation::QuestionAsked { what: call.question() },
        "postToolUse" | "postToolUseFailure" if name == "ask_user" => Observation::PermissionResolved,
        "preToolUse" => {
            let name = text::line(name, ID_CHARS_MAX);
            Observation::ToolStarted { id: call.fingerprint(), name, what: what() }
        }
        "permissionRequest" => Observation::PermissionAsked { what: what(), ask: Some(call.fingerprint()) },
        "postToolUse" | "postToolUseFailure" => {
            let outcome =
                payload.tool_result.as_ref().map_or("", |outcome| word(outcome.result_type.as_ref()));
            let ok =
                event == "postToolUse" && !matches!(outcome, "failure" | "denied" | "rejected" | "error");
            Observation::ToolEnded { id: call.fingerprint(), ok }
        }
        "errorOccurred" if payload.recoverable == Some(true) => return recovers(&payload),
        "errorOccurred" => Observation::TurnEnded(TurnEnd::Error(class(&payload).into())),
        "agentStop" => Observation::TurnEnded(match word(payload.stop_reason.as_ref()) {
            "end_turn" | "" => TurnEnd::Ok,
            "cancelled" | "aborted" => TurnEnd::Interrupted,
            _ => TurnEnd::Unknown,
        }),
        // A conversation that is cleared ends, and the program goes on.
        "sessionEnd" if word(payload.reason.as_ref()) == "clear" => return Hooked::default(),
        "sessionEnd" => Observation::Gone { why: text::line(word(payload.reason.as_ref()), NOTE_CHARS_MAX) },
        _ => return Hooked::default(),
    };
    Hooked { transcript: transcript(&payload), ..Hooked::one(one) }
}

/// Returns where it keeps its record of the conversation. It names the place only when a turn ends well, and a turn that does
/// not is told there alone.
fn transcript(payload: &Payload<'_>) -> Option<String> {
    let id = word(payload.session_id.as_ref());
    let is_name = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_name.then(|| format!("~/.copilot/session-state/{id}/events.jsonl"))
}

#[derive(Debug, Default, Deserialize)]
struct Line<'a> {
    #[serde(borrow, default, rename = "type", deserialize_with = "maybe")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Reads a line of its record: a turn that failed for good.
pub fn read_line(line: &[u8]) -> Hooked {
    let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { return Hooked::default() };
    match word(line.kind.as_ref()) {
        "session.error" => {
            let class = trouble::class(line.data.map_or("", |data| data.get()));
            Hooked::one(Observation::TurnEnded(TurnEnd::Error(class.into())))
        }
        _ => Hooked::default(),
    }
}

fn class(payload: &Payload<'_>) -> &'static str {
    trouble::class(payload.error.map_or("", |error| error.get()))
}

fn recovers(payload: &Payload<'_>) -> Hooked {
    match class(payload) {
        "rate_limit" | "overloaded" => Hooked::one(Observation::RateLimited { until: None }),
        _ => Hooked::default(),
    }
}
