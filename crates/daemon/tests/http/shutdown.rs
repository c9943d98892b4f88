//! The daemon's end: bounded, in good order, and whoever waits hears of it.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use super::bench::{Answer, Bench, DEADLINE, Short, until};

fn is_tidy(bench: &Bench) {
    assert!(!bench.socket().exists(), "the socket is gone");
    assert!(!bench.state().join("daemon.json").exists(), "so is the note");
    assert!(bench.log().contains("daemon stopped"), "{}", bench.log());
}

#[test]
fn an_idle_daemon_stops_at_once() {
    let mut bench = Bench::new();
    let kept_alive = bench.connect();
    let asked = Instant::now();
    assert_eq!(bench.post("/v1/shutdown", "s", &json!(null)).status, 202);
    assert!(bench.wait().success());
    assert!(asked.elapsed() < Duration::from_secs(4), "an idle connection does not hold it up to the limit");
    is_tidy(&bench);
    drop(kept_alive);
}

#[test]
fn whoever_follows_hears_the_end_and_what_hangs_is_cut_off() {
    let mut bench = Bench::with(Short { drain: Some(500), ..Short::default() });
    let mut follower = bench.connect();
    follower.write_all(b"GET /v1/feed?since=0 HTTP/1.0\r\n\r\n").unwrap();
    let mut head = [0; 12];
    follower.read_exact(&mut head).unwrap();
    assert_eq!(&head[9..], b"200");
    let mut hanging = bench.connect();
    let half = "POST /v1/undo HTTP/1.1\r\nhost: oarlock\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    hanging.write_all(half.as_bytes()).unwrap();
    let mut silent = bench.connect();
    silent.write_all(b"GET /v1").unwrap();
    bench.post("/v1/shutdown", "s", &json!(null));
    let mut rest = Vec::new();
    follower.read_to_end(&mut rest).unwrap();
    assert!(bench.wait().success(), "it ends well although somebody hangs");
    is_tidy(&bench);
    assert!(bench.log().contains("requests under way were cut off"));
}

#[test]
fn a_request_under_way_is_answered() {
    let mut bench = Bench::new();
    let repository = bench.repository("shop");
    let id = bench.spawn(&repository, "bow");
    // The agent never comes up, so the receipt would be waited for for seconds.
    let mut waiting = bench.connect();
    let body = r#"{"text": "row"}"#;
    let head = format!(
        "POST /v1/sessions/{id}/messages HTTP/1.1\r\nhost: oarlock\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    waiting.write_all(head.as_bytes()).unwrap();
    until("the message is queued", || bench.count("message_queued") == 1);
    bench.post("/v1/shutdown", "s", &json!(null));
    let answer = Answer::read(&mut waiting);
    assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("queued")));
    assert!(bench.wait().success());
}

#[test]
fn a_signal_stops_it_in_good_order() {
    let mut bench = Bench::new();
    until("it answers", || bench.get("/readyz").status == 200);
    let pid = rustix::process::Pid::from_raw(bench.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(bench.wait().success());
    is_tidy(&bench);
}

#[test]
fn a_second_daemon_on_the_same_folder_says_so() {
    let bench = Bench::new();
    let mut second = super::bench::again("bench::helper_daemon");
    let output = second.env("OARLOCK_TEST_STATE", bench.state()).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("AlreadyRunning"), "{said}");
    let begun = Instant::now();
    assert_eq!(bench.get("/readyz").status, 200, "the first goes on");
    assert!(begun.elapsed() < DEADLINE);
}
