//! One file of the configuration: what may stand in it, and what stands in it.
//!
//! It must not know what comes of several files; that is `resolve`'s.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use oarlock_core::session::fact::{Hold, Permissions};

use super::reader::{Read, Reader, Section, Wrong, parse, unknown};

/// Largest file read, in bytes: a configuration is a page, anything above is a mistake.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A repository's: whoever can commit can write it.
    Project,
    /// The person's own.
    Person,
}

/// What a file says. What it does not say is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The branch that work lands on; git's own default when missing. A project's alone.
    pub default_branch: Option<String>,
    /// What a workspace gets beyond its checkout. A project's alone.
    pub workspace: WorkspaceTable,
    /// What a gate runs on what would land: shell commands. A project's alone.
    pub checks: Vec<String>,
    /// The agent that works when nobody names one.
    pub agent: Option<String>,
    /// What is said of agents, by their names.
    pub agents: BTreeMap<String, Table>,
    /// What is said of roles, by their names.
    pub roles: BTreeMap<String, Table>,
    /// What a project's file may decide. A person's alone.
    pub trust: Trust,
}

/// The table `[workspace]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkspaceTable {
    /// Ignored files to copy from the project's checkout: paths, folders or globs.
    pub copy: Vec<String>,
    /// Ignored paths to link to in the project's checkout.
    pub link: Vec<String>,
    /// Shell commands run once in each new workspace, in order.
    pub setup: Vec<String>,
}

/// A table `[agents.NAME]` or `[roles.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The agent of a role.
    pub agent: Option<String>,
    /// An agent's program: a path, or a name to look up in `PATH`. A person's alone.
    pub program: Option<String>,
    /// How an agent is held.
    pub hold: Option<Hold>,
    /// The model.
    pub model: Option<String>,
    /// What may be done without asking.
    pub permissions: Option<Permissions>,
    /// Arguments added to the command line.
    pub args: Option<Vec<String>>,
    /// Variables added to the environment.
    pub env: BTreeMap<String, String>,
    /// Standing rules.
    pub rules: Option<String>,
    /// The file that holds them instead.
    pub rules_file: Option<String>,
}

/// The table `[trust]`: what a committed file may decide. What a person did not say is asked of them by a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The most it may let agents do without asking.
    pub permissions: Option<Permissions>,
    /// Whether its arguments are taken.
    pub args: Option<bool>,
    /// Whether its variables are taken.
    pub env: Option<bool>,
    /// Whether its setup commands are run.
    pub setup: Option<bool>,
}

/// What may be done without asking, by the words people use.
pub const PERMISSIONS: &[(&str, Permissions)] = &[
    ("default", Permissions::Default),
    ("accept-edits", Permissions::AcceptEdits),
    ("auto", Permissions::Auto),
    ("bypass", Permissions::Bypass),
];

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read from disk.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{}, line {line}: {says}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it, and what would be right.
        says: String,
    },
}

impl ConfigError {
    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            ConfigError::Read { path, .. } | ConfigError::Wrong { path, .. } => path,
        }
    }
}

impl Page {
    /// Returns the program that a person named for an agent.
    #[must_use]
    pub fn program(&self, agent: &str) -> Option<&str> {
        self.agents.get(agent).and_then(|table| table.program.as_deref())
    }

    /// Reads a file; a missing one says nothing.
    ///
    /// # Errors
    /// When it is there and cannot be read or understood, or is a person's and others may write to it.
    pub fn read(path: &Path, whose: Whose) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        match std::fs::metadata(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            Err(error) => return Err(failed(error)),
            Ok(meta) if meta.len() > FILE_BYTES_MAX => {
                return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 MiB")));
            }
            // A committed link may lead to a device that never ends.
            Ok(meta) if !meta.is_file() => {
                return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")));
            }
            // It names programs to run.
            Ok(meta) if whose == Whose::Person && !is_ours(&meta) => {
                let says = "it belongs to somebody else, or everybody may write to it";
                return Err(failed(io::Error::new(io::ErrorKind::PermissionDenied, says)));
            }
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Self::understand(&text, whose).map_err(|wrong| ConfigError::Wrong {
            path: path.to_owned(),
            line: wrong.line,
            says: wrong.says,
        })
    }

