//! A web page has no way in, even if somebody puts a proxy before the socket: not by a form, by a script, by a name of its
//! own, by an upgrade.

use std::io::{Read, Write};

use serde_json::{Value, json};

use super::bench::{Answer, Bench};

/// Returns method and path of every operation, with a session and a project filled in.
fn operations(session: &str) -> Vec<(String, String)> {
    let document = serde_json::to_value(oarlock_daemon::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{session}", session).replace("{project}", "shop");
        all.extend(item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
    }
    assert!(all.len() > 20, "the document lists the operations");
    all
}

fn is_look(method: &str) -> bool {
    method == "GET"
}

/// Sends bytes and reads whatever comes back.
fn raw(bench: &Bench, text: &str) -> Answer {
    let mut stream = bench.connect();
    stream.write_all(text.as_bytes()).unwrap();
    Answer::read(&mut stream)
}

#[test]
fn what_a_browser_sends_for_a_page_is_turned_away() {
    let bench = Bench::new();
    let telltale = [
        ("origin", "https://example.org"),
        ("origin", "null"),
        ("origin", "http://localhost:1234"),
        ("origin", "http://oarlock"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", "no-cors"),
        ("sec-fetch-dest", "image"),
    ];
    for (name, value) in telltale {
        for (method, path) in operations("nobody") {
            let headers = [(name, value), ("idempotency-key", "k"), ("content-type", "application/json")];
            let answer = bench.ask(&method, &path, &headers, b"{}");
            let found = (answer.status, answer.refusal());
            assert_eq!(found, (403, "bad_origin".to_owned()), "{name}: {value} {method} {path}");
        }
        assert_eq!(bench.ask("GET", "/nowhere", &[(name, value)], b"").status, 403);
    }
    assert_eq!(bench.get("/readyz").status, 200, "nor was the daemon stopped");
}

#[test]
fn a_page_whose_name_was_made_to_point_here_is_refused() {
    let bench = Bench::new();
    let ask = |target: &str, hosts: &str| {
        raw(&bench, &format!("GET {target} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n"))
    };
    for ours in ["oarlock", "OARLOCK:80", "localhost", "localhost:4000", "127.0.0.1:4000", "[::1]:4000"] {
        assert_eq!(ask("/v1/status", &format!("host: {ours}\r\n")).status, 200, "{ours}");
    }
    let theirs =
        ["example.org", "oarlock.example.org", "127.0.0.1.example.org", "192.168.0.7", "o", "a@oarlock"];
    for host in theirs {
        let answer = ask("/v1/status", &format!("host: {host}\r\n"));
        assert_eq!((answer.status, answer.refusal().as_str()), (421, "bad_host"), "{host}");
        let answer = ask(&format!("http://{host}/v1/status"), "host: oarlock\r\n");
        assert!([421, 400].contains(&answer.status), "{host} in the request line: {}", answer.head);
    }
    for hosts in ["", "host:\r\n", "host: oarlock\r\nhost: example.org\r\n", "host: oarlock, example.org\r\n"]
    {
        assert_eq!(ask("/v1/status", hosts).status, 421, "{hosts:?}");
    }
}

#[test]
fn a_form_is_no_wish_and_changes_nothing() {
    let bench = Bench::new();
    let repository = bench.repository("shop");
    let id = bench.spawn(&repository, "bow");
    bench.until_at_rest(&id);
    let before = bench.events();
    let forms = [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain; charset=application/json",
        "application/jsonp",
        "",
    ];
    for (method, path) in operations(&id).into_iter().filter(|(method, _)| !is_look(method)) {
        for form in forms {
            for with_id in [true, false] {
                let mut headers = vec![("content-type", form)];
                headers.extend(with_id.then_some(("idempotency-key", "k")));
                let answer = bench.ask(&method, &path, &headers, br#"{"text":"=","name":"x"}"#);
                let found = (answer.status, answer.refusal());
                assert_eq!(found, (415, "bad_body".to_owned()), "{method} {path} as {form:?}");
            }
        }
        // A script may post without a type: then nothing tells it from a program but the id it may not send.
        let bare = bench.ask(&method, &path, &[], b"");
        assert_eq!((bare.status, bare.refusal().as_str()), (400, "no_request_id"), "{method} {path}");
    }
    assert_eq!(bench.events(), before, "nothing happened");
    assert_eq!(bench.get("/readyz").status, 200, "nor was the daemon stopped");
}

#[test]
fn no_answer_invites_a_page_and_no_upgrade_is_made() {
    let bench = Bench::new();
    for (_, path) in operations("nobody").iter().filter(|(_, path)| path != "/v1/feed") {
        for method in ["OPTIONS", "GET", "POST"] {
            let headers = [("origin", "https://example.org"), ("access-control-request-method", "POST")];
            for headers in [&headers[..], &[]] {
                let answer = bench.ask(method, path, headers, b"");
                assert!(
                    !answer.head.to_lowercase().contains("access-control-"),
                    "{method} {path}: {}",
                    answer.head
                );
            }
        }
    }
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let from_page = raw(
        &bench,
        &format!(
            "GET /v1/feed HTTP/1.1\r\nhost: oarlock\r\norigin: https://example.org\r\n{upgrade}connection: close\r\n\r\n"
        ),
    );
    assert_eq!(from_page.status, 403);
    // Without an origin it is a program's, and gets the stream it would have got anyhow.
    for (path, wanted) in [("/v1/feed", "HTTP/1.1 200"), ("/v1/nothing", "HTTP/1.1 404")] {
        let mut stream = bench.connect();
        let head = format!("GET {path} HTTP/1.1\r\nhost: oarlock\r\n{upgrade}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(std::str::from_utf8(&first).unwrap(), wanted, "{path}");
    }
}

#[test]
fn looking_changes_nothing() {
    let bench = Bench::new();
    let repository = bench.repository("shop");
    let id = bench.spawn(&repository, "bow");
    bench.until_at_rest(&id);
    let rest = |bench: &Bench| -> (Vec<Value>, Value, Value) {
        let show = bench.get(&format!("/v1/sessions/{id}")).json();
        (bench.events(), show, bench.get("/v1/projects").json())
    };
    let (before, mut looked) = (rest(&bench), 0);
    let unknown = bench.repository("unknown");
    let queries = [
        "",
        "?since=0",
        "?all=true",
        "?stat=true",
        "?run=0&from=-5",
        &format!("?project={}", unknown.display()),
    ];
    for (method, path) in operations(&id) {
        if !is_look(&method) || path == "/v1/feed" {
            continue;
        }
        for query in queries {
            for method in ["GET", "HEAD"] {
                let path = format!("{path}{query}");
                let answer = bench.ask(
                    method,
                    &path,
                    &[("idempotency-key", "k")],
                    json!({"name": "x"}).to_string().as_bytes(),
                );
                assert!(answer.status < 500, "{method} {path}: {}", answer.text());
                looked += 1;
            }
        }
    }
    assert!(looked > 100, "only {looked} looks");
    assert_eq!(rest(&bench), before);
}
