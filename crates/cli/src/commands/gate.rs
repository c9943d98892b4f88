//! `oarlock gate`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::Args;
use oarlock_api::wire;
use oarlock_world::relay::plan;

use super::relay::{money, read, time};
use super::spawn::{agent, said};
use super::{Context, request_id};
use crate::error::{CliError, Done};
use crate::out;

/// Lines at the top of a spec in which it may say what it depends on.
const HEAD_LINES: usize = 40;

/// Have a spec built by one agent and judged by another; only what passed lands
///
/// A builder works in a clone of its own. When it claims to be done, oarlock merges its commits with the base, runs the checks
/// on that in a clean checkout, and has an overseer judge it against the spec as it was at the beginning. What is not green, or
/// not approved, goes back with the issues; what is approved lands, one at a time per base. The operating system keeps both
/// agents from what they must not write.
///
/// A spec may name others in one of its first lines: "Depends on: NAME, NAME". It begins when those landed.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock gate spec.md --agent claude-code --overseer codex --check 'cargo test'\n  oarlock gate api.md ui.md --rounds 5 --after payments\n  oarlock gate spec.md --exec './build.sh' --overseer 'exec:./judge.sh' --hold"
)]
pub struct Gate {
    /// The specs: Markdown or text; - reads standard input
    #[arg(value_name = "SPEC.md", required = true)]
    specs: Vec<String>,
    /// The session's name: a-z, 0-9 and hyphens (default: from the spec's file)
    #[arg(long)]
    name: Option<String>,
    /// Rounds at most, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// What oarlock runs on the work (default: as configured, as the spec says, or what the repository is usually held to)
    #[arg(long, value_name = "CMD")]
    check: Vec<String>,
    /// How long each check may take: 90s, 30m, 2h
    #[arg(long, value_name = "TIME", value_parser = time)]
    check_time: Option<u64>,
    /// Begin although nothing is to be run: the overseer alone decides
    #[arg(long, conflicts_with = "check")]
    unchecked: bool,
    /// Who builds
    #[arg(long, visible_alias = "agent", value_name = "A", conflicts_with = "exec")]
    builder: Option<String>,
    /// Any shell command as the builder
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// Who judges (default: as configured, else another agent than the builder); several take turns
    #[arg(long, value_name = "A")]
    overseer: Vec<String>,
    /// A session that has to land first
    #[arg(long, value_name = "S")]
    after: Vec<String>,
    /// Leave the landing to you
    #[arg(long)]
    hold: bool,
    /// How it joins the base
    #[arg(long, value_parser = ["merge", "squash", "rebase"], default_value = "merge")]
    how: String,
    /// What every builder is told beside the spec
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Time at most: 90m, 6h, 2d
    #[arg(long, value_name = "TIME", value_parser = time)]
    time: Option<u64>,
    /// Money at most, in US dollars, as far as agents say what they cost
    #[arg(long, value_name = "USD", value_parser = money)]
    money: Option<u64>,
    /// The branch, tag or commit to start from (default: the project's default branch)
    #[arg(long)]
    base: Option<String>,
    /// The builder's model (default: OARLOCK_MODEL, as configured, or its own settings)
    #[arg(long, value_name = "M")]
    model: Option<String>,
    /// What the builder may do without asking (default: OARLOCK_PERMISSIONS, as configured, or its own settings)
    #[arg(long, value_parser = ["default", "accept-edits", "auto", "bypass"], value_name = "MODE")]
    permissions: Option<String>,
    /// Begin where the system cannot keep agents to their places; a verdict is void if what it judges was changed
    #[arg(long)]
    unconfined: bool,
}

/// A spec that was read.
struct Spec {
    stem: String,
    text: String,
    source: Option<String>,
    after: Vec<String>,
}

