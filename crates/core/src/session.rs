//! What is known of one session, whatever its playbook: its workspace, runs, messages, claims and outcome.
//!
//! It must not know how anything is done, only what was seen and what is wanted. What a way of working wants beyond
//! that is its playbook's.

mod answer;
mod brief;
pub mod effect;
pub mod fact;
mod fold;
mod message;
mod observation;
mod request;
mod run;
mod seen;
mod tries;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::ids::{Name, Oid, RequestId, Timestamp, TrashId};
use crate::machine::{Decision, Key, Machine, Recorded, Repeat};
use crate::playbook::{gate, relay};

pub use answer::PendingAnswer;
pub use effect::Effect;
pub use fact::{Brief, Fact};
pub use message::{Message, MessageState};
pub use request::{Refusal, Request};
pub use run::{Activity, Run};
pub use seen::{Count, Evidence, Spent};
pub use tries::Tries;

use fact::{Claim, Farewell, LandWish, Trouble, Work};

/// Runs a session may have: a person resuming by hand never comes near, a loop is stopped in time.
pub const RUNS_MAX: u32 = 1_000;
/// Ended runs remembered with the state; older ones are in the log.
pub const RUNS_KEPT: usize = 8;
/// Messages that may wait for delivery at once: beyond this the sender is told to wait.
pub const MESSAGES_WAITING_MAX: usize = 32;
/// Delivered messages remembered with the state; older ones are in the log.
pub const MESSAGES_KEPT: usize = 32;
/// Longest message, in bytes: more belongs in a file that the message names.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Longest prompt, in bytes: the scripts and plans people really pass stay far below.
pub const PROMPT_BYTES_MAX: usize = 512 * 1024;
/// Requests remembered so that a retry is the same request; a client retries within seconds.
pub const REQUESTS_KEPT: usize = 32;
/// Times a failed effect is tried again by itself before a person is asked.
pub const ATTEMPTS_MAX: u32 = 3;
/// The first wait before trying again, in milliseconds; it doubles each time.
pub const RETRY_MS: u64 = 1_000;
/// How long the next message waits for the last one to be taken up, in milliseconds: a hook reports it within 200 ms, and
/// an agent that never does is not waited for.
pub const TAKEN_WAIT_MS: u64 = 5_000;
/// Enters pressed again for a message that nothing was seen to take up: one is swallowed now and then, three in a row are not;
/// a daemon that dies may take one with it. Four are half a minute, which the next message waits.
pub const PRESSES_MAX: u32 = 4;
/// How long an agent that was told something first may show its prompt before it begins, in milliseconds: the slowest draw
/// theirs ten seconds before they are ready.
pub const PROMPT_STANDS_MS: u64 = 15_000;
/// What an agent is told that goes on with a conversation that was cut short in a turn.
pub const GO_ON: &str = "You were interrupted. Go on where you left off.";
/// How long a stopped agent may take to leave by itself, in milliseconds: agents flush transcripts in 1 to 3 s.
pub const STOP_GRACE_MS: u64 = 10_000;
/// Paths a refusal names before it says "and more".
pub const PATHS_MAX: usize = 20;

/// The session's isolated checkout, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum Workspace {
    /// Asked for, not there yet.
    #[default]
    Wanted,
    /// There.
    Ready(Checkout),
    /// In the trash, or gone with nothing to keep.
    Removed {
        /// Where and what it was.
        was: Checkout,
        /// The entry of the trash that holds it.
        trash: Option<TrashId>,
    },
}

/// A workspace's place and its points in history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Checkout {
    /// Its absolute path.
    pub path: String,
    /// The session's branch.
    pub branch: String,
    /// The branch it lands on.
    pub base_branch: String,
    /// The commit it started from.
    pub base: Oid,
    /// What setup skipped or could not do.
    pub notes: Vec<String>,
}

impl Checkout {
    /// Returns the revision from which commits ahead are counted: the branch they land on, so that what was merged from
    /// it does not count. A clone does not have that branch; there it is the commit it started from.
    #[must_use]
    pub fn counts_from(&self, kind: fact::WorkspaceKind) -> String {
        match kind {
            fact::WorkspaceKind::Worktree => format!("refs/heads/{}", self.base_branch),
            fact::WorkspaceKind::Clone => self.base.0.clone(),
        }
    }
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// On the base branch.
    Landed {
        /// The base branch's commit after it.
        oid: Oid,
        /// The base branch.
        onto: String,
    },
    /// Set aside by a person.
    Rejected,
    /// Let go.
    Forgotten,
    /// Ended by a limit of its playbook.
    GaveUp(String),
}

