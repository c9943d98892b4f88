//! A request id names a wish for ever: the same id is answered the same, and happens once.

use serde_json::{Value, json};

use super::bench::Bench;

/// Returns every operation that asks for something.
fn wishes() -> Vec<(String, String)> {
    let document = serde_json::to_value(oarlock_daemon::openapi()).unwrap();
    let mut wishes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["post", "delete"].into_iter().filter(|method| item[*method].is_object()) {
            let path = path.replace("{session}", "nobody").replace("{project}", "nothing");
            wishes.push((method.to_uppercase(), path));
        }
    }
    wishes
}

#[test]
fn an_id_that_is_none_is_refused_wherever_one_is_taken() {
    let bench = Bench::new();
    let long = "x".repeat(65);
    for (method, path) in wishes() {
        for id in ["", "a b", "a/b", "a:b", "\u{e9}", "\"", long.as_str()] {
            let headers = [("idempotency-key", id), ("content-type", "application/json")];
            let answer = bench.ask(&method, &path, &headers, b"{}");
            let found = (answer.status, answer.refusal());
            assert_eq!(found, (400, "bad_request_id".to_owned()), "{method} {path} with {id:?}");
        }
    }
    assert_eq!(bench.events(), [Value::Null; 0], "nothing happened");
    assert_eq!(bench.get("/readyz").status, 200, "nor was the daemon stopped");
}

#[test]
fn nobody_waits_for_a_message_that_nobody_knows() {
    let bench = Bench::new();
    let id = bench.spawn(&bench.repository("shop"), "tea");
    let asked = std::time::Instant::now();
    let answer = bench.get(&format!("/v1/sessions/{id}/messages/none?beyond=queued"));
    assert_eq!((answer.status, answer.refusal().as_str()), (404, "not_found"));
    assert!(asked.elapsed() < std::time::Duration::from_secs(10), "whoever follows a message waits for 20 s");
}

#[test]
fn the_same_id_is_the_same_wish() {
    let bench = Bench::new();
    let repository = bench.repository("shop");
    let add = || bench.post("/v1/projects", "add-1", &json!({"path": repository}));
    let (first, second) = (add(), add());
    assert_eq!((first.status, first.json()), (second.status, second.json()));
    assert_eq!(bench.count("project_added"), 1);

    let spawn = |prompt: &str| {
        let body = json!({"project": "shop", "agent": "exec", "command": "true", "prompt": prompt});
        bench.post("/v1/sessions", "spawn-1", &body)
    };
    let (first, second) = (spawn("Row"), spawn("Something else"));
    assert_eq!((first.status, second.status), (201, 201));
    assert_eq!(first.json()["id"], second.json()["id"], "another body under the same id is the first wish");
    assert_eq!(bench.count("requested"), 1);

    let id = first.json()["id"].as_str().unwrap().to_owned();
    let rename =
        |name: &str| bench.post(&format!("/v1/sessions/{id}/rename"), "rename-1", &json!({"name": name}));
    assert_eq!(rename("bow").json()["session"]["name"], "bow");
    assert_eq!(rename("stern").json()["session"]["name"], "bow");
    assert_eq!(bench.count("renamed"), 1);

    let fresh = bench.post(&format!("/v1/sessions/{id}/rename"), "rename-2", &json!({"name": "stern"}));
    assert_eq!(fresh.json()["session"]["name"], "stern", "another id is another wish");
}

#[test]
fn the_same_wish_sent_many_times_at_once_happens_once() {
    let bench = Bench::new();
    let repository = bench.repository("shop");
    let body = json!({"project": repository, "agent": "exec", "command": "true"});
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || bench.post("/v1/sessions", "once", &body);
        let asked: Vec<_> = (0..12).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    for answer in &answers {
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.json()["id"], answers[0].json()["id"]);
    }
    assert_eq!((bench.count("requested"), bench.count("project_added")), (1, 1));
}

