//! What an agent is led through while it is measured, and what the witnesses tell of it. It looks at what oarlock says only
//! to know when to go on, never to know what is true.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use oarlock_model::seen::Asked;
use rustix::process::Signal;

use super::count::{Count, SEEN_WITHIN_MS, Said, State, count};
use super::said::{Follower, millis};
use super::witness::{PATIENCE, Witness, agent_process, asked, dwell, mark, processes, until};
use crate::harness::{good, signal};
use crate::stage::Stage;

/// How long each state between two acts is let last, in milliseconds.
const DWELL_MS: u64 = 2000;
/// How long a command that leave is asked for is left without an answer, in milliseconds.
const ASKED_MS: u64 = 4000;
/// How long a tool may take to begin that nobody is asked about.
const BEGINS_WITHIN: Duration = Duration::from_secs(4);
/// How long an agent that says it is done with a turn may take to ask its provider again after all.
const GIVES_UP_WITHIN: Duration = Duration::from_secs(8);
/// How long oarlock may take to say that an agent can be told something; later is wrong samples and no failed test.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A session that is played and watched.
pub struct Play<'a> {
    stage: &'a Stage,
    follower: &'a Follower,
    name: &'static str,
    witness: Witness,
    workspace: PathBuf,
    /// What was met that a reader of the figures should know.
    pub notes: Vec<String>,
}

impl<'a> Play<'a> {
    /// Begins a session with words to the agent, and watches it come up and answer.
    pub fn begin(stage: &'a Stage, follower: &'a Follower, name: &'static str, permissions: &str) -> Self {
        let witness = Witness::default();
        let workspace = PathBuf::new();
        let mut play = Self { stage, follower, name, witness, workspace, notes: Vec::new() };
        let before = stage.server.seen().count;
        let begun = millis();
        play.witness.at(State::Starting, begun);
        let how = ["--agent", stage.agent, "--hold", stage.hold, "--permissions", permissions];
        let spawn =
            [&["spawn", "--name", name, "--prompt", "[[play:greet]] Good morning."], &how[..]].concat();
        let spawn = stage.crew.command(&spawn).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Of a bridge, the agent is a child that comes a moment later.
        let first = until("a process of the run", PATIENCE, || processes(stage).first().map(|_| millis()));
        let up = until("the agent's process", PATIENCE, || agent_process(stage).map(|_| millis()));
        good(spawn.wait_with_output().unwrap(), "spawn");
        play.witness.between(State::Working, first.unwrap(), up.unwrap());
        play.workspace = stage.crew.workspace(name);
        if is_traced() {
            let (folder, from) = (stage.crew.run_folder(name), follower.said(name)[0].0);
            std::thread::spawn(move || picture_for_ever(&folder, from));
        }
        play.turn_ends("greet", 0, before);
        play
    }

    /// Has the agent run a command that takes seconds, which it needs no leave for.
    pub fn tool(&mut self) {
        let before = self.tell("[[play:tool]] Run something.");
        self.turn_ends("tool", 1, before);
        let [begun, over] = ["tool.begun", "tool.over"].map(|name| mark(&self.workspace, name));
        assert!(begun.is_some() && over > begun, "the tool ran\n{}", self.stage.picture());
    }

    /// Has the agent say something that takes long.
    pub fn stream(&mut self) {
        let before = self.tell("[[play:stream]] Tell me a long story.");
        self.turn_ends("stream", 0, before);
    }

