//! The way to the daemon: find it, or start it and wait until it takes requests.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oarlock_api::client::Client;
use oarlock_api::place::Place;

use crate::error::CliError;
use crate::out;

/// How long a daemon may take until it takes requests: replaying a long log in a debug build is the slowest.
const READY_WAIT: Duration = Duration::from_secs(30);
/// How long a stopping daemon may take: its requests drain for 5 s.
const GONE_WAIT: Duration = Duration::from_secs(15);
/// Pause between two looks at a daemon that is coming or going.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Returns the socket of the daemon that runs, or ran last; else where one would listen.
pub fn socket(place: &Place) -> Result<PathBuf, CliError> {
    match oarlock_daemon::read_note(place) {
        Some(note) => Ok(note.socket),
        None => Ok(place.socket()?),
    }
}

/// Tells whether a daemon listens.
pub fn answers(place: &Place) -> bool {
    socket(place).is_ok_and(|socket| UnixStream::connect(socket).is_ok())
}

/// Returns a client of the running daemon, starting one first when none runs.
pub fn client(place: &Place) -> Result<Client, CliError> {
    if !answers(place) {
        start(place)?;
    }
    let token = std::env::var("OARLOCK_TOKEN").ok().filter(|token| !token.is_empty());
    Ok(Client::new(&socket(place)?, token)?)
}

/// Returns a client of the running daemon; none is started.
pub fn running(place: &Place) -> Result<Client, CliError> {
    if !answers(place) {
        return Err(CliError::NoDaemon(
            format!("No daemon runs on {}.", place.state().display()),
            "Start it with \"oarlock start\".".into(),
        ));
    }
    let token = std::env::var("OARLOCK_TOKEN").ok().filter(|token| !token.is_empty());
    Ok(Client::new(&socket(place)?, token)?)
}

/// Starts a daemon in the background and returns once it takes requests.
pub fn start(place: &Place) -> Result<(), CliError> {
    if std::env::var_os("OARLOCK_RUN").is_some() {
        // The run's host ends everything that was started in the run, and this daemon would be part of it.
        return Err(CliError::NoDaemon(
            "No daemon answers, and an agent may not start one.".into(),
            "Start it outside, with \"oarlock start\".".into(),
        ));
    }
    place.make()?;
    let errors = place.state().join("log/start.err");
    let stderr = File::create(&errors).map_err(|error| CliError::io("write the daemon's log", &error))?;
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
        return Ok(());
    }
    // Somebody else may have started one at the same moment: then that one is as good.
    if wait(READY_WAIT, || answers(place) || daemon.try_wait().is_ok_and(|ended| ended.is_some()))
        && answers(place)
    {
        return Ok(());
    }
    if wait(Duration::from_secs(2), || answers(place)) {
        return Ok(());
    }
    let why = std::fs::read_to_string(&errors).unwrap_or_default();
    let why = why.lines().map(|line| line.trim_start_matches("error: ")).collect::<Vec<_>>().join(" ");
    Err(CliError::NoDaemon(
        format!("The daemon could not be started: {}", out::clean(why.trim())),
        format!("Its log is {}; \"oarlock doctor\" looks further.", place.log().display()),
    ))
}

/// Waits until no daemon listens. Returns whether that came true in time.
pub fn gone(place: &Place, pid: u32) -> bool {
    let alive = || {
        let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
        pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
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
