//! `cargo xtask openapi`: the checked-in document of the HTTP surface, and whether it is that of the handlers.

use crate::shell;

/// Help.
pub const HELP: &str = "Write crates/api/openapi.json anew from the handlers; --check compares only

The comparison itself is a test of the daemon. This sets OARLOCK_UPDATE=1 for it, which makes it write.";

/// Where the document is kept.
const DOCUMENT: &str = "crates/api/openapi.json";

/// Runs the daemon's test of the document, writing or comparing.
///
/// # Errors
/// When cargo cannot be run, or an argument is unknown.
pub fn run(args: &[String]) -> Result<bool, String> {
    let check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err(format!("openapi takes --check or nothing, not {args:?}")),
    };
    let before = std::fs::read(shell::root().join(DOCUMENT)).ok();
    let mut command = shell::cargo(&["test", "--quiet", "-p", "oarlock-daemon", "openapi"]);
    if check {
        command.env_remove("OARLOCK_UPDATE");
    } else {
        command.env("OARLOCK_UPDATE", "1");
    }
    let ran = shell::quiet(command)?;
    if !ran.ok {
        eprint!("{}", ran.text);
        let hint = if check { ": \"cargo xtask openapi\" writes it anew" } else { "" };
        return Err(format!("{DOCUMENT} is not what the handlers say{hint}"));
    }
    if !ran.text.lines().any(|line| line.contains("test result: ok") && !line.contains(" 0 passed")) {
        return Err("oarlock-daemon has no test whose name holds \"openapi\"".into());
    }
    let after = std::fs::read(shell::root().join(DOCUMENT)).ok();
    let words = if before == after { "is up to date" } else { "was written" };
    println!("{DOCUMENT} {words}.");
    Ok(true)
}
