//! Takes a workspace away, its work kept first.
//!
//! Nothing outside the workspace's own directory is deleted, symbolic links are not followed, and no other
//! registration of the repository is touched. Must not decide whether a session is over.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::inspect::{Home, home};
use super::record::{Record, Records, Stage, key};
use super::state::entries;
use super::{Error, Kind, prepare};
use crate::git::lock::Lock;
use crate::git::text::clean_line;
use crate::git::{CHECKOUT_MAX, Git, GitError, Oid, read};
use crate::trash;

/// How long a process may linger before it counts as at work: a `git status` of ours or of a shell's prompt is gone by then.
const LINGER: Duration = Duration::from_secs(1);
/// Pause between two looks at who is inside.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Process ids named in a refusal.
const PIDS_SHOWN: usize = 16;

/// A workspace that should be gone.
#[derive(Clone, Debug)]
pub struct RemoveWant {
    /// The project's repository.
    pub repository: PathBuf,
    /// Where the workspace is.
    pub path: PathBuf,
    /// Whose it is.
    pub id: String,
    /// The name its work is kept under: one component or more of a ref name, never used before.
    pub trash_id: String,
    /// Why, for the trash.
    pub reason: String,
    /// Whether its branch goes too. It stays when it is checked out elsewhere.
    pub delete_branch: bool,
    /// Removes it even while processes have it as their working directory.
    pub even_in_use: bool,
}

/// What removing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Where its work is kept; none when there was no directory to keep.
    pub kept: Option<trash::Entry>,
    /// What became of the branch.
    pub branch: BranchLeft,
}

/// What became of a removed workspace's branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BranchLeft {
    /// It is gone; this is where it stood, and the trash holds it.
    Deleted(Oid),
    /// It was not to be deleted, or stands where nothing else holds its commits.
    Left,
    /// It is checked out here.
    CheckedOut(PathBuf),
    /// There was none.
    Gone,
}

/// Removes the workspace: keeps HEAD, index and untracked files in the trash, then deletes its directory, its
/// registration and, when asked, its branch. Ignored files go with it. Safe to repeat after any interruption; a
/// workspace that is gone already is a success.
///
/// # Errors
/// [`Error::NotOurs`], [`Error::Locked`], [`Error::InUse`], [`Error::SubmoduleChanged`], [`Error::NotKept`]: nothing was
/// removed. [`Error::Git`] and [`Error::Io`]: a repeat goes on.
pub fn remove(want: &RemoveWant) -> Result<Removed, Error> {
    let repository = home(&want.repository)?;
    let _mine = Lock::workspace(&repository.common_dir, &key(&want.id))?;
    let records = Records::of(&repository.common_dir);
    let path = want.path.parent().map_or_else(
        || want.path.clone(),
        |parent| read::physical(parent).join(want.path.file_name().unwrap_or_default()),
    );
    let there = std::fs::symlink_metadata(&path).is_ok();
    let Some(mut record) = records.read(&want.id)? else {
        if there {
            return Err(Error::NotOurs { path, id: want.id.clone() });
        }
        return Ok(Removed {
            kept: trash::find(&repository.root, &want.trash_id).ok(),
            branch: BranchLeft::Gone,
        });
    };
    if record.path != path {
        return Err(Error::NotOurs { path, id: want.id.clone() });
    }
    if !matches!(record.stage, Stage::Removing { .. }) {
        let kept = if there { keep(&repository, &record, want)? } else { None };
        record.stage = Stage::Removing { kept };
        records.write_through(&record)?;
    }
    delete_tree(&record.path)?;
    unregister(&repository, &record)?;
    let kept = match &record.stage {
        Stage::Removing { kept: Some(id) } => trash::find(&repository.root, id).ok(),
        _ => None,
    };
    let branch = delete_branch(&repository, &record, want, kept.as_ref())?;
    records.forget(&want.id)?;
    Ok(Removed { kept, branch })
}

/// Refuses what must not be removed, and keeps the rest. Returns the trash id, or `None` when there was no checkout yet.
fn keep(repository: &Home, record: &Record, want: &RemoveWant) -> Result<Option<String>, Error> {
    let path = &record.path;
    let meta = std::fs::symlink_metadata(path).map_err(Error::io("look at", path))?;
    if !prepare::is_checkout(path) {
        if record.stage == Stage::Planned || !meta.is_dir() {
            // Never was a workspace, or something else took its place: it is not ours to delete.
            prepare::move_aside(path)?;
            return Ok(None);
        }
        return Err(Error::NotOurs { path: path.clone(), id: want.id.clone() });
    }
    check_owner(repository, record)?;
    if !want.even_in_use {
        let pids = processes_staying(path);
        if !pids.is_empty() {
            return Err(Error::InUse { path: path.clone(), pids });
        }
    }
    check_submodules(path)?;
    let keep = trash::Keep {
        workspace: path.clone(),
        id: want.trash_id.clone(),
        session: want.id.clone(),
        reason: want.reason.clone(),
        branch: Some(record.branch.clone()),
        base: Some(record.base.clone()),
        base_branch: Some(record.base_branch.clone()),
    };
    let not_kept = |source| Error::NotKept { path: path.clone(), source: Box::new(source) };
    let entry = trash::keep(&keep).map_err(not_kept)?;
    Ok(Some(entry.id))
}

