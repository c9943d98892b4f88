//! The daemon is killed again and again, at random instants, while sessions begin, are told things, land, are rejected and
//! stopped. Afterwards the books are checked against the world: nothing is missing, nothing happened twice.
//!
//! The instants come from a seed, printed when the test fails; `OARLOCK_CRASH_SEED` gives it again. What the machine does
//! between two instants is its own affair, so a seed brings back the storm and not every drop of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Crew, ended, is_alive, signal, text, until, wait};

/// How often the daemon is killed.
const KILLS: usize = 60;
/// Words said in a round.
const WORDS: usize = 4;
/// How long after a verb was sent, or a daemon appeared, the kill comes at most: most verbs are through by then.
const DELAY_MS_MAX: u64 = 80;
/// How long a verb may take to have a daemon running.
const APPEARS: Duration = Duration::from_secs(2);

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct Dice(u64);

impl Dice {
    /// Throws a number below a limit.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Something asked of oarlock. The number names it for ever.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Work(usize),
    Busy(usize),
    Tell(&'static str, usize),
    Land(usize),
    Reject(usize),
    Stop(usize),
}

/// A crew in a storm.
struct Storm {
    crew: Crew,
    dice: Dice,
    /// What was asked and answered with success.
    answered: BTreeSet<Act>,
    /// What was asked at all.
    asked: BTreeSet<Act>,
    kills: usize,
}

fn work(number: usize) -> String {
    format!("work-{number}")
}

fn busy(number: usize) -> String {
    format!("busy-{number}")
}

impl Storm {
    fn new(seed: u64) -> Self {
        let (asked, answered) = (BTreeSet::new(), BTreeSet::new());
        Self { crew: Crew::new(), dice: Dice(seed), asked, answered, kills: 0 }
    }

    /// Leaves a mark outside of every workspace: who began twice is there twice.
    fn marking(&self, command: &str) -> String {
        format!("echo \"$OARLOCK_NAME\" >>'{}'; {command}", self.crew.root.join("began").display())
    }

