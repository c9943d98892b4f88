//! `oarlock status`.

use clap::Args;
use oarlock_api::wire;

use super::Context;
use crate::error::Done;
use crate::{connect, out};

/// Show whether the daemon runs, where, and how much it looks after
///
/// Starts nothing. Exit code 5 when no daemon runs.
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock status\n  oarlock status --json")]
pub struct Status {}

pub fn run(context: &Context, _: &Status) -> Done {
    let daemon: wire::Daemon = connect::running(&context.place)?.get("/v1/status")?;
    if context.json {
        return out::json(&daemon);
    }
    out::line(&format!("running   process {}, since {}", daemon.pid, out::age(&daemon.started_at)));
    out::line(&format!("version   {}", daemon.version));
    out::line(&format!("sessions  {} listed, {} with a live agent", daemon.sessions, daemon.running));
    out::line(&format!("log       line {}", daemon.seq));
    out::line(&format!("socket    {}", daemon.socket));
    out::line(&format!("state     {}", daemon.state));
    out::line(&format!("own log   {}", daemon.log));
    Ok(())
}
