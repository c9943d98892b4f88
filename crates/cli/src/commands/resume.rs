//! `oarlock resume`.

use clap::Args;
use oarlock_api::wire;

use super::spawn::stdin;
use super::{Context, in_path, request_id};
use crate::error::Done;
use crate::out;

/// Bring a session's agent up again, in its workspace
///
/// Also tries again what failed before the agent came up. Without a prompt the agent is told what it was told first.
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
}

pub fn run(context: &Context, resume: &Resume) -> Done {
    let prompt = match resume.prompt.as_deref() {
        Some("-") => stdin()?,
        Some(text) => text.into(),
        None => String::new(),
    };
    let path = format!("/v1/sessions/{}/resume", in_path(&resume.session));
    let changed: wire::Changed = context.client()?.post(&path, &request_id(), &wire::Resume { prompt })?;
    if context.json {
        return out::json(&changed);
    }
    let session = &changed.session;
    out::line(&format!("{} is {}: {}", session.name, session.status, out::clean(&session.because)));
    Ok(())
}
