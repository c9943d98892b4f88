//! How a relay stands: a fold of its session's facts. The rule for each end of a leg is here.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::baton::Fault;
use crate::ids::{Oid, RunId, Timestamp};
use crate::machine::{Key, Recorded};
use crate::session::Session;
use crate::session::fact::{Claim, Exit, Fact, Observation};

use super::{Ask, BACKOFF_MS, Closed, Leg, LegEnd, Options, PARK_MS, PARKS_MAX, STRIKES_MAX};

/// Longest wait for a limit whose end is not known, in milliseconds.
pub const PARK_MS_MAX: u64 = 3_600_000;

/// How a relay stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct State {
    /// The phase at hand, counted from 1; one past the last when all are complete.
    pub phase: u32,
    /// Its legs, in order.
    pub legs: Vec<Leg>,
    /// Legs in a row that came to nothing.
    pub strikes: u32,
    /// Waits in a row for a provider's limit.
    pub parks: u32,
    /// The next leg does not begin before.
    pub not_before: Timestamp,
    /// Whether that is because of a provider's limit.
    pub is_parked: bool,
    /// Until when each agent's provider lets nobody work.
    pub limited: Vec<Timestamp>,
    /// Legs it may have: more are granted by a person who has it go on.
    pub legs_max: u32,
    /// Since when its time is counted, and what had been spent by then: from the first leg on, or since a person had it go on.
    pub granted: Option<(Timestamp, u64)>,
    /// What is passed to the next leg.
    pub baton: String,
    /// What is wrong with that, in a sentence each.
    pub doubts: Vec<String>,
    /// What a person said to the next leg.
    pub words: String,
    /// Whether the file of the plan says something else than the plan that is worked.
    pub plan_edited: bool,
    /// Why no leg follows.
    pub rest: Option<Rest>,
}

/// Why no leg follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// All phases are claimed to be complete.
    Complete,
    /// A person has to look.
    Asks(String),
    /// A limit was reached.
    Limit(String),
}

/// Takes in one fact of a session that is a relay, after the session did.
pub(crate) fn fold(session: &mut Session, recorded: &Recorded<Fact>) {
    let Some(mut state) = session.relay.take().or_else(|| options(session).map(State::new)) else { return };
    let at = recorded.at.max(session.clock);
    match &recorded.fact {
        Fact::RunStarted { run, .. } => state.run_started(session, *run, at),
        Fact::Observed { run, observation, .. } => state.observed(session, *run, observation, at),
        Fact::Asked { run, ask } => state.asked(*run, *ask, at),
        Fact::RunEnded { run, exit, .. } => state.run_ended(session, *run, exit, at),
        Fact::LegClosed { run, closed } => state.leg_closed(session, *run, closed, at),
        Fact::EffectLost { key } | Fact::PerformFailed { key, .. } if key.kind() == "ask" => {
            state.ask_unknown(key, at);
        }
        Fact::ResumeRequested { prompt, .. } => state.resumed(session, prompt),
        _ => {}
    }
    session.relay = Some(state);
}

fn options(session: &Session) -> Option<&Options> {
    session.brief.as_ref().and_then(|brief| brief.playbook.relay())
}

impl State {
    fn new(options: &Options) -> Self {
        Self {
            phase: options.plan.open_from(1),
            legs_max: options.legs_max,
            limited: options.agents.iter().map(|_| Timestamp::default()).collect(),
            ..Self::default()
        }
    }

    /// Returns the last leg when it is over and nobody looked yet at what it left.
    #[must_use]
    pub fn open_leg(&self) -> Option<&Leg> {
        self.legs.last().filter(|leg| leg.ended.is_some() && leg.closed.is_none())
    }

    /// Returns the commit that a leg began from, when it is not the first.
    #[must_use]
    pub fn head_before(&self, run: RunId) -> Option<&Oid> {
        let earlier = self.legs.iter().rev().skip_while(|leg| leg.run != run).skip(1);
        earlier.filter_map(|leg| leg.closed.as_ref()).map(|closed| &closed.head).next()
    }

