//! The acts of the tour. Each says what it shows, does it, and looks whether it is so.

mod gate;

use std::collections::BTreeMap;
use std::time::Duration;

use oarlock_api::wire;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::stage::{Shown, Stage, wrong};
use crate::out;

/// What the tour counted, for its last words.
#[derive(Default)]
pub struct Tally {
    agents: usize,
    commits: u32,
    landed: u32,
    lines: usize,
    messages: u32,
    legs: usize,
    rounds: usize,
}

/// The agents of the tour, and what each is told. They are scripted: real processes, terminals and commits, no model.
const AGENTS: &[(&str, &str)] = &[
    ("tea", STEADY),
    ("coffee", "say Which roast? ; question Which roast do you want, dark or light?"),
    (
        "dear",
        "work 600ms ; write menu.txt tea 5, coffee 6 ; commit Raise the prices ; claim the prices are up",
    ),
    (
        "cheap",
        "work 700ms ; write menu.txt tea 1, coffee 2 ; commit Lower the prices ; claim the prices are down",
    ),
    ("sloppy", "work 500ms ; write party.txt confetti ; commit Add confetti ; write notes.txt not committed"),
];

/// Works steadily while the daemon is killed; its numbered lines show whether a byte was lost or doubled.
const STEADY: &str = "\
say line 1 ; work 500ms ; say line 2 ; write tea.txt green ; commit Add green tea ; work 500ms
say line 3 ; work 500ms ; say line 4 ; work 500ms ; say line 5 ; append tea.txt black ; commit Add black tea
work 500ms ; say line 6 ; work 500ms ; say line 7 ; work 500ms ; say line 8 ; claim two kinds of tea are on the menu";
/// Lines that the steady agent prints.
const STEADY_LINES: usize = 8;

/// Plays the whole tour.
pub fn play(stage: &mut Stage) -> Shown<Tally> {
    let mut tally = Tally::default();
    repository(stage)?;
    begin(stage, &mut tally)?;
    message(stage, &mut tally)?;
    kill_the_daemon(stage, &mut tally)?;
    finish(stage, &mut tally)?;
    land(stage, &mut tally)?;
    conflict(stage, &mut tally)?;
    reject_and_undo(stage)?;
    relay(stage, &mut tally)?;
    gate::play(stage, &mut tally)?;
    Ok(tally)
}

fn repository(stage: &Stage) -> Shown {
    stage.act("A repository, as yours would be")?;
    stage.git(&["init", "--quiet", "--initial-branch=main"])?;
    for (file, text, subject) in
        [("README.md", "# Shop\n", "Begin"), ("menu.txt", "tea 3, coffee 4\n", "Add the menu")]
    {
        let written = std::fs::write(stage.shop().join(file), text);
        written.or_else(|error| wrong(error.to_string()))?;
        stage.git(&["add", "--all"])?;
        stage.git(&["commit", "--quiet", "--message", subject])?;
    }
    stage.say(&format!("{}, two commits on main.", stage.shop().display()));
    Ok(())
}

fn begin(stage: &mut Stage, tally: &mut Tally) -> Shown {
    stage.act("Five agents begin, each in a workspace of its own")?;
    for (name, script) in AGENTS {
        stage.quiet(&["spawn", "--agent", "scripted", "--name", name, "--prompt", script]).and_then(
            |ran| {
                let said = String::from_utf8_lossy(&ran.stderr).into_owned();
                if ran.status.success() { Ok(()) } else { wrong(format!("{name} was not spawned: {said}")) }
            },
        )?;
    }
    stage.say("$ oarlock spawn --agent scripted --name tea --prompt '…'     and four more like it");
    tally.agents = AGENTS.len();
    stage.live("Five agents at work", |sessions| {
        sessions.len() == AGENTS.len() && sessions.iter().all(|session| session.status != "starting")
    })
}

fn message(stage: &mut Stage, tally: &mut Tally) -> Shown {
    stage.act("One asks something; it gets an answer, typed exactly once")?;
    stage.live("The question", |sessions| status_of(sessions, "coffee") == "needs_input")?;
    stage.oarlock(&["why", "coffee"], 0)?;
    let answer =
        "say Dark it is. ; write coffee.txt dark ; commit Add dark coffee ; claim dark coffee is on the menu";
    stage.oarlock(&["send", "coffee", answer], 0)?;
    stage.live("The answer taken up", |sessions| status_of(sessions, "coffee") == "claimed")?;
    let detail = stage.session("coffee")?;
    let [message] = &detail.messages[..] else {
        return wrong("The message is not in the session's list once.");
    };
    if message.state != "accepted" {
        return wrong(format!("The message is {}, not taken up.", message.state));
    }
    let heard = stage.quiet(&["logs", "coffee", "--all"])?;
    let heard = String::from_utf8_lossy(&heard.stdout).matches("Dark it is.").count();
    if heard != 1 {
        return wrong(format!("The agent heard the message {heard} times."));
    }
    tally.messages = 1;
    Ok(())
}

