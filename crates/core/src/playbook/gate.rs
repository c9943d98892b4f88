//! A gate: a builder works on a spec, oarlock runs the checks, an overseer judges, and only what passed both lands.
//!
//! That it is done is a claim. What a verdict is about is named by commits and digests (head, base, spec, checks), so that
//! nothing that comes later is covered by it. Every way a run can end has its own rule and limit, as in a relay.

mod evidence;
mod round;
mod rules;
mod state;
mod told;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ids::{Name, Oid, SessionId, Timestamp};
use crate::machine::Decision;
use crate::session::fact::{Agent, Brief, Hold, How, Role};
use crate::session::{Activity, Checkout, Effect, Run, Session};

use super::relay::{ANSWER_MS, Ask, CLAIM_GRACE_MS, LIMIT_WAIT_MS, Leg, duration};

pub use evidence::Evidence;
pub use round::{Check, CheckResult, Checked, Counts, Exam, Finding, Review, Reviewed, Round, Verdict};
pub(crate) use state::fold;
pub use state::{Approval, Rest, State, Step};
pub use told::{BuildBrief, CheckBrief, GateBrief, JudgeBrief};

/// Rounds of a gate when nothing else is said.
pub const ROUNDS: u32 = 10;
/// Most rounds of a gate: each is a builder, the checks and an overseer.
pub const ROUNDS_MAX: u32 = 100;
/// How long a check may take when nothing else is said, in milliseconds.
pub const CHECK_MS: u64 = 30 * 60_000;
/// Longest time a check may be given, in milliseconds.
pub const CHECK_MS_MAX: u64 = 24 * 3_600_000;
/// Most checks of a gate.
pub const CHECKS_MAX: usize = 32;
/// How long an overseer may take, in milliseconds: it reads a diff and tries things out.
pub const REVIEW_MS: u64 = 60 * 60_000;
/// Verdicts in a row that did not come before a person is asked: one overseer may fail, and is replaced.
pub const SILENCES_MAX: u32 = 2;
/// Times in a row that the checks could not be run at all before a person is asked.
pub const CHECK_FAULTS_MAX: u32 = 3;
/// Times in a row that the base moved between the last look and the landing before a person is asked.
pub const RECHECKS_MAX: u32 = 20;

/// What a gate was asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// What is to be built.
    pub spec: SpecRef,
    /// What oarlock runs itself, as it was at the beginning; none only when a person said so.
    pub checks: Vec<Check>,
    /// Rounds at most.
    pub rounds_max: u32,
    /// Who builds.
    pub builder: Agent,
    /// Who judges; the next one when one says nothing. Never none.
    pub overseers: Vec<Agent>,
    /// Sessions that must have landed before it begins, with the names that they had.
    pub after: Vec<(SessionId, Name)>,
    /// Whether what is approved lands by itself.
    pub lands: bool,
    /// How it joins the base.
    pub how: How,
    /// Whether the operating system holds the agents to their places.
    pub is_confined: bool,
    /// What git was configured with at the beginning, digested: a change of it is a person's to look at.
    pub git: String,
    /// Time at most from the first run on, in milliseconds.
    pub ms_max: Option<u64>,
    /// Money at most, in millionths of a US dollar, as far as agents say.
    pub cost_micros_max: Option<u64>,
}

/// A spec that is kept beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecRef {
    /// SHA-256 of its text, in hex: it names what is kept.
    pub digest: String,
    /// The absolute path of the file it was read from; empty when it came from elsewhere.
    pub source: String,
    /// Its title.
    pub title: String,
}

/// A builder's work, to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examine {
    /// The look's number in its session, counted from 1.
    pub number: u32,
    /// The workspace's path.
    pub workspace: String,
    /// The branch it should be on.
    pub branch: String,
    /// The branch it lands on.
    pub base_branch: String,
    /// The checks, so that a change of what they are made of is seen.
    pub checks: Vec<Check>,
    /// What git was configured with at the beginning, digested.
    pub git: String,
    /// The base and the head that a standing approval is about.
    pub approved: Option<(Oid, Oid)>,
}

/// A verdict, to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadVerdict {
    /// The overseer's run.
    pub run: crate::ids::RunId,
    /// The commit that its checkout was at.
    pub candidate: Oid,
    /// What the verdict has to be about.
    pub binding: String,
}

