//! `oarlock reject`.

use clap::Args;

use super::{Context, part};
use crate::error::Done;

/// Set a session's work aside
///
/// Its agent is stopped; workspace and branch go to the trash, uncommitted and untracked work included. `oarlock undo`
/// brings all of it back.
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock reject payments\n  oarlock undo")]
pub struct Reject {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
}

pub fn run(context: &Context, reject: &Reject) -> Done {
    part::with(context, &reject.session, part::How::Post("reject"), "Rejected")
}
