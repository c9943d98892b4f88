//! When a viewer that follows screens is sent the next one. It keeps time only while something was drawn that the viewer has
//! not seen, so that an idle run wakes nobody. It must not know what a screen is.

use crate::protocol::{SCREENS_PAUSE_MS_MAX, SCREENS_PAUSE_MS_MIN};
use std::time::{Duration, Instant};

/// How one viewer follows.
pub(super) struct Pace {
    quiet: Duration,
    at_most_every: Duration,
    /// How much was drawn when it was last looked at.
    seen: u64,
    changed_at: Instant,
    /// Since when something is drawn that was not sent.
    unsent_since: Option<Instant>,
}

impl Pace {
    /// Returns the pace of a viewer that is sent the screen as it is now.
    pub fn new(quiet_ms: u32, at_most_every_ms: u32, drawn: u64, now: Instant) -> Self {
        let pause =
            |ms: u32| Duration::from_millis(ms.clamp(SCREENS_PAUSE_MS_MIN, SCREENS_PAUSE_MS_MAX).into());
        let (quiet, at_most_every) = (pause(quiet_ms), pause(at_most_every_ms));
        Self { quiet, at_most_every, seen: drawn, changed_at: now, unsent_since: None }
    }

    /// Takes note of how much was drawn by now.
    pub fn note(&mut self, drawn: u64, now: Instant) {
        if drawn != self.seen {
            self.seen = drawn;
            self.changed_at = now;
            self.unsent_since.get_or_insert(now);
        }
    }

    /// Returns when to send the next screen; nothing while there is none to send.
    pub fn due_at(&self) -> Option<Instant> {
        let since = self.unsent_since?;
        Some((self.changed_at + self.quiet).min(since + self.at_most_every))
    }

    /// Takes note that the screen was sent as it was when last noted.
    pub fn sent(&mut self) {
        self.unsent_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_screen_is_due_when_it_was_quiet_and_nothing_is_due_before_anything_is_drawn() {
        let start = Instant::now();
        let mut pace = Pace::new(50, 1000, 7, start);
        pace.note(7, start + 500 * MS);
        assert_eq!(pace.due_at(), None, "no timer while nothing is drawn");
        pace.note(8, start + 600 * MS);
        pace.note(8, start + 640 * MS);
        assert_eq!(pace.due_at(), Some(start + 650 * MS));
        pace.note(9, start + 645 * MS);
        assert_eq!(pace.due_at(), Some(start + 695 * MS), "more came before it was quiet");
        pace.sent();
        assert_eq!(pace.due_at(), None, "and no timer once it is sent");
    }

    #[test]
    fn output_without_a_pause_is_sent_now_and_then() {
        let start = Instant::now();
        let mut pace = Pace::new(50, 1000, 0, start);
        let mut sent = Vec::new();
        for ms in 1..=3500 {
            let now = start + ms * MS;
            if pace.due_at().is_some_and(|at| at <= now) {
                pace.sent();
                sent.push(ms);
            }
            pace.note(ms.into(), now);
        }
        assert_eq!(sent, [1001, 2001, 3001]);
    }

    #[test]
    fn no_pause_is_shorter_than_allowed() {
        let start = Instant::now();
        let mut pace = Pace::new(0, 0, 0, start);
        pace.note(1, start);
        assert_eq!(pace.due_at(), Some(start + Duration::from_millis(SCREENS_PAUSE_MS_MIN.into())));
    }
}
