//! How a run is started: its program found, its files planted, its environment made, its host brought up.
//!
//! It must not know any agent by name: what each needs, its own file says.

use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use oarlock_agents::launch::{Launch, Plan};
use oarlock_agents::{Agent, find};
use oarlock_core::ids::{MessageId, RequestId, RunId, SessionId};
use oarlock_core::plan;
use oarlock_core::playbook::gate::GateBrief;
use oarlock_core::playbook::relay::LegBrief;
use oarlock_core::session::STOP_GRACE_MS;
use oarlock_core::session::fact::{Author, Begun, Brief, Exit, Fact, Hold, Role, Trouble, When};
use oarlock_core::text;
use oarlock_term::{EnsureError, Io, Spec};
use sha2::{Digest, Sha256};
use tracing::warn;

use super::{LAST_WORDS_CHARS_MAX, TERMINAL, digest, ended, environment, inbox, program};
use crate::bridge;
use crate::config;
use crate::gate::part::{self, Part};
use crate::plant::{self, Places};
use crate::relay;
use crate::trouble;

/// What a run is told of its surroundings.
pub(crate) struct Surroundings<'a> {
    /// The program whose hidden verbs are the host, the bridge and the hooks.
    pub oarlock: &'a Path,
    /// The state folder.
    pub state: &'a Path,
    /// The run's folder.
    pub folder: &'a Path,
    /// The session.
    pub session: &'a SessionId,
    /// The session's name.
    pub name: &'a str,
    /// The commit its work began from.
    pub base: &'a str,
    /// The run's capability.
    pub token: String,
}

/// What is to be started.
pub(crate) struct Start<'a> {
    pub run: RunId,
    pub role: Role,
    pub brief: &'a Brief,
    pub workspace: &'a str,
    pub prompt: &'a str,
    /// The conversation to go on with.
    pub conversation: Option<&'a str>,
    /// Whether an earlier run worked on the brief.
    pub again: bool,
    /// What it is told, when it is a leg of a relay.
    pub leg: Option<&'a LegBrief>,
    /// What it is for and what it is told, when it is one of a gate's.
    pub gate: Option<&'a GateBrief>,
}

/// Starts a run's host, or adopts the one that is there.
pub(crate) fn start(around: &Surroundings<'_>, want: &Start<'_>) -> Result<Vec<Fact>, Trouble> {
    let said = &want.brief.agent;
    let Some(agent) = find(&said.name) else {
        return Err(trouble::new("no_agent", format!("There is no agent {}.", said.name)));
    };
    let begun = match (want.again, want.conversation) {
        (false, _) => Begun::Fresh,
        (true, Some(_)) => Begun::Conversation,
        (true, None) if agent.reads_prose() => Begun::Digest,
        (true, None) => Begun::Fresh,
    };
    if want.gate.is_some() {
        // It is held to this folder, so it has to be there.
        lay_out(around, "")?;
    }
    let part = want.gate.map(|gate| part::of(around, want, gate, agent)).transpose()?;
    let workspace = part.as_ref().map_or(want.workspace, |part| part.workspace.as_str());
    if let Some(argv) = part.as_ref().and_then(|part| part.argv.clone()) {
        let env = environment_of(around, want, agent, &around.folder.join("prompt.md"), &Plan::default());
        return host(around, want, workspace, argv, env, Begun::Fresh);
    }
    let prompt = prompt_of(around, want, agent, begun, part.as_ref())?;
    let prompt_file = lay_out(around, &prompt)?;
    let plan = plan_of(around, want, agent, (begun, workspace, part.as_ref()), (&prompt, &prompt_file))?;
    let mut env = environment_of(around, want, agent, &prompt_file, &plan);
    let mut argv = plan.argv.clone();
    if let Some(part) = &part {
        environment::set(&mut env, part.env.iter().cloned());
        let place = [("PWD", workspace), ("OARLOCK_WORKSPACE", workspace)];
        environment::set(&mut env, place.map(|(name, value)| (name.to_owned(), value.to_owned())));
        argv = part.prefix.iter().cloned().chain(argv).collect();
    }
    plant_files(around, workspace, &env, &plan)?;
    let first_message = plan.first_message.clone();
    let mut facts = host(around, want, workspace, argv, env, begun)?;
    facts.extend(first_message.map(|text| first(around.session, want.run, text)));
    Ok(facts)
}

