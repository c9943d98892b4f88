//! The host: one small process per run which owns the child, keeps its bytes and reports its end.
//!
//! A run lives in a directory. [`ensure`] starts a host there, or adopts the one that is there; the host starts the
//! child in a pseudo-terminal or behind pipes, appends every byte it says to `output.log`, serves [`Client`]s over a
//! unix socket, and leaves `exit.json` when the run is over. It outlives whoever called [`ensure`].
//!
//! It must not know what runs in it: no agents, sessions, playbooks or daemon, and nothing of ours below it.
//! Linux only: identity comes from `/proc`, and the end of a whole tree from subreapers and pidfds.

mod attach;
mod client;
mod dir;
pub mod display;
mod ensure;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod host;
mod modes;
mod probe;
mod process;
pub mod protocol;
mod record;
mod screen;
mod signals;
mod socket;
mod spec;
mod sweep;
mod typed;

pub use attach::{AttachEnd, AttachError, AttachOptions, DETACH_KEY, attach};
pub use client::{Client, ClientError, ConnectOptions, Event, Events, Screens, Seen, connect_stream};
pub use dir::RunDir;
pub use ensure::{EnsureError, Started, ensure};
pub use host::host_main;
pub use probe::{Probe, ProbeError, probe};
pub use record::{ChildIdentity, Exit, ExitRecord, HostIdentity, Identity};
pub use screen::{REPLAY_BYTES_MAX, Screen, ScreenError, render};
pub use spec::{Io, RUN_MARK, Size, Spec};
pub use sweep::{SweepError, Swept, sweep};
