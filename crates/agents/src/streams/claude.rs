//! What `claude -p --output-format stream-json --verbose` prints (seen with 2.1.329), and what those print that took it over.
//!
//! A result says "success" of a refused request: `is_error`, the status and the terminal reason count. Messages repeat their
//! usage on each block's line, with an unfinished output count: only the result's is right.

use std::borrow::Cow;
use std::collections::BTreeMap;

use oarlock_core::ids::Timestamp;
use oarlock_core::session::fact::{Observation, Span, TurnEnd, Usage};
use serde::Deserialize;

use super::loose::{Flag, List, Number, Object, Text};
use super::{Input, Reader, fault, micros, note, raw, tool_ended, tool_started, what, words};
use crate::drive::{Show, Step};

/// How a stream of this shape counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// Over what a result's usage is counted.
    pub span: Span,
    /// Whether the input includes what came from a cache.
    pub input_includes_cached: bool,
}

/// Reads the stream.
pub struct Claude {
    counts: Counts,
    conversation: Option<String>,
    end: Option<TurnEnd>,
    /// The context as of the last call of the model.
    context: Option<u64>,
    is_limited: bool,
    /// What it said last: an error is said, and told again with the result.
    said: String,
}

impl Default for Claude {
    fn default() -> Self {
        Self::with(Counts { span: Span::Turn, input_includes_cached: false })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    #[serde(borrow)]
    subtype: Text<'a>,
    #[serde(borrow)]
    session_id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    claude_code_version: Text<'a>,
    #[serde(borrow)]
    uuid: Text<'a>,
    #[serde(borrow)]
    message: Object<Message<'a>>,
    #[serde(borrow)]
    parent_tool_use_id: Text<'a>,
    #[serde(borrow)]
    tool_name: Text<'a>,
    #[serde(borrow)]
    event: Object<Event<'a>>,
    #[serde(borrow)]
    rate_limit_info: Object<Limit<'a>>,
    #[serde(borrow)]
    error: Text<'a>,
    error_status: Number,
    is_error: Flag,
    api_error_status: Number,
    #[serde(borrow)]
    terminal_reason: Text<'a>,
    #[serde(borrow)]
    result: Text<'a>,
    usage: Object<Tokens>,
    total_cost_usd: Option<Number>,
    #[serde(borrow, rename = "modelUsage")]
    model_usage: Object<BTreeMap<Cow<'a, str>, Object<OfModel>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    content: List<Object<Block<'a>>>,
    usage: Object<Tokens>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    thinking: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    input: Object<Input<'a>>,
    #[serde(borrow)]
    tool_use_id: Text<'a>,
    is_error: Flag,
    /// A tool's output, when it is one text.
    #[serde(borrow)]
    content: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Event<'a> {
    #[serde(borrow)]
    delta: Object<Delta<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Limit<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    /// Seconds since the Unix epoch.
    #[serde(rename = "resetsAt")]
    resets_at: Number,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input_tokens: Number,
    cache_creation_input_tokens: Number,
    cache_read_input_tokens: Number,
    output_tokens: Number,
}

impl Tokens {
    fn context(self) -> u64 {
        self.input_tokens.whole()
            + self.cache_creation_input_tokens.whole()
            + self.cache_read_input_tokens.whole()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OfModel {
    #[serde(rename = "contextWindow")]
    context_window: Number,
}

impl Reader for Claude {
    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let Ok(read) = serde_json::from_slice::<Line<'_>>(line) else { return Vec::new() };
        match (&*read.r#type, &*read.subtype) {
            ("system", "init" | "session_start") => self.started(&read),
            ("system", "api_retry") => self.retry(&read),
            ("system", "permission_denied") => vec![note(format!("Not permitted: {}", &*read.tool_name))],
            ("assistant", _) => self.assistant(&read),
            ("user", _) => results(&read),
            ("rate_limit_event", _) if &*read.rate_limit_info.status == "rejected" => {
                let until = Some(read.rate_limit_info.resets_at.whole()).filter(|at| *at > 0);
                let until = until.map(|seconds| Timestamp(seconds.saturating_mul(1000)));
                vec![Step::Observe(Observation::RateLimited { until })]
            }
            ("stream_event", _) => super::piece(&read.event.delta.text).into_iter().collect(),
            ("result", _) => self.result(&read, line),
            _ => Vec::new(),
        }
    }

    fn conversation(&self) -> Option<&str> {
        self.conversation.as_deref()
    }

    fn end(&self) -> Option<TurnEnd> {
        self.end.clone()
    }
}

impl Claude {
    pub(super) fn with(counts: Counts) -> Self {
        Self { counts, conversation: None, end: None, context: None, is_limited: false, said: String::new() }
    }

