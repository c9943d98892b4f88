//! What 100 idle sessions hold and cost, beside a tmux server with 100 windows that run the same program.

use std::fs;
use std::time::{Duration, Instant};

use super::ground::Ground;
use super::proc::{self, Used};
use super::suite::Plan;
use super::table::{Line, Samples};
use super::tmux::Tmux;

/// How often the children of daemon and hosts are looked at while nothing should happen.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Starts tmux with as many idle agents as there are sessions.
fn windows(ground: &Ground) -> Result<Option<Tmux<'_>>, String> {
    let script = ground.path("idle.txt");
    fs::write(&script, "say ready\n").map_err(|error| error.to_string())?;
    let command = format!("exec {} scripted {}", ground.program().display(), script.display());
    let tmux = Tmux::start(ground, &command)?;
    if let Some(tmux) = &tmux {
        tmux.fill(100, &command)?;
    }
    Ok(tmux)
}

fn peer(samples: Option<Samples>) -> Vec<(String, Samples)> {
    samples.map(|samples| ("the tmux server of 100 windows".to_owned(), samples)).into_iter().collect()
}

/// Measures memory.
///
/// # Errors
/// When the sessions do not come up.
pub fn memory(plan: &Plan) -> Result<Vec<Line>, String> {
    let hundred = plan.hundred()?;
    let tmux = windows(&hundred.ground)?;
    let server = tmux.as_ref().map(Tmux::pid).transpose()?;
    let (server_resident, server_share) = server.map(proc::memory_mb).unzip();
    let (resident, share) = proc::memory_mb(hundred.daemon.pid);
    let hosts = hundred.ground.hosts();
    let each: Vec<(f64, f64)> = hosts.iter().map(|(host, _)| proc::memory_mb(*host)).collect();
    let one = |value: f64| Samples(vec![value]);
    let line = |what: &str, ours, peers, aim, note: &str| Line {
        what: what.into(),
        unit: "MB",
        ours,
        peers,
        aim,
        note: note.into(),
    };
    let total = share + each.iter().map(|(_, share)| share).sum::<f64>();
    Ok(vec![
        line("daemon, resident", one(resident), peer(server_resident.map(one)), "under 40 MB", ""),
        line("daemon, its share (PSS)", one(share), peer(server_share.map(one)), "under 30 MB", ""),
        line(
            "each host, resident",
            each.iter().map(|(r, _)| *r).collect(),
            vec![],
            "under 4 MB",
            "shared pages counted in each",
        ),
        line("each host, its share (PSS)", each.iter().map(|(_, s)| *s).collect(), vec![], "under 1 MB", ""),
        line(
            "daemon and hosts, shares",
            one(total),
            peer(server_share.map(one)),
            "",
            "a host outlives the daemon and keeps every byte; the tmux server keeps 2,000 lines a window",
        ),
    ])
}

/// Measures what happens while nothing happens.
///
/// # Errors
/// When the sessions do not come up.
pub fn quiet(plan: &Plan) -> Result<Vec<Line>, String> {
    let hundred = plan.hundred()?;
    let tmux = windows(&hundred.ground)?;
    let server: Vec<u32> = tmux.as_ref().map(Tmux::pid).transpose()?.into_iter().collect();
    let hosts: Vec<u32> = hundred.ground.hosts().into_iter().map(|(host, _)| host).collect();
    let daemon = [hundred.daemon.pid];
    let all = [&daemon[..], &hosts].concat();
    let known: Vec<u32> = all.iter().flat_map(|pid| proc::children(*pid)).collect();
    let before = [Used::of(&daemon), Used::of(&hosts), Used::of(&server)];
    let begun = Instant::now();
    let seconds = plan.times(60, 20) as u64;
    let mut seen: Vec<u32> = Vec::new();
    while begun.elapsed() < Duration::from_secs(seconds) {
        let children = all.iter().flat_map(|pid| proc::children(*pid));
        seen.extend(children.filter(|pid| !known.contains(pid)));
        std::thread::sleep(LOOK_EVERY);
    }
    let took = begun.elapsed().as_secs_f64();
    let [daemon, hosts, server_used] = [
        Used::of(&daemon).since(&before[0]),
        Used::of(&hosts).since(&before[1]),
        Used::of(&server).since(&before[2]),
    ];
    seen.sort_unstable();
    seen.dedup();
    let cpu = |used: Used| Samples(vec![used.cpu_ns as f64 / 1e6 / took]);
    let rate = |used: Used| Samples(vec![used.sleeps as f64 / took]);
    let known_server = |samples: Samples| peer((!server.is_empty()).then_some(samples));
    let line = |what: &str, unit, ours, peers, aim, note: String| Line {
        what: what.into(),
        unit,
        ours,
        peers,
        aim,
        note,
    };
    let faults = daemon.reaped_faults + hosts.reaped_faults;
    let started = format!(
        "new children seen by looking every {} ms; children that came and went between two looks would show as page \
         faults of reaped children: {faults}",
        LOOK_EVERY.as_millis()
    );
    Ok(vec![
        line(
            "daemon, CPU",
            "ms/s",
            cpu(daemon),
            known_server(cpu(server_used)),
            "under 2.5 ms/s",
            format!("over {took:.0} s"),
        ),
        line("100 hosts, CPU", "ms/s", cpu(hosts), vec![], "under 2.5 ms/s", String::new()),
        line(
            "daemon, wake-ups",
            "/s",
            rate(daemon),
            known_server(rate(server_used)),
            "under 5/s",
            String::new(),
        ),
        line("100 hosts, wake-ups", "/s", rate(hosts), vec![], "under 5/s", String::new()),
        line("processes started", "", Samples(vec![seen.len() as f64]), vec![], "none", started),
    ])
}
