//! What of two files holds for one agent in one role.
//!
//! A person's file is over a project's, and in each what is said of the role is over what is said of the agent. A project
//! decides of permissions, arguments and variables only what the person trusts it with. It must not know the wire.

use std::fs;
use std::path::Path;

use oarlock_core::session::fact::{Hold, Permissions, Trouble};

use super::page::{PERMISSIONS, Page, Table};
use super::{Config, FILE_NAME};
use crate::trouble;

/// The most that a project may let agents do when its reader said nothing: what they judge harmless themselves. Everything
/// is for the person to give.
pub const PERMISSIONS_UNSAID_MAX: Permissions = Permissions::Auto;
/// Longest rules of all tables together, in bytes: some agents are given them on their command line, where one argument
/// has 128 KiB at most (`MAX_ARG_STRLEN`).
const RULES_BYTES_MAX: usize = 64 * 1024;

/// What somebody asks for, over all that is configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The role; see [`super::WORKER`].
    pub role: &'a str,
    /// The agent; empty for the default.
    pub agent: &'a str,
    /// Whether permissions are said: what is configured of them does not matter then.
    pub has_permissions: bool,
}

/// What is configured of an agent in a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The agent: the one asked for, or the default. `None` when there is no default.
    pub agent: Option<String>,
    /// How it is held.
    pub hold: Option<Hold>,
    /// The model.
    pub model: Option<String>,
    /// What it may do without asking.
    pub permissions: Option<Permissions>,
    /// Standing rules, the general first.
    pub rules: String,
    /// Arguments to its command line.
    pub args: Vec<String>,
    /// Variables, by name.
    pub env: Vec<(String, String)>,
}

/// A table that speaks of the agent in its role, and whether a person wrote it.
#[derive(Clone, Copy)]
struct Layer<'a> {
    table: &'a Table,
    is_person: bool,
}

impl Config {
    /// Returns what is configured of an agent in a role.
    ///
    /// # Errors
    /// When the project decides what it is not trusted with, or a file of rules cannot be had.
    pub fn told(&self, asked: &Asked<'_>) -> Result<Told, Trouble> {
        let named = Some(asked.agent).filter(|agent| !agent.is_empty());
        let default = |page: &Page| {
            let of_role = page.roles.get(asked.role).and_then(|role| role.agent.clone());
            of_role.or_else(|| page.agent.clone())
        };
        let agent =
            named.map(str::to_owned).or_else(|| default(&self.person)).or_else(|| default(&self.project));
        let Some(agent) = agent else { return Ok(Told::default()) };
        let layers = self.layers(asked.role, &agent);
        let tables = || layers.iter().map(|layer| layer.table);
        Ok(Told {
            hold: tables().find_map(|table| table.hold),
            model: tables().find_map(|table| table.model.clone()),
            permissions: if asked.has_permissions { None } else { self.permissions(&layers)? },
            rules: self.rules(&layers)?,
            args: self.args(&layers)?,
            env: self.env(&layers)?,
            agent: Some(agent),
        })
    }

