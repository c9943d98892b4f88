//! How a relay looks on the wire: its phases, its legs, and what is passed on.

use oarlock_api::{place::Place, wire};
use oarlock_core::baton::Fault;
use oarlock_core::playbook::relay::{Leg, Options, Rest, State};
use oarlock_core::session::Session;
use oarlock_core::session::fact::Claim;
use oarlock_world::relay::plan_file;

use super::{agent, time};

pub(super) fn view(place: &Place, session: &Session) -> Option<wire::Relay> {
    let options = session.brief.as_ref()?.playbook.relay()?;
    let state = session.relay.as_ref()?;
    let waits = session.live_run().is_none() && session.clock < state.not_before && state.rest.is_none();
    Some(wire::Relay {
        title: options.plan.title.clone(),
        unit: options.plan.unit.clone(),
        source: options.plan.source.clone(),
        plan: plan_file(place.state(), &options.plan.digest).display().to_string(),
        plan_edited: state.plan_edited,
        phases: phases(options, state),
        phase: state.phase,
        budget: options.budget,
        legs_max: state.legs_max,
        legs: state.legs.iter().map(|one| leg(options, one)).collect(),
        baton: state.baton.clone(),
        rest: state.rest.as_ref().map(|rest| match rest {
            Rest::Complete => "All phases are claimed to be complete.".into(),
            Rest::Asks(why) | Rest::Limit(why) => why.clone(),
        }),
        not_before: waits.then(|| time(state.not_before)),
    })
}

fn phases(options: &Options, state: &State) -> Vec<wire::RelayPhase> {
    let word = |number: u32, is_ticked: bool| match number {
        _ if is_ticked => "ticked",
        number if number < state.phase => "claimed",
        number if number == state.phase => "at_hand",
        _ => "open",
    };
    let phases = options.plan.phases.iter().zip(1..);
    phases
        .map(|(phase, number)| wire::RelayPhase {
            name: phase.name(),
            state: word(number, phase.is_ticked).into(),
        })
        .collect()
}

fn leg(options: &Options, leg: &Leg) -> wire::Leg {
    let closed = leg.closed.as_ref();
    wire::Leg {
        run: leg.run.0,
        phase: leg.phase,
        agent: options.agents.get(leg.agent as usize).map(agent).unwrap_or_default(),
        began_at: time(leg.began),
        ended_at: leg.ended.as_ref().map(|(_, at)| time(*at)),
        context: leg.context,
        claim: leg.claim.as_ref().map(|(claim, ..)| claim_word(*claim).into()),
        note: leg.claim.as_ref().map(|(_, note, _)| note.clone()).unwrap_or_default(),
        ended: leg.ended.as_ref().map(|(end, _)| end.says()),
        commits: closed.map(|closed| closed.commits),
        dirty: closed.map(|closed| closed.dirty),
        baton_derived: closed.map(|closed| closed.is_derived),
        faults: closed.map(|closed| closed.faults.iter().map(Fault::says).collect()).unwrap_or_default(),
    }
}

fn claim_word(claim: Claim) -> &'static str {
    match claim {
        Claim::Done => "done",
        Claim::PhaseDone => "phase_done",
        Claim::HandingOff => "handing_off",
        Claim::Stuck => "stuck",
    }
}