/// Returns what a run is told first.
fn prompt_of(
    around: &Surroundings<'_>,
    want: &Start<'_>,
    agent: &dyn Agent,
    begun: Begun,
    part: Option<&Part>,
) -> Result<String, Trouble> {
    match (part, want.leg, begun) {
        (Some(part), ..) => Ok(part.prompt.clone()),
        (None, Some(_), _) => leg_prompt(around, want, agent),
        (None, None, Begun::Digest) => {
            Ok(digest::prompt(want.brief, want.workspace, around.base, want.prompt))
        }
        (None, None, Begun::Fresh | Begun::Conversation) => Ok(want.prompt.to_owned()),
    }
}

/// Returns how an agent is started: its command line, its files, its variables.
fn plan_of(
    around: &Surroundings<'_>,
    want: &Start<'_>,
    agent: &dyn Agent,
    (begun, workspace, part): (Begun, &str, Option<&Part>),
    (prompt, prompt_file): (&str, &Path),
) -> Result<Plan, Trouble> {
    let said = &want.brief.agent;
    let program = program_of(agent)?;
    let version = program.as_deref().and_then(program::version);
    let (folder, prompt_path) = (around.folder.to_string_lossy(), prompt_file.to_string_lossy());
    let (oarlock, program) = (around.oarlock.to_string_lossy(), program.unwrap_or_default());
    let new_conversation = conversation_of(around.session, want.run);
    let mut writes = git_dirs(Path::new(workspace));
    if want.leg.is_some() || part.is_some() {
        writes.push(inbox::folder(around.folder).to_string_lossy().into_owned());
    }
    let launch = Launch {
        hold: said.hold,
        program: &program.to_string_lossy(),
        version,
        workspace,
        folder: &folder,
        prompt,
        prompt_file: &prompt_path,
        conversation: want.conversation.filter(|_| begun == Begun::Conversation),
        new_conversation: &new_conversation,
        model: said.model.as_deref(),
        permissions: part.and_then(|part| part.permissions).unwrap_or(said.permissions),
        rules: &said.rules,
        args: &said.args,
        command: said.command.as_deref(),
        writes: &writes,
        oarlock: &oarlock,
        is_root: rustix::process::getuid().is_root(),
    };
    match said.hold {
        Hold::Protocol | Hold::Acp => bridge::plan(agent, &launch, around.folder)
            .map_err(|error| trouble::io("write what the bridge needs", around.folder, &error)),
        Hold::Terminal | Hold::Process => Ok(agent.launch(&launch)),
    }
}

/// Puts the agent's files in their places.
fn plant_files(
    around: &Surroundings<'_>,
    workspace: &str,
    env: &[(String, String)],
    plan: &Plan,
) -> Result<(), Trouble> {
    let home = env.iter().find(|(name, _)| name == "HOME").map_or("/", |(_, home)| home.as_str());
    let places = Places {
        run: around.folder,
        workspace: Path::new(workspace),
        home: Path::new(home),
        shared: &around.state.join("planted"),
    };
    let planted = plant::plant(&plan.files, &places).map_err(|error| {
        trouble::error("plant", "What the agent needs could not be put in its place", &error)
    })?;
    for note in &planted.notes {
        warn!(session = %around.session, %note, "left alone");
    }
    Ok(())
}

