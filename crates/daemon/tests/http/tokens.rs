//! What a run's token opens, and what it does not.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::bench::{Answer, Bench};

/// Makes the token of a run, as the daemon does for its environment.
fn token(bench: &Bench, session: &str, run: u32) -> String {
    let secret = std::fs::read(bench.state().join("secret")).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
    mac.update(format!("{session}/{run}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{session}.{run}.{hex}")
}

fn as_run(bench: &Bench, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let headers = [("oarlock-token", token), ("content-type", "application/json")];
    bench.ask(method, path, &headers, body.to_string().as_bytes())
}

#[test]
fn a_run_may_read_and_send_to_its_own_session_and_nothing_else() {
    let bench = Bench::new();
    let repository = bench.repository("shop");
    let (own, other) = (bench.spawn(&repository, "own"), bench.spawn(&repository, "other"));
    let token = token(&bench, &own, 0);
    for path in ["/v1/status", "/v1/sessions", "/v1/events", &format!("/v1/sessions/{other}/why")] {
        assert_eq!(as_run(&bench, &token, "GET", path, &json!({})).status, 200, "{path} may be read");
    }
    let before = bench.events().len();
    let document = serde_json::to_value(oarlock_daemon::openapi()).unwrap();
    let mut tried = 0;
    for (template, item) in document["paths"].as_object().unwrap() {
        for method in
            ["post", "delete", "put", "patch"].into_iter().filter(|method| item[*method].is_object())
        {
            for session in [own.as_str(), other.as_str(), "own", "other"] {
                let path = template.replace("{session}", session).replace("{project}", "shop");
                if path == format!("/v1/sessions/{own}/messages") {
                    continue;
                }
                let answer = as_run(&bench, &token, &method.to_uppercase(), &path, &json!({"text": "hello"}));
                assert_eq!(
                    (answer.status, answer.refusal().as_str()),
                    (403, "not_allowed"),
                    "{method} {path}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "only {tried} ways were tried");
    for path in [format!("/v1/sessions/{own}/../{other}/messages"), format!("/v1/sessions/%{own}/messages")] {
        assert_eq!(as_run(&bench, &token, "POST", &path, &json!({"text": "x"})).status, 403, "{path}");
    }
    let own_path = format!("/v1/sessions/{own}/messages");
    assert_eq!(as_run(&bench, &token, "DELETE", &own_path, &json!({})).status, 405);
    let wishes =
        ["stop_requested", "land_requested", "rejected", "message_queued", "renamed", "project_removed"];
    let happened = bench.events().split_off(before);
    assert!(!happened.iter().any(|event| wishes.iter().any(|kind| event["kind"] == *kind)), "{happened:?}");
    assert_eq!(bench.get("/readyz").status, 200, "the daemon was not stopped");

    let sent = as_run(&bench, &token, "POST", &own_path, &json!({"text": "hello"}));
    assert_eq!(sent.status, 200, "{}", sent.text());
    assert_eq!(sent.json()["author"], "agent", "what a run says is not said by a person");
    assert_eq!(bench.post(&own_path, "p", &json!({"text": "hello"})).json()["author"], "person");
}

#[test]
fn a_forged_token_opens_nothing() {
    let bench = Bench::new();
    let good = token(&bench, "abcdefgh", 0);
    let upper = good.to_uppercase();
    let forged = [
        "",
        "x",
        "abcdefgh.0",
        "abcdefgh.0.",
        "abcdefgh.0.00",
        &good.replace(".0.", ".1."),
        &good.replace("abcdefgh", "abcdefgi"),
        &good[..good.len() - 2],
        &format!("{good}00"),
        &format!("{good}.x"),
        &upper,
        "\u{e9}.0.zz",
    ];
    for forged in forged {
        for (method, path) in [("GET", "/v1/status"), ("GET", "/healthz"), ("POST", "/v1/shutdown")] {
            let answer = as_run(&bench, forged, method, path, &json!({}));
            assert_eq!((answer.status, answer.refusal().as_str()), (403, "bad_token"), "{forged:?} {path}");
        }
    }
    assert_eq!(as_run(&bench, &good, "GET", "/v1/status", &json!({})).status, 200);
    assert!(!bench.log().contains(&good[12..]), "no token is ever logged");
}

/// Begins a session as an orchestrator and returns its id.
fn orchestrator(bench: &Bench, repository: &std::path::Path) -> String {
    let body = json!({"project": repository, "agent": "exec", "command": "true", "role": "orchestrator"});
    let answer = bench.post("/v1/sessions", "spawn-orchestrator", &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// The operations an orchestrator's token opens, with the sessions it opens them for: workers of its project, and itself.
const DRIVEN: &[(&str, &str, bool)] = &[
    ("post", "/v1/sessions/{session}/messages", true),
    ("post", "/v1/sessions/{session}/answer", false),
    ("post", "/v1/sessions/{session}/stop", true),
    ("post", "/v1/sessions/{session}/resume", true),
];

#[test]
fn an_orchestrator_drives_the_sessions_of_its_project_and_lands_and_removes_nothing() {
    let bench = Bench::new();
    let (shop, other) = (bench.repository("shop"), bench.repository("other"));
    let worker = bench.spawn(&shop, "worker");
    let foreign = bench.spawn(&other, "foreign");
    let own = orchestrator(&bench, &shop);
    for id in [&worker, &foreign, &own] {
        bench.until_at_rest(id);
    }
    // That of a run to come: its own stop is among what is tried, and the present run's token would end with it.
    let token = token(&bench, &own, 7);
    let document = serde_json::to_value(oarlock_daemon::openapi()).unwrap();
    let (mut opened, mut shut) = (0, 0);
    for (template, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|method| *method != "get") {
            if template == "/v1/sessions" {
                continue;
            }
            let row = DRIVEN.iter().find(|(known, path, _)| known == method && path == template);
            for (session, opens) in [
                (worker.as_str(), row.is_some()),
                ("worker", row.is_some()),
                (own.as_str(), row.is_some_and(|(_, _, itself)| *itself)),
                (foreign.as_str(), false),
                ("foreign", false),
                ("nobody", false),
            ] {
                let path = template.replace("{session}", session).replace("{project}", "shop");
                let answer = as_run(&bench, &token, &method.to_uppercase(), &path, &json!({}));
                let refused = answer.status == 403;
                assert_eq!(refused, !opens, "{method} {path}: {} {}", answer.status, answer.text());
                if refused {
                    assert_eq!(answer.refusal(), "not_allowed", "{method} {path}");
                }
                opened += usize::from(opens);
                shut += usize::from(!opens);
            }
        }
    }
    assert!(opened == 11 && shut > 50, "{opened} ways were open and {shut} shut");
    assert_eq!(bench.get("/readyz").status, 200, "the daemon was not stopped");
    assert_eq!(bench.count("landed") + bench.count("rejected") + bench.count("removed"), 0);
}

#[test]
fn an_orchestrator_begins_workers_in_its_own_project_only() {
    let bench = Bench::new();
    let (shop, other) = (bench.repository("shop"), bench.repository("other"));
    let own = orchestrator(&bench, &shop);
    bench.spawn(&other, "foreign");
    let token = token(&bench, &own, 0);
    let spawn = |change: Value| {
        let mut body = json!({"project": shop, "agent": "exec", "command": "true"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        as_run(&bench, &token, "POST", "/v1/sessions", &body)
    };
    let unregistered = bench.repository("third");
    for change in [
        json!({"project": other}),
        json!({"project": "other"}),
        json!({"project": unregistered}),
        json!({"role": "orchestrator"}),
        json!({"adopt": shop}),
    ] {
        let answer = spawn(change.clone());
        assert_eq!((answer.status, answer.refusal().as_str()), (403, "not_allowed"), "{change}");
    }
    assert_eq!(bench.get("/v1/projects").json().as_array().unwrap().len(), 2, "no project was registered");
    let begun = spawn(json!({"name": "helper"}));
    assert_eq!((begun.status, begun.json()["role"].as_str()), (201, Some("builder")));
    let second = json!({"project": shop, "agent": "exec", "command": "true", "role": "orchestrator"});
    let refused = bench.post("/v1/sessions", "second", &second);
    assert_eq!((refused.status, refused.refusal().as_str()), (409, "orchestrator_there"));
}
