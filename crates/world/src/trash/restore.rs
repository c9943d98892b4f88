//! Makes a kept workspace again.
//!
//! Must not use up the entry: it stays in the trash until it is purged.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::keep::STATE_FILES;
use super::{Entry, Error, find};
use crate::git::lock::Lock;
use crate::git::{CHECKOUT_MAX, Git, Oid, read};
use crate::workspace::record::{Record, Records, Stage, key};
use crate::workspace::{self, Adopt, Home, Kind, Ready};

/// A kept workspace to make again.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The project's repository.
    pub repository: PathBuf,
    /// The entry.
    pub trash_id: String,
    /// Where the workspace goes: absolute, UTF-8, outside the repository's checkout.
    pub path: PathBuf,
    /// Its branch; the one it had when none is named.
    pub branch: Option<String>,
    /// What of it was there before it was a workspace: a worktree may go back to wherever it was.
    pub adopted: Adopt,
    /// Whose it is: the id for [`workspace::prepare`] and [`workspace::remove`].
    pub id: String,
}

/// Makes the workspace again: the same HEAD, index and files, on its branch. Safe to repeat. Setup (copies, links, commands)
/// is not part of it; a following [`workspace::prepare`] with the same id, path and branch does that.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::BranchTaken`] when the branch is another by now; [`Error::Workspace`] when the path will
/// not do or the workspace cannot be made.
pub fn restore(want: &Restore) -> Result<Ready, Error> {
    let repository = workspace::home(&want.repository)?;
    let entry = find(&repository.root, &want.trash_id)?;
    let path = match want.adopted {
        Adopt::Nothing | Adopt::Branch => workspace::check_path(&want.path, &repository)?,
        Adopt::Worktree => workspace::place(&want.path)?,
    };
    let _mine = Lock::workspace(&repository.common_dir, &key(&want.id))?;
    let records = Records::of(&repository.common_dir);
    let git = Git::at(&repository.root);
    let before = records.read(&want.id)?;
    let adopted = before.is_some();
    let mut record = match before {
        Some(record) => take_up(record, want, &path)?,
        None => plan(&git, &records, &entry, want, path)?,
    };
    let mut moved_aside = None;
    if record.stage == Stage::Planned {
        moved_aside = match record.kind {
            Kind::Worktree => make_worktree(&repository, &record, &entry)?,
            Kind::Clone => make_clone(&repository, &record, &entry)?,
        };
        put_back(&record.path, &entry)?;
        record.stage = Stage::CheckedOut;
        records.write(&record)?;
    }
    let mut ready = workspace::describe(&record, adopted)?;
    ready.moved_aside = moved_aside;
    Ok(ready)
}

fn take_up(record: Record, want: &Restore, path: &Path) -> Result<Record, Error> {
    if matches!(record.stage, Stage::Removing { .. }) {
        return Err(workspace::Error::BeingRemoved { id: want.id.clone() }.into());
    }
    let same_branch = want.branch.as_ref().is_none_or(|branch| *branch == record.branch);
    if record.path == path && same_branch && record.restored.as_ref() == Some(&want.trash_id) {
        return Ok(record);
    }
    Err(workspace::Error::Differs {
        id: want.id.clone(),
        have: format!("{} at {}", record.branch, record.path.display()),
        wanted: format!("the kept {} at {}", want.trash_id, path.display()),
    }
    .into())
}

/// Decides what will be made and writes it down before anything is.
fn plan(git: &Git, records: &Records, entry: &Entry, want: &Restore, path: PathBuf) -> Result<Record, Error> {
    let damaged = |what| Error::Damaged { id: entry.id.clone(), what };
    let branch = want.branch.clone().or_else(|| entry.branch.clone()).or_else(|| entry.head_branch.clone());
    let branch = branch.ok_or_else(|| damaged("its branch"))?;
    let record = Record {
        id: want.id.clone(),
        path,
        base: entry.base.clone().or_else(|| entry.head.clone()).ok_or_else(|| damaged("its base"))?,
        base_branch: entry.base_branch.clone().unwrap_or_else(|| branch.clone()),
        branch,
        kind: entry.kind,
        stage: Stage::Planned,
        setup_done: Vec::new(),
        restored: Some(entry.id.clone()),
        adopted: want.adopted,
    };
    if let Some(other) = records.at_path(&record.path)? {
        let by = format!("the workspace of {}", other.id);
        return Err(workspace::Error::PathTaken { path: record.path, by }.into());
    }
    workspace::check_path_free(git, &record.path)?;
    if record.kind == Kind::Worktree {
        check_branch(git, &record, entry)?;
    }
    records.write(&record)?;
    Ok(record)
}

