//! What opencode's plugin tells, and the plugin. opencode calls functions in its own process; the plugin makes of them what
//! hooks are elsewhere, and keeps what one event alone does not say: whether a session is a helper's, whether a turn failed.

use oarlock_core::ids::Timestamp;
use oarlock_core::session::fact::{Observation, Span, TurnEnd, Usage};
use oarlock_core::text;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::lenient::{Text, maybe, word};
use crate::payload::ToolCall;
use crate::{Hooked, ID_CHARS_MAX, NOTE_CHARS_MAX, trouble};

/// Everything the plugin can tell of.
pub const ALL: &[&str] = &[
    "session.created",
    "turn.started",
    "turn.ended",
    "session.retry",
    "session.answered",
    "tool.execute.before",
    "tool.execute.after",
    "permission.asked",
    "permission.replied",
    "question.asked",
    "question.replied",
    "question.rejected",
    "message.finished",
];

/// What it tells of beside a protocol that tells the rest.
pub const BESIDE: &[&str] = &["message.finished", "session.retry", "session.answered"];

/// Returns the plugin's text.
pub fn plugin(oarlock: &str, events: &[&str]) -> String {
    include_str!("oarlock.js")
        .replacen("OARLOCK_PROGRAM", &serde_json::json!(oarlock).to_string(), 1)
        .replacen("OARLOCK_EVENTS", &serde_json::json!(events).to_string(), 1)
}

#[derive(Debug, Default, Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default, rename = "sessionID", deserialize_with = "maybe")]
    session: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    version: Option<Text<'a>>,
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    error: Option<Failure<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    status: Option<Retry<'a>>,
    #[serde(borrow, default, rename = "callID", deserialize_with = "maybe")]
    call: Option<Text<'a>>,
    #[serde(borrow, default, rename = "tool")]
    tool: Option<&'a RawValue>,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "maybe")]
    exit: Option<i64>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    permission: Option<Text<'a>>,
    #[serde(borrow, default)]
    patterns: Option<&'a RawValue>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    questions: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    id: Option<Text<'a>>,
    #[serde(default, deserialize_with = "maybe")]
    tokens: Option<Tokens>,
    #[serde(default, deserialize_with = "maybe")]
    cost: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
struct Failure<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct Retry<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    message: Option<Text<'a>>,
    #[serde(default, deserialize_with = "maybe")]
    next: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
struct Tokens {
    #[serde(default, deserialize_with = "maybe")]
    input: Option<u64>,
    #[serde(default, deserialize_with = "maybe")]
    output: Option<u64>,
    #[serde(default, deserialize_with = "maybe")]
    reasoning: Option<u64>,
    #[serde(default, deserialize_with = "maybe")]
    cache: Option<Cache>,
}

#[derive(Debug, Default, Deserialize)]
struct Cache {
    #[serde(default, deserialize_with = "maybe")]
    read: Option<u64>,
    #[serde(default, deserialize_with = "maybe")]
    write: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct Model<'a> {
    #[serde(borrow, default, rename = "providerID", deserialize_with = "maybe")]
    provider: Option<Text<'a>>,
    #[serde(borrow, default, rename = "modelID", deserialize_with = "maybe")]
    model: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Tool<'a> {
    #[serde(borrow, default, rename = "callID", deserialize_with = "maybe")]
    call: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Question<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    question: Option<Text<'a>>,
}

fn id(text: Option<&Text<'_>>) -> String {
    text::line(word(text), ID_CHARS_MAX)
}

fn is_not_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn inner<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// Reads what the plugin tells.
pub fn read(event: &str, payload: &[u8]) -> Hooked {
    let Ok(payload) = serde_json::from_slice::<Payload<'_>>(payload) else { return Hooked::default() };
    let one = match event {
        "session.created" => {
            let version = is_not_empty(id(payload.version.as_ref()));
            Observation::Started {
                conversation: is_not_empty(id(payload.session.as_ref())),
                model: None,
                version,
            }
        }
        "turn.started" => return turn_started(&payload),
        "turn.ended" => Observation::TurnEnded(end(payload.error.as_ref())),
        "session.retry" => return retry(&payload),
        "session.answered" => Observation::Answers,
        "tool.execute.before" => {
            let name: Text<'_> = inner(payload.tool);
            let call = ToolCall { name: &name.0, input: payload.args };
            let (what, name) = (call.what(""), text::line(&name.0, ID_CHARS_MAX));
            Observation::ToolStarted { id: id(payload.call.as_ref()), name, what }
        }
        "tool.execute.after" => {
            Observation::ToolEnded { id: id(payload.call.as_ref()), ok: payload.exit.unwrap_or(0) == 0 }
        }
        "permission.asked" => {
            let tool: Tool<'_> = inner(payload.tool);
            let ask = is_not_empty(id(tool.call.as_ref()));
            Observation::PermissionAsked { what: permission(&payload), ask }
        }
        "permission.replied" | "question.replied" | "question.rejected" => Observation::PermissionResolved,
        "question.asked" => {
            let questions: Vec<Question<'_>> = crate::lenient::members(payload.questions);
            let words = questions.first().map_or("", |question| word(question.question.as_ref()));
            Observation::QuestionAsked { what: text::line(words, NOTE_CHARS_MAX) }
        }
        "message.finished" => return message_finished(&payload),
        _ => return Hooked::default(),
    };
    Hooked::one(one)
}

