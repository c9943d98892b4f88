//! What `gemini -p -o stream-json` prints (seen with 0.61.0).
//!
//! Numbers come once, with the result, and are this process's. Reasoning is in the total alone.

use oarlock_core::session::fact::{Observation, Span, TurnEnd, Usage};
use serde::Deserialize;

use super::loose::{Flag, Number, Object, Text};
use super::{Input, Reader, fault, note, piece, raw, tool_ended, tool_started, what};
use crate::drive::Step;

/// Reads the stream.
#[derive(Default)]
pub struct Gemini {
    conversation: Option<String>,
    end: Option<TurnEnd>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    #[serde(borrow)]
    timestamp: Text<'a>,
    #[serde(borrow)]
    session_id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: Text<'a>,
    delta: Flag,
    #[serde(borrow)]
    tool_name: Text<'a>,
    #[serde(borrow)]
    tool_id: Text<'a>,
    #[serde(borrow)]
    parameters: Object<Input<'a>>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    output: Text<'a>,
    #[serde(borrow)]
    error: Object<Message<'a>>,
    #[serde(borrow)]
    message: Text<'a>,
    stats: Object<Stats>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    message: Text<'a>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Stats {
    total_tokens: Number,
    input_tokens: Number,
    output_tokens: Number,
    cached: Number,
}

impl Reader for Gemini {
    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let Ok(read) = serde_json::from_slice::<Line<'_>>(line) else { return Vec::new() };
        match &*read.r#type {
            "init" => {
                self.conversation = read.session_id.some();
                let (conversation, model) = (self.conversation.clone(), read.model.some());
                vec![Step::Observe(Observation::Started { conversation, model, version: None })]
            }
            "message" if &*read.role == "assistant" && read.delta.0 => {
                piece(&read.content).into_iter().collect()
            }
            "message" if &*read.role == "assistant" => super::words(&read.content).into_iter().collect(),
            "tool_use" => {
                tool_started(&read.tool_id, &read.tool_name, what(&read.tool_name, &read.parameters)).into()
            }
            "tool_result" => {
                let output = if read.output.is_empty() { &read.error.message } else { &read.output };
                tool_ended(&read.tool_id, &*read.status != "error", output)
            }
            "error" => vec![note(&*read.message)],
            "result" => self.result(&read, line),
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

impl Gemini {
    fn result(&mut self, line: &Line<'_>, bytes: &[u8]) -> Vec<Step> {
        let mut steps = Vec::new();
        if &*line.status == "success" {
            self.end = Some(TurnEnd::Ok);
        } else {
            self.end = Some(TurnEnd::Error(fault::class(None, &line.error.message).into()));
            steps.push(note(&*line.error.message));
        }
        let stats = line.stats.0;
        let (input, cached) = (stats.input_tokens.whole(), stats.cached.whole());
        if input + stats.output_tokens.whole() == 0 {
            return steps;
        }
        let usage = Usage {
            span: Span::Turn,
            // A result has no name; its moment is as good as one.
            id: line.timestamp.some().unwrap_or_default(),
            input: input.saturating_sub(cached),
            cache_read: cached,
            cache_write: 0,
            output: stats.output_tokens.whole().max(stats.total_tokens.whole().saturating_sub(input)),
            cost_micros: None,
            cost_is_of_conversation: false,
            context: None,
            window: None,
        };
        steps.extend([Step::Observe(Observation::Used(usage)), raw(bytes)]);
        steps
    }
}
