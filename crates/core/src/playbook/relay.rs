//! A relay: fresh agents work a plan phase by phase, each for one leg, and pass a baton of a page.
//!
//! A leg ends with a claim, with its context budget, or without either, and each end has its own rule and limit: none burns
//! a session in seconds, and none is waited on for ever. That a phase is complete is a claim; a relay that ran to its end is
//! claimed, not done.

mod leg;
mod state;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;
use crate::machine::Decision;
use crate::session::fact::{Agent, Brief};
use crate::session::{Activity, Checkout, Effect, Run, Session};

pub use leg::{Close, Closed, Leg, LegBrief, LegEnd};
pub(crate) use state::PARK_MS_MAX;
pub(crate) use state::fold;
pub use state::{Rest, State};

/// Tokens of context that a leg may fill when nothing else is said: half of what most models hold, where they are at their
/// best.
pub const BUDGET_TOKENS: u64 = 100_000;
/// Smallest budget, in tokens: the first turn of an agent with a plan before it takes as much.
pub const BUDGET_TOKENS_MIN: u64 = 20_000;
/// Legs of a relay when nothing else is said.
pub const LEGS: u32 = 50;
/// Most legs of a relay: each is a run.
pub const LEGS_MAX: u32 = 500;
/// Legs in a row that came to nothing before a person is asked: a mistake in the plan or the machine does not mend itself.
pub const STRIKES_MAX: u32 = 3;
/// Times in a row that a relay waits for a provider's limit before a person is asked: a day at an hour each.
pub const PARKS_MAX: u32 = 24;
/// How long an agent may go on after its claim, in milliseconds: it says its last words and ends its turn.
pub const CLAIM_GRACE_MS: u64 = 60_000;
/// How long an agent that was asked to hand over may take, in milliseconds: a commit and a page take a minute or two.
pub const HANDOVER_GRACE_MS: u64 = 180_000;
/// How long an agent may take to begin a turn when it is asked for its claim, in milliseconds.
pub const ANSWER_MS: u64 = 30_000;
/// How long an agent may wait for its provider by itself, in milliseconds, before its leg ends and the relay waits instead.
pub const LIMIT_WAIT_MS: u64 = 10 * 60_000;
/// The first wait after a leg that came to nothing, in milliseconds; it doubles with each.
pub const BACKOFF_MS: u64 = 5_000;
/// The first wait for a limit whose end is not known, in milliseconds; it doubles, up to an hour.
pub const PARK_MS: u64 = 5 * 60_000;

/// What a relay was asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The plan.
    pub plan: PlanRef,
    /// Tokens of context a leg may fill before it hands over.
    pub budget: u64,
    /// Legs at most.
    pub legs_max: u32,
    /// Who runs the legs, taken in turn; never none.
    pub agents: Vec<Agent>,
    /// Time at most from the first leg on, in milliseconds.
    pub ms_max: Option<u64>,
    /// Money at most, in millionths of a US dollar, as far as agents say.
    pub cost_micros_max: Option<u64>,
}

/// A plan that is kept beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRef {
    /// SHA-256 of its text, in hex: it names what is kept.
    pub digest: String,
    /// The absolute path of the file it was read from, where a person edits it; empty when it came from elsewhere.
    pub source: String,
    /// Its title.
    pub title: String,
    /// What its phases are called.
    pub unit: String,
    /// Its phases, in order; never none.
    pub phases: Vec<PhaseRef>,
}

/// A phase of a plan that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseRef {
    /// What its author calls it, such as `Phase 2`; empty when it has only a title.
    pub label: String,
    /// Its title.
    pub title: String,
    /// Whether it is marked as done in the plan, and not worked.
    pub is_ticked: bool,
    /// Its first and last line in the plan.
    pub lines: (u32, u32),
    /// How to tell that it is done.
    pub checks: Vec<String>,
}

impl PhaseRef {
    /// Returns its name as people read it.
    #[must_use]
    pub fn name(&self) -> String {
        match (self.label.as_str(), self.title.as_str()) {
            ("", title) => title.into(),
            (label, "") => label.into(),
            (label, title) => format!("{label}: {title}"),
        }
    }
}

