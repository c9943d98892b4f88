//! The embedded scripted agent: it does what its prompt says, line by line, well or badly, without a model.
//!
//! The demo, the tests and the simulator use it. This file is its language; the hand that carries it out is elsewhere.

pub mod pipe;

use std::time::Duration;

use oarlock_core::session::fact::Hold;
use serde_json::Value;

use crate::drive::Driver;
use crate::launch::{Launch, Plan};
use crate::screen::{Answer, Guard, Keys};
use crate::{Agent, Hooked, Report};

/// Longest a step may wait, so that a typing error does not hang a demo for a day.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);
/// Most bytes one `flood` may print: 4 GiB fills a small disk, more is a mistake.
const FLOOD_BYTES_MAX: u64 = 4 << 30;

/// The embedded agent.
pub struct Scripted;

impl Agent for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Terminal, Hold::Protocol]
    }

    fn carries_out_scripts(&self) -> bool {
        true
    }

    fn reads_prose(&self) -> bool {
        false
    }

    fn answer(&self, answer: &Answer) -> Option<Keys> {
        let (word, then_say) = match answer {
            Answer::Allow | Answer::AllowAlways => ("y", None),
            Answer::Deny(why) => ("n", Some(why.clone()).filter(|why| !why.is_empty())),
            Answer::Words(words) => {
                let guard = Guard { shows: vec![".".into()], rows: 1, ..Guard::default() };
                return Some(Keys { guard, keys: format!("{words}\r"), then_say: None });
            }
        };
        let guard = Guard { shows: vec![r"^May I .*\? \(y/n\)$".into()], rows: 1, ..Guard::default() };
        Some(Keys { guard, keys: format!("{word}\r"), then_say })
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        let argv = vec![launch.oarlock.into(), "scripted".into(), launch.prompt_file.into()];
        Plan { argv, ..Plan::default() }
    }

    fn driver(&self, launch: &Launch<'_>) -> Option<Box<dyn Driver>> {
        (launch.hold == Hold::Protocol).then(|| Box::new(pipe::Pipe::new(launch)) as Box<dyn Driver>)
    }

    fn hooks(&self) -> &'static [&'static str] {
        &["started", "turn_started", "turn_ended", "permission_asked", "permission_resolved", "crash"]
    }

    /// Its payloads are those of oarlock's own words, with what other agents' hooks may bring beside it. `crash` is a
    /// reader gone wrong, for whoever has to live with one.
    fn hook(&self, event: &str, payload: &[u8]) -> Hooked {
        assert!(event != "crash", "the scripted agent's reader was told to crash");
        let payload = match payload {
            b"" => Value::Null,
            payload => match serde_json::from_slice(payload) {
                Ok(payload) => payload,
                Err(_) => return Hooked::default(),
            },
        };
        let text = |key: &str| payload.get(key).and_then(Value::as_str).map(str::to_owned);
        let (answer, transcript) = (text("answer"), text("transcript"));
        let raw = text("usage").into_iter().collect();
        let (_, seen) = crate::read(&Report { event: event.into(), payload });
        Hooked { seen, raw, answer, transcript }
    }

    /// A line of its transcript is a report, as one of an inbox is.
    fn transcript_line(&self, line: &[u8]) -> Hooked {
        let report = serde_json::from_slice::<Report>(line);
        Hooked { seen: report.map(|report| crate::read(&report).1).unwrap_or_default(), ..Hooked::default() }
    }
}

/// One step of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Print a line.
    Say(String),
    /// Be busy for a while.
    Work(Duration),
    /// Write a file: path and text.
    Write(String, String),
    /// Append a line to a file: path and text.
    Append(String, String),
    /// Commit everything, with a subject.
    Commit(String),
    /// Merge a branch, keeping its own side where both changed the same lines.
    Merge(String),
    /// Put up a permission dialog and wait until it is answered.
    Ask(String),
    /// Ask the person something and end the turn.
    Question(String),
    /// Claim to be done, true or not.
    Claim(String),
    /// Claim that the phase at hand is done.
    ClaimPhase(String),
    /// Claim that another is to go on.
    HandOff(String),
    /// Approve what it judges, with how that was seen.
    Approve(String),
    /// Find an issue in what it judges.
    Object(String),
    /// Report a rate limit that ends after a while.
    RateLimit(Duration),
    /// End the turn with an error of a class.
    Fail(String),
    /// Print this many bytes as fast as the terminal takes them.
    Flood(u64),
    /// Draw a spinner at ten frames a second for a while.
    Spin(Duration),
    /// Print escape sequences that move, colour, retitle and clear.
    Escapes,
    /// Print the first half of a two-byte character, wait, then the second half.
    HalfCharacter,
    /// Ignore SIGTERM and SIGHUP from here on.
    IgnoreTerm,
    /// Start a process in a session of its own that ignores SIGTERM.
    Orphan,
    /// Do nothing for ever, deaf to messages.
    Hang,
    /// Die by SIGABRT.
    Crash,
    /// End with an exit code.
    Exit(u8),
}

