//! What an agent's command line is built from, and what comes of it: argv, environment, files. No IO here; paths are text.

use oarlock_core::session::fact::{Hold, Permissions};

/// Longest prompt given as an argument, in bytes: Linux takes 128 KiB an argument (`MAX_ARG_STRLEN`), and there are quotes
/// around some. A longer one is read by the agent from its file.
pub const ARGUMENT_BYTES_MAX: usize = 96 * 1024;

/// Everything an agent's command line may be built from.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    /// How it is to be held.
    pub hold: Hold,
    /// The agent's program: an absolute path, or a name to be looked up in `PATH`.
    pub program: &'a str,
    /// Its version, when it was seen.
    pub version: Option<Version>,
    /// The workspace's absolute path. It is the working directory.
    pub workspace: &'a str,
    /// Absolute paths of folders outside the workspace that are written to from it: git's, when work is committed in a linked
    /// worktree, and where a leg of a relay leaves its baton. Agents with a sandbox of their own must be let into them.
    pub writes: &'a [String],
    /// The run's own folder, absolute: files for this run alone go there.
    pub folder: &'a str,
    /// What the agent is told first; empty for nothing.
    pub prompt: &'a str,
    /// The file that holds the prompt.
    pub prompt_file: &'a str,
    /// The conversation to go on with.
    pub conversation: Option<&'a str>,
    /// A UUID for a new conversation, for agents that let it be chosen.
    pub new_conversation: &'a str,
    /// The model; `None` leaves it to the user's settings.
    pub model: Option<&'a str>,
    /// What it may do without asking.
    pub permissions: Permissions,
    /// Standing rules for its system prompt; empty for none.
    pub rules: &'a str,
    /// Arguments of the user's, to be added.
    pub args: &'a [String],
    /// The command of an `exec` agent.
    pub command: Option<&'a str>,
    /// The path of oarlock's own program.
    pub oarlock: &'a str,
    /// Whether the user is root: some agents refuse some modes then.
    pub is_root: bool,
}

impl Launch<'_> {
    /// Returns the prompt as it goes onto a command line: itself, or where to find it when it is too long for one. `None`
    /// for none.
    #[must_use]
    pub fn prompt_argument(&self) -> Option<String> {
        match self.prompt {
            "" => None,
            prompt if prompt.len() <= ARGUMENT_BYTES_MAX => Some(prompt.into()),
            _ => Some(format!(
                "Your brief is in the file {}. Read all of it, then follow it.",
                self.prompt_file
            )),
        }
    }

    /// Returns the prompt with the rules before it, for agents that have no system prompt to add to. `None` for none.
    #[must_use]
    pub fn prompt_with_rules(&self) -> Option<String> {
        match (self.rules, self.prompt_argument()) {
            ("", prompt) => prompt,
            (rules, None) => Some(rules.into()),
            (rules, Some(prompt)) => Some(format!("{rules}\n\n{prompt}")),
        }
    }

    /// Returns the shell command that hooks call for an event of an agent. It is the same for every run; which run it is
    /// for, the environment says.
    #[must_use]
    pub fn hook_command(&self, agent: &str, event: &str) -> String {
        format!("{} hook {agent} {event}", shell_word(self.oarlock))
    }
}

/// Returns a text as one word of a POSIX shell.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables set on top of the session's own.
    pub env: Vec<(String, String)>,
    /// Files that must be there before it starts.
    pub files: Vec<Plant>,
    /// A prompt to be typed once the agent is ready, when its command line takes none.
    pub first_message: Option<String>,
}

/// A file, or a part of one, that an agent needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plant {
    /// Where.
    pub place: Place,
    /// What.
    pub what: What,
}

/// Where a planted file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the run's own folder: nobody else's.
    Run(String),
    /// In the workspace: it is hidden from git there, and taken away when the run is over.
    Workspace(String),
    /// One of the user's own files, such as `~/.claude.json`. `~` is the home of the run's environment.
    User(String),
}

/// What is planted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The whole file. In the workspace, one that is there and not ours is left alone.
    Text(String),
    /// Values in a JSON document (comments and layout survive), each at a path of keys; what else is in it stays. A
    /// document that cannot be parsed is left alone.
    Json(Vec<Edit>),
}

/// One value in a JSON document.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The keys that lead to it; missing objects on the way are made.
    pub path: Vec<String>,
    /// The value.
    pub value: serde_json::Value,
    /// How it is put there.
    pub put: Put,
}

impl Eq for Edit {}

/// How a value is put into a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// As the value of its key.
    Set,
    /// As the value of its key, unless it has one.
    Default,
    /// As an element of the array there, unless an equal one is in it.
    Append,
}

/// A version as agents print it: up to three numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Reads the first thing that looks like a version in what `--version` printed: `2.1.329 (Claude Code)`, `v0.24.4`.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        text.split(|c: char| c.is_whitespace() || "(),".contains(c)).find_map(|word| {
            let word = word.strip_prefix('v').unwrap_or(word);
            let mut numbers = word.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
            let (major, minor) = (numbers.next()?, numbers.next()?);
            Some(Self(major, minor, numbers.next().unwrap_or(0)))
        })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_wherever_it_is_printed() {
        assert_eq!(Version::find("2.1.329 (Claude Code)"), Some(Version(2, 1, 329)));
        assert_eq!(Version::find("GitHub Copilot CLI 1.0.102."), Some(Version(1, 0, 102)));
        assert_eq!(Version::find("codex-cli 0.169.0-beta.1"), Some(Version(0, 169, 0)));
        assert_eq!(Version::find("v0.24"), Some(Version(0, 24, 0)));
        assert_eq!(Version::find("no idea"), None);
    }

    #[test]
    fn a_shell_word_is_one_word() {
        assert_eq!(shell_word("/usr/bin/oarlock"), "/usr/bin/oarlock");
        assert_eq!(shell_word("/my home/it's"), r"'/my home/it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
