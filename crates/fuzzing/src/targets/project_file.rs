//! `oarlock.toml`, which whoever can commit can write: it is understood, or answered with an error that names the file and the
//! place, on one line that can be shown.

use std::cell::OnceCell;
use std::error::Error;

use oarlock_world::fuzzing::chain;
use oarlock_world::{FILE_NAME, ProjectFile};
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
        let write = |bytes: &[u8]| std::fs::write(folder.path().join(FILE_NAME), bytes);
        write(data).expect("there is room for a file");
        match ProjectFile::read(folder.path()) {
            Ok(file) => {
                write(written(&file).as_bytes()).expect("there is room for a file");
                assert_eq!(ProjectFile::read(folder.path()).expect("our own writing"), file);
            }
            Err(error) => {
                let says = chain(&error);
                assert!(!says.contains(is_hostile), "{says:?} would drive a terminal");
                assert!(says.contains(FILE_NAME), "{says:?} names the file");
                let is_text = std::str::from_utf8(data).is_ok();
                assert!(!is_text || error.source().is_some() && names_a_place(&says), "{says:?}");
            }
        }
    });
}

/// Whether an error says which line, or which key, it is about.
fn names_a_place(says: &str) -> bool {
    says.contains(" line ") || says.contains("unknown field") || says.contains("in `")
}

/// Writes what a file said as another file.
fn written(file: &ProjectFile) -> String {
    let list = |texts: &[String]| value(texts.iter().collect::<Array>());
    let mut page = DocumentMut::new();
    if let Some(branch) = &file.default_branch {
        page["default_branch"] = value(branch.as_str());
    }
    let mut table = Table::new();
    table["copy"] = list(&file.workspace.copy);
    table["link"] = list(&file.workspace.link);
    table["setup"] = list(&file.workspace.setup);
    page["workspace"] = Item::Table(table);
    page.to_string()
}
