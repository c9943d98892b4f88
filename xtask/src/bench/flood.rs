//! A terminal's output on its way to the disk: through a host, through a plain loop over a bare pseudo-terminal, and
//! through tmux. The same program writes the same bytes in all three.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use serde_json::json;

use super::ground::{Ground, wait};
use super::suite::Plan;
use super::table::{Line, Samples};
use super::tmux::Tmux;

/// What is written, in bytes, and the script that writes it.
const BYTES: u64 = 100_000_000;
const SCRIPT: &str = "flood 100m ; exit 0\n";
/// Pause between two looks for the end; it is part of what is measured, and small beside seconds.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Measures in turns.
///
/// # Errors
/// When bytes are lost on our way, or a program does not start.
pub fn run(plan: &Plan) -> Result<Vec<Line>, String> {
    let ground = Ground::new(&plan.oarlock)?;
    fs::write(ground.path("flood.txt"), SCRIPT).map_err(|error| error.to_string())?;
    let (mut ours, mut bare, mut tmux) = <(Samples, Samples, Samples)>::default();
    for time in 0..plan.times(5, 2) {
        let rate = |seconds: f64| BYTES as f64 / 1e6 / seconds;
        ours.0.push(rate(through_host(&ground, &ground.path(&format!("run-{time}")))?));
        bare.0.push(rate(through_loop(&ground)?));
        tmux.0.extend(through_tmux(&ground)?.map(rate));
    }
    let mut peers = vec![("a bare pty and a plain loop".to_owned(), bare)];
    if !tmux.0.is_empty() {
        peers.push(("tmux pipe-pane into cat".to_owned(), tmux));
    }
    Ok(vec![Line {
        what: "100 MB onto the disk".into(),
        unit: "MB/s",
        ours,
        peers,
        aim: "at least 0.9x the bare loop, 4x tmux",
        note:
            "from the start of host, loop or program until the last byte is in the file; nobody is attached"
                .into(),
    }])
}

/// Starts a host by itself, as `oarlock_term::ensure` does: its lock as stdin, a word on stdout when it is ready.
fn through_host(ground: &Ground, folder: &Path) -> Result<f64, String> {
    let failed = |error: std::io::Error| format!("failed to start a host: {error}");
    fs::create_dir(folder).map_err(failed)?;
    let script = ground.path("flood.txt");
    let spec = json!({
        "run": "bench-0",
        "argv": [ground.program(), "scripted", script],
        "cwd": folder,
        "env": [["TERM", "xterm-256color"]],
        "io": {"pty": {"size": {"rows": 24, "cols": 80}}},
        "grace_ms": 1000,
    });
    fs::write(folder.join("spec.json"), spec.to_string()).map_err(failed)?;
    let lock = File::options().create(true).truncate(false).write(true).open(folder.join("host.lock"));
    let lock = lock.map_err(failed)?;
    lock.lock().map_err(failed)?;
    let begun = Instant::now();
    let mut command = ground.command(ground.program());
    let mut host =
        command.arg("host").arg(folder).stdin(lock).stdout(Stdio::piped()).spawn().map_err(failed)?;
    // The command still holds the lock's descriptor, and the host must be its only holder.
    drop(command);
    let mut word = String::new();
    if let Some(pipe) = host.stdout.take() {
        BufReader::new(pipe).read_line(&mut word).map_err(failed)?;
    }
    if word.trim() != "ready" {
        return Err(format!("the host says {word:?} and not that it is ready"));
    }
    host.wait().map_err(failed)?;
    wait("the end of the run", LOOK_EVERY, || Ok(folder.join("exit.json").exists()))?;
    let seconds = begun.elapsed().as_secs_f64();
    whole(&folder.join("output.log"), "the host")?;
    Ok(seconds)
}

/// Says how many bytes are missing, if any.
fn whole(path: &Path, who: &str) -> Result<(), String> {
    let length = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?.len();
    if length >= BYTES { Ok(()) } else { Err(format!("{who} kept {length} of {BYTES} bytes")) }
}

fn through_loop(ground: &Ground) -> Result<f64, String> {
    let failed = |error: std::io::Error| format!("failed to use a pseudo-terminal: {error}");
    let begun = Instant::now();
    let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
    let ours = ours.map_err(|error| failed(error.into()))?;
    rustix::pty::grantpt(&ours).map_err(|error| failed(error.into()))?;
    rustix::pty::unlockpt(&ours).map_err(|error| failed(error.into()))?;
    let name = rustix::pty::ptsname(&ours, Vec::new()).map_err(|error| failed(error.into()))?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(&name, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let theirs = File::from(theirs);
    let mut command = ground.command(ground.program());
    command.arg("scripted").arg(ground.path("flood.txt"));
    command
        .stdin(theirs.try_clone().map_err(failed)?)
        .stdout(theirs.try_clone().map_err(failed)?)
        .stderr(theirs);
    let mut child = command.spawn().map_err(failed)?;
    // With an end of the terminal still open here, the loop would never end.
    drop(command);
    let path = ground.path("loop.log");
    let mut file = File::create(&path).map_err(failed)?;
    let mut terminal = File::from(ours);
    let mut piece = [0; 65536];
    // EIO is how a terminal says that nobody holds its other end.
    while let Ok(length @ 1..) = terminal.read(&mut piece) {
        file.write_all(&piece[..length]).map_err(failed)?;
    }
    child.wait().map_err(failed)?;
    let seconds = begun.elapsed().as_secs_f64();
    whole(&path, "the loop")?;
    Ok(seconds)
}

fn through_tmux(ground: &Ground) -> Result<Option<f64>, String> {
    let (go, log, script) = (ground.path("go"), ground.path("tmux.log"), ground.path("flood.txt"));
    let _ = fs::remove_file(&go);
    let _ = fs::remove_file(&log);
    let program = ground.program().display();
    let command = format!(
        "while [ ! -e {} ]; do sleep 0.01; done; exec {program} scripted {}",
        go.display(),
        script.display()
    );
    let Some(tmux) = Tmux::start(ground, &command)? else { return Ok(None) };
    tmux.tell(&["pipe-pane", &format!("exec cat > {}", log.display())])?;
    wait("tmux's pipe", LOOK_EVERY, || Ok(log.exists()))?;
    let begun = Instant::now();
    fs::write(&go, "").map_err(|error| error.to_string())?;
    let whole = || Ok(fs::metadata(&log).is_ok_and(|meta| meta.len() >= BYTES));
    wait("tmux's bytes", LOOK_EVERY, whole)?;
    Ok(Some(begun.elapsed().as_secs_f64()))
}
