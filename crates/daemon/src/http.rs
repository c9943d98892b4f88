//! The HTTP surface: one router, its document, and what every handler shares.
//!
//! Handlers turn wire into requests and state into wire; they hold no rules.

mod cleanup;
mod document;
mod extract;
mod feed;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod guard;
mod landing;
mod life;
mod projects;
mod relay;
mod rights;
mod sessions;
mod system;
mod trash;
mod wish;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use oarlock_api::wire;
use oarlock_core::crew::Crew;
use oarlock_core::ids::SessionId;
use oarlock_core::machine::Scope;
use oarlock_core::session::fact::Trouble;
use oarlock_core::session::{Refusal, Session};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{Daemon, stopped, view};

/// Longest request body, in bytes: a prompt of 512 KiB, escaped at worst sixfold, and some room.
const BODY_BYTES_MAX: usize = 4 << 20;

/// The code of a wish that the log could not take.
const STORE_FAILED: &str = "store_failed";

type App = State<Arc<Daemon>>;

/// Makes the router.
pub(crate) fn router(daemon: Arc<Daemon>) -> axum::Router {
    let (router, _) = routes().split_for_parts();
    router
        .fallback(|| async {
            Failure::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "There is no such address.",
                "See /v1/openapi.json.",
            )
        })
        .method_not_allowed_fallback(|| async {
            Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "bad_method",
                "This address does not take that method.",
                "See /v1/openapi.json.",
            )
        })
        .layer(middleware::from_fn_with_state(daemon.clone(), guard::of_runs))
        .layer(middleware::from_fn(guard::against_pages))
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(daemon)
}

/// Returns the document of the HTTP surface, generated from the handlers.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = routes().split_for_parts().1;
    document::complete(&mut document);
    document
}

fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::with_openapi(document::Document::openapi())
        .merge(system::routes())
        .merge(projects::routes())
        .merge(sessions::routes())
        .merge(life::routes())
        .merge(landing::routes())
        .merge(trash::routes())
        .merge(cleanup::routes())
        .merge(feed::routes())
}

/// A refused or failed request.
#[derive(Debug)]
pub(crate) struct Failure(pub StatusCode, pub wire::Error);

impl Failure {
    fn new(status: StatusCode, code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (code, message, hint) = (code.into(), message.into(), hint.into());
        Self(status, wire::Error { code, message, hint, paths: vec![] })
    }

    fn bad(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message, hint)
    }

    /// Something inside failed; the log has the rest.
    fn inside(doing: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut says = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            says = format!("{says}: {cause}");
            source = cause.source();
        }
        tracing::error!(doing, error = says, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("Failed to {doing}: {says}."),
            "See \"oarlock doctor\".",
        )
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(status_of(refusal.code), view::refusal(&refusal))
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self(status_of(&trouble.code), view::trouble(&trouble))
    }
}

fn status_of(code: &str) -> StatusCode {
    match code {
        "not_found" => StatusCode::NOT_FOUND,
        "stopping" => StatusCode::SERVICE_UNAVAILABLE,
        "empty" | "too_long" | "not_text" | "ambiguous" | "bad_issue" => StatusCode::BAD_REQUEST,
        _ => StatusCode::CONFLICT,
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

type Answered<T> = Result<T, Failure>;

impl Daemon {
    /// Tells whether a run is known to be over. One that comes up may speak before its start is in the log.
    fn is_over(&self, session: &str, run: u32) -> bool {
        let crew = self.engine.crew();
        let Some(scope) = crew.sessions.get(&SessionId::from(session)) else { return false };
        let is_live = scope.state.live_run().is_some_and(|live| live.id.0 == run);
        run < scope.state.runs_begun && !is_live
    }

    /// Finds the session that a path names.
    fn find(&self, text: &str) -> Answered<SessionId> {
        Ok(self.engine.crew().find(text)?.clone())
    }

    /// Returns a copy of what is known of a session.
    fn scope(&self, id: &SessionId) -> Answered<Scope<Session>> {
        let crew = self.engine.crew();
        let scope = crew.sessions.get(id).cloned();
        scope.ok_or_else(|| {
            Failure::new(StatusCode::NOT_FOUND, "not_found", format!("There is no session {id}."), "")
        })
    }

    /// Waits until something holds of the state, or time is up; returns what was found.
    async fn until<T>(&self, limit: Duration, found: impl Fn(&Crew) -> Option<T>) -> Option<T> {
        let mut steps = self.feed.steps();
        let wait = async {
            loop {
                if let Some(found) = found(&self.engine.crew()) {
                    return Some(found);
                }
                if steps.changed().await.is_err() {
                    return None;
                }
            }
        };
        let mut stop = self.shutdown.subscribe();
        tokio::select! {
            found = wait => found,
            () = tokio::time::sleep(limit) => None,
            () = stopped(&mut stop) => None,
        }
    }
}

/// Requests that block on git or the disk at once: each has a thread while it does.
const BLOCKING_MAX: usize = 16;

/// Runs something that blocks (git, the disk) on a thread of its own. The system may have none left, which is told.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Answered<T> {
    static ROOM: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(BLOCKING_MAX);
    let seat = ROOM.acquire().await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("request".into()).spawn(move || {
        // A caller that hung up wants no answer.
        drop(tell.send(work()));
        drop(seat);
    });
    thread.map_err(|error| Failure::inside("start a thread for the request", &error))?;
    told.await.map_err(|error| Failure::inside("finish the request", &error))
}
