//! How a phase says that it is done: a section, a list or a line called acceptance, done when, verify or the like.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Check;
use super::lines::{Line, What};
use super::units::plain;

/// Checks kept of a phase: more are a specification, which the agent reads in the plan.
const CHECKS_MAX: usize = 50;
/// Longest text of a check, in characters.
const TEXT_CHARS_MAX: usize = 300;
/// What begins them, in small letters.
const LABELS: [&str; 12] = [
    "acceptance criteria",
    "acceptance checks",
    "acceptance tests",
    "acceptance",
    "definition of done",
    "done when",
    "exit criteria",
    "success criteria",
    "verification",
    "verify",
    "checks",
    "check",
];
/// Programs that a code span may begin with to be taken for a command.
const PROGRAMS: [&str; 40] = [
    "bash",
    "bats",
    "bazel",
    "bun",
    "bundle",
    "cargo",
    "cmake",
    "composer",
    "ctest",
    "curl",
    "deno",
    "docker",
    "dotnet",
    "git",
    "go",
    "gradle",
    "helm",
    "jest",
    "just",
    "kubectl",
    "make",
    "mix",
    "mvn",
    "mypy",
    "node",
    "npm",
    "npx",
    "phpunit",
    "pnpm",
    "poetry",
    "pytest",
    "python",
    "python3",
    "ruff",
    "sh",
    "swift",
    "terraform",
    "tox",
    "uv",
    "yarn",
];

/// Reads the checks out of a phase's lines.
pub(super) fn read(lines: &[Line<'_>]) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut open = false;
    for line in lines {
        match &line.what {
            What::Heading(_, text) => open = label(text).is_some(),
            What::Text(text) => match label(text) {
                Some("") => open = true,
                Some(rest) => checks.push(check(rest)),
                // Words after the list say something else.
                None => open = open && !text.starts_with("**"),
            },
            What::Item(item) => match label(item.text) {
                Some(rest) if !rest.is_empty() => checks.push(check(rest)),
                Some(_) => open = true,
                None if open => checks.push(check(item.text)),
                None => {}
            },
            What::Code(language, text) if open && is_shell(language) => checks.extend(command_line(text)),
            What::Code(..) | What::Blank | What::Mark => {}
        }
    }
    checks.truncate(CHECKS_MAX);
    checks
}

/// Returns what follows a label of checks on its line; `None` when there is no label.
fn label(text: &str) -> Option<&str> {
    let bare = text.trim_start_matches(['*', '_', '#', ' ']);
    let found = LABELS.iter().find(|label| {
        bare.get(..label.len()).is_some_and(|start| start.eq_ignore_ascii_case(label))
            && !bare[label.len()..].starts_with(|c: char| c.is_alphanumeric())
    })?;
    let rest = bare[found.len()..].trim_start_matches(['*', '_', ' ']);
    let rest = match rest.strip_prefix(':') {
        Some(rest) => rest.trim_start_matches(['*', '_', ' ']).trim(),
        None if rest.is_empty() => "",
        // "Done when the tests pass" says it without a colon; "Verify the token" is a task.
        None if *found == "done when" => rest.trim(),
        None => return None,
    };
    Some(rest)
}

fn check(text: &str) -> Check {
    Check { text: crate::text::line(&plain(text), TEXT_CHARS_MAX), command: command(text) }
}

/// Returns the command that a check names: its first code span that begins with a program or a path to one.
fn command(text: &str) -> Option<String> {
    text.split('`').skip(1).step_by(2).map(str::trim).find(|span| is_command(span)).map(ToString::to_string)
}

fn is_command(span: &str) -> bool {
    let first = span.split_whitespace().next().unwrap_or_default();
    let is_path = first.starts_with("./") || first.starts_with("scripts/");
    // `cargo` alone names a program, and runs nothing.
    let words = span.split_whitespace().count();
    is_path
        || (PROGRAMS.contains(&first)
            && (words > 1 || matches!(first, "make" | "pytest" | "tox" | "ctest" | "jest")))
}

fn is_shell(language: &str) -> bool {
    matches!(
        language.split_whitespace().next().unwrap_or_default(),
        "" | "sh" | "bash" | "shell" | "console" | "zsh"
    )
}

fn command_line(text: &str) -> Option<Check> {
    let line = text.trim();
    let line = line.strip_prefix("$ ").unwrap_or(line);
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    Some(Check { text: crate::text::line(line, TEXT_CHARS_MAX), command: Some(line.to_string()) })
}
