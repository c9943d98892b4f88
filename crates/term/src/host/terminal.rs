//! The host's end of the child's input and output: a pseudo-terminal or pipes. It must not know who reads or writes.

use crate::spec::Size;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::Pid;
use rustix::termios::{Winsize, tcgetpgrp, tcsetwinsize};
use std::io;

/// The host's end.
pub(super) enum Terminal {
    /// A pseudo-terminal. The host keeps the child's side open too: without it, a child that closes its terminal and
    /// goes on would leave the host with an end of file that is not one.
    Pty { master: OwnedFd, _child_side: OwnedFd, size: Size, is_hung_up: bool },
    /// Pipes; each is gone once its other end is.
    Pipes { input: Option<OwnedFd>, output: Option<OwnedFd> },
}

impl Terminal {
    /// Returns what the child writes to, while it can.
    pub fn reader(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Pty { master, is_hung_up, .. } => Some(master.as_fd()).filter(|_| !is_hung_up),
            Self::Pipes { output, .. } => output.as_ref().map(AsFd::as_fd),
        }
    }

    /// Returns what the child reads from, while it can.
    pub fn writer(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Pty { master, .. } => Some(master.as_fd()),
            Self::Pipes { input, .. } => input.as_ref().map(AsFd::as_fd),
        }
    }

    /// Takes note that no more output can come. A pseudo-terminal says so only when the session has ended.
    pub fn output_closed(&mut self) {
        match self {
            Self::Pty { is_hung_up, .. } => *is_hung_up = true,
            Self::Pipes { output, .. } => *output = None,
        }
    }

    /// Closes the child's stdin. Returns whether there was one of its own to close.
    pub fn close_input(&mut self) -> bool {
        match self {
            Self::Pty { .. } => false,
            Self::Pipes { input, .. } => input.take().is_some(),
        }
    }

    /// Returns the size, if it has one.
    pub fn size(&self) -> Option<Size> {
        match self {
            Self::Pty { size, .. } => Some(*size),
            Self::Pipes { .. } => None,
        }
    }

    /// Returns the process group in the foreground, which keys go to; none when nobody has the terminal.
    pub fn foreground(&self) -> Option<Pid> {
        match self {
            // Asked of the host's end, Linux answers for the child's (ioctl_tty(2), TIOCGPGRP).
            Self::Pty { master, .. } => tcgetpgrp(master).ok(),
            Self::Pipes { .. } => None,
        }
    }

    /// Sets the size, which tells the child by SIGWINCH. Returns whether it is a new one.
    pub fn resize(&mut self, to: Size) -> io::Result<bool> {
        let to = to.clamped();
        match self {
            Self::Pty { master, size, .. } if *size != to => {
                tcsetwinsize(&*master, winsize(to))?;
                *size = to;
                Ok(true)
            }
            Self::Pty { .. } | Self::Pipes { .. } => Ok(false),
        }
    }
}

/// Returns the kernel's form of a size; the pixels are not known.
pub(super) fn winsize(size: Size) -> Winsize {
    Winsize { ws_row: size.rows, ws_col: size.cols, ws_xpixel: 0, ws_ypixel: 0 }
}
