//! Runs the checks of a gate: `oarlock checks JOB`, the child of a run's host, so that a daemon that dies meanwhile finds what
//! came of them. Each check is held to the checkout; the result is written by this process, which none of them can reach.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use oarlock_core::ids::RunId;
use oarlock_core::playbook::gate::{Check, CheckResult, Checked};
use oarlock_core::session::fact::Trouble;
use oarlock_core::text;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::bench::NO_HOOKS;
use super::{bench, counts};
use crate::git::Git;
use crate::trouble;

/// Bytes that a check may print: a gigabyte of output is a check gone wild.
const OUTPUT_MAX: u64 = 256 << 20;
/// Bytes of its end that are kept with the result, and told to the builder.
const TAIL_BYTES: u64 = 3_000;
/// Bytes of its end that test counts are looked for in.
const COUNTED_BYTES: u64 = 4 << 20;
/// How long a check that was asked to stop may take, before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether a check is over: a fraction of the shortest there is.
const LOOK: Duration = Duration::from_millis(3);
/// Bytes of a result that are read: 32 checks with their tails are a hundredth of it.
const RESULT_MAX: u64 = 8 << 20;

/// What is to be run, as a file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Job {
    /// The checkout.
    pub tree: PathBuf,
    /// What stands before each command line, so that it is held to its places; empty where nothing is held.
    pub prefix: Vec<String>,
    /// The checks, each with its scripts that the work changes.
    pub checks: Vec<(Check, Vec<String>)>,
    /// The commit from which such scripts are taken as they were.
    pub before: String,
    /// Where outputs and the result go.
    pub folder: PathBuf,
    /// Which run this is.
    pub run: RunId,
}

fn result_file(folder: &Path) -> PathBuf {
    folder.join("checked.json")
}

/// `oarlock checks JOB`.
#[must_use]
pub fn main(job: &Path) -> ExitCode {
    let read = fs::read(job).map_err(|error| error.to_string());
    let job: Job =
        match read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string())) {
            Ok(job) => job,
            Err(error) => {
                eprintln!("oarlock: the checks cannot be read: {error}");
                return ExitCode::from(2);
            }
        };
    let mut checked = Checked { run: job.run, ..Checked::default() };
    for (number, (check, edited)) in job.checks.iter().enumerate() {
        say(&format!("$ {}", check.command));
        match run(&job, number, check, edited) {
            Ok(result) => {
                let how = if result.red.is_empty() { "green" } else { result.red.as_str() };
                say(&format!("= {how}{}", if result.is_flaky { ", flaky" } else { "" }));
                checked.results.push(result);
            }
            Err(error) => {
                checked.trouble = Some(trouble::new("io", format!("A check could not be run: {error}.")));
                break;
            }
        }
    }
    match write(&job.folder, &checked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oarlock: what the checks said could not be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    drop(writeln!(out, "{}", text::clean(line)).and_then(|()| out.flush()));
}

fn write(folder: &Path, checked: &Checked) -> io::Result<()> {
    let half = folder.join("checked.json.tmp");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&half)?;
    file.write_all(&serde_json::to_vec(checked)?)?;
    file.sync_all()?;
    fs::rename(half, result_file(folder))
}

/// Runs one check: again when it fails, and as it was before the work when that changes its script.
fn run(job: &Job, number: usize, check: &Check, edited: &[String]) -> io::Result<CheckResult> {
    let mut once = attempt(job, number, check)?;
    let mut runs = 1;
    let mut is_flaky = false;
    // What fails once and passes twice is flaky, and passed. Time that was up is not asked for again.
    if once.is_worth_another() {
        let again = attempt(job, number, check)?;
        runs += 1;
        if again.red(check).is_empty() {
            let third = attempt(job, number, check)?;
            runs += 1;
            is_flaky = third.red(check).is_empty();
            once = third;
        }
    }
    let mut red = once.red(check);
    if red.is_empty() && !edited.is_empty() {
        let before = as_it_was(job, number, check, edited)?;
        runs += 1;
        let was = before.red(check);
        if !was.is_empty() {
            red = format!(
                "the work changes {}, and as it was before, the check is red: {was}",
                edited.join(", ")
            );
            once = before;
        }
    }
    Ok(CheckResult {
        command: check.command.clone(),
        exit: once.status.and_then(|status| status.code()),
        ms: once.ms,
        counts: counts::read(&once.counted),
        output_digest: once.digest,
        output_bytes: once.bytes,
        tail: once.tail,
        runs,
        is_flaky,
        red,
    })
}

