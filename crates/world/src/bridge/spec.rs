//! What a bridge is told before it starts: `bridge.json` in the run's folder. It must not know how the bridge does it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use oarlock_agents::Agent;
use oarlock_agents::drive::Step;
use oarlock_agents::launch::{Launch, Place, Plan, Version};
use oarlock_core::session::fact::{Hold, Permissions};
use serde::{Deserialize, Serialize};

/// The file's name in the run's folder.
pub const FILE: &str = "bridge.json";

/// A bridge's instructions: the agent and its [`Launch`], with the prompt by file. The environment is inherited.
///
/// Mode 0600: the rules and arguments are the user's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeSpec {
    /// The agent's name in the registry.
    pub agent: String,
    /// How it is held: [`Hold::Protocol`] or [`Hold::Acp`].
    pub hold: Hold,
    /// The agent's program: an absolute path, or a name to be looked up in `PATH`.
    pub program: String,
    /// Its version, when it was seen: major, minor, patch.
    pub version: Option<(u32, u32, u32)>,
    /// The workspace's absolute path: the agent's working directory.
    pub workspace: String,
    /// The run's own folder, absolute. It holds this file and the inbox.
    pub folder: String,
    /// The file that holds what the agent is told first. An empty or missing one tells it nothing.
    pub prompt_file: String,
    /// The conversation to go on with.
    pub conversation: Option<String>,
    /// A UUID for a new conversation.
    pub new_conversation: String,
    /// The model; `None` leaves it to the user's settings.
    pub model: Option<String>,
    /// What it may do without asking.
    pub permissions: Permissions,
    /// Standing rules for its system prompt; empty for none.
    pub rules: String,
    /// Arguments of the user's, to be added.
    pub args: Vec<String>,
    /// The command of an `exec` agent.
    pub command: Option<String>,
    /// The git folders outside of the workspace that a commit in it writes to.
    #[serde(default)]
    pub writes: Vec<String>,
    /// The path of oarlock's own program.
    pub oarlock: String,
}

impl BridgeSpec {
    /// Returns the instructions for an agent and its launch. The prompt is left in its file.
    #[must_use]
    pub fn of(agent: &str, launch: &Launch<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            agent: agent.into(),
            hold: launch.hold,
            program: launch.program.into(),
            version: launch.version.map(|Version(major, minor, patch)| (major, minor, patch)),
            workspace: launch.workspace.into(),
            folder: launch.folder.into(),
            prompt_file: launch.prompt_file.into(),
            conversation: owned(launch.conversation),
            new_conversation: launch.new_conversation.into(),
            model: owned(launch.model),
            permissions: launch.permissions,
            rules: launch.rules.into(),
            args: launch.args.to_vec(),
            command: owned(launch.command),
            writes: launch.writes.to_vec(),
            oarlock: launch.oarlock.into(),
        }
    }

    /// Returns the launch, with the prompt as it was read from its file.
    #[must_use]
    pub fn launch<'a>(&'a self, prompt: &'a str) -> Launch<'a> {
        Launch {
            hold: self.hold,
            program: &self.program,
            version: self.version.map(|(major, minor, patch)| Version(major, minor, patch)),
            workspace: &self.workspace,
            folder: &self.folder,
            prompt,
            prompt_file: &self.prompt_file,
            conversation: self.conversation.as_deref(),
            new_conversation: &self.new_conversation,
            model: self.model.as_deref(),
            permissions: self.permissions,
            rules: &self.rules,
            args: &self.args,
            command: self.command.as_deref(),
            writes: &self.writes,
            oarlock: &self.oarlock,
            is_root: rustix::process::getuid().is_root(),
        }
    }

    /// Writes the instructions into a run's folder, which exists.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(folder.join(FILE))?;
        file.write_all(&serde_json::to_vec(self)?)
    }

    /// Reads the instructions in a run's folder.
    ///
    /// # Errors
    /// When there are none, or they are not such.
    pub fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(folder.join(FILE))?)?)
    }
}

/// Writes what a run's bridge is to hold, and returns how the bridge is run, with the files that its agent needs outside of
/// the run's folder: whoever starts the run plants them, and takes them away.
///
/// # Errors
/// When the instructions cannot be written, or the agent cannot be held so.
pub(crate) fn plan(agent: &dyn Agent, launch: &Launch<'_>, folder: &Path) -> io::Result<Plan> {
    let Some(mut driver) = agent.driver(launch) else {
        return Err(io::Error::other(format!("{} has no such protocol", agent.name())));
    };
    BridgeSpec::of(agent.name(), launch).write(folder)?;
    let opened = driver.open().into_iter();
    let files = opened.filter_map(|step| match step {
        Step::Start(plan) => Some(plan.files),
        _ => None,
    });
    let outside = files.flatten().filter(|plant| !matches!(plant.place, Place::Run(_)));
    let argv = vec![launch.oarlock.into(), "bridge".into(), folder.to_string_lossy().into_owned()];
    Ok(Plan { argv, files: outside.collect(), ..Plan::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_comes_through_its_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let launch = Launch {
            hold: Hold::Acp,
            program: "/bin/agent",
            version: Some(Version(1, 2, 3)),
            workspace: "/work",
            folder: "/runs/a/0",
            prompt: "do it",
            prompt_file: "/runs/a/0/prompt.md",
            conversation: Some("c1"),
            new_conversation: "u1",
            model: Some("small"),
            permissions: Permissions::AcceptEdits,
            rules: "be kind",
            args: &["-x".to_owned()],
            command: Some("true"),
            writes: &["/src/.git".to_owned()],
            oarlock: "/bin/oarlock",
            is_root: rustix::process::getuid().is_root(),
        };
        BridgeSpec::of("claude", &launch).write(folder.path()).unwrap();
        let read = BridgeSpec::read(folder.path()).unwrap();
        assert_eq!(read.agent, "claude");
        assert_eq!(format!("{:?}", read.launch("do it")), format!("{launch:?}"));
        let mode =
            std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(folder.path().join(FILE)).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }
}
