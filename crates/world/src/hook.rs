//! The hidden verb `hook AGENT EVENT`: what an agent calls when something happened. It turns the payload into
//! observations and leaves them in the run's inbox, whoever reads that and when.
//!
//! It must never disturb the agent: it ends well whatever happens, says nothing but what the agent's protocol wants said,
//! takes milliseconds, and writes nowhere but into its own run's folder. It knows no session and no daemon.

mod payload;
mod transcript;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use oarlock_agents::{Agent, Hooked};
use oarlock_core::session::fact::{Observation, Source};
use oarlock_core::text;
use rustix::fs::OFlags;

use crate::relay::said;
use crate::run::inbox;

/// Most that is kept of what went wrong with a run's hooks, in bytes: a hook that always fails fills no disk.
const ERRORS_BYTES_MAX: u64 = 64 * 1024;
/// Longest line about what went wrong, in characters.
const ERROR_CHARS_MAX: usize = 400;

/// Runs a hook: `args` are the agent's name, the event, and, from agents that give it so, the payload. Ends well always:
/// an agent whose hook fails stops, or tells its user.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    // A hook outside a run is a hook file that somebody copied: it costs nothing and says nothing.
    if let Some(run) = Run::around() {
        panic::set_hook(Box::new(|_| {}));
        run.guard("the hook", || run.hear(args));
    }
    ExitCode::SUCCESS
}

/// The run that this hook was called in.
struct Run {
    folder: PathBuf,
    inbox: PathBuf,
}

impl Run {
    /// Finds the run by the environment: its inbox, and its name, which the inbox's path must bear. `None` outside a run.
    fn around() -> Option<Self> {
        let inbox = PathBuf::from(std::env::var_os("OARLOCK_INBOX")?);
        let name = std::env::var("OARLOCK_RUN").ok()?;
        let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
        if !inbox.is_absolute() || !inbox.components().all(plain) {
            return None;
        }
        let folder = inbox.parent()?.parent()?.to_owned();
        let is_its =
            name.matches('/').count() == 1 && folder.ends_with(&name) && inbox::file(&folder) == inbox;
        let found = std::fs::symlink_metadata(inbox::folder(&folder)).ok()?;
        let is_ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
        (is_its && is_ours).then_some(Self { folder, inbox })
    }

    fn hear(&self, args: &[OsString]) {
        let text = |index: usize| args.get(index).map(|arg| arg.to_string_lossy().into_owned());
        let (Some(name), Some(event)) = (text(0), text(1)) else {
            return self.note("a hook was called without an agent and an event");
        };
        let Some(agent) = oarlock_agents::find(&name) else {
            return self.note(&format!("there is no agent {name}"));
        };
        let payload = match args.get(2) {
            Some(argument) => argument.as_encoded_bytes().to_vec(),
            None => payload::read().unwrap_or_else(|error| {
                self.note(&format!("the payload of {event} was not read: {error}"));
                Vec::new()
            }),
        };
        let Hooked { mut seen, raw, answer, transcript } = agent.hook(&event, &payload);
        if said::is_leg()
            && let Some(end) = seen.iter().position(|seen| matches!(seen, Observation::TurnEnded(_)))
            && let Some(claim) =
                oarlock_agents::last_message(&payload).and_then(|message| said::claimed(&message))
        {
            seen.insert(end, claim);
        }
        // What the file says happened before what the hook says.
        if let Some(path) = transcript {
            self.guard("the transcript", || self.follow(agent, &at_home(&path)));
        }
        self.leave(&seen, &raw, Source::Hook);
        if let Some(answer) = answer {
            // An agent that does not read the answer goes on without one.
            drop(io::stdout().write_all(answer.as_bytes()).and_then(|()| io::stdout().flush()));
        }
    }

    fn follow(&self, agent: &dyn Agent, path: &Path) {
        let (mut seen, mut raw) = (Vec::new(), Vec::new());
        let followed = transcript::follow(&self.folder, path, |line| {
            let said = agent.transcript_line(line);
            seen.extend(said.seen);
            raw.extend(said.raw);
        });
        if let Err(error) = followed {
            self.note(&format!("the transcript {} was not read: {error}", path.display()));
        }
        self.leave(&seen, &raw, Source::Transcript);
    }

    /// Leaves observations in the inbox: in one report, or in several when it would be too long for one.
    fn leave(&self, seen: &[Observation], raw: &[String], source: Source) {
        for error in leave(&self.inbox, seen, raw, source) {
            self.note(&format!("a report was not left: {error}"));
        }
    }

    /// Does a part of the work; when it panics, the others go on.
    fn guard(&self, part: &str, work: impl FnOnce()) {
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(work)) {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
            self.note(&format!("{part} panicked: {words}"));
        }
    }

    /// Notes what went wrong, for a person who looks for it. There is nobody else to tell.
    fn note(&self, words: &str) {
        let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
        let path = self.folder.join("hook.errors");
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600).custom_flags(flags);
        let Ok(mut file) = options.open(path) else { return };
        let has_room = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() < ERRORS_BYTES_MAX);
        if has_room {
            drop(file.write_all(format!("{} {}\n", now_ms(), text::line(words, ERROR_CHARS_MAX)).as_bytes()));
        }
    }
}

/// Returns a path that an agent's file gave: one below `~/` is in the home, whose place it does not know.
fn at_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.into(),
    }
}

/// Leaves observations and records in an inbox, in as few reports as their length allows. Returns what could not be left.
pub(crate) fn leave(inbox: &Path, seen: &[Observation], raw: &[String], source: Source) -> Vec<io::Error> {
    if seen.is_empty() && raw.is_empty() {
        return Vec::new();
    }
    let report = oarlock_agents::report(seen, raw, source, now_ms());
    let bytes = serde_json::to_vec(&report).map_or(usize::MAX, |line| line.len() + 1);
    if bytes <= inbox::REPORT_BYTES_MAX || seen.len() + raw.len() == 1 {
        return inbox::report(inbox, &report).err().into_iter().collect();
    }
    let (seen, raw) = (seen.split_at(seen.len() / 2), raw.split_at(raw.len() / 2));
    let halves = [(seen.0, raw.0), (seen.1, raw.1)];
    // Of one of each, the second half holds both: they part.
    if halves[0].0.is_empty() && halves[0].1.is_empty() {
        let mut failed = leave(inbox, halves[1].0, &[], source);
        failed.extend(leave(inbox, &[], halves[1].1, source));
        return failed;
    }
    halves.iter().flat_map(|(seen, raw)| leave(inbox, seen, raw, source)).collect()
}

/// Returns the time, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
/// Returns what an agent wrote into its transcript since it called its last hook.
pub(crate) fn since_the_last(agent: &dyn Agent, run: &Path) -> Vec<Observation> {
    let mut seen = Vec::new();
    // What cannot be read now is read with the next hook, and a reader gone wrong takes nobody with it.
    let follow =
        AssertUnwindSafe(|| transcript::follow_on(run, |line| seen.extend(agent.transcript_line(line).seen)));
    let _ = panic::catch_unwind(follow);
    seen
}
