//! The loop without threads: inputs in; appended lines, answers and jobs out. The simulator drives it step by step.

use std::collections::{BTreeMap, BTreeSet};

use oarlock_core::crew::{Admitted, Crew, Line, Request};
use oarlock_core::fleet::Fleet;
use oarlock_core::ids::{SessionId, Timestamp};
use oarlock_core::machine::{Entry, Key, Machine, Scope, Wake};
use oarlock_core::session::{Effect, Refusal, Session, fact::Fact};

use crate::{Stamped, Store, StoreError};

/// Slow effects (checkouts, setup commands, landings) performed at once: more would only share the same disk.
pub const SLOW_MAX: usize = 6;
/// Quick effects (start, stop, type, look) performed at once, so that a slow setup never delays a stop.
pub const QUICK_MAX: usize = 8;

/// What comes in.
#[derive(Debug)]
pub enum Input {
    /// A wish; the answer is at the same place in [`Step::answers`].
    Request(Request),
    /// What observers saw of a session. What is no news is dropped.
    Seen(SessionId, Vec<Fact>),
    /// What came of a job.
    Settled(SessionId, Key, Vec<Fact>),
    /// Time passed.
    Tick,
}

/// An effect to perform.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Whose.
    pub session: SessionId,
    /// Its name for ever.
    pub key: Key,
    /// What to do.
    pub effect: Effect,
}

/// Which limit an effect counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// May take minutes.
    Slow,
    /// Takes milliseconds.
    Quick,
}

impl Job {
    /// Returns the limit it counts against.
    #[must_use]
    pub fn lane(&self) -> Lane {
        lane(&self.effect)
    }
}

fn lane(effect: &Effect) -> Lane {
    match effect {
        Effect::PrepareWorkspace { .. }
        | Effect::Land { .. }
        | Effect::RemoveWorkspace { .. }
        | Effect::RestoreWorkspace { .. }
        | Effect::Examine(_)
        // It has a checkout of its own made first.
        | Effect::StartRun { gate: Some(_), .. } => Lane::Slow,
        Effect::StartRun { .. }
        | Effect::StopRun { .. }
        | Effect::Deliver { .. }
        | Effect::Press { .. }
        | Effect::Interrupt { .. }
        | Effect::Ask { .. }
        | Effect::CloseLeg(_)
        | Effect::ReadChecks { .. }
        | Effect::ReadVerdict(_)
        | Effect::Answer { .. }
        | Effect::SeekReceipt { .. }
        | Effect::ReadWork { .. } => Lane::Quick,
    }
}

/// The answer to an admitted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Position of the fact the wish became.
    pub seq: u64,
    /// The session it is about.
    pub session: Option<SessionId>,
    /// Whether the same request had been admitted before.
    pub before: bool,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The core refused it.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The log could not take it; nothing happened.
    #[error("failed to record the request")]
    Store(#[source] std::sync::Arc<StoreError>),
}

/// What came of a batch of inputs.
#[derive(Debug, Default)]
pub struct Step {
    /// Lines appended, in order.
    pub appended: Vec<Stamped>,
    /// Answers, one for each [`Input::Request`] in the batch, in order.
    pub answers: Vec<Result<Answer, NoAnswer>>,
    /// Effects to perform, each exactly once.
    pub jobs: Vec<Job>,
    /// Sessions whose state changed.
    pub changed: BTreeSet<SessionId>,
    /// Inputs the store could not take, to be given again; never empty when it failed.
    pub unsaved: Vec<Input>,
}

/// The one writer.
pub struct Engine<S: Store> {
    store: S,
    crew: Crew,
    head: u64,
    last_at: Timestamp,
    in_flight: BTreeMap<SessionId, BTreeMap<Key, Lane>>,
    /// Sessions whose wants did not all fit when they were asked.
    hungry: BTreeSet<SessionId>,
    wakes: BTreeMap<SessionId, Wake>,
}

/// A batch being built: what to append, and what to put back if that fails.
#[derive(Default)]
struct Batch {
    lines: Vec<Stamped>,
    touched: BTreeSet<SessionId>,
    sessions_before: BTreeMap<SessionId, Option<Scope<Session>>>,
    fleet_before: Option<Scope<Fleet>>,
    settled: Vec<(SessionId, Key)>,
}

