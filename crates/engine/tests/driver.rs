//! The loop on its thread: lanes, panics, a store that fails, one transaction for a burst, deadlines, and its end.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use oarlock_core::crew::{Crew, Line, Request, Spawn};
use oarlock_core::fleet;
use oarlock_core::ids::{Name, Oid, ProjectId, RequestId, SessionId, Timestamp};
use oarlock_core::machine::{Entry, Scope};
use oarlock_core::playbook::{Playbook, supervise};
use oarlock_core::session::fact::{Adopted, Agent, Begun, Fact, Role, Trouble, WorkspaceKind};
use oarlock_core::session::{self, Effect, Session};
use oarlock_engine::{
    Clock, Driver, Handle, Job, MemoryStore, NoAnswer, Perform, Published, SLOW_MAX, Stamped, Store,
    StoreError,
};

/// How long anything may take. Generous: the machine may be small and busy.
const DEADLINE: Duration = Duration::from_secs(20);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2)); // poll: another thread gets there
    }
}

/// A door that threads wait at.
#[derive(Default)]
struct Door {
    open: Mutex<bool>,
    moved: Condvar,
}

impl Door {
    fn set(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        self.moved.notify_all();
    }

    fn pass(&self) {
        let open = self.open.lock().unwrap();
        drop(self.moved.wait_timeout_while(open, DEADLINE, |open| !*open).unwrap());
    }
}

/// A log whose appends can be counted, held up and refused.
#[derive(Clone, Default)]
struct Log {
    memory: Arc<Mutex<MemoryStore>>,
    appends: Arc<AtomicUsize>,
    full: Arc<AtomicBool>,
    door: Option<Arc<Door>>,
}

impl Log {
    fn lines(&self) -> Vec<Stamped> {
        self.memory.lock().unwrap().lines.clone()
    }

    fn facts(&self) -> Vec<Fact> {
        let fact = |line: Stamped| match line.line {
            Line::Session(_, Entry::Fact(fact)) => Some(fact),
            _ => None,
        };
        self.lines().into_iter().filter_map(fact).collect()
    }
}

impl Store for Log {
    fn load(&mut self) -> Result<(Crew, u64, Timestamp), StoreError> {
        self.memory.lock().unwrap().load()
    }

    fn append(&mut self, lines: &[Stamped], crew: &Crew) -> Result<(), StoreError> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        if let Some(door) = &self.door {
            door.pass();
        }
        if self.full.load(Ordering::SeqCst) {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(StoreError::Failed { doing: "append to", source: Box::new(source) });
        }
        self.memory.lock().unwrap().append(lines, crew)
    }

    fn read(&self, after: u64, limit: usize) -> Result<Vec<Stamped>, StoreError> {
        self.memory.lock().unwrap().read(after, limit)
    }

    fn bounds(&self) -> Result<(u64, u64), StoreError> {
        self.memory.lock().unwrap().bounds()
    }

    fn verify(&self) -> Result<Vec<String>, StoreError> {
        self.memory.lock().unwrap().verify()
    }
}

/// A clock set by hand, which counts how often it is looked at.
#[derive(Default)]
struct Hands {
    now: AtomicU64,
    looks: AtomicUsize,
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        self.looks.fetch_add(1, Ordering::SeqCst);
        Timestamp(self.now.load(Ordering::SeqCst))
    }
}

type Act = Box<dyn Fn(&Job) -> Vec<Fact> + Send + Sync>;

struct World {
    act: Act,
    done: Mutex<BTreeMap<String, usize>>,
}

impl Perform for World {
    fn perform(&self, job: &Job) -> Vec<Fact> {
        let facts = (self.act)(job);
        *self.done.lock().unwrap().entry(format!("{} {}", job.session, job.key)).or_default() += 1;
        facts
    }

    fn changed(&self, _: &SessionId, _: &Scope<Session>) {}
}

struct Bench {
    driver: Driver,
    handle: Handle,
    log: Log,
    clock: Arc<Hands>,
    published: Arc<Mutex<Vec<u64>>>,
}

const BEGIN: u64 = 1_700_000_000_000;

impl Bench {
    fn new(log: Log, act: impl Fn(&Job) -> Vec<Fact> + Send + Sync + 'static) -> Self {
        let clock = Arc::new(Hands::default());
        clock.now.store(BEGIN, Ordering::SeqCst);
        let world = World { act: Box::new(act), done: Mutex::default() };
        let published = Arc::new(Mutex::new(Vec::new()));
        let feed = published.clone();
        let publish =
            move |step: Published| feed.lock().unwrap().extend(step.lines.iter().map(|stamped| stamped.seq));
        let made = |_| Ok(Arc::new(world));
        let (driver, _) = Driver::start(log.clone(), clock.clone(), made, publish).unwrap();
        let handle = driver.handle();
        let add = fleet::Request::AddProject(RequestId::from("add"), "/repos/shop".into());
        if !log.full.load(Ordering::SeqCst) && log.door.is_none() {
            handle.request(Request::Fleet(add)).unwrap();
        }
        Self { driver, handle, log, clock, published }
    }

