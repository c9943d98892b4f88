//! The file itself: its format, its damage, its readers, and a full disk.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Scribe, chain, fill, prompted, read_all};
use oarlock_core::crew::{Crew, Line};
use oarlock_core::ids::SessionId;
use oarlock_core::machine::Entry;
use oarlock_engine::{Store, StoreError};
use oarlock_store::{LINES_PER_MARK, SqliteStore};
use rusqlite::Connection;

struct Bench {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        Self { folder, path }
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path).unwrap()
    }

    /// Changes the file as a person with a SQLite shell would.
    fn by_hand(&self, sql: &str) {
        let changed = Connection::open(&self.path).unwrap().execute(sql, []).unwrap();
        assert!(changed > 0, "the statement hits something");
    }

    fn filled(batches: usize) -> (Self, Scribe) {
        let (bench, mut scribe) = (Self::new(), Scribe::default());
        fill(&mut bench.open(), &mut scribe, 0..batches);
        (bench, scribe)
    }
}

fn refused(path: &Path) -> StoreError {
    match (SqliteStore::open(path), SqliteStore::open_reader(path)) {
        (Err(writer), Err(reader)) => {
            assert_eq!(chain(&writer), chain(&reader), "reader and writer say the same");
            writer
        }
        _ => panic!("the file must be refused"),
    }
}

#[test]
fn verify_finds_what_was_altered_by_hand() {
    let alterations = [
        ("UPDATE scope SET body = replace(body, 'make', 'rake') WHERE id = 'sess0001'", "Session sess0001"),
        (
            "UPDATE scope SET body = replace(body, '/repos/shop', '/elsewhere') WHERE id = 'fleet'",
            "The fleet",
        ),
        ("UPDATE entry SET body = replace(body, 'make', 'rake') WHERE seq = 2", "Session sess0001"),
        ("UPDATE entry SET at = at + 1 WHERE seq = 2", "Session sess0001"),
        ("UPDATE entry SET scope = 'sess0002' WHERE seq = 2", "Session sess0001"),
        ("DELETE FROM scope WHERE id = 'sess0003'", "Session sess0003"),
        ("DELETE FROM entry WHERE scope = 'sess0003'", "are missing"),
        ("DELETE FROM entry WHERE seq = 3", "are missing"),
        ("INSERT INTO scope SELECT 'sess0009', seq, body FROM scope WHERE id = 'sess0001'", "sess0009"),
        ("INSERT INTO base SELECT id, seq, body FROM scope WHERE id = 'sess0001'", "Session sess0001"),
    ];
    for (sql, says) in alterations {
        let (bench, _) = Bench::filled(7);
        bench.open().mark().unwrap();
        assert_eq!(bench.open().verify().unwrap(), [""; 0]);
        bench.by_hand(sql);
        let found = SqliteStore::open_reader(&bench.path).unwrap().verify().unwrap();
        assert!(found.iter().any(|line| line.contains(says)), "{sql}: {found:?}");
    }
}

#[test]
fn what_cannot_be_understood_is_named() {
    let (bench, scribe) = Bench::filled(5);
    bench.open().mark().unwrap();
    bench.by_hand("UPDATE entry SET body = '{\"fact\": 7' WHERE seq = 4");
    let error = bench.open().read(0, 100).unwrap_err();
    assert_eq!(error.to_string(), "the log is damaged at line 4");
    assert_eq!(bench.open().read(0, 3).unwrap(), scribe.lines[..3], "what comes before it can be read");
    bench.by_hand("UPDATE scope SET body = 'null' WHERE id = 'sess0002'");
    let error = bench.open().load().unwrap_err();
    assert_eq!(error.to_string(), "the log is damaged at sess0002");
}

#[test]
fn positions_that_clients_have_seen_are_not_given_out_again() {
    let (bench, scribe) = Bench::filled(5);
    bench.open().mark().unwrap();
    let last = scribe.lines.len();
    bench.by_hand(&format!("DELETE FROM entry WHERE seq > {}", last - 2));
    let error = bench.open().load().unwrap_err();
    assert_eq!(error.to_string(), format!("the log is damaged at line {last}"));
}

