//! `oarlock doctor`.

use clap::Args;
use oarlock_api::exit;

use super::Context;
use crate::error::{CliError, Done};
use crate::{connect, out};

/// Examine oarlock's surroundings, the agents, and its own state
///
/// Says of each agent that is there which version it is, whether somebody is logged in, and when its hooks were last heard. Starts
/// nothing of oarlock's and changes nothing. Exit code 1 when something must be mended. --verify folds the whole log again and
/// compares it with the stored state.
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock doctor\n  oarlock doctor --verify")]
pub struct Doctor {
    /// Replay the whole log, and check every page of its file
    #[arg(long)]
    verify: bool,
}

pub fn run(context: &Context, doctor: &Doctor) -> Done {
    let running = connect::answers(&context.place);
    let checks = oarlock_daemon::examine(&context.place, running, doctor.verify);
    if context.json {
        out::json(&checks)?;
    } else {
        let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        for check in &checks {
            out::line(&format!("{:<5} {:<width$} {}", check.result, check.name, out::clean(&check.text)));
            if !check.hint.is_empty() {
                out::line(&format!("{:<5} {:<width$} {}", "", "", out::clean(&check.hint)));
            }
        }
    }
    if checks.iter().any(|check| check.result == "fail") { Err(CliError::Said(exit::FAILED)) } else { Ok(()) }
}
