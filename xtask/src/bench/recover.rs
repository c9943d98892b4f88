//! From `kill -9` of the daemon, with 50 live hosts, to an `ls` that tells the truth again. An agent dies with the
//! daemon, so that the truth is not what the log says: somebody must look.

use std::time::Instant;

use serde_json::Value;

use super::ground::{Ground, json, kill, run as run_command, wait};
use super::suite::Plan;
use super::table::{Line, Samples};

const SESSIONS: usize = 50;

/// Kills, and lists until the list is right; beside starting a daemon that has nothing to find.
///
/// # Errors
/// When it never is.
pub fn run(plan: &Plan) -> Result<Vec<Line>, String> {
    let ground = Ground::new(&plan.oarlock)?;
    ground.small_repository()?;
    let daemon = ground.start()?;
    ground.sessions(&daemon, SESSIONS, "say ready", "idle")?;
    let hosts = ground.hosts();
    let empty = Ground::new(&plan.oarlock)?;
    let (mut ours, mut peer) = <(Samples, Samples)>::default();
    let mut lists = 0;
    let times = plan.times(10, 3);
    for (round, (_, agent)) in hosts.iter().enumerate().take(times) {
        let pid = ground.daemon()?.pid;
        let begun = Instant::now();
        kill(pid);
        kill(*agent);
        // Listing starts the daemon; there is no pause, since each look is a program of its own.
        wait("a correct ls", std::time::Duration::ZERO, || {
            lists += 1;
            json(&mut ground.oarlock(&["ls", "--json"])).map(|list| is_right(&list, round + 1))
        })?;
        ours.0.push(begun.elapsed().as_secs_f64() * 1e3);
        let begun = Instant::now();
        json(&mut empty.oarlock(&["ls", "--json"]))?;
        peer.0.push(begun.elapsed().as_secs_f64() * 1e3);
        run_command(&mut empty.oarlock(&["stop"]))?;
    }
    let living = ground.hosts();
    if living.len() != SESSIONS - times || !living.iter().all(|host| hosts.contains(host)) {
        return Err("the hosts are not those of before".into());
    }
    Ok(vec![Line {
        what: "50 live hosts, until ls is right".into(),
        unit: "ms",
        ours,
        peers: vec![("a first ls on an empty state".into(), peer)],
        aim: "under 500 ms",
        note: format!(
            "ls starts the daemon; asked {lists} times in {times} rounds; in each, one agent died with the daemon and \
             ls is right when it says so; the other hosts are the same ones after it"
        ),
    }])
}

/// Tells whether all are listed, and all idle but those whose agent was killed.
fn is_right(list: &Value, dead: usize) -> bool {
    let count =
        |word: &str| list.as_array().map_or(0, |list| list.iter().filter(|s| s["status"] == word).count());
    count("idle") == SESSIONS - dead && count("failed") == dead
}
