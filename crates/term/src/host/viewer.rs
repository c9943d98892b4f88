//! One connected client, seen from the host: its frames in, its frames out, and how far it has seen the output.
//! A slow one costs a number, not memory: it is fed from the log when it can take more. It must not know what frames mean.

use super::pace::Pace;
use crate::guard::Lookout;
use crate::protocol::{CLIENT_PAYLOAD_BYTES_MAX, ClientFrame, Decoder, HostFrame, ProtocolError, VERSION};
use crate::spec::Size;
use rustix::fd::{AsFd, BorrowedFd};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

/// One frame of output, in bytes.
const FEED_BYTES: usize = 64 << 10;
/// Answers a client may leave unread, in bytes, before its next request has to wait.
const ANSWERS_BYTES_MAX: usize = 256 << 10;

/// A client.
pub(super) struct Viewer {
    stream: UnixStream,
    decoder: Decoder,
    out: Vec<u8>,
    sent: usize,
    /// The next byte of output it wants; none if it wants none.
    pub cursor: Option<u64>,
    /// How it follows screens, if it does.
    pub pace: Option<Pace>,
    /// How a prompt looks, if it said so.
    pub prompt: Option<Lookout>,
    /// Whether it said hello.
    pub greeted: bool,
    /// The version of the protocol it speaks.
    pub version: u32,
    /// Whether it wants to hear of the end.
    pub wants_exit: bool,
    /// The end of the run, to be told after the last of the output.
    pub exit_news: Option<HostFrame>,
    pub read_only: bool,
    pub size: Option<Size>,
    /// Grows with what it does: the highest of all viewers with a size decides the terminal's.
    pub active: u64,
    /// Whether it is gone, or has to go once everything is sent.
    pub leaving: bool,
    /// Whether nothing more can be sent.
    pub gone: bool,
}

impl Viewer {
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            decoder: Decoder::new(CLIENT_PAYLOAD_BYTES_MAX),
            out: Vec::new(),
            sent: 0,
            cursor: None,
            pace: None,
            prompt: None,
            greeted: false,
            version: VERSION,
            wants_exit: false,
            exit_news: None,
            read_only: false,
            size: None,
            active: 0,
            leaving: false,
            gone: false,
        })
    }

    /// Returns whether its requests are taken at the moment.
    pub fn is_listened_to(&self) -> bool {
        !self.leaving && !self.gone && self.out.len() - self.sent < ANSWERS_BYTES_MAX
    }

    /// Returns whether there is something it was not sent yet.
    pub fn is_owed(&self, total: u64) -> bool {
        let wants_more = self.cursor.is_some_and(|cursor| cursor < total) || self.exit_news.is_some();
        !self.gone && (!self.is_sent() || wants_more)
    }

    /// Returns whether all answers are sent.
    pub fn is_sent(&self) -> bool {
        self.sent == self.out.len()
    }

    /// Queues a frame.
    pub fn say(&mut self, frame: &HostFrame) {
        self.out.extend_from_slice(&frame.encode_for(self.version));
    }

    /// Reads what it says, once. A client that closed its end is gone.
    pub fn hear(&mut self) {
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.gone = true,
            Ok(count) => self.decoder.push(&buffer[..count]),
            Err(error) if is_temporary(&error) => {}
            Err(_) => self.gone = true,
        }
    }

    /// Returns the next frame that was read and not yet taken, unless its answers have to be sent first.
    pub fn next_frame(&mut self) -> Result<Option<ClientFrame>, ProtocolError> {
        if !self.is_listened_to() {
            return Ok(None);
        }
        self.decoder.next_frame()?.map(ClientFrame::decode).transpose()
    }

    /// Sends what it is owed, as far as it takes it: answers first, then one piece of the log.
    pub fn feed(&mut self, log: &File, total: u64, buffer: &mut Vec<u8>) {
        if self.is_sent()
            && let Err(_unreadable) = self.load(log, total, buffer)
        {
            self.gone = true;
        }
        while !self.is_sent() && !self.gone {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_temporary(&error) => return,
                Err(_) => self.gone = true,
            }
        }
        self.out = Vec::new();
        self.sent = 0;
    }

    fn load(&mut self, log: &File, total: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
        let Some(cursor) = self.cursor.filter(|&cursor| cursor < total) else {
            if let Some(news) = self.exit_news.take() {
                self.say(&news);
                self.leaving = true;
            }
            return Ok(());
        };
        buffer.resize(FEED_BYTES, 0);
        let want = usize::try_from(total - cursor).unwrap_or(FEED_BYTES).min(FEED_BYTES);
        let count = log.read_at(&mut buffer[..want], cursor)?;
        let bytes = buffer[..count].to_vec();
        self.out = HostFrame::Output { offset: cursor, bytes }.encode();
        self.sent = 0;
        self.cursor = Some(cursor + count as u64);
        Ok(())
    }
}

impl AsFd for Viewer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
