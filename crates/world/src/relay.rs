//! What a relay needs of the world: its plans, what its legs are told, and what they left.
//!
//! It must not know which leg comes next, nor why.

mod left;
pub(crate) mod said;
mod told;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use oarlock_core::playbook::relay::Ask;
use sha2::{Digest, Sha256};

use crate::run::inbox;

/// How plans are read: for whoever shows one before anything is begun.
pub use oarlock_core::plan;

pub(crate) use left::close;
pub(crate) use told::{Leg, prompt};

/// Returns the name that a plan is kept by: the SHA-256 of its bytes, in hex.
#[must_use]
pub fn digest(plan: &[u8]) -> String {
    Sha256::digest(plan).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns where a plan is kept.
#[must_use]
pub fn plan_file(state: &Path, digest: &str) -> PathBuf {
    state.join("plans").join(format!("{digest}.md"))
}

/// Keeps a plan, so that no edit, move or deletion of the file it came from changes what is worked. Once kept, it stays as
/// it is: its name is its content's.
///
/// # Errors
/// When it cannot be written.
pub fn keep_plan(state: &Path, plan: &[u8]) -> io::Result<String> {
    let digest = digest(plan);
    let file = plan_file(state, &digest);
    if file.exists() {
        return Ok(digest);
    }
    let folder = state.join("plans");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let half = folder.join(format!("{digest}.{}.tmp", std::process::id()));
    let written = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o400)
        .open(&half)
        .and_then(|mut out| out.write_all(plan).and_then(|()| out.sync_all()));
    let kept = written.and_then(|()| fs::rename(&half, &file));
    if kept.is_err() {
        // Half a plan is none; what is left of it only takes room.
        drop(fs::remove_file(&half));
    }
    kept.map(|()| digest)
}

/// Returns where a leg leaves its baton: a folder of its run's that its agent may write to, so that an old one is never
/// taken for its own, and none is ever committed.
pub(crate) fn baton_file(run: &Path) -> PathBuf {
    inbox::folder(run).join("baton.md")
}

/// Returns what an agent is asked in the middle of its leg.
pub(crate) fn words(ask: Ask, run: &Path) -> String {
    let baton = baton_file(run);
    let baton = baton.display();
    match ask {
        Ask::Handover => format!(
            "Your context is nearly full, so another agent takes over from here. Finish what you are in the middle of at a \
             clean break and commit it. Then write the baton to {baton}, and claim phase_done if this phase is complete, \
             handing_off if it is not: run \"oarlock claim handing_off\", or end with the line PHASE_IN_PROGRESS. Begin \
             nothing new."
        ),
        Ask::Claim => format!(
            "Your turn ended without a claim. If this phase is complete, committed and its checks pass, run \"oarlock claim \
             phase_done\" (all phases: \"oarlock claim done\"). If it is not and you can go on, go on now. If another agent \
             should go on, write the baton to {baton} and run \"oarlock claim handing_off\". If nobody can without a \
             person, run \"oarlock claim stuck 'why'\"."
        ),
    }
}
