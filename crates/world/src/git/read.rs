//! Small questions to a repository that several rooms ask: revisions, refs, worktrees, operations under way.
//!
//! Must not write anything.

use std::path::{Path, PathBuf};

use super::text::path_of;
use super::{Git, GitError, Oid};

/// One line of `git worktree list`: a checkout registered with a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorktreeEntry {
    /// Where it is, as registered.
    pub path: PathBuf,
    /// The commit checked out; none on an unborn branch.
    pub head: Option<Oid>,
    /// The branch checked out, without `refs/heads/`; none when detached.
    pub branch: Option<String>,
    /// The repository itself, which has no checkout.
    pub bare: bool,
    /// The reason given when it was locked; empty when none was.
    pub locked: Option<String>,
    /// Why git thinks its registration could go: its directory is missing.
    pub prunable: Option<String>,
}

/// Returns the commit that `revision` names, or `None`.
pub(crate) fn commit(git: &Git, revision: &str) -> Result<Option<Oid>, GitError> {
    let wanted = format!("{revision}^{{commit}}");
    let answer = git
        .reads("resolve a revision")
        .args(["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])
        .allow(1)
        .allow(128)
        .run()?;
    Ok(if answer.code == 0 { Oid::parse(answer.text().trim()) } else { None })
}

/// Returns the tree of a commit.
pub(crate) fn tree(git: &Git, commit: &Oid) -> Result<Oid, GitError> {
    let wanted = format!("{commit}^{{tree}}");
    git.reads("read a commit's tree").args(["rev-parse", "--verify", &wanted]).run()?.oid()
}

/// Returns what a ref's full name points to, peeled to a commit, or `None` when there is no such ref.
pub(crate) fn reference(git: &Git, name: &str) -> Result<Option<Oid>, GitError> {
    let answer = git
        .reads("read a ref")
        .args(["show-ref", "--verify", "--hash", "--", name])
        .allow(1)
        .allow(128)
        .run()?;
    Ok(if answer.code == 0 { Oid::parse(answer.text().trim()) } else { None })
}

/// Returns where a local branch stands.
pub(crate) fn branch(git: &Git, name: &str) -> Result<Option<Oid>, GitError> {
    reference(git, &format!("refs/heads/{name}"))
}

/// Returns the branch HEAD is on, without `refs/heads/`; it may be unborn. `None` when detached.
pub(crate) fn head_branch(git: &Git) -> Result<Option<String>, GitError> {
    let answer = git.reads("read HEAD").args(["symbolic-ref", "--quiet", "HEAD"]).allow(1).run()?;
    Ok(answer.text().strip_prefix("refs/heads/").map(str::to_owned))
}

/// Returns a setting, or `None`.
pub(crate) fn setting(git: &Git, name: &str) -> Result<Option<String>, GitError> {
    let answer = git.reads("read a setting").args(["config", "--get", name]).allow(1).run()?;
    Ok((answer.code == 0).then(|| answer.text()))
}

/// Whether `old` is `new` or one of its ancestors.
pub(crate) fn is_ancestor(git: &Git, old: &Oid, new: &Oid) -> Result<bool, GitError> {
    let args = ["merge-base", "--is-ancestor", old.as_str(), new.as_str()];
    Ok(git.reads("compare two commits").args(args).allow(1).run()?.code == 0)
}

/// Returns the best common ancestor, or `None` when the histories are unrelated.
pub(crate) fn merge_base(git: &Git, one: &Oid, other: &Oid) -> Result<Option<Oid>, GitError> {
    let answer =
        git.reads("find a merge base").args(["merge-base", one.as_str(), other.as_str()]).allow(1).run()?;
    Ok(Oid::parse(answer.text().trim()))
}

/// Returns every worktree registered with the repository; the main one comes first.
pub(crate) fn worktrees(git: &Git) -> Result<Vec<WorktreeEntry>, GitError> {
    let answer = git.reads("list worktrees").args(["worktree", "list", "--porcelain", "-z"]).run()?;
    let mut entries: Vec<WorktreeEntry> = Vec::new();
    for field in answer.fields() {
        let (key, value) = match field.iter().position(|byte| *byte == b' ') {
            Some(at) => (&field[..at], &field[at + 1..]),
            None => (field, &field[field.len()..]),
        };
        let text = || String::from_utf8_lossy(value).into_owned();
        if key == b"worktree" {
            entries.push(WorktreeEntry { path: path_of(value), ..WorktreeEntry::default() });
            continue;
        }
        let Some(entry) = entries.last_mut() else { continue };
        match key {
            b"HEAD" => entry.head = Oid::parse(&text()).filter(|oid| oid.as_str() != oid.zero_like()),
            b"branch" => entry.branch = text().strip_prefix("refs/heads/").map(str::to_owned),
            b"bare" => entry.bare = true,
            b"locked" => entry.locked = Some(text()),
            b"prunable" => entry.prunable = Some(text()),
            _ => {}
        }
    }
    Ok(entries)
}

/// Returns the git directory of a checkout by reading its `.git`, without starting git; `None` when it has none.
pub(crate) fn git_dir(checkout: &Path) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    /// A `.git` file holds one path.
    const GITFILE_MAX: u64 = 16 * 1024;
    let dot_git = checkout.join(".git");
    let meta = std::fs::symlink_metadata(&dot_git).ok()?;
    if !meta.is_file() {
        return dot_git.canonicalize().ok().filter(|path| path.is_dir());
    }
    if meta.len() > GITFILE_MAX {
        return None;
    }
    let bytes = std::fs::read(&dot_git).ok()?;
    let bytes = bytes.strip_prefix(b"gitdir: ")?;
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'))? + 1;
    Some(checkout.join(std::ffi::OsStr::from_bytes(&bytes[..end])))
}

/// Returns the commit that a checkout's HEAD moved to last, by its reflog in `logs`, without starting git.
pub(crate) fn reflog_tip(logs: &Path) -> Option<Oid> {
    use std::io::{Read, Seek, SeekFrom};
    /// A line holds two ids, a person and a subject; git cuts none of them, and one longer than this says nothing here.
    const TAIL_MAX: u64 = 4096;
    let mut file = std::fs::File::open(logs.join("HEAD")).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_MAX))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let whole = tail.strip_suffix(b"\n")?;
    let last = whole.rsplit(|byte| *byte == b'\n').next()?;
    let new = last.split(|byte| *byte == b' ').nth(1)?;
    Oid::parse(std::str::from_utf8(new).ok()?)
}

