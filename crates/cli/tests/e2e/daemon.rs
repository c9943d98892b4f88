//! The daemon may die at any moment, be started by many at once, and never lose a run.

use std::fs;

use oarlock_api::wire;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Crew, ended, good, is_alive, signal, text, until};

/// Lines that a counting agent prints.
const LINES: usize = 150;

/// An agent that leaves a mark when it begins and prints numbered lines at its leisure.
fn counting() -> String {
    format!(
        "echo began >>began.txt; i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo \"line $i\"; sleep 0.02; done"
    )
}

#[test]
fn a_killed_daemon_takes_no_agent_with_it_and_loses_no_byte() {
    let crew = Crew::new();
    let names = ["one", "two", "three", "four"];
    names.iter().for_each(|name| crew.exec(name, &counting()));
    names.iter().for_each(|name| drop(crew.wait_output(name, "line 10\r\n")));
    let before: Vec<_> = names.iter().map(|name| crew.run_processes(name)).collect();
    let daemon = crew.daemon_pid().unwrap();
    crew.kill_daemon();
    assert!(before.iter().flatten().all(|pid| is_alive(*pid)), "hosts and agents go on without a daemon");
    let listed = crew.json(&["ls"]);
    assert_ne!(crew.daemon_pid(), Some(daemon), "the verb started another daemon");
    for session in listed.as_array().unwrap() {
        assert_eq!(session["status"], "working", "it was found again as it is: {session}");
    }
    let after: Vec<_> = names.iter().map(|name| crew.run_processes(name)).collect();
    assert_eq!(before, after, "the same hosts and agents, not others");
    let numbered: String = (1..=LINES).map(|number| format!("line {number}\r\n")).collect();
    for name in names {
        crew.wait_status(name, "done");
        assert_eq!(crew.output(name), numbered, "{name}: no line is lost and none is there twice");
        assert_eq!(crew.json(&["show", name])["runs"].as_array().unwrap().len(), 1, "{name} ran once");
        let began = fs::read_to_string(crew.workspace(name).join("began.txt")).unwrap();
        assert_eq!(began, "began\n", "{name} began once");
    }
}

#[test]
fn two_daemons_started_at_once_are_one() {
    let crew = Crew::new();
    let mut daemons: Vec<_> = (0..2)
        .map(|_| {
            let mut command = crew.command(&["daemon"]);
            command.stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let loser = until("one of two daemons to give way", || {
        daemons.iter_mut().position(|daemon| daemon.try_wait().unwrap().is_some())
    });
    let loser = ended(daemons.remove(loser));
    assert_eq!(loser.status.code(), Some(1));
    assert!(text(&loser.stderr).contains("already running"), "it says why: {}", text(&loser.stderr));
    let winner = daemons.pop().unwrap();
    until("the other daemon to take requests", || crew.run(&["status"]).status.success().then_some(()));
    assert_eq!(
        crew.daemon_pid(),
        i32::try_from(winner.id()).ok(),
        "the one that stayed is the one that answers"
    );
    crew.ok(&["stop"]);
    assert!(ended(winner).status.success(), "it stops in good order");
}

#[test]
fn eight_clients_at_once_start_one_daemon() {
    let crew = Crew::new();
    let clients: Vec<_> = (0..8)
        .map(|_| crew.command(&["start", "--json"]).stdout(std::process::Stdio::piped()).spawn().unwrap())
        .collect();
    let pids: Vec<Value> = clients
        .into_iter()
        .map(|client| serde_json::from_str::<Value>(&good(ended(client), "start")).unwrap()["pid"].clone())
        .collect();
    assert!(pids.iter().all(|pid| *pid == pids[0]), "all eight talk to one daemon: {pids:?}");
    assert_eq!(crew.processes(), [pids[0].as_i64().unwrap() as i32], "and there is no other");
}

#[test]
fn what_a_dead_daemon_left_behind_is_no_obstacle() {
    let crew = Crew::new();
    crew.ok(&["start"]);
    let place = crew.place();
    let socket = oarlock_daemon::read_note(&place).unwrap().socket;
    crew.kill_daemon();
    assert!(socket.exists() && place.note().exists() && place.lock().exists(), "it left everything behind");
    crew.ok(&["ls"]);
    crew.kill_daemon();
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "not a socket").unwrap();
    fs::write(place.note(), "not a note").unwrap();
    crew.ok(&["ls"]);
    crew.kill_daemon();
    fs::write(place.note(), format!(r#"{{"pid":1,"version":"0","socket":"{}/gone"}}"#, crew.root.display()))
        .unwrap();
    crew.ok(&["ls"]);
}

#[test]
fn a_wish_repeated_after_a_crash_is_the_same_wish() {
    let crew = Crew::new();
    crew.ok(&["start"]);
    let wish = wire::Spawn {
        project: crew.repo.to_str().unwrap().into(),
        agent: "exec".into(),
        command: Some("echo began >>began.txt".into()),
        ..wire::Spawn::default()
    };
    let spawn = || crew.client().post::<_, wire::Session>("/v1/sessions", "the-same-wish", &wish).unwrap();
    let first = spawn();
    assert_eq!(spawn().id, first.id);
    crew.kill_daemon();
    crew.ok(&["ls"]);
    assert_eq!(spawn().id, first.id, "the log remembers what was wished for");
    crew.wait_status(&first.name, "done");
    assert_eq!(spawn().id, first.id);
    assert_eq!(crew.json(&["ls", "--all"]).as_array().unwrap().len(), 1);
    let began = fs::read_to_string(crew.workspace(&first.name).join("began.txt")).unwrap();
    assert_eq!(began, "began\n", "it ran once");
}

#[test]
fn a_wish_to_land_repeated_lands_once() {
    let crew = Crew::new();
    crew.exec("list", "echo bread >list.txt && git add . && git commit -qm 'Add a list'");
    crew.wait_status("list", "done");
    let path = "/v1/sessions/list/landing";
    let land = || crew.client().post::<_, wire::Landed>(path, "land-it", &wire::Land::default()).unwrap();
    let first = land();
    assert_eq!(land(), first, "the answer is the same");
    assert_eq!(crew.git(&["rev-list", "--count", "main"]).trim(), "3", "one commit and one merge came in");
}

#[test]
fn a_stopped_daemon_leaves_its_agents_and_an_interrupted_one_too() {
    let crew = Crew::new();
    crew.scripted("hours", "work 60s");
    crew.wait_status("hours", "working");
    let host = crew.run_processes("hours");
    crew.ok(&["stop"]);
    assert!(crew.daemon_pid().is_none() && host.iter().all(|pid| is_alive(*pid)));
    crew.ok(&["start"]);
    let daemon = crew.daemon_pid().unwrap();
    signal(daemon, Signal::INT);
    until("the daemon to stop", || (!is_alive(daemon)).then_some(()));
    assert_eq!(crew.wait_status("hours", "working")["status"], "working");
    assert_eq!(crew.run_processes("hours"), host);
}
