//! What a bridge does: steps of the driver carried out, commands and typed texts given to it. It waits for nothing: the loop
//! around it does, and knows what for.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oarlock_agents::drive::{Driver, Say, Show, Step};
use oarlock_agents::launch::{Place, Plan, Plant, What};
use oarlock_agents::screen::Answer;
use oarlock_core::ids::MessageId;
use oarlock_core::session::fact::{Observation, Source};
use oarlock_core::text;
use rustix::process::Signal;

use super::asked::{Asked, Asks, Reply};
use super::command::Command;
use super::keys::{Keys, Typed};
use super::lines::Cut;
use super::process::{Process, exit_code};
use super::transcript::Transcript;
use super::{SILENCE_WITHIN, TERM_WITHIN};
use crate::hook;
use crate::relay::said::{self, Words};
use crate::run::inbox;

/// Exit code of a program that could not be started, as shells have it.
const NOT_STARTED: u8 = 127;
/// How long an agent may take to go after its input was closed, when a person or the daemon bade it leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// The same when the bridge was told to end by a signal.
const END_WITHIN: Duration = Duration::from_secs(2);
/// Most messages remembered as said. The host takes fewer in one run.
const SAID_MAX: usize = 64 * 1024;
/// Characters of a text that is told to wait.
const WAITING_CHARS_MAX: usize = 60;
/// Characters of an agent's last words.
const LAST_WORDS_CHARS_MAX: usize = 300;

/// The bridge's work.
pub(super) struct Session {
    driver: Box<dyn Driver>,
    folder: PathBuf,
    inbox: PathBuf,
    workspace: String,
    /// The agent's process, while there is one.
    pub process: Option<Process>,
    transcript: Transcript,
    keys: Keys,
    asks: Asks,
    words: Words,
    in_turn: bool,
    said: BTreeSet<MessageId>,
    seen: Vec<Observation>,
    raw: Vec<String>,
    is_deaf: bool,
    /// When the process was found to be over.
    over_at: Option<Instant>,
    ending: Option<Ending>,
    exit: Option<u8>,
}

/// How the agent is ended.
struct Ending {
    term_at: Instant,
    kill_at: Option<Instant>,
    /// The exit code that the driver wants.
    code: Option<u8>,
}

impl Session {
    pub(super) fn new(driver: Box<dyn Driver>, folder: &Path, workspace: &str, columns: usize) -> Self {
        Self {
            driver,
            folder: folder.to_owned(),
            inbox: inbox::file(folder),
            workspace: workspace.to_owned(),
            process: None,
            transcript: Transcript::new(columns),
            keys: Keys::new(),
            asks: Asks::default(),
            words: Words::of(said::is_leg()),
            in_turn: false,
            said: BTreeSet::new(),
            seen: Vec::new(),
            raw: Vec::new(),
            is_deaf: false,
            over_at: None,
            ending: None,
            exit: None,
        }
    }

    /// Starts the agent and tells it what it is told first.
    pub(super) fn open(&mut self, prompt: &str) {
        DirBuilder::new().recursive(true).mode(0o700).create(inbox::folder(&self.folder)).ok();
        let steps = self.driver.open();
        self.carry(steps);
        if self.exit.is_none() && !prompt.trim().is_empty() {
            let steps = self.driver.say(Say { id: None, text: prompt.into(), interrupt: false });
            self.carry(steps);
        }
    }

    /// Returns whether the process is over, and only what its pipes still hold is waited for.
    pub(super) fn is_over(&self) -> bool {
        self.over_at.is_some()
    }

    /// Returns the exit code once the bridge is over.
    pub(super) fn exit(&self) -> Option<u8> {
        self.exit
    }

    /// Returns what is to be written to the terminal, which has so many columns.
    pub(super) fn draw(&mut self, columns: usize) -> String {
        self.transcript.set_columns(columns);
        if self.exit.is_some() {
            return self.transcript.close();
        }
        self.transcript.set_draft(&self.keys.draft());
        self.transcript.draw()
    }

