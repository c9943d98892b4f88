//! Keeps what is planted for runs out of `git status` while they last, by a marked block in `info/exclude`.
//!
//! The file is shared by all checkouts of a repository, so each pattern is counted: it goes with the last run that needs it,
//! and the file is then as it was. Must not know what is planted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use super::exclude::{self, pattern};
use crate::git::lock::Lock;
use crate::plant::RECORD;

const BEGIN: &str = "# >>> oarlock: planted for runs under way, do not edit this block";

/// Who hides what in one repository.
#[derive(Default, Serialize, Deserialize)]
struct Hidden {
    /// The folders of runs, and the patterns each needs.
    runs: BTreeMap<PathBuf, Vec<String>>,
}

/// Hides `paths` (relative to the top of a checkout) for the run whose folder is `run`, until [`reveal`]. Safe to repeat.
pub(crate) fn hide(common_dir: &Path, run: &Path, paths: &[&Path]) -> Result<(), Error> {
    let patterns = paths.iter().filter_map(|path| String::from_utf8(pattern(path)?).ok()).collect();
    change(common_dir, |hidden| drop(hidden.runs.insert(run.to_owned(), patterns)))
}

/// Lets go of what a run hid.
pub(crate) fn reveal(common_dir: &Path, run: &Path) -> Result<(), Error> {
    if !common_dir.exists() {
        return Ok(());
    }
    change(common_dir, |hidden| drop(hidden.runs.remove(run)))
}

fn change(common_dir: &Path, change: impl FnOnce(&mut Hidden)) -> Result<(), Error> {
    let _one = Lock::repository(common_dir)?;
    let path = common_dir.join("oarlock").join("hidden.json");
    let mut hidden: Hidden = match std::fs::read(&path) {
        // What cannot be read is forgotten: the worst that comes of it is a file that shows.
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Hidden::default(),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    // A run whose folder was taken away holds nothing.
    hidden.runs.retain(|run, _| run.join(RECORD).exists());
    change(&mut hidden);
    let mut patterns: Vec<Vec<u8>> = hidden.runs.values().flatten().map(|one| one.clone().into()).collect();
    patterns.sort();
    patterns.dedup();
    let write = || -> std::io::Result<()> {
        if hidden.runs.is_empty() {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let part = path.with_extension("part");
        std::fs::write(&part, serde_json::to_vec(&hidden)?)?;
        std::fs::rename(&part, &path)
    };
    write().map_err(Error::io("write", &path))?;
    exclude::edit(common_dir, |before| with_block(before, &patterns))
}

/// Returns the file with exactly these patterns in the block, or `None` when it is so already. The block begins with the
/// line end that a last line without one lacks, so that the file is as it was when the block goes.
fn with_block(before: &[u8], patterns: &[Vec<u8>]) -> Option<Vec<u8>> {
    let (head, tail) = match cut(before) {
        Some((head, tail)) => (&before[..head], &before[tail..]),
        None => (before, &[][..]),
    };
    let mut after = head.to_vec();
    if !patterns.is_empty() {
        if !head.is_empty() && !head.ends_with(b"\n") {
            after.push(b'\n');
        }
        after.extend_from_slice(BEGIN.as_bytes());
        if !head.is_empty() && !head.ends_with(b"\n") {
            after.extend_from_slice(JOINED.as_bytes());
        }
        for line in patterns.iter().map(Vec::as_slice).chain([exclude::END.as_bytes()]) {
            after.push(b'\n');
            after.extend_from_slice(line);
        }
        after.push(b'\n');
    }
    after.extend_from_slice(tail);
    (after != before).then_some(after)
}

/// Ends the block's first line when the line before it had no end.
const JOINED: &str = " (the line above had no end)";

/// Returns where the block begins and ends, in bytes, with the line end it brought unless another line needs that.
fn cut(bytes: &[u8]) -> Option<(usize, usize)> {
    let find = |from: usize, what: &str| {
        bytes[from..].windows(what.len()).position(|window| window == what.as_bytes()).map(|at| from + at)
    };
    let begin = find(0, BEGIN).filter(|at| *at == 0 || bytes[at - 1] == b'\n')?;
    let end = find(begin, exclude::END)? + exclude::END.len();
    let end = if bytes.get(end) == Some(&b'\n') { end + 1 } else { end };
    let joined = bytes[begin + BEGIN.len()..].starts_with(JOINED.as_bytes()) && end == bytes.len();
    Some((begin - usize::from(joined), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_as_it_was_when_the_last_run_lets_go() {
        for before in ["", "*.swp\n", "*.swp\nno end", "\n\n"] {
            let one = with_block(before.as_bytes(), &[b"/.cursor/hooks.json".to_vec()]).unwrap();
            let two = with_block(&one, &[b"/.a".to_vec(), b"/.b".to_vec()]).unwrap();
            assert!(String::from_utf8(two.clone()).unwrap().contains("\n/.a\n/.b\n"));
            assert_eq!(with_block(&two, &[b"/.a".to_vec(), b"/.b".to_vec()]), None);
            assert_eq!(String::from_utf8(with_block(&two, &[]).unwrap()).unwrap(), before);
            let mut below = two.clone();
            below.extend_from_slice(b"below\n");
            let left = String::from_utf8(with_block(&below, &[]).unwrap()).unwrap();
            let end = if before.ends_with("end") { "\n" } else { "" };
            assert_eq!(left, format!("{before}{end}below\n"), "what was written below stays a line");
        }
    }
}
