//! Too much of everything: connections, requests, half requests, followers that do not read. Limits hold, others are served,
//! and memory stays within bounds.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::bench::{Answer, Bench, Short, until};

/// Most memory that the daemon may come to hold through any of this, in KiB. 512 connections of 64 KiB are 32 MiB; a debug
/// build has 20 MiB by itself.
const RESIDENT_GROWTH_KIB_MAX: u64 = 96 << 10;
/// How long a flood lasts.
const FLOOD: Duration = Duration::from_secs(3);

fn resident_kib(bench: &Bench) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", bench.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn is_bounded(bench: &Bench, before: u64) {
    let grown = resident_kib(bench).saturating_sub(before);
    assert!(grown < RESIDENT_GROWTH_KIB_MAX, "the daemon grew by {grown} KiB");
    assert_eq!(bench.get("/readyz").status, 200);
}

#[test]
fn half_requests_are_cut_off_and_hold_up_nobody() {
    let bench = Bench::with(Short { headers: Some(2_000), body: Some(2_000), ..Short::default() });
    let before = resident_kib(&bench);
    let head = "POST /v1/sessions HTTP/1.1\r\nhost: oarlock\r\ncontent-type: application/json\r\n";
    let halves = [
        String::new(),
        "GE".into(),
        "GET /v1/status HTTP/1.1\r\nhost: oarl".into(),
        format!("{head}content-length: 100\r\n\r\n{{\"agent\""),
        format!("{head}content-length: 4000000\r\n\r\n{}", " ".repeat(50_000)),
        format!("{head}transfer-encoding: chunked\r\n\r\nfffff\r\n{{"),
        format!("{head}expect: 100-continue\r\ncontent-length: 10\r\n\r\n"),
    ];
    let mut all: Vec<UnixStream> = Vec::new();
    for half in halves.iter().cycle().take(280) {
        let mut stream = bench.connect();
        stream.write_all(half.as_bytes()).unwrap();
        all.push(stream);
    }
    for _ in 0..50 {
        assert_eq!(bench.get("/healthz").status, 200, "others are served meanwhile");
    }
    for stream in &mut all {
        let answer = Answer::read(stream);
        assert!(answer.status < 500, "each ends, with an answer or without: {}", answer.head);
    }
    is_bounded(&bench, before);
}

#[test]
fn a_request_that_comes_byte_by_byte_is_cut_off_all_the_same() {
    let bench = Bench::with(Short { headers: Some(1_000), body: Some(1_000), ..Short::default() });
    let head = "POST /v1/undo HTTP/1.1\r\nhost: oarlock\r\ncontent-type: application/json\r\n";
    let slow_head = format!("{head}x-slow: {}", "y".repeat(100_000));
    let slow_body = format!("{head}content-length: 100000\r\n\r\n{{{}", " ".repeat(90_000));
    for (text, at_once) in [(slow_head, 20), (slow_body, 110)] {
        let mut stream = bench.connect();
        stream.write_all(&text.as_bytes()[..at_once]).unwrap();
        let deadline = Instant::now() + super::bench::DEADLINE;
        let mut left = text.as_bytes()[at_once..].iter();
        let mut writer = stream.try_clone().unwrap();
        // What is sent keeps coming, so only a limit on the whole ends it.
        let cut_off = std::iter::from_fn(|| {
            std::thread::sleep(Duration::from_millis(5)); // poll: a byte a moment is what is tested
            Some(left.next().is_none_or(|byte| writer.write_all(&[*byte]).is_err()))
        });
        let ended = cut_off.take_while(|_| Instant::now() < deadline).any(|is_cut_off| is_cut_off);
        assert!(ended && left.len() > 1_000, "it was cut off long before its end");
        assert!(Answer::read(&mut stream).status < 500);
    }
    assert_eq!(bench.get("/readyz").status, 200);
}

