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
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_about_us) {
            command.env_remove(name);
        }
    }
    command
}

/// Tells whether a variable is about this program, or the session it runs in, and would mislead another: cargo-machete
/// takes cargo's words to us for words to itself, and an oarlock that is tested must not find the one that tests it.
fn is_about_us(name: &str) -> bool {
    let from_cargo = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    let for_the_simulator = name.starts_with("OARLOCK_SIM_");
    from_cargo.iter().any(|prefix| name.starts_with(prefix))
        || name.starts_with("OARLOCK_") && !for_the_simulator
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

/// Runs a command, prints what it says as it comes but for talk, and keeps all of it.
///
/// # Errors
/// When it cannot be started or heard.
pub fn aloud(command: Command, is_talk: impl Fn(&str) -> bool) -> Result<Ran, String> {
    listen(command, |line| {
        if !is_talk(line) {
            println!("{line}");
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_us_is_not_handed_on() {
        for name in ["CARGO_PKG_NAME", "OARLOCK_HOME", "OARLOCK_RUN", "OARLOCK_UPDATE"] {
            assert!(is_about_us(name), "{name} would mislead");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "PATH", "OARLOCK_SIM_SEED"] {
            assert!(!is_about_us(name), "{name} is meant for all");
        }
    }
}
