//! 50 real hosts whose agents draw what a known one was recorded to draw, again and again, as fast as their terminals take
//! it: what the daemon uses, which looks at those screens, beside the same hosts with an agent that stands still.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::ground::{Ground, json, run as succeed, wait};
use super::proc::Used;
use super::suite::Plan;
use super::table::{Line, Samples};

const AGENTS: usize = 50;
/// The pieces into which the time is cut, to see a spread.
const PIECES: usize = 5;

/// Measures both, one after the other.
///
/// # Errors
/// When the hosts do not come up.
pub fn run(plan: &Plan) -> Result<Vec<Line>, String> {
    let piece = Duration::from_secs(plan.times(20, 10) as u64) / PIECES as u32;
    let loops = "while :; do cat \"$SCREENS\"; done";
    let (busy_daemon, busy_hosts, written) = shares(plan, loops, piece)?;
    let (idle_daemon, idle_hosts, _) = shares(plan, "cat \"$SCREENS\"; exec cat >/dev/null", piece)?;
    let line = |what: &str, ours, peer, aim, note: String| Line {
        what: what.into(),
        unit: "% of a core",
        ours,
        peers: vec![("the same, standing still".to_owned(), peer)],
        aim,
        note,
    };
    let note = format!("the agents write {written:.1} MB/s in all, and are not in either figure");
    Ok(vec![
        line("the daemon, 50 agents drawing", busy_daemon, idle_daemon, "under 50 %", note),
        line("their 50 hosts", busy_hosts, idle_hosts, "", String::new()),
    ])
}

/// Returns what the daemon and the hosts use while 50 agents run this, and how much they write, in MB/s.
fn shares(plan: &Plan, script: &str, piece: Duration) -> Result<(Samples, Samples, f64), String> {
    let failed = |error: std::io::Error| format!("failed to set up the agents: {error}");
    let ground = Ground::new(&plan.oarlock)?;
    ground.small_repository()?;
    let screens = ground.path("screens");
    fs::write(&screens, recorded()?).map_err(failed)?;
    let program = ground.path("claude");
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && exec echo '2.1.329 (Claude Code)'\nSCREENS='{}'\n{script}\n",
        screens.display()
    );
    fs::write(&program, text).map_err(failed)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    let with = |args: &[&str]| {
        let mut command = ground.oarlock(args);
        command.env("OARLOCK_CLAUDE_CODE_PROGRAM", &program);
        command
    };
    succeed(&mut with(&["start"]))?;
    let daemon = ground.daemon()?;
    let count = AGENTS.to_string();
    succeed(&mut with(&[
        "spawn",
        &count,
        "--agent",
        "claude-code",
        "--hold",
        "terminal",
        "--name",
        "agent",
    ]))?;
    wait("50 hosts", Duration::from_millis(50), || Ok(ground.hosts().len() == AGENTS))?;
    // Their start is not part of it.
    std::thread::sleep(Duration::from_secs(3));
    let hosts: Vec<u32> = ground.hosts().into_iter().map(|(host, _)| host).collect();
    let (mut of_daemon, mut of_hosts) = <(Samples, Samples)>::default();
    let (begun, before) = (Instant::now(), output_bytes(&ground.path("state/runs")));
    for _ in 0..PIECES {
        let (daemon_before, hosts_before) = (Used::of(&[daemon.pid]), Used::of(&hosts));
        let piece_begun = Instant::now();
        std::thread::sleep(piece);
        let ns = piece_begun.elapsed().as_nanos() as f64;
        of_daemon.0.push(Used::of(&[daemon.pid]).since(&daemon_before).cpu_ns as f64 / ns * 100.0);
        of_hosts.0.push(Used::of(&hosts).since(&hosts_before).cpu_ns as f64 / ns * 100.0);
    }
    let written = output_bytes(&ground.path("state/runs")).saturating_sub(before);
    let rate = written as f64 / 1e6 / begun.elapsed().as_secs_f64();
    json(&mut ground.oarlock(&["ls", "--json"]))?;
    Ok((of_daemon, of_hosts, rate))
}

/// Returns the recorded screens, each drawn on an empty one.
fn recorded() -> Result<Vec<u8>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/samples/claude-code/screens");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut bytes = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "txt")) {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        bytes.extend(b"\x1b[2J\x1b[H");
        bytes.extend(text.trim_end().replace('\n', "\r\n").bytes());
    }
    Ok(bytes)
}

fn output_bytes(runs: &Path) -> u64 {
    let folders = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let logs = folders(runs).flat_map(|session| folders(&session).collect::<Vec<_>>());
    logs.filter_map(|run| Some(fs::metadata(run.join("output.log")).ok()?.len())).sum()
}
