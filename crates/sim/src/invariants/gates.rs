//! What always holds of gates.

use std::collections::BTreeMap;

use oarlock_core::playbook::gate::{Rest, State, Step};
use oarlock_core::session::{Effect, Session};

use super::{View, ensure};

fn gates<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a str, &'a Session, &'a State)> {
    let of = |(id, scope): (&'a oarlock_core::ids::SessionId, &'a oarlock_core::machine::Scope<Session>)| {
        Some((id.as_str(), &scope.state, scope.state.gate.as_ref()?))
    };
    view.live.sessions.iter().filter_map(of)
}

/// What lands as approved is a commit that an overseer approved, merged to a tree on which the checks were green.
pub fn nothing_lands_unjudged(view: &View<'_>) -> Result<(), String> {
    let judged = &view.world.judged;
    judged.landed.iter().try_for_each(|(id, head, tree)| {
        let is_green = judged.green.contains(&(id.clone(), tree.clone()));
        let is_approved = judged.approved.contains(&(id.clone(), head.clone()));
        ensure(is_green && is_approved, || {
            format!("{id}: {head} landed as {tree}: checks green {is_green}, approved {is_approved}")
        })
    })
}

/// What a gate wants landed by itself is named by the commit and the tree that were judged, and by the base.
pub fn a_gate_names_what_it_lands(view: &View<'_>) -> Result<(), String> {
    view.handed.iter().try_for_each(|job| {
        let Effect::Land { brief, wish, .. } = &job.effect else { return Ok(()) };
        let session = view.live.sessions.get(&job.session).map(|scope| &scope.state);
        let own = session
            .and_then(|session| session.gate.as_ref()?.landing.as_ref())
            .is_some_and(|key| *key == job.key);
        let named = wish.approved.is_some() && wish.expect_base.is_some();
        ensure(brief.playbook.gate().is_none() || !own || named, || {
            format!("{} lands whatever is there", job.session)
        })
    })
}

/// A gate has no more rounds than it was granted, and none begins before the last one was found wanting.
pub fn a_gate_keeps_its_limits(view: &View<'_>) -> Result<(), String> {
    for (id, _, gate) in gates(view) {
        let rounds = gate.rounds.len();
        ensure(rounds <= gate.rounds_max as usize, || {
            format!("{id}: {rounds} rounds of {}", gate.rounds_max)
        })?;
        let (_, earlier) = gate.rounds.split_last().unzip();
        let unfinished =
            earlier.into_iter().flatten().find(|round| round.issues.is_empty() && !round.is_approved);
        ensure(unfinished.is_none(), || format!("{id}: a round begun before {unfinished:?} was over"))?;
    }
    Ok(())
}

/// Of each base, one gate at most has the turn to land.
pub fn one_has_the_turn_to_land(view: &View<'_>) -> Result<(), String> {
    let mut holders: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (id, session, gate) in gates(view) {
        let goes_on = session.outcome.is_none() && session.halt.is_none() && !session.is_parting();
        let (Some(brief), Some(checkout)) = (&session.brief, session.checkout()) else { continue };
        if goes_on && gate.holds_turn() {
            holders.entry((&brief.repository, &checkout.base_branch)).or_default().push(id);
        }
    }
    holders
        .values()
        .try_for_each(|ids| ensure(ids.len() <= 1, || format!("{ids:?} have the turn to land at once")))
}

/// A gate that is approved and lands by itself has landed at rest, or says why not; one that waits for another says so.
pub fn an_approved_gate_lands(view: &View<'_>) -> Result<(), String> {
    if view.rest.is_none() {
        return Ok(());
    }
    for (id, session, gate) in gates(view) {
        let goes_on = session.outcome.is_none() && session.halt.is_none() && !session.is_parting();
        let waits = matches!(gate.step, Step::Queue | Step::Land) && gate.rest.is_none();
        ensure(!goes_on || !waits, || format!("{id} is approved and waits for nothing: {gate:?}"))?;
        let held = gate.rest == Some(Rest::Approved);
        let lands = session
            .brief
            .as_ref()
            .and_then(|brief| brief.playbook.gate())
            .is_some_and(|options| options.lands);
        ensure(!(held && lands), || format!("{id} leaves its landing to a person, and was not asked to"))?;
    }
    Ok(())
}
