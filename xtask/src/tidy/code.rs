//! Rules about Rust: how files open, how long they are, and what may stand where.

use super::source::{Line, Source};
use super::{Finding, Tree};

/// Longest file, in lines: what one head holds at a sitting.
const FILE_LINES_MAX: usize = 600;
/// Marks a pause between two looks at something, in a test that has nothing to wait on.
const POLL_MARK: &str = "// poll:";

/// Folders whose business is to start processes.
const MAY_START: &[&str] = &["crates/world/", "crates/term/", "crates/sim/", "xtask/"];
/// Single places which may, too, and why.
const MAY_START_ALSO: &[(&str, &str)] = &[
    ("crates/cli/src/connect.rs", "starts the daemon in the background, which no daemon can do"),
    ("crates/cli/src/demo/", "plays the person, who runs oarlock itself"),
];

/// Names that say nothing of what is inside.
const HIDING: &[&str] = &["util", "utils", "helper", "helpers", "misc", "common", "manager", "managers"];
/// Paths that may have such a name, and why.
const MAY_HIDE: &[(&str, &str)] = &[("tests/common/", "cargo's own name for what test files share")];

fn finding(source: &Source, line: usize, says: impl Into<String>, remedy: &str) -> Finding {
    Finding { path: source.path.clone(), line, says: says.into(), remedy: remedy.into() }
}

/// Returns a finding for every line a test holds for.
fn each(tree: &Tree, says: &str, remedy: &str, test: impl Fn(&Source, &Line) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        let bad = source.numbered().filter(|(_, line)| test(source, line));
        findings.extend(bad.map(|(number, _)| finding(source, number, says, remedy)));
    }
    findings
}

/// A file opens with `//!`.
pub fn opens_with_its_purpose(tree: &Tree) -> Vec<Finding> {
    let opens = |source: &&Source| !source.lines.first().is_some_and(|line| line.raw.starts_with("//!"));
    let remedy = "open it with //!: what it is for, and what it must not know";
    tree.sources
        .iter()
        .filter(opens)
        .map(|source| finding(source, 1, "the file does not say what it is for", remedy))
        .collect()
}

/// A file is not longer than [`FILE_LINES_MAX`].
pub fn is_short(tree: &Tree) -> Vec<Finding> {
    let long = tree.sources.iter().filter(|source| source.lines.len() > FILE_LINES_MAX);
    long.map(|source| {
        let says = format!("{} lines, and {FILE_LINES_MAX} is the most", source.lines.len());
        finding(source, 0, says, "look for the seam and make two files of it")
    })
    .collect()
}

/// `.unwrap()` stands in tests only.
pub fn unwraps_only_in_tests(tree: &Tree) -> Vec<Finding> {
    let remedy = "return the error, or say with expect(\"…\") which invariant holds";
    each(tree, ".unwrap() outside tests", remedy, |_, line| !line.test && line.code.contains(".unwrap()"))
}

/// Nothing is left for later in a way that panics, and nothing is left over from debugging.
pub fn leaves_nothing_undone(tree: &Tree) -> Vec<Finding> {
    let macros = ["todo!", "unimplemented!", "dbg!"];
    let mut findings = Vec::new();
    for word in macros {
        let says = format!("{word} is left in");
        findings.extend(each(tree, &says, "finish it, or take it out", |_, line| has_word(&line.code, word)));
    }
    findings
}

/// An ignored test says why.
pub fn ignores_with_a_reason(tree: &Tree) -> Vec<Finding> {
    let remedy = "write #[ignore = \"why, and when it runs\"]";
    each(tree, "a test is ignored without a reason", remedy, |_, line| line.code.contains("#[ignore]"))
}

/// Tests wait for a state and not for a time.
pub fn does_not_sleep_in_tests(tree: &Tree) -> Vec<Finding> {
    let remedy = "wait for the state you need; a pause between two looks is marked with \"// poll:\" and why";
    let mut findings = Vec::new();
    for source in &tree.sources {
        for (number, line) in source.numbered() {
            let sleeps = has_word(&line.code, "thread::sleep(") || has_word(&line.code, "time::sleep(");
            let above =
                number.checked_sub(2).map(|index| source.lines[index].raw.as_str()).unwrap_or_default();
            let marked = line.raw.contains(POLL_MARK) || above.contains(POLL_MARK);
            if line.test && sleeps && !marked {
                findings.push(finding(source, number, "a test sleeps", remedy));
            }
        }
    }
    findings
}

