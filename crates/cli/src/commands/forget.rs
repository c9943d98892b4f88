//! `oarlock forget`.

use clap::Args;

use super::{Context, part};
use crate::error::Done;

/// Let go of a session, keeping its branch for you
///
/// Its agent is stopped and it leaves the list. The branch stays in the repository; the workspace goes to the trash.
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock forget payments")]
pub struct Forget {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
}

pub fn run(context: &Context, forget: &Forget) -> Done {
    part::with(context, &forget.session, part::How::Post("forget"), "Let go of")
}
