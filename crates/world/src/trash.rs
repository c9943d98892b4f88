//! The trash: HEAD, index and untracked files of a workspace, kept as commits in the project's repository.
//!
//! An entry is the ref `refs/oarlock/trash/<id>`. Its commit's tree is the files as they were on disk, byte for byte (no
//! filter runs); its parents are HEAD, a commit of the index, where needed a commit of what no tree can say (conflicts,
//! files marked to be added, a merge under way), and every commit that nothing else would hold. The user's index, stash and
//! checkout are not touched. Ignored files and empty directories are not kept. Must not know sessions or the daemon.

use std::path::{Path, PathBuf};

use crate::git::text::{clean_line, escape, unescape};
use crate::git::{Git, GitError, Oid, read, refname};
use crate::workspace;

mod keep;
mod restore;

pub use keep::keep;
pub use restore::{Restore, restore};

/// Where entries are: below this, by id.
pub const TRASH_REFS: &str = "refs/oarlock/trash/";

/// What to keep, and what to say about it.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The checkout.
    pub workspace: PathBuf,
    /// The entry's id: one component or more of a ref name.
    pub id: String,
    /// The id of the workspace it was.
    pub session: String,
    /// Why it is kept.
    pub reason: String,
    /// The workspace's own branch; its commits are kept even when HEAD is elsewhere.
    pub branch: Option<String>,
    /// The commit it started from.
    pub base: Option<Oid>,
    /// The branch it was to land on.
    pub base_branch: Option<String>,
}

/// One entry of the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// The commit that holds everything.
    pub commit: Oid,
    /// The id of the workspace it was.
    pub session: String,
    /// The workspace's own branch.
    pub branch: Option<String>,
    /// The branch that was checked out; none when detached.
    pub head_branch: Option<String>,
    /// HEAD; none on an unborn branch.
    pub head: Option<Oid>,
    /// The commit it started from.
    pub base: Option<Oid>,
    /// The branch it was to land on.
    pub base_branch: Option<String>,
    /// Where the workspace was.
    pub path: PathBuf,
    /// How it was isolated.
    pub kind: workspace::Kind,
    /// Why it was kept.
    pub reason: String,
    /// When, in seconds since 1970.
    pub at: i64,
    /// Paths that differed from HEAD.
    pub changed: u64,
    pub(crate) index: Oid,
    pub(crate) extra: Option<Oid>,
    /// Refs kept besides HEAD: full name, or a `stash` number, and commit.
    pub(crate) also: Vec<(String, Oid)>,
}

/// Why something cannot be kept, found, restored or purged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The id cannot be part of a ref's name.
    #[error("\"{id}\" cannot name a trash entry")]
    InvalidId {
        /// The id, cleaned.
        id: String,
    },
    /// Something else is kept under that id.
    #[error("other work is already kept as {id}")]
    AlreadyKept {
        /// The id.
        id: String,
    },
    /// There is no such entry.
    #[error("nothing is kept as {id}")]
    NotFound {
        /// The id, cleaned.
        id: String,
    },
    /// The entry's commit does not say what oarlock writes into one.
    #[error("the trash entry {id} cannot be read: {what} is missing")]
    Damaged {
        /// The id.
        id: String,
        /// What is missing.
        what: &'static str,
    },
    /// An untracked directory is a repository of its own, whose commits a tree cannot hold.
    #[error("{} is a repository inside the workspace", path.display())]
    EmbeddedRepository {
        /// Its path, relative to the workspace.
        path: PathBuf,
    },
    /// A submodule has commits or changes of its own.
    #[error("the submodule {} has changes", path.display())]
    SubmoduleChanged {
        /// Its path, relative to the workspace.
        path: PathBuf,
    },
    /// A file or directory cannot be read.
    #[error("{what} cannot be read")]
    Unreadable {
        /// Which, cleaned.
        what: String,
        /// Why.
        #[source]
        source: Option<std::io::Error>,
    },
    /// There is more than the trash takes.
    #[error("{bytes} bytes of uncommitted files are more than the trash takes ({bytes_max})")]
    TooLarge {
        /// How much there is.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The branch to restore is somewhere else by now.
    #[error("the branch {branch} exists at {}", at.short())]
    BranchTaken {
        /// The branch.
        branch: String,
        /// Where it stands.
        at: Oid,
    },
    /// The workspace could not be made again, or looked at.
    #[error("failed to handle the workspace")]
    Workspace {
        /// Why.
        #[source]
        source: workspace::Error,
    },
    /// git failed.
    #[error("git failed on the trash")]
    Git {
        /// How.
        #[source]
        source: GitError,
    },
}

impl From<GitError> for Error {
    fn from(source: GitError) -> Error {
        Error::Git { source }
    }
}

impl From<workspace::Error> for Error {
    fn from(source: workspace::Error) -> Error {
        Error::Workspace { source }
    }
}

