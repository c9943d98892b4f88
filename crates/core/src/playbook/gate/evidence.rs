//! What a landing through a gate rests on, as it is kept beside the commit for anybody to verify.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ids::Oid;
use crate::session::Session;
use crate::session::fact::Agent;

use super::round::{CheckResult, Verdict};
use super::{Options, State};

/// The layout of the record; a reader refuses a later one.
pub const EVIDENCE_VERSION: u32 = 1;

/// Why a commit landed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The layout of this record.
    pub version: u32,
    /// The session's name.
    pub session: String,
    /// The round that was approved, counted from 1.
    pub round: u32,
    /// SHA-256 of the spec, in hex, and its title.
    pub spec: (String, String),
    /// The commit that was judged.
    pub head: Oid,
    /// The commit of the base branch that it was merged with.
    pub base: Oid,
    /// The tree of the two merged: what was checked, and what landed.
    pub tree: Oid,
    /// What the checks said of that tree.
    pub checks: Vec<CheckResult>,
    /// What the overseer said.
    pub verdict: Verdict,
    /// The base commit that the overseer saw the work merged with: an earlier one when nothing that it rests on changed since.
    pub judged_base: Oid,
    /// Who built, and who judged.
    pub agents: (String, String),
    /// Whether the operating system kept the two to their places.
    pub is_confined: bool,
}

impl Evidence {
    /// Puts together what an approved session rests on.
    #[must_use]
    pub fn of(session: &Session, options: &Options, state: &State) -> Option<Self> {
        let approval = state.approval.as_ref()?;
        let round = state.rounds.iter().find(|round| round.number == approval.round)?;
        let (exam, checked) = (round.exam.as_ref()?, round.checked.as_ref());
        let is_approval = |verdict: &&Verdict| verdict.is_approval();
        let reviews = round.reviews.iter().rev();
        let (overseer, verdict) = reviews
            .filter_map(|one| {
                Some((one.overseer, one.review.as_ref()?.verdict.as_ref().filter(is_approval)?))
            })
            .next()?;
        // Never a command: it may hold what nobody else is to see.
        let agent = |agent: &Agent| agent.name.clone();
        Some(Self {
            version: EVIDENCE_VERSION,
            session: session.name.0.clone(),
            round: round.number,
            spec: (options.spec.digest.clone(), options.spec.title.clone()),
            head: exam.head.clone(),
            base: exam.base.clone(),
            tree: exam.tree.clone(),
            checks: checked.map(|checked| checked.results.clone()).unwrap_or_default(),
            verdict: verdict.clone(),
            judged_base: approval.judged_base.clone(),
            agents: (
                agent(&options.builder),
                options.overseers.get(overseer as usize).map(agent).unwrap_or_default(),
            ),
            is_confined: options.is_confined,
        })
    }
}
