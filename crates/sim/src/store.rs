//! The simulator's store: a [`MemoryStore`] that outlives the daemon's crashes and can be made to fail.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oarlock_core::crew::{Crew, Line};
use oarlock_core::ids::Timestamp;
use oarlock_core::machine::Entry;
use oarlock_core::session::fact::Fact;
use oarlock_engine::{MemoryStore, Stamped, Store, StoreError};

use crate::sabotage::Sabotage;

/// A handle to the one log; clones share it, as two lives of a daemon share a file.
#[derive(Clone, Debug, Default)]
pub struct FlakyStore {
    memory: Arc<Mutex<MemoryStore>>,
    sabotage: Option<Sabotage>,
}

impl FlakyStore {
    /// Makes an empty log, which misbehaves if told to.
    #[must_use]
    pub fn new(sabotage: Option<Sabotage>) -> Self {
        Self { memory: Arc::default(), sabotage }
    }

    /// Returns the log itself.
    pub fn memory(&self) -> MutexGuard<'_, MemoryStore> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the lines after a position.
    #[must_use]
    pub fn after(&self, seq: u64) -> Vec<Stamped> {
        let memory = self.memory();
        let from = memory.lines.partition_point(|line| line.seq <= seq);
        memory.lines[from..].to_vec()
    }

    /// Appends a line that no engine asked for.
    pub fn scribble(&self, line: Line) {
        let mut memory = self.memory();
        let last = memory.lines.last();
        let (seq, at) = last.map_or((1, Timestamp::default()), |last| (last.seq + 1, last.at));
        memory.lines.push(Stamped { seq, at, line });
    }
}

impl Store for FlakyStore {
    fn load(&mut self) -> Result<(Crew, u64, Timestamp), StoreError> {
        if self.sabotage != Some(Sabotage::ForgetsStarted) {
            return self.memory().load();
        }
        let mut forgetful = self.memory().clone();
        forgetful.lines.retain(|stamped| !matches!(stamped.line, Line::Session(_, Entry::Started(_))));
        forgetful.load()
    }

    fn append(&mut self, lines: &[Stamped], crew: &Crew) -> Result<(), StoreError> {
        let mut lines = lines.to_vec();
        match self.sabotage {
            Some(Sabotage::StoreDropsLine) if lines.len() > 1 => drop(lines.remove(0)),
            Some(Sabotage::StoreGarbles) => {
                if let Some(Line::Session(_, Entry::Fact(fact))) = lines.last_mut().map(|line| &mut line.line)
                {
                    *fact = Fact::Woke { why: "garbled".into() };
                }
            }
            Some(Sabotage::StoreStampsBack) if lines.len() > 1 => {
                if let Some(last) = lines.last_mut() {
                    last.at = Timestamp(last.at.0 - 1);
                }
            }
            _ => {}
        }
        self.memory().append(&lines, crew)
    }

    fn read(&self, after: u64, limit: usize) -> Result<Vec<Stamped>, StoreError> {
        self.memory().read(after, limit)
    }

    fn bounds(&self) -> Result<(u64, u64), StoreError> {
        self.memory().bounds()
    }

    fn verify(&self) -> Result<Vec<String>, StoreError> {
        self.memory().verify()
    }
}
