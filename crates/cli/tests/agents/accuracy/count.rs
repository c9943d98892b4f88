//! Counts samples: what was said at each moment, beside what was true. It knows nothing of agents and of where either comes
//! from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Between two samples, in milliseconds.
pub const GRID_MS: u64 = 100;
/// Within how many milliseconds a change has to be seen.
pub const SEEN_WITHIN_MS: u64 = 500;

/// What an agent really does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Asked for, and its program is not there yet.
    Starting,
    /// Told something, and not done with it.
    Working,
    /// Between turns.
    Idle,
    /// It waits for leave to run a tool.
    Blocked,
    /// Its provider told it to wait.
    RateLimited,
    /// It gave a turn up because of an error.
    Failing,
    /// Ended by a person.
    Stopped,
    /// Dead, and nobody wanted it.
    Failed,
}

impl State {
    /// Returns the word that oarlock has for it.
    pub fn word(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Working => "working",
            State::Idle => "idle",
            State::Blocked => "blocked",
            State::RateLimited => "rate_limited",
            State::Failing => "needs_input",
            State::Stopped => "stopped",
            State::Failed => "failed",
        }
    }
}

/// A change of what is true. It came at some moment from `from` to `until`, which are one where the witness knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub from: u64,
    pub until: u64,
    pub state: State,
}

/// What was said from a moment on.
pub type Said = (u64, String);

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Samples whose truth is known, by what was true and what was said.
    pub cells: BTreeMap<String, BTreeMap<String, u64>>,
    /// Samples less than [`SEEN_WITHIN_MS`] after a change that was seen within that time.
    pub settling: u64,
    /// Samples within a change whose moment the witness cannot tell, and either word was said.
    pub open: u64,
    /// Each change: into what, and after how many milliseconds it was said; none when it never was.
    pub delays: Vec<(String, Option<u64>)>,
}

impl Count {
    /// Returns how many samples were right, and how many were not.
    pub fn right_wrong(&self) -> (u64, u64) {
        let (mut right, mut wrong) = (0, 0);
        for (truth, row) in &self.cells {
            for (said, count) in row {
                *(if truth == said { &mut right } else { &mut wrong }) += count;
            }
        }
        (right, wrong)
    }

    /// Adds another count to this one.
    pub fn add(&mut self, other: &Count) {
        for (truth, row) in &other.cells {
            for (said, count) in row {
                *self.cells.entry(truth.clone()).or_default().entry(said.clone()).or_default() += count;
            }
        }
        self.settling += other.settling;
        self.open += other.open;
        self.delays.extend(other.delays.iter().cloned());
    }
}

/// Returns what was said at a moment.
fn said_at(said: &[Said], at: u64) -> Option<&str> {
    said.iter().take_while(|(since, _)| *since <= at).last().map(|(_, word)| word.as_str())
}

/// Returns when a change was said first, before the next one.
fn seen(said: &[Said], change: &Change, next: u64) -> Option<u64> {
    let word = change.state.word();
    if said_at(said, change.from) == Some(word) {
        return Some(change.from);
    }
    let after = said.iter().filter(|(at, _)| *at > change.from && *at < next);
    after.into_iter().find(|(_, said)| said == word).map(|(at, _)| *at)
}

/// Counts what was said from a moment to another. Changes are in order.
pub fn count(said: &[Said], changes: &[Change], from: u64, to: u64) -> Count {
    let mut count = Count::default();
    let next = |index: usize| changes.get(index + 1).map_or(to, |change: &Change| change.from);
    let seen: Vec<Option<u64>> =
        changes.iter().enumerate().map(|(index, change)| seen(said, change, next(index))).collect();
    for (change, seen) in changes.iter().zip(&seen) {
        let delay = seen.map(|seen| seen.saturating_sub(change.until));
        count.delays.push((change.state.word().to_owned(), delay));
    }
    let mut at = from;
    while at < to {
        sample(said, changes, &seen, at, &mut count);
        at += GRID_MS;
    }
    count
}

fn sample(said: &[Said], changes: &[Change], seen: &[Option<u64>], at: u64, count: &mut Count) {
    let Some(index) = changes.iter().rposition(|change| change.from <= at) else { return };
    let Some(word) = said_at(said, at) else { return };
    let change = &changes[index];
    let is_right = word == change.state.word();
    let was_right = index > 0 && word == changes[index - 1].state.word();
    if at < change.until && (is_right || was_right) {
        count.open += 1;
        return;
    }
    let settles = seen[index].is_some_and(|seen| at < seen && seen <= change.until + SEEN_WITHIN_MS);
    if !is_right && settles {
        count.settling += 1;
        return;
    }
    *count.cells.entry(change.state.word().into()).or_default().entry(word.into()).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(at: u64, state: State) -> Change {
        Change { from: at, until: at, state }
    }

    fn said(words: &[(u64, &str)]) -> Vec<Said> {
        words.iter().map(|(at, word)| (*at, (*word).to_owned())).collect()
    }

    #[test]
    fn a_change_seen_in_time_settles_and_one_seen_late_is_wrong() {
        let changes = [exact(0, State::Working), exact(1000, State::Idle)];
        let count_of = |idle_at| count(&said(&[(0, "working"), (idle_at, "idle")]), &changes, 0, 3000);
        let good = count_of(1400);
        assert_eq!((good.right_wrong(), good.settling), ((26, 0), 4));
        assert_eq!(good.delays, [("working".to_owned(), Some(0)), ("idle".to_owned(), Some(400))]);
        let late = count_of(1600);
        assert_eq!((late.right_wrong(), late.settling), ((24, 6), 0), "none of it is forgiven");
        assert_eq!(late.cells["idle"]["working"], 6);
        assert_eq!(late.delays[1].1, Some(600));
    }

    #[test]
    fn a_change_that_is_never_seen_has_no_delay() {
        let changes =
            [exact(0, State::Working), exact(1000, State::RateLimited), exact(2000, State::Working)];
        let never = count(&said(&[(0, "working")]), &changes, 0, 3000);
        assert_eq!(never.right_wrong(), (20, 10));
        assert_eq!(never.delays[1], ("rate_limited".to_owned(), None));
    }

    #[test]
    fn while_the_moment_is_not_known_either_word_is_and_no_third() {
        let changes = [exact(0, State::Idle), Change { from: 1000, until: 2000, state: State::Working }];
        let good = count(&said(&[(0, "idle"), (1500, "working")]), &changes, 0, 3000);
        assert_eq!((good.right_wrong(), good.open), ((20, 0), 10));
        let bad = count(&said(&[(0, "idle"), (1500, "blocked"), (1700, "working")]), &changes, 0, 3000);
        assert_eq!((bad.right_wrong(), bad.open, bad.settling), ((20, 0), 8, 2));
        let worse = count(&said(&[(0, "idle"), (1500, "blocked")]), &changes, 0, 3000);
        assert_eq!(worse.right_wrong(), (10, 15));
    }

    #[test]
    fn a_word_that_comes_before_its_time_is_wrong() {
        let changes = [exact(0, State::Working), exact(1000, State::Idle)];
        let early = count(&said(&[(0, "working"), (700, "idle")]), &changes, 0, 2000);
        assert_eq!(early.cells["working"]["idle"], 3);
        assert_eq!(early.delays[1].1, Some(0));
    }
}
