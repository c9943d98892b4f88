//! 50 terminals that each draw a spinner ten times a second: what hosts and daemon use, beside a tmux server with 50
//! panes doing the same. What the spinners themselves use is in neither.

use std::fs;
use std::time::Duration;

use super::ground::Ground;
use super::proc::Used;
use super::suite::Plan;
use super::table::{Line, Samples};
use super::tmux::Tmux;

const SPINNERS: usize = 50;
/// The pieces into which the time is cut, to see a spread.
const PIECES: usize = 5;

/// Measures one after the other, because together they would crowd each other.
///
/// # Errors
/// When the sessions do not come up.
pub fn run(plan: &Plan) -> Result<Vec<Line>, String> {
    let piece = Duration::from_secs(plan.times(20, 10) as u64) / PIECES as u32;
    let ground = Ground::new(&plan.oarlock)?;
    ground.small_repository()?;
    let daemon = ground.start()?;
    ground.sessions(&daemon, SPINNERS, "spin 3600s", "working")?;
    // Their start is not part of it.
    std::thread::sleep(Duration::from_secs(2));
    let hosts: Vec<u32> = ground.hosts().into_iter().map(|(host, _)| host).collect();
    let all = [&hosts[..], &[daemon.pid]].concat();
    let ours = share(&all, piece);
    let of_daemon = share(&[daemon.pid], piece);
    drop(ground);

    let ground = Ground::new(&plan.oarlock)?;
    let peers: Vec<(String, Samples)> = tmux(&ground, piece)?.into_iter().collect();
    let line = |what: &str, ours, peers, aim, note: &str| Line {
        what: what.into(),
        unit: "% of a core",
        ours,
        peers,
        aim,
        note: note.into(),
    };
    let note =
        "from the scheduler's own count; nobody is attached, so our hosts keep bytes and draw no screen";
    Ok(vec![
        line("50 hosts and the daemon", ours, peers, "under 0.5x tmux", note),
        line("the daemon alone", of_daemon, vec![], "under 0.1 %", ""),
    ])
}

fn tmux(ground: &Ground, piece: Duration) -> Result<Option<(String, Samples)>, String> {
    let script = ground.path("spin.txt");
    fs::write(&script, "spin 3600s\n").map_err(|error| error.to_string())?;
    let command = format!("exec {} scripted {}", ground.program().display(), script.display());
    let Some(tmux) = Tmux::start(ground, &command)? else { return Ok(None) };
    tmux.fill(SPINNERS, &command)?;
    std::thread::sleep(Duration::from_secs(2));
    Ok(Some(("a tmux server with 50 panes".to_owned(), share(&[tmux.pid()?], piece))))
}

/// Returns what share of a core these processes used, in percent, piece by piece.
fn share(pids: &[u32], piece: Duration) -> Samples {
    let measure = |_| {
        let (before, begun) = (Used::of(pids), std::time::Instant::now());
        std::thread::sleep(piece);
        let used = Used::of(pids).since(&before);
        used.cpu_ns as f64 / begun.elapsed().as_nanos() as f64 * 100.0
    };
    (0..PIECES).map(measure).collect()
}
