//! What `opencode run --format json` prints (seen with 1.18.33).
//!
//! There is no last word: the turn is over when a step ends for another reason than tools. Tools are told of when they are
//! over. Input excludes what came from the cache, output excludes reasoning.

use oarlock_core::session::fact::{Observation, Span, TurnEnd, Usage};
use serde::Deserialize;

use super::loose::{Number, Object, Text};
use super::{Input, Reader, fault, micros, note, raw, tool_ended, tool_started, what, words};
use crate::drive::Step;

/// Reads the stream.
#[derive(Default)]
pub struct Opencode {
    conversation: Option<String>,
    end: Option<TurnEnd>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    #[serde(borrow, rename = "sessionID")]
    session_id: Text<'a>,
    #[serde(borrow)]
    part: Object<Part<'a>>,
    #[serde(borrow)]
    error: Object<Trouble<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Part<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    tool: Text<'a>,
    #[serde(borrow, rename = "callID")]
    call_id: Text<'a>,
    #[serde(borrow)]
    state: Object<State<'a>>,
    #[serde(borrow)]
    reason: Text<'a>,
    tokens: Object<Tokens>,
    cost: Option<Number>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    input: Object<Input<'a>>,
    #[serde(borrow)]
    output: Text<'a>,
    #[serde(borrow)]
    error: Text<'a>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input: Number,
    output: Number,
    reasoning: Number,
    cache: Object<Cache>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Cache {
    read: Number,
    write: Number,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Trouble<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    data: Object<Data<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data<'a> {
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(rename = "statusCode")]
    status_code: Number,
}

impl Reader for Opencode {
    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let Ok(read) = serde_json::from_slice::<Line<'_>>(line) else { return Vec::new() };
        let mut steps = Vec::new();
        if self.conversation.is_none()
            && let Some(conversation) = read.session_id.some()
        {
            self.conversation = Some(conversation.clone());
            let conversation = Some(conversation);
            steps.push(Step::Observe(Observation::Started { conversation, model: None, version: None }));
        }
        let part = &read.part;
        match &*read.r#type {
            "text" => steps.extend(words(&part.text)),
            "tool_use" => {
                let state = &part.state;
                steps.extend(tool_started(&part.call_id, &part.tool, what(&part.tool, &state.input)));
                let output = if state.output.is_empty() { &state.error } else { &state.output };
                steps.extend(tool_ended(&part.call_id, &*state.status == "completed", output));
            }
            "step_finish" => {
                // A step that ended for tools is followed by another, unless the run was cut off.
                self.end = (&*part.reason != "tool-calls").then_some(TurnEnd::Ok);
                steps.extend(used(part, line));
            }
            "error" => {
                let (status, message) = (read.error.data.status_code.whole(), &read.error.data.message);
                let words = if message.is_empty() { &read.error.name } else { message };
                self.end = Some(match &*read.error.name {
                    "MessageAbortedError" => TurnEnd::Interrupted,
                    _ => {
                        let status = u16::try_from(status).ok().filter(|status| *status > 0);
                        TurnEnd::Error(fault::class(status, words).into())
                    }
                });
                steps.push(note(&**words));
            }
            _ => {}
        }
        steps
    }

    fn conversation(&self) -> Option<&str> {
        self.conversation.as_deref()
    }

    fn end(&self) -> Option<TurnEnd> {
        self.end.clone()
    }
}

fn used(part: &Part<'_>, line: &[u8]) -> Vec<Step> {
    let tokens = part.tokens.0;
    let usage = Usage {
        span: Span::Call,
        id: part.id.some().unwrap_or_default(),
        input: tokens.input.whole(),
        cache_read: tokens.cache.read.whole(),
        cache_write: tokens.cache.write.whole(),
        output: tokens.output.whole() + tokens.reasoning.whole(),
        cost_micros: part.cost.map(|dollars| micros(dollars.0)),
        cost_is_of_conversation: false,
        context: Some(tokens.input.whole() + tokens.cache.read.whole() + tokens.cache.write.whole()),
        window: None,
    };
    vec![Step::Observe(Observation::Used(usage)), raw(line)]
}
