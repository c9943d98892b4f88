//! `oarlock init`.

mod ask;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use oarlock_api::wire;
use oarlock_world::config;
use oarlock_world::init::{self, Answers, Change, Guesses, Permissions, Said, Site};

use super::Context;
use crate::error::{CliError, Done, capital};
use crate::out;
use ask::Asker;

/// What is answered for nothing, by a flag as by a person.
const NOTHING: &str = "-";

/// Set a repository up: write its oarlock.toml
///
/// Asks which agent works, what it may do, and what a new workspace needs; what can be guessed is offered, and Enter
/// takes it. A flag answers its question. On a second run answers are merged into the file: what they do not speak of
/// stays as it is, to the byte. Nothing is committed.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock init\n  oarlock init --yes\n  oarlock init --agent claude-code --permissions auto\n  oarlock init --setup 'npm ci' --copy .env"
)]
pub struct Init {
    /// Take what is guessed and ask nothing
    #[arg(long, short)]
    yes: bool,
    /// The agent that works when a spawn names nobody
    #[arg(long, value_name = "A")]
    agent: Option<String>,
    /// What it may do without asking
    #[arg(long, value_parser = ["default", "accept-edits", "auto", "bypass"], value_name = "MODE")]
    permissions: Option<String>,
    /// A command run once in each new workspace, after those there are; may be given again; - for none
    #[arg(long, value_name = "CMD", allow_hyphen_values = true)]
    setup: Vec<String>,
    /// An ignored path of your checkout to link to; may be given again; - for none
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    link: Vec<String>,
    /// An ignored file of your checkout to copy; may be given again; - for none
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    copy: Vec<String>,
}

pub fn run(context: &Context, init: &Init) -> Done {
    if std::env::var_os("OARLOCK_RUN").is_some() {
        // The file says what agents may do.
        let hint = "Leave it to a person: \"oarlock init\" outside of the session.";
        return Err(refused("forbidden", "An agent does not set up what agents are given.", hint));
    }
    let answers = flags(init)?;
    let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    if !init.yes && !is_terminal && answers == Flags::default() {
        return Err(CliError::Usage(
            "There is no terminal to ask on.".into(),
            "Take what is guessed with \"oarlock init --yes\", or answer with flags, such as --agent A."
                .into(),
        ));
    }
    let site = init::look(&folder(context)?)?;
    let mut notes = Vec::new();
    let answers = if init.yes {
        guessed(&site, &answers, &site.guesses()?, &mut notes)
    } else if is_terminal {
        ask::all(&Asker::new(site.file()), &site, &answers, &site.guesses()?)?
    } else {
        answers.over(&site)
    };
    notes.extend(linked_and_filled(&site, &answers));
    let merged = site.merge(&answers)?;
    if !merged.changes.is_empty() {
        // From here to the end it takes milliseconds, and a part of the file must not be left.
        let is_told = Arc::new(AtomicBool::new(false));
        let held = signal_hook::flag::register(signal_hook::consts::SIGINT, is_told);
        held.map_err(|error| CliError::io("hold Ctrl-C back", &error))?;
        site.write(&merged)?;
    }
    say(context, &site, &merged.changes, &notes)
}

/// What flags say. `None` is a question that is left.
#[derive(Default, PartialEq, Eq)]
struct Flags {
    agent: Option<String>,
    permissions: Option<Permissions>,
    copy: Option<Vec<String>>,
    link: Option<Vec<String>>,
    setup: Option<Vec<String>>,
}

impl Flags {
    /// Returns them as answers: a list is what is there and what they add, or nothing.
    fn over(&self, site: &Site) -> Answers {
        let there = &site.page().workspace;
        let list =
            |flag: &Option<Vec<String>>, there: &[String]| flag.as_ref().map(|flag| added(there, flag));
        Answers {
            agent: self.agent.clone(),
            permissions: self.permissions,
            copy: list(&self.copy, &there.copy),
            link: list(&self.link, &there.link),
            setup: list(&self.setup, &there.setup),
        }
    }
}

fn added(there: &[String], more: &[String]) -> Vec<String> {
    if more.is_empty() {
        return vec![];
    }
    let fresh = more.iter().filter(|one| !there.contains(one));
    there.iter().chain(fresh).cloned().collect()
}

fn flags(init: &Init) -> Result<Flags, CliError> {
    if let Some(agent) = &init.agent {
        named(agent).map_err(|says| CliError::Usage(says, "See them with \"oarlock doctor\".".into()))?;
    }
    let permissions = init.permissions.as_deref().and_then(ask::permissions);
    if let Some(permissions) = permissions {
        init::check_permissions(permissions)?;
    }
    let list = |name: &str, flag: &[String]| -> Result<Option<Vec<String>>, CliError> {
        match flag {
            [] => Ok(None),
            [one] if one == NOTHING => Ok(Some(vec![])),
            some if some.iter().any(|one| one == NOTHING || one.trim().is_empty()) => Err(CliError::Usage(
                format!("--{name} says both something and nothing."),
                format!("Give --{name} - alone for none, or leave it out."),
            )),
            some => {
                let mut list: Vec<String> = Vec::new();
                some.iter().for_each(|one| {
                    if !list.contains(one) {
                        list.push(one.clone())
                    }
                });
                Ok(Some(list))
            }
        }
    };
    Ok(Flags {
        agent: init.agent.clone(),
        permissions,
        copy: list("copy", &init.copy)?,
        link: list("link", &init.link)?,
        setup: list("setup", &init.setup)?,
    })
}

