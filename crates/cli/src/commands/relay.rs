//! `oarlock relay`.

use std::io::Read;
use std::path::Path;

use clap::Args;
use oarlock_api::wire;
use oarlock_world::relay::plan::{self, NoPlan, PLAN_BYTES_MAX, Plan};

use super::spawn::{agent, said, stdin};
use super::{Context, request_id};
use crate::error::{CliError, Done};
use crate::out;

/// Have fresh agents work a plan phase by phase, each handing over to the next
///
/// Each leg is a fresh agent: it reads the plan, the phase at hand and a baton of a page from the agent before it, works,
/// commits, and hands over when its phase is complete or its context budget is used up. What ran to its end is claimed,
/// for you to land. The plan is kept: an edit of its file is shown, and changes nothing.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock relay plan.md --agent claude-code\n  oarlock relay plan.md --check\n  oarlock relay plan.md --agent claude-code,codex --budget 80k --legs 20 --time 6h --money 25"
)]
pub struct Relay {
    /// The plan: Markdown or text with phases; - reads standard input
    #[arg(value_name = "PLAN.md")]
    plan: String,
    /// Only show how the plan is understood
    #[arg(long)]
    check: bool,
    /// The session's name: a-z, 0-9 and hyphens (default: from the plan's file)
    #[arg(long)]
    name: Option<String>,
    /// Who runs the legs; several take turns: claude-code,codex
    #[arg(long, value_name = "A", conflicts_with = "exec")]
    agent: Option<String>,
    /// Any shell command as the agent
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// What every leg is told beside the plan; - reads standard input
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Tokens of context a leg may fill before it hands over: 80000 or 80k
    #[arg(long, value_name = "TOKENS", default_value = "100k", value_parser = tokens)]
    budget: u64,
    /// Legs at most, 1 to 500
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    legs: u32,
    /// Time at most: 90m, 6h, 2d
    #[arg(long, value_name = "TIME", value_parser = time)]
    time: Option<u64>,
    /// Money at most, in US dollars, as far as agents say what they cost
    #[arg(long, value_name = "USD", value_parser = money)]
    money: Option<u64>,
    /// The branch, tag or commit to start from (default: the project's default branch)
    #[arg(long)]
    base: Option<String>,
    /// How agents are held (default: by their protocol where they have one)
    #[arg(long, value_parser = ["protocol", "acp", "terminal", "process"], value_name = "HOW")]
    hold: Option<String>,
    /// The model of the first agent (default: OARLOCK_MODEL, as configured, or its own settings)
    #[arg(long, value_name = "M")]
    model: Option<String>,
    /// What agents may do without asking (default: OARLOCK_PERMISSIONS, as configured, or their own settings)
    #[arg(long, value_parser = ["default", "accept-edits", "auto", "bypass"], value_name = "MODE")]
    permissions: Option<String>,
    /// How the workspace is made
    #[arg(long, value_parser = ["worktree", "clone"], default_value = "worktree")]
    workspace: String,
}

pub fn run(context: &Context, relay: &Relay) -> Done {
    let (bytes, source) = read(&relay.plan, "plan")?;
    let understood = plan::decode(&bytes).and_then(|(text, guessed)| {
        let mut plan = plan::read(&text)?;
        plan.warnings.extend(guessed);
        Ok((text, plan))
    });
    let (text, plan) = understood.map_err(|no| no_plan(&no))?;
    if relay.check {
        return preview(context, &plan);
    }
    let names = relay.agent.clone().unwrap_or_default();
    let mut names = names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let (agent, command) = agent(names.next().as_ref(), relay.exec.as_ref());
    let prompt = match relay.prompt.as_deref() {
        Some("-") if relay.plan == "-" => {
            return Err(CliError::Usage(
                "Only one of the two can be read from standard input.".into(),
                "Put the plan into a file.".into(),
            ));
        }
        Some("-") => stdin()?,
        text => text.unwrap_or_default().into(),
    };
    let variable = |flag: &Option<String>, variable| {
        if agent == "exec" { flag.clone() } else { said(flag.as_ref(), variable) }
    };
    let body = wire::Spawn {
        project: context.project()?,
        name: relay.name.clone(),
        command,
        prompt,
        base: relay.base.clone(),
        workspace: Some(relay.workspace.clone()),
        hold: variable(&relay.hold, "OARLOCK_HOLD"),
        model: variable(&relay.model, "OARLOCK_MODEL"),
        permissions: variable(&relay.permissions, "OARLOCK_PERMISSIONS"),
        relay: Some(wire::RelayWish {
            plan: text,
            source,
            budget: Some(relay.budget),
            legs: Some(relay.legs),
            agents: names.collect(),
            ms_max: relay.time,
            cost_micros_max: relay.money,
        }),
        agent,
        ..wire::Spawn::default()
    };
    let session: wire::Session = context.client()?.post("/v1/sessions", &request_id(), &body)?;
    if context.json {
        return out::json(&session);
    }
    out::line(&format!("Began {}: {}", session.name, out::count(plan_len(&plan), &plan.unit)));
    for warning in &plan.warnings {
        out::talk(&format!("note: {}", out::clean(warning)));
    }
    out::talk(&format!("See its legs with \"oarlock show {}\".", session.name));
    Ok(())
}

