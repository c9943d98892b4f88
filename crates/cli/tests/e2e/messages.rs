//! What a person says to an agent arrives whole and once, and never answers a dialog.

use std::fs;

use crate::harness::{Crew, until};

/// An agent that puts up a dialog when the file `ask` is there, and says what it was told before and after.
const ASKING: &str = r#"
report() { printf '{"event":"%s","payload":{"what":"delete it"}}\n' "$1" >>"$OARLOCK_INBOX"; }
report started; report turn_ended
until [ -e ask ]; do sleep 0.05; done
report permission_asked; echo "dialog up"
read -r answer; echo "answer: $answer"
report permission_resolved; report turn_ended
while read -r line; do echo "heard: $line"; done
"#;

#[test]
fn a_message_to_a_blocked_agent_is_refused() {
    let crew = Crew::new();
    crew.scripted("tidy", "ask delete it");
    crew.wait_status("tidy", "blocked");
    let talk = crew.refused(&["--json", "send", "tidy", "y"], 3);
    assert!(talk.contains("\"blocked\""), "{talk}");
    assert!(!crew.output("tidy").contains("Allowed."), "nothing answered the dialog");
    crew.host("tidy").input(b"y\r").unwrap();
    crew.wait_output("tidy", "Allowed.");
    crew.wait_status("tidy", "idle");
    crew.ok(&["send", "tidy", "and now go on"]);
    let output = crew.wait_output("tidy", "heard: and now go on");
    assert_eq!(
        output.matches("heard:").count(),
        1,
        "the refused one was not kept to be typed later: {output}"
    );
}

#[test]
fn a_message_queued_before_a_dialog_waits_until_it_is_answered() {
    let crew = Crew::new();
    crew.exec("tidy", ASKING);
    crew.wait_status("tidy", "idle");
    let (workspace, folder) = (crew.workspace("tidy"), crew.run_folder("tidy"));
    // The dialog goes up while nobody looks, so that the message is admitted and only the last look can stop it.
    crew.kill_daemon();
    fs::write(workspace.join("ask"), "").unwrap();
    let output = || fs::read_to_string(folder.join("output.log")).unwrap();
    until("the dialog to go up", || output().contains("dialog up").then_some(()));
    let sent = crew.run(&["send", "tidy", "y"]);
    crew.wait_status("tidy", "blocked");
    assert!(!output().contains("answer:"), "nothing was typed into the dialog");
    let waits = crew.json(&["show", "tidy"])["messages"].as_array().unwrap().len();
    assert_eq!(sent.status.code(), Some(if waits == 1 { 0 } else { 3 }), "it is told what became of it");
    crew.host("tidy").input(b"n\r").unwrap();
    crew.wait_output("tidy", "answer: n");
    if waits == 0 {
        crew.wait_status("tidy", "idle");
        crew.ok(&["send", "tidy", "y"]);
    }
    crew.wait_output("tidy", "heard: y");
    until("the receipt", || {
        let state = crew.json(&["show", "tidy"])["messages"][0]["state"].clone();
        (state == "delivered" || state == "accepted").then_some(())
    });
    assert_eq!(output().matches("heard:").count(), 1, "it was typed once: {}", output());
}

#[test]
fn a_message_sent_before_its_agent_is_up_is_not_typed_into_the_first_dialog() {
    let crew = Crew::new();
    crew.scripted("tidy", "ask delete it");
    crew.ok(&["send", "tidy", "y"]);
    crew.wait_status("tidy", "blocked");
    // Once with a daemon that knows nothing but the log.
    crew.kill_daemon();
    crew.wait_status("tidy", "blocked");
    assert_eq!(crew.json(&["show", "tidy"])["messages"][0]["state"], "queued");
    assert!(!crew.output("tidy").contains("Allowed."), "nothing answered the dialog");
    crew.host("tidy").input(b"n\r").unwrap();
    let output = crew.wait_output("tidy", "heard: y");
    assert!(output.contains("Denied."), "the person's answer is the answer: {output}");
    assert_eq!(output.matches("heard:").count(), 1);
}

#[test]
fn a_long_hostile_prompt_arrives_whole() {
    let crew = Crew::new();
    let line = "-rf \"quoted\" 'single' $HOME `id` \\ ; & | é漢字\n";
    let prompt: String = format!("--help\n{}", line.repeat(100 * 1024 / line.len() + 1));
    assert!(prompt.len() >= 100 * 1024);
    let copy = "cp \"$OARLOCK_PROMPT_FILE\" got.txt";
    crew.ok(&["spawn", "--name", "given", "--exec", copy, "--prompt", &prompt]);
    let fed = crew.feed(&["spawn", "--name", "fed", "--exec", copy, "--prompt", "-"], &prompt);
    assert!(fed.status.success());
    for name in ["given", "fed"] {
        crew.wait_status(name, "done");
        let got = fs::read_to_string(crew.workspace(name).join("got.txt")).unwrap();
        assert!(got == prompt, "{name}: {} bytes arrived of {}", got.len(), prompt.len());
    }
}

#[test]
fn a_long_message_arrives_once_and_whole_also_across_a_crash() {
    let crew = Crew::new();
    crew.scripted("list", "say ready");
    crew.wait_status("list", "idle");
    let message: String =
        (0..600).map(|n| format!("{n}: Brötchen, 豆腐 and a 🚣 \"for\" $2 -- it's all\n")).collect();
    assert!(message.len() >= 30 * 1024);
    assert!(crew.feed(&["send", "list", "-"], &message).status.success());
    let ends = "599: Brötchen, 豆腐 and a 🚣 \"for\" $2 -- it's all";
    crew.wait_output("list", ends);
    crew.kill_daemon();
    crew.wait_status("list", "idle");
    crew.ok(&["send", "list", "say that was all"]);
    let output = crew.wait_output("list", "that was all").replace("\r\n", "\n");
    let (_, heard) = output.split_once("heard: ").unwrap();
    assert!(heard.starts_with(message.trim_end()), "what was typed differs from what was sent: {heard:.300}");
    assert_eq!(output.matches("heard: ").count(), 1);
    assert_eq!(output.matches(ends).count(), 1, "it was typed once");
}

#[test]
fn messages_arrive_in_the_order_they_were_sent() {
    let crew = Crew::new();
    crew.scripted("list", "");
    crew.wait_status("list", "idle");
    (0..10).for_each(|n| drop(crew.ok(&["send", "list", &format!("number {n}.")])));
    let output = crew.wait_output("list", "number 9.");
    let heard: Vec<&str> =
        output.lines().filter_map(|line| line.split_once("heard: ").map(|(_, words)| words)).collect();
    assert_eq!(heard, (0..10).map(|n| format!("number {n}.")).collect::<Vec<_>>());
}
