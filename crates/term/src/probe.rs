//! Whether a run lives, from what its host left on disk and what the kernel says. It changes nothing, and must not take
//! "I could not look" for "it is dead".

use crate::dir::RunDir;
use crate::process;
use crate::record::{ExitRecord, Identity};
use std::io;
use std::path::{Path, PathBuf};

/// How it stands with a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// Its host lives.
    Live(Identity),
    /// It is over, and how.
    Ended(ExitRecord),
    /// Its host died without a word. [`crate::sweep`] ends what is left.
    Lost {
        /// Who they were.
        identity: Identity,
        /// Whether the child itself still runs.
        child_alive: bool,
        /// Whether the machine was started anew since, so that nothing of the run can be left.
        rebooted: bool,
    },
    /// No program ran here: nobody asked, or the host died before it started one. [`crate::ensure`] starts one.
    Never,
}

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A file of the run, or `/proc`, cannot be read.
    #[error("failed to probe the run in {dir}")]
    Io {
        /// The run's directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Returns how it stands with the run in this directory. A host is known by pid, start time and boot together.
///
/// # Errors
/// When a file or `/proc` cannot be read; that is no news about the run.
pub fn probe(dir: &Path) -> Result<Probe, ProbeError> {
    look(&RunDir::new(dir)).map_err(|source| ProbeError::Io { dir: dir.to_owned(), source })
}

fn look(run: &RunDir) -> io::Result<Probe> {
    if let Some(record) = run.read_exit()? {
        return Ok(Probe::Ended(record));
    }
    let Some(identity) = run.read_identity()? else { return Ok(Probe::Never) };
    if process::host_is_alive(&identity.host)? {
        return Ok(Probe::Live(identity));
    }
    // It may have ended in good order since the first look.
    if let Some(record) = run.read_exit()? {
        return Ok(Probe::Ended(record));
    }
    let Some(child) = identity.child else { return Ok(Probe::Never) };
    let rebooted = identity.host.boot_id != process::boot_id()?;
    let child_alive = !rebooted && process::is_alive(child.pid, child.start_time)?;
    Ok(Probe::Lost { identity, child_alive, rebooted })
}