fn turn_started(payload: &Payload<'_>) -> Hooked {
    let model: Model<'_> = inner(payload.model);
    let model = match (word(model.provider.as_ref()), word(model.model.as_ref())) {
        ("", model) | (model, "") => model.to_owned(),
        (provider, model) => format!("{provider}/{model}"),
    };
    let model = is_not_empty(text::line(&model, ID_CHARS_MAX));
    // A conversation that goes on is not created, so its id is told again here.
    let conversation = is_not_empty(id(payload.session.as_ref()));
    let started = Observation::Started { conversation, model, version: None };
    Hooked { seen: vec![started, Observation::TurnStarted], ..Hooked::default() }
}

fn retry(payload: &Payload<'_>) -> Hooked {
    let Some(status) = &payload.status else { return Hooked::default() };
    if !matches!(trouble::class(word(status.message.as_ref())), "rate_limit" | "overloaded") {
        return Hooked::default();
    }
    // Milliseconds since 1970; what is before 2001 or after 5138 is something else.
    let next = status.next.filter(|next| (1e12..1e14).contains(next));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let until = next.map(|next| Timestamp(next as u64));
    Hooked::one(Observation::RateLimited { until })
}

fn end(error: Option<&Failure<'_>>) -> TurnEnd {
    let Some(error) = error else { return TurnEnd::Ok };
    match word(error.name.as_ref()) {
        "MessageAbortedError" => TurnEnd::Interrupted,
        "ProviderAuthError" => TurnEnd::Error("auth".into()),
        "ContextOverflowError" => TurnEnd::Error("context_full".into()),
        "MessageOutputLengthError" => TurnEnd::Error("limit".into()),
        _ => TurnEnd::Error(trouble::class(error.data.map_or("", |data| data.get())).into()),
    }
}

/// Returns what is asked for in one line: the kind of permission, and the patterns it is about.
fn permission(payload: &Payload<'_>) -> String {
    let name = word(payload.permission.as_ref());
    let patterns: Vec<Text<'_>> = crate::lenient::members(payload.patterns);
    let called = ToolCall { name, input: payload.metadata }.what("");
    if called != name || patterns.is_empty() {
        return called;
    }
    let patterns: Vec<&str> = patterns.iter().map(|pattern| &*pattern.0).collect();
    text::line(&format!("{name}: {}", patterns.join(", ")), NOTE_CHARS_MAX)
}

fn message_finished(payload: &Payload<'_>) -> Hooked {
    let Some(tokens) = &payload.tokens else { return Hooked::default() };
    let cache = tokens.cache.as_ref();
    let cost = payload.cost.filter(|cost| (0.0..1e9).contains(cost));
    // Less than a billion dollars, in millionths.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let cost_micros = cost.map(|dollars| (dollars * 1e6).round() as u64);
    let usage = Usage {
        span: Span::Call,
        id: id(payload.id.as_ref()),
        input: tokens.input.unwrap_or(0),
        cache_read: cache.and_then(|cache| cache.read).unwrap_or(0),
        cache_write: cache.and_then(|cache| cache.write).unwrap_or(0),
        output: tokens.output.unwrap_or(0).saturating_add(tokens.reasoning.unwrap_or(0)),
        cost_micros,
        cost_is_of_conversation: false,
        context: None,
        window: None,
    };
    if usage.input == 0 && usage.output == 0 && usage.cache_read == 0 {
        // A call that failed.
        return Hooked::default();
    }
    let raw = serde_json::json!({"id": usage.id, "tokens": [tokens.input, tokens.output, tokens.reasoning]});
    Hooked { seen: vec![Observation::Used(usage)], raw: vec![raw.to_string()], ..Hooked::default() }
}