/// The checkout at the path must be the one recorded, registered with this repository, and not locked.
fn check_owner(repository: &Home, record: &Record) -> Result<(), Error> {
    let not_ours = || Error::NotOurs { path: record.path.clone(), id: record.id.clone() };
    match record.kind {
        Kind::Worktree => {
            let entries = read::worktrees(&Git::at(&repository.root))?;
            let entry = entries.iter().find(|entry| read::physical(&entry.path) == record.path);
            match entry {
                None => Err(not_ours()),
                Some(entry) => match &entry.locked {
                    Some(reason) => {
                        let reason = clean_line(reason.as_bytes(), 200);
                        Err(Error::Locked { path: record.path.clone(), reason })
                    }
                    None => Ok(()),
                },
            }
        }
        Kind::Clone => {
            let url = read::setting(&Git::at(&record.path), &format!("remote.{}.url", super::HOME_REMOTE))?;
            let home = url.map(|url| read::physical(Path::new(&url)));
            if home.as_ref() == Some(&repository.common_dir) { Ok(()) } else { Err(not_ours()) }
        }
    }
}

/// A submodule's repository goes with its worktree, so its work must exist elsewhere.
fn check_submodules(path: &Path) -> Result<(), Error> {
    let git = Git::at(path);
    let changed = |path: &Path| Error::SubmoduleChanged {
        submodule: clean_line(path.as_os_str().as_encoded_bytes(), 200),
    };
    let status = entries(&git, "no")?;
    if let Some(entry) = status.entries.iter().find(|entry| entry.submodule_changed) {
        return Err(changed(&entry.path));
    }
    let answer = git.reads("list submodules").args(["ls-files", "-z", "--stage"]).run()?;
    for field in answer.fields().filter(|field| field.starts_with(b"160000 ")) {
        let Some(tab) = field.iter().position(|byte| *byte == b'\t') else { continue };
        let name = crate::git::text::path_of(&field[tab + 1..]);
        let submodule = path.join(&name);
        if !prepare::is_checkout(&submodule) {
            continue;
        }
        let unpushed = Git::at(&submodule)
            .reads("look for unpushed commits in a submodule")
            .args(["rev-list", "--max-count=1", "HEAD", "--all", "--not", "--remotes", "--"])
            .run()?;
        if !unpushed.stdout.is_empty() {
            return Err(changed(&name));
        }
    }
    Ok(())
}

/// Returns the processes whose working directory is `path` or below it, at most 16, this one included. Empty where the
/// system has no `/proc`.
#[must_use]
pub fn processes_inside(path: &Path) -> Vec<u32> {
    let path = read::physical(path);
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let inside = processes.flatten().filter_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let cwd = std::fs::read_link(process.path().join("cwd")).ok()?;
        cwd.starts_with(&path).then_some(pid)
    });
    inside.take(PIDS_SHOWN).collect()
}

/// Returns the processes at work in a folder that do not leave within [`LINGER`].
fn processes_staying(path: &Path) -> Vec<u32> {
    let deadline = Instant::now() + LINGER;
    loop {
        let pids = processes_inside(path);
        if pids.is_empty() || Instant::now() >= deadline {
            return pids;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Deletes the directory and all below it; std's `remove_dir_all` does not follow symbolic links, nor races into them.
fn delete_tree(path: &Path) -> Result<(), Error> {
    let gone = |result: std::io::Result<()>| match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    match gone(std::fs::remove_dir_all(path)) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            // Build tools leave read-only directories behind (Go's module cache).
            make_writable(path, 0);
            gone(std::fs::remove_dir_all(path)).map_err(Error::io("delete", path))
        }
        other => other.map_err(Error::io("delete", path)),
    }
}

/// Makes the directories below `path` writable for their owner, as far as it can.
fn make_writable(path: &Path, depth: u32) {
    use std::os::unix::fs::PermissionsExt;
    /// Deeper than any real tree, and shallow enough for the stack.
    const DEPTH_MAX: u32 = 200;
    let Ok(meta) = std::fs::symlink_metadata(path) else { return };
    if !meta.is_dir() || depth > DEPTH_MAX {
        return;
    }
    let mode = meta.permissions().mode() | 0o700;
    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        make_writable(&entry.path(), depth + 1);
    }
}

/// Removes the worktree's registration, and no other: never `git worktree prune`, which would drop those of siblings
/// whose disk is not mounted.
fn unregister(repository: &Home, record: &Record) -> Result<(), Error> {
    if record.kind == Kind::Clone {
        return Ok(());
    }
    let _one = Lock::repository(&repository.common_dir)?;
    let git = Git::at(&repository.root);
    let entries = read::worktrees(&git)?;
    let Some(entry) = entries.iter().find(|entry| read::physical(&entry.path) == record.path) else {
        return Ok(());
    };
    git.writes("remove the worktree's registration")
        .args(["worktree", "remove", "--force", "--force", "--"])
        .arg(&entry.path)
        .time_max(CHECKOUT_MAX)
        .run()?;
    Ok(())
}

/// Deletes the branch where the trash, or another ref, holds its commits.
fn delete_branch(
    repository: &Home,
    record: &Record,
    want: &RemoveWant,
    kept: Option<&trash::Entry>,
) -> Result<BranchLeft, GitError> {
    let git = Git::at(&repository.root);
    let _one = Lock::repository(&repository.common_dir)?;
    let Some(at) = read::branch(&git, &record.branch)? else { return Ok(BranchLeft::Gone) };
    if !want.delete_branch || record.kind == Kind::Clone {
        return Ok(BranchLeft::Left);
    }
    let entries = read::worktrees(&git)?;
    if let Some(entry) = entries.iter().find(|entry| entry.branch.as_ref() == Some(&record.branch)) {
        return Ok(BranchLeft::CheckedOut(entry.path.clone()));
    }
    let held = match kept {
        Some(entry) => read::is_ancestor(&git, &at, &entry.commit)?,
        None => at == record.base,
    };
    if !held {
        return Ok(BranchLeft::Left);
    }
    let full = format!("refs/heads/{}", record.branch);
    git.writes("delete the branch").args(["update-ref", "-d", &full, at.as_str()]).run()?;
    Ok(BranchLeft::Deleted(at))
}