    /// Checks a text before it is written to a file.
    ///
    /// # Errors
    /// As [`Page::read`].
    pub fn check(text: &str, path: &Path, whose: Whose) -> Result<Self, ConfigError> {
        Self::understand(text, whose).map_err(|Wrong { line, says }| {
            let path = path.to_owned();
            ConfigError::Wrong { path, line, says }
        })
    }

    fn understand(text: &str, whose: Whose) -> Read<Self> {
        const IN_PROJECT: &str = "belongs into a repository's oarlock.toml";
        let document = parse(text)?;
        let reader = Reader::new(text);
        let top = Section { name: String::new(), table: document.as_table() };
        match whose {
            Whose::Project => {
                let belongs = "belongs into your own config.toml: no repository says what it is trusted with";
                let known = ["default_branch", "workspace", "gate", "agent", "agents", "roles"];
                reader.only(&top, &known, &[("trust", belongs)])?;
            }
            Whose::Person => {
                let elsewhere =
                    [("default_branch", IN_PROJECT), ("workspace", IN_PROJECT), ("gate", IN_PROJECT)];
                reader.only(&top, &["agent", "agents", "roles", "trust"], &elsewhere)?;
            }
        }
        Ok(Self {
            default_branch: reader.text(&top, "default_branch")?,
            workspace: workspace(&reader, &top)?,
            checks: checks(&reader, &top)?,
            agent: agent(&reader, &top)?,
            agents: agents(&reader, &top, whose)?,
            roles: roles(&reader, &top)?,
            trust: trust(&reader, &top)?,
        })
    }
}

/// Tells whether nobody but the user and root decides what stands in a file.
fn is_ours(meta: &std::fs::Metadata) -> bool {
    let owner = meta.uid();
    (owner == 0 || owner == rustix::process::getuid().as_raw()) && meta.mode() & 0o002 == 0
}

fn workspace(reader: &Reader<'_>, top: &Section<'_>) -> Read<WorkspaceTable> {
    let Some(section) = reader.section(top, "workspace")? else { return Ok(WorkspaceTable::default()) };
    reader.only(&section, &["copy", "link", "setup"], &[])?;
    let texts = |key| reader.texts(&section, key).map(Option::unwrap_or_default);
    Ok(WorkspaceTable { copy: texts("copy")?, link: texts("link")?, setup: texts("setup")? })
}

fn checks(reader: &Reader<'_>, top: &Section<'_>) -> Read<Vec<String>> {
    let Some(section) = reader.section(top, "gate")? else { return Ok(vec![]) };
    reader.only(&section, &["checks"], &[])?;
    reader.texts(&section, "checks").map(Option::unwrap_or_default)
}

fn trust(reader: &Reader<'_>, top: &Section<'_>) -> Read<Trust> {
    let Some(section) = reader.section(top, "trust")? else { return Ok(Trust::default()) };
    reader.only(&section, &["permissions", "args", "env", "setup"], &[])?;
    Ok(Trust {
        permissions: reader.word(&section, "permissions", PERMISSIONS)?,
        args: reader.flag(&section, "args")?,
        env: reader.flag(&section, "env")?,
        setup: reader.flag(&section, "setup")?,
    })
}

/// Returns the names of the agents that a configuration may speak of: `exec` is a command, and says all itself.
fn names() -> Vec<&'static str> {
    oarlock_agents::REGISTRY.iter().map(|agent| agent.name()).filter(|name| *name != "exec").collect()
}

/// Checks that a configuration may name an agent.
///
/// # Errors
/// The end of a sentence that says which was meant, or which are known.
pub fn check_agent(name: &str) -> Result<(), String> {
    let names = names();
    if names.contains(&name) { Ok(()) } else { Err(unknown("agent", name, "", &names)) }
}

fn agent(reader: &Reader<'_>, section: &Section<'_>) -> Read<Option<String>> {
    let agent = reader.text(section, "agent")?;
    if let Some(agent) = agent.as_deref().filter(|agent| !names().contains(agent)) {
        let span = section.table.get("agent").and_then(toml_edit::Item::span);
        return Err(reader.wrong(span, unknown("agent", agent, "", &names())));
    }
    Ok(agent)
}

