//! One file per agent: how it is launched, and how what it reports is read. Pure translators, no IO.
//!
//! An agent here is data and a reader, not a process. Files, sockets and terminals belong to others. Whatever holds an agent
//! (see [`oarlock_core::session::fact::Hold`]), what is seen of it comes out in one vocabulary:
//! [`oarlock_core::session::fact::Observation`].

pub mod acp;
pub mod aider;
pub mod amp;
pub mod bridge;
pub mod call;
pub mod claude_code;
pub mod codex;
pub mod copilot;
pub mod cursor;
pub mod drive;
pub mod exec;
pub mod gemini;
pub mod goose;
pub mod grok;
pub mod kimi;
pub mod launch;
pub mod lenient;
pub mod opencode;
pub mod part;
pub mod payload;
pub mod qwen;
pub mod screen;
pub mod scripted;
pub mod streams;
/// Returns the agent's last message of a turn, as its hook brings it when the turn ends: those that do name it by one of two
/// words.
#[must_use]
pub fn last_message(payload: &[u8]) -> Option<String> {
    let payload: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let said =
        ["last_assistant_message", "prompt_response"].iter().find_map(|word| payload.get(word)?.as_str());
    said.map(str::to_owned)
}

#[cfg(test)]
mod testing;
pub mod trouble;
pub mod turns;

use oarlock_core::ids::Timestamp;
use oarlock_core::session::fact::{Claim, Hold, Observation, Showing, Source, TurnEnd};
use oarlock_core::text;
use serde::{Deserialize, Serialize};

use drive::Driver;
use launch::{Launch, Plan};
use screen::{Answer, Keys, Screen, Typing};

/// Longest note taken from an agent, in characters: it is shown on one line.
const NOTE_CHARS_MAX: usize = 200;
/// Longest id taken from an agent, in characters: conversations, calls of tools and models have short ones.
const ID_CHARS_MAX: usize = 128;

/// One line of a run's inbox: what the agent (or a program it called) reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The event's name, in the agent's own vocabulary or ours.
    pub event: String,
    /// Its payload.
    #[serde(default)]
    pub payload: serde_json::Value,
}

/// What a hook's payload says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hooked {
    /// What was seen.
    pub seen: Vec<Observation>,
    /// Records of usage exactly as the agent gave them.
    pub raw: Vec<String>,
    /// What the agent's protocol wants printed; `None` prints nothing.
    pub answer: Option<String>,
    /// The agent's transcript file, when the payload names one that [`Agent::transcript_line`] reads; `~/` is the home.
    pub transcript: Option<String>,
}

impl Hooked {
    /// Makes a reading of one observation.
    #[must_use]
    pub fn one(observation: Observation) -> Self {
        Self { seen: vec![observation], ..Self::default() }
    }
}

/// Something that may be asked of an agent's launch, and that some agents have no word for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The model.
    Model,
    /// That edits of files need no permission.
    AcceptEdits,
    /// That the agent judges what is harmless.
    Auto,
    /// That nothing needs a permission.
    Bypass,
    /// Standing rules.
    Rules,
    /// Arguments of the user's.
    Args,
    /// Going on with a conversation.
    Resume,
}

impl Asked {
    /// All of them.
    pub const ALL: &'static [Asked] = &[
        Asked::Model,
        Asked::AcceptEdits,
        Asked::Auto,
        Asked::Bypass,
        Asked::Rules,
        Asked::Args,
        Asked::Resume,
    ];
}

/// A translator for one agent program.
pub trait Agent: Sync {
    /// Returns the name people give with `--agent`.
    fn name(&self) -> &'static str;

