//! What a session is asked to do, by whom, where, and how its agent is held. Fixed when it is requested.
//!
//! It must not hold anything that is seen later.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ids::ProjectId;
use crate::playbook::Playbook;

/// What a session was asked to do, and where. Fixed when it is requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// The project it works on.
    pub project: ProjectId,
    /// The absolute path of the project's repository, kept here so that an unregistered project can be cleaned up.
    pub repository: String,
    /// The agent that works.
    pub agent: Agent,
    /// What the agent is told first; empty for none.
    pub prompt: String,
    /// The branch the session works on.
    pub branch: String,
    /// The name of its workspace's folder: it stays when the session is renamed.
    pub folder: String,
    /// The revision it starts from; `None` is the project's default branch.
    pub base: Option<String>,
    /// How the workspace is made.
    pub workspace: WorkspaceKind,
    /// The workspace's own block of TCP ports.
    pub ports: Ports,
    /// The way of working.
    pub playbook: Playbook,
    /// What of its workspace was there before.
    #[serde(default)]
    pub adopted: Adopted,
    /// What its runs are for.
    #[serde(default)]
    pub role: Role,
    /// The issue it works on; `None` when it was asked for in words alone.
    #[serde(default)]
    pub issue: Option<Issue>,
}

/// What others wrote about what is to be done. Its text is a part of the prompt; this is what it is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Issue {
    /// Where it stands: a URL, or a file's absolute path. Sessions with the same one work on the same issue. `None` for a
    /// text that came from nowhere that has a name.
    #[serde(default)]
    pub reference: Option<String>,
    /// Its title, on one line.
    #[serde(default)]
    pub title: String,
}

/// What of a workspace was there before its session. It stays a person's: an adopted branch is never deleted, and an
/// adopted worktree is given back when the session is forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Adopted {
    /// Nothing.
    #[default]
    Nothing,
    /// Its branch.
    Branch,
    /// The worktree at this absolute path, with whatever it held.
    Worktree(String),
}

/// An agent: a name the registry knows, or `exec` with a command of the user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The agent's name, such as `claude-code`, or `exec`.
    pub name: String,
    /// The shell command of an `exec` agent.
    pub command: Option<String>,
    /// Whether it tells of its turns: such an agent is typed to only once it said that it is between two.
    pub tells_of_turns: bool,
    /// How it is held.
    #[serde(default)]
    pub hold: Hold,
    /// What it may do without asking.
    #[serde(default)]
    pub permissions: Permissions,
    /// The model it is to use; `None` leaves it to the agent's own settings.
    #[serde(default)]
    pub model: Option<String>,
    /// Standing rules: told to it as a part of its system prompt where it has one, else before the prompt; empty for none.
    #[serde(default)]
    pub rules: String,
    /// Arguments added to its command line.
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables added to its environment.
    #[serde(default)]
    pub env: Vec<(String, String)>,
}

impl Agent {
    /// Makes an agent of which only its name is said.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            command: None,
            tells_of_turns: false,
            hold: Hold::default(),
            permissions: Permissions::default(),
            model: None,
            rules: String::new(),
            args: Vec::new(),
            env: Vec::new(),
        }
    }
}

/// How an agent is held: what it is told through, and what is seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// The agent's own machine protocol, through a bridge.
    Protocol,
    /// The Agent Client Protocol, through a bridge.
    Acp,
    /// Its own interface in a terminal, with hooks: what a person attaches to.
    #[default]
    Terminal,
    /// A process beside git: nothing is known of it but what it prints, commits and claims.
    Process,
}

impl Hold {
    /// Returns the word people use for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Hold::Protocol => "protocol",
            Hold::Acp => "acp",
            Hold::Terminal => "terminal",
            Hold::Process => "process",
        }
    }
}

/// What an agent may do without asking, from the least to the most. Each agent's file says what it makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Permissions {
    /// What the user's own settings of the agent say.
    #[default]
    Default,
    /// Edits of files in the workspace.
    AcceptEdits,
    /// What the agent itself judges harmless.
    Auto,
    /// Everything.
    Bypass,
}

/// How a workspace is isolated from the user's checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceKind {
    /// A linked worktree: quick, and shares the object store.
    #[default]
    Worktree,
    /// A clone: its own object store and configuration.
    Clone,
}

/// A block of consecutive TCP ports that no other workspace of this daemon holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Ports {
    /// The first port; 0 when none was leased.
    pub first: u16,
    /// How many follow, the first included.
    pub count: u16,
}

/// Part of the judgement that a run serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Does the work.
    #[default]
    Builder,
    /// Has others do the work: drives the sessions of its project, and lands nothing.
    Orchestrator,
    /// Runs the checks of a gate: no agent, but commands.
    Checks,
    /// Judges the work of a builder.
    Overseer,
}

impl Role {
    /// Tells whether people and other agents may talk to it. What judges hears nobody.
    #[must_use]
    pub fn hears(self) -> bool {
        matches!(self, Role::Builder | Role::Orchestrator)
    }
}
