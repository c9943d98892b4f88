//! What hooks were given and what screens showed, beside what is read in it: `spec/samples/<agent>/*.hooks.jsonl` and
//! `screens/*.txt` of the agents named here. `OARLOCK_UPDATE=1` writes what is read now.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use oarlock_agents::find;
use oarlock_agents::screen::Screen;

const AGENTS: &[&str] = &["cursor", "grok", "aider", "goose"];

fn folder(agent: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/samples").join(agent)
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(end));
    files.sort();
    files
}

#[track_caller]
fn compare(path: &Path, now: &str, wrong: &mut Vec<String>) {
    if std::env::var_os("OARLOCK_UPDATE").is_some() {
        std::fs::write(path, now).unwrap();
    } else if std::fs::read_to_string(path).unwrap_or_default() != now {
        wrong.push(format!("{}:\n{now}", path.display()));
    }
}

#[test]
fn every_hook_is_read_as_expected() {
    let (mut wrong, mut read) = (Vec::new(), 0);
    for agent in AGENTS {
        let mut silent = find(agent).unwrap().hooks().to_vec();
        for path in files(&folder(agent), ".hooks.jsonl") {
            let mut now = String::new();
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let sample: serde_json::Value = serde_json::from_str(line).unwrap();
                let event = sample["event"].as_str().unwrap();
                let payload = sample["payload"].to_string();
                let hooked = find(agent).unwrap().hook(event, payload.as_bytes());
                writeln!(now, "{event}").unwrap();
                silent.retain(|one| *one != event || hooked.seen.is_empty());
                for seen in &hooked.seen {
                    writeln!(now, "  {}", serde_json::to_string(seen).unwrap()).unwrap();
                    read += 1;
                }
            }
            compare(&path.with_extension("expected"), &now, &mut wrong);
        }
        assert!(silent.is_empty(), "{agent} is called for events that say nothing: {silent:?}");
    }
    assert!(wrong.is_empty(), "read otherwise than expected:\n{}", wrong.join("\n"));
    assert!(read > 15, "the samples say something");
}

#[test]
fn every_screen_is_read_as_expected() {
    let (mut wrong, mut read) = (Vec::new(), 0);
    for agent in AGENTS {
        for path in files(&folder(agent).join("screens"), ".txt") {
            let rows: Vec<String> = std::fs::read_to_string(&path).unwrap().lines().map(Into::into).collect();
            let shown = find(agent).unwrap().screen(&Screen { title: "", rows: &rows });
            read += usize::from(shown.is_some());
            let now = format!("{}\n", serde_json::to_string(&shown).unwrap());
            compare(&path.with_extension("expected"), &now, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "read otherwise than expected:\n{}", wrong.join("\n"));
    assert!(read > 8, "the screens say something");
}

#[test]
fn a_guard_agrees_with_the_reading_of_the_screen() {
    let matches = |guard: &oarlock_agents::screen::Guard, rows: &[String]| {
        let screen = Screen { title: "", rows };
        let count = if guard.rows == 0 { usize::MAX } else { usize::from(guard.rows) };
        let rows = screen.bottom(count);
        let any = |patterns: &[String]| {
            let all = patterns.iter().map(|pattern| regex_lite::Regex::new(pattern).unwrap());
            all.into_iter().any(|pattern| rows.iter().any(|row| pattern.is_match(row)))
        };
        (guard.shows.is_empty() || any(&guard.shows)) && !any(&guard.hides)
    };
    for agent in AGENTS {
        let agent = find(agent).unwrap();
        for path in files(&folder(agent.name()).join("screens"), ".txt") {
            let rows: Vec<String> = std::fs::read_to_string(&path).unwrap().lines().map(Into::into).collect();
            let shown = agent.screen(&Screen { title: "", rows: &rows });
            let is_prompt = matches!(shown, Some(oarlock_core::session::fact::Showing::Prompt));
            let is_dialog = matches!(shown, Some(oarlock_core::session::fact::Showing::Dialog(_)));
            let allow = agent.answer(&oarlock_agents::screen::Answer::Allow).unwrap();
            assert_eq!(matches(&agent.typing().ready, &rows), is_prompt, "{}", path.display());
            assert_eq!(matches(&allow.guard, &rows), is_dialog, "{}", path.display());
        }
    }
}
