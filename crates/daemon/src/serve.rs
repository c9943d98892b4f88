//! The daemon's life: lock, log, store, engine, socket; then requests until it is told to stop.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use oarlock_api::place::{Place, PlaceError};
use oarlock_engine::{Driver, StartError, Store, StoreError};
use oarlock_store::SqliteStore;
use oarlock_world::{Folders, World};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::feed::Feed;
use crate::footing::Lookout;
use crate::instance::{Instance, Note, write_note};
use crate::peer::Peer;
use crate::token::Tokens;
use crate::{Daemon, Patience, WallClock, http, log, now, private, stopped};

/// Connections at once: far above any crew of people and agents, far below the usual limit of open files.
const CONNECTIONS_MAX: usize = 512;
/// Connections that may wait to be accepted: Linux cuts this at its own limit, 4096 as shipped since 5.4.
const BACKLOG: i32 = 1024;
/// Threads for requests that block on git or the disk.
const BLOCKING_THREADS_MAX: usize = 16;

/// How the daemon is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program whose hidden verbs are the host and the scripted agent: oarlock itself.
    pub oarlock: PathBuf,
    /// Log to stderr instead of the log file.
    pub foreground: bool,
    /// Say `ready` on standard output once requests are taken, then let go of it.
    pub say_ready: bool,
}

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another one runs.
    #[error("a daemon is already running on {state}")]
    AlreadyRunning {
        /// The state folder.
        state: PathBuf,
    },
    /// The state folder cannot be found or made.
    #[error("failed to make the state folder")]
    Place(#[source] PlaceError),
    /// The log of facts cannot be opened.
    #[error("failed to open the log of facts")]
    Store(#[source] StoreError),
    /// The engine cannot start.
    #[error("failed to start the engine")]
    Start(#[source] StartError),
    /// What the log says and what is stored differ; found in debug builds at every start.
    #[error("the stored state differs from the log: {}", .0.join(" "))]
    Differs(Vec<String>),
    /// Something of the system failed.
    #[error("failed to {doing}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn system(doing: &'static str) -> impl FnOnce(io::Error) -> DaemonError {
    move |source| DaemonError::System { doing, source }
}

/// Runs the daemon until it is told to stop. Sessions go on without it.
///
/// # Errors
/// When it cannot start; once it runs it ends well.
pub fn run(place: &Place, options: &Options) -> Result<(), DaemonError> {
    run_patiently(place, options, Patience::default())
}

/// Runs the daemon with another patience, for tests.
///
/// # Errors
/// As [`run`].
#[doc(hidden)]
pub fn run_patiently(place: &Place, options: &Options, patience: Patience) -> Result<(), DaemonError> {
    place.make().map_err(DaemonError::Place)?;
    let Some(instance) = Instance::take(place).map_err(system("take the lock"))? else {
        return Err(DaemonError::AlreadyRunning { state: place.state().to_owned() });
    };
    if options.foreground {
        log::begin(io::stderr);
    } else {
        log::begin(log::Rolling::open(&place.log()).map_err(system("open the log file"))?);
    }
    // The folder the daemon was started in may be deleted under it; the state folder is its own.
    std::env::set_current_dir(place.state()).map_err(system("enter the state folder"))?;
    let ran = run_locked(place, options, patience, &instance);
    if let Err(error) = &ran {
        error!(error = %chain(error), "the daemon did not start");
    }
    drop(instance);
    ran
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source))).unwrap_or_default();
    format!("{error}{source}")
}

