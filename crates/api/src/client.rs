//! The typed client: HTTP/1.1 over the daemon's unix socket, blocking, for the command line.
//!
//! It must not know how a daemon is started, nor print anything.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use crate::wire;
use crate::{REQUEST_HEADER, TOKEN_HEADER};

/// Largest answer taken, in bytes: a listing of 10,000 sessions has 6 MB.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long an ordinary answer may take. Landing waits for git, and the daemon answers by itself before this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(150);
/// Times something is asked: one daemon may be dying already when it is asked, and the next one die under the request.
const ASKS_MAX: u32 = 3;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon answers at {socket}")]
    NoDaemon {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody else listens in the daemon's place.
    #[error("another user's process listens at {socket}")]
    NotOurs {
        /// The socket.
        socket: PathBuf,
    },
    /// The connection broke, or what came back is no HTTP.
    #[error("the daemon's answer could not be read")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer in time.
    #[error("the daemon did not answer within {} s", ANSWER_TIMEOUT.as_secs())]
    Slow,
    /// The daemon said no.
    #[error("{}", .0.message)]
    Refused(wire::Error, u16),
}

/// Brings a daemon back, and returns its socket; `None` when it cannot.
type Revive = Box<dyn Fn() -> Option<PathBuf>>;

/// A client of one daemon.
pub struct Client {
    socket: std::cell::RefCell<PathBuf>,
    revive: Option<Revive>,
    runtime: Runtime,
    token: Option<String>,
}

/// Tells whether the daemon runs as the same user: prompts and tokens are for nobody else.
fn is_ours(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::getuid().as_raw())
}

fn broken(source: impl std::error::Error + Send + Sync + 'static) -> ClientError {
    ClientError::Broken(Box::new(source))
}

