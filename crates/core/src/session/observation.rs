//! What can be seen of an agent: one vocabulary for all of them and for every way to hold one.
//!
//! It must not know any agent, nor what is made of an observation.

use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::ids::{MessageId, Timestamp};

/// Where an observation comes from, from the most to the least trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The agent's own protocol.
    Protocol,
    /// A hook the agent called.
    Hook,
    /// The agent's transcript file.
    Transcript,
    /// The process: alive, or its exit.
    Process,
    /// The screen.
    Screen,
    /// Git.
    Git,
    /// A person, through a request.
    Person,
    /// oarlock itself.
    Oarlock,
}

/// What an adapter saw an agent do: one vocabulary for every agent and every way to hold it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// The agent is up, with its own conversation id when it has one. It may be told again when more is known.
    Started {
        /// The agent's resumable thread id.
        conversation: Option<String>,
        /// The model it uses.
        #[serde(default)]
        model: Option<String>,
        /// The agent's version.
        #[serde(default)]
        version: Option<String>,
    },
    /// A turn began.
    TurnStarted,
    /// The turn ended.
    TurnEnded(TurnEnd),
    /// A tool was called.
    ToolStarted {
        /// Names the call; the same in its end and in a permission asked for it.
        id: String,
        /// The tool's name.
        name: String,
        /// What it is called for, in one line.
        what: String,
    },
    /// A tool came back.
    ToolEnded {
        /// Names the call.
        id: String,
        /// Whether it did what it was called for, as far as the agent says.
        ok: bool,
    },
    /// A permission dialog is up: nothing may be typed.
    PermissionAsked {
        /// What it wants to do, in one line.
        what: String,
        /// Names the question: the call of the tool it is about. The end of that call answers it, no other's does.
        #[serde(default)]
        ask: Option<String>,
    },
    /// The dialog is gone.
    PermissionResolved,
    /// The agent asks the person something, and waits for words.
    QuestionAsked {
        /// The question, in one line.
        what: String,
    },
    /// What the agent's terminal shows, when that changed.
    Shows(Showing),
    /// Tokens were used.
    Used(Usage),
    /// The agent's process said farewell or was seen gone, though its terminal may live on.
    Gone {
        /// Why, in one line; empty when it did not say.
        why: String,
    },
    /// The provider asked the agent to wait.
    RateLimited {
        /// When the limit ends, if the agent was told.
        until: Option<Timestamp>,
    },
    /// The provider answers: if it had asked the agent to wait, that is over.
    Answers,
    /// The agent says so; nobody has checked.
    Claimed {
        /// What is claimed.
        claim: Claim,
        /// Its words, in one line.
        note: String,
    },
    /// A message typed or sent earlier was taken up.
    MessageTaken {
        /// Which.
        message: MessageId,
    },
}

/// What an agent's own interface shows. It is the least of the evidence, and the only one where no hook is called: a
/// dialog answered by hand, a turn interrupted with Esc.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Showing {
    /// Its prompt, ready for words, and nothing going on.
    Prompt,
    /// That it is in a turn.
    Busy,
    /// That it is in a turn, and its provider answers.
    Answering,
    /// That its provider makes it wait.
    Limited,
    /// A permission dialog, or another that keys would answer, in one line.
    Dialog(String),
    /// A question to the person, in one line.
    Question(String),
}

/// Over what a number of tokens was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// One call of the model: calls are summed, each once.
    Call,
    /// One turn: turns are summed, each once.
    Turn,
    /// This process, from its start: the latest counts.
    Run,
    /// The conversation, from its first run on: the latest counts.
    Conversation,
}

/// Tokens used, normalised: no token is in two of the counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Over what it was counted.
    pub span: Span,
    /// Names the call or turn, so that none is counted twice; empty when it has no name.
    pub id: String,
    /// Input tokens that came from no cache.
    pub input: u64,
    /// Input tokens read from a cache.
    pub cache_read: u64,
    /// Input tokens written to a cache.
    pub cache_write: u64,
    /// Output tokens, those of reasoning included.
    pub output: u64,
    /// Cost in millionths of a US dollar, when the agent says it, over the conversation when `cost_is_of_conversation`.
    pub cost_micros: Option<u64>,
    /// Whether the cost is the conversation's so far, whatever the span of the tokens.
    pub cost_is_of_conversation: bool,
    /// Tokens in the context now, when the agent says it.
    pub context: Option<u64>,
    /// Tokens the context may hold, when the agent says it.
    pub window: Option<u64>,
}

/// How a turn ended. That it ended does not mean that it succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnEnd {
    /// Without an error the adapter could find.
    Ok,
    /// With an error, by class: `rate_limit`, `overloaded`, `auth`, `billing`, `bad_request`, `context_full`, `network`,
    /// `limit` (a budget of turns or money of the agent's own) or `error`.
    Error(String),
    /// Somebody interrupted it.
    Interrupted,
    /// The agent does not say.
    Unknown,
}

/// What a worker says of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// All of it is done.
    Done,
    /// A phase is done.
    PhaseDone,
    /// It hands over to the next run.
    HandingOff,
    /// It cannot go on.
    Stuck,
}
