//! Every verb that people see has a page under `docs/cli`, and every page a verb.

use std::collections::BTreeSet;

use super::source::Source;
use super::{Finding, Tree};

/// Where the verbs are listed.
const LIST: &str = "crates/cli/src/commands.rs";
/// Where their files are.
const FILES: &str = "crates/cli/src/commands/";
/// Where their pages are.
const PAGES: &str = "docs/cli/";
/// A page about all of them.
const INDEX: &str = "README";

/// A variant of the command line's `enum Verb`.
struct Verb {
    name: String,
    line: usize,
    hidden: bool,
}

/// Every verb has its page, its page its verb, and its file its name.
pub fn are_documented(tree: &Tree) -> Vec<Finding> {
    let Some(list) = tree.sources.iter().find(|source| source.path == LIST) else { return vec![] };
    let verbs = verbs(list);
    let mut findings = Vec::new();
    let mut add = |path: &str, line, says: String, remedy: String| {
        findings.push(Finding { path: path.into(), line, says, remedy });
    };
    for Verb { name, line, hidden } in &verbs {
        let page = format!("{PAGES}{name}.md");
        if !hidden && !tree.paths.contains(&page) {
            add(LIST, *line, format!("the verb {name} has no page"), format!("write {page}"));
        }
        let file = format!("{FILES}{}.rs", name.replace('-', "_"));
        if !tree.paths.contains(&file) {
            add(LIST, *line, format!("the verb {name} has no file of its own"), format!("move it to {file}"));
        }
    }
    // A hidden verb may have a page; agents are told of it.
    let known: BTreeSet<&str> = verbs.iter().map(|verb| verb.name.as_str()).collect();
    for path in &tree.paths {
        let Some(page) = path.strip_prefix(PAGES).and_then(|page| page.strip_suffix(".md")) else { continue };
        if page != INDEX && !page.contains('/') && !known.contains(page) {
            let remedy = "take the page away, or name it after its verb".to_owned();
            add(path, 0, format!("there is no verb {page}"), remedy);
        }
    }
    findings
}

fn verbs(list: &Source) -> Vec<Verb> {
    let mut verbs = Vec::new();
    let mut hidden = false;
    let body = list.numbered().skip_while(|(_, line)| !line.code.contains("enum Verb "));
    for (number, line) in body.skip(1).take_while(|(_, line)| line.code != "}") {
        let code = line.code.trim();
        if code.starts_with("#[") {
            hidden |= code.contains("hide = true");
            continue;
        }
        let name: String = code.chars().take_while(|c| c.is_alphanumeric()).collect();
        if !name.is_empty() {
            verbs.push(Verb { name: kebab(&name), line: number, hidden });
            hidden = false;
        }
    }
    verbs
}

/// Turns `ClaimPr` into `claim-pr`, as clap does.
fn kebab(name: &str) -> String {
    let mut out = String::new();
    for (index, c) in name.chars().enumerate() {
        if c.is_uppercase() && index > 0 {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMANDS: &str = "//! Verbs.\nenum Verb {\n    /// Lists.\n    Ls(ls::Ls),\n    #[command(hide = true)]\n    Claim(claim::Claim),\n    ClaimPr(claim_pr::ClaimPr),\n}\n";

    fn says(extra: &[&str]) -> Vec<String> {
        let mut files = vec![
            (LIST, COMMANDS),
            ("crates/cli/src/commands/ls.rs", "//! Ls.\n"),
            ("crates/cli/src/commands/claim.rs", "//! Claim.\n"),
            ("crates/cli/src/commands/claim_pr.rs", "//! Claim.\n"),
            ("docs/cli/README.md", "All.\n"),
        ];
        files.extend(extra.iter().map(|path| (*path, "A page.\n")));
        are_documented(&Tree::of(&files)).into_iter().map(|finding| finding.says).collect()
    }

    #[test]
    fn a_visible_verb_without_a_page_is_found() {
        assert_eq!(says(&["docs/cli/ls.md"]), ["the verb claim-pr has no page"]);
        assert_eq!(says(&["docs/cli/ls.md", "docs/cli/claim-pr.md"]), [""; 0]);
    }

    #[test]
    fn a_page_without_a_verb_is_found() {
        let pages = ["docs/cli/ls.md", "docs/cli/claim-pr.md", "docs/cli/claim.md", "docs/cli/dance.md"];
        assert_eq!(says(&pages), ["there is no verb dance"], "claim is hidden, and is a verb");
    }
}
