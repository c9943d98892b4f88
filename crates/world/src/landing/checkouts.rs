//! Checkouts of the base branch: which forbid a landing, and how the clean ones follow it.
//!
//! A checkout is only ever updated when it was clean, or when an update of ours was cut short and every file that differs
//! is one of its two states. Must not move any ref.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Checkout, Follow, LeftAlone, Refusal};
use crate::git::read::TreeChange;
use crate::git::text::{clean_line, clean_tail};
use crate::git::{CHECKOUT_MAX, Git, GitError, Oid, WorktreeEntry, read};
use crate::workspace::{self, Home};

/// Paths named when untracked files are in the way.
const PATHS_SHOWN: usize = 16;

/// Characters kept of git's words.
const SAID_MAX: usize = 1000;

/// In the git directory of a checkout while it is being updated: the two commits.
const FOLLOW_FILE: &str = "oarlock-follow";

/// A checkout of the base branch before the landing.
pub(super) struct Before {
    path: PathBuf,
    dirty: bool,
}

/// Looks at every checkout of `base_branch`, and refuses where moving the branch would do harm.
pub(super) fn survey(repository: &Home, base_branch: &str) -> Result<Vec<Before>, Refusal> {
    let mut found = Vec::new();
    for entry in read::worktrees(&Git::at(&repository.root))? {
        let path =
            if entry.path == repository.common_dir { repository.root.clone() } else { entry.path.clone() };
        let Some(dir) = read::git_dir(&path).filter(|_| !entry.bare) else { continue };
        let refuse = |why: String| {
            Err(Refusal::BaseCheckedOutElsewhere {
                base_branch: base_branch.to_owned(),
                path: path.clone(),
                why,
            })
        };
        if let Some(what) = held(&dir, base_branch) {
            return refuse(format!("is in the middle of a {what}"));
        }
        if entry.branch.as_deref() != Some(base_branch) {
            continue;
        }
        if let Some(operation) = read::operation(&dir) {
            return refuse(format!("is in the middle of a {}", operation.as_str()));
        }
        let dirty = !workspace::status_entries(&Git::at(&path), "no")?.entries.is_empty();
        if let Some(why) = linked_refusal(&entry, dirty, path == repository.root) {
            return refuse(why);
        }
        found.push(Before { path, dirty });
    }
    Ok(found)
}

/// A linked worktree that is dirty or locked is somebody's work in progress; the main checkout is only left alone.
fn linked_refusal(entry: &WorktreeEntry, dirty: bool, is_main: bool) -> Option<String> {
    if is_main {
        return None;
    }
    if let Some(reason) = &entry.locked {
        return Some(
            format!("is locked: {}", clean_line(reason.as_bytes(), 200)).trim_end_matches(": ").to_owned(),
        );
    }
    dirty.then(|| "has uncommitted changes".to_owned())
}

/// Whether a rebase or bisect of `base_branch` is under way, in which HEAD is detached: it would put the branch back.
fn held(dir: &Path, base_branch: &str) -> Option<&'static str> {
    let says = |name: &str, wanted: &str| {
        std::fs::read_to_string(dir.join(name)).is_ok_and(|text| text.trim_end() == wanted)
    };
    let full = format!("refs/heads/{base_branch}");
    if says("rebase-merge/head-name", &full) || says("rebase-apply/head-name", &full) {
        Some("rebase")
    } else if says("BISECT_START", base_branch) {
        Some("bisect")
    } else {
        None
    }
}

/// Lets the surveyed checkouts follow from `before` to `after`.
pub(super) fn follow_all(found: Vec<Before>, before: &Oid, after: &Oid) -> Vec<Checkout> {
    let follow = |checkout: Before| {
        let outcome = if checkout.dirty {
            left_alone(&checkout.path, LeftAlone::Dirty, before, after)
        } else {
            follow(&checkout.path, before, after)
        };
        Checkout { path: checkout.path, outcome }
    };
    found.into_iter().map(follow).collect()
}

/// Finishes what a landing cut short left: every checkout of the branch that is still at `before` follows.
pub(super) fn follow_again(
    repository: &Home,
    base_branch: &str,
    before: &Oid,
    after: &Oid,
) -> Result<Vec<Checkout>, Refusal> {
    let entries = read::worktrees(&Git::at(&repository.root))?;
    let ours = entries.into_iter().filter(|entry| entry.branch.as_deref() == Some(base_branch));
    let there = ours.filter(|entry| read::git_dir(&entry.path).is_some());
    Ok(there
        .map(|entry| {
            let outcome = follow(&entry.path, before, after);
            Checkout { path: entry.path, outcome }
        })
        .collect())
}

fn follow(path: &Path, before: &Oid, after: &Oid) -> Follow {
    match try_follow(path, before, after) {
        Ok(None) => Follow::Followed,
        Ok(Some(why)) => left_alone(path, why, before, after),
        Err(error) => left_alone(path, LeftAlone::Failed(said(&error)), before, after),
    }
}

fn said(error: &workspace::Error) -> String {
    match error {
        workspace::Error::Git { source: GitError::Failed { stderr, .. } } => {
            clean_tail(stderr.as_bytes(), SAID_MAX)
        }
        workspace::Error::Git { source } => source.to_string(),
        other => other.to_string(),
    }
}

