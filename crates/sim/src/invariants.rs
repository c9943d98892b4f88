//! What always holds, one named function each: together they are the specification of the machine.
//!
//! Each looks at a [`View`] taken after a step, and says in a sentence what it found broken. They must not change
//! anything, nor know how the step was chosen.

use std::collections::{BTreeMap, BTreeSet};

use oarlock_core::crew::{Crew, Line};
use oarlock_core::ids::{SessionId, Timestamp};
use oarlock_core::machine::{Entry, Key, Machine, SETTLED_MAX, Scope};
use oarlock_core::session::fact::Fact;
use oarlock_core::session::{
    Effect, MESSAGES_KEPT, MessageState, Outcome, REQUESTS_KEPT, RUNS_KEPT, Session, Workspace,
};
use oarlock_core::status::{Status, status};
use oarlock_engine::{Job, Lane, QUICK_MAX, SLOW_MAX, Stamped};

use crate::world::World;

mod gates;
mod messages;
mod relays;

use gates::{
    a_gate_keeps_its_limits, a_gate_names_what_it_lands, an_approved_gate_lands, nothing_lands_unjudged,
    one_has_the_turn_to_land,
};
use messages::{
    an_answer_is_given_once, an_enter_answers_no_dialog, never_handed_to_a_blocked_agent,
    never_typed_into_an_ended_run, never_typed_twice, nothing_is_typed_over_what_stands,
};
use relays::{a_leg_is_asked_once, a_relay_keeps_its_limits, no_phase_is_worked_again};

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The position it was answered with; `None` when it was refused.
    pub seq: Option<u64>,
    /// Whether the answer says that it was admitted before.
    pub before: bool,
    /// The position the same request was answered with earlier.
    pub earlier: Option<u64>,
}

/// How a fair world without faults came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Whether it did within the limit of steps.
    pub reached: bool,
}

/// Everything there is to see after one step.
pub struct View<'a> {
    /// The engine's state.
    pub live: &'a Crew,
    /// The fold of what the store holds.
    pub replayed: &'a Crew,
    /// The outside.
    pub world: &'a World,
    /// The last position before the step, and after it as the engine says.
    pub head: (u64, u64),
    /// The stamp of the last line before the step.
    pub stamped: Timestamp,
    /// Lines the store took in this step.
    pub lines: &'a [Stamped],
    /// Jobs handed out in this step.
    pub handed: &'a [Job],
    /// Jobs handed out before and not settled.
    pub in_hand: &'a [&'a Job],
    /// Every effect that ever came back, also what the state has forgotten.
    pub settled: &'a BTreeSet<(SessionId, Key)>,
    /// Answers of this step.
    pub replies: &'a [Reply],
    /// How many landings there were before the step.
    pub landings_before: usize,
    /// Whether the daemon was started in this step.
    pub restarted: bool,
    /// Set once the world was fair for long enough.
    pub rest: Option<Rest>,
    /// Finds a session by its name.
    pub find: &'a dyn Fn(&str) -> Option<SessionId>,
    /// Writes a snapshot.
    pub write: &'a dyn Fn(&Scope<Session>) -> serde_json::Result<String>,
}

/// One invariant: `Err` says what is broken.
pub type Invariant = fn(&View<'_>) -> Result<(), String>;

macro_rules! named {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as Invariant)),*] };
}

