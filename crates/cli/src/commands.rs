//! The verbs: one enum, one match, one file each. A verb's doc comment is its help.

mod answer;
mod attach;
mod claim;
mod cleanup;
mod completion;
mod daemon;
mod demo;
mod diff;
mod doctor;
mod events;
mod forget;
mod gate;
mod init;
mod kill;
mod land;
mod logs;
mod ls;
mod man;
mod metrics;
mod orchestrator;
mod part;
mod project;
mod reject;
mod relay;
mod rename;
mod resume;
mod rm;
mod send;
mod show;
mod spawn;
mod start;
mod status;
mod stop;
mod trash;
mod undo;
mod verdict;
mod version;
mod watch;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use oarlock_api::client::Client;
use oarlock_api::place::Place;
use oarlock_api::wire;

use crate::error::{CliError, Done};
use crate::{connect, out};

/// Runs many coding agents side by side, each in its own git workspace, and brings their work home.
///
/// A session is one brief given to one agent in one workspace. Spawn some, walk away, look with `ls`, ask `why`, talk
/// with `send`, and `land` what is good. The daemon starts itself when a verb needs it.
#[derive(Parser)]
#[command(name = "oarlock", version, max_term_width = 100, arg_required_else_help = false, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Option<Verb>,
}

const EXAMPLES: &str = "\
Examples:
  oarlock demo                                   the whole tour, in a throw-away folder
  oarlock init                                   set up a repository: which agent works, and how
  oarlock spawn --exec './fix.sh' --name fix     any command as an agent, in its own workspace
  oarlock ls                                     what every session is doing
  oarlock land fix                               its work onto the base branch
  oarlock undo                                   bring back what was rejected or removed last

Exit codes: 0 ok, 1 failed, 2 usage, 3 refused, 4 not found, 5 no daemon, 130 interrupted.";

#[derive(Args)]
struct Global {
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
    /// The project: its id, or a path inside the repository (default: the current folder)
    #[arg(long, global = true, value_name = "P")]
    project: Option<String>,
}

#[derive(Subcommand)]
enum Verb {
    Demo(demo::Demo),
    Start(start::Start),
    Stop(stop::Stop),
    Status(status::Status),
    Daemon(daemon::Daemon),
    Init(init::Init),
    Project(project::Project),
    Spawn(spawn::Spawn),
    Relay(relay::Relay),
    Gate(gate::Gate),
    Ls(ls::Ls),
    Show(show::Show),
    Why(why::Why),
    Diff(diff::Diff),
    Logs(logs::Logs),
    Events(events::Events),
    Attach(attach::Attach),
    Watch(watch::Watch),
    Send(send::Send),
    Answer(answer::Answer),
    Resume(resume::Resume),
    Kill(kill::Kill),
    Rename(rename::Rename),
    Land(land::Land),
    Reject(reject::Reject),
    Forget(forget::Forget),
    Rm(rm::Rm),
    Cleanup(cleanup::Cleanup),
    Undo(undo::Undo),
    Trash(trash::Trash),
    Orchestrator(orchestrator::Orchestrator),
    Metrics(metrics::Metrics),
    Doctor(doctor::Doctor),
    Completion(completion::Completion),
    Man(man::Man),
    Version(version::Version),
    #[command(hide = true)]
    Claim(claim::Claim),
    #[command(hide = true)]
    Verdict(verdict::Verdict),
}

/// What every verb may need.
pub struct Context {
    /// Whether to answer in JSON.
    pub json: bool,
    /// The project asked for.
    project: Option<String>,
    /// Where things are.
    pub place: Place,
}

impl Context {
    /// Returns a client, starting the daemon when none runs.
    pub fn client(&self) -> Result<Client, CliError> {
        connect::client(&self.place)
    }

    /// Returns the project asked for: an id, or the absolute path of a folder.
    pub fn project(&self) -> Result<String, CliError> {
        let here =
            || std::env::current_dir().map_err(|error| CliError::io("find the current folder", &error));
        let text = match &self.project {
            // An id is taken as it is; a path is made absolute, because the daemon stands elsewhere.
            Some(project) if !project.contains('/') && !project.starts_with('.') => {
                return Ok(project.clone());
            }
            Some(path) => existing(here()?.join(path))?,
            None => here()?,
        };
        text.into_os_string().into_string().map_err(|_| {
            CliError::failed("The folder's path is not UTF-8.", "Give the project's id with --project.")
        })
    }

    /// Returns the project to list, if one was asked for: an id, or the absolute path of a folder.
    pub fn project_filter(&self) -> Result<Option<String>, CliError> {
        self.project.as_ref().map(|_| self.project()).transpose()
    }
}

