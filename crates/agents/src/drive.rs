//! Drivers: agents' machine protocols, spoken. Lines in, steps out; a driver remembers what it must and does no IO.
//!
//! The bridge carries the steps out. It knows nothing of any protocol, and a driver nothing of processes.

use oarlock_core::ids::MessageId;
use oarlock_core::session::fact::Observation;

use crate::launch::Plan;
use crate::screen::Answer;

/// The exit code of a bridge whose agent does not know the conversation it was to go on with (`EX_NOINPUT` of
/// `sysexits.h`).
pub const NO_CONVERSATION: u8 = 66;

/// Speaks one agent's protocol over its standard input and output, line by line.
pub trait Driver: Send {
    /// Returns what to do first: start the agent, greet it. The first prompt is said after this, by [`Driver::say`].
    fn open(&mut self) -> Vec<Step>;

    /// Takes in one line of the agent's standard output, without its end. What is no line of the protocol is skipped.
    fn line(&mut self, line: &[u8]) -> Vec<Step>;

    /// Takes in one line of the agent's standard error. `None` says that it is an error, which is kept to explain its end;
    /// steps, that it belongs to a log which the driver asked for, which is kept nowhere.
    fn logged(&mut self, _line: &[u8]) -> Option<Vec<Step>> {
        None
    }

    /// Tells the agent something: at once when it takes it, else as soon as it does. The driver answers with
    /// [`Step::Taken`] when the agent took it up.
    fn say(&mut self, say: Say) -> Vec<Step>;

    /// Answers what was asked and not answered: the named question, or the oldest.
    fn answer(&mut self, ask: Option<&str>, answer: Answer) -> Vec<Step>;

    /// Interrupts the turn.
    fn interrupt(&mut self) -> Vec<Step>;

    /// Takes in that the agent's process ended, with its exit code (`None` for a signal) and the end of its standard
    /// error. Steps without a [`Step::Start`] or a [`Step::Stay`] end the bridge.
    fn ended(&mut self, code: Option<i32>, stderr: &str) -> Vec<Step>;
}

/// Something to be told to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Say {
    /// Its id; `None` for the first prompt and for what a person typed at the bridge.
    pub id: Option<MessageId>,
    /// The text.
    pub text: String,
    /// Whether the turn under way, if any, is interrupted for it.
    pub interrupt: bool,
}

/// What a driver wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Start the agent's process: at first, or the next of those that live for one turn.
    Start(Plan),
    /// Write this line (its end is added) to the agent's standard input.
    Send(String),
    /// Close the agent's standard input.
    CloseInput,
    /// End the agent's process, and what it started: the turn is interrupted. [`Driver::ended`] follows, as when it ends by
    /// itself.
    Stop,
    /// Stay although no process runs: the next begins with what is said next.
    Stay,
    /// The agent was seen doing something.
    Observe(Observation),
    /// A record of usage exactly as the agent gave it, at most a few kilobytes: kept beside what was made of it.
    Raw(String),
    /// The agent took a message up.
    Taken(MessageId),
    /// Show this in the transcript.
    Show(Show),
    /// End the agent, and the bridge with it, with this exit code.
    End(u8),
}

/// A piece of the transcript that people read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Show {
    /// What the agent was told.
    Told(String),
    /// Words of the agent, whole or the next piece of them; `whole` ends the paragraph.
    Words {
        /// The words.
        text: String,
        /// Whether the paragraph ends with them.
        whole: bool,
    },
    /// Its thinking, in short.
    Thought(String),
    /// A tool's call, in one line.
    Tool(String),
    /// What a tool gave, cut.
    Output(String),
    /// A question that waits for an answer, with the answers it takes.
    Asks(String),
    /// A word of the bridge's own: connected, interrupted, an error.
    Note(String),
}
