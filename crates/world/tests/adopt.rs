//! Claims about taking over branches and worktrees that were there before, and about giving them back.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::{Repo, commit, git, oid, read, status, write};
use oarlock_world::trash::{self, Restore};
use oarlock_world::workspace::{Adopt, BranchLeft, Want, fit, give_back, prepare, remove};

/// A worktree somebody made, with a commit, and staged, changed and untracked files.
fn worktree(repo: &Repo, path: &str) -> PathBuf {
    let place = repo.root.join(path);
    repo.git(&["worktree", "add", "--quiet", "-b", "hand/made", place.to_str().unwrap()]);
    write(&place, "mine.txt", "mine\n");
    commit(&place, "mine");
    write(&place, "staged.txt", "staged\n");
    git(&place, &["add", "staged.txt"]);
    write(&place, "b.txt", "changed\n");
    write(&place, "new.txt", "new\n");
    place.canonicalize().unwrap()
}

fn want(repo: &Repo, path: PathBuf, branch: &str) -> Want {
    let mut want = Want { path, branch: branch.into(), adopt: Adopt::Worktree, ..repo.want("one") };
    want.setup.commands = vec![];
    want
}

#[test]
fn an_adopted_worktree_is_not_touched_and_is_given_back_as_it_was() {
    let repo = Repo::new();
    let place = worktree(&repo, "../made");
    let before = (status(&place), git(&place, &["diff", "HEAD"]));
    let want = want(&repo, place.clone(), "hand/made");
    let ready = prepare(&want).unwrap();
    assert_eq!((ready.path.clone(), ready.branch.as_str()), (place.clone(), "hand/made"));
    assert_eq!(ready.base, oid(&repo.root, "main"), "its work began where it left the base");
    assert_eq!(ready.base_branch, "main");
    assert!(ready.adopted && !ready.untouched);
    assert_eq!((status(&place), git(&place, &["diff", "HEAD"])), before);
    assert_eq!(prepare(&want).unwrap(), ready, "asked again, it is the same workspace");
    let away = RemoveAs { repo: &repo, path: &place }.want("one");
    assert!(give_back(&away).unwrap() && give_back(&away).unwrap(), "letting go is safe to repeat");
    assert_eq!((status(&place), git(&place, &["diff", "HEAD"])), before);
    assert!(trash::list(&repo.root).unwrap().is_empty(), "nothing had to be kept");
    fit(&repo.root, &place, None).expect("it is free again");
}

struct RemoveAs<'a> {
    repo: &'a Repo,
    path: &'a std::path::Path,
}

impl RemoveAs<'_> {
    fn want(&self, id: &str) -> oarlock_world::workspace::RemoveWant {
        let mut want = self.repo.remove_want(id);
        want.path = self.path.to_owned();
        want.delete_branch = false;
        want
    }
}

#[test]
fn an_adopted_worktree_that_is_removed_comes_back_whole_even_inside_the_repository() {
    let repo = Repo::new();
    repo.git(&["config", "core.excludesFile", "/dev/null"]);
    let place = worktree(&repo, ".worktrees/made");
    let before = (status(&place), git(&place, &["diff", "--cached"]), git(&place, &["diff"]));
    prepare(&want(&repo, place.clone(), "hand/made")).unwrap();
    let removed = remove(&RemoveAs { repo: &repo, path: &place }.want("one")).unwrap();
    assert!(!place.exists());
    assert_eq!(removed.branch, BranchLeft::Left, "the branch was there before");
    let restore = Restore {
        repository: repo.root.clone(),
        trash_id: removed.kept.unwrap().id,
        path: place.clone(),
        branch: Some("hand/made".into()),
        adopted: Adopt::Worktree,
        id: "one".into(),
    };
    trash::restore(&restore).unwrap();
    assert_eq!((status(&place), git(&place, &["diff", "--cached"]), git(&place, &["diff"])), before);
    prepare(&want(&repo, place.clone(), "hand/made")).unwrap();
    assert_eq!((status(&place), git(&place, &["diff", "--cached"]), git(&place, &["diff"])), before);
}

