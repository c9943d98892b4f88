//! Ending the whole tree of a run, and nobody else. Processes of a run are found by descent and by the mark in their
//! environment; each is held by a pidfd and looked at again before it is signalled. It must not know about terminals.

use crate::dir::RunDir;
use crate::process::{self, Stat};
use crate::record::{ChildIdentity, Exit, ExitRecord};
use crate::spec::RUN_MARK;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Between two looks at what is left, in milliseconds: long enough to cost nothing, too short to be noticed.
pub(crate) const LOOK_MS: u64 = 20;
/// Rounds of SIGKILL before giving up, 5 s in all: only a process stuck in the kernel outlives the first.
pub(crate) const KILL_ROUNDS_MAX: u32 = 250;
/// The grace of a sweep whose spec cannot be read, in milliseconds.
const GRACE_MS_DEFAULT: u64 = 2_000;
/// The longest grace taken from a spec for a sweep, in milliseconds: the caller waits for it.
const GRACE_MS_MAX: u64 = 30_000;

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Processes found when it began.
    pub found: u32,
    /// Processes that needed SIGKILL.
    pub killed: u32,
    /// Processes still there at the end.
    pub survivors: u32,
}

/// Why there was no sweep.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A host lives there and does this itself.
    #[error("a host is alive in {dir}")]
    HostAlive {
        /// The run's directory.
        dir: PathBuf,
    },
    /// The run's directory cannot be read or written.
    #[error("failed to sweep the run in {dir}")]
    Io {
        /// The run's directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Ends what a dead host left: SIGTERM, the run's grace (at most 30 s), SIGKILL. Then the run has ended: `exit.json`
/// says `Unknown` unless it was there. Blocks meanwhile.
///
/// # Errors
/// When a host is alive there, or the directory or `/proc` cannot be read.
pub fn sweep(dir: &Path) -> Result<Swept, SweepError> {
    let run = RunDir::new(dir);
    let fail = |source| SweepError::Io { dir: dir.to_owned(), source };
    let lock = run.try_lock().map_err(fail)?;
    let Some(_lock) = lock else { return Err(SweepError::HostAlive { dir: dir.to_owned() }) };
    let spec = run.read_spec().map_err(fail)?;
    let identity = run.read_identity().map_err(fail)?;
    let same_boot = match &identity {
        Some(identity) => identity.host.boot_id == process::boot_id().map_err(fail)?,
        None => false,
    };
    let grace_ms = spec.as_ref().map_or(GRACE_MS_DEFAULT, |spec| spec.grace_ms.min(GRACE_MS_MAX));
    let tree = Tree {
        host: None,
        child: identity.and_then(|identity| identity.child).filter(|_| same_boot),
        mark: spec.map(|spec| mark(&spec.run)),
    };
    let swept = tree.end(Duration::from_millis(grace_ms)).map_err(fail)?;
    if run.read_exit().map_err(fail)?.is_none() {
        let bytes = run.output_len().map_err(fail)?;
        let survivors = swept.survivors;
        let record =
            ExitRecord { exit: Exit::Unknown, bytes, ended_at_ms: now_ms(), survivors, lost_bytes: 0 };
        run.write_json_through(&run.exit(), &record).map_err(fail)?;
    }
    Ok(swept)
}

/// The entry in the environment of all processes of a run.
pub(crate) fn mark(run: &str) -> Vec<u8> {
    format!("{RUN_MARK}={run}").into_bytes()
}

/// Now, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// How the processes of a run are known.
pub(crate) struct Tree {
    /// The living host: all its descendants belong, itself not. It is their subreaper, so none can leave.
    pub host: Option<u32>,
    /// The child: itself and all its descendants belong.
    pub child: Option<ChildIdentity>,
    /// The mark: whoever holds it belongs.
    pub mark: Option<Vec<u8>>,
}

impl Tree {
    /// Returns the living processes of the run, the child first and then by age.
    pub fn members(&self) -> io::Result<Vec<Stat>> {
        let table = process::table()?;
        let child = self
            .child
            .filter(|child| table.get(&child.pid).is_some_and(|found| found.start_time == child.start_time));
        let own = std::process::id();
        let belongs = |stat: &Stat| {
            let descends = |root: u32| process::descends(&table, stat.pid, root);
            let is_child = child.is_some_and(|child| child.pid == stat.pid || descends(child.pid));
            let is_below_host = self.host.is_some_and(descends);
            let is_marked = || self.mark.as_ref().is_some_and(|mark| process::has_mark(stat.pid, mark));
            is_child || is_below_host || is_marked()
        };
        let is_above_us = |stat: &Stat| stat.pid == own || process::descends(&table, own, stat.pid);
        let alive = table.values().filter(|stat| stat.is_alive() && !is_above_us(stat));
        let mut members: Vec<Stat> = alive.filter(|stat| belongs(stat)).copied().collect();
        // The child first, and parents before children: a shell told before its job dies of the signal itself, and does
        // not report its job's death as its own exit code.
        let is_child = |stat: &Stat| child.is_some_and(|child| child.pid == stat.pid);
        members.sort_by_key(|stat| (!is_child(stat), stat.start_time, stat.pid));
        Ok(members)
    }

    /// Sends a signal to every member, and returns how many there were.
    pub fn signal_all(&self, signal: Signal) -> io::Result<usize> {
        let members = self.members()?;
        members.iter().for_each(|member| signal_one(member, signal));
        Ok(members.len())
    }

    /// Asks all members to end; a stopped one is woken to hear it.
    pub fn terminate(&self) -> io::Result<usize> {
        let count = self.signal_all(Signal::TERM)?;
        if count > 0 {
            self.signal_all(Signal::CONT)?;
        }
        Ok(count)
    }

    fn end(&self, grace: Duration) -> io::Result<Swept> {
        let mut swept = Swept { found: count(self.terminate()?), ..Swept::default() };
        let deadline = Instant::now() + grace;
        let mut left = self.members()?;
        while !left.is_empty() && Instant::now() < deadline {
            pause();
            left = self.members()?;
        }
        swept.killed = count(left.len());
        for _ in 0..KILL_ROUNDS_MAX {
            if self.signal_all(Signal::KILL)? == 0 {
                return Ok(swept);
            }
            pause();
        }
        swept.survivors = count(self.members()?.len());
        Ok(swept)
    }
}

/// Signals the process that was looked at, and not one which has its id by now: the pidfd is opened first, and the
/// start time, read after that, proves that it holds the same process.
fn signal_one(member: &Stat, signal: Signal) {
    let Some(pid) = i32::try_from(member.pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if process::is_alive(member.pid, member.start_time).unwrap_or(false) {
        // It may end in between, or belong to another user: then it stays a survivor and is reported as one.
        let _ = pidfd_send_signal(&handle, signal);
    }
}

fn pause() {
    std::thread::sleep(Duration::from_millis(LOOK_MS));
}

fn count(members: usize) -> u32 {
    u32::try_from(members).unwrap_or(u32::MAX)
}
