//! Claims about making a workspace again and again: what an attempt cut short left is adopted, and nobody else's is.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Repo, commit, git, read, status, write};
use oarlock_world::workspace::prepare;

#[test]
fn a_repeat_adopts_the_workspace_and_the_work_in_it() {
    let repo = Repo::new();
    let want = repo.want("one");
    let first = prepare(&want).unwrap();
    write(&first.path, "new.txt", "work\n");
    let head = commit(&first.path, "work");
    write(&first.path, "dirty.txt", "more\n");
    let second = prepare(&want).unwrap();
    assert!(second.adopted);
    assert_eq!((second.base, second.head), (first.base, head));
    assert_eq!(read(&second.path, "dirty.txt"), "more\n", "uncommitted work is not touched");
}

#[test]
fn a_repeat_finishes_what_was_cut_short_at_any_point() {
    let repo = Repo::new();
    let want = repo.want("one");
    let first = prepare(&want).unwrap();
    let file = std::fs::read_dir(repo.root.join(".git/oarlock/workspaces")).unwrap().flatten();
    let file =
        file.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    let planned = std::fs::read_to_string(&file).unwrap().replace("\"ready\"", "\"planned\"");

    // After registration, half-way through writing files.
    std::fs::write(&file, &planned).unwrap();
    std::fs::remove_file(want.path.join("a.txt")).unwrap();
    let admin = repo.root.join(".git/worktrees").join("ws-one");
    std::fs::write(admin.join("index.lock"), "").unwrap();
    assert!(prepare(&want).unwrap().adopted);
    assert_eq!(status(&want.path).lines().filter(|line| !line.starts_with('#')).count(), 0);

    // In the middle of `git worktree add`: locked by git itself, nothing but .git there.
    std::fs::write(&file, &planned).unwrap();
    std::fs::write(admin.join("locked"), "initializing").unwrap();
    for name in ["a.txt", "b.txt", ".gitignore", "dir/c.txt"] {
        std::fs::remove_file(want.path.join(name)).unwrap();
    }
    std::fs::remove_dir(want.path.join("dir")).unwrap();
    assert_eq!(prepare(&want).unwrap().head, first.head);
    assert_eq!(read(&want.path, "a.txt"), "one\ntwo\nthree\n");

    // Branch made, no worktree yet; and a stray directory at the path.
    std::fs::write(&file, &planned).unwrap();
    git(&repo.root, &["worktree", "remove", "--force", want.path.to_str().unwrap()]);
    write(&want.path, "stray.txt", "whose?\n");
    let ready = prepare(&want).unwrap();
    let aside = ready.moved_aside.unwrap();
    assert_eq!(read(&aside, "stray.txt"), "whose?\n", "a stray directory is moved, never deleted");

    // Only written down.
    std::fs::write(&file, &planned).unwrap();
    git(&repo.root, &["worktree", "remove", "--force", want.path.to_str().unwrap()]);
    git(&repo.root, &["branch", "-D", "work/one"]);
    assert_eq!(prepare(&want).unwrap().head, first.head);
    assert_eq!(git(&repo.root, &["worktree", "list"]).lines().count(), 2);
}

#[test]
fn a_worktree_is_what_git_itself_would_have_made() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    let theirs = repo.beside("theirs");
    repo.git(&["worktree", "add", "--quiet", "-b", "theirs", theirs.to_str().unwrap()]);
    let entry = |name: &str| repo.root.join(".git/worktrees").join(name);
    for file in ["commondir", "HEAD", "gitdir"] {
        let ours = std::fs::read_to_string(entry("ws-one").join(file)).unwrap();
        let wanted = std::fs::read_to_string(entry("theirs").join(file)).unwrap();
        let wanted = wanted.replace(theirs.to_str().unwrap(), ready.path.to_str().unwrap());
        assert_eq!(ours, wanted.replace("refs/heads/theirs", "refs/heads/work/one"), "{file}");
    }
    assert_eq!(read(&ready.path, ".git"), read(&theirs, ".git").replace("theirs", "ws-one"));
    assert_eq!(status(&ready.path).replace("work/one", "theirs"), status(&theirs));
    assert!(!entry("ws-one").join("locked").exists(), "nothing says that it is being made");
    assert_eq!(repo.git(&["worktree", "repair"]), "", "there is nothing to repair");
    assert_eq!(repo.git(&["worktree", "prune", "--dry-run", "--expire=now"]), "", "nor to prune");
    let began = repo.git(&["log", "--walk-reflogs", "--format=%gs", "work/one"]);
    assert!(began.starts_with("oarlock: workspace of one"), "the reflog says whose the branch is: {began}");
    commit(&ready.path, "work");
    repo.git(&["worktree", "remove", ready.path.to_str().unwrap()]);
}

