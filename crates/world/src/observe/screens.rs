//! Looks at the screens of agents held in terminals: what no hook tells, their own interfaces show. One thread; hosts send a
//! screen only after output came, so that an idle agent costs nothing.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use oarlock_agents::Agent;
use oarlock_agents::screen::Screen;
use oarlock_core::ids::{RunId, SessionId};
use oarlock_core::session::fact::{Fact, Hold, Observation, Showing, Source};
use oarlock_core::session::{Activity, Run, Session};
use oarlock_term::{Screens, Seen};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tracing::{debug, warn};

use super::{Tell, locked};
use crate::hook;
use crate::run::talk;

/// A screen that stood for so long is shown at once; one that changes is shown in between.
const QUIET: Duration = Duration::from_millis(100);
/// How often a screen that keeps changing is looked at: with the time a reading has to stand, a change is seen within half a
/// second, and spinners turn ten times in one.
const AT_MOST_EVERY: Duration = Duration::from_millis(150);
/// How long a reading has to stand before it counts: interfaces draw in pieces, and are a moment without their spinner between
/// two tools.
const STANDS: Duration = Duration::from_millis(200);
/// How long a reading has to stand after something better than a screen was told: what is shown lags behind what is said.
const LAGS: Duration = Duration::from_secs(1);
/// Pause before a host that could not be reached is tried again; its run may be over, which others tell.
const OPEN_AGAIN: Duration = Duration::from_secs(5);

/// A screen to look at.
#[derive(Clone)]
pub(crate) struct Sight {
    pub run: RunId,
    /// The run's folder.
    pub folder: PathBuf,
    pub agent: &'static dyn Agent,
    /// What the screen should show by what is known of the run.
    pub believed: Option<View>,
}

/// What a screen shows, without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    Prompt,
    Busy,
    Limited,
    Dialog,
    Question,
}

impl View {
    fn of(showing: &Showing) -> Self {
        match showing {
            Showing::Prompt => View::Prompt,
            Showing::Busy | Showing::Answering => View::Busy,
            Showing::Limited => View::Limited,
            Showing::Dialog(_) => View::Dialog,
            Showing::Question(_) => View::Question,
        }
    }
}

/// What waits for the thread.
#[derive(Default)]
struct Desk {
    /// What a session wants looked at from now on.
    orders: BTreeMap<SessionId, Option<Sight>>,
    /// Connections made, and those that could not be.
    opened: Vec<(SessionId, RunId, Option<Screens>)>,
}

/// The looker; cheap to clone.
#[derive(Clone)]
pub(crate) struct Looker {
    desk: Arc<Mutex<Desk>>,
    bell: Arc<OwnedFd>,
}

impl Looker {
    /// Starts to look.
    pub(crate) fn start(tell: Tell) -> io::Result<Self> {
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let looker = Self { desk: Arc::default(), bell };
        let own = looker.clone();
        thread::Builder::new().name("screens".into()).spawn(move || Eyes::new(own, tell).look_for_ever())?;
        Ok(looker)
    }

    /// Looks from now on at this screen of a session, and at no other.
    pub(crate) fn look(&self, session: &SessionId, sight: Option<Sight>) {
        locked(&self.desk).orders.insert(session.clone(), sight);
        self.ring();
    }

    fn ring(&self) {
        // A bell that is full has rung.
        let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
    }
}

/// One screen that is looked at.
struct Eye {
    sight: Sight,
    client: Option<Screens>,
    /// When to try to connect again; `None` while a connection is being made or stands.
    open_at: Option<Instant>,
    /// What was told last, while nothing else became known since.
    told: Option<Showing>,
    /// What is read, and since when.
    reading: Option<(Showing, Instant)>,
    /// Not to be told before this moment.
    not_before: Instant,
}

impl Eye {
    /// Returns when what is read is to be told: nothing that is known already, nor twice.
    fn due(&self) -> Option<Instant> {
        let (showing, since) = self.reading.as_ref()?;
        let is_news = self.sight.believed != Some(View::of(showing)) && self.told.as_ref() != Some(showing);
        is_news.then(|| (*since + STANDS).max(self.not_before))
    }
}

struct Eyes {
    looker: Looker,
    tell: Tell,
    eyes: BTreeMap<SessionId, Eye>,
}

impl Eyes {
    fn new(looker: Looker, tell: Tell) -> Self {
        Self { looker, tell, eyes: BTreeMap::new() }
    }

    fn look_for_ever(mut self) {
        loop {
            self.take_orders();
            let now = Instant::now();
            self.tell_what_stands(now);
            self.open_due(now);
            match self.wait(now) {
                Ok(ready) => ready.into_iter().for_each(|session| self.read(&session)),
                Err(error) => {
                    warn!(%error, "screens cannot be waited for");
                    thread::sleep(OPEN_AGAIN);
                }
            }
        }
    }

    fn take_orders(&mut self) {
        let mut count = [0_u8; 8];
        while rustix::io::read(&*self.looker.bell, &mut count).is_ok() {}
        let Desk { orders, opened } = std::mem::take(&mut *locked(&self.looker.desk));
        for (session, sight) in orders {
            let known = self.eyes.get(&session).map(|eye| eye.sight.run);
            match sight {
                None => drop(self.eyes.remove(&session)),
                Some(sight) if known == Some(sight.run) => {
                    let eye = self.eyes.get_mut(&session).filter(|eye| eye.sight.believed != sight.believed);
                    if let Some(eye) = eye {
                        eye.sight.believed = sight.believed;
                        eye.told = None;
                        eye.not_before = Instant::now() + LAGS;
                    }
                }
                Some(sight) => {
                    let now = Instant::now();
                    let eye = Eye {
                        sight,
                        client: None,
                        open_at: Some(now),
                        told: None,
                        reading: None,
                        not_before: now,
                    };
                    self.eyes.insert(session, eye);
                }
            }
        }
        for (session, run, client) in opened {
            if let Some(eye) = self.eyes.get_mut(&session).filter(|eye| eye.sight.run == run) {
                eye.open_at = client.is_none().then(|| Instant::now() + OPEN_AGAIN);
                eye.client = client;
                // The first screen may have come with the welcome.
                self.read(&session);
            }
        }
    }