impl<S: Store> Engine<S> {
    /// Opens the log, declares lost what may not be repeated, and asks every session what it wants.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn open(mut store: S, now: Timestamp) -> Result<(Self, Step), StoreError> {
        let (crew, head, last_at) = store.load()?;
        let mut engine = Self {
            store,
            crew,
            head,
            last_at,
            in_flight: BTreeMap::new(),
            hungry: BTreeSet::new(),
            wakes: BTreeMap::new(),
        };
        let touched = engine.crew.sessions.keys().cloned().collect();
        let batch = Batch { touched, ..Batch::default() };
        let mut step = Step::default();
        // The wall clock may have been set back since the last line.
        engine.finish(batch, now.max(last_at), &mut step)?;
        Ok((engine, step))
    }

    /// Returns the state as of the last step.
    #[must_use]
    pub fn crew(&self) -> &Crew {
        &self.crew
    }

    /// Returns the store, for reading.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Returns the position of the last line.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Returns the stamp of the last line.
    #[must_use]
    pub fn last_at(&self) -> Timestamp {
        self.last_at
    }

    /// Returns when the next deadline is due.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.values().map(|wake| wake.at).min()
    }

    /// Takes in a batch of inputs as one transaction.
    pub fn take(&mut self, inputs: Vec<Input>, now: Timestamp) -> Step {
        let now = now.max(self.last_at);
        let mut step = Step::default();
        let mut batch = Batch::default();
        let mut again = Vec::new();
        for input in inputs {
            self.take_one(input, now, &mut batch, &mut step, &mut again);
        }
        self.wake(now, &mut batch);
        batch.touched.append(&mut self.hungry);
        if let Err(error) = self.finish(batch, now, &mut step) {
            let error = std::sync::Arc::new(error);
            for answer in &mut step.answers {
                if answer.is_ok() {
                    *answer = Err(NoAnswer::Store(error.clone()));
                }
            }
            // Deadlines and effects that waited for room were asked about for nothing: somebody must ask again.
            again.push(Input::Tick);
            step.unsaved = again;
        }
        step
    }

    fn take_one(
        &mut self,
        input: Input,
        now: Timestamp,
        batch: &mut Batch,
        step: &mut Step,
        again: &mut Vec<Input>,
    ) {
        match input {
            Input::Request(request) => {
                let answer = self.admit(request, now, batch);
                step.answers.push(answer);
            }
            Input::Seen(id, facts) => {
                for fact in &facts {
                    if self.is_news(&id, fact, now) {
                        self.push(batch, Line::Session(id.clone(), Entry::Fact(fact.clone())), now);
                    }
                }
                again.push(Input::Seen(id, facts));
            }
            Input::Settled(id, key, facts) => {
                for fact in &facts {
                    self.push(batch, Line::Session(id.clone(), Entry::Fact(fact.clone())), now);
                }
                self.push(batch, Line::Session(id.clone(), Entry::Settled(key.clone())), now);
                batch.settled.push((id.clone(), key.clone()));
                again.push(Input::Settled(id, key, facts));
            }
            Input::Tick => {}
        }
    }

    fn admit(&mut self, request: Request, now: Timestamp, batch: &mut Batch) -> Result<Answer, NoAnswer> {
        let session = match &request {
            Request::Fleet(_) => None,
            Request::Spawn(spawn) => Some(spawn.id.clone()),
            Request::Session(id, _) => Some(id.clone()),
        };
        match self.crew.admit(request).map_err(NoAnswer::Refused)? {
            Admitted::Before(seq) => Ok(Answer { seq, session, before: true }),
            Admitted::Lines(lines) => {
                for line in lines {
                    self.push(batch, line, now);
                }
                Ok(Answer { seq: self.head, session, before: false })
            }
        }
    }

    /// Tells whether a fact changes anything but the time it was seen.
    fn is_news(&self, id: &SessionId, fact: &Fact, now: Timestamp) -> bool {
        let Some(scope) = self.crew.sessions.get(id) else { return false };
        let mut after = scope.state.clone();
        let recorded = oarlock_core::machine::Recorded { seq: self.head + 1, at: now, fact: fact.clone() };
        Session::fold(&mut after, &recorded);
        after.clock = scope.state.clock;
        if let (Some((work, at)), Some((_, before))) = (&scope.state.work, &mut after.work)
            && matches!(fact, Fact::WorkSeen(seen) if seen == work)
        {
            *before = *at;
        }
        after != scope.state
    }

    /// Stamps a line and takes it into the state; it is durable once the batch is finished.
    fn push(&mut self, batch: &mut Batch, line: Line, now: Timestamp) {
        self.head += 1;
        self.last_at = now;
        match &line {
            Line::Fleet(_) => {
                batch.fleet_before.get_or_insert_with(|| self.crew.fleet.clone());
            }
            Line::Session(id, _) => {
                let before = &self.crew.sessions;
                batch.sessions_before.entry(id.clone()).or_insert_with(|| before.get(id).cloned());
                batch.touched.insert(id.clone());
            }
        }
        self.crew.record(self.head, now, &line);
        batch.lines.push(Stamped { seq: self.head, at: now, line });
    }

    /// Appends a fact for every deadline that is due.
    fn wake(&mut self, now: Timestamp, batch: &mut Batch) {
        let due: Vec<(SessionId, Wake)> = self
            .wakes
            .iter()
            .filter(|(_, wake)| wake.at <= now)
            .map(|(id, wake)| (id.clone(), wake.clone()))
            .collect();
        for (id, wake) in due {
            self.wakes.remove(&id);
            self.push(batch, Line::Session(id, Entry::Fact(Session::woke(wake.why))), now);
        }
    }

    /// Decides for every touched session, appends everything in one transaction, and hands out the jobs.
    fn finish(&mut self, mut batch: Batch, now: Timestamp, step: &mut Step) -> Result<(), StoreError> {
        let before_head = self.head - batch.lines.len() as u64;
        // Each changes what it is about, so they come to an end.
        loop {
            let facts = self.crew.reactions();
            if facts.is_empty() {
                break;
            }
            for (id, fact) in facts {
                self.push(&mut batch, Line::Session(id, Entry::Fact(fact)), now);
            }
        }
        let in_flight_before = self.in_flight.clone();
        for (id, key) in std::mem::take(&mut batch.settled) {
            if let Some(keys) = self.in_flight.get_mut(&id) {
                keys.remove(&key);
                if keys.is_empty() {
                    self.in_flight.remove(&id);
                }
            }
        }
        let touched = batch.touched.clone();
        let mut jobs = Vec::new();
        for id in &touched {
            self.decide(id, now, &mut batch, &mut jobs);
        }
        if !batch.lines.is_empty()
            && let Err(error) = self.store.append(&batch.lines, &self.crew)
        {
            self.put_back(batch, before_head);
            self.in_flight = in_flight_before;
            self.hungry.extend(touched);
            return Err(error);
        }
        step.changed = batch.sessions_before.into_keys().collect();
        step.appended = batch.lines;
        step.jobs = jobs;
        Ok(())
    }

    fn decide(&mut self, id: &SessionId, now: Timestamp, batch: &mut Batch, jobs: &mut Vec<Job>) {
        let busy: BTreeSet<Key> =
            self.in_flight.get(id).map(|keys| keys.keys().cloned().collect()).unwrap_or_default();
        self.declare_lost(id, &busy, now, batch);
        let decision = self.crew.runnable(id, &busy);
        match decision.wake {
            Some(wake) => self.wakes.insert(id.clone(), wake),
            None => self.wakes.remove(id),
        };
        for (key, effect) in decision.effects {
            let lane = lane(&effect);
            if !self.has_room(lane) {
                self.hungry.insert(id.clone());
                continue;
            }
            self.in_flight.entry(id.clone()).or_default().insert(key.clone(), lane);
            let already = self.crew.sessions.get(id).is_some_and(|scope| scope.started.contains(&key));
            if !already {
                self.push(batch, Line::Session(id.clone(), Entry::Started(key.clone())), now);
            }
            jobs.push(Job { session: id.clone(), key, effect });
        }
    }

    /// Appends what became of effects that an earlier life of the engine started and this one does not repeat.
    fn declare_lost(&mut self, id: &SessionId, busy: &BTreeSet<Key>, now: Timestamp, batch: &mut Batch) {
        // Each round settles what it declares lost, so the rounds come to an end.
        loop {
            let lost = self.crew.sessions.get(id).map(|scope| scope.abandoned(busy)).unwrap_or_default();
            if lost.is_empty() {
                return;
            }
            for entry in lost {
                self.push(batch, Line::Session(id.clone(), entry), now);
            }
        }
    }

    fn has_room(&self, lane: Lane) -> bool {
        let busy = self.in_flight.values().flat_map(BTreeMap::values).filter(|busy| **busy == lane).count();
        busy < match lane {
            Lane::Slow => SLOW_MAX,
            Lane::Quick => QUICK_MAX,
        }
    }

    /// Undoes a batch the store refused, so that the state never runs ahead of the log.
    fn put_back(&mut self, batch: Batch, head: u64) {
        self.head = head;
        for (id, before) in batch.sessions_before {
            match before {
                Some(scope) => self.crew.sessions.insert(id, scope),
                None => self.crew.sessions.remove(&id),
            };
        }
        if let Some(fleet) = batch.fleet_before {
            self.crew.fleet = fleet;
        }
    }
}
