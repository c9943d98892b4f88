//! What can be seen of a session: the vocabulary of its log. Variants are added, never repurposed.
//!
//! A fact records what was seen, not what we made of it. It must not hold bytes of terminals, diffs or secrets.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ids::{MessageId, Name, Oid, RequestId, RunId, SessionId, TrashId};
use crate::machine::Key;
use crate::playbook::gate::{Checked, Exam, Review};
use crate::playbook::relay::{Ask, Closed};

pub use super::brief::*;
pub use super::observation::*;

/// How a run's process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with a code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// It could not be started; the reason is the system's.
    NotStarted(String),
    /// Its host is gone and took the answer with it.
    Unknown,
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// A person.
    Person,
    /// Another agent of this fleet.
    Agent,
    /// A rule of a playbook.
    Rule,
}

/// When a message is to reach its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Between two turns.
    #[default]
    Idle,
    /// At once, also during a turn: the agent takes it up when it likes.
    Now,
    /// The turn under way is interrupted for it.
    Interrupt,
}

/// What a person answers to a permission dialog or a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Yes, this once.
    Allow,
    /// Yes, and do not ask for the like again in this conversation.
    AllowAlways,
    /// No, with a reason for the agent (may be empty).
    Deny(String),
    /// Words, as the answer to a question.
    Words(String),
}

/// How a run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Begun {
    /// With what it was told first.
    #[default]
    Fresh,
    /// In the conversation of an earlier run, as the agent itself keeps it.
    Conversation,
    /// With the brief again, and a digest of what was done: the agent has no conversation to go on with.
    Digest,
}

/// How far a message came, as its carrier knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receipt {
    /// The run's host took it, and types it exactly once.
    Typed,
    /// The agent was seen taking it up.
    Taken,
}

/// What git says of the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Work {
    /// The commit checked out.
    pub head: Oid,
    /// The branch checked out, when it is not the session's own.
    pub strayed_to: Option<String>,
    /// Commits on top of the base.
    pub ahead: u32,
    /// Paths changed and not committed, untracked ones included.
    pub dirty: u32,
}

/// How landing joins the work to the base branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// A merge commit.
    #[default]
    Merge,
    /// One commit holding all of it.
    Squash,
    /// The commits one by one on top of the base.
    Rebase,
}

/// What somebody wants landed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct LandWish {
    /// How it joins the base.
    pub how: How,
    /// The commit message; `None` writes one from the session.
    pub message: Option<String>,
    /// Land what is committed although uncommitted changes would stay behind (in the trash).
    pub committed_only: bool,
    /// The base must still be this commit.
    pub expect_base: Option<Oid>,
    /// Keep the workspace after landing.
    pub keep: bool,
    /// The commit and the merged tree that were judged: these land, and nothing else.
    #[serde(default)]
    pub approved: Option<(Oid, Oid)>,
}

/// A typed no of the world: code for programs, sentence and hint for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// A stable word, such as `conflicts`.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What to do about it, empty when nothing is known.
    pub hint: String,
    /// Paths it is about, cut at [`super::PATHS_MAX`].
    pub paths: Vec<String>,
}

/// Why a workspace is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Farewell {
    /// The work landed.
    Landed,
    /// The work is not wanted.
    Rejected,
    /// oarlock lets go of it; the branch stays.
    Forgotten,
    /// The session is taken off the list.
    Removed,
}