#[test]
fn states_are_written_now_and_then_and_a_start_takes_in_the_rest() {
    let (bench, mut scribe) = (Bench::new(), Scribe::default());
    let behind = || {
        let db = Connection::open(&bench.path).unwrap();
        let sql = "SELECT (SELECT MAX(seq) FROM entry) - (SELECT seq FROM mark)";
        db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
    };
    let mut store = bench.open();
    for number in 0..800 {
        fill(&mut store, &mut scribe, number..number + 1);
        if number % 97 == 0 {
            assert!(behind() < LINES_PER_MARK + 3, "a start never takes in much more than that");
            assert_eq!(bench.open().load().unwrap().0, scribe.crew, "whoever starts now sees all of it");
        }
    }
    assert!(
        scribe.lines.len() as u64 > 2 * LINES_PER_MARK && behind() > 0,
        "some are marked and some are not"
    );
    assert_eq!(store.verify().unwrap(), [""; 0]);
}

#[test]
fn states_that_cannot_be_written_are_written_later_and_no_line_is_lost() {
    let (bench, mut scribe) = (Bench::new(), Scribe::default());
    let mut store = bench.open();
    fill(&mut store, &mut scribe, 0..1);
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON scope BEGIN SELECT RAISE(FAIL, 'full'); END";
    Connection::open(&bench.path).unwrap().execute_batch(trigger).unwrap();
    fill(&mut store, &mut scribe, 1..400);
    assert_eq!(bench.open().load().unwrap().0, scribe.crew, "every line that was taken is there");
    Connection::open(&bench.path).unwrap().execute_batch("DROP TRIGGER full").unwrap();
    fill(&mut store, &mut scribe, 400..401);
    let marked = Connection::open(&bench.path).unwrap();
    let marked: i64 = marked.query_row("SELECT seq FROM mark", [], |row| row.get(0)).unwrap();
    assert_eq!(marked.unsigned_abs(), scribe.lines.len() as u64, "the next line brings the states along");
    assert_eq!(store.verify().unwrap(), [""; 0]);
}

#[test]
fn a_file_of_the_first_format_is_read_and_brought_up() {
    let (bench, mut scribe) = Bench::filled(9);
    bench.open().mark().unwrap();
    let back = "DROP TABLE mark; CREATE INDEX entry_by_scope ON entry (scope, seq); PRAGMA user_version = 1;";
    Connection::open(&bench.path).unwrap().execute_batch(back).unwrap();
    let reader = SqliteStore::open_reader(&bench.path).unwrap();
    assert_eq!(reader.verify().unwrap(), [""; 0], "it is examined as it is");
    drop(reader);
    assert_eq!(bench.open().load().unwrap().0, scribe.crew);
    fill(&mut bench.open(), &mut scribe, 9..12);
    assert_eq!(bench.open().load().unwrap().0, scribe.crew);
    assert_eq!(bench.open().verify().unwrap(), [""; 0]);
}

#[test]
fn a_newer_file_is_refused_untouched() {
    let (bench, _) = Bench::filled(3);
    Connection::open(&bench.path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    let before = std::fs::read(&bench.path).unwrap();
    let says = refused(&bench.path).to_string();
    let path = bench.path.display();
    assert_eq!(says, format!("{path} was written by a newer oarlock (format 9, this one knows 2)"));
    assert_eq!(std::fs::read(&bench.path).unwrap(), before);
}

#[test]
fn a_file_of_somebody_else_is_refused_untouched() {
    let bench = Bench::new();
    let shopping = Connection::open(&bench.path).unwrap();
    shopping
        .execute_batch("CREATE TABLE shopping (item TEXT); INSERT INTO shopping VALUES ('oars')")
        .unwrap();
    drop(shopping);
    let marked = bench.folder.path().join("marked.db");
    Connection::open(&marked).unwrap().pragma_update(None, "application_id", 77).unwrap();
    let text = bench.folder.path().join("text.db");
    std::fs::write(&text, "Dear diary, ".repeat(1000)).unwrap();
    let short = bench.folder.path().join("short.db");
    std::fs::write(&short, "SQLite").unwrap();
    for path in [&bench.path, &marked, &text, &short] {
        let before = std::fs::read(path).unwrap();
        let says = refused(path).to_string();
        assert_eq!(says, format!("{} is not a log of oarlock", path.display()));
        assert_eq!(std::fs::read(path).unwrap(), before, "{} is as it was", path.display());
    }
}

#[test]
fn a_file_without_content_is_a_new_log() {
    let bench = Bench::new();
    std::fs::write(&bench.path, "").unwrap();
    drop(bench.open());
    fill(&mut bench.open(), &mut Scribe::default(), 0..3);
}

#[test]
fn a_new_file_may_be_made_by_several_at_once() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        let openers: Vec<_> = (0..4).map(|_| scope.spawn(|| SqliteStore::open(&bench.path))).collect();
        for opener in openers {
            opener.join().unwrap().unwrap();
        }
    });
    assert_eq!(bench.open().bounds().unwrap(), (1, 0));
}

