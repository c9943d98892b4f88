//! The hand of the embedded scripted agent: it carries out a script in a real terminal, with real git, and reports like
//! an agent with hooks does.
//!
//! It is an agent like any other: it knows its environment and its terminal, and nothing of the daemon.

pub(crate) mod keys;
mod pipe;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use oarlock_agents::Report;
use oarlock_agents::scripted::{Step, parse};
use serde_json::{Value, json};

use crate::gate::verdict;
use crate::run::inbox;

pub use pipe::main as pipe_main;

/// Frames of the spinner a second, as agents draw them.
const SPIN_HZ: u32 = 10;
/// Piece in which a flood is printed, in bytes.
const FLOOD_PIECE: usize = 64 * 1024;
/// Time between the halves of a character: longer than any reader waits for the rest.
const HALF_PAUSE: Duration = Duration::from_millis(50);

/// Runs the script in a file, then waits for messages and runs those that are scripts.
#[must_use]
pub fn main(prompt_file: &Path) -> ExitCode {
    let script = match std::fs::read_to_string(prompt_file) {
        Ok(script) => script,
        Err(error) => {
            // The terminal is all there is to say it on.
            drop(writeln!(io::stderr(), "scripted: cannot read {}: {error}", prompt_file.display()));
            return ExitCode::FAILURE;
        }
    };
    let actor =
        Actor { inbox: std::env::var_os("OARLOCK_INBOX").map(PathBuf::from), keys: keys::read_for_ever() };
    actor.report("started", json!({}));
    let mut next = Some(script);
    while let Some(words) = next {
        if let Err(ended) = actor.turn(&words) {
            return ended;
        }
        next = actor.keys.recv().ok();
    }
    ExitCode::SUCCESS
}

struct Actor {
    inbox: Option<PathBuf>,
    keys: Receiver<String>,
}

impl Actor {
    /// Takes one turn: a script is carried out, anything else is repeated. `Err` ends the agent.
    fn turn(&self, words: &str) -> Result<(), ExitCode> {
        if words.trim().is_empty() {
            self.report("turn_ended", json!({}));
            return Ok(());
        }
        self.report("turn_started", json!({}));
        match parse(words) {
            Ok(steps) => {
                for step in &steps {
                    match self.step(step) {
                        Ok(After::Go) => {}
                        // The turn's end was reported by the step.
                        Ok(After::Wait) => return Ok(()),
                        Ok(After::End(code)) => return Err(ExitCode::from(code)),
                        Err(error) => {
                            say(&format!("scripted: {step:?} failed: {error}"));
                            self.report("turn_ended", json!({"error": "script"}));
                            return Ok(());
                        }
                    }
                }
            }
            Err(_) => say(&format!("heard: {words}")),
        }
        self.report("turn_ended", json!({}));
        Ok(())
    }

    fn report(&self, event: &str, payload: Value) {
        let Some(inbox) = &self.inbox else { return };
        let told = inbox::report(inbox, &Report { event: event.into(), payload });
        if let Err(error) = told {
            say(&format!("scripted: cannot report: {error}"));
        }
    }

    fn step(&self, step: &Step) -> io::Result<After> {
        match step {
            Step::Say(words) => say(words),
            Step::Work(time) => thread::sleep(*time),
            Step::Write(path, words) => put(path, words, false)?,
            Step::Append(path, words) => put(path, words, true)?,
            Step::Commit(subject) => {
                commit(subject)?;
                say(&format!("Committed: {subject}"));
            }
            Step::Merge(branch) => {
                git(&["merge", "--quiet", "--no-edit", "--strategy-option=ours", branch])?;
                say(&format!("Merged {branch}."));
            }
            Step::Ask(what) => self.ask(what),
            Step::Question(what) => {
                say(what);
                self.report("question_asked", json!({"what": what}));
                return Ok(After::Wait);
            }
            Step::Claim(note) => self.report("claim", json!({"claim": "done", "note": note})),
            Step::ClaimPhase(note) => self.report("claim", json!({"claim": "phase_done", "note": note})),
            Step::HandOff(note) => self.report("claim", json!({"claim": "handing_off", "note": note})),
            Step::Approve(seen) => verdict::say(true, seen),
            Step::Object(issue) => verdict::say(false, issue),
            Step::RateLimit(time) => {
                self.report("rate_limited", json!({}));
                thread::sleep(*time);
                self.report("turn_started", json!({}));
            }
            Step::Fail(class) => {
                self.report("turn_ended", json!({"error": class}));
                return Ok(After::Wait);
            }
            Step::Exit(code) => return Ok(After::End(*code)),
            other => mischief(other)?,
        }
        Ok(After::Go)
    }

