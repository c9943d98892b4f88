//! `oarlock rm`.

use clap::Args;

use super::{Context, part};
use crate::error::Done;

/// Take sessions that are not running off the list
///
/// Workspace and branch go to the trash, with everything uncommitted; `oarlock undo` brings them back.
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock rm payments\n  oarlock rm try-1 try-2 try-3")]
pub struct Rm {
    /// The sessions: names, ids, or unique prefixes
    #[arg(value_name = "S", required = true)]
    sessions: Vec<String>,
}

pub fn run(context: &Context, rm: &Rm) -> Done {
    let mut first_error = None;
    for session in &rm.sessions {
        if let Err(error) = part::with(context, session, part::How::Delete, "Removed") {
            // The others are still wanted gone; each refusal is told.
            if rm.sessions.len() > 1 {
                error.report(context.json);
            }
            first_error.get_or_insert(error);
        }
    }
    match first_error {
        Some(error) if rm.sessions.len() > 1 => Err(crate::error::CliError::Said(error.code())),
        Some(error) => Err(error),
        None => Ok(()),
    }
}
