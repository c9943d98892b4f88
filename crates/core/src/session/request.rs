//! Wishes about a session, and the typed noes they may meet.
//!
//! A refusal has a stable code, one sentence, and a hint a person can run.

use alloc::format;
use alloc::string::String;

use crate::ids::{MessageId, Name, RequestId};
use crate::playbook::gate;
use crate::playbook::relay::Rest;
use crate::text;

use super::fact::{Answer, Author, Fact, Farewell, Hold, LandWish, When};
use super::{
    Activity, Brief, MESSAGE_BYTES_MAX, MESSAGES_WAITING_MAX, Outcome, PROMPT_BYTES_MAX, RUNS_MAX, Session,
    Workspace,
};

/// A wish about one session.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Begin it.
    Spawn(RequestId, Name, Brief),
    /// Tell the agent something.
    Send(RequestId, MessageId, Author, String, When),
    /// Answer what the agent asked: the named question, or the one that stands.
    Answer(RequestId, Option<String>, Answer),
    /// Stop the run at leave.
    Stop(RequestId),
    /// End the run at once.
    Kill(RequestId),
    /// Bring the agent up again, with a prompt (empty for none).
    Resume(RequestId, String, Option<(Hold, bool)>),
    /// Give it another name.
    Rename(RequestId, Name),
    /// Put its work on the base branch; `true` even while the agent is in a turn.
    Land(RequestId, LandWish, bool),
    /// Set it aside, let it go, or take it off the list.
    Part(RequestId, Farewell),
    /// Undo the farewell.
    Undo(RequestId),
}

impl Request {
    /// Returns the client's id for the wish.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        match self {
            Request::Spawn(id, ..)
            | Request::Send(id, ..)
            | Request::Answer(id, ..)
            | Request::Stop(id)
            | Request::Kill(id)
            | Request::Resume(id, ..)
            | Request::Rename(id, _)
            | Request::Land(id, ..)
            | Request::Part(id, _)
            | Request::Undo(id) => id,
        }
    }
}

/// A typed no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A stable word for programs.
    pub code: &'static str,
    /// One sentence for people.
    pub message: String,
    /// What to do instead.
    pub hint: String,
}

impl Refusal {
    /// Makes a refusal.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into() }
    }
}

/// Returns the fact a wish becomes.
pub(super) fn admit(session: &Session, request: Request) -> Result<Fact, Refusal> {
    if let Request::Spawn(request, name, brief) = request {
        return admit_spawn(session, request, name, brief);
    }
    match request {
        Request::Spawn(..) => Err(unknown()),
        _ if session.brief.is_none() => Err(unknown()),
        Request::Send(request, message, author, text, when) => {
            check_message(session, &text)?;
            let text = text::clean(&text);
            Ok(Fact::MessageQueued { request, message, author, text, when })
        }
        Request::Answer(request, ask, answer) => admit_answer(session, request, ask, answer),
        Request::Stop(request) => admit_halt(session).map(|()| Fact::StopRequested { request }),
        Request::Kill(request) => admit_halt(session).map(|()| Fact::KillRequested { request }),
        Request::Resume(request, prompt, hold) => {
            admit_resume(session, &prompt).map(|()| Fact::ResumeRequested { request, prompt, hold })
        }
        Request::Rename(request, name) => Ok(Fact::Renamed { request, name }),
        Request::Land(request, wish, now) => admit_land(session, request, wish, now),
        Request::Part(request, why) => admit_part(session, request, why),
        Request::Undo(request) => admit_undo(session, request),
    }
}

fn unknown() -> Refusal {
    Refusal::new("not_found", "There is no such session.", "List them with \"oarlock ls --all\".")
}

fn over(session: &Session) -> Option<Refusal> {
    let name = &session.name;
    let how = match session.outcome.as_ref()? {
        Outcome::Landed { onto, .. } => format!("landed on {onto}"),
        Outcome::Rejected => "was rejected".into(),
        Outcome::Forgotten => "was forgotten".into(),
        Outcome::GaveUp(why) => format!("gave up ({why})"),
    };
    let hint = match session.outcome {
        Some(Outcome::Rejected | Outcome::Forgotten) => {
            format!("Bring it back with \"oarlock undo {name}\".")
        }
        _ => String::from("Begin another with \"oarlock spawn\"."),
    };
    Some(Refusal::new("already_over", format!("Session {name} {how}."), hint))
}

fn admit_spawn(session: &Session, request: RequestId, name: Name, brief: Brief) -> Result<Fact, Refusal> {
    if session.brief.is_some() {
        return Err(Refusal::new("exists", format!("Session {name} exists."), "Choose another id."));
    }
    check_prompt(&brief.prompt)?;
    Ok(Fact::Requested { request, name, brief })
}

fn check_prompt(prompt: &str) -> Result<(), Refusal> {
    if prompt.len() > PROMPT_BYTES_MAX {
        return Err(Refusal::new(
            "too_long",
            format!("The prompt has {} bytes; at most {PROMPT_BYTES_MAX} are taken.", prompt.len()),
            "Put it into a file of the repository and name the file in the prompt.",
        ));
    }
    if prompt.contains('\0') {
        return Err(Refusal::new(
            "not_text",
            "The prompt holds a NUL byte, so it is no text.",
            "Put binary data into a file and name the file in the prompt.",
        ));
    }
    Ok(())
}

