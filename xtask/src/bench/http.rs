//! A bare client of the daemon's socket: just enough HTTP/1.1 (RFC 9112) to ask, and to follow the feed.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The daemon's socket.
#[derive(Clone)]
pub struct Http {
    socket: PathBuf,
}

impl Http {
    /// Makes a client; nothing is sent yet.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Reads something.
    ///
    /// # Errors
    /// When nobody answers, or with other than success.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        self.ask("GET", path, "")
    }

    /// Asks for something.
    ///
    /// # Errors
    /// When nobody answers, or with other than success.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.ask("POST", path, &body.to_string())
    }

    /// Reads something and does nothing with it: the least that a client can do.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let mut answer = Vec::new();
        self.send("GET", path, "")?.read_to_end(&mut answer)?;
        Ok(answer)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value, String> {
        let failed = |error: std::io::Error| format!("{method} {path}: {error}");
        let mut stream = self.send(method, path, body).map_err(failed)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(failed)?;
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        if head.split(' ').nth(1).is_none_or(|status| !status.starts_with('2')) {
            return Err(format!("{method} {path}: {} {body}", head.lines().next().unwrap_or_default()));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(body).map_err(|error| format!("{method} {path}: {error}"))
    }

    fn send(&self, method: &str, path: &str, body: &str) -> std::io::Result<UnixStream> {
        let mut stream = UnixStream::connect(&self.socket)?;
        let close = if path == "/v1/feed" { "keep-alive" } else { "close" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: oarlock\r\nconnection: {close}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    }

    /// Follows the feed from now on; returns once the daemon has answered, so that nothing after it is missed.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn follow(&self) -> Result<Feed, String> {
        let failed = |error: std::io::Error| format!("GET /v1/feed: {error}");
        let stream = self.send("GET", "/v1/feed", "").map_err(failed)?;
        let mut feed = Feed { stream, pending: Vec::new() };
        feed.until(b"\r\n\r\n").map_err(failed)?;
        Ok(feed)
    }
}

/// The daemon's feed.
pub struct Feed {
    stream: UnixStream,
    pending: Vec<u8>,
}

impl Feed {
    /// Returns the next event, with whatever of the transfer coding stands around it.
    ///
    /// # Errors
    /// When the connection ends.
    pub fn next(&mut self) -> std::io::Result<Vec<u8>> {
        self.until(b"\n\n")
    }

    fn until(&mut self, end: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut piece = [0; 8192];
        loop {
            if let Some(at) = self.pending.windows(end.len()).position(|window| window == end) {
                return Ok(self.pending.drain(..at + end.len()).collect());
            }
            match self.stream.read(&mut piece)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                length => self.pending.extend_from_slice(&piece[..length]),
            }
        }
    }

    /// Returns a handle that ends the reading when it is shut down.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn handle(&self) -> std::io::Result<UnixStream> {
        self.stream.try_clone()
    }
}
