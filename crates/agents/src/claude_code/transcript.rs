//! What Claude Code's own record of a conversation says that no hook does: tokens, and a turn interrupted with Esc.

use oarlock_core::session::fact::{Observation, Span, TurnEnd, Usage};
use oarlock_core::text;
use serde::Deserialize;

use crate::part::{Flag, Number, Raw, Word, each, read as part};
use crate::{Hooked, ID_CHARS_MAX};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(rename = "type", borrow)]
    kind: Word<'a>,
    #[serde(rename = "isSidechain")]
    is_sidechain: Flag,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(rename = "totalCostUSD")]
    total_cost: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub id: Word<'a>,
    #[serde(borrow)]
    pub model: Word<'a>,
    #[serde(borrow)]
    pub content: Raw<'a>,
    #[serde(borrow)]
    pub usage: Raw<'a>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    pub input_tokens: Number,
    pub cache_read_input_tokens: Number,
    pub cache_creation_input_tokens: Number,
    pub output_tokens: Number,
}

impl Tokens {
    pub fn usage(self, span: Span, id: &str) -> Usage {
        Usage {
            span,
            id: text::line(id, ID_CHARS_MAX),
            input: self.input_tokens.count(),
            cache_read: self.cache_read_input_tokens.count(),
            cache_write: self.cache_creation_input_tokens.count(),
            output: self.output_tokens.count(),
            cost_micros: None,
            cost_is_of_conversation: true,
            context: None,
            window: None,
        }
    }

    pub fn context(self) -> u64 {
        let all = [self.input_tokens, self.cache_read_input_tokens, self.cache_creation_input_tokens];
        all.into_iter().map(Number::count).fold(self.output_tokens.count(), u64::saturating_add)
    }

    pub fn is_nothing(self) -> bool {
        self.context() == 0
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Block<'a> {
    #[serde(borrow)]
    text: Word<'a>,
}

/// Millionths of a dollar.
pub(super) fn micros(dollars: Number) -> Option<u64> {
    dollars.0.map(|dollars| Number(Some(dollars * 1e6)).count())
}

/// Reads one line. Each message is on as many lines as it has parts, each with the usage of the whole: its id tells.
pub fn read(line: &[u8]) -> Hooked {
    let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { return Hooked::default() };
    match &*line.kind {
        "assistant" => {
            let message: Message<'_> = part(line.message);
            let tokens: Tokens = part(message.usage);
            if tokens.is_nothing() || message.id.is_empty() {
                return Hooked::default();
            }
            let mut usage = tokens.usage(Span::Call, &message.id);
            usage.context = (!line.is_sidechain.0).then(|| tokens.context());
            let raw = message.usage.map(|raw| raw.get().to_owned()).into_iter().collect();
            Hooked { raw, ..Hooked::one(Observation::Used(usage)) }
        }
        "user" if !line.is_sidechain.0 && is_interruption(line.message) => {
            Hooked::one(Observation::TurnEnded(TurnEnd::Interrupted))
        }
        "cost-state" => {
            let mut usage = Tokens::default().usage(Span::Call, "cost-state");
            usage.cost_micros = micros(line.total_cost);
            Hooked::one(Observation::Used(usage))
        }
        _ => Hooked::default(),
    }
}

fn is_interruption(message: Raw<'_>) -> bool {
    const WORDS: [&str; 2] = ["[Request interrupted by user]", "[Request interrupted by user for tool use]"];
    // The whole message is this one part; what a person writes may hold the words, but not be them.
    let message: Message<'_> = part(message);
    let blocks: Vec<Block<'_>> = each(message.content);
    matches!(blocks.as_slice(), [only] if WORDS.contains(&&*only.text))
}