impl Options {
    pub(super) fn decide(
        &self,
        session: &Session,
        brief: &Brief,
        checkout: &Checkout,
        decision: &mut Decision<Effect>,
    ) {
        let Some(state) = &session.gate else { return };
        if let Some(run) = session.live_run() {
            if session.halt.is_none() {
                self.decide_live(session, state, run, decision);
            }
            return;
        }
        if session.halt.is_some() || state.rest.is_some() {
            return;
        }
        match state.step {
            Step::Build | Step::Check | Step::Judge => {
                if session.clock < state.not_before {
                    return decision.wake_at(state.not_before, "the next run");
                }
                let (role, told) = self.next_told(session, state, brief);
                session.decide_part(brief, checkout, role, told, decision);
            }
            Step::Examine => {
                let cause = format!("{}", state.exams + 1);
                if let Some(key) = session.next_key("exam", &cause, decision) {
                    decision.want(key, Effect::Examine(self.examine(state, checkout)));
                }
            }
            Step::ReadChecks => {
                let Some(run) = state.checking() else { return };
                if let Some(key) = session.next_key("checked", &format!("{run}"), decision) {
                    decision.want(key, Effect::ReadChecks { run });
                }
            }
            Step::ReadVerdict => {
                let Some(read) = state.judging(&self.spec.digest) else { return };
                if let Some(key) = session.next_key("judged", &format!("{}", read.run), decision) {
                    decision.want(key, Effect::ReadVerdict(read));
                }
            }
            // Others of its base land first; or the landing itself is wanted by the session.
            Step::Queue | Step::Land => {}
        }
    }

    /// Ends what runs when it is over.
    fn decide_live(&self, session: &Session, state: &State, run: &Run, decision: &mut Decision<Effect>) {
        match self.end_of(session, state, run) {
            End::Now => session.decide_stop(run, decision),
            End::At(at, why) => {
                if session.clock >= at {
                    session.decide_stop(run, decision);
                } else {
                    decision.wake_at(at, why);
                }
            }
            End::Ask => decision.want(
                format!("ask/{}/{}", run.id, Ask::Claim.word()),
                Effect::Ask { run: run.id, ask: Ask::Claim, mid_turn: false },
            ),
            End::NotYet => {}
        }
        if let Some(at) = self.time_is_up_at(state).filter(|at| session.clock < *at) {
            decision.wake_at(at, "the gate's time");
        }
    }

    fn end_of(&self, session: &Session, state: &State, run: &Run) -> End {
        if self.limit(session).is_some() {
            return End::Now;
        }
        let between_turns = matches!(run.activity, Activity::Idle | Activity::Failing(_) | Activity::Gone(_));
        match run.role {
            // Each check has its own time; the run ends with the last of them.
            Role::Checks => End::At(run.started_at.plus_ms(self.checks_ms()), "the checks' time"),
            Role::Overseer if between_turns => End::Now,
            Role::Overseer => End::At(run.started_at.plus_ms(REVIEW_MS), "the overseer's time"),
            // What a person says to it comes first.
            Role::Builder | Role::Orchestrator if run.activity == Activity::Idle && session.has_mail() => {
                End::NotYet
            }
            Role::Builder | Role::Orchestrator => {
                state.building(run.id).map_or(End::NotYet, |leg| end_of_builder(leg, run, between_turns))
            }
        }
    }

    /// Returns the names of the sessions that it still waits for.
    pub fn waits_for<'a>(&'a self, state: &'a State) -> impl Iterator<Item = &'a str> {
        let open = self.after.iter().filter(|(id, _)| state.waits_for.contains(id));
        open.map(|(_, name)| name.as_str())
    }

    /// Returns how long the checks may take together: each may be run again, and once as it was before the work.
    fn checks_ms(&self) -> u64 {
        let all: u64 = self.checks.iter().map(|check| check.ms_max).sum();
        all.saturating_mul(4).saturating_add(60_000)
    }

    /// Returns the limit of the whole gate that is reached, in words.
    pub(super) fn limit(&self, session: &Session) -> Option<String> {
        let state = session.gate.as_ref()?;
        if let (Some(at), Some(ms)) = (self.time_is_up_at(state), self.ms_max)
            && session.clock >= at
        {
            return Some(format!("Its time of {} is up.", duration(ms)));
        }
        let (_, before) = state.granted?;
        let spent = session.spent.cost_micros.saturating_sub(before);
        let micros = self.cost_micros_max.filter(|max| spent >= *max)?;
        Some(format!("Its money of ${}.{:02} is spent.", micros / 1_000_000, micros % 1_000_000 / 10_000))
    }

