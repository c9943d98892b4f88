//! The child's bytes on their way into `output.log`: read, written, counted, never lost and never changed.
//! When the disk is full they wait, and the child with them. It must not know who reads the log.

use crate::dir::{RunDir, open_private};
use crate::modes::{ModeScanner, Modes};
use crate::sweep::now_ms;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// What is read in one go, in bytes: as much as a pipe holds. A pseudo-terminal gives 4 KiB at most.
const BUFFER_BYTES: usize = 64 << 10;
/// How long to wait before writing is tried again, at first and at most. A person frees space in minutes.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// The log and what is not yet in it.
pub(super) struct Output {
    file: File,
    /// The length of the log in bytes.
    total: u64,
    buffer: Vec<u8>,
    /// What of the buffer is read and not yet in the log.
    held: std::ops::Range<usize>,
    stall: Option<Stall>,
    last_at_ms: Option<u64>,
    scanner: ModeScanner,
}

struct Stall {
    reason: String,
    retry_at: Instant,
    wait: Duration,
}

/// What one look at the child's output gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// Bytes, which are in the log or held.
    Some(usize),
    /// Nothing for now.
    Nothing,
    /// Nothing ever again.
    Closed,
}

impl Output {
    pub fn open(run: &RunDir) -> io::Result<Self> {
        let file = open_private(&run.output())?;
        let total = file.metadata()?.len();
        Ok(Self {
            file,
            total,
            buffer: vec![0; BUFFER_BYTES],
            held: 0..0,
            stall: None,
            last_at_ms: None,
            scanner: ModeScanner::default(),
        })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn modes(&self) -> Modes {
        self.scanner.modes()
    }

    pub fn last_at_ms(&self) -> Option<u64> {
        self.last_at_ms
    }

    pub fn stalled(&self) -> Option<&str> {
        self.stall.as_ref().map(|stall| stall.reason.as_str())
    }

    pub fn retry_at(&self) -> Option<Instant> {
        self.stall.as_ref().map(|stall| stall.retry_at)
    }

    /// Returns the bytes that were read and are not in the log.
    pub fn held_bytes(&self) -> u64 {
        self.held.len() as u64
    }

    /// Reads what the child wrote, once, and keeps it. Does nothing while bytes are held.
    pub fn pump(&mut self, from: BorrowedFd<'_>) -> Read {
        if self.stall.is_some() {
            return Read::Nothing;
        }
        let count = match rustix::io::read(from, &mut self.buffer[..]) {
            Ok(0) => return Read::Closed,
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Read::Nothing,
            // A pseudo-terminal whose session has ended says EIO where a pipe has its end of file.
            Err(_) => return Read::Closed,
        };
        self.last_at_ms = Some(now_ms());
        self.scanner.feed(&self.buffer[..count]);
        self.held = 0..count;
        self.flush();
        Read::Some(count)
    }

    /// Tries again to write what is held, if it is time.
    pub fn retry(&mut self, now: Instant) {
        if self.stall.as_ref().is_some_and(|stall| stall.retry_at <= now) {
            self.flush();
        }
    }

    /// Has the log on disk. A disk that cannot do that has been reported by a stall already.
    pub fn sync(&self) {
        let _ = self.file.sync_data();
    }

    fn flush(&mut self) {
        while !self.held.is_empty() {
            match self.file.write(&self.buffer[self.held.clone()]) {
                Ok(count) if count > 0 => {
                    self.held.start += count;
                    self.total += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) => return self.wait("nothing could be written".to_owned()),
                Err(error) => return self.wait(error.to_string()),
            }
        }
        self.stall = None;
    }

    fn wait(&mut self, reason: String) {
        let wait = self.stall.as_ref().map_or(RETRY_FIRST, |stall| (stall.wait * 2).min(RETRY_MAX));
        self.stall = Some(Stall { reason, retry_at: Instant::now() + wait, wait });
    }
}
