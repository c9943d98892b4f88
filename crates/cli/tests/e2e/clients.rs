//! Clients that end in the middle, and names that begin alike in every verb.

use std::process::{Child, Stdio};

use rustix::process::Signal;

use crate::harness::{Crew, ended, is_alive, signal, text, until};

/// An agent that ignores SIGTERM, so that stopping it takes its ten seconds.
const DEAF: &str = "trap '' TERM; echo ready; while :; do sleep 600; done";

fn begin(crew: &Crew, args: &[&str]) -> Child {
    crew.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_client_killed_or_interrupted_under_its_request_has_wished_all_the_same() {
    let crew = Crew::new();
    for (name, by) in [("killed", Signal::KILL), ("interrupted", Signal::INT)] {
        crew.exec(name, DEAF);
        crew.wait_output(name, "ready");
        let child = crew.run_processes(name)[1];
        let client = begin(&crew, &["stop", name]);
        until("the wish to be known", || crew.ok(&["why", name]).contains("is being stopped").then_some(()));
        signal(i32::try_from(client.id()).unwrap(), by);
        let output = ended(client);
        assert!(!output.status.success() && output.stdout.is_empty(), "{by:?}: {}", text(&output.stdout));
        assert!(is_alive(child), "the grace goes on");
        // Patience for two: a second wish is no second grace.
        crew.ok(&["kill", name]);
        assert!(!is_alive(child));
        assert_eq!(crew.session(name)["status"], "stopped");
    }
}

#[test]
fn clients_killed_while_they_begin_sessions_leave_whole_sessions_or_none() {
    let crew = Crew::new();
    crew.ok(&["start"]);
    for number in 0..12 {
        let name = format!("one-{number}");
        let client = begin(&crew, &["spawn", "--name", &name, "--exec", "echo bread >list.txt"]);
        // poll: the instant itself is what is tested; there is no state to wait for.
        std::thread::sleep(std::time::Duration::from_millis(number * 2));
        signal(i32::try_from(client.id()).unwrap(), Signal::KILL);
        ended(client);
    }
    let listed = crew.json(&["ls", "--all"]);
    for session in listed.as_array().unwrap() {
        let name = session["name"].as_str().unwrap();
        crew.wait_status(name, "done");
        assert!(crew.workspace(name).join("list.txt").exists(), "{name} is whole");
    }
    assert!(crew.ok(&["doctor", "--verify"]).contains("folds to the stored state"));
}

#[test]
fn a_reader_that_is_gone_before_the_first_word_is_no_panic() {
    let crew = Crew::new();
    crew.exec("list", "echo bread");
    crew.wait_status("list", "done");
    for verb in
        ["ls", "ls --json", "show list", "why list", "events", "logs list", "doctor", "version", "--help"]
    {
        let mut shell = crew.program("sh", &["-c", &format!("(oarlock {verb}; echo $? >&2) | true")]);
        let output = shell.output().unwrap();
        let talk = text(&output.stderr);
        assert!(!talk.contains("panicked") && !talk.contains("101"), "{verb}: {talk}");
    }
}

#[test]
fn no_verb_takes_a_name_for_one_that_it_begins() {
    let crew = Crew::new();
    let commit =
        "echo $OARLOCK_NAME >$OARLOCK_NAME.txt && git add . && git commit -qm \"Add $OARLOCK_NAME\"; true";
    crew.ok(&["spawn", "10", "--name", "p", "--exec", commit]);
    for name in ["p-1", "p-10"] {
        crew.wait_status(name, "done");
    }
    let long = crew.session("p-10");
    assert!(crew.ok(&["show", "p-1"]).starts_with("p-1 ("));
    assert!(crew.ok(&["why", "p-1"]).starts_with("p-1 is "));
    assert!(crew.ok(&["diff", "p-1"]).contains("p-1.txt"));
    assert!(crew.ok(&["land", "p-1", "--dry-run"]).contains("Add p-1\n"));
    assert!(!crew.ok(&["events", "--session", "p-1"]).contains("p-10"));
    crew.ok(&["resume", "p-1"]);
    crew.wait_status("p-1", "done");
    for verb in ["reject", "forget", "rm"] {
        crew.ok(&[verb, "p-1"]);
        crew.ok(&["undo", "p-1"]);
    }
    crew.ok(&["rename", "p-1", "p"]);
    crew.ok(&["rename", "p", "p-1"]);
    assert!(crew.ok(&["land", "p-1"]).contains("Landed p-1 on main"));
    assert_eq!(crew.session("p-10"), long, "none of it was about its namesake");
    assert!(!crew.git(&["ls-tree", "--name-only", "main"]).contains("p-10.txt"));
    for verb in ["show", "why", "diff", "logs", "stop", "kill", "resume", "land", "reject", "forget", "rm"] {
        let talk = crew.refused(&[verb, "p-"], 2);
        assert!(
            talk.contains("p-10") || talk.contains("may be"),
            "{verb}: what begins several is nobody: {talk}"
        );
    }
}
