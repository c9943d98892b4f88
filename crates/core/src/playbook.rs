//! Ways of working: one file each. A playbook decides from the facts what should happen next.

pub mod gate;
pub mod relay;
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
    /// Fresh agents over a phased plan.
    Relay(relay::Options),
    /// A builder and an overseer; only what is judged lands.
    Gate(gate::Options),
}

impl Playbook {
    /// Returns the word people use for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Playbook::Supervise(_) => "supervise",
            Playbook::Relay(_) => "relay",
            Playbook::Gate(_) => "gate",
        }
    }

    /// Returns what a session of it is named after, when that is not its prompt.
    #[must_use]
    pub fn name_from(&self) -> Option<&str> {
        let (source, title) = match self {
            Playbook::Supervise(_) => return None,
            Playbook::Relay(options) => (&options.plan.source, &options.plan.title),
            Playbook::Gate(options) => (&options.spec.source, &options.spec.title),
        };
        let file = source.rsplit('/').next().and_then(|file| file.split('.').next()).unwrap_or_default();
        [file, title.as_str(), self.word()].into_iter().find(|name| !name.is_empty())
    }

    /// Returns the options of a relay.
    #[must_use]
    pub fn relay(&self) -> Option<&relay::Options> {
        match self {
            Playbook::Relay(options) => Some(options),
            Playbook::Supervise(_) | Playbook::Gate(_) => None,
        }
    }

    /// Returns the options of a gate.
    #[must_use]
    pub fn gate(&self) -> Option<&gate::Options> {
        match self {
            Playbook::Gate(options) => Some(options),
            Playbook::Supervise(_) | Playbook::Relay(_) => None,
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
            Playbook::Relay(options) => options.decide(session, brief, checkout, decision),
            Playbook::Gate(options) => options.decide(session, brief, checkout, decision),
        }
    }
}