    /// Has the provider tell the agent to wait, and then answer it.
    pub fn limit(&mut self) {
        let before = self.tell("[[play:limited]] Good evening.");
        let of = |asked: &Asked| is_of(asked, "limited", 0, before);
        let first = asked(self.stage, "a limit", |asked| of(asked) && asked.status == 429 && asked.whole);
        self.witness.at(State::RateLimited, first.over_at_ms.unwrap_or(first.at_ms));
        let answered = || self.stage.server.seen().requests.into_iter().find(|a| of(a) && a.status == 200);
        let gave_up = || self.says(&["needs_input", "idle", "failed"]);
        until("the limit to lift", PATIENCE, || (answered().is_some() || gave_up()).then_some(()));
        // It may say so between two attempts: only the server knows.
        let lifted = until("another attempt", GIVES_UP_WITHIN, answered);
        if let Some(lifted) = lifted {
            // The agent cannot know that it is let in before the answer begins.
            let begun =
                asked(self.stage, "the answer", |a| a.number == lifted.number && a.begun_at_ms.is_some());
            self.witness.between(State::Working, lifted.at_ms, begun.begun_at_ms.unwrap_or(lifted.at_ms));
            self.turn_ends("limited", 0, before);
            return;
        }
        let attempts: Vec<Asked> = self.stage.server.seen().requests.into_iter().filter(of).collect();
        let last = attempts.last().and_then(|last| last.over_at_ms).expect("it was limited");
        self.notes.push(format!("It gave its turn up after {} refused attempts.", attempts.len()));
        // It was never limited but gave up at once when nobody asked again.
        if attempts.len() == 1 {
            self.witness.changes.pop();
        }
        self.witness.at(State::Failing, last);
        dwell(DWELL_MS);
    }

    /// Interrupts the agent in the middle of an answer, as a person at its terminal does.
    pub fn interrupt(&mut self) {
        let before = self.tell("[[play:stream]] Tell me another.");
        dwell(DWELL_MS);
        let at = millis();
        self.stage.press_interrupt(self.name);
        let answer = asked(self.stage, "the answer to end", |a| {
            is_of(a, "stream", 0, before) && a.over_at_ms.is_some()
        });
        let over = answer.over_at_ms.unwrap_or(at);
        if answer.whole {
            self.notes.push("It was not interrupted by the keys for it.".into());
        }
        self.witness.between(State::Idle, if answer.whole { over } else { at }, over);
        dwell(2 * DWELL_MS);
    }

    /// Has the agent run a command that it asks leave for, and gives it.
    pub fn permission(&mut self) {
        // One of them judges by itself, and asks only where the model wants it to.
        let play = if self.stage.agent == "codex" { "asks_escalated" } else { "asks" };
        let before = self.tell(&format!("[[play:{play}]] Run something."));
        let call = asked(self.stage, "the call", |a| is_of(a, play, 0, before) && a.status == 200 && a.whole);
        let called = call.over_at_ms.unwrap_or(call.at_ms);
        let workspace = self.workspace.clone();
        let begun = || mark(&workspace, "asks.begun");
        if until("the tool to begin unasked", BEGINS_WITHIN, begun).is_some() {
            self.notes.push("It asks no leave for a command in its workspace.".into());
        } else {
            self.witness.at(State::Blocked, called);
            dwell(ASKED_MS);
            let at = millis();
            let answered = self.stage.crew.run(&["answer", self.name, "allow"]);
            if !answered.status.success() {
                let why = String::from_utf8_lossy(&answered.stderr).into_owned();
                self.notes
                    .push(format!("The answer was refused: {}", why.lines().next().unwrap_or_default()));
                self.stage.crew.host(self.name).input(b"\r").unwrap();
            }
            let begun = until("the tool to begin", BEGINS_WITHIN, begun);
            let begun = begun.unwrap_or_else(|| panic!("it was allowed\n{}", self.stage.picture()));
            self.witness.between(State::Working, at, begun);
        }
        self.turn_ends(play, 1, before);
    }

    /// Kills the agent's process.
    pub fn crash(&mut self) {
        let pid = agent_process(self.stage).expect("it lives");
        self.witness.at(State::Failed, millis());
        signal(pid, Signal::KILL);
        dwell(DWELL_MS);
    }

    /// Stops the session.
    pub fn stop(&mut self) {
        let at = millis();
        let mut stop = self.stage.crew.command(&["stop", self.name]);
        let stop = stop.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let gone =
            until("the agent to be gone", PATIENCE, || agent_process(self.stage).is_none().then(millis));
        good(stop.wait_with_output().unwrap(), "stop");
        self.witness.between(State::Stopped, at, gone.unwrap());
        dwell(DWELL_MS);
    }

