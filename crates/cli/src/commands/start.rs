//! `oarlock start`.

use clap::Args;
use oarlock_api::wire;

use super::Context;
use crate::error::Done;
use crate::{connect, out};

/// Start the daemon in the background, and return once it takes requests
///
/// Verbs that need the daemon start it by themselves; this is for seeing that it comes up.
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock start")]
pub struct Start {}

pub fn run(context: &Context, _: &Start) -> Done {
    let was_up = connect::answers(&context.place);
    let daemon: wire::Daemon = context.client()?.get("/v1/status")?;
    if context.json {
        return out::json(&daemon);
    }
    let says = if was_up { "The daemon was already running" } else { "The daemon is running" };
    out::line(&format!("{says}, process {}.", daemon.pid));
    Ok(())
}
