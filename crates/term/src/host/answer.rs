//! What the host does about each frame of a client. It must not know how frames travel.

use super::input::Chunk;
use super::pace::Pace;
use super::service::{KeptScreen, Service};
use crate::guard::Lookout;
use crate::protocol::{ClientFrame, Hello, HostFrame, Status, VERSION, VERSION_MIN, Watch};
use crate::screen::{Model, Screen};
use crate::spec::Size;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::time::Instant;

pub(super) const NO_SCREEN: &str = "a run behind pipes has no screen";
pub(super) const ONLY_LOOK: &str = "this client may only look";

impl Service<'_> {
    /// Answers what a client has said and was not answered yet.
    pub fn answer_all(&mut self, index: usize) {
        loop {
            match self.viewers[index].next_frame() {
                Ok(Some(frame)) => self.answer(index, frame),
                Ok(None) => return,
                Err(error) => return self.turn_away(index, error.to_string()),
            }
        }
    }

    fn answer(&mut self, index: usize, frame: ClientFrame) {
        let answer = match frame {
            ClientFrame::Hello(hello) => return self.greet(index, &hello),
            _ if !self.viewers[index].greeted => return self.turn_away(index, "say hello first".to_owned()),
            ClientFrame::Ping => Ok(Some(HostFrame::Pong)),
            ClientFrame::StatusRequest => Ok(Some(HostFrame::Status(self.status()))),
            ClientFrame::SnapshotRequest => self.snapshot().map(|screen| Some(HostFrame::Screen(screen))),
            ClientFrame::MessageStatus { id } => {
                let state = self.inbox.state(&id);
                Ok(Some(HostFrame::MessageState { id, state }))
            }
            ClientFrame::Message(message) => Ok(Some(self.take_message(index, &message))),
            ClientFrame::Input(bytes) => Ok(self.take_input(index, bytes).err().map(|reason| {
                // Nobody waits for an answer to keys: a refusal has to be told from one to a question.
                HostFrame::InputRefused { reason }
            })),
            ClientFrame::Resize(size) => {
                self.take_size(index, size);
                Ok(None)
            }
            _ if self.viewers[index].read_only => Err(ONLY_LOOK.to_owned()),
            ClientFrame::Signal(signal) => self.signal(signal),
            ClientFrame::Stop { grace_ms } => {
                self.ending.stop(grace_ms, Instant::now());
                Ok(Some(HostFrame::Done))
            }
            ClientFrame::Kill => {
                self.ending.kill(Instant::now());
                Ok(Some(HostFrame::Done))
            }
            ClientFrame::EndInput => self.end_input(),
        };
        match answer {
            Ok(Some(frame)) => self.viewers[index].say(&frame),
            Ok(None) => {}
            Err(reason) => self.viewers[index].say(&HostFrame::Error { reason }),
        }
    }

    fn greet(&mut self, index: usize, hello: &Hello) {
        if !(VERSION_MIN..=VERSION).contains(&hello.version) {
            let reason = format!("this host speaks version {VERSION}, not {}", hello.version);
            return self.turn_away(index, reason);
        }
        let wants_screens = matches!(hello.watch, Watch::Screen | Watch::Screens { .. });
        if wants_screens && self.terminal.size().is_none() {
            return self.turn_away(index, NO_SCREEN.to_owned());
        }
        self.activity += 1;
        let viewer = &mut self.viewers[index];
        viewer.greeted = true;
        viewer.version = hello.version;
        viewer.read_only = hello.read_only;
        viewer.size = hello.size.map(Size::clamped).filter(|_| !hello.read_only);
        viewer.active = self.activity;
        viewer.wants_exit = hello.watch != Watch::None;
        self.fit_terminal();
        let (identity, status) = (self.identity.clone(), self.status());
        self.viewers[index].say(&HostFrame::Welcome { identity, status });
        match hello.watch {
            Watch::None | Watch::Exit => {}
            Watch::Output { from } => self.viewers[index].cursor = Some(from),
            Watch::Screen => match self.snapshot() {
                Ok(screen) => {
                    self.viewers[index].cursor = Some(screen.offset);
                    self.viewers[index].say(&HostFrame::Screen(screen));
                }
                Err(reason) => self.turn_away(index, reason),
            },
            Watch::Screens { quiet_ms, at_most_every_ms } => {
                let drawn = self.drawn();
                let pace = Pace::new(quiet_ms, at_most_every_ms, drawn, Instant::now());
                self.viewers[index].pace = Some(pace);
                self.viewers[index].prompt = hello.prompt.as_ref().and_then(|it| Lookout::new(it, "").ok());
                if let Err(reason) = self.send_screen(index) {
                    self.turn_away(index, reason);
                }
            }
        }
    }

    /// Returns a number that changes with everything that changes the screen.
    fn drawn(&self) -> u64 {
        self.output.total() + self.resizes
    }

    /// Sends a screen to those who follow screens and are owed one.
    pub fn push_screens(&mut self) {
        let (drawn, now) = (self.drawn(), Instant::now());
        for index in 0..self.viewers.len() {
            let viewer = &mut self.viewers[index];
            let is_sent = viewer.is_sent();
            let Some(pace) = &mut viewer.pace else { continue };
            pace.note(drawn, now);
            // One who does not read is sent the latest when it does.
            if is_sent && pace.due_at().is_some_and(|at| at <= now) {
                // Output that cannot be read ends the watch like any other read of the log.
                self.viewers[index].gone |= self.send_screen(index).is_err();
            }
        }
    }

    /// Sends the last screen, before the end is told.
    pub fn send_last_screens(&mut self) {
        let (drawn, now) = (self.drawn(), Instant::now());
        for index in 0..self.viewers.len() {
            let Some(pace) = &mut self.viewers[index].pace else { continue };
            pace.note(drawn, now);
            if pace.due_at().is_some() {
                let _ = self.send_screen(index);
            }
            self.viewers[index].pace = None;
        }
    }

    fn send_screen(&mut self, index: usize) -> Result<(), String> {
        let screen = self.snapshot()?;
        if self.viewers[index].prompt.is_some() {
            let lines = self.lines()?;
            let is_prompt = |prompt: &Lookout| prompt.objection(&lines, false).is_none();
            let is_shown = self.viewers[index].prompt.as_ref().is_some_and(is_prompt);
            self.identity.child.filter(|_| is_shown).inspect(|child| self.below.shows_prompt(child.pid));
        }
        let viewer = &mut self.viewers[index];
        if let Some(pace) = &mut viewer.pace {
            pace.sent();
        }
        viewer.say(&HostFrame::Screen(screen));
        Ok(())
    }

    fn turn_away(&mut self, index: usize, reason: String) {
        let viewer = &mut self.viewers[index];
        viewer.say(&HostFrame::Error { reason });
        viewer.leaving = true;
        viewer.cursor = None;
    }

    fn status(&self) -> Status {
        let modes = self.output.modes();
        Status {
            bytes: self.output.total(),
            last_output_at_ms: self.output.last_at_ms(),
            size: self.terminal.size(),
            clients: u32::try_from(self.viewers.len()).unwrap_or(u32::MAX),
            child_alive: self.ending.child_alive(),
            stopping: !self.ending.is_running(),
            input_queued_bytes: self.input.queued_bytes() as u64,
            bracketed_paste: modes.bracketed_paste,
            alternate_screen: modes.alternate_screen,
            stalled: self.output.stalled().map(str::to_owned),
            foreground: self.foreground(),
        }
    }

    /// Returns whether the child's own group is in the foreground of the terminal, and not a shell of it that its agent left
    /// behind. None for pipes.
    pub fn foreground(&self) -> Option<bool> {
        self.terminal.size()?;
        let group = self.terminal.foreground().map(|group| group.as_raw_nonzero().get().cast_unsigned());
        let own = self.identity.child.map(|child| child.pid).filter(|own| group == Some(*own));
        Some(own.is_some_and(|own| !self.below.is_gone(own)))
    }

    fn snapshot(&mut self) -> Result<Screen, String> {
        let foreground = self.foreground();
        self.draw()?;
        let model = &self.screen.as_ref().expect("it was drawn a moment ago").model;
        let drawn = model.screen(self.output.file());
        drawn.map(|screen| Screen { foreground, ..screen }).map_err(unreadable)
    }

    /// Returns the rows of the screen as plain text, top first, without trailing blanks.
    pub fn lines(&mut self) -> Result<Vec<String>, String> {
        self.draw()?;
        Ok(self.screen.iter().flat_map(|kept| kept.model.lines()).collect())
    }

    /// Brings the screen up to the end of the output.
    fn draw(&mut self) -> Result<(), String> {
        let Some(size) = self.terminal.size() else {
            return Err(NO_SCREEN.to_owned());
        };
        let now = Instant::now();
        let kept = self.screen.get_or_insert_with(|| KeptScreen { model: Model::new(size), used_at: now });
        kept.used_at = now;
        let drawn = kept.model.catch_up(self.output.file(), self.output.total(), self.output.modes());
        drawn.map_err(unreadable)
    }

    fn take_size(&mut self, index: usize, size: Size) {
        if !self.viewers[index].read_only {
            self.viewers[index].size = Some(size.clamped());
            self.fit_terminal();
        }
    }

    fn take_input(&mut self, index: usize, bytes: Vec<u8>) -> Result<(), String> {
        if self.viewers[index].read_only {
            return Err(ONLY_LOOK.to_owned());
        }
        self.can_type(bytes.len()).map_err(|(_, reason)| reason)?;
        self.activity += 1;
        self.viewers[index].active = self.activity;
        self.fit_terminal();
        if !bytes.is_empty() {
            self.input.push(Chunk::plain(bytes));
        }
        Ok(())
    }

    fn signal(&self, signal: i32) -> Result<Option<HostFrame>, String> {
        let signal = Signal::from_named_raw(signal).ok_or_else(|| format!("there is no signal {signal}"))?;
        let child = self.identity.child.filter(|_| self.ending.child_alive());
        let group = child.and_then(|child| Pid::from_raw(child.pid.cast_signed()));
        // Not collected yet, so its id is nobody else's.
        let group = group.ok_or("the child has ended")?;
        kill_process_group(group, signal).map_err(|error| format!("the signal was not sent: {error}"))?;
        Ok(Some(HostFrame::Done))
    }

    fn end_input(&mut self) -> Result<Option<HostFrame>, String> {
        if self.terminal.size().is_some() {
            return Err("a terminal's input has no end: type what the program takes for one".to_owned());
        }
        self.input.ends_after = true;
        Ok(Some(HostFrame::Done))
    }
}

fn unreadable(error: io::Error) -> String {
    format!("the output cannot be read: {error}")
}
