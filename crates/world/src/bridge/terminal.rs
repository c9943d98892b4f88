//! The bridge's own terminal, and the signals it hears: raw while this lives, and as it was after. It must not know what is
//! written or typed.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// Columns of what is no terminal.
const COLUMNS: usize = 80;

/// The terminal.
pub(super) struct Terminal {
    before: Option<Termios>,
    is_gone: bool,
}

impl Terminal {
    /// Takes the terminal: keys come as they are pressed, and pastes come marked.
    pub(super) fn take() -> Self {
        let before = isatty(stdin()).then(|| tcgetattr(stdin()).ok()).flatten();
        if let Some(before) = &before {
            let mut modes = before.clone();
            modes.make_raw();
            tcsetattr(stdin(), OptionalActions::Now, &modes).ok();
        }
        let mut terminal = Self { before, is_gone: false };
        if terminal.before.is_some() {
            terminal.write("\x1b[?2004h");
        }
        terminal
    }

    /// Returns its columns.
    pub(super) fn columns(&self) -> usize {
        match tcgetwinsize(stdout()) {
            Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
            Ok(_) | Err(_) => COLUMNS,
        }
    }

    /// Writes all of a text. Who reads it is a host that always reads; a terminal that is gone needs no words.
    pub(super) fn write(&mut self, text: &str) {
        if !self.is_gone && !text.is_empty() {
            let mut out = io::stdout().lock();
            self.is_gone = out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            self.write("\x1b[?2004l");
            tcsetattr(stdin(), OptionalActions::Now, &before).ok();
        }
    }
}

/// Signals, as something to poll.
pub(super) struct Signals {
    end: UnixStream,
    interrupt: UnixStream,
}

impl Signals {
    /// Redirects them.
    pub(super) fn install() -> io::Result<Self> {
        let (end, tell_end) = UnixStream::pair()?;
        let (interrupt, tell_interrupt) = UnixStream::pair()?;
        pipe::register(SIGTERM, tell_end.try_clone()?)?;
        pipe::register(SIGHUP, tell_end)?;
        pipe::register(SIGINT, tell_interrupt)?;
        end.set_nonblocking(true)?;
        interrupt.set_nonblocking(true)?;
        Ok(Self { end, interrupt })
    }

    /// Returns what is readable when the bridge is to end.
    pub(super) fn end(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// Returns what is readable when the turn is to be interrupted.
    pub(super) fn interrupt(&self) -> BorrowedFd<'_> {
        self.interrupt.as_fd()
    }

    /// Returns whether a signal came, and forgets it.
    pub(super) fn take(from: BorrowedFd<'_>) -> bool {
        let mut bytes = [0; 64];
        rustix::io::read(from, &mut bytes).is_ok_and(|count| count > 0)
    }
}
