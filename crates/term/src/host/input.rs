//! What is still to be written to the child, in order, without ever blocking. It must not know who sent it.

use crate::guard::Lookout;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::rc::Rc;
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
    /// What the screen has to fit when this is written.
    pub guard: Option<Rc<Lookout>>,
}

impl Chunk {
    /// Returns bytes to write at once, which end no message.
    pub fn plain(bytes: Vec<u8>) -> Self {
        Self { bytes, after: Duration::ZERO, ends: None, guard: None }
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
    /// How often the first chunk was put off.
    put_off: u32,
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

    /// Returns the guard of the next write, if that is due and guarded, and how often it was put off.
    pub fn gate(&self, now: Instant) -> Option<(Rc<Lookout>, u32)> {
        let guard = self.chunks.front()?.guard.clone()?;
        self.is_due(now).then_some((guard, self.put_off))
    }

    /// Puts the next write off, and all that is behind it.
    pub fn put_off(&mut self, by: Duration) {
        self.put_off += 1;
        self.arm(by);
    }

    /// Drops the next write, of which no byte is written, and returns the message it would have ended.
    pub fn drop_next(&mut self) -> Option<(String, usize)> {
        self.pop_front()?.ends
    }

    /// Writes until the child takes no more for now. Each chunk is a write of its own. A guarded one stops it, but for the
    /// first if that may pass: its guard was just found to fit.
    pub fn flush(&mut self, to: BorrowedFd<'_>, now: Instant, mut may_pass: bool) -> Flushed {
        let mut flushed = Flushed::default();
        while self.is_due(now) {
            let Some(chunk) = self.chunks.front() else { break };
            if chunk.guard.is_some() && !may_pass {
                break;
            }
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
            may_pass = false;
            flushed.typed.extend(self.pop_front().and_then(|done| done.ends));
        }
        flushed
    }

    fn pop_front(&mut self) -> Option<Chunk> {
        let done = self.chunks.pop_front()?;
        self.queued -= done.bytes.len();
        self.written = 0;
        self.put_off = 0;
        let after = self.chunks.front().map_or(Duration::ZERO, |next| next.after);
        self.arm(after);
        Some(done)
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
            typed.extend(input.flush(write.as_fd(), Instant::now(), false).typed);
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
        input.flush(write.as_fd(), now, false);
        assert_eq!(rustix::io::read(&read, &mut buffer), Ok(4));
        assert!(input.due_at().is_some_and(|at| at > now));
        input.flush(write.as_fd(), now + hour * 2, false);
        assert_eq!(rustix::io::read(&read, &mut buffer), Ok(5), "the submit and what was behind it");
        assert_eq!(&buffer[..5], b"\rnext");
    }

    #[test]
    fn a_guarded_write_waits_for_leave_and_what_follows_waits_for_it() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let mut input = Input::default();
        let guard = Some(Rc::new(Lookout::new(&crate::protocol::Guard::default(), "").unwrap()));
        let guarded = |bytes: &[u8]| Chunk { guard: guard.clone(), ..Chunk::plain(bytes.to_vec()) };
        input.push(Chunk::plain(b"text".to_vec()));
        input.push(Chunk { ends: Some(("m".into(), 4)), ..guarded(b"1") });
        input.push(guarded(b"2"));
        input.push(Chunk::plain(b"next".to_vec()));
        let mut buffer = [0; 64];
        let now = Instant::now();
        assert!(input.gate(now).is_none(), "the text comes first");
        input.flush(write.as_fd(), now, false);
        assert_eq!(rustix::io::read(&read, &mut buffer), Ok(4));
        assert!(input.gate(now).is_some());
        assert_eq!(input.drop_next(), Some(("m".into(), 4)));
        input.flush(write.as_fd(), now, false);
        assert!(rustix::io::read(&read, &mut buffer).is_err(), "leave is for one");
        input.put_off(Duration::from_secs(3600));
        assert!(input.gate(now).is_none() && input.due_at().is_some(), "put off, so it is not due");
        let later = now + Duration::from_secs(7200);
        assert_eq!(input.gate(later).map(|(_, tries)| tries), Some(1));
        input.flush(write.as_fd(), later, true);
        assert_eq!(rustix::io::read(&read, &mut buffer), Ok(5));
        assert_eq!((&buffer[..5], input.queued_bytes()), (&b"2next"[..], 0));
    }

    #[test]
    fn a_child_that_closed_its_input_is_noticed() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        drop(read);
        let mut input = Input::default();
        input.push(Chunk::plain(b"x".to_vec()));
        assert!(input.flush(write.as_fd(), Instant::now(), false).broken);
    }
}
