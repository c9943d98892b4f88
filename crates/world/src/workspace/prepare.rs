//! Makes a workspace, or takes up the making of one where an earlier attempt stopped.
//!
//! Registration (branch and worktree entry) takes milliseconds and runs one at a time per repository; writing the files takes
//! seconds and runs beside others. Must not know what will be done in the workspace.

use std::path::{Path, PathBuf};

use super::inspect::{Home, home, is_empty};
use super::record::{Record, Records, Stage, key};
use super::{Adopt, Error, Kind, Ready, Want, adopt, clone, setup, worktree};
use crate::git::lock::Lock;
use crate::git::text::clean_line;
use crate::git::{Git, GitError, Oid, read, refname, refs};

/// Directories tried for a stray directory before giving up: one is left per interrupted attempt.
const ASIDE_MAX: u32 = 1000;

/// Makes the workspace. Safe to repeat: what an earlier attempt left, wherever it stopped, is adopted.
///
/// The `post-checkout` hook runs once, after the files are written, as `git worktree add` does; when it fails, that is
/// reported and the workspace is good all the same. Submodules stay uninitialised; sparse checkout is inherited.
///
/// # Errors
/// A typed refusal when the repository, path, branch, base or setup will not do; [`Error::SetupFailed`] when a
/// setup command fails (a repeat goes on with that command); [`Error::Git`] and [`Error::Io`] otherwise.
pub fn prepare(want: &Want) -> Result<Ready, Error> {
    let home = home(&want.repository)?;
    let path = match want.adopt {
        Adopt::Nothing | Adopt::Branch => check_path(&want.path, &home)?,
        // It may lie anywhere, also inside the repository: it was put there by somebody.
        Adopt::Worktree => place(&want.path)?,
    };
    if !refname::is_branch(&want.branch) {
        return Err(Error::BranchInvalid { branch: clean_line(want.branch.as_bytes(), 120) });
    }
    setup::check(&want.setup)?;
    let _mine = Lock::workspace(&home.common_dir, &key(&want.id))?;
    let records = Records::of(&home.common_dir);
    let before = records.read(&want.id)?;
    let (mut record, base) = match before {
        Some(record) => (take_up(record, want, &path)?, None),
        None if want.adopt == Adopt::Worktree => (adopt::worktree(&home, &records, want)?, None),
        None => plan(&home, &records, want, &path).map(|(record, base)| (record, Some(base)))?,
    };
    let is_new = base.as_ref().is_some_and(|base| base.is_new);
    let mut made = Made::default();
    if record.stage != Stage::Planned && !is_checkout(&record.path) {
        // Somebody deleted the directory; what is on the branch can be had again.
        record.stage = Stage::Planned;
        record.setup_done.clear();
        records.write(&record)?;
    }
    if record.stage == Stage::Planned {
        made = match record.kind {
            Kind::Worktree => worktree::make(&home, &record, is_new)?,
            Kind::Clone => clone::make(&home, &record)?,
        };
        record.stage = Stage::CheckedOut;
    }
    let mut skipped = Vec::new();
    if record.stage == Stage::CheckedOut {
        if !want.setup.is_empty() {
            records.write(&record)?;
            skipped = setup::files(&home, &record.path, &want.setup)?;
            setup::commands(&records, &mut record, &want.setup)?;
        }
        record.stage = Stage::Ready;
        records.write_and_flush_soon(&record)?;
    }
    let untouched =
        is_new && base.as_ref().is_some_and(|base| base.is_tip) && made.untouched && want.setup.is_empty();
    let head =
        if untouched { Some(record.base.clone()) } else { read::commit(&Git::at(&record.path), "HEAD")? };
    Ok(Ready { skipped, untouched, ..ready(&record, !is_new, made, head) })
}

/// What making the checkout has to tell.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) moved_aside: Option<PathBuf>,
    pub(crate) hook_failed: Option<String>,
    /// Nothing but git wrote into it.
    pub(crate) untouched: bool,
}

/// Describes the workspace of `record`, whose HEAD is at `head`.
pub(crate) fn ready(record: &Record, adopted: bool, made: Made, head: Option<Oid>) -> Ready {
    Ready {
        path: record.path.clone(),
        branch: record.branch.clone(),
        base: record.base.clone(),
        head: head.unwrap_or_else(|| record.base.clone()),
        base_branch: record.base_branch.clone(),
        kind: record.kind,
        adopted,
        skipped: Vec::new(),
        moved_aside: made.moved_aside,
        hook_failed: made.hook_failed,
        untouched: false,
    }
}

/// Whether a checkout of its own is at `path`, and not just a directory inside another one.
pub(crate) fn is_checkout(path: &Path) -> bool {
    read::git_dir(path).is_some_and(|dir| dir.join("HEAD").exists())
}

