//! Whatever is wrong with a request, the answer is a refusal in the one shape, and the daemon goes on.

use std::io::Write;

use serde_json::Value;

use super::bench::{Answer, Bench, Short};

/// Returns method and path of every operation that takes a body, with no session behind it.
fn takes_body() -> Vec<String> {
    let document = serde_json::to_value(oarlock_daemon::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    let takes = |item: &Value| item["post"]["requestBody"].is_object();
    paths.into_iter().filter(|(_, item)| takes(item)).map(|(path, _)| fill(&path)).collect()
}

fn fill(path: &str) -> String {
    path.replace("{session}", "nobody").replace("{project}", "nothing")
}

fn refused(answer: &Answer, what: &str) -> String {
    assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
    answer.refusal()
}

#[test]
fn an_unknown_address_is_refused_in_the_usual_shape() {
    let bench = Bench::new();
    for path in
        ["/", "/v1", "/v1/", "/v2/status", "/v1/sessions/", "/v1/nothing", "/v1/sessions/a/b/c", "//", "*"]
    {
        let answer = bench.get(path);
        assert_eq!((answer.status, answer.refusal().as_str()), (404, "not_found"), "{path}");
    }
}

#[test]
fn a_wrong_method_is_refused_in_the_usual_shape() {
    let bench = Bench::new();
    let wrong = [
        ("POST", "/v1/status"),
        ("DELETE", "/healthz"),
        ("PUT", "/v1/sessions"),
        ("PATCH", "/v1/sessions/x"),
        ("GET", "/v1/shutdown"),
        ("OPTIONS", "/v1/feed"),
        ("MADEUP", "/v1/events"),
    ];
    for (method, path) in wrong {
        let answer = bench.ask(method, path, &[], b"");
        assert_eq!((answer.status, answer.refusal().as_str()), (405, "bad_method"), "{method} {path}");
        assert!(answer.head.contains("allow: "), "{method} {path} names what is taken: {}", answer.head);
    }
}

#[test]
fn a_body_that_cannot_be_understood_is_refused_in_the_usual_shape() {
    let bench = Bench::new();
    let deep = "[".repeat(100_000);
    let bodies: &[&[u8]] = &[
        b"",
        b"{",
        b"null",
        b"7",
        b"\"text\"",
        b"{}}",
        b"[]",
        b" [\"text\", \"text\", \"text\"]",
        br#"{"text": "a", "text": "b", "path": "/", "path": "/", "project": "a", "project": "a", "agent": "a", "name": "a",
             "name": "b", "how": "merge", "how": "merge", "prompt": "a", "prompt": "b", "session": "a", "session": "b"}"#,
        b"{\"a\": \xff\xfe}",
        b"\x00\x1b[2J",
        deep.as_bytes(),
        br#"{"path": 7, "project": 7, "agent": [], "text": {}, "name": false, "how": 1, "prompt": 0, "session": 9}"#,
    ];
    for path in takes_body() {
        for body in bodies {
            let said = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
            let what = format!("{path} with {said:?}");
            let answer = bench.ask("POST", &path, &[("content-type", "application/json")], body);
            assert_eq!(refused(&answer, &what), "bad_body", "{what}");
            let text = bench.ask("POST", &path, &[("content-type", "text/plain")], body);
            assert_eq!((text.status, refused(&text, &what).as_str()), (415, "bad_body"), "{what}");
        }
    }
}

#[test]
fn a_body_too_large_is_refused_without_being_kept() {
    let bench = Bench::new();
    let large = vec![b' '; 5 << 20];
    for path in takes_body() {
        let answer = bench.ask("POST", &path, &[("content-type", "application/json")], &large);
        assert_eq!((answer.status, refused(&answer, &path).as_str()), (413, "too_long"), "{path}");
    }
    // Without a length, too.
    let mut stream = bench.connect();
    let head = "POST /v1/sessions HTTP/1.1\r\nhost: oarlock\r\nconnection: close\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    while stream.write_all(&chunk).is_ok() {}
    assert_eq!(Answer::read(&mut stream).status, 413);
}

#[test]
fn a_body_that_never_arrives_is_not_waited_for() {
    let bench = Bench::with(Short { body: Some(200), ..Short::default() });
    let mut stream = bench.connect();
    let head = "POST /v1/sessions HTTP/1.1\r\nhost: oarlock\r\ncontent-type: application/json\r\nconnection: close\r\n\
                content-length: 100\r\n\r\n{\"agent\": ";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = Answer::read(&mut stream);
    assert_eq!((answer.status, answer.refusal().as_str()), (408, "slow_body"));
}

#[test]
fn a_query_that_cannot_be_understood_is_refused_in_the_usual_shape() {
    let bench = Bench::new();
    let wrong = [
        "/v1/events?since=x",
        "/v1/events?since=-1",
        "/v1/events?since=99999999999999999999",
        "/v1/events?since=1&since=2",
        "/v1/feed?since=soon",
        "/v1/sessions?all=perhaps",
    ];
    for path in wrong {
        let answer = bench.get(path);
        assert_eq!((answer.status, refused(&answer, path).as_str()), (400, "bad_query"), "{path}");
    }
    assert_eq!(bench.get("/v1/events?since=999").refusal(), "reset", "a cursor that is not of this log");
    assert_eq!(bench.get("/v1/events?since=999").status, 410);
}

#[test]
fn an_address_that_names_nothing_is_refused_in_the_usual_shape() {
    let bench = Bench::new();
    for name in ["%ff%fe", "%00", "..%2f..%2fetc", "%1b%5b2J", "\u{e9}", "a%20b", &"x".repeat(5_000)] {
        for end in ["", "/why", "/diff", "/output", "/landing"] {
            let path = format!("/v1/sessions/{name}{end}");
            let answer = bench.get(&path);
            let code = refused(&answer, &path);
            assert!(["not_found", "bad_address"].contains(&code.as_str()), "{path}: {code}");
        }
        refused(&bench.get(&format!("/v1/projects/{name}")), name);
        refused(&bench.ask("DELETE", &format!("/v1/sessions/{name}"), &[], b""), name);
    }
}

#[test]
fn noise_is_no_request_and_does_no_harm() {
    let bench = Bench::new();
    let noise: &[&[u8]] = &[
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/status\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nhost: oarlock\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/undo HTTP/1.1\r\nhost: oarlock\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"\r\n\r\n\r\n\0\0\0\0",
    ];
    for bytes in noise {
        let mut stream = bench.connect();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = Answer::read(&mut stream);
        assert!(answer.status < 500, "{bytes:?}: {}", answer.head);
    }
    assert_eq!(bench.get("/healthz").status, 200);
}