/// Opens a damaged file and reads all of it. Returns whether anything seemed wrong.
fn seems_damaged(path: &Path, whole: &Scribe) -> bool {
    let Ok(mut store) = SqliteStore::open(path) else { return true };
    let loaded = store.load().map(|(crew, ..)| crew);
    let read = store.read(0, usize::MAX);
    let verified = store.verify();
    let pages = store.check_pages();
    !loaded.is_ok_and(|crew| crew == whole.crew)
        || !read.is_ok_and(|lines| lines == whole.lines)
        || !verified.is_ok_and(|found| found.is_empty())
        || !pages.is_ok_and(|found| found.is_empty())
}

#[test]
fn a_file_cut_short_is_an_error_and_never_a_panic() {
    let (bench, scribe) = Bench::filled(40);
    let whole = std::fs::read(&bench.path).unwrap();
    let cut = bench.folder.path().join("cut.db");
    let lengths = [1, 15, 16, 99, 100, 511, 512, 1000].into_iter().chain((4096..whole.len()).step_by(3000));
    for length in lengths {
        std::fs::write(&cut, &whole[..length]).unwrap();
        assert!(seems_damaged(&cut, &scribe), "{length} of {} bytes are not the log", whole.len());
        for end in ["-wal", "-shm"] {
            drop(std::fs::remove_file(format!("{}{end}", cut.display())));
        }
    }
}

#[test]
fn a_flipped_byte_is_at_worst_an_error() {
    let (bench, scribe) = Bench::filled(40);
    let whole = std::fs::read(&bench.path).unwrap();
    let path = bench.folder.path().join("flipped.db");
    // Every byte of the file's header, and a spread over the rest.
    let places = (0..100).chain((100..whole.len()).step_by(whole.len() / 150));
    let mut noticed = 0;
    for place in places {
        let mut bytes = whole.clone();
        bytes[place] ^= 0xff;
        std::fs::write(&path, &bytes).unwrap();
        noticed += usize::from(seems_damaged(&path, &scribe));
        for end in ["-wal", "-shm"] {
            drop(std::fs::remove_file(format!("{}{end}", path.display())));
        }
    }
    assert!(noticed > 50, "only {noticed} of the flips were noticed");
}

#[test]
fn pruning_keeps_the_state_and_moves_the_floor() {
    let (bench, mut scribe) = Bench::filled(30);
    let count = scribe.lines.len() as u64;
    for first in [2, 17, 17, 40, 3] {
        let mut store = bench.open();
        let floor = store.bounds().unwrap().0.max(first);
        store.prune(first).unwrap();
        assert_eq!(store.bounds().unwrap(), (floor, count));
        assert_eq!(store.verify().unwrap(), [""; 0], "pruned to {first}, the log still says what is stored");
        assert_eq!(store.load().unwrap().0, scribe.crew);
        assert_eq!(read_all(&store, 10), scribe.lines[floor as usize - 1..]);
    }
    fill(&mut bench.open(), &mut scribe, 30..33);
    assert_eq!(bench.open().verify().unwrap(), [""; 0]);
}

#[test]
fn pruning_everything_keeps_the_last_line() {
    let (bench, scribe) = Bench::filled(5);
    let count = scribe.lines.len() as u64;
    bench.open().prune(u64::MAX).unwrap();
    assert_eq!(bench.open().bounds().unwrap(), (count, count));
    assert_eq!(bench.open().load().unwrap().1, count, "positions go on from where they were");
    let empty = Bench::new();
    empty.open().prune(10).unwrap();
    assert_eq!(empty.open().bounds().unwrap(), (1, 0));
}

