//! Self-examination: what oarlock needs around it, and whether its own state is whole. Reads only.
//!
//! Each finding has a name that stays, and a remedy where there is one. What was found is told apart from what is made of it, so that
//! the judgement can be tried without the fault.

mod agents;
mod log;
mod surroundings;
mod system;

use oarlock_api::place::Place;
use oarlock_api::wire::Check;

fn check(name: &str, result: &str, text: impl Into<String>, hint: impl Into<String>) -> Check {
    Check { name: name.into(), result: result.into(), text: text.into(), hint: hint.into() }
}

/// Examines the surroundings and the state; `verify` also replays the whole log.
#[must_use]
pub fn examine(place: &Place, running: bool, verify: bool) -> Vec<Check> {
    // Agents are asked for their versions while the rest is looked at: some take seconds.
    let asked = agents::ask();
    let mut checks = surroundings::all(place, running);
    let known = log::remembered(place);
    checks.extend(system::all(place, known.as_ref().map(|(crew, at)| (crew, *at))));
    checks.extend(log::log(place, verify));
    checks.extend(agents::all(asked, known.as_ref().map(|(crew, _)| crew)));
    checks
}