/// Processes are started where that is somebody's business.
pub fn starts_processes_only_where_allowed(tree: &Tree) -> Vec<Finding> {
    let remedy = "let crates/world or crates/term start it, or argue for a place in xtask/src/tidy/code.rs";
    each(tree, "a process is started here", remedy, |source, line| {
        let may = MAY_START.iter().any(|folder| source.path.starts_with(folder))
            || MAY_START_ALSO.iter().any(|(path, _)| source.path.starts_with(path));
        !may && !line.test && starts_process(&line.code)
    })
}

fn starts_process(code: &str) -> bool {
    let imported = |code: &str| {
        let list = code.split_once("process::{").map(|(_, list)| list.split('}').next().unwrap_or_default());
        list.is_some_and(|list| list.split(',').any(|name| name.trim() == "Command"))
    };
    let calls = ["process::Command", "libc::fork", "libc::execv", "libc::posix_spawn", "CommandExt"];
    imported(code) || calls.iter().any(|call| has_word(code, call))
}

/// Status is derived and never stored.
pub fn stores_no_status(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_migration = |path: &str| path.ends_with(".sql") || path.contains("/migration");
    for file in tree.files.iter().filter(|file| is_migration(&file.path)) {
        let is_comment =
            |line: &str| line.trim_start().starts_with("//") || line.trim_start().starts_with("--");
        for (index, line) in file.text.lines().enumerate() {
            if !is_comment(line) && has_word(&line.to_ascii_lowercase(), "status") {
                findings.push(Finding {
                    path: file.path.clone(),
                    line: index + 1,
                    says: "a status is stored".into(),
                    remedy: "derive it from the facts each time it is asked for".into(),
                });
            }
        }
    }
    findings
}

/// Files and types have names that say what is inside.
pub fn names_say_something(tree: &Tree) -> Vec<Finding> {
    let remedy = "name it after what it holds; the glossary has the words";
    let mut findings = Vec::new();
    for source in &tree.sources {
        let may = MAY_HIDE.iter().any(|(part, _)| source.path.contains(part));
        let hides = |part: &str| {
            let stem = part.trim_end_matches(".rs");
            stem.split(['_', '-']).any(|word| HIDING.contains(&word))
        };
        if !may && source.path.split('/').any(hides) {
            findings.push(finding(source, 0, "the file's name says nothing", remedy));
        }
        for (number, line) in source.numbered() {
            if let Some(name) = type_name(&line.code).filter(|name| hides_inside(name)) {
                findings.push(finding(source, number, format!("the name {name} says nothing"), remedy));
            }
        }
    }
    findings
}

/// Returns the name of the type a line declares.
fn type_name(code: &str) -> Option<&str> {
    let code = code.trim_start();
    let code = code.strip_prefix("pub").map_or(code, |rest| match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(')').map_or(rest, |(_, rest)| rest),
        None => rest,
    });
    let rest = ["struct ", "enum ", "trait ", "type "]
        .iter()
        .find_map(|word| code.trim_start().strip_prefix(word))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

fn hides_inside(name: &str) -> bool {
    ["Util", "Utils", "Helper", "Helpers", "Misc", "Manager"].iter().any(|word| name.ends_with(word))
}

/// Tells whether a word stands in a text with no letter, digit or underscore around it.
pub fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let open_ended = !is_part(word.chars().last());
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().last();
        let after = text[at + word.len()..].chars().next();
        !is_part(before) && (open_ended || !is_part(after))
    })
}

#[cfg(test)]
mod tests {
    use super::super::places;
    use super::*;