/// Every invariant with its name.
pub const ALL: &[(&str, Invariant)] = named![
    seq_has_no_gaps,
    stamps_never_go_back,
    replay_equals_live,
    a_restart_reaches_the_same_state,
    a_snapshot_reads_back_the_same,
    one_landing_per_key,
    one_landing_per_session,
    nothing_lands_after_it_was_let_go,
    never_typed_twice,
    never_handed_to_a_blocked_agent,
    nothing_is_typed_over_what_stands,
    never_typed_into_an_ended_run,
    an_enter_answers_no_dialog,
    an_answer_is_given_once,
    a_leg_is_asked_once,
    no_phase_is_worked_again,
    a_relay_keeps_its_limits,
    nothing_lands_unjudged,
    a_gate_names_what_it_lands,
    a_gate_keeps_its_limits,
    one_has_the_turn_to_land,
    an_approved_gate_lands,
    one_live_run_per_session,
    run_ids_are_never_reused,
    settled_is_never_performed_again,
    a_state_does_not_grow_with_its_past,
    no_job_is_handed_out_twice_at_once,
    what_moves_a_workspace_works_alone,
    lanes_hold,
    a_workspace_is_never_removed_under_a_run,
    a_removal_leaves_trash,
    undo_brings_back_exactly_that_trash,
    nothing_is_lost,
    a_refused_request_leaves_no_trace,
    a_repeated_request_is_answered_the_same,
    ports_are_leased_once,
    a_name_never_means_two_sessions,
    a_fair_world_comes_to_rest,
    every_session_rests_well,
    no_message_waits_for_nothing,
    the_state_agrees_with_the_world,
];

/// Returns the name of the first invariant broken and what it says; `only` looks at that one alone.
///
/// # Errors
/// The name and the sentence.
pub fn check(view: &View<'_>, only: Option<&str>) -> Result<(), (&'static str, String)> {
    for (name, invariant) in ALL {
        if only.is_none_or(|only| only == *name) {
            invariant(view).map_err(|says| (*name, says))?;
        }
    }
    Ok(())
}

fn ensure(holds: bool, says: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(says()) }
}

fn state<'a>(view: &View<'a>, id: &SessionId) -> Option<&'a Session> {
    view.live.sessions.get(id).map(|scope| &scope.state)
}

fn facts<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a SessionId, &'a Fact)> {
    view.lines.iter().filter_map(|stamped| match &stamped.line {
        Line::Session(id, Entry::Fact(fact)) => Some((id, fact)),
        Line::Session(_, Entry::Started(_) | Entry::Settled(_)) | Line::Fleet(_) => None,
    })
}

/// Lines of the log are numbered without gaps, and the engine knows the last number.
pub fn seq_has_no_gaps(view: &View<'_>) -> Result<(), String> {
    let (before, head) = view.head;
    for (stamped, seq) in view.lines.iter().zip(before + 1..) {
        ensure(stamped.seq == seq, || format!("line {} stands where {seq} belongs", stamped.seq))?;
    }
    let last = view.lines.last().map_or(before, |stamped| stamped.seq);
    ensure(last == head, || format!("the engine is at {head}, the log at {last}"))
}

/// Time as the log tells it never goes back, whatever the wall clock does.
pub fn stamps_never_go_back(view: &View<'_>) -> Result<(), String> {
    let stamps = view.lines.iter().map(|stamped| stamped.at);
    let earlier = std::iter::once(view.stamped).chain(stamps.clone());
    let back = earlier.zip(stamps).find(|(before, after)| after < before);
    ensure(back.is_none(), || format!("a line is stamped before the one before it: {back:?}"))
}

/// Folding the log gives the state the engine holds.
pub fn replay_equals_live(view: &View<'_>) -> Result<(), String> {
    same_crew(view.live, view.replayed)
}

/// A daemon that starts from the log is where the last one was, but for the lines it added to recover.
pub fn a_restart_reaches_the_same_state(view: &View<'_>) -> Result<(), String> {
    if view.restarted { same_crew(view.live, view.replayed) } else { Ok(()) }
}

fn same_crew(live: &Crew, replayed: &Crew) -> Result<(), String> {
    for (id, scope) in &live.sessions {
        let other = replayed.sessions.get(id);
        ensure(other == Some(scope), || format!("{id}: live {scope:?}\nreplayed {other:?}"))?;
    }
    ensure(live == replayed, || "the fleet or the set of sessions differs".into())
}

