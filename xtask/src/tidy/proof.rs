//! The pages about faults and threats are as true as their tests: each test that they name is there, and each fault names some.

use super::source::Source;
use super::{Finding, Tree};

/// The page of faults, each row of which names a test.
const FAULTS: &str = "docs/reliability.md";
/// The page of threats, some rows of which say what holds by itself.
const THREATS: &str = "docs/security.md";
/// What stands between a test's file and its name.
const BETWEEN: &str = ".rs :: ";

/// Every test that is named on the pages exists, and every row of the page of faults names one.
pub fn names_its_tests(tree: &Tree) -> Vec<Finding> {
    [FAULTS, THREATS].into_iter().flat_map(|page| look(tree, page)).collect()
}

fn look(tree: &Tree, path: &str) -> Vec<Finding> {
    let Some(page) = tree.file(path) else { return vec![] };
    let mut findings = Vec::new();
    let mut add = |line: usize, says: String, remedy: &str| {
        findings.push(Finding { path: path.into(), line, says, remedy: remedy.into() });
    };
    let mut heads = 0;
    for (index, line) in page.text.lines().enumerate() {
        let tests: Vec<(String, &str)> = line.split('`').skip(1).step_by(2).filter_map(test).collect();
        for (path, name) in &tests {
            let source = tree.sources.iter().find(|source| source.path == *path);
            if !source.is_some_and(|source| has_test(source, name)) {
                let says = format!("{path} has no test {name}");
                add(index + 1, says, "name the test that proves the row, or write it");
            }
        }
        // A table begins with its heads and a line of dashes.
        heads = if line.starts_with('|') { heads + 1 } else { 0 };
        if heads > 2 && tests.is_empty() && path == FAULTS {
            add(index + 1, "the row names no test".into(), "name its test as `path/to/file.rs :: name`");
        }
    }
    findings
}

/// Reads `path/to/file.rs :: name`.
fn test(span: &str) -> Option<(String, &str)> {
    let (path, name) = span.split_once(BETWEEN)?;
    Some((format!("{path}.rs"), name))
}

/// Tells whether a file has a test of this name: a function under `#[test]`, with other attributes between at most.
fn has_test(source: &Source, name: &str) -> bool {
    let mut under = false;
    for line in &source.lines {
        let code = line.code.trim();
        if under
            && code
                .strip_prefix("fn ")
                .and_then(|rest| rest.strip_prefix(name))
                .is_some_and(|rest| rest.starts_with('('))
        {
            return true;
        }
        under = code == "#[test]" || (under && code.starts_with("#["));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const TESTS: &str = "#[test]\n#[allow(x)]\nfn it_holds() {}\n\nfn helper() {}\n";

    fn says(page: &str) -> Vec<String> {
        says_of(FAULTS, page)
    }

    fn says_of(path: &str, page: &str) -> Vec<String> {
        let tree = Tree::of(&[(path, page), ("crates/a/tests/b.rs", TESTS)]);
        names_its_tests(&tree).into_iter().map(|finding| finding.says).collect()
    }

    #[test]
    fn a_test_that_is_not_there_is_found() {
        assert_eq!(says("See `crates/a/tests/b.rs :: it_holds`.\n"), [""; 0]);
        for name in ["it_hold", "helper", "it_holds_more"] {
            let page = format!("See `crates/a/tests/b.rs :: {name}`.\n");
            assert_eq!(says(&page), [format!("crates/a/tests/b.rs has no test {name}")]);
        }
        assert_eq!(says("See `c.rs :: it_holds`.\n"), ["c.rs has no test it_holds"]);
    }

    #[test]
    fn a_row_without_a_test_is_found() {
        let row = "| a fault | `crates/a/tests/b.rs :: it_holds` |\n";
        let table = |row: &str| format!("Text.\n\n| fault | test |\n|---|---|\n{row}");
        assert_eq!(says(&table(row)), [""; 0]);
        assert_eq!(says(&table("| a fault | trust us |\n")), ["the row names no test"]);
        assert_eq!(says_of(THREATS, &table("| a threat | nobody can |\n")), [""; 0]);
        let missing = "| a threat | `crates/a/tests/b.rs :: it_does` |\n";
        assert_eq!(says_of(THREATS, &table(missing)), ["crates/a/tests/b.rs has no test it_does"]);
    }
}
