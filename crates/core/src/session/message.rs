//! Messages to the agent: queued, typed exactly once by the host, taken up by the agent.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ids::{MessageId, RunId, Timestamp};
use crate::machine::{Decision, Key};

use super::fact::{Author, Hold, Receipt, Trouble, When};
use super::{
    ATTEMPTS_MAX, Activity, Effect, MESSAGES_KEPT, PRESSES_MAX, RETRY_MS, Run, Session, TAKEN_WAIT_MS,
};

/// Times the wait doubles for a message that is held back: to 32 s. That the agent became ready ends the wait.
const HELD_DOUBLINGS_MAX: u32 = 5;

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
    /// When it is to arrive.
    #[serde(default)]
    pub when: When,
    /// Times it was held back since the agent last became ready for words.
    #[serde(default)]
    pub held: u32,
    /// Enters pressed again after it was typed.
    #[serde(default)]
    pub pressed: u32,
    /// The run whose turn was interrupted for it.
    #[serde(default)]
    pub interrupted: Option<RunId>,
    /// When a turn began while it was on its way: should it turn out to be typed, that turn took it up.
    #[serde(default)]
    pub turn_at: Option<Timestamp>,
}

impl Message {
    /// Makes a message that waits.
    #[must_use]
    pub fn queued(id: MessageId, author: Author, text: String, when: When, at: Timestamp) -> Self {
        Self {
            id,
            author,
            text,
            queued_at: at,
            state: MessageState::Waiting,
            attempts: 0,
            failed: 0,
            not_before: Timestamp::default(),
            when,
            held: 0,
            pressed: 0,
            interrupted: None,
            turn_at: None,
        }
    }

    /// Tells whether it still has a way to go before it is typed.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, MessageState::Waiting | MessageState::InDoubt(_))
    }
}

