//! Agents' protocols, spoken by every driver with an agent that says anything: ACP, Codex's app-server, Claude's control lines, streams
//! of one process per turn. What is sent is one line of JSON, what is seen and shown fits its line, and a message is taken up once at
//! most, and only if it was told.

use std::collections::BTreeSet;

use oarlock_agents::drive::{Driver, Say, Show, Step};
use oarlock_agents::launch::{Launch, Plan};
use oarlock_agents::screen::Answer;
use oarlock_agents::{REGISTRY, report};
use oarlock_core::session::fact::{Hold, Observation, Permissions, Source, TurnEnd};

use super::{is_a_line, is_hostile};

/// Longest name, and longest line about something, in characters.
const ID_CHARS_MAX: usize = 128;
const LINE_CHARS_MAX: usize = 200;
/// Longest note of the bridge's own, in characters.
const NOTE_CHARS_MAX: usize = 300;
/// Longest record of usage kept, in bytes, when every byte of it was no text.
pub(super) const RAW_BYTES_MAX: usize = 3 * 4 * 1024;
/// What stands before a line that is told to the driver, and is none of the agent's.
const TOLD: &[u8] = b"@ ";
/// What stands before a line of the agent's standard error.
const LOGGED: &[u8] = b"$ ";

/// The first byte says which driver, the second how the bridge was started; then come lines: the agent's, or with `@ ` in front
/// what a person or the end of the process makes of it: `say TEXT`, `steer TEXT`, `allow`, `always`, `deny TEXT`, `words TEXT`,
/// `stop`, `end CODE`; with `$ ` in front they are of its standard error.
pub fn run(data: &[u8]) {
    let &[which, how, ref dialogue @ ..] = data else { return };
    let launch = |hold| launch(hold, how);
    // The scripted agent is a program of ours, and its driver takes it at its word.
    let others = REGISTRY.iter().filter(|agent| agent.name() != "scripted");
    let held = others.flat_map(|agent| agent.holds().iter().map(move |hold| (*agent, *hold)));
    let mut drivers: Vec<_> = held.filter_map(|(agent, hold)| agent.driver(&launch(hold))).collect();
    let at = usize::from(which) % drivers.len();
    let mut talk = Talk { driver: drivers.swap_remove(at), told: 0, taken: BTreeSet::new() };
    let steps = talk.driver.open();
    talk.check(steps, None);
    for line in dialogue.split(|byte| *byte == b'\n') {
        match line.strip_prefix(TOLD) {
            Some(words) => talk.tell(&String::from_utf8_lossy(words)),
            None => {
                let steps = match line.strip_prefix(LOGGED) {
                    Some(line) => talk.driver.logged(line).unwrap_or_default(),
                    None => talk.driver.line(line),
                };
                talk.check(steps, None);
            }
        }
    }
}

struct Talk {
    driver: Box<dyn Driver>,
    told: u32,
    taken: BTreeSet<String>,
}

impl Talk {
    fn tell(&mut self, words: &str) {
        let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
        let answer = match word {
            "allow" => Some(Answer::Allow),
            "always" => Some(Answer::AllowAlways),
            "deny" => Some(Answer::Deny(rest.into())),
            "words" => Some(Answer::Words(rest.into())),
            _ => None,
        };
        if let Some(answer) = answer {
            let steps = self.driver.answer(None, answer);
            return self.check(steps, None);
        }
        match word {
            "stop" => {
                let steps = self.driver.interrupt();
                self.check(steps, None);
            }
            "end" => {
                let code = rest.trim().parse::<i32>().ok();
                let steps = self.driver.ended(code, rest);
                self.check(steps, Some(code));
            }
            _ => {
                let id = format!("m{}", self.told);
                self.told += 1;
                let interrupt = word == "steer";
                // Whoever tells it something took out what no argument may hold.
                let text = oarlock_core::text::clean(rest);
                let steps = self.driver.say(Say { id: Some(id.as_str().into()), text, interrupt });
                self.check(steps, None);
            }
        }
    }

