//! `oarlock attach`.

use std::path::Path;

use clap::Args;
use oarlock_api::wire;
use oarlock_term::{AttachEnd, AttachOptions, DETACH_KEY};

use super::{Context, in_path};
use crate::error::{CliError, Done};
use crate::out;

/// Take a session's terminal: see what the agent sees, type what you like
///
/// Ctrl-] leaves; the agent goes on. Several people may be attached; the size is that of the one who typed last.
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock attach payments")]
pub struct Attach {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
}

pub fn run(context: &Context, attach: &Attach) -> Done {
    take_terminal(context, &attach.session, false)
}

/// Connects this terminal to the session's, to type or only to look.
pub fn take_terminal(context: &Context, session: &str, read_only: bool) -> Done {
    let detail: wire::SessionDetail = context.client()?.get(&format!("/v1/sessions/{}", in_path(session)))?;
    let name = &detail.session.name;
    let live = detail.runs.last().filter(|run| run.exit.is_none());
    let Some(run) = live else {
        return Err(CliError::Refused(
            wire::Error {
                code: "not_running".into(),
                message: format!("No agent runs in {name}."),
                hint: format!(
                    "Read what it wrote with \"oarlock logs {name}\", or bring it up with \"oarlock resume {name}\"."
                ),
                paths: vec![],
            },
            409,
        ));
    };
    let options = AttachOptions { read_only, detach_key: DETACH_KEY };
    let end = oarlock_term::attach(Path::new(&run.folder), options).map_err(|error| {
        let hint = format!("Read what it wrote with \"oarlock logs {name}\".");
        CliError::failed(crate::error::sentence(&error), hint)
    })?;
    out::talk(&match end {
        AttachEnd::Detached => format!("Left {name}; it goes on."),
        AttachEnd::Exited(_) => format!("The agent of {name} ended; see \"oarlock why {name}\"."),
        AttachEnd::Lost => format!("The host of {name} is gone; see \"oarlock why {name}\"."),
    });
    Ok(())
}
