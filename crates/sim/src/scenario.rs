//! One case: a daemon's life and deaths over a fake world, step by step, with every invariant asked after each.
//!
//! It must not choose what happens; [`crate::moves`] does, from bytes.

use std::collections::BTreeSet;

use oarlock_core::crew::{Crew, Line, Request};
use oarlock_core::ids::{RequestId, RunId, SessionId, Timestamp};
use oarlock_core::machine::{Entry, Key, Scope};
use oarlock_core::playbook::gate;
use oarlock_core::session::fact::{Author, Fact};
use oarlock_core::session::{Activity, Effect, Message, MessageState, Session};
use oarlock_engine::{Engine, Input, Job, NoAnswer, Stamped, Step};

use crate::invariants::{self, Reply, Rest, View};
use crate::sabotage::Sabotage;
use crate::store::FlakyStore;
use crate::world::{Luck, Typist, World};

/// Steps a fair world may take to come to rest: a few per job, retry and session, with room to spare.
const REST_STEPS_MAX: usize = 600;
/// Requests remembered for retries; fewer than the core remembers per session, so every retry must be recognised.
const ASKED_KEPT: usize = 12;

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub invariant: &'static str,
    /// What it found.
    pub says: String,
}

/// A job with a worker: the world may have been changed already and the daemon not told.
#[derive(Clone, Debug)]
pub struct Hand {
    /// The job.
    pub job: Job,
    /// What came of it, once performed.
    pub facts: Option<Vec<Fact>>,
}

/// A request made earlier.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What was asked.
    pub request: Request,
    /// The position it was admitted at.
    pub seq: u64,
}

/// What a case is run with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setting {
    /// How hosts treat repeated messages.
    pub typist: Typist,
    /// What misbehaves.
    pub sabotage: Option<Sabotage>,
    /// The only invariant asked.
    pub only: Option<&'static str>,
    /// Whether the case begins with all its sessions, so that the lanes are full.
    pub crowded: bool,
    /// Whether what happens is told in [`Scenario::story`], which costs more than all the rest.
    pub told: bool,
}

/// A running case.
pub struct Scenario {
    /// The outside.
    pub world: World,
    /// The log.
    pub store: FlakyStore,
    /// The wall clock.
    pub now: Timestamp,
    /// Jobs with workers.
    pub hands: Vec<Hand>,
    /// Facts observers saw and have not told.
    pub mail: Vec<(SessionId, Fact)>,
    /// Requests that were admitted, oldest first.
    pub asked: Vec<Asked>,
    /// What happened, a line each.
    pub story: Vec<String>,
    engine: Engine<FlakyStore>,
    unsaved: Vec<Input>,
    replayed: Crew,
    settled: BTreeSet<(SessionId, Key)>,
    head: u64,
    stamped: Timestamp,
    landings: usize,
    requests: u32,
    setting: Setting,
}

