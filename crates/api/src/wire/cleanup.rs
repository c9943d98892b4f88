//! Clearing away what is over: what is asked, and the plan that is shown and carried out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Error;

/// Clears workspaces away that hold nothing to land.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CleanUp {
    /// Only this project's: its id, or an absolute path inside the repository; every project's when missing.
    #[serde(default)]
    pub project: Option<String>,
    /// Only these sessions; when empty, every session that has a workspace.
    #[serde(default)]
    pub sessions: Vec<String>,
}

/// What becomes of each workspace, oldest session first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cleanup {
    /// A line per session.
    pub items: Vec<CleanupItem>,
}

/// What becomes of one session's workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CleanupItem {
    /// The session's id.
    pub session: String,
    /// Its name.
    pub name: String,
    /// Whether the workspace goes.
    pub goes: bool,
    /// Why: `landed`, `parted` and `nothing` go; `running`, `under_way`, `uncommitted`, `unlanded`, `strayed`, `operation`, `unread`
    /// and `gone` stay as they are.
    pub why: String,
    /// The same as a sentence.
    pub says: String,
    /// Whether it is gone by now; false in a plan, and while it is under way.
    pub done: bool,
    /// The entry of the trash that holds it.
    pub trash: Option<String>,
    /// Why it could not be taken away after all.
    pub trouble: Option<Error>,
}
