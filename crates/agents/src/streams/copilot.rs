//! What `copilot -p --output-format json` prints (seen with 1.0.102), and the file of its usage.
//!
//! The stream has no tokens, and the conversation's id comes with the last line. A command that fails is a success of its
//! tool.

use std::borrow::Cow;
use std::collections::BTreeMap;

use oarlock_core::session::fact::{Observation, Span, TurnEnd, Usage};
use serde::Deserialize;

use super::loose::{Flag, Number, Object, Text};
use super::{Input, Reader, fault, note, piece, tool_ended, tool_started, what, words};
use crate::drive::Step;

/// Reads the stream.
#[derive(Default)]
pub struct Copilot {
    conversation: Option<String>,
    error: Option<&'static str>,
    end: Option<TurnEnd>,
    model: Option<String>,
    is_limited: bool,
    /// The message whose pieces were shown.
    shown: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    #[serde(borrow)]
    data: Object<Data<'a>>,
    #[serde(borrow, rename = "sessionId")]
    session_id: Text<'a>,
    #[serde(rename = "exitCode")]
    exit_code: Number,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    message_id: Text<'a>,
    #[serde(borrow)]
    content: Text<'a>,
    #[serde(borrow)]
    delta_content: Text<'a>,
    #[serde(borrow)]
    tool_call_id: Text<'a>,
    #[serde(borrow)]
    tool_name: Text<'a>,
    #[serde(borrow)]
    arguments: Object<Input<'a>>,
    success: Flag,
    #[serde(borrow)]
    result: Object<Output<'a>>,
    shell_execution: Object<Shell>,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    error_type: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    status_code: Number,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Output<'a> {
    #[serde(borrow)]
    content: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Shell {
    #[serde(rename = "exitCode")]
    exit_code: Number,
}

impl Reader for Copilot {
    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let Ok(read) = serde_json::from_slice::<Line<'_>>(line) else { return Vec::new() };
        let data = &read.data;
        match &*read.r#type {
            "session.tools_updated" if self.model.is_none() && !data.model.is_empty() => {
                self.model = data.model.some();
                self.started()
            }
            "assistant.message_delta" => {
                self.shown = data.message_id.to_string();
                piece(&data.delta_content).into_iter().collect()
            }
            "assistant.message" if self.shown == *data.message_id => Vec::new(),
            "assistant.message" => words(&data.content).into_iter().collect(),
            "tool.execution_start" => {
                tool_started(&data.tool_call_id, &data.tool_name, what(&data.tool_name, &data.arguments))
                    .into()
            }
            "tool.execution_complete" => {
                let ok = data.success.0 && data.shell_execution.exit_code.whole() == 0;
                tool_ended(&data.tool_call_id, ok, &data.result.content)
            }
            "assistant.turn_retry" => self.retry(&data.reason),
            "session.error" => {
                let status = u16::try_from(data.status_code.whole()).ok().filter(|status| *status > 0);
                let by_type = fault::class(status, &data.error_type);
                let class = if by_type == "error" { fault::class(status, &data.message) } else { by_type };
                self.error = Some(class);
                vec![note(&*data.message)]
            }
            "result" => {
                self.end = Some(match (self.error, read.exit_code.whole()) {
                    (Some(class), _) => TurnEnd::Error(class.into()),
                    (None, 0) => TurnEnd::Ok,
                    (None, _) => TurnEnd::Error("error".into()),
                });
                self.conversation = read.session_id.some();
                self.started()
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

impl Copilot {
    fn started(&self) -> Vec<Step> {
        let (conversation, model) = (self.conversation.clone(), self.model.clone());
        vec![Step::Observe(Observation::Started { conversation, model, version: None })]
    }

    fn retry(&mut self, reason: &str) -> Vec<Step> {
        let mut steps = vec![note(format!("The provider said {reason}; it is asked again."))];
        let is_limit = fault::class(None, reason) == "rate_limit";
        if is_limit && !std::mem::replace(&mut self.is_limited, true) {
            steps.push(Step::Observe(Observation::RateLimited { until: None }));
        }
        steps
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UsageFile<'a> {
    #[serde(borrow)]
    model_metrics: Object<BTreeMap<Cow<'a, str>, Object<Metrics>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metrics {
    usage: Object<Tokens>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tokens {
    input_tokens: Number,
    output_tokens: Number,
    cache_read_tokens: Number,
    cache_write_tokens: Number,
}

/// Reads the file that `--usage-output-file` names: the conversation's tokens so far, those of all models together. `None`
/// when there are none.
#[must_use]
pub fn usage_file(bytes: &[u8]) -> Option<Usage> {
    let file: UsageFile<'_> = serde_json::from_slice(bytes).ok()?;
    let mut usage = Usage {
        span: Span::Conversation,
        id: String::new(),
        input: 0,
        cache_read: 0,
        cache_write: 0,
        output: 0,
        cost_micros: None,
        cost_is_of_conversation: false,
        context: None,
        window: None,
    };
    for model in file.model_metrics.values() {
        let tokens = model.usage.0;
        let (read, write) = (tokens.cache_read_tokens.whole(), tokens.cache_write_tokens.whole());
        usage.input += tokens.input_tokens.whole().saturating_sub(read + write);
        usage.cache_read += read;
        usage.cache_write += write;
        usage.output += tokens.output_tokens.whole();
    }
    (usage.input + usage.cache_read + usage.output > 0).then_some(usage)
}
