//! Runs one child process with a time limit and bounded output.
//!
//! Must not know git: it serves git, its hooks and the setup commands of a workspace alike.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

/// How long a child that was asked to stop may take to clean up its lock files before it is killed:
/// git removes its locks on SIGTERM within milliseconds.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// How long output is still read after the child itself ended. A detached grandchild (`git gc --auto`) can
/// hold the pipe open for minutes; what the child wrote is already in the pipe.
const DRAIN_MAX: Duration = Duration::from_millis(200);

/// Bytes of stderr kept, from its end: the last lines say what went wrong.
const STDERR_MAX: usize = 16 * 1024;

/// Bytes moved by one read: the capacity of a Linux pipe.
const CHUNK: usize = 64 * 1024;

/// Which end of the output survives when there is more than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The first bytes; the child is stopped once they are full.
    Head,
    /// The last bytes; the child runs on.
    Tail,
}

/// One child to run.
pub(crate) struct Job {
    pub(crate) command: Command,
    pub(crate) input: Option<Vec<u8>>,
    pub(crate) time_max: Duration,
    pub(crate) stdout_max: usize,
    pub(crate) keep: Keep,
    /// Where stdout goes instead of memory.
    pub(crate) stdout_file: Option<std::fs::File>,
}

/// How a child ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// Some of stdout was dropped.
    pub(crate) truncated: bool,
    pub(crate) timed_out: bool,
}

/// Runs `job` to its end. The child leads a process group of its own, which is stopped at the time limit.
///
/// # Errors
/// Fails when the child could not be started or waited for.
pub(crate) fn run(mut job: Job) -> io::Result<Ended> {
    let stdout = match job.stdout_file.take() {
        Some(file) => Stdio::from(file),
        None => Stdio::piped(),
    };
    let stdin = if job.input.is_some() { Stdio::piped() } else { Stdio::null() };
    job.command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).process_group(0);
    let child = job.command.spawn()?;
    let mut watch = Watch::new(child, &job)?;
    let result = watch.pump();
    if result.is_err() {
        watch.signal(Signal::KILL);
    }
    let status = watch.child.wait()?;
    result?;
    Ok(Ended {
        status,
        stdout: watch.out.bytes,
        stderr: watch.err.bytes,
        truncated: watch.out.dropped,
        timed_out: watch.timed_out,
    })
}

/// One output pipe and what is kept of it.
struct Sink {
    pipe: Option<OwnedFd>,
    bytes: Vec<u8>,
    bytes_max: usize,
    keep: Keep,
    dropped: bool,
}

