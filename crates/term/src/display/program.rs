//! Asking another program and reading its answer, in a bounded time and a known environment. It must not know the programs.

use super::DisplayError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take. They answer in milliseconds; a server that was stopped never does.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How often the end of a program is looked for. It matters only to one that closes its output and lives on.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The most of an answer that is kept, in bytes. The largest screen is below a megabyte.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// What a program said.
pub(super) struct Answer {
    pub is_ok: bool,
    pub stdout: String,
    pub stderr: String,
}

/// The environment every multiplexer is asked in. Nothing of a surrounding one (`TMUX`, `TMUX_PANE`, `ZELLIJ`…), which would
/// have it speak to that instead, and nothing that a server would hand on to all windows.
pub(super) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "HOME", "USER", "SHELL", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("LC_ALL", "C.UTF-8").env("TERM", "xterm-256color");
    command
}

/// Runs a program to its end and returns what it said.
pub(super) fn ask(command: &mut Command) -> Result<Answer, DisplayError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |source| DisplayError::Program { program: program.clone(), source };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let answer = listen(&mut child).map_err(failed)?;
    let Some([stdout, stderr]) = answer else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(DisplayError::Late { program, seconds: ANSWER_WITHIN.as_secs() });
    };
    let status = child.wait().map_err(failed)?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Answer { is_ok: status.success(), stdout: text(stdout), stderr: text(stderr) })
}

/// Reads both streams to their ends; nothing when that takes too long. A server that the program started may hold them open, so
/// the end of the program ends the reading too.
fn listen(child: &mut Child) -> std::io::Result<Option<[Vec<u8>; 2]>> {
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Ok(None);
    };
    let deadline = Instant::now() + ANSWER_WITHIN;
    let mut said = [Vec::new(), Vec::new()];
    let mut is_open = [true, true];
    let mut buffer = [0; 16 << 10];
    loop {
        let has_ended = child.try_wait()?.is_some();
        // While it lives, its end is looked for now and then; after that only what is left in the pipes counts.
        let wait = if has_ended { Duration::ZERO } else { LOOK_EVERY };
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        let both = [stdout.as_fd(), stderr.as_fd()];
        let open: Vec<usize> = (0..2).filter(|&at| is_open[at]).collect();
        let watch = |&at: &usize| PollFd::from_borrowed_fd(both[at], PollFlags::IN);
        let mut fds: Vec<_> = open.iter().map(watch).collect();
        poll(&mut fds, Some(&timeout))?;
        let is_ready = |(at, fd): (&usize, &PollFd<'_>)| (!fd.revents().is_empty()).then_some(*at);
        let ready: Vec<usize> = open.iter().zip(&fds).filter_map(is_ready).collect();
        let mut has_read = false;
        for at in ready {
            let count = if at == 0 { stdout.read(&mut buffer)? } else { stderr.read(&mut buffer)? };
            is_open[at] = count > 0;
            has_read |= count > 0;
            said[at].extend_from_slice(&buffer[..count]);
        }
        let is_too_much = said.iter().any(|bytes| bytes.len() > ANSWER_BYTES_MAX);
        if is_too_much || Instant::now() >= deadline {
            return Ok(None);
        }
        if has_ended && !has_read {
            return Ok(Some(said));
        }
    }
}