/// A state written as a snapshot and read again is the same state.
pub fn a_snapshot_reads_back_the_same(view: &View<'_>) -> Result<(), String> {
    if !view.restarted {
        return Ok(());
    }
    for (id, scope) in &view.live.sessions {
        let text = (view.write)(scope).map_err(|error| format!("{id} cannot be written: {error}"))?;
        let read: Scope<Session> =
            serde_json::from_str(&text).map_err(|error| format!("{id} cannot be read: {error}"))?;
        ensure(read == *scope, || format!("{id} reads back differently"))?;
    }
    Ok(())
}

/// A landing key merges at most once.
pub fn one_landing_per_key(view: &View<'_>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    view.world.landings.iter().try_for_each(|landing| {
        ensure(seen.insert(landing), || format!("{} {} merged twice", landing.0, landing.1))
    })
}

/// A session merges at most once.
pub fn one_landing_per_session(view: &View<'_>) -> Result<(), String> {
    let mut seen: BTreeMap<&SessionId, &Key> = BTreeMap::new();
    view.world.landings.iter().try_for_each(|(id, key)| {
        let earlier = seen.insert(id, key).filter(|earlier| *earlier != key);
        ensure(earlier.is_none(), || format!("{id} merged as {key} and as {earlier:?}"))
    })
}

/// A session that was rejected, forgotten or taken off the list does not land.
pub fn nothing_lands_after_it_was_let_go(view: &View<'_>) -> Result<(), String> {
    view.world.landings.iter().skip(view.landings_before).try_for_each(|(id, key)| {
        let let_go = state(view, id).is_some_and(|session| {
            matches!(session.outcome, Some(Outcome::Rejected | Outcome::Forgotten)) || session.is_parting()
        });
        ensure(!let_go, || format!("{id} was let go and merged as {key}"))
    })
}

/// Two agents never work in one session at the same time.
pub fn one_live_run_per_session(view: &View<'_>) -> Result<(), String> {
    let mut alive = BTreeMap::new();
    let hosts = view.world.hosts.iter().filter(|(_, host)| host.is_alive());
    for ((id, run), _) in hosts {
        let other = alive.insert(id, run);
        ensure(other.is_none(), || format!("{id}: runs {other:?} and {run} live at once"))?;
    }
    Ok(())
}

/// A run's process is started at most once, and runs are numbered in the order they began.
pub fn run_ids_are_never_reused(view: &View<'_>) -> Result<(), String> {
    for (id, scope) in &view.live.sessions {
        let numbers = scope.state.runs.iter().map(|run| run.id.0);
        let expected = scope.state.runs_begun.saturating_sub(scope.state.runs.len() as u32)..;
        let in_order = numbers.clone().eq(expected.take(scope.state.runs.len()));
        ensure(in_order, || format!("{id}: runs {:?} began", numbers.collect::<Vec<_>>()))?;
    }
    let mut seen = BTreeSet::new();
    view.world.starts.iter().try_for_each(|start| {
        ensure(seen.insert(start), || format!("{} run {} was started twice", start.0, start.1))
    })
}

/// An effect that came back is never handed out again, though the state forgets it in time.
pub fn settled_is_never_performed_again(view: &View<'_>) -> Result<(), String> {
    view.handed.iter().try_for_each(|job| {
        let again = view.settled.contains(&(job.session.clone(), job.key.clone()));
        ensure(!again, || format!("{} {} was settled already", job.session, job.key))
    })
}

