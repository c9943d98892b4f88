//! The lines of the Agent Client Protocol, version 1, as far as the driver needs them. It must not know what is made of
//! them. Shapes are those of agentclientprotocol.com/protocol/schema; what is not known, or of another type, is not there.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::lenient::{Text, maybe};

/// A line: a request, an answer or a notification, by which fields it has.
#[derive(Debug, Deserialize)]
pub struct Line<'a> {
    #[serde(borrow, default)]
    pub id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub method: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
}

/// A JSON-RPC error.
#[derive(Debug, Default, Deserialize)]
pub struct Error<'a> {
    #[serde(default, deserialize_with = "maybe")]
    pub code: Option<i64>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub message: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// The answer to `initialize`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Initialized<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub agent_info: Option<AgentInfo<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub agent_capabilities: Option<Capabilities<'a>>,
    #[serde(borrow, default)]
    pub auth_methods: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
pub struct AgentInfo<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub version: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities<'a> {
    #[serde(default, deserialize_with = "maybe")]
    pub load_session: Option<bool>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub session_capabilities: Option<SessionCapabilities<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub struct SessionCapabilities<'a> {
    #[serde(borrow, default)]
    pub resume: Option<&'a RawValue>,
}

/// A thing that is named by its id.
#[derive(Debug, Default, Deserialize)]
pub struct Named<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub id: Option<Text<'a>>,
}

/// The answer to `session/new`, `session/load` and `session/resume`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Opened<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub session_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub config_options: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub modes: Option<Modes<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub models: Option<Models<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Modes<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub current_mode_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub available_modes: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Models<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub current_model_id: Option<Text<'a>>,
}

/// A setting of a session.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigOption<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub id: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub current_value: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub options: Option<&'a RawValue>,
}

/// One value that a setting may have.
#[derive(Debug, Default, Deserialize)]
pub struct Choice<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub value: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub name: Option<Text<'a>>,
}

/// The answer to `session/prompt`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prompted<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub stop_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub usage: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_meta", deserialize_with = "maybe")]
    pub meta: Option<PromptMeta<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub struct PromptMeta<'a> {
    #[serde(borrow, default)]
    pub quota: Option<&'a RawValue>,
}

/// Token counts, as a session's answer or a chunk's `_meta` has them.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    #[serde(default, deserialize_with = "maybe")]
    pub input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "maybe")]
    pub output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "maybe")]
    pub cached_read_tokens: Option<u64>,
    #[serde(default, deserialize_with = "maybe")]
    pub cached_write_tokens: Option<u64>,
}

/// Gemini's count of a turn.
#[derive(Debug, Default, Deserialize)]
pub struct Quota {
    #[serde(default, deserialize_with = "maybe")]
    pub token_count: Option<QuotaTokens>,
}

#[derive(Debug, Default, Deserialize)]
pub struct QuotaTokens {
    #[serde(default, deserialize_with = "maybe")]
    pub input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "maybe")]
    pub output_tokens: Option<u64>,
}

/// The parameters of `session/update`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Updated<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub session_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub update: Update<'a>,
}

/// One update, of any kind: `session_update` says which.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Update<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub session_update: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub content: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub tool_call_id: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub title: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub kind: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub status: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub raw_input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub raw_output: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub locations: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "maybe")]
    pub used: Option<u64>,
    #[serde(default, deserialize_with = "maybe")]
    pub size: Option<u64>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub cost: Option<Cost<'a>>,
    #[serde(borrow, default, rename = "_meta", deserialize_with = "maybe")]
    pub meta: Option<UpdateMeta<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Cost<'a> {
    #[serde(default, deserialize_with = "maybe")]
    pub amount: Option<f64>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub currency: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateMeta<'a> {
    #[serde(borrow, default)]
    pub usage: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub tool_name: Option<Text<'a>>,
}

/// A block of content: a text, or one wrapped in what a tool gave.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Block<'a> {
    #[serde(borrow, default, rename = "type", deserialize_with = "maybe")]
    pub kind: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub content: Option<&'a RawValue>,
}

/// A file that a tool is about.
#[derive(Debug, Default, Deserialize)]
pub struct Location<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub path: Option<Text<'a>>,
}

/// What a tool was called with, as far as it says in short what for.
#[derive(Debug, Default, Deserialize)]
pub struct Input<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub command: Option<Text<'a>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "maybe",
        alias = "file_path",
        alias = "filePath",
        alias = "filepath"
    )]
    pub path: Option<Text<'a>>,
}

/// The parameters of `session/request_permission`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub tool_call: Option<Update<'a>>,
    #[serde(borrow, default)]
    pub options: Option<&'a RawValue>,
}

/// An answer that a permission takes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PermissionOption<'a> {
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub option_id: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    pub kind: Option<Text<'a>>,
}

/// Reads a document that may be missing or odd; what cannot be read is as if it were empty.
pub fn read<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// Returns the line of a request.
pub fn request(id: u64, method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

/// Returns the line of a notification.
pub fn notification(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
}

/// Returns the line that answers a request; `id` is JSON as the request had it.
pub fn answer(id: &str, result: &Value) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// Returns the line that refuses a request.
pub fn refusal(id: &str, code: i64, message: &str) -> String {
    let error = json!({"code": code, "message": message});
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}
