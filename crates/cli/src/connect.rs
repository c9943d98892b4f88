//! The way to the daemon: find it, or start it and wait until it takes requests.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use oarlock_api::client::Client;
use oarlock_api::place::Place;

use crate::error::CliError;
use crate::out;

/// How long a daemon may take until it takes requests: replaying a long log in a debug build is the slowest.
const READY_WAIT: Duration = Duration::from_secs(30);
/// How long another daemon is waited for before this one is started again.
const LAUNCH_AGAIN: Duration = Duration::from_millis(300);
/// Daemons of ours that may be killed while they start before a person hears of it.
const KILLED_MAX: u32 = 3;
/// How long a stopping daemon may take: its requests drain for 5 s.
const GONE_WAIT: Duration = Duration::from_secs(15);
/// Pause between two looks at a daemon that is coming or going.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Returns the socket of the daemon that runs, or ran last; else where one would listen.
pub fn socket(place: &Place) -> Result<PathBuf, CliError> {
    place.check()?;
    match oarlock_daemon::read_note(place) {
        Some(note) => Ok(note.socket),
        None => Ok(place.socket()?),
    }
}

/// Tells whether a daemon of our own listens. Somebody else's process in its place is none.
pub fn answers(place: &Place) -> bool {
    let stream = socket(place).ok().and_then(|socket| UnixStream::connect(socket).ok());
    let peer = stream.and_then(|stream| rustix::net::sockopt::socket_peercred(stream).ok());
    peer.is_some_and(|peer| peer.uid == rustix::process::getuid())
}

/// Tells whether a daemon takes requests. One that was killed goes on listening while the system takes it apart, and
/// whoever connects then is told nothing.
fn is_well(place: &Place) -> bool {
    plain_client(place).is_ok_and(|client| client.get_bytes("/healthz").is_ok())
}

/// Returns a client of the running daemon, starting one first when none runs. A daemon that dies under a request is
/// replaced, and the request made again.
pub fn client(place: &Place) -> Result<Client, CliError> {
    if !answers(place) {
        start(place)?;
    }
    let again = place.clone();
    let revive = move || {
        start(&again).ok()?;
        socket(&again).ok()
    };
    Ok(plain_client(place)?.reviving(revive))
}

/// Returns a client of the running daemon; none is started.
pub fn running(place: &Place) -> Result<Client, CliError> {
    place.check()?;
    if answers(place) {
        return plain_client(place);
    }
    Err(CliError::NoDaemon(
        format!("No daemon runs on {}.", place.state().display()),
        "Start it with \"oarlock start\".".into(),
    ))
}

fn plain_client(place: &Place) -> Result<Client, CliError> {
    let token = std::env::var("OARLOCK_TOKEN").ok().filter(|token| !token.is_empty());
    Ok(Client::new(&socket(place)?, token)?)
}

/// Makes sure that a daemon takes requests, starting one in the background when none does.
pub fn start(place: &Place) -> Result<(), CliError> {
    if std::env::var_os("OARLOCK_RUN").is_some() {
        // The run's host ends everything that was started in the run, and this daemon would be part of it.
        return Err(CliError::NoDaemon(
            "No daemon answers, and an agent may not start one.".into(),
            "Start it outside, with \"oarlock start\".".into(),
        ));
    }
    place.make()?;
    // One that was just killed may still hold the lock for a moment, and somebody else may be starting one.
    let deadline = Instant::now() + READY_WAIT;
    let mut killed = 0;
    loop {
        let mut errors = nameless(place).map_err(|error| CliError::io("write the daemon's log", &error))?;
        let ended = launch(&errors, place)?;
        if ended.is_none() || wait(LAUNCH_AGAIN, || is_well(place)) {
            return Ok(());
        }
        let signal = ended.flatten().and_then(|status| status.signal());
        killed += u32::from(signal.is_some());
        let mut why = String::new();
        // What cannot be read is as good as no word.
        let _ = errors.rewind().and_then(|()| errors.read_to_string(&mut why));
        let may_be_well = why.contains("already running") || (signal.is_some() && killed < KILLED_MAX);
        if !may_be_well || Instant::now() > deadline {
            let why =
                why.lines().map(|line| line.trim_start_matches("error: ")).collect::<Vec<_>>().join(" ");
            let why = match (why.trim(), signal) {
                ("", Some(signal)) => format!("signal {signal} ended it."),
                ("", None) => "it ended without a word.".into(),
                (why, _) => why.to_owned(),
            };
            return Err(CliError::NoDaemon(
                format!("The daemon could not be started: {}", out::clean(&why)),
                format!("Its log is {}; \"oarlock doctor\" looks further.", place.log().display()),
            ));
        }
    }
}

/// Makes a file for what a daemon says before it has its log. It has no name, so nobody else's daemon writes into it and
/// nothing is left of it; under the name it had for a moment nothing can be planted.
fn nameless(place: &Place) -> io::Result<File> {
    let path = place.state().join(format!("log/start-{}.err", std::process::id()));
    // One that was killed at this very place may have had this id.
    drop(std::fs::remove_file(&path));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Starts a daemon process. Returns nothing once it takes requests, else how it ended, as far as that came to light in time.
fn launch(errors: &File, place: &Place) -> Result<Option<Option<ExitStatus>>, CliError> {
    let stderr = errors.try_clone().map_err(|error| CliError::io("write the daemon's log", &error))?;
    let oarlock =
        std::env::current_exe().map_err(|error| CliError::io("find oarlock's own program", &error))?;
    let mut daemon = Command::new(oarlock)
        .args(["daemon", "--background"])
        .env("OARLOCK_HOME", place.state())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .map_err(|error| CliError::io("start the daemon", &error))?;
    let said = daemon.stdout.take().map(|pipe| {
        let mut word = String::new();
        // The end of the pipe without the word means that the daemon ended.
        BufReader::new(pipe.take(64)).read_line(&mut word).map(|_| word).unwrap_or_default()
    });
    if said.as_deref() == Some("ready\n") {
        return Ok(None);
    }
    let mut status = None;
    wait(LAUNCH_AGAIN, || {
        status = daemon.try_wait().ok().flatten();
        status.is_some()
    });
    Ok(Some(status))
}

/// Waits until no daemon listens. Returns whether that came true in time.
pub fn gone(place: &Place, pid: u32) -> bool {
    // One that only waits to be reaped has let go of its lock; whoever started it may never reap it.
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The state follows the name, which is in parentheses and may hold any character (proc(5)).
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    };
    wait(GONE_WAIT, || !answers(place) && !alive())
}

fn wait(limit: Duration, holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    let mut holds = holds;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
