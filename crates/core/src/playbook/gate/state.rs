//! How a gate stands: a fold of its session's facts. The rule for each end of a run, and for what was found, is here.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ids::{Oid, RunId, SessionId, Timestamp};
use crate::machine::{Key, Recorded};
use crate::playbook::relay::{Ask, Leg, LegEnd, PARK_MS, PARK_MS_MAX, PARKS_MAX};
use crate::session::fact::{Claim, Exit, Fact, LandWish, Observation, Role, Trouble};
use crate::session::{Activity, Session};
use crate::text;

use super::round::{Reviewed, Round};
use super::{Options, RECHECKS_MAX, ReadVerdict};

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A builder builds.
    #[default]
    Build,
    /// The work is looked at.
    Examine,
    /// The checks run.
    Check,
    /// What they said is read.
    ReadChecks,
    /// An overseer judges.
    Judge,
    /// Its verdict is read.
    ReadVerdict,
    /// It is approved, and others of its base land first.
    Queue,
    /// It lands.
    Land,
}

/// What an overseer approved. It holds for these two commits and no others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The round.
    pub round: u32,
    /// The commit that was judged.
    pub head: Oid,
    /// The base commit it holds for.
    pub base: Oid,
    /// The base commit that the overseer saw.
    pub judged_base: Oid,
    /// Its place in the queue: the position of its fact in the log.
    pub seq: u64,
}

/// Why nothing follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// It is approved, and a person lands it.
    Approved,
    /// A person has to look.
    Asks(String),
    /// A limit was reached.
    Limit(String),
}

/// How a gate stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct State {
    /// What comes next, or is under way.
    pub step: Step,
    /// Its rounds, in order.
    pub rounds: Vec<Round>,
    /// Rounds it may have: more are granted by a person who has it go on.
    pub rounds_max: u32,
    /// Times the work was looked at.
    pub exams: u32,
    /// The overseer whose turn it is: an index into the gate's overseers.
    pub overseer: u32,
    /// Builders in a row that came to nothing.
    pub strikes: u32,
    /// Waits in a row for a provider's limit.
    pub parks: u32,
    /// Verdicts in a row that did not come.
    pub silences: u32,
    /// Times in a row that the checks could not be run.
    pub check_faults: u32,
    /// Times in a row that the base moved before the landing.
    pub rechecks: u32,
    /// The next run does not begin before.
    pub not_before: Timestamp,
    /// Whether that is because of a provider's limit.
    pub is_parked: bool,
    /// How the last builder ended, when it claimed nothing.
    pub note: String,
    /// What a person said to the next builder.
    pub words: String,
    /// Sessions that have to land first.
    pub waits_for: BTreeSet<SessionId>,
    /// The approval that stands.
    pub approval: Option<Approval>,
    /// Whether its turn to land has come.
    pub has_turn: bool,
    /// Its own landing.
    pub landing: Option<Key>,
    /// Since when its time is counted, and what had been spent by then.
    pub granted: Option<(Timestamp, u64)>,
    /// Why nothing follows.
    pub rest: Option<Rest>,
}

/// Takes in one fact of a session that is a gate, after the session did.
pub(crate) fn fold(session: &mut Session, recorded: &Recorded<Fact>) {
    let Some(options) = session.brief.as_ref().and_then(|brief| brief.playbook.gate()).cloned() else {
        return;
    };
    let mut state = session.gate.take().unwrap_or_else(|| State::new(&options));
    let at = recorded.at.max(session.clock);
    match &recorded.fact {
        Fact::RunStarted { run, role, .. } => state.run_started(session, *run, *role, at),
        Fact::Observed { run, observation, .. } => state.observed(session, *run, observation, at),
        Fact::Asked { run, ask } => state.asked(*run, *ask, at),
        Fact::RunEnded { run, exit, .. } => state.run_ended(session, &options, *run, exit, at),
        Fact::Examined(exam) => state.examined(session, &options, exam, recorded.seq, at),
        Fact::Checked(checked) => state.checked(session, &options, checked, recorded.seq),
        Fact::Reviewed { run, review } => state.reviewed(session, &options, *run, review, recorded.seq),
        Fact::DependencyEnded { session: other, landed } => state.dependency_ended(other, *landed),
        Fact::TurnCame => state.turn_came(session, &options, recorded.seq),
        Fact::LandRefused { key, trouble } => state.land_refused(key, trouble),
        Fact::PerformFailed { key, trouble, .. } if key.kind() == "land" => state.land_refused(key, trouble),
        Fact::EffectLost { key } | Fact::PerformFailed { key, .. } if key.kind() == "ask" => {
            let run = key.0.split('/').nth(1).and_then(|run| run.parse().ok()).map(RunId);
            run.into_iter().for_each(|run| state.asked(run, Ask::Claim, at));
        }
        Fact::ResumeRequested { prompt, .. } => state.resumed(session, &options, prompt),
        _ => {}
    }
    state.settle(session, &options);
    session.gate = Some(state);
}

