//! Says what landing would do.
//!
//! Must not change any ref or checkout.

use std::path::Path;

use super::merge::{Standing, merge_base, standing};
use super::{Commit, Preview, Refusal};
use crate::git::text::clean_line;
use crate::git::{Git, GitError, Oid, read, refname};
use crate::workspace;

/// Commits listed at most: more is not read by anyone.
const COMMITS_MAX: usize = 1000;

/// Characters of a subject shown.
const SUBJECT_MAX: usize = 200;

/// Returns what landing the revision `head` on `base_branch` would do. Whether it is empty, landed or in conflict is part of the
/// answer, not a refusal.
///
/// # Errors
/// [`Refusal::BaseMissing`], [`Refusal::HeadMissing`], [`Refusal::Unrelated`], or git's failure.
pub fn preview(repository: &Path, head: &Oid, base_branch: &str) -> Result<Preview, Refusal> {
    crate::git::require(crate::git::VERSION_MIN)?;
    let git = Git::at(repository);
    let (base, head) = ends(&git, head, base_branch)?;
    let merge_base = merge_base(&git, &base, &head, base_branch)?;
    let mut preview = Preview {
        commits: between(&git, base.as_str(), &head)?,
        base,
        head,
        merge_base,
        files: 0,
        insertions: 0,
        deletions: 0,
        conflicts: Vec::new(),
        already_landed: false,
        empty: false,
    };
    match standing(&git, &preview.base, &preview.head, &preview.merge_base)? {
        Standing::Empty => preview.empty = true,
        Standing::Landed => preview.already_landed = true,
        Standing::Ahead(merged) => {
            preview.conflicts = merged.conflicts;
            let conflicted = !preview.conflicts.is_empty();
            // A tree with conflict markers is no measure; then it is what the work itself changed.
            let (old, new) =
                if conflicted { (&preview.merge_base, &preview.head) } else { (&preview.base, &merged.tree) };
            let files = workspace::between(&git, old, new)?;
            preview.files = files.len() as u64;
            preview.insertions = files.iter().filter_map(|file| file.insertions).sum();
            preview.deletions = files.iter().filter_map(|file| file.deletions).sum();
        }
    }
    Ok(preview)
}

/// Returns where the base branch stands and the commit to land, once both are known to exist.
pub(crate) fn ends(git: &Git, head: &Oid, base_branch: &str) -> Result<(Oid, Oid), Refusal> {
    let missing = || Refusal::BaseMissing { base_branch: clean_line(base_branch.as_bytes(), 120) };
    if !refname::is_branch(base_branch) {
        return Err(missing());
    }
    let base = read::branch(git, base_branch)?.ok_or_else(missing)?;
    let found =
        read::commit(git, head.as_str())?.ok_or_else(|| Refusal::HeadMissing { head: head.clone() })?;
    Ok((base, found))
}

/// Returns the commits that landing `head` on `base_branch` would bring, oldest first, at most the latest 1,000.
///
/// # Errors
/// When git fails.
pub fn commits(repository: &Path, head: &Oid, base_branch: &str) -> Result<Vec<Commit>, GitError> {
    between(&Git::at(repository), &format!("refs/heads/{base_branch}"), head)
}

fn between(git: &Git, base: &str, head: &Oid) -> Result<Vec<Commit>, GitError> {
    let range = format!("{base}..{head}");
    let answer = git
        .reads("list the commits to land")
        .args(["log", "-z", "--topo-order", "--encoding=UTF-8", "--format=%H%x00%s"])
        .args([&format!("--max-count={COMMITS_MAX}"), &range, "--"])
        .run()?;
    let fields: Vec<&[u8]> = answer.fields().collect();
    let read = |pair: &[&[u8]]| {
        let oid = Oid::parse(&String::from_utf8_lossy(pair[0]))?;
        Some(Commit { oid, subject: clean_line(pair[1], SUBJECT_MAX) })
    };
    let mut commits: Vec<Commit> = fields.chunks_exact(2).filter_map(read).collect();
    commits.reverse();
    Ok(commits)
}
