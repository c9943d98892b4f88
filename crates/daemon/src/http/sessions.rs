//! Sessions: begin, list, look at.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use oarlock_agents::REGISTRY;
use oarlock_api::wire;
use oarlock_core::crew::{Request as Wish, Spawn};
use oarlock_core::ids::{Name, ProjectId, RequestId, SessionId};
use oarlock_core::session::fact::{Adopted, Agent, Hold, Issue, Permissions, Role, WorkspaceKind};
use oarlock_world::config::{self, Config, PERMISSIONS, Told, WORKER};
use oarlock_world::run::program;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Asked, Body, Named, Requested};
use super::rights::Drives;
use super::{Answered, App, Failure, blocking};
use crate::{Daemon, view};

/// Most bytes of output given at once; a client asks on from where it is.
const LOG_BYTES_MAX: u64 = 4 << 20;

/// Longest title of an issue that is kept, in characters: trackers take 256, and it is shown on a line.
const TITLE_CHARS_MAX: usize = 200;

pub(super) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        .routes(routes!(list, spawn))
        .routes(routes!(show))
        .routes(routes!(why))
        .routes(routes!(diff))
        .routes(routes!(output))
}

/// Draws a session's id from the request's, so that a retry names the same session: 40 bits of its SHA-256.
fn session_id(request: &RequestId) -> SessionId {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let hash = Sha256::digest(request.as_str().as_bytes());
    let bits = hash.iter().take(5).fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    let letter = |index: u32| ALPHABET[usize::try_from((bits >> (5 * index)) & 31).unwrap_or(0)];
    SessionId((0..8).map(|index| char::from(letter(index))).collect())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Those that ended or were let go, too.
    #[serde(default)]
    all: bool,
    /// Only this project's: its id, or an absolute path inside the repository.
    project: Option<String>,
}

/// Lists sessions, oldest first: those without an outcome, or all.
#[utoipa::path(get, path = "/v1/sessions", operation_id = "list_sessions", params(ListQuery), responses((status = 200, body = Vec<wire::Session>), (status = 404, body = wire::Error)))]
async fn list(State(daemon): App, Asked(query): Asked<ListQuery>) -> Answered<Json<Vec<wire::Session>>> {
    let project = match &query.project {
        // A repository that is not registered has no sessions to list.
        Some(text) => Some(daemon.registered(text).await?.ok().unwrap_or_default().0),
        None => None,
    };
    let crew = daemon.engine.crew();
    let of_project = |view: &wire::Session| project.as_ref().is_none_or(|project| *project == view.project);
    let shown = crew
        .sessions
        .iter()
        .filter(|(_, scope)| !scope.state.is_off_the_list())
        .filter(|(_, scope)| query.all || (scope.state.outcome.is_none() && !scope.state.is_hidden()));
    let mut views: Vec<_> = shown.map(|(id, scope)| view::session(id, scope)).filter(of_project).collect();
    views.sort_by(|a, b| (&a.created_at, &a.name, &a.id).cmp(&(&b.created_at, &b.name, &b.id)));
    Ok(Json(views))
}

