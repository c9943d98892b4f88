//! The whole crew: the fleet and every session, fed from one log, and the requests that need to see all of it.
//!
//! It must not know how a line is stored or an effect performed.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::fleet::{self, Fleet};
use crate::ids::{Name, ProjectId, RequestId, SessionId, Timestamp};
use crate::machine::{Decision, Entry, Key, Machine, Scope};
use crate::playbook::Playbook;
use crate::session::fact::{Adopted, Agent, Brief, Issue, Ports, Role, WorkspaceKind};
use crate::session::{self, Effect, Refusal, Session};

/// Sessions that may be spawned by one request: a slip of the finger must not start a thousand agents.
pub const SPAWN_MAX: usize = 100;

/// Longest reference of an issue, in bytes: browsers and servers take URLs of about so many.
const REFERENCE_BYTES_MAX: usize = 2_048;

/// One line of the log: whose it is, and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Of the fleet.
    Fleet(Entry<fleet::Fact>),
    /// Of a session.
    Session(SessionId, Entry<session::Fact>),
}

/// A wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// About projects.
    Fleet(fleet::Request),
    /// Begin a session.
    Spawn(Spawn),
    /// About one session.
    Session(SessionId, session::Request),
}

/// What a client gives to begin a session; what is missing is chosen here.
#[derive(Clone, Debug, PartialEq)]
pub struct Spawn {
    /// The client's id for the wish.
    pub request: RequestId,
    /// The session's id, drawn by the client's side from the request so that a retry names the same session.
    pub id: SessionId,
    /// The project.
    pub project: ProjectId,
    /// The name wished for; `None` makes one from the prompt or the agent.
    pub name: Option<Name>,
    /// The agent.
    pub agent: Agent,
    /// What it is told first.
    pub prompt: alloc::string::String,
    /// The branch wished for; `None` makes one that cannot collide.
    pub branch: Option<alloc::string::String>,
    /// The revision to start from.
    pub base: Option<alloc::string::String>,
    /// How the workspace is made.
    pub workspace: WorkspaceKind,
    /// The way of working.
    pub playbook: Playbook,
    /// What of its workspace is there already. With an adopted branch or worktree, `branch` names it.
    pub adopted: Adopted,
    /// What its runs are for.
    pub role: Role,
    /// The issue it works on.
    pub issue: Option<Issue>,
    /// Whether to begin although a session works on the issue.
    pub again: bool,
}

/// What became of an admitted request.
#[derive(Clone, Debug, PartialEq)]
pub enum Admitted {
    /// Lines to append.
    Lines(Vec<Line>),
    /// The same request was admitted before, as the line at this position.
    Before(u64),
}

/// The fleet and every session.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Crew {
    /// The fleet.
    pub fleet: Scope<Fleet>,
    /// Every session, by id.
    pub sessions: BTreeMap<SessionId, Scope<Session>>,
}

impl Crew {
    /// Takes in one line of the log.
    pub fn record(&mut self, seq: u64, at: Timestamp, line: &Line) {
        match line {
            Line::Fleet(entry) => self.fleet.record(seq, at, entry),
            Line::Session(id, entry) => self.sessions.entry(id.clone()).or_default().record(seq, at, entry),
        }
    }

    /// Returns what a session wants and may be started now.
    #[must_use]
    pub fn runnable(&self, id: &SessionId, in_flight: &BTreeSet<Key>) -> Decision<Effect> {
        self.sessions.get(id).map(|scope| scope.runnable(in_flight)).unwrap_or_default()
    }

    /// Returns what sessions have to be told of others: that one they wait for is over, and that their turn to land has come.
    #[must_use]
    pub fn reactions(&self) -> Vec<(SessionId, session::Fact)> {
        let mut all = Vec::new();
        // Of each base, the first in the queue, and whether somebody has the turn.
        let mut queues: BTreeMap<(&str, &str), Queue<'_>> = BTreeMap::new();
        for (id, scope) in &self.sessions {
            let session = &scope.state;
            let Some(gate) = session.gate.as_ref().filter(|_| session.outcome.is_none()) else { continue };
            if gate.rest.is_none() {
                let over = gate.waits_for.iter().filter_map(|other| Some((other, self.landed(other)?)));
                all.extend(over.map(|(other, landed)| {
                    (id.clone(), session::Fact::DependencyEnded { session: other.clone(), landed })
                }));
            }
            let (Some(brief), Some(checkout)) = (&session.brief, session.checkout()) else { continue };
            let queue = queues.entry((&brief.repository, &checkout.base_branch)).or_default();
            let goes_on = session.halt.is_none() && !session.is_parting();
            queue.is_taken |= goes_on && gate.holds_turn();
            let may_land = goes_on && session.open_landing().is_none();
            if let Some(seq) = gate.queues().filter(|_| may_land)
                && queue.first.is_none_or(|(first, _)| seq < first)
            {
                queue.first = Some((seq, id));
            }
        }
        let next = queues.into_values().filter(|queue| !queue.is_taken).filter_map(|queue| queue.first);
        all.extend(next.map(|(_, id)| (id.clone(), session::Fact::TurnCame)));
        all
    }

