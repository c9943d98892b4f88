//! What `cursor-agent -p --output-format stream-json` prints, written from its documentation and never run here.
//!
//! A failure ends the stream without a result, and is told on standard error.

use std::borrow::Cow;
use std::collections::BTreeMap;

use oarlock_core::session::fact::{Observation, Span, TurnEnd, Usage};
use serde::Deserialize;

use super::loose::{Flag, List, Number, Object, Present, Text};
use super::{Input, Reader, fault, note, raw, tool_ended, tool_started, what, words};
use crate::drive::Step;

/// Reads the stream.
#[derive(Default)]
pub struct Cursor {
    conversation: Option<String>,
    end: Option<TurnEnd>,
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
    request_id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    message: Object<Message<'a>>,
    #[serde(borrow)]
    call_id: Text<'a>,
    /// One entry, named after the tool: `shellToolCall`.
    #[serde(borrow)]
    tool_call: Object<BTreeMap<Cow<'a, str>, Object<Call<'a>>>>,
    is_error: Flag,
    #[serde(borrow)]
    result: Text<'a>,
    usage: Object<Tokens>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    content: List<Object<Block<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Call<'a> {
    /// The tool's name, of tools that have no entry of their own.
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    args: Object<Input<'a>>,
    result: Object<Outcome>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outcome {
    error: Present,
    rejected: Present,
    failure: Present,
}

/// Told by newer versions only.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tokens {
    input_tokens: Number,
    output_tokens: Number,
    cache_read_tokens: Number,
    cache_write_tokens: Number,
}

impl Reader for Cursor {
    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let Ok(read) = serde_json::from_slice::<Line<'_>>(line) else { return Vec::new() };
        match (&*read.r#type, &*read.subtype) {
            ("system", "init") => {
                self.conversation = read.session_id.some();
                let (conversation, model) = (self.conversation.clone(), read.model.some());
                vec![Step::Observe(Observation::Started { conversation, model, version: None })]
            }
            ("assistant", _) => {
                read.message.content.0.iter().filter_map(|block| words(&block.text)).collect()
            }
            ("tool_call", "started") => {
                let Some((name, call)) = tool(&read) else { return Vec::new() };
                tool_started(&read.call_id, &name, what(&name, &call.args)).into()
            }
            ("tool_call", "completed") => {
                let Some((_, call)) = tool(&read) else { return Vec::new() };
                let outcome = &call.result;
                let ok = !(outcome.error.0 || outcome.rejected.0 || outcome.failure.0);
                tool_ended(&read.call_id, ok, "")
            }
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

impl Cursor {
    fn result(&mut self, line: &Line<'_>, bytes: &[u8]) -> Vec<Step> {
        if line.is_error.0 || line.subtype.starts_with("error") {
            self.end = Some(TurnEnd::Error(fault::class(None, &line.result).into()));
            return vec![note(&*line.result)];
        }
        self.end = Some(TurnEnd::Ok);
        let tokens = line.usage.0;
        if tokens.input_tokens.whole() + tokens.output_tokens.whole() == 0 {
            return Vec::new();
        }
        let usage = Usage {
            span: Span::Turn,
            id: line.request_id.some().unwrap_or_default(),
            input: tokens.input_tokens.whole(),
            cache_read: tokens.cache_read_tokens.whole(),
            cache_write: tokens.cache_write_tokens.whole(),
            output: tokens.output_tokens.whole(),
            cost_micros: None,
            cost_is_of_conversation: false,
            context: None,
            window: None,
        };
        vec![Step::Observe(Observation::Used(usage)), raw(bytes)]
    }
}

/// Returns the tool of a line: its name without the ending they all have, and its call.
fn tool<'l, 'a>(line: &'l Line<'a>) -> Option<(String, &'l Call<'a>)> {
    let (name, call) = line.tool_call.iter().next()?;
    let name = call.name.some().unwrap_or_else(|| name.trim_end_matches("ToolCall").to_owned());
    Some((name, call))
}
