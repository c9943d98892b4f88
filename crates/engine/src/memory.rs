//! A store in memory, for the simulator: it forgets nothing while it lives, and can be told to fail.

use oarlock_core::crew::Crew;
use oarlock_core::ids::Timestamp;

use crate::{Stamped, Store, StoreError};

/// The log as a vector; the state is always folded from it.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    /// Every line.
    pub lines: Vec<Stamped>,
    /// How many appends will fail from now on.
    pub failing: u32,
}

impl MemoryStore {
    /// Folds the whole log.
    #[must_use]
    pub fn replay(&self) -> Crew {
        let mut crew = Crew::default();
        for stamped in &self.lines {
            crew.record(stamped.seq, stamped.at, &stamped.line);
        }
        crew
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<(Crew, u64, Timestamp), StoreError> {
        let last = self.lines.last();
        Ok((self.replay(), last.map_or(0, |line| line.seq), last.map(|line| line.at).unwrap_or_default()))
    }

    fn append(&mut self, lines: &[Stamped], _: &Crew) -> Result<(), StoreError> {
        if self.failing > 0 {
            self.failing -= 1;
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(StoreError::Failed { doing: "append to", source: Box::new(source) });
        }
        self.lines.extend_from_slice(lines);
        Ok(())
    }

    fn read(&self, after: u64, limit: usize) -> Result<Vec<Stamped>, StoreError> {
        Ok(self.lines.iter().filter(|line| line.seq > after).take(limit).cloned().collect())
    }

    fn bounds(&self) -> Result<(u64, u64), StoreError> {
        Ok((1, self.lines.len() as u64))
    }

    fn verify(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}
