//! Configuration: what a repository's `oarlock.toml` and a person's own `config.toml` say, and what of it holds.
//!
//! Whoever can commit can write the first. So it may say less than the second, and what it says of permissions, arguments
//! and variables holds only as far as the person trusts it. It must not know any agent by name.

mod page;
mod reader;
mod resolve;

use std::path::{Path, PathBuf};

use oarlock_core::session::fact::Trouble;

use crate::trouble;
use crate::workspace::Setup;

pub use page::{ConfigError, PERMISSIONS, Page, Table, Trust, Whose, WorkspaceTable, check_agent};
pub use resolve::{Asked, PERMISSIONS_UNSAID_MAX, Told};

/// The name of a repository's file, at its root.
pub const FILE_NAME: &str = "oarlock.toml";
/// The role of a session's agent that does the work.
pub const WORKER: &str = "worker";

/// Both files, as they are at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The repository's.
    pub project: Page,
    /// The person's.
    pub person: Page,
    /// The repository's root: what its file names lies in it.
    root: PathBuf,
    /// The folder of the person's file.
    folder: PathBuf,
}

/// Returns where a person's file is: `$XDG_CONFIG_HOME/oarlock/config.toml`, else under `~/.config`. `None` when neither
/// variable says where.
#[must_use]
pub fn person_file() -> Option<PathBuf> {
    // An empty or a relative value counts as unset (XDG Base Directory Specification 0.8).
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(folder.join("oarlock/config.toml"))
}

/// Returns what the person says; nothing when they have no file.
///
/// # Errors
/// When it is there and cannot be read or understood.
pub fn person() -> Result<Page, ConfigError> {
    person_file().map_or_else(|| Ok(Page::default()), |path| Page::read(&path, Whose::Person))
}

/// Returns what a repository says; nothing when it has no file.
///
/// # Errors
/// When it is there and cannot be read or understood.
pub fn project(root: &Path) -> Result<Page, ConfigError> {
    Page::read(&root.join(FILE_NAME), Whose::Project)
}

impl Config {
    /// Reads both files.
    ///
    /// # Errors
    /// When one is there and cannot be read or understood.
    pub fn read(root: &Path) -> Result<Self, ConfigError> {
        let folder = person_file().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
        Ok(Self { project: project(root)?, person: person()?, root: root.to_owned(), folder })
    }

    /// Returns what a workspace gets beyond its checkout, and a note on what is left out of it.
    #[must_use]
    pub fn setup(&self, env: Vec<(String, String)>) -> (Setup, Option<String>) {
        let table = self.project.workspace.clone();
        let is_trusted = self.person.trust.setup != Some(false) || table.setup.is_empty();
        let commands = if is_trusted { table.setup } else { vec![] };
        let note = "Setup commands were left out: your own configuration trusts no repository with them.";
        (Setup { copy: table.copy, link: table.link, commands, env }, (!is_trusted).then(|| note.to_owned()))
    }
}

/// Returns a file's fault as a person is told of it.
#[must_use]
pub fn trouble(error: &ConfigError) -> Trouble {
    let is_project = error.path().file_name().is_some_and(|name| name == FILE_NAME);
    let (code, says) = if is_project {
        ("bad_project_file", "The project's file is wrong")
    } else {
        ("bad_config", "Your configuration is wrong")
    };
    let mut trouble = trouble::error(code, says, error);
    trouble.hint = format!("Correct {}, then try again.", error.path().display());
    trouble
}
