//! The checked-in document of the HTTP surface is that of the handlers, and it is a sound one.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

fn document() -> Value {
    serde_json::to_value(oarlock_daemon::openapi()).unwrap()
}

/// Returns every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let item = item.as_object().unwrap().clone();
        let path = path.clone();
        item.into_iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn the_openapi_document_is_that_of_the_handlers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/openapi.json");
    let now = oarlock_daemon::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("OARLOCK_UPDATE").is_some_and(|value| value == "1") {
        return std::fs::write(&path, now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = kept.lines().zip(now.lines()).position(|(kept, now)| kept != now);
    let line = difference.unwrap_or_else(|| kept.lines().count().min(now.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(the end)").trim().to_owned();
    assert!(
        kept == now,
        "crates/api/openapi.json is not what the handlers say; run cargo xtask openapi.\n\
         They first differ in line {}: the file has {}, the handlers {}.",
        line + 1,
        at(&kept),
        at(&now)
    );
}

#[test]
fn every_operation_of_openapi_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for (what, operation) in operations(&document()) {
        let name = operation["operationId"].as_str().unwrap_or_default().to_owned();
        assert!(names.insert(name.clone()), "{what}: the name {name:?} is taken");
        assert!(
            operation["summary"].as_str().is_some_and(|says| !says.is_empty()),
            "{what} says what it does"
        );
    }
}

#[test]
fn every_operation_of_openapi_names_its_parameters() {
    for (what, operation) in operations(&document()) {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let of = |place: &str| -> BTreeSet<String> {
            let of_place = parameters.iter().filter(|parameter| parameter["in"] == place);
            of_place.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
        };
        let in_path: BTreeSet<String> = what
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(str::to_owned)
            .collect();
        assert_eq!(of("path"), in_path, "{what}");
        let is_wish = !what.starts_with("get ");
        assert_eq!(
            of("header").contains("idempotency-key"),
            is_wish,
            "{what}: a wish has an id, a look has none"
        );
        let bodiless = is_wish && !operation["requestBody"].is_object();
        let id = parameters.iter().find(|parameter| parameter["name"] == "idempotency-key");
        assert!(id.is_none_or(|id| id["required"] == bodiless), "{what}: without a body the id is needed");
        let takes_token = operation["security"].as_array().is_some_and(|ways| ways[1]["run"].is_array());
        assert_eq!(takes_token, what.contains("/v1/"), "{what}");
    }
    let asked = [
        ("get /v1/sessions", vec!["all", "project"]),
        ("get /v1/sessions/{session}/diff", vec!["stat"]),
        ("get /v1/sessions/{session}/output", vec!["from", "run"]),
        ("get /v1/events", vec!["since"]),
        ("get /v1/feed", vec!["since"]),
    ];
    let operations: BTreeMap<_, _> = operations(&document()).into_iter().collect();
    for (what, names) in asked {
        let parameters = operations[what]["parameters"].as_array().unwrap();
        let mut found: Vec<_> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, names, "{what}");
    }
}

#[test]
fn every_answer_of_openapi_has_a_type() {
    let document = document();
    for (what, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        let good: Vec<_> = responses.iter().filter(|(status, _)| status.starts_with('2')).collect();
        let [(status, good)] = good[..] else { panic!("{what} has one good answer") };
        let wanted = match what.as_str() {
            "post /v1/shutdown" | "delete /v1/projects/{project}" => None,
            "get /healthz" | "get /readyz" | "get /metrics" => Some("text/plain"),
            "get /v1/feed" => Some("text/event-stream"),
            "get /v1/sessions/{session}/output" => Some("application/octet-stream"),
            _ => Some("application/json"),
        };
        let media: Vec<_> =
            good["content"].as_object().map(|c| c.keys().cloned().collect()).unwrap_or_default();
        assert_eq!(media, wanted.iter().map(|m| (*m).to_owned()).collect::<Vec<String>>(), "{what} {status}");
        if what.contains("/v1/") {
            let error = &responses["default"]["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(error, "#/components/schemas/Error", "{what}");
        }
    }
    // Whatever is referred to is there.
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is described");
    }
}