#[test]
fn a_worktree_half_registered_is_finished_by_a_repeat() {
    let repo = Repo::new();
    let want = repo.want("one");
    let first = prepare(&want).unwrap();
    let records = repo.root.join(".git/oarlock/workspaces");
    let mut files = std::fs::read_dir(records).unwrap().flatten().map(|entry| entry.path());
    let file = files.find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    let planned = std::fs::read_to_string(&file).unwrap().replace("\"ready\"", "\"planned\"");
    let entry = repo.root.join(".git/worktrees/ws-one");
    let cut_short = |branch_is_there: bool, dot_git: bool| {
        std::fs::write(&file, &planned).unwrap();
        std::fs::write(entry.join("locked"), "initializing").unwrap();
        std::fs::remove_file(entry.join("index")).unwrap();
        std::fs::remove_dir_all(&want.path).unwrap();
        std::fs::create_dir(&want.path).unwrap();
        if dot_git {
            std::fs::write(want.path.join(".git"), format!("gitdir: {}\n", entry.display())).unwrap();
        }
        if !branch_is_there {
            git(&repo.root, &["update-ref", "-d", "refs/heads/work/one"]);
        }
    };
    for (branch_is_there, dot_git) in [(false, false), (false, true), (true, false), (true, true)] {
        cut_short(branch_is_there, dot_git);
        assert_eq!(prepare(&want).unwrap().head, first.head);
        assert_eq!(git(&want.path, &["status", "--porcelain=v1", "--branch"]), "## work/one");
        assert_eq!(git(&repo.root, &["worktree", "list"]).lines().count(), 2, "there is no second one");
    }
    // A draft that never came to its place is in nobody's way.
    let other = repo.want("two");
    let draft = repo.root.join(".git/oarlock/entries/ws-two/logs");
    std::fs::create_dir_all(draft).unwrap();
    prepare(&other).unwrap();
}

#[test]
fn a_workspace_whose_record_was_lost_is_known_by_its_branch() {
    let repo = Repo::new();
    let want = repo.want("one");
    let first = prepare(&want).unwrap();
    write(&first.path, "new.txt", "work\n");
    let head = commit(&first.path, "work");
    let record = || {
        let files = std::fs::read_dir(repo.root.join(".git/oarlock/workspaces")).unwrap().flatten();
        let mut files = files.map(|entry| entry.path());
        files.find(|path| path.extension().is_some_and(|e| e == "json")).unwrap()
    };
    repo.commit("the base moved on");
    for lost in ["emptied", "deleted"] {
        std::fs::remove_dir_all(&want.path).unwrap();
        match lost {
            "emptied" => std::fs::write(record(), "").unwrap(),
            _ => std::fs::remove_file(record()).unwrap(),
        }
        let again = prepare(&want).unwrap();
        assert!(again.adopted && !again.untouched, "{lost}: it was there before");
        assert_eq!((again.head, again.base), (head.clone(), first.base.clone()), "{lost}: with its commits");
        assert_eq!(read(&want.path, "new.txt"), "work\n");
    }
    let mut other = repo.want("two");
    other.branch = want.branch.clone();
    let refused = prepare(&other).expect_err("this must be refused");
    assert_eq!(refused.code(), "branch_exists", "it is nobody else's");
}

#[test]
fn git_reads_the_worktrees_while_many_are_made() {
    let repo = Repo::new();
    std::thread::scope(|scope| {
        let makers: Vec<_> = (0..4)
            .map(|number| {
                let want = repo.want(&format!("n{number}"));
                scope.spawn(move || drop(prepare(&want).unwrap()))
            })
            .collect();
        while !makers.iter().all(|maker| maker.is_finished()) {
            repo.git(&["worktree", "list", "--porcelain"]);
        }
    });
}

#[test]
fn a_deleted_directory_is_made_again_with_the_commits_of_its_branch() {
    let repo = Repo::new();
    let want = repo.want("one");
    let first = prepare(&want).unwrap();
    write(&first.path, "new.txt", "work\n");
    let head = commit(&first.path, "work");
    std::fs::remove_dir_all(&want.path).unwrap();
    let again = prepare(&want).unwrap();
    assert_eq!(again.head, head);
    assert_eq!(read(&want.path, "new.txt"), "work\n");
}

#[test]
fn eight_workspaces_are_made_at_once() {
    let repo = Repo::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let want = repo.want(&format!("n{number}"));
            scope.spawn(move || {
                let ready = prepare(&want).unwrap();
                assert_eq!(git(&ready.path, &["status", "--porcelain"]), "");
            });
        }
    });
    assert_eq!(git(&repo.root, &["worktree", "list"]).lines().count(), 9);
}
