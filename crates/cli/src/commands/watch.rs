//! `oarlock watch`.

use clap::Args;

use super::Context;
use super::attach::take_terminal;
use crate::error::Done;

/// Look at a session's terminal without typing
///
/// Ctrl-] leaves. What you type goes nowhere, and your terminal's size does not count.
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock watch payments")]
pub struct Watch {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
}

pub fn run(context: &Context, watch: &Watch) -> Done {
    take_terminal(context, &watch.session, true)
}
