//! `oarlock project`.

use clap::{Args, Subcommand};
use oarlock_api::wire;

use super::{Context, existing, in_path, request_id};
use crate::error::{CliError, Done};
use crate::out;

/// Register repositories, and list them
///
/// Any verb inside a repository registers it on first use; this is for doing it beforehand and for tidying up.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock project add ~/src/shop\n  oarlock project ls\n  oarlock project rm shop"
)]
pub struct Project {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Register the repository that a path lies in
    Add {
        /// A path inside the repository
        #[arg(default_value = ".")]
        path: std::path::PathBuf,
    },
    /// List the registered repositories
    Ls,
    /// Show one
    Show {
        /// The project's id
        id: String,
    },
    /// Take a repository off the list; nothing of it is touched
    Rm {
        /// The project's id
        id: String,
    },
}

pub fn run(context: &Context, project: &Project) -> Done {
    let client = context.client()?;
    match &project.what {
        What::Add { path } => {
            let path = std::path::absolute(path).map_err(|error| CliError::io("find the folder", &error))?;
            let path = existing(path)?;
            let body = wire::AddProject { path: path.to_string_lossy().into_owned() };
            let added: wire::Project = client.post("/v1/projects", &request_id(), &body)?;
            if context.json {
                return out::json(&added);
            }
            out::line(&format!("Registered {} as {}.", out::clean(&added.path), added.id));
        }
        What::Ls => {
            let projects: Vec<wire::Project> = client.get("/v1/projects")?;
            if context.json {
                return out::json(&projects);
            }
            if projects.is_empty() {
                out::talk("No project yet. Register one with \"oarlock project add PATH\".");
            } else {
                let row = |p: &wire::Project| vec![p.id.clone(), p.sessions.to_string(), out::clean(&p.path)];
                out::table(&["PROJECT", "SESSIONS", "PATH"], &projects.iter().map(row).collect::<Vec<_>>());
            }
        }
        What::Show { id } => {
            let shown: wire::Project = client.get(&format!("/v1/projects/{}", in_path(id)))?;
            if context.json {
                return out::json(&shown);
            }
            out::line(&format!("project   {}", shown.id));
            out::line(&format!("path      {}", out::clean(&shown.path)));
            out::line(&format!(
                "lands on  {}",
                out::clean(shown.default_branch.as_deref().unwrap_or("unknown"))
            ));
            out::line(&format!("sessions  {}", shown.sessions));
        }
        What::Rm { id } => {
            client.delete::<()>(&format!("/v1/projects/{}", in_path(id)), &request_id())?;
            if context.json {
                return out::json(&serde_json::json!({"removed": id}));
            }
            out::line(&format!("Took {id} off the list; the repository is as it was."));
        }
    }
    Ok(())
}
