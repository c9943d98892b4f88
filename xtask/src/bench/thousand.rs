//! A thousand idle sessions: whether they come up, what they hold, what they cost.

use std::time::{Duration, Instant};

use super::ground::{Ground, timed_ms};
use super::proc::{self, Used};
use super::suite::Plan;
use super::table::{Line, Samples};

const SESSIONS: usize = 1_000;
/// How long they idle before it is counted, and while.
const SETTLE: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_secs(20);

/// Brings them up and looks.
///
/// # Errors
/// When one does not come up.
pub fn run(plan: &Plan) -> Result<Vec<Line>, String> {
    let ground = Ground::new(&plan.oarlock)?;
    ground.small_repository()?;
    let daemon = ground.start()?;
    let begun = Instant::now();
    ground.sessions(&daemon, SESSIONS, "say ready", "idle")?;
    let up = begun.elapsed().as_secs_f64();
    std::thread::sleep(SETTLE);
    let hosts: Vec<u32> = ground.hosts().into_iter().map(|(host, _)| host).collect();
    let (before_daemon, before_hosts) = (Used::of(&[daemon.pid]), Used::of(&hosts));
    std::thread::sleep(QUIET);
    let cpu = |used: Used| used.cpu_ns as f64 / 1e6 / QUIET.as_secs_f64();
    let daemon_cpu = cpu(Used::of(&[daemon.pid]).since(&before_daemon));
    let hosts_cpu = cpu(Used::of(&hosts).since(&before_hosts));
    let mut list = Samples::default();
    for _ in 0..plan.times(30, 10) {
        list.0.push(timed_ms(&mut ground.oarlock(&["ls"]))?);
    }
    let shares: Samples = hosts.iter().map(|host| proc::memory_mb(*host).1).collect();
    let line = |what: &str, unit, ours| Line { what: what.into(), unit, ours, ..Line::default() };
    let one = |value: f64| Samples(vec![value]);
    Ok(vec![
        line("until all are idle", "s", one(up)),
        line("ls", "ms", list),
        line("daemon, resident", "MB", one(proc::memory_mb(daemon.pid).0)),
        line("hosts, shares (PSS) together", "MB", one(shares.0.iter().sum())),
        line("daemon, CPU while idle", "ms/s", one(daemon_cpu)),
        line("hosts, CPU while idle", "ms/s", one(hosts_cpu)),
    ])
}