    /// Returns the tables that speak of an agent in a role, the one that wins first.
    fn layers(&self, role: &str, agent: &str) -> Vec<Layer<'_>> {
        let pages = [(&self.person, true), (&self.project, false)];
        let tables = pages.into_iter().flat_map(|(page, is_person)| {
            let role = page.roles.get(role);
            // What a role says of its own agent is nothing that another is told: a model's name is one maker's.
            let role = role.filter(|role| role.agent.as_deref().is_none_or(|its| its == agent));
            [role, page.agents.get(agent)].map(|table| Some(Layer { table: table?, is_person }))
        });
        tables.flatten().collect()
    }

    fn permissions(&self, layers: &[Layer<'_>]) -> Result<Option<Permissions>, Trouble> {
        let said = layers.iter().find_map(|layer| Some((layer.table.permissions?, layer.is_person)));
        let Some((permissions, is_person)) = said else { return Ok(None) };
        match self.person.trust.permissions {
            _ if is_person => Ok(Some(permissions)),
            Some(most) => Ok(Some(permissions.min(most))),
            None if permissions <= PERMISSIONS_UNSAID_MAX => Ok(Some(permissions)),
            None => {
                let word = word(permissions);
                let says =
                    format!("{FILE_NAME} lets the agent do \"{word}\", and you did not say that it may.");
                let hint = format!(
                    "Give --permissions, or say once what repositories are trusted with: [trust] permissions = \
                     \"{word}\", or less, in {}.",
                    file()
                );
                Err(Trouble { hint, ..trouble::new("not_trusted", says) })
            }
        }
    }

    fn args(&self, layers: &[Layer<'_>]) -> Result<Vec<String>, Trouble> {
        let said = layers.iter().find_map(|layer| Some((layer.table.args.as_ref()?, layer.is_person)));
        let Some((args, is_person)) = said else { return Ok(vec![]) };
        let is_taken = is_person || args.is_empty() || trusted(self.person.trust.args, "args", "arguments")?;
        Ok(if is_taken { args.clone() } else { vec![] })
    }

    fn env(&self, layers: &[Layer<'_>]) -> Result<Vec<(String, String)>, Trouble> {
        let mut env = std::collections::BTreeMap::new();
        for layer in layers {
            // Only those that the person does not set themselves are the project's to decide.
            let fresh: Vec<_> = layer.table.env.iter().filter(|(name, _)| !env.contains_key(*name)).collect();
            let is_person = layer.is_person || fresh.is_empty();
            if is_person || trusted(self.person.trust.env, "env", "variables")? {
                env.extend(fresh);
            }
        }
        Ok(env.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    fn rules(&self, layers: &[Layer<'_>]) -> Result<String, Trouble> {
        let mut all = Vec::new();
        for layer in layers.iter().rev() {
            if let Some(rules) = &layer.table.rules {
                all.push(rules.trim().to_owned());
            }
            if let Some(file) = &layer.table.rules_file {
                all.push(self.rules_file(file, layer.is_person)?.trim().to_owned());
            }
        }
        all.retain(|rules| !rules.is_empty());
        let rules = all.join("\n\n");
        if rules.len() > RULES_BYTES_MAX {
            let says = format!("The rules have {} bytes; {RULES_BYTES_MAX} are the most.", rules.len());
            let hint = "Put what is long into a file of the repository, and name it in the rules.".into();
            return Err(Trouble { hint, ..trouble::new("bad_rules", says) });
        }
        Ok(rules)
    }

    /// Reads a file of rules. A project's lies in its repository: rules are sent to the agent's maker, and whoever commits
    /// must not choose which of the person's files are.
    fn rules_file(&self, name: &str, is_person: bool) -> Result<String, Trouble> {
        let folder = if is_person { &self.folder } else { &self.root };
        let path = match (name.strip_prefix("~/"), std::env::var_os("HOME")) {
            (Some(rest), Some(home)) if is_person => Path::new(&home).join(rest),
            _ => folder.join(name),
        };
        let fault = |why: &str| {
            let says = format!("The rules cannot be read from {}: {why}.", path.display());
            let hint =
                format!("Correct rules_file in {}.", if is_person { file() } else { FILE_NAME.into() });
            Trouble { hint, ..trouble::new("bad_rules", says) }
        };
        let real = path.canonicalize().map_err(|error| fault(&error.to_string()))?;
        let root = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        if !is_person && !real.starts_with(root) {
            return Err(fault("it is not in the repository"));
        }
        let meta = fs::metadata(&real).map_err(|error| fault(&error.to_string()))?;
        if !meta.is_file() {
            return Err(fault("it is no file"));
        }
        if meta.len() > RULES_BYTES_MAX as u64 {
            return Err(fault(&format!("it has more than {RULES_BYTES_MAX} bytes")));
        }
        let text = fs::read_to_string(&real).map_err(|error| fault(&error.to_string()))?;
        if text.contains('\0') {
            return Err(fault("it holds a NUL byte"));
        }
        Ok(text)
    }
}

/// Tells whether a person takes something from committed files.
fn trusted(said: Option<bool>, key: &str, what: &str) -> Result<bool, Trouble> {
    said.ok_or_else(|| {
        let says = format!("{FILE_NAME} gives the agent {what} ({key}), and you did not say that it may.");
        let hint = format!(
            "Read them, then say once what repositories are trusted with: [trust] {key} = true takes them, \
             false leaves them out, in {}.",
            file()
        );
        Trouble { hint, ..trouble::new("not_trusted", says) }
    })
}

fn word(permissions: Permissions) -> &'static str {
    PERMISSIONS.iter().find(|(_, known)| *known == permissions).map_or("default", |(word, _)| word)
}

/// Returns the person's file as it is named to them.
fn file() -> String {
    super::person_file().map_or_else(|| "your config.toml".into(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Whose;

    const ASKED: Asked<'static> = Asked { role: "worker", agent: "scripted", has_permissions: false };

    fn config(project: &str, person: &str) -> Config {
        let page = |text, whose| Page::check(text, Path::new("f.toml"), whose).unwrap();
        Config {
            project: page(project, Whose::Project),
            person: page(person, Whose::Person),
            ..Config::default()
        }
    }

    fn told(project: &str, person: &str) -> Told {
        config(project, person).told(&ASKED).unwrap()
    }

    fn refusal(project: &str, person: &str) -> String {
        let trouble = config(project, person).told(&ASKED).unwrap_err();
        format!("{}: {} {}", trouble.code, trouble.message, trouble.hint)
    }

    #[test]
    fn the_default_agent_is_the_role_s_then_the_page_s_and_the_person_s_first() {
        let nobody = Asked { agent: "", ..ASKED };
        let agent = |project, person| config(project, person).told(&nobody).unwrap().agent;
        assert_eq!(agent("", ""), None);
        assert_eq!(agent("agent = \"scripted\"", "").as_deref(), Some("scripted"));
        assert_eq!(agent("", "[roles.worker]\nagent = \"scripted\"").as_deref(), Some("scripted"));
        assert_eq!(agent("[roles.overseer]\nagent = \"scripted\"", ""), None, "another role's is not asked");
    }

    #[test]
    fn the_role_is_over_the_agent_and_the_person_over_the_project() {
        let project = "[agents.scripted]\nmodel = \"a\"\n[roles.worker]\nmodel = \"b\"";
        assert_eq!(told(project, "").model.as_deref(), Some("b"));
        assert_eq!(told(project, "[agents.scripted]\nmodel = \"c\"").model.as_deref(), Some("c"));
        let person = "[agents.scripted]\nmodel = \"c\"\n[roles.worker]\nmodel = \"d\"";
        assert_eq!(told(project, person).model.as_deref(), Some("d"));
        assert_eq!(told(project, "[roles.overseer]\nmodel = \"e\"").model.as_deref(), Some("b"));
    }

    #[test]
    fn what_a_role_says_of_its_own_agent_is_not_told_another() {
        let mut config = config("[agents.scripted]\nmodel = \"a\"\n[roles.worker]\nmodel = \"b\"", "");
        config.project.roles.get_mut("worker").unwrap().agent = Some("another".into());
        assert_eq!(config.told(&ASKED).unwrap().model.as_deref(), Some("a"));
    }

    #[test]
    fn a_project_gives_no_more_permissions_than_it_is_trusted_with() {
        let permissions = |project, person| told(project, person).permissions;
        let (auto, bypass) =
            ("[roles.worker]\npermissions = \"auto\"", "[roles.worker]\npermissions = \"bypass\"");
        assert_eq!(permissions(auto, ""), Some(Permissions::Auto));
        assert_eq!(permissions(bypass, "[trust]\npermissions = \"bypass\""), Some(Permissions::Bypass));
        assert_eq!(
            permissions(bypass, "[trust]\npermissions = \"accept-edits\""),
            Some(Permissions::AcceptEdits),
            "what the person decided is kept to, without a word"
        );
        assert_eq!(permissions(auto, "[trust]\npermissions = \"default\""), Some(Permissions::Default));
        assert!(refusal(bypass, "").contains("not_trusted: oarlock.toml lets the agent do \"bypass\""));
        assert_eq!(permissions(auto, bypass), Some(Permissions::Bypass), "the person's own is theirs to say");
        let said = Asked { has_permissions: true, ..ASKED };
        assert_eq!(
            config(bypass, "").told(&said).unwrap().permissions,
            None,
            "nor does it matter when it is said"
        );
    }

    #[test]
    fn a_project_s_arguments_are_taken_only_by_who_said_so() {
        let project = "[agents.scripted]\nargs = [\"--all\"]";
        assert!(refusal(project, "").contains("[trust] args = true takes them"));
        assert_eq!(told(project, "[trust]\nargs = true").args, ["--all"]);
        assert_eq!(told(project, "[trust]\nargs = false").args, [""; 0]);
        assert_eq!(told(project, "[agents.scripted]\nargs = [\"-v\"]").args, ["-v"]);
        assert_eq!(told("[agents.scripted]\nargs = []", "").args, [""; 0], "nothing needs no trust");
    }

    #[test]
    fn a_project_s_variables_are_taken_only_by_who_said_so() {
        let pairs = |told: Told| {
            told.env.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        let project = "[agents.scripted.env]\nA = \"1\"\nB = \"1\"\n[roles.worker.env]\nB = \"2\"";
        assert!(refusal(project, "").contains("[trust] env = true takes them"));
        assert_eq!(pairs(told(project, "[trust]\nenv = true")), ["A=1", "B=2"]);
        assert_eq!(
            pairs(told(project, "[trust]\nenv = true\n[agents.scripted.env]\nB = \"3\"")),
            ["A=1", "B=3"]
        );
        assert_eq!(pairs(told(project, "[trust]\nenv = false\n[roles.worker.env]\nC = \"3\"")), ["C=3"]);
        assert_eq!(
            pairs(told(project, "[agents.scripted.env]\nA = \"x\"\nB = \"y\"")),
            ["A=x", "B=y"],
            "nothing of the project's is left to decide"
        );
    }

    #[test]
    fn rules_add_up_from_the_general_to_the_particular() {
        let project = "[agents.scripted]\nrules = \"one\\n\"\n[roles.worker]\nrules = \"two\"";
        let person = "[agents.scripted]\nrules = \"three\"\n[roles.worker]\nrules = \"four\"";
        assert_eq!(told(project, person).rules, "one\n\ntwo\n\nthree\n\nfour");
    }

    #[test]
    fn a_project_s_rules_come_from_no_file_outside_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repository");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("RULES.md"), "Test first.\n").unwrap();
        fs::write(folder.path().join("secret"), "mine").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        let rules = |file: &str| {
            let project = format!("[roles.worker]\nrules_file = \"{file}\"");
            Config { root: root.clone(), ..config(&project, "") }.told(&ASKED)
        };
        assert_eq!(rules("RULES.md").unwrap().rules, "Test first.");
        for outside in ["../secret", "link", "/etc/hostname"] {
            let trouble = rules(outside).unwrap_err();
            assert!(trouble.message.contains("not in the repository"), "{outside}: {}", trouble.message);
        }
        assert!(rules("none.md").unwrap_err().message.contains("none.md"));
        assert!(rules(".").unwrap_err().message.contains("it is no file"));
        fs::write(root.join("long.md"), "x".repeat(RULES_BYTES_MAX + 1)).unwrap();
        assert!(rules("long.md").unwrap_err().message.contains("bytes"));
    }
}
