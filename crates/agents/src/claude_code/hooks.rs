//! What Claude Code's hooks say: one payload in, observations out. It remembers nothing between two.

use oarlock_core::session::fact::{Observation, TurnEnd};
use oarlock_core::text;
use serde::Deserialize;

use super::{class_of, is_too_long};
use crate::call;
use crate::part::{Flag, Raw, Word};
use crate::{Hooked, ID_CHARS_MAX, NOTE_CHARS_MAX};

/// The events it is asked to call us for. Those for each piece of its words and each batch of tools say nothing more.
pub const EVENTS: &[&str] = &[
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PermissionRequest",
    "PermissionDenied",
    "PostToolUse",
    "PostToolUseFailure",
    "Notification",
    "Elicitation",
    "ElicitationResult",
    "Stop",
    "StopFailure",
    "SessionEnd",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Payload<'a> {
    #[serde(borrow)]
    hook_event_name: Word<'a>,
    #[serde(borrow)]
    session_id: Word<'a>,
    #[serde(borrow)]
    transcript_path: Word<'a>,
    #[serde(borrow)]
    cwd: Word<'a>,
    /// Named when a sub-agent is at work.
    #[serde(borrow)]
    agent_id: Word<'a>,
    #[serde(borrow)]
    model: Word<'a>,
    #[serde(borrow)]
    source: Word<'a>,
    #[serde(borrow)]
    reason: Word<'a>,
    #[serde(borrow)]
    tool_name: Word<'a>,
    #[serde(borrow)]
    tool_input: Raw<'a>,
    is_interrupt: Flag,
    #[serde(borrow)]
    notification_type: Word<'a>,
    #[serde(borrow)]
    message: Word<'a>,
    #[serde(borrow)]
    mcp_server_name: Word<'a>,
    #[serde(borrow)]
    error: Word<'a>,
    #[serde(borrow)]
    error_details: Word<'a>,
    #[serde(borrow)]
    last_assistant_message: Word<'a>,
}

/// Reads the payload of a hook. The event is the payload's own word, which is there in every one.
pub fn read(payload: &[u8]) -> Hooked {
    let Ok(payload) = serde_json::from_slice::<Payload<'_>>(payload) else { return Hooked::default() };
    let seen = if payload.agent_id.is_empty() { of_agent(&payload) } else { of_sub_agent(&payload) };
    let transcript = payload.transcript_path.some().map(str::to_owned);
    Hooked { seen, transcript, ..Hooked::default() }
}

fn of_agent(payload: &Payload<'_>) -> Vec<Observation> {
    let line = |words: &str| text::line(words, NOTE_CHARS_MAX);
    let id = |word: &Word<'_>| word.some().map(|word| text::line(word, ID_CHARS_MAX));
    vec![match &*payload.hook_event_name {
        "SessionStart" => {
            let (conversation, model) = (id(&payload.session_id), id(&payload.model));
            Observation::Started { conversation, model, version: None }
        }
        // A pass over a message that is not delivered yet.
        "UserPromptSubmit" if &*payload.source == "poll_event" => return Vec::new(),
        "UserPromptSubmit" => Observation::TurnStarted,
        "PermissionRequest" if asks_person(payload) => {
            let what = call::questions(payload.tool_input);
            Observation::QuestionAsked { what: line(&what.join(" / ")) }
        }
        "PostToolUse" | "PostToolUseFailure" if asks_person(payload) => {
            return vec![tool_ended(payload), Observation::PermissionResolved];
        }
        "Notification" => match &*payload.notification_type {
            "elicitation_dialog" | "elicitation_url_dialog" => {
                Observation::QuestionAsked { what: line(&payload.message) }
            }
            "worker_permission_prompt" => {
                Observation::PermissionAsked { what: line(&payload.message), ask: None }
            }
            // That it is idle for a minute was said when the turn ended; of a permission, when it was asked for.
            _ => return Vec::new(),
        },
        "Elicitation" => {
            let what = format!("{}: {}", &*payload.mcp_server_name, &*payload.message);
            Observation::QuestionAsked { what: line(&what) }
        }
        "ElicitationResult" => Observation::PermissionResolved,
        "Stop" => Observation::TurnEnded(TurnEnd::Ok),
        "StopFailure" => Observation::TurnEnded(TurnEnd::Error(class(payload).into())),
        "PostToolUseFailure" if payload.is_interrupt.0 => {
            return vec![tool_ended(payload), Observation::TurnEnded(TurnEnd::Interrupted)];
        }
        "SessionEnd" => match &*payload.reason {
            // It goes on with another conversation.
            "clear" | "resume" => return Vec::new(),
            why => Observation::Gone { why: line(why) },
        },
        _ => return of_tool(payload).into_iter().collect(),
    }]
}

/// A sub-agent's turn is not the agent's; its tools and the permissions it needs are.
fn of_sub_agent(payload: &Payload<'_>) -> Vec<Observation> {
    of_tool(payload).into_iter().collect()
}

fn of_tool(payload: &Payload<'_>) -> Option<Observation> {
    let name = || text::line(&payload.tool_name, ID_CHARS_MAX);
    let what = || call::what(&payload.tool_name, payload.tool_input, &payload.cwd);
    Some(match &*payload.hook_event_name {
        "PreToolUse" => Observation::ToolStarted { id: call_id(payload), name: name(), what: what() },
        "PermissionRequest" => Observation::PermissionAsked { what: what(), ask: Some(call_id(payload)) },
        "PermissionDenied" | "PostToolUse" | "PostToolUseFailure" => tool_ended(payload),
        _ => return None,
    })
}

fn asks_person(payload: &Payload<'_>) -> bool {
    &*payload.tool_name == "AskUserQuestion"
}

fn tool_ended(payload: &Payload<'_>) -> Observation {
    Observation::ToolEnded { id: call_id(payload), ok: &*payload.hook_event_name == "PostToolUse" }
}

/// A request for permission does not name the call it is about, so every event of a call names it by what it is.
fn call_id(payload: &Payload<'_>) -> String {
    call::fingerprint(&payload.tool_name, payload.tool_input, &payload.agent_id)
}

fn class(payload: &Payload<'_>) -> &'static str {
    let too_long = is_too_long(&payload.error_details) || is_too_long(&payload.last_assistant_message);
    if too_long { "context_full" } else { class_of(&payload.error).unwrap_or("error") }
}
