//! What the kernel says about processes, read from `/proc`. It must not know about runs, and it kills nobody.

use crate::record::HostIdentity;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;

/// One process, as `/proc/PID/stat` shows it (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub pid: u32,
    pub parent: u32,
    pub state: u8,
    /// Clock ticks since boot.
    pub start_time: u64,
}

impl Stat {
    /// A zombie has ended; it only waits for its parent, who in a container may never come.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Returns a process, or nothing if there is none with this id.
pub(crate) fn stat(pid: u32) -> io::Result<Option<Stat>> {
    match std::fs::read(format!("/proc/{pid}/stat")) {
        Ok(line) => parse(&line).map(Some).ok_or_else(|| ErrorKind::InvalidData.into()),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether the process with this id and start time lives in this boot.
pub(crate) fn is_alive(pid: u32, start_time: u64) -> io::Result<bool> {
    Ok(stat(pid)?.is_some_and(|found| found.start_time == start_time && found.is_alive()))
}

/// Returns the id of this boot.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Returns who the calling process is.
pub(crate) fn own_identity() -> io::Result<HostIdentity> {
    let pid = std::process::id();
    let found = stat(pid)?.ok_or(ErrorKind::NotFound)?;
    Ok(HostIdentity { pid, start_time: found.start_time, boot_id: boot_id()? })
}

/// Returns whether the host with this identity lives: same boot, same process.
pub(crate) fn host_is_alive(host: &HostIdentity) -> io::Result<bool> {
    Ok(host.boot_id == boot_id()? && is_alive(host.pid, host.start_time)?)
}

/// Returns all processes that can be seen, by id.
pub(crate) fn table() -> io::Result<HashMap<u32, Stat>> {
    let mut table = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that vanished, or that may not be looked at, is none of ours.
        if let Ok(Some(found)) = stat(pid) {
            table.insert(pid, found);
        }
    }
    Ok(table)
}

/// Returns whether a process comes from another one by parentage. Bounded by the table, also if that holds a loop.
pub(crate) fn descends(table: &HashMap<u32, Stat>, pid: u32, ancestor: u32) -> bool {
    let mut at = pid;
    for _ in 0..table.len() {
        let Some(found) = table.get(&at) else { return false };
        if found.parent == ancestor {
            return true;
        }
        at = found.parent;
    }
    false
}

/// Returns whether a process of our user holds exactly this `NAME=value` in the environment it was started with.
/// One that is gone, or may not be read, does not.
pub(crate) fn has_mark(pid: u32, mark: &[u8]) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let is_ours = std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|meta| meta.uid() == own);
    is_ours && std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| holds(&environ, mark))
}

fn holds(environ: &[u8], mark: &[u8]) -> bool {
    environ.split(|&byte| byte == 0).any(|entry| entry == mark)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// The name, in parentheses, may itself hold spaces and parentheses: what follows the last one is sure.
fn parse(line: &[u8]) -> Option<Stat> {
    let open = line.iter().position(|&byte| byte == b'(')?;
    let close = line.iter().rposition(|&byte| byte == b')')?;
    let pid = std::str::from_utf8(&line[..open]).ok()?.trim().parse().ok()?;
    let rest = std::str::from_utf8(line.get(close + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let state = *fields.first()?.as_bytes().first()?;
    // Field 3 is the state, so field n is at n - 3.
    Some(Stat { pid, state, parent: fields.get(1)?.parse().ok()?, start_time: fields.get(19)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_named_to_confuse_is_read_right() {
        let line = b"77 (a) Z 1 (b) R 5 77 77 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0\n";
        assert_eq!(parse(line), Some(Stat { pid: 77, parent: 5, state: b'R', start_time: 4242 }));
    }

    #[test]
    fn a_mark_matches_whole_entries_only() {
        let environ = b"A=1\0OARLOCK_RUN=p-10\0XOARLOCK_RUN=p-1\0B=2\0";
        assert!(!holds(environ, b"OARLOCK_RUN=p-1"));
        assert!(holds(environ, b"OARLOCK_RUN=p-10"));
    }

    #[test]
    fn a_pid_with_another_start_time_is_somebody_else() {
        let own = own_identity().unwrap();
        assert!(is_alive(own.pid, own.start_time).unwrap());
        assert!(!is_alive(own.pid, own.start_time + 1).unwrap());
        assert!(!host_is_alive(&HostIdentity { boot_id: "another".into(), ..own }).unwrap());
    }

    #[test]
    fn a_loop_of_parents_ends() {
        let stat = |pid, parent| (pid, Stat { pid, parent, state: b'S', start_time: 0 });
        let table = HashMap::from([stat(2, 3), stat(3, 2), stat(4, 1)]);
        assert!(!descends(&table, 2, 9));
        assert!(descends(&table, 4, 1));
    }
}
