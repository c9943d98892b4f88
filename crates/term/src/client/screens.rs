//! A client that only follows screens, for an event loop: it has a descriptor to wait for and reads without blocking. It must not
//! know what the screens show.

use super::wire::{Greeted, greet};
use super::{ClientError, ConnectOptions, READ_BYTES};
use crate::dir::RunDir;
use crate::protocol::{Decoder, Guard, HostFrame, Status, Watch};
use crate::record::{ExitRecord, Identity};
use crate::screen::Screen;
use rustix::fd::{AsFd, BorrowedFd};
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Reads in a row before others have their turn; what is left makes the descriptor ready again. The largest screen fits.
const READS_PER_TURN: usize = 256;

/// What one who follows screens is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The screen as it is.
    Screen(Screen),
    /// The run is over. The last.
    Exited(ExitRecord),
    /// The host is gone, or has turned this client away; [`crate::probe`] tells how the run stands. The last.
    Closed,
}

/// A connection to a host on which screens come by themselves.
#[derive(Debug)]
pub struct Screens {
    dir: RunDir,
    stream: UnixStream,
    decoder: Decoder,
    identity: Identity,
    first_status: Status,
    is_over: bool,
}

impl Screens {
    /// Connects to the host of the run in this directory, which sends its screen once, then each time output came and there
    /// was none for `quiet`, and while output keeps coming `at_most_every` so often. Both are at least 10 milliseconds and at
    /// most an hour. `prompt` is how a prompt looks: by it the host notes who draws one, so that nothing is typed to a shell which
    /// that one leaves behind. Nothing comes while there is no output. Waits for the host's welcome, at most 20 seconds.
    ///
    /// # Errors
    /// When nobody listens there, the host is too old to send screens, or the run has no terminal.
    pub fn open(
        dir: &Path,
        quiet: Duration,
        at_most_every: Duration,
        prompt: Option<&Guard>,
    ) -> Result<Self, ClientError> {
        let ms = |pause: Duration| u32::try_from(pause.as_millis()).unwrap_or(u32::MAX);
        let watch = Watch::Screens { quiet_ms: ms(quiet), at_most_every_ms: ms(at_most_every) };
        let run = RunDir::new(dir);
        let options = ConnectOptions { watch, size: None, read_only: true };
        let Greeted { stream, decoder, identity, status, .. } = greet(&run, options, prompt)?;
        stream
            .set_nonblocking(true)
            .map_err(|source| ClientError::Connect { dir: dir.to_owned(), source })?;
        Ok(Self { dir: run, stream, decoder, identity, first_status: status, is_over: false })
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

    /// Returns what has come, in order, without waiting; nothing when that is nothing. Call it once after
    /// [`Screens::open`], since the first screen may have come along with the welcome, and then whenever the descriptor is
    /// readable. After `Exited` or `Closed` there is no more, and the descriptor stays readable: drop it.
    ///
    /// # Errors
    /// When the connection fails or the host speaks another protocol.
    pub fn read_ready(&mut self) -> Result<Vec<Seen>, ClientError> {
        let mut seen = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        for _ in 0..READS_PER_TURN {
            self.take_decoded(&mut seen)?;
            if self.is_over {
                break;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => self.close(&mut seen),
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => break,
                    ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset => self.close(&mut seen),
                    _ => return Err(ClientError::Io { dir: self.dir.path().to_owned(), source: error }),
                },
            }
        }
        Ok(seen)
    }

    fn take_decoded(&mut self, seen: &mut Vec<Seen>) -> Result<(), ClientError> {
        while let Some(frame) = self.decoder.next_frame().map_err(ClientError::Protocol)? {
            match HostFrame::decode(frame).map_err(ClientError::Protocol)? {
                HostFrame::Screen(screen) => seen.push(Seen::Screen(screen)),
                HostFrame::Exited(record) => {
                    seen.push(Seen::Exited(record));
                    self.is_over = true;
                }
                HostFrame::Error { reason } => return Err(ClientError::refused(reason)),
                // Nothing else is sent to one who asks nothing.
                _ => return Err(ClientError::Unexpected),
            }
        }
        Ok(())
    }

    fn close(&mut self, seen: &mut Vec<Seen>) {
        seen.push(Seen::Closed);
        self.is_over = true;
    }
}

impl AsFd for Screens {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
