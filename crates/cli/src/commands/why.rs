//! `oarlock why`.

use std::time::Duration;

use clap::Args;
use oarlock_api::wire;

use super::{Context, in_path};
use crate::error::Done;
use crate::out;

/// Tell what a session's status rests on: each fact, its source, its age
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock why payments")]
pub struct Why {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
}

pub fn run(context: &Context, why: &Why) -> Done {
    let why: wire::Why = context.client()?.get(&format!("/v1/sessions/{}/why", in_path(&why.session)))?;
    if context.json {
        return out::json(&why);
    }
    out::line(&format!("{} is {}.", why.name, why.status));
    why.reasons.iter().for_each(tell);
    if !why.evidence.is_empty() {
        out::line("Last heard of its run:");
        why.evidence.iter().for_each(tell);
    }
    Ok(())
}

fn tell(reason: &wire::Reason) {
    let age = out::ago(Duration::from_millis(reason.age_ms));
    out::line(&format!("  {:<10} {age:>4} ago  {}", reason.source, out::clean(&reason.says)));
}
