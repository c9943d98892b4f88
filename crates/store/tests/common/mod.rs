//! What the store's suites share: a log that grows like a real one, and damage done by hand.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(dead_code, reason = "each suite uses its part")]

use oarlock_core::crew::{Crew, Line};
use oarlock_core::fleet;
use oarlock_core::ids::{Name, ProjectId, RequestId, SessionId, Timestamp};
use oarlock_core::machine::{Entry, Key};
use oarlock_core::session::fact::{Adopted, Agent, Brief, Fact, Ports, Role, WorkspaceKind};
use oarlock_core::{playbook::Playbook, playbook::supervise};
use oarlock_engine::{Stamped, Store};

/// A log being written: the state it leads to, and the next position.
#[derive(Default)]
pub struct Scribe {
    pub crew: Crew,
    pub lines: Vec<Stamped>,
}

impl Scribe {
    /// Takes a line into the state and returns it stamped.
    pub fn say(&mut self, line: Line) -> Stamped {
        let seq = self.lines.len() as u64 + 1;
        let stamped = Stamped { seq, at: Timestamp(1_700_000_000_000 + seq), line };
        self.crew.record(stamped.seq, stamped.at, &stamped.line);
        self.lines.push(stamped.clone());
        stamped
    }

    /// Says a batch as the engine does: a project first, then sessions that begin, start effects and settle them.
    pub fn batch(&mut self, number: usize) -> Vec<Stamped> {
        if number == 0 {
            return vec![self.say(project())];
        }
        let id = format!("sess{:04}", number % 7);
        let first = if self.crew.sessions.contains_key(&SessionId::from(id.as_str())) {
            Fact::Woke { why: format!("retry {number}") }
        } else {
            requested(&id)
        };
        let key = Key(format!("work/{number}"));
        let entries = [Entry::Fact(first), Entry::Started(key.clone()), Entry::Settled(key)];
        entries
            .into_iter()
            .map(|entry| self.say(Line::Session(SessionId::from(id.as_str()), entry)))
            .collect()
    }

    /// Undoes the last lines: the store refused them.
    pub fn forget(&mut self, count: usize) {
        let lines = std::mem::take(&mut self.lines);
        let kept = lines.len() - count;
        self.crew = Crew::default();
        for stamped in lines.into_iter().take(kept) {
            self.crew.record(stamped.seq, stamped.at, &stamped.line);
            self.lines.push(stamped);
        }
    }
}

pub fn project() -> Line {
    let (request, project) = (RequestId::from("r0"), ProjectId::from("shop"));
    Line::Fleet(Entry::Fact(fleet::Fact::ProjectAdded { request, project, path: "/repos/shop".into() }))
}

pub fn requested(id: &str) -> Fact {
    prompted(id, "Fix the login, please: \u{e9}\u{4f60}\u{1f6a3}\0 and \"quotes\"")
}

pub fn prompted(id: &str, prompt: &str) -> Fact {
    let brief = Brief {
        project: ProjectId::from("shop"),
        repository: "/repos/shop".into(),
        agent: Agent { command: Some("make".into()), ..Agent::named("exec") },
        prompt: prompt.into(),
        branch: format!("oarlock/{id}/work"),
        folder: id.into(),
        base: None,
        workspace: WorkspaceKind::Worktree,
        ports: Ports { first: 20_000, count: 10 },
        playbook: Playbook::Supervise(supervise::Options {}),
        adopted: Adopted::Nothing,
        role: Role::Builder,
        issue: None,
    };
    Fact::Requested { request: RequestId::from(id), name: Name::from(id), brief }
}

/// Appends batches from `from` on and returns the log as it then is.
pub fn fill(store: &mut dyn Store, scribe: &mut Scribe, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let lines = scribe.batch(number);
        store.append(&lines, &scribe.crew).unwrap();
    }
}

/// Reads everything a page at a time.
pub fn read_all(store: &dyn Store, page: usize) -> Vec<Stamped> {
    let mut all: Vec<Stamped> = Vec::new();
    loop {
        let lines = store.read(all.last().map_or(0, |last| last.seq), page).unwrap();
        if lines.is_empty() {
            return all;
        }
        all.extend(lines);
    }
}

/// Writes an error and everything that caused it.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source))).unwrap_or_default();
    format!("{error}{source}")
}
