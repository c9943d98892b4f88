//! Claims about keeping work in the trash and bringing it back, on real repositories.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Repo, commit, git, oid, read, status, try_git, write};
use oarlock_world::trash::{Keep, Restore, find, keep, list, purge, restore};
use oarlock_world::workspace::{Adopt, Kind, prepare, remove};

fn keep_want(path: &Path, id: &str) -> Keep {
    Keep {
        workspace: path.to_path_buf(),
        id: id.into(),
        session: "one".into(),
        reason: "a test\nwith two lines".into(),
        branch: None,
        base: None,
        base_branch: None,
    }
}

fn restore_want(repo: &Repo, trash_id: &str) -> Restore {
    Restore {
        repository: repo.root.clone(),
        trash_id: trash_id.into(),
        path: repo.beside("ws-one"),
        branch: None,
        adopted: Adopt::Nothing,
        id: "one".into(),
    }
}

/// Every file below `dir` but git's own: kind, executable bit and bytes.
fn contents(dir: &Path) -> BTreeMap<String, (char, Vec<u8>)> {
    fn walk(dir: &Path, top: &Path, all: &mut BTreeMap<String, (char, Vec<u8>)>) {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(top).unwrap().to_string_lossy().into_owned();
            if name == ".git" {
                continue;
            }
            if meta.is_symlink() {
                let target = std::fs::read_link(&path).unwrap();
                all.insert(name, ('l', target.as_os_str().as_encoded_bytes().to_vec()));
            } else if meta.is_dir() {
                walk(&path, top, all);
            } else {
                let kind = if meta.permissions().mode() & 0o100 == 0 { 'f' } else { 'x' };
                all.insert(name, (kind, std::fs::read(&path).unwrap()));
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(dir, dir, &mut all);
    all
}

/// Work of every kind: committed, staged, both, deleted, executable, links, odd names, line ends.
fn all_sorts_of_work(path: &Path) {
    write(path, "committed.txt", "c\n");
    commit(path, "work");
    write(path, "a.txt", "staged\n");
    git(path, &["add", "a.txt"]);
    write(path, "a.txt", "staged, then changed\n");
    write(path, "b.txt", "only changed\n");
    git(path, &["rm", "-q", "--cached", "dir/c.txt"]);
    write(path, "staged-new", "s\n");
    git(path, &["add", "staged-new"]);
    std::fs::remove_file(path.join("staged-new")).unwrap();
    write(path, "run.sh", "#!/bin/sh\n");
    std::fs::set_permissions(path.join("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("/nowhere/at all", path.join("link")).unwrap();
    write(path, "odd \"na\\me\nnew\ttab\r", "odd\n");
    write(path, " leading", "l\n");
    write(path, "-dash", "d\n");
    write(path, "crlf.txt", "one\r\ntwo\nthree\r\n");
    write(path, "deep/er/file", "deep\n");
    write(path, "to-add", "intent\n");
    git(path, &["add", "--intent-to-add", "to-add"]);
    std::fs::remove_file(path.join("committed.txt")).unwrap();
    write(path, "committed.txt/now-a-directory", "d\n");
}

#[test]
fn a_restored_workspace_is_the_one_that_was_removed() {
    for (kind, autocrlf) in [(Kind::Worktree, "false"), (Kind::Worktree, "input"), (Kind::Clone, "true")] {
        let repo = Repo::new();
        repo.git(&["config", "core.autocrlf", autocrlf]);
        let mut want = repo.want("one");
        want.kind = kind;
        let ready = prepare(&want).unwrap();
        all_sorts_of_work(&ready.path);
        let (status_before, files_before) = (status(&ready.path), contents(&ready.path));
        let head = oid(&ready.path, "HEAD");
        let index = git(&ready.path, &["ls-files", "--stage"]);
        let removed = remove(&repo.remove_want("one")).unwrap();
        assert!(!ready.path.exists());
        assert_eq!(git(&repo.root, &["branch", "--list", "work/*"]), "", "the branch went too");
        let again = restore(&restore_want(&repo, "one/1")).unwrap();
        assert_eq!(contents(&again.path), files_before, "{kind:?} {autocrlf}");
        assert_eq!(status(&again.path), status_before, "{kind:?} {autocrlf}");
        assert_eq!(git(&again.path, &["ls-files", "--stage"]), index);
        assert_eq!((&again.head, &again.base, again.base_branch.as_str()), (&head, &ready.base, "main"));
        assert_eq!(removed.kept.unwrap().reason, "the test is over");
        // A repeat adopts it; prepare takes it over; it can be removed again.
        assert!(restore(&restore_want(&repo, "one/1")).unwrap().adopted);
        assert!(prepare(&want).unwrap().adopted);
        assert_eq!(status(&again.path), status_before, "a repeat changes nothing");
        let mut second = repo.remove_want("one");
        second.trash_id = "one/2".into();
        remove(&second).unwrap();
        assert_eq!(list(&repo.root).unwrap().len(), 2);
    }
}

#[test]
fn keeping_touches_neither_index_nor_stash_nor_files() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    all_sorts_of_work(&ready.path);
    let index = repo.root.join(".git/worktrees/ws-one/index");
    let before =
        (std::fs::read(&index).unwrap(), contents(&ready.path), git(&ready.path, &["stash", "list"]));
    let entry = keep(&keep_want(&ready.path, "k")).unwrap();
    let after = (std::fs::read(&index).unwrap(), contents(&ready.path), git(&ready.path, &["stash", "list"]));
    assert!(before == after);
    assert_eq!((entry.session.as_str(), entry.reason.as_str()), ("one", "a test\nwith two lines"));
    assert_eq!(entry.branch.as_deref(), Some("work/one"));
    assert_eq!(entry.path, ready.path);
    assert!(entry.changed > 5 && entry.at > 1_700_000_000);
    assert_eq!(
        git(&repo.root, &["log", "-1", "--format=%an <%ae>", entry.commit.as_str()]),
        "oarlock <oarlock@localhost>"
    );
}

#[test]
fn keeping_the_same_work_again_is_the_same_entry_and_other_work_is_refused() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    write(&ready.path, "u", "1\n");
    let first = keep(&keep_want(&ready.path, "k")).unwrap();
    assert_eq!(keep(&keep_want(&ready.path, "k")).unwrap(), first);
    write(&ready.path, "u", "2\n");
    assert_eq!(keep(&keep_want(&ready.path, "k")).unwrap_err().code(), "trash_already_kept");
    assert_eq!(find(&repo.root, "k").unwrap(), first, "what is kept stays");
    for id in ["", "a..b", "../x", "a b", "x.lock"] {
        assert_eq!(keep(&keep_want(&ready.path, id)).unwrap_err().code(), "trash_id_invalid", "{id:?}");
    }
}

#[test]
fn a_merge_in_conflict_comes_back_as_it_was() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    write(&ready.path, "a.txt", "mine\n");
    git(&ready.path, &["rm", "-q", "b.txt"]);
    commit(&ready.path, "mine");
    repo.write("a.txt", "theirs\n");
    repo.write("b.txt", "changed\n");
    repo.commit("theirs");
    assert!(!try_git(&ready.path, &["merge", "main"]).0);
    write(&ready.path, "u.txt", "untracked\n");
    let before = (status(&ready.path), contents(&ready.path), git(&ready.path, &["ls-files", "--stage"]));
    remove(&repo.remove_want("one")).unwrap();
    let again = restore(&restore_want(&repo, "one/1")).unwrap();
    let after = (status(&again.path), contents(&again.path), git(&again.path, &["ls-files", "--stage"]));
    assert_eq!(after, before);
    write(&again.path, "a.txt", "both\n");
    git(&again.path, &["add", "a.txt", "b.txt"]);
    git(&again.path, &["commit", "-q", "--no-edit"]);
    assert_eq!(
        git(&again.path, &["log", "-1", "--format=%P"]).split(' ').count(),
        2,
        "the merge can be finished"
    );
}

#[test]
fn a_detached_head_and_the_branch_it_left_both_come_back() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    write(&ready.path, "on-branch", "x\n");
    let tip = commit(&ready.path, "on the branch");
    git(&ready.path, &["checkout", "-q", "--detach", "HEAD~1"]);
    write(&ready.path, "off-branch", "y\n");
    let head = commit(&ready.path, "off the branch");
    remove(&repo.remove_want("one")).unwrap();
    git(&repo.root, &["reflog", "expire", "--expire=now", "--all"]);
    git(&repo.root, &["gc", "-q", "--prune=now"]);
    let again = restore(&restore_want(&repo, "one/1")).unwrap();
    assert_eq!(again.head, head);
    assert_eq!(oid(&repo.root, "work/one"), tip);
    assert!(!try_git(&again.path, &["symbolic-ref", "-q", "HEAD"]).0, "HEAD is detached again");
}

