//! What can be seen of a session: the vocabulary of its log. Variants are added, never repurposed.
//!
//! A fact records what was seen, not what we made of it. It must not hold bytes of terminals, diffs or secrets.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ids::{MessageId, Name, Oid, ProjectId, RequestId, RunId, Timestamp, TrashId};
use crate::machine::Key;
use crate::playbook::Playbook;

/// What a session was asked to do, and where. Fixed when it is requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// The project it works on.
    pub project: ProjectId,
    /// The absolute path of the project's repository, kept here so that an unregistered project can be cleaned up.
    pub repository: String,
    /// The agent that works.
    pub agent: Agent,
    /// What the agent is told first; empty for none.
    pub prompt: String,
    /// The branch the session works on.
    pub branch: String,
    /// The name of its workspace's folder: it stays when the session is renamed.
    pub folder: String,
    /// The revision it starts from; `None` is the project's default branch.
    pub base: Option<String>,
    /// How the workspace is made.
    pub workspace: WorkspaceKind,
    /// The workspace's own block of TCP ports.
    pub ports: Ports,
    /// The way of working.
    pub playbook: Playbook,
    /// What of its workspace was there before.
    #[serde(default)]
    pub adopted: Adopted,
    /// What its runs are for.
    #[serde(default)]
    pub role: Role,
}

/// What of a workspace was there before its session. It stays a person's: an adopted branch is never deleted, and an
/// adopted worktree is given back when the session is forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Adopted {
    /// Nothing.
    #[default]
    Nothing,
    /// Its branch.
    Branch,
    /// The worktree at this absolute path, with whatever it held.
    Worktree(String),
}

/// An agent: a name the registry knows, or `exec` with a command of the user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The agent's name, such as `claude-code`, or `exec`.
    pub name: String,
    /// The shell command of an `exec` agent.
    pub command: Option<String>,
    /// Whether it tells of its turns: such an agent is typed to only once it said that it is between two.
    pub tells_of_turns: bool,
    /// How it is held.
    #[serde(default)]
    pub hold: Hold,
    /// What it may do without asking.
    #[serde(default)]
    pub permissions: Permissions,
    /// The model it is to use; `None` leaves it to the agent's own settings.
    #[serde(default)]
    pub model: Option<String>,
    /// Standing rules: told to it as a part of its system prompt where it has one, else before the prompt; empty for none.
    #[serde(default)]
    pub rules: String,
    /// Arguments added to its command line.
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables added to its environment.
    #[serde(default)]
    pub env: Vec<(String, String)>,
}

impl Agent {
    /// Makes an agent of which only its name is said.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            command: None,
            tells_of_turns: false,
            hold: Hold::default(),
            permissions: Permissions::default(),
            model: None,
            rules: String::new(),
            args: Vec::new(),
            env: Vec::new(),
        }
    }
}

/// How an agent is held: what it is told through, and what is seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// The agent's own machine protocol, through a bridge.
    Protocol,
    /// The Agent Client Protocol, through a bridge.
    Acp,
    /// Its own interface in a terminal, with hooks: what a person attaches to.
    #[default]
    Terminal,
    /// A process beside git: nothing is known of it but what it prints, commits and claims.
    Process,
}

impl Hold {
    /// Returns the word people use for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Hold::Protocol => "protocol",
            Hold::Acp => "acp",
            Hold::Terminal => "terminal",
            Hold::Process => "process",
        }
    }
}

/// What an agent may do without asking, from the least to the most. Each agent's file says what it makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Permissions {
    /// What the user's own settings of the agent say.
    #[default]
    Default,
    /// Edits of files in the workspace.
    AcceptEdits,
    /// What the agent itself judges harmless.
    Auto,
    /// Everything.
    Bypass,
}

/// How a workspace is isolated from the user's checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceKind {
    /// A linked worktree: quick, and shares the object store.
    #[default]
    Worktree,
    /// A clone: its own object store and configuration.
    Clone,
}

/// A block of consecutive TCP ports that no other workspace of this daemon holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Ports {
    /// The first port; 0 when none was leased.
    pub first: u16,
    /// How many follow, the first included.
    pub count: u16,
}

/// Part of the judgement that a run serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Does the work.
    #[default]
    Builder,
    /// Has others do the work: drives the sessions of its project, and lands nothing.
    Orchestrator,
}

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
