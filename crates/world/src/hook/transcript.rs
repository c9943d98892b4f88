//! An agent's transcript file, followed from hook to hook by a cursor in the run's folder: each line is read once.
//!
//! The path comes from the agent, so it is taken only when it names what a transcript is: a file of this user's, in a folder
//! where agents keep theirs. It must not know what the lines say.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};

/// Most that is read in one call, in bytes; the rest is read by the next hook. A line longer than this is stepped over.
const PASS_BYTES_MAX: u64 = 1 << 20;
/// Longest cursor file, in bytes: a path and a number.
const CURSOR_BYTES_MAX: u64 = 16 * 1024;
/// How long another hook of the run may hold the cursor. It holds it for milliseconds; one that is stopped holds nobody up.
const CURSOR_WITHIN: Duration = Duration::from_millis(200);
/// Between two tries to take the cursor.
const TRY_EVERY: Duration = Duration::from_millis(2);

/// How far a transcript was read.
#[derive(Default, Serialize, Deserialize)]
struct Cursor {
    path: PathBuf,
    offset: u64,
}

/// Gives each complete line that was not read before, without its end.
///
/// # Errors
/// When the path may not be followed, or the file or the cursor cannot be read or written.
pub(super) fn follow(run: &Path, path: &Path, mut line: impl FnMut(&[u8])) -> io::Result<()> {
    let refused = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why.to_owned());
    if !is_where_agents_write(path, run) {
        return Err(refused("it is in no folder where agents keep theirs"));
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let mut transcript = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        // It is written with the first answer. Where it will be is remembered for who looks again.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(kept) = open_cursor(run)? else { return Ok(()) };
            return write_cursor(&kept, &Cursor { path: path.to_owned(), offset: 0 });
        }
        Err(error) => return Err(error),
    };
    let meta = transcript.metadata()?;
    if !meta.is_file() || meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused("it is no file of this user's"));
    }
    let Some(kept) = open_cursor(run)? else { return Ok(()) };
    let mut cursor = read_cursor(&kept)
        .filter(|cursor| cursor.path == path)
        .unwrap_or_else(|| Cursor { path: path.to_owned(), offset: first_offset(run, &meta) });
    if meta.len() < cursor.offset {
        cursor.offset = 0;
    }
    let next = pass(&mut transcript, cursor.offset, &mut line)?;
    write_cursor(&kept, &Cursor { offset: next, ..cursor })
}

/// Gives each complete line that came since the last hook of the run: an agent whose turn fails may call none.
///
/// # Errors
/// As [`follow`].
pub(super) fn follow_on(run: &Path, line: impl FnMut(&[u8])) -> io::Result<()> {
    let known = open_cursor(run)?.and_then(|kept| read_cursor(&kept));
    match known {
        Some(Cursor { path, .. }) => follow(run, &path, line),
        None => Ok(()),
    }
}

fn write_cursor(kept: &File, cursor: &Cursor) -> io::Result<()> {
    let text = serde_json::to_vec(cursor)?;
    kept.set_len(0)?;
    kept.write_all_at(&text, 0)
}

/// Tells whether agents keep their files there: in the home, the run's own folder, or one that a variable names, as
/// `CODEX_HOME` and `CLAUDE_CONFIG_DIR` do.
fn is_where_agents_write(path: &Path, run: &Path) -> bool {
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    if !path.is_absolute() || !path.components().all(plain) {
        return false;
    }
    let real = path.parent().and_then(|folder| folder.canonicalize().ok());
    let named = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str()?;
        let names_folder = name == "HOME" || name.ends_with("_HOME") || name.ends_with("_DIR");
        names_folder.then(|| PathBuf::from(value))
    });
    let has_it = |folder: &PathBuf| {
        // Everything is below the root.
        let is_own = folder.is_absolute() && folder.components().count() > 1;
        let is_below = path.starts_with(folder)
            || real
                .as_ref()
                .is_some_and(|real| folder.canonicalize().is_ok_and(|folder| real.starts_with(folder)));
        is_own && is_below
    };
    named.chain([run.to_owned()]).any(|folder| has_it(&folder))
}

/// Opens and locks the cursor. It is beside the inbox and not in its folder, since that is watched. `None` when another hook
/// of this run holds it: that one reads.
fn open_cursor(run: &Path) -> io::Result<Option<File>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.create(true).read(true).write(true).truncate(false).mode(0o600).custom_flags(flags);
    let file = options.open(run.join("transcript.cursor"))?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the cursor is no file"));
    }
    let deadline = Instant::now() + CURSOR_WITHIN;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(TRY_EVERY),
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

fn read_cursor(file: &File) -> Option<Cursor> {
    let mut text = Vec::new();
    file.take(CURSOR_BYTES_MAX).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Returns where a transcript is read from that this run was not seen to write before: from its beginning when it is
/// younger than the run, else from its end, since what is in it was read in an earlier run.
fn first_offset(run: &Path, transcript: &Metadata) -> u64 {
    let began = std::fs::metadata(run.join("spec.json")).and_then(|spec| spec.modified());
    let born = transcript.created().or_else(|_| transcript.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    if began.is_ok_and(|began| born < began) { transcript.len() } else { 0 }
}

/// Reads complete lines from an offset on and returns the offset just past the last.
fn pass(file: &mut (impl Read + Seek), offset: u64, line: &mut impl FnMut(&[u8])) -> io::Result<u64> {
    // The byte before tells whether the last pass ended inside a line that was too long for it.
    let before = offset.min(1);
    file.seek(SeekFrom::Start(offset - before))?;
    let mut bytes = Vec::new();
    file.take(PASS_BYTES_MAX + before).read_to_end(&mut bytes)?;
    let (last, bytes) = bytes.split_at(bytes.len().min(before as usize));
    let mut is_rest = last.first().is_some_and(|byte| *byte != b'\n');
    let mut next = offset;
    for whole in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(words) = whole.strip_suffix(b"\n") else {
            let is_too_long = whole.len() as u64 == PASS_BYTES_MAX;
            return Ok(if is_too_long { next + PASS_BYTES_MAX } else { next });
        };
        next += whole.len() as u64;
        if !std::mem::take(&mut is_rest) {
            line(words);
        }
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor as Bytes;

    fn lines(bytes: &[u8], offset: u64) -> (Vec<String>, u64) {
        let mut lines = Vec::new();
        let mut line = |line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
        let next = pass(&mut Bytes::new(bytes), offset, &mut line).unwrap();
        (lines, next)
    }

    #[test]
    fn each_complete_line_is_read_once() {
        assert_eq!(lines(b"one\ntwo\nthr", 0), (vec!["one".into(), "two".into()], 8));
        assert_eq!(lines(b"one\ntwo\nthree\n", 8), (vec!["three".into()], 14));
        assert_eq!(lines(b"one\n", 4), (vec![], 4));
    }

    #[test]
    fn a_line_too_long_for_a_pass_is_stepped_over_and_the_next_is_read() {
        let long = vec![b'x'; PASS_BYTES_MAX as usize + 10];
        let text = [&long[..], b"\nnext\n"].concat();
        let (none, next) = lines(&text, 0);
        assert_eq!((none.len(), next), (0, PASS_BYTES_MAX), "half of a line is nothing");
        assert_eq!(lines(&text, next), (vec!["next".into()], text.len() as u64));
    }
}