impl Sink {
    fn new(pipe: Option<OwnedFd>, bytes_max: usize, keep: Keep) -> io::Result<Sink> {
        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Sink { pipe, bytes: Vec::new(), bytes_max, keep, dropped: false })
    }

    /// Reads what is there; forgets the pipe at its end.
    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = vec![0_u8; CHUNK];
        while let Some(pipe) = &self.pipe {
            match rustix::io::read(pipe, &mut chunk[..]) {
                Ok(0) => self.pipe = None,
                Ok(count) => self.push(&chunk[..count]),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn push(&mut self, more: &[u8]) {
        match self.keep {
            Keep::Head => {
                let room = self.bytes_max.saturating_sub(self.bytes.len());
                self.dropped |= more.len() > room;
                self.bytes.extend_from_slice(&more[..more.len().min(room)]);
            }
            Keep::Tail => {
                self.bytes.extend_from_slice(more);
                if self.bytes.len() > self.bytes_max {
                    self.dropped = true;
                    let cut = self.bytes.len() - self.bytes_max;
                    self.bytes.drain(..cut);
                }
            }
        }
    }
}

/// A running child and its pipes.
struct Watch {
    child: Child,
    exit: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
    input: Vec<u8>,
    written: usize,
    out: Sink,
    err: Sink,
    deadline: Instant,
    stopping: bool,
    timed_out: bool,
}

impl Watch {
    fn new(mut child: Child, job: &Job) -> io::Result<Watch> {
        let pid = Pid::from_child(&child);
        let exit = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        let stdin = child.stdin.take().map(OwnedFd::from);
        if let Some(stdin) = &stdin {
            rustix::io::ioctl_fionbio(stdin, true)?;
        }
        let out = Sink::new(child.stdout.take().map(OwnedFd::from), job.stdout_max, job.keep)?;
        let err = Sink::new(child.stderr.take().map(OwnedFd::from), STDERR_MAX, Keep::Tail)?;
        Ok(Watch {
            child,
            exit: Some(exit),
            stdin,
            input: job.input.clone().unwrap_or_default(),
            written: 0,
            out,
            err,
            deadline: Instant::now() + job.time_max,
            stopping: false,
            timed_out: false,
        })
    }

    /// Moves bytes until the child has ended and its pipes are empty, or time is up.
    fn pump(&mut self) -> io::Result<()> {
        loop {
            if self.exit.is_none() && self.out.pipe.is_none() && self.err.pipe.is_none() {
                return Ok(());
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() && self.past_deadline() {
                return Ok(());
            }
            self.wait(left)?;
            self.write_input();
            self.out.fill()?;
            self.err.fill()?;
            if self.out.dropped && self.out.keep == Keep::Head && !self.stopping {
                self.stop();
            }
        }
    }

    /// Waits until something can be moved, or for `left`.
    fn wait(&mut self, left: Duration) -> io::Result<()> {
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut exited = false;
        {
            let mut fds = Vec::with_capacity(4);
            for pipe in [&self.out.pipe, &self.err.pipe].into_iter().flatten() {
                fds.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
            }
            if let Some(stdin) = &self.stdin {
                fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::OUT));
            }
            if let Some(exit) = &self.exit {
                fds.push(PollFd::from_borrowed_fd(exit.as_fd(), PollFlags::IN));
            }
            match rustix::event::poll(&mut fds, Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            if self.exit.is_some() {
                exited = fds.last().is_some_and(|fd| fd.revents().contains(PollFlags::IN));
            }
        }
        if exited {
            self.exit = None;
            self.stdin = None;
            self.deadline = self.deadline.min(Instant::now() + DRAIN_MAX);
        }
        Ok(())
    }

    fn write_input(&mut self) {
        let Some(stdin) = &self.stdin else { return };
        while self.written < self.input.len() {
            match rustix::io::write(stdin, &self.input[self.written..]) {
                Ok(count) => self.written += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // A child that does not want its input says so by its exit status.
                Err(_) => break,
            }
        }
        self.stdin = None;
    }

    /// Stops what is over its time. Returns whether there is nothing left to wait for.
    fn past_deadline(&mut self) -> bool {
        if self.exit.is_none() {
            return true;
        }
        if self.stopping {
            self.signal(Signal::KILL);
            self.deadline = Instant::now() + STOP_GRACE;
            return false;
        }
        self.timed_out = true;
        self.stop();
        false
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.signal(Signal::TERM);
        self.deadline = Instant::now() + STOP_GRACE;
    }

    fn signal(&self, signal: Signal) {
        // The group is gone when its last process is; there is nothing to do about it then.
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Job {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script);
        Job {
            command,
            input: None,
            time_max: Duration::from_secs(20),
            stdout_max: 1024,
            keep: Keep::Head,
            stdout_file: None,
        }
    }

    #[test]
    fn a_child_over_its_time_is_stopped_with_its_whole_group() {
        let mut job = sh("sleep 600 & sleep 600");
        job.time_max = Duration::from_millis(50);
        let started = Instant::now();
        let ended = run(job).unwrap();
        assert!(ended.timed_out, "the limit was 50 ms");
        assert!(started.elapsed() < Duration::from_secs(10), "nobody waits for a stopped child");
    }

    #[test]
    fn output_past_the_limit_ends_the_child_and_says_so() {
        let ended = run(sh("yes")).unwrap();
        assert_eq!(ended.stdout.len(), 1024);
        assert!(ended.truncated);
        assert!(!ended.timed_out, "stopped for its output, not for its time");
    }

    #[test]
    fn the_tail_survives_where_the_end_matters() {
        let mut job = sh("seq 1 5000");
        job.keep = Keep::Tail;
        let ended = run(job).unwrap();
        assert!(ended.stdout.ends_with(b"4999\n5000\n"));
        assert!(ended.truncated);
    }

    #[test]
    fn a_grandchild_that_holds_the_pipe_does_not_hold_the_caller() {
        let started = Instant::now();
        let ended = run(sh("sleep 600 & echo $!")).unwrap();
        assert!(started.elapsed() < Duration::from_secs(10));
        let pid = String::from_utf8(ended.stdout).unwrap().trim().parse().unwrap();
        let _ = rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
    }

    #[test]
    fn input_larger_than_a_pipe_passes_through() {
        let mut job = sh("wc -c");
        job.input = Some(vec![b'x'; 1 << 20]);
        let ended = run(job).unwrap();
        assert_eq!(String::from_utf8(ended.stdout).unwrap().trim(), "1048576");
    }
}
