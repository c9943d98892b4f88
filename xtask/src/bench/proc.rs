//! What the kernel says of a process: CPU time, memory, switches, children (proc_pid_stat(5) and its neighbours).
//!
//! A process that is gone has nothing to say: its numbers are 0.

use std::fs;
use std::path::Path;

/// What processes used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// CPU time in nanoseconds, of all threads.
    pub cpu_ns: u64,
    /// How often a thread went to sleep by itself: each is a wake-up that came before.
    pub sleeps: u64,
    /// Page faults of children that ended and were waited for: it grows with every process started and reaped.
    pub reaped_faults: u64,
}

impl Used {
    /// Returns what all these processes used together.
    pub fn of(pids: &[u32]) -> Self {
        let mut sum = Self::default();
        for pid in pids {
            sum.cpu_ns += cpu_ns(*pid);
            sum.sleeps += sleeps(*pid);
            sum.reaped_faults += stat_field(*pid, 11);
        }
        sum
    }

    /// Returns what was used since.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            sleeps: self.sleeps.saturating_sub(before.sleeps),
            reaped_faults: self.reaped_faults.saturating_sub(before.reaped_faults),
        }
    }
}

fn threads(pid: u32) -> Vec<std::path::PathBuf> {
    let folder = fs::read_dir(format!("/proc/{pid}/task"));
    folder.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The scheduler's own count, in nanoseconds; the ticks of `stat` are too coarse for what idles.
fn cpu_ns(pid: u32) -> u64 {
    let of_thread = |path: std::path::PathBuf| {
        let text = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0)
    };
    threads(pid).into_iter().map(of_thread).sum()
}

fn sleeps(pid: u32) -> u64 {
    threads(pid).iter().map(|path| value(&path.join("status"), "voluntary_ctxt_switches:")).sum()
}

/// Returns a field of `/proc/PID/stat`, numbered from 1 as its manual page does, for fields from 3 on.
fn stat_field(pid: u32, field: usize) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is a name in brackets, which may hold anything.
    let rest = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    rest.split_whitespace().nth(field - 3).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Returns the number after a name in a file of `name value` lines.
fn value(path: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Returns the memory a process holds, in MB of 10^6 bytes: resident, and its share of what it shares (PSS).
pub fn memory_mb(pid: u32) -> (f64, f64) {
    let mb = |kib: u64| kib as f64 * 1024.0 / 1e6;
    let resident = value(Path::new(&format!("/proc/{pid}/status")), "VmRSS:");
    let share = value(Path::new(&format!("/proc/{pid}/smaps_rollup")), "Pss:");
    (mb(resident), mb(share))
}

/// Returns the processes that were started by a process and live.
pub fn children(pid: u32) -> Vec<u32> {
    let of_thread = |path: std::path::PathBuf| fs::read_to_string(path.join("children")).unwrap_or_default();
    let texts: Vec<String> = threads(pid).into_iter().map(of_thread).collect();
    texts.iter().flat_map(|text| text.split_whitespace()).filter_map(|pid| pid.parse().ok()).collect()
}

/// Returns every process that names a folder: in its command line, its environment or as its place.
pub fn naming(folder: &Path) -> Vec<u32> {
    let mut found = Vec::new();
    let needle = folder.as_os_str().as_encoded_bytes();
    let own = std::process::id();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let path = entry.path();
        let holds = |name: &str| {
            let bytes = fs::read(path.join(name)).unwrap_or_default();
            bytes.windows(needle.len()).any(|window| window == needle)
        };
        let stands_there = || fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        if pid != own && (holds("cmdline") || stands_there() || holds("environ")) {
            found.push(pid);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_has_worked() {
        let own = std::process::id();
        let (resident, _) = memory_mb(own);
        assert!(resident > 0.1, "a process holds some memory");
        assert!(cpu_ns(own) > 0, "a process that asks has run");
        assert_eq!(memory_mb(u32::MAX), (0.0, 0.0), "nobody has this id");
    }
}
