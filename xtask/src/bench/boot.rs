//! Starting with a long log, beside starting with none. The log is written through the store, as the engine does.

use oarlock_core::crew::{Crew, Line as LogLine};
use oarlock_core::ids::{Name, Oid, ProjectId, RequestId, RunId, SessionId, Timestamp};
use oarlock_core::machine::Entry;
use oarlock_core::playbook::{Playbook, supervise::Options};
use oarlock_core::session::fact::{
    Adopted, Agent, Begun, Brief, Exit, Fact, Farewell, Observation, Ports, Role, Source, TurnEnd,
    WorkspaceKind,
};
use oarlock_engine::{Stamped, Store};
use oarlock_store::SqliteStore;

use super::ground::{Ground, run as run_command, timed_ms};
use super::suite::Plan;
use super::table::{Line, Samples};

/// Facts in the log, and sessions they are about.
const FACTS: usize = 100_000;
const SESSIONS: usize = 100;
/// Facts a transaction while the log is made.
const BATCH: usize = 1_000;

/// Measures in turns.
///
/// # Errors
/// When the daemon does not start on the log.
pub fn run(plan: &Plan) -> Result<Vec<Line>, String> {
    let (mut ours, mut empty) = <(Samples, Samples)>::default();
    let long = Ground::new(&plan.oarlock)?;
    write_log(&long)?;
    let none = Ground::new(&plan.oarlock)?;
    for _ in 0..plan.times(10, 3) {
        for (ground, samples) in [(&long, &mut ours), (&none, &mut empty)] {
            samples.0.push(timed_ms(&mut ground.oarlock(&["start"]))?);
            run_command(&mut ground.oarlock(&["stop"]))?;
        }
    }
    Ok(vec![Line {
        what: "until requests are taken".into(),
        unit: "ms",
        ours,
        peers: vec![("the same with an empty log".into(), empty)],
        aim: "under 300 ms",
        note: format!(
            "{FACTS} facts about {SESSIONS} sessions, all over; from the start of \"oarlock start\" to its end"
        ),
    }])
}

fn write_log(ground: &Ground) -> Result<(), String> {
    let failed = |error: oarlock_engine::StoreError| format!("failed to write the log: {error}");
    // A start and a stop make the folder as the daemon wants it.
    ground.start()?;
    run_command(&mut ground.oarlock(&["stop"]))?;
    let mut store = SqliteStore::open(&ground.path("state/oarlock.db")).map_err(failed)?;
    let mut history = History::begin(SESSIONS);
    history.seq = store.bounds().map_err(failed)?.1;
    let lines = history.opening();
    store.append(&lines, &history.crew).map_err(failed)?;
    while history.count < FACTS - 3 * SESSIONS {
        let lines = history.more(BATCH);
        store.append(&lines, &history.crew).map_err(failed)?;
    }
    let lines = history.closing();
    store.append(&lines, &history.crew).map_err(failed)
}

/// A made-up past of some sessions, line by line, with the state it leads to.
pub struct History {
    /// What the lines so far amount to.
    pub crew: Crew,
    /// Lines so far.
    pub count: usize,
    sessions: usize,
    seq: u64,
}

impl History {
    /// Begins a past in which nothing has happened.
    pub fn begin(sessions: usize) -> Self {
        Self { crew: Crew::default(), count: 0, sessions, seq: 0 }
    }

    fn line(&mut self, session: usize, fact: Fact) -> Stamped {
        self.seq += 1;
        self.count += 1;
        let line = LogLine::Session(SessionId(format!("bench{session:03}")), Entry::Fact(fact));
        // A thousandth of a second apart, from some day in 2023 on.
        let stamped = Stamped { seq: self.seq, at: Timestamp(1_700_000_000_000 + self.seq), line };
        self.crew.record(stamped.seq, stamped.at, &stamped.line);
        stamped
    }

    fn each(&mut self, facts: impl Fn(usize) -> Vec<Fact>) -> Vec<Stamped> {
        let mut lines = Vec::new();
        for session in 0..self.sessions {
            lines.extend(facts(session).into_iter().map(|fact| self.line(session, fact)));
        }
        lines
    }

    /// Every session is requested, gets its workspace, and its agent starts.
    pub fn opening(&mut self) -> Vec<Stamped> {
        self.each(|session| {
            let oid = || Oid("0".repeat(40));
            vec![
                Fact::Requested {
                    request: RequestId(format!("begin-{session}")),
                    name: Name(format!("bench-{session}")),
                    brief: brief(session),
                },
                Fact::WorkspaceReady {
                    path: format!("/nowhere/{session}"),
                    branch: format!("oarlock/bench-{session}/work"),
                    base_branch: "main".into(),
                    base: oid(),
                    head: oid(),
                    notes: vec![],
                    work: None,
                },
                Fact::RunStarted { run: RunId(0), role: Role::Builder, host_pid: 1, begun: Begun::Fresh },
            ]
        })
    }

    /// So many more turns begin and end, one session after the other.
    pub fn more(&mut self, count: usize) -> Vec<Stamped> {
        let mut lines = Vec::with_capacity(count);
        for _ in 0..count {
            let session = self.count % self.sessions;
            let begins = (self.count / self.sessions).is_multiple_of(2);
            let observation =
                if begins { Observation::TurnStarted } else { Observation::TurnEnded(TurnEnd::Ok) };
            let cursor = self.count as u64;
            let fact = Fact::Observed { run: RunId(0), source: Source::Hook, observation, cursor };
            lines.push(self.line(session, fact));
        }
        lines
    }

    /// Every agent ends, and every session is let go, so that nothing is left to do.
    fn closing(&mut self) -> Vec<Stamped> {
        self.each(|session| {
            vec![
                Fact::RunEnded { run: RunId(0), exit: Exit::Code(0), last_words: String::new() },
                Fact::FarewellRequested {
                    request: RequestId(format!("end-{session}")),
                    why: Farewell::Forgotten,
                },
                Fact::WorkspaceRemoved { trash: None, branch_kept: true },
            ]
        })
    }
}

fn brief(session: usize) -> Brief {
    Brief {
        project: ProjectId("bench".into()),
        repository: "/nowhere/bench".into(),
        agent: Agent { tells_of_turns: true, ..Agent::named("scripted") },
        prompt: "say something long enough to look like a brief".into(),
        branch: format!("oarlock/bench-{session}/work"),
        folder: format!("bench-{session}"),
        base: None,
        workspace: WorkspaceKind::Worktree,
        ports: Ports::default(),
        playbook: Playbook::Supervise(Options {}),
        adopted: Adopted::Nothing,
        role: Role::Builder,
        issue: None,
    }
}
