//! The project's own tooling: what CI runs, and what a person runs before a commit. One file per verb.
//!
//! It must not be needed to build or to use oarlock.

// A program for terminals and CI logs: its standard output is what it is for.
#![allow(clippy::print_stdout)]

mod agents;
mod bench;
mod check;
mod fuzz;
mod graph;
mod openapi;
mod programs;
mod shell;
mod surface;
mod tally;
mod test;
mod tidy;

use std::process::ExitCode;

/// A verb: its name, its help, and what carries it out with the arguments that follow.
struct Verb {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<bool, String>,
}

const VERBS: &[Verb] = &[
    Verb { name: "check", help: check::HELP, run: check::run },
    Verb { name: "tidy", help: tidy::HELP, run: tidy::run },
    Verb { name: "test", help: test::HELP, run: test::run },
    Verb { name: "openapi", help: openapi::HELP, run: openapi::run },
    Verb { name: "fuzz", help: fuzz::HELP, run: fuzz::run },
    Verb { name: "surface", help: surface::HELP, run: surface::run },
    Verb { name: "agents", help: agents::HELP, run: agents::run },
    Verb { name: "bench", help: bench::HELP, run: bench::run },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = args.split_first() else {
        print!("{}", listing());
        return ExitCode::SUCCESS;
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", listing());
        return ExitCode::SUCCESS;
    }
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        eprint!("error: there is no verb \"{name}\".\n\n{}", listing());
        return ExitCode::from(2);
    };
    if rest.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("cargo xtask {}\n\n{}", verb.name, verb.help);
        return ExitCode::SUCCESS;
    }
    match (verb.run)(rest) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn listing() -> String {
    let mut text = "Usage: cargo xtask VERB [--help]\n\n".to_owned();
    for verb in VERBS {
        let first = verb.help.lines().next().unwrap_or_default();
        text.push_str(&format!("  {:<8} {first}\n", verb.name));
    }
    text
}
