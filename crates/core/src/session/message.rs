//! Messages to the agent: queued, typed exactly once by the host, taken up by the agent.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ids::{MessageId, RunId, Timestamp};
use crate::machine::{Decision, Key};

use super::fact::{Author, Receipt, Trouble};
use super::{ATTEMPTS_MAX, Activity, Effect, MESSAGES_KEPT, RETRY_MS, Run, Session, TAKEN_WAIT_MS};

/// How far a message came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Waits for a run that may be typed into.
    Waiting,
    /// It may or may not have been typed: the host is asked before anything else happens.
    InDoubt(RunId),
    /// The host has it.
    Typed(Timestamp),
    /// The agent took it up.
    Taken(Timestamp),
    /// It will not be typed.
    Refused(Trouble),
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Who wrote it.
    pub author: Author,
    /// Its text, cleaned.
    pub text: String,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// How far it came.
    pub state: MessageState,
    /// Deliveries tried; it names the next one.
    pub attempts: u32,
    /// Deliveries that failed; enough of them end it.
    pub failed: u32,
    /// Not to be tried before this moment.
    pub not_before: Timestamp,
}

impl Message {
    /// Tells whether it still has a way to go before it is typed.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, MessageState::Waiting | MessageState::InDoubt(_))
    }
}

impl Session {
    /// Wants the oldest waiting message typed: one at a time, so that they arrive in order.
    pub(super) fn decide_messages(&self, decision: &mut Decision<Effect>) {
        let Some(message) = self.messages.iter().find(|message| message.is_waiting()) else { return };
        match (&message.state, self.live_run()) {
            (MessageState::InDoubt(run), _) => decision.want(
                format!("receipt/{}/{}", message.id, message.attempts),
                Effect::SeekReceipt { run: *run, message: message.id.clone() },
            ),
            (MessageState::Waiting, Some(run)) if self.takes_messages() && self.halt.is_none() => {
                if self.clock < message.not_before {
                    return decision.wake_at(message.not_before, "retry message");
                }
                if let Some(at) = self.taken_by(run)
                    && self.clock < at
                {
                    return decision.wake_at(at, "the last message taken up");
                }
                // The run is part of the key: evidence of a lost delivery is sought where it was delivered.
                decision.want(
                    format!("message/{}/{}/{}", message.id, run.id, message.attempts),
                    Effect::Deliver {
                        run: run.id,
                        message: message.id.clone(),
                        author: message.author,
                        text: message.text.clone(),
                    },
                );
            }
            _ => {}
        }
    }

    /// Returns until when the next message waits for the last one to be taken up: an agent that tells of its turns is
    /// about to begin one.
    fn taken_by(&self, run: &Run) -> Option<Timestamp> {
        let tells_of_turns = run.activity != Activity::Unknown;
        let typed = self.messages.iter().rev().find_map(|message| match message.state {
            MessageState::Typed(at) => Some(at),
            _ => None,
        });
        typed.filter(|_| tells_of_turns).map(|at| at.plus_ms(TAKEN_WAIT_MS))
    }

    /// Takes in that a message was queued.
    pub(super) fn queue_message(&mut self, message: Message) {
        if self.messages.iter().any(|known| known.id == message.id) {
            return;
        }
        self.messages.push(message);
        while self.messages.len() > MESSAGES_KEPT {
            let Some(oldest) = self.messages.iter().position(|message| !message.is_waiting()) else { return };
            self.messages.remove(oldest);
        }
    }

    /// Takes in a receipt; a later step is never undone by an earlier one arriving late.
    pub(super) fn note_receipt(&mut self, id: &MessageId, receipt: Receipt, at: Timestamp) {
        let Some(message) = self.messages.iter_mut().find(|message| message.id == *id) else { return };
        message.state = match (receipt, &message.state) {
            (_, MessageState::Taken(_)) => return,
            (Receipt::Taken, _) => MessageState::Taken(at),
            (Receipt::Typed, MessageState::Typed(_)) => return,
            (Receipt::Typed, _) => MessageState::Typed(at),
        };
    }

    /// Takes in that the agent took a message up.
    pub(super) fn note_taken(&mut self, id: &MessageId) {
        self.note_receipt(id, Receipt::Taken, self.clock);
    }

    /// Takes in that the agent took up what was typed first.
    pub(super) fn note_oldest_typed_taken(&mut self) {
        let typed = self.messages.iter().find(|message| matches!(message.state, MessageState::Typed(_)));
        if let Some(id) = typed.map(|message| message.id.clone()) {
            self.note_taken(&id);
        }
    }

    /// Takes in that a message was held back at the last look: nothing was typed, and nothing failed.
    pub(super) fn note_held(&mut self, id: &MessageId) {
        let not_before = self.clock.plus_ms(RETRY_MS);
        let held = self.messages.iter_mut().find(|message| message.id == *id && message.is_waiting());
        if let Some(message) = held {
            message.attempts += 1;
            message.state = MessageState::Waiting;
            message.not_before = not_before;
        }
    }

    /// Takes in that a message was certainly not typed.
    pub(super) fn note_not_typed(&mut self, id: &MessageId, trouble: &Trouble, again: bool) {
        let clock = self.clock;
        let Some(message) = self.messages.iter_mut().find(|message| message.id == *id) else { return };
        if !message.is_waiting() {
            return;
        }
        message.attempts += 1;
        message.failed += 1;
        if again && message.failed <= ATTEMPTS_MAX {
            message.state = MessageState::Waiting;
            message.not_before = clock.plus_ms(RETRY_MS << (message.failed - 1));
        } else {
            message.state = MessageState::Refused(trouble.clone());
        }
    }

    /// Takes in that a delivery was begun and its end is not known: evidence is sought, nothing is retyped.
    pub(super) fn note_delivery_lost(&mut self, key: &Key) {
        let parts: Vec<&str> = key.0.split('/').collect();
        let [_, id, run, _] = parts[..] else { return };
        let lost = self.messages.iter_mut().find(|message| message.id.as_str() == id);
        if let (Some(message), Ok(run)) = (lost, run.parse())
            && message.state == MessageState::Waiting
        {
            message.state = MessageState::InDoubt(RunId(run));
        }
    }

    /// Takes in that the search for evidence was begun and its end is not known: it is begun anew when it is wanted.
    pub(super) fn note_receipt_lost(&mut self, key: &Key) {
        let parts: Vec<&str> = key.0.split('/').collect();
        let [_, id, _] = parts[..] else { return };
        let sought = self.messages.iter_mut().find(|message| message.id.as_str() == id);
        if let Some(message) = sought.filter(|message| message.is_waiting()) {
            message.attempts += 1;
        }
    }
}