/// Reads a script: a step a line, or several separated by ` ; `. Blank lines and lines beginning with `#` are skipped.
///
/// # Errors
/// A sentence naming the first line that is no step.
pub fn parse(script: &str) -> Result<Vec<Step>, String> {
    script
        .lines()
        .flat_map(|line| line.split(" ; "))
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(step)
        .collect()
}

fn step(line: &str) -> Result<Step, String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let file = || {
        let (path, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let inside = !path.is_empty() && !path.starts_with('/') && !path.split('/').any(|part| part == "..");
        if inside {
            Ok((path.to_owned(), text.to_owned()))
        } else {
            Err(format!("{word} needs a path inside the workspace"))
        }
    };
    Ok(match word {
        "say" => Step::Say(rest.into()),
        "work" => Step::Work(duration(rest)?),
        "write" => file().map(|(path, text)| Step::Write(path, text))?,
        "append" => file().map(|(path, text)| Step::Append(path, text))?,
        "commit" => Step::Commit(rest.into()),
        "merge" if !rest.is_empty() && !rest.starts_with('-') => Step::Merge(rest.into()),
        "ask" => Step::Ask(rest.into()),
        "question" => Step::Question(rest.into()),
        "claim" => Step::Claim(rest.into()),
        "claim-phase" => Step::ClaimPhase(rest.into()),
        "hand-off" => Step::HandOff(rest.into()),
        "approve" => Step::Approve(rest.into()),
        "object" => Step::Object(rest.into()),
        "rate-limit" => Step::RateLimit(duration(rest)?),
        "fail" => Step::Fail(rest.into()),
        "flood" => Step::Flood(bytes(rest)?),
        "spin" => Step::Spin(duration(rest)?),
        "escapes" => Step::Escapes,
        "half-character" => Step::HalfCharacter,
        "ignore-term" => Step::IgnoreTerm,
        "orphan" => Step::Orphan,
        "hang" => Step::Hang,
        "crash" => Step::Crash,
        "exit" => Step::Exit(rest.parse().map_err(|_| format!("\"{rest}\" is no exit code"))?),
        other => return Err(format!("\"{other}\" is no step")),
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is no duration, such as 200ms or 3s");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        _ => return Err(wrong()),
    };
    Ok(duration.min(WAIT_MAX))
}

fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{text}\" is no size, such as 500k or 10m");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let size = match unit {
        "" => number,
        "k" => number.saturating_mul(1_000),
        "m" => number.saturating_mul(1_000_000),
        _ => return Err(wrong()),
    };
    Ok(size.min(FLOOD_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_a_step_a_line() {
        let script = "# hello\nsay hi there\n\nwork 200ms ; write a/b.txt some text\nexit 3\n";
        assert_eq!(
            parse(script),
            Ok(vec![
                Step::Say("hi there".into()),
                Step::Work(Duration::from_millis(200)),
                Step::Write("a/b.txt".into(), "some text".into()),
                Step::Exit(3),
            ])
        );
    }

    #[test]
    fn a_script_cannot_leave_its_workspace() {
        assert!(parse("write ../x y").is_err());
        assert!(parse("write /etc/x y").is_err());
        assert!(parse("append a/../../x y").is_err());
    }

    #[test]
    fn a_wrong_step_is_named() {
        assert_eq!(parse("say a\ndance"), Err("\"dance\" is no step".into()));
        assert_eq!(parse("work soon"), Err("\"soon\" is no duration, such as 200ms or 3s".into()));
    }
}
