//! Seeds in, nothing broken out.

use std::time::{Duration, Instant};

use oarlock_sim::{cases, invariants};

/// How long cases are tried when no number is given.
const TIME: Duration = Duration::from_secs(20);

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

/// Returns the one invariant to ask, when `OARLOCK_SIM_ONLY` names it.
fn only() -> Option<&'static str> {
    let wanted = std::env::var("OARLOCK_SIM_ONLY").ok()?;
    let known = invariants::ALL.iter().map(|(name, _)| *name).find(|name| *name == wanted);
    Some(known.unwrap_or_else(|| panic!("there is no invariant {wanted}")))
}

#[test]
fn every_invariant_holds_in_every_world() {
    if let Some(seed) = number("OARLOCK_SIM_SEED") {
        return check(seed);
    }
    let begun = Instant::now();
    let cases = number("OARLOCK_SIM_CASES");
    let more = |seed: u64| cases.map_or_else(|| begun.elapsed() < TIME, |cases| seed < cases);
    let mut seed = 0;
    while more(seed) {
        check(seed);
        seed += 1;
    }
    println!("{seed} cases in {:.1} s", begun.elapsed().as_secs_f32());
}

fn check(seed: u64) {
    let mut setting = cases::setting_of(seed);
    setting.only = only();
    if let Err(failure) = cases::check(seed, setting) {
        panic!("{failure}");
    }
}
