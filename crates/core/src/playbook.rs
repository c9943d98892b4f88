//! Ways of working: one file each. A playbook decides from the facts what should happen next.

pub mod supervise;

use serde::{Deserialize, Serialize};

use crate::machine::Decision;
use crate::session::{Brief, Checkout, Effect, Session};

/// A way of working, with its options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Playbook {
    /// One agent in one workspace, watched.
    Supervise(supervise::Options),
}

impl Playbook {
    /// Returns the word people use for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Playbook::Supervise(_) => "supervise",
        }
    }

    /// Adds what this way of working wants, once the workspace is there and while the session has no outcome.
    pub(crate) fn decide(
        &self,
        session: &Session,
        brief: &Brief,
        checkout: &Checkout,
        decision: &mut Decision<Effect>,
    ) {
        match self {
            Playbook::Supervise(options) => options.decide(session, brief, checkout, decision),
        }
    }
}
