//! The names of the files of a run, and how they are written. It must not know what they mean.

use crate::record::{ExitRecord, Identity};
use crate::spec::Spec;
use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The directory of one run. Mode 0700; every file in it 0600.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// Returns the run directory at this path, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the path of the directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the path of the bytes the child wrote: append-only, exactly as they came.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.0.join("output.log")
    }

    /// Returns the path of what the caller asked for.
    #[must_use]
    pub fn spec(&self) -> PathBuf {
        self.0.join("spec.json")
    }

    /// Returns the path of who the host and the child are.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.0.join("host.json")
    }

    /// Returns the path of the messages accepted for typing: one JSON object a line.
    #[must_use]
    pub fn input(&self) -> PathBuf {
        self.0.join("input.jsonl")
    }

    /// Returns the path of how the run ended.
    #[must_use]
    pub fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }

    /// Returns the path of what the host had to say when something was wrong with itself.
    #[must_use]
    pub fn errors(&self) -> PathBuf {
        self.0.join("host.err")
    }

    /// Returns the path of the lock, which a host holds as long as it lives.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("host.lock")
    }

    /// Returns the path of the socket. Too long for an address in general: use [`crate::Client::connect`].
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join(SOCKET)
    }

    pub(crate) fn create(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        std::fs::set_permissions(&self.0, std::fs::Permissions::from_mode(0o700))
    }

    pub(crate) fn read_spec(&self) -> io::Result<Option<Spec>> {
        read_json(&self.spec())
    }

    pub(crate) fn read_identity(&self) -> io::Result<Option<Identity>> {
        read_json(&self.identity())
    }

    pub(crate) fn read_exit(&self) -> io::Result<Option<ExitRecord>> {
        read_json(&self.exit())
    }

    /// Writes what is about processes that live, and is of no use after the power was cut: nothing waits for the disk.
    pub(crate) fn write_json(&self, path: &Path, value: &impl Serialize) -> io::Result<()> {
        self.replace(path, value, |_| Ok(()))
    }

    /// Writes what has to be there after a power cut, too.
    pub(crate) fn write_json_through(&self, path: &Path, value: &impl Serialize) -> io::Result<()> {
        self.replace(path, value, File::sync_all)?;
        File::open(&self.0)?.sync_all()
    }

    /// Opens the lock file and takes it if nobody holds it. The lock lives as long as any copy of the descriptor.
    pub(crate) fn try_lock(&self) -> io::Result<Option<File>> {
        let file = open_private(&self.lock())?;
        Ok(try_lock_file(&file)?.then_some(file))
    }

    /// Returns the length of the output so far, in bytes.
    pub(crate) fn output_len(&self) -> io::Result<u64> {
        match std::fs::metadata(self.output()) {
            Ok(meta) => Ok(meta.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Opens the directory as a handle for short socket addresses.
    pub(crate) fn handle(&self) -> io::Result<rustix::fd::OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&self.0, flags, Mode::empty())?)
    }

    /// Writes a file so that a reader sees the old content, or the new, or none: never a part.
    fn replace(
        &self,
        path: &Path,
        value: &impl Serialize,
        written: impl Fn(&File) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut text = serde_json::to_vec(value)?;
        text.push(b'\n');
        let mut name = path.file_name().unwrap_or_default().to_owned();
        // Thread and process in the name: two callers of `ensure` may race, and each renames its own file.
        name.push(format!(".{}.{}.tmp", std::process::id(), rustix::thread::gettid().as_raw_nonzero()));
        let temporary = self.0.join(name);
        let mut file =
            OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        written(&file)?;
        std::fs::rename(&temporary, path)
    }
}

/// The name of the socket inside the directory.
pub(crate) const SOCKET: &str = "host.sock";

/// Opens a file of a run for reading and writing, with mode 0600 if it has to be made.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)
}

/// Takes the lock of an open file, and says whether it was free or already held through this very descriptor.
pub(crate) fn try_lock_file(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads a file of a run; an empty one is what a power cut leaves of one that was not flushed.
fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) if bytes.is_empty() => Ok(None),
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
