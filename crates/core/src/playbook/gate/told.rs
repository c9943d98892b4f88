//! What the runs of a gate are told.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::round::{Check, CheckResult, Exam};

/// What a run of a gate is for, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateBrief {
    /// Build.
    Build(Box<BuildBrief>),
    /// Run the checks.
    Check(Box<CheckBrief>),
    /// Judge.
    Judge(Box<JudgeBrief>),
}

/// What a builder is told, beside the spec itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BuildBrief {
    /// The round, counted from 1.
    pub round: u32,
    /// Rounds at most.
    pub rounds_max: u32,
    /// SHA-256 of the spec.
    pub spec: String,
    /// What will be run.
    pub checks: Vec<Check>,
    /// What was found wrong in the last round.
    pub issues: Vec<String>,
    /// How the builder before it ended, when it claimed nothing.
    pub note: String,
    /// What a person said.
    pub words: String,
    /// What every builder is told.
    pub standing: String,
    /// Whether nobody built before it.
    pub is_first: bool,
    /// The branch that the work lands on.
    pub base_branch: String,
}

/// What is checked.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CheckBrief {
    /// What was found when the work was looked at.
    pub exam: Exam,
    /// The checks.
    pub checks: Vec<Check>,
}

/// What an overseer is told, beside the spec itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct JudgeBrief {
    /// The round, counted from 1.
    pub round: u32,
    /// Rounds at most.
    pub rounds_max: u32,
    /// SHA-256 of the spec.
    pub spec: String,
    /// What was found when the work was looked at.
    pub exam: Exam,
    /// What the checks said.
    pub checks: Vec<CheckResult>,
    /// What the builder says of its work.
    pub claim: String,
    /// What was found wrong in earlier rounds.
    pub earlier: Vec<String>,
    /// What the verdict has to name.
    pub binding: String,
    /// Whether the operating system keeps it from changing its checkout.
    pub is_confined: bool,
}
