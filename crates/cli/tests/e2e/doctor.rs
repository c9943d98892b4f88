//! What the examination finds, with real faults in their places.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use serde_json::Value;

use crate::harness::Crew;

/// Puts a program into a folder of its own that is first in the path.
fn install(crew: &mut Crew, name: &str, script: &str) {
    let folder = crew.home.join("programs");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let before = crew.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap();
    if !before.to_string_lossy().starts_with(folder.to_str().unwrap()) {
        crew.set("PATH", format!("{}:{}", folder.display(), before.to_string_lossy()));
    }
}

fn examined(crew: &Crew) -> Vec<Value> {
    let output = crew.run(&["doctor", "--json"]);
    serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap()
}

#[track_caller]
fn of<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name} is in {checks:?}"))
}

#[test]
fn agents_that_hang_babble_or_fail_are_told_apart_and_nobody_waits_long() {
    let mut crew = Crew::new();
    install(&mut crew, "claude", "exec sleep 60");
    install(
        &mut crew,
        "codex",
        "printf '\\033[31mcodex-cli 0.169.0\\033[0m\\n\\nA newer one is there: 9.9.9\\n'",
    );
    install(&mut crew, "gemini", "echo oops >&2; exit 1");
    install(&mut crew, "opencode", "echo 0.0.1");
    let begun = Instant::now();
    let checks = examined(&crew);
    assert!(begun.elapsed().as_secs() < 20, "all are asked at once");
    let claude = of(&checks, "agent claude-code");
    assert_eq!(claude["result"], "warn", "{claude}");
    assert!(claude["hint"].as_str().unwrap().contains("told no version within 3 s"), "{claude}");
    let codex = of(&checks, "agent codex")["text"].as_str().unwrap();
    assert!(codex.starts_with("0.169.0 at ") && codex.contains("not logged in"), "{codex}");
    assert_eq!(of(&checks, "agent gemini")["result"], "warn");
    let opencode = of(&checks, "agent opencode");
    assert!(opencode["text"].as_str().unwrap().starts_with("0.0.1 at "), "{opencode}");
    let rest = of(&checks, "agents")["text"].as_str().unwrap();
    assert!(rest.contains("qwen") && !rest.contains("codex"), "{rest}");
}

#[test]
fn a_program_that_is_named_and_not_there_must_be_mended() {
    let mut crew = Crew::new();
    crew.set("OARLOCK_CODEX_PROGRAM", "/nowhere/codex");
    let said = crew.run(&["doctor"]);
    assert_eq!(said.status.code(), Some(1));
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains("fail  agent codex") && text.contains("unset OARLOCK_CODEX_PROGRAM"), "{text}");
}

#[test]
fn a_login_and_hooks_that_were_heard_are_told() {
    let mut crew = Crew::new();
    install(&mut crew, "codex", "echo codex-cli 0.169.0");
    fs::create_dir_all(crew.home.join(".codex")).unwrap();
    fs::write(crew.home.join(".codex/auth.json"), "{\"secret\": \"tea\"}").unwrap();
    let text = of(&examined(&crew), "agent codex")["text"].as_str().unwrap().to_owned();
    assert!(text.contains("logged in") && !text.contains("not logged in") && !text.contains("tea"), "{text}");
}

#[test]
fn who_commits_and_what_the_project_says_is_looked_at() {
    let mut crew = Crew::new();
    fs::write(crew.repo.join("oarlock.toml"), "agent = 1\n").unwrap();
    let checks = examined(&crew);
    assert_eq!(of(&checks, "identity")["result"], "ok", "{checks:?}");
    assert_eq!(of(&checks, "project")["result"], "fail");
    fs::write(crew.repo.join("oarlock.toml"), "agent = \"scripted\"\n").unwrap();
    for name in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"] {
        crew.unset(name);
    }
    crew.set("GIT_CONFIG_GLOBAL", "/dev/null");
    let checks = examined(&crew);
    assert_eq!(of(&checks, "project")["result"], "ok", "{checks:?}");
    let identity = of(&checks, "identity");
    assert_eq!(identity["result"], "warn");
    assert!(identity["hint"].as_str().unwrap().starts_with("git config --global user.name"), "{identity}");
}

#[test]
fn it_changes_nothing_and_tells_of_what_it_leaves() {
    let crew = Crew::new();
    let state = crew.home.join("elsewhere/state");
    let at = state.to_str().unwrap().to_owned();
    let look = || {
        let output = crew.command(&["doctor", "--json"]).env("OARLOCK_HOME", &at).output().unwrap();
        serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap()
    };
    assert_eq!(of(&look(), "state")["result"], "ok");
    assert!(!crew.home.join("elsewhere").exists(), "the first daemon makes it");
    fs::create_dir_all(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(of(&look(), "permissions")["result"], "warn");
    let mode = fs::metadata(&state).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode, fs::read_dir(&state).unwrap().count()), (0o755, 0));
}
