//! What may be cleared away: a plan over the whole crew, made of facts and of one fresh look at each workspace.
//!
//! It must not take anything away, nor look at git itself.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::crew::Crew;
use crate::ids::{Name, ProjectId, SessionId};
use crate::session::fact::Farewell;
use crate::session::{Outcome, Parting, Session, Workspace};
use crate::text::count;

/// What a cleanup is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only this project's sessions; `None` is every project's.
    pub project: Option<ProjectId>,
    /// Only these; when empty, every session that has a workspace.
    pub sessions: BTreeSet<SessionId>,
}

/// How a workspace stands, as git says it now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Paths changed and not committed, untracked ones included.
    pub dirty: u32,
    /// Commits that are not on the branch the session lands on, nor what they change.
    pub unlanded: u32,
    /// What is checked out, when it is not the session's own branch.
    pub strayed_to: Option<String>,
    /// What git is in the middle of, such as a rebase.
    pub operation: Option<String>,
}

/// What becomes of one session's workspace, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes: its work is on the branch it lands on.
    Landed,
    /// It goes: a person parted with it before, and it had to stay.
    Parted(Farewell),
    /// It goes: nothing in it is missing from the branch it lands on.
    Nothing,
    /// It stays: its agent runs, or is about to.
    Running,
    /// It stays: it is being landed, taken away or brought back.
    UnderWay,
    /// It stays: that many paths are not committed.
    Uncommitted(u32),
    /// It stays: that many commits are not landed.
    Unlanded(u32),
    /// It stays: something else than its own branch is checked out.
    Strayed(String),
    /// It stays: git is in the middle of something.
    Operation(String),
    /// It stays: how it stands could not be read.
    Unread(String),
    /// There is no workspace.
    Gone,
}

impl Verdict {
    /// Returns the farewell that takes it away; `None` when it stays.
    #[must_use]
    pub fn farewell(&self) -> Option<Farewell> {
        match self {
            Verdict::Landed => Some(Farewell::Landed),
            Verdict::Parted(why) => Some(*why),
            Verdict::Nothing => Some(Farewell::Removed),
            Verdict::Running
            | Verdict::UnderWay
            | Verdict::Uncommitted(_)
            | Verdict::Unlanded(_)
            | Verdict::Strayed(_)
            | Verdict::Operation(_)
            | Verdict::Unread(_)
            | Verdict::Gone => None,
        }
    }

    /// Returns the word for programs; never reused.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Verdict::Landed => "landed",
            Verdict::Parted(_) => "parted",
            Verdict::Nothing => "nothing",
            Verdict::Running => "running",
            Verdict::UnderWay => "under_way",
            Verdict::Uncommitted(_) => "uncommitted",
            Verdict::Unlanded(_) => "unlanded",
            Verdict::Strayed(_) => "strayed",
            Verdict::Operation(_) => "operation",
            Verdict::Unread(_) => "unread",
            Verdict::Gone => "gone",
        }
    }

    /// Returns the reason as a sentence.
    #[must_use]
    pub fn says(&self) -> String {
        match self {
            Verdict::Landed => "Its work is landed.".into(),
            Verdict::Parted(why) => {
                let how = match why {
                    Farewell::Landed => "landed",
                    Farewell::Rejected => "rejected",
                    Farewell::Forgotten => "forgotten",
                    Farewell::Removed => "removed",
                };
                format!("It was {how}, and its workspace had to stay.")
            }
            Verdict::Nothing => "It is over and holds nothing to land.".into(),
            Verdict::Running => "Its agent runs.".into(),
            Verdict::UnderWay => "It is being landed, taken away or brought back.".into(),
            Verdict::Uncommitted(paths) => {
                format!("It holds uncommitted work: {}.", count(*paths, "changed path"))
            }
            Verdict::Unlanded(commits) => format!("Not landed: {}.", count(*commits, "commit")),
            Verdict::Strayed(to) => format!("It is on {to}, not on its own branch."),
            Verdict::Operation(what) => format!("It is in the middle of a {what}."),
            Verdict::Unread(why) => format!("It could not be looked at: {why}"),
            Verdict::Gone => "It has no workspace.".into(),
        }
    }
}