impl Error {
    /// Returns the name of this error, in snake case; never reused for another.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Error::InvalidId { .. } => "trash_id_invalid",
            Error::AlreadyKept { .. } => "trash_already_kept",
            Error::NotFound { .. } => "trash_not_found",
            Error::Damaged { .. } => "trash_damaged",
            Error::EmbeddedRepository { .. } => "embedded_repository",
            Error::SubmoduleChanged { .. } => "submodule_changed",
            Error::Unreadable { .. } => "unreadable_file",
            Error::TooLarge { .. } => "too_large",
            Error::BranchTaken { .. } => "branch_taken",
            Error::Workspace { source } => source.code(),
            Error::Git { .. } => "git_failed",
        }
    }

    /// Returns what a person can do about it, or `None`.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::EmbeddedRepository { path } => {
                format!("move {} out of the workspace, or add it to .gitignore", path.display())
            }
            Error::SubmoduleChanged { path } => format!("push the work in {}, then reset it", path.display()),
            Error::Unreadable { .. } => "make it readable, or delete it".into(),
            Error::TooLarge { .. } => "add generated files to .gitignore, or move them away".into(),
            Error::BranchTaken { branch, .. } => format!("restore to another branch, or rename {branch}"),
            Error::Workspace { source } => return source.hint(),
            Error::InvalidId { .. }
            | Error::AlreadyKept { .. }
            | Error::NotFound { .. }
            | Error::Damaged { .. }
            | Error::Git { .. } => return None,
        })
    }
}

/// Returns everything in the trash of the repository at `repository`, the latest first.
///
/// # Errors
/// [`Error::Git`] when git fails. An entry that cannot be read is left out.
pub fn list(repository: &Path) -> Result<Vec<Entry>, Error> {
    read_entries(&Git::at(repository), TRASH_REFS)
}

/// Returns one entry.
///
/// # Errors
/// [`Error::NotFound`] when there is none of that id; [`Error::Git`] when git fails.
pub fn find(repository: &Path, id: &str) -> Result<Entry, Error> {
    let git = Git::at(repository);
    check_id(id)?;
    let entries = read_entries(&git, &format!("{TRASH_REFS}{id}"))?;
    let not_found = || Error::NotFound { id: clean_line(id.as_bytes(), 120) };
    entries.into_iter().find(|entry| entry.id == id).ok_or_else(not_found)
}

/// Throws one entry away for good, if it is still the one described. An entry that is gone is a success.
///
/// # Errors
/// [`Error::Git`] when git fails or the entry is another by now.
pub fn purge(repository: &Path, id: &str) -> Result<(), Error> {
    let git = Git::at(repository);
    check_id(id)?;
    let name = format!("{TRASH_REFS}{id}");
    if let Some(at) = read::reference(&git, &name)? {
        git.writes("purge a trash entry").args(["update-ref", "-d", &name, at.as_str()]).run()?;
    }
    Ok(())
}

pub(crate) fn check_id(id: &str) -> Result<(), Error> {
    if id.is_empty() || !refname::is_ref(&format!("{TRASH_REFS}{id}")) {
        return Err(Error::InvalidId { id: clean_line(id.as_bytes(), 120) });
    }
    Ok(())
}

fn read_entries(git: &Git, pattern: &str) -> Result<Vec<Entry>, Error> {
    let format = "--format=%(refname)%00%(objectname)%00%(committerdate:unix)%00%(contents:body)%00";
    let answer =
        git.reads("list the trash").args(["for-each-ref", "--sort=-committerdate", format, pattern]).run()?;
    Ok(parse_entries(&answer.stdout))
}

/// Reads entries in the format above; one that is damaged is left out.
pub(crate) fn parse_entries(stdout: &[u8]) -> Vec<Entry> {
    /// Fields of one entry in the format above.
    const FIELDS: usize = 4;
    let fields: Vec<&[u8]> = stdout.split(|byte| *byte == 0).collect();
    let entries = fields.chunks_exact(FIELDS).filter_map(|fields| {
        let text: Vec<String> = fields
            .iter()
            .map(|field| String::from_utf8_lossy(field).trim_start_matches('\n').to_owned())
            .collect();
        let id = text[0].strip_prefix(TRASH_REFS)?;
        read_entry(id, Oid::parse(&text[1])?, text[2].parse().ok()?, &text[3]).ok()
    });
    entries.collect()
}

/// Reads the trailers of an entry's commit.
fn read_entry(id: &str, commit: Oid, at: i64, body: &str) -> Result<Entry, Error> {
    let damaged = |what| Error::Damaged { id: id.to_owned(), what };
    let all = |name: &str| -> Vec<String> {
        let prefix = format!("Oarlock-{name}: ");
        let values = body.lines().filter_map(|line| line.strip_prefix(&prefix));
        values.map(|value| String::from_utf8_lossy(&unescape(value)).into_owned()).collect()
    };
    let one = |name: &str| all(name).into_iter().next();
    let oid = |name: &str| one(name).and_then(|text| Oid::parse(&text));
    let raw_path = body.lines().find_map(|line| line.strip_prefix("Oarlock-Path: ")).map(unescape);
    let also = all("Also");
    let also = also
        .iter()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(oid, name)| Some((name.to_owned(), Oid::parse(oid)?)));
    Ok(Entry {
        id: id.to_owned(),
        commit,
        session: one("Session").unwrap_or_default(),
        branch: one("Branch"),
        head_branch: one("Head-Branch"),
        head: oid("Head"),
        base: oid("Base"),
        base_branch: one("Base-Branch"),
        path: crate::git::text::path_of(&raw_path.ok_or_else(|| damaged("its path"))?),
        kind: if one("Kind").as_deref() == Some("clone") {
            workspace::Kind::Clone
        } else {
            workspace::Kind::Worktree
        },
        reason: one("Reason").unwrap_or_default(),
        at,
        changed: one("Changed").and_then(|text| text.parse().ok()).unwrap_or(0),
        index: oid("Index").ok_or_else(|| damaged("its index"))?,
        extra: oid("Extra"),
        also: also.collect(),
    })
}

/// Writes one trailer line.
pub(crate) fn trailer(name: &str, value: &[u8]) -> String {
    format!("Oarlock-{name}: {}\n", escape(value))
}
