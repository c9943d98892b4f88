//! Facts from file events: reports in inboxes, commits in workspaces. Nothing is polled.
//!
//! A change rings a bell for its target; a moment later what is new is read. Many changes of one target are one reading.
//! Inboxes, heads and the watching itself have a thread each: git may be slow, and a report must not wait for it; the
//! kernel may have a lot to say, and the engine must not wait for that.

mod keeper;
pub(crate) mod screens;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use notify::event::{EventKind, ModifyKind, RenameMode};
use oarlock_core::ids::{RunId, SessionId};
use oarlock_core::session::fact::Fact;
use tracing::{debug, warn};

use crate::run::inbox;

/// Pause between a change and its reading, so that a burst of commits is read once. Well under the 200 ms that a person
/// may wait for a hook to show.
const SETTLE: Duration = Duration::from_millis(30);
/// Wait before an inbox that could not be read is read again: for a handle to become free, or a disk to answer.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// Times a head is looked at again because git holds the index: 3 s in all, since a git that died leaves its lock.
const UNFINISHED_TRIES: u32 = 100;
/// Passes over the inbox of a run that is over: 64 MiB of reports, more than any agent writes in its last moment.
const LAST_PASSES_MAX: usize = 64;

/// Takes what was seen of a session.
pub(crate) type Tell = Arc<dyn Fn(SessionId, Vec<Fact>) + Send + Sync>;

/// Reads the state of a workspace; given by the git side.
pub(crate) type ReadWork = fn(&Path, &str, &str) -> Option<Fact>;

/// The reports of a run.
#[derive(Clone)]
pub(crate) struct Inbox {
    pub run: RunId,
    /// The run's folder.
    pub folder: PathBuf,
    /// How far it was read before.
    pub cursor: u64,
}

/// The head of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub workspace: PathBuf,
    pub base: String,
    pub branch: String,
    /// The commit it was at when git was asked last.
    pub seen: Option<String>,
}

/// What to read when its folder changes.
#[derive(Clone)]
enum Target {
    Inbox(SessionId, Inbox),
    Head(SessionId, Head),
}

/// A run that ended, and the fact that says so.
pub(crate) struct Ended {
    pub session: SessionId,
    pub run_folder: PathBuf,
    pub fact: Fact,
}

/// What waits for a thread, and the bell that wakes it.
#[derive(Default)]
struct Desk<T> {
    waiting: Mutex<T>,
    bell: Condvar,
}

impl<T: Default> Desk<T> {
    fn put(&self, put: impl FnOnce(&mut T)) {
        put(&mut locked(&self.waiting));
        self.bell.notify_one();
    }

    /// Waits until there is something, or time is up.
    fn wait(&self, is_empty: impl Fn(&T) -> bool, limit: Option<Duration>) -> MutexGuard<'_, T> {
        let waiting = locked(&self.waiting);
        match limit {
            None => self.bell.wait_while(waiting, |waiting| is_empty(waiting)),
            Some(limit) => {
                let waited = self.bell.wait_timeout_while(waiting, limit, |waiting| is_empty(waiting));
                waited
                    .map(|(waiting, _)| waiting)
                    .map_err(|poisoned| PoisonError::new(poisoned.into_inner().0))
            }
        }
        .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What waits for the reader of inboxes.
#[derive(Default)]
struct Reports {
    /// Inboxes that changed.
    dirty: BTreeSet<PathBuf>,
    /// Runs that ended.
    ended: Vec<Ended>,
}

impl Reports {
    fn is_empty(&self) -> bool {
        self.dirty.is_empty() && self.ended.is_empty()
    }
}

/// What a session wants looked at: the folder of its live run's inbox, and its workspace.
#[derive(Default)]
struct Wanted {
    inbox: Option<PathBuf>,
    head: Option<Head>,
}

#[derive(Default)]
struct Shared {
    /// What is read, by folder. Inboxes are the engine's to add and remove, heads the keeper's.
    targets: Mutex<BTreeMap<PathBuf, Target>>,
    /// Folders the kernel watches for us, and for whom.
    watched: Mutex<BTreeMap<PathBuf, SessionId>>,
    orders: Desk<BTreeMap<SessionId, Wanted>>,
    reports: Desk<Reports>,
    heads: Desk<BTreeSet<PathBuf>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Has the targets of folders read; folders without a target are none of ours.
    fn changed<'a>(&self, folders: impl Iterator<Item = &'a Path>) {
        let (mut inboxes, mut heads) = (Vec::new(), Vec::new());
        let targets = locked(&self.targets);
        for folder in folders {
            match targets.get(folder) {
                Some(Target::Inbox(..)) => inboxes.push(folder.to_owned()),
                Some(Target::Head(..)) => heads.push(folder.to_owned()),
                None => {}
            }
        }
        drop(targets);
        if !inboxes.is_empty() {
            self.reports.put(|reports| reports.dirty.extend(inboxes));
        }
        if !heads.is_empty() {
            self.heads.put(|dirty| dirty.extend(heads));
        }
    }