/// One line of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The session.
    pub session: SessionId,
    /// Its name.
    pub name: Name,
    /// What becomes of its workspace.
    pub verdict: Verdict,
}

/// Returns the sessions that only a look at their workspace decides about.
#[must_use]
pub fn undecided(crew: &Crew, scope: &Scope) -> Vec<SessionId> {
    let open = |(_, session): &(&SessionId, &Session)| decided(session).is_none();
    within(crew, scope).filter(open).map(|(id, _)| id.clone()).collect()
}

/// Returns what becomes of every workspace in scope, oldest session first. A session that was not looked at stays.
#[must_use]
pub fn plan(crew: &Crew, scope: &Scope, looks: &BTreeMap<SessionId, Result<Look, String>>) -> Vec<Item> {
    let mut items: Vec<_> = within(crew, scope)
        .map(|(id, session)| {
            let verdict = decided(session).unwrap_or_else(|| seen(session, looks.get(id)));
            let item = Item { session: id.clone(), name: session.name.clone(), verdict };
            ((session.requested_at, id.clone()), item)
        })
        .collect();
    items.sort_by(|(a, _), (b, _)| a.cmp(b));
    items.into_iter().map(|(_, item)| item).collect()
}

fn within<'a>(crew: &'a Crew, scope: &'a Scope) -> impl Iterator<Item = (&'a SessionId, &'a Session)> {
    let all = crew.sessions.iter().map(|(id, scope)| (id, &scope.state));
    all.filter(move |(id, session)| {
        let of_project = |project: &ProjectId| session.brief.as_ref().is_some_and(|b| b.project == *project);
        let named = scope.sessions.contains(*id);
        let wanted = named || (scope.sessions.is_empty() && session.checkout().is_some());
        wanted && scope.project.as_ref().is_none_or(of_project)
    })
}

/// Returns what is known without a look.
fn decided(session: &Session) -> Option<Verdict> {
    if session.live_run().is_some() || (session.run_wanted.is_some() && !is_stuck(session)) {
        return Some(Verdict::Running);
    }
    if session.open_landing().is_some() || session.is_returning() {
        return Some(Verdict::UnderWay);
    }
    match (&session.workspace, &session.parting) {
        (Workspace::Wanted | Workspace::Removed { .. }, _) => Some(Verdict::Gone),
        // A person decided about the work; the trash holds whatever is in it.
        (Workspace::Ready(_), Some(Parting { why, refused: Some(_), undo: None, .. })) => {
            Some(Verdict::Parted(*why))
        }
        (Workspace::Ready(_), Some(Parting { undo: None, .. })) => Some(Verdict::UnderWay),
        (Workspace::Ready(_), _) => None,
    }
}

/// Tells whether the run that is wanted will not come up by itself.
fn is_stuck(session: &Session) -> bool {
    session.halt.is_some() || ["workspace", "run"].iter().any(|kind| session.stuck_on(kind).is_some())
}

fn seen(session: &Session, look: Option<&Result<Look, String>>) -> Verdict {
    let look = match look {
        Some(Ok(look)) => look,
        Some(Err(why)) => return Verdict::Unread(why.clone()),
        None => return Verdict::Unread("it changed meanwhile.".into()),
    };
    if let Some(operation) = &look.operation {
        return Verdict::Operation(operation.clone());
    }
    if look.dirty > 0 {
        return Verdict::Uncommitted(look.dirty);
    }
    if let Some(to) = &look.strayed_to {
        return Verdict::Strayed(to.clone());
    }
    match (look.unlanded, &session.outcome) {
        (0, Some(Outcome::Landed { .. })) => Verdict::Landed,
        (0, _) => Verdict::Nothing,
        (commits, _) => Verdict::Unlanded(commits),
    }
}
