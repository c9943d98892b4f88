//! Files read and replaced whole: through links, under the permissions they have, never for all the world to read.
//!
//! Must not know what is in them.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// Permissions of files that were not there before: they may hold what is nobody else's business.
pub(super) const PRIVATE: u32 = 0o600;
/// Longest file edited, in bytes: an agent's settings with years of history in them have a few megabytes.
const BYTES_MAX: u64 = 32 << 20;
/// Links followed at most, as the kernel does (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// A file as it is.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// There is none.
    Absent,
    /// It holds this text.
    Text {
        /// The text.
        text: String,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not one that can be edited: the end of a sentence that begins with its name.
    Unfit(&'static str),
}

impl Found {
    /// Returns the text in it.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Found::Text { text, .. } => Some(text),
            Found::Absent | Found::Unfit(_) => None,
        }
    }
}

/// Reads a file that is no link.
pub(super) fn read(path: &Path) -> io::Result<Found> {
    let meta = match std::fs::symlink_metadata(path) {
        Err(error) if is_not_there(&error) => return Ok(Found::Absent),
        meta => meta?,
    };
    if !meta.is_file() {
        return Ok(Found::Unfit("is no file"));
    }
    if meta.len() > BYTES_MAX {
        return Ok(Found::Unfit("is too long"));
    }
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Ok(Found::Unfit("may not be read"));
        }
        bytes => bytes?,
    };
    let Ok(text) = String::from_utf8(bytes) else { return Ok(Found::Unfit("is not text")) };
    Ok(Found::Text { text, mode: meta.permissions().mode() & 0o7777 })
}

/// Returns whether nobody may write it: a person's wish, although a rename would not mind.
pub(super) fn is_read_only(mode: u32) -> bool {
    mode & 0o222 == 0
}

/// Puts bytes in a file's place, whole or not at all; its owner stays, as far as may be.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let part = part(path);
    // Left by an attempt that died.
    remove(&part)?;
    step()?;
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(PRIVATE).open(&part)?;
        file.write_all(bytes)?;
        if let Ok(before) = std::fs::symlink_metadata(path) {
            keep_owner(&file, &before);
        }
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        if durable {
            file.sync_all()?;
        }
        std::fs::rename(&part, path)
    };
    write().inspect_err(|_| drop(std::fs::remove_file(&part)))
}

/// Returns where a file is written before it takes its place.
pub(super) fn part(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.oarlock-part"))
}

/// Root edits files of others: they stay theirs.
fn keep_owner(file: &File, before: &Metadata) {
    let Ok(ours) = file.metadata() else { return };
    if (ours.uid(), ours.gid()) != (before.uid(), before.gid()) {
        let owner = Some(rustix::fs::Uid::from_raw(before.uid()));
        let group = Some(rustix::fs::Gid::from_raw(before.gid()));
        // Only root can, and for anybody else it is his already.
        let _ = rustix::fs::fchown(file, owner, group);
    }
}

/// Removes a file; there may be none.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    if std::fs::symlink_metadata(path).is_ok() {
        step()?;
    }
    match std::fs::remove_file(path) {
        Err(error) if !is_not_there(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Returns the folders above a file that are missing, the outermost first.
pub(super) fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let above = path.ancestors().skip(1).take_while(|folder| std::fs::symlink_metadata(folder).is_err());
    let mut missing: Vec<PathBuf> = above.map(Path::to_owned).collect();
    missing.reverse();
    missing
}

/// Makes folders, for nobody else to look into.
pub(super) fn make_folders(folders: &[PathBuf]) -> io::Result<()> {
    for folder in folders {
        step()?;
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
    }
    Ok(())
}

/// Follows every link on the way to a file, which need not be there, nor its folders. `Err` ends a sentence that begins
/// with its name.
pub(super) fn follow(path: &Path) -> Result<PathBuf, &'static str> {
    let mut left: Vec<PathBuf> = vec![path.to_owned()];
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(next) = left.pop() {
        let mut parts = next.components();
        let Some(part) = parts.next() else { continue };
        let rest = parts.as_path().to_owned();
        if !rest.as_os_str().is_empty() {
            left.push(rest);
        }
        match part {
            Component::RootDir => at = PathBuf::from("/"),
            Component::ParentDir => drop(at.pop()),
            Component::CurDir | Component::Prefix(_) => {}
            Component::Normal(name) => {
                let here = at.join(name);
                let Ok(target) = std::fs::read_link(&here) else {
                    at = here;
                    continue;
                };
                links += 1;
                if links > LINKS_MAX {
                    return Err("is behind links that lead in circles");
                }
                left.push(target);
            }
        }
    }
    Ok(at)
}

/// Comes before every change of the disk: tests let it fail at each in turn.
#[inline]
fn step() -> io::Result<()> {
    #[cfg(test)]
    tests::step()?;
    Ok(())
}

fn is_not_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::cell::Cell;
    use std::os::unix::fs::symlink;

    thread_local! {
        static STEPS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// Lets this thread change the disk so many times and no more; `None` for as often as it likes.
    pub(in crate::plant) fn steps_left(steps: Option<u32>) {
        STEPS_LEFT.set(steps);
    }

    pub(super) fn step() -> io::Result<()> {
        match STEPS_LEFT.get() {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the test ends here")),
            Some(left) => {
                STEPS_LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }

    #[test]
    fn links_are_followed_to_where_nothing_is_yet() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("dotfiles/deep")).unwrap();
        symlink("dotfiles/deep", root.join("config")).unwrap();
        symlink("../settings.json", root.join("dotfiles/deep/a.json")).unwrap();
        assert_eq!(follow(&root.join("config/a.json")), Ok(root.join("dotfiles/settings.json")));
        assert_eq!(follow(&root.join("config/new/b.json")), Ok(root.join("dotfiles/deep/new/b.json")));
        symlink("two", root.join("one")).unwrap();
        symlink("one", root.join("two")).unwrap();
        assert!(follow(&root.join("one/x")).is_err());
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(part(&path), "left by an attempt that died").unwrap();
        replace(&path, b"one", PRIVATE, true).unwrap();
        assert_eq!(read(&path).unwrap(), Found::Text { text: "one".into(), mode: 0o600 });
        replace(&path, b"two", 0o640, false).unwrap();
        assert_eq!(read(&path).unwrap(), Found::Text { text: "two".into(), mode: 0o640 });
        assert!(!part(&path).exists());
    }
}
