//! The daemon: configuration, the HTTP surface, the feed, signals. The only place that names concrete types together.

mod event;
mod examine;
mod feed;
mod footing;
mod http;
mod instance;
mod log;
mod metrics;
mod peer;
mod private;
mod serve;
mod token;
mod view;

pub use examine::examine;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use http::fuzzing;
pub use http::openapi;
pub use instance::{Note, read_note};
#[doc(hidden)]
pub use serve::run_patiently;
pub use serve::{DaemonError, Options, run};

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oarlock_api::place::Place;
use oarlock_core::ids::Timestamp;
use oarlock_engine::{Clock, Handle};
use oarlock_world::World;

/// The wall clock.
pub(crate) struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        now()
    }
}

/// Returns the present moment; before 1970 it is 0.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Everything a handler needs.
pub(crate) struct Daemon {
    pub place: Place,
    pub socket: std::path::PathBuf,
    pub started_at: Timestamp,
    pub engine: Handle,
    pub world: Arc<World>,
    pub feed: Arc<feed::Feed>,
    pub tokens: Arc<token::Tokens>,
    pub shutdown: tokio::sync::watch::Sender<bool>,
    pub patience: Patience,
}

/// How long the daemon waits for others. Tests make it short.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Patience {
    /// For a client's request line and headers.
    pub headers: Duration,
    /// For the rest of a request's body.
    pub body: Duration,
    /// Between two signs of life to a client that follows.
    pub heartbeat: Duration,
    /// For requests under way once the daemon stops.
    pub drain: Duration,
    /// Steps of the log that a client that follows may fall behind before it is cut off.
    pub behind: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(10),
            // 4 MiB over a socket on the same machine take milliseconds; the rest is for a machine deep in swap.
            body: Duration::from_secs(30),
            // Proxies cut a connection that is silent for 30 s.
            heartbeat: Duration::from_secs(15),
            drain: Duration::from_secs(5),
            // Seconds of the busiest crew, a few hundred kilobytes.
            behind: 1_024,
        }
    }
}

/// Waits until the daemon is told to stop.
pub(crate) async fn stopped(stop: &mut tokio::sync::watch::Receiver<bool>) {
    // The sender is gone only when the daemon is, which is as good as being told.
    drop(stop.wait_for(|stop| *stop).await);
}
