//! `oarlock ls`.

use std::io::IsTerminal;

use clap::Args;
use oarlock_api::wire;

use super::{Context, in_path};
use crate::error::Done;
use crate::out;

/// List sessions and what each is doing
///
/// The status is derived from what was seen, each time it is asked for; `oarlock why S` tells what it rests on. Statuses:
/// starting, working, idle, needs_input, blocked (a permission dialog is up), rate_limited, claimed (the agent says
/// it is done; nobody has checked), stopped, done, failed.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock ls\n  oarlock ls --all --json | jq -r '.[] | [.name, .status] | @tsv'"
)]
pub struct Ls {
    /// Those that landed or were let go, too
    #[arg(long, short)]
    pub all: bool,
}

pub fn run(context: &Context, ls: &Ls) -> Done {
    let project = context.project_filter()?.map(|p| format!("&project={}", in_path(&p))).unwrap_or_default();
    let sessions: Vec<wire::Session> =
        context.client()?.get(&format!("/v1/sessions?all={}{project}", ls.all))?;
    show(context, &sessions)
}

/// Shows sessions as a table, or as JSON.
pub fn show(context: &Context, sessions: &[wire::Session]) -> Done {
    if context.json {
        return out::json(&sessions);
    }
    if sessions.is_empty() {
        out::talk("No sessions. Begin one with \"oarlock spawn --exec CMD\", or see \"oarlock demo\".");
        return Ok(());
    }
    let several = sessions.iter().any(|session| session.project != sessions[0].project);
    let mut headings = vec!["NAME", "STATUS", "WORK", "AGE", "WHY"];
    if several {
        headings.insert(1, "PROJECT");
    }
    let rows: Vec<Vec<String>> = sessions.iter().map(|session| row(session, several)).collect();
    out::table(&headings, &rows);
    Ok(())
}

fn row(session: &wire::Session, several: bool) -> Vec<String> {
    let work = match (session.ahead, session.dirty) {
        (None, _) => String::new(),
        (Some(ahead), Some(0) | None) => format!("+{ahead}"),
        (Some(ahead), Some(dirty)) => format!("+{ahead} ~{dirty}"),
    };
    let status = session.outcome.as_ref().unwrap_or(&session.status);
    let mut row =
        vec![session.name.clone(), paint(status), work, out::age(&session.created_at), because(session)];
    if several {
        row.insert(1, session.project.clone());
    }
    row
}

/// Returns why it has its status; an agent that should tell and does not is not taken at its last word.
fn because(session: &wire::Session) -> String {
    let mark = if session.role == "orchestrator" { "[orchestrator] " } else { "" };
    let because = format!("{mark}{}", out::clean(&session.because));
    match &session.silent_since {
        Some(since) => format!("{because} No sign of it for {}.", out::age(since)),
        None => because,
    }
}

/// Colours a status on a terminal: red needs a person, green is good, blue is under way.
fn paint(status: &str) -> String {
    let plain =
        !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
    let colour = match status {
        "failed" | "blocked" | "needs_input" => 31,
        "rate_limited" | "claimed" => 33,
        "done" | "landed" => 32,
        "working" | "starting" => 34,
        _ => 0,
    };
    if plain || colour == 0 { status.into() } else { format!("\x1b[{colour}m{status}\x1b[0m") }
}
