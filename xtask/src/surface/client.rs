//! Schemathesis: getting it, running it, and reading what it found. It must not know what it is run against.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{programs, shell};

/// The version whose flags and report this is written for.
const VERSION: &str = "4.32.5";
/// Longest wait for one answer, in seconds: a session that is stopped may take ten, and twenty on a slow machine.
const ANSWER_SECS_MAX: u32 = 60;
/// Operations left out: one ends the daemon, one follows it for ever.
const LEFT_OUT: &[&str] = &["shutdown", "feed"];
/// Examples for each operation in one round, at most: each is one request, or a few in a row. More in a round would only
/// make a failure come later.
const EXAMPLES_MAX: u64 = 120;
/// Requests that one example of each operation comes to, roughly, in all phases together.
const REQUESTS_PER_EXAMPLE: u64 = 30;

/// A schemathesis that runs.
pub struct Client(PathBuf);

/// What one round needs.
pub struct Need {
    /// Where the surface is, such as `http://127.0.0.1:4000`.
    pub url: String,
    /// A folder for its configuration and its report.
    pub folder: PathBuf,
    /// The configuration.
    pub configuration: String,
    /// The seed: the same one makes the same requests, as far as answers are the same.
    pub seed: u64,
}

/// What came of a round.
pub struct Round {
    /// Whether nothing was wrong.
    pub ok: bool,
    /// How many requests it made.
    pub requests: u64,
    /// What it said.
    pub text: String,
}

impl Client {
    /// Finds schemathesis, or puts it into a virtual environment; says why neither is possible.
    ///
    /// # Errors
    /// When it cannot be had here.
    pub fn find() -> Result<Self, String> {
        let python = programs::find("python3").ok_or("python3 is not installed")?;
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell::root().join("target"), PathBuf::from);
        let home = target.join(format!("schemathesis-{VERSION}"));
        let program = home.join("bin/schemathesis");
        // The mark is made last, so that half an environment is made again.
        let mark = home.join("complete");
        if mark.exists() {
            return Ok(Self(program));
        }
        drop(fs::remove_dir_all(&home));
        let mut environment = shell::command(python);
        environment.args(["-m", "venv"]).arg(&home);
        passes(environment, "python3 makes no virtual environment")?;
        let mut install = shell::command(home.join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        install.arg(format!("schemathesis=={VERSION}"));
        passes(install, "pip cannot install schemathesis")?;
        fs::write(mark, "").map_err(|error| format!("failed to write into target/: {error}"))?;
        Ok(Self(program))
    }

    /// Runs one round of about this many requests, or of as many as a round has.
    ///
    /// # Errors
    /// When it cannot be run, or leaves no report.
    pub fn round(&self, need: &Need, wanted: u64) -> Result<Round, String> {
        let failed = |error: std::io::Error| format!("failed to prepare a round: {error}");
        fs::create_dir_all(&need.folder).map_err(failed)?;
        let (configuration, report) =
            (need.folder.join("schemathesis.toml"), need.folder.join("report.json"));
        fs::write(&configuration, &need.configuration).map_err(failed)?;
        drop(fs::remove_file(&report));
        let examples = (wanted / REQUESTS_PER_EXAMPLE).clamp(1, EXAMPLES_MAX);
        let mut command = shell::command(&self.0);
        command.current_dir(&need.folder).arg("--config-file").arg(&configuration);
        command.args(["--no-color", "run"]).arg(format!("{}/v1/openapi.json", need.url));
        for name in LEFT_OUT {
            command.args(["--exclude-operation-id", name]);
        }
        command.args(["--max-examples", &examples.to_string(), "--seed", &need.seed.to_string()]);
        command.args(["--request-timeout", &ANSWER_SECS_MAX.to_string(), "--generation-database", "none"]);
        // Warnings are about how well it can work with what it knows; faults are failures.
        command.args(["--warnings", "off", "--continue-on-failure", "--report", "json"]);
        command.arg("--report-json-path").arg(&report);
        let ran = shell::quiet(command)?;
        let requests = read(&report).map_err(|why| format!("{why}; schemathesis said:\n{}", ran.text))?;
        Ok(Round { ok: ran.ok, requests, text: ran.text })
    }
}

fn passes(command: std::process::Command, what: &str) -> Result<(), String> {
    let ran = shell::quiet(command)?;
    let last = ran.text.trim_end().lines().next_back().unwrap_or_default();
    if ran.ok { Ok(()) } else { Err(format!("{what}: {last}")) }
}

/// Reads the number of requests off a report.
fn read(report: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(report).map_err(|error| format!("there is no report: {error}"))?;
    count(&text).ok_or_else(|| "the report does not say how many requests were made".into())
}

fn count(report: &str) -> Option<u64> {
    let report: Value = serde_json::from_str(report).ok()?;
    report["test_cases"]["generated"].as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_requests_is_read_off_the_report() {
        assert_eq!(count(r#"{"test_cases": {"generated": 1296, "errored": 0}}"#), Some(1296));
        assert_eq!(count("{}"), None);
        assert_eq!(count("no report"), None);
    }
}
