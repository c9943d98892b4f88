//! The feed: every line of the log once, in order, however a client comes and goes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::bench::{Bench, Short, until};

/// A frame, with the id that came with it.
#[derive(Debug)]
struct Frame {
    id: Option<u64>,
    data: Value,
}

/// Reads a feed frame by frame. HTTP/1.0 knows no chunks, so what comes is the stream itself.
struct Follower {
    lines: BufReader<UnixStream>,
    comments: u32,
    last_id: Option<u64>,
}

impl Follower {
    fn new(bench: &Bench, path: &str, headers: &str) -> Self {
        let mut stream = bench.connect();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n{headers}\r\n").as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.contains(" 200 "), "{line}");
        while line != "\r\n" {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0);
        }
        Self { lines, comments: 0, last_id: None }
    }

    fn since(bench: &Bench, since: u64) -> Self {
        Self::new(bench, &format!("/v1/feed?since={since}"), "")
    }

    /// Returns the next event of the stream; `None` at its end. Comments and bare ids are noted and passed over.
    fn next(&mut self) -> Option<Frame> {
        let mut id = None;
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(value) = line.strip_prefix("id: ") {
                id = value.trim().parse().ok();
                self.last_id = id;
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some(Frame { id, data: serde_json::from_str(data).unwrap() });
            } else if line.starts_with(':') {
                self.comments += 1;
                return self.next();
            }
        }
    }
}

fn seq(frame: &Frame) -> u64 {
    let seq = frame.data["event"]["seq"].as_u64().unwrap_or_else(|| panic!("an event: {frame:?}"));
    assert_eq!(frame.id, Some(seq), "the id is the position");
    seq
}

