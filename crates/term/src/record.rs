//! What a host leaves on disk about itself and its run's end: `host.json` and `exit.json`. It must not know who reads them.

use serde::{Deserialize, Serialize};

/// Who a host is. All three together: a pid alone is reused, and a start time alone counts from another boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostIdentity {
    /// The host's process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/PID/stat` (proc_pid_stat(5)).
    pub start_time: u64,
    /// The boot it started in: `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// Who the run's child is, in the same boot as its host. Its pid is also its process group and session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildIdentity {
    /// The child's process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
}

/// The content of `host.json`. The child is recorded by the child itself before it becomes the program, so a program
/// that ran at all is recorded, whatever dies when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The host.
    pub host: HostIdentity,
    /// The child, once it was forked.
    pub child: Option<ChildIdentity>,
    /// Whether the program is running and the socket is served.
    pub ready: bool,
}

/// How a run's child ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// It was killed by this signal.
    Signal(i32),
    /// It never ran: the program or its directory is missing, or not allowed.
    NotStarted {
        /// Why, as a sentence for a person.
        reason: String,
    },
    /// Nobody saw it: the host died before it did, or it could not be killed.
    Unknown,
}

/// The content of `exit.json`: written once, at the very end, after all output was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// How the child ended.
    pub exit: Exit,
    /// The length of `output.log` in bytes.
    pub bytes: u64,
    /// When the run ended, in milliseconds since the Unix epoch.
    pub ended_at_ms: u64,
    /// Processes of the run which could not be ended. 0 unless the kernel refused for seconds.
    pub survivors: u32,
    /// Bytes that were read and could not be kept, since the disk stayed full for minutes after the end. 0 otherwise.
    pub lost_bytes: u64,
}
