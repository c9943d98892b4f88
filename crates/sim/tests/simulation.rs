//! Seeds in, nothing broken out.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oarlock_sim::{cases, invariants};

/// How long cases are tried when no number is given: a look in passing. `cargo xtask test` asks for many, in a release build.
const TIME: Duration = Duration::from_secs(5);

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
        return check(seed, only());
    }
    let (begun, cases) = (Instant::now(), number("OARLOCK_SIM_CASES"));
    let (next, failed) = (AtomicU64::new(number("OARLOCK_SIM_FROM").unwrap_or(0)), AtomicBool::new(false));
    let first = next.load(Ordering::Relaxed);
    let more = |seed: u64| cases.map_or_else(|| begun.elapsed() < TIME, |cases| seed - first < cases);
    let only = only();
    // Cases share nothing, so each core takes the next seed. The first failure ends all, and its thread tells the seed.
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !more(seed) || failed.load(Ordering::Relaxed) {
                return;
            }
            let failing = FailsUnless(&failed, false);
            check(seed, only);
            failing.holds();
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let tried = cases.unwrap_or_else(|| next.load(Ordering::Relaxed) - first);
    println!("{tried} cases in {:.1} s", begun.elapsed().as_secs_f32());
}

/// Notes a failure when it goes before it was told that all is well: a panic passes by here.
struct FailsUnless<'a>(&'a AtomicBool, bool);

impl FailsUnless<'_> {
    fn holds(mut self) {
        self.1 = true;
    }
}

impl Drop for FailsUnless<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

fn check(seed: u64, only: Option<&'static str>) {
    let mut setting = cases::setting_of(seed);
    setting.only = only;
    if let Err(failure) = cases::check(seed, setting) {
        panic!("{failure}");
    }
}