/// Begins a session and returns at once; what follows arrives by the feed.
#[utoipa::path(post, path = "/v1/sessions", operation_id = "spawn", request_body = wire::Spawn,
    responses((status = 201, body = wire::Session), (status = 400, body = wire::Error), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn spawn(
    State(daemon): App,
    Requested(request): Requested,
    drives: Option<Extension<Drives>>,
    Body(body): Body<wire::Spawn>,
) -> Answered<(StatusCode, Json<wire::Session>)> {
    if let Some(Extension(Drives(project))) = drives {
        daemon.check_delegation(&project, &body).await?;
    }
    let role = match body.role.as_deref() {
        None | Some("builder") => Role::Builder,
        Some("orchestrator") => Role::Orchestrator,
        Some(other) => {
            let message = format!("\"{}\" is no role.", oarlock_core::text::line(other, 40));
            return Err(Failure::bad("bad_role", message, "Use builder or orchestrator."));
        }
    };
    let id = session_id(&request);
    let agent = daemon.agent(&id, &body).await?;
    let name = body.name.as_deref().map(parse_name).transpose()?;
    let workspace = match body.workspace.as_deref() {
        // What a builder could write to of the project's own repository, nobody would have judged.
        None | Some("clone") if body.gate.is_some() => WorkspaceKind::Clone,
        Some("worktree") if body.gate.is_some() => {
            return Err(Failure::bad(
                "bad_workspace",
                "A gate's builder works in a clone of its own.",
                "Leave the workspace out.",
            ));
        }
        None | Some("worktree") => WorkspaceKind::Worktree,
        Some("clone") => WorkspaceKind::Clone,
        Some(other) => {
            let message = format!("\"{}\" is no kind of workspace.", oarlock_core::text::line(other, 40));
            return Err(Failure::bad("bad_workspace", message, "Use worktree or clone."));
        }
    };
    let project = daemon.project(&body.project, &request).await?;
    let (adopted, branch) = daemon.adopted(&project, &id, &body).await?;
    let playbook = daemon.playbook(&id, &agent, &body).await?;
    let spawn = Spawn {
        request,
        id: id.clone(),
        project,
        name,
        agent,
        prompt: body.prompt,
        branch,
        base: body.base,
        workspace,
        playbook,
        adopted,
        role,
        issue: body.issue.map(|issue| Issue {
            reference: issue.reference,
            title: oarlock_core::text::line(&issue.title, TITLE_CHARS_MAX),
        }),
        again: body.again,
    };
    daemon.wish(Wish::Spawn(spawn)).await?;
    let scope = daemon.scope(&id)?;
    Ok((StatusCode::CREATED, Json(view::session(&id, &scope))))
}

impl Daemon {
    /// An orchestrator begins workers in its own project, and in workspaces of their own: no second orchestrator, and none of
    /// a person's worktrees.
    async fn check_delegation(&self, project: &ProjectId, body: &wire::Spawn) -> Answered<()> {
        let is_own = self.registered(&body.project).await?.is_ok_and(|asked| asked == *project);
        let is_worker = body.role.as_deref().is_none_or(|role| role == "builder") && body.adopt.is_none();
        if is_own && is_worker {
            return Ok(());
        }
        Err(Failure::new(
            StatusCode::FORBIDDEN,
            "not_allowed",
            "An orchestrator may begin workers in its own project only.",
            "Ask the person who runs oarlock.",
        ))
    }

    /// Finds out what of a wanted workspace is there already, and on which branch it is. What cannot be taken over is refused
    /// before anything begins; making the workspace looks again.
    async fn adopted(
        &self,
        project: &ProjectId,
        id: &SessionId,
        body: &wire::Spawn,
    ) -> Answered<(Adopted, Option<String>)> {
        let (is_known, repository) = {
            let crew = self.engine.crew();
            let path = crew.fleet.state.projects.get(project).map(|project| PathBuf::from(&project.path));
            (crew.sessions.contains_key(id), path)
        };
        let branch = body.branch.clone();
        // A wish made before is answered as it was then: by now the session itself is in the way.
        let Some(repository) = repository.filter(|_| !is_known) else {
            return Ok((Adopted::Nothing, branch));
        };
        let (world, is_clone) = (self.world.clone(), body.workspace.as_deref() == Some("clone"));
        match (body.adopt.clone(), branch) {
            (Some(_), _) if is_clone => Err(Failure::bad(
                "bad_workspace",
                "A worktree that is adopted is no clone.",
                "Leave one of the two out.",
            )),
            (Some(path), branch) => {
                let path = PathBuf::from(path);
                let look = move || world.fit(&repository, &path, branch.as_deref());
                let fit = blocking(look).await??;
                let path = fit.path.to_string_lossy().into_owned();
                Ok((Adopted::Worktree(path), Some(fit.branch)))
            }
            // A clone has branches of its own.
            (None, Some(branch)) if !is_clone => {
                let name = branch.clone();
                let is_there = blocking(move || world.branch_is_there(&repository, &name)).await??;
                Ok((if is_there { Adopted::Branch } else { Adopted::Nothing }, Some(branch)))
            }
            (None, branch) => Ok((Adopted::Nothing, branch)),
        }
    }

    /// Returns the agent that is asked for, with what is configured of it where nothing else is asked for.
    pub(super) async fn agent(&self, id: &SessionId, body: &wire::Spawn) -> Answered<Agent> {
        if body.agent == "exec" {
            return agent(body, Told::default());
        }
        // A wish that is repeated was admitted with what was configured then.
        let known = self.engine.crew().sessions.get(id).and_then(|scope| scope.state.brief.clone());
        if let Some(brief) = known {
            return Ok(brief.agent);
        }
        let (root, name) = (self.root(&body.project).await?, body.agent.clone());
        let has_permissions = body.permissions.is_some();
        let role = match body.role.as_deref() {
            Some("orchestrator") => "orchestrator",
            Some("overseer") => "overseer",
            _ => WORKER,
        };
        let told = blocking(move || -> Answered<Told> {
            let config = Config::read(Path::new(&root)).map_err(|error| config::trouble(&error))?;
            let asked = config::Asked { role, agent: &name, has_permissions };
            let told = config.told(&asked)?;
            if told.agent.is_none() { Err(nobody_named(&config)) } else { Ok(told) }
        });
        agent(body, told.await??)
    }
}

/// Says that there is no default, and who could be named.
fn nobody_named(config: &Config) -> Failure {
    let is_there = |agent: &&dyn oarlock_agents::Agent| {
        !agent.programs().is_empty() && program::find(*agent, config.person.program(agent.name())).is_ok()
    };
    let there: Vec<_> = REGISTRY.iter().copied().filter(is_there).map(oarlock_agents::Agent::name).collect();
    let there = if there.is_empty() { String::new() } else { format!(" (installed: {})", there.join(", ")) };
    Failure::bad(
        "no_agent",
        "No agent was named, and none is the default here.",
        format!(
            "Name one with --agent A{there}, or any command with --exec CMD; agent = \"A\" in oarlock.toml sets a default."
        ),
    )
}

/// Returns the agent of a request: what it says is over what is told of the agent.
fn agent(body: &wire::Spawn, told: Told) -> Answered<Agent> {
    let name = told.agent.as_deref().unwrap_or(&body.agent);
    let Some(agent) = oarlock_agents::find(name) else {
        let known: Vec<_> = REGISTRY.iter().map(|agent| agent.name()).collect();
        let message = format!("There is no agent \"{}\".", oarlock_core::text::line(name, 40));
        return Err(Failure::bad(
            "no_agent",
            message,
            format!("Known: {}. Or run any command with --exec.", known.join(", ")),
        ));
    };
    let hold = body.hold.as_deref().or(told.hold.map(Hold::word));
    let hold = hold_of(agent, hold, body.prompt.is_empty() && body.relay.is_none() && body.gate.is_none())?;
    let permissions = permissions(body.permissions.as_deref())?.or(told.permissions).unwrap_or_default();
    let has_nul = |text: &str| text.contains('\0');
    if body.args.iter().any(|arg| has_nul(arg)) || body.model.as_deref().is_some_and(has_nul) {
        return Err(Failure::bad("bad_argument", "An argument holds a NUL byte.", "Take it out."));
    }
    let tells_of_turns = agent.tells_of_turns(hold);
    let command = body.command.clone().filter(|command| !command.trim().is_empty());
    match (name, &command) {
        ("exec", None) => {
            Err(Failure::bad("no_command", "The exec agent needs a command.", "Give one with --exec CMD."))
        }
        ("exec", Some(command)) if command.contains('\0') => {
            Err(Failure::bad("bad_command", "The command holds a NUL byte.", "Take it out."))
        }
        ("exec", Some(_)) => Ok(Agent { command, tells_of_turns, hold, ..Agent::named(name) }),
        _ => Ok(Agent {
            tells_of_turns,
            hold,
            permissions,
            model: body.model.clone().filter(|model| !model.is_empty()).or(told.model),
            rules: [told.rules, body.rules.clone().unwrap_or_default()]
                .into_iter()
                .filter(|rules| !rules.is_empty())
                .collect::<Vec<_>>()
                .join("\n\n"),
            args: [told.args, body.args.clone()].concat(),
            env: told.env,
            ..Agent::named(name)
        }),
    }
}

fn permissions(said: Option<&str>) -> Answered<Option<Permissions>> {
    let Some(said) = said else { return Ok(None) };
    let known = PERMISSIONS.iter().find(|(word, _)| *word == said);
    known.map(|(_, permissions)| Some(*permissions)).ok_or_else(|| {
        let message = format!("\"{}\" is no permission mode.", oarlock_core::text::line(said, 40));
        Failure::bad("bad_permissions", message, "Use default, accept-edits, auto or bypass.")
    })
}

/// Returns how an agent is to be held: as asked, or the best way it has, which for one that nobody told anything is a
/// terminal to talk to it in.
pub(super) fn hold_of(
    agent: &dyn oarlock_agents::Agent,
    asked: Option<&str>,
    to_talk_to: bool,
) -> Answered<Hold> {
    let holds = agent.holds();
    let best = holds.first().copied().unwrap_or_default();
    let Some(asked) = asked else {
        let terminal = to_talk_to && holds.contains(&Hold::Terminal);
        return Ok(if terminal { Hold::Terminal } else { best });
    };
    holds.iter().copied().find(|hold| hold.word() == asked).ok_or_else(|| {
        let known: Vec<_> = holds.iter().map(|hold| hold.word()).collect();
        let message =
            format!("{} cannot be held by \"{}\".", agent.name(), oarlock_core::text::line(asked, 40));
        Failure::bad("bad_hold", message, format!("Use {}.", known.join(", or ")))
    })
}

/// Reads a name, or says what a name is.
pub(super) fn parse_name(text: &str) -> Answered<Name> {
    Name::parse(text).ok_or_else(|| {
        let message = format!("\"{}\" is no name.", oarlock_core::text::line(text, 60));
        let suggestion = Name::slug(text, 40).map(|name| format!(" Perhaps \"{name}\"?")).unwrap_or_default();
        Failure::bad("bad_name", message, format!("Use 1 to 40 of a-z, 0-9 and hyphens.{suggestion}"))
    })
}

/// Shows everything about a session.
#[utoipa::path(get, path = "/v1/sessions/{session}", operation_id = "show_session", params(("session" = String, Path)),
    responses((status = 200, body = wire::SessionDetail), (status = 404, body = wire::Error)))]
