//! `oarlock land`.

use clap::Args;
use oarlock_api::client::Client;
use oarlock_api::wire;

use super::{Context, in_path, request_id};
use crate::error::{CliError, Done};
use crate::out;

/// Commits listed before landing.
const COMMITS_SHOWN: usize = 10;

/// Put a session's work on its base branch
///
/// Shows what would land, and conflicts, before it acts; computes both without touching any checkout. The base moves in
/// one step or not at all. A clean checkout of the base follows; one with uncommitted changes is left alone. The
/// workspace goes to the trash, unless --keep.
#[derive(Args)]
#[command(visible_aliases = ["accept", "merge"], after_help = "Examples:\n  oarlock land payments --dry-run\n  oarlock land payments\n  oarlock land payments --how squash -m 'Add payments'")]
pub struct Land {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
    /// How it joins the base
    #[arg(long, value_parser = ["merge", "squash", "rebase"], default_value = "merge")]
    how: String,
    /// The commit message (default: written from the session)
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Only show what would land
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Land although the agent is in a turn
    #[arg(long)]
    now: bool,
    /// Land what is committed; uncommitted changes go to the trash
    #[arg(long)]
    committed_only: bool,
    /// Keep the workspace and the branch
    #[arg(long)]
    keep: bool,
}

pub fn run(context: &Context, land: &Land) -> Done {
    let client = context.client()?;
    let path = format!("/v1/sessions/{}/landing", in_path(&land.session));
    let base = look(context, &client, &path, land)?;
    if land.dry_run {
        return Ok(());
    }
    let body = wire::Land {
        how: Some(land.how.clone()),
        message: land.message.clone(),
        now: land.now,
        committed_only: land.committed_only,
        keep: land.keep,
        // What was shown is what lands: a base that moved since is refused.
        expect_base: base,
    };
    let busy = out::busy(format!("Landing {}", land.session));
    let landed: wire::Landed = client.post(&path, &request_id(), &body)?;
    drop(busy);
    if context.json {
        return out::json(&landed);
    }
    let commits = out::count(landed.commits, "commit");
    out::line(&format!(
        "Landed {} on {}: {commits}, now at {}",
        landed.name,
        out::clean(&landed.onto),
        short(&landed.oid)
    ));
    for note in &landed.notes {
        out::talk(&format!("note: {}", out::clean(note)));
    }
    Ok(())
}

fn short(oid: &str) -> &str {
    oid.get(..9).unwrap_or(oid)
}

/// Shows what would land, and returns the base it was computed on. Conflicts end it here.
fn look(context: &Context, client: &Client, path: &str, land: &Land) -> Result<Option<String>, CliError> {
    let preview: wire::Preview = match client.get(path).map_err(CliError::from) {
        Ok(preview) => preview,
        // A landing that is refused for good gives its own reason below, with the rules of the session applied first.
        Err(CliError::Refused(..)) if !land.dry_run => return Ok(None),
        Err(error) => return Err(error),
    };
    if land.dry_run && context.json {
        out::json(&preview)?;
        return Ok(None);
    }
    if !context.json {
        let files = out::count(preview.files, "file");
        out::line(&format!(
            "{files}, +{} -{} onto {}",
            preview.insertions,
            preview.deletions,
            out::clean(&preview.onto)
        ));
        for (oid, subject) in preview.commits.iter().rev().take(COMMITS_SHOWN) {
            out::line(&format!("  {} {}", short(oid), out::clean(subject)));
        }
        if preview.commits.len() > COMMITS_SHOWN {
            out::line(&format!("  and {} more", preview.commits.len() - COMMITS_SHOWN));
        }
        if land.dry_run && preview.dirty > 0 {
            out::line(&format!("Not committed: {}.", out::count(preview.dirty, "changed path")));
        }
    }
    if land.dry_run && !preview.conflicts.is_empty() {
        let count = out::count(u32::try_from(preview.conflicts.len()).unwrap_or(u32::MAX), "path");
        return Err(CliError::Refused(
            wire::Error {
                code: "conflicts".into(),
                message: format!("{count} would conflict with {}.", preview.onto),
                hint: format!("Have {} merged into the work, then land again.", preview.onto),
                paths: preview.conflicts,
            },
            409,
        ));
    }
    Ok(Some(preview.base))
}
