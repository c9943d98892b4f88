//! Lines of the log as sentences: what `oarlock events` prints and the feed carries. Facts themselves stay inside.

use oarlock_api::wire;
use oarlock_core::crew::{Crew, Line};
use oarlock_core::fleet;
use oarlock_core::ids::RunId;
use oarlock_core::machine::Entry;
use oarlock_core::playbook::relay::{Ask, Closed};
use oarlock_core::session::fact::{Answer, Fact, Farewell, How, Observation, Receipt, Showing, TurnEnd};
use oarlock_core::text;
use oarlock_engine::Stamped;

use crate::view;

/// Longest quotation in a sentence, in characters.
const QUOTE_CHARS_MAX: usize = 100;

/// Turns a line of the log into an event.
pub(crate) fn event(stamped: &Stamped, crew: &Crew) -> wire::Event {
    let (session, (kind, text)) = match &stamped.line {
        Line::Fleet(entry) => (None, entry_words(entry, fleet_words)),
        Line::Session(id, entry) => (Some(id), entry_words(entry, words)),
    };
    let name = session.and_then(|id| crew.sessions.get(id)).map(|scope| scope.state.name.0.clone());
    wire::Event {
        seq: stamped.seq,
        at: view::time(stamped.at),
        session: session.map(|id| id.0.clone()),
        name,
        kind: kind.into(),
        text,
    }
}

