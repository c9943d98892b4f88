//! Reads how a workspace stands, in two git calls.
//!
//! Must not change anything, nor refresh the index on disk.

use std::path::{Path, PathBuf};

use super::Error;
use crate::git::text::path_of;
use crate::git::{Git, Oid, Operation, read};

/// How a workspace stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkState {
    /// The commit checked out; none on an unborn branch.
    pub head: Option<Oid>,
    /// The branch checked out, without `refs/heads/`; none when detached. It may not be the workspace's own.
    pub branch: Option<String>,
    /// Commits of HEAD that the base does not have.
    pub ahead: u64,
    /// Commits of the base that HEAD does not have.
    pub behind: u64,
    /// Paths whose index entry differs from HEAD.
    pub staged: u64,
    /// Tracked paths whose file differs from the index.
    pub unstaged: u64,
    /// Paths neither tracked nor ignored; a directory with nothing tracked counts once.
    pub untracked: u64,
    /// Paths with a conflict to resolve.
    pub conflicted: u64,
    /// Submodules with commits or changes of their own, among the unstaged.
    pub submodules: u64,
    /// What git is in the middle of.
    pub operation: Option<Operation>,
}

impl WorkState {
    /// Whether there is work that no commit holds.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.staged + self.unstaged + self.untracked + self.conflicted > 0
    }
}

/// Returns how the checkout at `path` stands against the revision `base`. When `base` names nothing, `ahead` and `behind`
/// are zero.
///
/// # Errors
/// [`Error::NotARepository`] when `path` is no checkout; [`Error::Git`] when git fails.
pub fn state(path: &Path, base: &str) -> Result<WorkState, Error> {
    let dir = read::git_dir(path).ok_or_else(|| Error::NotARepository { path: path.to_path_buf() })?;
    let git = Git::at(path);
    let status = entries(&git, "normal")?;
    let mut state = WorkState { operation: read::operation(&dir), ..WorkState::default() };
    state.head = status.head;
    state.branch = status.branch;
    for entry in &status.entries {
        match entry.kind {
            EntryKind::Untracked => state.untracked += 1,
            EntryKind::Unmerged => state.conflicted += 1,
            EntryKind::Tracked => {
                state.staged += u64::from(entry.index != b'.');
                state.unstaged += u64::from(entry.worktree != b'.');
                state.submodules += u64::from(entry.submodule_changed);
            }
        }
    }
    if state.head.is_some() {
        let range = format!("{base}...HEAD");
        let answer = git
            .reads("count commits")
            .args(["rev-list", "--left-right", "--count", "--end-of-options", &range, "--"])
            .allow(128)
            .run()?;
        let text = answer.text();
        let mut counts = text.split_whitespace().map(|count| count.parse().unwrap_or(0));
        state.behind = counts.next().unwrap_or(0);
        state.ahead = counts.next().unwrap_or(0);
    }
    Ok(state)
}

/// What `git status` lists of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Tracked,
    Unmerged,
    Untracked,
}

/// One line of `git status --porcelain=v2 -z`.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: EntryKind,
    pub(crate) path: PathBuf,
    /// The letter for HEAD against index; `.` for none.
    pub(crate) index: u8,
    /// The letter for index against file; `.` for none.
    pub(crate) worktree: u8,
    pub(crate) submodule: bool,
    pub(crate) submodule_changed: bool,
}

/// All of `git status`.
#[derive(Debug, Default)]
pub(crate) struct Status {
    pub(crate) head: Option<Oid>,
    pub(crate) branch: Option<String>,
    pub(crate) entries: Vec<Entry>,
    /// A directory git could not look into.
    pub(crate) unreadable: Option<String>,
}

/// Runs `git status`; `untracked` is `normal`, `all` or `no`. Renames are not looked for.
pub(crate) fn entries(git: &Git, untracked: &str) -> Result<Status, Error> {
    let answer = git
        .reads("read the workspace's status")
        .config("status.renames=false")
        .args(["status", "--porcelain=v2", "--branch", "-z", "--no-renames", "--ignore-submodules=none"])
        .arg(format!("--untracked-files={untracked}"))
        .run()?;
    Ok(parse(answer.fields(), &answer.stderr))
}

/// Reads the format of git-status(1), "Porcelain Format Version 2".
pub(crate) fn parse<'a>(fields: impl Iterator<Item = &'a [u8]>, said: &[u8]) -> Status {
    let mut status = Status::default();
    for field in fields {
        if let Some(value) = field.strip_prefix(b"# branch.oid ") {
            status.head = Oid::parse(&String::from_utf8_lossy(value));
        } else if let Some(value) = field.strip_prefix(b"# branch.head ") {
            status.branch =
                Some(String::from_utf8_lossy(value).into_owned()).filter(|name| name != "(detached)");
        } else if let Some(path) = field.strip_prefix(b"? ") {
            status.entries.push(Entry {
                kind: EntryKind::Untracked,
                path: path_of(path),
                index: b'.',
                worktree: b'?',
                submodule: false,
                submodule_changed: false,
            });
        } else if let Some(entry) = parse_tracked(field) {
            status.entries.push(entry);
        }
    }
    let said = String::from_utf8_lossy(said);
    status.unreadable =
        said.lines().find(|line| line.contains("could not open directory")).map(str::to_owned);
    status
}

/// `1 XY sub mH mI mW hH hI path`, or `u XY sub m1 m2 m3 mW h1 h2 h3 path`.
fn parse_tracked(field: &[u8]) -> Option<Entry> {
    let (kind, count) = match field.first()? {
        b'1' => (EntryKind::Tracked, 9),
        b'u' => (EntryKind::Unmerged, 11),
        _ => return None,
    };
    let parts: Vec<&[u8]> = field.splitn(count, |byte| *byte == b' ').collect();
    let &[_, xy, sub, .., path] = parts.as_slice() else { return None };
    let submodule = sub.first() == Some(&b'S');
    Some(Entry {
        kind,
        path: path_of(path),
        index: *xy.first()?,
        worktree: *xy.get(1)?,
        submodule,
        submodule_changed: submodule && sub[1..].iter().any(|byte| *byte != b'.'),
    })
}
