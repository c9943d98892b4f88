//! Hosts that die, and machines that start anew: a run that is lost is seen, swept, and can be taken up again.

use std::fs;
use std::process::Stdio;

use oarlock_term::RunDir;
use rustix::process::Signal;

use crate::harness::{Crew, is_alive, signal, until};

#[test]
fn a_killed_host_is_seen_its_tree_is_swept_and_its_session_resumes() {
    let crew = Crew::new();
    let leaves = "echo bread >list.txt; git add .; git commit -qm 'Add a list'; echo milk >more.txt; \
                  (setsid sh -c \"trap '' TERM; sleep 600\" &); echo ready; sleep 600";
    crew.exec("list", leaves);
    crew.wait_output("list", "ready");
    // Daemon, host, agent, its sleep; the orphan and its sleep.
    until("the orphan to live", || (crew.processes().len() >= 5).then_some(()));
    let [host, _] = crew.run_processes("list");
    let daemon = crew.daemon_pid().unwrap();
    signal(host, Signal::KILL);
    let session = crew.wait_status("list", "failed");
    assert!(session["because"].as_str().unwrap().contains("host is gone"), "it says why: {session}");
    until("the whole tree to be gone", || (crew.processes() == [daemon]).then_some(()));
    let why = crew.ok(&["why", "list"]);
    assert!(why.contains("how it ended is not known"), "{why}");
    let workspace = crew.workspace("list");
    assert_eq!(fs::read_to_string(workspace.join("more.txt")).unwrap(), "milk\n", "the work is untouched");
    assert_eq!(crew.git_in(&workspace, &["status", "--porcelain"]), "?? more.txt\n");
    crew.ok(&["resume", "list"]);
    crew.wait_status("list", "working");
    assert_eq!(crew.json(&["show", "list"])["runs"].as_array().unwrap().len(), 2);
    crew.ok(&["kill", "list"]);
    assert_eq!(crew.session("list")["status"], "stopped");
}

#[test]
fn a_host_killed_while_the_daemon_was_away_is_seen_when_it_is_back() {
    let crew = Crew::new();
    crew.exec("list", "sleep 600");
    crew.wait_status("list", "working");
    let [host, child] = crew.run_processes("list");
    crew.kill_daemon();
    signal(host, Signal::KILL);
    until("the host to be gone", || (!is_alive(host)).then_some(()));
    crew.wait_status("list", "failed");
    until("its child to be swept", || (!is_alive(child)).then_some(()));
}

#[test]
fn after_the_machine_started_anew_every_run_is_lost_and_no_stranger_is_swept() {
    let crew = Crew::new();
    crew.exec("list", "echo ready; sleep 600");
    crew.wait_output("list", "ready");
    let run = RunDir::new(crew.run_folder("list"));
    let [host, child] = crew.run_processes("list");
    crew.kill_daemon();
    for pid in [host, child] {
        signal(pid, Signal::KILL);
        until("it to be gone", || (!is_alive(pid)).then_some(()));
    }
    // What a machine that was switched off leaves: the notes of another boot, whose process ids are strangers' by now.
    let mut stranger = crew.program("sleep", &["600"]);
    stranger.env_remove("OARLOCK_HOME");
    let mut stranger = stranger.stdout(Stdio::null()).spawn().unwrap();
    let mut note: serde_json::Value = serde_json::from_slice(&fs::read(run.identity()).unwrap()).unwrap();
    note["host"]["boot_id"] = "another-boot".into();
    note["host"]["pid"] = stranger.id().into();
    note["child"]["pid"] = stranger.id().into();
    fs::write(run.identity(), note.to_string()).unwrap();
    crew.wait_status("list", "failed");
    assert!(crew.ok(&["why", "list"]).contains("host is gone"));
    crew.ok(&["resume", "list"]);
    crew.wait_status("list", "working");
    assert!(stranger.try_wait().unwrap().is_none(), "whoever has the number by now was left alone");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}
