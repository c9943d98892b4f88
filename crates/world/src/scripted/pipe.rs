//! The scripted agent behind pipes: it carries out its scripts as in a terminal, and speaks its protocol instead of drawing.
//!
//! It is an agent like any other: it knows its pipes, and nothing of a bridge.

use std::collections::VecDeque;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use oarlock_agents::scripted::pipe::{Tells, Told};
use oarlock_agents::scripted::{Step, parse};
use oarlock_core::session::fact::Claim;

use super::{HALF_PAUSE, SPIN_HZ, commit, git, mischief, put};
use crate::gate::verdict;

/// Runs until its standard input is closed and nothing it was told is left.
#[must_use]
pub fn main() -> ExitCode {
    let (send, heard) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            let told = serde_json::from_str::<Told>(&line);
            if told.is_ok_and(|told| send.send(told).is_err()) {
                return;
            }
        }
    });
    let mut agent = Agent { heard, waiting: VecDeque::new(), turn: 0, told: 0, said: 0, calls: 0 };
    tell(&Tells::Started {});
    loop {
        let next = agent.waiting.pop_front().map_or_else(
            || match agent.heard.recv() {
                Ok(Told::Say { id, text }) => Some(Some((id, text))),
                // Nothing is asked, and nothing is going on.
                Ok(Told::Answer { .. } | Told::Interrupt {}) => Some(None),
                Err(_) => None,
            },
            |waiting| Some(Some(waiting)),
        );
        match next {
            None => return ExitCode::SUCCESS,
            Some(None) => {}
            Some(Some((id, text))) => {
                if let Some(code) = agent.take(id, &text) {
                    return ExitCode::from(code);
                }
            }
        }
    }
}

struct Agent {
    heard: Receiver<Told>,
    waiting: VecDeque<(Option<String>, String)>,
    turn: u64,
    told: u64,
    said: u64,
    calls: u64,
}

/// Why a turn does not go on.
enum Stop {
    Interrupted,
    Error(String),
    Question(String),
    Exit(u8),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Error(format!("script: {error}"))
    }
}

impl Agent {
    /// Takes one turn. Returns the exit code when it ends the agent.
    fn take(&mut self, id: Option<String>, text: &str) -> Option<u8> {
        self.turn += 1;
        self.told = text.chars().count() as u64;
        self.said = 0;
        tell(&Tells::Taken { id, text: text.into() });
        tell(&Tells::TurnStarted {});
        let ended = match parse(text) {
            Ok(steps) => steps.iter().try_for_each(|step| self.step(step)),
            Err(_) => {
                self.say(&format!("heard: {text}"), true);
                Ok(())
            }
        };
        let (error, question) = match ended {
            Ok(()) => (String::new(), None),
            Err(Stop::Interrupted) => ("interrupted".into(), None),
            Err(Stop::Error(class)) => (class, None),
            Err(Stop::Question(what)) => (String::new(), Some(what)),
            Err(Stop::Exit(code)) => return Some(code),
        };
        tell(&Tells::TurnEnded { error, turn: self.turn, told: self.told, said: self.said });
        if let Some(what) = question {
            tell(&Tells::Question { what });
        }
        None
    }