fn left_alone(path: &Path, why: LeftAlone, before: &Oid, after: &Oid) -> Follow {
    let quoted = path.to_string_lossy().replace('\'', r"'\''");
    // A two-tree merge carries uncommitted changes along and refuses where it would lose one (git-read-tree(1)).
    let command = format!("git -C '{quoted}' read-tree -m -u {before} {after}");
    let hint = match &why {
        LeftAlone::InTheWay(_) => format!("move those files away, then run: {command}"),
        LeftAlone::Dirty | LeftAlone::Failed(_) => {
            format!("to bring it up without losing a change: {command}")
        }
    };
    Follow::LeftAlone { why, hint }
}

/// Updates index and files from `before` to `after`. Returns why it did not.
fn try_follow(path: &Path, before: &Oid, after: &Oid) -> Result<Option<LeftAlone>, workspace::Error> {
    let git = Git::at(path);
    let dir =
        read::git_dir(path).ok_or_else(|| workspace::Error::NotARepository { path: path.to_path_buf() })?;
    let marker = dir.join(FOLLOW_FILE);
    let text = format!("{before} {after}\n");
    let cut_short = std::fs::read_to_string(&marker).is_ok_and(|found| found == text);
    if index_is(&git, after)? && !cut_short {
        return Ok(None);
    }
    if !index_is(&git, before)? && !cut_short {
        return Ok(Some(LeftAlone::Dirty));
    }
    let changes = read::tree_changes(&git, before, after)?;
    let status = workspace::status_entries(&git, "no")?;
    let dirty: Vec<&PathBuf> =
        status.entries.iter().filter(|entry| entry.worktree != b'.').map(|entry| &entry.path).collect();
    if cut_short {
        if !(index_is(&git, before)? || index_is(&git, after)?) || !half_way(&git, path, &changes, &dirty)? {
            return Ok(Some(LeftAlone::Dirty));
        }
        read_tree(&git, &["--reset", "-u", after.as_str()])?;
    } else {
        if !dirty.is_empty() {
            return Ok(Some(LeftAlone::Dirty));
        }
        let in_the_way = in_the_way(path, &changes);
        if !in_the_way.is_empty() {
            return Ok(Some(LeftAlone::InTheWay(in_the_way)));
        }
        std::fs::write(&marker, text).map_err(workspace::Error::io("write", &marker))?;
        let result = read_tree(&git, &["-m", "-u", before.as_str(), after.as_str()]);
        if let Err(error @ GitError::Failed { .. }) = result {
            // git checks everything before it changes the first file, so nothing is half done.
            let _ = std::fs::remove_file(&marker);
            return Err(error.into());
        }
        result?;
    }
    std::fs::remove_file(&marker).map_err(workspace::Error::io("remove", &marker))?;
    Ok(None)
}

fn read_tree(git: &Git, how: &[&str]) -> Result<(), GitError> {
    git.writes("update a checkout")
        .config("submodule.recurse=false")
        .arg("read-tree")
        .args(how)
        .time_max(CHECKOUT_MAX)
        .run()
        .map(|_| ())
}

fn index_is(git: &Git, commit: &Oid) -> Result<bool, GitError> {
    let args = ["diff-index", "--cached", "--quiet", "--ignore-submodules=all", commit.as_str(), "--"];
    Ok(git.reads("compare the index").args(args).allow(1).run()?.code == 0)
}

/// Returns files on disk where the landing adds one, ignored ones too: `read-tree` would overwrite those silently.
fn in_the_way(path: &Path, changes: &[TreeChange]) -> Vec<PathBuf> {
    let removed = |path: &Path| changes.iter().any(|change| change.letter == 'D' && change.path == path);
    let blocked = |change: &&TreeChange| {
        if std::fs::symlink_metadata(path.join(&change.path)).is_ok_and(|meta| !meta.is_dir()) {
            return true;
        }
        let parents = change.path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
        let mut parents = parents.filter(|parent| !removed(parent));
        parents.any(|parent| std::fs::symlink_metadata(path.join(parent)).is_ok_and(|meta| !meta.is_dir()))
    };
    let added = changes.iter().filter(|change| change.letter == 'A').filter(blocked);
    added.take(PATHS_SHOWN).map(|change| change.path.clone()).collect()
}

/// Whether everything that differs in the checkout is a file of the landing in its old state, its new state, or
/// missing: what an update cut short leaves, and nothing a person made.
fn half_way(git: &Git, path: &Path, changes: &[TreeChange], dirty: &[&PathBuf]) -> Result<bool, GitError> {
    let added = changes.iter().filter(|change| change.letter == 'A').map(|change| &change.path);
    for name in dirty.iter().copied().chain(added) {
        let Some(change) = changes.iter().find(|change| change.path == *name) else { return Ok(false) };
        let file = path.join(name);
        let Ok(meta) = std::fs::symlink_metadata(&file) else { continue };
        let oid = if meta.is_symlink() {
            let target = std::fs::read_link(&file).unwrap_or_default();
            let bytes = target.as_os_str().as_bytes();
            git.reads("hash a link").args(["hash-object", "--stdin"]).input(bytes).run()?.oid()?
        } else if meta.is_file() {
            git.reads("hash a file").args(["hash-object", "--"]).arg(name).run()?.oid()?
        } else {
            return Ok(false);
        };
        if oid.as_str() != change.old && oid.as_str() != change.new {
            return Ok(false);
        }
    }
    Ok(true)
}
