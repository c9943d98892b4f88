//! What there is to check a work by, and what checks are made of: found in the spec, in the project's file, or by what the
//! repository holds.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use oarlock_core::plan;
use oarlock_core::playbook::gate::{CHECK_MS, Check};
use sha2::{Digest, Sha256};

use crate::git::{Git, Oid};

/// Checks found in a repository: the file that tells, and the command. The first that is there is taken.
const KNOWN: &[(&str, &str)] = &[
    (".ci/run", ".ci/run"),
    ("Cargo.toml", "cargo test"),
    ("go.mod", "go test ./..."),
    ("pytest.ini", "python -m pytest"),
    ("tox.ini", "tox"),
    ("mix.exs", "mix test"),
    ("Gemfile", "bundle exec rake test"),
    ("pom.xml", "mvn -q test"),
];

/// Files beside a check's own script that decide what it does, by the program that reads them.
const READ_BY: &[(&str, &[&str])] = &[
    ("cargo", &["Cargo.toml", ".cargo/config.toml", ".cargo/config", ".config/nextest.toml"]),
    ("npm", &["package.json", ".npmrc"]),
    ("pnpm", &["package.json", ".npmrc"]),
    ("yarn", &["package.json", ".yarnrc.yml"]),
    ("bun", &["package.json", "bunfig.toml"]),
    ("npx", &["package.json"]),
    ("make", &["Makefile", "makefile", "GNUmakefile"]),
    ("just", &["justfile", "Justfile"]),
    ("pytest", &["pytest.ini", "pyproject.toml", "setup.cfg", "tox.ini", "conftest.py"]),
    ("python", &["pytest.ini", "pyproject.toml", "setup.cfg", "tox.ini", "conftest.py"]),
    ("tox", &["tox.ini", "pyproject.toml"]),
    ("go", &["go.mod"]),
];

/// Programs whose first argument is the script that is run.
const INTERPRETERS: &[&str] =
    &["sh", "bash", "dash", "zsh", "ksh", "python", "python3", "node", "ruby", "perl", "deno", "bun"];

/// Returns the checks that a spec names: the commands in what its author calls checks, verification, acceptance or the like,
/// and after "Run tests:".
#[must_use]
pub fn in_spec(spec: &str) -> Vec<Check> {
    let mut commands: Vec<String> = Vec::new();
    if let Ok(plan) = plan::read(&format!("# Spec\n\n## Phase 1\n{}\n", below(spec))) {
        let all = plan.phases.iter().flat_map(|phase| &phase.checks);
        commands.extend(all.filter_map(|check| check.command.clone()));
    }
    for line in spec.lines() {
        let bare = line.trim_start_matches(['-', '*', '#', ' ', '_']).trim();
        let told = ["run tests:", "run the tests:", "test command:", "tests:"].iter().find_map(|label| {
            bare.get(..label.len())?.eq_ignore_ascii_case(label).then(|| &bare[label.len()..])
        });
        let command = told.map(|rest| rest.trim_matches(['*', ' ', '`', '_']));
        commands.extend(command.filter(|command| !command.is_empty()).map(str::to_owned));
    }
    let mut seen = BTreeSet::new();
    commands.retain(|command| seen.insert(command.clone()));
    commands.into_iter().map(|command| check(&command, "spec")).collect()
}

/// Returns a text with its headings at the lowest level, so that all of it is one phase.
fn below(spec: &str) -> String {
    let mut is_code = false;
    let lines = spec.lines().map(|line| {
        let bare = line.trim_start();
        is_code ^= bare.starts_with("```") || bare.starts_with("~~~");
        match bare.starts_with('#') && !is_code {
            true => format!("###### {}\n", bare.trim_start_matches('#').trim_start()),
            false => format!("{line}\n"),
        }
    });
    lines.collect()
}

/// Returns the check that a repository is usually held to, by what lies in its checkout.
#[must_use]
pub fn in_repository(root: &Path) -> Vec<Check> {
    if let Ok(text) = std::fs::read_to_string(root.join("package.json"))
        && let Ok(package) = serde_json::from_str::<serde_json::Value>(&text)
        && let Some(test) = package["scripts"]["test"].as_str()
        // What npm writes where nobody wrote a test.
        && !test.contains("no test specified")
    {
        return vec![check("npm test", "repository")];
    }
    if let Ok(text) = std::fs::read_to_string(root.join("Makefile"))
        && let Some(target) = ["check", "test"]
            .iter()
            .find(|name| text.contains(&format!("\n{name}:")) || text.starts_with(&format!("{name}:")))
    {
        return vec![check(&format!("make {target}"), "repository")];
    }
    let known = KNOWN.iter().find(|(file, _)| root.join(file).is_file());
    known.map(|(_, command)| check(command, "repository")).into_iter().collect()
}

