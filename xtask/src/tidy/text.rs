//! Rules about all text, and about Markdown: white space, links, the glossary.

use std::collections::BTreeMap;

use super::{File, Finding, Tree};

/// Recordings, which stay as they were recorded, and what fuzzers made.
const RECORDED: &[&str] = &["spec/samples/", "fuzz/corpus/", ".snap", ".patch", ".diff", ".svg"];

fn finding(file: &File, line: usize, says: impl Into<String>, remedy: &str) -> Finding {
    Finding { path: file.path.clone(), line, says: says.into(), remedy: remedy.into() }
}

/// No white space at ends of lines, one line feed at the end of the file, no carriage returns.
pub fn is_clean(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_recorded = |file: &&File| RECORDED.iter().any(|part| file.path.contains(part));
    for file in tree.files.iter().filter(|file| !file.text.is_empty() && !is_recorded(file)) {
        // A page's transcript shows what a program said, and git says blanks.
        let mut fenced = false;
        for (index, line) in file.text.split('\n').enumerate() {
            fenced ^= file.path.ends_with(".md") && line.starts_with("```");
            if line.trim_end() != line && !fenced {
                findings.push(finding(file, index + 1, "white space at the end of the line", "take it out"));
            }
        }
        let lines = file.text.lines().count();
        if !file.text.ends_with('\n') {
            findings.push(finding(file, lines, "the last line does not end", "end it with a line feed"));
        } else if file.text.ends_with("\n\n") {
            findings.push(finding(file, lines, "blank lines at the end of the file", "take them out"));
        }
    }
    findings
}

/// Links between files of the repository lead somewhere.
pub fn links_resolve(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        for (number, line) in prose(&file.text) {
            for target in targets(&line) {
                if let Some(says) = fault(tree, file, &target) {
                    findings.push(finding(file, number, says, "mend the link, or write what it promises"));
                }
            }
        }
    }
    findings
}

/// Says why a link leads nowhere, or nothing.
fn fault(tree: &Tree, file: &File, target: &str) -> Option<String> {
    let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
    if is_elsewhere {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let path = if path.is_empty() { Some(file.path.clone()) } else { resolve(&file.path, path) };
    let Some(path) = path.filter(|path| path.is_empty() || tree.paths.contains(path)) else {
        return Some(format!("the link to {target} leads nowhere"));
    };
    let anchor = anchor.filter(|_| path.ends_with(".md"))?;
    let known = tree.file(&path).is_some_and(|file| anchors(&file.text).iter().any(|known| known == anchor));
    (!known).then(|| format!("{path} has no heading for #{anchor}"))
}

/// Returns the path a link leads to, seen from a file; `None` when it leaves the repository.
fn resolve(from: &str, to: &str) -> Option<String> {
    let mut parts: Vec<&str> = match to.strip_prefix('/') {
        Some(_) => vec![],
        None => from.rsplit_once('/').map(|(folder, _)| folder.split('/').collect()).unwrap_or_default(),
    };
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Returns the lines that are no code, with their numbers; code inside a line is blanked.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            fenced = !fenced;
            continue;
        }
        if !fenced {
            let plain = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
            lines.push((index + 1, plain));
        }
    }
    lines
}

/// Returns where the links of a line lead: `[words](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for (at, _) in line.match_indices("](") {
        let rest = &line[at + 2..];
        let end = rest.find([')', ' ']).unwrap_or(rest.len());
        targets.push(rest[..end].trim_matches(['<', '>']).to_owned());
    }
    let named = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    if let Some((_, target)) = named {
        targets.extend(target.split_whitespace().next().map(str::to_owned));
    }
    targets
}

/// Returns the anchors of a page's headings, as forges make them.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let Some(title) = line.strip_prefix('#').filter(|_| !fenced) else { continue };
        let title = title.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = seen.entry(slug.clone()).or_default();
        anchors.push(if *count == 0 { slug } else { format!("{slug}-{count}") });
        *count += 1;
    }
    anchors
}

/// Each word of the glossary is explained once.
pub fn glossary_has_one_meaning_a_word(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_glossary = |file: &&File| file.path.to_ascii_lowercase().rsplit('/').next() == Some("glossary.md");
    for file in tree.files.iter().filter(is_glossary) {
        let mut first: BTreeMap<String, usize> = BTreeMap::new();
        for (index, line) in file.text.lines().enumerate() {
            for word in words(line) {
                let known = *first.entry(word.to_lowercase()).or_insert(index + 1);
                if known != index + 1 {
                    let says = format!("{word} has a meaning already, in line {known}");
                    findings.push(finding(file, index + 1, says, "one word, one meaning: find another word"));
                }
            }
        }
    }
    findings
}

/// Returns the words a line explains: those of a table's first column, or in bold at its beginning.
fn words(line: &str) -> Vec<String> {
    let cell = match line.strip_prefix('|') {
        Some(row) => row.split('|').next().unwrap_or_default(),
        None => {
            let bold = line.trim_start_matches(['-', '*', ' ']);
            let is_bold = line.contains("**") && line.trim_start().trim_start_matches("- ").starts_with("**");
            if is_bold { bold.split("**").next().unwrap_or_default() } else { "" }
        }
    };
    let cell = cell.replace(['*', '`'], "");
    let words = cell.split([',', '/', '→']).map(|word| word.trim().to_owned());
    words.filter(|word| word.chars().any(char::is_alphanumeric) && word != "word").collect()
}

#[cfg(test)]
mod tests {
    use super::super::places;
    use super::*;

    fn found(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
        places(&rule(&Tree::of(files)))
    }

    #[test]
    fn white_space_that_nobody_sees_is_found() {
        let files = [("a", "x \ny\t\nz\n"), ("b", "x"), ("c", "x\n\n"), ("d", "x\r\n"), ("e", "x\n\ny\n")];
        assert_eq!(found(is_clean, &files), ["a:1", "a:2", "b:1", "c:2", "d:1"]);
        for recorded in ["spec/samples/a/out.txt", "fuzz/corpus/words/1"] {
            assert_eq!(found(is_clean, &[(recorded, "x  ")]), [""; 0]);
        }
        assert_eq!(found(is_clean, &[("a.md", "```\n|\\  \n```\nx \n")]), ["a.md:4"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let page = "# One Two!\n[a](b.md) [b](../x.md)\n`[c](no.md)`\n```\n[d](no.md)\n```\n[e](https://example.org/x)\n[f](#one-two)\n[g](#three)\n[h]: ../README.md#top\n[i](cli) [j](../../../up.md)\n";
        let files = [
            ("docs/a.md", page),
            ("docs/b.md", "# B\n"),
            ("README.md", "# Top\n"),
            ("docs/cli/ls.md", "# Ls\n"),
        ];
        assert_eq!(found(links_resolve, &files), ["docs/a.md:2", "docs/a.md:9", "docs/a.md:11"]);
    }

    #[test]
    fn a_word_with_two_meanings_is_found() {
        let table = "| word | means |\n|---|---|\n| Run / Leg | one |\n| Host | two |\n| `leg` | three |\n";
        assert_eq!(found(glossary_has_one_meaning_a_word, &[("GLOSSARY.md", table)]), ["GLOSSARY.md:5"]);
        let bold = "- **Run**: one\n- **Host**: two\n- **run**: three\n";
        assert_eq!(
            found(glossary_has_one_meaning_a_word, &[("docs/glossary.md", bold)]),
            ["docs/glossary.md:3"]
        );
    }
}
