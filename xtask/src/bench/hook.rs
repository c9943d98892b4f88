//! What a hook costs its agent, and how soon what it tells is known: the verb beside `/bin/true`, the line as agents run it, by
//! a shell, with a daemon and without one, and from the hook's start to the event at a subscriber of the feed.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::ground::{Daemon, Ground, kill, run as succeed, wait};
use super::suite::Plan;
use super::table::{Line, Samples};

/// A payload as long as one with a tool's input is.
const PAYLOAD_BYTES: usize = 2_000;
/// The agent whose hook it is, and the event.
const HOOK: [&str; 3] = ["hook", "scripted", "permission_asked"];

/// Measures all three, in turns with their peers.
///
/// # Errors
/// When a hook fails, or what it tells does not arrive.
pub fn run(plan: &Plan) -> Result<Vec<Line>, String> {
    let times = plan.times(400, 60);
    let ground = Ground::new(&plan.oarlock)?;
    ground.small_repository()?;
    let daemon = ground.start()?;
    ground.sessions(&daemon, 1, "say ready", "idle")?;
    let folder = run_folder(&daemon)?;
    let (verb, nothing) = in_turns(
        times,
        || called(&mut command(&ground, &folder, ground.program(), &HOOK)),
        || called(&mut command(&ground, &folder, Path::new("/bin/true"), &[])),
    )?;
    let line = format!("{} {}", ground.program().display(), HOOK.join(" "));
    let by_shell = |words: &str| called(&mut command(&ground, &folder, Path::new("/bin/sh"), &["-c", words]));
    let pair = || in_turns(times, || by_shell(&line), || by_shell("/bin/true"));
    let (with_daemon, beside_daemon) = pair()?;
    let (seen, ended) = until_seen(&ground, &daemon, &folder, times)?;
    kill(daemon.pid);
    wait("the daemon's end", std::time::Duration::from_millis(5), || {
        Ok(!Path::new(&format!("/proc/{}", daemon.pid)).exists())
    })?;
    let (without, beside_none) = pair()?;
    let of = |what: &str, ours: Samples, (peer, samples): (&str, Samples), aim| {
        let over = ours.median() - samples.median();
        let note = format!(
            "p95 {:.2} ms, the peer's {:.2} ms; {over:.2} ms over it in the middle",
            ours.quantile(0.95),
            samples.quantile(0.95)
        );
        Line { what: what.into(), unit: "ms", ours, peers: vec![(peer.to_owned(), samples)], aim, note }
    };
    let shell = "sh -c /bin/true";
    Ok(vec![
        of("the hook verb", verb, ("/bin/true", nothing), "p95 under 20 ms"),
        of(
            "a hook's line by a shell, a daemon at work",
            with_daemon,
            (shell, beside_daemon),
            "p95 under 20 ms",
        ),
        of("the same, the daemon away", without, (shell, beside_none), "p95 under 20 ms"),
        of(
            "from the hook's start to the event at a subscriber",
            seen,
            ("the hook's own end", ended),
            "p95 under 50 ms",
        ),
    ])
}

fn run_folder(daemon: &Daemon) -> Result<std::path::PathBuf, String> {
    let sessions = daemon.http.get("/v1/sessions")?;
    let id = sessions[0]["id"].as_str().ok_or("there is no session")?;
    let detail = daemon.http.get(&format!("/v1/sessions/{id}"))?;
    detail["runs"][0]["folder"].as_str().map(Into::into).ok_or_else(|| "there is no run".into())
}

/// Prepares a program as an agent of this run starts it.
fn command(ground: &Ground, folder: &Path, program: &Path, args: &[&str]) -> Command {
    let parts: Vec<_> = folder.iter().rev().take(2).collect();
    let mut command = ground.command(program);
    command.args(args).stdin(Stdio::piped());
    command.env("OARLOCK_INBOX", folder.join("inbox/reports.jsonl"));
    command.env("OARLOCK_RUN", Path::new(parts[1]).join(parts[0]));
    command
}

/// Runs it with a payload, and returns how long it took, in milliseconds.
fn called(command: &mut Command) -> Result<f64, String> {
    called_with(command, "make").map(|begun| begun.elapsed().as_secs_f64() * 1e3)
}

/// Runs it with a payload about something, and returns when it was started.
fn called_with(command: &mut Command, what: &str) -> Result<Instant, String> {
    let failed = |error: std::io::Error| format!("a hook failed: {error}");
    let payload = format!("{{\"what\":\"{what}\",\"input\":\"{}\"}}", "x".repeat(PAYLOAD_BYTES));
    let begun = Instant::now();
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A peer that reads nothing may be gone already.
        let _ = stdin.write_all(payload.as_bytes());
    }
    let status = child.wait().map_err(failed)?;
    status.success().then_some(begun).ok_or_else(|| format!("a hook ended with {status}"))
}

fn in_turns(
    times: usize,
    ours: impl Fn() -> Result<f64, String>,
    peer: impl Fn() -> Result<f64, String>,
) -> Result<(Samples, Samples), String> {
    let (mut first, mut second) = <(Samples, Samples)>::default();
    for _ in 0..times {
        first.0.push(ours()?);
        second.0.push(peer()?);
    }
    Ok((first, second))
}

/// Returns how long each hook's event took to a subscriber, and how long the hook itself took.
fn until_seen(
    ground: &Ground,
    daemon: &Daemon,
    folder: &Path,
    times: usize,
) -> Result<(Samples, Samples), String> {
    let mut feed = daemon.http.follow()?;
    let handle = feed.handle().map_err(|error| error.to_string())?;
    let (tell, told) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        while let Ok(event) = feed.next() {
            let at = Instant::now();
            let text = String::from_utf8_lossy(&event).into_owned();
            if text.contains("probe-") && tell.send((at, text)).is_err() {
                return;
            }
        }
    });
    let (mut seen, mut ended) = <(Samples, Samples)>::default();
    for number in 0..times {
        let what = format!("probe-{number}.");
        let begun = called_with(&mut command(ground, folder, ground.program(), &HOOK), &what)?;
        ended.0.push(begun.elapsed().as_secs_f64() * 1e3);
        loop {
            let told = told.recv_timeout(std::time::Duration::from_secs(10));
            let (at, text) = told.map_err(|_| format!("{what} did not come by the feed"))?;
            if text.contains(&what) {
                seen.0.push(at.duration_since(begun).as_secs_f64() * 1e3);
                break;
            }
        }
    }
    // A reader whose daemon hung up first has ended already.
    let _ = handle.shutdown(std::net::Shutdown::Both);
    let _ = reader.join();
    succeed(&mut ground.oarlock(&["status"]))?;
    Ok((seen, ended))
}
