//! The server: HTTP on loopback, and the waits. What to answer the [`Desk`] says.
//!
//! It listens on 127.0.0.1 and on nothing else.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::{Body as HttpBody, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::Response;
use futures_util::stream;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::desk::{Body, Desk, Plan};
use crate::script::{Hold, Script, WAIT_MS_MAX, Where};
use crate::seen::Seen;
use crate::wire::Event;

/// Largest request, in bytes: a conversation with a few pictures in it.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Where gates are opened.
const RELEASE: &str = "/__release/";

/// A server that runs until it is dropped.
pub struct Server {
    port: u16,
    desk: Arc<Desk>,
    opened: watch::Sender<u64>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port cannot be had.
    #[error("failed to listen on port {port} of 127.0.0.1")]
    Listen {
        /// The port asked for; 0 is any.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The log cannot be written.
    #[error("failed to open the log {path}")]
    Log {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no thread to be had.
    #[error("failed to start the server's thread")]
    Thread(#[source] io::Error),
}

impl Server {
    /// Starts a server on a port, 0 for any, which appends each request to the log as a line of JSON.
    ///
    /// # Errors
    /// When the port or the log cannot be had.
    pub fn start(script: Script, port: u16, log: Option<&Path>) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Listen { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?.port();
        let open = |path: &Path| {
            let file = File::options().create(true).append(true).open(path);
            file.map_err(|source| ServerError::Log { path: path.display().to_string(), source })
        };
        let desk = Arc::new(Desk::new(script, log.map(open).transpose()?));
        let opened = watch::Sender::new(0);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ServerError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let shared = Shared { desk: Arc::clone(&desk), opened: opened.clone() };
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = serve(listener, shared) => {}
                }
            });
            // Answers that are held are dropped with their connections.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("scripted-model".into()).spawn(serve);
        let thread = Some(thread.map_err(ServerError::Thread)?);
        Ok(Self { port: bound, desk, opened, stop: Some(stop), thread })
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns what was seen.
    pub fn seen(&self) -> Seen {
        self.desk.seen()
    }

    /// Waits until what was seen is as wanted, at most so long; says whether it is.
    pub fn wait(&self, within: Duration, wanted: impl FnMut(&Seen) -> bool) -> bool {
        self.desk.wait(within, wanted)
    }

    /// Opens a gate: answers that are held at it go on, and those to come are not held.
    pub fn release(&self, gate: &str) {
        self.desk.open(gate);
        self.opened.send_modify(|count| *count += 1);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panicked if this fails, which was said already.
            let _ = thread.join();
        }
    }
}

#[derive(Clone)]
struct Shared {
    desk: Arc<Desk>,
    opened: watch::Sender<u64>,
}

async fn serve(listener: TcpListener, shared: Shared) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("it is bound, and does not block");
    let answer = move |request: Request| {
        let shared = shared.clone();
        async move { answer(&shared, request).await }
    };
    // It never ends by itself: accepting again is all it does after an error.
    let _ = axum::serve(listener, axum::Router::new().fallback(answer)).await;
}

async fn answer(shared: &Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if let Some(gate) = path.strip_prefix(RELEASE) {
        shared.desk.open(gate);
        shared.opened.send_modify(|count| *count += 1);
        return respond(204, HttpBody::empty());
    }
    if let Some(encoding) = parts.headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        // No agent was seen to compress; one that begins to must not be taken for one that says nothing.
        let words = format!("Send the body as it is, not in {encoding:?}.");
        return respond(415, HttpBody::from(words));
    }
    let Ok(bytes) = to_bytes(body, BODY_BYTES_MAX).await else {
        return respond(413, HttpBody::from("The body is too long, or broke off."));
    };
    let plan = shared.desk.take(parts.method.as_str(), &path, parts.uri.query().unwrap_or_default(), &bytes);
    give(plan, shared.clone()).await
}

async fn give(plan: Plan, shared: Shared) -> Response {
    // Made before the first wait: whoever goes away drops it.
    let mut answering = Answering { desk: Arc::clone(&shared.desk), number: plan.number, whole: false };
    sleep(Duration::from_millis(plan.delay_ms)).await;
    let (start, middle) = match plan.hold {
        Some(hold) if hold.at == Where::Start => (Some(hold), None),
        hold => (None, hold),
    };
    shared.hold(start).await;
    shared.desk.begun(plan.number);
    let (kind, body) = match plan.body {
        Body::Whole(text) if plan.cut => ("application/json", broken(text)),
        Body::Whole(text) => {
            shared.hold(middle).await;
            answering.whole = true;
            ("application/json", HttpBody::from(text))
        }
        Body::Events(events) => {
            let (drip_ms, cut) = (plan.drip_ms, plan.cut);
            let flow = Flow { next: 0, events, drip_ms, cut, hold: middle, shared, answering };
            ("text/event-stream", HttpBody::from_stream(stream::unfold(flow, Flow::step)))
        }
    };
    let mut response = respond(plan.status, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    for (name, value) in plan.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn respond(status: u16, body: HttpBody) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// Returns a document that breaks off in its middle, and takes the connection with it.
fn broken(text: String) -> HttpBody {
    let half = Bytes::from(text.as_bytes()[..text.len() / 2].to_vec());
    HttpBody::from_stream(stream::unfold(Some(half), async |half| match half {
        Some(half) if !half.is_empty() => Some((Ok(half), Some(Bytes::new()))),
        Some(_) => Some((Err(cut().await), None)),
        None => None,
    }))
}

/// Returns what breaks a connection, once what was written before is on its way.
async fn cut() -> io::Error {
    // A break takes what is still in buffers with it, and these are emptied when a body has nothing for the moment.
    tokio::task::yield_now().await;
    io::Error::new(io::ErrorKind::ConnectionAborted, "the script cuts the connection")
}

/// A stream on its way.
struct Flow {
    events: Vec<Event>,
    next: usize,
    drip_ms: u64,
    cut: bool,
    hold: Option<Hold>,
    shared: Shared,
    answering: Answering,
}

/// An answer on its way; when it is dropped it is over.
struct Answering {
    desk: Arc<Desk>,
    number: u64,
    whole: bool,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.desk.over(self.number, self.whole);
    }
}

impl Flow {
    async fn step(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.next == self.events.len().div_ceil(2) {
            let hold = self.hold.take();
            self.shared.hold(hold).await;
            if self.cut {
                self.next = self.events.len();
                self.cut = false;
                return Some((Err(cut().await), self));
            }
        }
        let event = self.events.get(self.next)?;
        let name = event.name.map(|name| format!("event: {name}\n")).unwrap_or_default();
        let bytes = Bytes::from(format!("{name}data: {}\n\n", event.data));
        if self.next > 0 {
            sleep(Duration::from_millis(self.drip_ms)).await;
        }
        self.next += 1;
        if self.next == self.events.len() {
            self.answering.whole = true;
        }
        Some((Ok(bytes), self))
    }
}

impl Shared {
    /// Waits at a gate until it is open, or the longest wait is over.
    async fn hold(&self, hold: Option<Hold>) {
        let Some(Hold { gate, .. }) = hold else { return };
        let mut opened = self.opened.subscribe();
        let open = opened.wait_for(|_| !gate.is_empty() && self.desk.is_open(&gate));
        // A test that forgets to open is not left with an agent that waits for ever.
        let _ = timeout(Duration::from_millis(WAIT_MS_MAX), open).await;
    }
}
