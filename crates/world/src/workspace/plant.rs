//! Registers a linked worktree by its three files, as gitrepository-layout(5) and git-worktree(1), "Details", describe them.
//!
//! `git worktree add` reads the entry of every other worktree and writes its own piece by piece, so that two at once fail on
//! each other's halves and a thousand cost a thousand times more than one. Here the entry is put in place whole, by one
//! rename: nobody sees half of it, and others are not looked at. Must not know what is checked out, nor start git.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::Error;
use super::worktree::INITIALIZING;
use crate::git::refs;

/// Whether the entry can be made here: refs are plain files, and neither the place nor the entry's name is in use. Elsewhere
/// git has to.
pub(crate) fn is_possible(common_dir: &Path, path: &Path) -> bool {
    let is_there = |path: &Path| std::fs::symlink_metadata(path).is_ok();
    let is_text = path.to_str().is_some_and(|path| !path.contains('\n'));
    is_text
        && refs::are_plain(common_dir)
        && !is_there(path)
        && entry(common_dir, path).is_some_and(|entry| !is_there(&entry))
}

/// Makes the directory at `path` a worktree on `branch`, which must exist and be checked out nowhere. No file of the branch
/// is written. Cut short anywhere, it leaves what `git worktree add` leaves when it is cut short.
pub(crate) fn worktree(common_dir: &Path, path: &Path, branch: &str) -> Result<(), Error> {
    let Some(entry) = entry(common_dir, path) else {
        return Err(Error::PathRefused { path: path.to_owned(), why: "it has no name" });
    };
    make_parent(path)?;
    std::fs::create_dir_all(path).map_err(Error::io("create", path))?;
    let name = entry.file_name().unwrap_or_default();
    let draft = common_dir.join("oarlock").join("entries").join(name);
    let dot_git = path.join(".git");
    let put = || -> io::Result<()> {
        // What an earlier attempt left there was never in place; the workspace's lock keeps others out.
        if let Err(error) = std::fs::remove_dir_all(&draft)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        // Watched for commits from the beginning.
        std::fs::create_dir_all(draft.join("logs"))?;
        std::fs::write(draft.join("locked"), INITIALIZING)?;
        std::fs::write(draft.join("commondir"), "../..\n")?;
        std::fs::write(draft.join("HEAD"), format!("ref: refs/heads/{branch}\n"))?;
        std::fs::write(draft.join("gitdir"), line(&dot_git))?;
        std::fs::create_dir_all(common_dir.join("worktrees"))?;
        std::fs::rename(&draft, &entry)
    };
    put().map_err(Error::io("register the worktree in", &entry))?;
    let mut link = b"gitdir: ".to_vec();
    link.extend(line(&entry));
    std::fs::write(&dot_git, link).map_err(Error::io("write", &dot_git))?;
    let locked = entry.join("locked");
    std::fs::remove_file(&locked).map_err(Error::io("unlock", locked))
}

/// Makes the folder that holds a workspace, for nobody else to look into.
pub(crate) fn make_parent(path: &Path) -> Result<(), Error> {
    let Some(parent) = path.parent() else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(Error::io("create", parent))
}

fn line(path: &Path) -> Vec<u8> {
    let mut bytes = path.as_os_str().as_encoded_bytes().to_vec();
    bytes.push(b'\n');
    bytes
}

/// Returns where the entry of a worktree at `path` goes: named after its last part, as git does, with what a ref's name
/// cannot hold replaced.
fn entry(common_dir: &Path, path: &Path) -> Option<PathBuf> {
    let name: String = path
        .file_name()?
        .to_str()?
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .collect();
    Some(common_dir.join("worktrees").join(name))
}