async fn show(State(daemon): App, Named(session): Named) -> Answered<Json<wire::SessionDetail>> {
    let id = daemon.find(&session)?;
    Ok(Json(view::detail(&daemon.place, &id, &daemon.scope(&id)?)))
}

/// Tells what a session's status rests on.
#[utoipa::path(get, path = "/v1/sessions/{session}/why", operation_id = "why", params(("session" = String, Path)),
    responses((status = 200, body = wire::Why), (status = 404, body = wire::Error)))]
async fn why(State(daemon): App, Named(session): Named) -> Answered<Json<wire::Why>> {
    let id = daemon.find(&session)?;
    Ok(Json(view::why(&daemon.scope(&id)?, crate::now())))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DiffQuery {
    /// Statistics instead of the patch.
    #[serde(default)]
    stat: bool,
}

/// Shows what a session changed since its base, uncommitted and untracked work included.
#[utoipa::path(get, path = "/v1/sessions/{session}/diff", operation_id = "diff", params(("session" = String, Path), DiffQuery),
    responses((status = 200, body = wire::Diff), (status = 404, body = wire::Error), (status = 409, body = wire::Error)))]
async fn diff(
    State(daemon): App,
    Named(session): Named,
    Asked(query): Asked<DiffQuery>,
) -> Answered<Json<wire::Diff>> {
    let scope = daemon.scope(&daemon.find(&session)?)?;
    let world = daemon.world.clone();
    let (bytes, truncated) = blocking(move || world.diff(&scope.state, query.stat)).await??;
    Ok(Json(wire::Diff { text: String::from_utf8_lossy(&bytes).into_owned(), truncated }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OutputQuery {
    /// Which run; the last when missing.
    run: Option<u32>,
    /// The first byte wanted; counted from the end when negative.
    #[serde(default)]
    from: i64,
}

/// Returns the bytes a run wrote, as they are, at most 4 MiB from an offset on.
#[utoipa::path(get, path = "/v1/sessions/{session}/output", operation_id = "output", params(("session" = String, Path), OutputQuery),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, body = wire::Error)))]
async fn output(
    State(daemon): App,
    Named(session): Named,
    Asked(query): Asked<OutputQuery>,
) -> Answered<Bytes> {
    let id = daemon.find(&session)?;
    let state = daemon.scope(&id)?.state;
    let last = state.last_run().map(|run| run.id.0);
    let Some(run) = query.run.or(last) else { return Ok(Bytes::new()) };
    if run >= state.runs_begun {
        let message = format!("{} has no run {run}.", state.name);
        let hint = format!("See which there are with \"oarlock show {}\".", state.name);
        return Err(Failure::new(StatusCode::NOT_FOUND, "not_found", message, hint));
    }
    let file = daemon.place.run(id.as_str(), run).join("output.log");
    let read = blocking(move || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(file)?;
        let len = file.metadata()?.len();
        let from = match query.from {
            from if from < 0 => len.saturating_sub(from.unsigned_abs()),
            from => from.unsigned_abs(),
        };
        // Far behind the end some file systems refuse to seek or to read, and nothing is there anyhow.
        if from >= len {
            return Ok(Vec::new());
        }
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match read.await? {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Bytes::new()),
        Err(error) => Err(Failure::inside("read the run's output", &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_names_the_same_session() {
        let first = session_id(&RequestId::from("one"));
        assert_eq!(first, session_id(&RequestId::from("one")));
        assert_ne!(first, session_id(&RequestId::from("two")));
        assert!(first.as_str().len() == 8 && first.as_str().chars().all(|c| c.is_ascii_alphanumeric()));
    }
}
