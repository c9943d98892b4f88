//! Agents: what they are given, what they may do, and how they end.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use crate::harness::{Crew, is_alive, until};

/// Reads what `env` printed into a file of the workspace.
fn environment(crew: &Crew, name: &str) -> BTreeMap<String, String> {
    let printed = fs::read_to_string(crew.workspace(name).join("env.txt")).unwrap();
    let pairs = printed.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn every_agent_has_surroundings_of_its_own_and_nothing_that_misleads_git() {
    let mut crew = Crew::new();
    let misleading = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"];
    misleading.iter().for_each(|name| crew.set(name, "/nowhere"));
    crew.set("OARLOCK_SESSION", "somebody");
    crew.ok(&["start"]);
    misleading.iter().for_each(|name| crew.unset(name));
    crew.unset("OARLOCK_SESSION");
    for name in ["one", "two"] {
        crew.exec(name, "env >env.txt; git rev-parse --show-toplevel >top.txt");
    }
    let mut ports = Vec::new();
    for name in ["one", "two"] {
        let session = crew.wait_status(name, "done");
        let env = environment(&crew, name);
        let workspace = crew.workspace(name);
        assert_eq!(env["OARLOCK_SESSION"], session["id"].as_str().unwrap());
        assert_eq!(env["OARLOCK_NAME"], name);
        assert_eq!(env["OARLOCK_WORKSPACE"], workspace.to_str().unwrap());
        assert_eq!(env["PWD"], workspace.to_str().unwrap());
        assert_eq!(
            fs::read_to_string(workspace.join("top.txt")).unwrap().trim(),
            workspace.to_str().unwrap()
        );
        for leaked in misleading {
            assert!(!env.contains_key(leaked), "{leaked} of the daemon would mislead the agent's git");
        }
        let first: u16 = env["OARLOCK_PORT"].parse().unwrap();
        let count: u16 = env["OARLOCK_PORT_COUNT"].parse().unwrap();
        ports.push(first..first + count);
    }
    assert!(
        ports[0].end <= ports[1].start || ports[1].end <= ports[0].start,
        "ports are leased apart: {ports:?}"
    );
}

#[test]
fn an_agent_may_look_and_claim_but_not_land() {
    let crew = Crew::new();
    crew.exec("work", "echo bread >list.txt && git add . && git commit -qm 'Add a list'");
    crew.wait_status("work", "done");
    let script = "for verb in ls 'why work' 'land work' 'reject work' 'kill work' 'rm work' 'spawn --exec true' stop 'undo'; do \
                  oarlock $verb >/dev/null 2>&1; echo \"$verb: $?\"; done";
    crew.exec("agent", script);
    crew.wait_status("agent", "done");
    let said: Vec<String> = crew.output("agent").lines().map(str::to_owned).collect();
    let wanted = [
        "ls: 0",
        "why work: 0",
        "land work: 3",
        "reject work: 3",
        "kill work: 3",
        "rm work: 3",
        "spawn --exec true: 3",
        "stop: 3",
        "undo: 3",
    ];
    assert_eq!(said, wanted);
    assert_eq!(crew.git(&["rev-list", "--count", "main"]).trim(), "1", "nothing landed");
    assert!(crew.session("work")["outcome"].is_null(), "and nothing was set aside");
}

#[test]
fn an_agent_may_not_speak_for_another() {
    let crew = Crew::new();
    crew.scripted("one", "");
    crew.wait_status("one", "idle");
    crew.exec("two", "oarlock send one 'delete everything'; echo \"exit $?\"; OARLOCK_TOKEN=forged oarlock ls; echo \"exit $?\"");
    crew.wait_status("two", "done");
    let said = crew.output("two");
    assert_eq!(said.matches("exit 3").count(), 2, "{said}");
    assert!(!crew.output("one").contains("heard:"), "nothing was typed");
}

#[test]
fn stopping_an_agent_ends_what_it_left_in_other_sessions_of_the_system() {
    let crew = Crew::new();
    crew.scripted("stuck", "orphan ; say ready ; hang");
    crew.wait_output("stuck", "ready");
    // Daemon, host, agent, orphan, and the orphan's sleep.
    let before = until("the orphan to live", || Some(crew.processes()).filter(|pids| pids.len() == 5));
    crew.ok(&["stop", "stuck"]);
    let daemon = crew.daemon_pid().unwrap();
    let left: Vec<i32> = before.into_iter().filter(|pid| *pid != daemon && is_alive(*pid)).collect();
    assert!(left.is_empty(), "the orphan ignored SIGTERM and is gone all the same: {left:?}");
}

#[test]
fn what_fails_before_the_agent_comes_up_is_said_by_resume_as_soon_as_it_is_known() {
    let crew = Crew::new();
    crew.ok(&["spawn", "--name", "lost", "--base", "no-such-branch", "--exec", "true"]);
    crew.wait_status("lost", "failed");
    let changed = crew.json(&["resume", "lost"]);
    assert_eq!(changed["settled"], true, "nothing is waited for that cannot come: {changed}");
    assert!(changed["session"]["because"].as_str().unwrap().contains("no-such-branch"), "{changed}");
}

#[test]
fn an_agent_stopped_while_it_starts_is_gone_when_that_is_said() {
    let crew = Crew::new();
    for number in 0..16 {
        let name = format!("brief-{number}");
        crew.exec(&name, "sleep 600");
        // Another moment of the start each time: from the wish to the live agent it takes some tens of milliseconds.
        let moment = Instant::now() + Duration::from_millis(4 * number);
        until("the moment", || (Instant::now() >= moment).then_some(()));
        assert_eq!(crew.ok(&["stop", &name]), format!("Stopped {name}.\n"));
        crew.ok(&["rm", &name]);
    }
    assert_eq!(crew.processes(), [crew.daemon_pid().unwrap()], "nobody came up afterwards");
}

#[test]
fn an_agent_that_ignores_the_request_to_leave_is_ended_after_the_grace() {
    let crew = Crew::new();
    crew.scripted("stuck", "ignore-term ; say ready ; hang");
    crew.wait_output("stuck", "ready");
    let began = Instant::now();
    assert_eq!(crew.ok(&["stop", "stuck"]), "Stopped stuck.\n");
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(9), "it had its ten seconds, not {took:?}");
    let why = crew.ok(&["why", "stuck"]);
    assert!(why.starts_with("stuck is stopped.") && why.contains("Signal 9"), "{why}");
}

