//! A client of a host, blocking: ask, be answered, listen. It must not know what runs there.

mod error;
mod screens;
mod wire;

pub use error::ClientError;
pub use screens::{Screens, Seen};
pub use wire::connect_stream;

use crate::dir::RunDir;
use crate::probe::{Probe, probe};
use crate::protocol::{
    CLIENT_PAYLOAD_BYTES_MAX, ClientFrame, Decoder, HOST_PAYLOAD_BYTES_MAX, HostFrame, Message, MessageState,
    Status, Watch,
};
use crate::record::{ExitRecord, Identity};
use crate::screen::Screen;
use crate::spec::Size;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use wire::{ANSWER_WITHIN, Greeted, Wire, greet};

/// Events that may come between a question and its answer before the connection is given up: bounds their memory at
/// 64 MiB. A host sends a frame of output between two looks at its clients' questions.
const EVENTS_MAX: usize = 1024;
/// How long a host that closed the connection may take to be dead, and how often to look. It takes a millisecond.
const DYING_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// One read, in bytes.
const READ_BYTES: usize = 64 << 10;

/// How to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectOptions {
    /// What to be told without asking.
    pub watch: Watch,
    /// The size of the own terminal, if it counts.
    pub size: Option<Size>,
    /// Whether to look only.
    pub read_only: bool,
}

/// What a host tells without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Bytes of the child.
    Output {
        /// Where they start in `output.log`.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The screen to start from, or the next of those that are followed.
    Screen(Screen),
    /// Input was dropped whole: the child does not read, or is gone, or this client may only look.
    InputRefused {
        /// Why.
        reason: String,
    },
    /// The run is over. The last event.
    Exited(ExitRecord),
    /// The host died without a word. The last event.
    Lost,
}

/// A connection to a host.
#[derive(Debug)]
pub struct Client {
    dir: RunDir,
    stream: UnixStream,
    decoder: Decoder,
    events: VecDeque<Event>,
    identity: Identity,
    first_status: Status,
    version: u32,
    /// Where the output goes on, if it is watched.
    cursor: Option<u64>,
    is_over: bool,
}

impl Client {
    /// Connects to the host of the run in this directory, to ask and be answered.
    ///
    /// # Errors
    /// When nobody listens there, or it speaks another version.
    pub fn connect(dir: &Path) -> Result<Self, ClientError> {
        Self::connect_with(dir, ConnectOptions::default())
    }

    /// Connects and says what to be told without asking.
    ///
    /// # Errors
    /// When nobody listens there, or it speaks another version, or has no screen to watch.
    pub fn connect_with(dir: &Path, options: ConnectOptions) -> Result<Self, ClientError> {
        let run = RunDir::new(dir);
        let Greeted { mut stream, decoder, identity, status, version } = greet(&run, options, None)?;
        let mut wire = Wire { dir: &run, stream: &mut stream, decoder };
        let mut events = VecDeque::new();
        // Taken here, so that it is never mistaken for the answer to a later question.
        let mut first_screen = || match wire.next(Some(Instant::now() + ANSWER_WITHIN))? {
            HostFrame::Screen(screen) => {
                let offset = screen.offset;
                events.push_back(Event::Screen(screen));
                Ok(offset)
            }
            HostFrame::Error { reason } => Err(ClientError::refused(reason)),
            _ => Err(ClientError::Unexpected),
        };
        let cursor = match options.watch {
            Watch::Output { from } => Some(from),
            Watch::Screen => Some(first_screen()?),
            Watch::Screens { .. } => {
                first_screen()?;
                None
            }
            Watch::None | Watch::Exit => None,
        };
        let decoder = wire.decoder;
        let first_status = status;
        let mut client = Self {
            dir: run,
            stream,
            decoder,
            events,
            identity,
            first_status,
            version,
            cursor,
            is_over: false,
        };
        // What came along with the welcome: who waits for the socket would not hear of it.
        client.keep_buffered()?;
        Ok(client)
    }

    /// Returns who the host and the child are.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns how the run stood when the connection was made.
    #[must_use]
    pub fn first_status(&self) -> &Status {
        &self.first_status
    }

