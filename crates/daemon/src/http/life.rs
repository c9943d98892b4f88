//! A session's life: messages, stop, resume, rename, and the ways to part with it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Path, State};
use oarlock_api::wire;
use oarlock_core::crew::{Crew, Request as Wish};
use oarlock_core::ids::{MessageId, SessionId};
use oarlock_core::machine::Scope;
use oarlock_core::session::fact::{Answer, Author, Farewell, When};
use oarlock_core::session::{Refusal, Request, STOP_GRACE_MS, Session, Workspace};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Asked, Body, Named, Requested};
use super::sessions::parse_name;
use super::{Answered, App, Failure, STORE_FAILED, blocking};
use crate::token::Bearer;
use crate::{Daemon, view};

/// How long `send` waits for its receipt before it says that the message waits.
const RECEIPT_WAIT: Duration = Duration::from_secs(3);
/// How long a receipt is followed before the client asks anew: shorter than any proxy's patience.
const FOLLOW_WAIT: Duration = Duration::from_secs(20);
/// How long `stop` and `kill` wait for the end: the grace, and the sweep of what is left.
const END_WAIT: Duration = Duration::from_millis(STOP_GRACE_MS + 5_000);
/// How long a removal or an undo may take before the answer says that it is under way.
pub(super) const WORKSPACE_WAIT: Duration = Duration::from_secs(90);

pub(super) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        .routes(routes!(send))
        .routes(routes!(follow))
        .routes(routes!(answer))
        .routes(routes!(stop))
        .routes(routes!(kill))
        .routes(routes!(resume))
        .routes(routes!(rename))
        .routes(routes!(reject))
        .routes(routes!(forget))
        .routes(routes!(remove))
        .routes(routes!(undo))
}

/// Types a message to the agent, exactly once, and answers with its receipt.
#[utoipa::path(post, path = "/v1/sessions/{session}/messages", operation_id = "send", params(("session" = String, Path)),
    request_body = wire::Send,
    responses((status = 200, body = wire::Message), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn send(
    State(daemon): App,
    Requested(request): Requested,
    Named(session): Named,
    bearer: Option<Extension<Bearer>>,
    Body(body): Body<wire::Send>,
) -> Answered<Json<wire::Message>> {
    let id = daemon.find(&session)?;
    // The message bears the request's id, so a retry is the same message.
    let message = MessageId(request.0.replace('/', "-"));
    let author = if bearer.is_some() { Author::Agent } else { Author::Person };
    let when = match body.when.as_deref() {
        None | Some("idle") => When::Idle,
        Some("now") => When::Now,
        Some("interrupt") => When::Interrupt,
        Some(other) => {
            let message = format!("\"{}\" is no time for a message.", oarlock_core::text::line(other, 40));
            return Err(Failure::bad("bad_when", message, "Use idle, now or interrupt."));
        }
    };
    let wish = Request::Send(request, message.clone(), author, body.text, when);
    daemon.wish(Wish::Session(id.clone(), wish)).await?;
    receipt(&daemon, &id, &message, RECEIPT_WAIT, |state| !matches!(state, "queued" | "in_doubt")).await
}

/// Waits until a message came as far as wanted, or time is up, and returns how far it came.
async fn receipt(
    daemon: &Arc<Daemon>,
    id: &SessionId,
    message: &MessageId,
    wait: Duration,
    far_enough: impl Fn(&str) -> bool,
) -> Answered<Json<wire::Message>> {
    let seen = |crew: &Crew| {
        let session = &crew.sessions.get(id)?.state;
        let known = session.messages.iter().find(|known| known.id == *message)?;
        Some(view::message(known))
    };
    // One that nobody knows comes no further.
    let is_over = |crew: &Crew| seen(crew).is_none_or(|known| far_enough(&known.state));
    daemon.until(wait, |crew| is_over(crew).then_some(())).await;
    let known = seen(&daemon.engine.crew());
    known
        .map(Json)
        .ok_or_else(|| Refusal::new("not_found", "The message is long gone, or never was.", "").into())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReceiptQuery {
    /// Wait until it is in another state than this, for 20 s at most.
    beyond: Option<String>,
}

/// Tells how far a message came; with `beyond`, as soon as it comes further.
#[utoipa::path(get, path = "/v1/sessions/{session}/messages/{message}", operation_id = "receipt",
    params(("session" = String, Path), ("message" = String, Path), ReceiptQuery),
    responses((status = 200, body = wire::Message), (status = 404, body = wire::Error)))]
