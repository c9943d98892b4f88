//! The body of the host process: it detaches itself, starts the child, and serves until the run is over.
//! It must not know who started it; everything it needs is in its directory.

mod answer;
mod below;
mod delivery;
mod detach;
mod ending;
mod inbox;
mod input;
mod launch;
mod output;
mod pace;
mod service;
mod terminal;
mod viewer;

use crate::dir::RunDir;
use crate::process;
use crate::record::{Exit, ExitRecord, Identity};
use crate::signals::{self, SignalPipe};
use crate::socket;
use crate::spec::Spec;
use crate::sweep::now_ms;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Runs a host in this directory: the body of the hidden verb `host DIR`. The first process returns at once; a second
/// one, detached from everything, is the host and returns when the run is over.
///
/// Call it first in a process without threads: it closes all other descriptors and forks. stdout is where it says that
/// it is ready; stdin may hold the lock of the directory, taken by the caller.
pub fn host_main(dir: &Path) -> ExitCode {
    match serve(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "oarlock host: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Opens the record of accepted messages, adds one, and returns whether it was known before: for fuzzers.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzzing_note_typed(run: &RunDir, id: &str) -> io::Result<bool> {
    let mut inbox = inbox::Inbox::open(run)?;
    let known = inbox.state(id) != crate::protocol::MessageState::Unknown;
    inbox.ended(id, 0, crate::protocol::MessageState::Typed);
    Ok(known)
}

fn serve(dir: &Path) -> io::Result<()> {
    let run = RunDir::new(std::path::absolute(dir)?);
    // Whoever calls it by hand is told here; after the fork nobody hears it.
    if run.read_spec()?.is_none() {
        return Err(io::Error::other(format!("{} is no folder of a run: there is no spec", dir.display())));
    }
    detach::close_inherited();
    let lock = detach::take_lock(&run)?;
    if detach::is_first_half()? {
        return Ok(());
    }
    let ready = detach::leave_everything(&run)?;
    let signals = SignalPipe::install(&[libc::SIGCHLD, libc::SIGTERM])?;
    signals::ignore(&[libc::SIGHUP, libc::SIGINT, libc::SIGPIPE, libc::SIGXFSZ])?;
    signals::unblock_all();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let _ = rustix::thread::set_name(c"oarlock-host");
    let spec = run.read_spec()?.ok_or_else(|| io::Error::other("there is no spec"))?;
    let ended = start_and_serve(&run, &spec, signals, ready);
    let _ = std::fs::remove_file(run.socket());
    drop(lock);
    ended
}

fn start_and_serve(run: &RunDir, spec: &Spec, signals: SignalPipe, ready: File) -> io::Result<()> {
    let mut identity = Identity { host: process::own_identity()?, child: None, ready: false };
    run.write_json(&run.identity(), &identity)?;
    let listener = socket::listen(run)?;
    let output = output::Output::open(run)?;
    let inbox = inbox::Inbox::open(run)?;
    let (child, terminal) = match launch::launch(run, spec, &identity) {
        Ok(launched) => launched,
        Err(reason) => {
            let record = ExitRecord {
                exit: Exit::NotStarted { reason },
                bytes: 0,
                ended_at_ms: now_ms(),
                survivors: 0,
                lost_bytes: 0,
            };
            run.write_json_through(&run.exit(), &record)?;
            return say_ready(ready);
        }
    };
    identity.child = Some(child);
    identity.ready = true;
    run.write_json(&run.identity(), &identity)?;
    say_ready(ready)?;
    service::Service::new(run, spec, identity, signals, listener, output, inbox, terminal).run()
}

/// Tells the caller, who may be gone: that changes nothing.
fn say_ready(mut ready: File) -> io::Result<()> {
    match ready.write_all(b"ready\n") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
