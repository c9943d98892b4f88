//! `cargo xtask test`: everything that CI runs, counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use crate::check::FEATURES;
use crate::tally::{Step, Tally};
use crate::{agents, check, programs, shell, surface};

/// Help.
pub const HELP: &str =
    "Run checks, tests, documentation examples, the demo, the HTTP surface, and real agents

Usage: cargo xtask test [--no-check] [--all]

Of the real agents those that are quick to start are held; --all goes on with the others: 15 minutes more at most, and
2.6 GB of programs. CI holds the quick ones.
The last line counts what passed, failed and was skipped. Before it stands what could not run, and why.
Tests run under cargo-nextest when it is installed, under cargo otherwise.";

/// Packages whose tests work on real repositories, and those whose tests need util-linux.
const NEEDS_GIT: &[&str] = &["oarlock-world", "oarlock-daemon", "oarlock"];
const NEEDS_SETSID: &[&str] = &["oarlock-term", "oarlock-world", "oarlock"];
/// Cases that the simulator plays.
const SIM_CASES: &str = "100000";
/// Longest the demo may take: people wait for it.
const DEMO_MAX: Duration = Duration::from_secs(60);
/// Requests to the HTTP surface: a minute or two on a small machine.
const SURFACE_REQUESTS: u64 = 10_000;
/// Longest the slow agents may take, beside their installation: CI is to be over within an hour on two cores.
const HEAVY_MAX: Duration = Duration::from_secs(15 * 60);
/// Lines of the demo that are shown: it ends with its summary.
const DEMO_LINES: usize = 40;

/// How lines begin that say nothing when all is well.
const TALK: &[&str] =
    &["Compiling ", "Running ", "Doc-tests ", "running ", "test result: ok", "Finished ", "Executable "];

/// What a run of tests says in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Runs all of it.
///
/// # Errors
/// When an argument is unknown.
pub fn run(args: &[String]) -> Result<bool, String> {
    let has = |wanted: &str| args.iter().any(|arg| arg == wanted);
    if args.iter().any(|arg| !["--no-check", "--all"].contains(&arg.as_str())) {
        return Err(format!("test takes --no-check, --all or nothing, not {args:?}"));
    }
    let begun = Instant::now();
    let mut tally = Tally::default();
    if !has("--no-check") {
        check::steps(&mut tally, |_| true);
    }
    let git = programs::git_trouble();
    tally.step("build", || passes(&["build", "--quiet", "--workspace", "--bins", "--features", FEATURES]));
    tests(&mut tally, git.as_deref());
    examples(&mut tally);
    tally.step("simulator", simulate);
    tally.step("release build", || passes(&["build", "--quiet", "--release"]));
    tally.step("demo", || demo(git.as_deref()));
    tally.step("surface", || match &git {
        Some(why) => Ok(Step::Skipped(why.clone())),
        None => surface::step(SURFACE_REQUESTS),
    });
    tally.step("real agents", || real_agents(agents::Lane::Light));
    if has("--all") {
        tally.step("real agents, the slow ones", || real_agents(agents::Lane::Heavy));
    }
    ignored(&mut tally);
    report(&tally, begun.elapsed());
    Ok(tally.failed == 0)
}

fn report(tally: &Tally, took: Duration) {
    println!("\nIt took {} min {} s.", took.as_secs() / 60, took.as_secs() % 60);
    for (name, why) in &tally.absent {
        println!("skipped: {name}: {why}");
    }
    for name in &tally.failures {
        println!("failed: {name}");
    }
    println!("{}", tally.line());
}

fn passes(args: &[&str]) -> Result<Step, String> {
    let ran = shell::quiet(shell::cargo(args))?;
    Ok(if ran.ok { Step::Passed(String::new()) } else { Step::Failed(ran.text) })
}

