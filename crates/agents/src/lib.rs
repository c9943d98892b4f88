//! One file per agent: how it is launched, and how what it reports is read. Pure translators, no IO.
//!
//! An agent here is data and a reader, not a process. Files, sockets and terminals belong to others.

pub mod exec;
pub mod scripted;

use oarlock_core::ids::Timestamp;
use oarlock_core::session::fact::{Claim, Observation, TurnEnd};
use oarlock_core::text;
use serde::{Deserialize, Serialize};

/// Longest note taken from an agent, in characters: it is shown on one line.
const NOTE_CHARS_MAX: usize = 200;

/// Everything an agent's command line may be built from.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    /// The file that holds the prompt; empty file for none.
    pub prompt_file: &'a str,
    /// The command of an `exec` agent.
    pub command: Option<&'a str>,
    /// The conversation to go on with, when the agent has one.
    pub conversation: Option<&'a str>,
    /// The path of oarlock's own program.
    pub oarlock: &'a str,
}

/// What to run: argv, and variables added to the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables set on top of the session's own.
    pub env: Vec<(String, String)>,
}

/// One line of a run's inbox: what the agent (or a program it called) reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The event's name, in the agent's own vocabulary or ours.
    pub event: String,
    /// Its payload.
    #[serde(default)]
    pub payload: serde_json::Value,
}

/// A translator for one agent program.
pub trait Agent: Sync {
    /// Returns the name people give with `--agent`.
    fn name(&self) -> &'static str;

    /// Returns what to run.
    fn launch(&self, launch: &Launch<'_>) -> CommandLine;

    /// Tells whether it reports its turns, so that it is typed to only between them.
    fn tells_of_turns(&self) -> bool {
        true
    }

    /// Reads one report. What is not known yields nothing.
    fn read(&self, report: &Report) -> Vec<Observation> {
        read_common(report)
    }
}

/// Every agent known, in the order they are shown.
pub const REGISTRY: &[&dyn Agent] = &[&exec::Exec, &scripted::Scripted];

/// Returns the agent of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Agent> {
    REGISTRY.iter().copied().find(|agent| agent.name() == name)
}

/// Reads the reports that any agent may make through oarlock's own words: claims, turns, questions.
#[must_use]
pub fn read_common(report: &Report) -> Vec<Observation> {
    let word = |key: &str| report.payload.get(key).and_then(|value| value.as_str()).unwrap_or_default();
    let line = |key: &str| text::line(word(key), NOTE_CHARS_MAX);
    let observation = match report.event.as_str() {
        "started" => {
            let conversation = Some(line("conversation")).filter(|id| !id.is_empty());
            Observation::Started { conversation }
        }
        "turn_started" => Observation::TurnStarted,
        "turn_ended" => Observation::TurnEnded(match word("error") {
            "" => TurnEnd::Ok,
            _ => TurnEnd::Error(line("error")),
        }),
        "permission_asked" => Observation::PermissionAsked { what: line("what") },
        "permission_resolved" => Observation::PermissionResolved,
        "question_asked" => Observation::QuestionAsked { what: line("what") },
        "rate_limited" => {
            let until = report.payload.get("until_ms").and_then(serde_json::Value::as_u64).map(Timestamp);
            Observation::RateLimited { until }
        }
        "claim" => {
            let claim = match word("claim") {
                "done" => Claim::Done,
                "phase_done" => Claim::PhaseDone,
                "handing_off" => Claim::HandingOff,
                "stuck" => Claim::Stuck,
                _ => return Vec::new(),
            };
            Observation::Claimed { claim, note: line("note") }
        }
        _ => return Vec::new(),
    };
    vec![observation]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(event: &str, payload: serde_json::Value) -> Report {
        Report { event: event.into(), payload }
    }

    #[test]
    fn a_hostile_note_reaches_nobody_s_terminal() {
        let read = read_common(&report("claim", json!({"claim": "done", "note": "ok\u{1b}[2J\nand more"})));
        assert_eq!(read, [Observation::Claimed { claim: Claim::Done, note: "ok[2J and more".into() }]);
    }

    #[test]
    fn what_is_not_known_says_nothing() {
        assert!(read_common(&report("made_up", json!({}))).is_empty());
        assert!(read_common(&report("claim", json!({"claim": 7}))).is_empty());
        assert!(read_common(&report("claim", json!(null))).is_empty());
    }

    #[test]
    fn every_agent_is_found_by_its_name() {
        for agent in REGISTRY {
            assert_eq!(find(agent.name()).map(Agent::name), Some(agent.name()));
        }
        assert!(find("nobody").is_none());
    }
}