fn entry_words<F>(entry: &Entry<F>, words: impl Fn(&F) -> (&'static str, String)) -> (&'static str, String) {
    match entry {
        Entry::Fact(fact) => words(fact),
        Entry::Started(key) => ("started", format!("Started {key}.")),
        Entry::Settled(key) => ("settled", format!("Settled {key}.")),
    }
}

fn fleet_words(fact: &fleet::Fact) -> (&'static str, String) {
    match fact {
        fleet::Fact::ProjectAdded { project, path, .. } => {
            ("project_added", format!("Project {project} registered: {}", text::line(path, 200)))
        }
        fleet::Fact::ProjectRemoved { project, .. } => {
            ("project_removed", format!("Project {project} taken off the list."))
        }
        fleet::Fact::Woke { why } => ("woke", format!("Time came: {why}.")),
    }
}

fn quote(words: &str) -> String {
    text::line(words, QUOTE_CHARS_MAX)
}

fn short(oid: &str) -> &str {
    oid.get(..9).unwrap_or(oid)
}

fn words(fact: &Fact) -> (&'static str, String) {
    match fact {
        Fact::Requested { brief, .. } => {
            ("requested", format!("Requested: {} on {}.", quote(&view::agent(&brief.agent)), brief.branch))
        }
        Fact::WorkspaceReady { path, base, base_branch, .. } => {
            ("workspace_ready", format!("Workspace ready from {base_branch} at {}: {path}", short(&base.0)))
        }
        Fact::WorkspaceRemoved { trash: Some(trash), .. } => {
            ("workspace_removed", format!("Workspace taken away; kept in the trash as {trash}."))
        }
        Fact::WorkspaceRemoved { trash: None, .. } => ("workspace_removed", "Workspace was gone.".into()),
        Fact::RunStarted { run, host_pid, .. } => {
            ("run_started", format!("Run {run} started (host {host_pid})."))
        }
        Fact::RunEnded { run, exit, .. } => ("run_ended", format!("Run {run} ended: {}.", view::exit(exit))),
        Fact::Observed { run, observation, .. } => {
            let (kind, text) = observed(observation);
            (kind, format!("Run {run}: {text}"))
        }
        Fact::WorkSeen(work) => (
            "work_seen",
            format!(
                "At {}, {} ahead, {} uncommitted.",
                short(&work.head.0),
                text::count(work.ahead, "commit"),
                text::count(work.dirty, "path")
            ),
        ),
        Fact::MessageQueued { message, text, .. } => {
            ("message_queued", format!("Message {message} queued: {}", quote(text)))
        }
        Fact::MessageReceipt { message, receipt, .. } => match receipt {
            Receipt::Typed => ("message_typed", format!("Message {message} typed.")),
            Receipt::Taken => ("message_taken", format!("Message {message} taken up.")),
        },
        Fact::MessageHeld { message } => {
            ("message_held", format!("Message {message} waits for the turn's end."))
        }
        Fact::MessageNotTyped { message, trouble, .. } => {
            ("message_not_typed", format!("Message {message} not typed: {}", trouble.message))
        }
        Fact::Pressed { message, .. } => {
            ("message_pressed", format!("Enter pressed again for message {message}."))
        }
        Fact::Interrupted { message, .. } => {
            ("interrupted", format!("The turn is interrupted for message {message}."))
        }
        Fact::Asked { run, ask: Ask::Handover } => {
            ("asked", format!("Run {run}: asked to hand over, as its budget is used up."))
        }
        Fact::Asked { run, ask: Ask::Claim } => ("asked", format!("Run {run}: asked how it stands.")),
        Fact::LegClosed { run, closed } => ("leg_closed", leg(*run, closed)),
        Fact::Examined(_)
        | Fact::Checked(_)
        | Fact::Reviewed { .. }
        | Fact::DependencyEnded { .. }
        | Fact::TurnCame => gate(fact),
        Fact::AnswerCarried { trouble: None, .. } => ("answered", "The answer reached the agent.".into()),
        Fact::AnswerCarried { trouble: Some(trouble), .. } => {
            ("not_answered", format!("The answer did not reach the agent: {}", trouble.message))
        }
        Fact::PerformFailed { key, trouble, .. } => ("failed", format!("{key} failed: {}", trouble.message)),
        Fact::EffectLost { key } => ("effect_lost", format!("{key} may or may not have happened.")),
        Fact::Woke { why } => ("woke", format!("Time came: {why}.")),
        wish => wished(wish),
    }
}

fn gate(fact: &Fact) -> (&'static str, String) {
    match fact {
        Fact::Examined(exam) => match &exam.trouble {
            Some(trouble) => ("examined", format!("The work cannot be looked at: {}", trouble.message)),
            None => (
                "examined",
                format!(
                    "The work is at {}, {} on top of {}, {} not committed, {} in conflict.",
                    short(&exam.head.0),
                    text::count(exam.commits, "commit"),
                    short(&exam.base.0),
                    paths(exam.dirty.len()),
                    paths(exam.conflicts.len())
                ),
            ),
        },
        Fact::Checked(checked) => {
            let red = checked.results.iter().find(|result| !result.red.is_empty());
            let says = match (&checked.trouble, red) {
                (Some(trouble), _) => format!("The checks could not be run: {}", trouble.message),
                (None, Some(red)) => {
                    format!("Check {} is not green: {}.", quote(&red.command), quote(&red.red))
                }
                (None, None) => "The checks are green.".into(),
            };
            ("checked", says)
        }
        Fact::Reviewed { run, review } => {
            let says = match &review.verdict {
                Some(verdict) if verdict.is_approval() => {
                    format!("Run {run} approves: {}", quote(&verdict.summary))
                }
                Some(verdict) => {
                    format!("Run {run} found {} to mend.", count(verdict.to_mend().len(), "issue"))
                }
                None => format!("Run {run} gave no verdict. {}", quote(&review.fault)),
            };
            ("reviewed", says)
        }
        Fact::DependencyEnded { session, landed: true } => ("dependency_ended", format!("{session} landed.")),
        Fact::DependencyEnded { session, landed: false } => {
            ("dependency_ended", format!("{session} is over, and did not land."))
        }
        _ => ("turn_came", "Its turn to land has come.".into()),
    }
}

fn paths(number: usize) -> String {
    count(number, "path")
}

fn count(number: usize, noun: &str) -> String {
    text::count(u32::try_from(number).unwrap_or(u32::MAX), noun)
}

fn leg(run: RunId, closed: &Closed) -> String {
    let baton = if closed.is_derived { "its baton is derived" } else { "its baton is passed on" };
    let mut says = format!(
        "The leg of run {run} left {}, {}; {baton}.",
        text::count(closed.commits, "commit"),
        text::count(closed.dirty, "uncommitted path")
    );
    for fault in &closed.faults {
        says += &format!(" {}", fault.says());
    }
    says
}

fn wished(fact: &Fact) -> (&'static str, String) {
    match fact {
        Fact::StopRequested { .. } => ("stop_requested", "A person wants it stopped.".into()),
        Fact::KillRequested { .. } => ("kill_requested", "A person wants it killed.".into()),
        Fact::AnswerGiven { answer, .. } => (
            "answer_given",
            match answer {
                Answer::Allow => "A person allows it.".into(),
                Answer::AllowAlways => "A person allows it, and the like of it.".into(),
                Answer::Deny(_) => "A person denies it.".into(),
                Answer::Words(words) => format!("A person answers: {}", quote(words)),
            },
        ),
        Fact::ResumeRequested { .. } => ("resume_requested", "A person wants its agent up again.".into()),
        Fact::Renamed { name, .. } => ("renamed", format!("Renamed to {name}.")),
        Fact::LandRequested { wish, .. } => {
            let how = match wish.how {
                How::Merge => "merge",
                How::Squash => "squash",
                How::Rebase => "rebase",
            };
            ("land_requested", format!("A person wants it landed ({how})."))
        }
        Fact::Landed { oid, onto, commits, .. } => {
            ("landed", format!("Landed {} on {onto} as {}.", text::count(*commits, "commit"), short(&oid.0)))
        }
        Fact::LandRefused { trouble, .. } => ("land_refused", format!("Not landed: {}", trouble.message)),
        Fact::FarewellRequested { why, .. } => match why {
            Farewell::Rejected => ("rejected", "A person rejected it.".into()),
            Farewell::Forgotten => ("forgotten", "A person let it go.".into()),
            Farewell::Removed => ("removed", "A person took it off the list.".into()),
            Farewell::Landed => ("retired", "Its work is on the base branch.".into()),
        },
        Fact::RemovalRefused { trouble, .. } => {
            ("removal_refused", format!("Workspace kept: {}", trouble.message))
        }
        Fact::UndoRequested { .. } => ("undo_requested", "A person wants it back.".into()),
        Fact::UndoRefused { trouble, .. } => {
            ("undo_refused", format!("Not brought back: {}", trouble.message))
        }
        _ => ("other", String::new()),
    }
}

fn observed(observation: &Observation) -> (&'static str, String) {
    match observation {
        Observation::Started { .. } => ("agent_started", "the agent is up.".into()),
        Observation::TurnStarted => ("turn_started", "a turn began.".into()),
        Observation::TurnEnded(TurnEnd::Ok) => ("turn_ended", "the turn ended.".into()),
        Observation::TurnEnded(TurnEnd::Error(class)) => {
            ("turn_failed", format!("the turn ended with an error: {class}."))
        }
        Observation::TurnEnded(TurnEnd::Interrupted) => {
            ("turn_interrupted", "the turn was interrupted.".into())
        }
        Observation::TurnEnded(TurnEnd::Unknown) => {
            ("turn_ended", "the turn ended; how is not known.".into())
        }
        Observation::PermissionAsked { what, .. } => {
            ("permission_asked", format!("it asks permission: {}", quote(what)))
        }
        Observation::PermissionResolved => ("permission_resolved", "the permission dialog is gone.".into()),
        Observation::QuestionAsked { what } => ("question_asked", format!("it asks: {}", quote(what))),
        Observation::ToolStarted { name, what, .. } => ("tool_started", format!("{name}: {}", quote(what))),
        Observation::ToolEnded { ok: true, .. } => ("tool_ended", "a tool came back.".into()),
        Observation::ToolEnded { ok: false, .. } => ("tool_failed", "a tool failed.".into()),
        Observation::Shows(Showing::Prompt) => ("shows", "it shows its prompt.".into()),
        Observation::Shows(Showing::Answering) => ("shows", "it shows an answer coming in.".into()),
        Observation::Shows(Showing::Limited) => ("shows", "it shows that its provider makes it wait.".into()),
        Observation::Shows(Showing::Busy) => ("shows", "it shows that it is busy.".into()),
        Observation::Shows(Showing::Dialog(what)) => ("shows", format!("it shows a dialog: {}", quote(what))),
        Observation::Shows(Showing::Question(what)) => {
            ("shows", format!("it shows a question: {}", quote(what)))
        }
        Observation::Used(usage)
            if usage.input + usage.cache_read + usage.cache_write + usage.output == 0 =>
        {
            ("used", format!("{} tokens are in its context.", usage.context.unwrap_or_default()))
        }
        Observation::Used(usage) => (
            "used",
            format!(
                "{} tokens in, {} out.",
                usage.input + usage.cache_read + usage.cache_write,
                usage.output
            ),
        ),
        Observation::Gone { why } if why.is_empty() => ("agent_gone", "the agent left.".into()),
        Observation::Gone { why } => ("agent_gone", format!("the agent left: {}", quote(why))),
        Observation::RateLimited { .. } => ("rate_limited", "the provider asked it to wait.".into()),
        Observation::Answers => ("provider_answers", "the provider answers.".into()),
        Observation::Claimed { note, .. } => ("claimed", format!("it claims: {}", quote(note))),
        Observation::MessageTaken { message } => ("message_taken", format!("it took up message {message}.")),
    }
}