#[test]
fn a_reader_sees_whole_transactions_only() {
    let (bench, mut scribe) = Bench::filled(1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut store = bench.open();
            fill(&mut store, &mut scribe, 1..120);
            done.store(true, Ordering::Release);
        });
        let mut seen = 0;
        loop {
            let last = done.load(Ordering::Acquire);
            let reader = SqliteStore::open_reader(&bench.path).unwrap();
            let lines = reader.read(0, usize::MAX).unwrap().len();
            assert_eq!(lines % 3, 1, "after the first line, every transaction has three");
            assert!(lines >= seen, "what was seen stays");
            seen = lines;
            assert_eq!(reader.verify().unwrap(), [""; 0], "a verdict is of one moment");
            if last {
                break;
            }
        }
        assert_eq!(seen, 1 + 119 * 3);
    });
}

#[test]
fn a_reader_cannot_write() {
    let (bench, mut scribe) = Bench::filled(3);
    let lines = scribe.batch(3);
    let mut reader = SqliteStore::open_reader(&bench.path).unwrap();
    assert!(reader.append(&lines, &scribe.crew).is_err());
    assert_eq!(bench.open().bounds().unwrap().1, lines[0].seq - 1);
}

/// Fills the disk by a limit on file sizes, which only a process of its own can have.
#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let bench = Bench::new();
    let program = std::env::current_exe().unwrap();
    // An ignored SIGXFSZ stays ignored in the helper, which then gets an error instead (setrlimit(2), RLIMIT_FSIZE).
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(program)
        .args(["--ignored", "--exact", "--nocapture", "helper_on_a_full_disk"])
        .env("OARLOCK_TEST_LOG", &bench.path)
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("disk was full"), "the helper got there: {said}");
    assert_eq!(bench.open().verify().unwrap(), [""; 0]);
}

#[test]
#[ignore = "a helper of a_full_disk_loses_nothing_that_was_acknowledged"]
fn helper_on_a_full_disk() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let path = PathBuf::from(std::env::var_os("OARLOCK_TEST_LOG").unwrap());
    let mut store = SqliteStore::open(&path).unwrap();
    let mut scribe = Scribe::default();
    fill(&mut store, &mut scribe, 0..3);
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, rustix::process::Rlimit { current: Some(600_000), ..before }).unwrap();
    let long = "x".repeat(50_000);
    let mut refused = None;
    for number in 0..100 {
        let id = format!("long{number:04}");
        let line = Line::Session(SessionId::from(id.as_str()), Entry::Fact(prompted(&id, &long)));
        let lines = vec![scribe.say(line)];
        if let Err(error) = store.append(&lines, &scribe.crew) {
            refused = Some((lines, error));
            break;
        }
    }
    let (lines, error) = refused.expect("the limit is reached within a hundred long lines");
    println!("disk was full: {}", chain(&error));
    let with_it: Crew = scribe.crew.clone();
    scribe.forget(1);
    assert!(scribe.lines.len() > 8, "some were taken before");
    assert_eq!(store.load().unwrap().0, scribe.crew, "the writer sees nothing of the refused line");
    assert_eq!(read_all(&SqliteStore::open_reader(&path).unwrap(), 5), scribe.lines, "nor does a reader");
    assert!(store.append(&lines, &with_it).is_err(), "it is still full");
    setrlimit(Resource::Fsize, before).unwrap();
    store.append(&lines, &with_it).unwrap();
    assert_eq!(store.verify().unwrap(), [""; 0]);
    drop(store);
    assert_eq!(SqliteStore::open(&path).unwrap().load().unwrap().0, with_it, "there is room: it works again");
}

#[test]
fn a_fact_from_before_issues_were_known_reads_as_one_without() {
    let fact = common::requested("a");
    let mut text = serde_json::to_value(&fact).unwrap();
    let brief = text["requested"]["brief"].as_object_mut().unwrap();
    assert!(brief.remove("issue").is_some(), "a fact of today says it");
    assert_eq!(serde_json::from_value::<oarlock_core::session::fact::Fact>(text).unwrap(), fact);
}
