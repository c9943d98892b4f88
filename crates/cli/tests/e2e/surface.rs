//! What programs rely on: exit codes and JSON.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Crew, ended, signal, text, until};

#[test]
fn every_class_of_end_has_its_exit_code() {
    let crew = Crew::new();
    let code = |arguments: &[&str]| crew.run(arguments).status.code().unwrap();
    assert_eq!(code(&["status"]), 5, "no daemon");
    assert_eq!(code(&["ls"]), 0);
    assert_eq!(code(&["status"]), 0);
    assert_eq!(code(&["man", "/proc/nowhere"]), 1, "failed");
    assert_eq!(code(&["no-such-verb"]), 2, "usage, found by the parser");
    assert_eq!(code(&["spawn"]), 2, "usage, found by the verb");
    assert_eq!(code(&["spawn", "--agent", "nobody"]), 2, "usage, found by the daemon");
    assert_eq!(code(&["undo"]), 3, "refused");
    assert_eq!(code(&["show", "nobody"]), 4, "not found");
    let mut follow = crew.command(&["events", "-f"]).stdout(Stdio::null()).spawn().unwrap();
    // Interrupted before it connects or after is the same.
    until("it to run", || follow.try_wait().unwrap().is_none().then_some(()));
    signal(i32::try_from(follow.id()).unwrap(), Signal::INT);
    let status = ended(follow).status;
    assert!(
        status.signal() == Some(2) || status.code() == Some(130),
        "interrupted, as a shell shows it: {status}"
    );
}

#[test]
fn whatever_answers_in_json_answers_in_json() {
    let crew = Crew::new();
    crew.scripted("list", "write list.txt bread ; commit Add a list");
    crew.wait_status("list", "idle");
    crew.exec("done", "true");
    crew.wait_status("done", "done");
    for listing in ["ls", "ls --all", "project ls", "trash ls"] {
        let arguments: Vec<&str> = listing.split(' ').collect();
        assert!(crew.json(&arguments).is_array(), "{listing}");
    }
    for verb in [
        "start",
        "status",
        "version",
        "project show shop",
        "show list",
        "why list",
        "diff list",
        "diff list --stat",
        "land list --dry-run",
        "stop list",
        "resume list",
        "kill list",
        "rename list menu",
        "reject menu",
        "undo",
        "land menu",
        "forget done",
        "undo done",
        "rm done",
        "stop",
    ] {
        let arguments: Vec<&str> = verb.split(' ').collect();
        assert!(crew.json(&arguments).is_object(), "{verb}");
    }
    assert!(crew.json(&["doctor"]).is_array());
    assert!(crew.json(&["spawn", "--exec", "echo hi"]).is_array());
    for lines in [&["events", "--json"][..], &["logs", "menu", "--json"]] {
        let printed = crew.ok(lines);
        assert!(!printed.is_empty());
        printed.lines().for_each(|line| drop(serde_json::from_str::<Value>(line).unwrap()));
    }
}

#[test]
fn an_error_is_json_too_and_stays_off_standard_output() {
    let crew = Crew::new();
    for verb in
        ["show nobody", "undo", "spawn", "land nobody", "trash restore nothing", "project show nothing"]
    {
        let arguments: Vec<&str> = verb.split(' ').chain(["--json"]).collect();
        let output = crew.run(&arguments);
        assert!(!output.status.success() && output.stdout.is_empty(), "{verb}");
        let error: Value = serde_json::from_slice(&output.stderr)
            .unwrap_or_else(|error| panic!("{verb}: {error}: {}", text(&output.stderr)));
        assert!(
            error["code"].is_string() && error["message"].is_string() && error["hint"].is_string(),
            "{error}"
        );
    }
}

#[test]
fn a_list_has_the_fields_that_programs_read() {
    let crew = Crew::new();
    crew.exec("list", "true");
    let session = crew.wait_status("list", "done");
    for field in [
        "id",
        "name",
        "project",
        "playbook",
        "status",
        "outcome",
        "agent",
        "branch",
        "head",
        "workspace",
        "created_at",
        "seq",
    ] {
        assert!(!session[field].is_null() || field == "outcome", "{field} of {session}");
    }
    assert!(session["created_at"].as_str().unwrap().ends_with('Z'), "times are UTC");
}
