//! The host's loop: wait for something, do what it needs, wait again. It sleeps without a timeout unless something is
//! pending, so an idle run costs nothing. What clients ask for is answered next door, in `answer`.

use super::below::Below;
use super::ending::Ending;
use super::inbox::Inbox;
use super::input::Input;
use super::output::{Output, Read};
use super::terminal::Terminal;
use super::viewer::Viewer;
use crate::dir::RunDir;
use crate::protocol::HostFrame;
use crate::record::{Exit, ExitRecord, Identity};
use crate::screen::Model;
use crate::signals::SignalPipe;
use crate::socket;
use crate::spec::Spec;
use crate::sweep::{Tree, mark, now_ms};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, wait};
use std::io;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

/// The most clients at once: people and the daemon are a handful; it bounds the descriptors.
const VIEWERS_MAX: usize = 64;
/// How long a screen model is kept after the last look, so that a watcher does not pay for a replay each time.
const SCREEN_KEPT: Duration = Duration::from_secs(10);
/// How long the end waits for clients to take what they are owed. After that they read the files themselves.
const LINGER: Duration = Duration::from_secs(5);
/// How long the end waits for a full disk, so that no output is lost while a person makes room.
const FULL_DISK_PATIENCE: Duration = Duration::from_secs(600);
/// The most output taken after the end, in bytes: a pipe holds 1 MiB at most, and a survivor must not keep us here.
const DRAIN_BYTES_MAX: usize = 4 << 20;
/// Reads in a row before clients have their turn: bounds how long a flood keeps them waiting.
const READS_PER_TURN: usize = 16;

/// A screen model and when it was last of use.
pub(super) struct KeptScreen {
    pub model: Model,
    pub used_at: Instant,
}

/// Everything a host holds.
pub(super) struct Service<'a> {
    run: &'a RunDir,
    pub identity: Identity,
    signals: SignalPipe,
    listener: UnixListener,
    pub output: Output,
    pub inbox: Inbox,
    pub terminal: Terminal,
    pub input: Input,
    pub viewers: Vec<Viewer>,
    pub ending: Ending,
    /// Who was seen to work beneath a shell.
    pub below: Below,
    pub screen: Option<KeptScreen>,
    /// Counts what viewers do, to know who did something last.
    pub activity: u64,
    /// Counts how often the terminal's size changed.
    pub resizes: u64,
    grace_ms: u64,
    closing: Closing,
    feed_buffer: Vec<u8>,
}

/// What is left to do after the last process has ended.
enum Closing {
    NotYet,
    /// Taking the rest of the output and leaving the record, until then.
    Draining {
        taken: usize,
        give_up_at: Instant,
        retry_at: Option<Instant>,
    },
    /// The record is written; clients are told, until then.
    Telling {
        until: Instant,
    },
}

impl<'a> Service<'a> {
    #[expect(clippy::too_many_arguments, reason = "they are exactly what the host is made of, once")]
    pub fn new(
        run: &'a RunDir,
        spec: &Spec,
        identity: Identity,
        signals: SignalPipe,
        listener: UnixListener,
        output: Output,
        inbox: Inbox,
        terminal: Terminal,
    ) -> Self {
        let tree = Tree { host: Some(identity.host.pid), child: identity.child, mark: Some(mark(&spec.run)) };
        Self {
            run,
            identity,
            signals,
            listener,
            output,
            inbox,
            terminal,
            input: Input::default(),
            viewers: Vec::new(),
            ending: Ending::new(tree, spec.grace_ms),
            below: Below::default(),
            screen: None,
            activity: 0,
            resizes: 0,
            grace_ms: spec.grace_ms,
            closing: Closing::NotYet,
            feed_buffer: Vec::new(),
        }
    }

