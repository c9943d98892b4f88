//! What always holds of relays.

use std::collections::BTreeSet;

use oarlock_core::playbook::relay::{self, LegEnd};
use oarlock_core::session::fact::Claim;
use oarlock_core::session::{Effect, Session};

use super::{View, ensure, state};

/// The agent of a leg is asked for its handover, and for its claim, at most once each.
pub fn a_leg_is_asked_once(view: &View<'_>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    view.world.asked_legs.iter().try_for_each(|(id, run, ask)| {
        ensure(seen.insert((id, run, ask)), || format!("{id}: run {run} asked again for {ask:?}"))
    })
}

/// No leg is begun on a phase that was recorded as complete, nor on one that its author ticked off; the last phase alone may
/// be worked again, when a person says what is missing.
pub fn no_phase_is_worked_again(view: &View<'_>) -> Result<(), String> {
    for job in view.handed {
        let Effect::StartRun { leg: Some(brief), .. } = &job.effect else { continue };
        let Some(session) = state(view, &job.session) else { continue };
        let Some((relay, options)) = relay_of(session) else { continue };
        let complete = relay.legs.iter().filter(|leg| {
            let claimed = matches!(leg.ended, Some((LegEnd::Claimed(Claim::PhaseDone | Claim::Done), _)));
            claimed && leg.closed.is_some()
        });
        let complete = complete.map(|leg| leg.phase).max().unwrap_or(0);
        let is_last = brief.phase == options.plan.count();
        ensure(brief.phase > complete || is_last, || {
            format!("{}: leg {} on phase {} after phase {complete}", job.session, brief.number, brief.phase)
        })?;
        let ticked = options.plan.phases.get(brief.phase as usize - 1).is_some_and(|phase| phase.is_ticked);
        ensure(!ticked, || format!("{}: leg {} on a ticked phase", job.session, brief.number))?;
    }
    Ok(())
}

/// A relay has no more legs than it was granted, and each is another run, begun when the last one was looked at.
pub fn a_relay_keeps_its_limits(view: &View<'_>) -> Result<(), String> {
    for (id, scope) in &view.live.sessions {
        let Some((relay, _)) = relay_of(&scope.state) else { continue };
        let legs = relay.legs.len();
        ensure(legs <= relay.legs_max as usize, || format!("{id}: {legs} legs of {}", relay.legs_max))?;
        let (_, earlier) = relay.legs.split_last().unzip();
        let open = earlier.into_iter().flatten().find(|leg| leg.closed.is_none());
        ensure(open.is_none(), || format!("{id}: a leg begun before {open:?} was looked at"))?;
        let in_order = relay.legs.windows(2).all(|pair| pair[0].run < pair[1].run);
        ensure(in_order, || format!("{id}: legs {:?}", relay.legs))?;
    }
    Ok(())
}

fn relay_of(session: &Session) -> Option<(&relay::State, &relay::Options)> {
    Some((session.relay.as_ref()?, session.brief.as_ref()?.playbook.relay()?))
}
