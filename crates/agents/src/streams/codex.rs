//! What `codex exec --json` prints (seen with 0.169.0).
//!
//! Usage is the thread's so far, cached input included. An item of type `error` is a notice, not a failure.

use std::collections::VecDeque;

use oarlock_core::session::fact::{Observation, Span, TurnEnd, Usage};
use serde::Deserialize;

use super::loose::{Number, Object, Text};
use super::{Input, Reader, fault, note, raw, tool_ended, tool_started, what, words};
use crate::drive::{Show, Step};

/// Calls under way remembered: a turn has a few at a time.
const CALLS_KEPT: usize = 64;

/// Reads the stream.
#[derive(Default)]
pub struct Codex {
    conversation: Option<String>,
    end: Option<TurnEnd>,
    calls: VecDeque<String>,
    is_limited: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    #[serde(borrow)]
    thread_id: Text<'a>,
    #[serde(borrow)]
    item: Object<Item<'a>>,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    error: Object<Message<'a>>,
    usage: Object<Tokens>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    message: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    r#type: Text<'a>,
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    command: Text<'a>,
    #[serde(borrow)]
    aggregated_output: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    server: Text<'a>,
    #[serde(borrow)]
    tool: Text<'a>,
    #[serde(borrow)]
    arguments: Object<Input<'a>>,
    #[serde(borrow)]
    query: Text<'a>,
    #[serde(borrow)]
    changes: super::loose::List<Object<Change<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Change<'a> {
    #[serde(borrow)]
    path: Text<'a>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input_tokens: Number,
    cached_input_tokens: Number,
    cache_write_input_tokens: Number,
    output_tokens: Number,
}

impl Reader for Codex {
    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let Ok(read) = serde_json::from_slice::<Line<'_>>(line) else { return Vec::new() };
        match &*read.r#type {
            "thread.started" => {
                self.conversation = read.thread_id.some();
                let conversation = self.conversation.clone();
                vec![Step::Observe(Observation::Started { conversation, model: None, version: None })]
            }
            "item.started" => self.item(&read.item, false),
            "item.completed" => self.item(&read.item, true),
            "error" => self.trouble(&read.message),
            "turn.failed" => {
                self.end = Some(TurnEnd::Error(fault::class(None, &read.error.message).into()));
                Vec::new()
            }
            "turn.completed" => {
                self.end = Some(TurnEnd::Ok);
                used(read.usage.0, line)
            }
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

impl Codex {
    fn trouble(&mut self, words: &str) -> Vec<Step> {
        let mut steps = vec![note(words)];
        let is_limit = fault::class(None, words) == "rate_limit";
        if is_limit && !std::mem::replace(&mut self.is_limited, true) {
            steps.push(Step::Observe(Observation::RateLimited { until: None }));
        }
        steps
    }

    fn item(&mut self, item: &Item<'_>, is_over: bool) -> Vec<Step> {
        let (name, what) = match &*item.r#type {
            "agent_message" => {
                return if is_over { words(&item.text).into_iter().collect() } else { Vec::new() };
            }
            "reasoning" if is_over => return vec![Step::Show(Show::Thought(item.text.to_string()))],
            "error" if is_over => return vec![note(&*item.message)],
            "command_execution" => {
                ("shell", what("shell", &Input { command: item.command.clone(), ..Input::default() }))
            }
            "mcp_tool_call" => {
                let name = format!("{}.{}", &*item.server, &*item.tool);
                let what = what(&name, &item.arguments);
                return self.call(item, is_over, &name, what);
            }
            "file_change" => {
                let paths: Vec<&str> = item.changes.0.iter().map(|change| &*change.path).collect();
                ("edit", super::what(&format!("edit {}", paths.join(", ")), &Input::default()))
            }
            "web_search" => ("web_search", format!("web_search: {}", &*item.query)),
            _ => return Vec::new(),
        };
        self.call(item, is_over, name, what)
    }

    /// Tells of a call; of some kinds only the end is told.
    fn call(&mut self, item: &Item<'_>, is_over: bool, name: &str, what: String) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.calls.iter().any(|call| *call == *item.id) {
            steps.extend(tool_started(&item.id, name, what));
            self.calls.push_back(item.id.to_string());
            if self.calls.len() > CALLS_KEPT {
                self.calls.pop_front();
            }
        }
        if is_over {
            self.calls.retain(|call| *call != *item.id);
            let ok = !matches!(&*item.status, "failed" | "declined");
            steps.extend(tool_ended(&item.id, ok, &item.aggregated_output));
        }
        steps
    }
}

fn used(tokens: Tokens, line: &[u8]) -> Vec<Step> {
    let (cache_read, cache_write) =
        (tokens.cached_input_tokens.whole(), tokens.cache_write_input_tokens.whole());
    let input = tokens.input_tokens.whole();
    if input + tokens.output_tokens.whole() == 0 {
        return Vec::new();
    }
    let usage = Usage {
        span: Span::Conversation,
        id: String::new(),
        input: input.saturating_sub(cache_read + cache_write),
        cache_read,
        cache_write,
        output: tokens.output_tokens.whole(),
        cost_micros: None,
        cost_is_of_conversation: false,
        context: None,
        window: None,
    };
    vec![Step::Observe(Observation::Used(usage)), raw(line)]
}