#[test]
fn what_is_no_free_worktree_of_the_repository_is_refused_with_the_reason() {
    let (repo, other) = (Repo::new(), Repo::new());
    let place = worktree(&repo, "../made");
    let code = |path: PathBuf, branch: Option<&str>| fit(&repo.root, &path, branch).unwrap_err().code();
    assert_eq!(code(repo.root.clone(), None), "main_checkout");
    assert_eq!(code(repo.root.join("dir"), None), "not_a_worktree", "a folder in a checkout is none");
    assert_eq!(code(other.root.clone(), None), "not_a_worktree");
    assert_eq!(code(repo.beside("nothing"), None), "not_a_worktree");
    assert_eq!(code(PathBuf::from("made"), None), "path_refused");
    assert_eq!(code(place.clone(), Some("work/other")), "on_another_branch");
    prepare(&want(&repo, place.clone(), "hand/made")).unwrap();
    assert_eq!(code(place.clone(), None), "path_taken", "one workspace is one session's");
    let second = Want { id: "two".into(), ..want(&repo, place, "hand/made") };
    assert_eq!(prepare(&second).unwrap_err().code(), "path_taken");
}

#[test]
fn a_worktree_on_no_branch_is_put_on_the_one_that_is_named_and_nothing_else_changes() {
    let repo = Repo::new();
    let place = worktree(&repo, "../made");
    git(&place, &["switch", "--quiet", "--detach"]);
    assert_eq!(fit(&repo.root, &place, None).unwrap_err().code(), "detached");
    assert_eq!(fit(&repo.root, &place, Some("main")).unwrap_err().code(), "branch_exists");
    assert_eq!(fit(&repo.root, &place, Some("a..b")).unwrap_err().code(), "branch_invalid");
    let changes = |place: &std::path::Path| git(place, &["status", "--porcelain"]);
    let before = (changes(&place), oid(&place, "HEAD"));
    let want = want(&repo, place.clone(), "work/named");
    prepare(&want).unwrap();
    assert_eq!(git(&place, &["symbolic-ref", "HEAD"]), "refs/heads/work/named");
    assert_eq!((changes(&place), oid(&place, "HEAD")), before);
    assert_eq!(read(&place, "new.txt"), "new\n");
}

#[test]
fn a_worktree_in_the_middle_of_a_rebase_is_left_in_it() {
    let repo = Repo::new();
    let place = worktree(&repo, "../made");
    git(&place, &["stash", "--quiet", "--include-untracked"]);
    write(&place, "a.txt", "theirs\n");
    commit(&place, "theirs");
    repo.write("a.txt", "ours\n");
    repo.commit("ours");
    assert!(!common::try_git(&place, &["rebase", "main"]).0, "it stops at a conflict");
    let error = fit(&repo.root, &place, Some("work/named")).unwrap_err();
    assert_eq!(error.code(), "operation_under_way", "{error}");
}

#[test]
fn an_adopted_branch_is_checked_out_where_it_stands_and_outlives_its_workspace() {
    let repo = Repo::new();
    repo.git(&["switch", "--quiet", "--create", "hand/made"]);
    repo.write("mine.txt", "mine\n");
    let tip = repo.commit("mine");
    let want = Want { branch: "hand/made".into(), adopt: Adopt::Branch, ..repo.want("one") };
    let error = prepare(&want).unwrap_err();
    assert_eq!(error.code(), "branch_elsewhere");
    assert!(error.to_string().contains(repo.root.to_str().unwrap()), "it says where: {error}");
    repo.git(&["switch", "--quiet", "main"]);
    let ready = prepare(&want).unwrap();
    assert_eq!((ready.head.clone(), ready.base), (tip.clone(), oid(&repo.root, "main")));
    assert_eq!(read(&ready.path, "mine.txt"), "mine\n");
    let mut away = repo.remove_want("one");
    away.delete_branch = false;
    remove(&away).unwrap();
    assert_eq!(oid(&repo.root, "hand/made"), tip);
}

#[test]
fn the_branch_that_work_lands_on_is_not_adopted() {
    let repo = Repo::new();
    repo.git(&["switch", "--quiet", "--create", "elsewhere"]);
    let want = Want { branch: "main".into(), adopt: Adopt::Branch, ..repo.want("one") };
    assert_eq!(prepare(&want).unwrap_err().code(), "branch_is_base");
    assert!(!want.path.exists());
    repo.git(&["worktree", "add", "--quiet", repo.beside("made").to_str().unwrap(), "main"]);
    let whole = self::want(&repo, repo.beside("made"), "main");
    assert_eq!(prepare(&whole).unwrap_err().code(), "branch_is_base");
}
