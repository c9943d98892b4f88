//! The one loop: take input, stamp, append, fold, decide, perform.
//!
//! It owns the traits of everything it needs from outside: [`Store`], [`Perform`], [`Clock`]. It must not know what
//! implements them, nor start a process, nor open a file.

mod driver;
mod engine;
mod memory;
mod steady;

pub use driver::{Driver, Handle, Published, StartError};
pub use engine::{Answer, Engine, Input, Job, Lane, NoAnswer, QUICK_MAX, SLOW_MAX, Step};
pub use memory::MemoryStore;

use oarlock_core::crew::{Crew, Line};
use oarlock_core::ids::{SessionId, Timestamp};
use oarlock_core::machine::Scope;
use oarlock_core::session::{Session, fact::Fact};

/// A line of the log with its place and its stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// Position in the log, from 1, without gaps.
    pub seq: u64,
    /// When it was appended.
    pub at: Timestamp,
    /// What it says.
    pub line: Line,
}

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file was written by a newer oarlock.
    #[error("{path} was written by a newer oarlock (format {found}, this one knows {known})")]
    Newer {
        /// The file.
        path: String,
        /// Its format.
        found: i64,
        /// The newest format this build reads.
        known: i64,
    },
    /// The file is something else.
    #[error("{path} is not a log of oarlock")]
    NotOurs {
        /// The file.
        path: String,
    },
    /// A stored line or snapshot cannot be read.
    #[error("the log is damaged at {place}")]
    Damaged {
        /// Where: a position in the log or a scope.
        place: String,
        /// What the reader said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Reading or writing failed.
    #[error("failed to {doing} the log")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The durable log, and the states it led to as far as the store keeps them to start from.
pub trait Store: Send {
    /// Reads the state as of the last line, and that line's position.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or is newer than this build.
    fn load(&mut self) -> Result<(Crew, u64, Timestamp), StoreError>;

    /// Appends lines, all or nothing, durable when it returns. `crew` is the state they led to, for the store to keep when it
    /// likes.
    ///
    /// # Errors
    /// When nothing was written.
    fn append(&mut self, lines: &[Stamped], crew: &Crew) -> Result<(), StoreError>;

    /// Reads at most `limit` lines after a position, in order.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    fn read(&self, after: u64, limit: usize) -> Result<Vec<Stamped>, StoreError>;

    /// Returns the position of the oldest line kept (1 when all are), and of the newest.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn bounds(&self) -> Result<(u64, u64), StoreError>;

    /// Folds the whole log again and compares it with the stored state; returns a sentence per difference.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    fn verify(&self) -> Result<Vec<String>, StoreError>;
}

/// Whatever acts on the world. Blocking: it is called on a thread of its own.
pub trait Perform: Send + Sync {
    /// Does what the job says and returns what came of it, as facts of the job's session.
    fn perform(&self, job: &Job) -> Vec<Fact>;

    /// Hears of every change of a session's state, to watch what its runs and workspace do. Must return quickly.
    fn changed(&self, id: &SessionId, scope: &Scope<Session>);
}

/// The only source of time.
pub trait Clock: Send + Sync {
    /// Returns the present moment.
    fn now(&self) -> Timestamp;
}
