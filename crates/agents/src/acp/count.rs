//! Tokens as agents tell them over the protocol, each in its own way, made one. It must not know when they are told.

use oarlock_core::session::fact::{Span, Usage};
use serde_json::value::RawValue;

use super::wire::{Prompted, Quota, Tokens, Update, read};
use crate::lenient::word;

/// Where an agent tells what it used, and over what it counts. One way each: a second would count the same tokens again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageFrom {
    /// The answer to a prompt has the count of the process so far, cached input included in the input.
    PromptOfRun,
    /// The answer to a prompt has Gemini's count of the turn: input, the cached included, and output.
    QuotaOfTurn,
    /// Chunks of words have the count of a model's call in `_meta.usage`, cached input included in the input.
    ChunksOfCall,
    /// Elsewhere, by calls, with what they cost, or nowhere: only the context is told.
    Elsewhere,
}

/// Returns an empty count.
pub fn nothing(span: Span, id: String) -> Usage {
    Usage {
        span,
        id,
        input: 0,
        cache_read: 0,
        cache_write: 0,
        output: 0,
        cost_micros: None,
        cost_is_of_conversation: false,
        context: None,
        window: None,
    }
}

fn of_tokens(span: Span, id: String, tokens: Tokens) -> Usage {
    let (cache_read, cache_write) =
        (tokens.cached_read_tokens.unwrap_or(0), tokens.cached_write_tokens.unwrap_or(0));
    let input = tokens.input_tokens.unwrap_or(0).saturating_sub(cache_read).saturating_sub(cache_write);
    let output = tokens.output_tokens.unwrap_or(0);
    Usage { input, cache_read, cache_write, output, ..nothing(span, id) }
}

impl UsageFrom {
    /// Returns the span its counts are over.
    pub fn span(self) -> Span {
        match self {
            Self::PromptOfRun => Span::Run,
            Self::QuotaOfTurn => Span::Turn,
            Self::ChunksOfCall | Self::Elsewhere => Span::Call,
        }
    }

    /// Reads what the answer to a prompt says, with the record as it was; `turn` names the turn.
    pub fn of_prompt<'a>(self, prompted: &Prompted<'a>, turn: &str) -> Option<(Usage, &'a RawValue)> {
        match self {
            Self::PromptOfRun => {
                let raw = prompted.usage?;
                Some((of_tokens(self.span(), String::new(), read(Some(raw))), raw))
            }
            Self::QuotaOfTurn => {
                let raw = prompted.meta.as_ref()?.quota?;
                let count = read::<Quota>(Some(raw)).token_count?;
                let (input, output) = (count.input_tokens.unwrap_or(0), count.output_tokens.unwrap_or(0));
                Some((Usage { input, output, ..nothing(self.span(), turn.into()) }, raw))
            }
            Self::ChunksOfCall | Self::Elsewhere => None,
        }
    }

    /// Reads what a chunk of words says, with the record as it was; `call` names the call.
    pub fn of_chunk<'a>(self, update: &Update<'a>, call: &str) -> Option<(Usage, &'a RawValue)> {
        if self != Self::ChunksOfCall {
            return None;
        }
        let raw = update.meta.as_ref()?.usage?;
        Some((of_tokens(self.span(), call.into(), read(Some(raw))), raw))
    }

    /// Reads what is told of the context and the cost so far. Over a run it says nothing of tokens, so it cannot be a count
    /// of them: a zero would begin that count anew, and the last is given again.
    pub fn of_context(self, update: &Update<'_>, last: &Usage) -> Option<Usage> {
        let cost = update.cost.as_ref().filter(|_| self != Self::Elsewhere);
        let cost = cost.filter(|cost| word(cost.currency.as_ref()) == "USD");
        let cost = cost.and_then(|cost| cost.amount).filter(|amount| (0.0..1e9).contains(amount));
        // A billion dollars in millionths fits.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let cost_micros = cost.map(|dollars| (dollars * 1e6).round() as u64);
        if update.used.is_none() && cost_micros.is_none() {
            return None;
        }
        let base = if self.span() == Span::Run { last.clone() } else { nothing(self.span(), String::new()) };
        Some(Usage {
            cost_micros,
            cost_is_of_conversation: cost_micros.is_some(),
            context: update.used,
            window: update.size,
            ..base
        })
    }
}
