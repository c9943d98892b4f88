//! What way of working a session is begun with.

use oarlock_api::wire;
use oarlock_core::ids::SessionId;
use oarlock_core::plan;
use oarlock_core::playbook::relay::{self, PlanRef};
use oarlock_core::playbook::{Playbook, supervise};
use oarlock_core::session::fact::Agent;
use oarlock_core::text;
use oarlock_world::relay::keep_plan;

use super::{Answered, Failure, blocking};
use crate::Daemon;

/// Most agents that take turns: more than there are kinds of.
const AGENTS_MAX: usize = 16;

impl Daemon {
    /// Returns the way of working that is asked for. The plan of a relay is kept first: what is admitted can be worked.
    pub(super) async fn playbook(
        &self,
        id: &SessionId,
        first: &Agent,
        body: &wire::Spawn,
    ) -> Answered<Playbook> {
        if body.relay.is_none() && body.gate.is_none() {
            return Ok(Playbook::Supervise(supervise::Options {}));
        }
        let known = self.engine.crew().sessions.get(id).and_then(|scope| scope.state.brief.clone());
        if let Some(brief) = known {
            return Ok(brief.playbook);
        }
        let wish = match (&body.relay, &body.gate) {
            (Some(wish), None) => wish,
            (None, Some(wish)) => return self.gate(id, first, body, wish).await,
            _ => {
                return Err(Failure::bad(
                    "two_playbooks",
                    "A session is a relay or a gate, not both.",
                    "Leave one of the two out.",
                ));
            }
        };
        let plan = plan::read(&wish.plan).map_err(|no| Failure::bad(no.code(), no.message(), no.hint()))?;
        let (budget, legs_max) = limits(wish)?;
        let mut agents = vec![first.clone()];
        for name in wish.agents.iter().take(AGENTS_MAX) {
            agents.push(self.agent(id, &another(body, name)).await?);
        }
        let (state, text) = (self.place.state().to_path_buf(), wish.plan.clone());
        let digest = blocking(move || keep_plan(&state, text.as_bytes())).await?.map_err(|error| {
            Failure::bad("io", format!("The plan could not be kept: {error}."), "Look at the disk.")
        })?;
        let source = wish.source.clone().unwrap_or_default();
        Ok(Playbook::Relay(relay::Options {
            plan: PlanRef::of(&plan, digest, source),
            budget,
            legs_max,
            agents,
            ms_max: wish.ms_max,
            cost_micros_max: wish.cost_micros_max,
        }))
    }
}

/// The same wish with another agent.
pub(super) fn another(body: &wire::Spawn, name: &str) -> wire::Spawn {
    let (agent, command) = match name.strip_prefix("exec:") {
        Some(command) => ("exec".to_owned(), Some(command.to_owned())),
        None => (name.to_owned(), None),
    };
    // A way to hold one agent, and its model, mean nothing to another.
    wire::Spawn { agent, command, hold: None, model: None, ..body.clone() }
}

fn limits(wish: &wire::RelayWish) -> Answered<(u64, u32)> {
    let budget = wish.budget.unwrap_or(relay::BUDGET_TOKENS);
    if budget < relay::BUDGET_TOKENS_MIN {
        let least = text::count(u32::try_from(relay::BUDGET_TOKENS_MIN).unwrap_or(u32::MAX), "token");
        return Err(Failure::bad(
            "budget_too_small",
            format!(
                "A budget of {budget} tokens is used up before an agent has begun; {least} are the least."
            ),
            "Leave it out for 100k.",
        ));
    }
    let legs = wish.legs.unwrap_or(relay::LEGS);
    if legs == 0 || legs > relay::LEGS_MAX {
        let message = format!("{legs} legs cannot be run; 1 to {} can.", relay::LEGS_MAX);
        return Err(Failure::bad("bad_legs", message, "Leave it out for 50."));
    }
    Ok((budget, legs))
}
