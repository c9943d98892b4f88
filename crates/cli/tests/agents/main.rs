//! Real agent programs, held by oarlock, against a scripted model server on loopback: what is said of them is what they do,
//! and what is sent arrives.
//!
//! They are not small, so each test is ignored unless asked for: `cargo xtask agents test` installs the programs and runs them.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod accuracy;
#[allow(dead_code, reason = "real agents need less of it than the end-to-end tests do")]
#[path = "../harness/mod.rs"]
mod harness;
mod record;
mod stage;

use serde_json::Value;
use stage::Stage;

/// Names a test for each thing that an agent, held one way, is shown to do.
macro_rules! held {
    ($($name:ident: $agent:ident, $word:literal, $hold:literal, [$($does:ident),*];)*) => {
        $(
            mod $name {
                use super::*;

                $(
                    #[test]
                    #[ignore = "needs a real agent program: cargo xtask agents test"]
                    fn $does() {
                        super::$does(&Stage::of(oarlock_model::drive::Agent::$agent, $word, $hold));
                    }
                )*
            }
        )*
    };
}

held! {
    claude_in_a_terminal: Claude, "claude-code", "terminal",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_while_busy, a_refused_request_is_no_success];
    claude_by_its_protocol: Claude, "claude-code", "protocol",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_while_busy, a_refused_request_is_no_success];
    codex_in_a_terminal: Codex, "codex", "terminal",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_while_busy, a_refused_request_is_no_success];
    codex_by_its_protocol: Codex, "codex", "protocol",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_while_busy, a_refused_request_is_no_success];
    copilot_by_acp: Copilot, "copilot", "acp",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_while_busy, a_refused_request_is_no_success];
    copilot_in_a_terminal: Copilot, "copilot", "terminal", [does_its_task, goes_on_after_a_kill];
    heavy_opencode_by_acp: Opencode, "opencode", "acp",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_while_busy];
    heavy_opencode_in_a_terminal: Opencode, "opencode", "terminal",
        [does_its_task, gets_a_long_message_while_busy, a_refused_request_is_no_success];
    heavy_gemini_by_acp: Gemini, "gemini", "acp",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_while_busy, a_refused_request_is_no_success];
    heavy_gemini_in_a_terminal: Gemini, "gemini", "terminal", [does_its_task, goes_on_after_a_kill];
    heavy_qwen_by_acp: Qwen, "qwen", "acp",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_while_busy, a_refused_request_is_no_success];
}

fn does_its_task(stage: &Stage) {
    stage.spawn("task", "[[play:commit file=tea.txt text=green]] Make tea.", "bypass");
    let done = stage.until_status("task", &["idle"]);
    assert_eq!(done["ahead"], 1, "{done}");
    let workspace = done["workspace"].as_str().unwrap().to_owned();
    assert_eq!(stage.crew.git_in(workspace.as_ref(), &["show", "HEAD:tea.txt"]), "green\n");
    assert_eq!(
        stage.crew.git_in(workspace.as_ref(), &["status", "--porcelain"]),
        "",
        "nothing of ours is in the way"
    );
    let detail = stage.crew.json(&["show", "task"]);
    let run = &detail["runs"][0];
    assert!(run["conversation"].is_string(), "{run}");
    assert_eq!(run["turns"], 1, "{run}");
    stage.crew.ok(&["stop", "task"]);
    assert_eq!(stage.leftovers(), Vec::<String>::new(), "ending a run ends everything it started");
}

fn goes_on_after_a_kill(stage: &Stage) {
    stage.spawn("tired", "[[play:hello]] Good morning.", "bypass");
    stage.until_status("tired", &["idle"]);
    // An agent may keep a turn only some time after it ended; by the end of the next it has.
    stage.crew.ok(&["send", "tired", "[[play:hello]] Still there?"]);
    stage.until("a second turn", || {
        let detail = stage.crew.json(&["show", "tired"]);
        (detail["runs"][0]["turns"] == 2 && detail["session"]["status"] == "idle").then_some(())
    });
    stage.crew.ok(&["kill", "tired"]);
    assert_eq!(stage.leftovers(), Vec::<String>::new(), "a kill leaves nothing");
    stage.crew.ok(&["resume", "tired", "--prompt", "[[play:commit file=tea.txt]] And now some work."]);
    let done = stage.until("tired to go on", || {
        let now = stage.crew.json(&["show", "tired"])["session"].clone();
        (now["status"] == "idle" && now["ahead"] == 1).then_some(now)
    });
    assert_eq!(done["ahead"], 1);
    let detail = stage.crew.json(&["show", "tired"]);
    assert_eq!(detail["runs"][1]["begun"], "conversation", "{detail}");
    stage.crew.ok(&["kill", "tired"]);
}

fn gets_a_long_message_while_busy(stage: &Stage) {
    stage.spawn("busy", "[[play:held gate=first]] Wait for me.", "bypass");
    stage.until_status("busy", &["working"]);
    let words = "All the tea in one line, please. ".repeat(930);
    let text = format!("[[play:hello]] [[msg:long]]{words}[[end:long]]");
    assert!(text.len() > 30_000);
    let said = stage.crew.ok(&["send", "--json", "busy", &text]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["state"], "queued", "it is in a turn: {said}");
    stage.server.release("first");
    let taken = stage.until("the message accepted", || {
        let detail = stage.crew.json(&["show", "busy"]);
        let message = detail["messages"][0].clone();
        (message["state"] == "accepted").then_some(message)
    });
    assert_eq!(taken["trouble"], "");
    stage.until_status("busy", &["idle"]);
    let mark = stage.server.seen().marks.get("long").cloned().expect("the model was told");
    assert_eq!((mark.times, mark.whole, mark.bytes), (1, true, words.len()), "once, whole, as it was");
    stage.crew.ok(&["kill", "busy"]);
}

fn a_refused_request_is_no_success(stage: &Stage) {
    stage.spawn("shut", "[[play:bad_request]] Let me in.", "bypass");
    let shown = stage.until("a failure", || {
        let now = stage.crew.json(&["show", "shut"])["session"].clone();
        matches!(now["status"].as_str(), Some("needs_input" | "failed")).then_some(now)
    });
    assert!(
        shown["because"].as_str().is_some_and(|because| because.contains("ended with an error")),
        "{shown}"
    );
    let events = stage.crew.ok(&["events"]);
    assert!(!events.contains(oarlock_model::drive::KEY), "a key is in no fact");
    if shown["status"] != "failed" {
        stage.crew.ok(&["kill", "shut"]);
    }
}
