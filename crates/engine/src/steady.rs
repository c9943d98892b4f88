//! Time that never goes back: deadlines must come although somebody sets the wall clock back by a year.
//!
//! It must not know what the time is for.

use std::sync::Arc;
use std::time::Instant;

use oarlock_core::ids::Timestamp;

use crate::Clock;

/// A clock over the wall clock. Where that is set back, it goes on from where it was, at the pace of seconds; where that is
/// ahead, after a suspension or a correction, it follows.
pub(crate) struct Steady {
    wall: Arc<dyn Clock>,
    last: Timestamp,
    at: Instant,
}

impl Steady {
    /// Begins no earlier than a moment: what was stamped in an earlier life of the daemon was in the past.
    pub fn begin(wall: Arc<dyn Clock>, not_before: Timestamp) -> Self {
        Self { wall, last: not_before, at: Instant::now() }
    }

    /// Returns the present moment.
    pub fn now(&mut self) -> Timestamp {
        let elapsed = u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let gone_on = self.last.plus_ms(elapsed);
        let wall = self.wall.now();
        if wall >= gone_on {
            (self.last, self.at) = (wall, Instant::now());
            return wall;
        }
        gone_on
    }
}
