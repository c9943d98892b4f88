//! The core's nouns turned into the wire's, by hand: the duplication is the boundary.

mod gate;
mod relay;

use oarlock_api::place::Place;
use oarlock_api::wire;
use oarlock_core::ids::{SessionId, Timestamp};
use oarlock_core::machine::Scope;
use oarlock_core::session::fact::{Adopted, Agent, Author, Begun, Exit, Role, Source, Trouble};
use oarlock_core::session::{Activity, Message, MessageState, Outcome, Refusal, Run, Session, Workspace};
use oarlock_core::status;
use oarlock_world::config::PERMISSIONS;

/// Writes a moment as RFC 3339 in UTC, to the millisecond.
pub(crate) fn time(at: Timestamp) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let stamp = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{stamp:.3}")
}

/// Writes an agent as people give it.
pub(crate) fn agent(agent: &Agent) -> String {
    match &agent.command {
        Some(command) => format!("{}:{command}", agent.name),
        None => agent.name.clone(),
    }
}

/// The session as lists show it.
pub(crate) fn session(id: &SessionId, scope: &Scope<Session>) -> wire::Session {
    let session = &scope.state;
    let (status, reasons) = status::explain(session);
    let place = session.place();
    let work = session.work.as_ref().map(|(work, _)| work);
    let brief = session.brief.as_ref();
    wire::Session {
        id: id.0.clone(),
        name: session.name.0.clone(),
        project: brief.map(|brief| brief.project.0.clone()).unwrap_or_default(),
        playbook: brief.map(|brief| brief.playbook.word().to_owned()).unwrap_or_default(),
        role: role(brief.map(|brief| brief.role).unwrap_or_default()).into(),
        status: status.word().to_owned(),
        because: reasons.first().map(|reason| reason.says.clone()).unwrap_or_default(),
        outcome: session.outcome.as_ref().map(|outcome| outcome_word(outcome).to_owned()),
        agent: brief.map(|brief| agent(&brief.agent)).unwrap_or_default(),
        held_by: brief.map(|brief| brief.agent.hold.word().to_owned()).unwrap_or_default(),
        signal_at: session.live_run().and_then(Run::signal_at).map(time),
        silent_since: status::silent_since(session, crate::now()).map(time),
        branch: brief.map(|brief| brief.branch.clone()).unwrap_or_default(),
        base_branch: place.map(|place| place.base_branch.clone()),
        base: place.map(|place| place.base.0.clone()),
        head: work.map(|work| work.head.0.clone()).or_else(|| place.map(|place| place.base.0.clone())),
        ahead: work.map(|work| work.ahead),
        dirty: work.map(|work| work.dirty),
        workspace: session.checkout().map(|checkout| checkout.path.clone()),
        created_at: time(session.requested_at),
        seq: scope.seq,
    }
}

/// Everything about a session.
pub(crate) fn detail(place: &Place, id: &SessionId, scope: &Scope<Session>) -> wire::SessionDetail {
    let state = &scope.state;
    let brief = state.brief.as_ref();
    wire::SessionDetail {
        session: session(id, scope),
        prompt: brief.map(|brief| brief.prompt.clone()).unwrap_or_default(),
        told: brief.map(|brief| told(&brief.agent)).unwrap_or_default(),
        ports: brief.map(|brief| (brief.ports.first, brief.ports.count)).unwrap_or_default(),
        runs: state.runs.iter().map(|one| run(place, id, one)).collect(),
        messages: state.messages.iter().map(message).collect(),
        spent: wire::Spent {
            input: state.spent.input,
            cache_read: state.spent.cache_read,
            cache_write: state.spent.cache_write,
            output: state.spent.output,
            cost_micros: state.spent.cost_micros,
        },
        asks: state.live_run().and_then(asks),
        trash: trash(state),
        adopted: brief.and_then(|brief| match brief.adopted {
            Adopted::Nothing => None,
            Adopted::Branch => Some("branch".into()),
            Adopted::Worktree(_) => Some("worktree".into()),
        }),
        relay: relay::view(place, state),
        gate: gate::view(place, state),
        issue: brief
            .and_then(|brief| brief.issue.clone())
            .map(|issue| wire::Issue { reference: issue.reference, title: issue.title }),
    }
}

fn told(agent: &Agent) -> wire::Told {
    let word = PERMISSIONS.iter().find(|(_, known)| *known == agent.permissions);
    wire::Told {
        model: agent.model.clone(),
        permissions: word.map(|(word, _)| (*word).to_owned()).unwrap_or_default(),
        rules: agent.rules.clone(),
        args: agent.args.clone(),
        env: agent.env.iter().map(|(name, _)| name.clone()).collect(),
    }
}

