//! One round of a gate: what was built, what was found when it was looked at, what the checks and the overseer said.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ids::{Oid, RunId, Timestamp};
use crate::playbook::relay::{Leg, LegEnd};
use crate::session::fact::{Exit, Trouble};

/// A command that oarlock runs itself on what would land.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The shell command.
    pub command: String,
    /// How long it may take, in milliseconds.
    pub ms_max: u64,
    /// Who named it: `flag`, `oarlock.toml`, `spec` or `repository`.
    pub origin: String,
}

/// Tests that ran, as far as a check's output says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Counts {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that were skipped.
    pub skipped: u64,
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The shell command.
    pub command: String,
    /// Its exit code; `None` when it was ended: by a signal, or because its time was up.
    pub exit: Option<i32>,
    /// How long its last run took, in milliseconds.
    pub ms: u64,
    /// Tests its last run told of.
    pub counts: Option<Counts>,
    /// SHA-256 of what its last run printed, in hex.
    pub output_digest: String,
    /// Bytes that its last run printed.
    pub output_bytes: u64,
    /// The end of what it printed.
    pub tail: String,
    /// Times it was run.
    pub runs: u32,
    /// Whether it failed, and passed when it was run again.
    pub is_flaky: bool,
    /// Why it does not count as passed; empty when it does.
    pub red: String,
}

/// What came of all checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Checked {
    /// The run that they were run in.
    pub run: RunId,
    /// One for each check, in order.
    pub results: Vec<CheckResult>,
    /// Why they could not be run.
    pub trouble: Option<Trouble>,
}

impl Checked {
    /// Tells whether every check was run and passed.
    #[must_use]
    pub fn is_green(&self, checks: &[Check]) -> bool {
        let same = self.results.len() == checks.len()
            && self.results.iter().zip(checks).all(|(result, check)| result.command == check.command);
        self.trouble.is_none() && same && self.results.iter().all(|result| result.red.is_empty())
    }
}

/// What was found when the work was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Exam {
    /// The look's number in its session, counted from 1.
    pub number: u32,
    /// The commit the work is at.
    pub head: Oid,
    /// The commit the base branch is at.
    pub base: Oid,
    /// Their best common ancestor.
    pub merge_base: Oid,
    /// The tree of the two merged; empty when they do not merge.
    pub tree: Oid,
    /// A commit of that tree: what would land, and what is checked and judged.
    pub candidate: Oid,
    /// Commits the base does not have.
    pub commits: u32,
    /// Paths it changes.
    pub files: u32,
    /// Paths that are not committed; a few of them.
    pub dirty: Vec<String>,
    /// The branch or commit it strayed to.
    pub strayed_to: Option<String>,
    /// Paths that do not merge.
    pub conflicts: Vec<String>,
    /// Files that checks are made of and that it changes.
    pub edited: Vec<String>,
    /// Whether the base moved where the standing approval rests: on a path that the work changes, or that checks are made of.
    pub is_touched: bool,
    /// Why it cannot be looked at.
    pub trouble: Option<Trouble>,
}

/// A requirement of the spec, as the overseer found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Default))]
pub struct Finding {
    /// What is required.
    pub requirement: String,
    /// Whether it is met.
    pub met: bool,
    /// How that was seen.
    pub seen: String,
}

/// What an overseer says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether it approves.
    pub approved: bool,
    /// In a few sentences.
    pub summary: String,
    /// Requirement by requirement.
    pub requirements: Vec<Finding>,
    /// What is wrong, each to be mended.
    pub issues: Vec<String>,
    /// What it is about: [`Round::binding`].
    pub binding: String,
}

impl Verdict {
    /// Tells whether it approves without a reservation: a yes beside an issue, or beside a requirement that is not met or that
    /// nobody looked at, is no yes.
    #[must_use]
    pub fn is_approval(&self) -> bool {
        let looked = |finding: &Finding| finding.met && !finding.seen.trim().is_empty();
        self.approved
            && self.issues.is_empty()
            && !self.requirements.is_empty()
            && self.requirements.iter().all(looked)
    }

    /// Returns what is to be mended, when it does not approve.
    #[must_use]
    pub fn to_mend(&self) -> Vec<String> {
        let unmet = self.requirements.iter().filter(|finding| !finding.met);
        let unmet = unmet.map(|finding| format!("Not met: {}. {}", finding.requirement, finding.seen));
        let mut all: Vec<String> = self.issues.iter().cloned().chain(unmet).collect();
        if all.is_empty() {
            all.push(format!("The overseer did not approve: {}", self.summary));
        }
        all
    }
}

/// What an overseer left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Review {
    /// Its verdict, when it left one that can be read and is about what it was asked.
    pub verdict: Option<Verdict>,
    /// Why there is none, or why it does not count.
    pub fault: String,
}

/// One overseer's part of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    /// Its run.
    pub run: RunId,
    /// When it began.
    pub began: Timestamp,
    /// Who it was: an index into the gate's overseers.
    pub overseer: u32,
    /// How it ended, and when.
    pub ended: Option<(Exit, Timestamp)>,
    /// What it left.
    pub review: Option<Review>,
}

/// One round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Round {
    /// Counted from 1.
    pub number: u32,
    /// Builders, in order: more than one when one ended without a claim.
    pub builders: Vec<Leg>,
    /// What was found when the work was looked at last.
    pub exam: Option<Exam>,
    /// The checks' run, as soon as it began.
    pub checking: Option<RunId>,
    /// What came of the checks.
    pub checked: Option<Checked>,
    /// Overseers, in order.
    pub reviews: Vec<Reviewed>,
    /// What is to be mended; empty while it is not known, and when nothing is.
    pub issues: Vec<String>,
    /// Whether it was approved.
    pub is_approved: bool,
}

impl Round {
    /// Tells whether its last builder claims that the work is done.
    #[must_use]
    pub fn is_claimed(&self) -> bool {
        let end = self.builders.last().and_then(|leg| leg.ended.as_ref());
        matches!(end, Some((LegEnd::Claimed(_), _)))
    }

    /// Returns the note of the claim.
    #[must_use]
    pub fn claim(&self) -> Option<String> {
        self.builders.last().and_then(|leg| leg.claim.as_ref()).map(|(_, note, _)| note.clone())
    }

    /// Returns what a verdict of this round must say that it is about: the spec, the two commits, and what the checks said.
    #[must_use]
    pub fn binding(&self, spec: &str) -> String {
        let exam = self.exam.as_ref();
        let oid = |of: fn(&Exam) -> &Oid| exam.map(|exam| of(exam).0.as_str()).unwrap_or_default();
        let cut = |text: &str| text.get(..16).unwrap_or(text).into();
        let results = self.checked.iter().flat_map(|checked| &checked.results);
        let checks: Vec<String> = results.map(|result| cut(&result.output_digest)).collect();
        let parts: [String; 4] =
            [cut(spec), cut(oid(|exam| &exam.head)), cut(oid(|exam| &exam.base)), checks.join("+")];
        parts.join(".")
    }
}
