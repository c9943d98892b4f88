//! What hooks were given and terminals showed, of real agents: what is read of it stands beside each sample in
//! `spec/samples/<agent>`. `OARLOCK_UPDATE=1` writes it anew.
//!
//! `*.hooks.jsonl` has an event and its payload a line; `screens/*.txt` a window title, then the rows.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use oarlock_agents::screen::{Answer, Guard, Screen};
use oarlock_agents::{Agent, find};
use oarlock_core::session::fact::Showing;
use serde_json::Value;

/// The agents whose terminals are read here.
const AGENTS: &[&str] = &["opencode", "gemini", "qwen", "copilot", "kimi"];

fn samples(agent: &str, folder: &str, end: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/samples").join(agent).join(folder);
    let mut found: Vec<PathBuf> = std::fs::read_dir(path)
        .map(|files| files.map(|file| file.unwrap().path()).collect())
        .unwrap_or_default();
    found.retain(|path| path.to_string_lossy().ends_with(end));
    found.sort();
    found
}

fn compare(sample: &Path, end: &str, now: &str) {
    let expected = PathBuf::from(sample.to_string_lossy().replace(end, ".expected"));
    if std::env::var_os("OARLOCK_UPDATE").is_some() {
        std::fs::write(&expected, now).unwrap();
        return;
    }
    let before = std::fs::read_to_string(&expected).unwrap_or_default();
    assert!(before == now, "{}: expected\n{before}\nnow\n{now}", sample.display());
}

fn payloads(sample: &Path) -> Vec<(String, Value)> {
    let text = std::fs::read_to_string(sample).unwrap();
    text.lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            (line["event"].as_str().unwrap().to_owned(), line["payload"].take())
        })
        .collect()
}

#[test]
fn a_hook_is_read_as_it_is_written_beside_it() {
    let mut count = 0;
    for agent in AGENTS.iter().map(|name| find(name).unwrap()) {
        for sample in samples(agent.name(), "", ".hooks.jsonl") {
            let mut now = String::new();
            for (event, payload) in payloads(&sample) {
                let hooked = agent.hook(&event, payload.to_string().as_bytes());
                assert!(
                    agent.hooks().contains(&event.as_str()) || hooked.seen.is_empty(),
                    "{event} is asked for"
                );
                writeln!(now, "{event}").unwrap();
                for seen in hooked.seen {
                    writeln!(now, "  {seen:?}").unwrap();
                }
                count += 1;
            }
            compare(&sample, ".jsonl", &now);
        }
    }
    assert!(count > 40, "the samples are there: {count}");
}

/// A permission and the end of a call name the call as its beginning did.
#[test]
fn the_end_of_a_call_answers_the_permission_asked_for_it() {
    use oarlock_core::session::fact::Observation;
    for (agent, least) in [("opencode", 1), ("copilot", 1), ("gemini", 1), ("qwen", 1)] {
        let agent = find(agent).unwrap();
        let mut answered = 0;
        for sample in samples(agent.name(), "", "terminal.hooks.jsonl") {
            let mut open = None;
            for (event, payload) in payloads(&sample) {
                for seen in agent.hook(&event, payload.to_string().as_bytes()).seen {
                    match seen {
                        Observation::PermissionAsked { ask, .. } => open = ask,
                        Observation::ToolEnded { id, .. } if open.as_ref() == Some(&id) => answered += 1,
                        _ => {}
                    }
                }
            }
        }
        assert!(answered >= least, "{}: {answered}", agent.name());
    }
}

/// Whatever is in a payload, nobody panics.
#[test]
fn a_hostile_payload_breaks_nothing() {
    let long = format!("\"{}\"", "\u{fc}\\u001b[2J\\n".repeat(2_000));
    let odd = ["7", "null", "[]", "{}", "\"\"", "true", "-1.5e300", "[[{\"a\":[]}]]", long.as_str()];
    for agent in AGENTS.iter().map(|name| find(name).unwrap()) {
        for sample in samples(agent.name(), "", ".hooks.jsonl") {
            for (event, payload) in payloads(&sample) {
                let Value::Object(fields) = &payload else { panic!("a payload is an object") };
                for (key, odd) in fields.keys().flat_map(|key| odd.iter().map(move |odd| (key, odd))) {
                    let mut changed = payload.clone();
                    changed[key] = serde_json::from_str(odd).unwrap();
                    for seen in agent.hook(&event, changed.to_string().as_bytes()).seen {
                        let told = serde_json::to_string(&seen).unwrap();
                        assert!(
                            told.len() < 4096 && !told.contains("\\u001b"),
                            "{event} {key}: {}",
                            &told[..told.floor_char_boundary(200)]
                        );
                    }
                }
                let whole = payload.to_string();
                agent.hook(&event, &whole.as_bytes()[..whole.len() / 2]);
                for odd in odd {
                    agent.hook(&event, odd.as_bytes());
                }
            }
        }
    }
}