#[test]
fn a_refusal_has_a_code_and_is_no_fact() {
    let bench = Bench::new();
    let repository = bench.repository("shop");
    bench.spawn(&repository, "bow");
    let facts = bench.count("requested");
    let spawn = |body: Value| bench.post("/v1/sessions", &format!("r{}", body.to_string().len()), &body);
    let with = |key: &str, value: Value| {
        let mut body = json!({"project": repository, "agent": "exec", "command": "true"});
        body[key] = value;
        body
    };
    let cases = [
        (with("name", json!("bow")), 409, "name_taken"),
        (with("name", json!("Not A Name")), 400, "bad_name"),
        (with("agent", json!("nobody")), 400, "no_agent"),
        (with("command", Value::Null), 400, "no_command"),
        (with("command", json!("a\u{0}b")), 400, "bad_command"),
        (with("workspace", json!("cellar")), 400, "bad_workspace"),
        (with("prompt", json!("x".repeat(600 << 10))), 400, "too_long"),
        (with("project", json!("nothing")), 404, "not_found"),
        (with("project", json!("relative/path")), 404, "not_found"),
    ];
    for (body, status, code) in cases {
        let answer = spawn(body);
        assert_eq!((answer.status, answer.refusal().as_str()), (status, code), "{}", answer.text());
    }
    let nowhere = spawn(with("project", json!("/nowhere/at/all")));
    assert!((400..500).contains(&nowhere.status), "{}", nowhere.text());
    nowhere.refusal();
    assert_eq!(bench.count("requested"), facts);
    assert_eq!(bench.post("/v1/undo", "u", &json!({})).refusal(), "nothing_to_undo");
}

#[test]
fn an_id_that_was_another_wish_s_is_refused() {
    let bench = Bench::new();
    let repository = bench.repository("shop");
    let id = bench.spawn(&repository, "bow");
    let at = |end: &str| format!("/v1/sessions/{id}{end}");
    assert_eq!(bench.post(&at("/rename"), "k", &json!({"name": "stern"})).status, 200);
    bench.until_at_rest(&id);
    let before = bench.events();
    for (end, body) in [
        ("/landing", json!({})),
        ("/reject", json!(null)),
        ("/forget", json!(null)),
        ("/stop", json!(null)),
        ("/messages", json!({"text": "row"})),
        ("/resume", json!({})),
    ] {
        let answer = bench.post(&at(end), "k", &body);
        assert_eq!((answer.status, answer.refusal().as_str()), (409, "id_taken"), "{end}");
    }
    assert_eq!(bench.events(), before, "nothing of it happened");
}

#[test]
fn a_landing_asked_for_again_is_answered_as_it_was_whatever_came_since() {
    let bench = Bench::new();
    let repository = bench.repository("shop");
    let id = bench.spawn(&repository, "bow");
    bench.until_at_rest(&id);
    let land = |request: &str| bench.post(&format!("/v1/sessions/{id}/landing"), request, &json!({}));
    let first = land("first");
    assert_eq!(first.status, 409, "there is nothing to land: {}", first.text());
    assert_eq!(land("second").status, 409);
    let again = land("first");
    assert_eq!((again.status, again.json()), (first.status, first.json()));
    assert_eq!(bench.count("land_requested"), 2);
}

#[test]
fn an_undo_asked_for_again_does_not_wait_for_what_was_parted_with_since() {
    let bench = Bench::new();
    let repository = bench.repository("shop");
    let id = bench.spawn(&repository, "bow");
    bench.until_at_rest(&id);
    let reject = |request: &str| bench.post(&format!("/v1/sessions/{id}/reject"), request, &json!(null));
    let undo = || bench.post("/v1/undo", "undo", &json!({"session": id}));
    assert_eq!((reject("one").status, undo().status, reject("two").status), (200, 200, 200));
    let again = undo();
    assert_eq!(
        (again.status, &again.json()["session"]["outcome"]),
        (200, &json!("rejected")),
        "and it stays so"
    );
    assert_eq!(bench.count("undo_requested"), 1);
}
