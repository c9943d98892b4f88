//! The questions of `oarlock init`: one line each, on a plain terminal. Enter takes what is offered.
//!
//! It must not know how answers get into the file.

use std::io::{self, BufRead};
use std::path::Path;

use oarlock_world::config::PERMISSIONS;
use oarlock_world::init::{self, Answers, Guesses, Permissions, Site};

use super::{Flags, NOTHING, links, named};
use crate::error::CliError;
use crate::out;

/// Times a question is put again: somebody who is not understood so often is no person.
const TRIES_MAX: u32 = 20;
/// Longest list taken from a person, in entries: nobody types more.
const LIST_MAX: usize = 100;

/// Returns what may be done without asking, by its word.
pub(super) fn permissions(word: &str) -> Option<Permissions> {
    PERMISSIONS.iter().find(|(known, _)| *known == word).map(|(_, permissions)| *permissions)
}

/// Asks a person, on stderr, and reads standard input.
pub(super) struct Asker {
    /// Said before the first question; nothing is said when there is none.
    opening: std::cell::Cell<Option<String>>,
}

impl Asker {
    /// Makes one that asks about a file.
    pub fn new(file: &Path) -> Self {
        let file = out::clean(&file.to_string_lossy());
        let opening = format!(
            "About {file}.\nEnter takes what stands in [brackets]; Ctrl-C leaves everything as it is."
        );
        Self { opening: std::cell::Cell::new(Some(opening)) }
    }

    /// Says what a question is about.
    fn explain(&self, lines: &[String]) {
        if let Some(opening) = self.opening.take() {
            out::talk(&opening);
        }
        out::talk("");
        lines.iter().for_each(|line| out::talk(&out::clean(line)));
    }

