//! Landing: a session's commits enter its base branch, without a checkout being needed or disturbed.
//!
//! Conflicts are computed in the object database (`git merge-tree`); the base branch moves in one ref transaction with its
//! expected value, together with refs that say so, and only then do clean checkouts of it follow. Must not judge
//! whether the work should land, nor know sessions or the daemon.

use std::path::PathBuf;

use crate::git::{GitError, Oid};
use crate::workspace;

mod checkouts;
pub(crate) mod commit;
mod land;
pub(crate) mod merge;
mod preview;
mod replay;

pub use land::land;
pub(crate) use preview::ends;
pub use preview::{commits, preview};

/// How commits enter the base branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum How {
    /// A merge commit, also where a fast-forward would do, unless [`LandWant::fast_forward`] is set.
    #[default]
    Merge,
    /// One commit with all the changes.
    Squash,
    /// Each commit again on top of the base, with its author, date and message. Merges in the range are refused.
    Rebase,
}

/// What landing would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Where the base branch stands.
    pub base: Oid,
    /// What would land.
    pub head: Oid,
    /// Their best common ancestor.
    pub merge_base: Oid,
    /// The commits of head that base does not have, oldest first, at most the latest 1,000.
    pub commits: Vec<Commit>,
    /// Files the landing would change.
    pub files: u64,
    /// Lines it would add; binary files count none.
    pub insertions: u64,
    /// Lines it would remove; binary files count none.
    pub deletions: u64,
    /// Where the two cannot be merged; empty when they can.
    pub conflicts: Vec<Conflict>,
    /// The base has all of it already.
    pub already_landed: bool,
    /// There is nothing to land.
    pub empty: bool,
}

/// One commit, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub oid: Oid,
    /// Its subject, without control characters, at most 200 characters.
    pub subject: String,
}

/// One path that cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The path, relative to the top.
    pub path: PathBuf,
    /// git's word for it: `contents`, `modify/delete`, `rename/delete`, `add/add`, `binary`, …
    pub kind: String,
}

/// A landing that should happen.
#[derive(Clone, Debug)]
pub struct LandWant {
    /// The project's repository.
    pub repository: PathBuf,
    /// The commit to land. The repository must have it; see [`workspace::bring_home`] for clones.
    pub head: Oid,
    /// The branch it lands on, without `refs/heads/`.
    pub base_branch: String,
    /// Where that branch must stand; wherever it stands when `None`.
    pub expect_base: Option<Oid>,
    /// The tree that the two must merge to; whichever when `None`.
    pub expect_tree: Option<Oid>,
    /// How.
    pub how: How,
    /// With [`How::Merge`]: moves the base branch on to head where that is all it takes.
    pub fast_forward: bool,
    /// The message of the commit made; a plain one when blank. Not used by [`How::Rebase`].
    pub message: String,
    /// Author of the commit made, name and address; the person's own identity when `None`.
    pub author: Option<(String, String)>,
    /// Trailers to add to the message, name and value.
    pub trailers: Vec<(String, String)>,
    /// The landing's name for ever: the same key, head and base branch land once.
    pub key: String,
}

/// A landing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// Where the base branch was moved to.
    pub oid: Oid,
    /// Where it stood before.
    pub base_before: Oid,
    /// How.
    pub how: How,
    /// The commits it gained, oldest first, at most 10,000.
    pub commits: Vec<Oid>,
    /// What became of the checkouts of the base branch.
    pub followed: Vec<Checkout>,
    /// An earlier call had moved the branch already.
    pub repeated: bool,
}

/// A checkout of the base branch, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// Where it is.
    pub path: PathBuf,
    /// What became of it.
    pub outcome: Follow,
}

/// Whether a checkout has the landed files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// It has them.
    Followed,
    /// It was not touched: its files are those of before, its branch has moved.
    LeftAlone {
        /// Why.
        why: LeftAlone,
        /// What to run to bring it up, losing nothing.
        hint: String,
    },
}

/// Why a checkout was left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftAlone {
    /// It has uncommitted changes.
    Dirty,
    /// Files that git does not track are where landed files go; at most 16 are named.
    InTheWay(Vec<PathBuf>),
    /// git could not update it; its words, cleaned.
    Failed(String),
}

