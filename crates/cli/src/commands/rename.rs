//! `oarlock rename`.

use clap::Args;
use oarlock_api::wire;

use super::{Context, in_path, request_id};
use crate::error::Done;
use crate::out;

/// Give a session another name; its branch and workspace stay
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock rename exec-2 payments")]
pub struct Rename {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
    /// The new name: a-z, 0-9 and hyphens
    #[arg(value_name = "X")]
    name: String,
}

pub fn run(context: &Context, rename: &Rename) -> Done {
    let path = format!("/v1/sessions/{}/rename", in_path(&rename.session));
    let body = wire::Rename { name: rename.name.clone() };
    let changed: wire::Changed = context.client()?.post(&path, &request_id(), &body)?;
    if context.json {
        return out::json(&changed);
    }
    out::line(&format!("Renamed {} to {}", rename.session, changed.session.name));
    Ok(())
}
