//! An agent that a shell of the run's own started: a wrapper script, say. When it dies, the shell has the terminal, in the same
//! process group, beneath the agent's last picture. It must not know what is typed.

use crate::process;
use std::cell::Cell;
use std::fs::{read_link, read_to_string};
use std::path::{Path, PathBuf};

/// Programs that run what is typed to them.
const SHELLS: &[&str] = &["sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "busybox"];

/// The one that showed its prompt below a shell, by id and start time. It is noted on the screens that are sent to one who said how
/// a prompt looks, and where a guarded text is typed: an agent that dies before either has not been known.
#[derive(Default)]
pub(super) struct Below(Cell<Option<(u32, u64)>>);

impl Below {
    /// Notes who shares the terminal with the child, a shell, at the moment that a prompt is shown: the prompt is theirs. Where
    /// nobody does, the shell is the agent itself, whatever it starts between two prompts.
    pub fn shows_prompt(&self, child: u32) {
        if is_shell(child) && !self.0.get().is_some_and(lives) {
            self.0.set(sharer(child));
        }
    }

    /// Returns whether whoever showed its prompt is gone, and nobody came in its place.
    pub fn is_gone(&self, child: u32) -> bool {
        self.0.get().is_some_and(|seen| !lives(seen)) && sharer(child).is_none()
    }
}

fn lives((pid, start): (u32, u64)) -> bool {
    process::is_alive(pid, start).unwrap_or(true)
}

fn is_shell(pid: u32) -> bool {
    let program = read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    SHELLS.contains(&name.trim_end_matches(" (deleted)"))
}

/// Returns a process that the child started and that reads the same terminal.
fn sharer(child: u32) -> Option<(u32, u64)> {
    let input = |pid: u32| read_link(format!("/proc/{pid}/fd/0")).ok();
    let terminal: PathBuf = input(child)?;
    let tasks = std::fs::read_dir(Path::new("/proc").join(child.to_string()).join("task")).ok()?;
    let started = tasks.flatten().filter_map(|task| read_to_string(task.path().join("children")).ok());
    let pids: Vec<u32> = started
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect();
    let reads = pids.into_iter().filter(|pid| input(*pid).as_ref() == Some(&terminal));
    reads
        .filter_map(|pid| process::stat(pid).ok()?)
        .find(process::Stat::is_alive)
        .map(|one| (one.pid, one.start_time))
}
