//! Guesses what a repository's file could say: the agents that are installed, the commands that its lock files call for, the
//! ignored paths that a fresh checkout lacks.
//!
//! It must not start what it guesses, nor write anything.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use oarlock_agents::{Agent, REGISTRY};
use oarlock_core::session::fact::Trouble;

use crate::config::Page;
use crate::git::Git;
use crate::run::program;
use crate::trouble;

/// A file that says which command gets what a checkout lacks, the command, its program, and the folder it fills. The first of
/// a folder is meant: a repository with two lock files of one kind uses one of them.
type Lock = (&'static str, &'static str, &'static str, &'static str);

/// Commands take what the lock file says, and leave it as it is: a workspace begins clean.
const LOCKS: &[Lock] = &[
    ("pnpm-lock.yaml", "pnpm install --frozen-lockfile", "pnpm", "node_modules"),
    ("bun.lock", "bun install --frozen-lockfile", "bun", "node_modules"),
    ("bun.lockb", "bun install --frozen-lockfile", "bun", "node_modules"),
    ("yarn.lock", "yarn install --frozen-lockfile", "yarn", "node_modules"),
    ("package-lock.json", "npm ci", "npm", "node_modules"),
    ("npm-shrinkwrap.json", "npm ci", "npm", "node_modules"),
    ("uv.lock", "uv sync --locked", "uv", ".venv"),
    ("poetry.lock", "poetry install", "poetry", ".venv"),
    ("Pipfile.lock", "pipenv sync", "pipenv", ".venv"),
    ("composer.lock", "composer install", "composer", "vendor"),
    ("Cargo.lock", "cargo fetch --locked", "cargo", ""),
    ("go.sum", "go mod download", "go", ""),
    ("Gemfile.lock", "bundle install", "bundle", ""),
    ("mix.lock", "mix deps.get", "mix", "deps"),
];

/// Folders that take long to make, and that a link spares a workspace.
const LINKS: &[&str] = &["node_modules", ".venv", "vendor", "deps"];

/// Small files that tools need and git does not keep.
const COPIES: &[&str] = &[".env", ".env.local", ".envrc"];

/// An agent that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The name people give with `--agent`.
    pub name: &'static str,
    /// How it is called.
    pub title: &'static str,
    /// Where its program is.
    pub program: PathBuf,
    /// Whether a person has logged in to it; `None` when that cannot be told.
    pub has_login: Option<bool>,
}

/// A command, and the file that calls for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupGuess {
    /// The command.
    pub command: &'static str,
    /// The file.
    pub because: &'static str,
    /// Its program, when it is nowhere in `PATH`: the command cannot be run here.
    pub lacks: Option<&'static str>,
}

/// All that can be guessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guesses {
    /// Agents that are installed, in the order they are shown.
    pub agents: Vec<Found>,
    /// Commands for a new workspace.
    pub setup: Vec<SetupGuess>,
    /// Ignored folders that are there to be linked to.
    pub link: Vec<String>,
    /// Ignored files that are there to be copied.
    pub copy: Vec<String>,
}

impl Guesses {
    /// Returns the agent to be named: the first that a person has logged in to, else the first that is there.
    #[must_use]
    pub fn agent(&self) -> Option<&Found> {
        self.agents.iter().find(|found| found.has_login == Some(true)).or(self.agents.first())
    }
}

/// Returns the folder that a command fills, if it is one that is known: a link in its place leads into the person's own.
#[must_use]
pub fn fills(command: &str) -> Option<&'static str> {
    let begins = |known: &str| command.split_whitespace().take(2).eq(known.split_whitespace().take(2));
    LOCKS.iter().find(|(_, known, _, folder)| !folder.is_empty() && begins(known)).map(|(.., folder)| *folder)
}

pub(super) fn all(root: &Path, person: &Page) -> Result<Guesses, Trouble> {
    Ok(Guesses {
        agents: agents(person),
        setup: setup(root),
        link: ignored(root, LINKS, Path::is_dir)?,
        copy: ignored(root, COPIES, Path::is_file)?,
    })
}

fn agents(person: &Page) -> Vec<Found> {
    let found = |agent: &&'static dyn Agent| {
        let program = program::find(*agent, person.program(agent.name())).ok()?;
        let has_login = program::login(*agent).map(|found| found.is_some());
        Some(Found { name: agent.name(), title: agent.title(), program, has_login })
    };
    REGISTRY.iter().filter(|agent| !agent.programs().is_empty()).filter_map(found).collect()
}

