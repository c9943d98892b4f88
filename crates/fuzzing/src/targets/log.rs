//! What the store holds: a line or a state that is understood is written again as it was. A state may be any that can be
//! written: the core answers every question about it.

use std::collections::BTreeSet;

use oarlock_core::crew::Line;
use oarlock_core::fleet::{self, Fleet};
use oarlock_core::ids::Timestamp;
use oarlock_core::machine::{Entry, Scope};
use oarlock_core::session::{self, Session};
use oarlock_core::status;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Each line is an entry of the log, or the state of a scope.
pub fn run(data: &[u8]) {
    let mut session = Scope::<Session>::default();
    for (seq, line) in (1..).zip(data.split(|byte| *byte == b'\n')) {
        same::<Line>(line);
        same::<Scope<Fleet>>(line);
        same::<Entry<fleet::Fact>>(line);
        if let Some(entry) = same::<Entry<session::Fact>>(line) {
            session.record(seq, Timestamp(seq), &entry);
        }
        if let Some(stored) = same::<Scope<Session>>(line) {
            session = stored;
        }
        let wanted = session.runnable(&BTreeSet::new());
        assert!(wanted.effects.keys().all(|key| !session.settled.contains(key)));
        assert!(!status::explain(&session.state).1.is_empty() || session.state.brief.is_none());
        let _lines = session.recover();
    }
    let text = serde_json::to_vec(&session).expect("a state is JSON");
    assert_eq!(serde_json::from_slice::<Scope<Session>>(&text).expect("our own JSON"), session);
}

fn same<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(line: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(line).ok()?;
    let again = serde_json::to_vec(&value).expect("what is stored is JSON");
    assert_eq!(serde_json::from_slice::<T>(&again).expect("our own JSON"), value);
    Some(value)
}