impl Scenario {
    /// Starts a daemon on an empty log.
    ///
    /// # Panics
    /// When an empty log cannot be opened.
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        let store = FlakyStore::new(setting.sabotage);
        let now = Timestamp(1_000_000);
        let (engine, _) = Engine::open(store.clone(), now).expect("an empty log opens");
        Self {
            world: World::new(setting.typist, setting.sabotage),
            store,
            now,
            hands: vec![],
            mail: vec![],
            asked: vec![],
            story: vec![],
            engine,
            unsaved: vec![],
            replayed: Crew::default(),
            settled: BTreeSet::new(),
            head: 0,
            stamped: Timestamp::default(),
            landings: 0,
            requests: 0,
            setting,
        }
    }

    /// Returns a request id that no client used before.
    pub fn fresh_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(format!("q{}", self.requests))
    }

    /// Returns the daemon's state.
    #[must_use]
    pub fn crew(&self) -> &Crew {
        self.engine.crew()
    }

    /// Tells whether the case misbehaves in this way.
    #[must_use]
    pub fn setting_is(&self, sabotage: Sabotage) -> bool {
        self.setting.sabotage == Some(sabotage)
    }

    /// Adds a line to the story, when somebody wants to read it.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.setting.told {
            self.story.push(format!("{:>9} {}", self.now.0, line()));
        }
    }

    /// Gives the engine a batch of inputs, what it could not save before first.
    ///
    /// # Errors
    /// The invariant that broke.
    pub fn give(&mut self, inputs: Vec<Input>) -> Result<(), Broken> {
        let mut all = std::mem::take(&mut self.unsaved);
        all.extend(inputs);
        let mut step = self.engine.take(all, self.now);
        self.unsaved = std::mem::take(&mut step.unsaved);
        if !self.unsaved.is_empty() {
            self.tell(|| "the store takes nothing".into());
        }
        self.after(step, &[], false)
    }

    /// Makes a request, and remembers it for retries when it was admitted.
    ///
    /// # Errors
    /// The invariant that broke.
    pub fn ask(&mut self, request: Request, earlier: Option<u64>) -> Result<(), Broken> {
        self.tell(|| format!("ask {request:?}"));
        let mut step = self.engine.take(vec![Input::Request(request.clone())], self.now);
        let answer = step.answers.pop();
        self.unsaved.append(&mut step.unsaved);
        let reply = match answer {
            Some(Ok(answer)) => {
                if !answer.before {
                    self.asked.push(Asked { request, seq: answer.seq });
                    let extra = self.asked.len().saturating_sub(ASKED_KEPT);
                    self.asked.drain(..extra);
                }
                Some(Reply { seq: Some(answer.seq), before: answer.before, earlier })
            }
            Some(Err(NoAnswer::Refused(refusal))) => {
                self.tell(|| format!("  refused {}: {}", refusal.code, refusal.message));
                if self.setting_is(Sabotage::RefusalLeavesTrace) {
                    self.leave_trace();
                }
                Some(Reply { seq: None, before: false, earlier })
            }
            // The log could not take it: the client asks again, as if for the first time.
            Some(Err(NoAnswer::Store(_))) | None => None,
        };
        self.after(step, reply.as_slice(), false)
    }

    fn leave_trace(&self) {
        if let Some(id) = self.crew().sessions.keys().next() {
            let key = Key("trace".into());
            self.store.scribble(Line::Session(id.clone(), Entry::Settled(key)));
        }
    }

    /// Kills the daemon at this instruction and starts another from the log.
    ///
    /// # Errors
    /// The invariant that broke.
    pub fn crash(&mut self) -> Result<(), Broken> {
        self.tell(|| "the daemon dies and is started again".into());
        self.hands.clear();
        self.unsaved.clear();
        self.store.memory().failing = 0;
        let opened = Engine::open(self.store.clone(), self.now);
        let (engine, step) = opened.map_err(|error| Broken {
            invariant: "a_restart_reaches_the_same_state",
            says: error.to_string(),
        })?;
        self.engine = engine;
        self.after(step, &[], true)
    }

    /// Lets a worker change the world.
    ///
    /// # Errors
    /// The invariant that broke.
    pub fn act(&mut self, index: usize, luck: Luck) -> Result<(), Broken> {
        let Some(hand) = self.hands.get(index).filter(|hand| hand.facts.is_none()) else { return Ok(()) };
        let job = hand.job.clone();
        let facts = self.world.perform(&job, luck);
        self.tell(|| format!("  {} {} is performed ({luck:?}): {facts:?}", job.session, job.key));
        self.hands[index].facts = Some(facts);
        self.look()
    }

    /// Lets a worker tell what came of its job.
    ///
    /// # Errors
    /// The invariant that broke.
    pub fn report(&mut self, index: usize) -> Result<(), Broken> {
        let done = self.hands.get(index).is_some_and(|hand| hand.facts.is_some());
        if !done || self.setting_is(Sabotage::NeverAnswers) {
            return Ok(());
        }
        let hand = self.hands.remove(index);
        let facts = hand.facts.unwrap_or_default();
        self.tell(|| format!("  {} {} is settled", hand.job.session, hand.job.key));
        let again = self.setting_is(Sabotage::GivesSettled).then(|| hand.job.clone());
        self.give(vec![Input::Settled(hand.job.session, hand.job.key, facts)])?;
        match again {
            Some(job) => self.view(vec![], &[], &[job], false, None),
            None => Ok(()),
        }
    }

    /// Looks at what an agent or a user did to the world.
    ///
    /// # Errors
    /// The invariant that broke.
    pub fn look(&mut self) -> Result<(), Broken> {
        self.view(vec![], &[], &[], false, None)
    }

    fn after(&mut self, step: Step, replies: &[Reply], restarted: bool) -> Result<(), Broken> {
        let mut handed = step.jobs;
        self.misgive(&mut handed);
        let lines = self.store.after(self.head);
        let looked = self.view(lines, replies, &handed, restarted, None);
        for job in &handed {
            self.tell(|| format!("  {} {} is handed out", job.session, job.key));
        }
        self.hands.extend(handed.into_iter().map(|job| Hand { job, facts: None }));
        looked
    }

    /// Asks every invariant about the step just made.
    fn view(
        &mut self,
        lines: Vec<Stamped>,
        replies: &[Reply],
        handed: &[Job],
        restarted: bool,
        rest: Option<Rest>,
    ) -> Result<(), Broken> {
        for stamped in &lines {
            self.replayed.record(stamped.seq, stamped.at, &stamped.line);
            if let Line::Session(id, Entry::Settled(key)) = &stamped.line {
                self.settled.insert((id.clone(), key.clone()));
            }
            if self.setting.told {
                self.story.push(format!("{:>9} #{} {:?}", stamped.at.0, stamped.seq, stamped.line));
            }
        }
        let in_hand: Vec<&Job> = self.hands.iter().map(|hand| &hand.job).collect();
        let misled = match self.setting.sabotage {
            Some(Sabotage::LeasesTwice) => Some(lease_twice(self.crew().clone())),
            Some(Sabotage::ForgetsToLook) => Some(forget_looks(self.crew().clone())),
            Some(sabotage @ (Sabotage::LetsAllLand | Sabotage::GivesRounds | Sabotage::ForgetsTurns)) => {
                Some(mislead_gates(self.crew().clone(), sabotage))
            }
            Some(Sabotage::ForgetsNothing) => Some(remember_all(self.crew().clone(), &self.settled)),
            _ => None,
        };
        let live = misled.as_ref().unwrap_or_else(|| self.crew());
        let view = View {
            live,
            find: &|name| self.find(name),
            write: &|scope| self.write(scope),
            replayed: &self.replayed,
            world: &self.world,
            head: (self.head, self.engine.head()),
            stamped: self.stamped,
            lines: &lines,
            handed,
            in_hand: &in_hand,
            settled: &self.settled,
            replies,
            landings_before: self.landings,
            restarted,
            rest,
        };
        let checked = invariants::check(&view, self.setting.only);
        self.head = lines.last().map_or(self.head, |line| line.seq);
        self.stamped = lines.last().map_or(self.stamped, |line| line.at);
        self.landings = self.world.landings.len();
        checked.map_err(|(invariant, says)| Broken { invariant, says })
    }

    fn find(&self, name: &str) -> Option<SessionId> {
        if self.setting_is(Sabotage::FindsAnybody) {
            let bears = |scope: &Scope<Session>| scope.state.name.as_str() == name;
            return self.crew().sessions.iter().find(|(_, scope)| bears(scope)).map(|(id, _)| id.clone());
        }
        self.crew().find(name).ok().cloned()
    }

    fn write(&self, scope: &Scope<Session>) -> serde_json::Result<String> {
        let mut scope = scope.clone();
        if self.setting_is(Sabotage::SnapshotForgets) {
            scope.settled.clear();
        }
        serde_json::to_string(&scope)
    }

    /// Makes the driver misbehave.
    fn misgive(&mut self, handed: &mut Vec<Job>) {
        if self.setting_is(Sabotage::LosesJobs) {
            handed.clear();
        }
        if self.setting_is(Sabotage::GivesTwice) {
            handed.extend(handed.clone());
        }
        if self.setting_is(Sabotage::GivesTooMany)
            && let Some(job) = handed.first().cloned()
        {
            let copies = (0..20).map(|n| Job { key: Key(format!("extra/{n}")), ..job.clone() });
            handed.extend(copies);
        }
        if self.setting_is(Sabotage::LandsWhatever) {
            for job in &mut *handed {
                if let Effect::Land { wish, .. } = &mut job.effect {
                    wish.approved = None;
                }
            }
        }
        if self.setting_is(Sabotage::RepeatsPhases) {
            for job in &mut *handed {
                if let Effect::StartRun { leg: Some(leg), .. } = &mut job.effect {
                    leg.phase = 1;
                }
            }
        }
        if self.setting_is(Sabotage::GivesOver) {
            let over = self.crew().sessions.iter().find_map(|(id, scope)| {
                let run = scope.state.live_run().filter(|run| run.activity == Activity::Idle)?;
                let is_typed = |message: &Message| matches!(message.state, MessageState::Typed(_));
                scope.state.messages.iter().any(is_typed).then(|| (id.clone(), run.id))
            });
            handed.extend(over.map(|(session, run)| uninvited_message(session, run)));
        }
        if self.setting_is(Sabotage::GivesToBlocked) {
            let blocked = self.crew().sessions.iter().find_map(|(id, scope)| {
                let run = scope.state.live_run().filter(|_| !scope.state.takes_messages())?;
                Some((id.clone(), run.id))
            });
            handed.extend(blocked.map(|(session, run)| uninvited_message(session, run)));
        }
    }

    /// Tells the daemon what a look at the processes says: a run that is known to live and does not has ended.
    ///
    /// # Errors
    /// The invariant that broke.
    pub fn watch_processes(&mut self) -> Result<bool, Broken> {
        let mut ends = Vec::new();
        for (id, scope) in &self.crew().sessions {
            let run = scope.state.live_run().map(|run| run.id);
            ends.extend(run.and_then(|run| self.world.ended(id, run)).map(|end| (id.clone(), end)));
        }
        let any = !ends.is_empty();
        for (id, end) in ends {
            self.give(vec![Input::Seen(id, vec![end])])?;
        }
        Ok(any)
    }

    /// Lets the world be fair until nothing more happens, then asks whether everything rests well.
    ///
    /// # Errors
    /// The invariant that broke.
    pub fn rest(&mut self) -> Result<(), Broken> {
        self.tell(|| "from here on the world is fair".into());
        self.store.memory().failing = 0;
        let mut reached = false;
        for _ in 0..REST_STEPS_MAX {
            if !self.fair_step()? {
                reached = true;
                break;
            }
        }
        self.view(vec![], &[], &[], false, Some(Rest { reached }))
    }

    /// Does the next thing a fair world does; `false` when there is none. It mirrors the driver: the engine is called
    /// for inputs, for what it could not save, and at its deadline, and never otherwise.
    fn fair_step(&mut self) -> Result<bool, Broken> {
        if !self.hands.is_empty() {
            self.act(0, Luck::Fine)?;
            self.report(0)?;
            return Ok(true);
        }
        if !self.unsaved.is_empty() {
            self.give(vec![])?;
            return Ok(true);
        }
        if let Some((id, fact)) = (!self.mail.is_empty()).then(|| self.mail.remove(0)) {
            self.give(vec![Input::Seen(id, vec![fact])])?;
            return Ok(true);
        }
        if self.watch_processes()? {
            return Ok(true);
        }
        let Some(at) = self.engine.next_wake() else { return Ok(false) };
        self.now = self.now.max(at);
        self.give(vec![Input::Tick])?;
        Ok(true)
    }
}

