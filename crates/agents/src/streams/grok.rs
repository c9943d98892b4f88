//! What `grok -p --output-format streaming-json` prints, written from its documentation and never run here.
//!
//! Words and thoughts come in pieces; tools are not told of. The last line has the conversation, the usage and why it
//! stopped.

use oarlock_core::session::fact::{Observation, Span, TurnEnd, Usage};
use serde::Deserialize;

use super::loose::{Number, Object, Text};
use super::{Reader, fault, micros, note, piece, raw};
use crate::drive::{Show, Step};

/// Reads the stream.
#[derive(Default)]
pub struct Grok {
    conversation: Option<String>,
    end: Option<TurnEnd>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    #[serde(borrow)]
    data: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow, rename = "sessionId")]
    session_id: Text<'a>,
    #[serde(borrow, rename = "requestId")]
    request_id: Text<'a>,
    #[serde(borrow, rename = "stopReason")]
    stop_reason: Text<'a>,
    usage: Object<Tokens>,
    total_cost_usd: Option<Number>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input_tokens: Number,
    output_tokens: Number,
    #[serde(alias = "cached_input_tokens")]
    cache_read_input_tokens: Number,
}

impl Reader for Grok {
    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let Ok(read) = serde_json::from_slice::<Line<'_>>(line) else { return Vec::new() };
        match &*read.r#type {
            "text" => piece(&read.data).into_iter().collect(),
            "thought" if !read.data.is_empty() => vec![Step::Show(Show::Thought(read.data.to_string()))],
            "error" => {
                self.end = Some(TurnEnd::Error(fault::class(None, &read.message).into()));
                vec![note(&*read.message)]
            }
            "end" => self.last(&read, line),
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

impl Grok {
    fn last(&mut self, line: &Line<'_>, bytes: &[u8]) -> Vec<Step> {
        self.conversation = line.session_id.some();
        let conversation = self.conversation.clone();
        let mut steps =
            vec![Step::Observe(Observation::Started { conversation, model: None, version: None })];
        // Reasons are written now in one case, now in the other.
        let reason = line.stop_reason.to_lowercase().replace(['_', '-'], "");
        let end = match reason.as_str() {
            "endturn" | "stop" | "" => TurnEnd::Ok,
            "cancelled" | "canceled" | "interrupted" => TurnEnd::Interrupted,
            "maxturns" | "maxturnrequests" => TurnEnd::Error("limit".into()),
            "maxtokens" => TurnEnd::Error("context_full".into()),
            _ => TurnEnd::Error(fault::class(None, &line.stop_reason).into()),
        };
        // An error told before is why it stopped.
        self.end = self.end.take().or(Some(end));
        let tokens = line.usage.0;
        let cached = tokens.cache_read_input_tokens.whole();
        if tokens.input_tokens.whole() + tokens.output_tokens.whole() > 0 {
            let usage = Usage {
                span: Span::Turn,
                id: line.request_id.some().unwrap_or_default(),
                input: tokens.input_tokens.whole().saturating_sub(cached),
                cache_read: cached,
                cache_write: 0,
                output: tokens.output_tokens.whole(),
                cost_micros: line.total_cost_usd.map(|dollars| micros(dollars.0)),
                cost_is_of_conversation: false,
                context: None,
                window: None,
            };
            steps.extend([Step::Observe(Observation::Used(usage)), raw(bytes)]);
        }
        steps
    }
}
