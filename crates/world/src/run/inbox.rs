//! The inbox of a run: a file that the agent's hooks append reports to, one JSON object a line.
//!
//! A file and a byte cursor need no daemon: what is reported while it is away is read when it is back, each line once.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use oarlock_agents::Report;
use oarlock_core::ids::RunId;
use oarlock_core::session::fact::{Fact, Observation, Source};
use rustix::fs::OFlags;

/// Most bytes read at once; the rest is read in the next pass.
const PASS_BYTES_MAX: u64 = 1 << 20;
/// Longest line: one above it is skipped whole, so that a runaway hook costs nothing but itself.
pub const REPORT_BYTES_MAX: usize = 256 * 1024;

/// Returns the folder of the inbox. It is one of its own, so that watching it does not mean watching the output.
#[must_use]
pub fn folder(run: &Path) -> PathBuf {
    run.join("inbox")
}

/// Returns the file of reports.
#[must_use]
pub fn file(run: &Path) -> PathBuf {
    folder(run).join("reports.jsonl")
}

/// Appends a report, whole or not at all.
///
/// The path comes from the environment, which anybody may have set: nothing is written into what is no inbox.
///
/// # Errors
/// When the path is not an inbox's, the file cannot be written, or the report is longer than [`REPORT_BYTES_MAX`].
pub fn report(inbox: &Path, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    if line.len() > REPORT_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the report is too long"));
    }
    let is_inbox =
        inbox.is_absolute() && inbox.parent().and_then(Path::parent).is_some_and(|run| file(run) == inbox);
    if !is_inbox {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "OARLOCK_INBOX names no inbox of a run"));
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let mut file =
        OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(flags).open(inbox)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the inbox is no file"));
    }
    // One write in append mode: lines of several writers do not mix.
    file.write_all(&line)
}

/// What a pass over an inbox found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Pass {
    /// Observations, each with the offset just past its line.
    pub seen: Vec<(Source, Observation, u64)>,
    /// Offset just past the last complete line.
    pub cursor: u64,
    /// Whether more than one pass could take is left.
    pub more: bool,
}

/// Reads complete lines from an offset on. A missing file is an empty one.
pub(crate) fn read(run: &Path, cursor: u64) -> io::Result<Pass> {
    // The file is the agent's: a pipe in its place must not make everybody wait, nor a link show something else.
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(file(run)) {
        Ok(file) if file.metadata()?.is_file() => file,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Pass { cursor, ..Pass::default() });
        }
        Err(error) => return Err(error),
    };
    pass_over(&mut file, cursor, LIMITS)
}

/// What one pass takes, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most bytes read.
    pub pass: u64,
    /// Longest line, its end included.
    pub report: usize,
}

const LIMITS: Limits = Limits { pass: PASS_BYTES_MAX, report: REPORT_BYTES_MAX };

/// Reads complete lines from an offset on, within limits.
pub(crate) fn pass_over(file: &mut (impl Read + Seek), cursor: u64, limits: Limits) -> io::Result<Pass> {
    let mut pass = Pass { cursor, ..Pass::default() };
    // The byte before the cursor tells whether the last pass ended inside a line that was too long for it.
    let before = cursor.min(1);
    file.seek(SeekFrom::Start(cursor - before))?;
    let mut bytes = Vec::new();
    file.take(limits.pass + before).read_to_end(&mut bytes)?;
    let (last, bytes) = bytes.split_at(bytes.len().min(before as usize));
    let mut is_rest = last.first().is_some_and(|byte| *byte != b'\n');
    let full = bytes.len() as u64 == limits.pass;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.last() != Some(&b'\n') {
            // A line longer than a whole pass can never be read: it is stepped over piece by piece.
            if full && line.len() as u64 == limits.pass {
                pass.cursor += limits.pass;
            }
            break;
        }
        pass.cursor += line.len() as u64;
        let is_skipped = std::mem::take(&mut is_rest) || line.len() > limits.report;
        if !is_skipped && let Ok(report) = serde_json::from_slice::<Report>(line) {
            let (source, seen) = oarlock_agents::read(&report);
            pass.seen.extend(seen.into_iter().map(|observation| (source, observation, pass.cursor)));
        }
    }
    pass.more = full;
    Ok(pass)
}

/// Turns a pass into facts of a run.
pub(crate) fn facts(run: RunId, pass: Pass) -> Vec<Fact> {
    let fact = |(source, observation, cursor)| Fact::Observed { run, source, observation, cursor };
    pass.seen.into_iter().map(fact).collect()
}

/// Tells whether a dialog went up that the log does not know of yet: the last look before typing into a turn.
pub(crate) fn dialog_is_up(run: &Path, cursor: u64) -> bool {
    let Ok(pass) = read(run, cursor) else { return true };
    let last = pass.seen.iter().rev().find_map(|(_, observation, _)| match observation {
        Observation::PermissionAsked { .. }
        | Observation::QuestionAsked { .. }
        | Observation::Gone { .. } => Some(true),
        Observation::PermissionResolved | Observation::TurnStarted | Observation::TurnEnded(_) => Some(false),
        _ => None,
    });
    pass.more || last.unwrap_or(false)
}