    /// Returns what was counted of it, from the first word about it until now.
    pub fn count(&self) -> Count {
        let said = self.follower.said(self.name);
        let from = said.first().map_or(0, |(at, _)| *at);
        if is_traced() {
            trace(&said, &self.witness, from);
        }
        count(&said, &self.witness.changes, from, millis())
    }

    /// Tells the agent something once oarlock takes it for ready, and waits until the model is asked about it. Returns how many
    /// requests there were before.
    fn tell(&mut self, words: &str) -> u64 {
        until("the agent to be ready", READY_WITHIN, || self.says(&["idle", "needs_input"]).then_some(()));
        let before = self.stage.server.seen().count;
        let at = millis();
        self.stage.crew.ok(&["send", self.name, words]);
        let play =
            words.trim_start_matches("[[play:").split([' ', ']']).next().unwrap_or_default().to_owned();
        let first = asked(self.stage, words, |asked| is_of(asked, &play, 0, before));
        self.witness.between(State::Working, at, first.at_ms);
        before
    }

    /// Waits for the last answer of a turn, and lets the agent be idle for a while.
    fn turn_ends(&mut self, play: &str, last: usize, before: u64) {
        let last = asked(self.stage, &format!("the end of {play}"), |asked| {
            is_of(asked, play, last, before)
                && asked.status == 200
                && asked.whole
                && asked.over_at_ms.is_some()
        });
        let over = last.over_at_ms.unwrap_or(last.at_ms);
        dwell(DWELL_MS);
        self.witness.between(State::Idle, over, self.asks_on(last.number, over));
    }

    /// Returns when the last of what an agent asks the model on its own after a turn was answered: for a title, or for what the
    /// person may say next. Some end their turn before, some after; nobody but they can tell.
    fn asks_on(&self, last: u64, over: u64) -> u64 {
        let mut end = over;
        for asked in self.stage.server.seen().requests {
            let follows = asked.number > last && asked.at_ms <= end + SEEN_WITHIN_MS;
            if follows && asked.protocol.is_some() && !asked.played {
                end = end.max(asked.over_at_ms.unwrap_or(asked.at_ms));
            }
        }
        end
    }

    fn says(&self, words: &[&str]) -> bool {
        let said = self.follower.said(self.name);
        said.last().is_some_and(|(_, word)| words.contains(&word.as_str()))
    }
}

/// Tells whether a request is about a step of a scenario, and came after others.
fn is_of(asked: &Asked, play: &str, step: usize, before: u64) -> bool {
    asked.played && asked.number > before && asked.step == step && asked.scenario.as_deref() == Some(play)
}

/// Prints a terminal's last rows whenever they have changed, for whoever wonders why something is not seen.
fn picture_for_ever(folder: &Path, from: u64) {
    let mut last = Vec::new();
    loop {
        let screen = oarlock_term::Client::connect(folder).and_then(|mut host| host.snapshot());
        let Ok(screen) = screen else { return };
        let rows: Vec<String> = screen.lines.into_iter().filter(|row| !row.trim().is_empty()).collect();
        let rows = rows[rows.len().saturating_sub(12)..].to_vec();
        if rows != last {
            eprintln!("---- {} {:?}", millis().saturating_sub(from), screen.title);
            rows.iter().for_each(|row| eprintln!("| {row}"));
            last = rows;
        }
        dwell(700);
    }
}

/// Tells whether somebody wants to see more than figures.
fn is_traced() -> bool {
    std::env::var_os("OARLOCK_ACCURACY_TRACE").is_some()
}

/// Prints both tellings side by side, for whoever looks for a difference.
fn trace(said: &[Said], witness: &Witness, from: u64) {
    let since = |at: u64| i128::from(at) - i128::from(from);
    for change in &witness.changes {
        eprintln!("{:>7} … {:>7}  {} (true)", since(change.from), since(change.until), change.state.word());
    }
    for (at, word) in said {
        eprintln!("{:>17}  {word} (said)", since(*at));
    }
}

/// Returns where the folder is in which programs that were built stand.
pub fn target() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_oarlock"));
    program.parent().and_then(Path::parent).expect("a program stands in target/debug").to_owned()
}
