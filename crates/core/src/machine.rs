//! The one shape: requests are admitted, facts are folded, effects are decided.
//!
//! It must not know what a session is. Sessions and the fleet are machines of this shape.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use core::fmt::{self, Debug};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::ids::Timestamp;

/// A line of the log as the machine sees it: its place in the one order, its stamp, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded<F> {
    /// Position in the log, from 1, without gaps.
    pub seq: u64,
    /// When it was appended: the only door by which time enters the core.
    pub at: Timestamp,
    /// What was seen.
    pub fact: F,
}

/// The name of an effect for ever: it names the cause (`run/3`, `land/57`), never the attempt.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key(pub String);

impl Key {
    /// Returns the first part of the key, which names the kind of effect.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether performing an effect a second time is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// A second attempt adopts what the first one left.
    Safe,
    /// A second attempt would do it twice, such as typing into a terminal.
    Never,
}

/// When to ask again, and why: the reason comes back as a fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The earliest moment to ask again.
    pub at: Timestamp,
    /// What is being waited for, such as `retry workspace`.
    pub why: String,
}

/// What should be true next, as wanted effects by key, and when to ask again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<E> {
    /// The wanted effects.
    pub effects: BTreeMap<Key, E>,
    /// The earliest deadline, when one is running.
    pub wake: Option<Wake>,
}

impl<E> Default for Decision<E> {
    fn default() -> Self {
        Self { effects: BTreeMap::new(), wake: None }
    }
}

impl<E> Decision<E> {
    /// Returns the decision to do nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Adds a wanted effect under its key.
    pub fn want(&mut self, key: impl Into<String>, effect: E) {
        self.effects.insert(Key(key.into()), effect);
    }

    /// Asks to be asked again at a time; the earlier of two deadlines is kept.
    pub fn wake_at(&mut self, at: Timestamp, why: &str) {
        if self.wake.as_ref().is_none_or(|wake| at < wake.at) {
            self.wake = Some(Wake { at, why: why.into() });
        }
    }
}

/// Settled effects remembered before those that are not wanted any more are let go: an effect's key names a cause, and
/// what is not wanted after it settled has a cause that is past. Few, so that a state is small; more than a session has in
/// flight, so that letting go is rare.
pub const SETTLED_MAX: usize = 16;

/// A pure state machine over facts.
pub trait Machine {
    /// The state of one scope.
    type State: Clone + Debug + PartialEq + Default + Serialize + DeserializeOwned;
    /// A wish, which may be refused.
    type Request;
    /// A typed no.
    type Refusal: Debug;
    /// What was seen, which may not be refused.
    type Fact: Clone + Debug + PartialEq + Serialize + DeserializeOwned;
    /// A wanted act.
    type Effect: Clone + Debug + PartialEq;

    /// Returns the fact a request becomes.
    ///
    /// # Errors
    /// The refusal, when the request makes no sense in this state.
    fn admit(state: &Self::State, request: Self::Request) -> Result<Self::Fact, Self::Refusal>;

    /// Takes in a fact. Total: late, stale and repeated news is legal and harmless.
    fn fold(state: &mut Self::State, recorded: &Recorded<Self::Fact>);

    /// Returns what should be true now. Asked after every fact and at boot, never remembered.
    fn decide(state: &Self::State) -> Decision<Self::Effect>;

    /// Tells whether an effect may be performed again after a crash.
    fn repeat(effect: &Self::Effect) -> Repeat;

    /// Tells whether an effect must wait while another one of the same scope is in flight.
    #[must_use]
    fn waits_for(_effect: &Self::Effect, _in_flight: &Key) -> bool {
        false
    }

    /// Returns the fact that an effect which is not going to be repeated was started and never settled.
    fn lost(key: Key) -> Self::Fact;

    /// Returns the fact that a deadline was reached.
    fn woke(why: String) -> Self::Fact;
}

/// One line of the log within a scope: a fact about the world, or the engine's own note on an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry<F> {
    /// Something was seen.
    Fact(F),
    /// An effect was handed to the world.
    Started(Key),
    /// An effect came back; what came of it is in the facts of the same transaction.
    Settled(Key),
}

/// A machine's state together with the engine's notes on its effects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Scope<M: Machine> {
    /// The state, a fold of every fact of this scope.
    pub state: M::State,
    /// Effects handed to the world and not settled.
    pub started: BTreeSet<Key>,
    /// Effects that came back and may still be wanted, among them the latest; they are not performed again.
    pub settled: BTreeSet<Key>,
    /// The position of the last line taken in; a line at or before it is a repeat.
    pub seq: u64,
}

impl<M: Machine> Default for Scope<M> {
    fn default() -> Self {
        Self { state: M::State::default(), started: BTreeSet::new(), settled: BTreeSet::new(), seq: 0 }
    }
}

impl<M: Machine> Scope<M> {
    /// Takes in one line of the log.
    pub fn record(&mut self, seq: u64, at: Timestamp, entry: &Entry<M::Fact>) {
        self.seq = seq;
        match entry {
            Entry::Fact(fact) => M::fold(&mut self.state, &Recorded { seq, at, fact: fact.clone() }),
            Entry::Started(key) => {
                self.started.insert(key.clone());
            }
            Entry::Settled(key) => {
                self.started.remove(key);
                self.settled.insert(key.clone());
                if self.settled.len() > SETTLED_MAX {
                    let wanted = M::decide(&self.state).effects;
                    self.settled.retain(|key| wanted.contains_key(key));
                }
            }
        }
    }

    /// Returns what may be started now: wanted, not settled, not in flight nor kept waiting by what is, and not
    /// possibly done already.
    #[must_use]
    pub fn runnable(&self, in_flight: &BTreeSet<Key>) -> Decision<M::Effect> {
        let mut decision = M::decide(&self.state);
        decision.effects.retain(|key, effect| {
            let in_doubt = self.started.contains(key) && M::repeat(effect) == Repeat::Never;
            let waits = in_flight.iter().any(|busy| busy == key || M::waits_for(effect, busy));
            !self.settled.contains(key) && !waits && !in_doubt
        });
        decision
    }

    /// Returns the lines to append at boot, when nothing is in flight.
    #[must_use]
    pub fn recover(&self) -> alloc::vec::Vec<Entry<M::Fact>> {
        self.abandoned(&BTreeSet::new())
    }

    /// Returns the lines to append about effects that were started by an earlier life of the engine: those that may not
    /// be repeated, or are not wanted any more, are declared lost and settled; safe ones that are wanted are simply
    /// performed again, which may have to wait for room, and may be unwanted by then.
    #[must_use]
    pub fn abandoned(&self, in_flight: &BTreeSet<Key>) -> alloc::vec::Vec<Entry<M::Fact>> {
        let mut entries = alloc::vec::Vec::new();
        if self.started.is_subset(in_flight) {
            return entries;
        }
        let wanted = M::decide(&self.state).effects;
        for key in self.started.difference(in_flight) {
            let repeats = wanted.get(key).is_some_and(|effect| M::repeat(effect) == Repeat::Safe);
            if !repeats {
                entries.push(Entry::Fact(M::lost(key.clone())));
                entries.push(Entry::Settled(key.clone()));
            }
        }
        entries
    }
}
