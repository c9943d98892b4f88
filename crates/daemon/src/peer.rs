//! Who is at the other end of a connection: a person, or a program that the system holds to its places.
//!
//! A program that is held lives in a user namespace of its own and cannot leave it, whatever it takes out of its environment: it
//! is no person. It must not know what it may do.

use std::fs;
use std::path::PathBuf;

use tokio::net::UnixStream;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Whether it is held to its places, with whatever started it.
    pub is_held: bool,
}

impl Peer {
    /// Looks who connected. Whoever cannot be looked at any more has gone, and speaks for nobody.
    pub(crate) fn of(stream: &UnixStream) -> Self {
        let pid = stream.peer_cred().ok().and_then(|peer| peer.pid()).filter(|pid| *pid > 0);
        // One that the system does not number for us came from outside of what this system runs; it was not started by us.
        let Some(pid) = pid else { return Self::default() };
        let Some(own) = namespace("self") else { return Self::default() };
        Self { is_held: namespace(&pid.to_string()) != Some(own) }
    }
}

/// Returns the name of a process's user namespace (namespaces(7)); `None` where there are none.
fn namespace(process: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/user")).ok()
}
