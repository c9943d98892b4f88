//! `oarlock version`.

use clap::Args;

use super::Context;
use crate::error::Done;
use crate::out;

/// Print the version
#[derive(Args)]
#[command(after_help = "Examples:\n  oarlock version")]
pub struct Version {}

pub fn run(context: &Context, _: &Version) -> Done {
    let version = env!("CARGO_PKG_VERSION");
    if context.json {
        return out::json(&serde_json::json!({"version": version}));
    }
    out::line(&format!("oarlock {version}"));
    Ok(())
}