    /// Reads one line; the end of the input is somebody who leaves.
    fn line(&self, prompt: &str) -> Result<String, CliError> {
        out::prompt(&out::clean(prompt));
        let mut bytes = Vec::new();
        let read = io::stdin().lock().read_until(b'\n', &mut bytes);
        if read.map_err(|error| CliError::io("read the answer", &error))? == 0 {
            out::talk("");
            out::talk("Nothing was written.");
            return Err(CliError::Said(oarlock_api::exit::INTERRUPTED));
        }
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// Puts a question until it is answered with something that can be used.
    fn one<T>(
        &self,
        prompt: &str,
        read: impl Fn(&str) -> Result<Option<T>, String>,
    ) -> Result<Option<T>, CliError> {
        for _ in 0..TRIES_MAX {
            match read(&self.line(prompt)?) {
                Ok(answer) => return Ok(answer),
                Err(says) => says.lines().for_each(|line| out::talk(&out::clean(line))),
            }
        }
        Err(CliError::failed(
            "That was no answer; nothing was written.",
            "Give flags; see \"oarlock init --help\".",
        ))
    }

    /// Asks for a list, an entry a line. Enter at once takes what is offered.
    fn list(&self, what: &str, offered: &[String]) -> Result<Option<Vec<String>>, CliError> {
        let shown = if offered.is_empty() { "none" } else { "as shown" };
        let first = self.line(&format!("{what} [{shown}]: "))?;
        if first.is_empty() {
            return Ok(None);
        }
        if first == NOTHING {
            return Ok(Some(vec![]));
        }
        let mut list = vec![first];
        while list.len() < LIST_MAX {
            let next = self.line("  and (Enter ends): ")?;
            if next.is_empty() {
                break;
            }
            if !list.contains(&next) {
                list.push(next);
            }
        }
        Ok(Some(list))
    }
}

/// Asks what flags have not said, and returns all answers.
pub(super) fn all(asker: &Asker, site: &Site, flags: &Flags, guesses: &Guesses) -> Result<Answers, CliError> {
    let mut answers = flags.over(site);
    if answers.agent.is_none() {
        answers.agent = agent(asker, site, guesses)?;
    }
    if answers.permissions.is_none() {
        answers.permissions = permitted(asker, site)?;
    }
    if answers.setup.is_none() {
        answers.setup = setup(asker, site, guesses)?;
    }
    if answers.link.is_none() {
        let about = "Links: ignored paths that workspaces share with your checkout.";
        answers.link = paths(asker, ("Links", about), (site, "link"), links(site, &answers, guesses))?;
    }
    if answers.copy.is_none() {
        let about = "Copies: ignored files that workspaces get from your checkout; agents read them.";
        answers.copy = paths(asker, ("Copies", about), (site, "copy"), guesses.copy.clone())?;
    }
    Ok(answers)
}

fn agent(asker: &Asker, site: &Site, guesses: &Guesses) -> Result<Option<String>, CliError> {
    let mut lines = vec![String::from("Agent: who works when a spawn names nobody.")];
    for found in &guesses.agents {
        let login = if found.has_login == Some(false) { ", no login found" } else { "" };
        lines.push(format!("  {:<12} {}{login}", found.name, found.title));
    }
    if guesses.agents.is_empty() {
        lines.push("  None is installed here; \"oarlock doctor\" says more.".into());
    }
    lines.push(format!("  {NOTHING:<12} none: each spawn names its own"));
    asker.explain(&lines);
    let there = site.page().agent.as_deref();
    let offered = there.or(guesses.agent().map(|found| found.name));
    asker.one(&format!("Agent [{}]: ", offered.unwrap_or(NOTHING)), |said| match said {
        "" => Ok(offered.map(str::to_owned)),
        NOTHING if there.is_some() => Err("The file names one; take its line out by hand.".into()),
        NOTHING => Ok(None),
        name => named(name).map(|()| Some(name.to_owned())),
    })
}

fn permitted(asker: &Asker, site: &Site) -> Result<Option<Permissions>, CliError> {
    asker.explain(
        &[
            "Permissions: what it may do without asking.",
            "  default       what each person's own settings of the agent say",
            "  accept-edits  edit files in its workspace",
            "  auto          what the agent itself takes for harmless",
        ]
        .map(str::to_owned),
    );
    let there = site.permissions();
    let word =
        PERMISSIONS.iter().find(|(_, known)| Some(*known) == there).map_or("default", |(word, _)| word);
    asker.one(&format!("Permissions [{word}]: "), |said| {
        if said.is_empty() {
            return Ok(None);
        }
        let Some(permissions) = permissions(said) else {
            return Err(format!("\"{}\" is none of them.", out::cut(said, 40)));
        };
        if Some(permissions) == there {
            return Ok(None);
        }
        match init::check_permissions(permissions) {
            Ok(()) => Ok(Some(permissions)),
            Err(trouble) => Err(format!("{}\n{}", trouble.message, trouble.hint)),
        }
    })
}

fn setup(asker: &Asker, site: &Site, guesses: &Guesses) -> Result<Option<Vec<String>>, CliError> {
    let there = &site.page().workspace.setup;
    let mut lines =
        vec![format!("Setup: commands run once in each new workspace, one a line; {NOTHING} for none.")];
    let decided = site.decides("setup");
    let mut offered = there.clone();
    lines.extend(there.iter().map(|command| format!("  {command}")));
    if !decided {
        for guess in &guesses.setup {
            match guess.lacks {
                None => {
                    lines.push(format!("  {:<30} for {}", guess.command, guess.because));
                    offered.push(guess.command.to_owned());
                }
                Some(program) => {
                    let why = format!("there is no {program} in PATH");
                    lines.push(format!("  not {}, for {}: {why}", guess.command, guess.because));
                }
            }
        }
    }
    asker.explain(&lines);
    let said = asker.list("Setup", &offered)?;
    Ok(taken(said, there, offered))
}

fn paths(
    asker: &Asker,
    (what, about): (&str, &str),
    (site, key): (&Site, &str),
    guessed: Vec<String>,
) -> Result<Option<Vec<String>>, CliError> {
    let table = &site.page().workspace;
    let there = if key == "link" { &table.link } else { &table.copy };
    let offered = if site.decides(key) { there.clone() } else { guessed };
    if offered.is_empty() {
        return Ok(None);
    }
    let mut lines = vec![about.to_owned(), format!("One a line; {NOTHING} for none.")];
    lines.extend(offered.iter().map(|path| format!("  {path}")));
    asker.explain(&lines);
    let said = asker.list(what, &offered)?;
    Ok(taken(said, there, offered))
}

/// Returns the list to be written. That nothing is wanted of what was offered is written down, so that it is not offered again.
fn taken(said: Option<Vec<String>>, there: &[String], offered: Vec<String>) -> Option<Vec<String>> {
    let list = said.unwrap_or_else(|| offered.clone());
    let is_same = list == there;
    let is_refusal = list.is_empty() && !offered.is_empty();
    (!is_same || is_refusal).then_some(list)
}