fn agents(reader: &Reader<'_>, top: &Section<'_>, whose: Whose) -> Read<BTreeMap<String, Table>> {
    let Some(all) = reader.section(top, "agents")? else { return Ok(BTreeMap::new()) };
    reader.only(&all, &names(), &[("exec", "cannot be configured: --exec gives it everything")])?;
    let mut tables = BTreeMap::new();
    for (name, _) in all.table.iter() {
        let (Some(section), Some(agent)) = (reader.section(&all, name)?, oarlock_agents::find(name)) else {
            continue;
        };
        let mut known = vec!["hold", "model", "permissions", "args", "env", "rules", "rules_file", "program"];
        let belongs = "belongs into your own config.toml: no repository names a program to run as an agent";
        if whose == Whose::Project {
            known.pop();
        }
        reader.only(&section, &known, &[("program", belongs)])?;
        let holds: Vec<_> = agent.holds().iter().map(|hold| (hold.word(), *hold)).collect();
        let mut table = table(reader, &section)?;
        table.hold = reader.word(&section, "hold", &holds)?;
        table.program = program(reader, &section)?;
        tables.insert(name.to_owned(), table);
    }
    Ok(tables)
}

fn roles(reader: &Reader<'_>, top: &Section<'_>) -> Read<BTreeMap<String, Table>> {
    let Some(all) = reader.section(top, "roles")? else { return Ok(BTreeMap::new()) };
    let mut tables = BTreeMap::new();
    for (name, _) in all.table.iter() {
        let Some(section) = reader.section(&all, name)? else { continue };
        let of_agents = "belongs to an agent: write it in [agents.NAME]";
        let known = ["agent", "model", "permissions", "args", "env", "rules", "rules_file"];
        reader.only(&section, &known, &[("hold", of_agents), ("program", of_agents)])?;
        let mut table = table(reader, &section)?;
        table.agent = agent(reader, &section)?;
        tables.insert(name.to_owned(), table);
    }
    Ok(tables)
}

/// Reads what agents and roles have in common.
fn table(reader: &Reader<'_>, section: &Section<'_>) -> Read<Table> {
    let (rules, rules_file) = (reader.text(section, "rules")?, reader.text(section, "rules_file")?);
    if rules.is_some() && rules_file.is_some() {
        return Err(reader.wrong_value(section, "rules_file", "stands beside rules; keep one of them"));
    }
    Ok(Table {
        model: reader.text(section, "model")?,
        permissions: reader.word(section, "permissions", PERMISSIONS)?,
        args: reader.texts(section, "args")?,
        env: env(reader, section)?,
        rules,
        rules_file,
        ..Table::default()
    })
}

fn env(reader: &Reader<'_>, above: &Section<'_>) -> Read<BTreeMap<String, String>> {
    let Some(section) = reader.section(above, "env")? else { return Ok(BTreeMap::new()) };
    let mut env = BTreeMap::new();
    for (name, item) in section.table.iter() {
        let span = section.table.key(name).and_then(toml_edit::Key::span);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit()) {
            let says = format!("\"{}\" is no variable's name", oarlock_core::text::line(name, 60));
            return Err(reader.wrong(span, says));
        }
        if name.starts_with("OARLOCK_") {
            return Err(reader.wrong(span, format!("{name} is oarlock's own to set")));
        }
        let value = item.as_str().filter(|value| !value.contains('\0'));
        let value = value.ok_or_else(|| reader.wrong_value(&section, name, "must be a text in quotes"))?;
        env.insert(name.to_owned(), value.to_owned());
    }
    Ok(env)
}

