//! One agent works in one workspace; a person watches, talks, and decides what lands.
//!
//! A run is begun when one is wanted: at the request, and when a person resumes. It is never begun again by itself:
//! an agent that ended has said what it had to say, and a loop of restarts would burn the user's budget in seconds.

use serde::{Deserialize, Serialize};

use crate::machine::Decision;
use crate::session::{Brief, Checkout, Effect, Session};

/// Options of the playbook; none yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {}

impl Options {
    pub(super) fn decide(
        &self,
        session: &Session,
        brief: &Brief,
        checkout: &Checkout,
        decision: &mut Decision<Effect>,
    ) {
        session.decide_run(brief, checkout, brief.role, decision);
    }
}