/// One path that differs between two trees.
#[derive(Clone, Debug)]
pub(crate) struct TreeChange {
    pub(crate) path: PathBuf,
    /// The letter of `git diff-tree --raw`: `A`, `D`, `M` or `T`.
    pub(crate) letter: char,
    /// Mode in the new tree, six octal digits.
    pub(crate) mode: String,
    /// Object in the old tree; zeros when there is none.
    pub(crate) old: String,
    /// Object in the new tree; zeros when there is none.
    pub(crate) new: String,
}

/// Returns the paths that differ between two commits or trees; renames are a removal and an addition.
pub(crate) fn tree_changes(git: &Git, old: &Oid, new: &Oid) -> Result<Vec<TreeChange>, GitError> {
    let args = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old.as_str(), new.as_str()];
    let answer = git.reads("compare two trees").args(args).run()?;
    let mut fields = answer.fields();
    let mut changes = Vec::new();
    while let (Some(raw), Some(name)) = (fields.next(), fields.next()) {
        let raw = String::from_utf8_lossy(raw).into_owned();
        let parts: Vec<&str> = raw.trim_start_matches(':').split(' ').collect();
        let &[_, mode, old, new, letter] = parts.as_slice() else { return Err(answer.unreadable()) };
        changes.push(TreeChange {
            path: path_of(name),
            letter: letter.chars().next().unwrap_or('M'),
            mode: mode.to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
        });
    }
    Ok(changes)
}

/// Something git was asked to do in a checkout that is not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `git merge`.
    Merge,
    /// `git rebase`.
    Rebase,
    /// `git am`.
    Am,
    /// `git cherry-pick`.
    CherryPick,
    /// `git revert`.
    Revert,
    /// `git bisect`.
    Bisect,
}

impl Operation {
    /// Returns the word git has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Merge => "merge",
            Operation::Rebase => "rebase",
            Operation::Am => "am",
            Operation::CherryPick => "cherry-pick",
            Operation::Revert => "revert",
            Operation::Bisect => "bisect",
        }
    }
}

/// Returns what is under way in the checkout whose git directory is `git_dir`. The files are those that git's own
/// `wt_status_get_state` looks at.
pub(crate) fn operation(git_dir: &Path) -> Option<Operation> {
    let has = |name: &str| git_dir.join(name).exists();
    if has("rebase-merge") || (has("rebase-apply") && !has("rebase-apply/applying")) {
        Some(Operation::Rebase)
    } else if has("rebase-apply") {
        Some(Operation::Am)
    } else if has("MERGE_HEAD") {
        Some(Operation::Merge)
    } else if has("CHERRY_PICK_HEAD") {
        Some(Operation::CherryPick)
    } else if has("REVERT_HEAD") {
        Some(Operation::Revert)
    } else if has("BISECT_LOG") {
        Some(Operation::Bisect)
    } else {
        None
    }
}

/// Returns `path` with what exists of it resolved physically, so that two spellings of one place compare equal.
pub(crate) fn physical(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut at = path;
    loop {
        if let Ok(found) = at.canonicalize() {
            return rest.iter().rev().fold(found, |whole, part| whole.join(part));
        }
        let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else {
            return path.to_path_buf();
        };
        rest.push(name.to_owned());
        at = parent;
    }
}
