//! A bridge for clients that speak TCP only: a loopback port whose bytes go to a unix socket and back, and nothing else.
//!
//! It must not know what the bytes mean.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// One read, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// A bridge that is open until it is dropped.
pub struct Bridge {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    connections: AtomicU64,
    closed: AtomicBool,
}

impl Bridge {
    /// Opens a port of the system's choice on the loopback interface.
    ///
    /// # Errors
    /// When there is none to be had.
    pub fn start(socket: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("failed to open a port: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared::default());
        let (own, socket) = (shared.clone(), socket.to_owned());
        thread::spawn(move || accept(&listener, &socket, &own));
        Ok(Self { address, shared })
    }

    /// Returns the address of the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many connections were made so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        // It waits for a connection, so it gets one; when that fails the port is closed already.
        drop(TcpStream::connect(self.address));
    }
}

fn accept(listener: &TcpListener, socket: &PathBuf, shared: &Shared) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.closed.load(Ordering::Relaxed) {
            return;
        }
        shared.connections.fetch_add(1, Ordering::Relaxed);
        // A daemon that is gone is a connection that ends, as it would be without a bridge.
        let Ok(inside) = UnixStream::connect(socket) else { continue };
        let (Ok(back_to), Ok(back_from)) = (stream.try_clone(), inside.try_clone()) else { continue };
        thread::spawn(move || carry(&stream, &inside, || drop(inside.shutdown(Shutdown::Write))));
        thread::spawn(move || carry(&back_from, &back_to, || drop(back_to.shutdown(Shutdown::Both))));
    }
}

/// Carries bytes one way until there are no more, then tells the other side so.
fn carry<'a, R, W>(from: &'a R, to: &'a W, end: impl FnOnce())
where
    &'a R: Read,
    &'a W: Write,
{
    let (mut from, mut to) = (from, to);
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    end();
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_is_said_on_one_side_is_heard_on_the_other_to_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let bridge = Bridge::start(&socket).unwrap();
        let mut outside = TcpStream::connect(bridge.address()).unwrap();
        let (mut inside, _) = listener.accept().unwrap();
        let question = vec![b'q'; 1 << 20];
        let asked = {
            let (mut outside, question) = (outside.try_clone().unwrap(), question.clone());
            thread::spawn(move || {
                outside.write_all(&question).unwrap();
                outside.shutdown(Shutdown::Write).unwrap();
            })
        };
        let mut heard = Vec::new();
        inside.read_to_end(&mut heard).unwrap();
        assert!(heard == question, "every byte, and the end");
        inside.write_all(b"answer").unwrap();
        drop(inside);
        let mut answer = String::new();
        outside.read_to_string(&mut answer).unwrap();
        assert_eq!((answer.as_str(), bridge.connections()), ("answer", 1));
        asked.join().unwrap();
    }
}
