//! The log over HTTP: a page of it, or all of it as it grows.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures_util::Stream;
use oarlock_api::wire;
use oarlock_core::crew::{Crew, Line};
use oarlock_core::machine::Entry;
use oarlock_engine::{Published, Stamped};
use serde::Deserialize;
use tokio::sync::{broadcast, mpsc};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Asked;
use super::{Answered, App, Failure, blocking};
use crate::feed::Cursor;
use crate::{Daemon, event, stopped, view};

/// Lines of one page.
const PAGE_LINES: usize = 500;
/// Frames waiting for one connection; with the feed's own bound this is all a slow reader can hold.
const FRAMES_WAITING: usize = 64;

pub(super) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(routes!(page)).routes(routes!(follow))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// The position after which to begin. For the feed: from now on when missing.
    since: Option<u64>,
}

fn cannot_read(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::inside("read the log", error)
}

/// The engine's own notes on effects are for the log, not for people.
fn is_shown(stamped: &Stamped) -> bool {
    matches!(stamped.line, Line::Fleet(Entry::Fact(_)) | Line::Session(_, Entry::Fact(_)))
}

/// Returns the next lines of the log after a position; fewer than 500 lines seen means that it is the end.
#[utoipa::path(get, path = "/v1/events", operation_id = "events", params(Since),
    responses((status = 200, body = Vec<wire::Event>), (status = 410, body = wire::Error)))]
async fn page(State(daemon): App, Asked(query): Asked<Since>) -> Answered<Json<Vec<wire::Event>>> {
    let since = query.since.unwrap_or(0);
    let reader = daemon.clone();
    blocking(move || {
        if let (Cursor::Reset(_), Some(_)) =
            (reader.feed.judge(since).map_err(|e| cannot_read(&e))?, query.since)
        {
            return Err(Failure::new(
                axum::http::StatusCode::GONE,
                "reset",
                format!("The log no longer holds what came after {since}, or never did."),
                "List again, and follow from there.",
            ));
        }
        let mut events = Vec::new();
        let mut after = since;
        // Pages are cut in lines shown, so that an empty page is the end.
        while events.len() < PAGE_LINES {
            let lines = reader.feed.replay(after, PAGE_LINES).map_err(|e| cannot_read(&e))?;
            let Some(last) = lines.last() else { break };
            after = last.seq;
            let crew = reader.engine.crew();
            events.extend(lines.iter().filter(|line| is_shown(line)).map(|line| event::event(line, &crew)));
        }
        Ok(Json(events))
    })
    .await?
}

/// Follows the log: server-sent events whose id is the position, resumed by `Last-Event-ID` or `since`. Each data line
/// is a `Frame`.
#[utoipa::path(get, path = "/v1/feed", operation_id = "feed",
    params(Since, ("last-event-id" = Option<u64>, Header, description = "As `since`, and it wins: what a client that reconnects by itself sends")),
    responses((status = 200, body = wire::Frame, content_type = "text/event-stream")))]
async fn follow(
    State(daemon): App,
    headers: HeaderMap,
    Asked(query): Asked<Since>,
) -> Answered<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>> {
    // An id that is no position of ours is a cursor of another log, and is judged as one.
    let last = headers.get("last-event-id");
    let last = last.map(|id| id.to_str().ok().and_then(|id| id.parse().ok()).unwrap_or(u64::MAX));
    // Subscribed before the replay is read: what is appended meanwhile is in both, and dropped once.
    let live = daemon.feed.subscribe();
    let since = last.or(query.since);
    let (frames, receiver) = mpsc::channel(FRAMES_WAITING);
    let heartbeat = daemon.patience.heartbeat;
    let follower = Follower { daemon, frames, cursor: 0 };
    tokio::spawn(follower.run(since, live));
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|event| (Ok(event), receiver))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(heartbeat).text("still here")))
}

/// Why a follower stops.
enum End {
    /// The client is gone, or the daemon stops.
    Gone,
    /// The log cannot be read.
    Unreadable,
}

struct Follower {
    daemon: Arc<Daemon>,
    frames: mpsc::Sender<SseEvent>,
    cursor: u64,
}

impl Follower {
    async fn run(mut self, since: Option<u64>, live: broadcast::Receiver<Published>) {
        let mut stop = self.daemon.shutdown.subscribe();
        let all = async {
            self.begin(since).await?;
            self.go_on(live).await
        };
        tokio::select! {
            end = all => if let Err(End::Unreadable) = end {
                tracing::error!("the log cannot be read for a follower");
            },
            () = stopped(&mut stop) => {}
        }
    }

    /// Judges the cursor and replays what came after it.
    async fn begin(&mut self, since: Option<u64>) -> Result<(), End> {
        let Some(since) = since else {
            self.cursor = self.daemon.feed.head();
            // Without a frame, only to be a cursor: a client cut off before the first event misses none either.
            let here = SseEvent::default().id(self.cursor.to_string());
            return self.frames.send(here).await.map_err(|_| End::Gone);
        };
        let daemon = self.daemon.clone();
        let judged = tokio::task::spawn_blocking(move || daemon.feed.judge(since)).await;
        match judged {
            Ok(Ok(Cursor::Good(since))) => self.cursor = since,
            Ok(Ok(Cursor::Reset(seq))) => {
                self.cursor = seq;
                return self.send(seq, &wire::Frame::Reset { seq }).await;
            }
            _ => return Err(End::Unreadable),
        }
        loop {
            let (daemon, after) = (self.daemon.clone(), self.cursor);
            let lines = tokio::task::spawn_blocking(move || daemon.feed.replay(after, PAGE_LINES)).await;
            let Ok(Ok(lines)) = lines else { return Err(End::Unreadable) };
            if lines.is_empty() {
                return Ok(());
            }
            for stamped in &lines {
                let frame = is_shown(stamped).then(|| frame(stamped, &self.daemon.engine.crew(), false));
                self.cursor = stamped.seq;
                if let Some(frame) = frame {
                    self.send(stamped.seq, &frame).await?;
                }
            }
        }
    }

    async fn go_on(&mut self, mut live: broadcast::Receiver<Published>) -> Result<(), End> {
        loop {
            let step = match live.recv().await {
                Ok(step) => step,
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let cursor = self.cursor;
                    return self.send(cursor, &wire::Frame::CutOff).await;
                }
                Err(broadcast::error::RecvError::Closed) => return Err(End::Gone),
            };
            for stamped in step.lines.iter().filter(|stamped| stamped.seq > self.cursor) {
                if is_shown(stamped) {
                    let frame = frame(stamped, &self.daemon.engine.crew(), true);
                    self.send(stamped.seq, &frame).await?;
                }
            }
            self.cursor = step.lines.last().map_or(self.cursor, |last| last.seq.max(self.cursor));
        }
    }

    async fn send(&self, seq: u64, frame: &wire::Frame) -> Result<(), End> {
        let data = serde_json::to_string(frame).map_err(|_| End::Unreadable)?;
        let event = SseEvent::default().id(seq.to_string()).data(data);
        self.frames.send(event).await.map_err(|_| End::Gone)
    }
}

fn frame(stamped: &Stamped, crew: &Crew, live: bool) -> wire::Frame {
    let view = match &stamped.line {
        Line::Session(id, _) if live => crew.sessions.get(id).map(|scope| view::session(id, scope)),
        _ => None,
    };
    wire::Frame::Event { event: event::event(stamped, crew), view }
}
