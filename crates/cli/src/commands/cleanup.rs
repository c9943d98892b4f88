//! `oarlock cleanup`.

use clap::Args;
use oarlock_api::wire;

use super::{Context, in_path, request_id};
use crate::error::{CliError, Done};
use crate::out;

/// Clear away workspaces that hold nothing to land
///
/// Takes away the workspaces of sessions that are over, or stopped with nothing to land, and says of every other why it
/// stays. Uncommitted changes and commits that are not landed always stay. What goes is kept in the trash first;
/// `oarlock undo S` brings it back.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock cleanup --dry-run\n  oarlock cleanup\n  oarlock cleanup try-1 try-2"
)]
pub struct Cleanup {
    /// Only these sessions: names, ids, or unique prefixes (default: all that have a workspace)
    #[arg(value_name = "S")]
    sessions: Vec<String>,
    /// Say what would go and what would stay, and touch nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(context: &Context, cleanup: &Cleanup) -> Done {
    let project = context.project_filter()?;
    let client = context.client()?;
    let done: wire::Cleanup = if cleanup.dry_run {
        let mut query = vec![];
        query.extend(project.map(|project| format!("project={}", in_path(&project))));
        if !cleanup.sessions.is_empty() {
            query.push(format!("sessions={}", in_path(&cleanup.sessions.join(","))));
        }
        client.get(&format!("/v1/cleanup?{}", query.join("&")))?
    } else {
        let busy = out::busy("Clearing away");
        let body = wire::CleanUp { project, sessions: cleanup.sessions.clone() };
        let done = client.post("/v1/cleanup", &request_id(), &body)?;
        drop(busy);
        done
    };
    let failed = done.items.iter().any(|item| item.trouble.is_some());
    if context.json {
        out::json(&done)?;
    } else if done.items.is_empty() {
        out::talk("No workspaces.");
    } else {
        done.items.iter().for_each(|item| tell(item, cleanup.dry_run));
    }
    if failed { Err(CliError::Said(oarlock_api::exit::REFUSED)) } else { Ok(()) }
}

fn tell(item: &wire::CleanupItem, dry_run: bool) {
    let name = &item.name;
    let Some(trouble) = &item.trouble else {
        let what = match (item.goes, dry_run, item.done) {
            (false, _, _) => "Leaves",
            (true, true, _) => "Would take",
            (true, false, true) => "Took",
            (true, false, false) => "Takes",
        };
        return out::line(&format!("{what} {name}: {}", out::clean(&item.says)));
    };
    out::line(&format!("Leaves {name}: {}", out::clean(&trouble.message)));
    if !trouble.hint.is_empty() {
        out::talk(&format!("hint: {}", out::clean(&trouble.hint)));
    }
}