    /// Returns the version of the protocol the host is spoken to in: an older one than [`crate::protocol::VERSION`] when it
    /// was started before an update.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Returns how the run stands.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn status(&mut self) -> Result<Status, ClientError> {
        self.ask(&ClientFrame::StatusRequest, |frame| match frame {
            HostFrame::Status(status) => Some(status),
            _ => None,
        })
    }

    /// Returns what the terminal shows.
    ///
    /// # Errors
    /// When the connection fails, or the run has no terminal.
    pub fn snapshot(&mut self) -> Result<Screen, ClientError> {
        self.send(&ClientFrame::SnapshotRequest)?;
        let deadline = Instant::now() + ANSWER_WITHIN;
        loop {
            match self.next_frame(Some(deadline))? {
                HostFrame::Screen(screen) => return Ok(screen),
                HostFrame::Error { reason } => return Err(ClientError::refused(reason)),
                other => self.keep(other)?,
            }
        }
    }

    /// Has a text typed exactly once, and returns whether it had been accepted before. When the answer was lost, send
    /// the same message again.
    ///
    /// # Errors
    /// When the connection fails, the host refuses, or it is too old for guards and keys; then nothing was typed, unless
    /// the connection failed.
    pub fn message(&mut self, message: &Message) -> Result<bool, ClientError> {
        // An old host would not read these, and type.
        if self.version < 2 && (message.guard.is_some() || message.keys) {
            let wanted = if message.keys { "type keys" } else { "look at the screen before it types" };
            return Err(ClientError::TooOld { dir: self.dir.path().to_owned(), wanted });
        }
        let answer = self.ask(&ClientFrame::Message(message.clone()), |frame| match frame {
            HostFrame::Accepted { id, duplicate } if id == message.id => Some(Ok(duplicate)),
            HostFrame::Refused { id, reason, code } if id == message.id => Some(Err((reason, code))),
            _ => None,
        })?;
        answer.map_err(|(reason, code)| ClientError::Refused { reason, code })
    }

    /// Returns what has become of a message.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn message_state(&mut self, id: &str) -> Result<MessageState, ClientError> {
        self.ask(&ClientFrame::MessageStatus { id: id.to_owned() }, |frame| match frame {
            HostFrame::MessageState { id: found, state } if found == id => Some(state),
            _ => None,
        })
    }

    /// Sends bytes to the child as they are. Returns before they are taken.
    ///
    /// # Errors
    /// When the connection fails. What the host refuses comes as an event.
    pub fn input(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        // In pieces: the host's bound on one frame is not the caller's business.
        bytes.chunks(READ_BYTES).try_for_each(|piece| self.send(&ClientFrame::Input(piece.to_vec())))
    }

    /// Closes the child's stdin once everything was written. Pipes only.
    ///
    /// # Errors
    /// When the connection fails, or the run has a terminal.
    pub fn end_input(&mut self) -> Result<(), ClientError> {
        self.ask_done(&ClientFrame::EndInput)
    }

    /// Says that the own terminal has this size.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn resize(&mut self, size: Size) -> Result<(), ClientError> {
        self.send(&ClientFrame::Resize(size))
    }

    /// Sends a signal to the child's process group.
    ///
    /// # Errors
    /// When the connection fails, there is no such signal, or the child has ended.
    pub fn signal(&mut self, signal: i32) -> Result<(), ClientError> {
        self.ask_done(&ClientFrame::Signal(signal))
    }

    /// Ends the run: SIGTERM to all its processes, SIGKILL after the grace. The host sees to it, whoever dies meanwhile.
    /// Returns when it has begun.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn stop(&mut self, grace_ms: u64) -> Result<(), ClientError> {
        self.ask_done(&ClientFrame::Stop { grace_ms })
    }

    /// Ends the run with SIGKILL. Returns when it has begun.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn kill(&mut self) -> Result<(), ClientError> {
        self.ask_done(&ClientFrame::Kill)
    }

    /// Returns when the host has answered.
    ///
    /// # Errors
    /// When it does not.
    pub fn ping(&mut self) -> Result<(), ClientError> {
        self.ask(&ClientFrame::Ping, |frame| matches!(frame, HostFrame::Pong).then_some(()))
    }

    /// Returns what comes unasked, as it comes; it ends after `Exited` or `Lost`. Needs a watch.
    pub fn events(&mut self) -> Events<'_> {
        Events { client: self }
    }

    /// Waits for the next event, at most this long; forever if no time is given. `None` means that the last was given.
    ///
    /// # Errors
    /// When the connection fails or the time is up.
    pub fn next_event(&mut self, within: Option<Duration>) -> Result<Option<Event>, ClientError> {
        let deadline = within.map(|within| Instant::now() + within);
        loop {
            if let Some(event) = self.events.pop_front() {
                self.is_over |= matches!(event, Event::Exited(_) | Event::Lost);
                return Ok(Some(event));
            }
            if self.is_over {
                return Ok(None);
            }
            match self.next_frame(deadline) {
                Ok(HostFrame::Error { reason }) => return Err(ClientError::refused(reason)),
                Ok(frame) => self.keep(frame)?,
                Err(ClientError::Closed { .. }) => self.read_the_end()?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the end of the run, at most this long, and drops other events. Needs a watch.
    ///
    /// # Errors
    /// When the connection fails, the time is up, or the host died.
    pub fn wait_exit(&mut self, within: Duration) -> Result<ExitRecord, ClientError> {
        let deadline = Instant::now() + within;
        loop {
            match self.next_event(Some(deadline.saturating_duration_since(Instant::now())))? {
                Some(Event::Exited(record)) => return Ok(record),
                Some(Event::Output { .. } | Event::Screen(_) | Event::InputRefused { .. }) => {}
                Some(Event::Lost) | None => return Err(self.closed()),
            }
        }
    }

    pub(crate) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Returns whether an event can be had without reading.
    pub(crate) fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// Reads once, which must not block, and keeps the events found.
    pub(crate) fn take_in(&mut self) -> Result<(), ClientError> {
        let mut buffer = vec![0; READ_BYTES];
        match self.stream.read(&mut buffer) {
            Ok(0) => return self.read_the_end(),
            Ok(count) => self.decoder.push(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return self.read_the_end(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(source) => return Err(ClientError::Io { dir: self.dir.path().to_owned(), source }),
        }
        self.keep_buffered()
    }

    fn keep_buffered(&mut self) -> Result<(), ClientError> {
        while let Some(frame) = self.decoder.next_frame().map_err(ClientError::Protocol)? {
            let frame = HostFrame::decode(frame).map_err(ClientError::Protocol)?;
            self.keep(frame)?;
        }
        Ok(())
    }

    fn closed(&self) -> ClientError {
        ClientError::Closed { dir: self.dir.path().to_owned() }
    }

    fn ask_done(&mut self, question: &ClientFrame) -> Result<(), ClientError> {
        self.ask(question, |frame| matches!(frame, HostFrame::Done).then_some(()))
    }

    fn ask<T>(
        &mut self,
        question: &ClientFrame,
        answer: impl Fn(HostFrame) -> Option<T>,
    ) -> Result<T, ClientError> {
        self.send(question)?;
        let deadline = Instant::now() + ANSWER_WITHIN;
        loop {
            match self.next_frame(Some(deadline))? {
                HostFrame::Error { reason } => return Err(ClientError::refused(reason)),
                frame @ (HostFrame::Output { .. }
                | HostFrame::Screen(_)
                | HostFrame::Exited(_)
                | HostFrame::InputRefused { .. }) => self.keep(frame)?,
                frame => return answer(frame).ok_or(ClientError::Unexpected),
            }
        }
    }

    fn send(&mut self, frame: &ClientFrame) -> Result<(), ClientError> {
        let bytes = frame.encode();
        if bytes.len() > CLIENT_PAYLOAD_BYTES_MAX {
            let reason = format!("{} bytes are more than a host takes at once", bytes.len());
            return Err(ClientError::refused(reason));
        }
        self.stream.write_all(&bytes).map_err(|source| match source.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => self.closed(),
            _ => ClientError::Io { dir: self.dir.path().to_owned(), source },
        })
    }

    fn next_frame(&mut self, deadline: Option<Instant>) -> Result<HostFrame, ClientError> {
        let decoder = std::mem::replace(&mut self.decoder, Decoder::new(HOST_PAYLOAD_BYTES_MAX));
        let mut wire = Wire { dir: &self.dir, stream: &mut self.stream, decoder };
        let frame = wire.next(deadline);
        self.decoder = wire.decoder;
        frame
    }

    fn keep(&mut self, frame: HostFrame) -> Result<(), ClientError> {
        let event = match frame {
            HostFrame::Output { offset, bytes } => {
                self.cursor = Some(offset + bytes.len() as u64);
                Event::Output { offset, bytes }
            }
            HostFrame::Screen(screen) => {
                // One who follows screens wants no output.
                self.cursor = self.cursor.map(|_| screen.offset);
                Event::Screen(screen)
            }
            HostFrame::Exited(record) => Event::Exited(record),
            HostFrame::InputRefused { reason } => Event::InputRefused { reason },
            // Answers nobody waits for any more.
            _ => return Ok(()),
        };
        if self.events.len() >= EVENTS_MAX {
            return Err(self.closed());
        }
        self.events.push_back(event);
        Ok(())
    }

    /// Looks again for a moment when the host seems alive: a process that is killed closes its sockets before it is dead.
    fn probe_the_end(&self) -> Result<Probe, ClientError> {
        let deadline = Instant::now() + DYING_WITHIN;
        loop {
            let found = probe(self.dir.path()).map_err(ClientError::Probe)?;
            if !matches!(found, Probe::Live(_)) || Instant::now() >= deadline {
                return Ok(found);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The host is gone. What it could not send any more is in the files.
    fn read_the_end(&mut self) -> Result<(), ClientError> {
        let record = match self.probe_the_end()? {
            Probe::Ended(record) => record,
            // It turned us away, and lives.
            Probe::Live(_) => return Err(self.closed()),
            Probe::Lost { .. } | Probe::Never => {
                self.events.push_back(Event::Lost);
                return Ok(());
            }
        };
        let io = |source| ClientError::Io { dir: self.dir.path().to_owned(), source };
        if let Some(offset) = self.cursor.filter(|&cursor| cursor < record.bytes) {
            // One piece at a time, and then again: a slow client may be far behind.
            let mut bytes = vec![0; READ_BYTES];
            let count = File::open(self.dir.output()).and_then(|file| file.read_at(&mut bytes, offset));
            bytes.truncate(count.map_err(io)?);
            if !bytes.is_empty() {
                self.cursor = Some(offset + bytes.len() as u64);
                self.events.push_back(Event::Output { offset, bytes });
                return Ok(());
            }
        }
        self.events.push_back(Event::Exited(record));
        Ok(())
    }
}

/// What comes unasked from a host.
#[derive(Debug)]
pub struct Events<'a> {
    client: &'a mut Client,
}

impl Iterator for Events<'_> {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.client.next_event(None).transpose()
    }
}
