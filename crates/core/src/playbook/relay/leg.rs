//! One leg of a relay: what it is told, how it ended, and what it left.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::baton::Fault;
use crate::ids::{Oid, RunId, Timestamp};
use crate::session::fact::{Claim, Exit};
use crate::session::{Activity, Run};

use super::Ask;

/// One leg, which is one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Its run.
    pub run: RunId,
    /// The phase it was given, counted from 1.
    pub phase: u32,
    /// Who ran it: an index into the relay's agents.
    pub agent: u32,
    /// When it began.
    pub began: Timestamp,
    /// Most tokens that were in its context.
    pub context: u64,
    /// Its last claim, the note to it, and when it was made.
    pub claim: Option<(Claim, String, Timestamp)>,
    /// What it was asked, and when.
    pub asked: BTreeMap<Ask, Timestamp>,
    /// How it ended, and when.
    pub ended: Option<(LegEnd, Timestamp)>,
    /// What it left.
    pub closed: Option<Closed>,
}

/// How a leg ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegEnd {
    /// It said so.
    Claimed(Claim),
    /// Its context was full, and it was asked to hand over.
    OverBudget,
    /// Its turn ended, and it claimed nothing.
    Silent,
    /// Its process ended by itself.
    Crashed(Exit),
    /// Its provider asked it to wait, until a moment if one is known.
    RateLimited(Option<Timestamp>),
    /// Its turn failed, by class.
    Failed(String),
    /// A person stopped it.
    Stopped,
    /// A limit of the whole relay was reached.
    Limit,
}

impl LegEnd {
    /// Returns it as a sentence.
    #[must_use]
    pub fn says(&self) -> String {
        match self {
            LegEnd::Claimed(Claim::Done) => "It claims that all phases are complete.".into(),
            LegEnd::Claimed(Claim::PhaseDone) => "It claims that the phase is complete.".into(),
            LegEnd::Claimed(Claim::HandingOff) => "It handed over.".into(),
            LegEnd::Claimed(Claim::Stuck) => "It cannot go on.".into(),
            LegEnd::OverBudget => "Its context was full.".into(),
            LegEnd::Silent => "It ended its turn without a claim.".into(),
            LegEnd::Crashed(Exit::Code(code)) => format!("Its process ended with exit code {code}."),
            LegEnd::Crashed(Exit::Signal(signal)) => format!("Signal {signal} ended it."),
            LegEnd::Crashed(Exit::NotStarted(why)) => format!("It could not be started: {why}."),
            LegEnd::Crashed(Exit::Unknown) => "How it ended is not known.".into(),
            LegEnd::RateLimited(_) => "Its provider asked it to wait.".into(),
            LegEnd::Failed(class) => format!("Its turn failed: {class}."),
            LegEnd::Stopped => "A person stopped it.".into(),
            LegEnd::Limit => "The relay's limit was reached.".into(),
        }
    }
}

/// What a leg left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The commit its branch was at.
    pub head: Oid,
    /// Commits it made.
    pub commits: u32,
    /// Paths it changed and did not commit.
    pub dirty: u32,
    /// What is passed on.
    pub baton: String,
    /// Whether that was derived from git and the end of the run, as the agent left nothing that could be passed on.
    pub is_derived: bool,
    /// What was wrong with its baton.
    pub faults: Vec<Fault>,
    /// Whether the file of the plan says something else than the plan that is worked.
    pub plan_edited: bool,
}

/// A leg that is over, to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// Its run.
    pub run: RunId,
    /// The phase it was given, counted from 1, and that phase's name.
    pub phase: (u32, String),
    /// Phases of the plan.
    pub phases: u32,
    /// SHA-256 of the plan.
    pub plan: String,
    /// The file of the plan.
    pub source: String,
    /// The workspace's path.
    pub workspace: String,
    /// The branch it should be on.
    pub branch: String,
    /// The revision from which commits ahead are counted.
    pub base: String,
    /// The commit the leg began from.
    pub head_before: Oid,
    /// The baton it was given; empty when it was the first.
    pub given: String,
    /// How it ended, in a sentence.
    pub ended: String,
    /// Its last words, in a line.
    pub last_words: String,
}

/// What a leg is told, beside the plan itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LegBrief {
    /// Its number, counted from 1.
    pub number: u32,
    /// The phase at hand, counted from 1.
    pub phase: u32,
    /// That phase's name.
    pub name: String,
    /// That phase's first and last line in the plan.
    pub lines: (u32, u32),
    /// How to tell that it is done.
    pub checks: Vec<String>,
    /// The names of all phases.
    pub phases: Vec<String>,
    /// What phases are called.
    pub unit: String,
    /// SHA-256 of the plan.
    pub plan: String,
    /// Tokens of context it may fill.
    pub budget: u64,
    /// The baton; empty for the first leg.
    pub baton: String,
    /// What is wrong with the baton, in a sentence each.
    pub doubts: Vec<String>,
    /// What every leg is told beside the plan; empty for nothing.
    pub standing: String,
    /// What a person said when they had the relay go on; empty for nothing.
    pub words: String,
}

impl Leg {
    pub(crate) fn begin(run: RunId, phase: u32, agent: u32, at: Timestamp) -> Self {
        Self {
            run,
            phase,
            agent,
            began: at,
            context: 0,
            claim: None,
            asked: BTreeMap::new(),
            ended: None,
            closed: None,
        }
    }

    /// Returns what it was asked last.
    pub(crate) fn asked_last(&self) -> Option<(Ask, Timestamp)> {
        self.asked.iter().map(|(ask, at)| (*ask, *at)).max_by_key(|(_, at)| *at)
    }

    /// Returns how it ended, by what was known of its run at the end.
    pub(crate) fn end_by(&self, run: &Run, exit: &Exit, is_halted: bool, is_limited: bool) -> LegEnd {
        if is_halted {
            return LegEnd::Stopped;
        }
        if let Some((claim, ..)) = &self.claim {
            return LegEnd::Claimed(*claim);
        }
        match &run.activity {
            _ if matches!(exit, Exit::NotStarted(_)) => LegEnd::Crashed(exit.clone()),
            Activity::RateLimited(until) => LegEnd::RateLimited(*until),
            Activity::Failing(class) if matches!(class.as_str(), "rate_limit" | "overloaded") => {
                LegEnd::RateLimited(None)
            }
            Activity::Failing(class) if class == "context_full" => LegEnd::OverBudget,
            Activity::Failing(class) => LegEnd::Failed(class.clone()),
            _ if is_limited => LegEnd::Limit,
            _ if self.asked.contains_key(&Ask::Handover) => LegEnd::OverBudget,
            Activity::Idle => LegEnd::Silent,
            _ if *exit == Exit::Code(0) => LegEnd::Silent,
            _ => LegEnd::Crashed(exit.clone()),
        }
    }
}