    fn found(rule: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> Vec<String> {
        places(&rule(&Tree::of(&[(path, text)])))
    }

    #[test]
    fn a_file_without_a_purpose_is_found() {
        assert_eq!(found(opens_with_its_purpose, "a.rs", "use b;\n"), ["a.rs:1"]);
        assert_eq!(found(opens_with_its_purpose, "a.rs", ""), ["a.rs:1"]);
        assert_eq!(found(opens_with_its_purpose, "a.rs", "//! Why.\n"), [""; 0]);
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(found(is_short, "a.rs", &"x\n".repeat(601)), ["a.rs:0"]);
        assert_eq!(found(is_short, "a.rs", &"x\n".repeat(600)), [""; 0]);
    }

    #[test]
    fn unwrap_is_found_outside_tests_only() {
        let text = "//! Doc with .unwrap().\nfn a() { b().unwrap(); }\n#[cfg(test)]\nmod tests {\n    fn c() { d().unwrap(); }\n}\n";
        assert_eq!(found(unwraps_only_in_tests, "src/a.rs", text), ["src/a.rs:2"]);
        assert_eq!(found(unwraps_only_in_tests, "tests/a.rs", text), [""; 0]);
        assert_eq!(
            found(unwraps_only_in_tests, "src/a.rs", "let a = \".unwrap()\"; // .unwrap()\n"),
            [""; 0]
        );
    }

    #[test]
    fn what_is_left_undone_is_found() {
        let text =
            "fn a() { todo!() }\nfn b() { unimplemented!() }\nfn c() { dbg!(1); }\nfn d() { my_todo!(); }\n";
        assert_eq!(found(leaves_nothing_undone, "a.rs", text), ["a.rs:1", "a.rs:2", "a.rs:3"]);
    }

    #[test]
    fn an_ignored_test_needs_a_reason() {
        let text = "#[ignore]\nfn a() {}\n#[ignore = \"needs a network\"]\nfn b() {}\n";
        assert_eq!(found(ignores_with_a_reason, "tests/a.rs", text), ["tests/a.rs:1"]);
    }

    #[test]
    fn a_sleep_in_a_test_is_found_unless_it_is_a_pause_between_two_looks() {
        let text = "std::thread::sleep(x);\n// poll: nobody tells us\nthread::sleep(y);\nthread::sleep(z); // poll: same\n";
        assert_eq!(found(does_not_sleep_in_tests, "tests/a.rs", text), ["tests/a.rs:1"]);
        assert_eq!(found(does_not_sleep_in_tests, "src/a.rs", text), [""; 0]);
    }

    #[test]
    fn a_process_started_elsewhere_is_found() {
        let text = "use std::process::{Command, Stdio};\nuse std::process::ExitCode;\nuse std::process::{self, ExitCode};\nlet c = std::process::Command::new(\"a\");\n";
        assert_eq!(
            found(starts_processes_only_where_allowed, "crates/core/src/a.rs", text),
            ["crates/core/src/a.rs:1", "crates/core/src/a.rs:4"]
        );
        assert_eq!(found(starts_processes_only_where_allowed, "crates/world/src/a.rs", text), [""; 0]);
        assert_eq!(found(starts_processes_only_where_allowed, "crates/cli/src/connect.rs", text), [""; 0]);
        assert_eq!(
            found(
                starts_processes_only_where_allowed,
                "crates/core/src/a.rs",
                "fn a() -> clap::Command {}\n"
            ),
            [""; 0]
        );
    }

    #[test]
    fn a_stored_status_is_found() {
        let text = "// status is derived\nCREATE TABLE a (id TEXT, status TEXT);\n";
        assert_eq!(
            found(stores_no_status, "crates/store/src/migrations.rs", text),
            ["crates/store/src/migrations.rs:2"]
        );
        assert_eq!(found(stores_no_status, "crates/core/src/status.rs", text), [""; 0]);
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        assert_eq!(found(names_say_something, "src/git_utils.rs", "//! A.\n"), ["src/git_utils.rs:0"]);
        assert_eq!(found(names_say_something, "src/common/mod.rs", "//! A.\n"), ["src/common/mod.rs:0"]);
        assert_eq!(found(names_say_something, "crates/a/tests/common/mod.rs", "//! A.\n"), [""; 0]);
        let text = "pub(crate) struct RunManager;\nstruct Runs;\npub enum GitHelper {}\n// struct AManager\n";
        assert_eq!(found(names_say_something, "src/a.rs", text), ["src/a.rs:1", "src/a.rs:3"]);
    }
}
