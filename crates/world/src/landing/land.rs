//! Moves the base branch, once.
//!
//! Must not touch a checkout before the branch has moved.

use super::checkouts::{follow_again, follow_all, survey};
use super::merge::{Standing, merge_base, standing};
use super::preview::ends;
use super::{How, LandWant, Landed, Refusal, commit, replay};
use crate::git::lock::Lock;
use crate::git::text::{clean_line, clean_tail};
use crate::git::{Git, GitError, Oid, read};
use crate::workspace::record::key;
use crate::workspace::{Home, home};

/// Tries when the base branch moves while a landing that does not mind is being made: somebody pushes by the minute,
/// not by the millisecond.
const TRIES_MAX: u32 = 3;

/// Commits named at most in what came of it.
const COMMITS_MAX: usize = 10_000;

/// Characters kept of what a hook said.
const SAID_MAX: usize = 2000;

/// Where landings are written down, by key: `…/before` and `…/after`, moved in one transaction with the branch.
const LAND_REFS: &str = "refs/oarlock/land/";

/// Lands the work. Safe to repeat: a landing that happened is recognised by refs that moved with the branch, its
/// checkouts follow if they had not, and nothing lands twice. (A landing that was taken back, so that the branch no longer
/// holds it, can be made again.)
///
/// # Errors
/// [`Refusal`]; the base branch has not moved.
pub fn land(want: &LandWant) -> Result<Landed, Refusal> {
    let repository = home(&want.repository)?;
    let git = Git::at(&repository.root);
    let _one = Lock::landing(&repository.common_dir)?;
    let (mut base, head) = ends(&git, &want.head, &want.base_branch)?;
    let ref_key = key(&format!("{}\0{}\0{head}", want.key, want.base_branch));
    if let Some(landed) = landed_before(&git, &repository, want, &ref_key, &base)? {
        return Ok(landed);
    }
    for _ in 1..TRIES_MAX {
        let refusal = match land_once(&git, &repository, want, &ref_key, &base) {
            Err(Refusal::BaseMoved { found, .. }) if want.expect_base.is_none() => found,
            other => return other,
        };
        base = refusal;
    }
    land_once(&git, &repository, want, &ref_key, &base)
}

/// Returns what an earlier call did, after finishing it.
fn landed_before(
    git: &Git,
    repository: &Home,
    want: &LandWant,
    ref_key: &str,
    base: &Oid,
) -> Result<Option<Landed>, Refusal> {
    let before = read::reference(git, &format!("{LAND_REFS}{ref_key}/before"))?;
    let after = read::reference(git, &format!("{LAND_REFS}{ref_key}/after"))?;
    let (Some(before), Some(after)) = (before, after) else { return Ok(None) };
    if !read::is_ancestor(git, &after, base)? {
        return Ok(None);
    }
    // Only while the branch still stands there can its checkouts be said to be behind by this landing.
    let followed = if after == *base {
        follow_again(repository, &want.base_branch, &before, &after)?
    } else {
        Vec::new()
    };
    let commits = gained(git, &before, &after)?;
    Ok(Some(Landed { oid: after, base_before: before, how: want.how, commits, followed, repeated: true }))
}

fn land_once(
    git: &Git,
    repository: &Home,
    want: &LandWant,
    ref_key: &str,
    base: &Oid,
) -> Result<Landed, Refusal> {
    if let Some(expected) = &want.expect_base
        && expected != base
    {
        return Err(moved(want, expected, base));
    }
    let fork = merge_base(git, base, &want.head, &want.base_branch)?;
    let merged = match standing(git, base, &want.head, &fork)? {
        Standing::Empty => return Err(Refusal::Empty { base_branch: want.base_branch.clone() }),
        Standing::Landed => {
            let base_branch = want.base_branch.clone();
            return Err(Refusal::AlreadyLanded { base_branch, head: want.head.clone() });
        }
        Standing::Ahead(merged) => merged,
    };
    if !merged.conflicts.is_empty() && want.how != How::Rebase {
        let base_branch = want.base_branch.clone();
        return Err(Refusal::Conflicts { base_branch, conflicts: merged.conflicts, at: None });
    }
    if want.expect_tree.as_ref().is_some_and(|expected| *expected != merged.tree) {
        return Err(Refusal::OtherTree);
    }
    let checkouts = survey(repository, &want.base_branch)?;
    let fast_forward = want.how == How::Merge && want.fast_forward && fork == *base;
    if !fast_forward {
        commit::check_identity(git)?;
    }
    let message = || commit::message(git, &repository.common_dir, want, ref_key);
    let new = match want.how {
        How::Merge if fast_forward => want.head.clone(),
        How::Merge => commit::make(git, want, &merged.tree, &[base, &want.head], &message()?)?,
        How::Squash => commit::make(git, want, &merged.tree, &[base], &message()?)?,
        How::Rebase => replay::replay(git, want, base)?,
    };
    if new == *base {
        let base_branch = want.base_branch.clone();
        return Err(Refusal::AlreadyLanded { base_branch, head: want.head.clone() });
    }
    move_base(git, want, ref_key, base, &new)?;
    let followed = follow_all(checkouts, base, &new);
    let commits = gained(git, base, &new)?;
    Ok(Landed { oid: new, base_before: base.clone(), how: want.how, commits, followed, repeated: false })
}

fn moved(want: &LandWant, expected: &Oid, found: &Oid) -> Refusal {
    Refusal::BaseMoved {
        base_branch: want.base_branch.clone(),
        expected: expected.clone(),
        found: found.clone(),
    }
}

/// Moves the branch and writes the landing down, all or nothing (git-update-ref(1), `--stdin -z`).
fn move_base(git: &Git, want: &LandWant, ref_key: &str, base: &Oid, new: &Oid) -> Result<(), Refusal> {
    let mut input = format!("start\0update refs/heads/{}\0{new}\0{base}\0", want.base_branch);
    for (name, oid) in [("before", base), ("after", new)] {
        let full = format!("{LAND_REFS}{ref_key}/{name}");
        let old = read::reference(git, &full)?.map_or_else(|| oid.zero_like(), String::from);
        input.push_str(&format!("update {full}\0{oid}\0{old}\0"));
    }
    input.push_str("prepare\0commit\0");
    let reason = format!("oarlock: land {}", clean_line(want.key.as_bytes(), 100));
    let result = git
        .writes("move the base branch")
        .args(["update-ref", "-m", &reason, "--stdin", "-z"])
        .input(input)
        .run();
    let error = match result {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    if let GitError::Failed { stderr, .. } = &error
        && stderr.contains("by hook")
    {
        let output = clean_tail(stderr.as_bytes(), SAID_MAX);
        return Err(Refusal::HookRefused { hook: "reference-transaction", output });
    }
    match read::branch(git, &want.base_branch)? {
        Some(found) if found != *base => Err(moved(want, base, &found)),
        _ => Err(error.into()),
    }
}

fn gained(git: &Git, before: &Oid, after: &Oid) -> Result<Vec<Oid>, GitError> {
    let range = format!("{before}..{after}");
    let count = format!("--max-count={COMMITS_MAX}");
    let args = ["rev-list", "--topo-order", &count, &range, "--"];
    let answer = git.reads("list the landed commits").args(args).run()?;
    let mut oids: Vec<Oid> = answer.text().lines().filter_map(Oid::parse).collect();
    oids.reverse();
    Ok(oids)
}
