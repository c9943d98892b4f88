//! `cargo xtask surface`: the HTTP surface driven by its own document, with thousands of requests that somebody else thought
//! of: schemathesis, a property-based client.
//!
//! It must not know the endpoints: the document says them, and a new one is driven from its first day.

mod bridge;
mod client;
mod ground;

use std::time::{Duration, Instant};

use crate::shell;
use crate::tally::Step;
use bridge::Bridge;
use client::{Client, Round};
use ground::Ground;

/// Help.
pub const HELP: &str = "Drive the HTTP surface by its document with a property-based client

Usage: cargo xtask surface [--requests N] [--seed N]

Makes a temporary folder with a repository, a daemon of its own and sessions in many states, and has schemathesis make
at least N requests (10000 when not given) against it, wishes included. It fails on a server error, an answer that is
not as the document says, a request that hangs, an error in the daemon's log, and a daemon that did not live through it.
Left out are the operations that end the daemon or never end themselves; tests of the daemon have those.

Schemathesis is put into a virtual environment under target/ with python3 and pip. Without them this is skipped.";

/// Requests made when nothing else is asked for.
const REQUESTS: u64 = 10_000;
/// Rounds at most: each has a few thousand requests, and one that makes none must not be repeated for ever.
const ROUNDS_MAX: u64 = 50;
/// Longest all rounds may take together: a hundred requests a second is slow on any machine.
const TIME_MAX: Duration = Duration::from_secs(1800);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    requests: u64,
    seed: u64,
}

/// Drives the surface.
///
/// # Errors
/// When an argument is unknown, or something that is needed cannot be made.
pub fn run(args: &[String]) -> Result<bool, String> {
    let plan = plan(args)?;
    match drive(plan)? {
        Step::Passed(words) => {
            println!("{words}");
            Ok(true)
        }
        Step::Failed(text) => {
            print!("{text}");
            Ok(false)
        }
        Step::Skipped(why) => {
            println!("skipped: surface: {why}");
            Ok(true)
        }
    }
}

/// Drives the surface with this many requests, as a step of something larger.
///
/// # Errors
/// When something that is needed cannot be made.
pub fn step(requests: u64) -> Result<Step, String> {
    drive(Plan { requests, seed: 1 })
}

fn plan(args: &[String]) -> Result<Plan, String> {
    let mut plan = Plan { requests: REQUESTS, seed: 1 };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let number = || -> Result<u64, String> {
            let value = args.clone().next().and_then(|value| value.parse().ok());
            value.filter(|value| *value > 0).ok_or_else(|| format!("{arg} needs a number"))
        };
        match arg.as_str() {
            "--requests" => plan.requests = number()?,
            "--seed" => plan.seed = number()?,
            other => return Err(format!("surface does not take \"{other}\"")),
        }
        args.next();
    }
    Ok(plan)
}

fn drive(plan: Plan) -> Result<Step, String> {
    let client = match Client::find() {
        Ok(client) => client,
        Err(why) => return Ok(Step::Skipped(why)),
    };
    let built = shell::quiet(shell::cargo(&["build", "--quiet", "--package", "oarlock"]))?;
    if !built.ok {
        return Ok(Step::Failed(built.text));
    }
    let ground = Ground::new()?;
    let bridge = Bridge::start(&ground.socket()?)?;
    let begun = Instant::now();
    let (mut made, mut rounds) = (0, 0);
    while made < plan.requests {
        if rounds == ROUNDS_MAX || begun.elapsed() > TIME_MAX {
            return Ok(Step::Failed(format!("only {made} requests were made in {rounds} rounds\n")));
        }
        let round = client.round(&ground.round(&bridge, plan.seed + rounds), plan.requests - made)?;
        rounds += 1;
        if let Some(text) = fault(&ground, &round)? {
            let at =
                format!("In round {rounds}, of seed {}, after {made} requests:\n", plan.seed + rounds - 1);
            return Ok(Step::Failed(at + &text));
        }
        made += round.requests;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let sessions = ground.end()?;
    Ok(Step::Passed(format!(
        "{made} requests in {rounds} rounds and {seconds:.0} s over {} connections; {sessions} sessions stand; no fault",
        bridge.connections()
    )))
}

/// Says what was wrong in a round, if anything was.
fn fault(ground: &Ground, round: &Round) -> Result<Option<String>, String> {
    if !round.ok {
        return Ok(Some(format!("{}\n", round.text.trim_end())));
    }
    if let Some(why) = ground.trouble()? {
        return Ok(Some(format!("{why}\n")));
    }
    Ok((round.requests == 0).then(|| "the client made no request\n".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_and_nothing_else_taken() {
        let plan = |args: &[&str]| plan(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        assert_eq!(plan(&[]), Ok(Plan { requests: REQUESTS, seed: 1 }));
        assert_eq!(plan(&["--seed", "7", "--requests", "50"]), Ok(Plan { requests: 50, seed: 7 }));
        for wrong in [&["--requests"][..], &["--requests", "many"], &["--requests", "0"], &["--fast"], &["7"]]
        {
            assert!(plan(wrong).is_err(), "{wrong:?}");
        }
    }
}
