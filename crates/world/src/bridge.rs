//! The bridge: holds an agent that speaks a protocol of its own, as the child of a run's host, in its terminal.
//!
//! The agent's [`Driver`](oarlock_agents::drive::Driver) says what to do, and the bridge does it: it starts the agent's process on pipes, gives it its lines
//! and takes its own, leaves observations in the run's inbox as hooks do, shows a transcript, and takes commands and keys. It
//! must not know any agent, session or daemon: it outlives the daemon.
//!
//! What is typed before its first report may meet a terminal that was not taken yet, where the kernel cuts a line at 4 KiB.
//! Nobody types before it: an agent that tells of its turns is typed to after its first word.

mod asked;
mod command;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod keys;
mod lines;
mod process;
mod session;
mod spec;
mod terminal;
mod transcript;
mod wrap;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use oarlock_core::text;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdin;
use session::Session;
use terminal::{Signals, Terminal};

pub(crate) use spec::plan;
pub use spec::{BridgeSpec, FILE};

/// Exit code of a bridge that has no instructions it can follow (`EX_CONFIG` of `sysexits.h`).
const NO_INSTRUCTIONS: u8 = 78;
/// How long what a process left behind may hold its pipes open once it is over. What it wrote itself is there at once, and
/// that it is over is to be seen within half a second.
const SILENCE_WITHIN: Duration = Duration::from_millis(200);
/// How long the last words of an agent that is going may take after SIGTERM, before SIGKILL.
const TERM_WITHIN: Duration = Duration::from_secs(2);
/// One read of what is typed, in bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// Longest prompt, in bytes. It is a brief, not a book.
const PROMPT_BYTES_MAX: u64 = 16 << 20;

/// Runs the bridge of a run's folder, until its agent is over: the body of the hidden verb `bridge DIR`.
#[must_use]
pub fn main(folder: &Path) -> ExitCode {
    // First of all: a line typed before this is cut by the kernel at 4 KiB.
    let mut terminal = Terminal::take();
    let code = match run(folder, &mut terminal) {
        Ok(code) => code,
        Err(error) => {
            terminal.write(&format!("oarlock bridge: {}\r\n", text::line(&error.to_string(), 400)));
            NO_INSTRUCTIONS
        }
    };
    drop(terminal);
    ExitCode::from(code)
}

fn run(folder: &Path, terminal: &mut Terminal) -> io::Result<u8> {
    let folder = std::path::absolute(folder)?;
    let spec = BridgeSpec::read(&folder)?;
    let prompt = read_prompt(Path::new(&spec.prompt_file))?;
    let launch = spec.launch(&prompt);
    let agent = oarlock_agents::find(&spec.agent);
    let Some(driver) = agent.and_then(|agent| agent.driver(&launch)) else {
        return Err(io::Error::other(format!("{} is no agent that a bridge can hold so", spec.agent)));
    };
    let signals = Signals::install()?;
    let mut session = Session::new(driver, &folder, &spec.workspace, terminal.columns());
    session.open(&prompt);
    serve(&mut session, terminal, &signals)
}

/// Reads what the agent is told first; a missing file says nothing.
fn read_prompt(path: &Path) -> io::Result<String> {
    use io::Read;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(PROMPT_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Serves until the agent is over: looks who has something to say, hears them, and draws what came of it in one write.
fn serve(session: &mut Session, terminal: &mut Terminal, signals: &Signals) -> io::Result<u8> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut has_keys = true;
    loop {
        terminal.write(&session.draw(terminal.columns()));
        if let Some(code) = session.exit() {
            return Ok(code);
        }
        let ready = wait(session, signals, has_keys)?;
        if ready.end && Signals::take(signals.end()) {
            session.told_to_end();
        }
        if ready.interrupt && Signals::take(signals.interrupt()) {
            session.interrupt();
        }
        if ready.keys {
            match rustix::io::read(stdin(), &mut piece) {
                // A terminal that is gone is one that nobody types at: what the host is told arrives no more.
                Ok(0) | Err(rustix::io::Errno::IO) => has_keys = false,
                Ok(count) => session.typed(&piece[..count]),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(process) = &mut session.process {
            process.write();
        }
        session.heard();
        session.look_for_the_end(Instant::now());
    }
}

/// Who has something to say.
struct Ready {
    end: bool,
    interrupt: bool,
    keys: bool,
}

/// Waits until there is something to do.
fn wait(session: &mut Session, signals: &Signals, has_keys: bool) -> io::Result<Ready> {
    let now = Instant::now();
    let left = session.tick(now).map(|at| at.saturating_duration_since(now));
    let left = left
        .map(|left| Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() });
    let (end, interrupt) = (signals.end(), signals.interrupt());
    let mut fds = vec![PollFd::new(&end, PollFlags::IN), PollFd::new(&interrupt, PollFlags::IN)];
    // A terminal that is gone is always ready to say so.
    let keys = has_keys.then(stdin);
    fds.extend(keys.iter().map(|keys| PollFd::new(keys, PollFlags::IN)));
    let process = session.process.as_ref();
    let reads: [Option<BorrowedFd<'_>>; 3] = [
        process.and_then(process::Process::output),
        process.and_then(process::Process::errors),
        process.filter(|_| !session.is_over()).map(process::Process::over),
    ];
    let write = process.and_then(process::Process::input);
    fds.extend(reads.iter().flatten().map(|fd| PollFd::new(fd, PollFlags::IN)));
    fds.extend(write.iter().map(|fd| PollFd::new(fd, PollFlags::OUT)));
    match poll(&mut fds, left.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let is_ready = |index: usize| !fds[index].revents().is_empty();
    Ok(Ready { end: is_ready(0), interrupt: is_ready(1), keys: has_keys && is_ready(2) })
}
