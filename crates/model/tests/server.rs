//! The server over real sockets: each protocol asked as an agent asks it, and what happens when it breaks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use oarlock_model::{Script, Server};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Longest that anything here may take: it is loopback.
const PATIENCE: Duration = Duration::from_secs(20);

struct Answer {
    status: u16,
    head: String,
    body: String,
    /// Whether the body came to its end.
    whole: bool,
}

fn server() -> Server {
    Server::start(Script::everyday(), 0, None).expect("loopback")
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], server.port()))).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

fn send(server: &Server, method: &str, path: &str, body: &[u8]) -> TcpStream {
    let mut stream = connect(server);
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(body).expect("sent");
    stream
}

fn receive(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A connection that is cut may end in an error; what came before it counts.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, raw) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let lower = head.to_ascii_lowercase();
    let (body, whole) = match lower.contains("transfer-encoding: chunked") {
        true => unchunk(raw),
        false => (raw.to_owned(), lower.contains(&format!("content-length: {}", raw.len()))),
    };
    Answer { status, head: lower, body, whole }
}

/// Takes the chunks of a body apart, and says whether the last one came.
fn unchunk(mut raw: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((size, rest)) = raw.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = rest.get(..size) else { break };
        body.push_str(chunk);
        raw = rest.get(size + 2..).unwrap_or_default();
    }
    (body, false)
}

fn ask(server: &Server, path: &str, body: &Value) -> Answer {
    receive(send(server, "POST", path, body.to_string().as_bytes()))
}

fn data(answer: &Answer) -> Vec<Value> {
    let lines = answer.body.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn chat(prompt: &str, stream: bool) -> Value {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": prompt}],
        "tools": [{"type": "function", "function": {"name": "bash", "parameters": {"properties": {"command": {}}}}}]})
}

#[test]
fn every_protocol_answers_whole_and_streamed() {
    let server = server();
    let prompt = "[[play:hello]]";
    let tool = json!([{"name": "Bash", "input_schema": {}}]);
    let messages = |stream: bool| json!({"model": "m", "stream": stream, "tools": tool, "messages": [{"role": "user", "content": prompt}]});
    let responses = |stream: bool| json!({"model": "m", "stream": stream, "input": prompt, "tools": [{"type": "function", "name": "exec_command"}]});
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": prompt}]}],
        "tools": [{"functionDeclarations": [{"name": "run_shell_command"}]}]});
    let models = "/v1beta/models/gemini-x";
    let hello = json!("Hello from the script.");
    let whole = |path: &str, body: &Value, place: &str| {
        let answer = ask(&server, path, body);
        assert!(answer.status == 200 && answer.whole, "{path}: {}", answer.head);
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(body.pointer(place), Some(&hello), "{path}: {body}");
    };
    whole("/v1/messages", &messages(false), "/content/0/text");
    whole("/responses", &responses(false), "/output/0/content/0/text");
    whole("/v1/chat/completions", &chat(prompt, false), "/choices/0/message/content");
    whole(&format!("{models}:generateContent"), &gemini, "/candidates/0/content/parts/0/text");
    whole(&format!("{models}:streamGenerateContent"), &gemini, "/0/candidates/0/content/parts/0/text");
    let streamed = |path: &str, body: &Value, place: &str| {
        let answer = ask(&server, path, body);
        assert!(answer.status == 200 && answer.whole && answer.head.contains("text/event-stream"), "{path}");
        let events = data(&answer);
        let said: String = events.iter().filter_map(|event| event.pointer(place)?.as_str()).collect();
        assert_eq!(json!(said), hello, "{path}");
    };
    streamed("/v1/messages", &messages(true), "/delta/text");
    streamed("/v1/responses", &responses(true), "/delta");
    streamed("/chat/completions", &chat(prompt, true), "/choices/0/delta/content");
    streamed(
        &format!("{models}:streamGenerateContent?alt=sse"),
        &gemini,
        "/candidates/0/content/parts/0/text",
    );
    let count = ask(&server, "/v1/messages/count_tokens", &messages(false));
    assert!(count.body.contains("input_tokens"), "{}", count.body);
    assert_eq!(server.seen().count, 10);
}

