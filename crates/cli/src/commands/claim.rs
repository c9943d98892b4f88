//! `oarlock claim`: what an agent says of its own work. Hidden: it is for agents, inside a run.

use std::path::PathBuf;

use clap::Args;
use oarlock_agents::Report;
use oarlock_world::run::inbox;

use super::Context;
use crate::error::{CliError, Done};
use crate::out;

/// Claim something about the work of the run this is called in
///
/// A claim is not evidence: it is shown to the person, and judged.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock claim done 'all tests pass'\n  oarlock claim stuck 'no access to the registry'"
)]
pub struct Claim {
    /// What is claimed
    #[arg(value_parser = ["done", "phase_done", "handing_off", "stuck"])]
    claim: String,
    /// In your words
    #[arg(default_value = "")]
    note: String,
}

pub fn run(_: &Context, claim: &Claim) -> Done {
    let Some(inbox) = std::env::var_os("OARLOCK_INBOX").map(PathBuf::from) else {
        return Err(CliError::Usage(
            "This is not a run of oarlock's, so there is nobody to claim anything.".into(),
            "It is for agents that oarlock started.".into(),
        ));
    };
    let payload = serde_json::json!({"claim": claim.claim, "note": claim.note});
    inbox::report(&inbox, &Report { event: "claim".into(), payload })
        .map_err(|error| CliError::io("leave the claim in the run's inbox", &error))?;
    out::line("Noted.");
    Ok(())
}