    /// Takes in what was typed.
    pub(super) fn typed(&mut self, bytes: &[u8]) {
        for typed in self.keys.feed(bytes) {
            match typed {
                Typed::Command(command) => self.command(command),
                Typed::BadCommand => self.transcript.note("A command came that is none, and was dropped."),
                Typed::TooLong => self.transcript.note("What was typed is too long, and was dropped."),
                Typed::Text(text) => self.person(&text::clean(&text)),
                Typed::Interrupt if self.in_turn => self.interrupt(),
                Typed::Interrupt if self.keys.clear() => {}
                Typed::Interrupt => self.transcript.note("No turn is under way. Ctrl-D leaves."),
                Typed::Leave => self.end(LEAVE_WITHIN, None),
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Say(say) => self.say(say),
            Command::Answer(ask, answer) => self.answer(ask.as_deref(), answer),
            Command::Interrupt => self.interrupt(),
            Command::Leave => self.end(LEAVE_WITHIN, None),
        }
    }

    fn say(&mut self, say: Say) {
        // The host types no id twice; a daemon that gives a message another name of its own must not make it two.
        if let Some(id) = &say.id {
            if self.said.len() >= SAID_MAX {
                self.said.clear();
            }
            if !self.said.insert(id.clone()) {
                return;
            }
        }
        let steps = self.driver.say(say);
        self.carry(steps);
    }

    /// Takes a text that a person typed: the answer to what is asked, or words for the agent.
    fn person(&mut self, words: &str) {
        match self.asks.reply(words) {
            Reply::Answer(ask, answer) => self.answer(ask.as_deref(), answer),
            Reply::Unclear => {
                self.keys.put_back(words);
                self.transcript.note("Answer first: y allows, a always, n refuses (n and why).");
            }
            Reply::Words if words.trim().is_empty() => {}
            Reply::Words => {
                // A question may be the protocol's, which takes an answer, or the end of a turn, which takes a message.
                if self.asks.first() == Some(&Asked::Question) {
                    self.asks.settle(None);
                    let steps = self.driver.answer(None, Answer::Words(words.into()));
                    if !steps.is_empty() {
                        return self.carry(steps);
                    }
                }
                let steps = self.driver.say(Say { id: None, text: words.into(), interrupt: false });
                let is_shown = steps.iter().any(|step| matches!(step, Step::Show(_)));
                if self.in_turn && !is_shown {
                    let words = text::line(words, WAITING_CHARS_MAX);
                    self.transcript.note(&format!("Told, and waits to be taken up: {words}"));
                }
                self.carry(steps);
            }
        }
    }

    fn answer(&mut self, ask: Option<&str>, answer: Answer) {
        self.asks.settle(ask);
        let steps = self.driver.answer(ask, answer);
        if steps.is_empty() {
            self.transcript.note("An answer came to what is not asked any more.");
        }
        self.carry(steps);
    }

    /// Interrupts the turn.
    pub(super) fn interrupt(&mut self) {
        let steps = self.driver.interrupt();
        self.carry(steps);
    }

    /// Ends the agent because the bridge was told to end.
    pub(super) fn told_to_end(&mut self) {
        self.end(END_WITHIN, None);
    }

    fn end(&mut self, within: Duration, code: Option<u8>) {
        let Some(process) = &mut self.process else {
            self.exit.get_or_insert(code.unwrap_or(0));
            return;
        };
        process.close_input();
        let wanted = Instant::now() + within;
        let ending = self.ending.get_or_insert(Ending { term_at: wanted, kill_at: None, code });
        ending.term_at = ending.term_at.min(wanted);
        ending.code = ending.code.or(code);
    }

    /// Does what is due, and returns when to look again.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Instant> {
        let process = self.process.as_mut()?;
        let silent_at = self.over_at.map(|at| at + SILENCE_WITHIN);
        if silent_at.is_some() {
            return silent_at;
        }
        let ending = self.ending.as_mut()?;
        match ending.kill_at {
            None if now >= ending.term_at => {
                process.signal(Signal::TERM);
                ending.kill_at = Some(now + TERM_WITHIN);
            }
            Some(kill_at) if now >= kill_at => {
                process.signal(Signal::KILL);
                ending.kill_at = Some(now + TERM_WITHIN);
            }
            None | Some(_) => {}
        }
        Some(ending.kill_at.unwrap_or(ending.term_at))
    }

    /// Takes in what the agent wrote.
    pub(super) fn heard(&mut self) {
        if let Some(process) = &mut self.process {
            process.read_errors();
        }
        self.take_errors();
        if let Some(process) = &mut self.process {
            process.read_output();
        }
        self.take_lines();
    }

    /// Takes in what it wrote beside its protocol: a log that the driver asked for, and errors of its own.
    fn take_errors(&mut self) {
        while let Some(process) = &mut self.process {
            let line = match process.error_lines.next() {
                None => return,
                Some(Cut::Line(line)) => line.to_vec(),
                // It is no line of a log, and explains nothing to a person.
                Some(Cut::TooLong) => continue,
            };
            self.take_error(line);
        }
    }

    fn take_error(&mut self, mut line: Vec<u8>) {
        match self.driver.logged(&line) {
            Some(steps) => self.carry(steps),
            None => {
                line.push(b'\n');
                if let Some(process) = &mut self.process {
                    process.keep_errors(&line);
                }
            }
        }
    }

    fn take_lines(&mut self) {
        // The process may be another one after a line.
        while let Some(process) = &mut self.process {
            let steps = match process.lines.next() {
                None => return,
                Some(Cut::Line(b"")) => continue,
                Some(Cut::Line(line)) => self.driver.line(line),
                Some(Cut::TooLong) => {
                    vec![Step::Show(Show::Note(
                        "A line of the agent's was too long, and was skipped.".into(),
                    ))]
                }
            };
            self.carry(steps);
        }
    }

