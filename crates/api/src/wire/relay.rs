//! Relays on the wire: what is asked for, and how they stand.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A relay to begin: a plan, and its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RelayWish {
    /// The plan's text; at most 2 MiB.
    pub plan: String,
    /// The absolute path of the file it was read from, watched for edits; missing when it came from elsewhere.
    #[serde(default)]
    pub source: Option<String>,
    /// Tokens of context that a leg may fill: 20,000 at least, 100,000 when missing.
    #[serde(default)]
    pub budget: Option<u64>,
    /// Legs at most: 1 to 500, 50 when missing.
    #[serde(default)]
    pub legs: Option<u32>,
    /// Who runs legs in turn with `agent`, which runs the first: names, or `exec:COMMAND`.
    #[serde(default)]
    pub agents: Vec<String>,
    /// Time at most from the first leg on, in milliseconds.
    #[serde(default)]
    pub ms_max: Option<u64>,
    /// Money at most, in millionths of a US dollar, as far as agents say what they cost.
    #[serde(default)]
    pub cost_micros_max: Option<u64>,
}

/// How a relay stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Relay {
    /// The plan's title; may be empty.
    pub title: String,
    /// What its phases are called, such as `phase`.
    pub unit: String,
    /// The file the plan was read from; empty when it came from elsewhere.
    pub source: String,
    /// The file the plan is kept in.
    pub plan: String,
    /// Whether `source` says something else than the plan that is worked.
    pub plan_edited: bool,
    /// Its phases, in order.
    pub phases: Vec<RelayPhase>,
    /// The phase at hand, counted from 1; one past the last when all are claimed to be complete.
    pub phase: u32,
    /// Tokens of context that a leg may fill.
    pub budget: u64,
    /// Legs at most.
    pub legs_max: u32,
    /// Its legs, in order.
    pub legs: Vec<Leg>,
    /// What is passed to the next leg; empty before the first ended.
    pub baton: String,
    /// Why no leg follows; null while one runs or will.
    pub rest: Option<String>,
    /// When the next leg may begin, while the relay waits for that.
    pub not_before: Option<String>,
}

/// A phase of a relay's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RelayPhase {
    /// Its name.
    pub name: String,
    /// `ticked` (done before, by the plan), `claimed`, `at_hand` or `open`.
    #[schema(pattern = "^(ticked|claimed|at_hand|open)$")]
    pub state: String,
}

/// One leg of a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Leg {
    /// Its run.
    pub run: u32,
    /// The phase it was given, counted from 1.
    pub phase: u32,
    /// Its agent.
    pub agent: String,
    /// When it began.
    pub began_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Most tokens that were in its context, as far as it said.
    pub context: u64,
    /// What it claimed: `done`, `phase_done`, `handing_off` or `stuck`.
    pub claim: Option<String>,
    /// Its words to that.
    pub note: String,
    /// How it ended, in a sentence; null while it runs.
    pub ended: Option<String>,
    /// Commits it made.
    pub commits: Option<u32>,
    /// Paths it left changed and not committed.
    pub dirty: Option<u32>,
    /// Whether its baton was derived, as it left none that could be passed on.
    pub baton_derived: Option<bool>,
    /// What was wrong with its baton, in a sentence each.
    pub faults: Vec<String>,
}
