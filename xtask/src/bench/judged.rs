//! A relay from one leg to the next, a gate from its beginning to its landing, and what a list costs with 200 finished sessions:
//! each with agents that do nearly nothing, beside the git that ran meanwhile.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ground::{Ground, run, timed_ms, wait};
use super::suite::Plan;
use super::table::{Line, Samples};

/// Legs of the relay: one less hops.
const LEGS: usize = 21;

/// Notes when a leg did its last and its first.
const LEG: &str = "date +%s%N >> $HOME/first\nprintf 'Phase: %s\\n## Next\\n- on\\n' $OARLOCK_PHASE > \"$OARLOCK_BATON\"\n\
                   oarlock claim handing_off\ndate +%s%N >> $HOME/last\n";

/// Measures from the last instruction of a leg to the first of the next.
///
/// # Errors
/// When a leg does not come.
pub fn hop(plan: &Plan) -> Result<Vec<Line>, String> {
    let ground = traced(plan)?;
    let start = start_ms(&ground)?;
    fs::write(ground.path("leg.sh"), LEG).map_err(|error| error.to_string())?;
    fs::write(ground.path("plan.md"), "# P\n## Phase 1: A\na\n## Phase 2: B\nb\n")
        .map_err(|error| error.to_string())?;
    let plan_file = ground.path("plan.md").display().to_string();
    // A leg that moves nothing is a strike: the baton differs with its number.
    let script = LEG.replace("- on", "- on %s").replace("$OARLOCK_PHASE >", "$OARLOCK_PHASE $OARLOCK_LEG >");
    fs::write(ground.path("leg.sh"), script).map_err(|error| error.to_string())?;
    let agent = format!("sh {}", ground.path("leg.sh").display());
    let legs = LEGS.to_string();
    run(&mut ground.oarlock(&["relay", &plan_file, "--exec", &agent, "--legs", &legs]))?;
    let stamps = |name: &str| -> Vec<f64> {
        let text = fs::read_to_string(ground.path("home").join(name)).unwrap_or_default();
        text.lines().filter_map(|line| line.parse::<f64>().ok()).map(|ns| ns / 1e6).collect()
    };
    wait("all legs", Duration::from_millis(20), || Ok(stamps("last").len() >= LEGS))?;
    let (first, last) = (stamps("first"), stamps("last"));
    let hops: Samples = last.iter().zip(first.iter().skip(1)).map(|(last, first)| first - last).collect();
    let calls = calls(&ground, start);
    let between = |call: &Call| {
        last.iter().zip(first.iter().skip(1)).position(|(from, to)| call.at >= *from && call.at <= *to)
    };
    let mut git = vec![0.0; hops.0.len()];
    calls.iter().filter_map(|call| Some((between(call)?, call.ms))).for_each(|(at, ms)| git[at] += ms);
    let over: Samples = hops.0.iter().zip(&git).map(|(hop, git)| hop - git).collect();
    let line = |what: &str, ours, aim| Line { what: what.into(), unit: "ms", ours, aim, ..Line::default() };
    Ok(vec![
        Line {
            peers: vec![("git meanwhile".into(), Samples(git))],
            ..line("from a leg's last to the next one's first", hops, "")
        },
        line("over its git", over, "at most 10 ms"),
    ])
}

/// Measures a whole gate: a builder, a check and an overseer that are instant, and the landing.
///
/// # Errors
/// When it does not land.
pub fn gate(plan: &Plan) -> Result<Vec<Line>, String> {
    let ground = traced(plan)?;
    let start = start_ms(&ground)?;
    let written = fs::write(
        ground.path("build.sh"),
        "echo $OARLOCK_SESSION > $OARLOCK_SESSION.txt; git add .; git commit -qm it; date +%s%N > $HOME/built; oarlock claim done\n",
    )
    .and_then(|()| {
        let verdict = r#"{"verdict":"approve","requirements":[{"requirement":"it","met":true,"seen":"ls"}]}"#;
        fs::write(ground.path("judge.sh"), format!("echo '{verdict}' > \"$OARLOCK_VERDICT\"\n"))
    })
    .and_then(|()| fs::write(ground.path("spec.md"), "# It\n\nIt is there.\n"));
    written.map_err(|error| error.to_string())?;
    let script = |name: &str| format!("sh {}", ground.path(name).display());
    let (spec, builder, overseer) = (
        ground.path("spec.md").display().to_string(),
        script("build.sh"),
        format!("exec:{}", script("judge.sh")),
    );
    let daemon = ground.daemon()?;
    let (mut whole, mut after, mut git) = <(Samples, Samples, Samples)>::default();
    for number in 0..plan.times(20, 5) {
        drop(fs::remove_file(trace(&ground)));
        let name = format!("g{number}");
        let begun = Instant::now();
        run(&mut ground.oarlock(&[
            "gate",
            &spec,
            "--name",
            &name,
            "--exec",
            &builder,
            "--overseer",
            &overseer,
            "--check",
            "true",
        ]))?;
        let mut landed: Option<f64> = None;
        wait("the landing", Duration::from_millis(1), || {
            let session = daemon.http.get(&format!("/v1/sessions/{name}"))?;
            landed = landed_at(&session);
            Ok(landed.is_some())
        })?;
        whole.0.push(begun.elapsed().as_secs_f64() * 1e3);
        let built = fs::read_to_string(ground.path("home").join("built")).unwrap_or_default();
        let built = built.trim().parse::<f64>().map_err(|error| error.to_string())? / 1e6;
        after.0.push(now_ms() - built);
        git.0.push(git_time(&ground, built, start));
        // Its workspace is taken away while nobody measures.
        wait("its farewell", Duration::from_millis(5), || {
            let session = daemon.http.get(&format!("/v1/sessions/{name}"))?;
            Ok(session["session"]["workspace"].is_null())
        })?;
    }
    let over: Samples = after.0.iter().zip(&git.0).map(|(after, git)| after - git).collect();
    let line = |what: &str, ours, aim| Line { what: what.into(), unit: "ms", ours, aim, ..Line::default() };
    Ok(vec![
        line("from the command to the landing", whole, ""),
        Line {
            peers: vec![("git meanwhile".into(), git)],
            ..line("from the builder's commit to the landing", after, "")
        },
        Line {
            note: "the check is \"true\"; looking whether it landed is in it".into(),
            ..line("over its git", over, "at most 50 ms")
        },
    ])
}