    /// Tells whether a session landed; `None` while it may.
    fn landed(&self, id: &SessionId) -> Option<bool> {
        match self.sessions.get(id).map(|scope| &scope.state) {
            Some(session) => match &session.outcome {
                Some(outcome) => Some(matches!(outcome, session::Outcome::Landed { .. })),
                None => session.is_hidden().then_some(false),
            },
            None => Some(false),
        }
    }

    /// Returns the lines a request becomes.
    ///
    /// # Errors
    /// The refusal, with its code and hint.
    pub fn admit(&self, request: Request) -> Result<Admitted, Refusal> {
        match request {
            Request::Fleet(request) => self.admit_fleet(request),
            Request::Spawn(spawn) => self.admit_spawn(spawn),
            Request::Session(id, request) => {
                let Some(scope) = self.sessions.get(&id) else {
                    return Err(no_session(id.as_str()));
                };
                if let Some(seq) = scope.state.answered(request.id()) {
                    return Ok(Admitted::Before(seq));
                }
                if let session::Request::Rename(_, name) = &request {
                    self.check_name_free(name, Some(&id))?;
                }
                let mut fact = Session::admit(&scope.state, request)?;
                if let session::Fact::UndoRequested { ports, .. } = &mut fact {
                    self.check_name_free(&scope.state.name, Some(&id))?;
                    *ports = self.ports_to_return(&scope.state)?;
                }
                Ok(Admitted::Lines(alloc::vec![Line::Session(id, Entry::Fact(fact))]))
            }
        }
    }

    fn admit_fleet(&self, request: fleet::Request) -> Result<Admitted, Refusal> {
        let id = match &request {
            fleet::Request::AddProject(id, _) | fleet::Request::RemoveProject(id, ..) => id,
        };
        if let Some(seq) = self.fleet.state.answered(id) {
            return Ok(Admitted::Before(seq));
        }
        let request = match request {
            fleet::Request::RemoveProject(id, project, _) => {
                let sessions = self.placed(&project);
                fleet::Request::RemoveProject(id, project, sessions)
            }
            add @ fleet::Request::AddProject(..) => add,
        };
        let fact = Fleet::admit(&self.fleet.state, request)?;
        Ok(Admitted::Lines(alloc::vec![Line::Fleet(Entry::Fact(fact))]))
    }

    /// Counts the sessions of a project that still hold a workspace.
    fn placed(&self, project: &ProjectId) -> usize {
        let of_project = |session: &Session| {
            session.brief.as_ref().is_some_and(|brief| brief.project == *project) && session.holds_place()
        };
        self.sessions.values().filter(|scope| of_project(&scope.state)).count()
    }

    fn admit_spawn(&self, spawn: Spawn) -> Result<Admitted, Refusal> {
        if let Some(scope) = self.sessions.get(&spawn.id) {
            if let Some(seq) = scope.state.answered(&spawn.request) {
                return Ok(Admitted::Before(seq));
            }
            return Err(Refusal::new("exists", format!("Session {} exists.", spawn.id), "Use another id."));
        }
        let Some(project) = self.fleet.state.projects.get(&spawn.project) else {
            return Err(Refusal::new(
                "not_found",
                format!("There is no project {}.", crate::text::line(&spawn.project.0, 60)),
                "Register it with \"oarlock project add PATH\".",
            ));
        };
        self.check_adoptable(&spawn)?;
        self.check_one_orchestrator(&spawn)?;
        self.check_issue(&spawn)?;
        let name = match spawn.name {
            Some(name) => {
                self.check_name_free(&name, None)?;
                name
            }
            None if spawn.role == Role::Orchestrator => self.free_name(&["orchestrator"], &spawn.agent),
            None => match &spawn.issue {
                Some(issue) => self.free_name(&[&issue.title, &last_part(issue)], &spawn.agent),
                None => self.free_name(&[spawn.playbook.name_from().unwrap_or(&spawn.prompt)], &spawn.agent),
            },
        };
        let ports = free_ports(&self.ports_held())?;
        // The id makes the branch unique for ever; the leaf lets an agent make branches below it.
        let branch = spawn.branch.unwrap_or_else(|| format!("oarlock/{name}-{}/work", spawn.id));
        let brief = Brief {
            project: spawn.project,
            repository: project.path.clone(),
            agent: spawn.agent,
            prompt: spawn.prompt,
            branch,
            folder: format!("{name}-{}", spawn.id),
            base: spawn.base,
            workspace: spawn.workspace,
            ports,
            playbook: spawn.playbook,
            adopted: spawn.adopted,
            role: spawn.role,
            issue: spawn.issue,
        };
        let wish = session::Request::Spawn(spawn.request, name, brief);
        let fact = Session::admit(&Session::default(), wish)?;
        Ok(Admitted::Lines(alloc::vec![Line::Session(spawn.id, Entry::Fact(fact))]))
    }

