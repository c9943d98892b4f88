//! What the token of a run opens, route by route: one row for each operation of the HTTP surface.
//!
//! It must not know what the handlers do.

use axum::http::Method;
use oarlock_core::ids::ProjectId;
use oarlock_core::session::fact::Role;

use crate::Daemon;
use crate::token::Bearer;

/// Who may call an operation, besides a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// Every run.
    Read,
    /// A run about its own session, an orchestrator about every session of its project.
    Talk,
    /// An orchestrator about a session of its project.
    Drive,
    /// An orchestrator about a session of its project, and not its own: it does not give itself permissions.
    Answer,
    /// An orchestrator, for its project.
    Spawn,
    /// No run.
    Person,
}

/// Every operation that changes something. What is not listed is a person's; to read is every run's.
pub(super) const RIGHTS: &[(Method, &str, Right)] = &[
    (Method::POST, "/v1/shutdown", Right::Person),
    (Method::POST, "/v1/projects", Right::Person),
    (Method::DELETE, "/v1/projects/{project}", Right::Person),
    (Method::POST, "/v1/sessions", Right::Spawn),
    (Method::DELETE, "/v1/sessions/{session}", Right::Person),
    (Method::POST, "/v1/sessions/{session}/messages", Right::Talk),
    (Method::POST, "/v1/sessions/{session}/answer", Right::Answer),
    (Method::POST, "/v1/sessions/{session}/stop", Right::Drive),
    (Method::POST, "/v1/sessions/{session}/kill", Right::Person),
    (Method::POST, "/v1/sessions/{session}/resume", Right::Drive),
    (Method::POST, "/v1/sessions/{session}/rename", Right::Person),
    (Method::POST, "/v1/sessions/{session}/landing", Right::Person),
    (Method::POST, "/v1/sessions/{session}/reject", Right::Person),
    (Method::POST, "/v1/sessions/{session}/forget", Right::Person),
    (Method::POST, "/v1/undo", Right::Person),
    (Method::POST, "/v1/cleanup", Right::Person),
];

/// The project whose sessions the caller, an orchestrator, drives.
#[derive(Clone, Debug)]
pub(super) struct Drives(pub ProjectId);

/// Returns the right that an operation asks for; `template` is its address with the names of its parts.
pub(super) fn right(method: &Method, template: Option<&str>) -> Right {
    if method == Method::GET {
        return Right::Read;
    }
    let row = RIGHTS.iter().find(|(known, path, _)| known == method && Some(*path) == template);
    row.map_or(Right::Person, |(_, _, right)| *right)
}

impl Daemon {
    /// Returns the project that a run drives, if it is an orchestrator's.
    pub(super) fn drives(&self, bearer: &Bearer) -> Option<ProjectId> {
        let crew = self.engine.crew();
        let session = &crew.sessions.get(&bearer.session.as_str().into())?.state;
        let brief = session.brief.as_ref().filter(|brief| brief.role == Role::Orchestrator)?;
        Some(brief.project.clone())
    }

    /// Tells whether a run may use a right at an address.
    pub(super) fn may(&self, bearer: &Bearer, right: Right, path: &str) -> bool {
        if right == Right::Read || path == format!("/v1/sessions/{}/messages", bearer.session) {
            return true;
        }
        let Some(project) = self.drives(bearer) else { return false };
        let named = path.strip_prefix("/v1/sessions/").and_then(|rest| rest.split('/').next());
        let crew = self.engine.crew();
        let session = named.and_then(|named| crew.find(named).ok());
        let is_of_project = session.is_some_and(|id| {
            crew.sessions[id].state.brief.as_ref().is_some_and(|brief| brief.project == project)
        });
        match right {
            Right::Read => true,
            Right::Talk | Right::Drive => is_of_project,
            Right::Answer => is_of_project && session.is_some_and(|id| id.as_str() != bearer.session),
            // The handler looks at the project in the body.
            Right::Spawn => true,
            Right::Person => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wish_of_the_document_has_its_row_and_every_row_its_wish() {
        let document = serde_json::to_value(super::super::openapi()).unwrap();
        let mut wishes: Vec<(String, String)> = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let methods = item.as_object().unwrap().keys().filter(|method| *method != "get");
            wishes.extend(methods.map(|method| (method.to_uppercase(), path.clone())));
        }
        let mut rows: Vec<(String, String)> =
            RIGHTS.iter().map(|(method, path, _)| (method.to_string(), (*path).to_owned())).collect();
        wishes.sort();
        rows.sort();
        assert_eq!(rows, wishes, "a new operation says here which run may use it");
    }

    #[test]
    fn what_is_not_listed_is_a_person_s() {
        assert_eq!(right(&Method::PUT, Some("/v1/sessions")), Right::Person);
        assert_eq!(right(&Method::POST, None), Right::Person);
        assert_eq!(right(&Method::GET, None), Right::Read);
    }
}
