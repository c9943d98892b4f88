//! What an agent really does, by witnesses that are not oarlock: the model's server, marks that tools leave, and processes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use oarlock_model::seen::Asked;

use super::count::{Change, State};
use super::said::millis;
use crate::stage::Stage;

/// How long anything may take that is sure to come; the slowest agent waits a minute before it asks a provider again.
pub const PATIENCE: Duration = Duration::from_secs(100);
/// Between two looks at processes and files, which is as exact as they are witnessed.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A session's witness: the changes so far.
#[derive(Default)]
pub struct Witness {
    pub changes: Vec<Change>,
}

impl Witness {
    /// Notes a change that came at some moment between two.
    pub fn between(&mut self, state: State, from: u64, until: u64) {
        // A change is never older than the one before it, however late its witness looked.
        let from = from.max(self.changes.last().map_or(0, |last| last.until));
        self.changes.push(Change { from, until: until.max(from), state });
    }

    /// Notes a change of which the moment is known.
    pub fn at(&mut self, state: State, at: u64) {
        self.between(state, at, at);
    }
}

/// Returns the processes of a run of this crew's, with whether each is oarlock's own.
pub fn processes(stage: &Stage) -> Vec<(i32, bool)> {
    let state = stage.crew.state.to_string_lossy().into_owned();
    let own = Path::new(env!("CARGO_BIN_EXE_oarlock"));
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        let is_marked = environ.split(|byte| *byte == 0).any(|one| {
            one.strip_prefix(b"OARLOCK_INBOX=").is_some_and(|path| path.starts_with(state.as_bytes()))
        });
        if is_marked {
            let is_own = fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == own);
            found.push((pid, is_own));
        }
    }
    found
}

/// Returns the agent's own process: of those that are not oarlock's, the one that none of the others is the parent of.
pub fn agent_process(stage: &Stage) -> Option<i32> {
    let agents: BTreeSet<i32> =
        processes(stage).into_iter().filter(|(_, is_own)| !is_own).map(|(pid, _)| pid).collect();
    agents.iter().copied().find(|pid| parent(*pid).is_none_or(|parent| !agents.contains(&parent)))
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The parent follows the state, which follows the name in parentheses (proc(5)).
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// Waits until something is seen, looking often.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() > end {
            eprintln!("waited {within:?} for {what} in vain");
            return None;
        }
        // poll: processes and files that belong to others.
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits until the model was asked something, or an answer is over.
///
/// # Panics
/// When it never comes.
pub fn asked(stage: &Stage, what: &str, wanted: impl Fn(&Asked) -> bool) -> Asked {
    let found = stage.server.wait(PATIENCE, |seen| seen.requests.iter().any(&wanted));
    assert!(found, "waited {PATIENCE:?} for {what}\n{}", stage.picture());
    let seen = stage.server.seen();
    seen.requests.into_iter().find(|asked| wanted(asked)).expect("it was found")
}

/// Returns the time that a tool left in a mark, once it is there.
pub fn mark(workspace: &Path, name: &str) -> Option<u64> {
    fs::read_to_string(workspace.join(name)).ok()?.trim().parse().ok()
}

/// Lets a state last, so that there is something to sample.
pub fn dwell(ms: u64) -> u64 {
    // poll: time itself is what is measured here, and nothing is waited for.
    std::thread::sleep(Duration::from_millis(ms));
    millis()
}