    /// `ended` is how the process ended, when that is what the steps are for.
    fn check(&mut self, steps: Vec<Step>, ended: Option<Option<i32>>) {
        for step in steps {
            match step {
                Step::Send(line) => {
                    assert!(!line.contains('\n'), "{line:?} is more than a line");
                    let parsed: Result<serde_json::Value, _> = serde_json::from_str(&line);
                    assert!(parsed.is_ok_and(|value| value.is_object()), "{line:?} is no message");
                }
                Step::Start(plan) => is_startable(&plan),
                Step::Observe(seen) => {
                    is_tame(&seen);
                    let went_well = seen == Observation::TurnEnded(TurnEnd::Ok);
                    assert!(
                        !went_well || ended.is_none_or(|code| code == Some(0)),
                        "no turn ended well with it"
                    );
                    let (_, read) =
                        oarlock_agents::read(&report(std::slice::from_ref(&seen), &[], Source::Protocol, 0));
                    assert_eq!(read, [seen], "what goes into the inbox comes out of it");
                }
                Step::Taken(message) => {
                    let number = message.as_str().strip_prefix('m').and_then(|number| number.parse().ok());
                    assert!(number.is_some_and(|number: u32| number < self.told), "{message} was never told");
                    assert!(self.taken.insert(message.as_str().to_owned()), "{message} was taken up twice");
                }
                Step::Raw(record) => assert!(record.len() <= RAW_BYTES_MAX, "a record is short"),
                Step::Show(Show::Tool(text)) => is_a_line(&text, LINE_CHARS_MAX),
                Step::Show(Show::Note(text)) => is_a_line(&text, NOTE_CHARS_MAX),
                Step::Show(_) | Step::CloseInput | Step::Stop | Step::Stay | Step::End(_) => {}
            }
        }
    }
}

/// Asserts that a process can be started so: a program, and no byte that ends an argument early.
fn is_startable(plan: &Plan) {
    assert!(plan.argv.first().is_some_and(|program| !program.is_empty()), "{plan:?} names no program");
    assert!(!plan.argv.iter().any(|word| word.contains('\0')), "{plan:?} has a NUL");
}

fn launch(hold: Hold, how: u8) -> Launch<'static> {
    Launch {
        hold,
        program: "/bin/agent",
        version: None,
        workspace: "/src/app",
        writes: &[],
        folder: "/runs/1",
        prompt: "",
        prompt_file: "/runs/1/prompt",
        conversation: (how & 1 == 1).then_some("c1"),
        new_conversation: "11111111-2222-4333-8444-555555555555",
        model: (how & 2 == 2).then_some("small"),
        permissions: [Permissions::Default, Permissions::AcceptEdits, Permissions::Auto, Permissions::Bypass]
            [usize::from(how >> 2) % 4],
        rules: if how & 16 == 16 { "Be brief." } else { "" },
        args: &[],
        command: None,
        oarlock: "/bin/oarlock",
        is_root: how & 32 == 32,
    }
}

/// Asserts that what was seen fits its line, and that its numbers can be added.
pub(super) fn is_tame(seen: &Observation) {
    match seen {
        Observation::Started { conversation, model, version } => {
            for text in [conversation, model, version].into_iter().flatten() {
                is_a_line(text, ID_CHARS_MAX);
            }
        }
        Observation::ToolStarted { id, name, what } => {
            is_a_line(id, ID_CHARS_MAX);
            is_a_line(name, ID_CHARS_MAX);
            is_a_line(what, LINE_CHARS_MAX);
        }
        Observation::ToolEnded { id, .. } => is_a_line(id, ID_CHARS_MAX),
        Observation::PermissionAsked { what, ask } => {
            is_a_line(what, LINE_CHARS_MAX);
            assert!(
                !ask.as_deref().unwrap_or_default().contains(is_hostile),
                "{ask:?} would drive a terminal"
            );
        }
        Observation::TurnEnded(TurnEnd::Error(text))
        | Observation::QuestionAsked { what: text }
        | Observation::Gone { why: text } => is_a_line(text, LINE_CHARS_MAX),
        Observation::Used(usage) => {
            is_a_line(&usage.id, ID_CHARS_MAX);
            let all = [usage.input, usage.cache_read, usage.cache_write, usage.output];
            assert!(all.iter().try_fold(0_u64, |sum, one| sum.checked_add(*one)).is_some());
        }
        _ => {}
    }
}
