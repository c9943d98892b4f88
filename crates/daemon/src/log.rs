//! The daemon's own log: one file, turned over at a size, a few old ones kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::private;

/// Size at which the file is turned over: an editor still opens it at once.
const FILE_BYTES_MAX: u64 = 10 << 20;
/// Old files kept, so that the whole log never takes more than 40 MB.
const FILES_KEPT: u32 = 3;

/// A log file that turns itself over; cheap to clone.
#[derive(Clone)]
pub(crate) struct Rolling(Arc<Mutex<State>>);

struct State {
    path: PathBuf,
    file: File,
    bytes: u64,
}

fn open(path: &Path) -> io::Result<File> {
    private::open(path, OpenOptions::new().create(true).append(true))
}

impl Rolling {
    /// Opens the file to append to it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self(Arc::new(Mutex::new(State { path: path.to_owned(), file, bytes }))))
    }
}

impl State {
    fn turn_over(&mut self) -> io::Result<()> {
        let old = |n: u32| self.path.with_extension(format!("log.{n}"));
        for n in (1..FILES_KEPT).rev() {
            // A missing older file is no fault.
            drop(std::fs::rename(old(n), old(n + 1)));
        }
        std::fs::rename(&self.path, old(1))?;
        self.file = open(&self.path)?;
        self.bytes = 0;
        Ok(())
    }
}

impl Write for Rolling {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.bytes >= FILE_BYTES_MAX {
            state.turn_over()?;
        }
        let written = state.file.write(bytes)?;
        state.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).file.flush()
    }
}

impl<'a> MakeWriter<'a> for Rolling {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Sends everything traced to a writer, at `info` unless `OARLOCK_LOG` says otherwise.
pub(crate) fn begin<W>(writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_env("OARLOCK_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(writer);
    // A second daemon in one process (tests) keeps the first one's log.
    drop(subscriber.try_init());
    // In the background nobody reads stderr.
    std::panic::set_hook(Box::new(|panic| {
        let words = panic.payload_as_str().unwrap_or_default();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, words, "panicked");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_turned_over_and_the_oldest_goes() {
        let folder = std::env::temp_dir().join(format!("oarlock-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("daemon.log");
        let mut log = Rolling::open(&path).unwrap();
        for generation in 0..6_u8 {
            log.write_all(&[b'0' + generation]).unwrap();
            log.0.lock().unwrap().bytes = FILE_BYTES_MAX;
        }
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        assert_eq!(read("daemon.log").as_deref(), Some("5"));
        assert_eq!(read("daemon.log.1").as_deref(), Some("4"));
        assert_eq!(read("daemon.log.3").as_deref(), Some("2"));
        assert_eq!(read("daemon.log.4"), None, "only three old files are kept");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
