//! Kept workspaces.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use oarlock_api::wire;
use oarlock_core::session::Workspace;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Answered, App, blocking};
use crate::{Daemon, view};

pub(super) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Lists the kept workspaces of every project, newest first, as their repositories have them.
#[utoipa::path(get, path = "/v1/trash", operation_id = "list_trash", responses((status = 200, body = Vec<wire::Trash>)))]
async fn list(State(daemon): App) -> Answered<Json<Vec<wire::Trash>>> {
    let projects: Vec<(String, String)> = {
        let crew = daemon.engine.crew();
        crew.fleet.state.projects.iter().map(|(id, project)| (id.0.clone(), project.path.clone())).collect()
    };
    let world = daemon.world.clone();
    let entries = blocking(move || {
        let of_project = |(id, path): &(String, String)| {
            // A repository that is gone has no trash; the others still have theirs.
            let entries = world.trash(path).unwrap_or_default();
            entries.into_iter().map(|entry| (id.clone(), entry)).collect::<Vec<_>>()
        };
        projects.iter().flat_map(of_project).collect::<Vec<_>>()
    })
    .await?;
    let crew = daemon.engine.crew();
    let mut listed: Vec<wire::Trash> = entries
        .into_iter()
        .map(|(project, entry)| {
            let holder = crew.sessions.iter().find(|(_, scope)| {
                matches!(&scope.state.workspace, Workspace::Removed { trash: Some(trash), .. } if trash.0 == entry.id)
            });
            wire::Trash {
                session: holder.map(|(_, scope)| scope.state.name.0.clone()).unwrap_or_default(),
                session_id: holder.map(|(id, _)| id.0.clone()).unwrap_or_default(),
                id: entry.id,
                project,
                branch: entry.branch,
                head: entry.head,
                reason: entry.reason,
                at: view::time(entry.at),
            }
        })
        .collect();
    listed.sort_by(|a, b| b.at.cmp(&a.at).then(a.id.cmp(&b.id)));
    Ok(Json(listed))
}