    fn started(&mut self, line: &Line<'_>) -> Vec<Step> {
        self.conversation = line.session_id.some().or(self.conversation.take());
        vec![Step::Observe(Observation::Started {
            conversation: self.conversation.clone(),
            model: line.model.some(),
            version: line.claude_code_version.some(),
        })]
    }

    fn retry(&mut self, line: &Line<'_>) -> Vec<Step> {
        let status = u16::try_from(line.error_status.whole()).ok().filter(|status| *status > 0);
        let class = fault::class(status, &line.error);
        let mut steps = vec![note(format!("The provider said {}; it is asked again.", &*line.error))];
        // When, is only told as a delay from a moment that the line does not name.
        if class == "rate_limit" && !std::mem::replace(&mut self.is_limited, true) {
            steps.push(Step::Observe(Observation::RateLimited { until: None }));
        }
        steps
    }

    fn assistant(&mut self, line: &Line<'_>) -> Vec<Step> {
        let is_sub_agent = !line.parent_tool_use_id.is_empty();
        if !is_sub_agent && line.message.usage.context() > 0 {
            self.context = Some(line.message.usage.context());
        }
        let mut steps = Vec::new();
        for block in &line.message.content.0 {
            match &*block.r#type {
                "text" if !is_sub_agent => {
                    self.said = block.text.to_string();
                    steps.extend(words(&block.text));
                }
                "thinking" if !is_sub_agent && !block.thinking.is_empty() => {
                    steps.push(Step::Show(Show::Thought(block.thinking.to_string())));
                }
                "tool_use" => {
                    let what = what(&block.name, &block.input);
                    steps.extend(tool_started(&block.id, &block.name, what));
                }
                _ => {}
            }
        }
        steps
    }

    fn result(&mut self, line: &Line<'_>, bytes: &[u8]) -> Vec<Step> {
        let end = how(line);
        let mut steps = Vec::new();
        self.conversation = self.conversation.take().or_else(|| line.session_id.some());
        let words = if line.result.is_empty() { &line.error } else { &line.result };
        if matches!(end, TurnEnd::Error(_)) && !words.is_empty() && self.said != **words {
            steps.push(note(&**words));
        }
        self.end = Some(end);
        let usage = line.usage.0;
        let cached = usage.cache_read_input_tokens.whole() + usage.cache_creation_input_tokens.whole();
        let input = usage.input_tokens.whole();
        let window = line
            .model_usage
            .values()
            .map(|model| model.context_window.whole())
            .max()
            .filter(|window| *window > 0);
        if input + cached + usage.output_tokens.whole() == 0 {
            return steps;
        }
        let cost = line.total_cost_usd.map(|dollars| micros(dollars.0));
        steps.push(Step::Observe(Observation::Used(Usage {
            span: self.counts.span,
            id: line.uuid.some().unwrap_or_default(),
            input: if self.counts.input_includes_cached { input.saturating_sub(cached) } else { input },
            cache_read: usage.cache_read_input_tokens.whole(),
            cache_write: usage.cache_creation_input_tokens.whole(),
            output: usage.output_tokens.whole(),
            cost_micros: cost,
            // It goes on from where a resumed conversation was.
            cost_is_of_conversation: cost.is_some(),
            context: self.context,
            window,
        })));
        steps.push(raw(bytes));
        steps
    }
}

/// Returns how a result says that the turn ended.
fn how(line: &Line<'_>) -> TurnEnd {
    match (&*line.terminal_reason, &*line.subtype) {
        (reason, _) if reason.starts_with("aborted") => TurnEnd::Interrupted,
        ("prompt_too_long", _) => TurnEnd::Error("context_full".into()),
        (_, subtype) if subtype.starts_with("error_max") => TurnEnd::Error("limit".into()),
        (_, subtype) if line.is_error.0 || subtype.starts_with("error") => {
            let status = u16::try_from(line.api_error_status.whole()).ok().filter(|status| *status > 0);
            let words = if line.result.is_empty() { &line.error } else { &line.result };
            TurnEnd::Error(fault::class(status, words).into())
        }
        _ => TurnEnd::Ok,
    }
}

/// Returns the steps of the tools' results in a line.
fn results(line: &Line<'_>) -> Vec<Step> {
    let results = line.message.content.0.iter().filter(|block| &*block.r#type == "tool_result");
    results.flat_map(|block| tool_ended(&block.tool_use_id, !block.is_error.0, &block.content)).collect()
}