fn plan_len(plan: &Plan) -> u32 {
    u32::try_from(plan.phases.len()).unwrap_or(u32::MAX)
}

/// Returns the bytes of a plan or a spec, and the file they came from.
pub(super) fn read(path: &str, what: &str) -> Result<(Vec<u8>, Option<String>), CliError> {
    let max = PLAN_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    if path == "-" {
        std::io::stdin()
            .take(max)
            .read_to_end(&mut bytes)
            .map_err(|error| CliError::io("read standard input", &error))?;
        return Ok((bytes, None));
    }
    let file = std::fs::File::open(path).and_then(|file| file.take(max).read_to_end(&mut bytes));
    file.map_err(|error| CliError::io(&format!("read the {what} {}", out::clean(path)), &error))?;
    let source =
        Path::new(path).canonicalize().ok().and_then(|path| path.into_os_string().into_string().ok());
    Ok((bytes, source))
}

fn no_plan(no: &NoPlan) -> CliError {
    let (code, message, hint) = (no.code().to_owned(), no.message(), no.hint());
    CliError::Refused(wire::Error { code, message, hint, paths: vec![] }, 400)
}

/// Shows how a plan is understood.
fn preview(context: &Context, plan: &Plan) -> Done {
    if context.json {
        return out::json(plan);
    }
    let title = if plan.title.is_empty() { "A plan without a title" } else { plan.title.as_str() };
    out::line(&format!("{}, {}", out::clean(title), out::count(plan_len(plan), &plan.unit)));
    for phase in &plan.phases {
        let label = if phase.label.is_empty() { String::new() } else { format!("{}: ", phase.label) };
        let lines = format!("lines {} to {}", phase.line_first, phase.line_last);
        let tasks = match phase.tasks {
            (0, _) => String::new(),
            (tasks, ticked) => format!(", {ticked} of {} ticked off", out::count(tasks, "task")),
        };
        let ticked = if phase.is_ticked { ", done already" } else { "" };
        out::line(&format!(
            "{:>3}  {}  ({lines}{tasks}{ticked})",
            phase.number,
            out::clean(&format!("{label}{}", phase.title))
        ));
        for check in &phase.checks {
            let command = check.command.as_ref().filter(|command| **command != check.text);
            let command = command.map(|command| format!("  [{}]", out::clean(command))).unwrap_or_default();
            out::line(&format!("       check: {}{command}", out::clean(&check.text)));
        }
    }
    for warning in &plan.warnings {
        out::line(&format!("note: {}", out::clean(warning)));
    }
    Ok(())
}