    /// Takes in what the kernel says. It must be quick: the kernel keeps a bounded number of events.
    fn take(&self, event: notify::Result<notify::Event>) {
        let event = match event {
            Ok(event) if !event.need_rescan() => event,
            // Some events were lost, nobody knows which.
            Ok(_) | Err(_) => {
                let all: Vec<PathBuf> = locked(&self.targets).keys().cloned().collect();
                return self.changed(all.iter().map(PathBuf::as_path));
            }
        };
        // Reading is no change; we would be woken by our own reading otherwise.
        if event.kind.is_access() {
            return;
        }
        let went = matches!(
            event.kind,
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From))
        );
        if went {
            // A folder that comes back under this name is another one, and has to be watched anew.
            let mut watched = locked(&self.watched);
            event.paths.iter().for_each(|path| drop(watched.remove(path)));
        }
        self.changed(event.paths.iter().filter_map(|path| path.parent()));
    }
}

/// The way to tell that a run ended; cheap to clone.
#[derive(Clone)]
pub(crate) struct LastLook(Arc<Shared>);

impl LastLook {
    /// Has the run's inbox read to its end, and its own end taken in after that: an agent that reports and leaves is gone
    /// before its report is read.
    pub(crate) fn take(&self, ended: Ended) {
        self.0.reports.put(|reports| reports.ended.push(ended));
    }
}

/// The eyes on files.
pub(crate) struct Observer {
    shared: Arc<Shared>,
}

impl Observer {
    /// Starts to look.
    pub(crate) fn start(tell: Tell, read_work: ReadWork) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let ear = shared.clone();
        let watcher = notify::recommended_watcher(move |event| ear.take(event)).map_err(io::Error::other)?;
        let (keeper, inboxes, heads) = (shared.clone(), shared.clone(), shared.clone());
        let to_engine = tell.clone();
        let named = |name: &str| thread::Builder::new().name(name.into());
        named("keeper").spawn(move || keeper::keep_for_ever(&keeper, watcher))?;
        named("inboxes").spawn(move || read_inboxes(&inboxes, &to_engine))?;
        named("heads").spawn(move || read_heads(&heads, &tell, read_work))?;
        Ok(Self { shared })
    }

    /// Returns the way to tell that a run ended.
    pub(crate) fn last_look(&self) -> LastLook {
        LastLook(self.shared.clone())
    }

    /// Looks from now on at this of a session and at nothing else. What is new to look at is read once at once. Returns
    /// before any of it happens.
    pub(crate) fn look(&self, session: &SessionId, inbox: Option<Inbox>, head: Option<Head>) {
        let folder = inbox.as_ref().map(|inbox| inbox::folder(&inbox.folder));
        let mut targets = locked(&self.shared.targets);
        targets.retain(|known, target| match target {
            Target::Inbox(whose, _) => whose != session || folder.as_ref() == Some(known),
            Target::Head(..) => true,
        });
        if let (Some(folder), Some(inbox)) = (&folder, inbox) {
            targets.entry(folder.clone()).or_insert_with(|| Target::Inbox(session.clone(), inbox));
        }
        drop(targets);
        self.shared.orders.put(|orders| drop(orders.insert(session.clone(), Wanted { inbox: folder, head })));
    }
}