#[test]
fn an_error_has_its_status_and_says_when_to_come_back() {
    let server = server();
    let body = |name: &str| json!({"messages": [{"role": "user", "content": format!("[[play:{name}]]")}], "tools": [{"name": "Bash"}]});
    let limited = ask(&server, "/v1/messages", &body("limited"));
    assert_eq!(limited.status, 429);
    assert!(limited.body.contains("rate_limit_error"), "{}", limited.body);
    assert!(
        limited.head.contains("retry-after: 1") && limited.head.contains("unified-reset: "),
        "{}",
        limited.head
    );
    for (name, status) in [("bad_auth", 401), ("bad_request", 400), ("overloaded", 529)] {
        assert_eq!(ask(&server, "/v1/messages", &body(name)).status, status, "{name}");
    }
    let once: Vec<u16> =
        (0..3).map(|_| ask(&server, "/v1/messages", &body("overloaded_once")).status).collect();
    assert_eq!(once, [529, 200, 200], "it is overloaded once");
    let other = body("overloaded_once hello=1");
    assert_eq!(ask(&server, "/v1/messages", &other).status, 529, "another conversation has its own turn");
}

#[test]
fn a_cut_stream_breaks_off_in_its_middle() {
    let server = server();
    let once: Vec<bool> = (0..2)
        .map(|_| ask(&server, "/v1/chat/completions", &chat("[[play:cut_once]]", true)).whole)
        .collect();
    assert_eq!(once, [false, true]);
    let cut = ask(&server, "/v1/chat/completions", &chat("[[play:cut]]", true));
    let said = data(&cut);
    assert!(!cut.whole && !said.is_empty(), "something came before it broke");
    assert!(!cut.body.contains("[DONE]"), "but not its end");
    assert!(!ask(&server, "/v1/chat/completions", &chat("[[play:cut]]", false)).whole);
}

#[test]
fn an_answer_waits_at_its_gate_until_it_is_opened() {
    let server = server();
    let held = send(&server, "POST", "/v1/chat/completions", &bytes("[[play:held gate=a]]"));
    let mut half = send(&server, "POST", "/v1/chat/completions", &bytes("[[play:half_held gate=b]]"));
    assert!(server.wait(PATIENCE, |seen| seen.count == 2), "both have come");
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains("long enough") {
        let mut piece = [0; 4096];
        let length = half.read(&mut piece).expect("the first half comes by itself");
        assert!(length > 0, "the answer ended before its middle");
        said.extend_from_slice(&piece[..length]);
    }
    assert!(!String::from_utf8_lossy(&said).contains("Then it is over"), "the second half waits");
    held.set_nonblocking(true).expect("a socket");
    let nothing = (&held).read(&mut [0; 1]).expect_err("nothing came yet");
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    held.set_nonblocking(false).expect("a socket");
    assert_eq!(receive(send(&server, "POST", "/__release/b", b"")).status, 204);
    let mut rest = String::new();
    half.read_to_string(&mut rest).expect("the second half");
    assert!(rest.contains("[DONE]"), "{rest}");
    server.release("a");
    assert!(data(&receive(held)).len() > 1);
    let late = ask(&server, "/v1/chat/completions", &chat("[[play:held gate=a]]", true));
    assert!(late.whole, "an open gate holds nobody");
}

#[test]
fn the_end_of_an_answer_is_seen_and_whether_anybody_heard_it() {
    let server = server();
    let over = |number: u64, whole: bool| {
        let found = server.wait(PATIENCE, |seen| {
            seen.requests.iter().any(|asked| asked.number == number && asked.over_at_ms.is_some())
        });
        assert!(found, "answer {number} is over");
        let seen = server.seen();
        let asked = seen.requests.iter().find(|asked| asked.number == number).expect("it was asked");
        assert_eq!(asked.whole, whole, "{asked:?}");
        assert!(asked.played && asked.over_at_ms >= Some(asked.at_ms), "{asked:?}");
        assert!(asked.begun_at_ms >= Some(asked.at_ms) || !whole, "{asked:?}");
    };
    ask(&server, "/v1/chat/completions", &chat("[[play:hello]]", true));
    over(1, true);
    ask(&server, "/v1/chat/completions", &chat("[[play:hello]]", false));
    over(2, true);
    ask(&server, "/v1/chat/completions", &chat("[[play:cut]]", true));
    over(3, false);
    for (number, play, stream) in [(4, "half_held", true), (5, "held", true), (6, "held", false)] {
        let body = chat(&format!("[[play:{play}]]"), stream).to_string();
        let left = send(&server, "POST", "/v1/chat/completions", body.as_bytes());
        assert!(server.wait(PATIENCE, |seen| seen.count == number), "it was asked");
        assert_eq!(
            server.seen().requests.last().expect("it was asked").over_at_ms,
            None,
            "it waits at its gate"
        );
        drop(left);
        over(number, false);
    }
}