    /// Tells readings that stood long enough.
    fn tell_what_stands(&mut self, now: Instant) {
        for (session, eye) in &mut self.eyes {
            if eye.due().is_none_or(|due| now < due) {
                continue;
            }
            let Some((showing, _)) = eye.reading.clone() else { continue };
            eye.told = Some(showing.clone());
            let mut facts = Vec::new();
            let mut see = |source, observation| {
                facts.push(Fact::Observed { run: eye.sight.run, source, observation, cursor: 0 });
            };
            if showing == Showing::Prompt {
                // A turn that failed, or was interrupted, may have ended without a hook.
                for observation in hook::since_the_last(eye.sight.agent, &eye.sight.folder) {
                    see(Source::Transcript, observation);
                }
            }
            see(Source::Screen, Observation::Shows(showing));
            (self.tell)(session.clone(), facts);
        }
    }

    /// Connects to hosts, each on a thread of its own: one that hangs makes nobody wait.
    fn open_due(&mut self, now: Instant) {
        for (session, eye) in &mut self.eyes {
            if eye.open_at.is_none_or(|at| now < at) {
                continue;
            }
            eye.open_at = None;
            let (looker, session, sight) = (self.looker.clone(), session.clone(), eye.sight.clone());
            let opens = move || {
                let prompt = talk::guard(&sight.agent.typing().ready);
                let client = Screens::open(&sight.folder, QUIET, AT_MOST_EVERY, prompt.as_ref());
                let client = client.map_err(|error| debug!(%session, %error, "no screen to look at")).ok();
                locked(&looker.desk).opened.push((session, sight.run, client));
                looker.ring();
            };
            if thread::Builder::new().name("screen".into()).spawn(opens).is_err() {
                eye.open_at = Some(now + OPEN_AGAIN);
            }
        }
    }

    /// Waits for the bell, a screen, or a reading that has stood long enough, and returns whose screens came.
    fn wait(&self, now: Instant) -> io::Result<Vec<SessionId>> {
        let due = |eye: &Eye| [eye.open_at, eye.due()];
        let next = self.eyes.values().flat_map(due).flatten().min();
        let timeout = next.map(|at| {
            let left = at.saturating_duration_since(now);
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        let mut fds = vec![PollFd::new(&*self.looker.bell, PollFlags::IN)];
        let mut whose = Vec::new();
        for (session, eye) in &self.eyes {
            if let Some(client) = &eye.client {
                fds.push(PollFd::new(client, PollFlags::IN));
                whose.push(session.clone());
            }
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(vec![]),
            Err(error) => return Err(error.into()),
        }
        let ready = fds.iter().skip(1).map(|fd| !fd.revents().is_empty());
        Ok(whose.into_iter().zip(ready).filter(|(_, ready)| *ready).map(|(session, _)| session).collect())
    }

    fn read(&mut self, session: &SessionId) {
        let Some(eye) = self.eyes.get_mut(session) else { return };
        let Some(client) = &mut eye.client else { return };
        let seen = client.read_ready().unwrap_or_else(|error| {
            debug!(%session, %error, "a screen is not sent any more");
            vec![Seen::Closed]
        });
        let now = Instant::now();
        for one in seen {
            match one {
                Seen::Screen(screen) => {
                    let title = screen.title.as_deref().unwrap_or_default();
                    let shown = eye.sight.agent.screen(&Screen { title, rows: &screen.lines });
                    eye.reading = match (shown, eye.reading.take()) {
                        (None, _) => None,
                        // What stands is timed from when it was read first.
                        (Some(shown), Some((known, since))) if shown == known => Some((known, since)),
                        (Some(shown), _) => Some((shown, now)),
                    };
                }
                Seen::Exited(_) => eye.client = None,
                Seen::Closed => {
                    eye.client = None;
                    eye.open_at = Some(now + OPEN_AGAIN);
                }
            }
        }
    }
}
/// Returns the screen to look at: that of an agent held in a terminal whose interface its file can read.
pub(crate) fn sight(session: &Session, folder: &Path, live: &Run) -> Option<Sight> {
    let said = session.brief.as_ref().map(|brief| &brief.agent).filter(|said| said.hold == Hold::Terminal)?;
    let agent = oarlock_agents::find(&said.name).filter(|agent| !agent.typing().ready.shows.is_empty())?;
    let believed = match live.activity {
        Activity::Idle | Activity::Failing(_) => Some(View::Prompt),
        Activity::Working => Some(View::Busy),
        Activity::RateLimited(_) if live.limit_shown => Some(View::Limited),
        // Whatever it shows says more: that it shows the limit, or that an answer comes in.
        Activity::RateLimited(_) => None,
        Activity::Blocked(_) => Some(View::Dialog),
        Activity::Asking(_) => Some(View::Question),
        Activity::Unknown | Activity::Gone(_) => None,
    };
    Some(Sight { run: live.id, folder: folder.to_owned(), agent, believed })
}
