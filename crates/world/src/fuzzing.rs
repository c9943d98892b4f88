//! Names for parsers of this crate that only fuzzers call, behind the feature `fuzzing`. Each is the real one, and its private
//! types come out as plain values. It must not hold any rule of its own, nor start git.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use oarlock_core::ids::RunId;
use oarlock_core::session::fact::{Fact, Observation, Source};

use crate::bridge::fuzzing as bridge;
use crate::git::Oid;
use crate::landing::{Conflict, commit, merge};
use crate::plant::fuzzing as planting;
use crate::run::inbox::{self, Limits, Pass};
use crate::scripted::keys::Keys;
use crate::workspace::diff::{self, FileChange};
use crate::workspace::state;
use crate::{trash, trouble, workspace::record};

/// What a pass over an inbox found: observations with the offset just past each, the next cursor, and whether more is left.
#[derive(Debug, PartialEq)]
pub struct Seen {
    /// The observations.
    pub seen: Vec<(Source, Observation, u64)>,
    /// Offset just past the last complete line.
    pub cursor: u64,
    /// Whether more than one pass could take is left.
    pub more: bool,
    /// The facts they become.
    pub facts: Vec<Fact>,
}

/// Reads complete lines of an inbox from an offset on, with limits in bytes on a pass and on a line.
///
/// # Panics
/// Never: bytes in memory can always be read.
pub fn inbox(bytes: &[u8], cursor: u64, (pass, report): (u64, usize)) -> Seen {
    let found = inbox::pass_over(&mut Cursor::new(bytes), cursor, Limits { pass, report });
    let Pass { seen, cursor, more } = found.expect("bytes in memory can be read");
    let facts = inbox::facts(RunId(0), Pass { seen: seen.clone(), cursor, more });
    Seen { seen, cursor, more, facts }
}

/// Returns the texts that these pieces of typing make.
pub fn keys<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut keys = Keys::default();
    pieces.into_iter().flat_map(|piece| keys.feed(piece)).collect()
}

/// Returns what these pieces of typing mean to a bridge, and the draft that is left: a command as the host wrote it, anything else as
/// it is shown to people who mend programs.
pub fn typed<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Result<oarlock_agents::bridge::Command, String>>, String) {
    bridge::typed(pieces)
}

/// Reads what gh answers about an issue; else says why that is none.
///
/// # Errors
/// The sentence that a person sees.
pub fn github_issue(answer: &[u8]) -> Result<crate::issue::Issue, String> {
    crate::issue::github::answered(answer, "#1").map_err(|trouble| trouble.message)
}

/// Returns an error and everything that caused it, as a trouble shows it.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    trouble::chain(error)
}

/// One line of `git status`: its path, its two letters, and whether it is in conflict.
#[derive(Debug, PartialEq)]
pub struct Line {
    /// The path.
    pub path: PathBuf,
    /// HEAD against index, and index against file.
    pub letters: [u8; 2],
    /// Whether it is in conflict.
    pub unmerged: bool,
}

/// Reads `git status --porcelain=v2 --branch -z`.
#[must_use]
pub fn status(stdout: &[u8], stderr: &[u8]) -> (Option<Oid>, Option<String>, Vec<Line>) {
    let status = state::parse(stdout.split(|byte| *byte == 0), stderr);
    let line = |entry: state::Entry| Line {
        path: entry.path,
        letters: [entry.index, entry.worktree],
        unmerged: entry.kind == state::EntryKind::Unmerged,
    };
    (status.head, status.branch, status.entries.into_iter().map(line).collect())
}

/// Reads `git diff --numstat -z`.
#[must_use]
pub fn numstat(stdout: &[u8]) -> Vec<FileChange> {
    diff::numstat(stdout.split(|byte| *byte == 0))
}

/// Reads `git merge-tree --write-tree -z --messages`.
#[must_use]
pub fn merge_tree(stdout: &[u8], is_clean: bool) -> Option<(Oid, Vec<Conflict>)> {
    merge::parse(stdout, is_clean).map(|merged| (merged.tree, merged.conflicts))
}

/// What stays of a commit: author name, address and date; encoding; message.
pub type Kept<'a> = ([Vec<u8>; 3], Option<&'a [u8]>, &'a [u8]);

/// Reads a commit object.
#[must_use]
pub fn commit(object: &[u8]) -> Option<Kept<'_>> {
    commit::original_parts(object).map(|original| (original.author, original.encoding, original.message))
}

/// Reads the listing of the trash.
#[must_use]
pub fn trash(stdout: &[u8]) -> Vec<trash::Entry> {
    trash::parse_entries(stdout)
}

/// Writes the body of a trash entry's commit with these values.
#[must_use]
pub fn trash_body(values: &[(&str, &[u8])]) -> String {
    values.iter().map(|(name, value)| trash::trailer(name, value)).collect()
}

/// Reads a workspace record, and writes it again.
#[must_use]
pub fn record(bytes: &[u8]) -> Option<Vec<u8>> {
    let record: record::Record = serde_json::from_slice(bytes).ok()?;
    Some(serde_json::to_vec_pretty(&record).expect("a record has string keys only, so it always is JSON"))
}

/// Returns the file name of a workspace record.
#[must_use]
pub fn record_key(id: &str) -> String {
    record::key(id)
}

/// Returns the git directory of a checkout by reading its `.git`.
#[must_use]
pub fn git_dir(checkout: &Path) -> Option<PathBuf> {
    crate::git::read::git_dir(checkout)
}

/// Puts values into a JSON document and takes them out again. Returns the document with them, and the one after. `None` when it
/// is left alone.
#[must_use]
pub fn document(text: &str, edits: &[oarlock_agents::launch::Edit]) -> Option<(String, String)> {
    planting::document(text, edits)
}
