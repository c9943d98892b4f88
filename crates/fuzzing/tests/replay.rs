//! Every input that is kept under `fuzz/corpus` is given to its target again: what was found once is not found twice.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use oarlock_fuzzing::{TARGETS, run};

/// Files and bytes that a corpus may have: a clone carries them for ever, and the tests run all of them.
const FILES_MAX: usize = 200;
const BYTES_MAX: u64 = 300 * 1024;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.expect("the folder can be read").file_name();
        name.into_string().expect("corpora have plain names")
    };
    entries.map(name).collect()
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz().join("corpus")), targets);
    let programs = names(&fuzz().join("fuzz_targets"));
    assert_eq!(programs, targets.iter().map(|name| format!("{name}.rs")).collect());
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in &targets {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is no program of fuzz/Cargo.toml");
        let program = std::fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("\"{name}\"")), "{name}.rs runs another target");
    }
}

#[test]
fn what_is_kept_is_small() {
    for (name, _) in TARGETS {
        let folder = fuzz().join("corpus").join(name);
        let files = names(&folder);
        let bytes: u64 = files.iter().map(|file| folder.join(file).metadata().unwrap().len()).sum();
        assert!((1..=FILES_MAX).contains(&files.len()), "{name} has {} files", files.len());
        assert!(bytes <= BYTES_MAX, "{name} has {bytes} bytes");
    }
}

#[test]
fn what_is_kept_holds() {
    for (name, _) in TARGETS {
        let folder = fuzz().join("corpus").join(name);
        for file in names(&folder) {
            let bytes = std::fs::read(folder.join(&file)).unwrap();
            let held = std::panic::catch_unwind(|| run(name, &bytes));
            assert!(held.is_ok(), "fuzz/corpus/{name}/{file}: see above");
        }
    }
}
