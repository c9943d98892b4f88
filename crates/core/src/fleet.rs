//! What all sessions of a daemon share: the registered projects, and the blocks of ports leased to workspaces.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::ids::{ProjectId, RequestId, Timestamp};
use crate::machine::{Decision, Key, Machine, Recorded, Repeat};
use crate::session::fact::Ports;
use crate::session::{REQUESTS_KEPT, Refusal};

/// Ports per workspace: a web server, an API, a database and a debugger, twice over.
pub const PORTS_PER_BLOCK: u16 = 10;
/// First port leased: above the registered services people run, below the ephemeral range of Linux (32768).
pub const PORT_FIRST: u16 = 20_000;
/// Blocks there are: 1,200 workspaces at once, up to port 31,999.
pub const BLOCKS_MAX: u16 = 1_200;

/// A registered repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// The absolute path of its main checkout.
    pub path: String,
    /// When it was registered.
    pub added_at: Timestamp,
}

/// Everything the sessions share: a fold of the fleet's facts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
pub struct Fleet {
    /// The registered repositories.
    pub projects: BTreeMap<ProjectId, Project>,
    /// Requests already admitted, newest last, with the position of their fact.
    pub requests: VecDeque<(RequestId, u64)>,
}

/// What can be seen of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// A repository was registered.
    ProjectAdded {
        /// The client's id for the wish.
        request: RequestId,
        /// The project's id.
        project: ProjectId,
        /// The absolute path of its main checkout.
        path: String,
    },
    /// A repository is no longer registered; nothing of it was touched.
    ProjectRemoved {
        /// The client's id for the wish.
        request: RequestId,
        /// The project's id.
        project: ProjectId,
    },
    /// A deadline was reached.
    Woke {
        /// What was waited for.
        why: String,
    },
}

/// A wish about the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Register a repository; a path already registered is answered with its project.
    AddProject(RequestId, String),
    /// Take a project off the list; the second value counts its sessions that still hold a workspace.
    RemoveProject(RequestId, ProjectId, usize),
}

/// The fleet wants nothing of the world.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {}

impl Fleet {
    /// Returns the project registered at a path.
    #[must_use]
    pub fn project_at(&self, path: &str) -> Option<&ProjectId> {
        self.projects.iter().find(|(_, project)| project.path == path).map(|(id, _)| id)
    }

    /// Returns the position of the fact that a request became, if it was admitted before.
    #[must_use]
    pub fn answered(&self, request: &RequestId) -> Option<u64> {
        self.requests.iter().find(|(known, _)| known == request).map(|(_, seq)| *seq)
    }

    /// Returns an id for a repository: its folder's name as a slug, numbered when that is taken.
    #[must_use]
    pub fn free_project_id(&self, path: &str) -> ProjectId {
        let folder = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("project");
        let slug = crate::ids::Name::slug(folder, 32).map_or_else(|| String::from("project"), |name| name.0);
        let first = ProjectId(slug.clone());
        if !self.projects.contains_key(&first) {
            return first;
        }
        (2_u32..)
            .map(|n| ProjectId(format!("{slug}-{n}")))
            .find(|id| !self.projects.contains_key(id))
            .expect("one of four thousand million numbers is free")
    }

    fn remember(&mut self, request: &RequestId, seq: u64) {
        self.requests.push_back((request.clone(), seq));
        if self.requests.len() > REQUESTS_KEPT {
            self.requests.pop_front();
        }
    }
}

/// Returns the first block of ports that none of `held` begins with, or `None` when all are leased.
#[must_use]
pub fn free_ports(held: &BTreeSet<u16>) -> Option<Ports> {
    (0..BLOCKS_MAX)
        .map(|block| PORT_FIRST + block * PORTS_PER_BLOCK)
        .find(|first| !held.contains(first))
        .map(|first| Ports { first, count: PORTS_PER_BLOCK })
}

impl Machine for Fleet {
    type State = Fleet;
    type Request = Request;
    type Refusal = Refusal;
    type Fact = Fact;
    type Effect = Effect;

    fn admit(fleet: &Fleet, request: Request) -> Result<Fact, Refusal> {
        match request {
            Request::AddProject(request, path) => match fleet.project_at(&path) {
                Some(project) => Err(Refusal::new(
                    "already_registered",
                    format!("{path} is registered as {project}."),
                    format!("See it with \"oarlock project show {project}\"."),
                )),
                None => Ok(Fact::ProjectAdded { request, project: fleet.free_project_id(&path), path }),
            },
            Request::RemoveProject(_, project, _) if !fleet.projects.contains_key(&project) => {
                Err(Refusal::new(
                    "not_found",
                    format!("There is no project {}.", crate::text::line(&project.0, 60)),
                    "List them with \"oarlock project ls\".",
                ))
            }
            Request::RemoveProject(_, project, sessions) if sessions > 0 => Err(Refusal::new(
                "has_sessions",
                match sessions {
                    1 => format!("A session of {project} still has a workspace."),
                    _ => format!("{sessions} sessions of {project} still have a workspace."),
                },
                "Land, reject or forget them first; see \"oarlock ls\".",
            )),
            Request::RemoveProject(request, project, _) => Ok(Fact::ProjectRemoved { request, project }),
        }
    }

    fn fold(fleet: &mut Fleet, recorded: &Recorded<Fact>) {
        match &recorded.fact {
            Fact::ProjectAdded { request, project, path } => {
                fleet.remember(request, recorded.seq);
                fleet
                    .projects
                    .entry(project.clone())
                    .or_insert_with(|| Project { path: path.clone(), added_at: recorded.at });
            }
            Fact::ProjectRemoved { request, project } => {
                fleet.remember(request, recorded.seq);
                fleet.projects.remove(project);
            }
            Fact::Woke { .. } => {}
        }
    }

    fn decide(_: &Fleet) -> Decision<Effect> {
        Decision::nothing()
    }

    fn repeat(effect: &Effect) -> Repeat {
        match *effect {}
    }

    fn lost(key: Key) -> Fact {
        Fact::Woke { why: key.0 }
    }

    fn woke(why: String) -> Fact {
        Fact::Woke { why }
    }
}
