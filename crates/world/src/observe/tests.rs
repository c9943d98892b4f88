//! Changes of files become facts: each once, none lost in a flood, and nothing read while nothing happens.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use oarlock_agents::Report;
use oarlock_core::ids::Oid;
use oarlock_core::session::fact::{Exit, Observation, Source, Work};
use serde_json::json;

use super::*;

/// How long anything may take. Generous: the machine may be small and busy.
const DEADLINE: Duration = Duration::from_secs(20);

/// Eyes on folders of their own, and what they tell.
struct Bench {
    folder: tempfile::TempDir,
    observer: Observer,
    told: Receiver<(SessionId, Vec<Fact>)>,
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(2)); // poll: another thread gets there
    }
}

/// Reads a head from the files alone: what the reflog says last, and how often anybody asked.
fn reflog(workspace: &Path, _base: &str, _branch: &str) -> Option<Fact> {
    let log = std::fs::read_to_string(workspace.join(".git/logs/HEAD")).ok()?;
    let head = log.lines().last()?.split(' ').nth(1)?.to_owned();
    let asked = log.lines().count() as u32;
    Some(Fact::WorkSeen(Work { head: Oid(head), strayed_to: None, ahead: asked, dirty: 0 }))
}

impl Bench {
    fn new() -> Self {
        Self::with(reflog)
    }

    fn with(read_work: ReadWork) -> Self {
        let (tell, told) = channel();
        let tell: Tell = Arc::new(move |session, facts| drop(tell.send((session, facts))));
        let folder = tempfile::tempdir().unwrap();
        Self { folder, observer: Observer::start(tell, read_work).unwrap(), told }
    }

    fn run(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(inbox::folder(&folder)).unwrap();
        folder
    }

    fn inbox(&self, run: &Path, cursor: u64) -> Option<Inbox> {
        Some(Inbox { run: RunId(0), folder: run.to_owned(), cursor })
    }

    fn next(&self) -> (SessionId, Vec<Fact>) {
        self.told.recv_timeout(DEADLINE).expect("something is told")
    }

    /// Waits until the kernel watches a folder.
    fn watching(&self, folder: &Path) {
        until("the folder is watched and was read", || {
            let shared = &self.observer.shared;
            locked(&shared.watched).contains_key(folder)
                && locked(&shared.orders.waiting).is_empty()
                && locked(&shared.reports.waiting).is_empty()
        });
    }

    fn repository(&self) -> PathBuf {
        let path = self.folder.path().join("repository");
        git(self.folder.path(), &["init", "--quiet", "repository"]);
        commit(&path, "begin");
        path
    }
}

fn git(folder: &Path, args: &[&str]) {
    let mut git = Command::new("git");
    git.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    git.args(["-c", "user.name=Test", "-c", "user.email=test@example.org"]).args(args);
    assert!(git.status().unwrap().success(), "git {args:?}");
}

fn commit(repository: &Path, subject: &str) {
    git(repository, &["commit", "--quiet", "--allow-empty", "--message", subject]);
}

fn head(workspace: &Path) -> Option<Head> {
    Some(Head { workspace: workspace.to_owned(), base: "main".into(), branch: "main".into(), seen: None })
}

fn say(run: &Path, event: &str) {
    inbox::report(&inbox::file(run), &Report { event: event.into(), payload: json!({}) }).unwrap();
}

fn session() -> SessionId {
    SessionId::from("abcdefgh")
}

fn observations(facts: &[Fact]) -> Vec<&Observation> {
    let observation = |fact| match fact {
        &Fact::Observed { ref observation, source: Source::Hook, .. } => observation,
        other => panic!("an observation: {other:?}"),
    };
    facts.iter().map(observation).collect()
}