    /// Looks whether the process is over, and draws the conclusion once nothing more comes from its pipes.
    pub(super) fn look_for_the_end(&mut self, now: Instant) {
        let Some(process) = &mut self.process else { return };
        let Some(status) = process.status() else { return };
        let over_at = *self.over_at.get_or_insert(now);
        self.heard();
        let Some(process) = &mut self.process else { return };
        if !process.is_silent() && now < over_at + SILENCE_WITHIN {
            return;
        }
        let rest = process.lines.rest();
        if !rest.is_empty() {
            let steps = self.driver.line(&rest);
            self.carry(steps);
        }
        let rest = self.process.as_mut().map_or_else(Vec::new, |process| process.error_lines.rest());
        if !rest.is_empty() {
            self.take_error(rest);
        }
        let Some(process) = self.process.take() else { return };
        self.over_at = None;
        let errors = process.last_errors();
        let ending = self.ending.take();
        let mut steps = self.driver.ended(status.code(), &errors);
        if ending.is_some() {
            steps.retain(|step| !matches!(step, Step::Start(_)));
        }
        let leaves = ending.is_some();
        let goes_on = steps.iter().any(|step| match step {
            Step::Start(_) => true,
            Step::Stay => !leaves,
            _ => false,
        });
        self.carry(steps);
        if goes_on || self.exit.is_some() {
            return;
        }
        let wanted = ending.as_ref().and_then(|ending| ending.code);
        if ending.is_none() && !status.success() {
            let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let last = text::line(last.trim(), LAST_WORDS_CHARS_MAX);
            let colon = if last.is_empty() { "." } else { ": " };
            self.transcript.note(&format!("The agent's process ended with {status}{colon}{last}"));
        }
        self.exit = Some(wanted.unwrap_or_else(|| exit_code(status)));
    }

    /// Carries steps out, in their order, and reports what was seen in them.
    fn carry(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Start(plan) => self.start(&plan),
                Step::Send(line) => {
                    let sent = self.process.as_mut().is_some_and(|process| process.send(&line));
                    if !sent {
                        self.transcript
                            .note("The agent takes no more input: something it was to be told is lost.");
                    }
                }
                Step::CloseInput => {
                    if let Some(process) = &mut self.process {
                        process.close_input();
                    }
                }
                Step::Stop => {
                    if let Some(process) = &mut self.process {
                        process.signal(Signal::TERM);
                    }
                }
                // The loop goes on until there is an exit code.
                Step::Stay => {}
                Step::Observe(observation) => self.observe(observation),
                Step::Raw(record) => self.raw.push(record),
                Step::Taken(message) => self.observe(Observation::MessageTaken { message }),
                Step::Show(show) => {
                    self.words.hear(&show);
                    self.transcript.show(&show);
                }
                Step::End(code) => self.end(END_WITHIN, Some(code)),
            }
        }
        self.report();
    }

    fn start(&mut self, plan: &Plan) {
        if let Some(mut before) = self.process.take() {
            // One at a time: whoever starts the next has done with the last.
            before.signal(Signal::TERM);
        }
        self.over_at = None;
        let errors = self.folder.join("agent.err");
        let started =
            plant(&self.folder, &plan.files).and_then(|()| Process::start(plan, &self.workspace, &errors));
        match started {
            Ok(process) => self.process = Some(process),
            Err(error) => {
                let program = plan.argv.first().map_or("", String::as_str);
                self.transcript.note(&format!("{program} could not be started: {error}"));
                self.exit = Some(NOT_STARTED);
            }
        }
    }

    fn observe(&mut self, observation: Observation) {
        match &observation {
            Observation::TurnStarted => self.in_turn = true,
            Observation::TurnEnded(_) => {
                self.in_turn = false;
                self.seen.extend(self.words.claim());
            }
            _ => {}
        }
        if self.asks.observe(&observation) {
            self.transcript.hint("y allows, a always, n refuses, and Enter");
        }
        self.seen.push(observation);
    }

    fn report(&mut self) {
        let (seen, raw) = (std::mem::take(&mut self.seen), std::mem::take(&mut self.raw));
        let failed = hook::leave(&self.inbox, &seen, &raw, Source::Protocol);
        // Said once: the next report fails for the same reason.
        if let Some(error) = failed.first().filter(|_| !std::mem::replace(&mut self.is_deaf, true)) {
            self.transcript.note(&format!("What was seen cannot be reported: {error}"));
        }
        self.is_deaf = !failed.is_empty();
    }
}

/// Writes the files of a plan that are the run's own. Those of the workspace and of the user were planted before the bridge
/// was started, by whoever takes them away again.
fn plant(folder: &Path, plants: &[Plant]) -> io::Result<()> {
    for Plant { place, what } in plants {
        if let (Place::Run(name), What::Text(text)) = (place, what) {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            let mut options = OpenOptions::new();
            options
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(path)?
                .write_all(text.as_bytes())?;
        }
    }
    Ok(())
}