pub fn run(context: &Context, gate: &Gate) -> Done {
    if gate.name.is_some() && gate.specs.len() > 1 {
        return Err(CliError::Usage(
            "One name does not fit several specs.".into(),
            "Leave --name out; each is named after its file.".into(),
        ));
    }
    let specs = gate.specs.iter().map(|path| spec(path)).collect::<Result<Vec<_>, _>>()?;
    let specs = ordered(specs)?;
    let (project, client) = (context.project()?, context.client()?);
    let mut begun: Vec<wire::Session> = Vec::new();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for spec in specs {
        let own = spec.after.iter().map(|name| names.get(name).unwrap_or(name).clone());
        let after: Vec<String> = gate.after.iter().cloned().chain(own).collect();
        let stem = spec.stem.clone();
        let body = body(gate, &project, spec, after);
        let session: wire::Session = client.post("/v1/sessions", &request_id(), &body)?;
        names.insert(stem, session.id.clone());
        begun.push(session);
    }
    if context.json {
        return match &begun[..] {
            [one] => out::json(one),
            all => out::json(&all),
        };
    }
    for session in &begun {
        out::line(&format!("Began {}.", session.name));
        let detail: wire::SessionDetail = client.get(&format!("/v1/sessions/{}", session.id))?;
        let Some(gate) = &detail.gate else { continue };
        for check in &gate.checks {
            out::talk(&format!("check      {}  ({})", out::clean(&check.command), origin(&check.origin)));
        }
        out::talk(&format!("overseer   {}", out::clean(&gate.overseers.join(", "))));
    }
    out::talk("See its rounds with \"oarlock show NAME\".");
    Ok(())
}

fn origin(origin: &str) -> &str {
    match origin {
        "flag" => "asked for",
        "spec" => "named in the spec",
        "repository" => "found in the repository",
        other => other,
    }
}

fn body(gate: &Gate, project: &str, spec: Spec, after: Vec<String>) -> wire::Spawn {
    let (agent, command) = agent(gate.builder.as_ref(), gate.exec.as_ref());
    let variable = |flag: &Option<String>, variable| {
        if agent == "exec" { flag.clone() } else { said(flag.as_ref(), variable) }
    };
    wire::Spawn {
        project: project.into(),
        name: gate.name.clone(),
        command,
        prompt: gate.prompt.clone().unwrap_or_default(),
        base: gate.base.clone(),
        model: variable(&gate.model, "OARLOCK_MODEL"),
        permissions: variable(&gate.permissions, "OARLOCK_PERMISSIONS"),
        gate: Some(wire::GateWish {
            spec: spec.text,
            source: spec.source,
            checks: gate.check.clone(),
            unchecked: gate.unchecked,
            unconfined: gate.unconfined,
            rounds: Some(gate.rounds),
            overseers: gate.overseer.clone(),
            after,
            hold: gate.hold,
            how: Some(gate.how.clone()),
            check_ms_max: gate.check_time,
            ms_max: gate.time,
            cost_micros_max: gate.money,
        }),
        agent,
        ..wire::Spawn::default()
    }
}

fn spec(path: &str) -> Result<Spec, CliError> {
    let (bytes, source) = read(path, "spec")?;
    let (text, _) = plan::decode(&bytes).map_err(|no| {
        let (code, message, hint) =
            (no.code().replace("plan", "spec"), no.message().replace("plan", "spec"), no.hint());
        CliError::Refused(wire::Error { code, message, hint, paths: vec![] }, 400)
    })?;
    let stem =
        Path::new(path).file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    Ok(Spec { stem, after: depends_on(&text), text, source })
}

/// Returns what a spec says that it depends on.
fn depends_on(text: &str) -> Vec<String> {
    let plain =
        |line: &str| line.replace(['*', '_', '`', '#'], "").trim().trim_start_matches(['-', ' ']).to_owned();
    let named = |line: String| {
        let lower = line.to_lowercase();
        let rest = lower.strip_prefix("depends on:").or_else(|| lower.strip_prefix("after:"))?;
        let names = rest.split([',', ' ']).map(|name| name.trim_end_matches(".md").trim().to_owned());
        Some(
            names
                .filter(|name| !matches!(name.as_str(), "" | "none" | "nothing" | "and"))
                .collect::<Vec<_>>(),
        )
    };
    text.lines().take(HEAD_LINES).map(plain).find_map(named).unwrap_or_default()
}

/// Puts specs into an order in which each comes after those that it depends on.
fn ordered(mut specs: Vec<Spec>) -> Result<Vec<Spec>, CliError> {
    let mut all = Vec::new();
    while !specs.is_empty() {
        let left: BTreeSet<String> = specs.iter().map(|spec| spec.stem.clone()).collect();
        let waits = |spec: &Spec| spec.after.iter().any(|name| left.contains(name));
        let Some(next) = specs.iter().position(|spec| !waits(spec)) else {
            let names = left.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!("{} wait for each other, so none could begin.", out::clean(&names));
            let hint = "Take one of their \"Depends on:\" lines out.".into();
            return Err(CliError::Refused(
                wire::Error { code: "cycle".into(), message, hint, paths: vec![] },
                409,
            ));
        };
        all.push(specs.remove(next));
    }
    Ok(all)
}