    /// Refuses a second orchestrator of a project: two would drive the same sessions apart.
    fn check_one_orchestrator(&self, spawn: &Spawn) -> Result<(), Refusal> {
        let drives = |session: &Session| {
            session.outcome.is_none()
                && session
                    .brief
                    .as_ref()
                    .is_some_and(|brief| brief.role == Role::Orchestrator && brief.project == spawn.project)
        };
        let wanted = spawn.role == Role::Orchestrator;
        match self.sessions.values().find(|scope| wanted && drives(&scope.state)) {
            Some(there) => Err(Refusal::new(
                "orchestrator_there",
                format!("{} orchestrates {} already.", there.state.name, spawn.project),
                format!(
                    "Talk to it with \"oarlock send {0} …\", bring it up again with \"oarlock resume {0}\", or replace it with \
                     --restart.",
                    there.state.name
                ),
            )),
            None => Ok(()),
        }
    }

    /// Refuses an issue that a session of the project works on: two would do the same work apart.
    fn check_issue(&self, spawn: &Spawn) -> Result<(), Refusal> {
        let Some(issue) = &spawn.issue else { return Ok(()) };
        let Some(reference) = &issue.reference else { return Ok(()) };
        if reference.is_empty()
            || reference.len() > REFERENCE_BYTES_MAX
            || *reference != clean_line(reference)
        {
            return Err(Refusal::new(
                "bad_issue",
                format!("\"{}\" is no reference of an issue.", crate::text::line(reference, 60)),
                format!("Give a URL or a path, on one line, of at most {REFERENCE_BYTES_MAX} bytes."),
            ));
        }
        let works_on_it = |session: &Session| {
            session.outcome.is_none()
                && !session.is_hidden()
                && session.brief.as_ref().is_some_and(|brief| {
                    brief.project == spawn.project
                        && brief.issue.as_ref().is_some_and(|other| other.reference == issue.reference)
                })
        };
        match self.sessions.values().find(|scope| !spawn.again && works_on_it(&scope.state)) {
            Some(there) => Err(Refusal::new(
                "issue_taken",
                format!("Session {} works on {reference} already.", there.state.name),
                format!(
                    "Talk to it with \"oarlock send {} …\", or begin another with --again.",
                    there.state.name
                ),
            )),
            None => Ok(()),
        }
    }

    /// Refuses what another session works in.
    fn check_adoptable(&self, spawn: &Spawn) -> Result<(), Refusal> {
        let holds = |session: &Session| {
            let Some(brief) = session.brief.as_ref().filter(|_| session.holds_place()) else { return false };
            match &spawn.adopted {
                Adopted::Nothing => false,
                Adopted::Branch => {
                    brief.project == spawn.project && Some(&brief.branch) == spawn.branch.as_ref()
                }
                Adopted::Worktree(path) => {
                    brief.adopted == spawn.adopted || session.place().is_some_and(|place| place.path == *path)
                }
            }
        };
        match self.sessions.values().find(|scope| holds(&scope.state)) {
            Some(holder) => Err(Refusal::new(
                "adopted_already",
                format!("Session {} works there.", holder.state.name),
                format!("Bring its agent up again with \"oarlock resume {}\".", holder.state.name),
            )),
            None => Ok(()),
        }
    }

    /// Returns the first port of every block that a session holds.
    fn ports_held(&self) -> BTreeSet<u16> {
        let placed = self.sessions.values().filter(|scope| scope.state.holds_place());
        placed.filter_map(|scope| scope.state.brief.as_ref()).map(|brief| brief.ports.first).collect()
    }

    /// Returns another block for a session that comes back, when its own was leased meanwhile.
    fn ports_to_return(&self, session: &Session) -> Result<Option<Ports>, Refusal> {
        let held = self.ports_held();
        let first = session.brief.as_ref().map(|brief| brief.ports.first);
        let taken = !session.holds_place() && first.is_some_and(|first| held.contains(&first));
        if taken { free_ports(&held).map(Some) } else { Ok(None) }
    }

