//! The log as clients follow it: subscribe first, replay from the store, then go on live, dropping what was seen.
//!
//! A subscriber is bounded: one that falls too far behind is cut off and can come back with its cursor, so that a
//! stalled browser never costs the daemon memory.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oarlock_engine::{Published, Stamped, Store, StoreError};
use oarlock_store::SqliteStore;
use tokio::sync::{broadcast, watch};

/// Lines read from the store at once while replaying.
const REPLAY_LINES: usize = 500;
/// Readers of the file kept open between uses: each holds three handles, and more than a few never read at once.
const READERS_KEPT: usize = 4;

/// Hands out the log as it grows.
pub(crate) struct Feed {
    live: broadcast::Sender<Published>,
    head: watch::Sender<u64>,
    database: PathBuf,
    readers: Mutex<Vec<SqliteStore>>,
}

/// What a cursor means to this log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// Everything after it is kept.
    Good(u64),
    /// It is older than what is kept, or not of this log; the position to go on from.
    Reset(u64),
}

impl Feed {
    /// Makes the feed of the log in a database. A subscriber may fall so many steps behind before it is cut off.
    pub(crate) fn new(database: PathBuf, head: u64, behind_max: usize) -> Self {
        let (live, head) = (broadcast::channel(behind_max).0, watch::channel(head).0);
        Self { live, head, database, readers: Mutex::default() }
    }

    /// Shows a step to everybody who follows. Called by the engine's thread after the step is durable.
    pub(crate) fn publish(&self, published: Published) {
        let head = published.lines.last().map(|stamped| stamped.seq);
        // Nobody may be listening.
        drop(self.live.send(published));
        if let Some(head) = head {
            self.head.send_replace(head);
        }
    }

    /// Returns the position of the last line shown.
    pub(crate) fn head(&self) -> u64 {
        *self.head.borrow()
    }

    /// Returns a receiver that wakes at every step.
    pub(crate) fn steps(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Begins to receive live steps.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Published> {
        self.live.subscribe()
    }

    /// Judges a cursor against what is kept.
    pub(crate) fn judge(&self, since: u64) -> Result<Cursor, StoreError> {
        let (first, last) = self.reading(Store::bounds)?;
        let kept = since.saturating_add(1) >= first && since <= last;
        Ok(if kept { Cursor::Good(since) } else { Cursor::Reset(last) })
    }

    /// Reads the next lines after a position.
    pub(crate) fn replay(&self, after: u64, limit: usize) -> Result<Vec<Stamped>, StoreError> {
        self.reading(|reader| reader.read(after, limit.min(REPLAY_LINES)))
    }

    /// Lends a reader of the file. One that failed is not used again.
    fn reading<T>(&self, read: impl FnOnce(&SqliteStore) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle().pop();
        let reader = match idle {
            Some(reader) => reader,
            None => SqliteStore::open_reader(&self.database)?,
        };
        let found = read(&reader)?;
        let mut idle = self.idle();
        if idle.len() < READERS_KEPT {
            idle.push(reader);
        }
        Ok(found)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SqliteStore>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
