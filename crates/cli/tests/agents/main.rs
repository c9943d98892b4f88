//! Real agent programs, held by oarlock, against a scripted model server on loopback: what is said of them is what they do,
//! and what is sent arrives.
//!
//! They are not small, so each test is ignored unless asked for: `cargo xtask agents test` installs the programs and runs them.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod accuracy;
mod gates;
#[allow(dead_code, reason = "real agents need less of it than the end-to-end tests do")]
#[path = "../harness/mod.rs"]
mod harness;
mod record;
mod relays;
mod stage;
mod troubles;

use serde_json::Value;
use stage::Stage;
use troubles::*;

/// Names a test for each thing that an agent, held one way, is shown to do. What it cannot do is named with the reason, so that
/// nothing is left out in silence.
macro_rules! held {
    ($(
        $name:ident: $agent:ident, $word:literal, $hold:literal,
        [$($does:ident),*] $(but [$($cannot:ident: $why:literal),*])?;
    )*) => {
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

        /// Each agent and hold with what it is shown to do, and what it cannot, and why.
        const TABLE: &[(&str, &[&str], &[(&str, &str)])] = &[
            $((stringify!($name), &[$(stringify!($does)),*], &[$($((stringify!($cannot), $why)),*)?]),)*
        ];
    };
}

held! {
    claude_in_a_terminal: Claude, "claude-code", "terminal",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_while_busy, a_refused_request_is_no_success,
         a_permission_allowed_runs_its_tool, a_permission_denied_runs_nothing, a_rate_limit_is_said_until_it_is_over,
         a_crash_is_said_and_gone_on_from];
    claude_by_its_protocol: Claude, "claude-code", "protocol",
        [does_its_task, counts_what_it_used, goes_on_after_a_kill, gets_a_long_message_while_busy,
         a_refused_request_is_no_success, a_permission_allowed_runs_its_tool,
         a_permission_denied_runs_nothing, a_rate_limit_is_said_until_it_is_over, a_crash_is_said_and_gone_on_from];
    codex_in_a_terminal: Codex, "codex", "terminal",
        [does_its_task, counts_what_it_used, goes_on_after_a_kill, gets_a_long_message_while_busy,
         a_refused_request_is_no_success, a_permission_allowed_runs_its_tool,
         a_permission_denied_runs_nothing, a_rate_limit_is_said_until_it_is_over, a_crash_is_said_and_gone_on_from,
         a_used_up_allowance_says_when_it_is_there_again];
    codex_by_its_protocol: Codex, "codex", "protocol",
        [does_its_task, counts_what_it_used, goes_on_after_a_kill, gets_a_long_message_while_busy,
         a_refused_request_is_no_success, a_permission_allowed_runs_its_tool,
         a_permission_denied_runs_nothing, a_rate_limit_is_said_until_it_is_over, a_crash_is_said_and_gone_on_from,
         a_used_up_allowance_says_when_it_is_there_again];
    copilot_by_acp: Copilot, "copilot", "acp",
        [does_its_task, counts_what_it_used, goes_on_after_a_kill, gets_a_long_message_while_busy,
         a_refused_request_is_no_success, a_permission_allowed_runs_its_tool,
         a_permission_denied_runs_nothing, a_rate_limit_is_said_until_it_is_over, a_crash_is_said_and_gone_on_from];
    copilot_in_a_terminal: Copilot, "copilot", "terminal",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_by_a_file, a_refused_request_is_no_success,
         a_permission_allowed_runs_its_tool, a_permission_denied_runs_nothing, a_rate_limit_is_said_until_it_is_over,
         a_crash_is_said_and_gone_on_from] but [
            gets_a_long_message_while_busy:
                "its interface keeps a long paste in a file of its own, and tells the model where; that file is looked at"
        ];
    heavy_opencode_by_acp: Opencode, "opencode", "acp",
        [does_its_task, counts_what_it_used, goes_on_after_a_kill, gets_a_long_message_while_busy,
         a_refused_request_is_no_success, a_permission_allowed_runs_its_tool,
         a_permission_denied_runs_nothing, a_rate_limit_is_said_until_it_is_over, a_crash_is_said_and_gone_on_from];
    heavy_opencode_in_a_terminal: Opencode, "opencode", "terminal",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_while_busy, a_refused_request_is_no_success,
         a_permission_allowed_runs_its_tool, a_permission_denied_runs_nothing, a_rate_limit_is_said_until_it_is_over,
         a_crash_is_said_and_gone_on_from];
    heavy_gemini_by_acp: Gemini, "gemini", "acp",
        [does_its_task, counts_what_it_used, goes_on_after_a_kill, gets_a_long_message_while_busy,
         a_refused_request_is_no_success, a_permission_allowed_runs_its_tool,
         a_permission_denied_runs_nothing, a_rate_limit_is_said_until_it_is_over,
         a_crash_is_said_and_another_conversation_begun] but [
            a_crash_is_said_and_gone_on_from:
                "when it is to load a conversation it writes an empty one over it (0.61.0)"
        ];
    heavy_gemini_in_a_terminal: Gemini, "gemini", "terminal",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_while_busy, a_refused_request_is_no_success,
         a_permission_allowed_runs_its_tool, a_permission_denied_runs_nothing,
         a_crash_is_said_and_gone_on_from] but [
            a_rate_limit_is_said_until_it_is_over:
                "it asks its provider again for minutes and neither a hook, its transcript nor its screen tells: the row that \
                 says so is made, and left out of what is drawn (0.61.0)"
        ];
    heavy_qwen_by_acp: Qwen, "qwen", "acp",
        [does_its_task, counts_what_it_used, goes_on_after_a_kill, gets_a_long_message_while_busy,
         a_refused_request_is_no_success, a_permission_allowed_runs_its_tool,
         a_permission_denied_runs_nothing, a_rate_limit_is_said_until_it_is_over, a_crash_is_said_and_gone_on_from];
    heavy_qwen_in_a_terminal: Qwen, "qwen", "terminal",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_while_busy, a_refused_request_is_no_success,
         a_permission_allowed_runs_its_tool, a_permission_denied_runs_nothing, a_rate_limit_is_said_until_it_is_over,
         a_crash_is_said_and_gone_on_from];
    heavy_kimi_by_acp: Kimi, "kimi", "acp",
        [does_its_task, goes_on_after_a_kill, gets_a_long_message_while_busy, a_refused_request_is_no_success,
         a_permission_allowed_runs_its_tool, a_permission_denied_runs_nothing,
         a_crash_is_said_and_gone_on_from] but [
            a_rate_limit_is_said_until_it_is_over: "it ends its turn without a word: a failed turn, of what kind is not known"
        ];
    heavy_aider_in_a_terminal: Aider, "aider", "terminal", [does_its_task_by_edits] but [
            does_its_task: "it has no tools and no conversation; does_its_task_by_edits is its own",
            goes_on_after_a_kill: "it has no conversation that goes on",
            gets_a_long_message_while_busy: "it was not looked at",
            a_refused_request_is_no_success: "only its screen tells, and that says nothing of a failure",
            a_permission_allowed_runs_its_tool: "it has no tools",
            a_permission_denied_runs_nothing: "it has no tools",
            a_rate_limit_is_said_until_it_is_over: "only its screen tells, and that says nothing of a limit",
            a_crash_is_said_and_gone_on_from: "it has no conversation that goes on"
        ];
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