#[test]
fn lengths_that_lie_hide_no_second_request() {
    let bench = Bench::new();
    let repository = bench.repository("shop");
    let id = bench.spawn(&repository, "bow");
    bench.until_at_rest(&id);
    let before = bench.events();
    let hidden =
        format!("POST /v1/sessions/{id}/reject HTTP/1.1\r\nhost: oarlock\r\nidempotency-key: h\r\n\r\n");
    let head = "POST /v1/undo HTTP/1.1\r\nhost: oarlock\r\ncontent-type: application/json\r\n";
    let lies = [
        format!("{head}content-length: 0\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len()),
        format!("{head}content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", hidden.len()),
        format!("{head}transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{head}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{head}content-length: +0\r\n\r\n{hidden}"),
        format!("{head}content-length: 0x5\r\n\r\n{hidden}"),
        format!("{head}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{hidden}"),
        format!("{head}transfer-encoding: chunked\r\n\r\n-1\r\n{hidden}"),
        format!("{head}content-length : 0\r\n\r\n{hidden}"),
        format!("{head}x: y\r\n content-length: 0\r\n\r\n{hidden}"),
        format!("{head}content-length: {}\r\n\r\n{hidden}", hidden.len()),
    ];
    for lie in lies {
        let mut stream = bench.connect();
        stream.write_all(lie.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        drop(stream.read_to_end(&mut heard));
        let heard = String::from_utf8_lossy(&heard);
        assert!(!heard.contains("HTTP/1.1 2") && !heard.contains("HTTP/1.1 5"), "{lie:?}: {heard}");
    }
    assert_eq!(bench.events(), before, "nothing that was hidden in another was carried out");
}

#[test]
fn addresses_and_bodies_beyond_measure_are_refused() {
    let bench = Bench::new();
    let before = resident_kib(&bench);
    let long = "x".repeat(1 << 20);
    let deep = "/a".repeat(20_000);
    let targets = [
        format!("/v1/events?since={long}"),
        format!("/v1/sessions?{}", "all=true&".repeat(5_000)),
        format!("/v1/sessions/{long}"),
        deep,
        "/v1/sessions/%".into(),
        "/v1/sessions/%f".into(),
        "/v1/sessions/%00%0a%0d/why".into(),
        "/v1/sessions/../../../etc/passwd".into(),
        "/v1/sessions/..%2f..%2f..%2fetc%2fpasswd/output".into(),
        "/v1/sessions/bow/output?run=-1".into(),
        "/v1/sessions/bow/output?run=4294967296".into(),
        "/v1/sessions/bow/output?from=9223372036854775808".into(),
        "/v1/events?since=18446744073709551616".into(),
        "/v1/events?since=1e3".into(),
        "/v1/events?since=%ff".into(),
    ];
    for target in &targets {
        let status = bench.get(target).status;
        let said = &target[..target.len().min(60)];
        assert!(status == 0 || (400..500).contains(&status), "{said}: {status}");
    }
    let number = format!("{{\"text\": \"a\", \"more\": {}}}", "9".repeat(1_000_000));
    let nested = format!("{{\"more\": {}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let keys: String = (0..200_000).map(|n| format!("\"k{n}\": 0, ")).collect();
    let keys = format!("{{{keys}\"text\": \"a\"}}");
    for body in [number, nested, keys] {
        let answer = bench.ask(
            "POST",
            "/v1/sessions/nobody/messages",
            &[("content-type", "application/json")],
            body.as_bytes(),
        );
        assert!((400..500).contains(&answer.status), "{}", answer.head);
        answer.refusal();
    }
    is_bounded(&bench, before);
}

#[test]
fn thousands_of_connections_come_and_go() {
    let bench = Bench::new();
    let before = resident_kib(&bench);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..1_500 {
                    // One that is turned away for want of room is as good here.
                    let Ok(mut stream) = UnixStream::connect(bench.socket()) else { continue };
                    if number % 3 == 0 {
                        drop(stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: oarlock\r\n\r\n"));
                    }
                }
            });
        }
    });
    until("there is room again", || bench.get("/healthz").status == 200);
    is_bounded(&bench, before);
}

#[test]
fn a_client_that_never_stops_asking_holds_up_nobody() {
    let bench = Bench::new();
    let repository = bench.repository("shop");
    let id = bench.spawn(&repository, "bow");
    bench.until_at_rest(&id);
    let before = resident_kib(&bench);
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let kept: Vec<String> = std::thread::scope(|scope| {
        for path in ["/v1/sessions", "/v1/events", "/v1/status", "/v1/projects"] {
            let (bench, over, asked) = (&bench, &over, &asked);
            scope.spawn(move || {
                let batch = format!("GET {path} HTTP/1.1\r\nhost: oarlock\r\n\r\n").repeat(50);
                let mut stream = bench.connect();
                let mut reader = stream.try_clone().unwrap();
                // Somebody has to read, or the client itself comes to a stand.
                scope.spawn(move || drop(std::io::copy(&mut reader, &mut std::io::sink())));
                while !over.load(Ordering::Relaxed) && stream.write_all(batch.as_bytes()).is_ok() {
                    asked.fetch_add(50, Ordering::Relaxed);
                }
                drop(stream.shutdown(std::net::Shutdown::Both));
            });
        }
        let (begun, mut kept) = (Instant::now(), Vec::new());
        while begun.elapsed() < FLOOD || kept.len() < 20 {
            let name = format!("bow-{}", kept.len());
            let path = format!("/v1/sessions/{id}/rename");
            let answer = bench.post(&path, &format!("r{}", kept.len()), &json!({"name": name}));
            assert_eq!(answer.status, 200, "a wish is carried out meanwhile: {}", answer.text());
            kept.push(name);
        }
        over.store(true, Ordering::Relaxed);
        kept
    });
    assert!(asked.into_inner() > 1_000, "it was a flood");
    let renamed = bench.events().into_iter().filter(|event| event["kind"] == "renamed");
    let renamed: Vec<String> = renamed.map(|event| event["text"].as_str().unwrap().to_owned()).collect();
    let wanted: Vec<String> = kept.iter().map(|name| format!("Renamed to {name}.")).collect();
    assert_eq!(renamed, wanted, "whatever was acknowledged is in the log, once and in order");
    is_bounded(&bench, before);
}

#[test]
fn followers_that_never_read_cost_little_and_hold_up_nobody() {
    let bench = Bench::new();
    let repository = bench.repository("shop");
    let id = bench.spawn(&repository, "bow");
    bench.until_at_rest(&id);
    let before = resident_kib(&bench);
    let mut deaf = Vec::new();
    for _ in 0..300 {
        let mut stream = bench.connect();
        stream.write_all(b"GET /v1/feed?since=0 HTTP/1.1\r\nhost: oarlock\r\n\r\n").unwrap();
        deaf.push(stream);
    }
    for number in 0..1_500 {
        let path = format!("/v1/sessions/{id}/rename");
        let answer = bench.post(&path, &format!("r{number}"), &json!({"name": format!("bow-{number}")}));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(bench.count("renamed"), 1_500);
    is_bounded(&bench, before);
    drop(deaf);
}