/// Makes a check of a command.
#[must_use]
pub fn check(command: &str, origin: &str) -> Check {
    Check { command: command.into(), ms_max: CHECK_MS, origin: origin.into() }
}

/// Returns what git is configured with for a repository, its hooks included, digested. What a builder changes in a person's own
/// configuration would be run by whoever runs git next.
#[must_use]
pub fn git_configuration(repository: &Path) -> String {
    let git = Git::at(repository);
    let mut hash = Sha256::new();
    let listed = git.reads("read git's configuration").args(["config", "--list", "-z", "--show-scope"]).run();
    if let Ok(answer) = listed {
        for field in answer.fields() {
            let text = String::from_utf8_lossy(field);
            // What oarlock sets for its own calls, and what changes with every branch and worktree, tells nothing.
            if !["branch.", "remote.", "worktree", "extensions.worktree"]
                .iter()
                .any(|name| text.starts_with(name))
            {
                hash.update(text.as_bytes());
                hash.update([0]);
            }
        }
    }
    let hooks = git.reads("find the hooks").args(["rev-parse", "--git-path", "hooks"]).run();
    if let Ok(answer) = hooks {
        let folder = repository.join(answer.text().trim());
        let mut names: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
        names.sort_by_key(std::fs::DirEntry::file_name);
        for entry in names.iter().filter(|entry| entry.path().extension() != Some(OsStr::new("sample"))) {
            hash.update(entry.file_name().as_encoded_bytes());
            hash.update(std::fs::read(entry.path()).unwrap_or_default());
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the files of a commit that a check is made of: its script, and what its program reads to know what to do.
pub(crate) fn files_of(git: &Git, commit: &Oid, command: &str) -> Vec<String> {
    let mut all = scripts(command);
    for word in command.split(|c: char| c.is_whitespace() || ";&|()".contains(c)) {
        let name = word.rsplit('/').next().unwrap_or(word);
        let read = READ_BY.iter().find(|(program, _)| *program == name);
        all.extend(read.into_iter().flat_map(|(_, files)| files.iter().map(|file| (*file).to_owned())));
    }
    all.retain(|path| is_in(git, commit, path));
    all
}

/// Returns the scripts of a check that a commit holds: where a builder changes them, they are run as they were, too.
pub(crate) fn scripts_of(git: &Git, commit: &Oid, command: &str) -> Vec<String> {
    let mut all = scripts(command);
    all.retain(|path| is_in(git, commit, path));
    all
}

/// Returns the words of a command line that stand where a program or its script stands.
fn scripts(command: &str) -> Vec<String> {
    let mut all = Vec::new();
    for part in command.split([';', '&', '|', '(', ')', '\n']) {
        let words = part.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
        let mut words = words.skip_while(|word| {
            word.contains('=') && !word.starts_with('=') || matches!(*word, "env" | "time" | "exec" | "!")
        });
        let Some(program) = words.next() else { continue };
        let name = program.rsplit('/').next().unwrap_or(program);
        let script = match INTERPRETERS.contains(&name) {
            true => words.find(|word| !word.starts_with('-')),
            false => Some(program),
        };
        let path = script.map(|path| path.strip_prefix("./").unwrap_or(path));
        all.extend(path.filter(|path| !path.starts_with('/') && !path.is_empty()).map(str::to_owned));
    }
    all
}

fn is_in(git: &Git, commit: &Oid, path: &str) -> bool {
    let object = format!("{commit}:{path}");
    let answer = git.reads("look for a file").args(["cat-file", "-t", &object]).allow(128).run();
    answer.is_ok_and(|answer| answer.code == 0 && answer.text().trim() == "blob")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_names_its_checks() {
        let spec = "# Add\n\nAdd it.\n\n**Run tests:** `cargo test -p add`\n\n## Verification\n- `make lint` is clean\n- It reads well.\n";
        let found: Vec<String> = in_spec(spec).into_iter().map(|check| check.command).collect();
        assert_eq!(found, ["make lint", "cargo test -p add"]);
        let fenced = "## Done when\n```sh\n# fast\nmake test\n```\n## Phase 2\n- `make later`\n";
        let found: Vec<String> = in_spec(fenced).into_iter().map(|check| check.command).collect();
        assert_eq!(found, ["make test"]);
        assert_eq!(in_spec("# Add\nAdd it.\n"), []);
    }

    #[test]
    fn what_stands_where_a_program_stands_is_its_script() {
        assert_eq!(scripts("./check.sh --fast && sh -e tests/all.sh"), ["check.sh", "tests/all.sh"]);
        assert_eq!(scripts("CI=1 python3 -u tools/run.py x"), ["tools/run.py"]);
        assert_eq!(scripts("/usr/bin/true"), Vec::<String>::new());
        assert_eq!(scripts("cargo test"), ["cargo"]);
    }
}
