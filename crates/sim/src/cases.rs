//! Cases from seeds: a seed gives a script of moves, the script a case, and a failing script is made short.
//!
//! Scripts come from proptest, which shrinks them by leaving moves out; its generator is seeded by hand so that one
//! number names a case for ever.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::moves::Move;
use crate::scenario::{Broken, Scenario, Setting};
use crate::world::Typist;

/// Moves of the longest script: enough for a few sessions to live, die and come back.
const MOVES_MAX: usize = 400;
/// Attempts to make a failing script shorter, unless `OARLOCK_SIM_SHRINKS` says otherwise: whoever plants faults by the
/// hundred wants to know that one is noticed, not how.
const SHRINKS_MAX: u32 = 4_000;

/// A case that broke an invariant.
#[derive(Debug)]
pub struct Failure {
    /// The seed, for `OARLOCK_SIM_SEED`.
    pub seed: u64,
    /// What broke.
    pub broken: Broken,
    /// The shortest script found that breaks it.
    pub script: Vec<Move>,
    /// What happened in it, a line each.
    pub story: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.story {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "{} does not hold: {}", self.broken.invariant, self.broken.says)?;
        writeln!(f, "shortest script: {:?}", self.script)?;
        write!(f, "again: OARLOCK_SIM_SEED={} cargo test -p oarlock-sim --test simulation", self.seed)
    }
}

/// Returns the setting of a seed: odd seeds have hosts that type whatever they are given, and a quarter of all cases
/// begin with a crowd.
#[must_use]
pub fn setting_of(seed: u64) -> Setting {
    let typist = if seed.is_multiple_of(2) { Typist::Remembers } else { Typist::TypesAnything };
    Setting { typist, crowded: seed % 4 == 3, ..Setting::default() }
}

/// Plays a script to its end and lets the world come to rest; even lengths restart the daemon before that.
///
/// # Errors
/// What broke first, with the story.
pub fn play(script: &[Move], setting: Setting) -> Result<Scenario, (Broken, Vec<String>)> {
    let mut scenario = Scenario::new(setting);
    let mut run = || -> Result<(), Broken> {
        if setting.crowded {
            scenario.crowd()?;
        }
        for next in script {
            scenario.play(*next)?;
        }
        if script.len().is_multiple_of(2) {
            scenario.crash()?;
        }
        scenario.rest()
    };
    match run() {
        Ok(()) => Ok(scenario),
        Err(broken) => Err((broken, scenario.story)),
    }
}

/// Returns the script of a seed.
#[must_use]
pub fn script_of(seed: u64) -> Vec<Move> {
    seeded(seed).1.current()
}

/// Returns the generator of a seed, and the script it makes, which can be made shorter.
fn seeded(seed: u64) -> (TestRunner, impl ValueTree<Value = Vec<Move>>) {
    let shrinks = std::env::var("OARLOCK_SIM_SHRINKS").ok().and_then(|text| text.parse().ok());
    let max_shrink_iters = shrinks.unwrap_or(SHRINKS_MAX);
    let config = Config { failure_persistence: None, max_shrink_iters, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let tree = vec(any::<Move>(), 0..MOVES_MAX).new_tree(&mut runner).expect("any bytes are a script");
    (runner, tree)
}

/// Plays the case of a seed.
///
/// # Errors
/// What broke, in the shortest script found.
pub fn check(seed: u64, setting: Setting) -> Result<(), Box<Failure>> {
    let (mut runner, tree) = seeded(seed);
    let fails = |script: Vec<Move>| {
        play(&script, setting).map(drop).map_err(|(broken, _)| TestCaseError::fail(broken.invariant))
    };
    let Err(error) = runner.run_one(tree, fails) else { return Ok(()) };
    let script = match error {
        TestError::Fail(_, script) => script,
        TestError::Abort(_) => script_of(seed),
    };
    let again = play(&script, Setting { told: true, ..setting });
    let unsure =
        || (Broken { invariant: "the simulator itself", says: "it fails only at times".into() }, vec![]);
    let (broken, story) = again.err().unwrap_or_else(unsure);
    Err(Box::new(Failure { seed, broken, script, story }))
}
