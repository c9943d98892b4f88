//! What Codex's hooks say: one payload in, observations out. It remembers nothing between two.

use oarlock_core::session::fact::{Observation, Span, TurnEnd, Usage};
use oarlock_core::text;
use serde::Deserialize;

use super::class_of_words;
use crate::call;
use crate::part::{Number, Raw, Word, read as part};
use crate::{Hooked, ID_CHARS_MAX, NOTE_CHARS_MAX};

/// The events it is asked to call us for.
pub const EVENTS: &[&str] = &[
    "SessionStart",
    "UserPromptSubmit",
    "PostModelRequest",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "Stop",
    "Interrupt",
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
    reason: Word<'a>,
    #[serde(borrow)]
    tool_name: Word<'a>,
    #[serde(borrow)]
    tool_input: Raw<'a>,
    #[serde(borrow)]
    status: Word<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
    #[serde(borrow)]
    token_usage: Raw<'a>,
}

/// Tokens as hooks and the records of a conversation count them: what came from a cache or went there is input, too.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input_tokens: Number,
    cached_input_tokens: Number,
    cache_write_input_tokens: Number,
    output_tokens: Number,
    total_tokens: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Failure<'a> {
    #[serde(borrow)]
    message: Word<'a>,
}

/// Reads the payload of a hook. The event is the payload's own word, which is there in every one.
pub fn read(payload: &[u8]) -> Hooked {
    let Ok(payload) = serde_json::from_slice::<Payload<'_>>(payload) else { return Hooked::default() };
    if &*payload.hook_event_name == "PostModelRequest" {
        return of_call(&payload);
    }
    let is_own = payload.agent_id.is_empty();
    let seen = of_tool(&payload).or_else(|| if is_own { of_turn(&payload) } else { None });
    let transcript = payload.transcript_path.some().map(str::to_owned).filter(|_| is_own);
    Hooked { seen: seen.into_iter().collect(), transcript, ..Hooked::default() }
}

fn of_turn(payload: &Payload<'_>) -> Option<Observation> {
    let id = |word: &Word<'_>| word.some().map(|word| text::line(word, ID_CHARS_MAX));
    Some(match &*payload.hook_event_name {
        "SessionStart" => {
            let (conversation, model) = (id(&payload.session_id), id(&payload.model));
            Observation::Started { conversation, model, version: None }
        }
        "UserPromptSubmit" => Observation::TurnStarted,
        "Stop" => Observation::TurnEnded(TurnEnd::Ok),
        "Interrupt" => Observation::TurnEnded(TurnEnd::Interrupted),
        "SessionEnd" => match &*payload.reason {
            // It goes on with another conversation.
            "clear" | "resume" => return None,
            why => Observation::Gone { why: text::line(why, NOTE_CHARS_MAX) },
        },
        _ => return None,
    })
}

fn of_tool(payload: &Payload<'_>) -> Option<Observation> {
    // A request for permission does not name the call it is about, so every event of a call names it by what it is.
    let id = || call::fingerprint(&payload.tool_name, payload.tool_input, &payload.agent_id);
    let what = || call::what(&payload.tool_name, payload.tool_input, &payload.cwd);
    Some(match &*payload.hook_event_name {
        "PreToolUse" => {
            let name = text::line(&payload.tool_name, ID_CHARS_MAX);
            Observation::ToolStarted { id: id(), name, what: what() }
        }
        "PermissionRequest" => Observation::PermissionAsked { what: what(), ask: Some(id()) },
        // That a command failed is not told.
        "PostToolUse" => Observation::ToolEnded { id: id(), ok: true },
        _ => return None,
    })
}

/// A call of the model: its tokens, or why there are none. What is tried again is no end of the turn.
fn of_call(payload: &Payload<'_>) -> Hooked {
    let tokens: Tokens = part(payload.token_usage);
    if tokens.total_tokens.count() > 0 || tokens.output_tokens.count() > 0 {
        let (read, write) = (tokens.cached_input_tokens.count(), tokens.cache_write_input_tokens.count());
        let usage = Usage {
            span: Span::Call,
            id: String::new(),
            input: tokens.input_tokens.count().saturating_sub(read).saturating_sub(write),
            cache_read: read,
            cache_write: write,
            output: tokens.output_tokens.count(),
            cost_micros: None,
            cost_is_of_conversation: false,
            context: payload.agent_id.is_empty().then(|| tokens.total_tokens.count()),
            window: None,
        };
        let raw = payload.token_usage.map(|raw| raw.get().to_owned()).into_iter().collect();
        return Hooked { raw, ..Hooked::one(Observation::Used(usage)) };
    }
    let (word, failure): (Word<'_>, Failure<'_>) = (part(payload.error), part(payload.error));
    let words = word.some().or(failure.message.some()).unwrap_or_default();
    match class_of_words(words) {
        "rate_limit" if &*payload.status != "cancelled" => {
            Hooked::one(Observation::RateLimited { until: None })
        }
        _ => Hooked::default(),
    }
}