fn program(reader: &Reader<'_>, section: &Section<'_>) -> Read<Option<String>> {
    let program = reader.text(section, "program")?;
    let is_clear = |program: &str| !program.contains('/') || program.starts_with(['/', '~']);
    if program.as_deref().is_some_and(|program| !is_clear(program)) {
        let says = "must be an absolute path, one from ~/ on, or a name to look up in PATH";
        return Err(reader.wrong_value(section, "program", says));
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str, whose: Whose) -> String {
        let error = Page::check(text, Path::new("f.toml"), whose).unwrap_err();
        error.to_string()
    }

    #[test]
    fn a_missing_file_says_nothing() {
        assert_eq!(Page::read(Path::new("/nowhere"), Whose::Person).unwrap(), Page::default());
    }

    #[test]
    fn an_unknown_key_is_answered_with_the_one_that_was_meant_and_its_line() {
        let project = |text| says(text, Whose::Project);
        assert_eq!(
            project("agent = \"scripted\"\n[workspace]\ncoppy = [\"a\"]\n"),
            "f.toml, line 3: there is no key \"coppy\" in [workspace]; did you mean \"copy\"?"
        );
        assert_eq!(
            project("[agents.scriptd]\n"),
            "f.toml, line 1: there is no key \"scriptd\" in [agents]; did you mean \"scripted\"?"
        );
        assert_eq!(
            project("\n[agents.scripted]\nmodle = \"x\""),
            "f.toml, line 3: there is no key \"modle\" in [agents.scripted]; did you mean \"model\"?"
        );
        assert_eq!(
            project("agent = \"nobody-at-all\""),
            format!("f.toml, line 1: there is no agent \"nobody-at-all\"; known: {}", names().join(", "))
        );
    }

    #[test]
    fn a_wrong_value_is_answered_with_what_is_allowed() {
        let person = |text| says(text, Whose::Person);
        assert_eq!(
            person("[roles.worker]\npermissions = \"bypas\""),
            "f.toml, line 2: permissions in [roles.worker] must be one of \"default\", \"accept-edits\", \
             \"auto\", \"bypass\"; did you mean \"bypass\"?"
        );
        assert_eq!(
            person("[agents.scripted]\nhold = \"acp\""),
            "f.toml, line 2: hold in [agents.scripted] must be one of \"terminal\", \"protocol\""
        );
        assert!(person("[trust]\nenv = 1").ends_with("line 2: env in [trust] must be true or false"));
        assert!(person("agents = 1").ends_with("line 1: agents must be a table: [agents]"));
        assert!(
            person("[roles.worker]\nargs = \"x\"").contains("line 2: args in [roles.worker] must be a list")
        );
        assert!(person("[roles.worker]\nargs = [\"a\", 2]").contains("must be a list of texts"));
        assert!(person("[roles.worker]\nrules = \"a\"\nrules_file = \"b\"").contains("line 3: rules_file"));
        assert!(person("[roles.worker]\nmodel = \"\"").contains("model in [roles.worker] is empty"));
        assert!(person("[agents.scripted]\nprogram = \"./x\"").contains("absolute path"));
        assert!(
            person("[roles.worker.env]\nOARLOCK_TOKEN = \"x\"")
                .contains("line 2: OARLOCK_TOKEN is oarlock's")
        );
        assert!(person("[roles.worker.env]\n\"A=B\" = \"x\"").contains("\"A=B\" is no variable's name"));
        assert!(person("[roles.worker]\nmodel = \"a\\u0000b\"").contains("NUL"));
        assert!(person("agent = \n").starts_with("f.toml, line 1: "));
    }

    #[test]
    fn what_belongs_into_the_other_file_is_sent_there() {
        let project = |text| says(text, Whose::Project);
        assert!(
            project("[agents.scripted]\nprogram = \"/bin/sh\"").contains("no repository names a program")
        );
        assert!(project("[trust]\nargs = true").contains("your own config.toml"));
        assert!(project("[agents.exec]\nmodel = \"x\"").contains("--exec"));
        assert!(project("[roles.worker]\nhold = \"terminal\"").contains("[agents.NAME]"));
        assert!(says("[workspace]\ncopy = []", Whose::Person).contains("a repository's oarlock.toml"));
    }

    #[test]
    fn what_a_file_says_is_taken() {
        let text = "default_branch = \"trunk\"\nagent = \"scripted\"\nworkspace.setup = [\"make\"]\n\
                    [agents.scripted]\nhold = \"terminal\"\nargs = [\"-v\"]\nenv = { A = \"1\" }\n\
                    [roles.overseer]\nagent = \"scripted\"\nrules = \"be kind\"\n";
        let page = Page::check(text, Path::new("f.toml"), Whose::Project).unwrap();
        assert_eq!(page.default_branch.as_deref(), Some("trunk"));
        assert_eq!(page.workspace.setup, ["make"]);
        let agent = &page.agents["scripted"];
        assert_eq!((agent.hold, agent.args.as_deref()), (Some(Hold::Terminal), Some(&["-v".to_owned()][..])));
        assert_eq!(agent.env["A"], "1");
        assert_eq!(page.roles["overseer"].rules.as_deref(), Some("be kind"));
    }

    #[test]
    fn a_person_s_file_that_everybody_may_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "agent = \"scripted\"\n").unwrap();
        assert!(Page::read(&path, Whose::Person).is_ok());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o646)).unwrap();
        assert!(matches!(Page::read(&path, Whose::Person), Err(ConfigError::Read { .. })));
        assert!(Page::read(&path, Whose::Project).is_ok(), "a repository's modes are its own business");
    }
}
