//! Landing: what it would do, and doing it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use oarlock_api::wire;
use oarlock_core::crew::{Crew, Request as Wish};
use oarlock_core::ids::Oid;
use oarlock_core::machine::Key;
use oarlock_core::session::Request;
use oarlock_core::session::fact::{Fact, How, LandWish, Trouble};
use oarlock_core::{crew::Line, machine::Entry};
use oarlock_engine::StoreError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Named, Requested};
use super::{Answered, App, Failure, blocking};
use crate::Daemon;

/// How long landing may take before the answer says that it is under way: a rebase of hundreds of commits.
const LAND_WAIT: Duration = Duration::from_secs(110);
/// Lines read at once while the landing's notes are looked for.
const PAGE_LINES: usize = 500;

pub(super) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(routes!(preview, land))
}

/// Tells what landing would do, without touching anything.
#[utoipa::path(get, path = "/v1/sessions/{session}/landing", operation_id = "preview_landing", params(("session" = String, Path)),
    responses((status = 200, body = wire::Preview), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn preview(State(daemon): App, Named(session): Named) -> Answered<Json<wire::Preview>> {
    let scope = daemon.scope(&daemon.find(&session)?)?;
    let world = daemon.world.clone();
    let preview = blocking(move || world.preview(&scope.state)).await??;
    Ok(Json(wire::Preview {
        onto: preview.onto,
        base: preview.base,
        head: preview.head,
        commits: preview.commits,
        files: preview.files,
        insertions: preview.insertions,
        deletions: preview.deletions,
        conflicts: preview.conflicts,
        dirty: preview.dirty,
    }))
}

/// Puts a session's work on its base branch, and answers when it is there or was refused.
#[utoipa::path(post, path = "/v1/sessions/{session}/landing", operation_id = "land", params(("session" = String, Path)),
    request_body = wire::Land,
    responses((status = 200, body = wire::Landed), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn land(
    State(daemon): App,
    Requested(request): Requested,
    Named(session): Named,
    Body(body): Body<wire::Land>,
) -> Answered<Json<wire::Landed>> {
    let how = match body.how.as_deref() {
        None | Some("merge") => How::Merge,
        Some("squash") => How::Squash,
        Some("rebase") => How::Rebase,
        Some(other) => {
            let message = format!("\"{}\" is no way to land.", oarlock_core::text::line(other, 40));
            return Err(Failure::bad("bad_how", message, "Use merge, squash or rebase."));
        }
    };
    let id = daemon.find(&session)?;
    let wish = LandWish {
        how,
        message: body.message,
        committed_only: body.committed_only,
        expect_base: body.expect_base.map(Oid),
        keep: body.keep,
        approved: None,
    };
    let answer = daemon.wish(Wish::Session(id.clone(), Request::Land(request, wish, body.now))).await?;
    let key = Key(format!("land/{}", answer.seq));
    let is_over = |crew: &Crew| {
        let scope = crew.sessions.get(&id)?;
        let is_open = scope
            .state
            .landing
            .as_ref()
            .is_some_and(|landing| landing.key == key && landing.answer.is_none());
        (!is_open).then(|| scope.state.name.0.clone())
    };
    let Some(name) = daemon.until(LAND_WAIT, is_over).await else {
        return Err(Failure::new(
            StatusCode::GATEWAY_TIMEOUT,
            "slow",
            "Landing takes long and goes on.",
            "Follow it with \"oarlock events -f\".",
        ));
    };
    let reader = daemon.clone();
    let found = blocking(move || outcome(&reader, answer.seq, &key, &name)).await?;
    match found.map_err(|error| Failure::inside("read what was said of the landing", &error))? {
        Some(Ok(landed)) => Ok(Json(landed)),
        Some(Err(trouble)) => Err(trouble.into()),
        None => Err(Failure::new(
            StatusCode::GONE,
            "reset",
            "What became of that landing is no longer kept.",
            format!("See \"oarlock show {id}\"."),
        )),
    }
}

/// Finds the line that tells how a landing ended, for the state keeps the last one only, and not all of it. However busy
/// the others were meanwhile, it comes after the wish; `None` when it is too old to be kept.
fn outcome(
    daemon: &Daemon,
    wish: u64,
    wanted: &Key,
    name: &str,
) -> Result<Option<Result<wire::Landed, Trouble>>, StoreError> {
    let mut after = wish;
    loop {
        let lines = daemon.feed.replay(after, PAGE_LINES)?;
        let Some(last) = lines.last() else { return Ok(None) };
        after = last.seq;
        let found = lines.into_iter().find_map(|stamped| match stamped.line {
            Line::Session(_, Entry::Fact(Fact::Landed { key, oid, onto, commits, notes, .. }))
                if key == *wanted =>
            {
                Some(Ok(wire::Landed { name: name.into(), onto, oid: oid.0, commits, notes }))
            }
            Line::Session(_, Entry::Fact(Fact::LandRefused { key, trouble })) if key == *wanted => {
                Some(Err(trouble))
            }
            _ => None,
        });
        if found.is_some() {
            return Ok(found);
        }
    }
}
