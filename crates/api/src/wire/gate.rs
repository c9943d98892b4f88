//! Gates on the wire: what is asked for, and how they stand.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::relay::whole;

/// A gate to begin: a spec, and how the work is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateWish {
    /// The spec's text.
    pub spec: String,
    /// The file it was read from, by its absolute path.
    #[serde(default)]
    pub source: Option<String>,
    /// Shell commands that oarlock runs on what would land. When empty: those of `oarlock.toml`, else those that the spec
    /// names, else the one that the repository is usually held to.
    #[serde(default)]
    pub checks: Vec<String>,
    /// Whether it may begin without any check.
    #[serde(default)]
    pub unchecked: bool,
    /// Whether it may begin where the operating system cannot keep the overseer from changing what it judges.
    #[serde(default)]
    pub unconfined: bool,
    /// Rounds at most: 1 to 100, 10 when missing.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 100)]
    pub rounds: Option<u32>,
    /// Who judges, the next one where one says nothing: names, or `exec:COMMAND`.
    #[serde(default)]
    pub overseers: Vec<String>,
    /// Sessions that have to land first: names or ids.
    #[serde(default)]
    pub after: Vec<String>,
    /// Whether what is approved waits for a person to land it.
    #[serde(default)]
    pub hold: bool,
    /// How it joins the base: `merge` (when missing), `squash` or `rebase`.
    #[serde(default)]
    #[schema(pattern = "^(merge|squash|rebase)$")]
    pub how: Option<String>,
    /// How long each check may take, in milliseconds; half an hour when missing.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1000, maximum = 86400000)]
    pub check_ms_max: Option<u64>,
    /// Time at most from the first run on, in milliseconds.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    pub ms_max: Option<u64>,
    /// Money at most, in millionths of a US dollar, as far as agents say what they cost.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    pub cost_micros_max: Option<u64>,
}

/// How a gate stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gate {
    /// The spec's title; may be empty.
    pub title: String,
    /// The file the spec was read from; empty when it came from elsewhere.
    pub source: String,
    /// The file the spec is kept in.
    pub spec: String,
    /// What comes next, or is under way: `build`, `examine`, `check`, `read_checks`, `judge`, `read_verdict`, `queue` or `land`.
    #[schema(pattern = "^(build|examine|check|read_checks|judge|read_verdict|queue|land)$")]
    pub step: String,
    /// Rounds at most.
    pub rounds_max: u32,
    /// The checks, and who named each: `flag`, `oarlock.toml`, `spec` or `repository`.
    pub checks: Vec<GateCheck>,
    /// Who judges.
    pub overseers: Vec<String>,
    /// Sessions that have to land first.
    pub waits_for: Vec<String>,
    /// Whether the operating system keeps the agents to their places.
    pub confined: bool,
    /// Its rounds, in order.
    pub rounds: Vec<GateRound>,
    /// The commit that is approved; null when none is.
    pub approved: Option<String>,
    /// Why nothing follows; null while something does.
    pub rest: Option<String>,
}

/// A check of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateCheck {
    /// The shell command.
    pub command: String,
    /// Who named it.
    pub origin: String,
}

/// A round of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateRound {
    /// Counted from 1.
    pub number: u32,
    /// The runs of its builders.
    pub builders: Vec<u32>,
    /// What the last builder says of its work.
    pub claim: Option<String>,
    /// How the last builder ended, in a sentence.
    pub built: Option<String>,
    /// The commit that was looked at.
    pub head: Option<String>,
    /// The commit of the base that it was merged with.
    pub base: Option<String>,
    /// Commits that the base does not have.
    pub commits: u32,
    /// Files that it changes.
    pub files: u32,
    /// Files that checks are made of and that it changes.
    pub edited: Vec<String>,
    /// What the checks said.
    pub checks: Vec<CheckResult>,
    /// What overseers said.
    pub reviews: Vec<GateReview>,
    /// What is to be mended.
    pub issues: Vec<String>,
    /// Whether it was approved.
    pub approved: bool,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckResult {
    /// The shell command.
    pub command: String,
    /// Its exit code; null when it was ended.
    pub exit: Option<i32>,
    /// How long its last run took, in milliseconds.
    pub ms: u64,
    /// Tests passed, failed and skipped, as far as its output says.
    #[schema(value_type = Option<[u64; 3]>)]
    pub counts: Option<(u64, u64, u64)>,
    /// SHA-256 of what its last run printed, in hex.
    pub output: String,
    /// Times it was run.
    pub runs: u32,
    /// Whether it failed first, and passed when it was run again.
    pub flaky: bool,
    /// Why it does not count as passed; empty when it does.
    pub red: String,
}

/// What an overseer said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateReview {
    /// Its run.
    pub run: u32,
    /// Its agent.
    pub agent: String,
    /// `approve` or `issues`; null while it judges, and when it gave no verdict.
    pub verdict: Option<String>,
    /// In a few sentences.
    pub summary: String,
    /// Requirements that are met, and all that it names.
    #[schema(value_type = [u32; 2])]
    pub met: (u32, u32),
    /// Why there is no verdict, or why it does not count.
    pub fault: String,
}
