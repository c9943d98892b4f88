//! Disks that are full: what was answered for stays, what cannot be done is said, and room is all it takes to go on.

use std::fs;
use std::path::Path;

use crate::harness::{Crew, PATIENCE, SmallDisk, is_alive, text, until, wait};

/// An agent that repeats what it hears.
const HEARING: &str = "stty -echo; echo ready; while read -r line; do echo \"heard: $line\"; done";
/// An agent that counts aloud until it is told to end.
const COUNTING: &str = "i=0; until [ -e end ]; do i=$((i+1)); echo \"line $i\"; sleep 0.002; done; rm end";

/// Sends numbered words until one is refused, and returns those that were answered for and the refusal.
fn send_until_refused(crew: &Crew, ear: &str) -> (Vec<String>, String) {
    let mut answered = Vec::new();
    for number in 0.. {
        let word = format!("word-{number}. {}", "x".repeat(3000));
        let sent = crew.run(&["send", ear, &word]);
        if !sent.status.success() {
            assert_eq!(sent.status.code(), Some(1), "{}", text(&sent.stderr));
            return (answered, text(&sent.stderr));
        }
        answered.push(format!("word-{number}."));
    }
    unreachable!("a disk without room takes some bytes at most")
}

#[test]
fn a_full_state_disk_loses_nothing_that_was_answered_for_and_wants_no_restart() {
    let Some(disk) = SmallDisk::mount("a_full_state_disk_loses_nothing_that_was_answered_for", 8) else {
        return;
    };
    let mut crew = Crew::of(disk.path().to_str().unwrap(), "shop");
    crew.expect_error("record the request");
    crew.exec("ear", HEARING);
    crew.exec("count", COUNTING);
    crew.exec("kill-me", "trap '' TERM; echo ready; while :; do sleep 600; done");
    crew.exec("stop-me", "echo ready; sleep 600");
    ["ear", "kill-me", "stop-me"].iter().for_each(|name| drop(crew.wait_output(name, "ready")));
    let (counting, workspace) = (crew.run_folder("count"), crew.workspace("count"));
    let victims = ["kill-me", "stop-me"].map(|name| crew.run_processes(name)[1]);
    let daemon = crew.daemon_pid();
    let filler = disk.fill();
    let (answered, talk) = send_until_refused(&crew, "ear");
    assert!(talk.contains("disk is full") && talk.contains("hint: "), "it says what is wrong: {talk}");
    let talk = crew.refused(&["spawn", "--name", "late", "--exec", "true"], 1);
    assert!(talk.contains("Nothing happened"), "{talk}");
    for verb in ["ls", "why ear", "show ear", "logs ear", "diff ear", "events", "status"] {
        crew.ok(&verb.split(' ').collect::<Vec<_>>());
    }
    until("the host to say that it stalls", || {
        let mut host = oarlock_term::Client::connect(&counting).unwrap();
        host.status().unwrap().stalled
    });
    // An agent is ended all the same: it may be the one that fills the disk.
    for (verb, pid) in ["kill", "stop"].into_iter().zip(victims) {
        let talk = crew.refused(&[verb, &format!("{verb}-me")], 1);
        assert!(talk.contains("was told to end") && talk.contains("not recorded"), "{verb}: {talk}");
        until("the agent to be gone", || (!is_alive(pid)).then_some(()));
    }
    fs::remove_file(filler).unwrap();
    until("there to be room again", || crew.run(&["send", "ear", "room."]).status.success().then_some(()));
    let output = crew.wait_output("ear", "heard: room.");
    for word in &answered {
        assert_eq!(output.matches(&format!("heard: {word}")).count(), 1, "{word} was answered for: {output}");
    }
    assert_eq!(output.matches("heard: word-").count(), answered.len(), "and what was refused was not typed");
    ["kill-me", "stop-me"].iter().for_each(|name| drop(crew.wait_status(name, "failed")));
    fs::write(workspace.join("end"), "").unwrap();
    crew.wait_status("count", "done");
    let output = crew.output("count");
    let numbered: String = (1..=output.lines().count()).map(|n| format!("line {n}\r\n")).collect();
    assert!(output == numbered, "no line was lost while its host waited for room");
    assert_eq!(crew.daemon_pid(), daemon, "the daemon that met the full disk goes on");
    assert!(crew.ok(&["doctor", "--verify"]).contains("folds to the stored state"));
}

