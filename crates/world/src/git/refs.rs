//! Refs as files, read without starting git (gitrepository-layout(5)): enough to know that a branch is surely free.
//!
//! A doubt is not resolved here: git is asked then. Must not write anything.

use std::path::Path;

/// Whether refs are plain files and a new worktree needs nothing beyond its three files: no reftable, no settings per
/// worktree, no sparse checkout to take over.
pub(crate) fn are_plain(common_dir: &Path) -> bool {
    let has = |name: &str| std::fs::symlink_metadata(common_dir.join(name)).is_ok();
    has("refs") && !has("reftable") && !has("config.worktree") && !has("info/sparse-checkout")
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
    match std::fs::read(common_dir.join("packed-refs")) {
        Ok(packed) => !packed.split(|byte| *byte == b'\n').any(|line| clashes(line, full.as_bytes())),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Whether a line of `packed-refs` (`<oid> <name>`; others begin with `#` or `^`) names a ref that is this one, is above
/// it, or below it.
fn clashes(line: &[u8], full: &[u8]) -> bool {
    let Some(space) = line.iter().position(|byte| *byte == b' ') else { return false };
    let name = &line[space + 1..];
    let below = |one: &[u8], other: &[u8]| one.strip_prefix(other).is_some_and(|rest| rest.starts_with(b"/"));
    line[0] != b'#' && (name == full || below(name, full) || below(full, name))
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
            assert!(!free("a/b"), "it is there (packed: {packed})");
            assert!(!free("a"), "a branch cannot be where others are below (packed: {packed})");
            assert!(!free("a/b/c"), "nor below a branch (packed: {packed})");
            assert!(free("a/c") && free("ab") && free("a/bc"), "these clash with nothing (packed: {packed})");
        }
        std::fs::create_dir(dir.path().join("reftable")).unwrap();
        assert!(!free("ab"), "what is not kept in files only git can tell");
    }
}