/// Measures lists with 200 finished sessions.
///
/// # Errors
/// When they do not finish.
pub fn finished(plan: &Plan) -> Result<Vec<Line>, String> {
    let ground = Ground::new(&plan.oarlock)?;
    ground.small_repository()?;
    let daemon = ground.start()?;
    ground.sessions(&daemon, 200, "say done ; exit 0", "done")?;
    let (mut all, mut shown, mut nothing) = <(Samples, Samples, Samples)>::default();
    for _ in 0..plan.times(100, 20) {
        all.0.push(timed_ms(&mut ground.oarlock(&["ls", "--all"]))?);
        shown.0.push(timed_ms(&mut ground.oarlock(&["show", "s0-2"]))?);
        nothing.0.push(timed_ms(&mut ground.command("/bin/true"))?);
    }
    let peers = vec![("/bin/true".to_owned(), nothing)];
    let line = |what: &str, ours| Line {
        what: what.into(),
        unit: "ms",
        ours,
        peers: peers.clone(),
        aim: "under 10 ms",
        ..Line::default()
    };
    Ok(vec![line("ls --all, 200 finished", all), line("show, 200 finished", shown)])
}

/// Makes a ground on which every call of git leaves how long it took (git's trace2, set in the user's configuration).
fn traced(plan: &Plan) -> Result<Ground, String> {
    let ground = Ground::new(&plan.oarlock)?;
    ground.small_repository()?;
    let target = trace(&ground).display().to_string();
    let mut command = ground.command("git");
    run(command.args(["config", "--global", "trace2.eventTarget", &target]))?;
    ground.start()?;
    Ok(ground)
}

fn trace(ground: &Ground) -> PathBuf {
    ground.path("home").join("git-trace")
}

/// A call of git: when it ended and how long it took, in milliseconds, with what starting it costs.
struct Call {
    at: f64,
    ms: f64,
}

/// Returns what a call of git costs beyond what it tells of itself: the process is made, loaded and waited for.
fn start_ms(ground: &Ground) -> Result<f64, String> {
    let (mut whole, mut own) = <(Samples, Samples)>::default();
    for _ in 0..20 {
        drop(fs::remove_file(trace(ground)));
        whole.0.push(timed_ms(ground.command("git").arg("version"))?);
        own.0.extend(calls(ground, 0.0).first().map(|call| call.ms));
    }
    drop(fs::remove_file(trace(ground)));
    Ok((whole.median() - own.median()).max(0.0))
}

/// Returns the calls that were no other's.
fn calls(ground: &Ground, start_ms: f64) -> Vec<Call> {
    let text = fs::read_to_string(trace(ground)).unwrap_or_default();
    let call = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        let is_own = !event["sid"].as_str()?.contains('/');
        let time: jiff::Timestamp = event["time"].as_str()?.parse().ok()?;
        let ms = event["t_abs"].as_f64()? * 1e3 + start_ms;
        (event["event"] == "exit" && is_own).then(|| Call { at: time.as_microsecond() as f64 / 1e3, ms })
    };
    text.lines().filter_map(call).collect()
}

/// Returns how long git ran since a moment.
fn git_time(ground: &Ground, since: f64, start_ms: f64) -> f64 {
    calls(ground, start_ms).iter().filter(|call| call.at >= since).map(|call| call.ms).sum()
}

fn landed_at(session: &Value) -> Option<f64> {
    (session["session"]["outcome"] == "landed").then(now_ms)
}

fn now_ms() -> f64 {
    jiff::Timestamp::now().as_microsecond() as f64 / 1e3
}
