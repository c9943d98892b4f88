//! Workspaces that are local clones.
//!
//! Objects are hard links, refs and configuration are its own. Must not know setup or trash.

use std::path::{Path, PathBuf};

use super::inspect::Home;
use super::prepare::{Made, is_checkout, move_aside};
use super::record::{Record, key};
use super::{Error, HOME_REMOTE, plant, worktree};
use crate::git::lock::Lock;
use crate::git::{CHECKOUT_MAX, Git, GitError, Oid, read};

/// Settings of the repository that decide what a checkout's files look like and what its commits say; a clone
/// takes them over. The rest (remotes, branches, hooks) stays behind.
const SETTINGS: &str = r"^(user\..*|core\.(autocrlf|eol|safecrlf|symlinks|filemode|ignorecase)|filter\..*|lfs\..*|commit\..*|gpg\..*|merge\..*|diff\..*)$";

/// Lets a local fetch name commits that no ref points to.
const UPLOAD_PACK: &str = "--upload-pack=git -c uploadpack.allowAnySHA1InWant=true upload-pack";

/// Makes the clone of a planned workspace: beside its path first, and renamed when it is whole.
pub(crate) fn make(repository: &Home, record: &Record) -> Result<Made, Error> {
    let mut made = Made::default();
    if !is_checkout(&record.path) {
        made.moved_aside = move_aside(&record.path)?;
        let part = part_path(&record.path);
        remove_part(&part)?;
        clone_to(repository, record, &part)?;
        if record.path.is_dir() {
            std::fs::remove_dir(&record.path).map_err(Error::io("take over", &record.path))?;
        }
        std::fs::rename(&part, &record.path).map_err(Error::io("put in place", &record.path))?;
    }
    worktree::write_files(&record.path, "HEAD", "oarlock")?;
    Ok(made)
}

fn part_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".oarlock-part");
    path.with_file_name(name)
}

/// Removes what an attempt cut short left under the name only [`make`] uses, with this workspace's lock held.
fn remove_part(part: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove the half-made", part)(error))
        }
        _ => Ok(()),
    }
}

fn clone_to(repository: &Home, record: &Record, part: &Path) -> Result<(), Error> {
    plant::make_parent(part)?;
    let home = Git::at(&repository.root);
    home.writes("clone the repository")
        .args(["clone", "--local", "--no-checkout", "--quiet", "--origin", HOME_REMOTE, "--"])
        .arg(&repository.common_dir)
        .arg(part)
        .time_max(CHECKOUT_MAX)
        .run()?;
    let git = Git::at(part);
    if read::commit(&git, record.base.as_str())?.is_none() {
        fetch(&git, HOME_REMOTE.as_ref(), record.base.as_str())?;
    }
    settle_refs(&git, record)?;
    copy_settings(&home, &git)?;
    copy_info(repository, part)?;
    if let Some(url) = origin_url(&home, repository)? {
        git.writes("name the clone's origin").args(["remote", "add", "origin", &url]).run()?;
        // What is known of origin comes along without asking it; a repository without any has nothing to give.
        git.writes("bring origin's branches")
            .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", HOME_REMOTE])
            .arg("+refs/remotes/origin/*:refs/remotes/origin/*")
            .time_max(CHECKOUT_MAX)
            .run()?;
    }
    Ok(())
}

/// Puts HEAD on the workspace's branch at its base, and drops the branch `git clone` made.
fn settle_refs(git: &Git, record: &Record) -> Result<(), Error> {
    let full = format!("refs/heads/{}", record.branch);
    let cloned = read::head_branch(git)?;
    // Detached for a moment: a branch "a" that HEAD is on would be in the way of "a/b".
    git.writes("detach the clone's HEAD")
        .args(["update-ref", "--no-deref", "HEAD", record.base.as_str()])
        .run()?;
    if let Some(cloned) = cloned {
        git.writes("drop the cloned branch")
            .args(["update-ref", "-d", &format!("refs/heads/{cloned}")])
            .run()?;
        git.writes("forget the cloned branch")
            .args(["config", "--remove-section", &format!("branch.{cloned}")])
            .allow(128)
            .allow(5)
            .run()?;
    }
    git.writes("create the clone's branch").args(["update-ref", &full, record.base.as_str()]).run()?;
    git.writes("set the clone's HEAD").args(["symbolic-ref", "HEAD", &full]).run()?;
    Ok(())
}

fn fetch(git: &Git, from: &std::ffi::OsStr, refspec: &str) -> Result<(), GitError> {
    git.writes("fetch between repositories")
        .args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            UPLOAD_PACK,
            "--",
        ])
        .arg(from)
        .arg(refspec)
        .time_max(CHECKOUT_MAX)
        .run()?;
    Ok(())
}

fn copy_settings(home: &Git, git: &Git) -> Result<(), Error> {
    let answer = home
        .reads("read the repository's settings")
        .args(["config", "--local", "-z", "--get-regexp", SETTINGS])
        .allow(1)
        .run()?;
    for field in answer.fields() {
        let text = String::from_utf8_lossy(field).into_owned();
        let (name, value) = text.split_once('\n').unwrap_or((&text, "true"));
        git.writes("take over a setting").args(["config", "--local", "--add", name, value]).run()?;
    }
    Ok(())
}

/// Takes over what the person excluded and how files are treated, which live outside of the commits.
fn copy_info(repository: &Home, part: &Path) -> Result<(), Error> {
    for name in ["exclude", "attributes"] {
        let from = repository.common_dir.join("info").join(name);
        let to = part.join(".git").join("info");
        if from.is_file() {
            std::fs::create_dir_all(&to).map_err(Error::io("create", &to))?;
            std::fs::copy(&from, to.join(name)).map_err(Error::io("copy", &from))?;
        }
    }
    Ok(())
}

/// Returns the project's origin; a relative path is meant from the project's root.
fn origin_url(home: &Git, repository: &Home) -> Result<Option<String>, GitError> {
    let Some(url) = read::setting(home, "remote.origin.url")? else { return Ok(None) };
    let local = repository.root.join(&url);
    let relative = url.starts_with("./") || url.starts_with("../");
    Ok(Some(if relative { local.to_string_lossy().into_owned() } else { url }))
}

/// Brings a commit of a clone, and all it needs, into the project's repository, where it is held by a ref of oarlock's own.
/// Returns its id. Safe to repeat; a later commit replaces the earlier one.
///
/// # Errors
/// [`Error::BaseUnknown`] when the clone has no such commit; [`Error::Git`] when the fetch fails.
pub fn bring_home(repository: &Path, clone: &Path, id: &str, revision: &str) -> Result<Oid, Error> {
    let clone_git = Git::at(clone);
    let unknown = || Error::BaseUnknown { base: crate::git::text::clean_line(revision.as_bytes(), 120) };
    let oid = read::commit(&clone_git, revision)?.ok_or_else(unknown)?;
    let repository = super::home(repository)?;
    let name = format!("refs/oarlock/clone/{}", key(id));
    let git = Git::at(&repository.root);
    let _one = Lock::repository(&repository.common_dir)?;
    fetch(&git, clone.as_os_str(), &format!("+{oid}:{name}"))?;
    Ok(oid)
}

/// Fetches `source` of the repository at `from` into the ref `target`, which must not exist.
pub(crate) fn fetch_ref(git: &Git, from: &Path, source: &str, target: &str) -> Result<(), GitError> {
    fetch(git, from.as_os_str(), &format!("{source}:{target}"))
}
