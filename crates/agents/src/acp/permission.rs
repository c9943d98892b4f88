//! Permissions an agent asks for, and how they are answered: by the kind of an answer, never by its place or its name.

use oarlock_core::session::fact::{Observation, Permissions};
use oarlock_core::text;
use serde_json::{Value, json};

use crate::NOTE_CHARS_MAX;
use crate::drive::{Say, Show, Step};
use crate::lenient::{Text, members, word};
use crate::screen::Answer;

use super::Acp;
use super::wire::{self, Asked, Block, PermissionOption, Update};

/// Most permissions open at once: tools asked for side by side are a few.
const ASKS_MAX: usize = 64;

/// A permission asked for and not yet answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// The request's id, as JSON.
    rpc: String,
    /// The call it is about.
    call: String,
    /// What it is about, in one line.
    what: String,
    /// The answers it takes: kind and id.
    options: Vec<(String, String)>,
}

impl Ask {
    fn option(&self, kinds: &[&str]) -> Option<&str> {
        kinds.iter().find_map(|kind| {
            self.options.iter().find(|(offered, _)| offered == kind).map(|(_, id)| id.as_str())
        })
    }
}

fn chosen(option: Option<&str>) -> Value {
    match option {
        Some(option) => json!({"outcome": {"outcome": "selected", "optionId": option}}),
        None => json!({"outcome": {"outcome": "cancelled"}}),
    }
}

/// Gives a call that is only named the words beside it for a title: some say only there what they ask for.
fn name_by_content<'a>(update: &mut Update<'a>) {
    if update.raw_input.is_some() || word(update.title.as_ref()).contains(char::is_whitespace) {
        return;
    }
    let blocks: Vec<Block<'a>> = members(update.content);
    let Some(block) = blocks.into_iter().next() else { return };
    let inner: Block<'a> = wire::read(block.content);
    if let Some(Text(words)) = inner.text {
        let what = words.strip_prefix("Requesting approval to ").unwrap_or(&words);
        let what = what.strip_prefix("Running: ").unwrap_or(what);
        update.title = Some(Text(what.to_owned().into()));
    }
}

impl Acp {
    pub(super) fn permission_requested(&mut self, rpc: &str, mut asked: Asked<'_>) {
        let mut call = String::new();
        let mut what = String::from("to go on");
        let mut is_free = self.permissions == Permissions::Bypass;
        if let Some(update) = &mut asked.tool_call {
            name_by_content(update);
            call = self.learn_call(update, true);
            if let Some(known) = self.calls.iter().find(|known| known.id == call) {
                what = text::line(&known.what, NOTE_CHARS_MAX);
                is_free |=
                    self.permissions == Permissions::AcceptEdits && known.edits_inside(&self.workspace);
            }
        }
        let options: Vec<PermissionOption<'_>> = members(asked.options);
        let options = options
            .iter()
            .map(|option| (word(option.kind.as_ref()).to_owned(), word(option.option_id.as_ref()).to_owned()))
            .collect();
        let ask = Ask { rpc: rpc.into(), call, what, options };
        let free = ask.option(&["allow_once", "allow_always"]).filter(|_| is_free);
        if let Some(option) = free {
            self.out.push(Step::Send(wire::answer(rpc, &chosen(Some(option)))));
            return;
        }
        if self.asks.len() >= ASKS_MAX {
            self.out.push(Step::Send(wire::answer(rpc, &chosen(None))));
            return;
        }
        self.close_words();
        self.asks.push_back(ask);
        if self.asks.len() == 1 {
            self.ask_oldest();
        }
    }

    /// Puts the oldest question to the person: one at a time.
    fn ask_oldest(&mut self) {
        let Some(ask) = self.asks.front().cloned() else { return };
        let always = if ask.option(&["allow_always"]).is_some() { ", always" } else { "" };
        self.out.push(Step::Show(Show::Asks(format!("{} (allow{always}, deny)", ask.what))));
        let call = Some(ask.call).filter(|call| !call.is_empty());
        self.observe(Observation::PermissionAsked { what: ask.what, ask: call });
    }

    pub(super) fn answer_permission(&mut self, which: Option<&str>, answer: &Answer) {
        let at = match which {
            Some(call) => self.asks.iter().position(|ask| ask.call == call),
            None => (!self.asks.is_empty()).then_some(0),
        };
        let Some(ask) = at.and_then(|at| self.asks.get(at).cloned()) else {
            self.note("Nothing of the kind is asked.");
            return;
        };
        let no = &["reject_once", "reject_always"][..];
        let (option, reason) = match answer {
            // What was asked for once is not given for ever.
            Answer::Allow => (ask.option(&["allow_once"]), ""),
            Answer::AllowAlways => (ask.option(&["allow_always", "allow_once"]), ""),
            // Words to a permission are what to do instead of it.
            Answer::Deny(reason) | Answer::Words(reason) => (ask.option(no), reason.trim()),
        };
        let denies = matches!(answer, Answer::Deny(_) | Answer::Words(_));
        if option.is_none() && !denies {
            self.note("This answer is not offered; there is deny.");
            return;
        }
        self.out.push(Step::Send(wire::answer(&ask.rpc, &chosen(option))));
        let was_shown = at == Some(0);
        self.asks.retain(|other| *other != ask);
        self.note(&format!("{}: {}", if denies { "Denied" } else { "Allowed" }, ask.what));
        if was_shown {
            self.observe(Observation::PermissionResolved);
            self.ask_oldest();
        }
        if !reason.is_empty() {
            self.queue.push_back(Say { id: None, text: reason.into(), interrupt: false });
            self.go_on();
        }
    }

    /// Answers everything that is asked with "cancelled", as the protocol wants it when a turn is.
    pub(super) fn cancel_asks(&mut self) {
        if self.asks.is_empty() {
            return;
        }
        for ask in std::mem::take(&mut self.asks) {
            self.out.push(Step::Send(wire::answer(&ask.rpc, &chosen(None))));
        }
        self.observe(Observation::PermissionResolved);
    }
}
