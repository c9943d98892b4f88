//! The feed: every line once and in order, whatever becomes of the daemon.

use std::fs::{self, File};

use oarlock_api::client::ClientError;
use oarlock_api::wire;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Crew, signal, text, until};

/// Reads lines of JSON; half a line at the end waits.
fn seqs(lines: &str) -> Vec<u64> {
    let whole = lines.rsplit_once('\n').map(|(whole, _)| whole).unwrap_or_default();
    let seq = |line: &str| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap();
    whole.lines().map(seq).collect()
}

#[test]
fn a_follower_survives_restarts_without_a_gap_or_a_repeat() {
    let crew = Crew::new();
    crew.ok(&["project", "add"]);
    let paper = crew.root.join("followed");
    let mut command = crew.command(&["events", "-f", "--since", "0", "--json"]);
    let mut follower = command.stdout(File::create(&paper).unwrap()).spawn().unwrap();
    let followed = || seqs(&fs::read_to_string(&paper).unwrap());
    for round in ["one", "two", "three"] {
        crew.scripted(round, "say hello ; write a.txt b ; commit Add a");
        crew.wait_status(round, "idle");
        crew.kill_daemon();
        crew.ok(&["stop", round]);
    }
    let all = || seqs(&crew.ok(&["events", "--json"]));
    until("the follower to have seen every line once, in order", || (followed() == all()).then_some(()));
    assert!(followed().is_sorted_by(|a, b| a < b));
    signal(i32::try_from(follower.id()).unwrap(), Signal::KILL);
    follower.wait().unwrap();
}

#[test]
fn a_cursor_that_the_log_does_not_hold_is_reset() {
    let crew = Crew::new();
    crew.exec("list", "true");
    crew.wait_status("list", "done");
    let head = crew.json(&["status"])["seq"].as_u64().unwrap();
    let mut frames = Vec::new();
    let followed = crew.client().follow(Some(head + 1_000), |frame| {
        frames.push(frame);
        false
    });
    followed.unwrap();
    let [wire::Frame::Reset { seq }] = frames[..] else { panic!("a reset comes first: {frames:?}") };
    assert!(seq >= head, "and says where to go on");
    let page = crew.client().get::<Vec<wire::Event>>(&format!("/v1/events?since={}", head + 1_000));
    let Err(ClientError::Refused(error, 410)) = page else { panic!("{page:?}") };
    assert_eq!(error.code, "reset");
}

#[test]
fn the_history_is_one_and_the_same_before_and_after_a_crash() {
    let crew = Crew::new();
    crew.exec("list", "echo bread >list.txt; exit 3");
    crew.wait_status("list", "failed");
    let head = until("the log to come to rest", || {
        let seq = || crew.json(&["status"])["seq"].clone();
        let before = seq();
        crew.ok(&["ls"]);
        (seq() == before).then_some(before)
    });
    let history = crew.ok(&["events", "--json"]);
    crew.kill_daemon();
    let again = crew.ok(&["events", "--json"]);
    assert!(
        again.starts_with(&history),
        "what was told is not told otherwise (at {head})\n{history}\n{again}"
    );
    assert!(crew.ok(&["doctor", "--verify"]).contains("folds to the stored state"));
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_verb_quietly() {
    let crew = Crew::new();
    crew.exec("list", "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; done");
    crew.wait_status("list", "done");
    for verb in ["events", "events -f --since 0", "logs list --all", "ls --json", "man", "completion bash"] {
        let mut shell = crew.program("sh", &["-c", &format!("oarlock {verb} | head -n 1")]);
        let output = shell.output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{verb}");
        assert_eq!(text(&output.stderr), "", "{verb} has nothing to complain of");
    }
}