/// One run of a check.
struct Attempt {
    /// How it ended; `None` when it was ended.
    status: Option<ExitStatus>,
    ms: u64,
    is_late: bool,
    is_loud: bool,
    bytes: u64,
    digest: String,
    tail: String,
    counted: String,
}

impl Attempt {
    fn is_worth_another(&self) -> bool {
        self.status.is_some_and(|status| !status.success())
    }

    /// Returns why it does not count as passed; nothing when it does.
    fn red(&self, check: &Check) -> String {
        if self.is_late {
            return format!("it took longer than {} s", check.ms_max / 1_000);
        }
        if self.is_loud {
            return format!("it printed more than {} MiB", OUTPUT_MAX >> 20);
        }
        match self.status {
            Some(status) if status.success() => {}
            Some(status) => {
                return match (status.code(), status.signal()) {
                    (Some(code), _) => format!("exit code {code}"),
                    (None, signal) => format!("signal {} ended it", signal.unwrap_or_default()),
                };
            }
            None => return "it was ended".into(),
        }
        match counts::read(&self.counted) {
            Some(counts) if counts.failed > 0 => {
                format!("{} tests failed, although it says that it passed", counts.failed)
            }
            Some(counts) if counts.passed == 0 => "it ran no test".into(),
            _ => String::new(),
        }
    }
}

fn attempt(job: &Job, number: usize, check: &Check) -> io::Result<Attempt> {
    let output = job.folder.join(format!("check-{}.log", number + 1));
    let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&output)?;
    let mut words = job.prefix.iter().map(String::as_str).chain(["sh", "-c", check.command.as_str()]);
    let mut command = Command::new(words.next().unwrap_or("sh"));
    command.args(words).current_dir(&job.tree).stdin(Stdio::null());
    command.stdout(file.try_clone()?).stderr(file).process_group(0);
    let begun = Instant::now();
    let mut child = command.spawn()?;
    let time_max = Duration::from_millis(check.ms_max);
    let (mut status, mut is_late, mut is_loud) = (None, false, false);
    loop {
        if let Some(ended) = child.try_wait()? {
            status = Some(ended);
            break;
        }
        is_late = begun.elapsed() >= time_max;
        is_loud = fs::metadata(&output)?.len() > OUTPUT_MAX;
        if is_late || is_loud {
            break;
        }
        std::thread::sleep(if begun.elapsed() < Duration::from_secs(1) { LOOK } else { LOOK * 20 });
    }
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    end(&mut child, is_late || is_loud);
    let (bytes, digest) = digest(&output)?;
    Ok(Attempt {
        status: status.filter(|_| !is_late && !is_loud),
        ms,
        is_late,
        is_loud,
        bytes,
        digest,
        tail: text::clean(&strip_ansi_escapes::strip_str(tail(&output, TAIL_BYTES)?)),
        counted: tail(&output, COUNTED_BYTES)?,
    })
}

/// Ends what a check left running: all of its group.
fn end(child: &mut Child, asks_first: bool) {
    let group = Pid::from_child(child);
    if asks_first {
        let _ = kill_process_group(group, Signal::TERM);
        let until = Instant::now() + GRACE;
        while Instant::now() < until && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(LOOK);
        }
    }
    // Nobody is left of it, most likely.
    let _ = kill_process_group(group, Signal::KILL);
    drop(child.wait());
}

/// Runs a check with its scripts as they were before the work.
fn as_it_was(job: &Job, number: usize, check: &Check, edited: &[String]) -> io::Result<Attempt> {
    let git = Git::at(&job.tree);
    let restore = |commit: &str| {
        let call =
            git.writes("put a script back").config(NO_HOOKS).args(["checkout", "--quiet", commit, "--"]);
        call.args(edited).run().map_err(io::Error::other)
    };
    restore(&job.before)?;
    let attempt = attempt(job, number, check);
    restore("HEAD")?;
    attempt
}

fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0_u8; 1 << 16]);
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok((bytes, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()));
        }
        bytes += count as u64;
        hash.update(&chunk[..count]);
    }
}

fn tail(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes_max)))?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads what the checks of a run said, and clears their checkout away.
pub(crate) fn read(run: RunId, folder: &Path, bench: &Path) -> Checked {
    let result = File::open(result_file(folder)).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(RESULT_MAX).read_to_end(&mut bytes)?;
        Ok(serde_json::from_slice::<Checked>(&bytes)?)
    });
    drop(bench::remove(bench));
    match result {
        Ok(checked) if checked.run == run => checked,
        _ => Checked {
            run,
            trouble: Some(Trouble {
                hint: "See what they printed with \"oarlock logs\".".into(),
                ..trouble::new("no_result", "The checks ended without a result.".into())
            }),
            ..Checked::default()
        },
    }
}
