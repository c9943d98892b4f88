//! Clearing away what is over: the plan, and carrying it out.
//!
//! It must not decide what goes: that is the core's plan, made the same way for showing and for doing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use oarlock_api::wire;
use oarlock_core::cleanup::{self, Item, Look, Scope, Verdict};
use oarlock_core::crew::Request as Wish;
use oarlock_core::ids::{RequestId, SessionId};
use oarlock_core::session::Request;
use oarlock_core::session::fact::Farewell;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Asked, Body, Requested};
use super::life::{WORKSPACE_WAIT, parted, settle};
use super::{Answered, App, blocking};
use crate::{Daemon, view};

pub(super) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(routes!(plan, clean_up))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PlanQuery {
    /// Only this project's: its id, or an absolute path inside the repository.
    project: Option<String>,
    /// Only these sessions, with commas between them.
    sessions: Option<String>,
}

/// Tells what a cleanup would take away and what it would leave, each with its reason; nothing is touched.
#[utoipa::path(get, path = "/v1/cleanup", operation_id = "plan_cleanup", params(PlanQuery),
    responses((status = 200, body = wire::Cleanup), (status = 404, body = wire::Error)))]
async fn plan(State(daemon): App, Asked(query): Asked<PlanQuery>) -> Answered<Json<wire::Cleanup>> {
    let named = query.sessions.iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty());
    let scope = daemon.scope_of(query.project.as_deref(), named).await?;
    let items = daemon.plan(&scope).await?;
    Ok(Json(wire::Cleanup { items: items.iter().map(shown).collect() }))
}

/// Takes away the workspaces of sessions that are over, or stopped with nothing to land. Each goes to the trash first.
#[utoipa::path(post, path = "/v1/cleanup", operation_id = "clean_up", request_body = wire::CleanUp,
    responses((status = 200, body = wire::Cleanup), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn clean_up(
    State(daemon): App,
    Requested(request): Requested,
    Body(body): Body<wire::CleanUp>,
) -> Answered<Json<wire::Cleanup>> {
    let scope = daemon.scope_of(body.project.as_deref(), body.sessions.iter().map(String::as_str)).await?;
    let before = daemon.taken_before(&request);
    let mut items = daemon.plan(&scope).await?;
    items.retain(|item| !before.iter().any(|known| known.session == item.session));
    items.extend(before);
    let mut shown: Vec<wire::CleanupItem> = items.iter().map(shown).collect();
    // All are asked for before any is waited for: several go at once.
    for (item, shown) in items.iter().zip(&mut shown) {
        let Some(why) = item.verdict.farewell() else { continue };
        let wish = Request::Part(part_of(&request, &item.session), why);
        if let Err(failure) = daemon.wish(Wish::Session(item.session.clone(), wish)).await {
            shown.trouble = Some(failure.1);
        }
    }
    let deadline = Instant::now() + WORKSPACE_WAIT;
    for (item, shown) in items.iter().zip(&mut shown) {
        if !shown.goes || shown.trouble.is_some() {
            continue;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let changed = settle(&daemon, &item.session, left, parted).await?;
        let parting = daemon.scope(&item.session)?.state.parting;
        shown.trouble = parting.and_then(|parting| parting.refused).map(|trouble| view::trouble(&trouble));
        shown.done = changed.settled && shown.trouble.is_none();
        shown.trash = changed.trash;
    }
    Ok(Json(wire::Cleanup { items: shown }))
}

/// Returns the id of the wish about one session that a cleanup is made of: asked again, it is the same wish.
fn part_of(request: &RequestId, session: &SessionId) -> RequestId {
    RequestId(format!("{request}.{session}"))
}

fn shown(item: &Item) -> wire::CleanupItem {
    wire::CleanupItem {
        session: item.session.0.clone(),
        name: item.name.0.clone(),
        goes: item.verdict.farewell().is_some(),
        why: item.verdict.code().into(),
        says: item.verdict.says(),
        ..wire::CleanupItem::default()
    }
}

impl Daemon {
    async fn scope_of<'a>(
        self: &Arc<Self>,
        project: Option<&str>,
        named: impl Iterator<Item = &'a str>,
    ) -> Answered<Scope> {
        let sessions: BTreeSet<SessionId> = named.map(|name| self.find(name)).collect::<Answered<_>>()?;
        let project = match project {
            // A repository that is not registered has nothing to clear away.
            Some(text) => Some(self.registered(text).await?.ok().unwrap_or_default()),
            None => None,
        };
        Ok(Scope { project, sessions })
    }

    /// Makes the plan: what only a workspace can tell is read from it now.
    async fn plan(self: &Arc<Self>, scope: &Scope) -> Answered<Vec<Item>> {
        let undecided = cleanup::undecided(&self.engine.crew(), scope);
        let daemon = self.clone();
        let looks = blocking(move || {
            let look = |id: SessionId| {
                let state = daemon.engine.crew().sessions.get(&id)?.state.clone();
                Some((id, daemon.world.look(&state).map_err(|trouble| trouble.message)))
            };
            undecided.into_iter().filter_map(look).collect::<BTreeMap<_, Result<Look, String>>>()
        })
        .await?;
        Ok(cleanup::plan(&self.engine.crew(), scope, &looks))
    }

    /// Returns what this very cleanup took away before, when its answer was lost and it is asked for again.
    fn taken_before(&self, request: &RequestId) -> Vec<Item> {
        let crew = self.engine.crew();
        let taken = crew.sessions.iter().filter_map(|(id, scope)| {
            scope.state.answered(&part_of(request, id))?;
            let verdict = match scope.state.parting.as_ref()?.why {
                Farewell::Landed => Verdict::Landed,
                Farewell::Removed => Verdict::Nothing,
                why @ (Farewell::Rejected | Farewell::Forgotten) => Verdict::Parted(why),
            };
            Some(Item { session: id.clone(), name: scope.state.name.clone(), verdict })
        });
        taken.collect()
    }
}
