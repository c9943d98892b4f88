//! Registered repositories.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use oarlock_api::wire;
use oarlock_core::crew::{Crew, Request as Wish};
use oarlock_core::fleet::{self, Request};
use oarlock_core::ids::{ProjectId, RequestId};
use oarlock_core::session::Refusal;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Named, Requested};
use super::{Answered, App, Failure, blocking};
use crate::{Daemon, view};

pub(super) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(show, remove))
}

/// Lists the registered repositories.
#[utoipa::path(get, path = "/v1/projects", operation_id = "list_projects", responses((status = 200, body = Vec<wire::Project>)))]
async fn list(State(daemon): App) -> Json<Vec<wire::Project>> {
    let crew = daemon.engine.crew();
    Json(crew.fleet.state.projects.iter().map(|(id, project)| listed(&crew, id, project)).collect())
}

fn listed(crew: &Crew, id: &ProjectId, project: &fleet::Project) -> wire::Project {
    let of_it = crew.sessions.values().filter(|scope| {
        !scope.state.is_hidden() && scope.state.brief.as_ref().is_some_and(|brief| brief.project == *id)
    });
    wire::Project {
        id: id.0.clone(),
        path: project.path.clone(),
        default_branch: None,
        sessions: of_it.count(),
        added_at: view::time(project.added_at),
    }
}

/// Registers a repository, by any path inside it.
#[utoipa::path(post, path = "/v1/projects", operation_id = "add_project", request_body = wire::AddProject,
    responses((status = 200, body = wire::Project), (status = 409, body = wire::Error)))]
async fn add(
    State(daemon): App,
    Requested(request): Requested,
    Body(body): Body<wire::AddProject>,
) -> Answered<Json<wire::Project>> {
    let path = PathBuf::from(body.path);
    let world = daemon.world.clone();
    let repository = blocking(move || world.repository(&path)).await??;
    let root = root_text(&repository.root)?;
    daemon.wish(Wish::Fleet(Request::AddProject(request, root.clone()))).await?;
    let crew = daemon.engine.crew();
    let id = crew.fleet.state.project_at(&root).cloned().unwrap_or_default();
    described(&crew, &id, repository.default_branch)
}

fn root_text(root: &std::path::Path) -> Answered<String> {
    root.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::bad("bad_path", "The repository's path is not UTF-8.", "Move it to a path that is.")
    })
}

fn described(crew: &Crew, id: &ProjectId, branch: Option<String>) -> Answered<Json<wire::Project>> {
    let project = crew.fleet.state.projects.get(id).ok_or_else(|| no_project(&id.0))?;
    Ok(Json(wire::Project { default_branch: branch, ..listed(crew, id, project) }))
}

fn no_project(id: &str) -> Failure {
    let id = oarlock_core::text::line(id, 60);
    Refusal::new(
        "not_found",
        format!("There is no project \"{id}\"."),
        "List them with \"oarlock project ls\".",
    )
    .into()
}

/// Shows a registered repository, with its default branch as git has it.
#[utoipa::path(get, path = "/v1/projects/{project}", operation_id = "show_project", params(("project" = String, Path)),
    responses((status = 200, body = wire::Project), (status = 404, body = wire::Error)))]
async fn show(State(daemon): App, Named(project): Named) -> Answered<Json<wire::Project>> {
    let id = ProjectId(project);
    let path = daemon.engine.crew().fleet.state.projects.get(&id).map(|project| project.path.clone());
    let path = path.ok_or_else(|| no_project(&id.0))?;
    let world = daemon.world.clone();
    let repository = blocking(move || world.repository(&PathBuf::from(path))).await?;
    described(&daemon.engine.crew(), &id, repository.ok().and_then(|repository| repository.default_branch))
}

/// Takes a repository off the list; nothing of it is touched.
#[utoipa::path(delete, path = "/v1/projects/{project}", operation_id = "remove_project", params(("project" = String, Path)),
    responses((status = 204), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn remove(
    State(daemon): App,
    Requested(request): Requested,
    Named(project): Named,
) -> Answered<StatusCode> {
    daemon.wish(Wish::Fleet(Request::RemoveProject(request, ProjectId(project), 0))).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Daemon {
    /// Returns the project of an id or of a path inside a repository; `Err` holds the root of one not registered.
    pub(super) async fn registered(&self, text: &str) -> Answered<Result<ProjectId, String>> {
        let id = ProjectId(text.into());
        {
            let crew = self.engine.crew();
            let fleet = &crew.fleet.state;
            if fleet.projects.contains_key(&id) {
                return Ok(Ok(id));
            }
            // The root of a registered repository needs no look at git.
            if let Some(id) = fleet.project_at(text) {
                return Ok(Ok(id.clone()));
            }
        }
        if !text.starts_with('/') {
            return Err(no_project(text));
        }
        let (world, path) = (self.world.clone(), PathBuf::from(text));
        let root = root_text(&blocking(move || world.repository(&path)).await??.root)?;
        let known = self.engine.crew().fleet.state.project_at(&root).cloned();
        Ok(known.ok_or(root))
    }

    /// Returns the root of the repository of an id or of a path inside it, registered or not.
    pub(super) async fn root(&self, text: &str) -> Answered<String> {
        let id = match self.registered(text).await? {
            Ok(id) => id,
            Err(root) => return Ok(root),
        };
        let path = self.engine.crew().fleet.state.projects.get(&id).map(|project| project.path.clone());
        path.ok_or_else(|| no_project(&id.0))
    }

    /// Returns the project of an id or of a path inside a repository, registering it on first use.
    pub(super) async fn project(self: &Arc<Self>, text: &str, request: &RequestId) -> Answered<ProjectId> {
        let root = match self.registered(text).await? {
            Ok(id) => return Ok(id),
            Err(root) => root,
        };
        let wish = Request::AddProject(RequestId(format!("{request}.project")), root.clone());
        match self.wish(Wish::Fleet(wish)).await {
            Ok(_) => {}
            // Somebody else was quicker, which is as good.
            Err(failure) if failure.1.code == "already_registered" => {}
            Err(failure) => return Err(failure),
        }
        let known = self.engine.crew().fleet.state.project_at(&root).cloned();
        known.ok_or_else(|| no_project(text))
    }
}