    /// It may have been asked, or not: it is not asked again.
    fn ask_unknown(&mut self, key: &Key, at: Timestamp) {
        let mut parts = key.0.split('/').skip(1);
        let run = parts.next().and_then(|run| run.parse().ok()).map(RunId);
        let ask = parts
            .next()
            .and_then(|word| [Ask::Handover, Ask::Claim].into_iter().find(|ask| ask.word() == word));
        if let (Some(run), Some(ask)) = (run, ask) {
            self.asked(run, ask, at);
        }
    }

    fn asked(&mut self, run: RunId, ask: Ask, at: Timestamp) {
        if let Some(leg) = self.legs.iter_mut().find(|leg| leg.run == run) {
            leg.asked.entry(ask).or_insert(at);
        }
    }

    fn run_started(&mut self, session: &Session, run: RunId, at: Timestamp) {
        let is_new = session.live_run().is_some_and(|last| last.id == run)
            && self.legs.last().is_none_or(|leg| leg.run != run);
        if is_new {
            let agent = self.agent_now(session);
            self.legs.push(Leg::begin(run, self.phase, agent, at));
            self.words.clear();
            self.granted.get_or_insert((at, session.spent.cost_micros));
            self.is_parked = false;
        }
    }

    fn agent_now(&self, session: &Session) -> u32 {
        let agent = session.brief.as_ref().map(|brief| &brief.agent);
        let at =
            options(session).and_then(|options| options.agents.iter().position(|one| Some(one) == agent));
        u32::try_from(at.unwrap_or(0)).unwrap_or(0)
    }