fn lease_twice(mut crew: Crew) -> Crew {
    let briefs = crew.sessions.values_mut().filter_map(|scope| scope.state.brief.as_mut());
    briefs.for_each(|brief| brief.ports.first = 1);
    crew
}

fn remember_all(mut crew: Crew, settled: &BTreeSet<(SessionId, Key)>) -> Crew {
    for (id, key) in settled {
        if let Some(scope) = crew.sessions.get_mut(id) {
            scope.settled.insert(key.clone());
        }
    }
    crew
}

fn forget_looks(mut crew: Crew) -> Crew {
    let relays = crew.sessions.values_mut().filter_map(|scope| scope.state.relay.as_mut());
    relays.flat_map(|relay| &mut relay.legs).for_each(|leg| leg.closed = None);
    crew
}

fn mislead_gates(mut crew: Crew, sabotage: Sabotage) -> Crew {
    for gate in crew.sessions.values_mut().filter_map(|scope| scope.state.gate.as_mut()) {
        match sabotage {
            Sabotage::LetsAllLand => gate.has_turn = true,
            Sabotage::GivesRounds => gate.rounds_max = 0,
            _ if gate.approval.is_some() => (gate.step, gate.rest) = (gate::Step::Queue, None),
            _ => {}
        }
    }
    crew
}

fn uninvited_message(session: SessionId, run: RunId) -> Job {
    let message = oarlock_core::ids::MessageId::from("uninvited");
    let effect = Effect::Deliver { run, message, author: Author::Rule, text: "yes".into(), mid_turn: false };
    Job { session, key: Key("message/uninvited/0".into()), effect }
}
