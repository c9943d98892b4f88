//! What oarlock remembers of each workspace, beside the repository it belongs to.
//!
//! One small JSON file per workspace under `<common dir>/oarlock/workspaces/`, written whole before each step, so
//! that a repeat knows what an attempt cut short may have left and what was there before. Must not run git.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Adopt, Error, Kind};
use crate::git::Oid;

/// A record is a few hundred bytes; one larger than this is not ours.
const RECORD_MAX: u64 = 1 << 20;

/// How far the making, or removing, of a workspace got.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Decided; its branch and directory may be there, half there, or not.
    Planned,
    /// Branch, registration and files are there; setup is not finished.
    CheckedOut,
    /// Everything is there; an agent may have been at work.
    Ready,
    /// Its work is kept under this trash id (`None`: its directory was gone already); its directory may be half gone.
    Removing { kept: Option<String> },
}

/// One workspace, as remembered.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    pub(crate) branch: String,
    pub(crate) base: Oid,
    pub(crate) base_branch: String,
    pub(crate) kind: Kind,
    pub(crate) stage: Stage,
    /// Stamps of the setup commands that succeeded.
    pub(crate) setup_done: Vec<String>,
    /// The trash entry it was made again from.
    #[serde(default)]
    pub(crate) restored: Option<String>,
    /// What of it was there before.
    #[serde(default)]
    pub(crate) adopted: Adopt,
}

/// The records of one repository.
pub(crate) struct Records {
    dir: PathBuf,
}

impl Records {
    pub(crate) fn of(common_dir: &Path) -> Records {
        Records { dir: common_dir.join("oarlock").join("workspaces") }
    }

    /// Returns the record of `id`, or `None`. An empty file is what a power cut leaves of one that was never flushed.
    pub(crate) fn read(&self, id: &str) -> Result<Option<Record>, Error> {
        let path = self.file(id);
        match read_one(&path) {
            Ok(record) => Ok(Some(record)),
            Err(_) if std::fs::metadata(&path).is_ok_and(|meta| meta.len() == 0) => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { operation: "read the workspace record", path, source }),
        }
    }

    /// Returns the record of the workspace at `path`, whoever it belongs to. A record that cannot be read is passed over.
    pub(crate) fn at_path(&self, path: &Path) -> Result<Option<Record>, Error> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::io("list workspace records in", &self.dir)(source)),
        };
        for entry in entries.flatten() {
            let file = entry.path();
            let is_record = file.extension().is_some_and(|ext| ext == "json");
            if is_record
                && let Ok(record) = read_one(&file)
                && record.path == path
            {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Writes the record in place of the one before: to a file beside it, then renamed, so that no reader sees half of it. It
    /// is not flushed to the disk: what a power cut undoes of it, it undoes of the workspace too, and each stage can be
    /// done again from the one before.
    pub(crate) fn write(&self, record: &Record) -> Result<(), Error> {
        self.replace(record, |_| Ok(()))
    }

    /// Like [`Records::write`], and flushes it to the disk: what follows cannot be undone.
    pub(crate) fn write_through(&self, record: &Record) -> Result<(), Error> {
        self.replace(record, File::sync_all)
    }

    /// Like [`Records::write`], and has it flushed a moment later, so that nobody waits for the disk.
    pub(crate) fn write_and_flush_soon(&self, record: &Record) -> Result<(), Error> {
        self.replace(record, |file| {
            let file = file.try_clone()?;
            // Without a thread to spare the kernel flushes it in its own time.
            let flush = move || drop(file.sync_all());
            drop(std::thread::Builder::new().name("flush".into()).spawn(flush));
            Ok(())
        })
    }

    fn replace(&self, record: &Record, written: impl Fn(&File) -> std::io::Result<()>) -> Result<(), Error> {
        let path = self.file(&record.id);
        let write = || -> std::io::Result<()> {
            let part = path.with_extension("part");
            let mut file = match File::create(&part) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    std::fs::create_dir_all(&self.dir)?;
                    File::create(&part)?
                }
                file => file?,
            };
            file.write_all(&serde_json::to_vec_pretty(record)?)?;
            written(&file)?;
            std::fs::rename(&part, &path)
        };
        write().map_err(Error::io("write the workspace record", &path))
    }

    /// Forgets the record of `id`. There may be none.
    pub(crate) fn forget(&self, id: &str) -> Result<(), Error> {
        let path = self.file(id);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("forget the workspace record", path)(error))
            }
            _ => Ok(()),
        }
    }

    fn file(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{}.json", key(id)))
    }
}

fn read_one(path: &Path) -> std::io::Result<Record> {
    if std::fs::metadata(path)?.len() > RECORD_MAX {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "too long for a workspace record"));
    }
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Returns the file name for an id: what can be read of it, and enough of its SHA-256 to tell any two apart.
pub(crate) fn key(id: &str) -> String {
    /// Readable characters kept; ids are usually shorter.
    const READABLE: usize = 40;
    let readable: String =
        id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(READABLE).collect();
    format!("{readable}-{}", &digest(id.as_bytes())[..16])
}

/// Returns the SHA-256 of `bytes` in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