/// Makes the database before SQLite does, which would give it the usual mode; its other files take the mode from it.
fn private_database(place: &Place) -> io::Result<()> {
    let database = place.database();
    private::open(&database, OpenOptions::new().create(true).truncate(false).write(true))?;
    for end in ["-wal", "-shm"] {
        let mut name = database.clone().into_os_string();
        name.push(end);
        match private::open(Path::new(&name), OpenOptions::new().write(true)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn run_locked(
    place: &Place,
    options: &Options,
    patience: Patience,
    instance: &Instance,
) -> Result<(), DaemonError> {
    private_database(place).map_err(system("open the log of facts"))?;
    let mut store = SqliteStore::open(&place.database()).map_err(DaemonError::Store)?;
    store.prune_if_long().map_err(DaemonError::Store)?;
    if cfg!(debug_assertions) {
        let differences = store.verify().map_err(DaemonError::Store)?;
        if !differences.is_empty() {
            return Err(DaemonError::Differs(differences));
        }
    }
    let head = store.bounds().map_err(DaemonError::Store)?.1;
    let tokens = Arc::new(Tokens::open(&place.state().join("secret")).map_err(system("read the secret"))?);
    let socket = place.socket().map_err(DaemonError::Place)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build()
        .map_err(system("start the event loop"))?;
    let listener = {
        let _inside = runtime.enter();
        listen(&socket).map_err(system("listen on the socket"))?
    };
    let feed = Arc::new(Feed::new(place.database(), head, patience.behind));
    let shutdown = tokio::sync::watch::channel(false).0;
    let (driver, world) = engine(place, options, store, &feed, &tokens, Farewell(shutdown.clone()))?;
    let daemon = Arc::new(Daemon {
        place: place.clone(),
        socket: socket.clone(),
        started_at: now(),
        engine: driver.handle(),
        world,
        feed,
        tokens,
        shutdown,
        patience,
    });
    let note =
        Note { pid: std::process::id(), version: env!("CARGO_PKG_VERSION").into(), socket: socket.clone() };
    write_note(place, &note).map_err(system("write the note"))?;
    info!(pid = note.pid, socket = %socket.display(), "daemon ready");
    ready(options);
    let stop = daemon.shutdown.clone();
    let lookout = Lookout::keep(&[&place.lock(), &socket], move || {
        warn!("the lock or the socket was taken away; another daemon may take over");
        stop.send_replace(true);
    });
    if let Err(error) = &lookout {
        warn!(%error, "nobody watches whether the state folder stays");
    }
    runtime.block_on(serve(listener, daemon));
    drop(lookout);
    driver.stop();
    if instance.is_in_place(place) {
        // A later daemon makes them anew; a client that finds neither starts one.
        drop(std::fs::remove_file(&socket));
        drop(std::fs::remove_file(place.note()));
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    info!("daemon stopped; sessions go on");
    Ok(())
}

/// Stops the daemon when the engine ends, whyever: without it nothing would be answered any more, and the next daemon
/// begins where the log ends.
struct Farewell(tokio::sync::watch::Sender<bool>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

fn engine(
    place: &Place,
    options: &Options,
    store: SqliteStore,
    feed: &Arc<Feed>,
    tokens: &Arc<Tokens>,
    farewell: Farewell,
) -> Result<(Driver, Arc<World>), DaemonError> {
    let folders = Folders {
        state: place.state().to_owned(),
        runs: place.state().join("runs"),
        workspaces: place.state().join("workspaces"),
        oarlock: options.oarlock.clone(),
    };
    let (feed, tokens) = (feed.clone(), tokens.clone());
    let issue = Box::new(move |session: &str, run: u32| tokens.issue(session, run));
    let make = |handle| World::start(folders, handle, issue);
    let publish = move |published| {
        let _while_it_runs = &farewell;
        feed.publish(published);
    };
    Driver::start(store, Arc::new(WallClock), make, publish).map_err(DaemonError::Start)
}

/// Listens on the socket, private from its first moment. The lock is held, so whatever lies there is a leftover.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Linux gives the file the mode of the socket (unix_bind), so there is no moment at which others may connect, and
    // the umask of the whole process is left alone.
    rustix::fs::fchmod(&listener, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&listener, &SocketAddrUnix::new(socket)?)?;
    rustix::net::listen(&listener, BACKLOG)?;
    UnixListener::from_std(listener.into())
}

/// Tells whoever started the daemon that requests are taken, and lets go of the pipe to it.
fn ready(options: &Options) {
    if !options.say_ready {
        return;
    }
    let told = io::stdout().write_all(b"ready\n").and_then(|()| io::stdout().flush());
    let null = OpenOptions::new().write(true).open("/dev/null");
    let let_go = null.and_then(|null| Ok(rustix::stdio::dup2_stdout(&null)?));
    if let Err(error) = told.and(let_go) {
        warn!(%error, "nobody waits for readiness");
    }
}

async fn serve(listener: UnixListener, daemon: Arc<Daemon>) {
    let stop = daemon.shutdown.clone();
    tokio::spawn(async move {
        let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return error!("signals cannot be received");
        };
        tokio::select! {
            _ = term.recv() => info!("SIGTERM"),
            _ = int.recv() => info!("SIGINT"),
        }
        stop.send_replace(true);
    });
    let (router, patience) = (http::router(daemon.clone()), daemon.patience);
    let mut stop = daemon.shutdown.subscribe();
    let room = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    let mut under_way = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, _)) if is_ours(&stream) => {
                let Ok(seat) = room.clone().try_acquire_owned() else {
                    warn!("too many connections; one was dropped");
                    continue;
                };
                let (router, stop) = (router.clone(), daemon.shutdown.subscribe());
                under_way.spawn(async move {
                    connection(stream, router, patience, stop).await;
                    drop(seat);
                });
            }
            Ok(_) => warn!("another user's connection was dropped"),
            Err(error) => {
                // Out of file handles, most likely: wait for some to be closed rather than spin.
                warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while under_way.try_join_next().is_some() {}
    }
    drop(listener);
    let drained =
        tokio::time::timeout(patience.drain, async { while under_way.join_next().await.is_some() {} });
    if drained.await.is_err() {
        warn!("requests under way were cut off");
    }
}

/// Tells whether the peer runs as the same user; the socket's mode says the same, and this holds if it is changed.
fn is_ours(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::getuid().as_raw())
}

/// Tells handlers with every request who is at the other end.
struct WithPeer<S> {
    peer: Peer,
    inner: S,
}

impl<B, S: hyper::service::Service<hyper::Request<B>>> hyper::service::Service<hyper::Request<B>>
    for WithPeer<S>
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: hyper::Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.inner.call(request)
    }
}

async fn connection(
    stream: UnixStream,
    router: axum::Router,
    patience: Patience,
    mut stop: tokio::sync::watch::Receiver<bool>,
) {
    let service = WithPeer { peer: Peer::of(&stream), inner: TowerToHyperService::new(router) };
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.headers)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stopped(&mut stop) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
