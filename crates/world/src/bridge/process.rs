//! The agent's process beneath a bridge: its pipes, its end, and what it said on standard error. Nothing here waits: whoever
//! polls the descriptors says when to go on. It must not know any protocol.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use oarlock_agents::launch::Plan;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::lines::{LINE_BYTES_MAX, Lines};

/// Longest line of standard error taken, in bytes: they are for people. What is longer is skipped whole.
const ERROR_LINE_BYTES_MAX: usize = 64 * 1024;

/// Most that waits to be written to an agent that does not read, in bytes: a few of the longest messages.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// The end of standard error that is kept to explain the process's end, in bytes.
const ERRORS_KEPT_BYTES: usize = 8 * 1024;
/// Most of standard error that is kept on disk for a run, in bytes. Some agents log there for hours.
const ERRORS_FILE_BYTES_MAX: u64 = 1 << 20;
/// One read, in bytes: what a pipe holds.
const PIECE_BYTES: usize = 64 * 1024;
/// Most that is read in one go, in bytes, so that keys and signals are heard while an agent floods.
const TURN_BYTES_MAX: usize = 1 << 20;

/// An agent's process.
pub(super) struct Process {
    child: Child,
    /// Readable once the process is over.
    over: OwnedFd,
    input: Option<ChildStdin>,
    output: Option<ChildStdout>,
    errors: Option<ChildStderr>,
    /// What is to be written, and how much of its first piece was.
    queue: VecDeque<Vec<u8>>,
    queued_bytes: usize,
    written: usize,
    close_after: bool,
    /// Its standard output, as far as it was not read as lines.
    pub lines: Lines,
    /// Its standard error, as far as it was not read as lines.
    pub error_lines: Lines,
    errors_kept: Vec<u8>,
    errors_file: Option<File>,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts the process in a folder, in a session of its own: no key pressed at the bridge's terminal is a signal for it,
    /// and it cannot ask there for passwords behind the transcript's back. `errors` is the file its standard error goes to.
    pub(super) fn start(plan: &Plan, folder: &str, errors: &Path) -> io::Result<Self> {
        let Some((program, args)) = plan.argv.split_first() else {
            return Err(io::Error::new(ErrorKind::InvalidInput, "there is no program to start"));
        };
        let mut command = Command::new(program);
        command.args(args).current_dir(folder).envs(plan.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: setsid is a system call and nothing else; it may be called between fork and exec.
        unsafe { command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?)) };
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let (input, output, errors_pipe) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let prepared = (|| -> io::Result<OwnedFd> {
            let ends = [input.as_ref().map(AsFd::as_fd), output.as_ref().map(AsFd::as_fd)];
            // Each end of a pipe has flags of its own: the agent's do not change.
            for end in ends.into_iter().chain([errors_pipe.as_ref().map(AsFd::as_fd)]).flatten() {
                fcntl_setfl(end, OFlags::NONBLOCK)?;
            }
            Ok(pidfd_open(pid, PidfdFlags::empty())?)
        })();
        let over = match prepared {
            Ok(over) => over,
            Err(error) => {
                child.kill().and_then(|()| child.wait().map(drop)).ok();
                return Err(error);
            }
        };
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        Ok(Self {
            child,
            over,
            input,
            output,
            errors: errors_pipe,
            queue: VecDeque::new(),
            queued_bytes: 0,
            written: 0,
            close_after: false,
            lines: Lines::new(LINE_BYTES_MAX),
            error_lines: Lines::new(ERROR_LINE_BYTES_MAX),
            errors_kept: Vec::new(),
            // Without the file the end of it is still kept.
            errors_file: options.open(errors).ok(),
            status: None,
        })
    }

    /// Returns what it writes its output to, while it may.
    pub(super) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    /// Returns what it writes its errors to, while it may.
    pub(super) fn errors(&self) -> Option<BorrowedFd<'_>> {
        self.errors.as_ref().map(AsFd::as_fd)
    }

    /// Returns what it reads from, while something waits to be written there.
    pub(super) fn input(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().filter(|_| !self.queue.is_empty()).map(AsFd::as_fd)
    }

    /// Returns what becomes readable when it is over.
    pub(super) fn over(&self) -> BorrowedFd<'_> {
        self.over.as_fd()
    }

    /// Adds a line to be written. `false` when too much waits already, or nothing is read any more.
    pub(super) fn send(&mut self, line: &str) -> bool {
        let bytes = line.len() + 1;
        if self.input.is_none() || self.close_after || self.queued_bytes + bytes > QUEUE_BYTES_MAX {
            return false;
        }
        self.queued_bytes += bytes;
        self.queue.push_back([line.as_bytes(), b"\n"].concat());
        self.write();
        true
    }

    /// Closes its standard input once everything was written.
    pub(super) fn close_input(&mut self) {
        self.close_after = true;
        self.write();
    }

    /// Writes what it takes without waiting.
    pub(super) fn write(&mut self) {
        while let (Some(input), Some(first)) = (&mut self.input, self.queue.front()) {
            match input.write(&first[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    self.queued_bytes -= count;
                    if self.written == first.len() {
                        self.queue.pop_front();
                        self.written = 0;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // It reads no more: its end says why.
                Err(_) => {
                    self.queue.clear();
                    self.input = None;
                }
            }
        }
        if self.close_after {
            self.input = None;
        }
    }

    /// Reads what it wrote to its output, into [`Process::lines`].
    pub(super) fn read_output(&mut self) {
        let mut piece = [0; PIECE_BYTES];
        let mut left = TURN_BYTES_MAX;
        while let Some(output) = self.output.as_mut().filter(|_| left > 0) {
            match read(output, &mut piece) {
                Took::Bytes(count) => {
                    self.lines.push(&piece[..count]);
                    left = left.saturating_sub(count);
                }
                Took::Nothing => return,
                Took::End => self.output = None,
            }
        }
    }

    /// Reads what it wrote to its errors.
    pub(super) fn read_errors(&mut self) {
        let mut piece = [0; PIECE_BYTES];
        let mut left = TURN_BYTES_MAX;
        while let Some(errors) = self.errors.as_mut().filter(|_| left > 0) {
            match read(errors, &mut piece) {
                Took::Bytes(count) => {
                    left = left.saturating_sub(count);
                    self.error_lines.push(&piece[..count]);
                }
                Took::Nothing => return,
                Took::End => self.errors = None,
            }
        }
    }

    /// Keeps what it said of its own accord, on disk and to explain its end.
    pub(super) fn keep_errors(&mut self, bytes: &[u8]) {
        self.errors_kept.extend_from_slice(bytes);
        let over = self.errors_kept.len().saturating_sub(ERRORS_KEPT_BYTES);
        self.errors_kept.drain(..over);
        let Some(file) = &mut self.errors_file else { return };
        let has_room = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() < ERRORS_FILE_BYTES_MAX);
        if !has_room || file.write_all(bytes).is_err() {
            self.errors_file = None;
        }
    }

    /// Returns the end of what it said on standard error.
    pub(super) fn last_errors(&self) -> String {
        String::from_utf8_lossy(&self.errors_kept).into_owned()
    }

    /// Returns whether nothing more can come from its pipes.
    pub(super) fn is_silent(&self) -> bool {
        self.output.is_none() && self.errors.is_none()
    }

    /// Collects it when it is over, and returns how it ended.
    pub(super) fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Signals it and its process group. Who is over and not collected yet is nobody else.
    pub(super) fn signal(&mut self, signal: Signal) {
        if self.status().is_none() {
            kill_process_group(Pid::from_child(&self.child), signal).ok();
        }
    }
}

enum Took {
    Bytes(usize),
    Nothing,
    End,
}

fn read(from: &mut impl Read, piece: &mut [u8]) -> Took {
    loop {
        return match from.read(piece) {
            Ok(0) => Took::End,
            Ok(count) => Took::Bytes(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Took::Nothing,
            Err(_) => Took::End,
        };
    }
}

/// Returns the exit code that tells how a process ended, as shells do: its own, or 128 and the signal.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(u8::MAX)
}
