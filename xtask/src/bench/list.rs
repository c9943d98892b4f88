//! `oarlock ls` with 100 idle sessions, beside a program that does nothing and a bare client, all started the same way.

use std::path::PathBuf;

use super::ground::timed_ms;
use super::suite::Plan;
use super::table::{Line, Samples};

/// Measures in turns, so that a busy moment of the machine meets all.
///
/// # Errors
/// When one of them fails.
pub fn run(plan: &Plan) -> Result<Vec<Line>, String> {
    let hundred = plan.hundred()?;
    let ground = &hundred.ground;
    let own: PathBuf = std::env::current_exe().map_err(|error| error.to_string())?;
    let (mut plain, mut json, mut nothing, mut bare) = <(Samples, Samples, Samples, Samples)>::default();
    for _ in 0..plan.times(100, 20) {
        plain.0.push(timed_ms(&mut ground.oarlock(&["ls"]))?);
        json.0.push(timed_ms(&mut ground.oarlock(&["ls", "--json"]))?);
        nothing.0.push(timed_ms(&mut ground.command("/bin/true"))?);
        let mut client = ground.command(&own);
        client.args(["bench", "--peer"]).arg(&hundred.daemon.socket).arg("/v1/sessions");
        bare.0.push(timed_ms(&mut client)?);
    }
    let line = |what: &str, ours, peers, aim| Line {
        what: what.into(),
        unit: "ms",
        ours,
        peers,
        aim,
        note: String::new(),
    };
    // Each beside the one started next to it.
    let over =
        |whole: &Samples| whole.0.iter().zip(&nothing.0).map(|(ours, nothing)| ours - nothing).collect();
    let (plain_over, json_over) = (over(&plain), over(&json));
    let peers = vec![("/bin/true".to_owned(), nothing), ("a bare client of the socket".to_owned(), bare)];
    Ok(vec![
        line("100 idle sessions", plain, peers.clone(), ""),
        line("over /bin/true", plain_over, vec![], "at most 2 ms"),
        line("the same with --json", json, peers, ""),
        line("over /bin/true, with --json", json_over, vec![], "at most 2 ms"),
    ])
}
