//! What hosts, daemons and workspaces leave on disk, and others read after a crash: a record that is understood is written again
//! as it was, and one cut short costs no other.

use std::cell::OnceCell;
use std::path::Path;

use oarlock_daemon::Note;
use oarlock_term::fuzzing::{note_typed, spec};
use oarlock_term::{ExitRecord, Identity, Probe, RUN_MARK, RunDir, Spec, probe};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

thread_local! {
    static RUN: OnceCell<TempDir> = const { OnceCell::new() };
}

/// The first byte says which record the rest is.
pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 7 {
        0 => drop(same::<Identity>(bytes)),
        1 => exit(bytes),
        2 => {
            if let Some(record) = same::<Spec>(bytes) {
                runs(&record);
            }
        }
        3 => accepted(bytes),
        4 => workspace(bytes),
        5 => drop(same::<Note>(bytes)),
        _ => gitfile(bytes),
    }
}

fn same<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let record: T = serde_json::from_slice(bytes).ok()?;
    let again = serde_json::to_vec(&record).expect("a record is JSON");
    assert_eq!(serde_json::from_slice::<T>(&again).expect("our own JSON"), record);
    Some(record)
}

fn in_a_folder<T>(act: impl FnOnce(&Path) -> T) -> T {
    RUN.with(|run| act(run.get_or_init(|| tempfile::tempdir().expect("there is room for a folder")).path()))
}

/// A run is over when its record of the end can be read, and only then.
fn exit(bytes: &[u8]) {
    let record = same::<ExitRecord>(bytes);
    in_a_folder(|folder| {
        std::fs::write(RunDir::new(folder).exit(), bytes).expect("there is room for a file");
        match (probe(folder), record) {
            (Ok(Probe::Ended(seen)), Some(record)) => assert_eq!(seen, record),
            (Err(_), None) => {}
            (found, record) => panic!("{found:?} of {record:?}"),
        }
    });
}

/// What can be run has a program, and no part that a kernel would cut.
fn runs(record: &Spec) {
    let (fault, env) = spec(record);
    let marks: Vec<_> = env.iter().filter(|(name, _)| name == RUN_MARK).collect();
    assert!(matches!(marks.as_slice(), [(_, run)] if *run == record.run), "one mark: {marks:?}");
    if fault.is_none() {
        assert!(record.argv.first().is_some_and(|program| !program.is_empty()) && record.cwd.is_absolute());
        let parts = record.argv.iter().chain(env.iter().flat_map(|(name, value)| [name, value]));
        assert!(parts.clone().all(|part| !part.contains('\0')));
    }
}

/// Whatever was left of the record of messages, one that is added is known from then on.
fn accepted(bytes: &[u8]) {
    in_a_folder(|folder| {
        std::fs::write(RunDir::new(folder).input(), bytes).expect("there is room for a file");
        let id = "the next one";
        note_typed(folder, id).expect("what is left of a record keeps no host from coming up");
        assert!(note_typed(folder, id).expect("it can be read"), "it must not be typed again");
    });
}

fn workspace(bytes: &[u8]) {
    let record = oarlock_world::fuzzing::record;
    if let Some(written) = record(bytes) {
        assert_eq!(record(&written).as_deref(), Some(written.as_slice()));
    }
}

fn gitfile(bytes: &[u8]) {
    in_a_folder(|folder| {
        std::fs::write(folder.join(".git"), bytes).expect("there is room for a file");
        let found = oarlock_world::fuzzing::git_dir(folder);
        assert!(found.is_none() || bytes.starts_with(b"gitdir: "), "{found:?}");
    });
}
