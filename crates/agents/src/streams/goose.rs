//! What `goose run --output-format stream-json` prints, written from its documentation and never run here.
//!
//! Messages come in pieces that bear one id. Only a total of tokens is told, which is no usage: input and output are not told
//! apart. The session's name is ours, so there is none to be learned.

use oarlock_core::session::fact::TurnEnd;
use serde::Deserialize;

use super::loose::{List, Object, Text};
use super::{Input, Reader, fault, note, piece, tool_ended, tool_started, what};
use crate::drive::Step;

/// Reads the stream.
#[derive(Default)]
pub struct Goose {
    end: Option<TurnEnd>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    #[serde(borrow)]
    message: Object<Message<'a>>,
    #[serde(borrow)]
    error: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: List<Object<Block<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Block<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    tool_call: Object<Outcome<'a>>,
    #[serde(borrow)]
    tool_result: Object<Outcome<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outcome<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    value: Object<Call<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Call<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Object<Input<'a>>,
}

impl Reader for Goose {
    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let Ok(read) = serde_json::from_slice::<Line<'_>>(line) else { return Vec::new() };
        match &*read.r#type {
            "message" => {
                let is_its_own = &*read.message.role == "assistant";
                read.message.content.0.iter().flat_map(|block| steps_of(block, is_its_own)).collect()
            }
            "error" => {
                self.end = Some(TurnEnd::Error(fault::class(None, &read.error).into()));
                vec![note(&*read.error)]
            }
            "complete" => {
                self.end = self.end.take().or(Some(TurnEnd::Ok));
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn conversation(&self) -> Option<&str> {
        None
    }

    fn end(&self) -> Option<TurnEnd> {
        self.end.clone()
    }
}

fn steps_of(block: &Block<'_>, is_its_own: bool) -> Vec<Step> {
    match &*block.r#type {
        "text" if is_its_own => piece(&block.text).into_iter().collect(),
        "toolRequest" => {
            let call = &block.tool_call.value;
            tool_started(&block.id, &call.name, what(&call.name, &call.arguments)).into()
        }
        "toolResponse" => tool_ended(&block.id, &*block.tool_result.status != "error", ""),
        _ => Vec::new(),
    }
}
