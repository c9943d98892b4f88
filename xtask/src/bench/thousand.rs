//! A thousand idle sessions: whether they come up, what they hold, what they cost.

use std::collections::BTreeSet;
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
    let all = [&hosts[..], &[daemon.pid]].concat();
    let children = || -> BTreeSet<u32> { all.iter().flat_map(|pid| proc::children(*pid)).collect() };
    let known = children();
    let (before_daemon, before_hosts) = (Used::of(&[daemon.pid]), Used::of(&hosts));
    std::thread::sleep(QUIET);
    let cpu = |used: &Used| used.cpu_ns as f64 / 1e6 / QUIET.as_secs_f64();
    let daemon_used = Used::of(&[daemon.pid]).since(&before_daemon);
    let hosts_used = Used::of(&hosts).since(&before_hosts);
    let started = children().difference(&known).count();
    let faults = daemon_used.reaped_faults + hosts_used.reaped_faults;
    let mut list = Samples::default();
    for _ in 0..plan.times(30, 10) {
        list.0.push(timed_ms(&mut ground.oarlock(&["ls"]))?);
    }
    let shares: Samples = hosts.iter().map(|host| proc::memory_mb(*host).1).collect();
    let line = |what: &str, unit, ours, aim| Line { what: what.into(), unit, ours, aim, ..Line::default() };
    let one = |value: f64| Samples(vec![value]);
    let note = format!(
        "over {} s; children that came and went would show as page faults of reaped children: {faults}",
        QUIET.as_secs()
    );
    Ok(vec![
        line("until all are idle", "s", one(up), ""),
        line("ls", "ms", list, "under 10 ms"),
        line("daemon, resident", "MB", one(proc::memory_mb(daemon.pid).0), "under 120 MB"),
        line("hosts, shares (PSS) together", "MB", one(shares.0.iter().sum()), "under 3,000 MB"),
        line("daemon, CPU while idle", "ms/s", one(cpu(&daemon_used)), ""),
        line("hosts, CPU while idle", "ms/s", one(cpu(&hosts_used)), ""),
        Line { note, ..line("processes started while idle", "", one(started as f64), "none") },
    ])
}
