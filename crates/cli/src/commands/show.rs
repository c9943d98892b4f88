//! `oarlock show`.

use clap::Args;
use oarlock_api::wire;

use super::{Context, in_path};
use crate::error::{CliError, Done};
use crate::out;

/// Show everything about a session: its work, runs and messages
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock show payments\n  oarlock show payments --json | jq .runs")]
pub struct Show {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
    /// What its landing rests on, read from the repository alone; S may be the commit that landed
    #[arg(long)]
    evidence: bool,
}

pub fn run(context: &Context, show: &Show) -> Done {
    if show.evidence {
        return evidence(context, &show.session);
    }
    let detail: wire::SessionDetail =
        context.client()?.get(&format!("/v1/sessions/{}", in_path(&show.session)))?;
    if context.json {
        return out::json(&detail);
    }
    let session = &detail.session;
    let outcome = session.outcome.as_ref().map(|outcome| format!(", {outcome}")).unwrap_or_default();
    let short = |oid: &Option<String>| {
        oid.as_ref().map(|oid| oid.chars().take(9).collect::<String>()).unwrap_or_default()
    };
    out::line(&format!("{} ({}) of {}", session.name, session.id, session.project));
    out::line(&format!("status     {}{outcome}: {}", session.status, out::clean(&session.because)));
    out::line(&format!("agent      {}, held by {}", out::clean(&session.agent), session.held_by));
    for (what, says) in told(&detail.told) {
        out::line(&format!("{what:<10} {}", out::cut(&out::clean(&says), 90)));
    }
    if let Some(issue) = &detail.issue {
        let place = issue.reference.as_ref().map(|reference| format!(" ({})", out::clean(reference)));
        out::line(&format!("issue      {}{}", out::clean(&issue.title), place.unwrap_or_default()));
    }
    if let Some(asks) = &detail.asks {
        let verb = if asks.kind == "question" { "--say '…'" } else { "allow|always|deny" };
        out::line(&format!("asks       {} (oarlock answer {} {verb})", out::clean(&asks.what), session.name));
    }
    let spent = &detail.spent;
    if spent.output > 0 || spent.input > 0 {
        let cost =
            if spent.cost_micros == 0 { String::new() } else { format!(", {}", dollars(spent.cost_micros)) };
        out::line(&format!(
            "tokens     {} in, {} from cache, {} to cache, {} out{cost}",
            spent.input, spent.cache_read, spent.cache_write, spent.output
        ));
    }
    out::line(&format!("branch     {}", out::clean(&session.branch)));
    if let Some(base_branch) = &session.base_branch {
        out::line(&format!("lands on   {}, from {}", out::clean(base_branch), short(&session.base)));
    }
    if let (Some(ahead), Some(dirty)) = (session.ahead, session.dirty) {
        out::line(&format!(
            "work       {} ahead at {}, {} uncommitted",
            out::count(ahead, "commit"),
            short(&session.head),
            out::count(dirty, "path")
        ));
    }
    if let Some(workspace) = &session.workspace {
        out::line(&format!("workspace  {}", out::clean(workspace)));
    }
    if let Some(trash) = &detail.trash {
        out::line(&format!("trash      {trash}"));
    }
    out::line(&format!(
        "ports      {} to {}",
        detail.ports.0,
        detail.ports.0.saturating_add(detail.ports.1).saturating_sub(1)
    ));
    if !detail.prompt.is_empty() {
        let first = detail.prompt.lines().next().unwrap_or_default();
        out::line(&format!("prompt     {}", out::cut(&out::clean(first), 70)));
    }
    match (&detail.relay, &detail.gate) {
        (Some(relay), _) => super::relay::story(relay),
        (None, Some(gate)) => super::gate::story(gate),
        (None, None) => history(&detail),
    }
    Ok(())
}

/// Shows what a landing rests on, and holds it against the repository.
fn evidence(context: &Context, what: &str) -> Done {
    let repository = std::path::PathBuf::from(context.project()?);
    let repository = match repository.is_absolute() {
        true => repository,
        false => {
            let project: wire::Project =
                context.client()?.get(&format!("/v1/projects/{}", in_path(&repository.to_string_lossy())))?;
            std::path::PathBuf::from(project.path)
        }
    };
    let verified = oarlock_world::gate::evidence::verify(&repository, what).map_err(|message| {
        let hint = "Name a commit that landed through a gate, or its session.".into();
        CliError::Refused(wire::Error { code: "no_evidence".into(), message, hint, paths: vec![] }, 404)
    })?;
    if context.json {
        out::json(&verified)?;
    } else {
        let known = &verified.evidence;
        out::line(&format!("landed     {}", verified.commit));
        out::line(&format!("record     {}", verified.record));
        out::line(&format!("session    {}, round {}", out::clean(&known.session), known.round));
        out::line(&format!("spec       {} ({})", out::clean(&known.spec.1), known.spec.0));
        out::line(&format!(
            "built by   {}, judged by {}",
            out::clean(&known.agents.0),
            out::clean(&known.agents.1)
        ));
        for check in &known.checks {
            let how = if check.red.is_empty() { "green" } else { check.red.as_str() };
            let digest = check.output_digest.get(..16).unwrap_or_default();
            out::line(&format!(
                "check      {}: {}, output {digest}",
                out::clean(&check.command),
                out::clean(how)
            ));
        }
        for one in &known.verdict.requirements {
            let met = if one.met { "met" } else { "not met" };
            out::line(&format!(
                "required   {}: {met}, {}",
                out::clean(&one.requirement),
                out::clean(&one.seen)
            ));
        }
        for held in &verified.held {
            out::line(&format!("{:<10} {}", if held.holds { "holds" } else { "BROKEN" }, held.says));
        }
    }
    if verified.holds() { Ok(()) } else { Err(CliError::Said(oarlock_api::exit::FAILED)) }
}

/// Says what became of its runs and messages.
fn history(detail: &wire::SessionDetail) {
    for run in &detail.runs {
        let end = match (&run.exit, &run.ended_at) {
            (Some(exit), Some(at)) => format!("{} {} ago", out::clean(exit), out::age(at)),
            _ => "live".into(),
        };
        let begun = match run.begun.as_str() {
            "conversation" => ", in its conversation",
            "digest" => ", from a digest",
            _ => "",
        };
        out::line(&format!("run {:<6} {end}, began {} ago{begun}", run.id, out::age(&run.started_at)));
    }
    for message in &detail.messages {
        let trouble = if message.trouble.is_empty() {
            String::new()
        } else {
            format!(" ({})", out::clean(&message.trouble))
        };
        out::line(&format!(
            "message    {}{trouble}: {}",
            message.state,
            out::cut(&out::clean(&message.text), 60)
        ));
    }
}

/// Returns what the agent was given beyond its own settings, by name.
fn told(told: &wire::Told) -> Vec<(&'static str, String)> {
    let permissions = Some(&told.permissions).filter(|word| *word != "default").cloned();
    let all = [
        ("model", told.model.clone().unwrap_or_default()),
        ("may", permissions.unwrap_or_default()),
        ("rules", told.rules.clone()),
        ("args", told.args.join(" ")),
        ("env", told.env.join(" ")),
    ];
    all.into_iter().filter(|(_, says)| !says.is_empty()).collect()
}

/// Writes millionths of a dollar as people read money.
fn dollars(micros: u64) -> String {
    format!("${}.{:02}", micros / 1_000_000, micros % 1_000_000 / 10_000)
}
