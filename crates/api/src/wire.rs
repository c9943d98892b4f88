//! The types on the wire. Field names and words are API: added to, never renamed.

mod cleanup;

mod gate;
mod relay;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use gate::{CheckResult, Gate, GateCheck, GateReview, GateRound, GateWish};
pub use relay::{Leg, Relay, RelayPhase, RelayWish};

pub use cleanup::{CleanUp, Cleanup, CleanupItem};

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Error {
    /// A stable word for programs, such as `still_working`.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// What to do instead; empty when nothing is known.
    pub hint: String,
    /// Paths it is about, such as files in conflict; at most 20.
    #[serde(default)]
    pub paths: Vec<String>,
}

/// The daemon itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Daemon {
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Its socket's path.
    pub socket: String,
    /// The folder that holds its state.
    pub state: String,
    /// Its log file.
    pub log: String,
    /// When it started, RFC 3339 in UTC.
    pub started_at: String,
    /// Sessions on the list.
    pub sessions: usize,
    /// Runs whose process lives.
    pub running: usize,
    /// Position of the last line of its log.
    pub seq: u64,
}

/// A registered repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// Its id.
    pub id: String,
    /// The path of its main checkout.
    pub path: String,
    /// The branch that work lands on, when the repository can be read.
    pub default_branch: Option<String>,
    /// Sessions of it on the list.
    pub sessions: usize,
    /// When it was registered, RFC 3339 in UTC.
    pub added_at: String,
}

/// Registers a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddProject {
    /// A path inside the repository.
    pub path: String,
}

/// Begins a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Spawn {
    /// The project's id, or a path inside a repository, which is registered on first use.
    pub project: String,
    /// Its name: 1 to 40 of `a-z0-9-`; made from the prompt when missing.
    #[serde(default)]
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
    pub name: Option<String>,
    /// The agent's name, such as `exec`, which needs `command`; empty for the project's own default.
    #[serde(default)]
    #[schema(example = "scripted")]
    pub agent: String,
    /// The shell command of an `exec` agent.
    #[serde(default)]
    pub command: Option<String>,
    /// What the agent is told first; at most 512 KiB.
    #[serde(default)]
    pub prompt: String,
    /// The branch to work on: made when it is not there, else taken over, unless it is checked out somewhere. One is made
    /// from name and id when missing.
    #[serde(default)]
    pub branch: Option<String>,
    /// A worktree of the repository to work in, by its absolute path, with whatever it holds; one is made when missing.
    #[serde(default)]
    pub adopt: Option<String>,
    /// The revision to start from; the project's default branch when missing.
    #[serde(default)]
    pub base: Option<String>,
    /// `worktree` (when missing) or `clone`.
    #[serde(default)]
    #[schema(pattern = "^(worktree|clone)$")]
    pub workspace: Option<String>,
    /// How the agent is held: `protocol`, `acp`, `terminal` or `process`. When missing: with a prompt, the best way for
    /// headless work that the agent has; without one, a terminal.
    #[serde(default)]
    #[schema(pattern = "^(protocol|acp|terminal|process)$")]
    pub hold: Option<String>,
    /// The model it is to use; the agent's own settings when missing.
    #[serde(default)]
    pub model: Option<String>,
    /// What it may do without asking: `default`, `accept-edits`, `auto` or `bypass`.
    #[serde(default)]
    #[schema(pattern = "^(default|accept-edits|auto|bypass)$")]
    pub permissions: Option<String>,
    /// `orchestrator` for a session that drives the others of its project; there is one at most.
    #[serde(default)]
    #[schema(pattern = "^(builder|orchestrator)$")]
    pub role: Option<String>,
    /// Standing rules for its system prompt.
    #[serde(default)]
    pub rules: Option<String>,
    /// Arguments added to its command line.
    #[serde(default)]
    pub args: Vec<String>,
    /// A plan to be worked as a relay of fresh agents.
    #[serde(default)]
    pub relay: Option<RelayWish>,
    /// A spec to be built and judged before it lands.
    #[serde(default)]
    pub gate: Option<GateWish>,
    /// The issue it works on, whose text is a part of the prompt. The name is made from its title when missing.
    #[serde(default)]
    pub issue: Option<Issue>,
    /// Whether to begin although a session of the project works on the issue.
    #[serde(default)]
    pub again: bool,
}

