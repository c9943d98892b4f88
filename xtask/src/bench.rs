//! `cargo xtask bench`: whole commands, each measured beside what it is compared with, in the same run.
//!
//! Nothing is asserted: a table comes out, and people judge. The benches are built only for this verb, in release.

#[cfg(feature = "bench")]
mod append;
#[cfg(feature = "bench")]
mod boot;
#[cfg(feature = "bench")]
mod feed;
#[cfg(feature = "bench")]
mod flood;
#[cfg(feature = "bench")]
mod ground;
#[cfg(feature = "bench")]
mod hook;
#[cfg(feature = "bench")]
mod http;
#[cfg(feature = "bench")]
mod idle;
#[cfg(feature = "bench")]
mod judged;
#[cfg(feature = "bench")]
mod list;
#[cfg(feature = "bench")]
mod parse;
#[cfg(feature = "bench")]
mod proc;
#[cfg(feature = "bench")]
mod recover;
#[cfg(feature = "bench")]
mod replay;
#[cfg(feature = "bench")]
mod spawn;
#[cfg(feature = "bench")]
mod spinners;
#[cfg(feature = "bench")]
mod suite;
#[cfg(feature = "bench")]
mod table;
#[cfg(feature = "bench")]
mod thousand;
#[cfg(feature = "bench")]
mod tmux;

/// Help.
pub const HELP: &str = "Measure whole commands of the release build beside their peers

Usage: cargo xtask bench [--quick] [--json] [--row NAME]... [--list]

--quick repeats less, --row picks rows, --list names them, --json prints the table as JSON. Everything takes place in
temporary folders with a home and a state of their own; what was started there is ended, by id, also after Ctrl-C.
Ratios are ours to the peer's. An aim is what we want to see on a quiet machine; nothing fails when it is missed.";

/// Measures, after building what is measured.
///
/// # Errors
/// When it cannot be built, or an argument is unknown.
#[cfg(feature = "bench")]
pub fn run(args: &[String]) -> Result<bool, String> {
    suite::run(args)
}

/// Builds the release program and the benches, and becomes them.
///
/// # Errors
/// When one cannot be built.
#[cfg(not(feature = "bench"))]
pub fn run(args: &[String]) -> Result<bool, String> {
    use crate::{check, shell};
    use std::os::unix::process::CommandExt;
    use std::process::Stdio;

    // Standard output is for the table alone, so that --json can be read by a program.
    eprintln!("Building the release program and the benches.");
    for args in [
        &["build", "--quiet", "--release"][..],
        &["build", "--quiet", "--release", "--package", "xtask", "--features", check::FEATURES],
    ] {
        let ran = shell::quiet(shell::cargo(args))?;
        if !ran.ok {
            return Err(format!("cargo {} failed:\n{}", args.join(" "), ran.text));
        }
    }
    let mut command = shell::cargo(&["run", "--quiet", "--release", "--package", "xtask"]);
    command.args(["--features", check::FEATURES, "--", "bench"]).args(args).stdin(Stdio::null());
    // In place of this process: Ctrl-C must reach the one that cleans up, and be waited for.
    Err(format!("failed to run cargo: {}", command.exec()))
}
