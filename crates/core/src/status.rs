//! The word people read, derived from the facts each time it is asked for, and the reasons behind it.
//!
//! Nothing here is stored. Every reason names its source and its time, so that a status can be cross-examined.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;
use crate::playbook::gate::{self, Step};
use crate::playbook::relay::{self, PhaseRef, Rest};
use crate::session::fact::{Claim, Exit, Role, Source};
use crate::session::{Activity, Evidence, Halt, MessageState, Outcome, Run, Session, Workspace};
use crate::text::{count, moment};

/// The word for what a session is doing. Names are API and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its workspace or its first run is on the way.
    Starting,
    /// The agent is in a turn, or only its process is known and lives.
    Working,
    /// The agent waits for words.
    Idle,
    /// The agent asked the person something.
    NeedsInput,
    /// A permission dialog is up.
    Blocked,
    /// The provider asked the agent to wait.
    RateLimited,
    /// The agent says it is done; nobody has checked.
    Claimed,
    /// What it claims is checked and judged.
    Judging,
    /// It was judged, and may land.
    Mergeable,
    /// A person stopped it, or set it aside.
    Stopped,
    /// The work landed, or the agent ended by itself without an error.
    Done,
    /// It cannot go on without a person.
    Failed,
}

impl Status {
    /// Returns the word as it stands in `ls --json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Status::Starting => "starting",
            Status::Working => "working",
            Status::Idle => "idle",
            Status::NeedsInput => "needs_input",
            Status::Blocked => "blocked",
            Status::RateLimited => "rate_limited",
            Status::Claimed => "claimed",
            Status::Judging => "judging",
            Status::Mergeable => "mergeable",
            Status::Stopped => "stopped",
            Status::Done => "done",
            Status::Failed => "failed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One fact behind a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What is known, as a sentence.
    pub says: String,
    /// Who said so.
    pub source: Source,
    /// Since when.
    pub at: Timestamp,
}

/// Returns the word for what the session is doing, and what it rests on, the decisive reason first.
#[must_use]
pub fn explain(session: &Session) -> (Status, Vec<Reason>) {
    let mut reasons = Vec::new();
    let status = decisive(session, &mut reasons);
    context(session, &mut reasons);
    (status, reasons)
}

/// How long an agent that tells of its turns may be silent in one before that is shown, in milliseconds: models think for a
/// minute, and a tool at work explains itself.
const SILENT_MS: u64 = 90_000;

/// Returns since when an agent that should tell what it does has told nothing; `None` while it does, waits for somebody, or
/// has a tool at work.
#[must_use]
pub fn silent_since(session: &Session, now: Timestamp) -> Option<Timestamp> {
    let tells = session.brief.as_ref().is_some_and(|brief| brief.agent.tells_of_turns);
    let run = session.live_run().filter(|run| tells && run.tool.is_none())?;
    let in_turn = matches!(run.activity, Activity::Unknown | Activity::Working);
    let last = run.evidence.values().map(|last| last.at).max().unwrap_or(run.started_at);
    (in_turn && now >= last.plus_ms(SILENT_MS)).then_some(last)
}

/// Returns the last word of each source on the present run, from the most to the least trusted.
#[must_use]
pub fn evidence(session: &Session) -> Vec<Reason> {
    let Some(run) = session.live_run() else { return Vec::new() };
    let reason = |(source, last): (&Source, &Evidence)| Reason {
        says: last.says.clone(),
        source: *source,
        at: last.at,
    };
    let mut all: Vec<Reason> = run.evidence.iter().map(reason).collect();
    all.push(Reason { says: "Its process lives.".into(), source: Source::Process, at: run.started_at });
    all.sort_by_key(|reason| reason.source);
    all
}

/// Returns the word for what the session is doing.
#[must_use]
pub fn status(session: &Session) -> Status {
    decisive(session, &mut Vec::new())
}