/// A wish that is being carried out, or was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landing {
    /// Names the landing for ever.
    pub key: Key,
    /// What exactly.
    pub wish: LandWish,
    /// The answer, once there is one.
    pub answer: Option<Result<Oid, Trouble>>,
}

/// A farewell that is being carried out, or was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parting {
    /// Position of the wish in the log: it names the removal.
    pub seq: u64,
    /// Why.
    pub why: Farewell,
    /// Why the workspace had to stay.
    pub refused: Option<Trouble>,
    /// Position of the undo wish, while the workspace is being brought back.
    pub undo: Option<u64>,
    /// Why it could not be brought back.
    pub undo_refused: Option<Trouble>,
}

/// What a person asked of the present run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Halt {
    /// Leave in good order.
    Stop,
    /// Be gone at once.
    Kill,
}

/// Everything known of one session: a fold of its facts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Default)]
pub struct Session {
    /// What was asked; `None` before the request was seen.
    pub brief: Option<Brief>,
    /// Its name.
    pub name: Name,
    /// When it was requested.
    pub requested_at: Timestamp,
    /// The stamp of the last fact: time as the core knows it.
    pub clock: Timestamp,
    /// Its workspace.
    pub workspace: Workspace,
    /// What git said last, and when.
    pub work: Option<(Work, Timestamp)>,
    /// Position of the fact after which git must be read.
    pub work_due: Option<u64>,
    /// Runs begun so far: the next run's id.
    pub runs_begun: u32,
    /// The last runs, the present one last.
    pub runs: Vec<Run>,
    /// What the next run is told first; `None` when no run is wanted.
    pub run_wanted: Option<String>,
    /// What a person asked of the present run.
    pub halt: Option<Halt>,
    /// Messages waiting and delivered, oldest first.
    pub messages: Vec<Message>,
    /// Tokens and money used by all runs.
    #[serde(default)]
    pub spent: Spent,
    /// Runs of agents that ended and told of no tokens.
    #[serde(default)]
    pub uncounted: u32,
    /// An answer on its way to the agent.
    #[serde(default)]
    pub answer: Option<PendingAnswer>,
    /// The last claim, its note, and when it was made; work begun later clears it.
    pub claim: Option<(Claim, String, Timestamp)>,
    /// The last landing.
    pub landing: Option<Landing>,
    /// The farewell.
    pub parting: Option<Parting>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// How it stands as a relay, when it is one.
    #[serde(default)]
    pub relay: Option<relay::State>,
    /// How it stands as a gate, when it is one.
    #[serde(default)]
    pub gate: Option<gate::State>,
    /// Attempts at effects that can fail, by kind (`workspace`, `run`, `stop`).
    pub tries: BTreeMap<String, Tries>,
    /// Requests already admitted, newest last, with the position of their fact.
    pub requests: VecDeque<(RequestId, u64)>,
}

impl Session {
    /// Returns the run that has begun and not ended.
    #[must_use]
    pub fn live_run(&self) -> Option<&Run> {
        self.runs.last().filter(|run| run.ended.is_none())
    }

    /// Returns the last run, live or ended.
    #[must_use]
    pub fn last_run(&self) -> Option<&Run> {
        self.runs.last()
    }

    /// Returns the workspace while it is there.
    #[must_use]
    pub fn checkout(&self) -> Option<&Checkout> {
        match &self.workspace {
            Workspace::Ready(checkout) => Some(checkout),
            Workspace::Wanted | Workspace::Removed { .. } => None,
        }
    }

    /// Returns where the workspace is or was.
    #[must_use]
    pub fn place(&self) -> Option<&Checkout> {
        match &self.workspace {
            Workspace::Ready(checkout) | Workspace::Removed { was: checkout, .. } => {
                Some(checkout).filter(|checkout| !checkout.path.is_empty())
            }
            Workspace::Wanted => None,
        }
    }

    /// Tells whether a farewell was wished and not undone.
    #[must_use]
    pub fn is_parting(&self) -> bool {
        self.parting.as_ref().is_some_and(|parting| parting.undo.is_none())
    }

