//! The run's socket, at a path of any depth: an address holds 108 bytes (unix(7)), a state directory may be deeper.
//! So the directory is opened and the address goes through `/proc/self/fd`. It must not know what is said on it.

use crate::dir::{RunDir, SOCKET};
use rustix::fd::{AsFd, AsRawFd};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

/// Listens on the run's socket, in place of one a dead host left. Mode 0600 before anybody can connect.
pub(crate) fn listen(dir: &RunDir) -> io::Result<UnixListener> {
    let handle = dir.handle()?;
    let path = short(&handle);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The directory is 0700, so nobody else can pass between bind and chmod.
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects to the run's host.
pub(crate) fn connect(dir: &RunDir) -> io::Result<UnixStream> {
    let handle = dir.handle()?;
    let stream = UnixStream::connect(short(&handle))?;
    // Whoever listens in its place would be told what a person types.
    if is_own_user(&stream) { Ok(stream) } else { Err(ErrorKind::PermissionDenied.into()) }
}

/// Returns whether the other end is a process of our own user.
pub(crate) fn is_own_user(stream: &impl AsFd) -> bool {
    rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}

fn short(handle: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", handle.as_raw_fd()))
}
