//! `oarlock kill`.

use clap::Args;

use super::Context;
use super::stop::session_stop;
use crate::error::Done;

/// Kill a session's agent and everything it started, at once
///
/// Its workspace stays as it is. `stop` asks first, and is kinder to what is half written.
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock kill payments")]
pub struct Kill {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
}

pub fn run(context: &Context, kill: &Kill) -> Done {
    session_stop(context, &kill.session, "kill", "Killed")
}
