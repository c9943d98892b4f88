//! The loop on a thread: inputs through one channel, effects on a bounded pool, every step published.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use oarlock_core::crew::{Crew, Request};
use oarlock_core::ids::SessionId;
use oarlock_core::session::fact::{Fact, Trouble};
use tracing::{debug, error, warn};

use crate::engine::{Answer, Engine, Input, Job, Lane, NoAnswer, QUICK_MAX, SLOW_MAX, Step};
use crate::steady::Steady;
use crate::{Clock, Perform, Stamped, Store, StoreError};

/// Inputs taken into one transaction: enough to share a disk flush among a burst, few enough to answer at once.
const BATCH_MAX: usize = 512;
/// Longest wait for a deadline without a look at the clock: a wait does not count the time a machine was suspended for.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(60);
/// Wait before inputs that the store refused are given to it again.
const UNSAVED_RETRY: Duration = Duration::from_secs(1);

/// Why the loop does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log cannot be opened.
    #[error("failed to open the log")]
    Store(#[source] StoreError),
    /// What acts on the world cannot start.
    #[error("failed to start what acts on the world")]
    World(#[source] std::io::Error),
}

/// What a step published: lines appended, and the sessions they changed.
#[derive(Clone, Debug)]
pub struct Published {
    /// Lines appended, in order.
    pub lines: Arc<Vec<Stamped>>,
    /// Sessions whose state changed.
    pub changed: Arc<BTreeSet<SessionId>>,
}

/// What is called with the answer to a wish; it must return at once.
type Reply = Box<dyn FnOnce(Result<Answer, NoAnswer>) + Send>;

enum Mail {
    Input(Input, Option<Reply>),
    Stop,
}

/// The way to talk to the loop; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    mail: Sender<Mail>,
    crew: Arc<RwLock<Crew>>,
}

impl Handle {
    /// Gives a wish and waits for its answer, which comes after it is durable.
    ///
    /// # Errors
    /// The refusal, or that the log could not take it.
    pub fn request(&self, request: Request) -> Result<Answer, NoAnswer> {
        let (reply, answer) = mpsc::channel();
        // The receiver waits below, so a failed send cannot happen.
        self.ask(request, move |result| drop(reply.send(result)));
        answer.recv().unwrap_or_else(|_| Err(NoAnswer::Refused(stopping())))
    }

    /// Gives a wish and returns at once; `reply` is called with the answer after it is durable. It is dropped without a
    /// call when the loop is gone.
    pub fn ask(&self, request: Request, reply: impl FnOnce(Result<Answer, NoAnswer>) + Send + 'static) {
        let mail = Mail::Input(Input::Request(request), Some(Box::new(reply)));
        drop(self.mail.send(mail));
    }

    /// Reports what was seen of a session.
    pub fn seen(&self, id: SessionId, facts: Vec<Fact>) {
        // The loop is gone only while the daemon stops; the next one reads the same evidence again.
        drop(self.mail.send(Mail::Input(Input::Seen(id, facts), None)));
    }

    /// Returns the state as of the last step.
    pub fn crew(&self) -> RwLockReadGuard<'_, Crew> {
        self.crew.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stopping() -> oarlock_core::session::Refusal {
    oarlock_core::session::Refusal::new("stopping", "The daemon is stopping.", "Try again in a moment.")
}

/// The running loop.
pub struct Driver {
    handle: Handle,
    thread: JoinHandle<()>,
}

impl Driver {
    /// Opens the engine and starts the loop and its pool of workers. `make_perform` gets the handle, because what acts
    /// also observes.
    ///
    /// # Errors
    /// When the store cannot be opened, or what acts cannot start.
    pub fn start<S: Store + 'static, P: Perform + 'static>(
        store: S,
        clock: Arc<dyn Clock>,
        make_perform: impl FnOnce(Handle) -> std::io::Result<Arc<P>>,
        publish: impl Fn(Published) + Send + 'static,
    ) -> Result<(Self, Arc<P>), StartError> {
        let (engine, first) = Engine::open(store, clock.now()).map_err(StartError::Store)?;
        let clock = Steady::begin(clock, engine.last_at());
        let (mail, inbox) = mpsc::channel();
        let crew = Arc::new(RwLock::new(engine.crew().clone()));
        let handle = Handle { mail: mail.clone(), crew: crew.clone() };
        let made = make_perform(handle.clone()).map_err(StartError::World)?;
        let perform: Arc<dyn Perform> = made.clone();
        for (id, scope) in &engine.crew().sessions {
            perform.changed(id, scope);
        }
        let pool = Pool::start(&perform, &mail);
        let mut running =
            Loop { engine, clock, perform, pool, crew, publish: Box::new(publish), unsaved: vec![] };
        let thread = std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || {
                running.after(first);
                running.run(&inbox);
            })
            .map_err(StartError::World)?;
        Ok((Self { handle, thread }, made))
    }

    /// Returns the way to talk to the loop.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops the loop after what is in its inbox, and waits for it. Effects under way are performed again at the next
    /// boot, by key.
    pub fn stop(self) {
        drop(self.handle.mail.send(Mail::Stop));
        if self.thread.join().is_err() {
            error!("the engine's thread panicked");
        }
    }
}

