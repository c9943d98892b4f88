//! What Codex's own record of a conversation says that no hook does: that a turn failed, and when a limit ends.

use oarlock_core::ids::Timestamp;
use oarlock_core::session::fact::{Observation, TurnEnd};
use serde::Deserialize;

use super::failure::{Failure, Limits};
use crate::Hooked;
use crate::part::{Raw, Word, read as part};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(rename = "type", borrow)]
    kind: Word<'a>,
    #[serde(borrow)]
    payload: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Word<'a>,
    #[serde(borrow)]
    error: Option<Failure<'a>>,
    #[serde(borrow)]
    rate_limits: Raw<'a>,
}

/// Reads one line. How a turn ends well, and what it used, hooks tell.
pub fn read(line: &[u8]) -> Hooked {
    let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { return Hooked::default() };
    if &*line.kind != "event_msg" {
        return Hooked::default();
    }
    let event: Event<'_> = part(line.payload);
    match (&*event.kind, event.error) {
        ("task_complete", Some(failure)) => {
            Hooked::one(Observation::TurnEnded(TurnEnd::Error(failure.class().into())))
        }
        ("token_count", _) => {
            let limits: Limits<'_> = part(event.rate_limits);
            let until = limits.until_s().map(|seconds| Timestamp(seconds.saturating_mul(1000)));
            let reached = limits.is_reached().then_some(Observation::RateLimited { until });
            Hooked { seen: reached.into_iter().collect(), ..Hooked::default() }
        }
        _ => Hooked::default(),
    }
}
