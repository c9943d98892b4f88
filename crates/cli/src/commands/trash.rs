//! `oarlock trash`.

use clap::{Args, Subcommand};
use oarlock_api::wire;

use super::Context;
use super::undo::bring_back;
use crate::error::{CliError, Done};
use crate::out;

/// List kept workspaces, and restore one
///
/// Nothing is removed before all of it is kept as a git ref under refs/oarlock/trash in its repository.
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock trash ls\n  oarlock trash restore payments-k7f2m9qa-57")]
pub struct Trash {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List what is kept, newest first
    Ls,
    /// Bring a kept workspace back to its session
    Restore {
        /// The entry's id
        id: String,
    },
}

pub fn run(context: &Context, trash: &Trash) -> Done {
    let kept: Vec<wire::Trash> = context.client()?.get("/v1/trash")?;
    match &trash.what {
        What::Ls if context.json => out::json(&kept),
        What::Ls => {
            if kept.is_empty() {
                out::talk("The trash is empty.");
                return Ok(());
            }
            let row = |entry: &wire::Trash| {
                let (session, reason) = (entry.session.clone(), out::clean(&entry.reason));
                vec![out::clean(&entry.id), session, reason, out::age(&entry.at), out::clean(&entry.branch)]
            };
            out::table(&["ID", "SESSION", "WHY", "AGE", "BRANCH"], &kept.iter().map(row).collect::<Vec<_>>());
            Ok(())
        }
        What::Restore { id } => {
            let found =
                kept.iter().find(|entry| entry.id == *id).filter(|entry| !entry.session_id.is_empty());
            let Some(entry) = found else {
                return Err(CliError::Refused(
                    wire::Error {
                        code: "not_found".into(),
                        message: format!("No session's workspace is kept as {}.", out::clean(id)),
                        hint: "List what is kept with \"oarlock trash ls\".".into(),
                        paths: vec![],
                    },
                    404,
                ));
            };
            bring_back(context, Some(entry.session_id.clone()))
        }
    }
}