impl Client {
    /// Makes a client of the daemon behind a socket; nothing is sent yet.
    ///
    /// # Errors
    /// When the system has no room for an event loop.
    pub fn new(socket: &Path, token: Option<String>) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
        Ok(Self { socket: socket.to_owned().into(), revive: None, runtime, token })
    }

    /// Asks again, after this was called, when the daemon died before it answered. A wish bears an id, so asking again is
    /// wishing once.
    #[must_use]
    pub fn reviving(mut self, revive: impl Fn() -> Option<PathBuf> + 'static) -> Self {
        self.revive = Some(Box::new(revive));
        self
    }

    /// Reads something.
    ///
    /// # Errors
    /// When no daemon answers, or it refuses.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, None, Bytes::new())
    }

    /// Reads raw bytes, such as a run's output.
    ///
    /// # Errors
    /// When no daemon answers, or it refuses.
    pub fn get_bytes(&self, path: &str) -> Result<Bytes, ClientError> {
        self.ask(&Method::GET, path, None, &Bytes::new())
    }

    /// Asks for something, under a request id: the same id is the same wish.
    ///
    /// # Errors
    /// When no daemon answers, or it refuses.
    pub fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        request: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(broken)?;
        self.call(Method::POST, path, Some(request), Bytes::from(body))
    }

    /// Takes something away, under a request id.
    ///
    /// # Errors
    /// When no daemon answers, or it refuses.
    pub fn delete<T: DeserializeOwned>(&self, path: &str, request: &str) -> Result<T, ClientError> {
        self.call(Method::DELETE, path, Some(request), Bytes::new())
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        request: Option<&str>,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let bytes = self.ask(&method, path, request, &body)?;
        let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(bytes).map_err(broken)
    }

    fn ask(
        &self,
        method: &Method,
        path: &str,
        request: Option<&str>,
        body: &Bytes,
    ) -> Result<Bytes, ClientError> {
        let once = || self.runtime.block_on(self.exchange(method.clone(), path, request, body.clone()));
        let mut answer = once();
        for _ in 1..ASKS_MAX {
            let (Err(ClientError::NoDaemon { .. } | ClientError::Broken(_)), Some(revive)) =
                (&answer, &self.revive)
            else {
                break;
            };
            if let Some(socket) = revive() {
                self.socket.replace(socket);
            }
            answer = once();
        }
        answer
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        request: Option<&str>,
        body: Bytes,
    ) -> Result<Bytes, ClientError> {
        let answer = async {
            let response = self.open(method, path, request, body).await?;
            let status = response.status();
            let limited = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX);
            let bytes = limited.collect().await.map_err(ClientError::Broken)?.to_bytes();
            if status.is_success() { Ok(bytes) } else { Err(refusal(status, &bytes)) }
        };
        tokio::time::timeout(ANSWER_TIMEOUT, answer).await.map_err(|_| ClientError::Slow)?
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        request: Option<&str>,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let socket = self.socket.borrow().clone();
        let connected = UnixStream::connect(&socket).await;
        let stream = connected.map_err(|source| ClientError::NoDaemon { socket: socket.clone(), source })?;
        if !is_ours(&stream) {
            return Err(ClientError::NotOurs { socket });
        }
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(connection);
        let mut builder = Request::builder().method(method).uri(path).header("host", "oarlock");
        if !body.is_empty() {
            builder = builder.header("content-type", "application/json");
        }
        if let Some(request) = request {
            builder = builder.header(REQUEST_HEADER, request);
        }
        if let Some(token) = &self.token {
            builder = builder.header(TOKEN_HEADER, token);
        }
        let message = builder.body(Full::new(body)).map_err(broken)?;
        sender.send_request(message).await.map_err(broken)
    }

    /// Follows the feed after a position (from now when `None`), and calls `each` for every frame until it answers
    /// `false`. Returns when the daemon ends the stream, so that the caller can come back with its cursor.
    ///
    /// # Errors
    /// When no daemon answers, it refuses, or the connection breaks.
    pub fn follow(
        &self,
        since: Option<u64>,
        mut each: impl FnMut(wire::Frame) -> bool,
    ) -> Result<(), ClientError> {
        let path = since.map_or_else(|| "/v1/feed".to_owned(), |since| format!("/v1/feed?since={since}"));
        self.runtime.block_on(async {
            let response = self.open(Method::GET, &path, None, Bytes::new()).await?;
            let status = response.status();
            let mut body = response.into_body();
            if !status.is_success() {
                let bytes = body.collect().await.map_err(broken)?.to_bytes();
                return Err(refusal(status, &bytes));
            }
            let mut pending = Vec::new();
            while let Some(piece) = body.frame().await {
                let Ok(data) = piece.map_err(broken)?.into_data() else { continue };
                pending.extend_from_slice(&data);
                while let Some(frame) = take_frame(&mut pending)? {
                    if !each(frame) {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }
}

/// Takes the next frame off a buffer of the text/event-stream format (WHATWG HTML, server-sent events), when it is there whole.
/// Comments and events without data are stepped over.
///
/// # Errors
/// When an event's data is no frame, or the event does not end.
pub(crate) fn take_frame(pending: &mut Vec<u8>) -> Result<Option<wire::Frame>, ClientError> {
    while let Some(end) = pending.windows(2).position(|pair| pair == b"\n\n") {
        let event: Vec<u8> = pending.drain(..end + 2).collect();
        let data = event.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
        let data: Vec<&[u8]> = data.map(|data| data.strip_prefix(b" ").unwrap_or(data)).collect();
        if !data.is_empty() {
            return serde_json::from_slice(&data.join(&b'\n')).map(Some).map_err(broken);
        }
    }
    if pending.len() > ANSWER_BYTES_MAX {
        return Err(broken(io::Error::new(io::ErrorKind::FileTooLarge, "an event does not end")));
    }
    Ok(None)
}

fn refusal(status: StatusCode, bytes: &[u8]) -> ClientError {
    let error = serde_json::from_slice(bytes).unwrap_or_else(|_| wire::Error {
        code: "http".into(),
        message: format!("The daemon answered {status}."),
        hint: "Is the daemon of the same version? See \"oarlock status\".".into(),
        paths: vec![],
    });
    ClientError::Refused(error, status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the frames of a feed cut in two, and whether it ended in an error.
    fn cut(text: &[u8], at: usize) -> (Vec<wire::Frame>, bool) {
        let mut pending = Vec::new();
        let mut frames = Vec::new();
        for piece in [&text[..at], &text[at..]] {
            pending.extend_from_slice(piece);
            loop {
                match take_frame(&mut pending) {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(_) => return (frames, true),
                }
            }
        }
        (frames, false)
    }

    #[test]
    fn frames_come_whole_however_the_bytes_are_cut() {
        let text =
            b": hello\n\nid: 7\ndata: {\"type\":\"reset\",\"seq\":7}\n\ndata:{\"type\":\ndata: \"cut_off\"}\n\n";
        for at in 0..text.len() {
            let expected = [wire::Frame::Reset { seq: 7 }, wire::Frame::CutOff];
            assert_eq!(cut(text, at), (expected.to_vec(), false), "cut at {at}");
        }
    }

    #[test]
    fn what_came_before_a_broken_frame_is_heard_however_the_bytes_are_cut() {
        let text = b"data: {\"type\":\"reset\",\"seq\":7}\n\ndata: {\"type\":\"no\"}\n\ndata: {}\n\n";
        for at in 0..text.len() {
            assert_eq!(cut(text, at), (vec![wire::Frame::Reset { seq: 7 }], true), "cut at {at}");
        }
    }
}
