//! Attempts at an effect that failed: how often, why, and when the next one is due.

use alloc::format;
use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;
use crate::machine::Decision;

use super::fact::Trouble;
use super::{ATTEMPTS_MAX, Effect, RETRY_MS, Session};

/// What became of the attempts at one kind of effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Tries {
    /// The next attempt's number; it only grows as long as its key names the same thing, so that a key is never used
    /// twice.
    pub number: u32,
    /// Attempts that failed one after the other.
    pub failed: u32,
    /// Why the last one failed; `None` after a success.
    pub trouble: Option<Trouble>,
    /// When the next one is due; `None` after a failure waits for a person.
    pub retry_at: Option<Timestamp>,
}

impl Tries {
    /// Notes a failure; a transient one is tried again after a growing wait, up to a limit.
    pub fn fail(&mut self, trouble: &Trouble, transient: bool, clock: Timestamp) {
        self.number += 1;
        self.failed += 1;
        self.trouble = Some(trouble.clone());
        let again = transient && self.failed < ATTEMPTS_MAX;
        self.retry_at = again.then(|| clock.plus_ms(RETRY_MS << (self.failed - 1)));
    }

    /// Notes a success.
    pub fn succeed(&mut self) {
        self.number += 1;
        self.failed = 0;
        self.trouble = None;
        self.retry_at = None;
    }

    /// An attempt went unanswered and is not repeated: the next one is another.
    pub fn skip(&mut self) {
        self.number += 1;
    }

    /// A person asks for another attempt. One that is under way already is that attempt.
    pub fn again(&mut self, clock: Timestamp) {
        self.failed = 0;
        self.trouble = None;
        self.retry_at = Some(clock);
    }
}

impl Session {
    /// Returns a key for the next attempt at a kind of effect: the first attempt has the cause's plain name. While it
    /// must wait, asks to be woken; while a person is needed, does nothing.
    pub(crate) fn next_key(
        &self,
        kind: &str,
        cause: &str,
        decision: &mut Decision<Effect>,
    ) -> Option<String> {
        let attempt = self.attempt(kind);
        if let (None, Some(at)) = (attempt, self.due(kind)) {
            decision.wake_at(at, &format!("retry {kind}"));
        }
        attempt.map(|n| if n == 0 { format!("{kind}/{cause}") } else { format!("{kind}/{cause}/{n}") })
    }

    /// Forgets the attempts at a kind of effect whose keys name another thing from now on.
    pub(crate) fn forget_tries(&mut self, kind: &str) {
        self.tries.remove(kind);
    }

    /// Returns the attempts at a kind of effect, to change them.
    pub(super) fn tries(&mut self, kind: &str) -> &mut Tries {
        self.tries.entry(String::from(kind)).or_default()
    }

    /// Returns the next attempt's number, or `None` while it must wait or a person is needed.
    pub(super) fn attempt(&self, kind: &str) -> Option<u32> {
        match self.tries.get(kind) {
            None => Some(0),
            Some(tries) if tries.trouble.is_none() => Some(tries.number),
            Some(tries) => tries.retry_at.is_some_and(|at| self.clock >= at).then_some(tries.number),
        }
    }

    /// Returns when the next attempt is due, while it must wait.
    pub(super) fn due(&self, kind: &str) -> Option<Timestamp> {
        self.tries.get(kind).and_then(|tries| tries.retry_at).filter(|at| self.clock < *at)
    }

    /// Returns the trouble that only a person can end.
    #[must_use]
    pub fn stuck_on(&self, kind: &str) -> Option<&Trouble> {
        self.tries.get(kind).filter(|tries| tries.retry_at.is_none()).and_then(|tries| tries.trouble.as_ref())
    }
}