/// Runs the tests of every package that can run here.
fn tests(tally: &mut Tally, git: Option<&str>) {
    let nextest = programs::find("cargo-nextest").is_some();
    let name = if nextest { "tests (cargo-nextest)" } else { "tests (cargo)" };
    let mut args =
        if nextest { vec!["nextest", "run", "--no-fail-fast"] } else { vec!["test", "--no-fail-fast"] };
    args.extend(["--workspace", "--features", FEATURES]);
    if nextest {
        args.extend(["--color", "never"]);
    } else {
        // Documentation examples are counted by themselves.
        args.extend(["--lib", "--bins", "--tests"]);
    }
    for (package, why) in &excluded(git) {
        args.extend(["--exclude", *package]);
        tally.skip(&format!("tests of {package}"), why);
    }
    let read = if nextest { nextest_counts } else { cargo_counts };
    suite(tally, name, &args, read);
}

/// Returns the packages whose tests cannot run here, and why.
fn excluded(git: Option<&str>) -> BTreeMap<&'static str, String> {
    let mut excluded = BTreeMap::new();
    if programs::find("setsid").is_none() {
        let why = "setsid, of util-linux, is not installed";
        excluded.extend(NEEDS_SETSID.iter().map(|package| (*package, why.to_owned())));
    }
    if let Some(why) = git {
        excluded.extend(NEEDS_GIT.iter().map(|package| (*package, why.to_owned())));
    }
    excluded
}

fn examples(tally: &mut Tally) {
    suite(tally, "documentation examples", &["test", "--doc", "--workspace", "--no-fail-fast"], cargo_counts);
}

/// Has oarlock hold the real agents of a lane; where they cannot be had, says so.
fn real_agents(lane: agents::Lane) -> Result<Step, String> {
    if let agents::Stage::Absent(why) = agents::stage(lane)? {
        return Ok(Step::Skipped(why));
    }
    let mut command = agents::tests(lane);
    if lane == agents::Lane::Heavy {
        let until = SystemTime::now() + HEAVY_MAX;
        let until_s = until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        // What begins later fails at once: to cut tests off in their middle would leave their agents behind.
        command.env("OARLOCK_AGENTS_UNTIL_S", until_s.to_string());
    }
    let ran = shell::quiet(command)?;
    Ok(if ran.ok { Step::Passed(String::new()) } else { Step::Failed(ran.text) })
}

/// Plays random cases in the simulator, with the compiler's help: a hundred thousand in a minute or two.
fn simulate() -> Result<Step, String> {
    let mut command = shell::cargo(&["test", "--quiet", "--release", "--package", "oarlock-sim"]);
    command.args(["--test", "simulation", "--", "--nocapture"]).env("OARLOCK_SIM_CASES", SIM_CASES);
    let ran = shell::quiet(command)?;
    if !ran.ok {
        return Ok(Step::Failed(ran.text));
    }
    let counted = ran.text.lines().find(|line| line.contains(" cases in ")).unwrap_or_default();
    Ok(Step::Passed(counted.trim().to_owned()))
}

/// Runs a suite aloud and adds what it counted. One that fails without a failed test has not even begun.
fn suite(tally: &mut Tally, name: &str, args: &[&str], read: fn(&str) -> Option<Counts>) {
    println!("running  {name}");
    let begun = Instant::now();
    // What passes needs no words of cargo's; a slow or failing test is shown as it comes.
    let is_talk = |line: &str| {
        line.trim().is_empty()
            || line.ends_with(" ... ok")
            || TALK.iter().any(|t| line.trim_start().starts_with(t))
    };
    let ran = match shell::aloud(shell::cargo(args), is_talk) {
        Ok(ran) => ran,
        Err(why) => {
            println!("FAILED   {name}: {why}");
            return tally.fail(name);
        }
    };
    let counts = read(&ran.text).unwrap_or_default();
    tally.passed += counts.passed;
    tally.skipped += counts.skipped;
    let seconds = begun.elapsed().as_secs_f64();
    let Counts { passed, failed, skipped } = counts;
    let words = format!("{name}: {passed} passed, {failed} failed, {skipped} skipped ({seconds:.1} s)");
    if ran.ok {
        println!("ok       {words}");
        return;
    }
    println!("FAILED   {words}");
    tally.failures.push(name.to_owned());
    tally.failed += counts.failed.max(1);
}

