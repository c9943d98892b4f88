//! `oarlock resume`.

use clap::Args;
use oarlock_api::wire;

use super::spawn::stdin;
use super::{Context, in_path, request_id};
use crate::error::Done;
use crate::out;

/// Bring a session's agent up again, in its workspace
///
/// The agent goes on with its own conversation where it has one that can be gone on with; else it is told its brief again,
/// with a digest of what was done. The answer says which. Without a prompt, one that was cut short in a turn is told to go on.
/// Also tries again what failed before the agent came up.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock resume payments\n  oarlock resume payments --prompt 'the tests fail now; mend them'"
)]
pub struct Resume {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
    /// What it is told first; - reads standard input
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// How the agent is held from now on: its own interface to attach to, or its protocol (default: as before)
    #[arg(long, value_parser = ["protocol", "acp", "terminal", "process"], value_name = "HOW")]
    hold: Option<String>,
}

pub fn run(context: &Context, resume: &Resume) -> Done {
    let prompt = match resume.prompt.as_deref() {
        Some("-") => stdin()?,
        Some(text) => text.into(),
        None => String::new(),
    };
    let path = format!("/v1/sessions/{}/resume", in_path(&resume.session));
    let changed: wire::Changed =
        context.client()?.post(&path, &request_id(), &wire::Resume { prompt, hold: resume.hold.clone() })?;
    if context.json {
        return out::json(&changed);
    }
    let session = &changed.session;
    out::line(&format!("{} is {}: {}", session.name, session.status, out::clean(&session.because)));
    Ok(())
}
