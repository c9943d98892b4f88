//! `cargo xtask check`: everything that can be said of the source without running the product.

use std::process::Command;

use crate::tally::{Step, Tally};
use crate::{graph, programs, shell, tidy};

/// Help.
pub const HELP: &str = "Check format, lints, crate graph, docs, dependencies and the repository itself

Usage: cargo xtask check [STEP]...

Steps, in order: fmt clippy graph core docs licences advisories unused tidy. Without a name, all of them.
Every step is run, and the verb fails at the end if any did. \"licences\" and \"advisories\" need cargo-deny,
\"unused\" needs cargo-machete; what is not installed is skipped by name.";

/// A step: its name, and what does it.
type Named = (&'static str, fn() -> Result<Step, String>);

const STEPS: &[Named] = &[
    ("fmt", fmt),
    ("clippy", clippy),
    ("graph", crate_graph),
    ("core", core_is_no_std),
    ("docs", docs),
    ("licences", licences),
    ("advisories", advisories),
    ("unused", unused),
    ("tidy", tidiness),
];

/// The part of our own that cargo builds only when asked; the lints and the tests look at it, too.
pub const FEATURES: &str = "xtask/bench";

/// Runs the steps named, or all, and prints a summary.
///
/// # Errors
/// When there is no such step.
pub fn run(args: &[String]) -> Result<bool, String> {
    if let Some(unknown) = args.iter().find(|arg| !STEPS.iter().any(|(name, _)| name == arg)) {
        return Err(format!("there is no step \"{unknown}\"; see \"cargo xtask check --help\""));
    }
    let mut tally = Tally::default();
    steps(&mut tally, |name| args.is_empty() || args.iter().any(|arg| arg == name));
    println!("check: {}", tally.line());
    if !tally.failures.is_empty() {
        println!("failed: {}", tally.failures.join(", "));
    }
    Ok(tally.failed == 0)
}

/// Runs the steps that are wanted and counts them.
pub fn steps(tally: &mut Tally, wanted: impl Fn(&str) -> bool) {
    for (name, act) in STEPS.iter().filter(|(name, _)| wanted(name)) {
        tally.step(name, act);
    }
}

fn passes(command: Command) -> Result<Step, String> {
    let ran = shell::quiet(command)?;
    Ok(if ran.ok { Step::Passed(String::new()) } else { Step::Failed(ran.text) })
}

fn fmt() -> Result<Step, String> {
    let ran = shell::quiet(shell::cargo(&["fmt", "--all", "--check", "--", "-l", "--color", "never"]))?;
    Ok(match ran.ok {
        true => Step::Passed(String::new()),
        false => Step::Failed(format!("{}\"cargo fmt --all\" mends it", ran.text)),
    })
}

fn clippy() -> Result<Step, String> {
    let args = ["clippy", "--quiet", "--workspace", "--all-targets", "--features", FEATURES];
    let mut command = shell::cargo(&args);
    command.args(["--", "-D", "warnings"]);
    passes(command)
}

fn crate_graph() -> Result<Step, String> {
    let (faults, arrows) = graph::faults()?;
    Ok(if faults.is_empty() {
        Step::Passed(format!("{arrows} arrows"))
    } else {
        Step::Failed(faults.join("\n"))
    })
}

fn core_is_no_std() -> Result<Step, String> {
    let path = "crates/core/src/lib.rs";
    let text = std::fs::read_to_string(shell::root().join(path))
        .map_err(|error| format!("failed to read {path}: {error}"))?;
    let has = |words: &str| text.lines().any(|line| line.trim() == words);
    if !has("#![no_std]") {
        return Ok(Step::Failed(format!(
            "{path} lacks #![no_std]: the core does no IO, and the compiler shows it"
        )));
    }
    if has("extern crate std;") {
        return Ok(Step::Failed(format!("{path} brings std back in: the core does no IO")));
    }
    Ok(Step::Passed(String::new()))
}

fn docs() -> Result<Step, String> {
    let mut command = shell::cargo(&["doc", "--quiet", "--no-deps", "--workspace"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    passes(command)
}

/// Says that a tool is missing, and how to get it.
fn without(tool: &str) -> Option<Step> {
    let missing = programs::find(tool).is_none();
    missing.then(|| Step::Skipped(format!("{tool} is not installed (cargo install --locked {tool})")))
}

fn licences() -> Result<Step, String> {
    if let Some(skipped) = without("cargo-deny") {
        return Ok(skipped);
    }
    passes(shell::cargo(&["deny", "--color", "never", "check", "licenses", "bans", "sources"]))
}

fn advisories() -> Result<Step, String> {
    if let Some(skipped) = without("cargo-deny") {
        return Ok(skipped);
    }
    let fetched = shell::quiet(shell::cargo(&["deny", "--color", "never", "fetch", "db"]))?;
    if !fetched.ok {
        let why = fetched.text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no word why");
        return Ok(Step::Skipped(format!("the database cannot be had: {}", why.trim())));
    }
    passes(shell::cargo(&["deny", "--color", "never", "check", "--disable-fetch", "advisories"]))
}

fn unused() -> Result<Step, String> {
    if let Some(skipped) = without("cargo-machete") {
        return Ok(skipped);
    }
    passes(shell::cargo(&["machete"]))
}

fn tidiness() -> Result<Step, String> {
    let (findings, files) = tidy::findings()?;
    if findings.is_empty() {
        return Ok(Step::Passed(format!("{files} files")));
    }
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    Ok(Step::Failed(format!("{}\n{} findings", lines.join("\n"), findings.len())))
}
