//! How a run is talked to: messages, answers, interruptions, through its host, each exactly once by its id.
//!
//! A terminal is typed to only while its screen shows that the agent is ready, judged by the host at the very moment; a
//! bridge is given commands. It must not decide when: that comes as an effect.

use std::path::Path;
use std::time::{Duration, Instant};

use oarlock_agents::screen::{self, Answer};
use oarlock_agents::{Agent, bridge};
use oarlock_core::ids::{MessageId, RequestId, RunId};
use oarlock_core::session::fact::{Author, Fact, Hold, Receipt, When};
use oarlock_core::text;
use oarlock_term::protocol::{Bracketed, Guard, Message, MessageState, RefusalCode};
use oarlock_term::{Client, ClientError, Probe};

use crate::trouble;

/// Pause between a long text and its Enter, in milliseconds: some interfaces swallow an Enter during a paste.
const SETTLE_MS: u32 = 300;
/// Texts from this many bytes on get the pause.
const SETTLE_FROM_BYTES: usize = 256;
/// The same for a short one: Gemini takes an Enter within 40 ms of a paste for a part of it.
const SETTLE_SHORT_MS: u32 = 80;
/// Times a host that lives is asked for a message before its fate counts as unknown: handles may run out for a moment.
const SEEKS_MAX: u32 = 3;
/// Looks for the moment to press Enter again: a dialog that is up passes, and there are only a few presses.
const PRESS_LOOKS_MAX: u32 = 5;
/// Pause before the next of them.
const PRESS_AGAIN: Duration = Duration::from_millis(500);
/// Pause before a host is asked again.
const SEEK_AGAIN: Duration = Duration::from_secs(1);
/// Between two keys: programs take an Esc and what follows within some ten milliseconds for one key.
const BETWEEN_KEYS: Duration = Duration::from_millis(150);

/// How long a question may take to be drawn after it was told of: a hook is called before the dialog is up, on a busy machine
/// by a second. Short, because a dialog that comes after it would take the answer, too.
const DRAWN_WITHIN: Duration = Duration::from_secs(3);
/// Pause before it is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A run that is talked to.
pub(crate) struct Party<'a> {
    /// The run's folder.
    pub folder: &'a Path,
    /// Which run.
    pub run: RunId,
    /// Its agent.
    pub agent: &'a dyn Agent,
    /// How it is held.
    pub hold: Hold,
}