/// Checks an agent's name. What is wrong comes as a sentence.
fn named(agent: &str) -> Result<(), String> {
    config::check_agent(agent).map_err(|says| {
        let end = if says.ends_with('?') { "" } else { "." };
        format!("{}{end}", capital(&says))
    })
}

/// Returns what is taken without asking: what flags say, else what is in the file, else what is guessed.
fn guessed(site: &Site, flags: &Flags, guesses: &Guesses, notes: &mut Vec<String>) -> Answers {
    let mut answers = flags.over(site);
    let page = site.page();
    if answers.agent.is_none() && page.agent.is_none() {
        answers.agent = guesses.agent().map(|found| found.name.to_owned());
        if answers.agent.is_none() {
            notes.push("No agent was found, so none is the default; see \"oarlock doctor\".".into());
        }
    }
    if answers.setup.is_none() && !site.decides("setup") {
        let (fit, unfit): (Vec<_>, Vec<_>) = guesses.setup.iter().partition(|guess| guess.lacks.is_none());
        notes.extend(unfit.iter().filter_map(|guess| {
            let program = guess.lacks?;
            Some(format!(
                "Left out \"{}\", for {}: there is no {program} in PATH.",
                guess.command, guess.because
            ))
        }));
        answers.setup = some(fit.iter().map(|guess| guess.command.to_owned()).collect());
    }
    if answers.link.is_none() && !site.decides("link") {
        answers.link = some(links(site, &answers, guesses));
    }
    if answers.copy.is_none() && !site.decides("copy") {
        answers.copy = some(guesses.copy.clone());
    }
    answers
}

fn some(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}

/// Returns the paths to offer links to: what a setup command fills is not linked, or it would work in the person's own.
fn links(site: &Site, answers: &Answers, guesses: &Guesses) -> Vec<String> {
    let setup = answers.setup.as_ref().unwrap_or(&site.page().workspace.setup);
    let filled: Vec<_> = setup.iter().filter_map(|command| init::fills(command)).collect();
    guesses.link.iter().filter(|path| !filled.contains(&path.as_str())).cloned().collect()
}

/// Says which links lead a setup command into the person's own folder.
fn linked_and_filled(site: &Site, answers: &Answers) -> Vec<String> {
    let there = &site.page().workspace;
    let (setup, link) = (answers.setup.as_ref(), answers.link.as_ref());
    let (setup, link) = (setup.unwrap_or(&there.setup), link.unwrap_or(&there.link));
    let clash = |command: &String| {
        let folder = init::fills(command).filter(|folder| link.iter().any(|path| path == folder))?;
        Some(format!("\"{command}\" will work in your own {folder}, through the link: keep one of the two."))
    };
    setup.iter().filter_map(clash).collect()
}

/// Returns the folder that the repository is looked for from.
fn folder(context: &Context) -> Result<PathBuf, CliError> {
    let project = context.project()?;
    if Path::new(&project).is_absolute() {
        return Ok(project.into());
    }
    let known: wire::Project =
        context.client()?.get(&format!("/v1/projects/{}", super::in_path(&project)))?;
    Ok(known.path.into())
}

fn say(context: &Context, site: &Site, changes: &[Change], notes: &[String]) -> Done {
    let file = site.file().to_string_lossy();
    if context.json {
        let changes: Vec<_> = changes.iter().map(json).collect();
        return out::json(&serde_json::json!({"path": file, "changes": changes, "notes": notes}));
    }
    for note in notes {
        out::talk(&format!("Note: {}", out::clean(note)));
    }
    match (changes.is_empty(), site.is_there()) {
        (true, true) => out::line(&format!("Nothing to change in {}.", out::clean(&file))),
        (true, false) => out::line("Nothing to write: there is nothing to say."),
        (false, is_there) => {
            let did = if is_there { "Changed" } else { "Wrote" };
            out::line(&format!("{did} {}:", out::clean(&file)));
        }
    }
    for Change { key, was, is } in changes {
        out::line(&out::clean(&match was {
            None => format!("  + {key} = {is}"),
            Some(was) => format!("  ~ {key} = {is}, was {was}"),
        }));
    }
    if !changes.is_empty() {
        out::talk("Commit it, so that everybody's workspaces are alike.");
    }
    Ok(())
}

fn json(change: &Change) -> serde_json::Value {
    let value = |said: &Said| match said {
        Said::Text(text) => serde_json::json!(text),
        Said::List(list) => serde_json::json!(list),
    };
    serde_json::json!({"key": change.key, "was": change.was.as_ref().map(value), "is": value(&change.is)})
}

fn refused(code: &str, message: &str, hint: &str) -> CliError {
    let error = wire::Error { code: code.into(), message: message.into(), hint: hint.into(), paths: vec![] };
    CliError::Refused(error, 409)
}