#[test]
fn branches_and_stash_of_a_clone_come_back_too() {
    let repo = Repo::new();
    let mut want = repo.want("one");
    want.kind = Kind::Clone;
    let ready = prepare(&want).unwrap();
    git(&ready.path, &["switch", "-q", "-c", "side"]);
    write(&ready.path, "side.txt", "s\n");
    let side = commit(&ready.path, "aside");
    git(&ready.path, &["switch", "-q", "work/one"]);
    for text in ["older\n", "newer\n"] {
        write(&ready.path, "a.txt", text);
        git(&ready.path, &["stash", "-q"]);
    }
    remove(&repo.remove_want("one")).unwrap();
    git(&repo.root, &["gc", "-q", "--prune=now"]);
    let again = restore(&restore_want(&repo, "one/1")).unwrap();
    assert_eq!(oid(&again.path, "side"), side);
    assert_eq!(git(&again.path, &["show", "stash@{0}:a.txt"]), "newer");
    assert_eq!(git(&again.path, &["show", "stash@{1}:a.txt"]), "older");
    assert_eq!(git(&again.path, &["status", "--porcelain"]), "");
}

#[test]
fn what_a_rebase_under_way_set_aside_is_kept() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    write(&ready.path, "a.txt", "mine\n");
    let tip = commit(&ready.path, "mine");
    repo.write("a.txt", "theirs\n");
    repo.commit("theirs");
    write(&ready.path, "b.txt", "not committed\n");
    assert!(!try_git(&ready.path, &["rebase", "--autostash", "main"]).0);
    let stash = read(&repo.root, ".git/worktrees/ws-one/rebase-merge/autostash");
    let kept = remove(&repo.remove_want("one")).unwrap().kept.unwrap();
    for commit in [tip.as_str(), stash.trim()] {
        git(&repo.root, &["merge-base", "--is-ancestor", commit, kept.commit.as_str()]);
    }
}