/// Goes on with what is recorded, if it is what is wanted.
fn take_up(record: Record, want: &Want, path: &Path) -> Result<Record, Error> {
    if matches!(record.stage, Stage::Removing { .. }) {
        return Err(Error::BeingRemoved { id: want.id.clone() });
    }
    if record.path != path || record.branch != want.branch || record.kind != want.kind {
        let say = |path: &Path, branch: &str, kind: Kind| format!("{kind:?} {branch} at {}", path.display());
        return Err(Error::Differs {
            id: want.id.clone(),
            have: say(&record.path, &record.branch, record.kind),
            wanted: say(path, &want.branch, want.kind),
        });
    }
    Ok(record)
}

/// Decides what will be made and writes it down before anything is. Returns also what was found out on the way.
fn plan(home: &Home, records: &Records, want: &Want, path: &Path) -> Result<(Record, Base), Error> {
    let git = Git::at(&home.root);
    // Whoever else may be after the same place or branch waits until this is written down.
    let _one = Lock::repository(&home.common_dir)?;
    // A place that is free is nobody's: folders are named after their sessions.
    if std::fs::symlink_metadata(path).is_ok() {
        if let Some(other) = records.at_path(path)? {
            return Err(Error::PathTaken {
                path: path.to_path_buf(),
                by: format!("the workspace of {}", other.id),
            });
        }
        check_path_free(&git, path)?;
    }
    let mut base = find_base(&git, home, want.base.as_deref())?;
    if want.adopt == Adopt::Branch {
        let began = adopt::branch(&git, home, want, path)?;
        base = Base { at: began.at, branch: began.base_branch, is_tip: false, is_new: false };
    } else if !refs::is_surely_free(&home.common_dir, &want.branch)
        && let Err(taken) = check_branch_free(&git, &want.branch)
    {
        // What was written down of it is lost or was let go, and its branch still says whose it is, and where it began.
        base.at = began(&git, &want.branch, &want.id)?.ok_or(taken)?;
        base.is_new = false;
    }
    let record = Record {
        id: want.id.clone(),
        path: path.to_path_buf(),
        branch: want.branch.clone(),
        base: base.at.clone(),
        base_branch: base.branch.clone(),
        kind: want.kind,
        stage: Stage::Planned,
        setup_done: Vec::new(),
        restored: None,
        adopted: want.adopt,
    };
    records.write(&record)?;
    Ok((record, base))
}

/// Where a new workspace starts.
pub(crate) struct Base {
    pub(super) at: Oid,
    /// The branch its work lands on, without `refs/heads/`.
    pub(super) branch: String,
    /// It is the tip of that branch.
    is_tip: bool,
    /// Nothing of the workspace was made before.
    is_new: bool,
}

/// Returns the commit to start from and the branch to land on.
pub(super) fn find_base(git: &Git, home: &Home, base: Option<&str>) -> Result<Base, Error> {
    let tip = |branch: &str| -> Result<Option<Base>, Error> {
        let at = match refs::branch(&home.common_dir, branch) {
            Some(at) => Some(at),
            None => read::branch(git, branch)?,
        };
        Ok(at.map(|at| Base { at, branch: branch.to_owned(), is_tip: true, is_new: true }))
    };
    let default = home.default_branch.clone();
    let Some(name) = base else {
        let Some(branch) = default else { return Err(no_base(git, home, "HEAD")?) };
        if let Some(base) = tip(&branch)? {
            return Ok(base);
        }
        return match read::commit(git, &format!("refs/remotes/origin/{branch}"))? {
            Some(at) => Ok(Base { at, branch, is_tip: false, is_new: true }),
            None => Err(no_base(git, home, &branch)?),
        };
    };
    if refname::is_branch(name)
        && let Some(base) = tip(name)?
    {
        return Ok(base);
    }
    let at = if name.contains('\0') { None } else { read::commit(git, name)? };
    let Some(at) = at else { return Err(no_base(git, home, name)?) };
    Ok(Base { at, branch: default.unwrap_or_else(|| name.to_owned()), is_tip: false, is_new: true })
}

/// Says why there is nothing to start from: the repository may have no commit at all.
fn no_base(git: &Git, home: &Home, name: &str) -> Result<Error, GitError> {
    Ok(match is_empty(git)? {
        true => Error::Empty { root: home.root.clone() },
        false => Error::BaseUnknown { base: clean_line(name.as_bytes(), 120) },
    })
}

/// Refuses a branch that exists, or that cannot exist because git keeps refs like files and directories.
pub(crate) fn check_branch_free(git: &Git, branch: &str) -> Result<(), Error> {
    let mut patterns = vec![format!("refs/heads/{branch}")];
    patterns.extend(branch.match_indices('/').map(|(at, _)| format!("refs/heads/{}", &branch[..at])));
    let answer = git
        .reads("look for the branch")
        .args(["for-each-ref", "--format=%(refname) %(objectname)"])
        .args(&patterns)
        .run()?;
    for line in answer.text().lines() {
        let Some((name, oid)) = line.strip_prefix("refs/heads/").and_then(|line| line.split_once(' ')) else {
            continue;
        };
        if name == branch {
            let at = Oid::parse(oid).ok_or_else(|| answer.unreadable())?;
            return Err(Error::BranchExists { branch: branch.to_owned(), at });
        }
        let nested =
            |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'));
        if nested(name, branch) || nested(branch, name) {
            return Err(Error::BranchNested { branch: branch.to_owned(), existing: name.to_owned() });
        }
    }
    Ok(())
}

