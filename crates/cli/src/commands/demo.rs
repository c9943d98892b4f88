//! `oarlock demo`.

use std::path::PathBuf;

use clap::Args;

use super::Context;
use crate::error::Done;

/// Take the tour: real agents on a real repository, in a throw-away folder
///
/// Makes a repository, spawns scripted agents that make real commits side by side, sends one a message, kills the
/// daemon while they work, lands what is good, shows a conflict refused and then resolved, rejects one and brings it
/// back. Needs only git, takes under a minute, and leaves nothing behind.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock demo\n  oarlock demo --keep      leave the folder, to explore\n\nExit code 0 only if every step did what it says."
)]
pub struct Demo {
    /// Leave the repository and the sessions to explore
    #[arg(long)]
    keep: bool,
    /// Where to make it; must not exist (default: a new temporary folder)
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub fn run(_: &Context, demo: &Demo) -> Done {
    crate::demo::run(demo.keep, demo.folder.as_deref())
}
