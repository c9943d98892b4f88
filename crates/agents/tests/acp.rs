//! Dialogues of real agents over the Agent Client Protocol, replayed to the driver: what it says and sees stands beside each,
//! in `spec/samples/<agent>/*.acp.expected`. `OARLOCK_UPDATE=1` writes it anew.
//!
//! A sample has a line a step: `< ` what the agent wrote, `> ` what the driver was told (`say`, `answer`, `interrupt`,
//! `ended`), `2 ` what the agent wrote to its standard error, `! ` something of the launch.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use oarlock_agents::drive::{Driver, Say, Step};
use oarlock_agents::launch::Launch;
use oarlock_agents::screen::Answer;
use oarlock_core::session::fact::{Hold, Permissions};

fn samples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/samples");
    let mut found = Vec::new();
    for agent in std::fs::read_dir(root).unwrap() {
        let agent = agent.unwrap().path();
        if agent.is_dir() {
            found.extend(std::fs::read_dir(agent).unwrap().map(|file| file.unwrap().path()));
        }
    }
    found.retain(|path| path.to_string_lossy().ends_with(".acp.txt"));
    found.sort();
    found
}

fn driver(agent: &str, settings: &[(&str, &str)]) -> Box<dyn Driver> {
    let set = |key: &str| settings.iter().find(|(found, _)| *found == key).map(|(_, value)| *value);
    let launch = Launch {
        writes: &[],
        hold: Hold::Acp,
        program: agent,
        version: None,
        workspace: "/w",
        folder: "/run",
        prompt: "",
        prompt_file: "/run/prompt",
        conversation: set("conversation"),
        new_conversation: "11111111-2222-4333-8444-555555555555",
        model: set("model"),
        permissions: match set("permissions") {
            Some("accept-edits") => Permissions::AcceptEdits,
            Some("auto") => Permissions::Auto,
            Some("bypass") => Permissions::Bypass,
            _ => Permissions::Default,
        },
        rules: set("rules").unwrap_or(""),
        args: &[],
        command: None,
        oarlock: "/usr/bin/oarlock",
        is_root: false,
    };
    let agent = oarlock_agents::find(agent).expect("a folder of samples is named after its agent");
    agent.driver(&launch).expect("it speaks the protocol")
}

fn told(driver: &mut dyn Driver, line: &str) -> Vec<Step> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "say" => driver.say(Say { id: Some("m".into()), text: rest.into(), interrupt: false }),
        "steer" => driver.say(Say { id: Some("m".into()), text: rest.into(), interrupt: true }),
        "interrupt" => driver.interrupt(),
        "ended" => driver.ended(rest.parse().ok(), ""),
        "answer" => driver.answer(
            None,
            match rest {
                "allow" => Answer::Allow,
                "always" => Answer::AllowAlways,
                reason => Answer::Deny(reason.trim_start_matches("deny").trim().into()),
            },
        ),
        other => panic!("{other} is nothing to tell"),
    }
}

fn render(steps: Vec<Step>, into: &mut String) {
    for step in steps {
        match step {
            Step::Start(plan) => writeln!(into, "  start {}", plan.argv.join(" ")),
            Step::Send(line) => {
                let ours = concat!("\"version\":\"", env!("CARGO_PKG_VERSION"), "\"");
                writeln!(into, "  send {}", line.replace(ours, "\"version\":\"ours\""))
            }
            other => writeln!(into, "  {other:?}"),
        }
        .unwrap();
    }
}

fn replay(sample: &Path) -> String {
    let agent = sample.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(sample).unwrap();
    let settings = text.lines().filter_map(|line| line.strip_prefix("! ")?.split_once('='));
    let mut driver = driver(&agent, &settings.collect::<Vec<_>>());
    let mut out = String::from("open\n");
    render(driver.open(), &mut out);
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("< ") {
            let steps = driver.line(line.as_bytes());
            if !steps.is_empty() {
                let cut: String = line.chars().take(100).collect();
                writeln!(out, "< {cut}").unwrap();
                render(steps, &mut out);
            }
        } else if let Some(line) = line.strip_prefix("2 ") {
            let steps = driver.logged(line.as_bytes());
            let cut: String = line.chars().take(100).collect();
            match steps {
                None => writeln!(out, "2 {cut}\n  is an error").unwrap(),
                Some(steps) if steps.is_empty() => {}
                Some(steps) => {
                    writeln!(out, "2 {cut}").unwrap();
                    render(steps, &mut out);
                }
            }
        } else if let Some(line) = line.strip_prefix("> ") {
            writeln!(out, "> {line}").unwrap();
            render(told(driver.as_mut(), line), &mut out);
        }
    }
    out
}

#[test]
fn a_recorded_dialogue_is_seen_as_it_is_written_beside_it() {
    let samples = samples();
    assert!(samples.len() >= 10, "the samples are there");
    for sample in samples {
        let expected = PathBuf::from(sample.to_string_lossy().replace(".acp.txt", ".acp.expected"));
        let now = replay(&sample);
        if std::env::var_os("OARLOCK_UPDATE").is_some() {
            std::fs::write(&expected, &now).unwrap();
            continue;
        }
        let before = std::fs::read_to_string(&expected).unwrap_or_default();
        assert!(before == now, "{}: expected\n{before}\nnow\n{now}", sample.display());
    }
}

/// Whatever an agent writes, nobody panics, and what is echoed to it is a line of JSON.
#[test]
fn a_broken_dialogue_breaks_nothing() {
    let odd = [
        "7",
        "null",
        "[]",
        "{}",
        "\"\"",
        "\\u0000",
        "-1e400",
        "{\"a\":[{}]}",
        "[[[[]]]]",
        "true",
        "\"\u{1b}[2J\"",
    ];
    for sample in samples() {
        let agent = sample.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&sample).unwrap();
        for (turn, odd) in odd.iter().enumerate() {
            let mut driver = driver(&agent, &[]);
            let mut steps = driver.open();
            for (number, line) in text.lines().enumerate() {
                let Some(line) = line.strip_prefix("< ") else {
                    if let Some(line) = line.strip_prefix("> ") {
                        steps.extend(told(driver.as_mut(), line));
                    }
                    continue;
                };
                // One value after another becomes something it should not be; each line also comes cut.
                let colons: Vec<usize> = line.match_indices(':').map(|(at, _)| at).collect();
                let at = colons[(number * 7 + turn) % colons.len()];
                let end = line[at..].find([',', '}']).map_or(line.len(), |end| at + end);
                steps.extend(driver.line(format!("{}:{odd}{}", &line[..at], &line[end..]).as_bytes()));
                steps.extend(driver.line(&line.as_bytes()[..line.len() / 2]));
            }
            steps.extend(driver.ended(None, "\u{1b}]0;x\u{7}"));
            for step in steps {
                if let Step::Send(line) = step {
                    assert!(
                        !line.contains('\n') && serde_json::from_str::<serde_json::Value>(&line).is_ok(),
                        "{line}"
                    );
                }
            }
        }
    }
}
