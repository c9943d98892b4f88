//! What a real agent program must find around itself to ask the scripted model, open no dialog, and reach for no network.
//!
//! It is data: variables, files, folders. It writes files where it is told to, and starts nothing. How each program is
//! found to behave is told in [`notes`].

pub mod notes;
mod setups;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The key that every agent is given. Of a length that looks real: one of them blackens each occurrence of its key in
/// what it says, and a short key is in every word.
pub const KEY: &str = "scripted-key-0123456789abcdef";

/// A real agent program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
    /// GitHub Copilot CLI.
    Copilot,
    /// Gemini CLI.
    Gemini,
    /// opencode.
    Opencode,
    /// Qwen Code.
    Qwen,
    /// Kimi Code.
    Kimi,
    /// aider.
    Aider,
}

/// Where an agent is to run.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The server, as [`crate::Server::url`] tells it.
    pub url: &'a str,
    /// A HOME of its own.
    pub home: &'a Path,
    /// Folders that it trusts, with what is below where the agent can say so: its workspace, or what holds all of them.
    pub trusted: &'a [&'a Path],
    /// Where `cargo xtask agents install` puts the programs.
    pub agents: &'a Path,
}

/// What an agent must find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Variables, without `HOME` and `PATH`.
    pub env: Vec<(String, String)>,
    /// Files, by their paths relative to its HOME.
    pub files: Vec<(PathBuf, String)>,
    /// Folders that come first in its `PATH`.
    pub path_dirs: Vec<PathBuf>,
}

impl Agent {
    /// All of them, those that start quickly first.
    pub const ALL: [Self; 8] = [
        Self::Claude,
        Self::Codex,
        Self::Copilot,
        Self::Gemini,
        Self::Opencode,
        Self::Qwen,
        Self::Kimi,
        Self::Aider,
    ];

    /// Returns its name, which is its program's, too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Copilot => "copilot",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
            Self::Qwen => "qwen",
            Self::Kimi => "kimi",
            Self::Aider => "aider",
        }
    }

    /// Returns the folder with its program, under what holds all of them.
    fn folder(self, agents: &Path) -> PathBuf {
        agents.join(self.name()).join("bin")
    }

    /// Returns its program, if it is installed.
    pub fn program(self, agents: &Path) -> Option<PathBuf> {
        Some(self.folder(agents).join(self.name())).filter(|path| path.exists())
    }

    /// Returns what it must find at a place.
    pub fn setup(self, place: &Place) -> Setup {
        setups::of(self, place)
    }

    /// Returns the arguments with which it does what a prompt says without asking, and ends.
    pub fn headless(self, prompt: &str) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Claude => {
                &["--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions", "-p"]
            }
            Self::Codex => &["exec", "--json", "--dangerously-bypass-approvals-and-sandbox"],
            Self::Copilot => &["--output-format", "json", "--allow-all-tools", "--no-color", "-p"],
            Self::Gemini => &["-o", "stream-json", "--approval-mode", "yolo", "--skip-trust", "-p"],
            Self::Opencode => &["run", "--format", "json"],
            Self::Qwen => &["--auth-type", "openai", "-o", "stream-json", "--approval-mode", "yolo", "-p"],
            Self::Kimi => &["--output-format", "stream-json", "-p"],
            Self::Aider => {
                &["--yes-always", "--no-pretty", "--no-gitignore", "--map-tokens", "0", "--message"]
            }
        };
        words.iter().copied().chain([prompt]).map(str::to_owned).collect()
    }
}

/// Returns where the programs are: `OARLOCK_AGENTS`, else `target/agents` of this source tree.
pub fn agents_dir() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    match env::var_os("OARLOCK_AGENTS") {
        Some(dir) => root.join(dir),
        None => root.join("target/agents"),
    }
}

impl Setup {
    /// Writes the files.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn plant(&self, home: &Path) -> io::Result<()> {
        for (path, text) in &self.files {
            let path = home.join(path);
            fs::create_dir_all(path.parent().unwrap_or(home))?;
            fs::write(path, text)?;
        }
        Ok(())
    }

    /// Returns all variables that the agent is to have: nothing of whoever runs the tests comes along, but where
    /// programs are.
    pub fn environment(&self, home: &Path) -> Vec<(String, String)> {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let folders = self.path_dirs.iter().cloned().chain(env::split_paths(&inherited));
        // A folder with a colon in its name cannot stand in a PATH.
        let path = env::join_paths(folders.filter(|folder| !folder.to_string_lossy().contains(':')));
        let path = path.unwrap_or_default().to_string_lossy().into_owned();
        let own =
            [("HOME", home.to_string_lossy().into_owned()), ("PATH", path), ("LANG", "C.UTF-8".to_owned())];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        own.chain(self.env.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(agent: Agent) -> Setup {
        let trusted = [Path::new("/w/\"quoted\"")];
        let place = Place {
            url: "http://127.0.0.1:9",
            home: Path::new("/h"),
            trusted: &trusted,
            agents: Path::new("/agents"),
        };
        agent.setup(&place)
    }

    #[test]
    fn every_agent_is_told_of_the_server_and_of_nothing_else() {
        for agent in Agent::ALL {
            let setup = setup(agent);
            let files: String = setup.files.iter().map(|(_, text)| text.as_str()).collect();
            let env: String = setup.env.iter().map(|(_, value)| value.as_str()).collect();
            assert!(format!("{files}{env}").contains("http://127.0.0.1:9"), "{agent:?}");
            assert_eq!(format!("{files}{env}").matches("http").count(), 1, "{agent:?} knows one address");
            assert_eq!(setup.path_dirs[0], agent.folder(Path::new("/agents")));
        }
    }

    #[test]
    fn a_folder_with_quotes_breaks_no_file() {
        for (path, text) in Agent::ALL.into_iter().flat_map(|agent| setup(agent).files) {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") | None => drop(serde_json::from_str::<serde_json::Value>(&text).expect("JSON")),
                Some("toml") => drop(text.parse::<toml_edit::DocumentMut>().expect("TOML")),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_environment_is_the_agents_own() {
        let home = tempfile::tempdir().expect("a folder");
        let setup = setup(Agent::Claude);
        setup.plant(home.path()).expect("planted");
        assert!(home.path().join(".claude/settings.json").exists());
        let environment = setup.environment(home.path());
        let names: Vec<&str> = environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(&names[..3], ["HOME", "PATH", "LANG"]);
        assert!(environment[1].1.starts_with("/agents/claude/bin:/agents/node/bin"));
    }
}
