//! Makes a range of commits again on top of another commit, in the object database alone.
//!
//! Must not move any ref. `git replay` would do this, and is experimental in every git up to 2.47.

use super::commit::{make_again, tree};
use super::merge::merge;
use super::{LandWant, Refusal};
use crate::git::{Git, Oid, VERSION_MIN_REPLAY, require};

/// Commits replayed at most: each takes some ten milliseconds, and a longer range is a branch, not a session's work.
const REPLAY_MAX: usize = 1000;

/// Replays `base..head` on `base` and returns the new tip. A commit that already stands on its new parent stays itself; one
/// that changes nothing any more is dropped, as `git rebase` does.
pub(super) fn replay(git: &Git, want: &LandWant, base: &Oid) -> Result<Oid, Refusal> {
    require(VERSION_MIN_REPLAY)?;
    let range = format!("{base}..{}", want.head);
    let args = ["rev-list", "--reverse", "--topo-order", "--parents", &range, "--"];
    let answer = git.reads("list the commits to replay").args(args).run()?;
    let text = answer.text();
    let count = text.lines().count();
    if count > REPLAY_MAX {
        return Err(Refusal::TooMany { count });
    }
    let mut tip = base.clone();
    for line in text.lines() {
        let oids: Vec<Oid> = line.split(' ').filter_map(Oid::parse).collect();
        let [commit, parent] = oids.as_slice() else {
            let unrelated =
                || Refusal::Unrelated { base_branch: want.base_branch.clone(), head: want.head.clone() };
            let merge = oids.first().filter(|_| oids.len() > 2).cloned();
            return Err(merge.map_or_else(unrelated, |merge| Refusal::MergesInRange { merge }));
        };
        if *parent == tip {
            tip = commit.clone();
            continue;
        }
        let merged = merge(git, &tip, commit, Some(parent))?;
        if !merged.conflicts.is_empty() {
            let (base_branch, at) = (want.base_branch.clone(), Some(commit.clone()));
            return Err(Refusal::Conflicts { base_branch, conflicts: merged.conflicts, at });
        }
        let was_empty = tree(git, parent)? == tree(git, commit)?;
        if merged.tree == tree(git, &tip)? && !was_empty {
            continue;
        }
        tip = make_again(git, commit, &merged.tree, &tip)?;
    }
    Ok(tip)
}
