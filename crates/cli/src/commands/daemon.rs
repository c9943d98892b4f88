//! `oarlock daemon`.

use clap::Args;
use oarlock_daemon::{DaemonError, Options};

use super::Context;
use crate::error::{CliError, Done, sentence};

/// Run the daemon in the foreground, logging to stderr
///
/// For service managers and for looking on. OARLOCK_LOG sets what is logged, such as `debug`.
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock daemon\n  OARLOCK_LOG=debug oarlock daemon")]
pub struct Daemon {
    /// Leave the terminal, log to the file, and say `ready` on stdout once requests are taken
    #[arg(long, hide = true)]
    background: bool,
}

pub fn run(context: &Context, daemon: &Daemon) -> Done {
    if daemon.background {
        // A group leader cannot; then the terminal's signals reach it, and it stops in good order.
        rustix::process::setsid().ok();
    }
    let oarlock =
        std::env::current_exe().map_err(|error| CliError::io("find oarlock's own program", &error))?;
    let options = Options { oarlock, foreground: !daemon.background, say_ready: daemon.background };
    oarlock_daemon::run(&context.place, &options).map_err(|error| {
        let hint = match &error {
            DaemonError::AlreadyRunning { .. } => "Stop it first with \"oarlock stop\", or use it.",
            DaemonError::Store(_) => "Examine it with \"oarlock doctor --verify\".",
            DaemonError::Place(_) => "Set OARLOCK_HOME to a folder of your own that can be written to.",
            DaemonError::Start(_) | DaemonError::Differs(_) | DaemonError::System { .. } => "",
        };
        CliError::failed(sentence(&error), hint)
    })
}