fn decisive(session: &Session, reasons: &mut Vec<Reason>) -> Status {
    let mut say = |says: String, source, at| reasons.push(Reason { says, source, at });
    if let Some(outcome) = &session.outcome {
        let (status, says) = of_outcome(outcome);
        say(says, Source::Person, session.clock);
        return status;
    }
    if let Some(run) = session.live_run() {
        return of_live_run(session, run, reasons);
    }
    let stuck = ["workspace", "run", "leg", "exam", "checked", "judged"]
        .iter()
        .find_map(|kind| session.stuck_on(kind));
    if let Some(trouble) = stuck {
        say(trouble.message.clone(), Source::Oarlock, session.clock);
        return Status::Failed;
    }
    if session.halt.is_some() && session.run_wanted.is_some() {
        say("A person stopped it before its agent came up.".into(), Source::Person, session.clock);
        return Status::Stopped;
    }
    if let Some(status) = session.relay.as_ref().and_then(|relay| of_relay(session, relay, reasons)) {
        return status;
    }
    if let Some(status) = session.gate.as_ref().and_then(|gate| of_gate(session, gate, reasons)) {
        return status;
    }
    let mut say = |says: String, source, at| reasons.push(Reason { says, source, at });
    if session.run_wanted.is_some() {
        let what = if session.checkout().is_some() { "The agent" } else { "The workspace" };
        say(format!("{what} is on its way."), Source::Oarlock, session.clock);
        return Status::Starting;
    }
    match session.last_run() {
        Some(run) => of_ended_run(session, run, reasons),
        None => {
            say("No run was ever wanted.".into(), Source::Oarlock, session.clock);
            Status::Stopped
        }
    }
}

fn of_outcome(outcome: &Outcome) -> (Status, String) {
    match outcome {
        Outcome::Landed { oid, onto } => {
            (Status::Done, format!("Landed on {onto} as {}.", short(oid.as_str())))
        }
        Outcome::Rejected => (Status::Stopped, "A person rejected it.".into()),
        Outcome::Forgotten => (Status::Stopped, "A person let it go.".into()),
        Outcome::GaveUp(why) => (Status::Failed, format!("It gave up: {why}.")),
    }
}

/// A relay between two legs, or at rest.
fn of_relay(session: &Session, relay: &relay::State, reasons: &mut Vec<Reason>) -> Option<Status> {
    let at = relay.legs.last().and_then(|leg| leg.ended.as_ref()).map_or(session.clock, |(_, at)| *at);
    let mut say = |says: String, source| reasons.push(Reason { says, source, at });
    match &relay.rest {
        Some(Rest::Complete) => {
            say("All phases are claimed to be complete.".into(), Source::Hook);
            return Some(Status::Claimed);
        }
        Some(Rest::Asks(why)) => {
            say(why.clone(), Source::Oarlock);
            return Some(Status::NeedsInput);
        }
        Some(Rest::Limit(why)) => {
            say(why.clone(), Source::Oarlock);
            return Some(Status::Stopped);
        }
        None => {}
    }
    if relay.open_leg().is_some() && session.halt.is_none() {
        say("What the last leg left is looked at.".into(), Source::Oarlock);
        return Some(Status::Working);
    }
    if session.run_wanted.is_some() && session.halt.is_none() && session.clock < relay.not_before {
        if relay.is_parked {
            say("It waits for its provider's limit to end.".into(), Source::Oarlock);
            return Some(Status::RateLimited);
        }
        say("It waits before the next leg, as the last came to nothing.".into(), Source::Oarlock);
        return Some(Status::Starting);
    }
    None
}

/// A gate between two runs, or at rest.
fn of_gate(session: &Session, gate: &gate::State, reasons: &mut Vec<Reason>) -> Option<Status> {
    let mut say = |says: &str, status| {
        reasons.push(Reason { says: says.into(), source: Source::Oarlock, at: session.clock });
        Some(status)
    };
    match &gate.rest {
        Some(gate::Rest::Approved) => return say("It is approved; land it.", Status::Mergeable),
        Some(gate::Rest::Asks(why)) => return say(why, Status::NeedsInput),
        Some(gate::Rest::Limit(why)) => return say(why, Status::Stopped),
        None => {}
    }
    if session.halt.is_some() {
        return None;
    }
    if !gate.waits_for.is_empty() {
        let options = session.brief.as_ref().and_then(|brief| brief.playbook.gate())?;
        let others: Vec<&str> = options.waits_for(gate).collect();
        return say(&format!("It waits for {} to land.", others.join(", ")), Status::Starting);
    }
    session.checkout()?;
    if session.clock < gate.not_before && gate.is_parked {
        return say("It waits for a provider's limit to end.", Status::RateLimited);
    }
    match gate.step {
        Step::Build if session.clock < gate.not_before => {
            say("It waits before the next builder, as the last came to nothing.", Status::Starting)
        }
        Step::Build => None,
        Step::Examine => say("The work is looked at.", Status::Judging),
        Step::Check => say("The checks are on their way.", Status::Judging),
        Step::ReadChecks => say("What the checks said is read.", Status::Judging),
        Step::Judge => say("The overseer is on its way.", Status::Judging),
        Step::ReadVerdict => say("The verdict is read.", Status::Judging),
        Step::Queue => say("It is approved, and waits for others of its base to land.", Status::Mergeable),
        Step::Land => say("It is approved, and lands.", Status::Mergeable),
    }
}

