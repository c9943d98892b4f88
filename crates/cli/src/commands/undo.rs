//! `oarlock undo`.

use clap::Args;
use oarlock_api::wire;

use super::{Context, request_id};
use crate::error::Done;
use crate::out;

/// Bring back what was rejected, forgotten or removed last
///
/// The workspace returns to its place: branch, commits, index, uncommitted and untracked files as they were. With a
/// session, that one comes back.
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock undo\n  oarlock undo payments")]
pub struct Undo {
    /// The session: name, id, or a unique prefix (default: the last of all)
    #[arg(value_name = "S")]
    session: Option<String>,
}

pub fn run(context: &Context, undo: &Undo) -> Done {
    bring_back(context, undo.session.clone())
}

/// Undoes a session's farewell, or the last of all.
pub fn bring_back(context: &Context, session: Option<String>) -> Done {
    let busy = out::busy("Bringing it back");
    let changed: wire::Changed =
        context.client()?.post("/v1/undo", &request_id(), &wire::Undo { session })?;
    drop(busy);
    if context.json {
        return out::json(&changed);
    }
    let session = &changed.session;
    let place = session.workspace.as_deref().unwrap_or("a workspace that is on its way");
    out::line(&format!("Brought back {}: {}", session.name, out::clean(place)));
    Ok(())
}
