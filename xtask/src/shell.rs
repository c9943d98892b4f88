//! Starting other programs: quietly, keeping what they say, or aloud, line by line.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// How a program ended, and what it said on both streams, in order.
pub struct Ran {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Everything it said; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let manifest = PathBuf::from(manifest);
    manifest.parent().map_or_else(|| manifest.clone(), PathBuf::from)
}

/// Returns a command for the program in the repository's root, with nothing to read.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    // What cargo told this program about itself misleads others: cargo-machete takes it for its own.
    for (name, _) in std::env::vars_os() {
        let about_us = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        if name.to_str().is_some_and(|name| about_us.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}

/// Returns a command for cargo with these arguments, without colour.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).env("CARGO_TERM_COLOR", "never");
    command
}

/// Runs a command and keeps what it says.
///
/// # Errors
/// When it cannot be started or heard.
pub fn quiet(command: Command) -> Result<Ran, String> {
    listen(command, |_| {})
}

/// Runs a command, prints what it says as it comes, and keeps it.
///
/// # Errors
/// When it cannot be started or heard.
pub fn aloud(command: Command) -> Result<Ran, String> {
    listen(command, |line| println!("{line}"))
}

fn listen(mut command: Command, mut each: impl FnMut(&str)) -> Result<Ran, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| format!("failed to run {name}: {error}");
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    command.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
    let mut child = command.spawn().map_err(failed)?;
    // The command holds the pipe's writing ends; with them open, the reading below would never end.
    drop(command);
    let mut text = String::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(failed)?;
        let line = String::from_utf8_lossy(&line);
        each(&line);
        text.push_str(&line);
        text.push('\n');
    }
    let status = child.wait().map_err(failed)?;
    Ok(Ran { ok: status.success(), text })
}
