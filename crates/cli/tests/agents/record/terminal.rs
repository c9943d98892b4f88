//! Records an agent in its terminal: the payloads of its hooks, and its screen in each state. oarlock holds it as always; a
//! script in the place of its program takes a copy of what each hook was given.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::sample::Samples;
use super::scrub::Scrub;
use crate::stage::Stage;

/// Stands for oarlock where hooks call it. A payload is an argument or comes on standard input; some have several lines.
const COPIER: &str = r#"#!/bin/sh
[ "$1" = hook ] || exec REAL "$@"
copy=$(mktemp COPIES/XXXXXX) || exec REAL "$@"
if [ $# -gt 3 ]; then printf '%s' "$4" > "$copy"; else cat > "$copy"; fi
printf '{"event":"%s","payload":%s}\n' "$3" "$(tr '\n' ' ' < "$copy")" >> COPIES/hooks.jsonl
exec REAL "$@" < "$copy"
"#;
/// Names of the screens in each state: as the agent's own tests call them.
const SCREENS: [&str; 4] = ["prompt", "dialog", "busy", "interrupted"];

/// Records greetings, a command that leave is asked for, and an interrupted turn.
pub fn record(stage: &Stage, samples: &mut Samples) {
    let copies = begin(stage);
    stage.spawn("sample", "[[play:hello]] Good morning.", stage.asking());
    stage.until_status("sample", &["idle"]);
    let run = stage.crew.run_folder("sample");
    let workspace = stage.crew.workspace("sample");
    let mut scrub = Scrub::new(stage, &workspace, Some(&run));
    let mut take = |name: &str| {
        let screen = settled(&run);
        let mut text = String::new();
        // The tests of these two take rows and no title.
        if !matches!(stage.agent, "claude-code" | "codex") {
            text.push_str(&scrub.line(screen.title.as_deref().unwrap_or_default()));
            text.push('\n');
        }
        for row in screen.lines {
            text.push_str(scrub.line(&row).trim_end());
            text.push('\n');
        }
        samples.put(&format!("screens/recorded-{name}.txt"), format!("{}\n", text.trim_end()));
    };
    take(SCREENS[0]);
    stage.crew.ok(&["send", "sample", "[[play:permission]] Run something."]);
    let asked = stage.until("a question or the end of the turn", || {
        let detail = stage.crew.json(&["show", "sample"]);
        let (status, turns) = (detail["session"]["status"].clone(), detail["runs"][0]["turns"].clone());
        (status == "blocked" || status == "idle" && turns == 2).then_some(status == "blocked")
    });
    if asked {
        take(SCREENS[1]);
        stage.crew.ok(&["answer", "sample", "allow"]);
        stage.until_status("sample", &["idle"]);
    }
    stage.crew.ok(&["send", "sample", "[[play:slow]] Tell me a story."]);
    stage.until_status("sample", &["working"]);
    let is_answered = stage.server.wait(Duration::from_secs(30), |seen| {
        seen.requests
            .iter()
            .any(|asked| asked.scenario.as_deref() == Some("slow") && asked.begun_at_ms.is_some())
    });
    assert!(is_answered, "{}", stage.picture());
    take(SCREENS[2]);
    stage.press_interrupt("sample");
    stage.until_status("sample", &["idle"]);
    take(SCREENS[3]);
    stage.crew.ok(&["stop", "sample"]);
    let hooks = fs::read_to_string(copies.join("hooks.jsonl")).unwrap_or_default();
    let lines = hooks.lines().map(|line| {
        let line = scrub.line(line);
        // The tests of these two know an event by its payload.
        if !matches!(stage.agent, "claude-code" | "codex") {
            return line + "\n";
        }
        let line: Value = serde_json::from_str(&line).unwrap();
        line["payload"].to_string() + "\n"
    });
    let lines: String = lines.collect();
    samples.put("recorded.hooks.jsonl", lines);
}

/// Starts a daemon from a copy of the program, and puts the copier in the copy's place: whatever the daemon tells agents to call
/// is the copier. Returns the folder of copies.
fn begin(stage: &Stage) -> PathBuf {
    let folder = stage.crew.root.join("copier");
    let copies = folder.join("copies");
    fs::create_dir_all(&copies).unwrap();
    let program = folder.join("oarlock");
    let real = env!("CARGO_BIN_EXE_oarlock");
    fs::copy(real, &program).unwrap();
    let started = stage.crew.program(program.to_str().unwrap(), &["start"]).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let script = COPIER.replace("REAL", real).replace("COPIES", copies.to_str().unwrap());
    let fresh = folder.join("fresh");
    fs::write(&fresh, script).unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&fresh, &program).unwrap();
    copies
}

/// Returns the screen once it stood still for a moment; one with a spinner is taken as it is.
fn settled(run: &Path) -> oarlock_term::Screen {
    let mut host = oarlock_term::Client::connect(run).unwrap();
    let mut last = host.snapshot().unwrap();
    for _ in 0..6 {
        // poll: a screen tells nobody that it is drawn.
        std::thread::sleep(Duration::from_millis(200));
        let now = host.snapshot().unwrap();
        if now.lines == last.lines {
            break;
        }
        last = now;
    }
    last
}
