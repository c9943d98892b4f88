//! Keeps the kernel watching what is wanted, on a thread of its own: to watch and to look away waits for the watcher's
//! thread, which may be busy with somebody's flood of events.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use oarlock_core::ids::SessionId;
use tracing::{debug, warn};

use crate::git::read::reflog_tip;

use super::{Head, Shared, Target, Wanted, locked};

pub(super) fn keep_for_ever(shared: &Shared, mut watcher: RecommendedWatcher) {
    loop {
        let orders = std::mem::take(&mut *shared.orders.wait(|orders| orders.is_empty(), None));
        for (session, Wanted { inbox, head }) in orders {
            let head = head.and_then(|head| Some((logs(&head.workspace)?, head)));
            let wanted: BTreeSet<&PathBuf> = inbox.iter().chain(head.iter().map(|(logs, _)| logs)).collect();
            look_away(shared, &mut watcher, &session, &wanted);
            if let Some(folder) = &inbox
                && watch(shared, &mut watcher, &session, folder)
            {
                shared.changed(std::iter::once(folder.as_path()));
            }
            if let Some((logs, head)) = head {
                let seen = head.seen.clone();
                aim(shared, &session, &logs, head);
                let is_new = watch(shared, &mut watcher, &session, &logs);
                // Asking git takes longer than starting an agent, and a head that stands where it was seen tells nothing.
                let moved = || reflog_tip(&logs).map(|tip| tip.as_str().to_owned()) != seen;
                if is_new && (seen.is_none() || moved()) {
                    shared.changed(std::iter::once(logs.as_path()));
                }
            }
        }
    }
}

/// Returns the folder of a checkout's reflogs: every commit, checkout and reset is a line of that of HEAD.
fn logs(workspace: &Path) -> Option<PathBuf> {
    crate::git::read::git_dir(workspace).map(|git_dir| git_dir.join("logs"))
}

/// Looks away from every folder of a session that is not wanted.
fn look_away(
    shared: &Shared,
    watcher: &mut RecommendedWatcher,
    session: &SessionId,
    wanted: &BTreeSet<&PathBuf>,
) {
    locked(&shared.targets).retain(|folder, target| match target {
        Target::Head(whose, _) => whose != session || wanted.contains(folder),
        Target::Inbox(..) => true,
    });
    let mut watched = locked(&shared.watched);
    let gone: Vec<PathBuf> = watched
        .iter()
        .filter(|(folder, whose)| *whose == session && !wanted.contains(folder))
        .map(|(folder, _)| folder.clone())
        .collect();
    gone.iter().for_each(|folder| drop(watched.remove(folder)));
    // To look away waits for the watcher's own thread, which may be waiting for this lock.
    drop(watched);
    for folder in gone {
        // A folder that was deleted is not watched any more already.
        drop(watcher.unwatch(&folder));
    }
}

fn aim(shared: &Shared, session: &SessionId, logs: &Path, head: Head) {
    locked(&shared.targets).insert(logs.to_owned(), Target::Head(session.clone(), head));
}

/// Watches a folder unless it is watched. Returns whether the watch began now, so that what changed before it is read.
fn watch(shared: &Shared, watcher: &mut RecommendedWatcher, session: &SessionId, folder: &Path) -> bool {
    // Noted first: should the folder go at once, the note goes after it.
    if locked(&shared.watched).insert(folder.to_owned(), session.clone()).is_some() {
        return false;
    }
    match watcher.watch(folder, RecursiveMode::NonRecursive) {
        Ok(()) => true,
        Err(error) => {
            locked(&shared.watched).remove(folder);
            // Without it news comes late, at the ends of turns and runs, not never; at the next change of the session it
            // is tried again.
            let folder = folder.display();
            match error.kind {
                ErrorKind::PathNotFound => debug!(%folder, "there is nothing to watch"),
                _ => warn!(%folder, %error, "a folder cannot be watched"),
            }
            false
        }
    }
}
