//! Answers to what an agent asked: given by a person, carried once, and moot as soon as nothing is asked any more.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ids::RunId;
use crate::machine::{Decision, Key};

use super::fact::{Answer, Trouble};
use super::{Effect, Session};

/// An answer on its way, or one that could not be given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingAnswer {
    /// Position of the wish in the log: it names the answer.
    pub given: u64,
    /// The run that asked.
    pub run: RunId,
    /// The question, when it has a name.
    pub ask: Option<String>,
    /// The answer.
    pub answer: Answer,
    /// Whether it was carried, or why it could not be; `None` while it is on its way.
    pub carried: Option<Result<(), Trouble>>,
}

impl Session {
    /// Wants the answer carried while its question stands.
    pub(super) fn decide_answer(&self, decision: &mut Decision<Effect>) {
        let (Some(answer), Some(run)) = (&self.answer, self.live_run()) else { return };
        if answer.run != run.id || answer.carried.is_some() || !run.waits_for_answer() || self.halt.is_some()
        {
            return;
        }
        decision.want(
            format!("answer/{}/{}", answer.given, run.id),
            Effect::Answer {
                run: run.id,
                given: answer.given,
                ask: answer.ask.clone(),
                answer: answer.answer.clone(),
            },
        );
    }

    /// Takes in that somebody answered.
    pub(super) fn answer_given(&mut self, ask: Option<&String>, answer: &Answer, seq: u64) {
        let Some(run) = self.live_run() else { return };
        let ask = ask.cloned().or_else(|| run.ask.clone());
        self.answer =
            Some(PendingAnswer { given: seq, run: run.id, ask, answer: answer.clone(), carried: None });
    }

    /// Takes in what became of an answer.
    pub(super) fn answer_carried(&mut self, given: u64, trouble: Option<&Trouble>) {
        if let Some(answer) = self.answer.as_mut().filter(|answer| answer.given == given) {
            answer.carried = Some(trouble.map_or(Ok(()), |trouble| Err(trouble.clone())));
        }
    }

    /// Takes in that an answer was begun to be given while the daemon died, and that nobody wanted it any more after.
    pub(super) fn note_answer_lost(&mut self, key: &Key) {
        let Some(given) = given_of(key) else { return };
        let trouble = Trouble {
            code: "in_doubt".into(),
            message: "It is not known whether the answer reached the agent.".into(),
            hint: "Answer again if it still asks.".into(),
            paths: Vec::new(),
        };
        self.answer_carried(given, Some(&trouble));
    }
}

/// Returns which answer a key is of.
pub(super) fn given_of(key: &Key) -> Option<u64> {
    key.0.split('/').nth(1)?.parse().ok()
}
