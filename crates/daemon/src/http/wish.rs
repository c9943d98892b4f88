//! Giving a wish to the engine, under an id that names it for ever.
//!
//! It must not know what comes of a wish.

use axum::http::StatusCode;
use oarlock_core::crew::{Line, Request as Wish};
use oarlock_core::fleet;
use oarlock_core::machine::Entry;
use oarlock_core::session::fact::{Fact, Farewell};
use oarlock_core::session::{Refusal, Request};
use oarlock_engine::{Answer, NoAnswer};

use super::{Answered, Failure, STORE_FAILED, blocking};
use crate::Daemon;

impl Daemon {
    /// Gives a wish to the engine, and waits for its answer without holding a thread.
    ///
    /// A wish made before is answered as it was then. An id that was another kind of wish's is a mistake of the client's:
    /// taken for a repeat, it would be told that something was done which was never asked for.
    pub(super) async fn wish(self: &std::sync::Arc<Self>, wish: Wish) -> Answered<Answer> {
        let is_same = same_kind(&wish);
        let (reply, answer) = tokio::sync::oneshot::channel();
        // A caller that hung up still had its wish carried out.
        self.engine.ask(wish, move |result| drop(reply.send(result)));
        let answer = match answer.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(NoAnswer::Refused(refusal))) => return Err(refusal.into()),
            Ok(Err(NoAnswer::Store(error))) => {
                let mut failure = Failure::inside("record the request", error.as_ref());
                failure.0 = StatusCode::SERVICE_UNAVAILABLE;
                failure.1.code = STORE_FAILED.into();
                failure.1.hint = "Nothing happened. Is the disk full? See \"oarlock doctor\".".into();
                return Err(failure);
            }
            Err(_) => {
                return Err(
                    Refusal::new("stopping", "The daemon is stopping.", "Try again in a moment.").into()
                );
            }
        };
        if answer.before {
            let (daemon, at) = (self.clone(), answer.seq.saturating_sub(1));
            let lines = blocking(move || daemon.feed.replay(at, 1)).await?;
            let lines = lines.map_err(|error| Failure::inside("read what was asked before", &error))?;
            // A line that is no longer kept tells nothing against it.
            let line = lines.first().filter(|stamped| stamped.seq == answer.seq);
            if line.is_some_and(|stamped| !is_same(&stamped.line)) {
                return Err(Failure::new(
                    StatusCode::CONFLICT,
                    "id_taken",
                    "The request id was another wish's.",
                    "Send a UUID of its own with every wish.",
                ));
            }
        }
        Ok(answer)
    }
}

/// Returns how to tell a line of the log that a wish of the same kind became.
fn same_kind(wish: &Wish) -> impl Fn(&Line) -> bool + use<> {
    let kind = match wish {
        Wish::Fleet(fleet::Request::AddProject(..)) => "add",
        Wish::Fleet(fleet::Request::RemoveProject(..)) => "remove",
        Wish::Spawn(_) => "spawn",
        Wish::Session(_, request) => match request {
            Request::Spawn(..) => "spawn",
            Request::Send(..) => "send",
            Request::Answer(..) => "answer",
            Request::Stop(_) => "stop",
            Request::Kill(_) => "kill",
            Request::Resume(..) => "resume",
            Request::Rename(..) => "rename",
            Request::Land(..) => "land",
            Request::Part(_, why) => farewell(*why),
            Request::Undo(_) => "undo",
        },
    };
    move |line| kind_of(line) == Some(kind)
}

fn farewell(why: Farewell) -> &'static str {
    match why {
        Farewell::Landed => "retire",
        Farewell::Rejected => "reject",
        Farewell::Forgotten => "forget",
        Farewell::Removed => "take off the list",
    }
}

fn kind_of(line: &Line) -> Option<&'static str> {
    match line {
        Line::Fleet(Entry::Fact(fleet::Fact::ProjectAdded { .. })) => Some("add"),
        Line::Fleet(Entry::Fact(fleet::Fact::ProjectRemoved { .. })) => Some("remove"),
        Line::Session(_, Entry::Fact(fact)) => match fact {
            Fact::Requested { .. } => Some("spawn"),
            Fact::MessageQueued { .. } => Some("send"),
            Fact::AnswerGiven { .. } => Some("answer"),
            Fact::StopRequested { .. } => Some("stop"),
            Fact::KillRequested { .. } => Some("kill"),
            Fact::ResumeRequested { .. } => Some("resume"),
            Fact::Renamed { .. } => Some("rename"),
            Fact::LandRequested { .. } => Some("land"),
            Fact::FarewellRequested { why, .. } => Some(farewell(*why)),
            Fact::UndoRequested { .. } => Some("undo"),
            _ => None,
        },
        Line::Fleet(_) | Line::Session(..) => None,
    }
}