/// What a state remembers of its past is bounded: runs, requests, messages that need nothing more, effects that came back
/// and are not wanted.
pub fn a_state_does_not_grow_with_its_past(view: &View<'_>) -> Result<(), String> {
    for (id, scope) in &view.live.sessions {
        let session = &scope.state;
        let over = session.messages.iter().filter(|message| !message.is_waiting()).count();
        ensure(session.runs.len() <= RUNS_KEPT, || format!("{id} keeps {} runs", session.runs.len()))?;
        ensure(session.requests.len() <= REQUESTS_KEPT, || format!("{id} keeps {:?}", session.requests))?;
        ensure(over <= MESSAGES_KEPT, || format!("{id} keeps {over} messages that are over"))?;
        if scope.settled.len() > SETTLED_MAX {
            let wanted = Session::decide(session).effects;
            let past = scope.settled.iter().find(|key| !wanted.contains_key(key));
            ensure(past.is_none(), || format!("{id} keeps {past:?}, which nothing wants"))?;
        }
    }
    Ok(())
}

/// A job is in one pair of hands.
pub fn no_job_is_handed_out_twice_at_once(view: &View<'_>) -> Result<(), String> {
    let mut seen: BTreeSet<_> = view.in_hand.iter().map(|job| (&job.session, &job.key)).collect();
    view.handed.iter().try_for_each(|job| {
        ensure(seen.insert((&job.session, &job.key)), || format!("{} {} is in hand", job.session, job.key))
    })
}

/// Making, taking away and bringing back a workspace never overlaps with anything else in its session but a stop, nor
/// one start of a run with another.
pub fn what_moves_a_workspace_works_alone(view: &View<'_>) -> Result<(), String> {
    let moves = |job: &Job| {
        matches!(
            job.effect,
            Effect::PrepareWorkspace { .. }
                | Effect::RemoveWorkspace { .. }
                | Effect::RestoreWorkspace { .. }
        )
    };
    let starts = |job: &Job| matches!(job.effect, Effect::StartRun { .. });
    let works = |job: &&Job| !matches!(job.effect, Effect::StopRun { .. });
    let all: Vec<&Job> = view.in_hand.iter().copied().chain(view.handed).filter(works).collect();
    for job in view.handed.iter().filter(works) {
        let clash = all.iter().find(|other| {
            other.session == job.session
                && other.key != job.key
                && (moves(job) || moves(other) || (starts(job) && starts(other)))
        });
        ensure(clash.is_none(), || {
            format!("{}: {} beside {:?}", job.session, job.key, clash.map(|job| &job.key))
        })?;
    }
    Ok(())
}

/// No more effects are performed at once than their lanes allow.
pub fn lanes_hold(view: &View<'_>) -> Result<(), String> {
    let count =
        |lane| view.in_hand.iter().copied().chain(view.handed).filter(|job| job.lane() == lane).count();
    let (slow, quick) = (count(Lane::Slow), count(Lane::Quick));
    ensure(slow <= SLOW_MAX && quick <= QUICK_MAX, || format!("{slow} slow and {quick} quick at once"))
}

/// A workspace is not taken away while an agent works in it.
pub fn a_workspace_is_never_removed_under_a_run(view: &View<'_>) -> Result<(), String> {
    let removed = view.world.removed_under_a_run.first();
    ensure(removed.is_none(), || format!("{removed:?} went while an agent worked in it"))
}

/// What was taken away is in the trash under the name the session knows, unless there was nothing.
pub fn a_removal_leaves_trash(view: &View<'_>) -> Result<(), String> {
    facts(view).try_for_each(|(id, fact)| {
        let Fact::WorkspaceRemoved { trash, .. } = fact else { return Ok(()) };
        let made = view.world.made.iter().rev().find(|tree| tree.session == *id);
        let there = made.filter(|tree| !view.world.vanished.contains(&tree.content));
        let kept = trash.as_ref().and_then(|trash| view.world.trash.get(trash));
        ensure(kept == there, || format!("{id}: {there:?} was there, {kept:?} is kept as {trash:?}"))
    })
}

/// Undo brings back what the farewell took, and nothing else.
pub fn undo_brings_back_exactly_that_trash(view: &View<'_>) -> Result<(), String> {
    view.world.restored.iter().try_for_each(|(wanted, got)| {
        ensure(*got == Some(*wanted), || format!("{got:?} came back instead of {wanted}"))
    })
}