impl State {
    fn new(options: &Options) -> Self {
        Self {
            rounds_max: options.rounds_max,
            waits_for: options.after.iter().map(|(id, _)| id.clone()).collect(),
            ..Self::default()
        }
    }

    /// Returns the round at hand.
    #[must_use]
    pub fn round(&self) -> Option<&Round> {
        self.rounds.last()
    }

    /// Returns the number of the round that the next builder works in.
    #[must_use]
    pub fn next_round(&self) -> u32 {
        match self.rounds.last() {
            Some(round) if !round.is_over() => round.number,
            Some(round) => round.number + 1,
            None => 1,
        }
    }

    /// Returns the builder of a run.
    #[must_use]
    pub(super) fn building(&self, run: RunId) -> Option<&Leg> {
        self.rounds.last()?.builders.last().filter(|leg| leg.run == run)
    }

    /// Returns the run whose checks are to be read.
    pub(super) fn checking(&self) -> Option<RunId> {
        self.rounds.last()?.checking
    }

    /// Returns the verdict that is to be read.
    pub(super) fn judging(&self, spec: &str) -> Option<ReadVerdict> {
        let round = self.rounds.last()?;
        let run = round.reviews.last()?.run;
        let candidate = round.exam.as_ref()?.candidate.clone();
        Some(ReadVerdict { run, candidate, binding: round.binding(spec) })
    }

    /// Tells whether it waits for its turn to land, and since when.
    #[must_use]
    pub fn queues(&self) -> Option<u64> {
        let waits = self.step == Step::Queue && self.rest.is_none();
        self.approval.as_ref().filter(|_| waits).map(|approval| approval.seq)
    }

    /// Tells whether nobody else of its base may land now.
    #[must_use]
    pub fn holds_turn(&self) -> bool {
        self.has_turn && self.rest.is_none()
    }

    fn asked(&mut self, run: RunId, ask: Ask, at: Timestamp) {
        let builder = self.rounds.last_mut().and_then(|round| round.builders.last_mut());
        if let Some(leg) = builder.filter(|leg| leg.run == run) {
            leg.asked.entry(ask).or_insert(at);
        }
    }

    fn run_started(&mut self, session: &Session, run: RunId, role: Role, at: Timestamp) {
        if session.live_run().is_none_or(|live| live.id != run) || self.knows(run) {
            return;
        }
        self.granted.get_or_insert((at, session.spent.cost_micros));
        self.is_parked = false;
        let number = self.next_round();
        let overseer = self.overseer;
        match role {
            Role::Builder | Role::Orchestrator => {
                if self.rounds.last().is_none_or(|round| round.number != number) {
                    self.rounds.push(Round { number, ..Round::default() });
                }
                self.words.clear();
                self.note.clear();
                let round = self.rounds.last_mut().expect("one was pushed");
                round.builders.push(Leg::begin(run, number, 0, at));
            }
            Role::Checks => self.rounds.last_mut().into_iter().for_each(|round| {
                round.checking = Some(run);
                round.checked = None;
            }),
            Role::Overseer => self.rounds.last_mut().into_iter().for_each(|round| {
                round.reviews.push(Reviewed { run, began: at, overseer, ended: None, review: None });
            }),
        }
    }

    fn knows(&self, run: RunId) -> bool {
        self.rounds.last().is_some_and(|round| {
            round.builders.iter().any(|leg| leg.run == run)
                || round.checking == Some(run)
                || round.reviews.iter().any(|review| review.run == run)
        })
    }

