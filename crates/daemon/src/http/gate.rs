//! What a gate is begun with: its spec, its checks, who judges, and what it waits for.

use std::path::{Path, PathBuf};

use oarlock_api::wire;
use oarlock_core::ids::{Name, SessionId};
use oarlock_core::plan::PLAN_BYTES_MAX;
use oarlock_core::playbook::Playbook;
use oarlock_core::playbook::gate::{self, CHECK_MS, CHECK_MS_MAX, CHECKS_MAX, Check, SpecRef};
use oarlock_core::session::Outcome;
use oarlock_core::session::fact::{Agent, How};
use oarlock_core::text;
use oarlock_world::config::Config;
use oarlock_world::gate::{confine, found};
use oarlock_world::relay::keep_plan;
use oarlock_world::run::program;

use super::relay::another;
use super::{Answered, Failure, blocking};
use crate::Daemon;

/// Most agents that judge.
const OVERSEERS_MAX: usize = 16;
/// Most sessions that one waits for.
const AFTER_MAX: usize = 32;

impl Daemon {
    /// Returns the gate that is asked for. Its spec is kept first: what is admitted can be judged.
    pub(super) async fn gate(
        &self,
        id: &SessionId,
        builder: &Agent,
        body: &wire::Spawn,
        wish: &wire::GateWish,
    ) -> Answered<Playbook> {
        if body.adopt.is_some() {
            return Err(Failure::bad(
                "bad_workspace",
                "A gate's builder works in a clone of its own, and takes no worktree over.",
                "Leave it out.",
            ));
        }
        check_spec(&wish.spec)?;
        let rounds_max = rounds(wish)?;
        let root = PathBuf::from(self.root(&body.project).await?);
        let after = self.after(wish)?;
        let overseers = self.overseers(id, builder, body, wish).await?;
        let (state, text) = (self.place.state().to_path_buf(), wish.spec.clone());
        let (wanted, oarlock) = (wish.clone(), self.world.oarlock().to_path_buf());
        let looked = blocking(move || -> Answered<_> {
            let checks = checks(&root, &wanted)?;
            let is_confined = confined(&oarlock, &wanted)?;
            let digest = keep_plan(&state, text.as_bytes()).map_err(|error| {
                Failure::bad("io", format!("The spec could not be kept: {error}."), "Look at the disk.")
            })?;
            Ok((checks, is_confined, digest, found::git_configuration(&root)))
        });
        let (checks, is_confined, digest, git) = looked.await??;
        let how = match wish.how.as_deref() {
            None | Some("merge") => How::Merge,
            Some("squash") => How::Squash,
            Some("rebase") => How::Rebase,
            Some(other) => {
                let message = format!("\"{}\" is no way to land.", text::line(other, 40));
                return Err(Failure::bad("bad_how", message, "Use merge, squash or rebase."));
            }
        };
        let spec =
            SpecRef { digest, source: wish.source.clone().unwrap_or_default(), title: title(&wish.spec) };
        Ok(Playbook::Gate(gate::Options {
            spec,
            checks,
            rounds_max,
            builder: builder.clone(),
            overseers,
            after,
            lands: !wish.hold,
            how,
            is_confined,
            git,
            ms_max: wish.ms_max,
            cost_micros_max: wish.cost_micros_max,
        }))
    }

    /// Finds the sessions that have to land first; those that did are not waited for.
    fn after(&self, wish: &wire::GateWish) -> Answered<Vec<(SessionId, Name)>> {
        if wish.after.len() > AFTER_MAX {
            let message = format!("{} sessions are too many to wait for.", wish.after.len());
            return Err(Failure::bad("bad_after", message, format!("Name {AFTER_MAX} at most.")));
        }
        let mut all = Vec::new();
        for name in &wish.after {
            let id = self.find(name)?;
            let scope = self.scope(&id)?;
            match &scope.state.outcome {
                None if !scope.state.is_hidden() => all.push((id, scope.state.name.clone())),
                Some(Outcome::Landed { .. }) => {}
                _ => {
                    return Err(Failure::bad(
                        "never_lands",
                        format!(
                            "{} is over and did not land, so this would wait for ever.",
                            scope.state.name
                        ),
                        "Leave it out, or bring it back with \"oarlock undo\".",
                    ));
                }
            }
        }
        all.dedup();
        Ok(all)
    }

    /// Returns who judges: as asked, as configured, or another agent than the builder where one is installed and logged in.
    async fn overseers(
        &self,
        id: &SessionId,
        builder: &Agent,
        body: &wire::Spawn,
        wish: &wire::GateWish,
    ) -> Answered<Vec<Agent>> {
        let role = wire::Spawn { role: Some("overseer".into()), ..body.clone() };
        let mut all = Vec::new();
        for name in wish.overseers.iter().take(OVERSEERS_MAX) {
            all.push(self.agent(id, &another(&role, name)).await?);
        }
        if !all.is_empty() {
            return Ok(all);
        }
        let root = self.root(&body.project).await?;
        let first = builder.name.clone();
        let chosen = blocking(move || {
            let config = Config::read(Path::new(&root)).ok()?;
            let of_role = |roles: &std::collections::BTreeMap<String, _>| roles.get("overseer").cloned();
            let told = of_role(&config.person.roles).or_else(|| of_role(&config.project.roles));
            told.and_then(|table: oarlock_world::config::Table| table.agent)
                .or_else(|| another_there(&config, &first))
        });
        let chosen = chosen.await?;
        match chosen {
            Some(name) => Ok(vec![self.agent(id, &another(&role, &name)).await?]),
            // Another run of the same agent, which knows nothing of the first.
            None if builder.name != "exec" => Ok(vec![builder.clone()]),
            None => Err(Failure::bad(
                "no_overseer",
                "Nobody was named to judge, and a command cannot judge itself.",
                "Name an agent with --overseer A, or any command with --overseer exec:CMD.",
            )),
        }
    }
}

