//! Thousands of messages, to agents that are busy, redraw without rest, put up dialogs and die, while the daemon is killed
//! again and again: each arrives whole, once and in its order, or its receipt says what became of it.
//!
//! `OARLOCK_STORM=N` sends N messages; a storm is drawn from a seed, printed when it fails, which `OARLOCK_STORM_SEED` gives
//! again. What the machine does between two instants is its own affair.
#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

#[allow(dead_code, reason = "a storm needs less of it than the end-to-end tests do")]
#[path = "../harness/mod.rs"]
mod harness;
mod judge;
mod tui;
mod voice;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::{Crew, is_alive, signal, until};
use rustix::process::Signal;

use tui::Books;
use voice::Sent;
use words::Dice;

/// Messages sent unless told otherwise: half a minute. Ten thousand take three minutes.
const MESSAGES: usize = 2_000;
/// Agents of each kind, and what each kind is called. A kind's manners are in `tui`.
const KINDS: &[(&str, usize)] =
    &[("idle", 8), ("busy", 8), ("redraw", 6), ("asking", 6), ("dying", 5), ("shell", 3)];
/// People who talk to each agent at once.
const VOICES: usize = 2;
/// Between two kills of the daemon, at most: a request waits for the message's receipt for three seconds, and has to have its
/// chance.
const CALM_MS_MAX: u64 = 5_000;

/// Everything the voices share.
struct Storm {
    crew: Crew,
    seed: u64,
    folder: PathBuf,
    messages: usize,
    /// The next message's number.
    next: AtomicUsize,
    /// Messages that a voice took and could not send: its agent was dead for good.
    left: Mutex<Vec<usize>>,
    sent: Mutex<Vec<Sent>>,
    /// How often each session's agent was brought up again.
    resumes: BTreeMap<String, Mutex<usize>>,
    /// Voices that still talk.
    talking: AtomicUsize,
    failed: AtomicBool,
}

impl Storm {
    fn new(seed: u64, messages: usize) -> Self {
        let mut crew = Crew::new();
        let folder = crew.root.join("books");
        std::fs::create_dir(&folder).unwrap();
        let program = crew.root.join("claude");
        tui::program(&program, &tui::script(&folder, seed));
        crew.set("OARLOCK_CLAUDE_CODE_PROGRAM", &program);
        Self {
            crew,
            seed,
            folder,
            messages,
            next: AtomicUsize::new(0),
            left: Mutex::default(),
            sent: Mutex::default(),
            resumes: Self::sessions().into_iter().map(|session| (session, Mutex::default())).collect(),
            talking: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
        }
    }

    /// Takes the next message; nothing when all are sent.
    fn take(&self) -> Option<usize> {
        let left = self.left.lock().unwrap().pop();
        left.or_else(|| {
            Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < self.messages)
        })
    }

    fn put_back(&self, number: usize) {
        self.left.lock().unwrap().push(number);
    }

    fn books(&self, session: &str) -> Books {
        Books::of(&self.folder, session)
    }

    fn sessions() -> Vec<String> {
        KINDS
            .iter()
            .flat_map(|(kind, count)| (0..*count).map(move |number| format!("{kind}-{number}")))
            .collect()
    }

    /// Kills the daemon at random instants as long as somebody talks; whoever talks starts it again. Returns how often.
    fn kill_the_daemon(&self) -> usize {
        let mut dice = Dice(self.seed);
        let mut kills = 0;
        while self.talking.load(Ordering::Relaxed) > 0 && !self.failed.load(Ordering::Relaxed) {
            // poll: the instant itself is what is tested; there is no state to wait for.
            std::thread::sleep(Duration::from_millis(dice.below(CALM_MS_MAX)));
            let Some(daemon) = self.crew.daemon_pid() else { continue };
            signal(daemon, Signal::KILL);
            until("the daemon to be gone", || (!is_alive(daemon)).then_some(()));
            kills += 1;
        }
        kills
    }
}

/// Sets a flag when it goes in a panic, so that nobody waits for what will not come.
struct Alarm<'a>(&'a Storm);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.talking.fetch_sub(1, Ordering::Relaxed);
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn every_message_of_a_storm_arrives_whole_once_and_in_order_or_its_receipt_says_otherwise() {
    let given = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = given("OARLOCK_STORM_SEED").unwrap_or_else(|| u64::from(clock.subsec_nanos()));
    let messages = given("OARLOCK_STORM").map_or(MESSAGES, |count| usize::try_from(count).unwrap());
    println!("OARLOCK_STORM_SEED={seed} brings this storm back");
    let storm = Storm::new(seed, messages);
    let sessions = Storm::sessions();
    for session in &sessions {
        storm.crew.ok(&["spawn", "--name", session, "--agent", "claude-code", "--hold", "terminal"]);
    }
    sessions.iter().for_each(|session| drop(storm.crew.wait_output(session, "for shortcuts")));
    let begun = Instant::now();
    storm.talking.store(sessions.len() * VOICES, Ordering::Relaxed);
    let kills = std::thread::scope(|scope| {
        for session in &sessions {
            for number in 0..VOICES {
                let storm = &storm;
                scope.spawn(move || {
                    let _alarm = Alarm(storm);
                    voice::talk(storm, session, number);
                });
            }
        }
        storm.kill_the_daemon()
    });
    let took = begun.elapsed();
    storm.crew.ok(&["start"]);
    let tally = judge::everything(&storm, &sessions);
    println!("{messages} messages in {took:.1?}, the daemon killed {kills} times: {tally}");
    assert!(kills > 0, "a storm without a kill proves little");
    let verified = storm.crew.ok(&["doctor", "--verify"]);
    assert!(verified.contains("folds to the stored state"), "{verified}");
}
