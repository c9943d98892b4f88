//! Facts from file events: reports in inboxes, commits in workspaces. Nothing is polled.
//!
//! A change rings a bell for its target; one thread, a moment later, reads what is new. Many changes of one target are
//! one reading.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use oarlock_agents::Agent;
use oarlock_core::ids::{RunId, SessionId};
use oarlock_core::session::fact::Fact;
use oarlock_engine::Handle;
use tracing::{debug, error, warn};

use crate::run::inbox;

/// Pause between a change and its reading, so that a burst of commits is read once. Well under the 200 ms that a person
/// may wait for a hook to show.
const SETTLE: Duration = Duration::from_millis(30);

/// Passes over the inbox of a run that is over: 64 MiB of reports, more than any agent writes in its last moment.
const LAST_PASSES_MAX: usize = 64;

/// What to read when its folder changes.
#[derive(Clone)]
pub(crate) enum Target {
    /// The reports of a run.
    Inbox { session: SessionId, run: RunId, folder: PathBuf, cursor: u64, agent: &'static dyn Agent },
    /// The head of a workspace.
    Head { session: SessionId, workspace: PathBuf, base: String, branch: String },
}

/// Reads the state of a workspace; given by the git side.
pub(crate) type ReadWork = fn(&Path, &str, &str) -> Option<Fact>;

#[derive(Default)]
struct Shared {
    targets: Mutex<BTreeMap<PathBuf, Target>>,
    news: Mutex<News>,
    bell: Condvar,
}

/// What waits for the reader.
#[derive(Default)]
struct News {
    /// Folders that changed.
    dirty: BTreeSet<PathBuf>,
    /// Runs that ended.
    ended: Vec<Ended>,
}

/// A run that ended, and the fact that says so.
pub(crate) struct Ended {
    pub session: SessionId,
    pub run_folder: PathBuf,
    pub fact: Fact,
}

/// The way to tell the reader that a run ended; cheap to clone.
#[derive(Clone)]
pub(crate) struct LastLook(Arc<Shared>);

impl LastLook {
    /// Has the run's inbox read to its end, and its own end taken in after that: an agent that reports and leaves is gone
    /// before its report is read.
    pub(crate) fn take(&self, ended: Ended) {
        locked(&self.0.news).ended.push(ended);
        self.0.bell.notify_one();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The eyes on files.
pub(crate) struct Observer {
    shared: Arc<Shared>,
    watcher: Mutex<RecommendedWatcher>,
}

impl Observer {
    /// Starts to look.
    pub(crate) fn start(engine: Handle, read_work: ReadWork) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = shared.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // Reading is no change; inotify would wake us for our own reading otherwise.
            if event.kind.is_access() {
                return;
            }
            let targets = locked(&seen.targets);
            let folders = event.paths.iter().filter_map(|path| path.parent());
            let known: Vec<PathBuf> =
                folders.filter(|folder| targets.contains_key(*folder)).map(Path::to_owned).collect();
            drop(targets);
            if !known.is_empty() {
                locked(&seen.news).dirty.extend(known);
                seen.bell.notify_one();
            }
        });
        let watcher = watcher.map_err(io::Error::other)?;
        let reader = shared.clone();
        thread::Builder::new()
            .name("observer".into())
            .spawn(move || read_for_ever(&reader, &engine, read_work))?;
        Ok(Self { shared, watcher: Mutex::new(watcher) })
    }

    /// Returns the way to tell that a run ended.
    pub(crate) fn last_look(&self) -> LastLook {
        LastLook(self.shared.clone())
    }

    /// Looks at a folder from now on, and reads its target once at once. Looking twice is looking once.
    pub(crate) fn look(&self, folder: PathBuf, target: Target) {
        if locked(&self.shared.targets).contains_key(&folder) {
            return;
        }
        let watched = locked(&self.watcher).watch(&folder, RecursiveMode::NonRecursive);
        if let Err(error) = watched {
            // Without it news comes late, at the ends of turns and runs, not never.
            return warn!(folder = %folder.display(), %error, "a folder cannot be watched");
        }
        locked(&self.shared.targets).insert(folder.clone(), target);
        // What changed before the watch began is read now.
        locked(&self.shared.news).dirty.insert(folder);
        self.shared.bell.notify_one();
    }

    /// Looks away from every folder of a session that is not among these.
    pub(crate) fn keep_only(&self, session: &SessionId, folders: &BTreeSet<PathBuf>) {
        let of_session = |target: &Target| match target {
            Target::Inbox { session: whose, .. } | Target::Head { session: whose, .. } => whose == session,
        };
        let mut targets = locked(&self.shared.targets);
        let gone: Vec<PathBuf> = targets
            .iter()
            .filter(|(folder, target)| of_session(target) && !folders.contains(*folder))
            .map(|(folder, _)| folder.clone())
            .collect();
        for folder in &gone {
            targets.remove(folder);
        }
        // Unwatching waits for the watcher's own thread, which may be waiting for the targets.
        drop(targets);
        for folder in gone {
            // A folder that was deleted is not watched any more already.
            drop(locked(&self.watcher).unwatch(&folder));
        }
    }
}

fn read_for_ever(shared: &Shared, engine: &Handle, read_work: ReadWork) {
    loop {
        let News { dirty, ended } = next_news(shared);
        for folder in dirty {
            let Some(target) = locked(&shared.targets).get(&folder).cloned() else { continue };
            match target {
                Target::Inbox { .. } => {
                    if read_inbox(shared, engine, &folder) {
                        locked(&shared.news).dirty.insert(folder);
                    }
                }
                Target::Head { session, workspace, base, branch } => {
                    debug!(%session, "head may have moved");
                    if let Some(fact) = read_work(&workspace, &base, &branch) {
                        engine.seen(session, vec![fact]);
                    }
                }
            }
        }
        for Ended { session, run_folder, fact } in ended {
            let inbox = inbox::folder(&run_folder);
            let more = (0..LAST_PASSES_MAX).all(|_| read_inbox(shared, engine, &inbox));
            if more {
                warn!(%session, "an inbox was not read to its end");
            }
            engine.seen(session, vec![fact]);
        }
    }
}

/// Waits for news, and a moment longer for the rest of a burst; the end of a run does not wait.
fn next_news(shared: &Shared) -> News {
    let mut news = locked(&shared.news);
    while news.dirty.is_empty() && news.ended.is_empty() {
        news = shared.bell.wait(news).unwrap_or_else(PoisonError::into_inner);
    }
    if news.ended.is_empty() {
        drop(news);
        thread::sleep(SETTLE);
        news = locked(&shared.news);
    }
    std::mem::take(&mut *news)
}

/// Reads what is new in an inbox, if it is looked at, and returns whether there is more.
fn read_inbox(shared: &Shared, engine: &Handle, folder: &Path) -> bool {
    let target = locked(&shared.targets).get(folder).cloned();
    let Some(Target::Inbox { session, run, folder: run_folder, cursor, agent }) = target else {
        return false;
    };
    let pass = match inbox::read(&run_folder, cursor, agent) {
        Ok(pass) => pass,
        Err(error) => {
            error!(%session, %error, "an inbox cannot be read");
            return false;
        }
    };
    if let Some(Target::Inbox { cursor, .. }) = locked(&shared.targets).get_mut(folder) {
        *cursor = pass.cursor;
    }
    let more = pass.more;
    let facts = inbox::facts(run, pass);
    if !facts.is_empty() {
        engine.seen(session, facts);
    }
    more
}