fn rename(bench: &Bench, session: &str, number: u64) {
    let path = format!("/v1/sessions/{session}/rename");
    let answer = bench.post(
        &path,
        &format!("n-{session}-{number}"),
        &json!({"name": format!("n-{session}-{number}")}),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Begins sessions and waits until their agents are given up, so that nothing happens by itself any more.
fn sessions(bench: &Bench, count: usize) -> Vec<String> {
    let repository = bench.repository("shop");
    let ids: Vec<_> = (0..count).map(|n| bench.spawn(&repository, &format!("s{n}"))).collect();
    until("nothing is tried any more", || {
        let sessions = bench.get("/v1/sessions").json();
        sessions.as_array().unwrap().iter().all(|session| session["status"] == "failed")
    });
    ids
}

fn head(bench: &Bench) -> u64 {
    bench.get("/v1/status").json()["seq"].as_u64().unwrap()
}

fn seqs(bench: &Bench) -> Vec<u64> {
    bench.events().iter().map(|event| event["seq"].as_u64().unwrap()).collect()
}

#[test]
fn a_client_that_comes_and_goes_under_load_sees_every_line_once() {
    let bench = Bench::new();
    let ids = sessions(&bench, 3);
    let (one_to_come, all_said) = (AtomicBool::new(true), AtomicBool::new(false));
    let seen = std::thread::scope(|scope| {
        let writers: Vec<_> = ids
            .iter()
            .map(|id| scope.spawn(|| (0..60).for_each(|number| rename(&bench, id, number))))
            .collect();
        let reader = scope.spawn(|| {
            let (mut cursor, mut seen, mut state) = (0, Vec::new(), 1_u64);
            loop {
                let finished = all_said.load(Ordering::Acquire);
                let before = head(&bench);
                let more = one_to_come.load(Ordering::Acquire);
                // xorshift64: some leave after one frame, some stay for dozens.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let mut follower = match state % 3 {
                    0 => Follower::new(&bench, "/v1/feed", &format!("last-event-id: {cursor}\r\n")),
                    // The header wins: it is what a client that reconnects by itself adds to its first address.
                    1 => Follower::new(&bench, "/v1/feed?since=0", &format!("Last-Event-ID: {cursor}\r\n")),
                    _ => Follower::since(&bench, cursor),
                };
                let last = head(&bench).max(before + u64::from(more));
                for _ in 0..state % 37 {
                    if cursor >= last {
                        break;
                    }
                    let frame = follower.next().expect("the feed goes on");
                    cursor = seq(&frame);
                    seen.push(cursor);
                }
                if finished && seen.last() == seqs(&bench).last() {
                    return seen;
                }
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        // Whoever saw this flag up may wait for a line that was not there yet.
        one_to_come.store(false, Ordering::Release);
        rename(&bench, &ids[0], 1000);
        all_said.store(true, Ordering::Release);
        reader.join().unwrap()
    });
    assert_eq!(seen, seqs(&bench), "every line once, in order");
}

#[test]
fn a_cursor_from_elsewhere_is_reset_to_the_end() {
    let bench = Bench::new();
    let ids = sessions(&bench, 1);
    let head = head(&bench);
    let foreign = [
        Follower::since(&bench, head + 1),
        Follower::since(&bench, u64::MAX),
        Follower::new(&bench, "/v1/feed", "last-event-id: 123456789\r\n"),
        Follower::new(&bench, "/v1/feed", "last-event-id: of-another-server\r\n"),
        Follower::new(&bench, "/v1/feed?since=1", "last-event-id: -3\r\n"),
    ];
    let followers = foreign.map(|mut follower| {
        let frame = follower.next().unwrap();
        assert_eq!(frame.data, json!({"type": "reset", "seq": head}));
        assert_eq!(frame.id, Some(head), "a client that reconnects by itself goes on from there");
        follower
    });
    rename(&bench, &ids[0], 1);
    for mut follower in followers {
        assert_eq!(seq(&follower.next().unwrap()), head + 1, "it goes on after the reset");
    }
}

#[test]
fn without_a_cursor_it_begins_now_and_says_where() {
    let bench = Bench::new();
    let ids = sessions(&bench, 1);
    let head = head(&bench);
    let mut follower = Follower::new(&bench, "/v1/feed", "");
    rename(&bench, &ids[0], 1);
    let frame = follower.next().unwrap();
    assert_eq!(seq(&frame), head + 1, "what was before is not told");
    assert_eq!(frame.data["view"]["name"], format!("n-{}-1", ids[0]), "a live frame shows the session");
    // Cut off before its first frame, it would still know its cursor.
    let mut stream = bench.connect();
    stream.write_all(b"GET /v1/feed HTTP/1.0\r\n\r\n").unwrap();
    let (mut text, mut byte) = (String::new(), [0]);
    while !text.ends_with(&format!("id: {}\n\n", head + 1)) {
        stream.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_comes_back_without_loss() {
    let bench = Bench::with(Short { behind: Some(16), ..Short::default() });
    let ids = sessions(&bench, 1);
    let head = head(&bench);
    let mut stalled = Follower::since(&bench, head);
    // A socket holds some 200 KB, and a frame has about 800 bytes.
    (0..700).for_each(|number| rename(&bench, &ids[0], number));
    let (mut cursor, mut seen, mut cut_off) = (head, Vec::new(), false);
    while let Some(frame) = stalled.next() {
        assert!(!cut_off, "nothing comes after the cut");
        if frame.data == json!({"type": "cut_off"}) {
            cut_off = true;
            assert_eq!(frame.id, Some(cursor), "the cursor stays where it was");
        } else {
            cursor = seq(&frame);
            seen.push(cursor);
        }
    }
    assert!(cut_off, "a client this far behind is cut off");
    let wanted: Vec<_> = seqs(&bench).into_iter().filter(|seq| *seq > head).collect();
    assert!(seen.len() < wanted.len());
    let mut back = Follower::since(&bench, cursor);
    while seen.len() < wanted.len() {
        seen.push(seq(&back.next().unwrap()));
    }
    assert_eq!(seen, wanted);
}

#[test]
fn a_silent_feed_shows_that_it_lives() {
    let bench = Bench::with(Short { heartbeat: Some(50), ..Short::default() });
    let ids = sessions(&bench, 1);
    let head = head(&bench);
    let mut stream = bench.connect();
    stream.write_all(format!("GET /v1/feed?since={head} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    let (mut text, mut bytes) = (String::new(), [0; 256]);
    while text.matches(": still here").count() < 3 {
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "the feed goes on");
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    let mut follower = Follower::since(&bench, head);
    rename(&bench, &ids[0], 1);
    assert_eq!(seq(&follower.next().unwrap()), head + 1, "signs of life are no frames");
}

#[test]
fn a_hundred_clients_follow_at_once() {
    let bench = Bench::new();
    let ids = sessions(&bench, 1);
    let mut followers: Vec<_> = (0..100_u64).map(|n| Follower::since(&bench, n % 4)).collect();
    (0..20).for_each(|number| rename(&bench, &ids[0], number));
    let all = seqs(&bench);
    for (n, follower) in followers.iter_mut().enumerate() {
        let wanted: Vec<_> = all.iter().copied().filter(|seq| *seq > n as u64 % 4).collect();
        let seen: Vec<_> = wanted.iter().map(|_| seq(&follower.next().unwrap())).collect();
        assert_eq!(seen, wanted, "client {n}");
    }
    drop(followers);
    let handles = || std::fs::read_dir(format!("/proc/{}/fd", bench.pid())).unwrap().count();
    until("what they held is let go", || handles() < 60);
}

#[test]
fn pages_and_the_feed_tell_the_same() {
    let bench = Bench::new();
    sessions(&bench, 2);
    let events = bench.events();
    let mut follower = Follower::since(&bench, 0);
    for event in &events {
        assert_eq!(follower.next().unwrap().data["event"], *event);
    }
    let kinds: BTreeSet<_> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert!(
        !kinds.contains("started") && !kinds.contains("settled"),
        "the engine's notes are its own: {kinds:?}"
    );
    assert!(!kinds.contains("other"), "every fact has words");
}
