//! A host as a display: for those who live in neither multiplexer, and the measure for the others. It must not know who looks.

use super::{Display, DisplayError, Id, Place, plain_name};
use crate::client::Client;
use crate::ensure::ensure;
use crate::probe::{Probe, probe};
use crate::spec::{Io, Spec};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const HOST: &str = "host";
/// How long what is shown may take to end when its window is closed, in milliseconds: a client has nothing to bring home.
const GRACE_MS: u64 = 1_000;

static OPENED: AtomicU64 = AtomicU64::new(0);

/// Programs in hosts of their own, each in a folder below the given one. Its size is that of whoever looks at it.
#[derive(Debug, Clone)]
pub struct Hosts {
    folder: PathBuf,
    host: Vec<OsString>,
}

impl Hosts {
    /// Returns the display that keeps its hosts' folders in this one. `host` is the command that becomes a host, to which a
    /// folder is added.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, host: Vec<OsString>) -> Self {
        Self { folder: folder.into(), host }
    }

    /// Returns the folder of a window's host, to attach to it.
    #[must_use]
    pub fn folder(&self, id: &Id) -> PathBuf {
        // An id is a name in our folder, whatever it was read from.
        self.folder.join(Path::new(id.as_str()).file_name().unwrap_or_default())
    }

    fn connect(&self, id: &Id) -> Result<Client, DisplayError> {
        if !self.is_open(id)? {
            return Err(DisplayError::NotOpen { id: id.clone() });
        }
        Client::connect(&self.folder(id)).map_err(failed)
    }
}

impl Display for Hosts {
    fn name(&self) -> &'static str {
        HOST
    }

    fn available(&self) -> Result<String, String> {
        Ok(crate::protocol::VERSION.to_string())
    }

    /// The title is the program's own to set.
    fn open(&self, place: &Place, argv: &[String], _title: &str) -> Result<Id, DisplayError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let (own, count) = (std::process::id(), OPENED.fetch_add(1, Ordering::Relaxed));
        let id = Id::from_text(format!("{}.{now:x}-{own:x}-{count:x}", plain_name(&place.session)));
        let spec = Spec {
            run: format!("display-{id}"),
            argv: argv.to_vec(),
            cwd: place.cwd.clone(),
            env: place.env.clone(),
            io: Io::Pty { size: place.size },
            grace_ms: GRACE_MS,
        };
        ensure(&self.folder(&id), &spec, &self.host).map_err(failed)?;
        Ok(id)
    }

    fn is_open(&self, id: &Id) -> Result<bool, DisplayError> {
        match probe(&self.folder(id)).map_err(failed)? {
            Probe::Live(_) => Ok(true),
            Probe::Ended(_) | Probe::Lost { .. } | Probe::Never => Ok(false),
        }
    }

    /// Nothing is in front of a host.
    fn focus(&self, id: &Id) -> Result<(), DisplayError> {
        self.connect(id).map(drop)
    }

    fn close(&self, id: &Id) -> Result<(), DisplayError> {
        match self.connect(id).and_then(|mut client| client.stop(GRACE_MS).map_err(failed)) {
            // It may have ended between the look and the word.
            Err(DisplayError::Program { .. }) if !self.is_open(id)? => Ok(()),
            Err(DisplayError::NotOpen { .. }) => Ok(()),
            closed => closed,
        }
    }

    fn capture(&self, id: &Id) -> Result<String, DisplayError> {
        let screen = self.connect(id)?.snapshot().map_err(failed)?;
        Ok(screen.lines.join("\n"))
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> DisplayError {
    DisplayError::Program { program: HOST.to_owned(), source: io::Error::other(error) }
}
