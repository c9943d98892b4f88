//! Which messages were accepted for typing: on disk before a byte of them is typed, so that a repeated id is known.
//! It must not know what the messages say.

use crate::dir::{RunDir, open_private};
use crate::protocol::MessageState;
use crate::sweep::now_ms;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};

/// The most messages of one run: far more than a run is ever sent, and it bounds the memory of their ids (about 1 MiB).
const MESSAGES_MAX: usize = 16_384;

/// One line of `input.jsonl`.
#[derive(Serialize, Deserialize)]
struct Line {
    id: String,
    /// Milliseconds since the Unix epoch.
    at_ms: u64,
    /// The length of the text in bytes; the text itself is not kept.
    bytes: usize,
    state: MessageState,
}

/// The accepted messages.
pub(super) struct Inbox {
    file: File,
    states: HashMap<String, MessageState>,
}

impl Inbox {
    /// Opens the inbox with what was accepted before. A line cut short by a crash was never acted on.
    pub fn open(run: &RunDir) -> io::Result<Self> {
        let file = open_private(&run.input())?;
        let mut states = HashMap::new();
        let mut reader = BufReader::new(&file);
        // Bytes, not text: a line may be cut in the middle of a character.
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            if !line.ends_with(b"\n") {
                // What comes next must not become a part of it.
                (&file).write_all(b"\n")?;
            } else if let Ok(line) = serde_json::from_slice::<Line>(&line) {
                match line.state {
                    MessageState::Unknown => states.remove(&line.id),
                    MessageState::Unsubmitted => states.insert(line.id, MessageState::Unsubmitted),
                    // Whatever was queued in a host before this one has been typed or never will be.
                    MessageState::Queued | MessageState::Typed => states.insert(line.id, MessageState::Typed),
                };
            }
            line.clear();
        }
        Ok(Self { file, states })
    }

    pub fn state(&self, id: &str) -> MessageState {
        self.states.get(id).copied().unwrap_or(MessageState::Unknown)
    }

    pub fn is_full(&self) -> bool {
        self.states.len() >= MESSAGES_MAX
    }

    /// Records a message. When this returns well, it is on disk.
    pub fn accept(&mut self, id: &str, bytes: usize) -> io::Result<()> {
        self.append(id, bytes, MessageState::Queued)?;
        rustix::fs::fdatasync(&self.file)?;
        self.states.insert(id.to_owned(), MessageState::Queued);
        Ok(())
    }

    /// Takes note of what became of a message. Only for people who look at the file later, so it need not be on disk.
    pub fn ended(&mut self, id: &str, bytes: usize, state: MessageState) {
        let _ = self.append(id, bytes, state);
        self.states.insert(id.to_owned(), state);
    }

    /// Takes back a message of which nothing was typed, so that its id may be tried again.
    pub fn withdraw(&mut self, id: &str, bytes: usize) {
        // Should this not reach the file, a later host only takes it for typed: nothing is typed twice.
        let _ = self.append(id, bytes, MessageState::Unknown);
        self.states.remove(id);
    }

    fn append(&self, id: &str, bytes: usize, state: MessageState) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Line { id: id.to_owned(), at_ms: now_ms(), bytes, state })?;
        line.push(b'\n');
        // One write: with O_APPEND a line is whole or cut at the end, never mixed.
        (&self.file).write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cut_short_by_a_crash_costs_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        Inbox::open(&run).unwrap().accept("zürich", 3).unwrap();
        let whole = std::fs::read(run.input()).unwrap();
        for cut in 1..whole.len() {
            std::fs::write(run.input(), &whole[..cut]).unwrap();
            let mut inbox = Inbox::open(&run).unwrap();
            assert_eq!(inbox.state("zürich"), MessageState::Unknown, "cut at {cut}: it was never acted on");
            inbox.accept("next", 1).unwrap();
            let again = Inbox::open(&run).unwrap();
            assert_eq!(again.state("next"), MessageState::Typed, "cut at {cut}: it must not be typed twice");
        }
    }

    #[test]
    fn what_was_taken_back_is_unknown_to_a_later_host_and_what_was_not_submitted_stays_so() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path());
        let mut inbox = Inbox::open(&run).unwrap();
        for id in ["back", "half", "again"] {
            inbox.accept(id, 1).unwrap();
        }
        inbox.withdraw("back", 1);
        inbox.ended("half", 1, MessageState::Unsubmitted);
        inbox.withdraw("again", 1);
        inbox.accept("again", 1).unwrap();
        let states = |inbox: &Inbox| ["back", "half", "again"].map(|id| inbox.state(id));
        let [back, half] = [MessageState::Unknown, MessageState::Unsubmitted];
        assert_eq!(states(&inbox), [back, half, MessageState::Queued]);
        assert_eq!(states(&Inbox::open(&run).unwrap()), [back, half, MessageState::Typed]);
    }
}
