//! `oarlock spawn`.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use oarlock_api::wire;
use oarlock_world::issue::{self, Named};

use super::{Context, in_path, request_id};
use crate::error::{CliError, Done};
use crate::out;

/// Most sessions begun by one call: a slip of the finger must not start a thousand agents.
const SPAWN_MAX: u16 = 100;

/// Begin sessions: an agent each, in a workspace of its own
///
/// Returns at once; the workspace and the agent follow. The agent starts in a fresh checkout of the base on a branch of
/// its own, with its prompt in the file that OARLOCK_PROMPT_FILE names and a block of ports from OARLOCK_PORT on.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock spawn --exec 'make lint-fix && git commit -am lint' --name lint\n  oarlock spawn 3 --agent scripted --prompt 'write a.txt hello ; commit add a'\n  cat brief.md | oarlock spawn --exec './agent.sh' --prompt -\n  oarlock spawn --agent claude-code --issue 12"
)]
pub struct Spawn {
    /// How many, at most 100
    #[arg(default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(SPAWN_MAX)), value_name = "N")]
    count: u16,
    /// The agent; see "oarlock doctor" for those known (default: OARLOCK_AGENT, else as configured)
    #[arg(long, value_name = "A", conflicts_with = "exec")]
    agent: Option<String>,
    /// Any shell command as the agent, in a terminal of its own
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// What the agent is told first; - reads standard input
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// An issue to work on: a number, OWNER/REPOSITORY#N, a URL (of GitHub, by gh), a file, or -
    ///
    /// Its text is told to the agent as others wrote it, fenced and labelled; --prompt adds what you want beyond it.
    #[arg(long, value_name = "I", allow_hyphen_values = true)]
    issue: Option<String>,
    /// Begin although a session works on that issue
    #[arg(long, requires = "issue")]
    again: bool,
    /// The session's name: a-z, 0-9 and hyphens (default: from the issue's title, the prompt or the command)
    #[arg(long)]
    name: Option<String>,
    /// The branch, tag or commit to start from (default: the project's default branch)
    #[arg(long)]
    base: Option<String>,
    /// The branch to work on, made when it is not there (default: oarlock/NAME-ID/work)
    #[arg(long)]
    branch: Option<String>,
    /// An existing worktree to work in, as it is, with its uncommitted work
    #[arg(long, value_name = "PATH", conflicts_with = "workspace")]
    adopt: Option<std::path::PathBuf>,
    /// How the agent is held (default: OARLOCK_HOLD, as configured, or
    /// with a prompt its protocol, else its own interface in a terminal)
    #[arg(long, value_parser = ["protocol", "acp", "terminal", "process"], value_name = "HOW")]
    hold: Option<String>,
    /// The model it is to use (default: OARLOCK_MODEL, as configured, or its own settings)
    #[arg(long, value_name = "M")]
    model: Option<String>,
    /// What it may do without asking (default: OARLOCK_PERMISSIONS, as configured, or its own settings)
    #[arg(long, value_parser = ["default", "accept-edits", "auto", "bypass"], value_name = "MODE")]
    permissions: Option<String>,
    /// Standing rules for its system prompt, after those that are configured
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    rules: Option<String>,
    /// An argument to add to its command line, after those that are configured; may be given again
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    arg: Vec<String>,
    /// How the workspace is made
    #[arg(long, value_parser = ["worktree", "clone"], default_value = "worktree")]
    workspace: String,
}

pub fn run(context: &Context, spawn: &Spawn) -> Done {
    let (agent, command) = agent(spawn.agent.as_ref(), spawn.exec.as_ref());
    // The variables speak of agents; a command is what it is.
    let said = |flag: &Option<String>, variable| {
        if agent == "exec" { flag.clone() } else { said(flag.as_ref(), variable) }
    };
    if spawn.count > 1 && (spawn.branch.is_some() || spawn.adopt.is_some()) {
        return Err(CliError::Usage(
            "Several sessions cannot work on one branch.".into(),
            "Leave out --branch and --adopt.".into(),
        ));
    }
    if spawn.issue.as_deref() == Some("-") && spawn.prompt.as_deref() == Some("-") {
        return Err(CliError::Usage(
            "Standard input is either the issue or the prompt.".into(),
            "Give the prompt as a text: --prompt T.".into(),
        ));
    }
    let prompt = match spawn.prompt.as_deref() {
        Some("-") => stdin()?,
        Some(text) => text.into(),
        None => String::new(),
    };
    let adopt = spawn.adopt.as_deref().map(absolute).transpose()?;
    let mut project = context.project()?;
    let issue = spawn.issue.as_deref().map(|named| issue(context, named, &project, &prompt)).transpose()?;
    let (issue, prompt) = match issue {
        Some((issue, prompt)) => (Some(issue), prompt),
        None => (None, prompt),
    };
    let client = context.client()?;
    let request = request_id();
    let mut begun = Vec::new();
    for number in 0..spawn.count {
        let name = spawn.name.as_ref().map(|name| match spawn.count {
            1 => name.clone(),
            _ => format!("{name}-{}", number + 1),
        });
        let body = wire::Spawn {
            project: project.clone(),
            name,
            agent: agent.clone(),
            command: command.clone(),
            prompt: prompt.clone(),
            branch: spawn.branch.clone(),
            adopt: adopt.clone(),
            base: spawn.base.clone(),
            workspace: Some(spawn.workspace.clone()),
            hold: said(&spawn.hold, "OARLOCK_HOLD"),
            model: said(&spawn.model, "OARLOCK_MODEL"),
            permissions: said(&spawn.permissions, "OARLOCK_PERMISSIONS"),
            role: None,
            rules: spawn.rules.clone(),
            args: spawn.arg.clone(),
            relay: None,
            gate: None,
            issue: issue.clone(),
            // Whoever asks for several on one issue means it.
            again: spawn.again || number > 0,
        };
        let session: wire::Session = client.post("/v1/sessions", &format!("{request}.{number}"), &body)?;
        // The next ones need no look for the repository.
        project.clone_from(&session.project);
        if !context.json {
            out::line(&format!("Began {}", session.name));
        }
        begun.push(session);
    }
    if context.json {
        return out::json(&begun);
    }
    out::talk("See them with \"oarlock ls\".");
    Ok(())
}

