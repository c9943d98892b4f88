//! What an agent meets on its way: a permission it needs, a provider that lets it wait, a death. What is said of it, and what
//! becomes of the work.

use std::path::PathBuf;

use serde_json::Value;

use crate::harness::signal;
use crate::stage::Stage;

/// Begins a session that asks for a permission, and returns its workspace once it does.
fn asked(stage: &Stage, name: &str, file: &str) -> PathBuf {
    stage.let_it_ask();
    stage.spawn(name, &format!("[[play:permission file={file}]] Make the file."), "default");
    let asked = stage.until_status(name, &["blocked"]);
    assert!(asked["because"].as_str().is_some_and(|because| because.contains(file)), "what for: {asked}");
    let workspace = PathBuf::from(asked["workspace"].as_str().unwrap());
    assert!(!workspace.join(file).exists(), "it waits for leave");
    workspace
}

pub(crate) fn a_permission_allowed_runs_its_tool(stage: &Stage) {
    let workspace = asked(stage, "asks", "permitted.txt");
    stage.crew.ok(&["answer", "asks", "allow"]);
    stage.until_status("asks", &["idle"]);
    assert!(workspace.join("permitted.txt").exists(), "what was allowed is done");
    assert_eq!(stage.crew.json(&["show", "asks"])["runs"][0]["turns"], 1, "in the same turn");
    stage.crew.ok(&["kill", "asks"]);
}

pub(crate) fn a_permission_denied_runs_nothing(stage: &Stage) {
    let workspace = asked(stage, "asks", "denied.txt");
    let why = "[[play:hello]] [[msg:why]]Leave the files alone.[[end:why]]";
    stage.crew.ok(&["answer", "asks", "deny", why]);
    stage.until("the reason heard", || {
        let heard = stage.server.seen().requests.iter().any(|asked| {
            asked.status == 200 && (asked.scenario.as_deref() == Some("hello") || asked.step == 1)
        });
        heard.then_some(())
    });
    stage.until_status("asks", &["idle"]);
    assert!(!workspace.join("denied.txt").exists(), "what was denied is not done");
    stage.crew.ok(&["kill", "asks"]);
}

pub(crate) fn a_rate_limit_is_said_until_it_is_over(stage: &Stage) {
    stage.spawn("slow", "[[play:limited_until gate=over]] Good morning.", "bypass");
    let limited = stage.until_status("slow", &["rate_limited"]);
    stage.server.release("over");
    // Some ask again by themselves; others give up, and are told to.
    if limited["because"].as_str().is_some_and(|because| because.contains("turn ended")) {
        stage.crew.ok(&["send", "slow", "Try again."]);
    }
    stage.until_status("slow", &["idle"]);
    let answered = stage
        .server
        .seen()
        .requests
        .iter()
        .any(|asked| asked.scenario.as_deref() == Some("limited_until") && asked.status == 200);
    assert!(answered, "it went on where it was");
    stage.crew.ok(&["kill", "slow"]);
}

/// For an agent that is told when its allowance is there again.
pub(crate) fn a_used_up_allowance_says_when_it_is_there_again(stage: &Stage) {
    stage.spawn("spent", "[[play:used_up]] Good morning.", "bypass");
    let limited = stage.until("the end of the limit", || {
        let now = stage.crew.json(&["show", "spent"])["session"].clone();
        let ends = now["because"].as_str().is_some_and(|because| because.contains("UTC"));
        (now["status"] == "rate_limited" && ends).then_some(now)
    });
    stage.crew.ok(&["send", "spent", "[[play:hello]] And now?"]);
    stage.until_status("spent", &["idle"]);
    assert!(limited["ahead"] == 0, "{limited}");
    stage.crew.ok(&["kill", "spent"]);
}

pub(crate) fn a_crash_is_said_and_gone_on_from(stage: &Stage) {
    let [before, after] = crashed(stage, "conversation");
    assert_eq!(before, after, "in the same conversation\n{}", stage.picture());
    stage.crew.ok(&["kill", "fallen"]);
}

/// As [`a_crash_is_said_and_gone_on_from`], for an agent that does not keep its conversation.
pub(crate) fn a_crash_is_said_and_another_conversation_begun(stage: &Stage) {
    let [before, after] = crashed(stage, "fresh");
    assert_ne!(before, after, "it keeps its conversation by now, and the table is to say so");
    stage.crew.ok(&["kill", "fallen"]);
}

/// Has an agent die in the middle of a turn and its work go on in a run that began in this way, and returns the conversations
/// before and after.
fn crashed(stage: &Stage, begun: &str) -> [Value; 2] {
    stage.spawn("fallen", "[[play:commit file=tea.txt]] [[msg:first]]Make tea.[[end:first]]", "bypass");
    let done = stage.until_status("fallen", &["idle"]);
    let workspace = PathBuf::from(done["workspace"].as_str().unwrap());
    std::fs::write(workspace.join("draft.txt"), "half\n").unwrap();
    let conversation = stage.crew.json(&["show", "fallen"])["runs"][0]["conversation"].clone();
    stage.crew.ok(&["send", "fallen", "[[play:held gate=never]] Think about it."]);
    stage.until("a second turn under way", || {
        let asked =
            stage.server.seen().requests.iter().any(|asked| asked.scenario.as_deref() == Some("held"));
        asked.then_some(())
    });
    stage.until_status("fallen", &["working"]);

    let agent = stage.agent_process();
    signal(agent, rustix::process::Signal::KILL);
    let shown = stage.until_status("fallen", &["failed"]);
    let says = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    assert!(says(&shown["because"]).contains("ended"), "how it went: {shown}");
    assert_eq!(stage.leftovers(), Vec::<String>::new(), "nothing of the dead is left");
    assert_eq!(shown["ahead"], 1, "the commit stays: {shown}");
    assert!(workspace.join("draft.txt").exists(), "and what was not committed");

    stage.crew.ok(&["resume", "fallen", "--prompt", "[[play:commit file=more.txt]] Go on."]);
    stage.until("the work to go on", || {
        let now = stage.crew.json(&["show", "fallen"])["session"].clone();
        (now["status"] == "idle" && now["ahead"] == 2).then_some(())
    });
    let detail = stage.crew.json(&["show", "fallen"]);
    assert_eq!(detail["runs"][1]["begun"], begun, "{detail}");
    [conversation, detail["runs"][1]["conversation"].clone()]
}