struct Loop<S: Store> {
    engine: Engine<S>,
    clock: Steady,
    perform: Arc<dyn Perform>,
    pool: Pool,
    crew: Arc<RwLock<Crew>>,
    publish: Box<dyn Fn(Published) + Send>,
    unsaved: Vec<Input>,
}

impl<S: Store> Loop<S> {
    fn run(&mut self, inbox: &Receiver<Mail>) {
        loop {
            let Some(first) = self.wait(inbox) else { return };
            let mut inputs = std::mem::take(&mut self.unsaved);
            let mut replies = Vec::new();
            let mut stop = false;
            let rest = std::iter::from_fn(|| inbox.try_recv().ok());
            for mail in std::iter::once(first).chain(rest).take(BATCH_MAX) {
                match mail {
                    Mail::Input(input, reply) => {
                        replies.extend(reply);
                        inputs.push(input);
                    }
                    Mail::Stop => stop = true,
                }
            }
            let mut step = self.engine.take(inputs, self.clock.now());
            let answers = std::mem::take(&mut step.answers);
            self.after(step);
            for (reply, answer) in replies.into_iter().zip(answers) {
                reply(answer);
            }
            if stop {
                return;
            }
        }
    }

    /// Waits for mail or the next deadline. `None` when nobody can write any more.
    fn wait(&mut self, inbox: &Receiver<Mail>) -> Option<Mail> {
        let clock = &mut self.clock;
        let deadline = self.engine.next_wake().map(|at| at.0.saturating_sub(clock.now().0));
        let deadline = deadline.map(|ms| Duration::from_millis(ms).min(LOOK_AT_CLOCK));
        let retry = (!self.unsaved.is_empty()).then_some(UNSAVED_RETRY);
        let timeout = match (deadline, retry) {
            (Some(a), Some(b)) => a.min(b),
            (Some(a), None) | (None, Some(a)) => a,
            (None, None) => return inbox.recv().ok(),
        };
        match inbox.recv_timeout(timeout) {
            Ok(mail) => Some(mail),
            Err(RecvTimeoutError::Timeout) => Some(Mail::Input(Input::Tick, None)),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Shows what a step changed, then hands out its jobs.
    fn after(&mut self, step: Step) {
        if !step.unsaved.is_empty() {
            warn!(inputs = step.unsaved.len(), "the log takes nothing; trying again");
        }
        self.unsaved = step.unsaved;
        if !step.appended.is_empty() {
            let mut crew = self.crew.write().unwrap_or_else(PoisonError::into_inner);
            for id in &step.changed {
                if let Some(scope) = self.engine.crew().sessions.get(id) {
                    crew.sessions.insert(id.clone(), scope.clone());
                }
            }
            if crew.fleet.seq != self.engine.crew().fleet.seq {
                crew.fleet = self.engine.crew().fleet.clone();
            }
            drop(crew);
            for id in &step.changed {
                if let Some(scope) = self.engine.crew().sessions.get(id) {
                    self.perform.changed(id, scope);
                }
            }
            (self.publish)(Published { lines: Arc::new(step.appended), changed: Arc::new(step.changed) });
        }
        for job in step.jobs {
            debug!(session = %job.session, key = %job.key, "performing");
            self.pool.give(job);
        }
    }
}

/// Workers that perform jobs, a fixed number for each lane.
struct Pool {
    slow: Sender<Job>,
    quick: Sender<Job>,
}

impl Pool {
    fn start(perform: &Arc<dyn Perform>, mail: &Sender<Mail>) -> Self {
        let lane = |name: &'static str, workers: usize| {
            let (give, take) = mpsc::channel::<Job>();
            let take = Arc::new(Mutex::new(take));
            for _ in 0..workers {
                let (take, perform, mail) = (take.clone(), perform.clone(), mail.clone());
                let worker = std::thread::Builder::new().name(name.into());
                let spawned = worker.spawn(move || work(&take, perform.as_ref(), &mail));
                if let Err(error) = spawned {
                    error!(%error, "a worker could not be started");
                }
            }
            give
        };
        Self { slow: lane("slow", SLOW_MAX), quick: lane("quick", QUICK_MAX) }
    }

    fn give(&self, job: Job) {
        let lane = match job.lane() {
            Lane::Slow => &self.slow,
            Lane::Quick => &self.quick,
        };
        if lane.send(job).is_err() {
            error!("no worker is left");
        }
    }
}

fn work(take: &Mutex<Receiver<Job>>, perform: &dyn Perform, mail: &Sender<Mail>) {
    loop {
        let next = locked(take).recv();
        let Ok(job) = next else { return };
        let performed = catch_unwind(AssertUnwindSafe(|| perform.perform(&job)));
        let facts = performed.unwrap_or_else(|_| {
            error!(session = %job.session, key = %job.key, "performing panicked");
            let trouble = Trouble {
                code: "panicked".into(),
                message: format!("oarlock failed inside while performing {}.", job.key),
                hint: "See the daemon's log; \"oarlock status\" names it.".into(),
                paths: vec![],
            };
            vec![Fact::PerformFailed { key: job.key.clone(), trouble, transient: false }]
        });
        if mail.send(Mail::Input(Input::Settled(job.session, job.key, facts), None)).is_err() {
            return;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