    /// Tells whether the session is off the list: forgotten or removed.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.parting.as_ref().is_some_and(|parting| {
            matches!(parting.why, Farewell::Removed | Farewell::Forgotten)
                && parting.undo.is_none()
                && parting.refused.is_none()
        })
    }

    /// Tells whether a person took it off the list for good, so that not even a list of all shows it.
    #[must_use]
    pub fn is_off_the_list(&self) -> bool {
        self.is_hidden() && self.parting.as_ref().is_some_and(|parting| parting.why == Farewell::Removed)
    }

    /// Tells whether a name, a path and a port block are still held by it, or again.
    #[must_use]
    pub fn holds_place(&self) -> bool {
        let there = !matches!(self.workspace, Workspace::Removed { .. });
        self.brief.is_some() && (there || self.is_returning())
    }

    /// Tells whether its workspace is being brought back.
    #[must_use]
    pub fn is_returning(&self) -> bool {
        self.parting.as_ref().is_some_and(|parting| parting.undo.is_some() && parting.undo_refused.is_none())
    }

    /// Returns the landing that waits for its answer.
    #[must_use]
    pub fn open_landing(&self) -> Option<&Landing> {
        self.landing.as_ref().filter(|landing| landing.answer.is_none())
    }

    /// Returns the position of the fact that a request became, if it was admitted before.
    #[must_use]
    pub fn answered(&self, request: &RequestId) -> Option<u64> {
        self.requests.iter().find(|(known, _)| known == request).map(|(_, seq)| *seq)
    }

    /// Tells whether other sessions have to land before it begins.
    #[must_use]
    pub fn waits_for_others(&self) -> bool {
        self.gate.as_ref().is_some_and(|gate| !gate.waits_for.is_empty())
    }

    /// Wants the workspace, under a new key for each attempt.
    fn decide_workspace(&self, brief: &Brief, decision: &mut Decision<Effect>) {
        if let Some(attempt) = self.attempt("workspace") {
            decision.want(format!("workspace/{attempt}"), Effect::PrepareWorkspace { brief: brief.clone() });
        } else if let Some(at) = self.due("workspace") {
            decision.wake_at(at, "retry workspace");
        }
    }

    /// Wants the present run gone, by what was asked last and strongest.
    fn decide_halt(&self, run: &Run, decision: &mut Decision<Effect>) {
        // A run may come up after the session was over.
        let over = self.is_parting() || self.outcome.is_some();
        match self.halt {
            Some(Halt::Kill) => self.decide_end(run, "kill", 0, decision),
            Some(Halt::Stop) => self.decide_stop(run, decision),
            None if over => self.decide_stop(run, decision),
            None => {}
        }
    }

    /// Wants a run to leave.
    pub(crate) fn decide_stop(&self, run: &Run, decision: &mut Decision<Effect>) {
        self.decide_end(run, "leave", STOP_GRACE_MS, decision);
    }

    fn decide_end(&self, run: &Run, how: &str, grace_ms: u64, decision: &mut Decision<Effect>) {
        if let Some(attempt) = self.attempt("stop") {
            decision
                .want(format!("stop/{}/{how}/{attempt}", run.id), Effect::StopRun { run: run.id, grace_ms });
        } else if let Some(at) = self.due("stop") {
            decision.wake_at(at, "retry stop");
        }
    }

    /// Wants the workspace in the trash once nothing runs in it.
    fn decide_parting(&self, brief: &Brief, decision: &mut Decision<Effect>) {
        let Some(parting) = &self.parting else { return };
        if parting.refused.is_some() || parting.undo.is_some() || self.live_run().is_some() {
            return;
        }
        let (path, branch) = match &self.workspace {
            Workspace::Ready(checkout) => (checkout.path.clone(), checkout.branch.clone()),
            // An attempt to make it may have left a part of it.
            Workspace::Wanted => (String::new(), brief.branch.clone()),
            Workspace::Removed { .. } => return,
        };
        let Some(key) = self.next_key("remove", &format!("{}", parting.seq), decision) else { return };
        let (brief, trash, why) = (brief.clone(), Self::trash_id(&path, parting), parting.why);
        decision.want(key, Effect::RemoveWorkspace { brief, workspace: path, branch, trash, why });
    }

    /// Returns the entry of the trash that a farewell fills: the same one at every attempt.
    fn trash_id(path: &str, parting: &Parting) -> TrashId {
        let place = if path.is_empty() { "workspace" } else { last_segment(path) };
        TrashId(format!("{place}-{}", parting.seq))
    }

    /// Wants the workspace back from the trash.
    fn decide_undo(&self, brief: &Brief, decision: &mut Decision<Effect>) {
        let Workspace::Removed { was, trash: Some(trash) } = &self.workspace else { return };
        let Some(parting) = &self.parting else { return };
        let (Some(undo), None) = (parting.undo, &parting.undo_refused) else { return };
        let Some(key) = self.next_key("undo", &format!("{undo}"), decision) else { return };
        decision.want(
            key,
            Effect::RestoreWorkspace {
                brief: brief.clone(),
                workspace: was.path.clone(),
                branch: was.branch.clone(),
                base_branch: was.base_branch.clone(),
                trash: trash.clone(),
            },
        );
    }

    /// Wants the answered-for landing carried out.
    fn decide_landing(&self, brief: &Brief, checkout: &Checkout, decision: &mut Decision<Effect>) {
        let Some(landing) = self.open_landing() else { return };
        decision.want(
            landing.key.0.clone(),
            Effect::Land {
                brief: brief.clone(),
                workspace: checkout.path.clone(),
                branch: checkout.branch.clone(),
                base_branch: checkout.base_branch.clone(),
                name: self.name.0.clone(),
                wish: landing.wish.clone(),
            },
        );
    }

    /// Wants git read after what may have changed it.
    fn decide_work(&self, brief: &Brief, checkout: &Checkout, decision: &mut Decision<Effect>) {
        // A gate looks at the work when it is claimed, and not as git is configured in the builder's own clone.
        let Some(due) = self.work_due.filter(|_| brief.playbook.gate().is_none()) else { return };
        decision.want(
            format!("work/{due}"),
            Effect::ReadWork {
                workspace: checkout.path.clone(),
                base: checkout.counts_from(brief.workspace),
                branch: checkout.branch.clone(),
            },
        );
    }
}

