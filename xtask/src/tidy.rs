//! `cargo xtask tidy`: rules about the repository that no compiler and no linter knows.
//!
//! A rule reads a [`Tree`] and returns findings; it touches nothing, so that its tests need no files.

mod code;
mod proof;
mod source;
mod text;
mod verbs;
mod words;

use std::collections::BTreeSet;
use std::fmt;

use crate::shell;
use source::Source;

/// Help.
pub const HELP: &str = "Check rules about the repository that no linter knows

Each finding names the place, what is wrong and what to do. The rules are in xtask/src/tidy/.";

/// Largest file looked at, in bytes: recordings of real agents are longer, and not written by us.
const FILE_BYTES_MAX: u64 = 2 << 20;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the root.
    pub path: String,
    /// The line, from 1; 0 is the whole file.
    pub line: usize,
    /// What is wrong.
    pub says: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}; {}", self.path, self.says, self.remedy),
            line => write!(f, "{}:{line}: {}; {}", self.path, self.says, self.remedy),
        }
    }
}

/// A text file.
pub struct File {
    /// Its path, relative to the root.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// Every file of the repository that is not ignored.
pub struct Tree {
    /// Those that hold text.
    pub files: Vec<File>,
    /// The Rust among them, read more closely.
    pub sources: Vec<Source>,
    /// The paths of all of them, and of their folders.
    pub paths: BTreeSet<String>,
}

impl Tree {
    fn new(files: Vec<File>, mut paths: BTreeSet<String>) -> Self {
        let sources = files.iter().filter(|file| file.path.ends_with(".rs")).map(Source::read).collect();
        let mut sources: Vec<Source> = sources;
        source::mark_test_files(&mut sources);
        for path in paths.clone() {
            let folders = path.match_indices('/').map(|(end, _)| path[..end].to_owned());
            paths.extend(folders);
        }
        Self { files, sources, paths }
    }

    fn load() -> Result<Self, String> {
        let mut command = shell::command("git");
        // No quoting of paths, and what is new counts before it is added.
        command.args([
            "-c",
            "core.quotePath=false",
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let ran = shell::quiet(command)?;
        if !ran.ok {
            return Err(format!("git does not list the files: {}", ran.text.trim()));
        }
        let root = shell::root();
        let on_disk = |path: &&str| root.join(path).is_file();
        let paths: BTreeSet<String> = ran.text.lines().filter(on_disk).map(str::to_owned).collect();
        let mut files = Vec::new();
        for path in &paths {
            let file = root.join(path);
            let failed = |error| format!("failed to read {path}: {error}");
            if file.metadata().map_err(failed)?.len() > FILE_BYTES_MAX {
                continue;
            }
            // What is no UTF-8 is no text of ours: pictures, and samples of broken output.
            if let Ok(text) = String::from_utf8(std::fs::read(&file).map_err(failed)?) {
                files.push(File { path: path.clone(), text });
            }
        }
        Ok(Self::new(files, paths))
    }

    /// Returns the text file at a path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Makes a tree of these files, for a test of a rule.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let paths = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        let file = |&(path, text): &(&str, &str)| File { path: path.to_owned(), text: text.to_owned() };
        Self::new(files.iter().map(file).collect(), paths)
    }
}

/// A rule.
type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[Rule] = &[
    code::opens_with_its_purpose,
    code::is_short,
    code::unwraps_only_in_tests,
    code::leaves_nothing_undone,
    code::ignores_with_a_reason,
    code::does_not_sleep_in_tests,
    code::starts_processes_only_where_allowed,
    code::stores_no_status,
    code::names_say_something,
    text::is_clean,
    text::links_resolve,
    text::glossary_has_one_meaning_a_word,
    words::names_no_machine,
    verbs::are_documented,
    proof::names_its_tests,
];

/// Prints every finding.
///
/// # Errors
/// When the files cannot be read, or an argument is given.
pub fn run(args: &[String]) -> Result<bool, String> {
    if !args.is_empty() {
        return Err("tidy takes no arguments".into());
    }
    let (findings, files) = findings()?;
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} findings in {files} files", findings.len());
    Ok(findings.is_empty())
}

/// Returns every finding, in order of place, and how many files were read.
///
/// # Errors
/// When the files cannot be read.
pub fn findings() -> Result<(Vec<Finding>, usize), String> {
    let tree = Tree::load()?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.sort();
    findings.dedup();
    Ok((findings, tree.files.len()))
}

/// Returns the places of findings, for a test of a rule.
#[cfg(test)]
pub fn places(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect()
}
