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
