//! What can go wrong between a client and a host. It must not know what was asked.

use crate::probe::ProbeError;
use crate::protocol::{ProtocolError, RefusalCode};
use std::io;
use std::path::PathBuf;

/// Why something asked of a host did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no host to talk to; [`crate::probe`] tells why.
    #[error("failed to connect to the host in {dir}")]
    Connect {
        /// The run's directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("failed to talk to the host in {dir}")]
    Io {
        /// The run's directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The host closed the connection: the run is over, or the host died.
    #[error("the host in {dir} closed the connection")]
    Closed {
        /// The run's directory.
        dir: PathBuf,
    },
    /// No answer in time.
    #[error("the host in {dir} did not answer in time")]
    TimedOut {
        /// The run's directory.
        dir: PathBuf,
    },
    /// It says something else than was asked.
    #[error("the host speaks another protocol")]
    Protocol(#[source] ProtocolError),
    /// An answer to another question.
    #[error("the host gave an answer to nothing that was asked")]
    Unexpected,
    /// The host will not do it.
    #[error("the host refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
        /// Why, for programs; `Other` where a host gives no code.
        code: RefusalCode,
    },
    /// The host is of an older version, which knows nothing of what is asked. Nothing was sent.
    #[error(
        "the host in {dir} was started before an update and cannot {wanted}; a resumed session gets a new host"
    )]
    TooOld {
        /// The run's directory.
        dir: PathBuf,
        /// What it cannot do: the rest of a sentence.
        wanted: &'static str,
    },
    /// It cannot be found out how the run stands.
    #[error("failed to find out how the run stands")]
    Probe(#[source] ProbeError),
}

impl ClientError {
    /// Returns a refusal that came without a code.
    pub(super) fn refused(reason: String) -> Self {
        Self::Refused { reason, code: RefusalCode::Other }
    }
}
