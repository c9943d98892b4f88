//! A person's terminal on a run: raw keys in, the screen and then the stream out, and the terminal as it was on every
//! way back. It must not know what runs there.

use crate::client::{Client, ClientError, ConnectOptions, Event};
use crate::protocol::Watch;
use crate::record::ExitRecord;
use crate::signals::SignalPipe;
use crate::spec::Size;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::AsFd;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{self, Write};
use std::path::Path;

/// The key that detaches: Ctrl-], as in telnet. Few programs want it.
pub const DETACH_KEY: u8 = 0x1d;

/// Keys read in one go, in bytes: a large paste comes in several.
const KEYS_BYTES: usize = 16 << 10;

/// Enters the alternate screen, so that what was on the terminal is there again afterwards.
const ENTER: &str = "\x1b[?1049h\x1b[H\x1b[2J";
/// Undoes what applications switch on and forget: paste, mouse and focus reports, application keys, the enhanced keyboard
/// (kitty's protocol), scroll region, colours, hidden cursor; then leaves the alternate screen.
const LEAVE: &str = "\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1004l\
    \x1b[?2026l\x1b[?1l\x1b>\x1b[=0;1u\x1b[r\x1b[0m\x1b[0 q\x1b[?25h\x1b[?1049l";

/// How to attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachOptions {
    /// Whether to look only: no key goes to the child, and the own size does not count.
    pub read_only: bool,
    /// The control character that detaches; [`DETACH_KEY`] unless chosen otherwise.
    pub detach_key: u8,
}

impl Default for AttachOptions {
    fn default() -> Self {
        Self { read_only: false, detach_key: DETACH_KEY }
    }
}

/// How an attach ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttachEnd {
    /// The person left, or the terminal went away; the run goes on.
    Detached,
    /// The run is over.
    Exited(ExitRecord),
    /// The host died.
    Lost,
}

/// Why there was no attach.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Standard input or output is not a terminal.
    #[error("standard input and output have to be a terminal")]
    NotATerminal,
    /// The host cannot be talked to.
    #[error("failed to attach")]
    Client(#[source] ClientError),
    /// The own terminal does not do what it has to.
    #[error("failed to use the terminal")]
    Terminal(#[source] io::Error),
}

/// Shows a run on the calling process's terminal until the person detaches or the run is over.
///
/// # Errors
/// When there is no terminal, no host, or one of the two fails. The terminal is restored in any case.
pub fn attach(dir: &Path, options: AttachOptions) -> Result<AttachEnd, AttachError> {
    if !isatty(rustix::stdio::stdin()) || !isatty(rustix::stdio::stdout()) {
        return Err(AttachError::NotATerminal);
    }
    let size = terminal_size();
    let connect = ConnectOptions { watch: Watch::Screen, size: Some(size), read_only: options.read_only };
    let mut client = Client::connect_with(dir, connect).map_err(AttachError::Client)?;
    // Installed first and dropped last: whatever ends us in between still restores the terminal.
    let ends = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGWINCH];
    let signals = SignalPipe::install(&ends).map_err(AttachError::Terminal)?;
    let _raw = Raw::enter().map_err(AttachError::Terminal)?;
    follow(&mut client, &signals, options)
}