fn of_live_run(session: &Session, run: &Run, reasons: &mut Vec<Reason>) -> Status {
    let (source, at) = run.seen;
    let (status, says) = match &run.activity {
        Activity::Unknown => (
            Status::Working,
            "Its process lives; the agent has told nothing yet, so it may be busy or idle.".to_string(),
        ),
        Activity::Working => (Status::Working, "The agent is in a turn.".into()),
        Activity::Idle => (Status::Idle, "The agent ended its turn and waits.".into()),
        Activity::Failing(class) => {
            // Words are of no use to it before the limit is over.
            let is_limit = class == "rate_limit";
            let status = if is_limit { Status::RateLimited } else { Status::NeedsInput };
            let ends = run.limited_until.filter(|_| is_limit);
            let ends = ends.map(|at| format!(" The limit ends {}.", moment(at))).unwrap_or_default();
            (status, format!("The agent's turn ended with an error: {class}.{ends}"))
        }
        Activity::Blocked(what) => (Status::Blocked, format!("A permission dialog is up: {what}.")),
        Activity::Asking(what) => (Status::NeedsInput, format!("The agent asks: {what}")),
        Activity::RateLimited(end) => {
            let until = end.map(|at| format!(" until {}", moment(at))).unwrap_or_default();
            (Status::RateLimited, format!("The provider asked the agent to wait{until}."))
        }
        Activity::Gone(why) if why.is_empty() => {
            (Status::Stopped, "The agent left; its terminal lives on.".into())
        }
        Activity::Gone(why) => (Status::Stopped, format!("The agent left ({why}); its terminal lives on.")),
    };
    reasons.push(Reason { says, source, at });
    let between_turns = matches!(run.activity, Activity::Idle | Activity::Failing(_));
    if session.relay.is_some() && between_turns && session.halt.is_none() {
        // Nobody is waited for: the leg is asked how it stands, or ended.
        let says = "Its leg ends.".into();
        reasons.insert(0, Reason { says, source: Source::Oarlock, at });
        return Status::Working;
    }
    if !run.role.hears() {
        let says = if run.role == Role::Checks { "The checks run." } else { "The overseer judges." };
        reasons.insert(0, Reason { says: says.into(), source: Source::Oarlock, at: run.started_at });
        let waits = matches!(status, Status::Blocked | Status::NeedsInput | Status::RateLimited);
        return if waits && !matches!(run.activity, Activity::Failing(_)) { status } else { Status::Judging };
    }
    if session.gate.is_some() && between_turns && session.halt.is_none() {
        let says = "The builder's run ends.".into();
        reasons.insert(0, Reason { says, source: Source::Oarlock, at });
        return Status::Working;
    }
    match (&session.claim, status) {
        (Some((Claim::Done, note, at)), Status::Idle) => {
            let says = format!("The agent claims to be done: {note}");
            reasons.insert(0, Reason { says, source: Source::Hook, at: *at });
            Status::Claimed
        }
        _ => status,
    }
}

fn of_ended_run(session: &Session, run: &Run, reasons: &mut Vec<Reason>) -> Status {
    let (exit, at) = run.ended.clone().unwrap_or((Exit::Unknown, session.clock));
    let halted = match session.halt {
        Some(Halt::Stop) => Some("A person stopped it."),
        Some(Halt::Kill) => Some("A person killed it."),
        None => None,
    };
    let (mut status, says) = match &exit {
        Exit::Code(0) => (Status::Done, String::from("The agent's process ended with exit code 0.")),
        Exit::Code(code) => (Status::Failed, format!("The agent's process ended with exit code {code}.")),
        Exit::Signal(signal) => (Status::Failed, format!("Signal {signal} ended the agent's process.")),
        Exit::NotStarted(why) => (Status::Failed, format!("The agent could not be started: {why}.")),
        Exit::Unknown => (Status::Failed, "The agent's host is gone, and how it ended is not known.".into()),
    };
    reasons.push(Reason { says, source: Source::Process, at });
    if !run.last_words.is_empty() {
        reasons.push(Reason {
            says: format!("Its last words: {}", run.last_words),
            source: Source::Screen,
            at,
        });
    }
    if let Some(halted) = halted {
        reasons.insert(0, Reason { says: halted.into(), source: Source::Person, at });
        status = Status::Stopped;
    } else if let (Status::Done, Some((Claim::Done, note, at))) = (status, &session.claim) {
        let says = format!("The agent claims to be done: {note}");
        reasons.insert(0, Reason { says, source: Source::Hook, at: *at });
        status = Status::Claimed;
    }
    status
}

