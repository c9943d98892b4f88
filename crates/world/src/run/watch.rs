//! Watches hosts end. One thread sleeps in the kernel on a process handle per host: a thousand idle runs cost no wakeup.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use oarlock_core::ids::{RunId, SessionId};
use oarlock_core::session::fact::Exit;
use oarlock_term::Probe;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tracing::{error, warn};

use super::{ended, last_words};
use crate::observe::{Ended, LastLook};

/// Hosts whose end is taken in at once.
const EVENTS_MAX: usize = 64;
/// Wait before a host that could not be looked at is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
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
    known: Mutex<BTreeSet<(SessionId, RunId)>>,
}

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
        let mut watcher =
            Watcher { last_look, inbox, post: post.clone(), poll, next: BELL + 1, handles: BTreeMap::new() };
        thread::Builder::new().name("hosts".into()).spawn(move || watcher.run())?;
        Ok(Self { post, known: Mutex::default() })
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
    inbox: Receiver<Watched>,
    post: Post,
    poll: OwnedFd,
    next: u64,
    handles: BTreeMap<u64, (Watched, OwnedFd)>,
}

impl Watcher {
    fn run(&mut self) {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            events.clear();
            match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), None) {
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
                    self.look(watched);
                }
            }
        }
    }

    fn take_orders(&mut self) {
        let mut count = [0; 8];
        // The bell only wakes; how often it rang does not matter.
        rustix::io::read(&*self.post.bell, &mut count).ok();
        while let Ok(watched) = self.inbox.try_recv() {
            self.look(watched);
        }
    }

    /// Looks how a run stands: waits for its end while it lives, reports its end when it is over.
    fn look(&mut self, watched: Watched) {
        match oarlock_term::probe(&watched.folder) {
            Ok(Probe::Live(identity)) => match self.hold(&watched, identity.host.pid) {
                Ok(true) => {}
                // It ended between the look and the hold.
                Ok(false) => self.look_later(watched, Duration::ZERO),
                Err(error) => {
                    warn!(session = %watched.session, %error, "a host cannot be watched; looking again");
                    self.look_later(watched, LOOK_AGAIN);
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
            Ok(Probe::Never) => self.report(&watched, Exit::Unknown),
            Err(error) => {
                // A look that failed is not a death.
                warn!(session = %watched.session, %error, "a host cannot be looked at; looking again");
                self.look_later(watched, LOOK_AGAIN);
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

    fn look_later(&self, watched: Watched, wait: Duration) {
        self.aside(watched, move |_| thread::sleep(wait));
    }

    /// Ends what a dead host left behind, beside the watch: it may take the whole grace.
    fn sweep(&self, watched: Watched) {
        self.aside(watched, |watched| {
            if let Err(error) = oarlock_term::sweep(&watched.folder) {
                warn!(session = %watched.session, %error, "what a lost host left could not be ended; trying again");
                thread::sleep(LOOK_AGAIN);
            }
        });
    }

    /// Does something slow on a thread of its own, then has the run looked at again.
    fn aside(&self, watched: Watched, slow: impl FnOnce(&Watched) + Send + 'static) {
        let post = self.post.clone();
        let spawned = thread::Builder::new().name("host-aside".into()).spawn(move || {
            slow(&watched);
            post.send(watched);
        });
        if let Err(error) = spawned {
            error!(%error, "a host that could not be watched is not looked at again before the next start");
        }
    }

    fn report(&self, watched: &Watched, exit: Exit) {
        let words = if exit == Exit::Code(0) { String::new() } else { last_words(&watched.folder) };
        let fact = ended(watched.run, exit, words);
        let (session, run_folder) = (watched.session.clone(), watched.folder.clone());
        self.last_look.take(Ended { session, run_folder, fact });
    }
}
