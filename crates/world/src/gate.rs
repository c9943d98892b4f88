//! What a gate needs of the world: its spec, what would land of the work, the checks, the overseer's checkout, the verdict and
//! the evidence.
//!
//! It must not know which run comes next, nor why. Nothing here reads git's configuration in a builder's clone, nor runs a hook
//! of one: what a builder writes there is a stranger's.

pub mod bench;
pub mod checks;
pub mod confine;
mod counts;
pub mod evidence;
mod exam;
pub mod found;
pub(crate) mod part;
mod told;
pub mod verdict;

use std::path::{Path, PathBuf};

use oarlock_core::ids::{RunId, SessionId};

pub(crate) use exam::examine;

/// What a builder is asked whose turn ended without a claim.
pub(crate) const ASK: &str = "Your turn ended without a claim. If all of the spec is met, committed, and the checks pass, run \
    \"oarlock claim done 'what you did and how you know'\". If it is not and you can go on, go on now. If nobody can without \
    a person, run \"oarlock claim stuck 'why'\".";

/// Returns the folder of what a run of a gate looks at: the overseer's or the checks' checkout and what lies beside it.
pub(crate) fn bench_folder(state: &Path, session: &SessionId, run: RunId) -> PathBuf {
    state.join("gates").join(session.as_str()).join(run.to_string())
}

/// Lets go of what a session that is over kept to be judged.
pub(crate) fn let_go(repository: &Path, state: &Path, session: &SessionId) {
    exam::let_go(repository, session);
    drop(bench::remove(&state.join("gates").join(session.as_str())));
}

/// Returns what no run of a gate may change: the person's repository, oarlock's own state, and its configuration.
pub(crate) fn protected(repository: &Path, state: &Path) -> Vec<PathBuf> {
    let mut all = vec![repository.to_path_buf(), state.to_path_buf()];
    if let Ok(home) = crate::workspace::home(repository) {
        all.extend([home.root, home.common_dir]);
    }
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
    all.extend(config.map(|folder| folder.join("oarlock")));
    all.retain(|path| path.exists());
    all.sort();
    all.dedup();
    all
}
