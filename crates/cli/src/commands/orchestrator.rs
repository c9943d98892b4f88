//! `oarlock orchestrator`.

use clap::{Args, Subcommand};
use oarlock_api::wire;

use super::spawn::{agent, stdin};
use super::{Context, in_path, ls, request_id};
use crate::error::Done;
use crate::out;

/// What an orchestrator is told of its part.
const RULES: &str = include_str!("../../prompts/orchestrator.md");

/// Have an agent drive the others through this same command line
///
/// An orchestrator is a session whose agent plans, delegates and reviews. It may spawn, send, answer, stop and resume
/// within its project. It cannot land, reject or remove, nor reach other projects: that stays with a person.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock orchestrator start --agent claude-code --prompt 'Clear the lint warnings'\n  oarlock orchestrator ls"
)]
pub struct Orchestrator {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Begin the project's orchestrator; there is one at most
    Start {
        /// The agent
        #[arg(long, value_name = "A", conflicts_with = "exec")]
        agent: Option<String>,
        /// Any shell command as the agent
        #[arg(long, value_name = "CMD")]
        exec: Option<String>,
        /// What it is to see to; - reads standard input
        #[arg(long, value_name = "T", allow_hyphen_values = true)]
        prompt: Option<String>,
        /// Stop the one that is there and put its workspace into the trash first
        #[arg(long)]
        restart: bool,
    },
    /// List orchestrators
    Ls,
}

pub fn run(context: &Context, orchestrator: &Orchestrator) -> Done {
    match &orchestrator.what {
        What::Start { agent: named, exec, prompt, restart } => {
            let (agent, command) = agent(named.as_ref(), exec.as_ref());
            let prompt = match prompt.as_deref() {
                Some("-") => stdin()?,
                text => text.unwrap_or_default().into(),
            };
            start(context, agent, command, &prompt, *restart)
        }
        What::Ls => {
            let mut sessions = list(context, context.project_filter()?)?;
            sessions.retain(|session| session.role == "orchestrator");
            ls::show(context, &sessions)
        }
    }
}

fn list(context: &Context, project: Option<String>) -> Result<Vec<wire::Session>, crate::error::CliError> {
    let project = project.map(|project| format!("&project={}", in_path(&project))).unwrap_or_default();
    Ok(context.client()?.get(&format!("/v1/sessions?all=false{project}"))?)
}

fn start(context: &Context, agent: String, command: Option<String>, prompt: &str, restart: bool) -> Done {
    let (project, client) = (context.project()?, context.client()?);
    if restart {
        let before = list(context, Some(project.clone()))?;
        for old in before.iter().filter(|session| session.role == "orchestrator") {
            let path = format!("/v1/sessions/{}", old.id);
            // One that does not run needs no stop.
            let stopped: Result<wire::Changed, _> = client.post(&format!("{path}/stop"), &request_id(), &());
            match stopped {
                Err(oarlock_api::client::ClientError::Refused(error, _)) if error.code == "not_running" => {}
                other => drop(other?),
            }
            let gone: wire::Changed = client.delete(&path, &request_id())?;
            out::talk(&format!("Replaces {}; \"oarlock undo {}\" brings it back.", old.name, old.id));
            drop(gone);
        }
    }
    // A command has no system prompt to add rules to.
    let (rules, prompt) = match command {
        Some(_) => (None, format!("{RULES}\n{prompt}")),
        None => (Some(RULES.to_owned()), prompt.to_owned()),
    };
    let body = wire::Spawn {
        project,
        name: None,
        agent,
        command,
        prompt,
        rules,
        role: Some("orchestrator".into()),
        ..wire::Spawn::default()
    };
    let session: wire::Session = client.post("/v1/sessions", &request_id(), &body)?;
    if context.json {
        return out::json(&session);
    }
    out::line(&format!("Began {}", session.name));
    Ok(())
}