impl PlanRef {
    /// Refers to a plan.
    #[must_use]
    pub fn of(plan: &crate::plan::Plan, digest: String, source: String) -> Self {
        let phase = |phase: &crate::plan::Phase| PhaseRef {
            label: phase.label.clone(),
            title: phase.title.clone(),
            is_ticked: phase.is_ticked,
            lines: (phase.line_first, phase.line_last),
            checks: phase.checks.iter().map(|check| check.text.clone()).collect(),
        };
        Self {
            digest,
            source,
            title: plan.title.clone(),
            unit: plan.unit.clone(),
            phases: plan.phases.iter().map(phase).collect(),
        }
    }

    /// Returns the first phase from a number on that is to be worked, counted from 1; one past the last when none is.
    #[must_use]
    pub fn open_from(&self, number: u32) -> u32 {
        let skipped = self.phases.iter().skip(number.saturating_sub(1) as usize);
        number + u32::try_from(skipped.take_while(|phase| phase.is_ticked).count()).unwrap_or(0)
    }

    /// Counts its phases.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.phases.len()).unwrap_or(u32::MAX)
    }
}

/// What an agent is asked in the middle of its leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// To finish and hand over: its budget is used up.
    Handover,
    /// To say how it stands: its turn ended without a claim.
    Claim,
}

impl Ask {
    /// Returns the word that names it in keys.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Ask::Handover => "handover",
            Ask::Claim => "claim",
        }
    }
}

impl Options {
    pub(super) fn decide(
        &self,
        session: &Session,
        brief: &Brief,
        checkout: &Checkout,
        decision: &mut Decision<Effect>,
    ) {
        let Some(state) = &session.relay else { return };
        if let Some(run) = session.live_run() {
            if let Some(leg) = state.legs.last().filter(|leg| leg.run == run.id && session.halt.is_none()) {
                self.decide_leg(session, leg, run, decision);
            }
            return;
        }
        if let Some(leg) = state.open_leg() {
            let Some(key) = session.next_key("leg", &format!("{}", leg.run), decision) else { return };
            return decision.want(key, Effect::CloseLeg(self.close(session, state, leg, brief, checkout)));
        }
        if session.clock < state.not_before && session.run_wanted.is_some() && session.halt.is_none() {
            return decision.wake_at(state.not_before, "the next leg");
        }
        session.decide_leg(brief, checkout, self.leg_brief(state, brief), decision);
    }

    /// Ends a leg that is over, and asks one for its claim or its handover first.
    fn decide_leg(&self, session: &Session, leg: &Leg, run: &Run, decision: &mut Decision<Effect>) {
        match self.end_of(session, leg, run) {
            End::Now => session.decide_stop(run, decision),
            End::At(at, why) => {
                if session.clock >= at {
                    session.decide_stop(run, decision);
                } else {
                    decision.wake_at(at, why);
                }
            }
            End::Ask(ask) => decision.want(
                format!("ask/{}/{}", run.id, ask.word()),
                Effect::Ask { run: run.id, ask, mid_turn: run.activity == Activity::Working },
            ),
            End::NotYet => {}
        }
        if let Some(at) = self.time_is_up_at(session).filter(|at| session.clock < *at) {
            decision.wake_at(at, "the relay's time");
        }
    }

