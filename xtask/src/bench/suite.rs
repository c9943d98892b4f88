//! Which rows there are, what they share, and the way from arguments to a table.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::ground::{self, Daemon, Ground};
use super::http::Http;
use super::table::{self, Line, Measured};
use super::{
    append, boot, feed, flood, hook, idle, judged, list, parse, recover, replay, spawn, spinners, thousand,
};

/// A row: what it is called, what it measures, and what measures it.
struct Row {
    name: &'static str,
    help: &'static str,
    run: fn(&Plan) -> Result<Vec<Line>, String>,
}

const fn row(name: &'static str, help: &'static str, run: fn(&Plan) -> Result<Vec<Line>, String>) -> Row {
    Row { name, help, run }
}

const ROWS: &[Row] = &[
    row("ls", "list 100 idle sessions", list::run),
    row("memory", "what the daemon and the hosts of 100 idle sessions hold", idle::memory),
    row("idle", "what 100 idle sessions cost while nothing happens", idle::quiet),
    row("feed", "from a request to the frame at each of 100 subscribers", feed::run),
    row("first", "from nothing to the first agent running", spawn::first),
    row("spawn", "16 agents running in a repository of 10,000 commits", spawn::sixteen),
    row("flood", "100 MB of terminal output through a host onto the disk", flood::run),
    row("spinners", "50 terminals that each draw a spinner at 10 Hz", spinners::run),
    row("hook", "a hook's cost to its agent, and how soon its event is at a subscriber", hook::run),
    row("replay", "50 terminals that draw an agent's recorded screens without rest", replay::run),
    row("parse", "what agents print, read", parse::run),
    row("hop", "from one leg of a relay to the next", judged::hop),
    row("gate", "a gate with agents that are instant", judged::gate),
    row("finished", "lists with 200 finished sessions", judged::finished),
    row("append", "durable facts a second", append::run),
    row("recover", "from kill -9 of the daemon to a correct ls, with 50 live hosts", recover::run),
    row("boot", "start with 100,000 facts in the log", boot::run),
    row("thousand", "1,000 idle sessions", thousand::run),
];

/// Rows for what oarlock does not do yet: they belong in the table all the same.
const NOT_YET: &[(&str, &str)] =
    &[("mesh", "there is no commit mesh"), ("tui", "there is no cockpit: hook to turned row")];

/// What is measured, how often, and the ground that several rows share.
pub struct Plan {
    /// The program that is measured.
    pub oarlock: PathBuf,
    quick: bool,
    hundred: RefCell<Option<Rc<Hundred>>>,
}

/// A ground with 100 idle sessions.
pub struct Hundred {
    /// Where.
    pub ground: Ground,
    /// Its daemon.
    pub daemon: Daemon,
}

impl Plan {
    /// Returns how often to repeat.
    pub fn times(&self, usual: usize, quick: usize) -> usize {
        if self.quick { quick } else { usual }
    }

    /// Returns the ground with 100 idle sessions, made on first use.
    ///
    /// # Errors
    /// When they do not come up.
    pub fn hundred(&self) -> Result<Rc<Hundred>, String> {
        if let Some(hundred) = &*self.hundred.borrow() {
            return Ok(hundred.clone());
        }
        let ground = Ground::new(&self.oarlock)?;
        ground.small_repository()?;
        let daemon = ground.start()?;
        ground.sessions(&daemon, 100, "say ready", "idle")?;
        let hundred = Rc::new(Hundred { ground, daemon });
        *self.hundred.borrow_mut() = Some(hundred.clone());
        Ok(hundred)
    }
}

/// Measures what the arguments ask for.
///
/// # Errors
/// When an argument is unknown, or there is no program to measure.
pub fn run(args: &[String]) -> Result<bool, String> {
    if let [flag, socket, path] = args
        && flag == "--peer"
    {
        // The bare client, as a program of its own: started, asks, ends.
        let answer = Http::new(Path::new(socket)).read(path);
        return answer.map(|answer| !answer.is_empty()).map_err(|error| error.to_string());
    }
    let (mut quick, mut json, mut wanted) = (false, false, Vec::new());
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--quick" => quick = true,
            "--json" => json = true,
            "--row" => wanted.push(rest.next().ok_or("--row needs a name")?.as_str()),
            "--list" => return Ok(list_rows()),
            other => return Err(format!("bench does not know {other}; see --help")),
        }
    }
    let known = |name: &&str| ROWS.iter().any(|row| row.name == *name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        return Err(format!("there is no row \"{unknown}\"; --list names them"));
    }
    let plan = Plan { oarlock: program()?, quick, hundred: RefCell::default() };
    ground::end_on_signals()?;
    let rows = measure(&plan, &wanted);
    drop(plan);
    if json {
        println!("{:#}", table::json(&rows));
    } else {
        print!("{}", table::text(&rows));
    }
    Ok(true)
}

fn measure(plan: &Plan, wanted: &[&str]) -> Vec<Measured> {
    let mut rows = Vec::new();
    for row in ROWS.iter().filter(|row| wanted.is_empty() || wanted.contains(&row.name)) {
        eprintln!("{}: {}", row.name, row.help);
        rows.push(Measured {
            row: row.name,
            lines: (row.run)(plan).map_err(|why| format!("not yet: {why}")),
        });
    }
    if wanted.is_empty() {
        let not_yet =
            NOT_YET.iter().map(|(row, why)| Measured { row, lines: Err(format!("not yet: {why}")) });
        rows.extend(not_yet);
    }
    rows
}

fn list_rows() -> bool {
    for Row { name, help, .. } in ROWS {
        println!("{name:<9} {help}");
    }
    true
}

/// Returns the release program beside this one.
fn program() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("failed to find this program: {error}"))?;
    let oarlock = own.with_file_name("oarlock");
    let is_there = oarlock.is_file();
    is_there.then_some(oarlock).ok_or_else(|| "cargo build --release has not made oarlock".into())
}
