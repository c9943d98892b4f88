//! What clients and the daemon say to each other: wire types, exit codes, places, and the typed client.
//!
//! Facts and effects do not appear here: the wire has its own types, converted by hand, so that the core can change
//! without breaking a client.

pub mod client;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod place;
pub mod wire;

/// Exit codes of the command line. They are API: documented, never reused.
pub mod exit {
    /// It worked.
    pub const OK: u8 = 0;
    /// It failed.
    pub const FAILED: u8 = 1;
    /// The command line was wrong.
    pub const USAGE: u8 = 2;
    /// It was refused; the reason has a code and a hint.
    pub const REFUSED: u8 = 3;
    /// What was named does not exist.
    pub const NOT_FOUND: u8 = 4;
    /// No daemon answers, and none could be started.
    pub const NO_DAEMON: u8 = 5;
    /// The person interrupted it.
    pub const INTERRUPTED: u8 = 130;
}

/// The header that carries a client's id for a wish: the same id is the same wish, however often it arrives
/// (the Idempotency-Key draft of the IETF's HTTP API group).
pub const REQUEST_HEADER: &str = "idempotency-key";
/// The header that carries a run's capability: such a caller may claim and send for its own session, and not land.
pub const TOKEN_HEADER: &str = "oarlock-token";
