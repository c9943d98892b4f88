//! The work in a workspace as a diff, uncommitted and untracked files included.
//!
//! Works on a copy of the index, so that the workspace's own is not touched. Must not write objects.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Error;
use crate::git::text::path_of;
use crate::git::{Git, GitError, Oid, read};

/// Files listed at most; a diff past that is not one a person reads.
const FILES_MAX: usize = 20_000;

/// Limits of a diff.
#[derive(Clone, Debug)]
pub struct DiffWant {
    /// Bytes of the patch at most; the rest is cut off.
    pub bytes_max: usize,
    /// Lines of context around each change.
    pub context: u32,
    /// Only these paths, relative to the top; all when empty.
    pub paths: Vec<PathBuf>,
}

impl Default for DiffWant {
    fn default() -> DiffWant {
        // Two megabytes are some 50,000 lines: more freezes what shows them.
        DiffWant { bytes_max: 2 << 20, context: 3, paths: Vec::new() }
    }
}

/// A patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// The commit it is against.
    pub against: Oid,
    /// The patch in git's format, as it came: not cleaned.
    pub patch: Vec<u8>,
    /// Whether it was cut at the limit.
    pub truncated: bool,
}

/// One changed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// Its path, relative to the top.
    pub path: PathBuf,
    /// Lines added; none for a binary file.
    pub insertions: Option<u64>,
    /// Lines removed; none for a binary file.
    pub deletions: Option<u64>,
}

/// Returns the patch from the merge base of `base` and HEAD to the files as they are. The user's external diff and text
/// conversion programs are not run.
///
/// # Errors
/// [`Error::NotARepository`], [`Error::Git`] or [`Error::Io`].
pub fn diff(path: &Path, base: &Oid, want: &DiffWant) -> Result<Diff, Error> {
    let (against, answer) = run(path, base, want, &["--patch", &format!("--unified={}", want.context)])?;
    Ok(Diff { against, patch: answer.stdout, truncated: answer.truncated })
}

/// Returns the files that [`diff`] would show, at most 20,000, and whether there are more.
///
/// # Errors
/// As for [`diff`].
pub fn changes(path: &Path, base: &Oid, want: &DiffWant) -> Result<(Vec<FileChange>, bool), Error> {
    let (_, answer) = run(path, base, want, &["--numstat", "-z"])?;
    let mut files = numstat(answer.fields());
    let truncated = answer.truncated || files.len() > FILES_MAX;
    files.truncate(FILES_MAX);
    Ok((files, truncated))
}

/// Reads `--numstat -z` without renames: `<added>\t<deleted>\t<path>` each, `-` for binary.
pub(crate) fn numstat<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Vec<FileChange> {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    let mut files = Vec::new();
    for field in fields {
        let mut parts = field.splitn(3, |byte| *byte == b'\t');
        let (Some(added), Some(deleted), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        files.push(FileChange { path: path_of(path), insertions: number(added), deletions: number(deleted) });
    }
    files
}

fn run(path: &Path, base: &Oid, want: &DiffWant, how: &[&str]) -> Result<(Oid, crate::git::Answer), Error> {
    let git = Git::at(path);
    let against = match read::commit(&git, "HEAD")? {
        Some(head) => read::merge_base(&git, base, &head)?.unwrap_or_else(|| base.clone()),
        None => base.clone(),
    };
    let index = PrivateIndex::copy_of(path)?;
    let git = git.env("GIT_INDEX_FILE", index.path());
    // Marks untracked files as to be added, so that they show whole; writes no object.
    git.writes("list untracked files").args(["add", "--intent-to-add", "--", "."]).run()?;
    let answer = git
        .reads("read the diff")
        .args([
            "diff",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--no-renames",
            "--src-prefix=a/",
            "--dst-prefix=b/",
        ])
        .args(how)
        .args([against.as_str(), "--"])
        .args(&want.paths)
        .cut_at(want.bytes_max)
        .run()?;
    Ok((against, answer))
}

/// A copy of a checkout's index that is gone when dropped.
pub(crate) struct PrivateIndex {
    path: PathBuf,
}

impl PrivateIndex {
    /// Copies the index of the checkout at `path`; without one, the copy is empty.
    pub(crate) fn copy_of(path: &Path) -> Result<PrivateIndex, Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let dir = read::git_dir(path).ok_or_else(|| Error::NotARepository { path: path.to_path_buf() })?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let copy = dir.join(format!("oarlock-index-{}-{number}", std::process::id()));
        let index = PrivateIndex { path: copy };
        match std::fs::copy(dir.join("index"), &index.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("copy the index of", path)(error))
            }
            _ => Ok(index),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateIndex {
    fn drop(&mut self) {
        // It may never have been made; a copy that cannot be removed is a small file in the git directory.
        let _ = std::fs::remove_file(&self.path);
        let mut lock = self.path.clone().into_os_string();
        lock.push(".lock");
        let _ = std::fs::remove_file(lock);
    }
}

/// Returns insertions and deletions between two trees.
pub(crate) fn between(git: &Git, old: &Oid, new: &Oid) -> Result<Vec<FileChange>, GitError> {
    let args = ["diff-tree", "-r", "-z", "--numstat", "--no-renames", old.as_str(), new.as_str()];
    let answer = git.reads("compare two trees").args(args).run()?;
    Ok(numstat(answer.fields()))
}
