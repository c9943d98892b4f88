//! Sets a repository up: finds its `oarlock.toml`, what could stand in it, and writes it with answers merged in.
//!
//! It must not know who is asked, nor how: it offers what can be guessed, and takes answers.

mod edit;
mod guess;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::{self, FILE_NAME, PERMISSIONS, PERMISSIONS_UNSAID_MAX, Page, Whose};
use crate::workspace::{self, Setup};
use crate::{plant, trouble};

pub use oarlock_core::session::fact::{Permissions, Trouble};

pub use edit::{Change, Said};
pub use guess::{Found, Guesses, SetupGuess, fills};

/// Permission bits of a file that was not there before: it is committed, so all the world may read it.
const MODE_NEW: u32 = 0o644;

/// A repository and its file, as they were found.
#[derive(Debug)]
pub struct Site {
    root: PathBuf,
    file: PathBuf,
    /// What the file holds; `None` when there is none.
    text: Option<String>,
    page: Page,
}

/// What is to stand in the file. `None` leaves what stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The agent that works when nobody names one.
    pub agent: Option<String>,
    /// What a worker may do without asking.
    pub permissions: Option<Permissions>,
    /// Ignored files that workspaces get a copy of: the whole list.
    pub copy: Option<Vec<String>>,
    /// Ignored paths that workspaces get a link to: the whole list.
    pub link: Option<Vec<String>>,
    /// Commands run once in each new workspace: the whole list.
    pub setup: Option<Vec<String>>,
}

/// The file with answers merged into it, checked as the daemon checks it.
#[derive(Debug)]
pub struct Merged {
    text: String,
    /// What is different, in the order in which the file is read.
    pub changes: Vec<Change>,
}

/// Finds the repository of a path, and reads its file.
///
/// # Errors
/// When there is no repository with a checkout, or its file is no plain file, cannot be read or is wrong.
pub fn look(path: &Path) -> Result<Site, Trouble> {
    let found = workspace::inspect(path).map_err(|error| {
        let hint = error.hint().unwrap_or_default();
        Trouble { hint, ..trouble::new(error.code(), trouble::sentence(&error)) }
    })?;
    if found.home.bare {
        let message = format!("{} is a bare repository: no file can stand in it.", found.home.root.display());
        let hint = "Clone it, and run \"oarlock init\" in the clone.".into();
        return Err(Trouble { hint, ..trouble::new("bare_repository", message) });
    }
    let (root, file) = (found.home.root.clone(), found.home.root.join(FILE_NAME));
    let refused = |why: &str, hint: String| {
        let message = format!("{} {why}.", file.display());
        Trouble { hint, ..trouble::new("bad_project_file", message) }
    };
    let text = match std::fs::symlink_metadata(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(trouble::io("look", &file, &error)),
        Ok(meta) if meta.is_symlink() => {
            let to = std::fs::read_link(&file).unwrap_or_default();
            let hint = format!(
                "Change that file by hand, or put a plain file in the place of the link: rm {FILE_NAME}."
            );
            return Err(refused(
                &format!("is a link to {}, and links are not written through", to.display()),
                hint,
            ));
        }
        Ok(meta) if meta.is_dir() => {
            return Err(refused(
                "is a folder, and should be a file",
                format!("Move it away: mv {FILE_NAME} elsewhere."),
            ));
        }
        Ok(meta) if !meta.is_file() => {
            return Err(refused("is no plain file", format!("Move it away: mv {FILE_NAME} elsewhere.")));
        }
        // Whether it is too long or no text is for the same reader to say that the daemon asks.
        Ok(_) => Some(()),
    };
    let page = config::project(&root).map_err(|error| config::trouble(&error))?;
    let read = |()| std::fs::read_to_string(&file).map_err(|error| trouble::io("read", &file, &error));
    let text = text.map(read).transpose()?;
    Ok(Site { root, page, text, file })
}

/// Tells whether a committed file may say it: more is for each person to give, because whoever can commit can write there.
///
/// # Errors
/// When it may not.
pub fn check_permissions(permissions: Permissions) -> Result<(), Trouble> {
    if permissions <= PERMISSIONS_UNSAID_MAX {
        return Ok(());
    }
    let word = PERMISSIONS.iter().find(|(_, known)| *known == permissions).map_or("", |(word, _)| word);
    let message = format!("A committed {FILE_NAME} is no place for \"{word}\": whoever commits writes it.");
    let own = config::person_file()
        .map_or_else(|| "your own config.toml".into(), |path| path.display().to_string());
    let hint = format!(
        "Write permissions = \"{word}\" under [roles.worker] in {own}, or give --permissions {word} with a spawn."
    );
    Err(Trouble { hint, ..trouble::new("not_trusted", message) })
}

