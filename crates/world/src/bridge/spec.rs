//! What a bridge is to hold: `bridge.json` in the run's folder, written by whoever starts the run.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use oarlock_agents::launch::{Launch, Plan, Version};
use oarlock_core::session::fact::{Hold, Permissions};
use serde::{Deserialize, Serialize};

/// The file's name.
const FILE: &str = "bridge.json";

/// An agent to hold, and how it is launched: a [`Launch`] that owns its texts. The prompt is in its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BridgeSpec {
    /// The agent's name.
    pub agent: String,
    pub hold: Hold,
    pub program: String,
    pub version: Option<(u32, u32, u32)>,
    pub workspace: String,
    pub folder: String,
    pub prompt_file: String,
    pub conversation: Option<String>,
    pub new_conversation: String,
    pub model: Option<String>,
    pub permissions: Permissions,
    pub rules: String,
    pub args: Vec<String>,
    pub git_dirs: Vec<String>,
    pub oarlock: String,
    pub is_root: bool,
}

impl BridgeSpec {
    fn of(agent: &str, launch: &Launch<'_>) -> Self {
        Self {
            agent: agent.into(),
            hold: launch.hold,
            program: launch.program.into(),
            version: launch.version.map(|Version(major, minor, patch)| (major, minor, patch)),
            workspace: launch.workspace.into(),
            folder: launch.folder.into(),
            prompt_file: launch.prompt_file.into(),
            conversation: launch.conversation.map(str::to_owned),
            new_conversation: launch.new_conversation.into(),
            model: launch.model.map(str::to_owned),
            permissions: launch.permissions,
            rules: launch.rules.into(),
            args: launch.args.to_vec(),
            git_dirs: launch.git_dirs.to_vec(),
            oarlock: launch.oarlock.into(),
            is_root: launch.is_root,
        }
    }

    /// Reads what a run's bridge is to hold.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(folder.join(FILE))?)?)
    }

    /// Returns how the agent is launched, with the prompt's text.
    pub(crate) fn launch<'a>(&'a self, prompt: &'a str) -> Launch<'a> {
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
            command: None,
            git_dirs: &self.git_dirs,
            oarlock: &self.oarlock,
            is_root: self.is_root,
        }
    }
}

/// Writes what a run's bridge is to hold, and returns how the bridge is run.
pub(crate) fn plan(agent: &str, launch: &Launch<'_>, folder: &Path) -> io::Result<Plan> {
    let text = serde_json::to_vec(&BridgeSpec::of(agent, launch))?;
    let path = folder.join(FILE);
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&text)?;
    let argv = vec![launch.oarlock.into(), "bridge".into(), folder.to_string_lossy().into_owned()];
    Ok(Plan { argv, ..Plan::default() })
}