/// Every workspace ever made is on disk or in the trash, unless the user deleted it by hand.
pub fn nothing_is_lost(view: &View<'_>) -> Result<(), String> {
    let world = view.world;
    let found: BTreeSet<u64> = world.trees.values().chain(world.trash.values()).map(|t| t.content).collect();
    world.made.iter().try_for_each(|tree| {
        let safe = found.contains(&tree.content) || world.vanished.contains(&tree.content);
        ensure(safe, || format!("{}: content {} is nowhere", tree.session, tree.content))
    })
}

/// A refused request appends nothing.
pub fn a_refused_request_leaves_no_trace(view: &View<'_>) -> Result<(), String> {
    let refused = !view.replies.is_empty() && view.replies.iter().all(|reply| reply.seq.is_none());
    // Deadlines that were due and effects that found room are not of the request's making.
    let trace = view.lines.iter().find(|stamped| {
        !matches!(stamped.line, Line::Session(_, Entry::Fact(Fact::Woke { .. }) | Entry::Started(_)))
    });
    ensure(!refused || trace.is_none(), || format!("a refusal appended {trace:?}"))
}

/// A request that comes again is the same request, with the same answer.
pub fn a_repeated_request_is_answered_the_same(view: &View<'_>) -> Result<(), String> {
    view.replies.iter().try_for_each(|reply| {
        let same = reply.earlier.is_none() || (reply.earlier == reply.seq && reply.before);
        ensure(same, || format!("a retry got {reply:?}"))
    })
}

/// No two sessions that hold a workspace hold the same ports.
pub fn ports_are_leased_once(view: &View<'_>) -> Result<(), String> {
    let mut held = BTreeMap::new();
    for (id, scope) in view.live.sessions.iter().filter(|(_, scope)| scope.state.holds_place()) {
        let Some(brief) = &scope.state.brief else { continue };
        let other = held.insert(brief.ports.first, id);
        ensure(other.is_none(), || format!("{id} and {other:?} hold port {}", brief.ports.first))?;
    }
    Ok(())
}

/// A name that two sessions on the list bear finds neither of them.
pub fn a_name_never_means_two_sessions(view: &View<'_>) -> Result<(), String> {
    let mut bearers: BTreeMap<&str, u32> = BTreeMap::new();
    let listed = view.live.sessions.values().filter(|scope| !scope.state.is_hidden());
    for scope in listed {
        *bearers.entry(scope.state.name.as_str()).or_default() += 1;
    }
    bearers.iter().filter(|(_, count)| **count > 1).try_for_each(|(name, _)| {
        let found = (view.find)(name);
        ensure(found.is_none(), || format!("{name} is borne by two and finds {found:?}"))
    })
}

/// A fair world comes to rest within a bounded number of steps.
pub fn a_fair_world_comes_to_rest(view: &View<'_>) -> Result<(), String> {
    let reached = view.rest.is_none_or(|rest| rest.reached);
    ensure(reached, || "there is always something more to do".into())
}

