//! A hook's payload, from standard input: bounded in bytes and in time. It must not know what is in it.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdin;

/// Most that is read of a payload, in bytes. Payloads hold what a tool is called with, which may be a whole file; what is
/// cut cannot be parsed and says nothing.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Most that is taken from the pipe and dropped, in bytes, so that an agent with a longer payload sees no broken pipe.
const DROPPED_BYTES_MAX: usize = 64 << 20;
/// How long the payload may take. Agents write it at once; one that leaves the pipe open must not wait for us.
const PAYLOAD_WITHIN: Duration = Duration::from_secs(2);
/// One read, in bytes: what a pipe holds.
const PIECE_BYTES: usize = 64 * 1024;

/// Reads the payload to its end, its bound, or its deadline. A terminal holds none, since nobody types one.
pub(super) fn read() -> io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    if rustix::termios::isatty(stdin()) {
        return Ok(payload);
    }
    let deadline = Instant::now() + PAYLOAD_WITHIN;
    let mut piece = vec![0; PIECE_BYTES];
    let mut dropped = 0;
    while dropped < DROPPED_BYTES_MAX && wait(deadline)? {
        let count = match rustix::io::read(stdin(), &mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
            Err(error) => return Err(error.into()),
        };
        let kept = count.min(PAYLOAD_BYTES_MAX - payload.len());
        payload.extend_from_slice(&piece[..kept]);
        dropped += count - kept;
    }
    Ok(payload)
}

/// Waits for something to read. `false` when the time is up.
fn wait(deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&stdin(), PollFlags::IN)], Some(&left)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
