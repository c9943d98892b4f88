//! The lines of the stream, as far as they say something. Every part may be missing or something else.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

use crate::part::{Flag, Number, Raw, Word, each};

/// Any line.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Line<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Word<'a>,
    #[serde(borrow)]
    pub subtype: Word<'a>,
    #[serde(borrow)]
    pub uuid: Word<'a>,
    #[serde(borrow)]
    pub session_id: Word<'a>,
    #[serde(borrow)]
    pub model: Word<'a>,
    #[serde(borrow)]
    pub claude_code_version: Word<'a>,
    #[serde(borrow)]
    pub parent_tool_use_id: Word<'a>,
    #[serde(borrow)]
    pub message: Raw<'a>,
    #[serde(rename = "isReplay")]
    pub is_replay: Flag,
    #[serde(borrow)]
    pub error: Word<'a>,
    #[serde(borrow)]
    pub content: Word<'a>,
    pub error_status: Number,
    pub attempt: Number,
    pub max_retries: Number,
    #[serde(borrow)]
    pub rate_limit_info: Raw<'a>,
    #[serde(borrow)]
    pub command_uuid: Word<'a>,
    #[serde(borrow)]
    pub state: Word<'a>,
    #[serde(borrow)]
    pub request_id: Word<'a>,
    #[serde(borrow)]
    pub request: Raw<'a>,
    pub is_error: Flag,
    pub api_error_status: Number,
    #[serde(borrow)]
    pub api_error: Word<'a>,
    #[serde(borrow)]
    pub terminal_reason: Word<'a>,
    #[serde(borrow)]
    pub result: Word<'a>,
    #[serde(borrow)]
    pub errors: Raw<'a>,
    #[serde(borrow)]
    pub usage: Raw<'a>,
    #[serde(rename = "modelUsage", borrow)]
    pub model_usage: Raw<'a>,
    pub total_cost_usd: Number,
}

/// A part of a message's content.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Block<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Word<'a>,
    #[serde(borrow)]
    pub text: Word<'a>,
    #[serde(borrow)]
    pub thinking: Word<'a>,
    #[serde(borrow)]
    pub id: Word<'a>,
    #[serde(borrow)]
    pub name: Word<'a>,
    #[serde(borrow)]
    pub input: Raw<'a>,
    #[serde(borrow)]
    pub tool_use_id: Word<'a>,
    pub is_error: Flag,
    #[serde(borrow)]
    pub content: Raw<'a>,
}

/// Something the agent asks its client.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Request<'a> {
    #[serde(borrow)]
    pub subtype: Word<'a>,
    #[serde(borrow)]
    pub tool_name: Word<'a>,
    #[serde(borrow)]
    pub tool_use_id: Word<'a>,
    #[serde(borrow)]
    pub input: Raw<'a>,
    #[serde(borrow)]
    pub permission_suggestions: Raw<'a>,
}

/// What is said of a limit of the provider's.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RateLimit<'a> {
    #[serde(borrow)]
    pub status: Word<'a>,
    /// Seconds since the Unix epoch.
    #[serde(rename = "resetsAt")]
    pub resets_at: Number,
}

/// What is said of a model in a result.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ModelUse {
    #[serde(rename = "contextWindow")]
    pub context_window: Number,
}

/// What a tool gave, as one text.
#[derive(Debug, Default)]
pub struct Output(pub String);

impl<'de> Deserialize<'de> for Output {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        let word: Word<'_> = crate::part::read(Some(raw));
        let parts: Vec<Block<'_>> = each(Some(raw));
        let parts = parts.iter().map(|part| &*part.text).filter(|text| !text.is_empty());
        Ok(Self(word.some().map_or_else(|| parts.collect::<Vec<_>>().join("\n"), str::to_owned)))
    }
}
