//! `cargo xtask agents`: real agent programs in pinned versions, for tests that drive them against a scripted model.
//!
//! It installs and finds them; how one is told where its model is, is the business of `crates/model`. It must not be
//! needed to build or to test oarlock: where nothing can be installed it says so with an exit code of its own.

mod install;
mod table;
mod tries;

use std::path::PathBuf;
use std::process::Command;

use crate::shell;
use table::{Package, TABLE};

/// Help.
pub const HELP: &str = "Install real agent programs in pinned versions, find them, try them

Usage: cargo xtask agents install [--light | --all] [NAME]...
       cargo xtask agents which NAME
       cargo xtask agents list
       cargo xtask agents try [NAME]...
       cargo xtask agents test [--all]
       cargo xtask agents accuracy [NAME]...
       cargo xtask agents record [NAME]...

install  brings them, and the Node they run on, into target/agents; what is there is left alone. Without a name it
         brings those that are quick to start (--light); --all brings the rest too, 2.6 GB in all.
which    prints the path of the program.
list     prints each name, its version, and whether it is installed.
try      has each that is installed, or those named, do a task against a scripted model, and looks at the commit.
test     installs them, then has oarlock hold each and looks at what it says of them: the quick ones, or with --all every one.
accuracy measures what oarlock says of each that is installed, or of those named, against what they do, a minute or two for
         each way to hold one, and writes docs/status-accuracy.md; figures of those not measured now stay in it. It counts only
         on a machine that does nothing else.
record   renews the samples under spec/samples whose names have the word recorded in them, of each that is installed or of those
         named, and says what differs. OARLOCK_UPDATE=1 cargo test -p oarlock-agents then renews what is read in them.

OARLOCK_AGENTS names another folder. Exit code 69: it cannot be installed here, because npm or Python is missing or a
package registry cannot be reached; a stage that needs them can then be skipped.";

/// What a machine says that has no way to the packages: `EX_UNAVAILABLE` of sysexits.
const UNAVAILABLE: i32 = 69;

/// Why nothing came of it.
#[derive(Debug)]
pub enum Trouble {
    /// It cannot be had on this machine at this time, and nobody is to blame.
    Unavailable(String),
    /// It failed.
    Failed(String),
}

/// Carries out what is asked for.
///
/// # Errors
/// When an argument is unknown, or it fails. Where nothing can be installed the process ends with its own code.
pub fn run(args: &[String]) -> Result<bool, String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["install", rest @ ..] => done(wanted(rest).map_err(Trouble::Failed).and_then(|p| install::all(&p))),
        ["which", name] => which(named(name)?),
        ["list"] => list(),
        ["test"] => test(false),
        ["test", "--all"] => test(true),
        ["accuracy", rest @ ..] => one_by_one("measure", rest),
        ["record", rest @ ..] => one_by_one("record", rest),
        ["try", rest @ ..] => {
            tries::run(&rest.iter().map(|name| named(name)).collect::<Result<Vec<_>, _>>()?)
        }
        _ => Err("say what to do with them; see \"cargo xtask agents --help\"".into()),
    }
}

/// Which agents are tested together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Those that are quick to start.
    Light,
    /// The others.
    Heavy,
    /// All of them.
    All,
}

/// Installs what is to be tested, and has it held.
fn test(all: bool) -> Result<bool, String> {
    let lane = if all { Lane::All } else { Lane::Light };
    done(install_for(lane))?;
    let status = tests(lane).status().map_err(|error| format!("failed to run cargo: {error}"))?;
    Ok(status.success())
}

fn install_for(lane: Lane) -> Result<(), Trouble> {
    let what = if lane == Lane::Light { "--light" } else { "--all" };
    wanted(&[what]).map_err(Trouble::Failed).and_then(|packages| install::all(&packages))
}

/// Returns the command that tests the agents of a lane.
pub fn tests(lane: Lane) -> Command {
    let mut command =
        shell::cargo(&["test", "--quiet", "--package", "oarlock", "--test", "agents", "--", "--ignored"]);
    match lane {
        Lane::Light => command.args(["--skip", "heavy_"]),
        Lane::Heavy => command.arg("heavy_"),
        Lane::All => &mut command,
    };
    command.args(["--skip", "measure_", "--skip", "record_"]);
    // Each brings several processes of its own to two or three at a time.
    command.arg("--test-threads=3");
    command
}