/// Returns what a leg of a relay is told.
fn leg_prompt(around: &Surroundings<'_>, want: &Start<'_>, agent: &dyn Agent) -> Result<String, Trouble> {
    let Some(brief) = want.leg else { return Ok(String::new()) };
    let plan_file = relay::plan_file(around.state, &brief.plan);
    let bytes =
        std::fs::read(&plan_file).map_err(|error| trouble::io("read the plan", &plan_file, &error))?;
    let (plan, _) = plan::decode(&bytes).map_err(|no| trouble::new(no.code(), no.message()))?;
    Ok(relay::prompt(&relay::Leg {
        brief,
        plan: &plan.replace("\r\n", "\n").replace('\r', "\n"),
        plan_file: &plan_file,
        baton_file: &relay::baton_file(around.folder),
        oarlock: around.oarlock,
        commits: &digest::commits(Path::new(want.workspace), around.base),
        is_script: agent.carries_out_scripts(),
    }))
}

/// Brings the host up, and returns what came of it.
fn host(
    around: &Surroundings<'_>,
    want: &Start<'_>,
    workspace: &str,
    argv: Vec<String>,
    env: Vec<(String, String)>,
    begun: Begun,
) -> Result<Vec<Fact>, Trouble> {
    let (run, role) = (want.run, want.role);
    let spec = Spec {
        run: format!("{}/{run}", around.session),
        argv,
        cwd: PathBuf::from(workspace),
        env,
        io: Io::Pty { size: TERMINAL },
        grace_ms: STOP_GRACE_MS,
    };
    let host = [around.oarlock.as_os_str().to_owned(), OsString::from("host")];
    let up = |host_pid| Fact::RunStarted { run, role, host_pid, begun };
    match oarlock_term::ensure(around.folder, &spec, &host) {
        Ok(started) => Ok(vec![up(started.host.pid)]),
        Err(EnsureError::NotStarted { reason }) => {
            let exit = Exit::NotStarted(text::line(&reason, LAST_WORDS_CHARS_MAX));
            Ok(vec![up(0), ended(run, exit, String::new())])
        }
        // The watch finds it lost, sweeps it, and says so.
        Err(EnsureError::Lost { .. }) => Ok(vec![up(0)]),
        Err(error) => Err(trouble::error("host", "The agent's host did not come up", &error)),
    }
}

/// A prompt that the command line does not take is the first message, sent like any other: once, and when the agent is ready.
fn first(session: &SessionId, run: RunId, text: String) -> Fact {
    let name = format!("first-{session}-{run}");
    Fact::MessageQueued {
        request: RequestId(name.clone()),
        message: MessageId(name),
        author: Author::Rule,
        text: text::clean(&text),
        when: When::Idle,
    }
}

