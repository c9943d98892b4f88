//! What `kimi -p --output-format stream-json` prints (seen with 2.1.0): messages in the shape of a chat, and notes about them.
//!
//! There are no tokens, no result, and errors are on standard error only. A hint how to resume is its last line when all
//! went well.

use oarlock_core::session::fact::{Observation, TurnEnd};
use serde::Deserialize;

use super::loose::{List, Number, Object, Text};
use super::{Input, Reader, fault, note, tool_ended, tool_started, what, words};
use crate::drive::Step;

/// Reads the stream.
#[derive(Default)]
pub struct Kimi {
    conversation: Option<String>,
    end: Option<TurnEnd>,
    version: Option<String>,
    is_limited: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    r#type: Text<'a>,
    #[serde(borrow)]
    version: Text<'a>,
    #[serde(borrow)]
    content: Text<'a>,
    #[serde(borrow)]
    tool_calls: List<Object<Call<'a>>>,
    #[serde(borrow)]
    tool_call_id: Text<'a>,
    #[serde(borrow)]
    session_id: Text<'a>,
    status_code: Number,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Call<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    function: Object<Function<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Function<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    /// JSON in a text.
    #[serde(borrow)]
    arguments: Text<'a>,
}

impl Reader for Kimi {
    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let Ok(read) = serde_json::from_slice::<Line<'_>>(line) else { return Vec::new() };
        match (&*read.role, &*read.r#type) {
            ("meta", "system.version") => {
                self.version = read.version.some();
                self.started()
            }
            ("meta", "turn.step.retrying") => self.retry(read.status_code.whole()),
            ("meta", "session.resume_hint") => {
                self.conversation = read.session_id.some();
                self.end = Some(TurnEnd::Ok);
                self.started()
            }
            ("assistant", _) => {
                let mut steps: Vec<Step> = words(&read.content).into_iter().collect();
                for call in &read.tool_calls.0 {
                    let function = &call.function;
                    let input: Object<Input<'_>> =
                        serde_json::from_str(&function.arguments).unwrap_or_default();
                    steps.extend(tool_started(&call.id, &function.name, what(&function.name, &input)));
                }
                steps
            }
            // Whether it went well is not told.
            ("tool", _) => tool_ended(&read.tool_call_id, true, &read.content),
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

impl Kimi {
    fn started(&self) -> Vec<Step> {
        let (conversation, version) = (self.conversation.clone(), self.version.clone());
        vec![Step::Observe(Observation::Started { conversation, model: None, version })]
    }

    fn retry(&mut self, status: u64) -> Vec<Step> {
        let mut steps = vec![note(format!("The provider answered {status}; it is asked again."))];
        let class = fault::class(u16::try_from(status).ok(), "");
        if class == "rate_limit" && !std::mem::replace(&mut self.is_limited, true) {
            steps.push(Step::Observe(Observation::RateLimited { until: None }));
        }
        steps
    }
}
