//! Runs: an agent's process behind a host. Start, stop, type, and ask what became of it.
//!
//! It must not decide anything: what is wanted comes as an effect, what was seen goes back as facts.

pub mod inbox;
pub(crate) mod watch;

use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use oarlock_agents::launch::Launch;
use oarlock_core::ids::{MessageId, RunId, SessionId};
use oarlock_core::session::fact::{Brief, Exit, Fact, Receipt, Role, Trouble};
use oarlock_core::{session::STOP_GRACE_MS, text};
use oarlock_term::protocol::{Bracketed, Message, MessageState};
use oarlock_term::{Client, ClientError, EnsureError, Io, Probe, Size, Spec};

use crate::trouble;

/// The terminal an agent starts in; a person who attaches brings another size.
const TERMINAL: Size = Size { rows: 40, cols: 120 };
/// Pause between a long text and its Enter, in milliseconds: some interfaces swallow an Enter during a paste.
const SETTLE_MS: u32 = 300;
/// Texts from this many bytes on get the pause.
const SETTLE_FROM_BYTES: usize = 256;
/// Times a host that lives is asked for a message before its fate counts as unknown: handles may run out for a moment.
const SEEKS_MAX: u32 = 3;
/// Pause before a host is asked again.
const SEEK_AGAIN: Duration = Duration::from_secs(1);
/// Longest last words, in characters.
const LAST_WORDS_CHARS_MAX: usize = 300;

/// What a run is told of its surroundings.
pub(crate) struct Surroundings<'a> {
    /// The program whose hidden verb is the host.
    pub oarlock: &'a Path,
    /// The state folder.
    pub state: &'a Path,
    /// The run's folder.
    pub folder: &'a Path,
    /// The session.
    pub session: &'a SessionId,
    /// The session's name.
    pub name: &'a str,
    /// The run's capability.
    pub token: String,
}

/// Starts a run's host, or adopts the one that is there.
pub(crate) fn start(
    around: &Surroundings<'_>,
    run: RunId,
    role: Role,
    brief: &Brief,
    workspace: &str,
    prompt: &str,
) -> Result<Vec<Fact>, Trouble> {
    let Some(agent) = oarlock_agents::find(&brief.agent.name) else {
        return Err(trouble::new("no_agent", format!("There is no agent {}.", brief.agent.name)));
    };
    let prompt_file = around.folder.join("prompt.md");
    let inbox = inbox::folder(around.folder);
    // Whoever opens the folder above them by hand opens no run.
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&inbox)
        .and_then(|()| write_private(&prompt_file, prompt.as_bytes()));
    made.map_err(|error| trouble::io("write the run's prompt", &prompt_file, &error))?;
    let oarlock = around.oarlock.to_string_lossy();
    let line = agent.launch(&Launch {
        hold: brief.agent.hold,
        program: agent.programs().first().copied().unwrap_or_default(),
        version: None,
        workspace,
        folder: &around.folder.to_string_lossy(),
        prompt,
        prompt_file: &prompt_file.to_string_lossy(),
        conversation: None,
        new_conversation: "",
        model: brief.agent.model.as_deref(),
        permissions: brief.agent.permissions,
        rules: &brief.agent.rules,
        args: &brief.agent.args,
        command: brief.agent.command.as_deref(),
        oarlock: &oarlock,
        is_root: rustix::process::getuid().is_root(),
    });
    let mut env = environment(around, run, brief, workspace, &prompt_file);
    env.extend(line.env);
    let spec = Spec {
        run: format!("{}/{run}", around.session),
        argv: line.argv,
        cwd: PathBuf::from(workspace),
        env,
        io: Io::Pty { size: TERMINAL },
        grace_ms: STOP_GRACE_MS,
    };
    let host = [around.oarlock.as_os_str().to_owned(), OsString::from("host")];
    let begun = |host_pid| Fact::RunStarted { run, role, host_pid };
    match oarlock_term::ensure(around.folder, &spec, &host) {
        Ok(started) => Ok(vec![begun(started.host.pid)]),
        Err(EnsureError::NotStarted { reason }) => Ok(vec![
            begun(0),
            ended(run, Exit::NotStarted(text::line(&reason, LAST_WORDS_CHARS_MAX)), String::new()),
        ]),
        // The watch finds it lost, sweeps it, and says so.
        Err(EnsureError::Lost { .. }) => Ok(vec![begun(0)]),
        Err(error) => Err(trouble::error("host", "The agent's host did not come up", &error)),
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

/// The complete environment of a run: the daemon's own without what would mislead git or name another run, then ours.
fn environment(
    around: &Surroundings<'_>,
    run: RunId,
    brief: &Brief,
    workspace: &str,
    prompt_file: &Path,
) -> Vec<(String, String)> {
    let keep = |name: &str| {
        let misleads =
            name.starts_with("GIT_") || name.starts_with("OARLOCK_") || name == "NO_COLOR" || name == "PWD";
        !misleads
            || name == "GIT_SSH_COMMAND"
            || name.starts_with("GIT_AUTHOR_")
            || name.starts_with("GIT_COMMITTER_")
            || name.starts_with("GIT_CONFIG_")
    };
    let mut env: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| keep(name))
        .collect();
    let mut set = |name: &str, value: String| {
        env.retain(|(known, _)| known != name);
        env.push((name.into(), value));
    };
    let ports = &brief.ports;
    set("TERM", "xterm-256color".into());
    set("COLORTERM", "truecolor".into());
    set("PWD", workspace.into());
    set("OARLOCK_HOME", around.state.to_string_lossy().into_owned());
    set("OARLOCK_SESSION", around.session.0.clone());
    set("OARLOCK_NAME", around.name.into());
    set("OARLOCK_RUN", format!("{}/{run}", around.session));
    set("OARLOCK_TOKEN", around.token.clone());
    set("OARLOCK_INBOX", inbox::file(around.folder).to_string_lossy().into_owned());
    set("OARLOCK_WORKSPACE", workspace.into());
    set("OARLOCK_PROMPT_FILE", prompt_file.to_string_lossy().into_owned());
    set("OARLOCK_PORT", ports.first.to_string());
    set("OARLOCK_PORT_COUNT", ports.count.to_string());
    env
}