/// What an issue is known by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Issue {
    /// Where it stands: a URL, or a file's absolute path; null for a text from nowhere that has a name.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 2048)]
    pub reference: Option<String>,
    /// Its title; it is kept as one line of at most 200 characters.
    #[serde(default)]
    pub title: String,
}

/// A session as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its id, eight characters, never reused.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its project's id.
    pub project: String,
    /// Its way of working.
    pub playbook: String,
    /// What its runs are for: `builder` or `orchestrator`.
    #[serde(default)]
    pub role: String,
    /// What it is doing, in one word.
    pub status: String,
    /// The decisive reason for that word, as a sentence.
    pub because: String,
    /// How it ended: `landed`, `rejected`, `forgotten`, `gave_up`; null before.
    pub outcome: Option<String>,
    /// Its agent: a name, or `exec:COMMAND`.
    pub agent: String,
    /// How the agent is held: `protocol`, `acp`, `terminal` or `process`.
    pub held_by: String,
    /// When the agent itself last gave a sign, by protocol or hook, in its present run; RFC 3339 in UTC.
    pub signal_at: Option<String>,
    /// Since when an agent that should tell what it does has told nothing, RFC 3339 in UTC; null while all is as it should be.
    pub silent_since: Option<String>,
    /// Its branch.
    pub branch: String,
    /// The branch it lands on, once known.
    pub base_branch: Option<String>,
    /// The commit it started from, once known.
    pub base: Option<String>,
    /// The commit checked out, as last seen.
    pub head: Option<String>,
    /// Commits on top of the base, as last seen.
    pub ahead: Option<u32>,
    /// Paths changed and not committed, as last seen.
    pub dirty: Option<u32>,
    /// The path of its workspace while it is there.
    pub workspace: Option<String>,
    /// When it was requested, RFC 3339 in UTC.
    pub created_at: String,
    /// Position of the last line of the log about it.
    pub seq: u64,
}

/// One life of one agent process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Counted from 0.
    pub id: u32,
    /// What it is for.
    pub role: String,
    /// When its host came up, RFC 3339 in UTC.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// How it ended: `exit 0`, `signal 9`, `not started: …`, `unknown`.
    pub exit: Option<String>,
    /// How it began: `fresh`, `conversation` (the agent's own was gone on with) or `digest` (the brief again, with what
    /// was done).
    pub begun: String,
    /// The agent's own resumable conversation id, once known.
    pub conversation: Option<String>,
    /// The model it said it uses.
    pub model: Option<String>,
    /// The version it said it has.
    pub version: Option<String>,
    /// Turns begun.
    pub turns: u32,
    /// Tokens in its context, and how many fit, as far as it says.
    #[schema(value_type = Option<[u64; 2]>)]
    pub context: Option<(u64, u64)>,
    /// The folder with its bytes and its socket.
    pub folder: String,
    /// Its last words, when it failed.
    pub last_words: String,
}

/// A message and how far it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// `person`, `agent` or `rule`.
    pub author: String,
    /// `queued`, `in_doubt`, `delivered` (its terminal or protocol has it), `accepted` (the agent was seen taking it up) or
    /// `refused`.
    pub state: String,
    /// Why it was refused, empty otherwise.
    pub trouble: String,
    /// When it was queued, RFC 3339 in UTC.
    pub queued_at: String,
    /// Its text.
    pub text: String,
}