fn check_message(session: &Session, text: &str) -> Result<(), Refusal> {
    let name = &session.name;
    if let Some(refusal) = over(session) {
        return Err(refusal);
    }
    let text = text::clean(text);
    if text.trim().is_empty() {
        return Err(Refusal::new(
            "empty",
            "The message is empty.",
            "Give it a text, or - to read standard input.",
        ));
    }
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(Refusal::new(
            "too_long",
            format!("The message has {} bytes; at most {MESSAGE_BYTES_MAX} are typed.", text.len()),
            "Put it into a file and send the file's path.",
        ));
    }
    if session.messages.iter().filter(|message| message.is_waiting()).count() >= MESSAGES_WAITING_MAX {
        return Err(Refusal::new(
            "queue_full",
            format!("{MESSAGES_WAITING_MAX} messages already wait for {name}."),
            format!("See why with \"oarlock why {name}\"."),
        ));
    }
    match session.live_run() {
        Some(run) if matches!(run.activity, Activity::Blocked(_)) => Err(Refusal::new(
            "blocked",
            format!("A permission dialog is up in {name}; typing now would answer it."),
            format!(
                "Answer it first: \"oarlock answer {name} allow\" or \"deny\", or \"oarlock attach {name}\"."
            ),
        )),
        None if session.run_wanted.is_none() => Err(Refusal::new(
            "not_running",
            format!("No agent runs in {name}."),
            format!("Bring it up with the message as its prompt: \"oarlock resume {name} --prompt …\"."),
        )),
        Some(run) if matches!(run.activity, Activity::Gone(_)) => Err(Refusal::new(
            "agent_gone",
            format!("The agent of {name} left; what is typed now would go to the shell it left behind."),
            format!("Stop it with \"oarlock stop {name}\", then resume it."),
        )),
        _ => Ok(()),
    }
}

/// Words may answer a question, and nothing else may; a permission is allowed or denied.
fn admit_answer(
    session: &Session,
    request: RequestId,
    ask: Option<String>,
    answer: Answer,
) -> Result<Fact, Refusal> {
    let name = &session.name;
    if let Some(refusal) = over(session) {
        return Err(refusal);
    }
    let Some(run) = session.live_run().filter(|run| run.waits_for_answer()) else {
        return Err(Refusal::new(
            "nothing_asked",
            format!("The agent of {name} asks nothing."),
            format!(
                "See what it does with \"oarlock why {name}\"; talk to it with \"oarlock send {name} …\"."
            ),
        ));
    };
    if ask.is_some() && run.ask.is_some() && ask != run.ask {
        return Err(Refusal::new(
            "another_question",
            format!("{name} asks something else by now."),
            format!("Look again: \"oarlock show {name}\"."),
        ));
    }
    let on_its_way =
        session.answer.as_ref().is_some_and(|answer| answer.run == run.id && answer.carried.is_none());
    if on_its_way {
        return Err(Refusal::new("answering", format!("An answer to {name} is on its way."), "Wait for it."));
    }
    if matches!((&run.activity, &answer), (Activity::Blocked(_), Answer::Words(_))) {
        return Err(Refusal::new(
            "permission_asked",
            format!("{name} asks for a permission, not for words."),
            format!("Use \"oarlock answer {name} allow\", \"always\" or \"deny\"."),
        ));
    }
    let answer = match answer {
        Answer::Deny(why) => Answer::Deny(text::clean(&why)),
        Answer::Words(words) => Answer::Words(text::clean(&words)),
        same @ (Answer::Allow | Answer::AllowAlways) => same,
    };
    Ok(Fact::AnswerGiven { request, ask, answer })
}

fn admit_halt(session: &Session) -> Result<(), Refusal> {
    if session.live_run().is_some() || (session.run_wanted.is_some() && session.outcome.is_none()) {
        return Ok(());
    }
    Err(Refusal::new(
        "not_running",
        format!("No agent runs in {}.", session.name),
        format!("See how it ended with \"oarlock show {}\".", session.name),
    ))
}

fn admit_resume(session: &Session, prompt: &str) -> Result<(), Refusal> {
    let name = &session.name;
    if let Some(refusal) = over(session) {
        return Err(refusal);
    }
    check_prompt(prompt)?;
    let is_complete = session.relay.as_ref().is_some_and(|relay| relay.rest == Some(Rest::Complete));
    if is_complete && prompt.trim().is_empty() {
        return Err(Refusal::new(
            "complete",
            format!("All phases of {name} are claimed to be complete."),
            format!(
                "Land it with \"oarlock land {name}\", or say what is missing: \"oarlock resume {name} --prompt …\"."
            ),
        ));
    }
    let is_approved = session.gate.as_ref().is_some_and(|gate| gate.rest == Some(gate::Rest::Approved));
    if is_approved && prompt.trim().is_empty() {
        return Err(Refusal::new(
            "complete",
            format!("{name} is approved."),
            format!(
                "Land it with \"oarlock land {name}\", or say what is missing: \"oarlock resume {name} --prompt …\"."
            ),
        ));
    }
    if session.live_run().is_some() && session.halt.is_none() {
        return Err(Refusal::new(
            "already_running",
            format!("The agent of {name} is running."),
            format!("Talk to it with \"oarlock send {name} …\", or attach to it."),
        ));
    }
    if session.runs_begun >= RUNS_MAX {
        return Err(Refusal::new(
            "limit",
            format!("{name} has had {RUNS_MAX} runs."),
            "Begin another session.",
        ));
    }
    Ok(())
}