    fn observed(&mut self, session: &Session, run: RunId, observation: &Observation, at: Timestamp) {
        let builder = self.rounds.last_mut().and_then(|round| round.builders.last_mut());
        let Some(leg) = builder.filter(|leg| leg.run == run) else { return };
        match observation {
            Observation::Claimed { claim, note } => {
                leg.claim = Some((*claim, note.clone(), at));
                if let Some((end @ (LegEnd::Silent | LegEnd::Crashed(_)), _)) = &mut leg.ended
                    && self.step == Step::Examine
                {
                    // A claim that was on its way when the process ended still stands.
                    *end = LegEnd::Claimed(*claim);
                }
            }
            // Work begun after a claim makes it stale.
            Observation::TurnStarted => leg.claim = None,
            Observation::Used(_) => {
                let last = session.last_run().filter(|last| last.id == run);
                let context = last.and_then(|run| run.count.context).map_or(0, |(context, _)| context);
                leg.context = leg.context.max(context);
            }
            _ => {}
        }
    }

    fn run_ended(&mut self, session: &Session, options: &Options, run: RunId, exit: &Exit, at: Timestamp) {
        let Some(known) = session.last_run().filter(|known| known.id == run) else { return };
        let is_halted = session.halt.is_some();
        let is_limited = options.limit(session).is_some();
        let Some(round) = self.rounds.last_mut() else { return };
        if let Some(leg) = round.builders.last_mut().filter(|leg| leg.run == run && leg.ended.is_none()) {
            let end = leg.end_by(known, exit, is_halted, is_limited);
            leg.ended = Some((end.clone(), at));
            self.builder_ended(options, session, &end, at);
        } else if round.checking == Some(run) && self.step == Step::Check {
            // What a person stopped is run again when it goes on.
            self.step = if is_halted { Step::Check } else { Step::ReadChecks };
        } else if let Some(review) = round.reviews.last_mut().filter(|one| one.run == run) {
            review.ended = Some((exit.clone(), at));
            match &known.activity {
                _ if is_halted => {}
                Activity::RateLimited(until) => self.park(*until, at),
                Activity::Failing(class) if matches!(class.as_str(), "rate_limit" | "overloaded") => {
                    self.park(None, at);
                }
                Activity::Failing(class) if matches!(class.as_str(), "auth" | "billing") => {
                    self.rest = Some(Rest::Asks(format!("The overseer's turn failed: {class}.")));
                }
                _ => self.step = Step::ReadVerdict,
            }
        }
        if is_limited {
            let why = options.limit(session).unwrap_or_default();
            self.rest.get_or_insert(Rest::Limit(why));
        }
    }

    fn builder_ended(&mut self, options: &Options, session: &Session, end: &LegEnd, at: Timestamp) {
        if !matches!(end, LegEnd::RateLimited(_)) {
            self.parks = 0;
        }
        match end {
            LegEnd::Claimed(Claim::Stuck) => {
                let note = self.round().and_then(Round::claim).unwrap_or_default();
                self.rest = Some(Rest::Asks(format!("The builder is stuck: {note}")));
            }
            LegEnd::RateLimited(until) => self.park(*until, at),
            LegEnd::Crashed(Exit::NotStarted(_)) => self.rest = Some(Rest::Asks(end.says())),
            LegEnd::Failed(class) if matches!(class.as_str(), "auth" | "billing") => {
                self.rest = Some(Rest::Asks(end.says()));
            }
            LegEnd::Stopped => {}
            LegEnd::Limit => {
                let why = options.limit(session).unwrap_or_else(|| end.says());
                self.rest = Some(Rest::Limit(why));
            }
            LegEnd::Claimed(_)
            | LegEnd::OverBudget
            | LegEnd::Silent
            | LegEnd::Crashed(_)
            | LegEnd::Failed(_) => self.step = Step::Examine,
        }
    }

    fn park(&mut self, until: Option<Timestamp>, at: Timestamp) {
        self.parks += 1;
        let wait = (PARK_MS << self.parks.saturating_sub(1).min(8)).min(PARK_MS_MAX);
        self.not_before = until.unwrap_or_else(|| at.plus_ms(wait));
        self.is_parked = true;
        if self.parks > PARKS_MAX {
            let why = format!("A provider asked it to wait {} times in a row.", self.parks);
            self.rest = Some(Rest::Asks(why));
        }
    }