fn follow(
    client: &mut Client,
    signals: &SignalPipe,
    options: AttachOptions,
) -> Result<AttachEnd, AttachError> {
    let stdin = rustix::stdio::stdin();
    loop {
        while client.has_event() {
            let event = client.next_event(None).map_err(AttachError::Client)?;
            if let Some(end) = show(event).map_err(AttachError::Terminal)? {
                return Ok(end);
            }
        }
        let host = client.stream().as_fd();
        let mut fds = [
            PollFd::new(signals, PollFlags::IN),
            PollFd::from_borrowed_fd(stdin, PollFlags::IN),
            PollFd::from_borrowed_fd(host, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(AttachError::Terminal(error.into())),
        }
        let [has_signals, has_keys, has_news] = fds.map(|fd| !fd.revents().is_empty());
        if has_signals {
            let taken = signals.take();
            if taken.iter().any(|&signal| signal != libc::SIGWINCH) {
                return Ok(AttachEnd::Detached);
            }
            if !options.read_only {
                client.resize(terminal_size()).or_else(ignore_closed).map_err(AttachError::Client)?;
            }
        }
        if has_keys && take_keys(client, options)? {
            return Ok(AttachEnd::Detached);
        }
        if has_news {
            client.take_in().map_err(AttachError::Client)?;
        }
    }
}

/// Sends what was typed, and returns whether the person wants to leave.
fn take_keys(client: &mut Client, options: AttachOptions) -> Result<bool, AttachError> {
    let mut keys = [0; KEYS_BYTES];
    let count = match rustix::io::read(rustix::stdio::stdin(), &mut keys) {
        Ok(0) | Err(rustix::io::Errno::IO) => return Ok(true),
        Ok(count) => count,
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(false),
        Err(error) => return Err(AttachError::Terminal(error.into())),
    };
    let typed = &keys[..count];
    let detach_at = find_detach(typed, options.detach_key);
    let wanted = &typed[..detach_at.unwrap_or(count)];
    if !wanted.is_empty() && !options.read_only {
        client.input(wanted).or_else(ignore_closed).map_err(AttachError::Client)?;
    }
    Ok(detach_at.is_some())
}

/// A host that is gone is noticed by reading, where it is known why.
fn ignore_closed(error: ClientError) -> Result<(), ClientError> {
    if matches!(error, ClientError::Closed { .. }) { Ok(()) } else { Err(error) }
}

/// Returns where the detach key is, as a byte, or as applications with an enhanced keyboard have it sent: `CSI 93;5u`
/// (kitty's protocol) and `CSI 27;5;93~` (xterm's modifyOtherKeys) for Ctrl-].
pub(crate) fn find_detach(keys: &[u8], detach_key: u8) -> Option<usize> {
    // Ctrl takes bit 6 away: letters are reported in lower case, the rest as they are.
    let code = match detach_key {
        1..=26 => u32::from(detach_key) + 0x60,
        other => u32::from(other) + 0x40,
    };
    let forms = [vec![detach_key], format!("\x1b[{code};5u").into(), format!("\x1b[27;5;{code}~").into()];
    let find = |form: &Vec<u8>| keys.windows(form.len()).position(|window| window == form.as_slice());
    forms.iter().filter_map(find).min()
}

fn show(event: Option<Event>) -> io::Result<Option<AttachEnd>> {
    let mut stdout = io::stdout().lock();
    match event {
        Some(Event::Screen(screen)) => {
            stdout.write_all(&screen.contents_formatted)?;
            stdout.flush()?;
            Ok(None)
        }
        Some(Event::Output { bytes, .. }) => {
            stdout.write_all(&bytes)?;
            stdout.flush()?;
            Ok(None)
        }
        Some(Event::InputRefused { .. }) => {
            // Keys that go nowhere ring the bell, as in a terminal.
            stdout.write_all(b"\x07")?;
            stdout.flush()?;
            Ok(None)
        }
        Some(Event::Exited(record)) => Ok(Some(AttachEnd::Exited(record))),
        Some(Event::Lost) | None => Ok(Some(AttachEnd::Lost)),
    }
}

fn terminal_size() -> Size {
    match tcgetwinsize(rustix::stdio::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => Size { rows: size.ws_row, cols: size.ws_col },
        _ => Size::default(),
    }
}

/// The terminal in raw mode; as it was again when this is dropped, also by a panic.
struct Raw {
    before: Termios,
}

impl Raw {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(rustix::stdio::stdin())?;
        let raw = Self { before: before.clone() };
        let mut modes = before;
        modes.make_raw();
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes)?;
        let mut stdout = io::stdout().lock();
        stdout.write_all(ENTER.as_bytes())?;
        stdout.flush()?;
        Ok(raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(LEAVE.as_bytes());
        let _ = stdout.flush();
        // Drain: the bytes above still need the raw output mode, and keys typed blindly must not reach a shell.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detach_key_is_known_in_every_form_it_is_sent() {
        assert_eq!(find_detach(b"ab\x1dcd", DETACH_KEY), Some(2));
        assert_eq!(find_detach(b"x\x1b[93;5u", DETACH_KEY), Some(1));
        assert_eq!(find_detach(b"\x1b[27;5;93~", DETACH_KEY), Some(0));
        assert_eq!(find_detach(b"\x1b[97;5u]", DETACH_KEY), None);
        assert_eq!(find_detach(b"\x1b[97;5u", 1), Some(0));
    }
}