/// The branch must be free, or stand where the work stood.
fn check_branch(git: &Git, record: &Record, entry: &Entry) -> Result<(), Error> {
    match workspace::check_branch_free(git, &record.branch) {
        Err(workspace::Error::BranchExists { branch, at }) if at != branch_at(record, entry) => {
            Err(Error::BranchTaken { branch, at })
        }
        Err(workspace::Error::BranchExists { .. }) | Ok(()) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

/// Where the restored branch stands: where the kept one stood, else at HEAD.
fn branch_at(record: &Record, entry: &Entry) -> Oid {
    let named = entry.branch.as_ref().map(|branch| format!("refs/heads/{branch}"));
    let kept = entry.also.iter().find(|(name, _)| Some(name) == named.as_ref()).map(|(_, oid)| oid.clone());
    kept.or_else(|| entry.head.clone()).unwrap_or_else(|| record.base.clone())
}

/// The branch HEAD goes on: the workspace's own if it was checked out, else none (detached at the same commit).
fn head_branch<'a>(record: &'a Record, entry: &Entry) -> Option<&'a str> {
    (entry.head_branch == entry.branch && entry.head.is_some()).then_some(record.branch.as_str())
}

fn make_worktree(repository: &Home, record: &Record, entry: &Entry) -> Result<Option<PathBuf>, Error> {
    let git = Git::at(&repository.root);
    let _one = Lock::repository(&repository.common_dir)?;
    let at = branch_at(record, entry);
    match read::branch(&git, &record.branch)? {
        Some(there) if there != at => {
            return Err(Error::BranchTaken { branch: record.branch.clone(), at: there });
        }
        Some(_) => {}
        None => {
            let full = format!("refs/heads/{}", record.branch);
            let args =
                ["update-ref", "-m", "oarlock: restored from the trash", &full, at.as_str(), &at.zero_like()];
            git.writes("create the branch").args(args).run()?;
        }
    }
    let mut detached = record.clone();
    detached.base = entry.head.clone().unwrap_or_else(|| record.base.clone());
    Ok(workspace::worktree::register(repository, &detached, head_branch(record, entry))?)
}

fn make_clone(repository: &Home, record: &Record, entry: &Entry) -> Result<Option<PathBuf>, Error> {
    let made = workspace::make_clone(repository, record)?;
    let git = Git::at(&record.path);
    if read::commit(&git, entry.commit.as_str())?.is_none() {
        let name = format!("{}{}", super::TRASH_REFS, entry.id);
        workspace::fetch_ref(&git, &repository.common_dir, &name, &name)?;
    }
    let full = format!("refs/heads/{}", record.branch);
    let at = branch_at(record, entry);
    git.writes("set the clone's branch").args(["update-ref", &full, at.as_str()]).run()?;
    for (name, oid) in &entry.also {
        let other_branch = name.starts_with("refs/") && Some(name.as_str()) != Some(full.as_str());
        let was_own = entry.branch.as_ref().is_some_and(|branch| *name == format!("refs/heads/{branch}"));
        if other_branch && !was_own {
            git.writes("bring back a branch").args(["update-ref", name, oid.as_str()]).run()?;
        }
    }
    // The latest of the stash was kept first; storing them last to first gives the same order.
    for (_, oid) in entry.also.iter().rev().filter(|(name, _)| name == "stash") {
        git.writes("bring back the stash")
            .args(["stash", "store", "-m", "restored by oarlock", oid.as_str()])
            .run()?;
    }
    match (head_branch(record, entry), &entry.head) {
        (Some(_), _) | (None, None) => git.writes("set HEAD").args(["symbolic-ref", "HEAD", &full]).run()?,
        (None, Some(head)) => {
            git.writes("set HEAD").args(["update-ref", "--no-deref", "HEAD", head.as_str()]).run()?
        }
    };
    Ok(made)
}

