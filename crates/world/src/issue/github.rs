//! Issues of GitHub, through its own program `gh`: it has the person's login, knows their hosts, and finds the repository by the
//! folder's remotes. It must not ask anything of the person, and nothing of GitHub but to read.
//!
//! What is relied on is in gh-issue-view(1) and gh-help-exit-codes(7), and was seen in 2.23.0: with `--json` an object of the fields
//! that were asked for; exit code 4 without a login; on standard error one sentence of what failed. A number that is a pull
//! request's is answered like an issue's, with the address of the pull request.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use oarlock_core::session::fact::Trouble;
use oarlock_core::text;
use serde::Deserialize;

use super::{Issue, TITLE_CHARS_MAX, cleaned, pull_request, trouble};
use crate::git::process::{Ended, Job, Keep, run};

const GH: &str = "gh";
/// How long it may take: two or three requests to GitHub, while a person waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Most bytes of an answer: a text has 256 KiB at most, and there may be hundreds of comments.
const ANSWER_BYTES_MAX: usize = 16 << 20;
const FIELDS: &str = "number,title,body,url,state,labels,comments";
/// How it exits when there is no login.
const EXIT_NO_LOGIN: i32 = 4;

/// What it answers, as far as it matters.
#[derive(Deserialize)]
struct Said {
    title: String,
    url: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    labels: Vec<Label>,
    #[serde(default)]
    comments: Vec<Comment>,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Comment {
    /// Nobody, when the account is gone.
    #[serde(default)]
    author: Option<Author>,
    #[serde(default)]
    author_association: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    created_at: String,
    #[serde(default)]
    is_minimized: bool,
}

#[derive(Deserialize)]
struct Author {
    #[serde(default)]
    login: String,
}

/// Reads an issue of a repository, or of the one that the remotes of `folder` name.
pub(super) fn read(repository: Option<&str>, number: u64, folder: &Path) -> Result<Issue, Trouble> {
    let what = &match repository {
        Some(repository) => format!("{repository}#{number}"),
        None => format!("#{number}"),
    };
    let ended = match run(job(repository, number, folder)) {
        Ok(ended) => ended,
        Err(error) if error.kind() == ErrorKind::NotFound && folder.is_dir() => return Err(no_gh()),
        Err(error) => return Err(crate::trouble::io("run gh", folder, &error)),
    };
    if ended.timed_out {
        let message = format!("gh did not tell of {what} in {} seconds.", ANSWER_WITHIN.as_secs());
        return Err(trouble(
            "gh_slow",
            message,
            format!("Try \"gh issue view {number}\", or give the text with --issue -."),
        ));
    }
    if !ended.status.success() && !ended.truncated {
        return Err(refused(what, &ended));
    }
    if ended.truncated {
        return Err(unreadable(what, "it is too long"));
    }
    answered(&ended.stdout, what)
}

/// Reads an answer of gh.
pub(crate) fn answered(answer: &[u8], what: &str) -> Result<Issue, Trouble> {
    let said: Said = serde_json::from_slice(answer)
        .map_err(|error| unreadable(what, &text::line(&error.to_string(), 200)))?;
    issue(said, what)
}

fn unreadable(what: &str, why: &str) -> Trouble {
    let message = format!("What gh tells of {what} cannot be read: {why}.");
    trouble("gh_failed", message, "Give the text with --issue -.")
}

fn job(repository: Option<&str>, number: u64, folder: &Path) -> Job {
    let mut command = Command::new(GH);
    command.args(["issue", "view", &number.to_string(), "--json", FIELDS]).current_dir(folder);
    if let Some(repository) = repository {
        command.args(["--repo", repository]);
    }
    // It is asked by a program: no question, no colour, no word of a newer one.
    command.env("GH_PROMPT_DISABLED", "1").env("GH_NO_UPDATE_NOTIFIER", "1").env("NO_COLOR", "1");
    command.env_remove("GH_FORCE_TTY").env_remove("GH_DEBUG").env_remove("DEBUG");
    let (time_max, stdout_max) = (ANSWER_WITHIN, ANSWER_BYTES_MAX);
    Job { command, input: None, time_max, stdout_max, keep: Keep::Head, stdout_file: None }
}

/// Makes an issue of an answer, or says why it is none.
fn issue(said: Said, what: &str) -> Result<Issue, Trouble> {
    let url = said.url.trim().to_owned();
    let path = url.trim_end_matches(|c: char| c.is_ascii_digit());
    if path.ends_with("/pull/") {
        return Err(pull_request(what));
    }
    // The address goes in front of the fence, among our own words.
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || !url.starts_with("http") || !path.ends_with("/issues/") {
        let message =
            format!("gh says that {what} is at {}, which is no address of an issue.", text::line(&url, 100));
        return Err(trouble("gh_failed", message, "Give the text with --issue -."));
    }
    let mut notes = Vec::new();
    if !said.labels.is_empty() {
        let names: Vec<String> = said.labels.iter().map(|label| text::line(&label.name, 50)).collect();
        notes.push(format!("Labels: {}", names.join(", ")));
    }
    if said.state.eq_ignore_ascii_case("closed") {
        notes.push("State: closed".into());
    }
    // What was hidden as spam, abuse or outdated is hidden from people too.
    let shown =
        said.comments.into_iter().filter(|comment| !comment.is_minimized && !comment.body.trim().is_empty());
    let comments = shown.map(|comment| (who(&comment), comment.body)).collect();
    let title = text::line(cleaned(&said.title).trim(), TITLE_CHARS_MAX);
    Ok(Issue { reference: Some(url), title, notes, text: said.body, comments })
}

/// Says who made a comment, what they are to the repository, and on which day.
fn who(comment: &Comment) -> String {
    let login =
        comment.author.as_ref().map(|author| text::line(&author.login, 60)).filter(|login| !login.is_empty());
    let login = login.unwrap_or_else(|| "somebody".into());
    let standing = text::line(&comment.author_association, 30).to_lowercase().replace('_', " ");
    let standing = if standing.is_empty() { String::new() } else { format!(" ({standing})") };
    let day: String =
        comment.created_at.chars().take_while(|c| c.is_ascii_digit() || *c == '-').take(10).collect();
    let day = if day.is_empty() { String::new() } else { format!(", {day}") };
    format!("Comment by {login}{standing}{day}")
}

fn no_gh() -> Trouble {
    let hint = "Install it (https://cli.github.com), or give the text with --issue FILE or --issue -.";
    trouble("no_gh", "Issues of GitHub are read by gh, which is not installed.".into(), hint)
}

/// Says why gh has no answer.
fn refused(what: &str, ended: &Ended) -> Trouble {
    let said = String::from_utf8_lossy(&ended.stderr);
    let says = |words: &str| said.contains(words);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let why = text::line(&lines.iter().take(2).copied().collect::<Vec<_>>().join("; "), 300);
    let why = if why.is_empty() { format!("it ended with {}", ended.status) } else { why };
    if ended.status.code() == Some(EXIT_NO_LOGIN) || says("HTTP 401") || says("gh auth login`") {
        let hint = "Log in with \"gh auth login\", or give the text with --issue -.";
        return trouble("gh_login", format!("gh has no login that can see {what}: {why}."), hint);
    }
    if says("Could not resolve to an issue") || says("Could not resolve to a Repository") || says("HTTP 404")
    {
        let hint = "Is the number right, and may you see it? See \"gh issue list\".";
        return trouble("not_found", format!("There is no issue {what}: {why}."), hint);
    }
    if says("no git remotes found") || says("not a git repository") {
        let hint = format!("Name the repository: {}.", what.replace('#', "OWNER/REPOSITORY#"));
        return trouble("gh_failed", format!("The repository of {what} is not known: {why}."), hint);
    }
    let network =
        ["error connecting to", "dial tcp", "no such host", "connection refused", "timeout", "TLS handshake"];
    if network.iter().any(|words| says(words)) {
        let hint = "Is the network up? Else give the text with --issue -.";
        return trouble("gh_network", format!("gh cannot reach GitHub: {why}."), hint);
    }
    trouble(
        "gh_failed",
        format!("gh does not tell of {what}: {why}."),
        "Give the text with --issue FILE or --issue -.",
    )
}