    /// Serves until the run is over and everybody was told.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            if ready.signals {
                self.take_signals();
            }
            if ready.output {
                self.pump();
            }
            if ready.listener {
                self.welcome();
            }
            for index in ready.viewers {
                self.viewers[index].hear();
                self.answer_all(index);
            }
            self.keep_time();
            self.write_input();
            self.push_screens();
            self.feed_viewers();
            if self.is_done() {
                return Ok(());
            }
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let now = Instant::now();
        let mut fds = Vec::with_capacity(4 + self.viewers.len());
        fds.push(PollFd::new(&self.signals, PollFlags::IN));
        fds.push(PollFd::new(&self.listener, PollFlags::IN));
        let mut at_output = None;
        if let Some(reader) = self.terminal.reader().filter(|_| self.takes_output()) {
            at_output = Some(fds.len());
            fds.push(PollFd::from_borrowed_fd(reader, PollFlags::IN));
        }
        if let Some(writer) = self.terminal.writer().filter(|_| self.input.is_due(now)) {
            fds.push(PollFd::from_borrowed_fd(writer, PollFlags::OUT));
        }
        let first_viewer = fds.len();
        for viewer in &self.viewers {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, viewer.is_listened_to());
            flags.set(PollFlags::OUT, viewer.is_owed(self.output.total()));
            fds.push(PollFd::new(viewer, flags));
        }
        let timeout = self.wake_at().map(|at| {
            let left = at.saturating_duration_since(now);
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let heard = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        let viewers = fds[first_viewer..].iter().enumerate();
        Ok(Ready {
            signals: is_ready(0),
            listener: is_ready(1),
            output: at_output.is_some_and(is_ready),
            viewers: viewers.filter(|(_, fd)| fd.revents().intersects(heard)).map(|(at, _)| at).collect(),
        })
    }

    /// A stalled log takes no output, so the child waits. So does one that is drained elsewhere.
    fn takes_output(&self) -> bool {
        self.output.stalled().is_none() && matches!(self.closing, Closing::NotYet)
    }

    fn wake_at(&self) -> Option<Instant> {
        let closing = match self.closing {
            Closing::NotYet => None,
            Closing::Draining { retry_at, .. } => retry_at,
            Closing::Telling { until } => Some(until),
        };
        let screen = self.screen.as_ref().map(|screen| screen.used_at + SCREEN_KEPT);
        let times = [self.ending.wake_at(), self.output.retry_at(), self.input.due_at(), screen, closing];
        // One who does not read is waited for by its socket, not by the clock.
        let readers = self.viewers.iter().filter(|viewer| viewer.is_sent());
        let screens = readers.filter_map(|viewer| viewer.pace.as_ref()?.due_at());
        times.into_iter().flatten().chain(screens).min()
    }

    fn take_signals(&mut self) {
        let now = Instant::now();
        if self.signals.take().contains(&libc::SIGTERM) {
            self.ending.stop(self.grace_ms, now);
        }
        let child = self.identity.child.map(|child| child.pid);
        // Whoever is a child of ours by now, adopted ones included: none stays a zombie.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if child != Some(pid.as_raw_nonzero().get().cast_unsigned()) {
                continue;
            }
            let exit = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => continue,
            };
            self.ending.child_ended(exit, now);
        }
    }

    fn pump(&mut self) {
        for _ in 0..READS_PER_TURN {
            let Some(reader) = self.terminal.reader() else { return };
            match self.output.pump(reader) {
                Read::Some(_) => {}
                Read::Nothing => return,
                Read::Closed => return self.terminal.output_closed(),
            }
        }
    }

    fn welcome(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            // Somebody else is not even told that there is no room.
            if !socket::is_own_user(&stream) {
                continue;
            }
            let Ok(mut viewer) = Viewer::new(stream) else { continue };
            if self.viewers.len() >= VIEWERS_MAX {
                viewer.say(&HostFrame::Error { reason: "too many clients".to_owned() });
                viewer.feed(self.output.file(), 0, &mut self.feed_buffer);
            } else {
                self.viewers.push(viewer);
            }
        }
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        self.output.retry(now);
        self.ending.advance(now);
        if self.screen.as_ref().is_some_and(|screen| screen.used_at + SCREEN_KEPT <= now) {
            self.screen = None;
        }
        self.close(now);
    }

    /// Goes on with the end once the last process is gone: rest of the output, record, clients.
    fn close(&mut self, now: Instant) {
        let Some((exit, survivors)) = self.ending.outcome() else { return };
        if matches!(self.closing, Closing::NotYet) {
            let give_up_at = now + FULL_DISK_PATIENCE;
            self.closing = Closing::Draining { taken: 0, give_up_at, retry_at: None };
        }
        let Closing::Draining { mut taken, give_up_at, .. } = self.closing else { return };
        while self.output.stalled().is_none() && taken < DRAIN_BYTES_MAX {
            match self.terminal.reader().map(|reader| self.output.pump(reader)) {
                Some(Read::Some(count)) => taken += count,
                Some(Read::Nothing | Read::Closed) | None => break,
            }
        }
        // Both the log and the record need room on the disk; both are tried again, side by side.
        let retry_at = Some(now + Duration::from_millis(500));
        self.closing = Closing::Draining { taken, give_up_at, retry_at };
        let is_patient = now < give_up_at;
        if self.output.stalled().is_some() && is_patient {
            return;
        }
        // The record says how much there is, so that must be on disk before it.
        self.output.sync();
        let record = ExitRecord {
            exit,
            bytes: self.output.total(),
            ended_at_ms: now_ms(),
            survivors,
            lost_bytes: self.output.held_bytes(),
        };
        if let Err(error) = self.run.write_json_through(&self.run.exit(), &record) {
            // Without its directory the run is forgotten: there is nothing to wait for.
            let is_forgotten = error.kind() == io::ErrorKind::NotFound;
            if is_patient && !is_forgotten {
                return;
            }
        }
        self.send_last_screens();
        let told = HostFrame::Exited(record);
        for viewer in &mut self.viewers {
            viewer.exit_news = viewer.wants_exit.then(|| told.clone());
        }
        self.closing = Closing::Telling { until: now + LINGER };
    }

    fn feed_viewers(&mut self) {
        let total = self.output.total();
        for index in 0..self.viewers.len() {
            let viewer = &mut self.viewers[index];
            if viewer.is_owed(total) {
                viewer.feed(self.output.file(), total, &mut self.feed_buffer);
                // Questions may have waited for answers to be taken.
                self.answer_all(index);
            }
        }
        let before = self.viewers.len();
        self.viewers.retain(|viewer| !(viewer.gone || viewer.leaving && viewer.is_sent()));
        if self.viewers.len() < before {
            self.fit_terminal();
        }
    }

    /// Gives the terminal the size of the client that did something last, as tmux's `window-size latest` does: the
    /// smallest would shrink everybody for one forgotten window, and the largest fits nobody else.
    pub fn fit_terminal(&mut self) {
        let latest = self.viewers.iter().filter(|viewer| viewer.size.is_some()).max_by_key(|v| v.active);
        let Some(size) = latest.and_then(|viewer| viewer.size) else { return };
        if let Ok(true) = self.terminal.resize(size) {
            self.resizes += 1;
            if let Some(screen) = &mut self.screen {
                screen.model.resize(size);
            }
        }
    }

    fn is_done(&self) -> bool {
        match self.closing {
            Closing::NotYet | Closing::Draining { .. } => false,
            Closing::Telling { until } => {
                let total = self.output.total();
                Instant::now() >= until || !self.viewers.iter().any(|viewer| viewer.is_owed(total))
            }
        }
    }
}

/// What a wait found to do.
struct Ready {
    signals: bool,
    listener: bool,
    output: bool,
    /// Which viewers said something, or left.
    viewers: Vec<usize>,
}
