//! Recordings of real agents, and what is read out of them. `OARLOCK_UPDATE=1` rewrites the expectations: read the diff.
//!
//! Under `spec/samples/<agent>/`: `*.hooks.jsonl` are payloads of hooks, `*.transcript.jsonl` lines of the agent's own
//! record, `screens/*.txt` screens, and `*.dialogue.txt` what the agent wrote to its driver, with what the driver was told
//! in lines that begin with `@`. Each has its `.expected` beside it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use oarlock_agents::drive::{Driver, Say};
use oarlock_agents::launch::Launch;
use oarlock_agents::screen::{Answer, Screen};
use oarlock_agents::{Agent, Hooked, find};
use oarlock_core::session::fact::{Hold, Permissions};

const AGENTS: [&str; 2] = ["claude-code", "codex"];

fn samples(agent: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/samples").join(agent)
}

/// Reads every sample whose name ends so, and compares with what is expected of it.
fn each_sample(folder: &str, ending: &str, read: impl Fn(&'static dyn Agent, &str) -> String) {
    let is_update = std::env::var_os("OARLOCK_UPDATE").is_some();
    let mut count = 0;
    for name in AGENTS {
        let agent = find(name).expect("it is in the registry");
        let mut paths: Vec<PathBuf> = std::fs::read_dir(samples(name).join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().ends_with(ending))
            .collect();
        paths.sort();
        for path in paths {
            let seen = read(agent, &std::fs::read_to_string(&path).unwrap());
            let golden = path.with_extension("expected");
            if is_update {
                std::fs::write(&golden, &seen).unwrap();
            }
            let expected = std::fs::read_to_string(&golden).unwrap_or_default();
            assert_eq!(seen, expected, "{} is read otherwise than {}", path.display(), golden.display());
            count += 1;
        }
    }
    assert!(count > 1, "there are samples that end in {ending}");
}

fn lines(sample: &str, read: impl Fn(&str) -> Hooked) -> String {
    let mut seen = String::new();
    for line in sample.lines() {
        let hooked = read(line);
        for observation in &hooked.seen {
            writeln!(seen, "{}", serde_json::to_string(observation).unwrap()).unwrap();
        }
        for raw in &hooked.raw {
            writeln!(seen, "  raw {raw}").unwrap();
        }
        if hooked.seen.is_empty() {
            seen.push_str("-\n");
        }
    }
    seen
}

#[test]
fn hooks_are_read_as_recorded() {
    each_sample("", ".hooks.jsonl", |agent, sample| lines(sample, |line| agent.hook("", line.as_bytes())));
}

#[test]
fn transcripts_are_read_as_recorded() {
    each_sample("", ".transcript.jsonl", |agent, sample| {
        lines(sample, |line| agent.transcript_line(line.as_bytes()))
    });
}

#[test]
fn screens_are_read_as_captured() {
    each_sample("screens", ".txt", |agent, sample| {
        let rows: Vec<String> = sample.lines().map(|row| row.trim_end().to_owned()).collect();
        let shown = agent.screen(&Screen { title: "", rows: &rows });
        let typing = agent.typing();
        let may = |guard: &oarlock_agents::screen::Guard| guarded(guard, &rows);
        let mut seen = format!("{shown:?}\nready {}\n", may(&typing.ready));
        writeln!(seen, "steer {}", typing.steer.as_ref().is_some_and(may)).unwrap();
        let words = |words: &str| Answer::Words(words.into());
        for answer in
            [Answer::Allow, Answer::AllowAlways, Answer::Deny("no".into()), words("2"), words("two")]
        {
            let Some(keys) = agent.answer(&answer) else { continue };
            if may(&keys.guard) {
                writeln!(seen, "{answer:?} by {:?}, then {:?}", keys.keys, keys.then_say).unwrap();
            }
        }
        seen
    });
}

/// Judges a guard as a host does.
fn guarded(guard: &oarlock_agents::screen::Guard, rows: &[String]) -> bool {
    let rows: Vec<&String> = rows.iter().filter(|row| !row.trim().is_empty()).collect();
    let looked_at = if guard.rows == 0 { rows.len() } else { rows.len().min(guard.rows.into()) };
    let rows = &rows[rows.len() - looked_at..];
    let matches = |pattern: &String| {
        let pattern = regex_lite::Regex::new(pattern).expect("a guard is a regular expression");
        rows.iter().any(|row| pattern.is_match(row))
    };
    (guard.shows.is_empty() || guard.shows.iter().any(matches)) && !guard.hides.iter().any(matches)
}

#[test]
fn dialogues_go_as_recorded() {
    each_sample("", ".dialogue.txt", |agent, sample| {
        let mut told = sample.lines();
        let first = told.next().unwrap_or_default();
        let conversation = first.strip_prefix("@ resume ");
        let launch = launch(agent.name(), conversation);
        let mut driver = agent.driver(&launch).expect("it has a driver");
        let mut seen = String::new();
        let mut note = |steps: Vec<oarlock_agents::drive::Step>| {
            for step in steps {
                writeln!(seen, "{step:?}").unwrap();
            }
        };
        note(driver.open());
        for line in std::iter::once(first).filter(|_| conversation.is_none()).chain(told) {
            let steps = match line.strip_prefix("@ ") {
                Some(word) => tell(driver.as_mut(), word),
                None => driver.line(line.as_bytes()),
            };
            note(steps);
        }
        seen
    });
}

fn tell(driver: &mut dyn Driver, word: &str) -> Vec<oarlock_agents::drive::Step> {
    let (word, rest) = word.split_once(' ').unwrap_or((word, ""));
    let rest = rest.replace("\\n", "\n");
    let say = |id: Option<&str>, interrupt| Say { id: id.map(Into::into), text: rest.clone(), interrupt };
    match word {
        "say" => driver.say(say(None, false)),
        "say!" => driver.say(say(Some("mi"), true)),
        "answer" => {
            let (kind, words) = rest.split_once(' ').unwrap_or((&rest, ""));
            let answer = match kind {
                "allow" => Answer::Allow,
                "always" => Answer::AllowAlways,
                "deny" => Answer::Deny(words.into()),
                _ => Answer::Words(words.into()),
            };
            driver.answer(None, answer)
        }
        "interrupt" => driver.interrupt(),
        "ended" => {
            let (code, stderr) = rest.split_once(' ').unwrap_or((&rest, ""));
            driver.ended(code.parse().ok(), stderr)
        }
        other => driver.say(say(other.strip_prefix("say:"), false)),
    }
}

fn launch<'a>(agent: &str, conversation: Option<&'a str>) -> Launch<'a> {
    Launch {
        writes: &[],
        hold: Hold::Protocol,
        program: if agent == "codex" { "codex" } else { "claude" },
        version: None,
        workspace: "/src/app",
        // A run has a folder of its own.
        folder: if conversation.is_some() { "/runs/2" } else { "/runs/1" },
        prompt: "",
        prompt_file: "/runs/1/prompt",
        conversation,
        new_conversation: "11111111-2222-4333-8444-555555555555",
        model: None,
        permissions: Permissions::Default,
        rules: "",
        args: &[],
        command: None,
        oarlock: "/bin/oarlock",
        is_root: false,
    }
}