    fn time_is_up_at(&self, state: &State) -> Option<Timestamp> {
        let (since, _) = state.granted?;
        self.ms_max.map(|ms| since.plus_ms(ms))
    }

    fn examine(&self, state: &State, checkout: &Checkout) -> Examine {
        Examine {
            number: state.exams + 1,
            workspace: checkout.path.clone(),
            branch: checkout.branch.clone(),
            base_branch: checkout.base_branch.clone(),
            checks: self.checks.clone(),
            git: self.git.clone(),
            approved: state.approval.as_ref().map(|known| (known.base.clone(), known.head.clone())),
        }
    }

    /// Returns what the next run is for, and what it is told.
    fn next_told(&self, session: &Session, state: &State, brief: &Brief) -> (Role, GateBrief) {
        match (state.step, state.round()) {
            (Step::Check, Some(round)) => (
                Role::Checks,
                GateBrief::Check(Box::new(CheckBrief {
                    exam: round.exam.clone().unwrap_or_default(),
                    checks: self.checks.clone(),
                })),
            ),
            (Step::Judge, Some(round)) => {
                (Role::Overseer, GateBrief::Judge(Box::new(self.judge(state, round))))
            }
            _ => (Role::Builder, GateBrief::Build(Box::new(self.build(session, state, brief)))),
        }
    }

    fn build(&self, session: &Session, state: &State, brief: &Brief) -> BuildBrief {
        let last = state.rounds.iter().rev().find(|round| !round.issues.is_empty());
        BuildBrief {
            round: state.next_round(),
            rounds_max: state.rounds_max,
            spec: self.spec.digest.clone(),
            checks: self.checks.clone(),
            issues: last.map(|round| round.issues.clone()).unwrap_or_default(),
            note: state.note.clone(),
            words: state.words.clone(),
            standing: brief.prompt.clone(),
            is_first: session.runs_begun == 0,
            base_branch: session.checkout().map(|checkout| checkout.base_branch.clone()).unwrap_or_default(),
        }
    }

    fn judge(&self, state: &State, round: &Round) -> JudgeBrief {
        let earlier = state.rounds.iter().filter(|other| other.number < round.number);
        JudgeBrief {
            round: round.number,
            rounds_max: state.rounds_max,
            spec: self.spec.digest.clone(),
            exam: round.exam.clone().unwrap_or_default(),
            checks: round.checked.as_ref().map(|checked| checked.results.clone()).unwrap_or_default(),
            claim: round.claim().unwrap_or_default(),
            earlier: earlier.flat_map(|round| round.issues.iter().cloned()).collect(),
            binding: round.binding(&self.spec.digest),
            is_confined: self.is_confined,
        }
    }

    /// Returns who runs next.
    pub(super) fn agent_for(&self, state: &State) -> Agent {
        match state.step {
            Step::Check | Step::ReadChecks => {
                Agent { command: Some("oarlock checks".into()), hold: Hold::Process, ..Agent::named("exec") }
            }
            Step::Judge | Step::ReadVerdict => {
                let turn = state.overseer as usize % self.overseers.len().max(1);
                self.overseers.get(turn).unwrap_or(&self.builder).clone()
            }
            _ => self.builder.clone(),
        }
    }
}

fn end_of_builder(leg: &Leg, run: &Run, between_turns: bool) -> End {
    if let Some((_, _, at)) = &leg.claim {
        return if between_turns { End::Now } else { End::At(at.plus_ms(CLAIM_GRACE_MS), "the claim's end") };
    }
    match &run.activity {
        Activity::Failing(_) | Activity::Gone(_) => End::Now,
        Activity::RateLimited(_) => End::At(run.seen.1.plus_ms(LIMIT_WAIT_MS), "the provider's limit"),
        Activity::Idle => match leg.asked_last() {
            None => End::Ask,
            // It took the question up, ended its turn, and still claims nothing.
            Some((_, at)) if run.seen.1 > at => End::Now,
            Some((_, at)) => End::At(at.plus_ms(ANSWER_MS), "an answer"),
        },
        Activity::Working | Activity::Unknown | Activity::Blocked(_) | Activity::Asking(_) => End::NotYet,
    }
}

/// Whether and when a run ends.
enum End {
    NotYet,
    Now,
    At(Timestamp, &'static str),
    Ask,
}