fn screen_of(sample: &Path) -> (String, Vec<String>) {
    let text = std::fs::read_to_string(sample).unwrap();
    let mut lines = text.lines().map(str::to_owned);
    (lines.next().unwrap_or_default(), lines.collect())
}

fn shown(agent: &dyn Agent, title: &str, rows: &[String]) -> Option<Showing> {
    agent.screen(&Screen { title, rows })
}

#[test]
fn a_screen_is_read_as_it_is_written_beside_it() {
    let mut count = 0;
    for agent in AGENTS.iter().map(|name| find(name).unwrap()) {
        for sample in samples(agent.name(), "screens", ".txt") {
            let (title, rows) = screen_of(&sample);
            compare(&sample, ".txt", &format!("{:?}\n", shown(agent, &title, &rows)));
            // The title may be missing; what is shown is the same.
            let without = shown(agent, "", &rows);
            assert_eq!(without, shown(agent, &title, &rows), "{}", sample.display());
            count += 1;
        }
    }
    assert!(count >= 20, "the samples are there: {count}");
}

/// A dialog that is only told of, above the prompt, is none.
#[test]
fn a_dialog_in_the_transcript_is_no_dialog() {
    for agent in AGENTS.iter().map(|name| find(name).unwrap()) {
        let (_, dialog) = screen_of(&samples(agent.name(), "screens", "dialog.txt")[0]);
        let (_, prompt) = screen_of(&samples(agent.name(), "screens", "prompt.txt")[0]);
        let said: Vec<String> = dialog.into_iter().chain(prompt).collect();
        assert_eq!(shown(agent, "", &said), Some(Showing::Prompt), "{}", agent.name());
    }
}

fn holds(guard: &Guard, rows: &[String]) -> bool {
    let rows: Vec<&String> = rows.iter().filter(|row| !row.trim().is_empty()).collect();
    let seen = match usize::from(guard.rows) {
        0 => &rows[..],
        count => &rows[rows.len().saturating_sub(count)..],
    };
    let any = |patterns: &[String]| {
        patterns.iter().any(|pattern| {
            let pattern = regex_lite::Regex::new(pattern).unwrap();
            seen.iter().any(|row| pattern.is_match(row))
        })
    };
    (guard.shows.is_empty() || any(&guard.shows)) && !any(&guard.hides)
}

/// Words go where the prompt is and nowhere else; the keys of an answer where it is asked for.
#[test]
fn the_guards_let_through_what_the_screen_is_ready_for() {
    for agent in AGENTS.iter().map(|name| find(name).unwrap()) {
        let typing = agent.typing();
        for sample in samples(agent.name(), "screens", ".txt") {
            let (title, rows) = screen_of(&sample);
            let showing = shown(agent, &title, &rows);
            let is_prompt = showing == Some(Showing::Prompt);
            assert_eq!(holds(&typing.ready, &rows), is_prompt, "{}: typing", sample.display());
            if let Some(steer) = &typing.steer {
                let in_turn = matches!(showing, Some(Showing::Busy | Showing::Answering | Showing::Limited));
                assert_eq!(holds(steer, &rows), in_turn, "{}: steering", sample.display());
            }
            let is_dialog = sample.ends_with("dialog.txt");
            for answer in [Answer::Allow, Answer::AllowAlways, Answer::Deny("why".into())] {
                let keys = agent.answer(&answer).unwrap();
                if is_dialog {
                    assert!(holds(&keys.guard, &rows), "{}: {answer:?}", sample.display());
                } else if is_prompt || matches!(showing, Some(Showing::Busy | Showing::Answering)) {
                    assert!(!holds(&keys.guard, &rows), "{}: {answer:?}", sample.display());
                }
            }
        }
        assert!(agent.answer(&Answer::Words("x".into())).is_none(), "words are no answer to a permission");
    }
}