async fn follow(
    State(daemon): App,
    Path((session, message)): Path<(String, String)>,
    Asked(query): Asked<ReceiptQuery>,
) -> Answered<Json<wire::Message>> {
    let id = daemon.find(&session)?;
    let wait = if query.beyond.is_some() { FOLLOW_WAIT } else { Duration::ZERO };
    let is_beyond = |state: &str| query.beyond.as_deref().is_none_or(|beyond| beyond != state);
    receipt(&daemon, &id, &MessageId(message), wait, is_beyond).await
}

/// Answers what the agent asks: a permission or a question.
#[utoipa::path(post, path = "/v1/sessions/{session}/answer", operation_id = "answer", params(("session" = String, Path)),
    request_body = wire::Answer,
    responses((status = 200, body = wire::Changed), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn answer(
    State(daemon): App,
    Requested(request): Requested,
    Named(session): Named,
    Body(body): Body<wire::Answer>,
) -> Answered<Json<wire::Changed>> {
    let answer = match body.answer.as_str() {
        "allow" => Answer::Allow,
        "always" => Answer::AllowAlways,
        "deny" => Answer::Deny(body.text),
        "words" => Answer::Words(body.text),
        other => {
            let message = format!("\"{}\" is no answer.", oarlock_core::text::line(other, 40));
            return Err(Failure::bad("bad_answer", message, "Use allow, always, deny or words."));
        }
    };
    let id = daemon.find(&session)?;
    daemon.wish(Wish::Session(id.clone(), Request::Answer(request, body.ask, answer))).await?;
    let carried = |scope: &Scope<Session>| {
        scope.state.answer.as_ref().is_none_or(|answer| answer.carried.is_some())
            || !scope.state.live_run().is_some_and(oarlock_core::session::Run::waits_for_answer)
    };
    let changed = settle(&daemon, &id, RECEIPT_WAIT, carried).await?;
    if let Some(Err(trouble)) =
        daemon.scope(&id)?.state.answer.as_ref().and_then(|answer| answer.carried.clone())
    {
        return Err(trouble.into());
    }
    Ok(Json(changed))
}

/// Carries a wish about a run or a name out, then waits until it is settled or time is up.
async fn carry_out(
    daemon: &Arc<Daemon>,
    session: &str,
    wish: Request,
    wait: Duration,
    settled: fn(&Scope<Session>) -> bool,
) -> Answered<Json<wire::Changed>> {
    let id = daemon.find(session)?;
    daemon.wish(Wish::Session(id.clone(), wish)).await?;
    settle(daemon, &id, wait, settled).await.map(Json)
}

/// Ends a session's agent. A log that takes nothing does not keep an agent alive: it may be the one that fills the disk.
async fn end(
    daemon: &Arc<Daemon>,
    session: &str,
    wish: Request,
    grace_ms: u64,
) -> Answered<Json<wire::Changed>> {
    let ended = carry_out(daemon, session, wish, END_WAIT, halted).await;
    let Err(Failure(status, mut error)) = ended else { return ended };
    let id = daemon.find(session)?;
    let scope = daemon.scope(&id)?;
    let live = scope.state.live_run().filter(|_| error.code == STORE_FAILED);
    let Some(live) = live else { return Err(Failure(status, error)) };
    let folder = daemon.place.run(id.as_str(), live.id.0);
    blocking(move || oarlock_world::run::stop(&folder, grace_ms)).await??;
    let name = &scope.state.name;
    error.code = "not_recorded".into();
    error.message =
        format!("The agent of {name} was told to end, and that is not recorded. {}", error.message);
    error.hint = "Make room; its end is recorded then. See \"oarlock doctor\".".into();
    Err(Failure(status, error))
}

pub(super) async fn settle(
    daemon: &Daemon,
    id: &SessionId,
    wait: Duration,
    settled: fn(&Scope<Session>) -> bool,
) -> Answered<wire::Changed> {
    let is_settled = |crew: &Crew| crew.sessions.get(id).filter(|scope| settled(scope)).map(|_| ());
    let settled = daemon.until(wait, is_settled).await.is_some();
    let scope = daemon.scope(id)?;
    Ok(wire::Changed { session: view::session(id, &scope), settled, trash: view::trash(&scope.state) })
}

/// Carries out a farewell, or takes one back; a workspace that had to stay is a refusal.
async fn part(
    daemon: &Arc<Daemon>,
    id: &SessionId,
    wish: Request,
    settled: fn(&Scope<Session>) -> bool,
) -> Answered<Json<wire::Changed>> {
    daemon.wish(Wish::Session(id.clone(), wish)).await?;
    let changed = settle(daemon, id, WORKSPACE_WAIT, settled).await?;
    if let Some(parting) = &daemon.scope(id)?.state.parting
        && let Some(trouble) = parting.refused.as_ref().or(parting.undo_refused.as_ref())
    {
        return Err(trouble.clone().into());
    }
    Ok(Json(changed))
}

/// Tells whether no agent runs, and none is about to: one whose start was under way when it was stopped comes up first.
fn at_rest(scope: &Scope<Session>) -> bool {
    let starts = scope.started.iter().any(|key| key.kind() == "run");
    scope.state.live_run().is_none() && !starts
}

/// Tells whether nobody waits for an end any more: it came, or the agent was wanted up again since, which a wish made
/// twice would wait out in vain.
fn halted(scope: &Scope<Session>) -> bool {
    at_rest(scope) || scope.state.halt.is_none()
}

pub(super) fn parted(scope: &Scope<Session>) -> bool {
    match &scope.state.parting {
        Some(parting) if parting.refused.is_some() => true,
        Some(_) => at_rest(scope) && !matches!(scope.state.workspace, Workspace::Ready(_)),
        None => true,
    }
}

fn back(scope: &Scope<Session>) -> bool {
    // Without an undo under way it was parted with again since.
    let parting = scope.state.parting.as_ref();
    parting.is_none_or(|parting| parting.undo.is_none() || parting.undo_refused.is_some())
}

/// Stops the agent: SIGTERM to all of its processes, SIGKILL after 10 s.
#[utoipa::path(post, path = "/v1/sessions/{session}/stop", operation_id = "stop", params(("session" = String, Path)),
    responses((status = 200, body = wire::Changed), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn stop(
    State(daemon): App,
    Requested(request): Requested,
    Named(session): Named,
) -> Answered<Json<wire::Changed>> {
    end(&daemon, &session, Request::Stop(request), STOP_GRACE_MS).await
}

/// Kills the agent and all of its processes at once.
#[utoipa::path(post, path = "/v1/sessions/{session}/kill", operation_id = "kill", params(("session" = String, Path)),
    responses((status = 200, body = wire::Changed), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn kill(
    State(daemon): App,
    Requested(request): Requested,
    Named(session): Named,
) -> Answered<Json<wire::Changed>> {
    end(&daemon, &session, Request::Kill(request), 0).await
}

/// Brings the agent up again in its workspace.
#[utoipa::path(post, path = "/v1/sessions/{session}/resume", operation_id = "resume", params(("session" = String, Path)),
    request_body = wire::Resume,
    responses((status = 200, body = wire::Changed), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn resume(
    State(daemon): App,
    Requested(request): Requested,
    Named(session): Named,
    Body(body): Body<wire::Resume>,
) -> Answered<Json<wire::Changed>> {
    let up = |scope: &Scope<Session>| {
        let session = &scope.state;
        let is_stuck = ["workspace", "run"].iter().any(|kind| session.stuck_on(kind).is_some());
        session.live_run().is_some() || session.run_wanted.is_none() || is_stuck
    };
    let hold = match body.hold.as_deref() {
        None => None,
        Some(asked) => {
            let scope = daemon.scope(&daemon.find(&session)?)?;
            let name = scope.state.brief.as_ref().map(|brief| brief.agent.name.clone()).unwrap_or_default();
            let agent = oarlock_agents::find(&name);
            let hold = agent.map(|agent| super::sessions::hold_of(agent, Some(asked), false)).transpose()?;
            hold.zip(agent).map(|(hold, agent)| (hold, agent.tells_of_turns(hold)))
        }
    };
    carry_out(&daemon, &session, Request::Resume(request, body.prompt, hold), END_WAIT, up).await
}

/// Gives a session another name; its branch and its path stay.
#[utoipa::path(post, path = "/v1/sessions/{session}/rename", operation_id = "rename", params(("session" = String, Path)),
    request_body = wire::Rename,
    responses((status = 200, body = wire::Changed), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn rename(
    State(daemon): App,
    Requested(request): Requested,
    Named(session): Named,
    Body(body): Body<wire::Rename>,
) -> Answered<Json<wire::Changed>> {
    let name = parse_name(&body.name)?;
    carry_out(&daemon, &session, Request::Rename(request, name), Duration::ZERO, |_| true).await
}

/// Sets a session aside: its agent is stopped, its workspace and branch go to the trash.
#[utoipa::path(post, path = "/v1/sessions/{session}/reject", operation_id = "reject", params(("session" = String, Path)),
    responses((status = 200, body = wire::Changed), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn reject(
    State(daemon): App,
    Requested(request): Requested,
    Named(session): Named,
) -> Answered<Json<wire::Changed>> {
    let wish = Request::Part(request, Farewell::Rejected);
    part(&daemon, &daemon.find(&session)?, wish, parted).await
}

/// Lets a session go: its agent is stopped, its workspace goes to the trash, its branch stays.
#[utoipa::path(post, path = "/v1/sessions/{session}/forget", operation_id = "forget", params(("session" = String, Path)),
    responses((status = 200, body = wire::Changed), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn forget(
    State(daemon): App,
    Requested(request): Requested,
    Named(session): Named,
) -> Answered<Json<wire::Changed>> {
    let wish = Request::Part(request, Farewell::Forgotten);
    part(&daemon, &daemon.find(&session)?, wish, parted).await
}

/// Takes a session that is not running off the list; its workspace and branch go to the trash.
#[utoipa::path(delete, path = "/v1/sessions/{session}", operation_id = "remove_session", params(("session" = String, Path)),
    responses((status = 200, body = wire::Changed), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn remove(
    State(daemon): App,
    Requested(request): Requested,
    Named(session): Named,
) -> Answered<Json<wire::Changed>> {
    let wish = Request::Part(request, Farewell::Removed);
    part(&daemon, &daemon.find(&session)?, wish, parted).await
}

/// Undoes the last farewell, of a session or of all: the workspace comes back as it was.
#[utoipa::path(post, path = "/v1/undo", operation_id = "undo", request_body = wire::Undo,
    responses((status = 200, body = wire::Changed), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn undo(
    State(daemon): App,
    Requested(request): Requested,
    Body(body): Body<wire::Undo>,
) -> Answered<Json<wire::Changed>> {
    let id = match &body.session {
        Some(session) => daemon.find(session)?,
        None => last_parted(&daemon.engine.crew(), &request).ok_or_else(|| {
            Refusal::new(
                "nothing_to_undo",
                "Nothing was rejected, forgotten or removed.",
                "See \"oarlock trash ls\".",
            )
        })?,
    };
    part(&daemon, &id, Request::Undo(request), back).await
}

/// Returns the session that was parted with last and is not on its way back; landed ones need no undo. A request seen
/// before means the same session again.
fn last_parted(crew: &Crew, request: &oarlock_core::ids::RequestId) -> Option<SessionId> {
    let again = crew.sessions.iter().find(|(_, scope)| scope.state.answered(request).is_some());
    let parting = |session: &Session| {
        let parting = session.parting.as_ref()?;
        let open = parting.undo.is_none() && parting.why != Farewell::Landed;
        open.then_some(parting.seq)
    };
    let last = || {
        crew.sessions
            .iter()
            .filter_map(|(id, scope)| Some((parting(&scope.state)?, id)))
            .max()
            .map(|(_, id)| id.clone())
    };
    again.map(|(id, _)| id.clone()).or_else(last)
}