impl Site {
    /// Returns the repository's root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the file, which need not be there.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Tells whether the file is there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.text.is_some()
    }

    /// Returns what the file says.
    #[must_use]
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// Tells whether the file has a key of `[workspace]`, be it an empty list: somebody decided about it.
    #[must_use]
    pub fn decides(&self, key: &str) -> bool {
        self.text.as_deref().is_some_and(|text| edit::has(text, &format!("workspace.{key}")))
    }

    /// Returns what a worker is permitted by the file.
    #[must_use]
    pub fn permissions(&self) -> Option<Permissions> {
        self.page.roles.get(config::WORKER).and_then(|role| role.permissions)
    }

    /// Guesses what could stand in the file from what is there: agents, lock files, ignored paths.
    ///
    /// # Errors
    /// When the person's own file cannot be read, or git fails.
    pub fn guesses(&self) -> Result<Guesses, Trouble> {
        let person = config::person().map_err(|error| config::trouble(&error))?;
        guess::all(&self.root, &person)
    }

    /// Merges answers into the file's text. What they do not speak of stays as it is, to the byte.
    ///
    /// # Errors
    /// When what came out would be wrong, or the file's layout cannot be kept.
    pub fn merge(&self, answers: &Answers) -> Result<Merged, Trouble> {
        if let Some(permissions) = answers.permissions.filter(|said| Some(*said) != self.permissions()) {
            check_permissions(permissions)?;
        }
        let setup = Setup {
            copy: answers.copy.clone().unwrap_or_default(),
            link: answers.link.clone().unwrap_or_default(),
            ..Setup::default()
        };
        workspace::check_setup(&setup).map_err(|error| {
            let hint = error.hint().unwrap_or_default();
            Trouble { hint, ..trouble::new(error.code(), trouble::sentence(&error)) }
        })?;
        let before = self.text.as_deref().unwrap_or_default();
        let changes = edit::changes(before, &self.page, answers);
        if changes.is_empty() {
            return Ok(Merged { text: before.to_owned(), changes });
        }
        let text = edit::apply(before, &changes).ok_or_else(|| {
            let message = format!("{} has a layout that would not survive a change.", self.file.display());
            let keys: Vec<_> =
                changes.iter().map(|change| format!("{} = {}", change.key, change.is)).collect();
            let hint = format!("Write it by hand: {}.", keys.join(", "));
            Trouble { hint, ..trouble::new("bad_project_file", message) }
        })?;
        let after = Page::check(&text, &self.file, Whose::Project).map_err(|error| {
            let hint = "Nothing was written; give another answer.".into();
            Trouble { hint, ..trouble::error("bad_answer", "With this the file would be wrong", &error) }
        })?;
        debug_assert!(
            edit::changes(&text, &after, answers).is_empty(),
            "what was asked for is what the file says"
        );
        Ok(Merged { text, changes })
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written, or somebody changed it since it was read.
    pub fn write(&self, merged: &Merged) -> Result<(), Trouble> {
        let now = match std::fs::symlink_metadata(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(trouble::io("look", &self.file, &error)),
            Ok(meta) => Some(meta),
        };
        let is_same = match (&now, &self.text) {
            (None, None) => true,
            (Some(meta), Some(text)) => {
                meta.is_file() && std::fs::read(&self.file).is_ok_and(|bytes| bytes == text.as_bytes())
            }
            _ => false,
        };
        if !is_same {
            let message = format!("{} was changed meanwhile; nothing was written.", self.file.display());
            let hint = "Run \"oarlock init\" again.".into();
            return Err(Trouble { hint, ..trouble::new("changed_meanwhile", message) });
        }
        let mode = now.map_or(MODE_NEW, |meta| meta.permissions().mode() & 0o7777);
        plant::replace(&self.file, merged.text.as_bytes(), mode, true).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "Make room, then try again.",
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "Make the folder writable for you, then try again."
                }
                _ => "Nothing was written; the file is as it was.",
            };
            Trouble { hint: hint.into(), ..trouble::io("write the file", &self.file, &error) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("git").args(["init", "--quiet"]).arg(folder.path()).status();
        assert!(made.unwrap().success());
        folder
    }

    #[test]
    fn a_file_that_changed_since_it_was_read_is_not_written_over() {
        let folder = repository();
        let site = look(folder.path()).unwrap();
        let answers = Answers { agent: Some("scripted".into()), ..Answers::default() };
        let merged = site.merge(&answers).unwrap();
        std::fs::write(site.file(), "# mine\n").unwrap();
        assert_eq!(site.write(&merged).unwrap_err().code, "changed_meanwhile");
        assert_eq!(std::fs::read_to_string(site.file()).unwrap(), "# mine\n");
        let site = look(folder.path()).unwrap();
        site.write(&site.merge(&answers).unwrap()).unwrap();
        assert_eq!(std::fs::read_to_string(site.file()).unwrap(), "# mine\nagent = \"scripted\"\n");
    }

    #[test]
    fn a_path_out_of_the_repository_is_refused_before_it_is_written() {
        let folder = repository();
        let site = look(folder.path()).unwrap();
        for path in ["../secret", "/etc/passwd", ".git/config", ""] {
            let link = Answers { link: Some(vec![path.into()]), ..Answers::default() };
            assert_eq!(site.merge(&link).unwrap_err().code, "setup_refused", "{path}");
            let copy = Answers { copy: Some(vec![path.into()]), ..Answers::default() };
            assert_eq!(site.merge(&copy).unwrap_err().code, "setup_refused", "{path}");
        }
    }

    #[test]
    fn a_file_that_says_bypass_already_is_left_to_say_so() {
        let folder = repository();
        let text = "[roles.worker]\npermissions = \"bypass\"\n";
        std::fs::write(folder.path().join(FILE_NAME), text).unwrap();
        let site = look(folder.path()).unwrap();
        let bypass = Answers { permissions: Some(Permissions::Bypass), ..Answers::default() };
        assert_eq!(site.merge(&bypass).unwrap().changes, []);
        let auto = Answers { permissions: Some(Permissions::Auto), ..Answers::default() };
        assert_eq!(site.merge(&auto).unwrap().text, text.replace("bypass", "auto"));
    }
}
