//! Takes over a branch or a worktree that was there before, as it is: nothing in it is moved, written or set up.
//!
//! Must not take anything away; what becomes of it later is its session's affair.

use std::path::{Path, PathBuf};

use super::inspect::Home;
use super::prepare::{find_base, is_checkout, place, reason};
use super::record::{Record, Records, Stage, key};
use super::{Error, Kind, RemoveWant, Want};
use crate::git::lock::Lock;
use crate::git::text::clean_line;
use crate::git::{Git, Oid, read, refname};

/// How much of a workspace is there before it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adopt {
    /// Nothing: branch and checkout are made.
    #[default]
    Nothing,
    /// The branch: a checkout of it is made.
    Branch,
    /// The worktree with whatever it holds. Its branch is made only when it is on none.
    Worktree,
}

/// Why a folder cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is no checkout of this repository.
    Foreign,
    /// It is the main checkout, which is the person's own.
    Main,
    /// It is on no branch, and none was named.
    Detached,
    /// It is on no branch because git is in the middle of something.
    Operation(&'static str),
    /// It is on another branch than was named.
    OnBranch(String),
}

impl Unfit {
    pub(super) fn says(&self) -> String {
        match self {
            Unfit::Foreign => "it is no worktree of this repository".into(),
            Unfit::Main => "it is the repository's main checkout".into(),
            Unfit::Detached => "it is on no branch".into(),
            Unfit::Operation(what) => format!("it is on no branch, in the middle of a {what}"),
            Unfit::OnBranch(branch) => format!("it is on the branch {branch}"),
        }
    }

    pub(super) fn hint(&self) -> String {
        match self {
            Unfit::Foreign => "see git worktree list".into(),
            Unfit::Main => "make a worktree of the branch, or spawn without --adopt".into(),
            Unfit::Detached => "name a branch to put it on with --branch".into(),
            Unfit::Operation(_) => "finish or abort it there first".into(),
            Unfit::OnBranch(_) => "leave out --branch, or switch there first".into(),
        }
    }
}

/// A worktree that can be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Its physical path.
    pub path: PathBuf,
    /// The branch it is on, or is put on.
    pub branch: String,
    /// Whether it is on no branch yet.
    detached: bool,
    /// What is checked out.
    head: Oid,
}

/// Tells whether the worktree at `path` can be taken over, on `branch` when one is named.
///
/// # Errors
/// [`Error::Unfit`] with the reason, [`Error::PathTaken`] when it is another session's, [`Error::BranchExists`] when the
/// branch named for one that is on none stands elsewhere.
pub fn fit(repository: &Path, path: &Path, branch: Option<&str>) -> Result<Fit, Error> {
    let home = super::home(repository)?;
    fit_for(&home, path, branch, None)
}

fn fit_for(home: &Home, path: &Path, branch: Option<&str>, id: Option<&str>) -> Result<Fit, Error> {
    let path = read::physical(&place(path)?);
    let unfit = |why| Error::Unfit { path: path.clone(), why };
    // A folder inside a worktree is not the worktree.
    let Some(dir) = read::git_dir(&path).filter(|_| is_checkout(&path)) else {
        return Err(unfit(Unfit::Foreign));
    };
    if super::home(&path)?.common_dir != home.common_dir {
        return Err(unfit(Unfit::Foreign));
    }
    if read::physical(&dir) == home.common_dir {
        return Err(unfit(Unfit::Main));
    }
    if let Some(other) = Records::of(&home.common_dir).at_path(&path)?
        && id != Some(other.id.as_str())
    {
        return Err(Error::PathTaken { path, by: format!("the workspace of {}", other.id) });
    }
    let git = Git::at(&path);
    let Some(head) = read::commit(&git, "HEAD")? else { return Err(Error::Empty { root: path }) };
    match (read::head_branch(&git)?, branch) {
        (Some(on), None) => Ok(Fit { path, branch: on, detached: false, head }),
        (Some(on), Some(named)) if on == named => Ok(Fit { path, branch: on, detached: false, head }),
        (Some(on), Some(_)) => Err(unfit(Unfit::OnBranch(on))),
        (None, named) => {
            if let Some(operation) = read::operation(&dir) {
                return Err(unfit(Unfit::Operation(operation.as_str())));
            }
            let Some(named) = named else { return Err(unfit(Unfit::Detached)) };
            check_name(named)?;
            match super::check_branch_free(&git, named) {
                Err(Error::BranchExists { at, .. }) if at == head => check_not_elsewhere(&git, named, &path)?,
                other => other?,
            }
            Ok(Fit { path, branch: named.to_owned(), detached: true, head })
        }
    }
}