    fn step(&mut self, step: &Step) -> Result<(), Stop> {
        self.wait(Duration::ZERO)?;
        match step {
            Step::Say(words) => self.say(words, true),
            Step::Work(time) => self.wait(*time)?,
            Step::Write(path, words) => self.call("Write", path, || put(path, words, false))?,
            Step::Append(path, words) => self.call("Append", path, || put(path, words, true))?,
            Step::Commit(subject) => self.call("Commit", subject, || commit(subject))?,
            Step::Merge(branch) => self.call("Merge", branch, || {
                git(&["merge", "--quiet", "--no-edit", "--strategy-option=ours", branch])
            })?,
            Step::Ask(what) => self.ask(what)?,
            Step::Question(what) => return Err(Stop::Question(what.clone())),
            Step::Claim(note) => tell(&Tells::Claim { claim: Claim::Done, note: note.clone() }),
            Step::ClaimPhase(note) => tell(&Tells::Claim { claim: Claim::PhaseDone, note: note.clone() }),
            Step::HandOff(note) => tell(&Tells::Claim { claim: Claim::HandingOff, note: note.clone() }),
            Step::Approve(seen) => verdict::say(true, seen),
            Step::Object(issue) => verdict::say(false, issue),
            Step::RateLimit(time) => {
                tell(&Tells::RateLimited {});
                self.wait(*time)?;
                tell(&Tells::TurnStarted {});
            }
            Step::Fail(class) => return Err(Stop::Error(class.clone())),
            Step::Exit(code) => return Err(Stop::Exit(*code)),
            Step::Flood(bytes) => self.say(&"x".repeat(usize::try_from(*bytes).unwrap_or(usize::MAX)), true),
            Step::Spin(time) => self.chatter(*time)?,
            // What a library that it uses prints where it must not.
            Step::Escapes => write(b"\x1b[31mwarning\x1b[0m: {not json\n\xff\xfe\n[1,2]\n"),
            Step::HalfCharacter => halves(),
            Step::Crash => {
                writeln!(io::stderr(), "scripted: about to crash\n")?;
                mischief(step)?;
            }
            Step::IgnoreTerm | Step::Orphan | Step::Hang => mischief(step)?,
        }
        Ok(())
    }

    fn say(&mut self, words: &str, whole: bool) {
        self.said += words.chars().count() as u64;
        tell(&Tells::Words { text: words.into(), whole });
    }

    fn call(&mut self, name: &str, what: &str, work: impl FnOnce() -> io::Result<()>) -> Result<(), Stop> {
        self.calls += 1;
        let id = format!("call-{}", self.calls);
        tell(&Tells::Tool { id: id.clone(), name: name.into(), what: what.into() });
        let done = work();
        let output = done.as_ref().err().map(ToString::to_string).unwrap_or_default();
        tell(&Tells::ToolEnded { id, ok: done.is_ok(), output });
        Ok(done?)
    }

    fn ask(&mut self, what: &str) -> Result<(), Stop> {
        self.calls += 1;
        let name = format!("ask-{}", self.calls);
        tell(&Tells::Asks { ask: name.clone(), what: what.into() });
        loop {
            match self.heard.recv() {
                Ok(Told::Answer { ask, allow, always, why }) if ask == name => {
                    tell(&Tells::Answered { ask });
                    let said = match (allow, always) {
                        (true, false) => "Allowed.".into(),
                        (true, true) => "Allowed always.".into(),
                        (false, _) => format!("Denied. {why}"),
                    };
                    self.say(&said, true);
                    return Ok(());
                }
                Ok(Told::Answer { .. }) => {}
                Ok(Told::Say { id, text }) => self.waiting.push_back((id, text)),
                Ok(Told::Interrupt {}) => return Err(Stop::Interrupted),
                // Nobody is left to answer.
                Err(_) => return Err(Stop::Exit(0)),
            }
        }
    }

    /// Says a word ten times a second.
    fn chatter(&mut self, time: Duration) -> Result<(), Stop> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.say("tick ", false);
            self.wait(Duration::from_secs(1) / SPIN_HZ)?;
        }
        self.say("", true);
        Ok(())
    }

    /// Waits, and hears what it is told meanwhile.
    fn wait(&mut self, time: Duration) -> Result<(), Stop> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.heard.recv_timeout(left) {
                Ok(Told::Say { id, text }) => self.waiting.push_back((id, text)),
                Ok(Told::Interrupt {}) => return Err(Stop::Interrupted),
                Ok(Told::Answer { .. }) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => {
                    thread::sleep(left);
                    return Ok(());
                }
            }
        }
    }
}

fn tell(tells: &Tells) {
    let line = serde_json::to_string(tells).unwrap_or_default() + "\n";
    write(line.as_bytes());
}

/// Writes to whoever reads; when nobody does, the end of standard input says so, too.
fn write(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    drop(out.write_all(bytes).and_then(|()| out.flush()));
}

fn halves() {
    let words = Tells::Words { text: "caf\u{e9}".into(), whole: true };
    let line = serde_json::to_string(&words).unwrap_or_default() + "\n";
    let half = line.find('\u{e9}').map_or(0, |at| at + 1);
    write(&line.as_bytes()[..half]);
    thread::sleep(HALF_PAUSE);
    write(&line.as_bytes()[half..]);
}
