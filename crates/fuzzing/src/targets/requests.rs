//! What clients send to the daemon: bodies, queries, request ids and tokens are taken as they were meant, or refused in the one
//! shape of every refusal.

use oarlock_api::wire;
use oarlock_daemon::fuzzing::{Refused, body, check, issue, query, request_id};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{is_a_line, is_hostile};
use crate::make::Choices;

/// Longest message of a refusal of this kind, in characters: what is wrong, 300 of the parser's, and some words of ours.
const MESSAGE_CHARS_MAX: usize = 400;
/// Longest request id, in characters.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// The first byte says what the rest is: a body of a kind, a query, a request id, or how to change a token.
pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 12 {
        0 => taken::<wire::Spawn>(rest),
        1 => taken::<wire::Send>(rest),
        2 => taken::<wire::Resume>(rest),
        3 => taken::<wire::Rename>(rest),
        4 => taken::<wire::Land>(rest),
        5 => taken::<wire::Undo>(rest),
        6 => taken::<wire::AddProject>(rest),
        7 => taken::<wire::Error>(rest),
        8 => queries(&String::from_utf8_lossy(rest)),
        9 => ids(rest),
        11 => taken::<wire::CleanUp>(rest),
        _ => tokens(rest),
    }
}

fn taken<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    match body::<T>(bytes) {
        Ok(taken) => {
            let again = serde_json::to_vec(&taken).expect("wire types are JSON");
            assert_eq!(body::<T>(&again).expect("our own JSON"), taken);
        }
        Err(refused) => is_a_refusal(&refused, "bad_body"),
    }
}

fn queries(text: &str) {
    for refused in query(text).into_iter().flatten().filter_map(Result::err) {
        is_a_refusal(&refused, "bad_query");
    }
}

fn ids(value: &[u8]) {
    match request_id(value) {
        Some(Ok(id)) => {
            assert_eq!(id.as_bytes(), value, "an id is taken as it is");
            assert!((1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && !id.contains(['/', ' ']));
        }
        Some(Err(refused)) => is_a_refusal(&refused, "bad_request_id"),
        None => {}
    }
}

fn is_a_refusal((status, error): &Refused, code: &str) {
    assert!((400..500).contains(status), "{status}: whoever asked wrongly is told so");
    assert_eq!(error.code, code);
    is_a_line(&error.message, MESSAGE_CHARS_MAX);
    assert!(error.message.ends_with('.') && !error.hint.is_empty(), "{error:?}");
    assert!(!error.hint.contains(is_hostile));
}

/// A token that was given out is changed; what is still taken for one must be the very same.
fn tokens(choices: &[u8]) {
    let secret = [7; 32];
    let mut choices = Choices::new(choices);
    let (session, run) = (["abc", "abcdefgh", "a.b", ""][choices.below(4)], choices.below(256));
    let run = u32::try_from(run).expect("a byte fits");
    let mut token = issue(secret, session, run).into_bytes();
    while !choices.is_empty() && !token.is_empty() {
        let at = choices.below(token.len());
        let byte = u8::try_from(choices.below(256)).expect("a byte fits");
        match choices.below(4) {
            0 => token[at] = byte,
            1 => token.insert(at, byte),
            2 => drop(token.remove(at)),
            _ => token[at].make_ascii_uppercase(),
        }
    }
    let Ok(token) = String::from_utf8(token) else { return };
    if let Some((session, run)) = check(secret, &token) {
        assert_eq!(issue(secret, &session, run), token, "a run has one token");
    }
    assert_eq!(check([8; 32], &token), None, "another daemon's token is no token");
}
