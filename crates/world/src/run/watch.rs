//! Watches hosts end. One thread sleeps in the kernel on a process handle per host: a thousand idle runs cost no wakeup.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use oarlock_core::ids::{RunId, SessionId};
use oarlock_core::session::fact::Exit;
use oarlock_term::Probe;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tracing::{error, warn};

use super::{ended, last_words};
use crate::observe::{Ended, LastLook};
use crate::plant::{Planted, unplant};

/// Hosts whose end is taken in at once.
const EVENTS_MAX: usize = 64;
/// Wait before a host that could not be looked at, or was not there, is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Wait before a host that went away during a look is looked at again: its record may still be on the way.
const LOOK_SOON: Duration = Duration::from_millis(10);
/// Key of the bell among the watched handles; runs count from 1.
const BELL: u64 = 0;

/// A run to watch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Watched {
    pub session: SessionId,
    pub run: RunId,
    pub folder: PathBuf,
}

/// The watch over all hosts.
pub(crate) struct Watch {
    post: Post,
    known: Arc<Known>,
}

/// Runs whose end is awaited. One that was reported is forgotten: news of a late start opens it again.
type Known = Mutex<BTreeSet<(SessionId, RunId)>>;

/// The way to hand a run to the watch; cheap to clone.
#[derive(Clone)]
struct Post {
    orders: Sender<Watched>,
    bell: Arc<OwnedFd>,
}

impl Post {
    fn send(&self, watched: Watched) {
        let rung =
            self.orders.send(watched).is_ok() && rustix::io::write(&*self.bell, &1_u64.to_ne_bytes()).is_ok();
        if !rung {
            error!("the watch over hosts is gone");
        }
    }
}

impl Watch {
    /// Starts the watch.
    pub(crate) fn start(last_look: LastLook) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&poll, &bell, epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)?;
        let post = Post { orders, bell };
        let known = Arc::new(Known::default());
        let mut watcher = Watcher {
            last_look,
            known: known.clone(),
            inbox,
            post: post.clone(),
            poll,
            next: BELL + 1,
            handles: BTreeMap::new(),
            later: Vec::new(),
        };
        thread::Builder::new().name("hosts".into()).spawn(move || watcher.run())?;
        Ok(Self { post, known })
    }

    /// Watches a run until it ends; watching it twice is watching it once.
    pub(crate) fn add(&self, watched: Watched) {
        let key = (watched.session.clone(), watched.run);
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key) {
            self.post.send(watched);
        }
    }
}

struct Watcher {
    last_look: LastLook,
    known: Arc<Known>,
    inbox: Receiver<Watched>,
    post: Post,
    poll: OwnedFd,
    next: u64,
    handles: BTreeMap<u64, (Watched, OwnedFd)>,
    /// Runs to look at again from a moment on, and whether none was there at the last look.
    later: Vec<(Instant, Watched, bool)>,
}

impl Watcher {
    fn run(&mut self) {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            events.clear();
            let limit = self.until_next_look();
            match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), limit.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return error!(%error, "the watch over hosts ended"),
            }
            for event in &events {
                let key = event.data.u64();
                if key == BELL {
                    self.take_orders();
                } else if let Some((watched, handle)) = self.handles.remove(&key) {
                    // Removing it is tidy; closing the handle would do.
                    epoll::delete(&self.poll, &handle).ok();
                    self.look(watched, false);
                }
            }
            self.look_again();
        }
    }

    /// Returns how long to sleep: for ever, unless a run is to be looked at again.
    fn until_next_look(&self) -> Option<Timespec> {
        let next = self.later.iter().map(|(at, ..)| *at).min()?;
        Timespec::try_from(next.saturating_duration_since(Instant::now())).ok()
    }

    fn look_again(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.later.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, watched, was_never) in due {
            self.look(watched, was_never);
        }
    }

    fn look_later(&mut self, watched: Watched, was_never: bool) {
        self.later.push((Instant::now() + LOOK_AGAIN, watched, was_never));
    }

    fn take_orders(&mut self) {
        let mut count = [0; 8];
        // The bell only wakes; how often it rang does not matter.
        rustix::io::read(&*self.post.bell, &mut count).ok();
        while let Ok(watched) = self.inbox.try_recv() {
            self.look(watched, false);
        }
    }

    /// Looks how a run stands: waits for its end while it lives, reports its end when it is over.
    fn look(&mut self, watched: Watched, was_never: bool) {
        match oarlock_term::probe(&watched.folder) {
            Ok(Probe::Live(identity)) => match self.hold(&watched, identity.host.pid) {
                Ok(true) => {}
                // It ended between the look and the hold.
                Ok(false) => self.later.push((Instant::now() + LOOK_SOON, watched, false)),
                Err(error) => {
                    warn!(session = %watched.session, %error, "a host cannot be watched; looking again");
                    self.look_later(watched, false);
                }
            },
            Ok(Probe::Ended(record)) => {
                let exit = match record.exit {
                    oarlock_term::Exit::Code(code) => Exit::Code(code),
                    oarlock_term::Exit::Signal(signal) => Exit::Signal(signal),
                    oarlock_term::Exit::NotStarted { reason } => Exit::NotStarted(reason),
                    oarlock_term::Exit::Unknown => Exit::Unknown,
                };
                self.report(&watched, exit);
            }
            Ok(Probe::Lost { .. }) => self.sweep(watched),
            Ok(Probe::Never) if was_never => self.report(&watched, Exit::Unknown),
            // Its host may be coming up at this moment, and a run that lives must not be taken for dead.
            Ok(Probe::Never) => self.look_later(watched, true),
            Err(error) => {
                // A look that failed is not a death.
                warn!(session = %watched.session, %error, "a host cannot be looked at; looking again");
                self.look_later(watched, was_never);
            }
        }
    }

    /// Holds a handle of the host's process, and makes sure that it still is the one that was looked at.
    fn hold(&mut self, watched: &Watched, pid: u32) -> io::Result<bool> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let Some(pid) = pid else { return Ok(false) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if !matches!(oarlock_term::probe(&watched.folder), Ok(Probe::Live(_))) {
            return Ok(false);
        }
        epoll::add(&self.poll, &handle, epoll::EventData::new_u64(self.next), epoll::EventFlags::IN)?;
        self.handles.insert(self.next, (watched.clone(), handle));
        self.next += 1;
        Ok(true)
    }

    /// Ends what a dead host left behind, beside the watch: it may take the whole grace. Then the run is looked at again.
    fn sweep(&mut self, watched: Watched) {
        let (post, swept) = (self.post.clone(), watched.clone());
        let spawned = thread::Builder::new().name("sweep".into()).spawn(move || {
            if let Err(error) = oarlock_term::sweep(&swept.folder) {
                warn!(session = %swept.session, %error, "what a lost host left could not be ended; trying again");
                thread::sleep(LOOK_AGAIN);
            }
            post.send(swept);
        });
        if let Err(error) = spawned {
            warn!(session = %watched.session, %error, "what a lost host left cannot be ended; trying again");
            self.look_later(watched, false);
        }
    }

    fn report(&self, watched: &Watched, exit: Exit) {
        let words = if exit == Exit::Code(0) { String::new() } else { last_words(&watched.folder) };
        tidy(watched);
        let fact = ended(watched.run, exit, words);
        let (session, run_folder) = (watched.session.clone(), watched.folder.clone());
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&(session.clone(), watched.run));
        self.last_look.take(Ended { session, run_folder, fact });
    }
}