    fn spawn(&self, id: &str) {
        self.handle.request(spawn(id)).unwrap();
    }

    fn ask(&self, id: &str, request: session::Request) -> Result<u64, NoAnswer> {
        self.handle.request(Request::Session(SessionId::from(id), request)).map(|answer| answer.seq)
    }

    fn state<T>(&self, id: &str, of: impl Fn(&Session) -> T) -> T {
        of(&self.handle.crew().sessions[&SessionId::from(id)].state)
    }
}

fn spawn(id: &str) -> Request {
    Request::Spawn(Spawn {
        request: RequestId(format!("spawn-{id}")),
        id: SessionId::from(id),
        project: ProjectId::from("shop"),
        name: Name::parse(id),
        agent: Agent { command: Some("true".into()), ..Agent::named("exec") },
        prompt: String::new(),
        branch: None,
        base: None,
        workspace: WorkspaceKind::Worktree,
        playbook: Playbook::Supervise(supervise::Options {}),
        adopted: Adopted::Nothing,
        role: Role::Builder,
        issue: None,
        again: false,
    })
}

fn ready(job: &Job) -> Fact {
    Fact::WorkspaceReady {
        path: format!("/workspaces/{}", job.session),
        branch: "work".into(),
        base_branch: "main".into(),
        base: Oid("0".repeat(40)),
        head: Oid("0".repeat(40)),
        notes: vec![],
        work: None,
    }
}

/// Does everything well.
fn well(job: &Job) -> Vec<Fact> {
    match &job.effect {
        Effect::PrepareWorkspace { .. } => vec![ready(job)],
        Effect::StartRun { run, role, .. } => {
            vec![Fact::RunStarted { run: *run, role: *role, host_pid: 7, begun: Begun::Fresh }]
        }
        _ => vec![],
    }
}

fn trouble(job: &Job, transient: bool) -> Vec<Fact> {
    let trouble = Trouble { code: "io".into(), message: "No.".into(), hint: String::new(), paths: vec![] };
    vec![Fact::PerformFailed { key: job.key.clone(), trouble, transient }]
}

fn stop(id: &str) -> session::Request {
    session::Request::Stop(RequestId::from(id))
}

