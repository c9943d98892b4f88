//! Workspaces that are linked worktrees.
//!
//! Must not know setup or trash.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::inspect::Home;
use super::prepare::{Made, ensure_branch, is_checkout, move_aside, reason};
use super::record::{Record, Records};
use super::{Error, Kind, plant};
use crate::git::lock::Lock;
use crate::git::text::clean_tail;
use crate::git::{CALL_MAX, CHECKOUT_MAX, Git, GitError, WorktreeEntry, read};

/// What git writes into `locked` while `git worktree add` is at work (builtin/worktree.c).
pub(super) const INITIALIZING: &str = "initializing";

/// Characters kept of what a failed hook said.
const HOOK_SHOWN: usize = 1000;

/// Files from which git shares a checkout among workers: below it, starting them takes longer than they save.
const PARALLEL_FROM_FILES: u32 = 1_000;

/// Checkouts this process is writing at this moment; they share the cores.
static WRITING: AtomicUsize = AtomicUsize::new(0);

/// Makes branch, registration and files of a planned workspace; `is_new` says that nothing of it was made before.
pub(crate) fn make(home: &Home, record: &Record, is_new: bool) -> Result<Made, Error> {
    let mut made = Made::default();
    if is_new && is_ours_alone(record) && plant::is_possible(&home.common_dir, &record.path) {
        plant::worktree(&home.common_dir, &record.path, &record.branch)?;
        // The branch is not there yet: to move it to the base makes it, by the same call that writes the files.
        write_files(&record.path, record.base.as_str(), &reason(&record.id))?;
    } else {
        let one = Lock::repository(&home.common_dir)?;
        ensure_branch(&Git::at(&home.root), record)?;
        made.moved_aside = register(home, record, Some(&record.branch))?;
        drop(one);
        write_files(&record.path, "HEAD", "oarlock")?;
    }
    made.untouched = !has_hook(home, &record.path);
    if !made.untouched {
        made.hook_failed = run_hook(&record.path)?;
    }
    Ok(made)
}

/// Whether a `post-checkout` hook may run in a workspace. Where `core.hooksPath` is relative, each checkout has hooks of its
/// own.
fn has_hook(home: &Home, workspace: &Path) -> bool {
    let checked_out = home.hooks.strip_prefix(&home.root).ok().map(|inside| workspace.join(inside));
    let folders = [Some(home.hooks.clone()), checked_out];
    folders.into_iter().flatten().any(|folder| folder.join("post-checkout").exists())
}

/// Whether nobody else would make this branch: its name holds the workspace's id. One that a person chose might be made by
/// somebody in the moment between being found free and being made, and must not be moved then.
fn is_ours_alone(record: &Record) -> bool {
    !record.id.is_empty() && record.branch.contains(&record.id)
}

/// Registers the worktree without writing its files; `branch` is `None` for a detached one at the record's base.
/// The repository's lock must be held. Returns where a stray directory went.
pub(crate) fn register(
    repository: &Home,
    record: &Record,
    branch: Option<&str>,
) -> Result<Option<std::path::PathBuf>, Error> {
    let git = Git::at(&repository.root);
    let entries = read::worktrees(&git)?;
    let here = |entry: &&WorktreeEntry| read::physical(&entry.path) == record.path;
    if let Some(branch) = branch
        && let Some(other) =
            entries.iter().find(|entry| entry.branch.as_deref() == Some(branch) && !here(entry))
    {
        return Err(Error::BranchElsewhere { branch: branch.to_owned(), at: other.path.clone() });
    }
    let entry = entries.iter().find(here);
    let half_made = entry.is_some_and(|entry| entry.locked.as_deref() == Some(INITIALIZING));
    if entry.is_some() && !half_made && is_checkout(&record.path) {
        return Ok(None);
    }
    if let Some(reason) = entry.and_then(|entry| entry.locked.clone()).filter(|_| !half_made) {
        return Err(Error::Locked { path: record.path.clone(), reason });
    }
    if half_made && only_dot_git(&record.path) {
        // `git worktree add` writes this file first; without it the directory is empty and git takes it over.
        let dot_git = record.path.join(".git");
        std::fs::remove_file(&dot_git).map_err(Error::io("remove the half-made", dot_git))?;
    }
    let moved_aside = move_aside(&record.path)?;
    plant::make_parent(&record.path)?;
    // Twice `--force` replaces a registration for this very path whose directory is missing, and only that one; whether
    // the branch is checked out elsewhere was asked above.
    let call =
        git.writes("register the worktree").args(["worktree", "add", "--force", "--force", "--no-checkout"]);
    let call = match branch {
        Some(branch) => call.arg("--").arg(&record.path).arg(branch),
        None => call.arg("--detach").arg("--").arg(&record.path).arg(record.base.as_str()),
    };
    call.run()?;
    Ok(moved_aside)
}

