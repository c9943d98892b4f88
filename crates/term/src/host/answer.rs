//! What the host does about each frame of a client. It must not know how frames travel.

use super::input::Chunk;
use super::service::{KeptScreen, Service};
use super::terminal::Terminal;
use crate::protocol::{
    Bracketed, ClientFrame, Hello, HostFrame, MESSAGE_ID_BYTES_MAX, Message, MessageState, SETTLE_MS_MAX,
    Status, VERSION, Watch,
};
use crate::screen::{Model, Screen};
use crate::spec::Size;
use crate::typed;
use rustix::process::{Pid, Signal, kill_process_group};
use std::time::{Duration, Instant};

const NO_SCREEN: &str = "a run behind pipes has no screen";
const ONLY_LOOK: &str = "this client may only look";

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
            ClientFrame::Message(message) => Ok(Some(self.take_message(index, message))),
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
        if hello.version != VERSION {
            let reason = format!("this host speaks version {VERSION}, not {}", hello.version);
            return self.turn_away(index, reason);
        }
        if hello.watch == Watch::Screen && self.terminal.size().is_none() {
            return self.turn_away(index, NO_SCREEN.to_owned());
        }
        self.activity += 1;
        let viewer = &mut self.viewers[index];
        viewer.greeted = true;
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
        }
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
        }
    }

    fn snapshot(&mut self) -> Result<Screen, String> {
        let Some(size) = self.terminal.size() else {
            return Err(NO_SCREEN.to_owned());
        };
        let now = Instant::now();
        let kept = self.screen.get_or_insert_with(|| KeptScreen { model: Model::new(size), used_at: now });
        kept.used_at = now;
        let file = self.output.file();
        let drawn = kept.model.catch_up(file, self.output.total(), self.output.modes());
        drawn
            .and_then(|()| kept.model.screen(file))
            .map_err(|error| format!("the output cannot be read: {error}"))
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
        self.can_type(bytes.len())?;
        self.activity += 1;
        self.viewers[index].active = self.activity;
        self.fit_terminal();
        if !bytes.is_empty() {
            self.input.push(Chunk::plain(bytes));
        }
        Ok(())
    }

    fn can_type(&self, bytes: usize) -> Result<(), String> {
        if !self.ending.child_alive() {
            Err("the child has ended".to_owned())
        } else if self.terminal.writer().is_none() || self.input.ends_after {
            Err("the child's input is closed".to_owned())
        } else if !self.input.has_room(bytes) {
            Err("the child does not read its input, and no more can wait".to_owned())
        } else {
            Ok(())
        }
    }

    /// The exactly-once path: recorded on disk, then typed; a repeated id is answered and not typed.
    fn take_message(&mut self, index: usize, message: Message) -> HostFrame {
        let id = message.id.clone();
        match self.accept(index, message) {
            Ok(duplicate) => HostFrame::Accepted { id, duplicate },
            Err(reason) => HostFrame::Refused { id, reason },
        }
    }

    fn accept(&mut self, index: usize, message: Message) -> Result<bool, String> {
        if self.viewers[index].read_only {
            return Err(ONLY_LOOK.to_owned());
        }
        if message.id.is_empty() || message.id.len() > MESSAGE_ID_BYTES_MAX {
            return Err(format!("a message's id has 1 to {MESSAGE_ID_BYTES_MAX} bytes"));
        }
        if self.inbox.state(&message.id) != MessageState::Unknown {
            return Ok(true);
        }
        if self.inbox.is_full() {
            return Err("this run has been sent too many messages".to_owned());
        }
        let chunks = self.chunks(&message);
        self.can_type(chunks.iter().map(|chunk| chunk.bytes.len()).sum())?;
        self.inbox
            .accept(&message.id, message.text.len())
            .map_err(|error| format!("the message could not be recorded: {error}"))?;
        if chunks.is_empty() {
            self.inbox.typed(&message.id, 0);
        }
        chunks.into_iter().for_each(|chunk| self.input.push(chunk));
        Ok(false)
    }

    /// The writes a message takes: its text, and then the submit by itself.
    fn chunks(&self, message: &Message) -> Vec<Chunk> {
        let is_pty = matches!(self.terminal, Terminal::Pty { .. });
        let is_bracketed = match message.bracketed {
            Bracketed::Auto => is_pty && self.output.modes().bracketed_paste,
            Bracketed::Always => true,
            Bracketed::Never => false,
        };
        let bytes = typed::paste(&typed::clean(&message.text), is_bracketed);
        let mut chunks = Vec::new();
        if !bytes.is_empty() {
            chunks.push(Chunk::plain(bytes));
        }
        if message.submit {
            // Enter is CR on a terminal; a pipe's lines end with LF.
            let after = Duration::from_millis(message.settle_ms.min(SETTLE_MS_MAX).into());
            let enter = if is_pty { b"\r" } else { b"\n" };
            chunks.push(Chunk { after, ..Chunk::plain(enter.to_vec()) });
        }
        if let Some(last) = chunks.last_mut() {
            last.ends = Some((message.id.clone(), message.text.len()));
        }
        chunks
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