#[test]
fn a_report_is_told_once_whenever_it_came() {
    let bench = Bench::new();
    let run = bench.run("run");
    say(&run, "turn_started");
    bench.observer.look(&session(), bench.inbox(&run, 0), None);
    let (whose, facts) = bench.next();
    assert_eq!(
        (whose, observations(&facts)),
        (session(), vec![&Observation::TurnStarted]),
        "it was there before"
    );
    bench.watching(&inbox::folder(&run));
    // Looking again, with an older cursor, is looking once.
    bench.observer.look(&session(), bench.inbox(&run, 0), None);
    say(&run, "permission_resolved");
    assert_eq!(observations(&bench.next().1), [&Observation::PermissionResolved]);
    assert!(bench.told.try_recv().is_err(), "nothing is told twice");
}

#[test]
fn a_burst_of_reports_is_told_whole_and_in_order() {
    let bench = Bench::new();
    let run = bench.run("run");
    bench.observer.look(&session(), bench.inbox(&run, 0), None);
    bench.watching(&inbox::folder(&run));
    for _ in 0..500 {
        say(&run, "turn_started");
        say(&run, "permission_resolved");
    }
    let (mut seen, mut tellings) = (Vec::new(), 0);
    while seen.len() < 1000 {
        seen.extend(bench.next().1);
        tellings += 1;
    }
    let cursors: Vec<u64> = seen
        .iter()
        .map(|fact| match fact {
            Fact::Observed { cursor, .. } => *cursor,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(cursors.is_sorted_by(|a, b| a < b), "each line once, in order");
    assert!(tellings < 100, "many changes are one reading: {tellings}");
}

#[test]
fn the_last_report_is_told_before_the_end() {
    let bench = Bench::new();
    let run = bench.run("run");
    bench.observer.look(&session(), bench.inbox(&run, 0), None);
    say(&run, "turn_started");
    let fact = crate::run::ended(RunId(0), Exit::Code(0), String::new());
    let ended = Ended { session: session(), run_folder: run.clone(), fact: fact.clone() };
    bench.observer.last_look().take(ended);
    assert_eq!(observations(&bench.next().1), [&Observation::TurnStarted]);
    assert_eq!(bench.next().1, [fact]);
    bench.observer.look(&session(), None, None);
    until("nobody looks any more", || locked(&bench.observer.shared.watched).is_empty());
    say(&run, "turn_started");
    assert!(locked(&bench.observer.shared.targets).is_empty());
}

#[test]
fn a_commit_is_told_and_many_are_one_reading() {
    let bench = Bench::new();
    let repository = bench.repository();
    bench.observer.look(&session(), None, head(&repository));
    let told = |commits: u32| {
        // The reading that follows the last commit sees all of them.
        loop {
            let (_, facts) = bench.next();
            let [Fact::WorkSeen(work)] = &facts[..] else { panic!("{facts:?}") };
            if work.ahead == commits {
                return;
            }
        }
    };
    told(1);
    for number in 2..12 {
        commit(&repository, &format!("commit {number}"));
    }
    told(11);
}

#[test]
fn slow_git_does_not_hold_up_a_report() {
    static RELEASE: AtomicU32 = AtomicU32::new(0);
    fn stuck(_: &Path, _: &str, _: &str) -> Option<Fact> {
        RELEASE.fetch_add(1, Ordering::SeqCst);
        until("the report was told", || RELEASE.load(Ordering::SeqCst) > 1);
        None
    }
    let bench = Bench::with(stuck);
    let (repository, run) = (bench.repository(), bench.run("run"));
    bench.observer.look(&session(), bench.inbox(&run, 0), head(&repository));
    until("git is being asked", || RELEASE.load(Ordering::SeqCst) == 1);
    say(&run, "turn_started");
    assert_eq!(observations(&bench.next().1), [&Observation::TurnStarted]);
    RELEASE.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn a_folder_that_went_and_came_back_is_looked_at_again() {
    let bench = Bench::new();
    let run = bench.run("run");
    let folder = inbox::folder(&run);
    bench.observer.look(&session(), bench.inbox(&run, 0), None);
    bench.watching(&folder);
    std::fs::remove_dir_all(&run).unwrap();
    until("its going is noticed", || !locked(&bench.observer.shared.watched).contains_key(&folder));
    bench.observer.look(&session(), bench.inbox(&run, 0), None);
    bench.run("run");
    bench.observer.look(&session(), bench.inbox(&run, 0), None);
    bench.watching(&folder);
    say(&run, "turn_started");
    assert_eq!(observations(&bench.next().1), [&Observation::TurnStarted]);
}

#[test]
fn events_the_kernel_lost_are_made_up_for() {
    let bench = Bench::new();
    let run = bench.run("run");
    // Wanted, and not watched: nothing but the overflow can tell of the report.
    let target = Target::Inbox(session(), bench.inbox(&run, 0).unwrap());
    locked(&bench.observer.shared.targets).insert(inbox::folder(&run), target);
    say(&run, "turn_started");
    let overflow = notify::Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
    bench.observer.shared.take(Ok(overflow));
    assert_eq!(observations(&bench.next().1), [&Observation::TurnStarted]);
    assert!(bench.told.try_recv().is_err());
}

#[test]
fn looking_here_and_there_under_a_flood_does_not_hang() {
    let bench = Bench::new();
    let runs: Vec<_> = (0..4).map(|n| bench.run(&format!("run{n}"))).collect();
    let stop = AtomicU32::new(0);
    thread::scope(|scope| {
        for run in &runs {
            scope.spawn(|| {
                while stop.load(Ordering::Relaxed) == 0 {
                    // Each is a handful of events: open, write, close, attributes.
                    std::fs::write(inbox::folder(run).join("noise"), "x").unwrap();
                    say(run, "made_up");
                }
            });
        }
        let began = Instant::now();
        let mut slowest = Duration::ZERO;
        for turn in 0..2_000_u32 {
            let run = &runs[turn as usize % runs.len()];
            let whose = SessionId(format!("session{}", turn % 8));
            let asked = Instant::now();
            bench.observer.look(&whose, bench.inbox(run, 0).filter(|_| turn % 3 != 0), None);
            slowest = slowest.max(asked.elapsed());
        }
        assert!(
            began.elapsed() < DEADLINE && slowest < Duration::from_secs(1),
            "the engine is held up: {slowest:?}"
        );
        let quiet = bench.run("quiet");
        bench.observer.look(&session(), bench.inbox(&quiet, 0), None);
        say(&quiet, "turn_started");
        // The others' reports say nothing that is known, so what is told is this.
        assert_eq!(bench.next().0, session(), "it is heard in spite of the flood");
        stop.store(1, Ordering::Relaxed);
    });
}

/// Returns how often the threads of this process with these names went to sleep.
fn naps(names: &[&str]) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of_task = |task: PathBuf| {
        let name = std::fs::read_to_string(task.join("comm")).ok()?;
        let status = std::fs::read_to_string(task.join("status")).ok()?;
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        names.contains(&name.trim()).then(|| count.trim().parse::<u64>().unwrap())
    };
    tasks.filter_map(|task| of_task(task.unwrap().path())).sum()
}

/// In a process of its own: other tests' threads have the same names.
#[test]
fn nothing_wakes_while_nothing_happens() {
    let helper = "observe::tests::helper_that_idles";
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = again.args(["--ignored", "--exact", "--nocapture", helper]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("woken 0 times"), "{said}");
}

#[test]
#[ignore = "a helper of nothing_wakes_while_nothing_happens"]
fn helper_that_idles() {
    let bench = Bench::new();
    let repository = bench.repository();
    for number in 0..30 {
        let run = bench.run(&format!("run{number}"));
        let whose = SessionId(format!("session{number}"));
        bench.observer.look(&whose, bench.inbox(&run, 0), (number == 0).then(|| head(&repository)).flatten());
    }
    assert!(matches!(bench.next().1[..], [Fact::WorkSeen(_)]));
    let threads = ["keeper", "inboxes", "heads", "notify-rs inoti"];
    let settled = || {
        let before = naps(&threads);
        thread::sleep(SETTLE * 4); // poll: whatever is under way ends
        naps(&threads) == before
    };
    until("all have settled", settled);
    let before = naps(&threads);
    assert!(before > 0, "the threads are found by their names");
    thread::sleep(SETTLE * 10); // poll: time in which nothing must happen
    println!("woken {} times", naps(&threads) - before);
}
