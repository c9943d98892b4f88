//! What always holds of messages, of Enters and of answers.

use std::collections::BTreeSet;

use oarlock_core::session::fact::Hold;
use oarlock_core::session::{Activity, Effect, MessageState, PRESSES_MAX, Run, Session};

use super::{View, ensure, state};

/// A message reaches a terminal at most once, whatever crashed in between.
pub fn never_typed_twice(view: &View<'_>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    view.world.typed.iter().try_for_each(|(id, run, message)| {
        ensure(seen.insert((id, message)), || format!("{id}: {message} typed again, into run {run}"))
    })
}

/// No message is handed out while its run is known to show a permission dialog.
pub fn never_handed_to_a_blocked_agent(view: &View<'_>) -> Result<(), String> {
    view.handed.iter().try_for_each(|job| {
        let Effect::Deliver { run, .. } = &job.effect else { return Ok(()) };
        let live = state(view, &job.session).and_then(Session::live_run).filter(|live| live.id == *run);
        let blocked = live.is_some_and(|live| matches!(live.activity, Activity::Blocked(_)));
        ensure(!blocked, || format!("{} {} goes to a blocked agent", job.session, job.key))
    })
}

/// Nothing is typed between two turns into a terminal in which a text stands that an Enter may still submit: it would be wiped.
pub fn nothing_is_typed_over_what_stands(view: &View<'_>) -> Result<(), String> {
    view.handed.iter().try_for_each(|job| {
        let Effect::Deliver { run, .. } = &job.effect else { return Ok(()) };
        let Some(session) = state(view, &job.session) else { return Ok(()) };
        let Some(live) = session.live_run().filter(|live| live.id == *run) else { return Ok(()) };
        let in_terminal = session.brief.as_ref().is_some_and(|brief| brief.agent.hold == Hold::Terminal);
        let at_prompt = in_terminal && matches!(live.activity, Activity::Idle | Activity::Failing(_));
        let typed = session
            .messages
            .iter()
            .rev()
            .find(|message| matches!(message.state, MessageState::Typed(at) if at >= live.started_at));
        let stands = typed.filter(|message| at_prompt && message.pressed < PRESSES_MAX);
        ensure(stands.is_none(), || format!("{} {} is typed over {stands:?}", job.session, job.key))
    })
}

/// No message is handed out for a run known to have ended, and nothing is typed where no process reads.
pub fn never_typed_into_an_ended_run(view: &View<'_>) -> Result<(), String> {
    let dead = view.world.typed_into_the_dead.first();
    ensure(dead.is_none(), || format!("typed into nothing: {dead:?}"))?;
    view.handed.iter().try_for_each(|job| {
        let Effect::Deliver { run, .. } = &job.effect else { return Ok(()) };
        let live = state(view, &job.session).and_then(Session::live_run).map(|live| live.id);
        ensure(live == Some(*run), || format!("{} {} goes to an ended run", job.session, job.key))
    })
}

/// An Enter pressed again is pressed once, and in no dialog.
pub fn an_enter_answers_no_dialog(view: &View<'_>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    view.world.pressed.iter().try_for_each(|(id, run, press, in_dialog)| {
        ensure(!in_dialog, || format!("{id}: {press} pressed in a dialog of run {run}"))?;
        ensure(seen.insert((id, press)), || format!("{id}: {press} pressed again"))
    })
}

/// Each answer is given once, and only while the core knows of a question.
pub fn an_answer_is_given_once(view: &View<'_>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    view.world.answered.iter().try_for_each(|(id, run, given, _)| {
        ensure(seen.insert((id, given)), || {
            format!("{id}: the answer of line {given} given again to run {run}")
        })
    })?;
    view.handed.iter().try_for_each(|job| {
        let Effect::Answer { run, .. } = &job.effect else { return Ok(()) };
        let live = state(view, &job.session).and_then(Session::live_run).filter(|live| live.id == *run);
        let asks = live.is_some_and(Run::waits_for_answer);
        ensure(asks, || format!("{} {} answers what nobody asks", job.session, job.key))
    })
}