/// Refuses a path that is, or looks like, somebody's checkout.
pub(crate) fn check_path_free(git: &Git, path: &Path) -> Result<(), Error> {
    let taken = |by: &str| Error::PathTaken { path: path.to_path_buf(), by: by.to_owned() };
    let there = std::fs::symlink_metadata(path).is_ok();
    let registered = read::worktrees(git)?.iter().any(|entry| read::physical(&entry.path) == path);
    if registered && there {
        return Err(taken("another worktree of the repository"));
    }
    if std::fs::symlink_metadata(path.join(".git")).is_ok() {
        return Err(taken("another repository"));
    }
    Ok(())
}

/// Returns the physical path of a workspace, or why it cannot be one.
pub(crate) fn place(path: &Path) -> Result<PathBuf, Error> {
    let refused = |why| Error::PathRefused { path: path.to_path_buf(), why };
    if !path.is_absolute() {
        return Err(refused("it is not absolute"));
    }
    if path.components().any(|part| matches!(part, std::path::Component::ParentDir)) {
        return Err(refused("it holds \"..\""));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(refused("it has no parent directory"));
    };
    let physical = read::physical(parent).join(name);
    if physical.to_str().is_none() {
        return Err(refused("it is not UTF-8"));
    }
    Ok(physical)
}

/// Returns the physical path of the workspace, or why it cannot be there.
pub(crate) fn check_path(path: &Path, repository: &Home) -> Result<PathBuf, Error> {
    let refused = |why| Error::PathRefused { path: path.to_path_buf(), why };
    let physical = place(path)?;
    // A bare repository is often kept inside the directory that holds its worktrees; only what is below it is refused.
    if physical.starts_with(&repository.common_dir) || physical.starts_with(read::physical(&repository.root))
    {
        return Err(refused("it lies inside the repository"));
    }
    Ok(physical)
}

/// Moves what is at `path` to a free name beside it, if anything but an empty directory is there. Never deletes it.
pub(crate) fn move_aside(path: &Path) -> Result<Option<PathBuf>, Error> {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return Ok(None) };
    if meta.is_dir() {
        let mut entries = std::fs::read_dir(path).map_err(Error::io("look into", path))?;
        if entries.next().is_none() {
            return Ok(None);
        }
    }
    for number in 1..=ASIDE_MAX {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".aside-{number}"));
        let aside = path.with_file_name(name);
        if std::fs::symlink_metadata(&aside).is_err() {
            std::fs::rename(path, &aside).map_err(Error::io("move aside", path))?;
            return Ok(Some(aside));
        }
    }
    Err(Error::PathTaken {
        path: path.to_path_buf(),
        by: "a stray directory, and a thousand beside it".into(),
    })
}

/// Makes the branch of a planned workspace, or adopts the one an earlier attempt made.
pub(crate) fn ensure_branch(git: &Git, record: &Record) -> Result<(), Error> {
    if let Some(at) = read::branch(git, &record.branch)? {
        let known = record.restored.is_some() || record.adopted != Adopt::Nothing;
        let made_by_us = at == record.base || !record.setup_done.is_empty() || known;
        if made_by_us || began(git, &record.branch, &record.id)?.is_some() {
            return Ok(());
        }
        return Err(Error::BranchExists { branch: record.branch.clone(), at });
    }
    let full = format!("refs/heads/{}", record.branch);
    git.writes("create the branch")
        .args([
            "update-ref",
            "-m",
            &reason(&record.id),
            &full,
            record.base.as_str(),
            &record.base.zero_like(),
        ])
        .run()?;
    Ok(())
}

/// Says in a reflog whose a branch is.
pub(crate) fn reason(id: &str) -> String {
    format!("oarlock: workspace of {}", clean_line(id.as_bytes(), 80))
}

/// Returns where a branch began, if its reflog says that it was made for the workspace of `id`.
fn began(git: &Git, branch: &str, id: &str) -> Result<Option<Oid>, GitError> {
    let full = format!("refs/heads/{branch}");
    let answer = git
        .reads("read the branch's reflog")
        .args(["log", "--walk-reflogs", "--format=%H %gs", "--end-of-options", &full, "--"])
        .allow(128)
        .run()?;
    let text = answer.text();
    let Some((oid, why)) = text.lines().last().and_then(|line| line.split_once(' ')) else { return Ok(None) };
    Ok(Oid::parse(oid).filter(|_| why.starts_with(&reason(id))))
}