/// One line of a session's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// A person (or an agent acting for one) asked for the session.
    Requested {
        /// The client's id for the wish.
        request: RequestId,
        /// The session's name.
        name: Name,
        /// What was asked.
        brief: Brief,
    },
    /// The workspace is there.
    WorkspaceReady {
        /// Its absolute path.
        path: String,
        /// The branch checked out in it.
        branch: String,
        /// The branch it will land on.
        base_branch: String,
        /// The commit it started from.
        base: Oid,
        /// The commit checked out.
        head: Oid,
        /// What setup skipped or could not do, in a line each.
        notes: Vec<String>,
        /// How the work in it stands, where that is known without asking git: nobody but git wrote into it. It was not told
        /// by the first writers.
        #[serde(default)]
        work: Option<Work>,
    },
    /// The workspace is gone, and kept in the trash.
    WorkspaceRemoved {
        /// The trash entry that holds it; `None` when nothing was left to keep.
        trash: Option<TrashId>,
        /// Whether the branch stays.
        branch_kept: bool,
    },
    /// A run's host is up (started, or found again).
    RunStarted {
        /// Which run.
        run: RunId,
        /// What it is for.
        role: Role,
        /// Process id of the host.
        host_pid: u32,
        /// How it began.
        #[serde(default)]
        begun: Begun,
    },
    /// A run's process is over.
    RunEnded {
        /// Which run.
        run: RunId,
        /// How.
        exit: Exit,
        /// Its last words, when it failed: one cleaned line.
        last_words: String,
    },
    /// An adapter saw the agent do something.
    Observed {
        /// Which run.
        run: RunId,
        /// Where it was seen.
        source: Source,
        /// What was seen.
        observation: Observation,
        /// Offset just past it in the run's inbox, in bytes; 0 when it did not come from there.
        cursor: u64,
    },
    /// Git was read.
    WorkSeen(Work),
    /// A message waits for delivery.
    MessageQueued {
        /// The client's id for the wish.
        request: RequestId,
        /// The message's id.
        message: MessageId,
        /// Who wrote it.
        author: Author,
        /// Its text, cleaned.
        text: String,
        /// When it is to arrive.
        #[serde(default)]
        when: When,
    },
    /// A message came a step further.
    MessageReceipt {
        /// Which message.
        message: MessageId,
        /// In which run.
        run: RunId,
        /// How far.
        receipt: Receipt,
    },
    /// A message was held back at the last look before typing: the agent was not between turns.
    MessageHeld {
        /// Which message.
        message: MessageId,
    },
    /// A message could not be typed, and was not: it waits, or is refused for good.
    MessageNotTyped {
        /// Which message.
        message: MessageId,
        /// Why.
        trouble: Trouble,
        /// Whether trying again later can help.
        again: bool,
    },
    /// Enter was pressed once more for a message that nothing was seen to take up.
    Pressed {
        /// Which message.
        message: MessageId,
        /// Counted from 1.
        number: u32,
    },
    /// The host was told to interrupt the turn for a message, or it can't be known whether it was.
    Interrupted {
        /// Which message.
        message: MessageId,
        /// Which run.
        run: RunId,
    },
    /// The agent of a leg was asked something, as far as that can be known.
    Asked {
        /// Which run.
        run: RunId,
        /// What.
        ask: Ask,
    },
    /// Somebody looked at what a leg left.
    LegClosed {
        /// Which run.
        run: RunId,
        /// What it left.
        closed: Closed,
    },
    /// Somebody looked at what a builder claims to be done.
    Examined(Exam),
    /// The checks were run.
    Checked(Checked),
    /// Somebody read what an overseer left.
    Reviewed {
        /// Its run.
        run: RunId,
        /// What it left.
        review: Review,
    },
    /// A session that this one waits for is over.
    DependencyEnded {
        /// Which.
        session: SessionId,
        /// Whether it landed.
        landed: bool,
    },
    /// Nobody of its base lands before it any more.
    TurnCame,
    /// Somebody answers what the agent asked.
    AnswerGiven {
        /// The client's id for the wish.
        request: RequestId,
        /// The question it is for, when it has a name.
        ask: Option<String>,
        /// The answer.
        answer: Answer,
    },
    /// An answer reached the agent, or could not.
    AnswerCarried {
        /// Position of the wish in the log.
        given: u64,
        /// Why it could not.
        trouble: Option<Trouble>,
    },
    /// Somebody wants the run to stop at leave.
    StopRequested {
        /// The client's id for the wish.
        request: RequestId,
    },
    /// Somebody wants the run gone at once.
    KillRequested {
        /// The client's id for the wish.
        request: RequestId,
    },
    /// Somebody wants the agent up again.
    ResumeRequested {
        /// The client's id for the wish.
        request: RequestId,
        /// What it is told; empty repeats nothing.
        prompt: String,
        /// How it is held from now on, and whether it tells of its turns then; `None` leaves it as it is.
        #[serde(default)]
        hold: Option<(Hold, bool)>,
    },
    /// The session has another name; its branch and path stay.
    Renamed {
        /// The client's id for the wish.
        request: RequestId,
        /// The name.
        name: Name,
    },
    /// Somebody wants the work on the base branch.
    LandRequested {
        /// The client's id for the wish.
        request: RequestId,
        /// What exactly.
        wish: LandWish,
    },
    /// The work is on the base branch.
    Landed {
        /// The key of the landing.
        key: Key,
        /// The base branch's commit after it.
        oid: Oid,
        /// The base branch's commit before it.
        base_before: Oid,
        /// The session's commit that landed.
        head: Oid,
        /// The base branch.
        onto: String,
        /// How many commits it brought.
        commits: u32,
        /// What became of checkouts of the base, a sentence each.
        notes: Vec<String>,
    },
    /// The work could not land, and nothing changed.
    LandRefused {
        /// The key of the landing.
        key: Key,
        /// Why.
        trouble: Trouble,
    },
    /// Somebody wants the session over and its workspace away.
    FarewellRequested {
        /// The client's id for the wish.
        request: RequestId,
        /// Why.
        why: Farewell,
    },
    /// The workspace could not be taken away, and is as it was.
    RemovalRefused {
        /// The key of the removal.
        key: Key,
        /// Why.
        trouble: Trouble,
    },
    /// Somebody wants the last farewell undone.
    UndoRequested {
        /// The client's id for the wish.
        request: RequestId,
        /// Another block of ports, when its own was leased to somebody else meanwhile.
        ports: Option<Ports>,
    },
    /// The undo could not bring the workspace back.
    UndoRefused {
        /// The key of the undo.
        key: Key,
        /// Why.
        trouble: Trouble,
    },
    /// An effect failed; trying again differently is the playbook's business, under another key.
    PerformFailed {
        /// Which effect.
        key: Key,
        /// Why.
        trouble: Trouble,
        /// Whether the same attempt may succeed later.
        transient: bool,
    },
    /// An effect that is not going to be repeated was started and never settled: it may or may not have happened.
    EffectLost {
        /// Which effect.
        key: Key,
    },
    /// A deadline was reached.
    Woke {
        /// What was waited for.
        why: String,
    },
}