fn pid_of(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

/// Returns the host processes of the live runs, by session.
fn hosts(stage: &Stage) -> Shown<BTreeMap<String, u32>> {
    let mut hosts = BTreeMap::new();
    for session in stage.sessions()? {
        let detail = stage.session(&session.id)?;
        let Some(run) = detail.runs.last().filter(|run| run.exit.is_none()) else { continue };
        match oarlock_term::probe(std::path::Path::new(&run.folder)) {
            Ok(oarlock_term::Probe::Live(identity)) => hosts.insert(session.name, identity.host.pid),
            other => return wrong(format!("The host of {} is not alive: {other:?}", session.name)),
        };
    }
    Ok(hosts)
}

fn kill_the_daemon(stage: &mut Stage, tally: &mut Tally) -> Shown {
    stage.act("The daemon is killed while they work")?;
    let before = hosts(stage)?;
    if !before.contains_key("tea") {
        return wrong("Nobody is at work any more; the daemon would be killed for nothing.");
    }
    let daemon: wire::Daemon = stage.client()?.get("/v1/status").or_else(|error| wrong(error.to_string()))?;
    let Some(pid) = pid_of(daemon.pid) else { return wrong("The daemon's process id makes no sense.") };
    stage.say(&format!("$ kill -9 {}", daemon.pid));
    kill_process(pid, Signal::KILL).or_else(|error| wrong(error.to_string()))?;
    let alive =
        before.values().filter(|host| pid_of(**host).is_some_and(|pid| test_kill_process(pid).is_ok()));
    stage.say(&format!("The daemon is gone. {} of {} agents go on without it.", alive.count(), before.len()));
    stage.say("The next verb starts it again:");
    stage.oarlock(&["ls"], 0)?;
    let after = hosts(stage)?;
    if after != before {
        return wrong(format!("The agents are not the same as before: {before:?} became {after:?}"));
    }
    let again: wire::Daemon = stage.client()?.get("/v1/status").or_else(|error| wrong(error.to_string()))?;
    if again.pid == daemon.pid {
        return wrong("It is the same daemon; it was not killed.");
    }
    stage.say(&format!("A new daemon, process {}, found every agent again.", again.pid));
    tally.lines = STEADY_LINES;
    Ok(())
}

fn finish(stage: &mut Stage, tally: &mut Tally) -> Shown {
    stage.act("They finish")?;
    stage.live("Every agent between turns", |sessions| {
        sessions.iter().all(|session| matches!(session.status.as_str(), "claimed" | "idle"))
    })?;
    let said = stage.quiet(&["logs", "tea", "--all"])?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let numbered: Vec<&str> = said.lines().filter(|line| line.starts_with("line ")).collect();
    let expected: Vec<String> = (1..=STEADY_LINES).map(|n| format!("line {n}")).collect();
    if numbered != expected {
        return wrong(format!("tea's output is not whole: {numbered:?}"));
    }
    stage.say(&format!("tea printed {STEADY_LINES} numbered lines across the kill: all there, none twice."));
    stage.live("Every commit seen", |sessions| {
        sessions.iter().all(|session| session.ahead.is_some_and(|n| n > 0))
    })?;
    tally.commits = stage.sessions()?.iter().filter_map(|session| session.ahead).sum();
    stage.oarlock(&["ls"], 0)?;
    Ok(())
}

fn land(stage: &mut Stage, tally: &mut Tally) -> Shown {
    stage.act("What is good lands on main, and your checkout follows")?;
    for name in ["tea", "coffee", "dear"] {
        stage.oarlock(&["land", name], 0)?;
        tally.landed += 1;
    }
    for (file, text) in
        [("tea.txt", "green\nblack\n"), ("coffee.txt", "dark\n"), ("menu.txt", "tea 5, coffee 6\n")]
    {
        check_file(stage, file, text)?;
    }
    let status = stage.git(&["status", "--porcelain"])?;
    if !status.is_empty() {
        return wrong(format!("The checkout is not clean: {status}"));
    }
    Ok(())
}

fn check_file(stage: &Stage, file: &str, text: &str) -> Shown {
    let found = std::fs::read_to_string(stage.shop().join(file))
        .or_else(|error| wrong(format!("{file}: {error}")))?;
    if found == text { Ok(()) } else { wrong(format!("{file} holds {found:?}, not {text:?}.")) }
}

fn conflict(stage: &mut Stage, tally: &mut Tally) -> Shown {
    stage.act("Two changed the same line: refused, nothing touched; then resolved by its agent")?;
    let main = stage.git(&["rev-parse", "main"])?;
    let said = stage.oarlock(&["land", "cheap"], 3)?;
    if !said.contains("menu.txt") {
        return wrong("The refusal does not name the file in conflict.");
    }
    if stage.git(&["rev-parse", "main"])? != main {
        return wrong("main moved although the landing was refused.");
    }
    stage.oarlock(&["send", "cheap", "merge main ; claim merged, and still cheap"], 0)?;
    stage.live("The conflict resolved", |sessions| {
        let cheap = sessions.iter().find(|session| session.name == "cheap");
        cheap.is_some_and(|cheap| cheap.status == "claimed" && cheap.ahead.is_some_and(|ahead| ahead > 1))
    })?;
    stage.oarlock(&["land", "cheap"], 0)?;
    tally.landed += 1;
    check_file(stage, "menu.txt", "tea 1, coffee 2\n")
}

fn reject_and_undo(stage: &mut Stage) -> Shown {
    stage.act("One is rejected, and brought back: even what it never committed")?;
    let before = stage.session("sloppy")?.session;
    stage.oarlock(&["reject", "sloppy"], 0)?;
    let Some(workspace) = &before.workspace else { return wrong("sloppy had no workspace.") };
    let notes = std::path::Path::new(workspace).join("notes.txt");
    if notes.exists() {
        return wrong("The rejected workspace is still there.");
    }
    stage.oarlock(&["undo"], 0)?;
    let found =
        std::fs::read_to_string(&notes).or_else(|error| wrong(format!("{}: {error}", notes.display())))?;
    let after = stage.session("sloppy")?.session;
    if found != "not committed\n" || after.head != before.head {
        return wrong("What came back is not what was rejected.");
    }
    stage.say("Its commit and its uncommitted notes.txt are back as they were.");
    stage.oarlock(&["ls", "--all"], 0)?;
    Ok(())
}

/// A plan as people write it; what its agents do stands in its items, as they are scripted.
const PLAN: &str = "\
# A cake for the shop

## Phase 1: Dough
- write cake.txt dough ; commit Mix the dough ; claim-phase the dough is mixed

## Phase 2: Oven
- append cake.txt baked ; commit Bake it ; work 300ms ; claim-phase it is baked

## Phase 3: Icing
- append cake.txt iced ; commit Ice it ; claim-phase it is iced
";

fn relay(stage: &mut Stage, tally: &mut Tally) -> Shown {
    stage.act("A plan is worked by one fresh agent after the other, each from the baton of the last")?;
    let plan = stage.folder().join("cake.md");
    std::fs::write(&plan, PLAN).or_else(|error| wrong(error.to_string()))?;
    let path = plan.display().to_string();
    stage.quiet(&["relay", &path, "--agent", "scripted"])?;
    stage.say("$ oarlock relay cake.md --agent scripted");
    stage.live("Three phases", |sessions| status_of(sessions, "cake") == "claimed")?;
    let detail = stage.session("cake")?;
    let Some(relay) = &detail.relay else { return wrong("cake is no relay.") };
    let worked: Vec<u32> = relay.legs.iter().map(|leg| leg.phase).collect();
    if worked != [1, 2, 3] {
        return wrong(format!("Its legs worked phases {worked:?}."));
    }
    for (leg, phase) in relay.legs.iter().zip(&relay.phases) {
        stage.say(&format!("leg {}  {}: \"{}\"", leg.phase, phase.name, leg.note));
    }
    stage.oarlock(&["land", "cake"], 0)?;
    let cake = std::fs::read_to_string(stage.shop().join("cake.txt")).unwrap_or_default();
    if cake != "dough\nbaked\niced\n" {
        return wrong(format!("The cake is {cake:?}."));
    }
    tally.legs = worked.len();
    tally.landed += 1;
    Ok(())
}

fn status_of<'a>(sessions: &'a [wire::Session], name: &str) -> &'a str {
    sessions
        .iter()
        .find(|session| session.name == name)
        .map(|session| session.status.as_str())
        .unwrap_or_default()
}

/// Says what was shown, in words a newcomer understands.
pub fn summary(tally: &Tally, took: Duration) {
    out::line("");
    out::line("── What you saw");
    let commits = out::count(tally.commits, "commit");
    for line in [
        format!(
            "{} agents worked side by side, each in its own workspace, and made {commits}.",
            tally.agents
        ),
        format!("{} was typed to one of them, exactly once.", out::count(tally.messages, "message")),
        format!(
            "The daemon was killed while they worked: no agent died, and none of {} lines was lost.",
            tally.lines
        ),
        format!("{} landed on main, one of them after a conflict was refused and resolved.", tally.landed),
        format!("A plan of three phases was worked by {} fresh agents, one after the other.", tally.legs),
        format!(
            "A spec was built and judged in {} rounds; what the checks or the overseer found wrong went back.",
            tally.rounds
        ),
        "One was rejected and brought back whole. Your own checkout was clean all the way.".into(),
    ] {
        out::line(&format!("   {line}"));
    }
    out::line(&format!("   All of it checked, in {:.1} s. Next: oarlock spawn --help", took.as_secs_f64()));
}
