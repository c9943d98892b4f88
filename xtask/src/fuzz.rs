//! `cargo xtask fuzz`: the fuzzers under `fuzz/`, for a while each. What they find on the way is kept apart from the corpora
//! of the repository, which are only added to by hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tally::{Step, Tally};
use crate::{programs, shell};

/// Help.
pub const HELP: &str = "Run the fuzzers for a while each, beginning with the corpora that are kept

Usage: cargo xtask fuzz [--seconds N] [TARGET]...

Without a name, every target; N is 60 when missing. It needs cargo-fuzz (cargo install --locked cargo-fuzz), and is
skipped by name without it. What is found beyond fuzz/corpus is kept in target/fuzz/corpus, an input that breaks a
property in target/fuzz/artifacts. docs/fuzzing.md says what to do with one.";

/// How long each target runs, in seconds, unless it is said: long enough to try everything near what is kept.
const SECONDS: u32 = 60;
/// Longest input made, in bytes: the kept ones are shorter, and longer ones are slower and teach nothing new.
const INPUT_BYTES_MAX: u32 = 4096;
/// Most memory a fuzzer may use, in MiB: the parsers need a few, the rest is the sanitizer's.
const MEMORY_MIB_MAX: u32 = 1024;
/// Longest a single input may take, in seconds: it takes milliseconds.
const INPUT_SECONDS_MAX: u32 = 5;

/// Runs the targets named, or all.
///
/// # Errors
/// When an argument is wrong, or there is no such target.
pub fn run(args: &[String]) -> Result<bool, String> {
    let known = known(&shell::root())?;
    let (seconds, named) = wanted(args, &known)?;
    let mut tally = Tally::default();
    for target in &named {
        tally.step(target, || fuzz(target, seconds));
    }
    println!("fuzz: {}", tally.line());
    Ok(tally.failed == 0)
}

/// Returns the targets there are: each has a program.
fn known(root: &Path) -> Result<Vec<String>, String> {
    let folder = root.join("fuzz/fuzz_targets");
    let failed = |error: std::io::Error| format!("failed to read {}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Reads the arguments: how long, and which targets.
fn wanted(args: &[String], known: &[String]) -> Result<(u32, Vec<String>), String> {
    let mut seconds = SECONDS;
    let mut named = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--seconds" {
            let number = rest.next().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
            seconds = number.ok_or("--seconds takes a number of seconds, from 1")?;
        } else if known.contains(arg) {
            named.push(arg.clone());
        } else {
            return Err(format!("there is no target \"{arg}\"; there are {}", known.join(", ")));
        }
    }
    Ok((seconds, if named.is_empty() { known.to_vec() } else { named }))
}

fn fuzz(target: &str, seconds: u32) -> Result<Step, String> {
    if programs::find("cargo-fuzz").is_none() {
        let why = "cargo-fuzz is not installed (cargo install --locked cargo-fuzz)";
        return Ok(Step::Skipped(why.to_owned()));
    }
    let (command, artifacts) = command(target, seconds)?;
    let ran = shell::quiet(command)?;
    let last = |word: &str| ran.text.lines().rev().find(|line| line.contains(word)).unwrap_or_default();
    Ok(match ran.ok {
        true => Step::Passed(last("DONE").trim().to_owned()),
        false => Step::Failed(format!("{}\nIts inputs are in {}", tail(&ran.text), artifacts.display())),
    })
}

/// Returns the end of what a fuzzer said: what broke, and where the input is.
fn tail(text: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

fn command(target: &str, seconds: u32) -> Result<(Command, PathBuf), String> {
    let made = shell::root().join("target/fuzz");
    let (corpus, artifacts) = (made.join("corpus").join(target), made.join("artifacts").join(target));
    for folder in [&corpus, &artifacts] {
        let failed = |error| format!("failed to make {}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut command = shell::cargo(&["fuzz", "run", target]);
    // New inputs go to the first folder; the second is only read.
    command.arg(&corpus).arg(format!("fuzz/corpus/{target}")).arg("--");
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={INPUT_BYTES_MAX}"));
    command.arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}")).arg(format!("-timeout={INPUT_SECONDS_MAX}"));
    command.arg(format!("-artifact_prefix={}/", artifacts.display())).arg("-print_final_stats=1");
    command.env("CARGO_TARGET_DIR", &made);
    // Coverage and the sanitizer are unstable flags of the compiler; this lets a stable one take them.
    command.env("RUSTC_BOOTSTRAP", "1");
    Ok((command, artifacts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<(u32, Vec<String>), String> {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        wanted(&owned(args), &owned(&["feed", "words"]))
    }

    #[test]
    fn all_targets_run_unless_some_are_named() {
        assert_eq!(read(&[]), Ok((SECONDS, vec!["feed".into(), "words".into()])));
        assert_eq!(read(&["words", "--seconds", "5"]), Ok((5, vec!["words".into()])));
    }

    #[test]
    fn what_is_no_target_and_no_time_is_an_error() {
        assert!(read(&["wrods"]).unwrap_err().contains("feed, words"));
        for args in [&["--seconds"][..], &["--seconds", "0"], &["--seconds", "soon"]] {
            assert!(read(args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn every_target_there_is_has_a_program() {
        assert!(known(&shell::root()).unwrap().contains(&"fold".to_owned()));
    }
}
