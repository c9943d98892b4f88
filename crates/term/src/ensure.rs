//! Starting a host, or adopting the one that is there. Safe to call twice, at once, and after a crash between any two
//! steps: the lock is taken before anything is decided and handed to the host, so it is never free in between.
//! It must not know how a host does its work.

use crate::dir::RunDir;
use crate::process;
use crate::record::{Exit, ExitRecord, HostIdentity, Identity};
use crate::spec::Spec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a host may take to be ready. It takes milliseconds; a machine deep in swap takes seconds.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks at a host somebody else is starting. It takes milliseconds, and nobody else can tell us.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The end of a host's own log that is quoted when it failed, in bytes: a few lines.
const QUOTE_BYTES_MAX: u64 = 2048;

/// A run whose program was started: by this call, or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its host.
    pub host: HostIdentity,
    /// The child's process id.
    pub child_pid: u32,
    /// Whether it was there before this call.
    pub adopted: bool,
    /// How the run ended, if it is over already.
    pub ended: Option<ExitRecord>,
}

/// Why no program runs.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// The spec describes nothing that could be run.
    #[error("the spec cannot be run: {fault}")]
    BadSpec {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The program could not be started. The run is over: `exit.json` says the same.
    #[error("the program could not be started: {reason}")]
    NotStarted {
        /// Why.
        reason: String,
    },
    /// A host was here, started the program, and died. Starting it again would run it twice: sweep, and start a new run.
    #[error("the host of the run in {dir} is lost")]
    Lost {
        /// The run's directory.
        dir: PathBuf,
    },
    /// The host itself failed before it was ready.
    #[error("the host did not come up in {dir}: {detail}")]
    HostFailed {
        /// The run's directory.
        dir: PathBuf,
        /// What it said.
        detail: String,
    },
    /// It was not ready in time. It may be later: ask again.
    #[error("the host in {dir} was not ready within {} s", READY_WITHIN.as_secs())]
    TimedOut {
        /// The run's directory.
        dir: PathBuf,
    },
    /// A file of the run cannot be read or written.
    #[error("failed to {doing} in {dir}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The run's directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The host's program cannot be started.
    #[error("failed to start the host program {program:?}")]
    Spawn {
        /// The program.
        program: OsString,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Makes sure that a run's program is started exactly once, and returns when it runs. `host_argv` is the command that
/// calls [`crate::host_main`], its program an absolute path; the directory is added as its last argument. It gets no
/// environment.
///
/// # Errors
/// When nothing was started, and why. Only after `TimedOut` and `Io` does it make sense to ask again.
pub fn ensure(dir: &Path, spec: &Spec, host_argv: &[OsString]) -> Result<Started, EnsureError> {
    if let Some(fault) = spec.fault() {
        return Err(EnsureError::BadSpec { fault });
    }
    let doing = |doing| move |source| EnsureError::Io { doing, dir: dir.to_owned(), source };
    let run = RunDir::new(dir);
    run.create().map_err(doing("make the run's directory"))?;
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let lock = run.try_lock().map_err(doing("take the host's lock"))?;
        let identity = run.read_identity().map_err(doing("read who the host is"))?;
        if let Some(record) = run.read_exit().map_err(doing("read the run's end"))? {
            return ended(dir, identity, record, true);
        }
        match (lock, identity) {
            (Some(_), Some(Identity { child: Some(_), .. })) => {
                return Err(EnsureError::Lost { dir: dir.to_owned() });
            }
            (Some(lock), _) => {
                run.write_json(&run.spec(), spec).map_err(doing("write the spec"))?;
                start(&run, host_argv, lock, deadline)?;
                return started(&run, false).map_err(doing("read who the host is"))?;
            }
            (None, Some(Identity { host, child: Some(_), ready: true })) => {
                // A lock may outlive its host for the blink between a fork and an exec somewhere else.
                if process::host_is_alive(&host).map_err(doing("look for the host"))? {
                    return started(&run, true).map_err(doing("read who the host is"))?;
                }
            }
            (None, _) => {}
        }
        if Instant::now() >= deadline {
            return Err(EnsureError::TimedOut { dir: dir.to_owned() });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Starts a host and waits for its word. The lock goes to it as its stdin.
fn start(run: &RunDir, host_argv: &[OsString], lock: File, deadline: Instant) -> Result<(), EnsureError> {
    let dir = || run.path().to_owned();
    let doing = |doing| move |source| EnsureError::Io { doing, dir: dir(), source };
    let errors = OpenOptions::new().create(true).append(true).mode(0o600).open(run.errors());
    let errors = errors.map_err(doing("open the host's log"))?;
    let absolute = std::path::absolute(run.path()).map_err(doing("find the run's directory"))?;
    let Some((program, arguments)) = host_argv.split_first() else {
        return Err(EnsureError::HostFailed { dir: dir(), detail: "no host command was given".into() });
    };
    // Nothing of the environment: a mark in it would make the host part of the run that its starter belongs to.
    let spawned = Command::new(program)
        .args(arguments)
        .arg(absolute)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(lock))
        .stdout(Stdio::piped())
        .stderr(Stdio::from(errors))
        .spawn();
    let mut child = spawned.map_err(|source| EnsureError::Spawn { program: program.clone(), source })?;
    let word = hear(&mut child, deadline).map_err(doing("wait for the host"))?;
    match word {
        Word::Ready => {
            // It forked away from itself before it said so: this is the empty first half, which has ended.
            child.wait().map_err(doing("collect the host's first half")).map(drop)
        }
        Word::Silence => {
            let _ = child.wait();
            Err(EnsureError::HostFailed { dir: dir(), detail: quote(run) })
        }
        Word::Late => {
            // Its first half ended long ago, and would stay a zombie of ours.
            let _ = child.try_wait();
            Err(EnsureError::TimedOut { dir: dir() })
        }
    }
}

enum Word {
    Ready,
    /// The pipe closed without a word: it died.
    Silence,
    Late,
}

fn hear(child: &mut Child, deadline: Instant) -> io::Result<Word> {
    let Some(mut pipe) = child.stdout.take() else { return Ok(Word::Silence) };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(Word::Late),
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut word = [0; 16];
    Ok(if pipe.read(&mut word)? > 0 { Word::Ready } else { Word::Silence })
}

fn started(run: &RunDir, adopted: bool) -> io::Result<Result<Started, EnsureError>> {
    let identity = run.read_identity()?;
    if let Some(record) = run.read_exit()? {
        return Ok(ended(run.path(), identity, record, adopted));
    }
    Ok(match identity {
        Some(Identity { host, child: Some(child), .. }) => {
            Ok(Started { host, child_pid: child.pid, adopted, ended: None })
        }
        _ => {
            Err(EnsureError::HostFailed { dir: run.path().to_owned(), detail: "it left no identity".into() })
        }
    })
}

fn ended(
    dir: &Path,
    identity: Option<Identity>,
    record: ExitRecord,
    adopted: bool,
) -> Result<Started, EnsureError> {
    match (record.exit.clone(), identity) {
        (Exit::NotStarted { reason }, _) => Err(EnsureError::NotStarted { reason }),
        (_, Some(Identity { host, child: Some(child), .. })) => {
            Ok(Started { host, child_pid: child.pid, adopted, ended: Some(record) })
        }
        (_, _) => Err(EnsureError::Lost { dir: dir.to_owned() }),
    }
}

/// Returns the end of the host's own log.
fn quote(run: &RunDir) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(run.errors())?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(QUOTE_BYTES_MAX)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    match read() {
        Ok(text) if !text.is_empty() => text,
        Ok(_) => "it said nothing".to_owned(),
        Err(error) => format!("its log cannot be read: {error}"),
    }
}
