//! Refs as files, read without starting git (gitrepository-layout(5)): where a branch stands, and that one is surely free.
//!
//! A doubt is not resolved here: git is asked then. Must not write anything.

use std::path::Path;

use super::Oid;

/// Whether refs are plain files and a new worktree needs nothing beyond its three files: no reftable, no settings per
/// worktree, no sparse checkout to take over.
pub(crate) fn are_plain(common_dir: &Path) -> bool {
    let has = |name: &str| std::fs::symlink_metadata(common_dir.join(name)).is_ok();
    has("refs") && !has("reftable") && !has("config.worktree") && !has("info/sparse-checkout")
}

/// Returns where a branch stands; `None` when there is none, or only git can tell.
pub(crate) fn branch(common_dir: &Path, branch: &str) -> Option<Oid> {
    let full = format!("refs/heads/{branch}");
    if !are_plain(common_dir) {
        return None;
    }
    match std::fs::read_to_string(common_dir.join(&full)) {
        // Anything else, such as a ref that leads to another, is git's to read.
        Ok(text) => Oid::parse(text.strip_suffix('\n')?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let packed = std::fs::read(common_dir.join("packed-refs")).ok()?;
            let mut lines = packed.split(|byte| *byte == b'\n').filter_map(packed_ref);
            let (oid, _) = lines.find(|(_, name)| *name == full.as_bytes())?;
            Oid::parse(std::str::from_utf8(oid).ok()?)
        }
        Err(_) => None,
    }
}

/// Whether no branch of this name exists, nor one that it could not stand beside: git keeps refs like files and
/// directories. `false` may also mean that only git can tell.
pub(crate) fn is_surely_free(common_dir: &Path, branch: &str) -> bool {
    let full = format!("refs/heads/{branch}");
    let is_there = |name: &str| std::fs::symlink_metadata(common_dir.join(name));
    // A folder of the very name may hold branches below it.
    if !are_plain(common_dir) || is_there(&full).is_ok() {
        return false;
    }
    let above = full.match_indices('/').map(|(at, _)| &full[..at]);
    if above.into_iter().any(|name| is_there(name).is_ok_and(|meta| !meta.is_dir())) {
        return false;
    }
    let below = |one: &[u8], other: &[u8]| one.strip_prefix(other).is_some_and(|rest| rest.starts_with(b"/"));
    let full = full.as_bytes();
    match std::fs::read(common_dir.join("packed-refs")) {
        Ok(packed) => {
            let mut names = packed.split(|byte| *byte == b'\n').filter_map(packed_ref).map(|(_, name)| name);
            !names.any(|name| name == full || below(name, full) || below(full, name))
        }
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Splits a line of `packed-refs`, `<oid> <name>`; others begin with `#` or `^`.
fn packed_ref(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    (line[0] != b'#').then_some((&line[..space], &line[space + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::Git;

    #[test]
    fn only_what_git_would_take_is_surely_free() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::at(dir.path());
        let run = |args: &[&str]| drop(git.writes("prepare the test").args(args).run().unwrap());
        run(&["init", "--quiet", "--bare"]);
        let commit = git
            .writes("commit")
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@b.invalid")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@b.invalid")
            .args(["commit-tree", "-m", "x", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"])
            .run()
            .unwrap()
            .text();
        let free = |name: &str| is_surely_free(dir.path(), name);
        for packed in [false, true] {
            run(&["update-ref", "refs/heads/a/b", &commit]);
            if packed {
                run(&["pack-refs", "--all"]);
                std::fs::remove_dir_all(dir.path().join("refs/heads/a")).unwrap_or_default();
            }
            let at = branch(dir.path(), "a/b").map(|oid| oid.to_string());
            assert_eq!(at.as_deref(), Some(commit.as_str()), "it is where git put it (packed: {packed})");
            assert_eq!(branch(dir.path(), "a"), None, "what is above a branch is none");
            assert!(!free("a/b"), "it is there (packed: {packed})");
            assert!(!free("a"), "a branch cannot be where others are below (packed: {packed})");
            assert!(!free("a/b/c"), "nor below a branch (packed: {packed})");
            assert!(free("a/c") && free("ab") && free("a/bc"), "these clash with nothing (packed: {packed})");
        }
        std::fs::create_dir(dir.path().join("reftable")).unwrap();
        assert!(
            !free("ab") && branch(dir.path(), "a/b").is_none(),
            "what is not kept in files only git can tell"
        );
    }
}
