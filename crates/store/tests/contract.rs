//! What every store promises the engine, asked of the one in memory and of the one on disk.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use common::{Scribe, fill, read_all};
use oarlock_core::crew::Crew;
use oarlock_core::ids::Timestamp;
use oarlock_engine::{MemoryStore, Stamped, Store, StoreError};
use oarlock_store::SqliteStore;

/// A kind of store, and how to open the same log again.
trait Kind {
    fn open(&self) -> Box<dyn Store>;

    /// Appends lines in a way that must fail halfway.
    fn append_and_fail(&self, lines: &[Stamped], crew: &Crew);
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<MemoryStore>>);

impl Store for Memory {
    fn load(&mut self) -> Result<(Crew, u64, Timestamp), StoreError> {
        self.0.lock().unwrap().load()
    }

    fn append(&mut self, lines: &[Stamped], crew: &Crew) -> Result<(), StoreError> {
        self.0.lock().unwrap().append(lines, crew)
    }

    fn read(&self, after: u64, limit: usize) -> Result<Vec<Stamped>, StoreError> {
        self.0.lock().unwrap().read(after, limit)
    }

    fn bounds(&self) -> Result<(u64, u64), StoreError> {
        self.0.lock().unwrap().bounds()
    }

    fn verify(&self) -> Result<Vec<String>, StoreError> {
        self.0.lock().unwrap().verify()
    }
}

impl Kind for Memory {
    fn open(&self) -> Box<dyn Store> {
        Box::new(self.clone())
    }

    fn append_and_fail(&self, lines: &[Stamped], crew: &Crew) {
        self.0.lock().unwrap().failing = 1;
        assert!(self.open().append(lines, crew).is_err());
    }
}

struct Disk {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Kind for Disk {
    fn open(&self) -> Box<dyn Store> {
        Box::new(SqliteStore::open(&self.path).unwrap())
    }

    fn append_and_fail(&self, lines: &[Stamped], crew: &Crew) {
        // The last line claims a position that is taken, so the ones before it are inserted when it fails.
        let mut lines = lines.to_vec();
        lines.last_mut().unwrap().seq = 1;
        assert!(self.open().append(&lines, crew).is_err());
    }
}

fn kinds() -> [Box<dyn Kind>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    [Box::new(Memory::default()), Box::new(Disk { _folder: folder, path })]
}

#[test]
fn an_empty_log_says_so() {
    for kind in kinds() {
        let mut store = kind.open();
        assert_eq!(store.load().unwrap(), (Crew::default(), 0, Timestamp(0)));
        assert_eq!(store.bounds().unwrap(), (1, 0), "nothing is kept, and 1 comes next");
        assert_eq!(store.read(0, 10).unwrap(), []);
        assert_eq!(store.verify().unwrap(), [""; 0]);
    }
}

#[test]
fn what_was_appended_is_there_after_opening_again() {
    for kind in kinds() {
        let mut scribe = Scribe::default();
        for number in 0..30 {
            let lines = scribe.batch(number);
            kind.open().append(&lines, &scribe.crew).unwrap();
            let (crew, seq, at) = kind.open().load().unwrap();
            assert_eq!(crew, scribe.crew, "the state stored is the fold of the log");
            let last = scribe.lines.last().unwrap();
            assert_eq!((seq, at), (last.seq, last.at));
        }
        assert_eq!(read_all(&*kind.open(), 7), scribe.lines);
        assert_eq!(kind.open().verify().unwrap(), [""; 0]);
    }
}

#[test]
fn an_append_that_fails_leaves_nothing() {
    for kind in kinds() {
        let mut scribe = Scribe::default();
        fill(&mut *kind.open(), &mut scribe, 0..5);
        let lines = scribe.batch(5);
        kind.append_and_fail(&lines, &scribe.crew);
        scribe.forget(lines.len());
        assert_eq!(kind.open().load().unwrap().0, scribe.crew, "no snapshot of a refused line is left");
        assert_eq!(read_all(&*kind.open(), 100), scribe.lines, "no line before the failing one is left");
        assert_eq!(kind.open().verify().unwrap(), [""; 0]);
        fill(&mut *kind.open(), &mut scribe, 5..8);
        assert_eq!(kind.open().load().unwrap().0, scribe.crew, "the next append works");
    }
}

#[test]
fn an_append_of_nothing_changes_nothing() {
    for kind in kinds() {
        let mut scribe = Scribe::default();
        fill(&mut *kind.open(), &mut scribe, 0..2);
        kind.open().append(&[], &scribe.crew).unwrap();
        assert_eq!(read_all(&*kind.open(), 100), scribe.lines);
    }
}

#[test]
fn every_cursor_reads_on_without_a_gap() {
    for kind in kinds() {
        let mut scribe = Scribe::default();
        let mut store = kind.open();
        fill(&mut *store, &mut scribe, 0..12);
        let count = scribe.lines.len();
        for after in 0..count + 3 {
            for limit in [0, 1, 2, 5, usize::MAX] {
                let wanted: Vec<_> = scribe.lines.iter().skip(after).take(limit).cloned().collect();
                let read = store.read(after as u64, limit).unwrap();
                assert_eq!(read, wanted, "after {after}, at most {limit}");
            }
        }
        assert_eq!(store.read(u64::MAX, 5).unwrap(), [], "nothing comes after the end of all numbers");
        assert_eq!(store.bounds().unwrap(), (1, count as u64));
    }
}