#[test]
fn a_crash_is_a_failure_with_its_reason() {
    let crew = Crew::new();
    crew.scripted("crash", "say the last words ; crash");
    crew.exec("missing", "exec /no/such/program");
    crew.exec("seven", "exit 7");
    for (name, reason) in [
        ("crash", "Signal 6 ended the agent's process."),
        ("crash", "Its last words: the last words"),
        ("missing", "/no/such/program"),
        ("seven", "exit code 7"),
    ] {
        crew.wait_status(name, "failed");
        let why = crew.ok(&["why", name]);
        assert!(why.contains(reason), "{name}: {why}");
    }
}

#[test]
fn a_claim_made_in_the_last_moment_is_seen() {
    let crew = Crew::new();
    let names: Vec<String> = (1..=6).map(|n| format!("claim-{n}")).collect();
    crew.ok(&["spawn", "6", "--name", "claim", "--exec", "oarlock claim done 'all tests pass'"]);
    for name in &names {
        crew.wait_status(name, "claimed");
    }
}

#[test]
fn a_claim_made_while_the_daemon_is_away_is_seen_when_it_is_back() {
    let crew = Crew::new();
    crew.exec("away", "until [ -e go ]; do sleep 0.05; done; oarlock claim done 'nobody looked'");
    let session = crew.wait_status("away", "working");
    let host = crew.run_folder("away");
    crew.kill_daemon();
    fs::write(crew.workspace_of(&session).join("go"), "").unwrap();
    until("the agent to end", || host.join("exit.json").exists().then_some(()));
    crew.wait_status("away", "claimed");
    assert!(crew.ok(&["why", "away"]).contains("nobody looked"));
}

#[test]
fn an_agent_killed_outright_is_seen_and_can_be_brought_up_again() {
    let crew = Crew::new();
    crew.scripted("list", "append list.txt bread ; hang");
    crew.wait_status("list", "working");
    until("the file", || crew.workspace("list").join("list.txt").exists().then_some(()));
    crew.host("list").signal(9).unwrap();
    crew.wait_status("list", "failed");
    crew.ok(&["resume", "list", "--prompt", "append list.txt milk"]);
    let list = crew.workspace("list").join("list.txt");
    until("the second run to write", || {
        (fs::read_to_string(&list).unwrap() == "bread\nmilk\n").then_some(())
    });
    assert_eq!(crew.json(&["show", "list"])["runs"].as_array().unwrap().len(), 2);
}

#[test]
fn names_that_begin_alike_are_told_apart() {
    let crew = Crew::new();
    crew.ok(&["spawn", "10", "--name", "p", "--agent", "scripted"]);
    for name in ["p-1", "p-10"] {
        crew.wait_status(name, "idle");
    }
    crew.ok(&["send", "p-1", "for one"]);
    crew.wait_output("p-1", "heard: for one");
    crew.ok(&["stop", "p-1"]);
    assert_eq!(crew.session("p-1")["status"], "stopped");
    assert_eq!(crew.session("p-10")["status"], "idle", "its namesake goes on");
    assert!(!crew.output("p-10").contains("for one"));
    assert!(crew.refused(&["stop", "p-"], 2).contains("may be"));
    crew.ok(&["rm", "p-1"]);
    assert!(crew.refused(&["show", "p-11"], 4).contains("p-11"));
    assert_eq!(crew.session("p-10")["status"], "idle");
}