    fn observed(&mut self, session: &Session, run: RunId, observation: &Observation, at: Timestamp) {
        let Some(leg) = self.legs.last_mut().filter(|leg| leg.run == run && leg.closed.is_none()) else {
            return;
        };
        match observation {
            Observation::Claimed { claim, note } => {
                leg.claim = Some((*claim, note.clone(), at));
                if let Some((end @ (LegEnd::Silent | LegEnd::Crashed(_)), _)) = &mut leg.ended {
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

    fn run_ended(&mut self, session: &Session, run: RunId, exit: &Exit, at: Timestamp) {
        let Some(leg) = self.legs.last_mut().filter(|leg| leg.run == run && leg.ended.is_none()) else {
            return;
        };
        let Some(known) = session.last_run().filter(|known| known.id == run) else { return };
        let end = leg.end_by(
            known,
            exit,
            session.halt.is_some(),
            options(session).is_some_and(|options| options.limit(session).is_some()),
        );
        leg.ended = Some((end, at));
    }

    fn leg_closed(&mut self, session: &mut Session, run: RunId, closed: &Closed, at: Timestamp) {
        let Some(options) = options(session).cloned() else { return };
        let options = &options;
        let before = self.head_before(run).cloned();
        let Some(leg) = self.legs.last_mut().filter(|leg| leg.run == run && leg.closed.is_none()) else {
            return;
        };
        let Some((end, _)) = leg.ended.clone() else { return };
        let note = leg.claim.as_ref().map(|(_, note, _)| note.clone()).unwrap_or_default();
        let agent = leg.agent as usize;
        leg.closed = Some(closed.clone());
        let moved = before.as_ref() != Some(&closed.head) || self.baton != closed.baton;
        self.baton.clone_from(&closed.baton);
        self.doubts = closed.faults.iter().filter(|fault| fault.is_slight()).map(Fault::says).collect();
        self.plan_edited = closed.plan_edited;
        session.tries.remove("leg");
        self.judge(session, options, (end, note), (moved, agent), at);
        if let Some(why) = options.limit(session) {
            self.rest.get_or_insert(Rest::Limit(why));
        }
        if self.legs.len() >= self.legs_max as usize {
            let legs = crate::text::count(self.legs_max, "leg");
            self.rest.get_or_insert(Rest::Limit(format!("It has had its {legs}.")));
        }
        self.go_on(session, options, at);
    }

    /// The rule for each end.
    fn judge(
        &mut self,
        session: &Session,
        options: &Options,
        (end, note): (LegEnd, String),
        (moved, agent): (bool, usize),
        at: Timestamp,
    ) {
        let limited = matches!(end, LegEnd::RateLimited(_));
        self.parks = if limited { self.parks + 1 } else { 0 };
        match &end {
            LegEnd::Claimed(Claim::PhaseDone) => {
                self.strikes = 0;
                self.phase = options.plan.open_from(self.phase + 1);
                if self.phase > options.plan.count() {
                    self.rest = Some(Rest::Complete);
                }
            }
            LegEnd::Claimed(Claim::Done) => {
                self.strikes = 0;
                self.phase = options.plan.count() + 1;
                self.rest = Some(Rest::Complete);
            }
            LegEnd::Claimed(Claim::Stuck) => {
                self.rest = Some(Rest::Asks(format!("The agent is stuck: {note}")))
            }
            LegEnd::Claimed(Claim::HandingOff) | LegEnd::OverBudget if moved => self.strikes = 0,
            LegEnd::Claimed(Claim::HandingOff) | LegEnd::OverBudget | LegEnd::Silent => self.strike(&end, at),
            LegEnd::Crashed(Exit::NotStarted(_)) => self.rest = Some(Rest::Asks(end.says())),
            LegEnd::Crashed(_) => self.strike(&end, at),
            LegEnd::Failed(class) if matches!(class.as_str(), "auth" | "billing") => {
                self.rest = Some(Rest::Asks(end.says()));
            }
            LegEnd::Failed(_) => self.strike(&end, at),
            LegEnd::RateLimited(until) => {
                let wait = (PARK_MS << self.parks.saturating_sub(1).min(8)).min(PARK_MS_MAX);
                if let Some(limited) = self.limited.get_mut(agent) {
                    *limited = until.unwrap_or_else(|| at.plus_ms(wait));
                }
                if self.parks > PARKS_MAX {
                    self.rest = Some(Rest::Asks(format!(
                        "Its provider asked it to wait {} times in a row.",
                        self.parks
                    )));
                }
            }
            LegEnd::Stopped => {}
            LegEnd::Limit => {
                let why = options.limit(session).unwrap_or_else(|| end.says());
                self.rest = Some(Rest::Limit(why));
            }
        }
    }

    fn strike(&mut self, end: &LegEnd, at: Timestamp) {
        self.strikes += 1;
        self.not_before = at.plus_ms(BACKOFF_MS << (self.strikes - 1).min(8));
        if self.strikes >= STRIKES_MAX {
            let why = format!("{STRIKES_MAX} legs in a row came to nothing. The last: {}", end.says());
            self.rest = Some(Rest::Asks(why));
        }
    }

    /// Wants the next leg, by the next agent whose provider lets it work, or the first that will.
    fn go_on(&mut self, session: &mut Session, options: &Options, at: Timestamp) {
        if self.rest.is_some() || session.halt.is_some() || session.outcome.is_some() || session.is_parting()
        {
            return;
        }
        let agents = options.agents.len().max(1);
        let next = self.legs.len();
        let chosen = (0..agents)
            .map(|step| (next + step) % agents)
            .min_by_key(|agent| self.limited.get(*agent).copied().unwrap_or_default().max(at));
        if let (Some(index), Some(brief)) = (chosen, &mut session.brief) {
            if let Some(agent) = options.agents.get(index) {
                brief.agent = agent.clone();
            }
            let until = self.limited.get(index).copied().unwrap_or_default();
            self.is_parked = until > at;
            self.not_before = self.not_before.max(until);
        }
        session.run_wanted = Some(String::new());
    }

    /// A person has it go on: what made it rest is theirs now, and its limit of legs begins anew.
    fn resumed(&mut self, session: &Session, prompt: &str) {
        let Some(options) = options(session) else { return };
        self.words = prompt.to_string();
        // What is asked for after the last phase belongs to it.
        self.phase = self.phase.min(options.plan.count());
        self.rest = None;
        self.granted = None;
        (self.strikes, self.parks, self.is_parked) = (0, 0, false);
        self.not_before = Timestamp::default();
        self.limited.iter_mut().for_each(|limited| *limited = Timestamp::default());
        if self.legs.len() >= self.legs_max as usize {
            self.legs_max += options.legs_max;
        }
    }
}