    /// Sends a verb on its way.
    fn send(&mut self, act: &Act) -> Child {
        self.asked.insert(act.clone());
        let spawn = |name: String, command: String| {
            ["spawn", "--name", &name, "--exec", &command].map(str::to_owned).to_vec()
        };
        let plain = |verb: &str, name: String| vec![verb.to_owned(), name];
        let arguments = match act {
            Act::Work(n) => {
                let commit = format!("echo {n} >{n}.txt && git add . && git commit -qm 'Add {n}'");
                spawn(work(*n), self.marking(&commit))
            }
            Act::Busy(n) => spawn(busy(*n), self.marking("exec sleep 600")),
            Act::Tell(ear, n) => vec!["send".to_owned(), (*ear).to_owned(), format!("word-{n}.")],
            Act::Land(n) => plain("land", work(*n)),
            Act::Reject(n) => plain("reject", work(*n)),
            Act::Stop(n) => plain("stop", busy(*n)),
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = self.crew.command(&arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Chooses what a round asks for, from what was promised so far.
    fn choose(&mut self, round: usize) -> Vec<Act> {
        // Several words, so that one of them is between the terminal and the log whenever the kill comes.
        let word =
            |number| Act::Tell(if number % 2 == 0 { "shell" } else { "agent" }, WORDS * round + number);
        let mut acts: Vec<Act> = (0..WORDS).map(word).collect();
        let answered = |act: Act| self.answered.contains(&act);
        let asked = |act: Act| self.asked.contains(&act);
        let first = |holds: &dyn Fn(usize) -> bool| (0..round).find(|n| holds(*n));
        let worker = first(&|n| answered(Act::Work(n)) && !asked(Act::Land(n)) && !asked(Act::Reject(n)));
        // One whose parting was not answered is parted with again: that is what a person would do.
        let land = first(&|n| asked(Act::Land(n)) && !answered(Act::Land(n))).or(worker);
        let reject = first(&|n| asked(Act::Reject(n)) && !answered(Act::Reject(n))).or(worker);
        let busy = first(&|n| answered(Act::Busy(n)) && !answered(Act::Stop(n)));
        acts.extend(match round % 5 {
            0 | 1 => Some(Act::Work(round)),
            2 => land.map(Act::Land),
            3 => reject.map(Act::Reject),
            _ => busy.map(Act::Stop),
        });
        acts.extend((round % 5 == 1).then_some(Act::Busy(round)));
        acts
    }

    /// Returns the daemon's process, ready or not.
    fn daemon(&self) -> Option<i32> {
        let is_daemon = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(b"daemon")
        };
        self.crew.processes().into_iter().find(is_daemon)
    }

    fn kill(&mut self, after_ms: u64) {
        // poll: the instant itself is what is tested; there is no state to wait for.
        std::thread::sleep(Duration::from_millis(after_ms));
        let Some(daemon) = wait(APPEARS, || self.daemon()) else { return };
        signal(daemon, Signal::KILL);
        until("the daemon to be gone", || (!is_alive(daemon)).then_some(()));
        self.kills += 1;
    }

    /// One round: verbs under way, a kill among them; every third time another one before, so that it hits the start.
    fn round(&mut self, round: usize) {
        let hits_start = self.dice.below(3) == 0;
        if hits_start && self.daemon().is_some() {
            self.kill(0);
        }
        let acts = self.choose(round);
        let sent: Vec<(Act, Child)> = acts.into_iter().map(|act| (act.clone(), self.send(&act))).collect();
        if hits_start {
            wait(APPEARS, || self.daemon());
        }
        let delay = self.dice.below(DELAY_MS_MAX + 1);
        self.kill(delay);
        for (act, child) in sent {
            let output = ended(child);
            let (code, talk) = (output.status.code(), text(&output.stderr));
            assert!(
                matches!(code, Some(0 | 1 | 3 | 5)),
                "{act:?} ended by {}, saying {}{talk}",
                output.status,
                text(&output.stdout)
            );
            // A wish that was carried out without an answer is told of when it is repeated.
            let before = talk.contains(" was rejected.") || talk.contains(" landed on main.");
            if code == Some(0) || before {
                self.answered.insert(act);
            } else {
                assert!(talk.starts_with("error: "), "{act:?} says what is wrong: {talk:?}");
            }
        }
    }

    fn was_answered(&self, act: &Act) -> bool {
        self.answered.contains(act)
    }
}

/// An agent that counts aloud until it is told to end.
const COUNTING: &str = "i=0; until [ -e end ]; do i=$((i+1)); echo \"line $i\"; sleep 0.05; done; rm end";
/// An agent that repeats what it hears.
const HEARING: &str = "stty -echo; echo ready; while read -r line; do echo \"heard: $line\"; done";

#[test]
fn a_daemon_killed_again_and_again_loses_nothing_and_does_nothing_twice() {
    let given = std::env::var("OARLOCK_CRASH_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = given.unwrap_or_else(|| u64::from(draw()));
    println!("OARLOCK_CRASH_SEED={seed} brings this storm back");
    let mut storm = Storm::new(seed);
    let counters = ["one", "two"];
    counters.iter().for_each(|name| storm.crew.exec(name, &storm.marking(COUNTING)));
    storm.crew.exec("shell", &storm.marking(HEARING));
    storm.crew.scripted("agent", "say ready");
    storm.crew.wait_output("shell", "ready");
    storm.crew.wait_status("agent", "idle");
    let lasting = [&counters[..], &["shell", "agent"]].concat();
    let before: Vec<_> = lasting.iter().map(|name| storm.crew.run_processes(name)).collect();
    let mut round = 0;
    while storm.kills < KILLS {
        storm.round(round);
        round += 1;
    }
    println!("{} kills, {} asked, {} answered", storm.kills, storm.asked.len(), storm.answered.len());
    storm.crew.ok(&["start"]);
    let after: Vec<_> = lasting.iter().map(|name| storm.crew.run_processes(name)).collect();
    assert_eq!(before, after, "the same hosts and agents live on, through {} kills", storm.kills);
    the_counters_lost_no_line(&storm, &counters);
    every_word_was_heard_once(&storm);
    every_session_is_as_was_promised(&storm);
    what_landed_landed_once(&storm);
    the_trash_holds_what_was_taken_away(&storm);
    everybody_began_once(&storm);
    let verified = storm.crew.ok(&["doctor", "--verify"]);
    assert!(verified.contains("folds to the stored state"), "{verified}");
}

#[test]
fn a_verb_under_which_the_daemon_dies_is_answered_all_the_same() {
    let crew = Crew::new();
    crew.exec("shell", HEARING);
    crew.wait_output("shell", "ready");
    for number in 0..20 {
        let sent: Vec<Child> = (0..2)
            .map(|which| {
                let mut command = crew.command(&["send", "shell", &format!("word-{number}-{which}.")]);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        // poll: the instant itself is what is tested; there is no state to wait for.
        std::thread::sleep(Duration::from_millis(number));
        let note = oarlock_daemon::read_note(&crew.place()).unwrap();
        signal(i32::try_from(note.pid).unwrap(), Signal::KILL);
        for client in sent {
            let output = ended(client);
            assert!(output.status.success(), "{number}: {}", text(&output.stderr));
        }
    }
    // The two of a round may come in either order.
    crew.wait_output("shell", "heard: word-19-0.");
    let output = crew.wait_output("shell", "heard: word-19-1.");
    for word in (0..20).flat_map(|number| (0..2).map(move |which| format!("heard: word-{number}-{which}.\r")))
    {
        assert_eq!(output.matches(&word).count(), 1, "{word}: {output}");
    }
}

/// Draws a seed: the clock is as good as anything.
fn draw() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos()
}

fn the_counters_lost_no_line(storm: &Storm, counters: &[&str]) {
    for name in counters {
        let workspace = storm.crew.workspace(name);
        fs::write(workspace.join("end"), "").unwrap();
        storm.crew.wait_status(name, "done");
        let output = storm.crew.output(name);
        let lines = output.lines().count();
        let numbered: String = (1..=lines).map(|number| format!("line {number}\r\n")).collect();
        assert!(lines > 20, "{name} counted through the storm: {lines}");
        assert_eq!(output, numbered, "{name}: no line is lost and none is there twice");
    }
}

fn every_word_was_heard_once(storm: &Storm) {
    for ear in ["shell", "agent"] {
        let told: Vec<&Act> =
            storm.asked.iter().filter(|act| matches!(act, Act::Tell(who, _) if *who == ear)).collect();
        let word = |act: &Act| match act {
            Act::Tell(_, n) => format!("heard: word-{n}.\r\n"),
            other => panic!("{other:?} tells nothing"),
        };
        for act in told.iter().filter(|act| storm.was_answered(act)) {
            storm.crew.wait_output(ear, &word(act));
        }
        until(&format!("no message to {ear} to wait"), || {
            let detail = storm.crew.json(&["show", ear]);
            let waits = |message: &Value| message["state"] == "queued";
            (!detail["messages"].as_array().unwrap().iter().any(waits)).then_some(())
        });
        let output = storm.crew.output(ear);
        for act in &told {
            let times = output.matches(&word(act)).count();
            assert!(times <= 1, "{act:?} was typed {times} times: {output}");
            assert!(
                times == 1 || !storm.was_answered(act),
                "{act:?} was answered for and not typed: {output}"
            );
        }
        assert!(told.iter().filter(|act| storm.was_answered(act)).count() >= 5, "{ear} was told something");
    }
}

fn every_session_is_as_was_promised(storm: &Storm) {
    let crew = &storm.crew;
    let listed = crew.json(&["ls", "--all"]);
    let names: BTreeSet<&str> =
        listed.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    for act in &storm.answered {
        match act {
            Act::Work(n) => assert!(names.contains(work(*n).as_str()), "{act:?} was answered and is gone"),
            Act::Busy(n) => assert!(names.contains(busy(*n).as_str()), "{act:?} was answered and is gone"),
            Act::Land(n) => drop(crew.wait_status(&work(*n), "landed")),
            Act::Reject(n) => drop(crew.wait_status(&work(*n), "rejected")),
            Act::Stop(n) => drop(crew.wait_status(&busy(*n), "stopped")),
            Act::Tell(..) => {}
        }
    }
    for name in names.iter().filter(|name| name.starts_with("busy-")) {
        let number: usize = name[5..].parse().unwrap();
        if !storm.asked.contains(&Act::Stop(number)) {
            crew.wait_status(name, "working");
        }
    }
    for (kind, least) in [("Work", 10), ("Busy", 5), ("Land", 4), ("Reject", 4), ("Stop", 4)] {
        let done = storm.answered.iter().filter(|act| format!("{act:?}").starts_with(kind)).count();
        assert!(done >= least, "the storm let {done} of {kind} through, which proves little");
    }
}

/// Waits until nothing is on its way, and returns every worker as it is listed then.
fn settled_workers(crew: &Crew) -> BTreeMap<String, Value> {
    until("every worker to have ended and every farewell to be over", || {
        let listed = crew.json(&["ls", "--all"]);
        let workers =
            listed.as_array().unwrap().iter().filter(|s| s["name"].as_str().unwrap().starts_with("work-"));
        let workers: BTreeMap<String, Value> =
            workers.map(|session| (session["name"].as_str().unwrap().to_owned(), session.clone())).collect();
        let settled = |session: &Value| {
            let over = !session["outcome"].is_null();
            (over && session["workspace"].is_null()) || (!over && session["status"] == "done")
        };
        workers.values().all(settled).then_some(workers)
    })
}

fn what_landed_landed_once(storm: &Storm) {
    let crew = &storm.crew;
    let workers = settled_workers(crew);
    let merges = crew.git(&[
        "log",
        "--merges",
        "--format=%(trailers:key=Oarlock-Session,valueonly,separator=%x20)",
        "main",
    ]);
    let mut landed = 0;
    for (name, session) in &workers {
        let id = session["id"].as_str().unwrap();
        let times = merges.lines().filter(|line| *line == format!("{name} {id}")).count();
        let wanted = usize::from(session["outcome"] == "landed");
        assert_eq!(times, wanted, "{name} is {} and was merged {times} times", session["outcome"]);
        landed += wanted;
        let file = format!("{}.txt", &name["work-".len()..]);
        if session["outcome"] == "landed" {
            crew.git(&["show", &format!("main:{file}")]);
        } else if session["outcome"].is_null() {
            assert!(
                crew.workspace_of(session).join(&file).exists(),
                "the work of {name} is in its workspace"
            );
            assert_eq!(session["ahead"], 1, "and committed once: {session}");
        }
    }
    let count = crew.git(&["rev-list", "--count", "main"]);
    assert_eq!(
        count.trim(),
        (1 + 2 * landed).to_string(),
        "a commit and a merge for each of {landed}, no more"
    );
    assert_eq!(crew.git(&["status", "--porcelain"]), "", "the person's checkout followed");
}

fn the_trash_holds_what_was_taken_away(storm: &Storm) {
    let crew = &storm.crew;
    let kept = crew.json(&["trash", "ls"]);
    let kept: BTreeSet<&str> =
        kept.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    let workers = settled_workers(crew);
    let gone = workers.iter().filter(|(_, session)| session["workspace"].is_null());
    let marks = fs::read_to_string(crew.root.join("began")).unwrap();
    // One that was rejected before it had a workspace has nothing to keep.
    let gone: Vec<_> = gone.filter(|(name, _)| marks.lines().any(|mark| mark == *name)).collect();
    for (name, session) in &gone {
        let trash = crew.json(&["show", session["id"].as_str().unwrap()])["trash"].clone();
        assert!(
            kept.contains(trash.as_str().unwrap()),
            "{name} is in the trash as {trash}, which holds {kept:?}"
        );
    }
    let rejected = gone.iter().find(|(_, session)| session["outcome"] == "rejected");
    let (name, session) = rejected.expect("one that had begun was rejected");
    crew.ok(&["undo", session["id"].as_str().unwrap()]);
    let file = format!("{}.txt", &name["work-".len()..]);
    assert!(crew.workspace(name).join(file).exists(), "{name} came back whole");
}

fn everybody_began_once(storm: &Storm) {
    let marks = fs::read_to_string(storm.crew.root.join("began")).unwrap();
    let listed = storm.crew.json(&["ls", "--all"]);
    for session in listed.as_array().unwrap() {
        let name = session["name"].as_str().unwrap();
        let times = marks.lines().filter(|mark| *mark == name).count();
        // The scripted agent leaves no mark, and what was parted with or stopped at once may never have begun.
        let must = name != "agent" && session["outcome"].is_null() && session["status"] != "stopped";
        assert!(times <= 1 && times >= usize::from(must), "{name} began {times} times");
    }
}
