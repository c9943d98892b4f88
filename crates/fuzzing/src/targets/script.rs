//! The scripted agent's script and keyboard: a script stays inside its workspace and its limits, and keys make the same texts
//! however they arrive.

use std::path::{Component, Path};
use std::time::Duration;

use oarlock_agents::scripted::{Step, parse};
use oarlock_term::fuzzing::detach;
use oarlock_world::fuzzing::keys;

use super::pieces;

/// Longest a step may take: a day.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);
/// Most bytes a step may print: 4 GiB.
const FLOOD_BYTES_MAX: u64 = 4 << 30;

/// The bytes are cut into pieces for the keyboard; the whole is the script.
pub fn run(data: &[u8]) {
    let (pieces, whole) = pieces(data);
    script(&String::from_utf8_lossy(whole));
    let texts = keys(pieces);
    assert_eq!(texts, keys([whole]), "keys are the same however they arrive");
    assert!(
        !texts.iter().any(|text| text.contains("\x1b[200~") || text.contains("\x1b[201~")),
        "the marks of a paste are no text: {texts:?}"
    );
    leaving(whole);
}

fn script(text: &str) {
    match parse(text) {
        Ok(steps) => steps.iter().for_each(is_within_limits),
        Err(says) => {
            let named = says.split('"').nth(1).is_none_or(|word| text.contains(word));
            assert!(!says.is_empty() && named, "{says:?} names what is no step");
        }
    }
}

fn is_within_limits(step: &Step) {
    match step {
        Step::Work(time) | Step::RateLimit(time) | Step::Spin(time) => assert!(*time <= WAIT_MAX),
        Step::Flood(bytes) => assert!(*bytes <= FLOOD_BYTES_MAX),
        Step::Write(path, _) | Step::Append(path, _) => {
            let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
            assert!(!path.is_empty() && Path::new(path).components().all(inside), "{path:?} leaves");
        }
        Step::Merge(branch) => assert!(!branch.is_empty() && !branch.starts_with('-'), "{branch:?}"),
        Step::Say(_)
        | Step::Commit(_)
        | Step::Ask(_)
        | Step::Question(_)
        | Step::Claim(_)
        | Step::ClaimPhase(_)
        | Step::HandOff(_)
        | Step::Approve(_)
        | Step::Object(_)
        | Step::Fail(_)
        | Step::Escapes
        | Step::HalfCharacter
        | Step::IgnoreTerm
        | Step::Orphan
        | Step::Hang
        | Step::Crash
        | Step::Exit(_) => {}
    }
}

/// A person's keys, who may leave by any control character.
fn leaving(keys: &[u8]) {
    let key = keys.first().map_or(0x1d, |byte| byte % 0x20);
    if let Some(at) = detach(keys, key) {
        assert!(keys[at] == key || keys[at] == 0x1b, "one leaves by the key, or by a sequence for it");
        assert_eq!(detach(&keys[..at], key), None, "and by the first of them");
    } else {
        assert!(!keys.contains(&key));
    }
}