fn setup(root: &Path) -> Vec<SetupGuess> {
    let mut guesses: Vec<SetupGuess> = Vec::new();
    let mut filled = Vec::new();
    for &(file, command, program, folder) in LOCKS.iter().filter(|(file, ..)| root.join(file).is_file()) {
        if !folder.is_empty() && filled.contains(&folder) {
            continue;
        }
        filled.push(folder);
        let lacks = program::in_path(OsStr::new(program)).is_none().then_some(program);
        // Newer yarns have a file of their own, and another word for it.
        let is_newer_yarn = program == "yarn" && root.join(".yarnrc.yml").is_file();
        let command = if is_newer_yarn { "yarn install --immutable" } else { command };
        guesses.push(SetupGuess { command, because: file, lacks });
    }
    guesses
}

/// Returns those of some paths that are there and that git ignores: no other may be copied or linked.
fn ignored(root: &Path, names: &[&str], is_it: fn(&Path) -> bool) -> Result<Vec<String>, Trouble> {
    let there: Vec<_> = names.iter().filter(|name| is_it(&root.join(name))).collect();
    if there.is_empty() {
        return Ok(vec![]);
    }
    // What is tracked is not ignored, whatever the patterns say.
    let asked =
        Git::at(root).reads("ask what git ignores").magic_pathspecs().args(["check-ignore", "-z", "--stdin"]);
    let asked =
        asked.input(there.iter().flat_map(|name| format!("{name}\0").into_bytes()).collect::<Vec<_>>());
    let answer = asked.allow(1).run().map_err(|error| trouble::error("git_failed", "Failed", &error))?;
    Ok(answer.fields().map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("git").args(["init", "--quiet"]).arg(folder.path()).status();
        assert!(made.unwrap().success());
        for file in files {
            let path = folder.path().join(file);
            match file.strip_suffix('/') {
                Some(_) => std::fs::create_dir_all(path).unwrap(),
                None => std::fs::write(path, "x\n").unwrap(),
            }
        }
        folder
    }

    fn commands(files: &[&str]) -> Vec<&'static str> {
        setup(repository(files).path()).iter().map(|guess| guess.command).collect()
    }

    #[test]
    fn a_lock_file_calls_for_its_command_and_one_folder_is_filled_once() {
        assert_eq!(commands(&[]), [""; 0]);
        assert_eq!(commands(&["package.json"]), [""; 0], "without a lock nobody knows which");
        assert_eq!(commands(&["package-lock.json", "Cargo.lock"]), ["npm ci", "cargo fetch --locked"]);
        assert_eq!(commands(&["package-lock.json", "pnpm-lock.yaml"]), ["pnpm install --frozen-lockfile"]);
        assert_eq!(commands(&["yarn.lock"]), ["yarn install --frozen-lockfile"]);
        assert_eq!(commands(&["yarn.lock", ".yarnrc.yml"]), ["yarn install --immutable"]);
        assert_eq!(
            commands(&["uv.lock", "go.sum", "mix.lock"]),
            ["uv sync --locked", "go mod download", "mix deps.get"]
        );
    }

    #[test]
    fn only_what_is_there_and_ignored_is_offered() {
        let folder = repository(&["node_modules/", "vendor/", ".env", ".envrc"]);
        std::fs::write(folder.path().join(".gitignore"), "node_modules\n.env\n.venv\n.env.local\n").unwrap();
        assert_eq!(ignored(folder.path(), LINKS, Path::is_dir).unwrap(), ["node_modules"]);
        assert_eq!(ignored(folder.path(), COPIES, Path::is_file).unwrap(), [".env"]);
        assert!(ignored(repository(&[]).path(), LINKS, Path::is_dir).unwrap().is_empty());
    }

    #[test]
    fn a_command_is_known_by_its_first_two_words() {
        assert_eq!(fills("npm ci --offline"), Some("node_modules"));
        assert_eq!(fills("pnpm install"), Some("node_modules"));
        assert_eq!(fills("npm run build"), None);
        assert_eq!(fills("cargo fetch --locked"), None);
    }
}