fn bytes(prompt: &str) -> Vec<u8> {
    chat(prompt, true).to_string().into_bytes()
}

#[test]
fn a_message_of_thirty_kilobytes_is_measured_and_repeated() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = dir.path().join("log.jsonl");
    let server = Server::start(Script::everyday(), 0, Some(&log)).expect("loopback");
    let text: String = (0..30_000).map(|index| char::from(b'a' + (index % 26) as u8)).collect();
    let prompt = format!("[[play:repeat]] [[msg:m1]]{text}[[end:m1]]");
    let answer = ask(&server, "/v1/chat/completions", &chat(&prompt, false));
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    let said = body.pointer("/choices/0/message/content").and_then(Value::as_str).expect("text");
    assert!(said.starts_with(&format!("I was told {} bytes", prompt.len())) && said.ends_with(&prompt));
    let state: Value =
        serde_json::from_str(&receive(send(&server, "GET", "/__state", b"")).body).expect("JSON");
    let mark = &state["marks"]["m1"];
    assert_eq!((&mark["times"], &mark["bytes"], &mark["whole"]), (&json!(1), &json!(30_000), &json!(true)));
    assert_eq!(mark["sha256"], json!(oarlock_model::choice::sha256(text.as_bytes())));
    let lines = std::fs::read_to_string(&log).expect("a log");
    let line: Value =
        serde_json::from_str(lines.trim()).expect("one line: to look is no request of an agent");
    assert_eq!(line["fresh"], json!([oarlock_model::choice::sha256(prompt.as_bytes())]));
}

#[test]
fn what_cannot_be_read_is_answered_and_the_next_is_served() {
    let server = server();
    assert_eq!(receive(send(&server, "POST", "/v1/messages", b"{")).status, 400);
    assert_eq!(receive(send(&server, "POST", "/v1/embeddings", b"{}")).status, 404);
    assert_eq!(receive(send(&server, "GET", "/v1/models", b"")).status, 200);
    let mut stream = connect(&server);
    let head = "POST /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Encoding: zstd\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    assert_eq!(receive(stream).status, 415);
}

/// JSON of any shape, with the words that the protocols look for among it.
fn any_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "user",
        "assistant",
        "tool",
        "model",
        "message",
        "function_call",
        "tool_result",
        "namespace",
        "custom",
        "[[play:commit]]",
        "[[play:ask file",
        "[[msg:",
        "[[msg:a]]b[[end:a]]",
        "Bash",
        "working directory: /é",
        "{told}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words.prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "messages",
        "input",
        "contents",
        "tools",
        "role",
        "type",
        "content",
        "parts",
        "text",
        "name",
        "function",
        "parameters",
        "input_schema",
        "properties",
        "required",
        "enum",
        "items",
        "stream",
        "system",
        "output",
        "functionDeclarations",
        "functionResponse",
        "response",
        "model",
        "questions",
        "options",
        "command",
    ]);
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(keys.clone(), inner, 0..8)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_is_too_strange(body in any_json(), raw in prop::collection::vec(any::<u8>(), 0..64), path in 0..6_usize) {
        let desk = oarlock_model::desk::Desk::new(Script::everyday(), None);
        let path = ["/v1/messages", "/v1/responses", "/v1/chat/completions", "/v1beta/models/m:streamGenerateContent",
            "/v1/messages/count_tokens", "/models/:generateContent"][path];
        for body in [body.to_string().into_bytes(), raw] {
            let plan = desk.take("POST", path, "alt=sse", &body);
            let is_json = serde_json::from_slice::<Value>(&body).is_ok();
            prop_assert_eq!(plan.status, if is_json { 200 } else { 400 });
        }
        prop_assert_eq!(desk.seen().count, 2);
    }
}