    /// Returns how it is called in sentences, such as `Claude Code`.
    fn title(&self) -> &'static str {
        self.name()
    }

    /// Returns the names of its program, the usual one first; none for agents that bring their own.
    fn programs(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns folders where its installers put it beside `PATH`; `~` is the home.
    fn places(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns how a person gets it, as a command or an address.
    fn install_hint(&self) -> &'static str {
        ""
    }

    /// Returns the ways to hold it, the best for headless work first.
    fn holds(&self) -> &'static [Hold];

    /// Returns the oldest and the newest version this file was tried with: `None` when it was never run by us. Others
    /// work too, with less said.
    fn tried(&self) -> Option<(launch::Version, launch::Version)> {
        None
    }

    /// Returns the names of variables it is given from the daemon's environment beyond those every agent is; one that ends
    /// in `*` stands for all that begin so.
    fn env(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns files (with `~`) or variables (with `$` before their name), one of which is there when a person has logged
    /// in; none when that cannot be told.
    fn login(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns what its command line has no word for when it is held so: asked for, it is left out, and a person is told.
    /// Agents that bring their own program know nothing but their prompt.
    fn cannot(&self, _hold: Hold) -> &'static [Asked] {
        if self.programs().is_empty() { Asked::ALL } else { &[] }
    }

    /// Returns what to run for a hold of [`Hold::Terminal`] or [`Hold::Process`].
    fn launch(&self, launch: &Launch<'_>) -> Plan;

    /// Returns the one that speaks its protocol, for a hold of [`Hold::Protocol`] or [`Hold::Acp`].
    fn driver(&self, _launch: &Launch<'_>) -> Option<Box<dyn Driver>> {
        None
    }

    /// Tells whether it reports its turns when held so, by protocol, hook or screen: it is typed to only between them then.
    fn tells_of_turns(&self, hold: Hold) -> bool {
        hold != Hold::Process
    }

    /// Tells whether it carries its prompt out as a script: of a plan it is told the lines of its phase, and nothing else.
    fn carries_out_scripts(&self) -> bool {
        false
    }

    /// Tells whether it reads its prompt as words, so that more may be added to it: a program's script may not.
    fn reads_prose(&self) -> bool {
        true
    }

    /// Returns the events it calls hooks for.
    fn hooks(&self) -> &'static [&'static str] {
        &[]
    }

    /// Reads what a hook was given: the event as its command line names it, and the payload from its standard input. What
    /// is not known says nothing.
    fn hook(&self, _event: &str, _payload: &[u8]) -> Hooked {
        Hooked::default()
    }

    /// Reads one line of its transcript file, without its end: usage, interruptions, errors that no hook tells.
    fn transcript_line(&self, _line: &[u8]) -> Hooked {
        Hooked::default()
    }

    /// Reads its screen; `None` when it shows nothing that is known.
    fn screen(&self, _screen: &Screen<'_>) -> Option<Showing> {
        None
    }

    /// Returns how its own interface is typed to.
    fn typing(&self) -> Typing {
        Typing::default()
    }

    /// Returns the keys that give an answer to what its screen shows; `None` when keys cannot.
    fn answer(&self, _answer: &Answer) -> Option<Keys> {
        None
    }
}

/// Every agent known, in the order they are shown.
pub const REGISTRY: &[&dyn Agent] = &[
    &claude_code::ClaudeCode,
    &codex::Codex,
    &opencode::Opencode,
    &gemini::Gemini,
    &qwen::Qwen,
    &copilot::Copilot,
    &cursor::Cursor,
    &grok::Grok,
    &kimi::Kimi,
    &aider::Aider,
    &goose::Goose,
    &amp::Amp,
    &exec::Exec,
    &scripted::Scripted,
];

/// Returns the agent of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Agent> {
    REGISTRY.iter().copied().find(|agent| agent.name() == name)
}

/// Returns the report that carries observations made by a hook or a bridge.
///
/// `at_ms` is when they were made, in milliseconds since the Unix epoch.
#[must_use]
pub fn report(seen: &[Observation], raw: &[String], source: Source, at_ms: u64) -> Report {
    let payload = serde_json::json!({"seen": seen, "raw": raw, "source": source, "at_ms": at_ms});
    Report { event: "seen".into(), payload }
}

/// Reads a report: one of observations, or one of oarlock's own words, which any program of a run may use: claims, turns,
/// questions. What is not known says nothing.
#[must_use]
pub fn read(report: &Report) -> (Source, Vec<Observation>) {
    if report.event == "seen" {
        let source = report.payload.get("source").and_then(|source| Source::deserialize(source).ok());
        // A program of the run speaks for the agent, and for nobody else.
        let source = source.filter(|source| matches!(source, Source::Protocol | Source::Transcript));
        let seen = report.payload.get("seen").and_then(serde_json::Value::as_array);
        let known = seen.into_iter().flatten().filter_map(|one| Observation::deserialize(one).ok());
        return (source.unwrap_or(Source::Hook), known.map(harmless).collect());
    }
    (Source::Hook, read_words(report).into_iter().collect())
}