/// Returns an agent other than the builder that is installed and that a person has logged in to.
fn another_there(config: &Config, builder: &str) -> Option<String> {
    let is_there = |agent: &&dyn oarlock_agents::Agent| {
        agent.name() != builder
            && !agent.programs().is_empty()
            && program::find(*agent, config.person.program(agent.name())).is_ok()
            && matches!(program::login(*agent), Some(Some(_)))
    };
    oarlock_agents::REGISTRY.iter().copied().find(is_there).map(|agent| agent.name().to_owned())
}

fn check_spec(spec: &str) -> Answered<()> {
    if spec.trim().is_empty() {
        return Err(Failure::bad(
            "spec_empty",
            "The spec is empty.",
            "Say what is to be built, and how to tell.",
        ));
    }
    if spec.contains('\0') {
        return Err(Failure::bad(
            "spec_binary",
            "The spec is no text.",
            "Export it as Markdown or plain text.",
        ));
    }
    if spec.len() > PLAN_BYTES_MAX {
        return Err(Failure::bad(
            "spec_too_long",
            format!("The spec has {} bytes; at most {PLAN_BYTES_MAX} are read.", spec.len()),
            "Put reference material into files that the spec names.",
        ));
    }
    Ok(())
}

fn rounds(wish: &wire::GateWish) -> Answered<u32> {
    let rounds = wish.rounds.unwrap_or(gate::ROUNDS);
    if rounds == 0 || rounds > gate::ROUNDS_MAX {
        let message = format!("{rounds} rounds cannot be run; 1 to {} can.", gate::ROUNDS_MAX);
        return Err(Failure::bad("bad_rounds", message, "Leave it out for 10."));
    }
    Ok(rounds)
}

/// Returns the checks: as asked, as the project's file says, as the spec names them, or as the repository is usually held to.
fn checks(root: &Path, wish: &wire::GateWish) -> Answered<Vec<Check>> {
    let config = Config::read(root).map_err(|error| oarlock_world::config::trouble(&error))?;
    let of = |commands: &[String], origin: &str| -> Vec<Check> {
        commands.iter().map(|command| found::check(command, origin)).collect()
    };
    let mut all = of(&wish.checks, "flag");
    if all.is_empty() {
        all = of(&config.project.checks, "oarlock.toml");
    }
    if all.is_empty() {
        all = found::in_spec(&wish.spec);
    }
    if all.is_empty() && !wish.unchecked {
        all = found::in_repository(root);
    }
    if all.is_empty() && !wish.unchecked {
        return Err(Failure::bad(
            "no_checks",
            "No check is declared, and none was found, so nothing could be seen of the work but what it says of itself.",
            "Give --check CMD, or checks = [\"CMD\"] in [gate] of oarlock.toml; --unchecked leaves it to the overseer alone.",
        ));
    }
    if all.len() > CHECKS_MAX {
        let message = format!("{} checks are too many.", all.len());
        return Err(Failure::bad(
            "bad_checks",
            message,
            format!("Give {CHECKS_MAX} at most, or one that runs them all."),
        ));
    }
    if let Some(bad) =
        all.iter().find(|check| check.command.trim().is_empty() || check.command.contains('\0'))
    {
        let message = format!("\"{}\" is no command.", text::line(&bad.command, 40));
        return Err(Failure::bad("bad_checks", message, "Give what a shell would run."));
    }
    let ms_max = wish.check_ms_max.unwrap_or(CHECK_MS);
    if !(1_000..=CHECK_MS_MAX).contains(&ms_max) {
        let message = format!("{ms_max} ms is no time for a check.");
        return Err(Failure::bad("bad_check_time", message, "Give a second at least and a day at most."));
    }
    all.iter_mut().for_each(|check| check.ms_max = ms_max);
    Ok(all)
}

/// Tells whether the system holds agents to their places, which a person may do without.
fn confined(oarlock: &Path, wish: &wire::GateWish) -> Answered<bool> {
    if wish.unconfined {
        return Ok(false);
    }
    confine::available(oarlock).map(|()| true).map_err(|why| {
        Failure::bad(
            "not_confined",
            format!("The operating system cannot keep an overseer from changing what it judges: {why}"),
            "Allow user namespaces, or give --unconfined: then a verdict is void if anything was changed.",
        )
    })
}

/// Returns a spec's title: its first heading, or its first line.
fn title(spec: &str) -> String {
    let lines = || spec.lines().map(str::trim).filter(|line| !line.is_empty());
    let heading = lines().find_map(|line| line.strip_prefix("# "));
    text::line(heading.or_else(|| lines().next()).unwrap_or_default().trim_matches(['#', ' ']), 100)
}
