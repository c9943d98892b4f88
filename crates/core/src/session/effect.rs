//! What a session can want of the world. Performing belongs to others; here they are names and data.

use alloc::string::String;

use crate::ids::{MessageId, RunId, TrashId};
use crate::machine::{Key, Repeat};
use crate::playbook::gate::{Examine, GateBrief, ReadVerdict};
use crate::playbook::relay::{Ask, Close, LegBrief};

use super::fact::{Answer, Author, Brief, Farewell, LandWish, Role};

/// A wanted act, with everything needed to perform it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make the workspace, or adopt what an earlier attempt left.
    PrepareWorkspace {
        /// What was asked.
        brief: Brief,
    },
    /// Start a run's host, or adopt the one that is there.
    StartRun {
        /// Which run.
        run: RunId,
        /// What it is for.
        role: Role,
        /// What was asked.
        brief: Brief,
        /// The workspace's path.
        workspace: String,
        /// What the agent is told first; empty for nothing.
        prompt: String,
        /// The conversation to go on with, when there is one.
        conversation: Option<String>,
        /// Whether an earlier run worked on the brief: without its conversation, this one needs to be told of it.
        again: bool,
        /// What the leg is told, when it is one of a relay's.
        leg: Option<LegBrief>,
        /// What it is for and what it is told, when it is one of a gate's.
        gate: Option<GateBrief>,
    },
    /// Ask the agent of a leg for its handover or its claim.
    Ask {
        /// Which run.
        run: RunId,
        /// What.
        ask: Ask,
        /// Whether a turn may be under way.
        mid_turn: bool,
    },
    /// Look at what a leg left.
    CloseLeg(Close),
    /// Look at what a builder claims to be done, and make what would land of it.
    Examine(Examine),
    /// Read what the checks said.
    ReadChecks {
        /// The run that they were run in.
        run: RunId,
    },
    /// Read what an overseer left.
    ReadVerdict(ReadVerdict),
    /// End a run. Its end is told in answer, or by whoever watches the processes, also when there never was such a run:
    /// its start may have been cut short.
    StopRun {
        /// Which run.
        run: RunId,
        /// How long it may take to leave by itself, in milliseconds; 0 kills at once.
        grace_ms: u64,
    },
    /// Give a message to the run's host, which types it.
    Deliver {
        /// Which run.
        run: RunId,
        /// Which message.
        message: MessageId,
        /// Who wrote it.
        author: Author,
        /// Its text.
        text: String,
        /// Whether a turn may be under way.
        mid_turn: bool,
    },
    /// Press Enter once more for a message that was typed whole and that nothing was seen to take up: some interfaces
    /// swallow an Enter after a paste. The host presses each only once.
    Press {
        /// Which run.
        run: RunId,
        /// Which message.
        message: MessageId,
        /// Counted from 1.
        number: u32,
    },
    /// Interrupt the turn under way, for a message that is not to wait for its end. The host does it only once.
    Interrupt {
        /// Which run.
        run: RunId,
        /// Which message.
        message: MessageId,
    },
    /// Give an answer to what the agent asked. The host gives it only once.
    Answer {
        /// Which run.
        run: RunId,
        /// Position of the wish in the log: it names the answer.
        given: u64,
        /// The question, when it has a name.
        ask: Option<String>,
        /// The answer.
        answer: Answer,
    },
    /// Ask the host whether a message in doubt was typed.
    SeekReceipt {
        /// Which run.
        run: RunId,
        /// Which message.
        message: MessageId,
    },
    /// Read what git says of the workspace.
    ReadWork {
        /// The workspace's path.
        workspace: String,
        /// The commit it started from.
        base: String,
        /// The branch it should be on.
        branch: String,
    },
    /// Put the work on the base branch.
    Land {
        /// What was asked.
        brief: Brief,
        /// The workspace's path.
        workspace: String,
        /// The branch to land.
        branch: String,
        /// The branch to land on.
        base_branch: String,
        /// The session's name, for the message.
        name: String,
        /// What exactly.
        wish: LandWish,
    },
    /// Keep everything in the trash, then take the workspace away.
    RemoveWorkspace {
        /// What was asked.
        brief: Brief,
        /// The workspace's path; empty when it was never reported ready, so that only what an unfinished attempt to
        /// make the session's workspace left can be there.
        workspace: String,
        /// The branch it is on.
        branch: String,
        /// The entry of the trash to keep it under.
        trash: TrashId,
        /// Why.
        why: Farewell,
    },
    /// Bring the workspace back from the trash.
    RestoreWorkspace {
        /// What was asked.
        brief: Brief,
        /// The workspace's path; empty as in [`Effect::RemoveWorkspace`].
        workspace: String,
        /// The branch it was on.
        branch: String,
        /// The branch it lands on.
        base_branch: String,
        /// The entry of the trash.
        trash: TrashId,
    },
}

impl Effect {
    /// Tells whether a second attempt is harmless.
    #[must_use]
    pub fn repeat(&self) -> Repeat {
        match self {
            // Typing twice is saying it twice; an Enter or an Escape too many meets what came since.
            Effect::Deliver { .. } | Effect::Press { .. } | Effect::Interrupt { .. } | Effect::Ask { .. } => {
                Repeat::Never
            }
            Effect::PrepareWorkspace { .. }
            | Effect::StartRun { .. }
            | Effect::StopRun { .. }
            | Effect::Answer { .. }
            | Effect::SeekReceipt { .. }
            | Effect::ReadWork { .. }
            | Effect::CloseLeg(_)
            | Effect::Examine(_)
            | Effect::ReadChecks { .. }
            | Effect::ReadVerdict(_)
            | Effect::Land { .. }
            | Effect::RemoveWorkspace { .. }
            | Effect::RestoreWorkspace { .. } => Repeat::Safe,
        }
    }

    /// Tells whether it must wait while another effect of its session is in flight.
    pub(super) fn waits_for(&self, in_flight: &Key) -> bool {
        match self {
            // Nothing may work in a workspace that is being made, taken away or brought back.
            Effect::PrepareWorkspace { .. }
            | Effect::RemoveWorkspace { .. }
            | Effect::RestoreWorkspace { .. } => true,
            Effect::StartRun { .. } => matches!(in_flight.kind(), "run" | "workspace" | "remove" | "undo"),
            // A stop that overtakes the start finds nothing to stop.
            Effect::StopRun { .. } => in_flight.kind() == "run",
            // Two hands at one keyboard would mix, and another delivery may still tell that it typed the same message, into
            // an earlier run.
            Effect::Deliver { .. }
            | Effect::Press { .. }
            | Effect::Interrupt { .. }
            | Effect::Ask { .. }
            | Effect::Answer { .. } => {
                matches!(in_flight.kind(), "message" | "press" | "interrupt" | "answer" | "ask")
            }
            // The next leg is told what the last one left.
            Effect::CloseLeg(_) | Effect::Examine(_) | Effect::ReadChecks { .. } | Effect::ReadVerdict(_) => {
                matches!(in_flight.kind(), "run" | "stop")
            }
            Effect::SeekReceipt { .. } | Effect::ReadWork { .. } | Effect::Land { .. } => false,
        }
    }
}
