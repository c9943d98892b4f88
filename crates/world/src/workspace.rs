//! Workspaces: isolated checkouts of a project's repository, made, looked at and taken away.
//!
//! A workspace is a linked worktree (the default; it shares the repository's objects and refs) or a local clone (its own
//! refs and configuration). What oarlock knows about each is a record in the repository's common directory, so
//! that an attempt cut short anywhere can be taken up again. Must not know sessions, facts or the daemon.

use std::path::PathBuf;

use crate::git::{GitError, Oid};

mod adopt;
mod clone;
pub(crate) mod diff;
mod exclude;
pub(crate) mod hidden;
mod inspect;
mod known;
mod plant;
mod prepare;
pub(crate) mod record;
mod remove;
mod setup;
pub(crate) mod state;
pub(crate) mod worktree;

pub use adopt::{Adopt, Fit, Unfit, branch_is_there, fit, give_back};
pub use clone::bring_home;
pub use diff::{Diff, DiffWant, FileChange, changes, diff};
pub(crate) use exclude::common_dir;
pub use exclude::exclude;
pub(crate) use inspect::home;
pub use inspect::{Home, Repository, inspect, inspect_with};
pub use prepare::prepare;
pub use remove::{BranchLeft, RemoveWant, Removed, processes_inside, remove};
pub use state::{WorkState, state};

pub(crate) use clone::fetch_ref;
pub(crate) use diff::{PrivateIndex, between};
pub(crate) use prepare::{check_branch_free, check_path, check_path_free, place};
pub(crate) use setup::{check as check_setup, set_up};
pub(crate) use state::{Entry as StatusEntry, entries as status_entries};

/// The remote of a clone that leads to the project's repository. `origin` is the project's own origin.
pub const HOME_REMOTE: &str = "oarlock-home";

/// How a workspace is isolated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A linked worktree: shares objects, refs and configuration with the repository.
    #[default]
    Worktree,
    /// A local clone with hard-linked objects: refs and configuration of its own. The project's hooks are not copied.
    Clone,
}

/// What a workspace gets beyond its checkout. All paths are relative to the repository's root.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Ignored files to copy from the project's checkout: paths, directories or git globs (`config/*.local`).
    pub copy: Vec<String>,
    /// Paths to link to in the project's checkout (`node_modules`).
    pub link: Vec<String>,
    /// Shell commands run in the workspace, in order, each once.
    pub commands: Vec<String>,
    /// Variables for the commands.
    pub env: Vec<(String, String)>,
}

impl Setup {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.copy.is_empty() && self.link.is_empty() && self.commands.is_empty()
    }
}

/// A workspace that should exist.
#[derive(Clone, Debug)]
pub struct Want {
    /// The project's repository: its root, or any directory inside one of its checkouts.
    pub repository: PathBuf,
    /// Where the workspace goes: absolute, UTF-8, outside the repository's checkout.
    pub path: PathBuf,
    /// Its branch, without `refs/heads/`.
    pub branch: String,
    /// The revision it starts from; the default branch when none is named.
    pub base: Option<String>,
    /// How it is isolated.
    pub kind: Kind,
    /// Whose it is, for ever: the same id asks for the same workspace.
    pub id: String,
    /// What it gets beyond its checkout.
    pub setup: Setup,
    /// What of it was there before, and is taken over.
    pub adopt: Adopt,
}

/// A workspace that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Where it is.
    pub path: PathBuf,
    /// Its branch, without `refs/heads/`.
    pub branch: String,
    /// The commit it started from.
    pub base: Oid,
    /// Its HEAD.
    pub head: Oid,
    /// The local branch its work should land on, without `refs/heads/`.
    pub base_branch: String,
    /// How it is isolated.
    pub kind: Kind,
    /// Whether it, or a part of it, was there before this call.
    pub adopted: bool,
    /// What setup left out, and why.
    pub skipped: Vec<Skipped>,
    /// Where a stray directory at its path went.
    pub moved_aside: Option<PathBuf>,
    /// What the repository's `post-checkout` hook said when it failed; the workspace is good all the same.
    pub hook_failed: Option<String>,
    /// Nothing but git wrote into it, just now, so that it is known to be clean and at the tip of its base branch.
    pub untouched: bool,
}

/// Something setup did not copy or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// What was asked for, relative to the root.
    pub path: String,
    /// Why it was left out.
    pub why: SkippedWhy,
}