    /// Returns the sessions that hold a name: all that are still on the list.
    fn holder(&self, name: &Name) -> Option<&SessionId> {
        let holds = |session: &Session| session.name == *name && !session.is_hidden();
        self.sessions.iter().find(|(_, scope)| holds(&scope.state)).map(|(id, _)| id)
    }

    fn check_name_free(&self, name: &Name, except: Option<&SessionId>) -> Result<(), Refusal> {
        match self.holder(name) {
            Some(holder) if Some(holder) != except => Err(Refusal::new(
                "name_taken",
                format!("The name {name} is taken by session {holder}."),
                format!("Choose another, or take that one off the list with \"oarlock rm {name}\"."),
            )),
            _ => Ok(()),
        }
    }

    /// Makes a name nobody holds from the first words of the first text that has any, or from the agent.
    fn free_name(&self, texts: &[&str], agent: &Agent) -> Name {
        // Long enough to recognise, short enough for a column of `ls`.
        const SLUG_LEN: usize = 24;
        let command = agent.command.as_deref().unwrap_or(&agent.name);
        let first_words = texts.iter().map(|text| text.lines().next().unwrap_or_default());
        let slug = first_words.chain([command]).find_map(|words| Name::slug(words, SLUG_LEN));
        let slug = slug.unwrap_or_else(|| Name::from("session"));
        if self.holder(&slug).is_none() {
            return slug;
        }
        (2_u32..)
            .filter_map(|n| Name::parse(&format!("{slug}-{n}")))
            .find(|name| self.holder(name).is_none())
            .expect("one of four thousand million numbers is free")
    }

    /// Finds a session by id, name, or unique prefix of either, in that order. Names of sessions on the list win over
    /// those that were let go.
    ///
    /// # Errors
    /// `not_found`, or `ambiguous` with the candidates in the sentence.
    pub fn find(&self, text: &str) -> Result<&SessionId, Refusal> {
        if let Some((id, _)) = self.sessions.get_key_value(&SessionId::from(text)) {
            return Ok(id);
        }
        let named = |hidden: bool| {
            self.sessions.iter().filter(move |(_, scope)| {
                scope.state.is_hidden() == hidden && scope.state.name.as_str() == text
            })
        };
        let listed = || named(false);
        let let_go = || named(true).max_by_key(|(_, scope)| scope.seq);
        // A removal that was refused brings a session back to a list on which its name was given away meanwhile.
        let bearers: Vec<&str> = listed().map(|(id, _)| id.as_str()).collect();
        if bearers.len() > 1 {
            return Err(ambiguous(text, &bearers));
        }
        if let Some((id, _)) = listed().next().or_else(let_go) {
            return Ok(id);
        }
        let prefixed: Vec<_> = self
            .sessions
            .iter()
            .filter(|(id, scope)| {
                !text.is_empty()
                    && !scope.state.is_hidden()
                    && (id.as_str().starts_with(text) || scope.state.name.as_str().starts_with(text))
            })
            .collect();
        match prefixed[..] {
            [(id, _)] => Ok(id),
            [] => Err(no_session(text)),
            _ => {
                let names: Vec<&str> = prefixed.iter().take(5).map(|(_, s)| s.state.name.as_str()).collect();
                Err(ambiguous(text, &names))
            }
        }
    }
}

/// Who waits to land on a base.
#[derive(Default)]
struct Queue<'a> {
    /// The first, and the position of its approval in the log.
    first: Option<(u64, &'a SessionId)>,
    /// Whether somebody has the turn.
    is_taken: bool,
}

/// Returns what an issue is called when its title makes no name: `issue-12` of `…/issues/12`.
fn last_part(issue: &Issue) -> String {
    let last = issue.reference.as_deref().and_then(|reference| reference.rsplit('/').next());
    last.map(|last| format!("issue-{last}")).unwrap_or_default()
}

/// Returns a text as one line without control characters.
fn clean_line(text: &str) -> String {
    crate::text::line(text, text.len())
}

fn free_ports(held: &BTreeSet<u16>) -> Result<Ports, Refusal> {
    fleet::free_ports(held).ok_or_else(|| {
        Refusal::new(
            "no_ports",
            format!("All {} blocks of ports are leased.", fleet::BLOCKS_MAX),
            "End some sessions; see \"oarlock ls\".",
        )
    })
}

fn ambiguous(text: &str, candidates: &[&str]) -> Refusal {
    Refusal::new(
        "ambiguous",
        format!("\"{}\" may be {}.", crate::text::line(text, 60), candidates.join(", ")),
        "Give more of the name, or the id.",
    )
}

fn no_session(text: &str) -> Refusal {
    Refusal::new(
        "not_found",
        format!("There is no session \"{}\".", crate::text::line(text, 60)),
        "List them with \"oarlock ls --all\".",
    )
}
