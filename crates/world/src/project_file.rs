//! `oarlock.toml` at a repository's root: what every workspace of the project gets. Shared and committed.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::workspace::Setup;

/// The file's name.
pub const FILE_NAME: &str = "oarlock.toml";
/// Largest file read, in bytes: a configuration is a page, anything above is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the file says. An unknown key is an error that names the known ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectFile {
    /// The branch that work lands on; git's own default when missing.
    pub default_branch: Option<String>,
    /// What a workspace gets beyond its checkout.
    pub workspace: WorkspaceTable,
}

/// The table `[workspace]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkspaceTable {
    /// Ignored files to copy from the project's checkout: paths, folders or globs.
    pub copy: Vec<String>,
    /// Ignored paths to link to in the project's checkout.
    pub link: Vec<String>,
    /// Shell commands run once in each new workspace, in order.
    pub setup: Vec<String>,
}

/// Why the file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectFileError {
    /// It cannot be read from disk.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{} cannot be understood", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml_edit::de::Error>,
    },
}

impl ProjectFile {
    /// Reads the file of a repository; a missing file says nothing.
    ///
    /// # Errors
    /// When it is there and cannot be read or understood.
    pub fn read(repository: &Path) -> Result<Self, ProjectFileError> {
        let path = repository.join(FILE_NAME);
        let failed = |source| ProjectFileError::Read { path: path.clone(), source };
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
            Ok(meta) if meta.len() > FILE_BYTES_MAX => {
                return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 MiB")));
            }
            // A committed link may lead to a device that never ends.
            Ok(meta) if !meta.is_file() => {
                return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")));
            }
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        toml_edit::de::from_str(&text)
            .map_err(|source| ProjectFileError::Parse { path, source: Box::new(source) })
    }

    /// Returns what a workspace gets beyond its checkout.
    #[must_use]
    pub fn setup(self, env: Vec<(String, String)>) -> Setup {
        Setup { copy: self.workspace.copy, link: self.workspace.link, commands: self.workspace.setup, env }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ProjectFile, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), text).unwrap();
        ProjectFile::read(folder.path()).map_err(|error| crate::trouble::chain(&error))
    }

    #[test]
    fn a_missing_file_says_nothing() {
        assert_eq!(ProjectFile::read(Path::new("/nowhere")).unwrap(), ProjectFile::default());
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_known_ones() {
        let error = read("[workspace]\ncoppy = [\"a\"]\n").unwrap_err();
        assert!(error.contains("coppy") && error.contains("copy"), "{error}");
    }

    #[test]
    fn what_it_says_is_taken() {
        let file =
            read("default_branch = \"trunk\"\n[workspace]\ncopy = [\".env\"]\nsetup = [\"make\"]\n").unwrap();
        assert_eq!(file.default_branch.as_deref(), Some("trunk"));
        assert_eq!(file.workspace.copy, [".env"]);
    }
}
