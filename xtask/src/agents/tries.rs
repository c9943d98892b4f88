//! `cargo xtask agents try`: each agent does a task against the scripted model.
//!
//! The task, and what is looked at, are a test of `crates/model`; this says which agents it is run for.

use super::table::{NODE, Package, TABLE};
use super::{entry, folder};
use crate::shell;

/// Runs the tests of those named, or of all that are installed.
///
/// # Errors
/// When one of those named is not installed, or none is.
pub fn run(named: &[&'static Package]) -> Result<bool, String> {
    let installed = |package: &&Package| package.name != NODE && entry(package).exists();
    let tried: Vec<&Package> = match named {
        [] => TABLE.iter().filter(installed).collect(),
        named => named.iter().copied().filter(|package| package.name != NODE).collect(),
    };
    if let Some(missing) = tried.iter().find(|package| !entry(package).exists()) {
        let name = missing.name;
        return Err(format!("{name} is not installed; \"cargo xtask agents install {name}\" does it"));
    }
    if tried.is_empty() {
        return Err("none is installed; \"cargo xtask agents install\" brings some".into());
    }
    let args = ["test", "--quiet", "--package", "oarlock-model", "--test", "real", "--", "--ignored"];
    let mut command = shell::cargo(&args);
    // One at a time: they are heavy, and the words of one are easier to read.
    command.args(["--test-threads=1", "--nocapture"]).env("OARLOCK_AGENTS", folder());
    for package in &tried {
        command.arg(format!("{}::", package.name));
    }
    Ok(shell::aloud(command, |_| false)?.ok)
}
