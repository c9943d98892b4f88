//! Where things are: the state folder, the socket, the log. The same for the daemon and for every client.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Longest socket path used as it is: Linux takes 107 bytes, macOS 103.
const SOCKET_PATH_BYTES_MAX: usize = 100;

/// Why a place could not be found or made.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Neither `OARLOCK_HOME`, `XDG_STATE_HOME` nor `HOME` says where state belongs.
    #[error("there is no place for oarlock's state: OARLOCK_HOME, XDG_STATE_HOME and HOME are all unset")]
    Nowhere,
    /// A folder could not be made private to the user.
    #[error("failed to make {path}")]
    Make {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder in a shared place belongs to somebody else.
    #[error("{path} belongs to another user, or others may write to it")]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
}

/// The state folder and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    state: PathBuf,
    runtime: Option<PathBuf>,
}

impl Place {
    /// Finds the place from the environment: `OARLOCK_HOME`, else `XDG_STATE_HOME/oarlock`, else
    /// `HOME/.local/state/oarlock`.
    ///
    /// # Errors
    /// When none of the variables is set.
    pub fn from_env() -> Result<Self, PlaceError> {
        // An empty variable counts as unset (XDG Base Directory Specification 0.8).
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self::find(var("OARLOCK_HOME"), var("XDG_STATE_HOME"), var("HOME"), var("XDG_RUNTIME_DIR"))
    }

    fn find(
        oarlock_home: Option<OsString>,
        state_home: Option<OsString>,
        home: Option<OsString>,
        runtime: Option<OsString>,
    ) -> Result<Self, PlaceError> {
        // Relative values are ignored, as the specification says; for our own variable they are made absolute.
        let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        let state = match (oarlock_home, state_home.and_then(absolute), home) {
            (Some(own), ..) => std::path::absolute(&own)
                .map_err(|source| PlaceError::Make { path: PathBuf::from(own), source })?,
            (None, Some(state_home), _) => state_home.join("oarlock"),
            (None, None, Some(home)) => PathBuf::from(home).join(".local/state/oarlock"),
            (None, None, None) => return Err(PlaceError::Nowhere),
        };
        Ok(Self { state, runtime: runtime.and_then(absolute) })
    }

    /// Makes a place of a folder, with its socket inside if the path is short enough.
    #[must_use]
    pub fn at(state: &Path) -> Self {
        Self { state: state.to_owned(), runtime: None }
    }

    /// Returns the state folder.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Returns the log's database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.state.join("oarlock.db")
    }

    /// Returns the lock that one daemon holds.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.state.join("daemon.lock")
    }

    /// Returns the note in which the running daemon says who and where it is.
    #[must_use]
    pub fn note(&self) -> PathBuf {
        self.state.join("daemon.json")
    }

    /// Returns the daemon's own log file.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state.join("log/daemon.log")
    }

    /// Returns the folder of a run.
    #[must_use]
    pub fn run(&self, session: &str, run: u32) -> PathBuf {
        self.state.join("runs").join(session).join(run.to_string())
    }

    /// Returns the folder that holds the workspaces of a project.
    #[must_use]
    pub fn workspaces(&self, project: &str) -> PathBuf {
        self.state.join("workspaces").join(project)
    }

    /// Checks that the state folder, if it is there, is the user's own: what others put there is not believed.
    ///
    /// # Errors
    /// When it is somebody else's, or no folder.
    pub fn check(&self) -> Result<(), PlaceError> {
        match std::fs::symlink_metadata(&self.state) {
            Ok(meta) if meta.is_dir() && meta.uid() == rustix::process::getuid().as_raw() => Ok(()),
            Ok(_) => Err(PlaceError::NotOurs { path: self.state.clone() }),
            // One that is not there, or cannot be looked at, has nothing to tell.
            Err(_) => Ok(()),
        }
    }

    /// Makes the state folder, private to the user.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(&self) -> Result<(), PlaceError> {
        for folder in [
            self.state.clone(),
            self.state.join("log"),
            self.state.join("runs"),
            self.state.join("workspaces"),
        ] {
            make_private(&folder)?;
        }
        Ok(())
    }

    /// Returns where the daemon's socket belongs: in the runtime folder under a short name, else in the state folder,
    /// else, when that path is too long for a socket, in a private folder under `/tmp`.
    ///
    /// # Errors
    /// When the private folder cannot be made, or is somebody else's.
    pub fn socket(&self) -> Result<PathBuf, PlaceError> {
        let short = format!("oarlock-{:08x}.sock", fnv1a(self.state.as_os_str().as_encoded_bytes()));
        if let Some(runtime) = &self.runtime {
            let path = runtime.join(&short);
            if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX && is_ours(runtime) {
                return Ok(path);
            }
        }
        let path = self.state.join("daemon.sock");
        if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
            return Ok(path);
        }
        let private = PathBuf::from(format!("/tmp/oarlock-{}", rustix::process::getuid().as_raw()));
        make_private(&private)?;
        Ok(private.join(short))
    }
}

/// A 32-bit hash (Fowler, Noll, Vo; FNV-1a): short names need to differ, not to resist anybody.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn is_ours(folder: &Path) -> bool {
    std::fs::symlink_metadata(folder).is_ok_and(|meta| {
        meta.is_dir() && meta.uid() == rustix::process::getuid().as_raw() && meta.mode() & 0o022 == 0
    })
}

/// Makes a folder with mode 0700, and refuses one that others own or may write to.
fn make_private(folder: &Path) -> Result<(), PlaceError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| PlaceError::Make { path: folder.to_owned(), source })?;
    let meta = std::fs::symlink_metadata(folder);
    let meta = meta.map_err(|source| PlaceError::Make { path: folder.to_owned(), source })?;
    if !meta.is_dir() || meta.uid() != rustix::process::getuid().as_raw() {
        return Err(PlaceError::NotOurs { path: folder.to_owned() });
    }
    if meta.mode() & 0o077 != 0 {
        let closed = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700));
        closed.map_err(|source| PlaceError::Make { path: folder.to_owned(), source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(text: &str) -> Option<OsString> {
        Some(text.into())
    }

    #[test]
    fn the_nearest_variable_wins() {
        let state = |a, b, c| Place::find(a, b, c, None).map(|place| place.state).ok();
        assert_eq!(state(os("/o"), os("/s"), os("/h")), Some("/o".into()));
        assert_eq!(state(None, os("/s"), os("/h")), Some("/s/oarlock".into()));
        assert_eq!(state(None, os("relative"), os("/h")), Some("/h/.local/state/oarlock".into()));
        assert_eq!(state(None, None, None), None);
    }

    #[test]
    fn a_deep_state_folder_still_has_a_socket() {
        let deep = format!("/{}", "d".repeat(200));
        let place = Place::at(Path::new(&deep));
        let socket = place.socket().expect("a private folder can be made under /tmp");
        assert!(
            socket.as_os_str().len() <= SOCKET_PATH_BYTES_MAX,
            "{} fits a socket address",
            socket.display()
        );
    }
}