#[test]
fn a_daemon_that_dies_on_a_full_disk_is_back_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("a_daemon_that_dies_on_a_full_disk_is_back", 8) else { return };
    let mut crew = Crew::of(disk.path().to_str().unwrap(), "shop");
    crew.expect_error("the daemon did not start");
    crew.expect_error("record the request");
    crew.exec("ear", HEARING);
    crew.wait_output("ear", "ready");
    let before = crew.run_processes("ear");
    crew.ok(&["send", "ear", "before."]);
    let filler = disk.fill();
    let (answered, _) = send_until_refused(&crew, "ear");
    crew.kill_daemon();
    let listed = crew.run(&["ls"]);
    let talk = text(&listed.stderr);
    let says_why = listed.status.code() == Some(5) && talk.starts_with("error: ") && talk.contains("hint: ");
    assert!(says_why || text(&listed.stdout).contains("ear"), "{}: {talk}", listed.status);
    assert!(before.iter().all(|pid| is_alive(*pid)), "the agent goes on");
    fs::remove_file(filler).unwrap();
    crew.wait_status("ear", "working");
    assert_eq!(crew.run_processes("ear"), before);
    crew.ok(&["send", "ear", "after."]);
    let output = crew.wait_output("ear", "heard: after.");
    for word in answered.iter().map(String::as_str).chain(["before.", "after."]) {
        assert_eq!(output.matches(&format!("heard: {word}")).count(), 1, "{word}: {output}");
    }
    assert!(crew.ok(&["doctor", "--verify"]).contains("folds to the stored state"));
}

#[test]
fn a_workspace_that_does_not_fit_says_so_and_is_made_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("a_workspace_that_does_not_fit_says_so", 1) else { return };
    let crew = Crew::new();
    fs::create_dir_all(&crew.state).unwrap();
    std::os::unix::fs::symlink(disk.path(), crew.state.join("elsewhere")).unwrap();
    // A project's workspaces may be put on another disk by hand.
    fs::create_dir_all(crew.state.join("workspaces")).unwrap();
    crew.write("big.bin", &"0123456789abcdef".repeat(40_000));
    crew.git(&["add", "."]);
    crew.git(&["commit", "--quiet", "--message", "Add what is big"]);
    let project = crew.json(&["project", "add"])["id"].as_str().unwrap().to_owned();
    std::os::unix::fs::symlink(disk.path(), crew.state.join("workspaces").join(project)).unwrap();
    let filler = disk.fill();
    crew.exec("list", "echo bread >list.txt");
    let session = until("it to say that there is no room", || {
        Some(crew.session("list")).filter(|session| {
            crew.ok(&["why", "list"]).contains("o space left") || session["status"] == "failed"
        })
    });
    assert!(session["workspace"].is_null(), "it has none yet: {session}");
    let why = crew.ok(&["why", "list"]);
    assert!(why.to_lowercase().contains("no space left on device"), "{why}");
    fs::remove_file(filler).unwrap();
    // It is tried again by itself for a while, and by a person after that.
    if wait(PATIENCE / 6, || (crew.session("list")["status"] == "done").then_some(())).is_none() {
        crew.ok(&["resume", "list"]);
    }
    crew.wait_status("list", "done");
    assert!(crew.workspace("list").join("big.bin").exists());
}

#[test]
fn a_landing_that_does_not_fit_moves_nothing_and_lands_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("a_landing_that_does_not_fit_moves_nothing", 2) else { return };
    let repo = disk.path().join("shop");
    let crew = Crew::of("state", repo.to_str().unwrap());
    crew.exec("list", "echo bread >list.txt && git add . && git commit -qm 'Write list'");
    crew.wait_status("list", "done");
    let main = crew.git(&["rev-parse", "main"]);
    let filler = disk.fill();
    let talk = crew.refused(&["land", "list"], 3);
    assert!(talk.to_lowercase().contains("no space left"), "{talk}");
    assert_eq!(crew.git(&["rev-parse", "main"]), main, "nothing moved");
    assert!(crew.session("list")["outcome"].is_null());
    let rejected = crew.run(&["reject", "list"]);
    assert!(
        Path::new(&crew.workspace("list")).join("list.txt").exists(),
        "what cannot be kept is not taken away: {}",
        text(&rejected.stderr)
    );
    assert!(text(&rejected.stderr).contains("hint: "), "and why is said: {}", text(&rejected.stderr));
    fs::remove_file(filler).unwrap();
    let workspace = crew.workspace("list");
    crew.ok(&["rm", "list"]);
    assert!(!workspace.exists(), "it is in the trash");
    crew.ok(&["undo"]);
    crew.ok(&["land", "list"]);
    assert_eq!(crew.git(&["show", "main:list.txt"]), "bread\n");
}