/// Shows a gate's story, round by round.
pub fn story(gate: &wire::Gate) {
    let source = if gate.source.is_empty() { &gate.spec } else { &gate.source };
    out::line(&format!("spec       {}", out::clean(source)));
    out::line(&format!("kept as    {}", out::clean(&gate.spec)));
    for check in &gate.checks {
        out::line(&format!("check      {}  ({})", out::clean(&check.command), origin(&check.origin)));
    }
    let held = if gate.confined { "" } else { "  (not held to their places by the system)" };
    out::line(&format!("overseer   {}{held}", out::clean(&gate.overseers.join(", "))));
    if !gate.waits_for.is_empty() {
        out::line(&format!("waits for  {}", gate.waits_for.join(", ")));
    }
    for round in &gate.rounds {
        self::round(round);
    }
    if let Some(head) = &gate.approved {
        out::line(&format!("approved   {}", short(head)));
    }
    if let Some(rest) = &gate.rest {
        out::line(&format!("rests      {}", out::clean(rest)));
    }
}

fn round(round: &wire::GateRound) {
    let built = round.built.as_deref().unwrap_or("The builder is at work.");
    let claim = round.claim.as_deref().filter(|claim| !claim.is_empty());
    let claim = claim.map(|claim| format!(" \"{}\"", out::cut(&out::clean(claim), 80))).unwrap_or_default();
    out::line(&format!("round {:<4} {}{claim}", round.number, out::clean(built)));
    if let (Some(head), Some(base)) = (&round.head, &round.base) {
        let edited = if round.edited.is_empty() {
            String::new()
        } else {
            format!("; changes what checks are made of: {}", out::clean(&round.edited.join(", ")))
        };
        out::line(&format!(
            "  work     {}, {} at {} on {}{edited}",
            out::count(round.commits, "commit"),
            out::count(round.files, "file"),
            short(head),
            short(base)
        ));
    }
    for check in &round.checks {
        let counts = check.counts.map(|(passed, failed, skipped)| {
            format!(", {passed} passed, {failed} failed, {skipped} skipped")
        });
        let flaky = if check.flaky { ", flaky" } else { "" };
        let how = if check.red.is_empty() { "green" } else { check.red.as_str() };
        out::line(&format!(
            "  check    {}: {}{}{flaky}, {} ms",
            out::cut(&out::clean(&check.command), 40),
            out::clean(how),
            counts.unwrap_or_default(),
            check.ms
        ));
    }
    for review in &round.reviews {
        let says = match (review.verdict.as_deref(), review.fault.is_empty()) {
            (Some("approve"), _) => {
                format!("approves, {} of {} requirements met", review.met.0, review.met.1)
            }
            (Some(_), _) => format!("found issues, {} of {} requirements met", review.met.0, review.met.1),
            (None, false) => format!("gave no verdict. {}", out::clean(&review.fault)),
            (None, true) => "judges".into(),
        };
        let summary = if review.summary.is_empty() {
            String::new()
        } else {
            format!(": {}", out::clean(&review.summary))
        };
        out::line(&format!(
            "  overseer {}, run {}: {says}{}",
            out::clean(&review.agent),
            review.run,
            out::cut(&summary, 100)
        ));
    }
    for issue in &round.issues {
        let first = issue.lines().next().unwrap_or_default();
        out::line(&format!("  issue    {}", out::cut(&out::clean(first), 100)));
    }
}

fn short(oid: &str) -> &str {
    oid.get(..9).unwrap_or(oid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(stem: &str, text: &str) -> Spec {
        Spec { stem: stem.into(), after: depends_on(text), text: text.into(), source: None }
    }

    #[test]
    fn specs_come_after_what_they_depend_on() {
        let specs = vec![
            spec("ui", "# UI\n\n**Depends on:** api.md, `store`\n"),
            spec("api", "Depends on: store"),
            spec("store", "# Store\nDepends on: none\n"),
        ];
        let all = ordered(specs).ok().unwrap();
        let order: Vec<&str> = all.iter().map(|spec| spec.stem.as_str()).collect();
        assert_eq!(order, ["store", "api", "ui"]);
    }

    #[test]
    fn a_cycle_is_refused() {
        let specs = vec![spec("a", "Depends on: b"), spec("b", "Depends on: a")];
        let Err(CliError::Refused(error, 409)) = ordered(specs) else { panic!("they wait for each other") };
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("cycle", "a, b wait for each other, so none could begin.")
        );
    }
}