/// Returns the entry of the trash that holds a session's workspace.
pub(crate) fn trash(session: &Session) -> Option<String> {
    match &session.workspace {
        Workspace::Removed { trash, .. } => trash.as_ref().map(|trash| trash.0.clone()),
        Workspace::Wanted | Workspace::Ready(_) => None,
    }
}

fn asks(run: &Run) -> Option<wire::Asks> {
    let (kind, what) = match &run.activity {
        Activity::Blocked(what) => ("permission", what),
        Activity::Asking(what) => ("question", what),
        _ => return None,
    };
    Some(wire::Asks { kind: kind.into(), ask: run.ask.clone(), what: what.clone() })
}

fn run(place: &Place, id: &SessionId, run: &Run) -> wire::Run {
    wire::Run {
        id: run.id.0,
        role: role(run.role).into(),
        started_at: time(run.started_at),
        ended_at: run.ended.as_ref().map(|(_, at)| time(*at)),
        exit: run.ended.as_ref().map(|(exit, _)| self::exit(exit)),
        begun: match run.begun {
            Begun::Fresh => "fresh",
            Begun::Conversation => "conversation",
            Begun::Digest => "digest",
        }
        .into(),
        conversation: run.conversation.clone(),
        model: run.model.clone(),
        version: run.version.clone(),
        turns: run.turns,
        context: run.count.context.map(|(used, window)| (used, window.unwrap_or(0))),
        folder: place.run(id.as_str(), run.id.0).display().to_string(),
        last_words: run.last_words.clone(),
    }
}

/// Returns the word for what a run is for.
pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Builder => "builder",
        Role::Orchestrator => "orchestrator",
        Role::Checks => "checks",
        Role::Overseer => "overseer",
    }
}

/// Writes how a process ended.
pub(crate) fn exit(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::NotStarted(why) => format!("not started: {why}"),
        Exit::Unknown => "unknown".into(),
    }
}

/// Writes a message and how far it came.
pub(crate) fn message(message: &Message) -> wire::Message {
    let (state, trouble) = match &message.state {
        MessageState::Waiting => ("queued", ""),
        MessageState::InDoubt(_) => ("in_doubt", ""),
        MessageState::Typed(_) => ("delivered", ""),
        MessageState::Taken(_) => ("accepted", ""),
        MessageState::Refused(trouble) => ("refused", trouble.message.as_str()),
    };
    wire::Message {
        id: message.id.0.clone(),
        author: match message.author {
            Author::Person => "person".into(),
            Author::Agent => "agent".into(),
            Author::Rule => "rule".into(),
        },
        state: state.into(),
        trouble: trouble.into(),
        queued_at: time(message.queued_at),
        text: message.text.clone(),
    }
}

/// The status with its reasons and their ages.
pub(crate) fn why(scope: &Scope<Session>, now: Timestamp) -> wire::Why {
    let (status, reasons) = status::explain(&scope.state);
    let reason = |reason: status::Reason| wire::Reason {
        says: reason.says,
        source: source(reason.source).into(),
        at: time(reason.at),
        age_ms: now.0.saturating_sub(reason.at.0),
    };
    let silence = status::silent_since(&scope.state, now).map(|at| status::Reason {
        says: "It has told nothing since: its hooks may not be called, or it hangs.".into(),
        source: Source::Oarlock,
        at,
    });
    wire::Why {
        name: scope.state.name.0.clone(),
        status: status.word().into(),
        reasons: reasons.into_iter().chain(silence).map(reason).collect(),
        evidence: status::evidence(&scope.state).into_iter().map(reason).collect(),
    }
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Protocol => "protocol",
        Source::Hook => "hook",
        Source::Transcript => "transcript",
        Source::Process => "process",
        Source::Screen => "screen",
        Source::Git => "git",
        Source::Person => "person",
        Source::Oarlock => "oarlock",
    }
}

/// Returns the word for an outcome.
pub(crate) fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Landed { .. } => "landed",
        Outcome::Rejected => "rejected",
        Outcome::Forgotten => "forgotten",
        Outcome::GaveUp(_) => "gave_up",
    }
}

/// A refusal of the core, on the wire.
pub(crate) fn refusal(refusal: &Refusal) -> wire::Error {
    wire::Error {
        code: refusal.code.into(),
        message: refusal.message.clone(),
        hint: refusal.hint.clone(),
        paths: vec![],
    }
}

/// A typed no of the world, on the wire.
pub(crate) fn trouble(trouble: &Trouble) -> wire::Error {
    wire::Error {
        code: trouble.code.clone(),
        message: trouble.message.clone(),
        hint: trouble.hint.clone(),
        paths: trouble.paths.clone(),
    }
}