fn admit_land(session: &Session, request: RequestId, wish: LandWish, now: bool) -> Result<Fact, Refusal> {
    let name = &session.name;
    if let Some(refusal) = over(session) {
        return Err(refusal);
    }
    if session.checkout().is_none() {
        return Err(Refusal::new(
            "no_workspace",
            format!("{name} has no workspace to land from."),
            format!("See why with \"oarlock why {name}\"."),
        ));
    }
    if session.open_landing().is_some() {
        return Err(Refusal::new("landing", format!("{name} is being landed."), "Wait for its answer."));
    }
    let mid_turn = session.live_run().is_some_and(|run| {
        !matches!(run.activity, Activity::Idle | Activity::Asking(_) | Activity::Failing(_))
    });
    let judged = match &session.gate {
        Some(gate) => gate.approval.as_ref(),
        None => None,
    };
    if session.gate.is_some() && judged.is_none() && !now {
        return Err(Refusal::new(
            "not_judged",
            format!("No overseer has approved the work of {name}."),
            format!("See how it stands with \"oarlock show {name}\"; --now lands it unjudged."),
        ));
    }
    // What a person lands is what was judged, too.
    let mut wish = wish;
    if let (Some(approval), Some(gate), false) = (judged, &session.gate, now) {
        let exam = gate.rounds.last().and_then(|round| round.exam.as_ref());
        wish.approved = exam.map(|exam| (approval.head.clone(), exam.tree.clone()));
        wish.expect_base = wish.expect_base.or_else(|| Some(approval.base.clone()));
    }
    if mid_turn && !now {
        return Err(Refusal::new(
            "still_working",
            format!("The agent of {name} is still at work."),
            format!("Wait, or stop it with \"oarlock stop {name}\", or land what is committed with --now."),
        ));
    }
    Ok(Fact::LandRequested { request, wish })
}

fn admit_part(session: &Session, request: RequestId, why: Farewell) -> Result<Fact, Refusal> {
    let name = &session.name;
    // What has ended may still be taken off the list, and a workspace that was kept, or had to stay, taken away.
    let had_to_stay = session
        .parting
        .as_ref()
        .is_some_and(|parting| parting.why == why && parting.refused.is_some() && parting.undo.is_none());
    let was_kept = why == Farewell::Landed && session.parting.is_none() && session.checkout().is_some();
    let may_be_over = (why == Farewell::Removed && !session.is_hidden()) || had_to_stay || was_kept;
    if let Some(refusal) = over(session).filter(|_| !may_be_over) {
        return Err(refusal);
    }
    if session.open_landing().is_some() {
        return Err(Refusal::new("landing", format!("{name} is being landed."), "Wait for its answer."));
    }
    if session.is_returning() {
        return Err(Refusal::new("undoing", format!("{name} is being brought back."), "Wait for it."));
    }
    if why == Farewell::Landed && !matches!(session.outcome, Some(Outcome::Landed { .. })) {
        return Err(Refusal::new(
            "not_landed",
            format!("{name} has not landed."),
            format!("Land it with \"oarlock land {name}\"."),
        ));
    }
    if matches!(why, Farewell::Removed | Farewell::Landed) && session.live_run().is_some() {
        return Err(Refusal::new(
            "still_running",
            format!("The agent of {name} is running."),
            format!("Stop it first with \"oarlock stop {name}\"."),
        ));
    }
    Ok(Fact::FarewellRequested { request, why })
}

fn admit_undo(session: &Session, request: RequestId) -> Result<Fact, Refusal> {
    let name = &session.name;
    let Some(parting) = &session.parting else {
        return Err(Refusal::new("nothing_to_undo", format!("Nothing was taken from {name}."), ""));
    };
    if session.is_returning() {
        return Err(Refusal::new("undoing", format!("{name} is being brought back."), "Wait for it."));
    }
    match session.workspace {
        Workspace::Ready(_) | Workspace::Wanted if parting.refused.is_none() => Err(Refusal::new(
            "removing",
            format!("{name} is still being taken away."),
            "Try again in a moment.",
        )),
        // A part of it may be in the trash, or not: only another removal can tell.
        Workspace::Wanted if session.stuck_on("remove").is_some() => Err(Refusal::new(
            "removal_failed",
            format!("Nobody knows what is left of the workspace of {name}."),
            format!("Try its removal again with \"oarlock rm {name}\"."),
        )),
        _ => Ok(Fact::UndoRequested { request, ports: None }),
    }
}