/// Tells whether a turn began, or a dialog went up, that the log does not know of yet: the last look before typing.
pub(crate) fn turn_is_under_way(run: &Path, cursor: u64) -> bool {
    let Ok(pass) = read(run, cursor) else { return true };
    // What is behind the first pass may be a dialog.
    if pass.more {
        return true;
    }
    pass.seen
        .iter()
        .rev()
        .find_map(|(_, observation, _)| match observation {
            Observation::PermissionAsked { .. }
            | Observation::PermissionResolved
            | Observation::TurnStarted
            | Observation::RateLimited { .. }
            | Observation::Answers => Some(true),
            Observation::TurnEnded(_) | Observation::QuestionAsked { .. } => Some(false),
            Observation::Gone { .. } => Some(true),
            Observation::Started { .. }
            | Observation::ToolStarted { .. }
            | Observation::ToolEnded { .. }
            | Observation::Shows(_)
            | Observation::Used(_)
            | Observation::Claimed { .. }
            | Observation::MessageTaken { .. } => None,
        })
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run_folder() -> tempfile::TempDir {
        let run = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder(run.path())).unwrap();
        run
    }

    fn tell(run: &Path, event: &str) {
        report(&file(run), &Report { event: event.into(), payload: json!({"what": "rm"}) }).unwrap();
    }

    #[test]
    fn each_line_is_read_once_and_half_a_line_waits() {
        let run = run_folder();
        tell(run.path(), "turn_started");
        let half = br#"{"event":"turn_en"#;
        OpenOptions::new().append(true).open(file(run.path())).unwrap().write_all(half).unwrap();
        let first = read(run.path(), 0).unwrap();
        assert_eq!(first.seen.len(), 1, "half a line is not read");
        let again = read(run.path(), first.cursor).unwrap();
        assert!(again.seen.is_empty(), "what was read is not read again");
        OpenOptions::new().append(true).open(file(run.path())).unwrap().write_all(b"ded\"}\n").unwrap();
        let rest = read(run.path(), first.cursor).unwrap();
        assert_eq!(rest.seen.len(), 1, "the other half completes it");
    }

    #[test]
    fn what_is_no_report_is_stepped_over() {
        let run = run_folder();
        std::fs::write(file(run.path()), b"\xff\xfe not json\n{}\n[1,2]\n").unwrap();
        tell(run.path(), "turn_started");
        assert_eq!(read(run.path(), 0).unwrap().seen.len(), 1);
    }

    #[test]
    fn a_line_without_an_end_does_not_block_the_inbox() {
        let run = run_folder();
        std::fs::write(file(run.path()), vec![b'x'; PASS_BYTES_MAX as usize + 10]).unwrap();
        let pass = read(run.path(), 0).unwrap();
        assert_eq!((pass.cursor, pass.more), (PASS_BYTES_MAX, true));
    }

    #[test]
    fn the_end_of_a_line_that_is_too_long_is_no_report() {
        let run = run_folder();
        let report = b"{\"event\":\"permission_resolved\"}\n";
        // What is left of the line after whole passes would make a report of its own.
        std::fs::write(file(run.path()), [vec![b'x'; PASS_BYTES_MAX as usize], report.to_vec()].concat())
            .unwrap();
        tell(run.path(), "turn_started");
        let first = read(run.path(), 0).unwrap();
        assert_eq!((first.cursor, first.seen.len()), (PASS_BYTES_MAX, 0));
        let second = read(run.path(), first.cursor).unwrap();
        assert_eq!(second.seen.len(), 1, "{second:?}");
        assert_eq!(second.seen[0].1, Observation::TurnStarted);
    }

    #[test]
    fn a_line_longer_than_a_report_is_skipped_whole() {
        let run = run_folder();
        let what = "y".repeat(REPORT_BYTES_MAX);
        let line = json!({"event": "permission_asked", "payload": {"what": what}}).to_string() + "\n";
        std::fs::write(file(run.path()), &line).unwrap();
        tell(run.path(), "turn_started");
        let pass = read(run.path(), 0).unwrap();
        assert_eq!(pass.seen.len(), 1);
        assert!(pass.cursor > line.len() as u64, "the cursor is past both lines");
    }

    #[test]
    fn a_dialog_not_yet_in_the_log_is_seen_before_typing() {
        let run = run_folder();
        assert!(!turn_is_under_way(run.path(), 0));
        tell(run.path(), "permission_asked");
        assert!(turn_is_under_way(run.path(), 0));
        tell(run.path(), "permission_resolved");
        assert!(turn_is_under_way(run.path(), 0), "the turn goes on after the answer");
        tell(run.path(), "turn_ended");
        assert!(!turn_is_under_way(run.path(), 0));
    }

    #[test]
    fn what_cannot_be_read_to_its_end_may_hide_a_dialog() {
        let run = run_folder();
        let noise = b"{\"event\":\"turn_started\"}\n".repeat(PASS_BYTES_MAX as usize / 25);
        std::fs::write(file(run.path()), noise).unwrap();
        tell(run.path(), "permission_asked");
        assert!(turn_is_under_way(run.path(), 0));
    }

    #[test]
    fn what_an_agent_puts_in_the_place_of_its_inbox_holds_nobody_up() {
        let run = run_folder();
        let path = file(run.path());
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(read(run.path(), 0).is_err(), "a pipe is not waited for");
        assert!(turn_is_under_way(run.path(), 0), "and nothing is typed on its word");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(read(run.path(), 0).is_err(), "a link is not followed");
    }
}