/// Shows a relay's story, leg by leg.
pub fn story(relay: &wire::Relay) {
    let edited = if relay.plan_edited { ", edited since it began" } else { "" };
    let source = if relay.source.is_empty() { &relay.plan } else { &relay.source };
    out::line(&format!("plan       {}{edited}", out::clean(source)));
    let unit = &relay.unit;
    for (phase, number) in relay.phases.iter().zip(1_u32..) {
        let mark = match phase.state.as_str() {
            "claimed" => "✓",
            "ticked" => "-",
            "at_hand" => ">",
            _ => " ",
        };
        out::line(&format!("{unit} {number:<4} {mark} {}", out::cut(&out::clean(&phase.name), 80)));
    }
    for (leg, number) in relay.legs.iter().zip(1_u32..) {
        let context =
            if leg.context == 0 { String::new() } else { format!(", {}k tokens", leg.context / 1_000) };
        let took = out::between(&leg.began_at, leg.ended_at.as_deref());
        let ended = leg.ended.as_deref().unwrap_or("At work.");
        let note =
            if leg.note.is_empty() { String::new() } else { format!(" \"{}\"", out::clean(&leg.note)) };
        let agent = out::cut(&out::clean(&leg.agent), 24);
        out::line(&format!("leg {number:<6} {agent}, {unit} {}, {took}{context}: {ended}{note}", leg.phase));
        let mut left = Vec::new();
        if let (Some(commits), Some(dirty)) = (leg.commits, leg.dirty) {
            left.push(format!(
                "left {}, {}",
                out::count(commits, "commit"),
                out::count(dirty, "uncommitted path")
            ));
        }
        if leg.baton_derived == Some(true) {
            left.push("its baton was derived from git".into());
        }
        left.extend(leg.faults.iter().map(|fault| out::clean(fault).trim_end_matches('.').to_owned()));
        if !left.is_empty() {
            out::line(&format!("           {}", left.join("; ")));
        }
    }
    if let Some(rest) = &relay.rest {
        out::line(&format!("rests      {}", out::clean(rest)));
    }
    if let Some(at) = &relay.not_before {
        out::line(&format!("next leg   not before {at}"));
    }
}

/// Reads `80000`, `80k` or `1m`.
fn tokens(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_lowercase().replace('_', "");
    let (digits, times) = match lower.strip_suffix('k') {
        Some(digits) => (digits, 1_000),
        None => lower.strip_suffix('m').map_or((lower.as_str(), 1), |digits| (digits, 1_000_000)),
    };
    let number: u64 = digits.parse().map_err(|_| "write it as 80000 or 80k".to_owned())?;
    number.checked_mul(times).ok_or_else(|| "it is too much".to_owned())
}

/// Reads `90s`, `90m`, `6h`, `2d`, and several of them: `1h30m`. In milliseconds.
pub(super) fn time(text: &str) -> Result<u64, String> {
    let wrong = || "write it as 90m, 6h or 1h30m".to_owned();
    let (mut rest, mut ms) = (text.trim(), 0_u64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..end].parse().map_err(|_| wrong())?;
        let unit = rest[end..].chars().next().ok_or_else(wrong)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        ms = number.checked_mul(seconds * 1_000).and_then(|more| ms.checked_add(more)).ok_or_else(wrong)?;
        rest = rest[end + unit.len_utf8()..].trim_start();
    }
    if ms == 0 { Err(wrong()) } else { Ok(ms) }
}

/// Reads `25`, `$25` or `2.50`. In millionths of a dollar.
pub(super) fn money(text: &str) -> Result<u64, String> {
    let wrong = || "write it as 25 or 2.50".to_owned();
    let text = text.trim().trim_start_matches('$');
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 6 || !part.chars().all(|c| c.is_ascii_digit()) {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let micros: u64 = format!("{part:0<6}").parse().map_err(|_| wrong())?;
    let micros =
        whole.checked_mul(1_000_000).and_then(|whole| whole.checked_add(micros)).ok_or_else(wrong)?;
    if micros == 0 { Err(wrong()) } else { Ok(micros) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_as_people_write_them() {
        assert_eq!(tokens("80k"), Ok(80_000));
        assert_eq!(tokens("1M"), Ok(1_000_000));
        assert_eq!(tokens("80_000"), Ok(80_000));
        assert!(tokens("many").is_err() && tokens("-5").is_err() && tokens("99999999999999999k").is_err());
        assert_eq!(time("1h30m"), Ok(5_400_000));
        assert_eq!(time("2d"), Ok(172_800_000));
        assert!(time("6").is_err() && time("0s").is_err() && time("h").is_err() && time("").is_err());
        assert_eq!(money("$2.50"), Ok(2_500_000));
        assert_eq!(money("25"), Ok(25_000_000));
        assert!(money("0").is_err() && money("2.5.0").is_err() && money("x").is_err());
    }
}
