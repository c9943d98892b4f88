//! How a run is brought to its end: asked, waited for, killed, until nothing of it is left. It decides only when;
//! `sweep` knows who. It must not know about output or clients.

use crate::record::Exit;
use crate::sweep::{KILL_ROUNDS_MAX, LOOK_MS, Tree};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Between two looks at what is left during the grace.
const LOOK: Duration = Duration::from_millis(LOOK_MS);
/// The longest grace, in milliseconds: a day. It keeps arithmetic on time sane.
const GRACE_MS_MAX: u64 = 86_400_000;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing was asked, and the child lives.
    Running,
    /// All were asked to end; whoever is left at `kill_at` is killed.
    Terminating { kill_at: Instant, look_at: Instant },
    /// All are killed, again and again, since a fork may slip through.
    Killing { rounds: u32, next_at: Instant },
    /// Nothing is left, or what is left cannot be killed.
    Over { survivors: u32 },
}

/// The state of the end.
pub(super) struct Ending {
    phase: Phase,
    tree: Tree,
    child: Option<Exit>,
    grace: Duration,
}

impl Ending {
    pub fn new(tree: Tree, grace_ms: u64) -> Self {
        Self { phase: Phase::Running, tree, child: None, grace: grace(grace_ms) }
    }

    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    pub fn child_alive(&self) -> bool {
        self.child.is_none()
    }

    /// Returns how it ended and how many could not be ended, once it is over.
    pub fn outcome(&self) -> Option<(Exit, u32)> {
        match self.phase {
            Phase::Over { survivors } => Some((self.child.clone().unwrap_or(Exit::Unknown), survivors)),
            Phase::Running | Phase::Terminating { .. } | Phase::Killing { .. } => None,
        }
    }

    /// Returns when to `advance` next.
    pub fn wake_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running | Phase::Over { .. } => None,
            // While the child lives there is nothing to look for: its end is a signal.
            Phase::Terminating { kill_at, .. } if self.child.is_none() => Some(kill_at),
            Phase::Terminating { kill_at, look_at } => Some(kill_at.min(look_at)),
            Phase::Killing { next_at, .. } => Some(next_at),
        }
    }

    /// Asks all to end, and has them killed after the grace. Asked again, the shorter grace counts.
    pub fn stop(&mut self, grace_ms: u64, now: Instant) {
        let wanted = now + grace(grace_ms);
        match &mut self.phase {
            Phase::Running => self.terminate(wanted, now),
            Phase::Terminating { kill_at, .. } => *kill_at = wanted.min(*kill_at),
            Phase::Killing { .. } | Phase::Over { .. } => {}
        }
    }

    /// Kills all at once.
    pub fn kill(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Running | Phase::Terminating { .. }) {
            self.phase = Phase::Killing { rounds: 0, next_at: now };
        }
        self.advance(now);
    }

    /// Takes note of the child's end; what it left behind has to follow.
    pub fn child_ended(&mut self, exit: Exit, now: Instant) {
        self.child = Some(exit);
        if self.phase == Phase::Running {
            self.terminate(now + self.grace, now);
        }
        self.look(now);
    }

    /// Does what is due.
    pub fn advance(&mut self, now: Instant) {
        match self.phase {
            Phase::Terminating { kill_at, .. } if kill_at <= now => self.kill_round(0, now),
            Phase::Terminating { look_at, .. } if look_at <= now => self.look(now),
            Phase::Killing { next_at, rounds } if next_at <= now => self.kill_round(rounds, now),
            Phase::Running | Phase::Terminating { .. } | Phase::Killing { .. } | Phase::Over { .. } => {}
        }
    }

    fn terminate(&mut self, kill_at: Instant, now: Instant) {
        // Who cannot be found now, since /proc could not be read, is killed after the grace.
        let _ = self.tree.terminate();
        self.phase = Phase::Terminating { kill_at, look_at: now + LOOK };
    }

    /// Ends the waiting when nothing is left. What cannot be looked at counts as left.
    fn look(&mut self, now: Instant) {
        if self.child.is_none() {
            return;
        }
        if self.tree.members().is_ok_and(|members| members.is_empty()) {
            self.phase = Phase::Over { survivors: 0 };
        } else if let Phase::Terminating { look_at, .. } = &mut self.phase {
            *look_at = now + LOOK;
        }
    }

    fn kill_round(&mut self, rounds: u32, now: Instant) {
        let left = self.tree.signal_all(Signal::KILL).unwrap_or(1);
        self.phase = if left == 0 && self.child.is_some() {
            Phase::Over { survivors: 0 }
        } else if rounds >= KILL_ROUNDS_MAX {
            Phase::Over { survivors: u32::try_from(left).unwrap_or(u32::MAX) }
        } else {
            Phase::Killing { rounds: rounds + 1, next_at: now + LOOK }
        };
    }
}

fn grace(ms: u64) -> Duration {
    Duration::from_millis(ms.min(GRACE_MS_MAX))
}