/// Ends a run; its host sees to it whoever dies meanwhile. A run that is over needs nothing. `grace_ms` is the time between
/// SIGTERM and SIGKILL; 0 kills at once.
///
/// # Errors
/// When its host lives and cannot be told.
pub fn stop(folder: &Path, grace_ms: u64) -> Result<Vec<Fact>, Trouble> {
    let stopped = Client::connect(folder).and_then(|mut client| match grace_ms {
        0 => client.kill(),
        _ => client.stop(grace_ms),
    });
    match stopped {
        Ok(()) => Ok(vec![]),
        // Whoever is not there cannot be stopped; the watch says how it ended.
        Err(_) if !matches!(oarlock_term::probe(folder), Ok(Probe::Live(_))) => Ok(vec![]),
        Err(error) => Err(trouble::error("host", "The agent's host could not be told to stop", &error)),
    }
}

/// Gives a message to the host, which types it exactly once.
pub(crate) fn deliver(folder: &Path, run: RunId, id: &MessageId, words: &str) -> Vec<Fact> {
    let settle_ms = if words.len() >= SETTLE_FROM_BYTES { SETTLE_MS } else { 0 };
    let message = Message {
        id: id.0.clone(),
        text: text::clean(words),
        submit: true,
        bracketed: Bracketed::Auto,
        settle_ms,
        keys: false,
        guard: None,
    };
    let said = Client::connect(folder).and_then(|mut client| client.message(&message));
    let not_typed = |code: &str, says: String, again| Fact::MessageNotTyped {
        message: id.clone(),
        trouble: trouble::new(code, says),
        again,
    };
    match said {
        Ok(_) => vec![Fact::MessageReceipt { message: id.clone(), run, receipt: Receipt::Typed }],
        Err(ClientError::Refused { reason, .. }) => {
            vec![not_typed("host_refused", format!("The host did not take it: {reason}"), true)]
        }
        Err(error @ ClientError::Connect { .. }) => vec![not_typed("no_host", trouble::chain(&error), true)],
        // The answer was lost, not necessarily the message: the host's memory decides.
        Err(_) => seek(folder, run, id),
    }
}

/// Asks the host whether it took a message, again and again while it lives and does not answer.
pub(crate) fn seek(folder: &Path, run: RunId, id: &MessageId) -> Vec<Fact> {
    let ask = || Client::connect(folder).and_then(|mut client| client.message_state(id.as_str()));
    let mut state = ask();
    for _ in 1..SEEKS_MAX {
        let lives = || !matches!(oarlock_term::probe(folder), Ok(Probe::Ended(_) | Probe::Lost { .. }));
        if state.is_ok() || !lives() {
            break;
        }
        std::thread::sleep(SEEK_AGAIN);
        state = ask();
    }
    match state {
        Ok(MessageState::Queued | MessageState::Typed | MessageState::Unsubmitted) => {
            vec![Fact::MessageReceipt { message: id.clone(), run, receipt: Receipt::Typed }]
        }
        Ok(MessageState::Unknown) => vec![Fact::MessageNotTyped {
            message: id.clone(),
            trouble: trouble::new("not_typed", "It was not typed before the daemon died.".into()),
            again: true,
        }],
        Err(error) => vec![Fact::MessageNotTyped {
            message: id.clone(),
            trouble: trouble::new(
                "in_doubt",
                format!(
                    "Its host does not answer, and whether it was typed is not known: {}",
                    trouble::chain(&error)
                ),
            ),
            again: false,
        }],
    }
}

/// Returns the fact that a run is over.
pub(crate) fn ended(run: RunId, exit: Exit, last_words: String) -> Fact {
    Fact::RunEnded { run, exit, last_words }
}

/// Returns the last line a run showed, cleaned.
pub(crate) fn last_words(folder: &Path) -> String {
    let Ok(screen) = oarlock_term::render(folder, None, TERMINAL) else { return String::new() };
    let last = screen.lines.iter().rev().find(|line| !line.trim().is_empty());
    last.map(|line| text::line(line.trim(), LAST_WORDS_CHARS_MAX)).unwrap_or_default()
}
