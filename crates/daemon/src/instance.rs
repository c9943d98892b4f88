//! One daemon per state folder: a lock that dies with its holder, and a note that says who and where it is.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use oarlock_api::place::Place;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::footing::identity;
use crate::private;

/// Who the running daemon is and where it listens. Only the lock says whether it is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Its socket.
    pub socket: PathBuf,
}

/// Reads the note the last daemon left; `None` when there is none that can be read.
#[must_use]
pub fn read_note(place: &Place) -> Option<Note> {
    serde_json::from_slice(&std::fs::read(place.note()).ok()?).ok()
}

/// Holds the lock of a state folder until dropped.
pub(crate) struct Instance {
    lock: File,
}

impl Instance {
    /// Takes the lock. `Ok(None)` when another daemon holds it.
    pub(crate) fn take(place: &Place) -> io::Result<Option<Self>> {
        let mut options = std::fs::OpenOptions::new();
        let lock = private::open(&place.lock(), options.create(true).truncate(false).read(true).write(true))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { lock })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells whether the lock that is held is the one that another daemon would find.
    pub(crate) fn is_in_place(&self, place: &Place) -> bool {
        let held = self.lock.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
        held.is_some() && held == identity(&place.lock())
    }
}

/// Writes the note in one step, so that no reader sees half of it.
pub(crate) fn write_note(place: &Place, note: &Note) -> io::Result<()> {
    write_whole(&place.note(), &serde_json::to_vec(note)?)
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    private::draft(&draft)?.write_all(bytes)?;
    std::fs::rename(&draft, path)
}
