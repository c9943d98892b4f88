//! Merges in the object database alone.
//!
//! Must not know a checkout: attributes are read from the base's tree, not from files somebody has open.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Conflict, Refusal};
use crate::git::text::{clean_line, path_of};
use crate::git::{Git, GitError, Oid, read};

/// A merge that was computed.
pub(crate) struct Merged {
    /// The merged tree; with conflicts it holds their markers.
    pub(crate) tree: Oid,
    pub(crate) conflicts: Vec<Conflict>,
}

/// Merges two commits; `merge_base` replaces the one git would find (git 2.40 or newer).
pub(crate) fn merge(git: &Git, base: &Oid, head: &Oid, merge_base: Option<&Oid>) -> Result<Merged, GitError> {
    let mut call = git
        .writes("merge two commits")
        // Read since git 2.41; an older git takes the attributes of the checkout it runs in.
        .env("GIT_ATTR_SOURCE", base.as_str())
        .args(["merge-tree", "--write-tree", "-z", "--messages"])
        .allow(1);
    if let Some(merge_base) = merge_base {
        call = call.arg(format!("--merge-base={merge_base}"));
    }
    let answer = call.args([base.as_str(), head.as_str()]).run()?;
    parse(&answer.stdout, answer.code == 0).ok_or_else(|| answer.unreadable())
}

/// Reads the output described in git-merge-tree(1), "OUTPUT", with `-z`; `None` when it is no such output.
pub(crate) fn parse(stdout: &[u8], is_clean: bool) -> Option<Merged> {
    let mut fields = stdout.split(|byte| *byte == 0);
    let tree = fields.next().and_then(|field| Oid::parse(&String::from_utf8_lossy(field)))?;
    if is_clean {
        return Some(Merged { tree, conflicts: Vec::new() });
    }
    let mut conflicts: BTreeMap<PathBuf, String> = BTreeMap::new();
    // "<mode> <object> <stage>\t<path>" until an empty field.
    for field in fields.by_ref() {
        let Some(tab) = field.iter().position(|byte| *byte == b'\t') else { break };
        conflicts.insert(path_of(&field[tab + 1..]), "contents".to_owned());
    }
    // "<number of paths> <path>… <type> <message>" until the end.
    while let Some(count) =
        fields.next().and_then(|field| std::str::from_utf8(field).ok()?.parse::<usize>().ok())
    {
        let paths: Vec<PathBuf> = fields.by_ref().take(count).map(path_of).collect();
        let (Some(kind), Some(message)) = (fields.next(), fields.next()) else { break };
        let kind = String::from_utf8_lossy(kind).into_owned();
        let Some(kind) = kind.strip_prefix("CONFLICT (").and_then(|kind| kind.strip_suffix(')')) else {
            continue;
        };
        // Both sides adding a file is a conflict of contents to git, and told apart in its sentence only.
        let added = kind == "contents" && message.starts_with(b"CONFLICT (add/add)");
        let kind = if added { "add/add".to_owned() } else { clean_line(kind.as_bytes(), 60) };
        for path in paths {
            // Of several sentences about one path, the most telling is the one that is not about contents.
            let known = conflicts.entry(path).or_insert_with(|| kind.clone());
            if known == "contents" {
                known.clone_from(&kind);
            }
        }
    }
    if conflicts.is_empty() {
        return None;
    }
    let conflicts = conflicts.into_iter().map(|(path, kind)| Conflict { path, kind }).collect();
    Some(Merged { tree, conflicts })
}

/// How head stands to base.
pub(super) enum Standing {
    /// There is nothing to land.
    Empty,
    /// Base has it all.
    Landed,
    /// There is something to land, and this is what comes of merging it.
    Ahead(Merged),
}

/// Compares head with base by history first, then by contents: a squash leaves no trace in history.
pub(super) fn standing(git: &Git, base: &Oid, head: &Oid, merge_base: &Oid) -> Result<Standing, GitError> {
    if merge_base == head {
        return Ok(if on_first_parents(git, base, head)? { Standing::Empty } else { Standing::Landed });
    }
    if read::tree(git, head)? == read::tree(git, merge_base)? {
        return Ok(Standing::Empty);
    }
    let merged = merge(git, base, head, None)?;
    if merged.conflicts.is_empty() && merged.tree == read::tree(git, base)? {
        return Ok(Standing::Landed);
    }
    Ok(Standing::Ahead(merged))
}

/// Whether `head` was a tip of the base branch itself: then nothing was ever added to it.
fn on_first_parents(git: &Git, base: &Oid, head: &Oid) -> Result<bool, GitError> {
    let not_head = format!("^{head}");
    let args = ["rev-list", "--first-parent", "--parents", base.as_str(), &not_head];
    let answer = git.reads("walk the base branch").args(args).run()?;
    let text = answer.text();
    let Some(oldest) = text.lines().last() else { return Ok(true) };
    Ok(oldest.split(' ').nth(1) == Some(head.as_str()))
}

/// Returns the merge base, or the refusal that says there is none.
pub(crate) fn merge_base(git: &Git, base: &Oid, head: &Oid, base_branch: &str) -> Result<Oid, Refusal> {
    read::merge_base(git, base, head)?
        .ok_or_else(|| Refusal::Unrelated { base_branch: base_branch.to_owned(), head: head.clone() })
}
