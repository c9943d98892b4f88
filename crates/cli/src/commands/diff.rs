//! `oarlock diff`.

use std::io::IsTerminal;

use clap::Args;
use oarlock_api::wire;

use super::{Context, in_path};
use crate::error::Done;
use crate::out;

/// Show what a session changed since its base, uncommitted work included
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock diff payments\n  oarlock diff payments --stat\n  oarlock diff payments | git apply --check"
)]
pub struct Diff {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
    /// Lines added and removed per file, instead of the patch
    #[arg(long)]
    stat: bool,
}

pub fn run(context: &Context, diff: &Diff) -> Done {
    let path = format!("/v1/sessions/{}/diff?stat={}", in_path(&diff.session), diff.stat);
    let shown: wire::Diff = context.client()?.get(&path)?;
    if context.json {
        return out::json(&shown);
    }
    if std::io::stdout().is_terminal() {
        // A patch holds whatever an agent wrote; on a terminal it is shown, not obeyed.
        for line in shown.text.lines() {
            out::line(
                &line
                    .chars()
                    .map(|c| if out::drives(c) && c != '\t' { '\u{fffd}' } else { c })
                    .collect::<String>(),
            );
        }
    } else {
        out::bytes(shown.text.as_bytes());
    }
    if shown.truncated {
        out::talk("The diff is longer; see the rest with git in the workspace (\"oarlock show\" names it).");
    }
    Ok(())
}