/// Everything about a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionDetail {
    /// As lists show it.
    pub session: Session,
    /// What the agent was told first.
    pub prompt: String,
    /// What was asked for and configured for its agent, when the session began.
    pub told: Told,
    /// The first of its leased ports, and how many there are.
    #[schema(value_type = [u16; 2])]
    pub ports: (u16, u16),
    /// Its last runs, oldest first.
    pub runs: Vec<Run>,
    /// Its last messages, oldest first.
    pub messages: Vec<Message>,
    /// Tokens and money used so far.
    pub spent: Spent,
    /// What the agent asks, while it waits for an answer.
    pub asks: Option<Asks>,
    /// The entry of the trash that holds its workspace.
    pub trash: Option<String>,
    /// What of its workspace was there before: `branch` or `worktree`; null when all of it was made.
    pub adopted: Option<String>,
    /// How it stands as a relay; null when it is none.
    pub relay: Option<Relay>,
    /// How it stands as a gate; null when it is none.
    #[serde(default)]
    pub gate: Option<Gate>,
    /// The issue it works on; null when it was asked for in words alone.
    #[serde(default)]
    pub issue: Option<Issue>,
}

/// What an agent is started with, as far as it is not the agent's own settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Told {
    /// The model it is to use.
    pub model: Option<String>,
    /// What it may do without asking: `default`, `accept-edits`, `auto` or `bypass`.
    pub permissions: String,
    /// Standing rules.
    pub rules: String,
    /// Arguments added to its command line.
    pub args: Vec<String>,
    /// The names of variables added to its environment. What is in them is not told.
    pub env: Vec<String>,
}

/// Tokens and money used by all runs of a session; no token is in two of the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Spent {
    /// Input tokens that came from no cache.
    pub input: u64,
    /// Input tokens read from a cache.
    pub cache_read: u64,
    /// Input tokens written to a cache.
    pub cache_write: u64,
    /// Output tokens.
    pub output: u64,
    /// Millionths of a US dollar, as far as the agent says.
    pub cost_micros: u64,
}

/// What an agent asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Asks {
    /// `permission` or `question`.
    pub kind: String,
    /// Names the question, when it has a name.
    pub ask: Option<String>,
    /// In one line.
    pub what: String,
}

/// An answer to what an agent asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// `allow`, `always`, `deny` or `words`.
    #[schema(pattern = "^(allow|always|deny|words)$")]
    pub answer: String,
    /// The reason of a denial, or the words.
    #[serde(default)]
    pub text: String,
    /// The question it is for; the one that stands when missing. Another one standing refuses the answer.
    #[serde(default)]
    pub ask: Option<String>,
}

/// One fact behind a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// What is known, as a sentence.
    pub says: String,
    /// Who said so: `protocol`, `hook`, `transcript`, `process`, `screen`, `git`, `person`, `oarlock`.
    pub source: String,
    /// Since when, RFC 3339 in UTC.
    pub at: String,
    /// How long ago that is, in milliseconds.
    pub age_ms: u64,
}

/// A status with what it rests on, the decisive reason first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// The session's name.
    pub name: String,
    /// The word.
    pub status: String,
    /// What it rests on.
    pub reasons: Vec<Reason>,
    /// The last word of each source on the present run, from the most to the least trusted.
    #[serde(default)]
    pub evidence: Vec<Reason>,
}

/// A message to an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Send {
    /// Its text, at most 64 KiB; control characters are taken out.
    pub text: String,
    /// `idle` (when missing: between two turns), `now` (also during a turn, if the agent queues what comes then) or
    /// `interrupt` (the turn is interrupted for it).
    #[serde(default)]
    #[schema(pattern = "^(idle|now|interrupt)$")]
    pub when: Option<String>,
}

/// Brings an agent up again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resume {
    /// What it is told first. When empty, an agent that goes on with its conversation is told to go on if it was cut short,
    /// and nothing otherwise; any other is told the session's own prompt.
    #[serde(default)]
    pub prompt: String,
    /// How it is held from now on; as before when missing.
    #[serde(default)]
    #[schema(pattern = "^(protocol|acp|terminal|process)$")]
    pub hold: Option<String>,
}