    fn end_of(&self, session: &Session, leg: &Leg, run: &Run) -> End {
        if self.limit(session).is_some() {
            return End::Now;
        }
        let between_turns = matches!(run.activity, Activity::Idle | Activity::Failing(_) | Activity::Gone(_));
        if let Some((_, _, at)) = &leg.claim {
            return if between_turns {
                End::Now
            } else {
                End::At(at.plus_ms(CLAIM_GRACE_MS), "the claim's end")
            };
        }
        match &run.activity {
            Activity::Failing(_) | Activity::Gone(_) => End::Now,
            Activity::RateLimited(_) => End::At(run.seen.1.plus_ms(LIMIT_WAIT_MS), "the provider's limit"),
            Activity::Idle => match leg.asked_last() {
                None => End::Ask(Ask::Claim),
                // It took the question up, ended its turn, and still claims nothing.
                Some((_, at)) if run.seen.1 > at => End::Now,
                Some((_, at)) => End::At(at.plus_ms(ANSWER_MS), "an answer"),
            },
            Activity::Working | Activity::Unknown => match leg.asked.get(&Ask::Handover) {
                Some(at) => End::At(at.plus_ms(HANDOVER_GRACE_MS), "the handover"),
                None if leg.context >= self.budget => End::Ask(Ask::Handover),
                None => End::NotYet,
            },
            // A person is asked, as ever; what they take their time for is not the agent's.
            Activity::Blocked(_) | Activity::Asking(_) => End::NotYet,
        }
    }

    /// Returns the limit of the whole relay that is reached, in words.
    pub(super) fn limit(&self, session: &Session) -> Option<String> {
        if let (Some(at), Some(ms)) = (self.time_is_up_at(session), self.ms_max)
            && session.clock >= at
        {
            return Some(format!("Its time of {} is up.", duration(ms)));
        }
        let (_, before) = session.relay.as_ref()?.granted?;
        let spent = session.spent.cost_micros.saturating_sub(before);
        let micros = self.cost_micros_max.filter(|max| spent >= *max)?;
        Some(format!("Its money of ${}.{:02} is spent.", micros / 1_000_000, micros % 1_000_000 / 10_000))
    }

    fn time_is_up_at(&self, session: &Session) -> Option<Timestamp> {
        let (since, _) = session.relay.as_ref()?.granted?;
        self.ms_max.map(|ms| since.plus_ms(ms))
    }

    fn close(
        &self,
        session: &Session,
        state: &State,
        leg: &Leg,
        brief: &Brief,
        checkout: &Checkout,
    ) -> Close {
        let phase = self.plan.phases.get(leg.phase.saturating_sub(1) as usize);
        let run = session.last_run();
        Close {
            run: leg.run,
            phase: (leg.phase, phase.map(PhaseRef::name).unwrap_or_default()),
            phases: self.plan.count(),
            plan: self.plan.digest.clone(),
            source: self.plan.source.clone(),
            workspace: checkout.path.clone(),
            branch: checkout.branch.clone(),
            base: checkout.counts_from(brief.workspace),
            head_before: state.head_before(leg.run).unwrap_or(&checkout.base).clone(),
            given: state.baton.clone(),
            ended: leg.ended.as_ref().map(|(end, _)| end.says()).unwrap_or_default(),
            last_words: run.map(|run| run.last_words.clone()).unwrap_or_default(),
        }
    }

    fn leg_brief(&self, state: &State, brief: &Brief) -> LegBrief {
        let phase = self.plan.phases.get(state.phase.saturating_sub(1) as usize);
        LegBrief {
            number: u32::try_from(state.legs.len()).unwrap_or(u32::MAX) + 1,
            phase: state.phase,
            name: phase.map(PhaseRef::name).unwrap_or_default(),
            lines: phase.map_or((0, 0), |phase| phase.lines),
            checks: phase.map(|phase| phase.checks.clone()).unwrap_or_default(),
            phases: self.plan.phases.iter().map(PhaseRef::name).collect(),
            unit: self.plan.unit.clone(),
            plan: self.plan.digest.clone(),
            budget: self.budget,
            baton: state.baton.clone(),
            doubts: state.doubts.clone(),
            words: state.words.clone(),
            standing: brief.prompt.clone(),
        }
    }
}

/// Whether and when a leg ends.
enum End {
    NotYet,
    Now,
    At(Timestamp, &'static str),
    Ask(Ask),
}

/// Returns a time as people say it: `4 h`, `1 h 30 min`, `45 s`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let parts = [(hours, "h"), (minutes, "min"), (seconds, "s")];
    let said: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number} {unit}"))
        .collect();
    if said.is_empty() { "0 s".to_string() } else { said.join(" ") }
}
