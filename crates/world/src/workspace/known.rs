//! What was found of repositories before, and whether it still holds: each answer is kept with the state of the files it
//! rests on.
//!
//! Must not look for anything itself, nor start a process.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::inspect::Home;

/// How long an answer is used: what a person changes in their own git settings is seen after this.
const AGE_MAX: Duration = Duration::from_secs(60);
/// A file that changed within this time may change again without a new time stamp: file systems' clocks tick in steps of up
/// to 10 ms.
const SETTLED_AFTER: Duration = Duration::from_millis(100);
/// Answers kept; more repositories than this are never in use at once.
const KEPT_MAX: usize = 64;

/// What one file was like; `None` when there was none.
type Stamp = Option<(u64, u64, i64, i64)>;

struct Known {
    home: Home,
    stamps: Vec<Stamp>,
    at: Instant,
}

static KNOWN: Mutex<BTreeMap<PathBuf, Known>> = Mutex::new(BTreeMap::new());

fn known() -> MutexGuard<'static, BTreeMap<PathBuf, Known>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the answer found for a path before, if it still holds.
pub(super) fn recall(path: &Path) -> Option<Home> {
    let mut all = known();
    let known = all.get(path)?;
    if known.at.elapsed() < AGE_MAX && stamps(path, &known.home.common_dir) == known.stamps {
        return Some(known.home.clone());
    }
    all.remove(path);
    None
}

/// Keeps an answer, unless what it rests on changed just now.
pub(super) fn remember(path: &Path, home: &Home) {
    let stamps = stamps(path, &home.common_dir);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let settled = now.saturating_sub(SETTLED_AFTER);
    let is_settled = |(_, _, s, ns): &(u64, u64, i64, i64)| {
        Duration::new(u64::try_from(*s).unwrap_or(0), u32::try_from(*ns).unwrap_or(0)) < settled
    };
    let mut all = known();
    if !stamps.iter().flatten().all(is_settled) {
        all.remove(path);
        return;
    }
    if all.len() >= KEPT_MAX {
        all.clear();
    }
    all.insert(path.to_owned(), Known { home: home.clone(), stamps, at: Instant::now() });
}

/// Returns the state of every file that decides where a repository is and what its default branch is.
fn stamps(path: &Path, common_dir: &Path) -> Vec<Stamp> {
    let stamp = |path: PathBuf| {
        let meta = std::fs::symlink_metadata(path).ok()?;
        Some((meta.ino(), meta.size(), meta.ctime(), meta.ctime_nsec()))
    };
    let inside = [
        "HEAD",
        "config",
        "packed-refs",
        "refs/heads",
        "refs/remotes/origin",
        "refs/remotes/origin/HEAD",
        "reftable",
    ];
    let inside = inside.into_iter().map(|name| common_dir.join(name));
    // Whatever git does there touches its folder, so of that only its identity counts; a worktree's file is what it says.
    let dot_git = match stamp(path.join(".git")) {
        Some((inode, ..)) if path.join(".git").is_dir() => Some((inode, 0, 0, 0)),
        other => other,
    };
    std::iter::once(dot_git).chain(inside.map(stamp)).collect()
}
