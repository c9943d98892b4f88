//! What a leg left: its baton, held against git, and its commits. Where no baton can be passed on, one is derived, without a
//! model.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use oarlock_core::baton::{self, BYTES_MAX, Fault, Known, Statements};
use oarlock_core::ids::Oid as CoreOid;
use oarlock_core::playbook::relay::{Close, Closed};
use oarlock_core::session::fact::Trouble;
use rustix::fs::OFlags;

use crate::git::{Git, Oid, read};
use crate::run::digest;
use crate::trouble;

use super::baton_file;

/// Bytes of a plan's file that are read to see whether it was edited: more than a plan may have.
const PLAN_READ_MAX: u64 = 8 << 20;

/// Looks at what a leg left.
pub(crate) fn close(close: &Close, run: &Path) -> Result<Closed, Trouble> {
    let workspace = Path::new(&close.workspace);
    let git = Git::at(workspace);
    let failed = |error| trouble::error("git_failed", "What the leg left could not be read", &error);
    let head = read::commit(&git, "HEAD").map_err(failed)?;
    let commits = digest::commits(workspace, close.head_before.as_str());
    let dirty: Vec<String> =
        digest::uncommitted(workspace).iter().filter_map(|line| line.get(3..)).map(str::to_owned).collect();
    let (text, mut faults) = match baton_of(run) {
        Err(fault) => (None, vec![fault]),
        Ok(bytes) => match baton::read(&bytes, close.phases) {
            Err(fault) => (None, vec![fault]),
            Ok((text, _, _)) if text == close.given => (None, vec![Fault::Stale]),
            Ok((text, statements, mut faults)) => {
                faults.extend(held_against(&git, workspace, &statements, head.as_ref()));
                (Some(text), faults)
            }
        },
    };
    faults.truncate(8);
    let is_derived = text.is_none();
    let passed = text.unwrap_or_else(|| {
        baton::derive(&Known {
            phase: close.phase.clone(),
            commits: commits.iter().rev().cloned().collect(),
            dirty: dirty.clone(),
            ended: close.ended.clone(),
            last_words: close.last_words.clone(),
        })
    });
    Ok(Closed {
        head: head.map_or_else(|| close.head_before.clone(), |head| CoreOid::from(head.to_string().as_str())),
        commits: u32::try_from(commits.len()).unwrap_or(u32::MAX),
        dirty: u32::try_from(dirty.len()).unwrap_or(u32::MAX),
        baton: passed,
        is_derived,
        faults,
        plan_edited: is_edited(close),
    })
}

/// Reads the baton, and never more than tells that it is too long. The file is the agent's: a pipe or a link in its place
/// is none.
fn baton_of(run: &Path) -> Result<Vec<u8>, Fault> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(baton_file(run));
    let file = file.map_err(|_| Fault::Missing)?;
    let meta = file.metadata().map_err(|_| Fault::Missing)?;
    if !meta.is_file() {
        return Err(Fault::Missing);
    }
    if meta.len() > 64 * BYTES_MAX as u64 {
        return Err(Fault::TooLong(meta.len()));
    }
    let mut bytes = Vec::new();
    file.take(64 * BYTES_MAX as u64).read_to_end(&mut bytes).map_err(|_| Fault::Missing)?;
    Ok(bytes)
}

/// Returns what of a baton's statements is not so.
fn held_against(git: &Git, workspace: &Path, statements: &Statements, head: Option<&Oid>) -> Vec<Fault> {
    let is_there = |oid: &str| {
        let commit = read::commit(git, oid).ok().flatten()?;
        read::is_ancestor(git, &commit, head?).ok().filter(|is_ancestor| *is_ancestor)
    };
    let commits = statements.commits.iter().take(10).filter(|oid| is_there(oid).is_none());
    let commits = commits.map(|oid| Fault::NoSuchCommit(oid.clone()));
    let files = statements.files.iter().filter(|path| fs::symlink_metadata(workspace.join(path)).is_err());
    commits.chain(files.map(|path| Fault::NoSuchFile(path.clone()))).collect()
}

/// Tells whether the file the plan came from says something else by now. One that is gone says nothing.
fn is_edited(close: &Close) -> bool {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(&close.source)?.take(PLAN_READ_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    !close.source.is_empty() && read().is_ok_and(|bytes| super::digest(&bytes) != close.plan)
}