/// Puts index and files back as they were kept. Only for a workspace nobody was given yet.
fn put_back(path: &Path, entry: &Entry) -> Result<(), Error> {
    workspace::worktree::remove_stale_lock(path)?;
    let git = Git::at(path);
    git.writes("write the kept index")
        .config("submodule.recurse=false")
        .args(["read-tree", "--reset", "-u", entry.index.as_str()])
        .time_max(CHECKOUT_MAX)
        .run()?;
    let mut writes = Vec::new();
    for change in read::tree_changes(&git, &entry.index, &entry.commit)? {
        let file = path.join(&change.path);
        if change.letter == 'D' {
            remove_file(&file)?;
        } else {
            writes.push((file, change.mode, change.new));
        }
    }
    for (file, mode, oid) in writes {
        write_file(&git, &file, &mode, &oid)?;
    }
    if let Some(extra) = &entry.extra {
        put_back_state(path, &git, extra)?;
    }
    git.writes("refresh the index").args(["update-index", "-q", "--refresh"]).allow(1).run()?;
    Ok(())
}

fn remove_file(file: &Path) -> Result<(), Error> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(workspace::Error::io("remove", file)(error).into())
        }
        _ => {
            // As git does, a directory left empty goes; one that is not stays.
            let mut parent = file.parent();
            while let Some(dir) = parent {
                if std::fs::remove_dir(dir).is_err() {
                    break;
                }
                parent = dir.parent();
            }
            Ok(())
        }
    }
}

/// Writes one kept file: its very bytes, its executable bit, or the link it was.
fn write_file(git: &Git, file: &Path, mode: &str, oid: &str) -> Result<(), Error> {
    let failed = |operation| workspace::Error::io(operation, file);
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).map_err(failed("create the directory of"))?;
    }
    if std::fs::symlink_metadata(file).is_ok() {
        std::fs::remove_file(file).map_err(failed("replace"))?;
    }
    if mode == "120000" {
        let target = git.reads("read a kept link").args(["cat-file", "blob", oid]).run()?.stdout;
        let target = std::ffi::OsStr::from_bytes(&target);
        std::os::unix::fs::symlink(target, file).map_err(failed("link"))?;
        return Ok(());
    }
    let out = std::fs::File::create_new(file).map_err(failed("write"))?;
    if mode == "100755" {
        let bits = out.metadata().map_err(failed("look at"))?.permissions().mode();
        // Executable for whoever may read it, as git does.
        let bits = bits | ((bits & 0o444) >> 2);
        out.set_permissions(std::fs::Permissions::from_mode(bits)).map_err(failed("make executable"))?;
    }
    let call = git.reads("read a kept file").args(["cat-file", "blob", oid]);
    call.into_file(out).time_max(CHECKOUT_MAX).run()?;
    Ok(())
}

/// Puts back conflicts, files marked to be added, and the merge that was under way.
fn put_back_state(path: &Path, git: &Git, extra: &Oid) -> Result<(), Error> {
    let read = |name: &str| -> Result<Option<Vec<u8>>, Error> {
        let object = format!("{extra}:{name}");
        let answer = git.reads("read kept state").args(["cat-file", "blob", &object]).allow(128).run()?;
        Ok((answer.code == 0).then_some(answer.stdout))
    };
    if let Some(unmerged) = read("unmerged")? {
        // The lines of `ls-files --unmerged` are what `update-index --index-info` reads.
        git.writes("put conflicts back")
            .args(["update-index", "-z", "--index-info"])
            .input(unmerged)
            .run()?;
    }
    if let Some(names) = read("intent-to-add")? {
        let args = ["add", "--intent-to-add", "--sparse", "--pathspec-from-file=-", "--pathspec-file-nul"];
        git.writes("mark files to be added").args(args).input(names).run()?;
    }
    let Some(dir) = read::git_dir(path) else { return Ok(()) };
    for name in STATE_FILES {
        if let Some(bytes) = read(name)? {
            let file = dir.join(name);
            std::fs::write(&file, bytes).map_err(workspace::Error::io("write", file))?;
        }
    }
    Ok(())
}
