//! A log of facts that is damaged, newer or somebody else's: it is named, left as it is, and nothing begins anew.

use std::fs;
use std::path::PathBuf;

use crate::harness::{Crew, text};

/// Offsets in the header of a SQLite file (The SQLite Database File Format, 1.3).
const USER_VERSION: usize = 60;
const APPLICATION_ID: usize = 68;

/// A crew with a session, whose daemon has stopped in good order.
fn at_rest() -> (Crew, PathBuf, Vec<u8>) {
    let mut crew = Crew::new();
    crew.expect_error("the daemon did not start");
    crew.exec("list", "echo bread >list.txt");
    crew.wait_status("list", "done");
    crew.ok(&["stop"]);
    let database = crew.place().database();
    let whole = fs::read(&database).unwrap();
    (crew, database, whole)
}

/// Lets a verb meet the file as it is, and returns what is said. The file must be left alone.
fn is_refused(crew: &Crew, database: &PathBuf, what: &str) -> String {
    let before = fs::read(database).unwrap();
    let talk = crew.refused(&["ls"], 5);
    assert!(talk.starts_with("error: The daemon could not be started: "), "{what}: {talk}");
    assert!(talk.contains("hint: ") && talk.contains("oarlock doctor"), "{what}: {talk}");
    let doctor = crew.run(&["doctor"]);
    assert_eq!(doctor.status.code(), Some(1), "{what}: the doctor finds it: {}", text(&doctor.stdout));
    let found = text(&doctor.stdout);
    let line = found.lines().position(|line| line.starts_with("fail") && line.contains("log"));
    let hint = found.lines().nth(line.unwrap_or_else(|| panic!("{what}: {found}")) + 1).unwrap();
    assert!(!hint.trim().is_empty(), "{what}: and says what to do: {found}");
    assert_eq!(fs::read(database).unwrap(), before, "{what}: the file is left as it is");
    talk
}

#[test]
fn a_log_that_is_newer_or_not_ours_is_refused_and_left_alone() {
    let (crew, database, whole) = at_rest();
    let patched = |at: usize, bytes: [u8; 4]| {
        let mut file = whole.clone();
        file[at..at + 4].copy_from_slice(&bytes);
        file
    };
    for (what, file, words) in [
        ("from a newer oarlock", patched(USER_VERSION, [0, 0, 0, 99]), "newer"),
        ("another program's", patched(APPLICATION_ID, *b"abcd"), "not"),
        ("a text", b"Dear diary, today nothing happened. ".repeat(200), "not"),
    ] {
        fs::write(&database, file).unwrap();
        let talk = is_refused(&crew, &database, what);
        assert!(talk.contains(words), "{what}: {talk}");
    }
    fs::write(&database, &whole).unwrap();
    assert_eq!(crew.session("list")["status"], "done", "the file that was put back is as good as before");
}

#[test]
fn a_log_cut_short_is_refused_and_left_alone() {
    let (crew, database, whole) = at_rest();
    for part in [2, 3, 4] {
        fs::write(&database, &whole[..whole.len() * (part - 1) / part]).unwrap();
        is_refused(&crew, &database, &format!("{} of {part} parts", part - 1));
    }
    fs::write(&database, &whole).unwrap();
    assert_eq!(crew.session("list")["status"], "done");
}

#[test]
fn a_flipped_byte_never_makes_a_session_vanish_in_silence() {
    let (crew, database, whole) = at_rest();
    let mut refused = 0;
    // Everywhere once: the header, inside pages, their ends.
    for step in 0..24 {
        let at = step * whole.len() / 24 + step * 7;
        let mut file = whole.clone();
        file[at] ^= 0x55;
        fs::write(&database, &file).unwrap();
        let listed = crew.run(&["ls", "--all"]);
        if listed.status.success() {
            assert!(text(&listed.stdout).contains("list"), "byte {at}: the session is there");
            // Opened and closed again it may differ, and must not be worse.
            crew.ok(&["stop"]);
        } else {
            refused += 1;
            assert_eq!(listed.status.code(), Some(5), "byte {at}: {}", text(&listed.stderr));
            assert!(text(&listed.stderr).contains("hint: "), "byte {at}: {}", text(&listed.stderr));
            assert_eq!(fs::read(&database).unwrap(), file, "byte {at}: the file is left as it is");
        }
        ["-wal", "-shm"].iter().for_each(|end| {
            drop(fs::remove_file(format!("{}{end}", database.display())));
        });
    }
    assert!(refused > 0, "some bytes matter");
    fs::write(&database, &whole).unwrap();
    assert_eq!(crew.session("list")["status"], "done");
}

#[test]
fn a_write_ahead_log_cut_short_costs_its_tail_and_nothing_before_it() {
    let (crew, database, _) = at_rest();
    crew.exec("late", "echo tea >tea.txt");
    crew.wait_status("late", "done");
    crew.kill_daemon();
    let ahead = PathBuf::from(format!("{}-wal", database.display()));
    let whole = fs::read(&ahead).unwrap();
    for length in [whole.len() - 1, whole.len() / 2, 40, 0] {
        fs::write(&ahead, &whole[..length]).unwrap();
        assert_eq!(crew.session("list")["status"], "done", "what was in the file is there, at {length}");
        assert!(crew.ok(&["doctor", "--verify"]).contains("folds to the stored state"));
        crew.kill_daemon();
    }
    let branch = crew.git(&["branch", "--list", "oarlock/late-*"]);
    assert!(!branch.is_empty(), "the work of a session that was forgotten is in the repository");
}