impl Party<'_> {
    fn by_bridge(&self) -> bool {
        matches!(self.hold, Hold::Protocol | Hold::Acp)
    }

    fn give(&self, message: &Message) -> Result<bool, ClientError> {
        Client::connect(self.folder).and_then(|mut client| client.message(message))
    }

    /// Gives the bridge a command.
    fn command(&self, id: String, command: &bridge::Command) -> Result<bool, ClientError> {
        self.give(&Message {
            id,
            text: command.line(),
            submit: true,
            bracketed: Bracketed::Never,
            ..Message::default()
        })
    }

    /// Presses keys as they are.
    fn keys(&self, id: String, keys: &str, guard: Option<Guard>) -> Result<bool, ClientError> {
        self.give(&Message { id, text: keys.into(), keys: true, guard, ..Message::default() })
    }

    /// Presses keys one after the other, as a person does: two that come at once are another key to many programs.
    fn presses(&self, id: &str, keys: &str, when: Option<&screen::Guard>) -> Result<bool, ClientError> {
        let mut pressed = Ok(false);
        for (number, key) in keys.chars().enumerate() {
            if number > 0 {
                std::thread::sleep(BETWEEN_KEYS);
            }
            pressed = self.keys(format!("{id}.{number}"), &key.to_string(), when.and_then(guard));
            if pressed.is_err() {
                break;
            }
        }
        pressed
    }

    /// Presses keys as soon as the screen shows what they are for. Nothing is pressed by a try that comes too early.
    fn keys_once_drawn(&self, id: &str, keys: &str, shows: &screen::Guard) -> Result<bool, ClientError> {
        let end = Instant::now() + DRAWN_WITHIN;
        loop {
            let told = self.keys(id.to_owned(), keys, guard(shows));
            let is_early = matches!(told, Err(ClientError::Refused { code: RefusalCode::NotReady, .. }));
            if !is_early || Instant::now() >= end {
                return told;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Gives a message to the host, which types it exactly once, or not at all when the agent is not ready.
    pub(crate) fn deliver(&self, id: &MessageId, words: &str, mid_turn: bool) -> Vec<Fact> {
        let text = text::clean(words);
        let said = if self.by_bridge() {
            let say = bridge::Command::Say { id: Some(id.0.clone()), text, interrupt: false };
            self.command(id.0.clone(), &say)
        } else {
            self.type_text(id, text, mid_turn)
        };
        let not_typed = |code: &str, says: String, again| Fact::MessageNotTyped {
            message: id.clone(),
            trouble: trouble::new(code, says),
            again,
        };
        match said {
            Ok(_) => {
                vec![Fact::MessageReceipt { message: id.clone(), run: self.run, receipt: Receipt::Typed }]
            }
            Err(ClientError::Refused { code: RefusalCode::NotReady, .. }) => {
                vec![Fact::MessageHeld { message: id.clone() }]
            }
            Err(ClientError::Refused { reason, .. }) => {
                vec![not_typed("host_refused", format!("The host did not take it: {reason}"), true)]
            }
            Err(error @ ClientError::Connect { .. }) => {
                vec![not_typed("no_host", trouble::chain(&error), true)]
            }
            // The answer was lost, not necessarily the message: the host's memory decides.
            Err(_) => self.seek(id),
        }
    }

    fn type_text(&self, id: &MessageId, text: String, mid_turn: bool) -> Result<bool, ClientError> {
        let typing = self.agent.typing();
        let guard = match (mid_turn, typing.steer) {
            (true, Some(steer)) => guard(&steer),
            // It would lose what comes now.
            (true, None) if !typing.ready.shows.is_empty() => return Err(not_ready()),
            (true, None) | (false, _) => guard(&typing.ready),
        };
        if !typing.clear.is_empty() && !mid_turn {
            self.keys(format!("{id}.clear"), typing.clear, guard.clone())?;
        }
        let settle_ms = if text.len() >= SETTLE_FROM_BYTES { SETTLE_MS } else { SETTLE_SHORT_MS };
        self.give(&Message { id: id.0.clone(), text, submit: true, settle_ms, guard, ..Message::default() })
    }

    /// Presses Enter once more for a text that stands at the prompt, unless a dialog would take it for its answer.
    pub(crate) fn press(&self, id: &MessageId, number: u32, text: &str) -> Vec<Fact> {
        // The host demands the prompt only of a text that says what dialogs say.
        let standing = Some(text::clean(text));
        let guard = guard(&self.agent.typing().ready).map(|guard| Guard { standing, ..guard });
        for _ in 0..PRESS_LOOKS_MAX {
            let pressed = self.keys(format!("{id}.enter.{number}"), "\r", guard.clone());
            let Err(ClientError::Refused { code: RefusalCode::NotReady, .. }) = pressed else { break };
            std::thread::sleep(PRESS_AGAIN);
        }
        vec![Fact::Pressed { message: id.clone(), number }]
    }

    /// Interrupts the turn under way.
    pub(crate) fn interrupt(&self, id: &MessageId) -> Vec<Fact> {
        let typing = self.agent.typing();
        let told = if self.by_bridge() {
            self.command(format!("{id}.interrupt"), &bridge::Command::Interrupt {})
        } else if typing.interrupt.is_empty() {
            Ok(false)
        } else {
            self.presses(&format!("{id}.interrupt"), typing.interrupt, typing.steer.as_ref())
        };
        // What comes of it is seen; the message waits for the end of the turn, however it ends.
        drop(told);
        vec![Fact::Interrupted { message: id.clone(), run: self.run }]
    }

    /// Gives an answer to what the agent asked.
    pub(crate) fn answer(&self, given: u64, ask: Option<&str>, answer: &Answer) -> Vec<Fact> {
        let id = format!("answer-{given}");
        let mut facts = Vec::new();
        let told = if self.by_bridge() {
            let command = bridge::Command::Answer { ask: ask.map(str::to_owned), answer: answer.clone() };
            self.command(id, &command)
        } else {
            let Some(keys) = self.agent.answer(answer) else {
                let mut trouble = trouble::new(
                    "no_keys",
                    format!("{} takes no such answer through its terminal.", self.agent.title()),
                );
                trouble.hint = "Attach to it and answer there.".into();
                return vec![Fact::AnswerCarried { given, trouble: Some(trouble) }];
            };
            if let Some(text) = keys.then_say {
                let name = format!("{id}.words");
                facts.push(Fact::MessageQueued {
                    request: RequestId(name.clone()),
                    message: MessageId(name),
                    author: Author::Person,
                    text,
                    when: When::Idle,
                });
            }
            self.keys_once_drawn(&id, &keys.keys, &keys.guard)
        };
        let trouble = told.err().map(|error| match error {
            ClientError::Refused { code: RefusalCode::NotReady, .. } => {
                // The question is over, or it is one of the program's own, such as whether to stay in a mode that cannot
                // judge: allowing what a tool wants is no answer to that.
                let mut trouble =
                    trouble::new("not_asked", "Its screen shows no question that takes this answer.".into());
                trouble.hint =
                    "Look at it with \"oarlock attach\", and answer there what it asks of its own.".into();
                trouble
            }
            error => trouble::error("host", "The answer did not reach the agent", &error),
        });
        if trouble.is_some() {
            facts.clear();
        }
        facts.push(Fact::AnswerCarried { given, trouble });
        facts
    }

    /// Asks the host whether it took a message, again and again while it lives and does not answer.
    pub(crate) fn seek(&self, id: &MessageId) -> Vec<Fact> {
        seek(self.folder, self.run, id)
    }
}

fn not_ready() -> ClientError {
    ClientError::Refused { reason: "it takes nothing during a turn".into(), code: RefusalCode::NotReady }
}

/// Returns the host's guard; `None` for an agent whose screen is not known.
pub(crate) fn guard(of: &screen::Guard) -> Option<Guard> {
    let known = !of.shows.is_empty() || !of.hides.is_empty();
    known.then(|| Guard {
        shows: of.shows.clone(),
        hides: of.hides.clone(),
        rows: of.rows,
        foreground: true,
        standing: None,
    })
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