/// Reads the issue that is meant. Returns what it is known by, and the prompt that has it in.
fn issue(
    context: &Context,
    words: &str,
    project: &str,
    wish: &str,
) -> Result<(wire::Issue, String), CliError> {
    let named = issue::named(words).map_err(refused)?;
    let folder = match &named {
        // Only gh looks around in the repository, and a project's id is no folder.
        Named::GitHub { repository: None, .. } if !project.contains('/') => {
            let project: wire::Project =
                context.client()?.get(&format!("/v1/projects/{}", in_path(project)))?;
            PathBuf::from(project.path)
        }
        Named::GitHub { repository: None, .. } => PathBuf::from(project),
        Named::GitHub { .. } | Named::File(_) | Named::Standard => PathBuf::from("."),
    };
    let found = {
        let _busy = out::busy("Reading the issue");
        issue::read(&named, &folder).map_err(refused)?
    };
    if found.is_bare() && wish.trim().is_empty() {
        let message = format!("The issue \"{}\" has a title and no text.", out::clean(&found.title));
        let hint = "Say what is to be done with --prompt T.";
        return Err(CliError::Refused(
            wire::Error { code: "empty".into(), message, hint: hint.into(), paths: vec![] },
            409,
        ));
    }
    let prompt = issue::prompt(&found, wish);
    Ok((wire::Issue { reference: found.reference, title: found.title }, prompt))
}

/// Writes a trouble with an issue as a refusal, with the exit code that goes with it.
fn refused(trouble: issue::Trouble) -> CliError {
    let status = match trouble.code.as_str() {
        "bad_issue" => 400,
        "not_found" => 404,
        "pull_request" | "empty" | "not_text" => 409,
        _ => 500,
    };
    let (code, message, hint) = (trouble.code, trouble.message, trouble.hint);
    CliError::Refused(wire::Error { code, message, hint, paths: trouble.paths }, status)
}

/// Returns the agent that is asked for, empty for the default, and its command.
pub fn agent(agent: Option<&String>, exec: Option<&String>) -> (String, Option<String>) {
    if let Some(command) = exec {
        return ("exec".into(), Some(command.clone()));
    }
    let agent = said(agent, "OARLOCK_AGENT").unwrap_or_default();
    // `exec:CMD` is how lists show such an agent, so it is understood too.
    match agent.strip_prefix("exec:") {
        Some(command) => ("exec".into(), Some(command.into())),
        None => (agent, None),
    }
}

/// Returns what a flag says, else what a variable does.
pub(super) fn said(flag: Option<&String>, variable: &str) -> Option<String> {
    flag.cloned().or_else(|| std::env::var(variable).ok().filter(|value| !value.is_empty()))
}

/// Returns a folder's path as the daemon, which stands elsewhere, can find it.
fn absolute(path: &std::path::Path) -> Result<String, CliError> {
    let path = path.canonicalize().map_err(|_| {
        let message = format!("There is no folder {}.", out::clean(&path.to_string_lossy()));
        CliError::Refused(
            wire::Error {
                code: "not_found".into(),
                message,
                hint: "See git worktree list.".into(),
                paths: vec![],
            },
            404,
        )
    })?;
    path.into_os_string()
        .into_string()
        .map_err(|_| CliError::failed("The folder's path is not UTF-8.", "Move it with git worktree move."))
}

/// Reads standard input whole.
pub fn stdin() -> Result<String, CliError> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| CliError::io("read standard input", &error))?;
    Ok(text)
}
