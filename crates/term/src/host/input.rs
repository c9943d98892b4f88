//! What is still to be written to the child, in order, without ever blocking. It must not know who sent it.

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most bytes that may wait, in all. A child that does not read for so long will not be typed to.
pub(super) const QUEUE_BYTES_MAX: usize = 1 << 20;

/// One write, or a part of a message.
pub(super) struct Chunk {
    pub bytes: Vec<u8>,
    /// How long to wait after what came before was written.
    pub after: Duration,
    /// The message which is typed when this is written, and the length of its text.
    pub ends: Option<(String, usize)>,
}

impl Chunk {
    /// Returns bytes to write at once, which end no message.
    pub fn plain(bytes: Vec<u8>) -> Self {
        Self { bytes, after: Duration::ZERO, ends: None }
    }
}

/// The queue.
#[derive(Default)]
pub(super) struct Input {
    chunks: VecDeque<Chunk>,
    /// How much of the first chunk is written.
    written: usize,
    queued: usize,
    /// Before when the first chunk must not be written.
    not_before: Option<Instant>,
    /// Whether the child's stdin is to be closed when all is written.
    pub ends_after: bool,
}

/// What a flush came to.
#[derive(Default)]
pub(super) struct Flushed {
    /// The messages that are typed now.
    pub typed: Vec<(String, usize)>,
    /// Whether the child can take no more, ever.
    pub broken: bool,
}

impl Input {
    pub fn queued_bytes(&self) -> usize {
        self.queued
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub fn has_room(&self, bytes: usize) -> bool {
        self.queued + bytes <= QUEUE_BYTES_MAX
    }

    pub fn push(&mut self, chunk: Chunk) {
        self.queued += chunk.bytes.len();
        if self.chunks.is_empty() {
            self.arm(chunk.after);
        }
        self.chunks.push_back(chunk);
    }

    /// Returns whether something could be written now.
    pub fn is_due(&self, now: Instant) -> bool {
        !self.is_empty() && self.not_before.is_none_or(|at| at <= now)
    }

    /// Returns when the first chunk is due, if that is a matter of time.
    pub fn due_at(&self) -> Option<Instant> {
        self.not_before.filter(|_| !self.is_empty())
    }

    /// Drops everything: there is nobody to read it.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Writes until the child takes no more for now. Each chunk is a write of its own.
    pub fn flush(&mut self, to: BorrowedFd<'_>, now: Instant) -> Flushed {
        let mut flushed = Flushed::default();
        while self.is_due(now) {
            let Some(chunk) = self.chunks.front() else { break };
            match rustix::io::write(to, &chunk.bytes[self.written..]) {
                Ok(count) => self.written += count,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    flushed.broken = true;
                    break;
                }
            }
            if self.written < chunk.bytes.len() {
                continue;
            }
            if let Some(done) = self.chunks.pop_front() {
                self.queued -= done.bytes.len();
                flushed.typed.extend(done.ends);
            }
            self.written = 0;
            let after = self.chunks.front().map_or(Duration::ZERO, |next| next.after);
            self.arm(after);
        }
        flushed
    }

    fn arm(&mut self, after: Duration) {
        self.not_before = (!after.is_zero()).then(|| Instant::now() + after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;
    use rustix::pipe::{PipeFlags, pipe_with};

    #[test]
    fn a_full_reader_blocks_nobody_and_gets_everything_later() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let mut input = Input::default();
        let text: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        input.push(Chunk { ends: Some(("m".into(), text.len())), ..Chunk::plain(text.clone()) });
        let mut typed = Vec::new();
        let mut got = Vec::new();
        let mut buffer = [0; 4096];
        for _ in 0..1000 {
            typed.extend(input.flush(write.as_fd(), Instant::now()).typed);
            while let Ok(count) = rustix::io::read(&read, &mut buffer) {
                got.extend_from_slice(&buffer[..count]);
            }
            if input.is_empty() {
                break;
            }
            assert!(typed.is_empty(), "a message is typed when its last byte is taken");
        }
        assert_eq!((got == text, typed.len(), input.queued_bytes()), (true, 1, 0));
    }

    #[test]
    fn a_submit_waits_for_its_time_and_what_follows_waits_for_it() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let mut input = Input::default();
        let hour = Duration::from_secs(3600);
        input.push(Chunk::plain(b"text".to_vec()));
        input.push(Chunk { after: hour, ..Chunk::plain(b"\r".to_vec()) });
        input.push(Chunk::plain(b"next".to_vec()));
        let mut buffer = [0; 64];
        let now = Instant::now();
        input.flush(write.as_fd(), now);
        assert_eq!(rustix::io::read(&read, &mut buffer), Ok(4));
        assert!(input.due_at().is_some_and(|at| at > now));
        input.flush(write.as_fd(), now + hour * 2);
        assert_eq!(rustix::io::read(&read, &mut buffer), Ok(5), "the submit and what was behind it");
        assert_eq!(&buffer[..5], b"\rnext");
    }

    #[test]
    fn a_child_that_closed_its_input_is_noticed() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        drop(read);
        let mut input = Input::default();
        input.push(Chunk::plain(b"x".to_vec()));
        assert!(input.flush(write.as_fd(), Instant::now()).broken);
    }
}