/// Gives a session another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rename {
    /// 1 to 40 of `a-z0-9-`.
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
    pub name: String,
}

/// Puts work on the base branch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Land {
    /// `merge` (when missing), `squash` or `rebase`.
    #[serde(default)]
    #[schema(pattern = "^(merge|squash|rebase)$")]
    pub how: Option<String>,
    /// The commit message; written from the session when missing.
    #[serde(default)]
    pub message: Option<String>,
    /// Land although the agent is in a turn.
    #[serde(default)]
    pub now: bool,
    /// Land what is committed although uncommitted changes stay behind, in the trash.
    #[serde(default)]
    pub committed_only: bool,
    /// Keep the workspace.
    #[serde(default)]
    pub keep: bool,
    /// Refuse unless the base is still this commit.
    #[serde(default)]
    pub expect_base: Option<String>,
}

/// What landing would do, computed without touching anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Preview {
    /// The branch it lands on.
    pub onto: String,
    /// That branch's commit.
    pub base: String,
    /// The commit that lands.
    pub head: String,
    /// The commits it brings, oldest first: id and subject.
    #[schema(value_type = Vec<[String; 2]>)]
    pub commits: Vec<(String, String)>,
    /// Files it changes.
    pub files: u32,
    /// Lines it adds.
    pub insertions: u32,
    /// Lines it removes.
    pub deletions: u32,
    /// Paths in conflict with the base.
    pub conflicts: Vec<String>,
    /// Paths changed and not committed.
    pub dirty: u32,
}

/// A landing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Landed {
    /// The session's name.
    pub name: String,
    /// The branch it is on.
    pub onto: String,
    /// That branch's commit.
    pub oid: String,
    /// How many commits it brought.
    pub commits: u32,
    /// What became of checkouts of the base, a sentence each.
    pub notes: Vec<String>,
}

/// A session after a request about its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// The session.
    pub session: Session,
    /// Whether what was asked is done; false while it is under way.
    pub settled: bool,
    /// The entry of the trash that holds its workspace.
    pub trash: Option<String>,
}

/// A kept workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trash {
    /// Its id.
    pub id: String,
    /// The project it belongs to.
    pub project: String,
    /// The session's name.
    pub session: String,
    /// The session's id.
    pub session_id: String,
    /// The branch it was on.
    pub branch: String,
    /// The commit checked out.
    pub head: String,
    /// Why it was taken away.
    pub reason: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
}

/// Whose last farewell to undo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Undo {
    /// A session; the last farewell of all when missing.
    #[serde(default)]
    pub session: Option<String>,
}

/// One line of the history, as people and clients read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Position in the log, from 1.
    pub seq: u64,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// The session's id; null for the fleet.
    pub session: Option<String>,
    /// The session's name at the time it is read.
    pub name: Option<String>,
    /// A stable word, such as `run_ended`.
    pub kind: String,
    /// A sentence.
    pub text: String,
}

/// A frame of the feed. Frames of one step share the position of its last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Frame {
    /// A line of the history.
    Event {
        /// The line.
        event: Event,
        /// The session as it is now, in live frames only.
        view: Option<Session>,
    },
    /// The cursor is older than what is kept, or not of this log: list again, then follow from here.
    Reset {
        /// The position to go on from.
        seq: u64,
    },
    /// The client was too slow and is cut off here; it can come back with its cursor.
    CutOff,
}

/// A piece of a run's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diff {
    /// The patch, or the statistics; not always UTF-8 in the repository, made so here.
    pub text: String,
    /// Whether it was cut at the limit.
    pub truncated: bool,
}

/// A claim of an agent about its own session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    /// `done`, `phase_done`, `handing_off` or `stuck`.
    pub claim: String,
    /// Its words.
    #[serde(default)]
    pub note: String,
}

/// The outcome of a self-examination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// `ok`, `warn` or `fail`.
    pub result: String,
    /// What was found, as a sentence.
    pub text: String,
    /// What to do; empty when nothing is needed.
    pub hint: String,
}