#[test]
fn slow_jobs_that_hang_do_not_delay_a_stop() {
    let (door, hung, stopped) =
        (Arc::new(Door::default()), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (gate, count, seen) = (door.clone(), hung.clone(), stopped.clone());
    let bench = Bench::new(Log::default(), move |job| {
        let slow = matches!(job.effect, Effect::PrepareWorkspace { .. }) && job.session.as_str() != "quick";
        if slow {
            count.fetch_add(1, Ordering::SeqCst);
            gate.pass();
        }
        seen.fetch_or(matches!(job.effect, Effect::StopRun { .. }), Ordering::SeqCst);
        well(job)
    });
    bench.spawn("quick");
    until("the run is up", || bench.state("quick", |session| session.live_run().is_some()));
    for number in 0..SLOW_MAX + 3 {
        bench.spawn(&format!("slow{number}"));
    }
    until("every slow worker hangs", || hung.load(Ordering::SeqCst) == SLOW_MAX);
    bench.ask("quick", stop("stop")).unwrap();
    until("the stop is carried out", || stopped.load(Ordering::SeqCst));
    assert_eq!(hung.load(Ordering::SeqCst), SLOW_MAX, "no more are begun than there is room for");
    door.set(true);
    let is_ready = |id: &str| bench.state(id, |session| session.checkout().is_some());
    until("those that waited have their turn", || (0..SLOW_MAX + 3).all(|n| is_ready(&format!("slow{n}"))));
    assert_eq!(hung.load(Ordering::SeqCst), SLOW_MAX + 3, "each once");
    bench.driver.stop();
}

#[test]
fn a_performer_that_panics_is_a_failure_of_that_effect_alone() {
    let bench = Bench::new(Log::default(), |job| {
        assert!(job.session.as_str() != "cursed", "this panic is part of the test");
        well(job)
    });
    bench.spawn("cursed");
    bench.spawn("blessed");
    until("the other one is up", || bench.state("blessed", |session| session.live_run().is_some()));
    until("the failure is known", || {
        bench.state("cursed", |session| session.stuck_on("workspace").is_some())
    });
    let failed =
        |fact: &Fact| matches!(fact, Fact::PerformFailed { trouble, .. } if trouble.code == "panicked");
    assert_eq!(bench.log.facts().iter().filter(|fact| failed(fact)).count(), 1, "it is not tried again");
    bench.driver.stop();
}

#[test]
fn what_a_full_store_refused_is_not_lost() {
    let bench = Bench::new(Log::default(), well);
    bench.spawn("bow");
    until("the run is up", || bench.state("bow", |session| session.live_run().is_some()));
    let before = bench.log.lines().len();
    bench.log.full.store(true, Ordering::SeqCst);
    let seen = Fact::WorkSeen(oarlock_core::session::fact::Work {
        head: Oid("1".repeat(40)),
        strayed_to: None,
        ahead: 1,
        dirty: 0,
    });
    bench.handle.seen(SessionId::from("bow"), vec![seen.clone()]);
    let answer = bench.ask("bow", stop("refused"));
    assert!(matches!(answer, Err(NoAnswer::Store(_))), "{answer:?}");
    assert!(
        bench.state("bow", |session| session.work.is_none() && session.halt.is_none()),
        "nothing was taken in"
    );
    assert_eq!(bench.log.lines().len(), before);
    bench.log.full.store(false, Ordering::SeqCst);
    until("the store is tried again by itself", || bench.log.facts().contains(&seen));
    assert_eq!(bench.log.facts().iter().filter(|fact| **fact == seen).count(), 1);
    let stops = |fact: &Fact| matches!(fact, Fact::StopRequested { .. });
    assert!(!bench.log.facts().iter().any(stops), "a wish answered with a failure does not happen later");
    bench.ask("bow", stop("taken")).unwrap();
    until("the feed has every line", || bench.published.lock().unwrap().len() == bench.log.lines().len());
    assert!(bench.published.lock().unwrap().is_sorted(), "in order");
    bench.driver.stop();
}

#[test]
fn a_result_that_the_store_refused_is_not_performed_again() {
    let times = Arc::new(AtomicUsize::new(0));
    let (log, count) = (Log::default(), times.clone());
    let full = log.full.clone();
    let bench = Bench::new(log, move |job| {
        if matches!(job.effect, Effect::PrepareWorkspace { .. }) {
            count.fetch_add(1, Ordering::SeqCst);
            full.store(true, Ordering::SeqCst);
        }
        well(job)
    });
    bench.spawn("bow");
    let appends = bench.log.appends.load(Ordering::SeqCst);
    until("the store refuses the result", || bench.log.appends.load(Ordering::SeqCst) > appends);
    bench.log.full.store(false, Ordering::SeqCst);
    until("the result is taken", || bench.state("bow", |session| session.checkout().is_some()));
    assert_eq!(times.load(Ordering::SeqCst), 1);
    bench.driver.stop();
}

#[test]
fn a_burst_shares_one_transaction() {
    let log = Log { door: Some(Arc::default()), ..Log::default() };
    let door = log.door.clone().unwrap();
    door.set(true);
    let bench = Bench::new(log, well);
    let add = |n: usize| {
        let request = fleet::Request::AddProject(RequestId(format!("r{n}")), format!("/repos/{n}"));
        Request::Fleet(request)
    };
    bench.handle.request(add(0)).unwrap();
    door.set(false);
    let before = bench.log.appends.load(Ordering::SeqCst);
    let answered = Arc::new(AtomicUsize::new(0));
    for n in 1..=200 {
        let count = answered.clone();
        bench.handle.ask(add(n), move |answer| {
            answer.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        });
        if n == 1 {
            until("the first is being written", || bench.log.appends.load(Ordering::SeqCst) > before);
        }
    }
    assert_eq!(answered.load(Ordering::SeqCst), 0, "nobody is answered before it is durable");
    door.set(true);
    until("all are answered", || answered.load(Ordering::SeqCst) == 200);
    assert_eq!(bench.log.appends.load(Ordering::SeqCst) - before, 2, "one for the first, one for the rest");
    bench.driver.stop();
}

#[test]
fn what_was_acknowledged_before_the_end_is_in_the_log() {
    let bench = Bench::new(Log::default(), well);
    let handle = bench.handle.clone();
    let answered = std::thread::scope(|scope| {
        let ask = |who: usize| {
            let handle = handle.clone();
            move || {
                let mut seqs = Vec::new();
                for n in 0.. {
                    let id = RequestId(format!("{who}-{n}"));
                    let add = fleet::Request::AddProject(id, format!("/repos/{who}/{n}"));
                    match handle.request(Request::Fleet(add)) {
                        Ok(answer) => seqs.push(answer.seq),
                        Err(NoAnswer::Refused(refusal)) if refusal.code == "stopping" => return seqs,
                        Err(other) => panic!("{other:?}"),
                    }
                }
                seqs
            }
        };
        let asking: Vec<_> = (0..4).map(|who| scope.spawn(ask(who))).collect();
        until("all are under way", || bench.log.lines().len() > 200);
        bench.driver.stop();
        asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect::<Vec<_>>()
    });
    let kept: Vec<u64> = bench.log.lines().iter().map(|line| line.seq).collect();
    assert_eq!(kept, (1..=kept.len() as u64).collect::<Vec<_>>(), "without a gap");
    assert!(answered.len() > 100 && answered.iter().all(|seq| kept.contains(seq)));
}

/// Begins a session whose workspace fails so that it is tried again in a second.
fn retrying() -> Bench {
    let bench = Bench::new(Log::default(), |job| trouble(job, true));
    bench.spawn("bow");
    until("the first attempt failed", || {
        bench.state("bow", |session| session.tries.contains_key("workspace"))
    });
    bench
}

fn woken(bench: &Bench) -> usize {
    bench.log.facts().iter().filter(|fact| matches!(fact, Fact::Woke { .. })).count()
}

fn attempts(bench: &Bench) -> u32 {
    bench.state("bow", |session| session.tries["workspace"].failed)
}

#[test]
fn a_deadline_wakes_once_and_costs_nothing_before() {
    let bench = retrying();
    let looks = bench.clock.looks.load(Ordering::SeqCst);
    let until_then = Instant::now() + Duration::from_millis(300);
    until("some time has passed", || Instant::now() > until_then);
    let spent = bench.clock.looks.load(Ordering::SeqCst) - looks;
    assert!(spent < 10, "a loop that waits does not look at the clock {spent} times");
    assert_eq!(woken(&bench), 0);
    bench.clock.now.store(BEGIN + 1_000, Ordering::SeqCst);
    until("it is tried again when it is due", || attempts(&bench) == 2);
    assert_eq!(woken(&bench), 1);
    bench.driver.stop();
}

#[test]
fn a_clock_that_jumps_ahead_fires_each_deadline_once() {
    let bench = retrying();
    bench.clock.now.store(BEGIN + 365 * 86_400_000, Ordering::SeqCst);
    until("it is tried again", || attempts(&bench) == 2);
    assert_eq!(woken(&bench), 1, "a year later there is one attempt, not a year's worth");
    bench.driver.stop();
}

#[test]
fn a_clock_that_jumps_back_delays_no_deadline_and_stamps_nothing_earlier() {
    let bench = retrying();
    bench.clock.now.store(BEGIN - 365 * 86_400_000, Ordering::SeqCst);
    let looks = bench.clock.looks.load(Ordering::SeqCst);
    bench.spawn("stern");
    until("it is tried again although the wall clock says that it is last year", || attempts(&bench) == 2);
    assert!(bench.clock.looks.load(Ordering::SeqCst) - looks < 100, "it does not spin meanwhile");
    let stamps: Vec<u64> = bench.log.lines().iter().map(|line| line.at.0).collect();
    assert!(stamps.is_sorted() && stamps[0] >= BEGIN, "time as the log tells it never goes back: {stamps:?}");
    bench.driver.stop();
}

#[test]
fn a_clock_that_was_set_back_between_two_lives_delays_no_deadline() {
    let log = Log::default();
    let failing = |job: &Job| match &job.effect {
        Effect::PrepareWorkspace { .. } => trouble(job, true),
        _ => well(job),
    };
    let first = Bench::new(log.clone(), failing);
    first.spawn("bow");
    until("it failed once", || first.state("bow", |session| session.tries.contains_key("workspace")));
    first.driver.stop();
    let clock = Arc::new(Hands::default());
    clock.now.store(BEGIN - 86_400_000, Ordering::SeqCst);
    let world = World { act: Box::new(well), done: Mutex::default() };
    let (driver, _) = Driver::start(log.clone(), clock, |_| Ok(Arc::new(world)), drop).unwrap();
    let handle = driver.handle();
    let is_up = || handle.crew().sessions[&SessionId::from("bow")].state.live_run().is_some();
    until("the next life tries again in seconds, not in a day", is_up);
    driver.stop();
}

#[test]
fn the_next_boot_goes_on_where_the_log_ends() {
    let log = Log::default();
    let hung = Arc::new(Door::default());
    let gate = hung.clone();
    let first = Bench::new(log.clone(), move |job| {
        gate.pass();
        well(job)
    });
    first.spawn("bow");
    first.driver.stop();
    let at_the_end = log.lines().len();
    hung.set(true);
    let second = Bench::new(log.clone(), well);
    until("the workspace is made by the next one", || {
        second.state("bow", |session| session.live_run().is_some())
    });
    let begun = |line: &Stamped| matches!(&line.line, Line::Session(_, Entry::Started(key)) if key.0 == "workspace/0");
    assert_eq!(log.lines().iter().filter(|line| begun(line)).count(), 1, "it is the same effect");
    assert_eq!(second.published.lock().unwrap().first(), Some(&(at_the_end as u64 + 1)), "and the next line");
    second.driver.stop();
}