/// Takes away what was planted for a run that is over. What could not be is left for the next run of the session, or for
/// the workspace's removal.
fn tidy(watched: &Watched) {
    let planted = Planted::read(&watched.folder)
        .and_then(|planted| planted.map(|planted| unplant(&planted)).transpose());
    match planted {
        Ok(notes) => notes
            .into_iter()
            .flatten()
            .for_each(|note| warn!(session = %watched.session, %note, "left there")),
        Err(error) => {
            warn!(session = %watched.session, %error, "what was planted for a run could not be taken away")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Observer;
    use oarlock_core::session::fact::Fact;
    use std::path::Path;

    /// How long anything may take. Generous: the machine may be small and busy.
    const DEADLINE: Duration = Duration::from_secs(20);

    struct Bench {
        folder: tempfile::TempDir,
        watch: Watch,
        told: Receiver<(SessionId, Vec<Fact>)>,
        _observer: Observer,
    }

    impl Bench {
        fn new() -> Self {
            let (tell, told) = mpsc::channel();
            let tell = Arc::new(move |session, facts| drop(tell.send((session, facts))));
            let observer = Observer::start(tell, |_, _, _| None).unwrap();
            let watch = Watch::start(observer.last_look()).unwrap();
            Self { folder: tempfile::tempdir().unwrap(), watch, told, _observer: observer }
        }

        fn add(&self, folder: &Path) {
            let watched = Watched { session: SessionId::from("a"), run: RunId(3), folder: folder.to_owned() };
            self.watch.add(watched);
        }

        fn end(&self) -> Exit {
            let (_, facts) = self.told.recv_timeout(DEADLINE).expect("the end is told");
            match &facts[..] {
                [Fact::RunEnded { run: RunId(3), exit, .. }] => exit.clone(),
                other => panic!("the end of the run: {other:?}"),
            }
        }
    }

    #[test]
    fn a_run_without_a_host_is_over_only_at_a_second_look() {
        let bench = Bench::new();
        let added = Instant::now();
        bench.add(bench.folder.path());
        bench.add(bench.folder.path());
        assert_eq!(bench.end(), Exit::Unknown);
        assert!(added.elapsed() >= LOOK_AGAIN, "a host that is coming up is given its time");
        assert!(bench.told.try_recv().is_err(), "watched twice, told once");
    }

    #[test]
    fn a_run_that_was_reported_may_be_watched_again() {
        let bench = Bench::new();
        bench.add(bench.folder.path());
        bench.end();
        assert!(bench.watch.known.lock().unwrap().is_empty(), "what is over is forgotten");
        bench.add(bench.folder.path());
        bench.end();
    }

    #[test]
    fn a_look_that_failed_is_not_a_death() {
        let bench = Bench::new();
        let in_the_way = bench.folder.path().join("run");
        std::fs::write(&in_the_way, "a file where a folder should be").unwrap();
        let added = Instant::now();
        bench.add(&in_the_way);
        assert!(bench.told.recv_timeout(LOOK_AGAIN * 2).is_err(), "nothing is known of it");
        std::fs::remove_file(&in_the_way).unwrap();
        std::fs::create_dir(&in_the_way).unwrap();
        assert_eq!(bench.end(), Exit::Unknown);
        assert!(added.elapsed() < DEADLINE);
    }
}