/// Why setup left something out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkippedWhy {
    /// There is no such thing in the project's checkout.
    Missing,
    /// It is not ignored, so the workspace has it by git or the person has not decided about it.
    NotIgnored,
    /// The workspace already has something there.
    Exists,
    /// It is, or leads through, a symbolic link out of the repository.
    Escapes,
    /// It is a repository of its own.
    Repository,
    /// The repository is bare: there is no checkout to take it from.
    NoCheckout,
}

/// Why a workspace cannot be inspected, made, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path is in no git repository.
    #[error("{} is not in a git repository", path.display())]
    NotARepository {
        /// The path asked about.
        path: PathBuf,
    },
    /// The repository has no commit.
    #[error("the repository at {} has no commit yet", root.display())]
    Empty {
        /// Its root.
        root: PathBuf,
    },
    /// The workspace's path is no place for one.
    #[error("{} cannot hold a workspace: {why}", path.display())]
    PathRefused {
        /// The path asked for.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// Something that is not this workspace is at its path.
    #[error("{} is already used by {by}", path.display())]
    PathTaken {
        /// The path asked for.
        path: PathBuf,
        /// What is there.
        by: String,
    },
    /// git refuses the branch's name.
    #[error("\"{branch}\" is not a valid branch name")]
    BranchInvalid {
        /// The name, cleaned.
        branch: String,
    },
    /// A branch of that name was there before.
    #[error("the branch {branch} already exists at {}", at.short())]
    BranchExists {
        /// The branch.
        branch: String,
        /// Where it stands.
        at: Oid,
    },
    /// A branch whose name is a path prefix of it, or the other way round, exists: git keeps refs like files.
    #[error("the branch {branch} cannot exist beside {existing}")]
    BranchNested {
        /// The branch asked for.
        branch: String,
        /// The branch in its way.
        existing: String,
    },
    /// The branch is checked out in another place.
    #[error("the branch {branch} is checked out at {}", at.display())]
    BranchElsewhere {
        /// The branch.
        branch: String,
        /// Where.
        at: PathBuf,
    },
    /// The branch is the one that its work would land on.
    #[error("the branch {branch} is where work lands")]
    BranchIsBase {
        /// The branch.
        branch: String,
    },
    /// A folder cannot be taken over.
    #[error("{} cannot be adopted: {}", path.display(), why.says())]
    Unfit {
        /// The folder.
        path: PathBuf,
        /// Why not.
        why: Unfit,
    },
    /// The base names no commit.
    #[error("\"{base}\" names no commit in this repository")]
    BaseUnknown {
        /// What was asked for, cleaned.
        base: String,
    },
    /// The id has a workspace, and it is another one than asked for.
    #[error("the workspace of {id} is {have}, not {wanted}")]
    Differs {
        /// The id.
        id: String,
        /// What there is.
        have: String,
        /// What was asked for.
        wanted: String,
    },
    /// The workspace is being removed.
    #[error("the workspace of {id} is being removed")]
    BeingRemoved {
        /// The id.
        id: String,
    },
    /// A path of the setup may not be used.
    #[error("the setup path \"{path}\" is refused: {why}")]
    SetupRefused {
        /// The path as configured, cleaned.
        path: String,
        /// Why.
        why: &'static str,
    },
    /// A setup command failed.
    #[error("the setup command `{command}` ended with {exit}: {output}")]
    SetupFailed {
        /// The command, cleaned.
        command: String,
        /// "status 1", "signal 9", "more than 1200 s".
        exit: String,
        /// The end of what it wrote, cleaned.
        output: String,
    },
    /// What is at the path is not the workspace the caller means.
    #[error("{} is not the workspace of {id}", path.display())]
    NotOurs {
        /// The path.
        path: PathBuf,
        /// Whose it should be.
        id: String,
    },
    /// Somebody locked the worktree.
    #[error("the worktree at {} is locked: {reason}", path.display())]
    Locked {
        /// The path.
        path: PathBuf,
        /// The reason given, cleaned.
        reason: String,
    },
    /// Processes are at work in it.
    #[error("{} still at work in {}", crate::git::text::are(pids.len(), "process", "processes"), path.display())]
    InUse {
        /// The path.
        path: PathBuf,
        /// Their ids, at most 16.
        pids: Vec<u32>,
    },
    /// A submodule has work that exists nowhere else.
    #[error("the submodule {submodule} has work that is not pushed")]
    SubmoduleChanged {
        /// Its path in the workspace, cleaned.
        submodule: String,
    },
    /// Its work could not be kept, so it stays.
    #[error("the work in {} could not be kept", path.display())]
    NotKept {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<crate::trash::Error>,
    },
    /// git failed.
    #[error("git failed on the workspace")]
    Git {
        /// How.
        #[source]
        source: GitError,
    },
    /// The file system failed.
    #[error("failed to {operation} {}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Makes a clone up to its files. Returns where a stray directory went.
pub(crate) fn make_clone(home: &Home, record: &record::Record) -> Result<Option<PathBuf>, Error> {
    Ok(clone::make(home, record)?.moved_aside)
}

/// Describes a recorded workspace as it stands.
pub(crate) fn describe(record: &record::Record, adopted: bool) -> Result<Ready, Error> {
    let head = crate::git::read::commit(&crate::git::Git::at(&record.path), "HEAD")?;
    Ok(prepare::ready(record, adopted, prepare::Made::default(), head))
}

impl From<GitError> for Error {
    fn from(source: GitError) -> Error {
        Error::Git { source }
    }
}

impl Error {
    /// Returns the name of this error, in snake case; never reused for another.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Error::NotARepository { .. } => "not_a_repository",
            Error::Empty { .. } => "empty_repository",
            Error::PathRefused { .. } => "path_refused",
            Error::PathTaken { .. } => "path_taken",
            Error::BranchInvalid { .. } => "branch_invalid",
            Error::BranchExists { .. } => "branch_exists",
            Error::BranchNested { .. } => "branch_nested",
            Error::BranchElsewhere { .. } => "branch_elsewhere",
            Error::BranchIsBase { .. } => "branch_is_base",
            Error::Unfit { why: Unfit::Foreign, .. } => "not_a_worktree",
            Error::Unfit { why: Unfit::Main, .. } => "main_checkout",
            Error::Unfit { why: Unfit::Detached, .. } => "detached",
            Error::Unfit { why: Unfit::Operation(_), .. } => "operation_under_way",
            Error::Unfit { why: Unfit::OnBranch(_), .. } => "on_another_branch",
            Error::BaseUnknown { .. } => "base_unknown",
            Error::Differs { .. } => "workspace_differs",
            Error::BeingRemoved { .. } => "being_removed",
            Error::SetupRefused { .. } => "setup_refused",
            Error::SetupFailed { .. } => "setup_failed",
            Error::NotOurs { .. } => "not_ours",
            Error::Locked { .. } => "worktree_locked",
            Error::InUse { .. } => "in_use",
            Error::SubmoduleChanged { .. } => "submodule_changed",
            Error::NotKept { .. } => "not_kept",
            Error::Git { source: GitError::TooOld { .. } } => "git_too_old",
            Error::Git { .. } => "git_failed",
            Error::Io { .. } => "io_failed",
        }
    }

    /// Returns what a person can do about it, or `None` when there is nothing to say beyond the error.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::NotARepository { path } => {
                format!("run git init in {}, or go to a repository", path.display())
            }
            Error::Empty { root } => {
                format!("make a first commit: git -C '{}' commit --allow-empty -m start", root.display())
            }
            Error::PathRefused { .. } | Error::PathTaken { .. } => "choose another path".into(),
            Error::BranchInvalid { .. } => "see git help check-ref-format for the rules".into(),
            Error::BranchExists { branch, .. } => {
                format!("choose another branch, or rename it: git branch -m {branch}")
            }
            Error::BranchNested { existing, .. } => {
                format!("choose a branch name that does not share {existing}")
            }
            Error::BranchElsewhere { at, .. } => format!("switch to another branch in {}", at.display()),
            Error::BranchIsBase { .. } => "name where it lands with --base".into(),
            Error::Unfit { why, .. } => why.hint(),
            Error::BaseUnknown { .. } => {
                "name a branch, tag or commit; git fetch first if it is on a remote".into()
            }
            Error::SetupRefused { .. } => "setup paths stay inside the repository".into(),
            Error::SetupFailed { .. } => "correct the command in the project's setup and start again".into(),
            Error::Locked { path, .. } => format!("git worktree unlock '{}'", path.display()),
            Error::InUse { .. } => "stop what runs there first".into(),
            Error::SubmoduleChanged { submodule } => format!("push or drop the work in {submodule} first"),
            Error::Git { source: GitError::TooOld { .. } } => "install a newer git".into(),
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                "make room, then try again".into()
            }
            Error::NotKept { source, .. } => return source.hint(),
            Error::Differs { .. }
            | Error::BeingRemoved { .. }
            | Error::NotOurs { .. }
            | Error::Git { .. }
            | Error::Io { .. } => return None,
        })
    }

    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { operation, path, source }
    }
}