fn check_name(branch: &str) -> Result<(), Error> {
    if refname::is_branch(branch) {
        return Ok(());
    }
    Err(Error::BranchInvalid { branch: clean_line(branch.as_bytes(), 120) })
}

fn check_not_elsewhere(git: &Git, branch: &str, path: &Path) -> Result<(), Error> {
    let entries = read::worktrees(git)?;
    let other = entries
        .iter()
        .find(|entry| entry.branch.as_deref() == Some(branch) && read::physical(&entry.path) != path);
    match other {
        Some(other) => Err(Error::BranchElsewhere { branch: branch.to_owned(), at: other.path.clone() }),
        None => Ok(()),
    }
}

/// Tells whether a branch is there to be taken over. One that is checked out somewhere is not.
///
/// # Errors
/// [`Error::BranchInvalid`], and [`Error::BranchElsewhere`] with the place.
pub fn branch_is_there(repository: &Path, branch: &str) -> Result<bool, Error> {
    check_name(branch)?;
    let home = super::home(repository)?;
    let git = Git::at(&home.root);
    if read::branch(&git, branch)?.is_none() {
        return Ok(false);
    }
    check_not_elsewhere(&git, branch, Path::new(""))?;
    Ok(true)
}

/// Where the work on an adopted branch began, and where it lands.
pub(super) struct Began {
    pub(super) at: Oid,
    pub(super) base_branch: String,
}

/// Finds where a branch left the one it lands on.
pub(super) fn began(git: &Git, home: &Home, want: &Want, branch: &str, tip: &Oid) -> Result<Began, Error> {
    let base = find_base(git, home, want.base.as_deref())?;
    if base.branch == branch {
        return Err(Error::BranchIsBase { branch: branch.to_owned() });
    }
    let at = read::merge_base(git, &base.at, tip)?.unwrap_or_else(|| tip.clone());
    Ok(Began { at, base_branch: base.branch })
}

/// Returns where the work on a wanted branch began, when the branch is there and checked out nowhere.
pub(super) fn branch(git: &Git, home: &Home, want: &Want, path: &Path) -> Result<Began, Error> {
    let missing = || Error::BaseUnknown { base: want.branch.clone() };
    let tip = read::branch(git, &want.branch)?.ok_or_else(missing)?;
    check_not_elsewhere(git, &want.branch, path)?;
    began(git, home, want, &want.branch, &tip)
}

/// Takes over a worktree as it stands. The workspace's lock must be held.
pub(super) fn worktree(home: &Home, records: &Records, want: &Want) -> Result<Record, Error> {
    let _one = Lock::repository(&home.common_dir)?;
    let fit = fit_for(home, &want.path, Some(&want.branch), Some(&want.id))?;
    let git = Git::at(&fit.path);
    let began = began(&git, home, want, &fit.branch, &fit.head)?;
    if fit.detached {
        let full = format!("refs/heads/{}", fit.branch);
        if read::branch(&git, &fit.branch)?.is_none() {
            let args =
                ["update-ref", "-m", &reason(&want.id), &full, fit.head.as_str(), &fit.head.zero_like()];
            git.writes("create the branch").args(args).run()?;
        }
        // Only HEAD's name changes: it is at the same commit, and index and files stay as they are.
        git.writes("put the worktree on its branch").args(["symbolic-ref", "HEAD", &full]).run()?;
    }
    let record = Record {
        id: want.id.clone(),
        path: fit.path,
        branch: fit.branch,
        base: began.at,
        base_branch: began.base_branch,
        kind: Kind::Worktree,
        stage: Stage::Ready,
        setup_done: Vec::new(),
        restored: None,
        adopted: Adopt::Worktree,
    };
    records.write(&record)?;
    Ok(record)
}

/// Lets go of a worktree that was taken over, and leaves it where and as it is. Safe to repeat. Returns whether that is done;
/// one whose removal began before has to be removed.
///
/// # Errors
/// [`Error::NotOurs`] when another workspace is meant.
pub fn give_back(want: &RemoveWant) -> Result<bool, Error> {
    let home = super::home(&want.repository)?;
    let _mine = Lock::workspace(&home.common_dir, &key(&want.id))?;
    let records = Records::of(&home.common_dir);
    match records.read(&want.id)? {
        Some(record) if record.path != want.path => {
            Err(Error::NotOurs { path: want.path.clone(), id: want.id.clone() })
        }
        Some(record) if matches!(record.stage, Stage::Removing { .. }) => Ok(false),
        Some(_) => records.forget(&want.id).map(|()| true),
        None => Ok(true),
    }
}