/// Returns the last part of a path, which is unique to the session.
fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Machine for Session {
    type State = Session;
    type Request = Request;
    type Refusal = Refusal;
    type Fact = Fact;
    type Effect = Effect;

    fn admit(state: &Session, request: Request) -> Result<Fact, Refusal> {
        request::admit(state, request)
    }

    fn fold(state: &mut Session, recorded: &Recorded<Fact>) {
        fold::fold(state, recorded);
        if state.brief.as_ref().is_some_and(|brief| brief.playbook.relay().is_some()) {
            relay::fold(state, recorded);
        }
        gate::fold(state, recorded);
    }

    fn decide(session: &Session) -> Decision<Effect> {
        let mut decision = Decision::nothing();
        let Some(brief) = &session.brief else { return decision };
        if let Some(run) = session.live_run() {
            session.decide_halt(run, &mut decision);
            if let Some(since) = run.prompt_since.filter(|_| run.activity == Activity::Unknown) {
                decision.wake_at(since.plus_ms(PROMPT_STANDS_MS), "the first turn");
            }
        }
        session.decide_undo(brief, &mut decision);
        if session.is_parting() {
            session.decide_parting(brief, &mut decision);
            return decision;
        }
        match session.checkout() {
            // It begins from what the sessions landed that it waits for.
            None if session.waits_for_others() => {}
            None if session.outcome.is_none() && session.workspace == Workspace::Wanted => {
                session.decide_workspace(brief, &mut decision);
            }
            None => {}
            Some(checkout) => {
                session.decide_work(brief, checkout, &mut decision);
                session.decide_landing(brief, checkout, &mut decision);
                session.decide_answer(&mut decision);
                session.decide_messages(&mut decision);
                if session.outcome.is_none() {
                    brief.playbook.decide(session, brief, checkout, &mut decision);
                }
            }
        }
        decision
    }

    fn repeat(effect: &Effect) -> Repeat {
        effect.repeat()
    }

    fn waits_for(effect: &Effect, in_flight: &Key) -> bool {
        effect.waits_for(in_flight)
    }

    fn lost(key: Key) -> Fact {
        Fact::EffectLost { key }
    }

    fn woke(why: String) -> Fact {
        Fact::Woke { why }
    }
}