/// Returns a path that exists, or says that it does not.
pub fn existing(path: PathBuf) -> Result<PathBuf, CliError> {
    if path.exists() {
        return Ok(path);
    }
    let error = wire::Error {
        code: "not_found".into(),
        message: format!("There is no folder {}.", out::clean(&path.to_string_lossy())),
        hint: "Give a path inside a git repository.".into(),
        paths: vec![],
    };
    Err(CliError::Refused(error, 404))
}

/// Draws an id for a wish, so that a retry is the same wish.
pub fn request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Writes a session's name so that it fits a path of the interface.
pub fn in_path(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Parses the command line and carries the verb out.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(json),
    }
}

fn run(cli: Cli) -> Done {
    let context = Context { json: cli.global.json, project: cli.global.project, place: Place::from_env()? };
    let verb = cli.verb.unwrap_or(Verb::Ls(ls::Ls { all: false }));
    match verb {
        Verb::Demo(verb) => demo::run(&context, &verb),
        Verb::Start(verb) => start::run(&context, &verb),
        Verb::Stop(verb) => stop::run(&context, &verb),
        Verb::Status(verb) => status::run(&context, &verb),
        Verb::Daemon(verb) => daemon::run(&context, &verb),
        Verb::Init(verb) => init::run(&context, &verb),
        Verb::Project(verb) => project::run(&context, &verb),
        Verb::Spawn(verb) => spawn::run(&context, &verb),
        Verb::Relay(verb) => relay::run(&context, &verb),
        Verb::Gate(verb) => gate::run(&context, &verb),
        Verb::Ls(verb) => ls::run(&context, &verb),
        Verb::Show(verb) => show::run(&context, &verb),
        Verb::Why(verb) => why::run(&context, &verb),
        Verb::Diff(verb) => diff::run(&context, &verb),
        Verb::Logs(verb) => logs::run(&context, &verb),
        Verb::Events(verb) => events::run(&context, &verb),
        Verb::Attach(verb) => attach::run(&context, &verb),
        Verb::Watch(verb) => watch::run(&context, &verb),
        Verb::Send(verb) => send::run(&context, &verb),
        Verb::Answer(verb) => answer::run(&context, &verb),
        Verb::Resume(verb) => resume::run(&context, &verb),
        Verb::Kill(verb) => kill::run(&context, &verb),
        Verb::Rename(verb) => rename::run(&context, &verb),
        Verb::Land(verb) => land::run(&context, &verb),
        Verb::Reject(verb) => reject::run(&context, &verb),
        Verb::Forget(verb) => forget::run(&context, &verb),
        Verb::Rm(verb) => rm::run(&context, &verb),
        Verb::Cleanup(verb) => cleanup::run(&context, &verb),
        Verb::Undo(verb) => undo::run(&context, &verb),
        Verb::Trash(verb) => trash::run(&context, &verb),
        Verb::Orchestrator(verb) => orchestrator::run(&context, &verb),
        Verb::Metrics(verb) => metrics::run(&context, &verb),
        Verb::Doctor(verb) => doctor::run(&context, &verb),
        Verb::Completion(verb) => completion::run(&context, &verb),
        Verb::Man(verb) => man::run(&context, &verb),
        Verb::Version(verb) => version::run(&context, &verb),
        Verb::Claim(verb) => claim::run(&context, &verb),
        Verb::Verdict(verb) => verdict::run(&context, &verb),
    }
}

/// Returns the whole command line, for help pages and completions.
pub fn command_line() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the commands of ours that a page shows: what stands between backticks, and lines of transcripts.
    fn commands(page: &str) -> Vec<&str> {
        let (mut found, mut is_code) = (Vec::new(), false);
        for line in page.lines() {
            is_code ^= line.starts_with("```");
            if is_code {
                found.extend(line.strip_prefix("$ "));
            } else {
                found.extend(line.split('`').skip(1).step_by(2));
            }
        }
        found.retain(|text| text.starts_with("oarlock "));
        found
    }

    /// Splits a command as a shell does, as far as guides quote: words, and text between single quotes.
    fn words(command: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (index, part) in command.split('\'').enumerate() {
            match index % 2 {
                0 => words.extend(part.split_whitespace().map(str::to_owned)),
                _ => words.push(part.to_owned()),
            }
        }
        words
    }

    #[test]
    fn every_command_of_ours_in_the_guides_is_one_that_there_is() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide");
        let mut tried = 0;
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let page = std::fs::read_to_string(entry.path()).unwrap();
            for command in commands(&page) {
                if let Err(error) = Cli::try_parse_from(words(command)) {
                    panic!("{}: {command}: {error}", entry.path().display());
                }
                tried += 1;
            }
        }
        assert!(tried > 20, "only {tried} commands were found");
    }
}