fn read_inboxes(shared: &Shared, tell: &Tell) {
    let (mut again, mut tried) = (BTreeSet::new(), Instant::now());
    loop {
        let limit = (!again.is_empty()).then(|| READ_AGAIN.saturating_sub(tried.elapsed()));
        let waiting = shared.reports.wait(Reports::is_empty, limit);
        if waiting.ended.is_empty() && !waiting.dirty.is_empty() {
            // The rest of a burst is read with its beginning; the end of a run, which may come meanwhile, does not wait.
            drop(waiting);
            drop(shared.reports.wait(|reports| reports.ended.is_empty(), Some(SETTLE)));
        } else {
            drop(waiting);
        }
        let Reports { mut dirty, ended } = std::mem::take(&mut *locked(&shared.reports.waiting));
        if tried.elapsed() >= READ_AGAIN {
            dirty.extend(again.iter().cloned());
            tried = Instant::now();
        }
        for folder in dirty {
            match read_inbox(shared, tell, &folder) {
                Ok(more) => {
                    again.remove(&folder);
                    if more {
                        shared.reports.put(|reports| reports.dirty.extend([folder]));
                    }
                }
                Err(error) => {
                    if again.insert(folder.clone()) {
                        warn!(folder = %folder.display(), %error, "an inbox cannot be read; trying again");
                    }
                }
            }
        }
        for Ended { session, run_folder, fact } in ended {
            let inbox = inbox::folder(&run_folder);
            let more = (0..LAST_PASSES_MAX).all(|_| read_inbox(shared, tell, &inbox).unwrap_or(true));
            if more {
                warn!(%session, "an inbox was not read to its end");
            }
            tell(session, vec![fact]);
        }
    }
}

/// Reads what is new in an inbox, if it is looked at, and returns whether there is more.
fn read_inbox(shared: &Shared, tell: &Tell, folder: &Path) -> io::Result<bool> {
    let target = locked(&shared.targets).get(folder).cloned();
    let Some(Target::Inbox(session, Inbox { run, folder: run_folder, cursor })) = target else {
        return Ok(false);
    };
    let pass = inbox::read(&run_folder, cursor)?;
    if let Some(Target::Inbox(_, inbox)) = locked(&shared.targets).get_mut(folder) {
        inbox.cursor = pass.cursor;
    }
    let more = pass.more;
    let facts = inbox::facts(run, pass);
    if !facts.is_empty() {
        tell(session, facts);
    }
    Ok(more)
}

fn read_heads(shared: &Shared, tell: &Tell, read_work: ReadWork) {
    let mut unfinished: BTreeMap<PathBuf, u32> = BTreeMap::new();
    loop {
        drop(shared.heads.wait(BTreeSet::is_empty, None));
        thread::sleep(SETTLE);
        let dirty = std::mem::take(&mut *locked(&shared.heads.waiting));
        for folder in dirty {
            let target = locked(&shared.targets).get(&folder).cloned();
            let Some(Target::Head(session, Head { workspace, base, branch, .. })) = target else { continue };
            // `git commit` moves the head before it puts the index in place: what is read between is not so.
            let tries = unfinished.remove(&folder).unwrap_or(0);
            if tries < UNFINISHED_TRIES && folder.with_file_name("index.lock").exists() {
                unfinished.insert(folder.clone(), tries + 1);
                shared.heads.put(|dirty| dirty.extend([folder]));
                continue;
            }
            debug!(%session, "head may have moved");
            // What cannot be read is read at the end of the turn or of the run.
            if let Some(fact) = read_work(&workspace, &base, &branch) {
                tell(session, vec![fact]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