/// Makes the run's folder with its inbox and its prompt, and returns the prompt's path.
fn lay_out(around: &Surroundings<'_>, prompt: &str) -> Result<PathBuf, Trouble> {
    let prompt_file = around.folder.join("prompt.md");
    // Whoever opens the folder above them by hand opens no run.
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(inbox::folder(around.folder))
        .and_then(|()| write_private(&prompt_file, prompt.as_bytes()));
    made.map_err(|error| trouble::io("write the run's prompt", &prompt_file, &error))?;
    Ok(prompt_file)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

/// Returns the agent's program; none for agents that bring their own.
fn program_of(agent: &dyn Agent) -> Result<Option<PathBuf>, Trouble> {
    if agent.programs().is_empty() {
        return Ok(None);
    }
    let person = config::person().map_err(|error| config::trouble(&error))?;
    program::find(agent, person.program(agent.name())).map(Some).map_err(|why| {
        let mut trouble = trouble::new("no_program", format!("{why}."));
        trouble.hint = match agent.install_hint() {
            "" => format!("Name it with {}.", program::variable(agent.name())),
            hint => format!("Install it: {hint}. Or name it with {}.", program::variable(agent.name())),
        };
        trouble
    })
}

/// Draws the id of a run's new conversation: a UUID of the session's and the run's, so that a second attempt to start the run
/// means the same conversation. It calls itself version 5 (RFC 9562), of a name, although its hash is a longer one: Qwen Code
/// takes no version after that for an id (seen in 0.24.4).
fn conversation_of(session: &SessionId, run: RunId) -> String {
    let hash = Sha256::digest(format!("oarlock conversation {session}/{run}").as_bytes());
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x50;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Returns the git folders that a commit in the workspace writes to, when they are outside of it.
fn git_dirs(workspace: &Path) -> Vec<String> {
    let Some(git_dir) = crate::git::read::git_dir(workspace) else { return vec![] };
    let common = std::fs::read_to_string(git_dir.join("commondir")).ok();
    let common = common.map(|text| git_dir.join(text.trim())).and_then(|path| path.canonicalize().ok());
    [Some(git_dir), common].into_iter().flatten().map(|path| path.to_string_lossy().into_owned()).collect()
}

/// The complete environment of a run.
fn environment_of(
    around: &Surroundings<'_>,
    want: &Start<'_>,
    agent: &dyn Agent,
    prompt_file: &Path,
    plan: &Plan,
) -> Vec<(String, String)> {
    let said = &want.brief.agent;
    let own = (said.hold != Hold::Process || said.command.is_none()).then(|| agent.env());
    let all = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let passed = std::env::var(environment::PASSED).unwrap_or_default();
    let passed: Vec<&str> = passed.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let mut env = environment::allowed(all, own, &passed);
    environment::set(&mut env, said.env.iter().cloned());
    environment::set(&mut env, plan.env.iter().cloned());
    // Whatever else is called so, an agent that says "oarlock" means this one.
    if let Some(folder) = around.oarlock.parent() {
        environment::path_first(&mut env, folder);
    }
    let run = want.run;
    let ports = &want.brief.ports;
    let ours = [
        ("TERM", "xterm-256color".into()),
        ("COLORTERM", "truecolor".into()),
        ("PWD", want.workspace.into()),
        ("OARLOCK_HOME", around.state.to_string_lossy().into_owned()),
        // A login shell may set another PATH.
        ("OARLOCK_BIN", around.oarlock.to_string_lossy().into_owned()),
        ("OARLOCK_SESSION", around.session.0.clone()),
        ("OARLOCK_NAME", around.name.into()),
        ("OARLOCK_RUN", format!("{}/{run}", around.session)),
        ("OARLOCK_TOKEN", around.token.clone()),
        ("OARLOCK_INBOX", inbox::file(around.folder).to_string_lossy().into_owned()),
        ("OARLOCK_WORKSPACE", want.workspace.into()),
        ("OARLOCK_PROMPT_FILE", prompt_file.to_string_lossy().into_owned()),
        ("OARLOCK_PORT", ports.first.to_string()),
        ("OARLOCK_PORT_COUNT", ports.count.to_string()),
    ];
    if let Some(leg) = want.leg {
        let baton = relay::baton_file(around.folder).to_string_lossy().into_owned();
        let leg = [
            ("OARLOCK_BATON", baton),
            ("OARLOCK_LEG", leg.number.to_string()),
            ("OARLOCK_PHASE", leg.phase.to_string()),
        ];
        environment::set(&mut env, leg.map(|(name, value)| (name.to_owned(), value)));
    }
    environment::set(&mut env, ours.map(|(name, value)| (name.to_owned(), value)));
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_s_conversation_is_the_same_at_every_attempt() {
        let (a, b) = (SessionId::from("abc"), SessionId::from("abd"));
        assert_eq!(conversation_of(&a, RunId(0)), conversation_of(&a, RunId(0)));
        assert_ne!(conversation_of(&a, RunId(0)), conversation_of(&a, RunId(1)));
        assert_ne!(conversation_of(&a, RunId(0)), conversation_of(&b, RunId(0)));
        let id = conversation_of(&a, RunId(0));
        let shape: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(shape, [8, 4, 4, 4, 12], "{id}");
        assert!(id.chars().all(|c| c == '-' || c.is_ascii_hexdigit()), "{id}");
        assert_eq!(id.chars().nth(14), Some('5'), "the version stands there: {id}");
    }
}
