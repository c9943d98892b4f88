//! `oarlock.toml`, which whoever can commit can write, and a person's `config.toml`: each is understood, or answered with
//! an error that names the file and the line, on one line that can be shown.

use std::cell::OnceCell;
use std::path::Path;

use oarlock_core::session::fact::Permissions;
use oarlock_world::config::{FILE_NAME, PERMISSIONS, Page, Table as Said, Whose};
use oarlock_world::fuzzing::chain;
use tempfile::TempDir;
use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::is_hostile;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// The bytes are the file.
pub fn run(data: &[u8]) {
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| tempfile::tempdir().expect("there is room for a folder"));
        let path = folder.path().join(FILE_NAME);
        std::fs::write(&path, data).expect("there is room for a file");
        for whose in [Whose::Project, Whose::Person] {
            check(&path, data, whose);
        }
    });
}

fn check(path: &Path, data: &[u8], whose: Whose) {
    match Page::read(path, whose) {
        Ok(page) => {
            assert!(whose == Whose::Person || is_a_project_s(&page), "{page:?} decides too much");
            let again = written(&page);
            assert_eq!(Page::check(&again, path, whose).expect("our own writing"), page, "{again}");
        }
        Err(error) => {
            let says = chain(&error);
            assert!(!says.contains(is_hostile), "{says:?} would drive a terminal");
            assert!(says.contains(FILE_NAME), "{says:?} names the file");
            let lines = data.iter().filter(|byte| **byte == b'\n').count() + 1;
            let names_a_line = (1..=lines).any(|line| says.contains(&format!(", line {line}: ")));
            assert!(std::str::from_utf8(data).is_err() || names_a_line, "{says:?}");
        }
    }
}

/// Whether a page says nothing that is a person's to say.
fn is_a_project_s(page: &Page) -> bool {
    let names_program = page.agents.values().chain(page.roles.values()).any(|table| table.program.is_some());
    page.trust == Page::default().trust && !names_program
}

fn list(texts: &[String]) -> Item {
    value(texts.iter().collect::<Array>())
}

fn word(permissions: Permissions) -> &'static str {
    PERMISSIONS.iter().find(|(_, known)| *known == permissions).expect("every one has a word").0
}

/// Writes what a file said as another file.
fn written(page: &Page) -> String {
    let mut document = DocumentMut::new();
    for (key, text) in [("default_branch", &page.default_branch), ("agent", &page.agent)] {
        if let Some(text) = text {
            document[key] = value(text.as_str());
        }
    }
    let workspace =
        [("copy", &page.workspace.copy), ("link", &page.workspace.link), ("setup", &page.workspace.setup)];
    for (key, texts) in workspace.into_iter().filter(|(_, texts)| !texts.is_empty()) {
        let table = document.entry("workspace").or_insert(Item::Table(Table::new()));
        table[key] = list(texts);
    }
    for (key, tables) in [("agents", &page.agents), ("roles", &page.roles)] {
        let mut all = Table::new();
        all.extend(tables.iter().map(|(name, said)| (name.as_str(), Item::Table(written_table(said)))));
        if !tables.is_empty() {
            document[key] = Item::Table(all);
        }
    }
    let trust = &page.trust;
    let flags = [("args", trust.args), ("env", trust.env), ("setup", trust.setup)];
    let flags = flags.into_iter().filter_map(|(key, flag)| Some((key, value(flag?))));
    let permissions = trust.permissions.map(|permissions| ("permissions", value(word(permissions))));
    for (key, item) in flags.chain(permissions) {
        document.entry("trust").or_insert(Item::Table(Table::new()))[key] = item;
    }
    document.to_string()
}

fn written_table(said: &Said) -> Table {
    let mut table = Table::new();
    let texts = [
        ("agent", said.agent.as_deref()),
        ("program", said.program.as_deref()),
        ("hold", said.hold.map(|hold| hold.word())),
        ("model", said.model.as_deref()),
        ("permissions", said.permissions.map(word)),
        ("rules", said.rules.as_deref()),
        ("rules_file", said.rules_file.as_deref()),
    ];
    table.extend(texts.into_iter().filter_map(|(key, text)| Some((key, value(text?)))));
    if let Some(args) = &said.args {
        table["args"] = list(args);
    }
    let mut env = Table::new();
    env.extend(said.env.iter().map(|(name, text)| (name.as_str(), value(text.as_str()))));
    if !said.env.is_empty() {
        table["env"] = Item::Table(env);
    }
    table
}