    /// Puts up a dialog and takes the next thing typed as its answer, as real dialogs do.
    fn ask(&self, what: &str) {
        say(&format!("May I {what}? (y/n)"));
        self.report("permission_asked", json!({"what": what}));
        let answer = self.keys.recv().unwrap_or_default();
        say(if answer.trim() == "y" { "Allowed." } else { "Denied." });
        self.report("permission_resolved", json!({"allowed": answer.trim() == "y"}));
    }
}

/// What follows a step.
enum After {
    Go,
    Wait,
    End(u8),
}

fn say(words: &str) {
    let mut out = io::stdout().lock();
    // In raw mode a line feed alone does not return the carriage. A terminal that is gone needs no words.
    drop(write!(out, "{}\r\n", words.replace('\n', "\r\n")).and_then(|()| out.flush()));
}

fn put(path: &str, words: &str, append: bool) -> io::Result<()> {
    if let Some(folder) = Path::new(path).parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create(true).write(true).append(append).truncate(!append).open(path)?;
    writeln!(file, "{words}")
}

fn commit(subject: &str) -> io::Result<()> {
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--allow-empty-message", "--message", subject])
}

fn git(args: &[&str]) -> io::Result<()> {
    let mut command = Command::new("git");
    command.args(["-c", "commit.gpgSign=false", "-c", "gc.auto=0"]).args(args);
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Scripted agent");
        command.env(format!("GIT_{who}_EMAIL"), "scripted@oarlock.invalid");
    }
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Everything an agent should not do, and some do.
fn mischief(step: &Step) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match step {
        Step::Flood(bytes) => flood(&mut out, *bytes)?,
        Step::Spin(time) => spin(&mut out, *time)?,
        Step::Escapes => {
            out.write_all(
                b"\x1b]0;a title\x07\x1b[2J\x1b[H\x1b[31mred\x1b[0m\x1b[5;5Hmoved\x1b[?1049h\x1b[?1049l\r\n",
            )?;
        }
        Step::HalfCharacter => {
            let [first, second] = [0xc3, 0xa9];
            out.write_all(&[first])?;
            out.flush()?;
            thread::sleep(HALF_PAUSE);
            out.write_all(&[second, b'\r', b'\n'])?;
        }
        Step::IgnoreTerm => {
            let never_read = Arc::new(AtomicBool::new(false));
            for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
                signal_hook::flag::register(signal, never_read.clone())?;
            }
        }
        Step::Orphan => {
            let script = "trap '' TERM HUP; sleep 600 & wait; sleep 600";
            Command::new("setsid")
                .args(["sh", "-c", script])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
        }
        Step::Hang => loop {
            thread::park();
        },
        Step::Crash => std::process::abort(),
        _ => {}
    }
    out.flush()
}

fn flood(out: &mut impl Write, bytes: u64) -> io::Result<()> {
    let line = b"The quick brown fox jumps over the lazy dog, again and again and again and again.\r\n";
    let piece: Vec<u8> = line.iter().copied().cycle().take(FLOOD_PIECE).collect();
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        out.write_all(&piece[..now])?;
        left -= now as u64;
    }
    Ok(())
}

fn spin(out: &mut impl Write, time: Duration) -> io::Result<()> {
    let until = Instant::now() + time;
    for frame in ['|', '/', '-', '\\'].into_iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        write!(out, "\r\x1b[2K{frame} working")?;
        out.flush()?;
        thread::sleep(Duration::from_secs(1) / SPIN_HZ);
    }
    out.write_all(b"\r\n")
}