/// At rest, every session has an outcome and is carried out to the end, or waits on a live run, or for a person.
pub fn every_session_rests_well(view: &View<'_>) -> Result<(), String> {
    if view.rest.is_none() {
        return Ok(());
    }
    for (id, scope) in &view.live.sessions {
        let session = &scope.state;
        let decision = scope.runnable(&BTreeSet::new());
        ensure(decision.effects.is_empty(), || format!("{id} wants {:?}", decision.effects.keys()))?;
        ensure(decision.wake.is_none(), || format!("{id} waits for {:?}", decision.wake))?;
        // What waits for another starts when that one lands.
        let others = session.gate.iter().flat_map(|gate| &gate.waits_for);
        let waits = others.map(|other| view.live.sessions.get(other)).any(|other| {
            other.is_some_and(|other| other.state.outcome.is_none() && !other.state.is_hidden())
        });
        ensure(waits || status(session) != Status::Starting, || {
            format!("{id} starts for ever: {session:?}")
        })?;
        ensure(session.open_landing().is_none(), || format!("{id} lands for ever"))?;
        // A stop that failed for good is for a person to repeat.
        let unstoppable = session.stuck_on("stop").is_some();
        let unwanted = session.halt.is_some() || session.outcome.is_some();
        let lingers = session.live_run().is_some() && unwanted && !unstoppable;
        ensure(!lingers, || format!("{id}: a run that nobody wants lives on"))?;
        if let Some(parting) = &session.parting {
            let gone = matches!(session.workspace, Workspace::Removed { .. });
            let answered = match parting.undo {
                None => gone || parting.refused.is_some() || unstoppable,
                Some(_) => parting.undo_refused.is_some(),
            };
            ensure(answered, || format!("{id}: a farewell or its undo never ends: {session:?}"))?;
        }
    }
    Ok(())
}

/// At rest, no message waits while a run would take it, and none is in doubt in a session that goes on.
pub fn no_message_waits_for_nothing(view: &View<'_>) -> Result<(), String> {
    if view.rest.is_none() {
        return Ok(());
    }
    for (id, scope) in &view.live.sessions {
        let session = &scope.state;
        let hears = session.live_run().is_some_and(|run| run.role.hears());
        let takes = hears && session.takes_messages() && session.halt.is_none();
        let goes_on = session.checkout().is_some() && !session.is_parting();
        for message in &session.messages {
            let stuck = match message.state {
                MessageState::Waiting => takes && goes_on,
                MessageState::InDoubt(_) => goes_on,
                MessageState::Typed(_) | MessageState::Taken(_) | MessageState::Refused(_) => false,
            };
            ensure(!stuck, || format!("{id}: {} waits for nothing: {message:?}", message.id))?;
        }
    }
    Ok(())
}

/// At rest, the core knows which workspaces and runs there are.
pub fn the_state_agrees_with_the_world(view: &View<'_>) -> Result<(), String> {
    if view.rest.is_none() {
        return Ok(());
    }
    for (id, scope) in &view.live.sessions {
        let session = &scope.state;
        let tree = view.world.trees.get(&World::place(id));
        let made = view.world.made.iter().rev().find(|tree| tree.session == *id);
        let vanished = made.is_some_and(|tree| view.world.vanished.contains(&tree.content));
        let known = session.checkout().is_some();
        // A failed attempt may have left a part, which the next attempt or a person's next farewell finds.
        let refused = session.parting.as_ref().is_some_and(|parting| parting.refused.is_some());
        let half_made = ["workspace", "undo"].iter().any(|kind| session.stuck_on(kind).is_some()) || refused;
        ensure(known == tree.is_some() || vanished || half_made, || {
            format!("{id}: known {known}, on disk {tree:?}")
        })?;
        let alive = view.world.hosts.iter().find(|((owner, _), host)| owner == id && host.is_alive());
        let alive = alive.map(|((_, run), _)| *run);
        let live = session.live_run().map(|run| run.id);
        // A start that went unheard and then failed for good is found when a person resumes, stops or rejects it.
        let unheard = live.is_none() && session.stuck_on("run").is_some();
        ensure(alive == live || unheard, || format!("{id}: run {live:?} is known, {alive:?} is alive"))?;
        if let Workspace::Removed { trash: Some(trash), .. } = &session.workspace {
            // An undo that was refused or failed for good has told a person why.
            let told = session.parting.as_ref().is_some_and(|parting| parting.undo_refused.is_some());
            let told = told || session.stuck_on("undo").is_some();
            let kept = view.world.trash.contains_key(trash) || vanished || told;
            ensure(kept, || format!("{id}: the trash has no {trash}"))?;
        }
    }
    Ok(())
}
