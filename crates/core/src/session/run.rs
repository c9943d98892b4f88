//! One life of one agent process, and what was seen of it.

use alloc::format;
use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::ids::{RunId, Timestamp};
use crate::machine::Decision;

use super::fact::{Brief, Claim, Exit, Observation, Role, Source, TurnEnd};
use super::{Checkout, Effect, RUNS_MAX, Session};

/// What the agent is doing, as it was seen last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Nothing but the process is known: the agent has no way to tell, or has not told yet.
    #[default]
    Unknown,
    /// In a turn.
    Working,
    /// Between turns.
    Idle,
    /// Between turns, the last of which failed, by class.
    Failing(String),
    /// A permission dialog is up; nothing may be typed.
    Blocked(String),
    /// It asked the person something.
    Asking(String),
    /// The provider asked it to wait, until a moment if one is known.
    RateLimited(Option<Timestamp>),
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Which.
    pub id: RunId,
    /// What it is for.
    pub role: Role,
    /// When its host came up.
    pub started_at: Timestamp,
    /// Process id of its host.
    pub host_pid: u32,
    /// What the agent is doing.
    pub activity: Activity,
    /// Who said so, and since when.
    pub seen: (Source, Timestamp),
    /// The agent's own resumable thread id.
    pub conversation: Option<String>,
    /// How far the run's inbox was read, in bytes.
    pub cursor: u64,
    /// How and when it ended.
    pub ended: Option<(Exit, Timestamp)>,
    /// Its last words, when it failed.
    pub last_words: String,
}

impl Run {
    /// Begins a run of which only the process is known.
    #[must_use]
    pub fn begin(id: RunId, role: Role, host_pid: u32, at: Timestamp) -> Self {
        Self {
            id,
            role,
            started_at: at,
            host_pid,
            activity: Activity::Unknown,
            seen: (Source::Process, at),
            conversation: None,
            cursor: 0,
            ended: None,
            last_words: String::new(),
        }
    }

    /// Tells whether something may be typed now: between turns, or when the agent tells nothing of turns. A dialog is
    /// never typed into, and one may come up at any moment of a turn.
    #[must_use]
    pub fn takes_messages(&self, tells_of_turns: bool) -> bool {
        let between_turns = match self.activity {
            Activity::Unknown => !tells_of_turns,
            Activity::Idle | Activity::Failing(_) | Activity::Asking(_) => true,
            Activity::Working | Activity::Blocked(_) | Activity::RateLimited(_) => false,
        };
        self.ended.is_none() && between_turns
    }
}

impl Session {
    /// Tells whether its agent may be typed to now.
    #[must_use]
    pub fn takes_messages(&self) -> bool {
        let tells = self.brief.as_ref().is_some_and(|brief| brief.agent.tells_of_turns);
        self.live_run().is_some_and(|run| run.takes_messages(tells))
    }

    /// Wants the next run, under a key that is this run's for ever.
    pub(crate) fn decide_run(
        &self,
        brief: &Brief,
        checkout: &Checkout,
        role: Role,
        decision: &mut Decision<Effect>,
    ) {
        let Some(prompt) = &self.run_wanted else { return };
        if self.live_run().is_some() || self.halt.is_some() || self.runs_begun >= RUNS_MAX {
            return;
        }
        let run = RunId(self.runs_begun);
        let Some(key) = self.next_key("run", &format!("{run}"), decision) else { return };
        decision.want(
            key,
            Effect::StartRun {
                run,
                role,
                brief: brief.clone(),
                workspace: checkout.path.clone(),
                prompt: prompt.clone(),
            },
        );
    }

    /// Takes in what an adapter saw. News of a run that is not the live one changes nothing.
    pub(super) fn observe(
        &mut self,
        run_id: RunId,
        source: Source,
        observation: &Observation,
        cursor: u64,
        (seq, at): (u64, Timestamp),
    ) {
        match observation {
            Observation::MessageTaken { message } => self.note_taken(message),
            // A turn that begins after something was typed is the agent taking it up.
            Observation::TurnStarted if self.live_run().is_some_and(|run| run.id == run_id) => {
                self.note_oldest_typed_taken();
            }
            _ => {}
        }
        let Some(run) = self.runs.last_mut().filter(|run| run.id == run_id) else { return };
        run.cursor = run.cursor.max(cursor);
        if run.ended.is_some() {
            // A claim that was on its way when the process ended still stands.
            if let Observation::Claimed { claim, note } = observation {
                self.claim = Some((*claim, note.clone(), at));
            }
            return;
        }
        let activity = match observation {
            Observation::Started { conversation } => {
                run.conversation = conversation.clone().or(run.conversation.take());
                // It may begin a turn with what it was told first, so it is not idle yet.
                None
            }
            Observation::TurnStarted | Observation::PermissionResolved => Some(Activity::Working),
            Observation::TurnEnded(TurnEnd::Ok | TurnEnd::Interrupted | TurnEnd::Unknown) => {
                Some(Activity::Idle)
            }
            Observation::TurnEnded(TurnEnd::Error(class)) => Some(Activity::Failing(class.clone())),
            Observation::PermissionAsked { what } => Some(Activity::Blocked(what.clone())),
            Observation::QuestionAsked { what } => Some(Activity::Asking(what.clone())),
            Observation::RateLimited { until } => Some(Activity::RateLimited(*until)),
            Observation::Claimed { claim, note } => {
                self.claim = Some((*claim, note.clone(), at));
                None
            }
            Observation::MessageTaken { .. } => None,
        };
        if let Some(activity) = activity {
            let begins_work = matches!(observation, Observation::TurnStarted);
            if run.activity != activity {
                run.seen.1 = at;
            }
            run.seen.0 = source;
            run.activity = activity;
            if begins_work {
                // New work makes an old claim stale.
                self.claim = self.claim.take().filter(|(claim, ..)| *claim == Claim::PhaseDone);
            }
        }
        if matches!(observation, Observation::TurnEnded(_) | Observation::Claimed { .. }) {
            self.work_due = Some(seq);
        }
    }
}