/// Why nothing landed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is nothing to land.
    #[error("there are no changes to land on {base_branch}")]
    Empty {
        /// The base branch.
        base_branch: String,
    },
    /// The base branch has it all.
    #[error("{base_branch} already has everything of {}", head.short())]
    AlreadyLanded {
        /// The base branch.
        base_branch: String,
        /// What was to land.
        head: Oid,
    },
    /// The two cannot be merged.
    #[error("{} with {base_branch}", conflicting(conflicts.len()))]
    Conflicts {
        /// The base branch.
        base_branch: String,
        /// Where.
        conflicts: Vec<Conflict>,
        /// With [`How::Rebase`], the commit that did not apply.
        at: Option<Oid>,
    },
    /// The base branch is not where it was expected.
    #[error("{base_branch} moved from {} to {}", expected.short(), found.short())]
    BaseMoved {
        /// The base branch.
        base_branch: String,
        /// Where it was expected.
        expected: Oid,
        /// Where it is.
        found: Oid,
    },
    /// The two merge to another tree than expected.
    #[error("it merges to another tree than the one that was judged")]
    OtherTree,
    /// A hook of the repository refused.
    #[error("the {hook} hook refused: {output}")]
    HookRefused {
        /// Which.
        hook: &'static str,
        /// The end of what it said, cleaned.
        output: String,
    },
    /// The base branch is checked out where moving it would do harm.
    #[error("{base_branch} is checked out at {}, which {why}", path.display())]
    BaseCheckedOutElsewhere {
        /// The base branch.
        base_branch: String,
        /// Where.
        path: PathBuf,
        /// Why that is in the way.
        why: String,
    },
    /// There is no such base branch.
    #[error("there is no branch {base_branch}")]
    BaseMissing {
        /// The base branch, cleaned.
        base_branch: String,
    },
    /// The repository does not have the commit.
    #[error("the repository has no commit {}", head.short())]
    HeadMissing {
        /// The commit.
        head: Oid,
    },
    /// The two share no history.
    #[error("{} shares no history with {base_branch}", head.short())]
    Unrelated {
        /// The base branch.
        base_branch: String,
        /// What was to land.
        head: Oid,
    },
    /// The range holds merges, which a rebase would have to drop.
    #[error("{} merges commits, which cannot be rebased one by one", merge.short())]
    MergesInRange {
        /// The first of them.
        merge: Oid,
    },
    /// There are more commits than are replayed.
    #[error("{count} commits are too many to rebase one by one")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// git does not know who commits.
    #[error("git does not know who makes the commit")]
    NoIdentity,
    /// The person's configuration asks for signed commits, and signing failed.
    #[error("the commit could not be signed: {output}")]
    SigningFailed {
        /// What git said, cleaned.
        output: String,
    },
    /// The repository could not be looked at.
    #[error("failed to look at the repository")]
    Workspace {
        /// Why.
        #[source]
        source: workspace::Error,
    },
    /// git failed.
    #[error("git failed while landing")]
    Git {
        /// How.
        #[source]
        source: GitError,
    },
}

/// Says how many files conflict.
fn conflicting(files: usize) -> String {
    if files == 1 { "1 file conflicts".into() } else { format!("{files} files conflict") }
}

impl From<GitError> for Refusal {
    fn from(source: GitError) -> Refusal {
        Refusal::Git { source }
    }
}

impl From<workspace::Error> for Refusal {
    fn from(source: workspace::Error) -> Refusal {
        Refusal::Workspace { source }
    }
}

impl Refusal {
    /// Returns the name of this refusal, in snake case; never reused for another.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Empty { .. } => "landing_empty",
            Refusal::AlreadyLanded { .. } => "already_landed",
            Refusal::Conflicts { .. } => "conflicts",
            Refusal::BaseMoved { .. } => "base_moved",
            Refusal::OtherTree => "other_tree",
            Refusal::HookRefused { .. } => "hook_refused",
            Refusal::BaseCheckedOutElsewhere { .. } => "base_checked_out_elsewhere",
            Refusal::BaseMissing { .. } => "base_missing",
            Refusal::HeadMissing { .. } => "head_missing",
            Refusal::Unrelated { .. } => "unrelated_histories",
            Refusal::MergesInRange { .. } => "merges_in_range",
            Refusal::TooMany { .. } => "too_many_commits",
            Refusal::NoIdentity => "no_identity",
            Refusal::SigningFailed { .. } => "signing_failed",
            Refusal::Workspace { source } => source.code(),
            Refusal::Git { source: GitError::TooOld { .. } } => "git_too_old",
            Refusal::Git { .. } => "git_failed",
        }
    }

    /// Returns what a person can do about it, or `None`.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Refusal::Empty { .. } => "commit the work first, if there is any".into(),
            Refusal::AlreadyLanded { .. } => "there is nothing left to do".into(),
            Refusal::Conflicts { base_branch, .. } => {
                format!("merge {base_branch} into the work and resolve them")
            }
            Refusal::BaseMoved { .. } => "look at the preview again, then land".into(),
            Refusal::OtherTree => {
                "look whether git merges otherwise than it did (attributes, merge drivers)".into()
            }
            Refusal::HookRefused { hook, .. } => format!("see .git/hooks/{hook}, or core.hooksPath"),
            Refusal::BaseCheckedOutElsewhere { path, .. } => {
                format!("finish what is under way in {}, or switch it to another branch", path.display())
            }
            Refusal::BaseMissing { base_branch } => {
                format!("create it: git branch '{base_branch}' 'origin/{base_branch}'")
            }
            Refusal::HeadMissing { .. } => "fetch it into the repository first".into(),
            Refusal::Unrelated { .. } => "the work must start from a commit of the base branch".into(),
            Refusal::MergesInRange { .. } | Refusal::TooMany { .. } => {
                "land it as a merge or a squash".into()
            }
            Refusal::NoIdentity => {
                "tell git who you are: git config --global user.name \"…\" and user.email \"…\"".into()
            }
            Refusal::SigningFailed { .. } => "unlock the signing key, or unset commit.gpgSign".into(),
            Refusal::Git { source: GitError::TooOld { .. } } => "install a newer git".into(),
            Refusal::Workspace { source } => return source.hint(),
            Refusal::Git { .. } => return None,
        })
    }
}