/// What each agent, held each way, does or is named with the reason why it cannot.
const SCENARIOS: &[&str] = &[
    "does_its_task",
    "goes_on_after_a_kill",
    "gets_a_long_message_while_busy",
    "a_refused_request_is_no_success",
    "a_permission_allowed_runs_its_tool",
    "a_permission_denied_runs_nothing",
    "a_rate_limit_is_said_until_it_is_over",
    "a_crash_is_said_and_gone_on_from",
];

#[test]
fn nothing_is_left_out_in_silence() {
    for (name, does, cannot) in TABLE {
        for scenario in SCENARIOS {
            let is_excused = cannot.iter().any(|(one, why)| one == scenario && !why.is_empty());
            assert!(
                does.contains(scenario) != is_excused,
                "{name}: {scenario} is tested, or excused with a reason"
            );
        }
    }
}

/// For an agent that tells what it used: the answers of the task, and what it asks beside them.
fn counts_what_it_used(stage: &Stage) {
    stage.spawn("task", "[[play:commit file=tea.txt text=green]] Make tea.", "bypass");
    stage.until_status("task", &["idle"]);
    stage.until("the tokens of all three answers", || {
        let spent = stage.crew.json(&["show", "task"])["spent"].clone();
        let count = |name: &str| spent[name].as_u64().unwrap_or_default();
        let read = count("input") + count("cache_read") + count("cache_write");
        // Of the 76 of the output 21 are of reasoning, which some leave out.
        (read >= 1156 + 2005 + 1158 && count("output") >= 55).then_some(())
    });
    stage.crew.ok(&["kill", "task"]);
}

/// As [`does_its_task`], for an agent that has no tools and no conversation: its answer is its edits, and it commits by itself.
fn does_its_task_by_edits(stage: &Stage) {
    stage.spawn("task", "[[play:whole_file file=tea.txt text=green]] Make tea.", "bypass");
    let done = stage.until("the work committed", || {
        let now = stage.crew.json(&["show", "task"])["session"].clone();
        (now["status"] == "idle" && now["ahead"] == 1).then_some(now)
    });
    let workspace = done["workspace"].as_str().unwrap().to_owned();
    assert_eq!(stage.crew.git_in(workspace.as_ref(), &["show", "HEAD:tea.txt"]), "green\n");
    assert_eq!(stage.crew.git_in(workspace.as_ref(), &["status", "--porcelain"]), "", "nothing lies about");
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
    let (_, words) = told_while_busy(stage);
    let mark = stage.until("the model told", || stage.server.seen().marks.get("long").cloned());
    assert_eq!((mark.times, mark.whole, mark.bytes), (1, true, words.len()), "once, whole, as it was");
    stage.crew.ok(&["kill", "busy"]);
}

/// As [`gets_a_long_message_while_busy`], for an interface that keeps what is long in a file of its own.
fn gets_a_long_message_by_a_file(stage: &Stage) {
    let (text, _) = told_while_busy(stage);
    let kept = stage.files_holding(&text);
    assert_eq!(kept.len(), 1, "once, whole, as it was: {kept:?}");
    stage.crew.ok(&["kill", "busy"]);
}

/// Sends a long message to an agent that is in a turn, and returns it with what is measured of it once it was taken up.
fn told_while_busy(stage: &Stage) -> (String, String) {
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
    (text, words)
}

fn a_refused_request_is_no_success(stage: &Stage) {
    // Not one that is too long: some make that shorter and try again.
    stage.spawn("shut", "[[play:refused]] Let me in.", "bypass");
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