impl Session {
    /// Wants the oldest waiting message typed: one at a time, so that they arrive in order.
    pub(super) fn decide_messages(&self, decision: &mut Decision<Effect>) {
        self.decide_press(decision);
        let Some(message) = self.next_message() else { return };
        match (&message.state, self.live_run()) {
            (MessageState::InDoubt(run), _) => decision.want(
                format!("receipt/{}/{}", message.id, message.attempts),
                Effect::SeekReceipt { run: *run, message: message.id.clone() },
            ),
            (MessageState::Waiting, Some(run)) if self.interrupts(run, message) => {
                decision.want(
                    format!("interrupt/{}/{}", message.id, run.id),
                    Effect::Interrupt { run: run.id, message: message.id.clone() },
                );
            }
            (MessageState::Waiting, Some(run)) if self.may_deliver(run, message) && !self.stands(run) => {
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
                        mid_turn: !self.takes_messages(),
                    },
                );
            }
            _ => {}
        }
    }

    /// Returns the oldest waiting message, of those that the present run may hear: what judges hears what it was told first, and
    /// nobody else.
    fn next_message(&self) -> Option<&Message> {
        let deaf = self.live_run().filter(|run| !run.role.hears());
        let is_for = |message: &Message| match deaf {
            None => true,
            Some(run) => message.author == Author::Rule && message.id.0.ends_with(&format!("-{}", run.id)),
        };
        self.messages.iter().find(|message| message.is_waiting() && is_for(message))
    }

    /// Tells whether the present run has a message to come that it may hear.
    pub(crate) fn has_mail(&self) -> bool {
        self.next_message().is_some()
    }

    /// Tells whether a turn is under way that the message is not to wait for.
    fn interrupts(&self, run: &Run, message: &Message) -> bool {
        message.when == When::Interrupt
            && run.activity == Activity::Working
            && self.halt.is_none()
            && message.interrupted != Some(run.id)
    }

    /// Tells whether the message may be typed now: between turns, or in one when it is for then. Never into a dialog.
    fn may_deliver(&self, run: &Run, message: &Message) -> bool {
        let mid_turn = message.when == When::Now && run.activity == Activity::Working;
        self.halt.is_none() && (mid_turn || self.takes_messages())
    }

    /// Tells whether Enter may be pressed again for what was typed into a terminal: nothing was seen to take it up.
    fn presses(&self, run: &Run) -> bool {
        let in_terminal = self.brief.as_ref().is_some_and(|brief| brief.agent.hold == Hold::Terminal);
        in_terminal && matches!(run.activity, Activity::Idle | Activity::Failing(_))
    }

    /// Wants Enter pressed again for a message that was typed and that nothing was seen to take up.
    fn decide_press(&self, decision: &mut Decision<Effect>) {
        let Some(run) = self.live_run().filter(|run| self.presses(run) && self.halt.is_none()) else {
            return;
        };
        let last = self.last_typed(run).filter(|(message, _)| message.pressed < PRESSES_MAX);
        let Some((message, typed_at)) = last else { return };
        let due = typed_at.plus_ms(TAKEN_WAIT_MS * u64::from(message.pressed + 1));
        if self.clock < due {
            return decision.wake_at(due, "the last message taken up");
        }
        let number = message.pressed + 1;
        decision.want(
            format!("press/{}/{}/{number}", message.id, run.id),
            Effect::Press { run: run.id, message: message.id.clone(), number },
        );
    }

    /// Takes in that an Enter was pressed again.
    pub(super) fn note_pressed(&mut self, id: &MessageId, number: u32) {
        if let Some(message) = self.messages.iter_mut().find(|message| message.id == *id) {
            message.pressed = message.pressed.max(number);
        }
    }

    /// Takes in that an Enter may have been pressed, or not: the next one is another.
    pub(super) fn note_press_unknown(&mut self, key: &Key) {
        let parts: Vec<&str> = key.0.split('/').collect();
        let [_, id, _, number] = parts[..] else { return };
        if let Ok(number) = number.parse() {
            self.note_pressed(&MessageId(id.into()), number);
        }
    }

    /// Takes in that a turn of a run was interrupted for a message: it is not interrupted again for it.
    pub(super) fn note_interrupted(&mut self, id: &MessageId, run: RunId) {
        if let Some(message) = self.messages.iter_mut().find(|message| message.id == *id) {
            message.interrupted = Some(run);
        }
    }

    /// Takes in that a turn may have been interrupted, or not: what comes of it is seen.
    pub(super) fn note_interrupt_unknown(&mut self, key: &Key) {
        let parts: Vec<&str> = key.0.split('/').collect();
        let [_, id, run] = parts[..] else { return };
        if let Ok(run) = run.parse() {
            self.note_interrupted(&MessageId(id.into()), RunId(run));
        }
    }

    /// Returns the last message that was typed in this run and that nothing was seen to take up.
    fn last_typed(&self, run: &Run) -> Option<(&Message, Timestamp)> {
        self.messages.iter().rev().find_map(|message| match message.state {
            MessageState::Typed(at) if at >= run.started_at => Some((message, at)),
            _ => None,
        })
    }

    /// Tells whether a text stands at the prompt that an Enter may still submit: the next message would wipe it.
    fn stands(&self, run: &Run) -> bool {
        self.presses(run) && self.last_typed(run).is_some_and(|(last, _)| last.pressed < PRESSES_MAX)
    }

    /// Returns until when the next message waits for the last one to be taken up: an agent that tells of its turns is
    /// about to begin one.
    fn taken_by(&self, run: &Run) -> Option<Timestamp> {
        let tells_of_turns = run.activity != Activity::Unknown;
        let waits = if self.presses(run) { PRESSES_MAX + 1 } else { 1 };
        let (_, at) = self.last_typed(run).filter(|_| tells_of_turns)?;
        Some(at.plus_ms(TAKEN_WAIT_MS * u64::from(waits)))
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
            (Receipt::Typed, _) => message.turn_at.map_or(MessageState::Typed(at), MessageState::Taken),
        };
    }

    /// Takes in that the agent took a message up.
    pub(super) fn note_taken(&mut self, id: &MessageId) {
        self.note_receipt(id, Receipt::Taken, self.clock);
    }

    /// Takes in that a turn began: the agent took up what was typed first in this run, past what was given up, which the next
    /// one took the place of. Where nothing is known to be typed, that is what is on its way to it: a quick agent begins before the host's word for it is in the log, and any does when
    /// the daemon dies in between.
    pub(super) fn note_turn_began(&mut self) {
        let Some(run) = self.live_run() else { return };
        let (run, since, takes) = (run.id, run.started_at, self.takes_messages());
        // What was typed to one that ended is taken up by none.
        let is_typed = |message: &&Message| matches!(message.state, MessageState::Typed(at) if at >= since);
        let mut typed = self.messages.iter().filter(is_typed);
        let stands = |message: &&Message| message.pressed < PRESSES_MAX;
        if let Some(message) = typed.clone().find(stands).or(typed.next_back()) {
            let id = message.id.clone();
            return self.note_taken(&id);
        }
        let clock = self.clock;
        let Some(id) = self.next_message().map(|next| next.id.clone()) else { return };
        let Some(next) = self.messages.iter_mut().find(|message| message.id == id) else { return };
        let is_on_its_way = match next.state {
            MessageState::InDoubt(to) => to == run,
            _ => takes && next.not_before <= clock,
        };
        if is_on_its_way {
            next.turn_at = Some(clock);
        }
    }

    /// Takes in that a message was held back at the last look: nothing was typed, and nothing failed.
    pub(super) fn note_held(&mut self, id: &MessageId) {
        let clock = self.clock;
        let held = self.messages.iter_mut().find(|message| message.id == *id && message.is_waiting());
        if let Some(message) = held {
            message.attempts += 1;
            message.turn_at = None;
            message.state = MessageState::Waiting;
            message.not_before = clock.plus_ms(RETRY_MS << message.held.min(HELD_DOUBLINGS_MAX));
            message.held += 1;
        }
    }

    /// Takes in that the agent became ready for words: what was held back is not held any longer.
    pub(super) fn note_ready(&mut self) {
        for message in self.messages.iter_mut().filter(|message| message.held > 0 && message.is_waiting()) {
            message.held = 0;
            message.not_before = Timestamp::default();
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
        message.turn_at = None;
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