/// Adds what does not decide the word but belongs to the picture.
fn context(session: &Session, reasons: &mut Vec<Reason>) {
    if let Some(says) = leg_line(session).or_else(|| round_line(session)) {
        reasons.push(Reason { says, source: Source::Oarlock, at: session.clock });
    }
    let mut say = |says: String, source, at| reasons.push(Reason { says, source, at });
    if let (Some(run), Some(halt)) = (session.live_run(), session.halt) {
        let how = if halt == Halt::Kill { "killed" } else { "stopped" };
        say(format!("Run {} is being {how}.", run.id), Source::Person, session.clock);
    }
    if let Some((work, at)) = &session.work {
        let head = short(work.head.as_str());
        say(
            format!(
                "{} ahead at {head}, {} uncommitted.",
                count(work.ahead, "commit"),
                count(work.dirty, "path")
            ),
            Source::Git,
            *at,
        );
        if let Some(branch) = &work.strayed_to {
            say(format!("The agent left its branch; it is on {branch}."), Source::Git, *at);
        }
    }
    let waiting = session.messages.iter().filter(|message| message.is_waiting()).count();
    if let Ok(waiting @ 1..) = u32::try_from(waiting) {
        say(format!("{} not typed yet.", count(waiting, "message")), Source::Oarlock, session.clock);
    }
    for message in &session.messages {
        if let MessageState::Refused(trouble) = &message.state {
            say(format!("A message was not typed: {}", trouble.message), Source::Oarlock, message.queued_at);
        }
    }
    if let Some(Err(trouble)) = session.landing.as_ref().and_then(|landing| landing.answer.as_ref()) {
        say(format!("The last landing was refused: {}", trouble.message), Source::Git, session.clock);
    }
    if let Some(parting) = &session.parting {
        let refused = parting.refused.iter().chain(&parting.undo_refused);
        for trouble in refused {
            say(trouble.message.clone(), Source::Git, session.clock);
        }
    }
    for (kind, tries) in &session.tries {
        if let (Some(trouble), Some(_)) = (&tries.trouble, tries.retry_at) {
            say(
                format!("{kind} failed and is tried again: {}", trouble.message),
                Source::Oarlock,
                session.clock,
            );
        }
        if let (Some(trouble), None, "stop") = (&tries.trouble, tries.retry_at, kind.as_str()) {
            say(format!("The run could not be stopped: {}", trouble.message), Source::Oarlock, session.clock);
        }
    }
    match &session.workspace {
        Workspace::Removed { trash: Some(trash), .. } => {
            say(format!("Its workspace is in the trash as {trash}."), Source::Git, session.clock);
        }
        Workspace::Ready(checkout) => {
            for note in &checkout.notes {
                say(note.clone(), Source::Oarlock, session.requested_at);
            }
        }
        Workspace::Wanted | Workspace::Removed { trash: None, .. } => {}
    }
}

/// Cuts an object id to the length people read.
fn short(oid: &str) -> &str {
    oid.get(..9).unwrap_or(oid)
}

/// Returns where a gate stands, in a line.
#[must_use]
pub fn round_line(session: &Session) -> Option<String> {
    let gate = session.gate.as_ref()?;
    let round = gate.round()?;
    let mut says = format!("Round {} of {}", round.number, gate.rounds_max);
    if let Some(exam) = round.exam.as_ref().filter(|exam| !exam.head.0.is_empty()) {
        says += &format!(", {} at {}", count(exam.commits, "commit"), short(exam.head.as_str()));
    }
    if let Some(checked) = &round.checked {
        let green = checked.results.iter().filter(|result| result.red.is_empty()).count();
        says += &format!(", {green} of {} green", count(u32::try_from(checked.results.len()).ok()?, "check"));
    }
    if !round.issues.is_empty() {
        says += &format!(", {} to mend", count(u32::try_from(round.issues.len()).ok()?, "issue"));
    }
    says.push('.');
    Some(says)
}

/// Returns where a relay stands, in a line.
#[must_use]
pub fn leg_line(session: &Session) -> Option<String> {
    let (relay, options) = (session.relay.as_ref()?, session.brief.as_ref()?.playbook.relay()?);
    let (leg, phases) = (relay.legs.last()?, options.plan.count());
    let number = relay.legs.len();
    let name =
        options.plan.phases.get(leg.phase.saturating_sub(1) as usize).map(PhaseRef::name).unwrap_or_default();
    let unit = &options.plan.unit;
    let mut says = format!("Leg {number} of {}, {unit} {} of {phases} ({name})", relay.legs_max, leg.phase);
    if leg.context > 0 {
        says += &format!(", {}k of {}k tokens of context", leg.context / 1_000, options.budget / 1_000);
    }
    says.push('.');
    if relay.plan_edited {
        says += " The plan's file was edited since; it is worked as it was.";
    }
    Some(says)
}