fn only_dot_git(path: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(path) else { return false };
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.len() == 1 && names[0] == ".git" && path.join(".git").is_file()
}

/// Moves HEAD to a commit and writes its files into a checkout that no agent has touched; `why` goes into the reflogs.
pub(crate) fn write_files(path: &Path, commit: &str, why: &str) -> Result<(), Error> {
    remove_stale_lock(path)?;
    let others = WRITING.fetch_add(1, Ordering::SeqCst);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = (cores / (others + 1)).max(1);
    // Respects filters, line ends and sparse checkout as any checkout does.
    let done = Git::at(path)
        .writes("write the workspace's files")
        .config(&format!("checkout.workers={workers}"))
        .config(&format!("checkout.thresholdForParallelism={PARALLEL_FROM_FILES}"))
        .config("submodule.recurse=false")
        .env("GIT_REFLOG_ACTION", why)
        .args(["reset", "--hard", "--quiet", commit, "--"])
        .time_max(CHECKOUT_MAX)
        .run();
    WRITING.fetch_sub(1, Ordering::SeqCst);
    done?;
    Ok(())
}

/// Removes the index lock a checkout cut short left behind. Only for a workspace that was never handed out: nobody else
/// has a reason to hold it, and the workspace's own lock is held by this thread.
pub(crate) fn remove_stale_lock(path: &Path) -> Result<(), Error> {
    let Some(dir) = read::git_dir(path) else { return Ok(()) };
    let lock = dir.join("index.lock");
    match std::fs::remove_file(&lock) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove the stale", lock)(error))
        }
        _ => Ok(()),
    }
}

/// Runs the repository's `post-checkout` hook as `git worktree add` does. Returns what it said if it failed.
fn run_hook(path: &Path) -> Result<Option<String>, GitError> {
    let git = Git::at(path);
    let Some(head) = read::commit(&git, "HEAD")? else { return Ok(None) };
    let result = git
        .writes("run the post-checkout hook")
        .args(["hook", "run", "--ignore-missing", "post-checkout", "--"])
        .args([head.zero_like().as_str(), head.as_str(), "1"])
        .time_max(CALL_MAX)
        .run();
    match result {
        Ok(_) => Ok(None),
        Err(GitError::Failed { stderr, .. }) => Ok(Some(clean_tail(stderr.as_bytes(), HOOK_SHOWN))),
        Err(error @ GitError::TimedOut { .. }) => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Returns the record of the workspace at `path` and the repository it belongs to, or `None` for a checkout oarlock
/// did not make.
pub(crate) fn owner(path: &Path) -> Result<Option<(Home, Record)>, Error> {
    let path = read::physical(path);
    let own = super::home(&path)?;
    if let Some(record) = Records::of(&own.common_dir).at_path(&path)? {
        return Ok(Some((own, record)));
    }
    let home = read::setting(&Git::at(&path), &format!("remote.{}.url", super::HOME_REMOTE))?;
    let Some(home) = home else { return Ok(None) };
    let home = super::home(Path::new(&home))?;
    let record = Records::of(&home.common_dir).at_path(&path)?;
    Ok(record.filter(|record| record.kind == Kind::Clone).map(|record| (home, record)))
}