/// Has agents measured or recorded, one at a time: what runs beside a measurement would be measured, too.
fn one_by_one(verb: &str, names: &[&str]) -> Result<bool, String> {
    let mut command = shell::cargo(&["test", "--package", "oarlock", "--test", "agents", "--", "--ignored"]);
    command.args(["--nocapture", "--test-threads=1"]).env("OARLOCK_UPDATE", "1");
    for name in names {
        command.arg(format!("::{verb}_{}", named(name)?.name));
    }
    if names.is_empty() {
        command.arg(format!("::{verb}_"));
        let absent = TABLE.iter().filter(|package| !entry(package).exists());
        command.args(absent.flat_map(|package| ["--skip".to_owned(), format!("{verb}_{}", package.name)]));
    }
    let status = command.status().map_err(|error| format!("failed to run cargo: {error}"))?;
    Ok(status.success())
}

/// Returns a stage of the tests: the agents of a lane, or why they cannot be had here.
pub fn stage(lane: Lane) -> Result<Stage, String> {
    match install_for(lane) {
        Ok(()) => Ok(Stage::Installed),
        Err(Trouble::Unavailable(why)) => Ok(Stage::Absent(why)),
        Err(Trouble::Failed(why)) => Err(why),
    }
}

/// Whether real agents can be tested here.
pub enum Stage {
    /// They are installed.
    Installed,
    /// They cannot be had, and why.
    Absent(String),
}

fn done(outcome: Result<(), Trouble>) -> Result<bool, String> {
    match outcome {
        Ok(()) => Ok(true),
        Err(Trouble::Failed(why)) => Err(why),
        Err(Trouble::Unavailable(why)) => {
            eprintln!("error: {why}");
            // A verb can only say yes or no, and neither is true.
            std::process::exit(UNAVAILABLE);
        }
    }
}

/// Returns the packages that the arguments of `install` ask for, with what these run on.
fn wanted(args: &[&str]) -> Result<Vec<&'static Package>, String> {
    let names: Vec<&str> = args.iter().copied().filter(|arg| !arg.starts_with("--")).collect();
    let all = args.contains(&"--all");
    if let Some(unknown) =
        args.iter().find(|arg| arg.starts_with("--") && !["--all", "--light"].contains(arg))
    {
        return Err(format!("there is no option \"{unknown}\""));
    }
    for name in &names {
        named(name)?;
    }
    let light = !all && (names.is_empty() || args.contains(&"--light"));
    let is_wanted =
        |p: &&Package| all || light && p.light || names.contains(&p.name) || p.name == table::NODE;
    Ok(TABLE.iter().filter(is_wanted).collect())
}

fn named(name: &str) -> Result<&'static Package, String> {
    let known = || TABLE.iter().map(|package| package.name).collect::<Vec<_>>().join(", ");
    let found = TABLE.iter().find(|package| package.name == name);
    found.ok_or_else(|| format!("there is no agent \"{name}\"; there are {}", known()))
}

fn which(package: &Package) -> Result<bool, String> {
    let entry = entry(package);
    if !entry.exists() {
        let name = package.name;
        return Err(format!(
            "{name} {} is not installed; \"cargo xtask agents install {name}\" does it",
            package.version
        ));
    }
    println!("{}", entry.display());
    Ok(true)
}

fn list() -> Result<bool, String> {
    for package in TABLE {
        let state = if entry(package).exists() { "installed" } else { "-" };
        println!("{:<10} {:<10} {state}", package.name, package.version);
    }
    Ok(true)
}

/// Returns the folder that holds them all.
fn folder() -> PathBuf {
    std::env::var_os("OARLOCK_AGENTS")
        .map_or_else(|| shell::root().join("target/agents"), |dir| shell::root().join(dir))
}

/// Returns the folder that a package has when it is complete.
fn home(package: &Package) -> PathBuf {
    folder().join(format!("{}-{}", package.name, package.version))
}

/// Returns where a package's program is, or would be.
fn entry(package: &Package) -> PathBuf {
    home(package).join("bin").join(package.program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(args: &[&str]) -> Vec<&'static str> {
        wanted(args).expect("known").iter().map(|package| package.name).collect()
    }

    #[test]
    fn who_names_nothing_gets_the_light_ones() {
        assert_eq!(names(&[]), names(&["--light"]));
        assert!(names(&[]).contains(&"claude") && !names(&[]).contains(&"aider"));
        assert_eq!(names(&["--all"]).len(), TABLE.len());
        assert_eq!(names(&["qwen"]), ["node", "qwen"], "most of them are scripts for Node");
        assert!(names(&["--light", "qwen"]).contains(&"qwen"));
    }

    #[test]
    fn what_is_not_in_the_table_is_refused_by_name() {
        assert!(
            wanted(&["crush"])
                .expect_err("unknown")
                .starts_with("there is no agent \"crush\"; there are node,")
        );
        assert_eq!(wanted(&["--heavy"]).expect_err("unknown"), "there is no option \"--heavy\"");
    }

    #[test]
    fn a_program_stands_in_a_folder_of_its_version() {
        let claude = named("claude").expect("there");
        assert!(entry(claude).ends_with(format!("claude-{}/bin/claude", claude.version)));
    }
}