/// Reads the last summary of cargo-nextest, such as `Summary [ 1.2s] 12 tests run: 10 passed (1 slow), 2 failed, 3 skipped`.
fn nextest_counts(text: &str) -> Option<Counts> {
    let line = text.lines().rev().find(|line| line.trim_start().starts_with("Summary ["))?;
    let (_, list) = line.split_once("run: ")?;
    let mut counts = Counts::default();
    // What stands in brackets is counted in the number before them.
    let plain: String =
        list.split('(').map(|part| part.split_once(')').map_or(part, |(_, rest)| rest)).collect();
    for part in plain.split(',') {
        let mut words = part.split_whitespace();
        let Some(number) = words.next().and_then(|number| number.parse::<u64>().ok()) else { continue };
        match words.next() {
            Some("passed") => counts.passed += number,
            Some("skipped") => counts.skipped += number,
            Some(_) => counts.failed += number,
            None => {}
        }
    }
    Some(counts)
}

/// Counts the lines of tests, such as `test a::b ... ok`. Harnesses of our own write them too, and no summary of cargo's.
fn cargo_counts(text: &str) -> Option<Counts> {
    let mut counts = None;
    for line in text.lines().filter_map(|line| line.strip_prefix("test ")) {
        let Some((_, ending)) = line.rsplit_once(" ... ") else { continue };
        let counts = counts.get_or_insert(Counts::default());
        match ending.split([' ', ',']).next() {
            Some("ok") => counts.passed += 1,
            Some("FAILED") => counts.failed += 1,
            Some("ignored") => counts.skipped += 1,
            _ => {}
        }
    }
    counts
}

/// Runs the demo as the README says, in a home of its own, and shows how it ended.
fn demo(git: Option<&str>) -> Result<Step, String> {
    if let Some(why) = git {
        return Ok(Step::Skipped(why.to_owned()));
    }
    let begun = Instant::now();
    let ran = shell::quiet(shell::cargo(&["run", "--quiet", "--release", "--", "demo"]))?;
    let took = begun.elapsed();
    let lines: Vec<&str> = ran.text.lines().collect();
    let end = lines[lines.len().saturating_sub(DEMO_LINES)..].join("\n");
    if !ran.ok {
        return Ok(Step::Failed(ran.text));
    }
    println!("{end}");
    if took > DEMO_MAX {
        return Ok(Step::Failed(format!(
            "the demo took {} s, and {} s is the most",
            took.as_secs(),
            DEMO_MAX.as_secs()
        )));
    }
    Ok(Step::Passed(String::new()))
}

/// Names the tests that are ignored in the source; the suites have counted them.
fn ignored(tally: &mut Tally) {
    let mut command = shell::command("git");
    command.args(["grep", "--untracked", "-n", "-E", "^ *#\\[ignore = ", "--", "*.rs"]);
    let Ok(ran) = shell::quiet(command) else { return };
    for line in ran.text.lines().filter(|_| ran.ok) {
        let Some((place, reason)) = line.split_once("#[ignore = ") else { continue };
        let reason = reason.trim_matches(['"', ']']);
        tally.absent.push((place.trim().trim_end_matches(':').to_owned(), reason.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_nextest_is_read() {
        let counts = |passed, failed, skipped| Some(Counts { passed, failed, skipped });
        let line = "     Summary [   1.234s] 12 tests run: 10 passed (1 slow, 2 flaky), 2 failed, 1 timed out, 3 skipped\n";
        assert_eq!(nextest_counts(line), counts(10, 3, 3));
        assert_eq!(nextest_counts("  Summary [ 0.1s] 7 tests run: 7 passed, 0 skipped\n"), counts(7, 0, 0));
        assert_eq!(
            nextest_counts("  Summary [ 0.1s] 3/7 tests run: 2 passed, 1 failed, 0 skipped\n"),
            counts(2, 1, 0)
        );
        assert_eq!(nextest_counts("error: could not compile\n"), None);
    }

    #[test]
    fn the_tests_that_cargo_names_are_counted() {
        let text = "running 3 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest src/a.rs - d (line 3) - compile fail ... ok\n\
            test e ... ignored, needs a network\ntest f has been running for over 60 seconds\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out\n\
            test spec/session/x ... ok\n";
        assert_eq!(cargo_counts(text), Some(Counts { passed: 3, failed: 1, skipped: 1 }));
        assert_eq!(cargo_counts("nothing ran"), None);
    }
}