    fn dependency_ended(&mut self, other: &SessionId, landed: bool) {
        if !self.waits_for.contains(other) {
            return;
        }
        if landed {
            self.waits_for.remove(other);
        } else {
            self.rest = Some(Rest::Asks("A session that it waits for is over and did not land.".into()));
        }
    }

    fn turn_came(&mut self, session: &mut Session, options: &Options, seq: u64) {
        if self.queues().is_some() {
            self.has_turn = true;
            self.step = self.land(session, options, seq);
        }
    }

    /// Wants exactly what was approved on the base branch.
    pub(super) fn land(&mut self, session: &mut Session, options: &Options, seq: u64) -> Step {
        let Some(approval) = self.approval.clone() else { return Step::Examine };
        let tree = self.round().and_then(|round| round.exam.as_ref()).map(|exam| exam.tree.clone());
        let wish = LandWish {
            how: options.how,
            expect_base: Some(approval.base),
            approved: tree.map(|tree| (approval.head, tree)),
            ..LandWish::default()
        };
        self.landing = session.begin_landing(&wish, seq);
        if self.landing.is_some() {
            return Step::Land;
        }
        // A person lands it already; its turn comes again when that came to nothing.
        self.has_turn = false;
        Step::Queue
    }

    fn land_refused(&mut self, key: &Key, trouble: &Trouble) {
        if self.rest == Some(Rest::Approved) && trouble.code == "base_moved" {
            // A person landed it, and the base is another: it is looked at again.
            (self.step, self.rest) = (Step::Examine, None);
            return;
        }
        if self.step != Step::Land || self.landing.as_ref() != Some(key) {
            return;
        }
        self.landing = None;
        if trouble.code == "base_moved" && self.rechecks < RECHECKS_MAX {
            self.rechecks += 1;
            self.step = Step::Examine;
            return;
        }
        self.step = Step::Examine;
        self.rest = Some(Rest::Asks(format!("It is approved, and could not land: {}", trouble.message)));
    }

    /// A person has it go on: what made it rest is theirs now, and its limits begin anew.
    fn resumed(&mut self, session: &Session, options: &Options, prompt: &str) {
        let was_over = self.rounds.len() >= self.rounds_max as usize;
        if !prompt.trim().is_empty() {
            self.words = prompt.to_string();
            if session.live_run().is_none() {
                // What a person says goes to a builder.
                let issues = vec![format!("A person says: {}", text::line(prompt, 2_000))];
                if self.rounds.last().is_some_and(|round| round.exam.is_some() && round.issues.is_empty()) {
                    self.reject(issues);
                }
                self.step = Step::Build;
                self.drop_approval();
            }
        }
        if was_over && self.step == Step::Build {
            self.rounds_max += options.rounds_max;
        }
        if self.rest.take().is_some() || session.checkout().is_none() {
            // A person who does not want to wait any longer begins it at once.
            self.waits_for.clear();
        }
        // Another may have come to it meanwhile.
        self.has_turn = false;
        self.granted = None;
        (self.strikes, self.parks, self.silences) = (0, 0, 0);
        (self.check_faults, self.rechecks, self.is_parked) = (0, 0, false);
        self.not_before = Timestamp::default();
    }

    /// Brings the session in line: who is next, and whether anything is wanted at all.
    fn settle(&mut self, session: &mut Session, options: &Options) {
        if self.step == Step::Build
            && session.live_run().is_none()
            && self.rest.is_none()
            && self.next_round() > self.rounds_max
        {
            self.rest =
                Some(Rest::Limit(format!("It has had its {}.", text::count(self.rounds_max, "round"))));
        }
        if session.live_run().is_some() {
            return;
        }
        if self.rest.is_some() {
            self.has_turn = false;
        }
        let goes_on = self.rest.is_none()
            && session.outcome.is_none()
            && !session.is_parting()
            && (session.halt.is_none() || session.run_wanted.is_some());
        session.run_wanted = goes_on.then(String::new);
        let agent = options.agent_for(self);
        session.brief.iter_mut().for_each(|brief| brief.agent = agent.clone());
    }
}

impl Round {
    /// Tells whether the next builder begins another round.
    fn is_over(&self) -> bool {
        !self.issues.is_empty() || self.is_approved
    }
}