fn read_words(report: &Report) -> Option<Observation> {
    let word = |key: &str| report.payload.get(key).and_then(|value| value.as_str()).unwrap_or_default();
    let line = |key: &str| text::line(word(key), NOTE_CHARS_MAX);
    let id = |key: &str| Some(text::line(word(key), ID_CHARS_MAX)).filter(|id| !id.is_empty());
    Some(match report.event.as_str() {
        "started" => {
            let (conversation, model, version) = (id("conversation"), id("model"), id("version"));
            Observation::Started { conversation, model, version }
        }
        "turn_started" => Observation::TurnStarted,
        "turn_ended" => Observation::TurnEnded(match word("error") {
            "" => TurnEnd::Ok,
            _ => TurnEnd::Error(line("error")),
        }),
        "permission_asked" => Observation::PermissionAsked { what: line("what"), ask: id("ask") },
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
                _ => return None,
            };
            Observation::Claimed { claim, note: line("note") }
        }
        _ => return None,
    })
}

/// Returns an observation with every text in it made harmless and short: an agent may write what it likes into its inbox.
fn harmless(observation: Observation) -> Observation {
    let line = |words: &str| text::line(words, NOTE_CHARS_MAX);
    let id = |words: &str| text::line(words, ID_CHARS_MAX);
    let maybe = |words: Option<String>| words.map(|words| id(&words)).filter(|words| !words.is_empty());
    match observation {
        Observation::Started { conversation, model, version } => Observation::Started {
            conversation: maybe(conversation),
            model: maybe(model),
            version: maybe(version),
        },
        Observation::TurnEnded(TurnEnd::Error(class)) => Observation::TurnEnded(TurnEnd::Error(line(&class))),
        Observation::ToolStarted { id: call, name, what } => {
            Observation::ToolStarted { id: id(&call), name: id(&name), what: line(&what) }
        }
        Observation::ToolEnded { id: call, ok } => Observation::ToolEnded { id: id(&call), ok },
        Observation::PermissionAsked { what, ask } => {
            Observation::PermissionAsked { what: line(&what), ask: maybe(ask) }
        }
        Observation::QuestionAsked { what } => Observation::QuestionAsked { what: line(&what) },
        Observation::Shows(Showing::Dialog(what)) => Observation::Shows(Showing::Dialog(line(&what))),
        Observation::Shows(Showing::Question(what)) => Observation::Shows(Showing::Question(line(&what))),
        Observation::Used(mut usage) => {
            usage.id = id(&usage.id);
            Observation::Used(usage)
        }
        Observation::Gone { why } => Observation::Gone { why: line(&why) },
        Observation::Claimed { claim, note } => Observation::Claimed { claim, note: line(&note) },
        Observation::MessageTaken { message } => {
            Observation::MessageTaken { message: id(message.as_str()).as_str().into() }
        }
        same @ (Observation::TurnStarted
        | Observation::TurnEnded(TurnEnd::Ok | TurnEnd::Interrupted | TurnEnd::Unknown)
        | Observation::PermissionResolved
        | Observation::Shows(
            Showing::Prompt | Showing::Busy | Showing::Answering | Showing::Limited,
        )
        | Observation::RateLimited { .. }
        | Observation::Answers) => same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(event: &str, payload: serde_json::Value) -> Report {
        Report { event: event.into(), payload }
    }

    #[test]
    fn a_hostile_note_reaches_nobody_s_terminal() {
        let (_, read) = read(&words("claim", json!({"claim": "done", "note": "ok\u{1b}[2J\nand more"})));
        assert_eq!(read, [Observation::Claimed { claim: Claim::Done, note: "ok[2J and more".into() }]);
    }

    #[test]
    fn what_is_not_known_says_nothing() {
        for silent in
            [words("made_up", json!({})), words("claim", json!({"claim": 7})), words("claim", json!(null))]
        {
            assert_eq!(read(&silent).1, []);
        }
        let some = json!({"seen": ["turn_started", {"not_invented_yet": {}}, 7], "source": "protocol"});
        assert_eq!(read(&words("seen", some)), (Source::Protocol, vec![Observation::TurnStarted]));
    }

    #[test]
    fn a_report_of_observations_is_read_as_it_was_made() {
        let seen = [
            Observation::TurnStarted,
            Observation::ToolStarted { id: "t1".into(), name: "Bash".into(), what: "make".into() },
            Observation::PermissionAsked { what: "make".into(), ask: Some("t1".into()) },
            Observation::Shows(Showing::Prompt),
        ];
        assert_eq!(read(&report(&seen, &[], Source::Protocol, 7)), (Source::Protocol, seen.to_vec()));
        let lies = report(&[Observation::TurnStarted], &[], Source::Person, 7);
        assert_eq!(read(&lies).0, Source::Hook, "a program of a run does not speak for a person");
    }

    #[test]
    fn every_agent_is_found_by_its_name() {
        for agent in REGISTRY {
            assert_eq!(find(agent.name()).map(Agent::name), Some(agent.name()));
        }
        assert!(find("nobody").is_none());
    }
}
