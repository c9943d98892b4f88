//! The daemon itself: is it alive, is it ready, what is it, stop it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use oarlock_api::wire;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::Requested;
use crate::{Daemon, metrics, view};

pub(super) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(status))
        .routes(routes!(shutdown))
        .routes(routes!(document))
}

/// Answers as long as the daemon lives.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", responses((status = 200, body = String)))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Answers 200 once requests are taken, 503 while the daemon stops.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", responses((status = 200, body = String), (status = 503, body = String)))]
async fn readyz(State(daemon): App) -> (StatusCode, &'static str) {
    if *daemon.shutdown.borrow() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

/// Tells what sessions do and cost, as Prometheus reads it.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(State(daemon): App) -> impl IntoResponse {
    let head = daemon.feed.head();
    let text = metrics::text(&daemon.engine.crew(), head, env!("CARGO_PKG_VERSION"));
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}

/// Tells who and where the daemon is, and how much it looks after.
#[utoipa::path(get, path = "/v1/status", operation_id = "status", responses((status = 200, body = wire::Daemon)))]
async fn status(State(daemon): App) -> Json<wire::Daemon> {
    let crew = daemon.engine.crew();
    let listed = crew.sessions.values().filter(|scope| !scope.state.is_hidden());
    Json(wire::Daemon {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").into(),
        socket: daemon.socket.display().to_string(),
        state: daemon.place.state().display().to_string(),
        log: daemon.place.log().display().to_string(),
        started_at: view::time(daemon.started_at),
        sessions: listed.count(),
        running: crew.sessions.values().filter(|scope| scope.state.live_run().is_some()).count(),
        seq: daemon.feed.head(),
    })
}

/// Stops the daemon in good order; sessions go on.
#[utoipa::path(post, path = "/v1/shutdown", operation_id = "shutdown", responses((status = 202)))]
async fn shutdown(State(daemon): App, Requested(_): Requested) -> StatusCode {
    daemon.shutdown.send_replace(true);
    StatusCode::ACCEPTED
}

/// Returns this document.
#[utoipa::path(get, path = "/v1/openapi.json", operation_id = "openapi", responses((status = 200, body = utoipa::openapi::Object)))]
async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(super::openapi())
}