#[test]
fn what_cannot_be_kept_is_refused_by_name() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    git(&ready.path, &["init", "-q", "inner repo"]);
    write(&ready.path, "inner repo/f", "x\n");
    commit_inner(&ready.path.join("inner repo"));
    let error = keep(&keep_want(&ready.path, "k")).unwrap_err();
    assert_eq!(error.code(), "embedded_repository");
    assert!(error.to_string().contains("inner repo"));
    assert!(list(&repo.root).unwrap().is_empty(), "nothing half kept");
}

fn commit_inner(dir: &Path) {
    git(dir, &["add", "-A"]);
    git(dir, &["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-q", "-m", "inner"]);
}

#[test]
fn a_file_that_cannot_be_read_is_refused_by_name() {
    if rustix::process::geteuid().is_root() {
        // Root reads everything.
        return;
    }
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    write(&ready.path, "secret", "x\n");
    std::fs::set_permissions(ready.path.join("secret"), std::fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(keep(&keep_want(&ready.path, "k")).unwrap_err().code(), "unreadable_file");
}

#[test]
fn a_filter_is_not_run_on_what_is_kept() {
    let repo = Repo::new();
    repo.write(".gitattributes", "*.big filter=big\n");
    repo.write("x.big", "plain\n");
    repo.commit("attributes");
    repo.git(&["config", "filter.big.clean", "sed s/plain/CLEANED/"]);
    repo.git(&["config", "filter.big.smudge", "sed s/CLEANED/plain/"]);
    let ready = prepare(&repo.want("one")).unwrap();
    write(&ready.path, "x.big", "plain CLEANED both\n");
    write(&ready.path, "y.big", "CLEANED\n");
    let before = contents(&ready.path);
    let removed = remove(&repo.remove_want("one")).unwrap();
    let kept = removed.kept.unwrap().commit;
    assert_eq!(git(&repo.root, &["cat-file", "blob", &format!("{kept}:y.big")]), "CLEANED");
    let again = restore(&restore_want(&repo, "one/1")).unwrap();
    assert_eq!(contents(&again.path), before);
}

#[test]
fn a_branch_taken_meanwhile_is_refused_and_another_name_works() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    write(&ready.path, "w.txt", "w\n");
    let head = commit(&ready.path, "work");
    remove(&repo.remove_want("one")).unwrap();
    repo.git(&["branch", "work/one", "main"]);
    assert_eq!(restore(&restore_want(&repo, "one/1")).unwrap_err().code(), "branch_taken");
    assert!(!repo.beside("ws-one").exists());
    let mut want = restore_want(&repo, "one/1");
    want.branch = Some("work/again".into());
    let again = restore(&want).unwrap();
    assert_eq!((again.branch.as_str(), &again.head), ("work/again", &head));
    assert_eq!(oid(&repo.root, "work/again"), head);
    assert_eq!(read(&again.path, "w.txt"), "w\n");
}

#[test]
fn a_purged_entry_is_gone_and_purging_twice_is_fine() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    keep(&keep_want(&ready.path, "k")).unwrap();
    purge(&repo.root, "k").unwrap();
    purge(&repo.root, "k").unwrap();
    assert_eq!(find(&repo.root, "k").unwrap_err().code(), "trash_not_found");
    assert_eq!(restore(&restore_want(&repo, "k")).unwrap_err().code(), "trash_not_found");
}
