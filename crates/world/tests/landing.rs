//! Claims about landing work on its base branch, on real repositories.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::{Repo, commit, git, hook, oid, read, status, try_git, write};
use oarlock_world::git::Oid;
use oarlock_world::landing::{Follow, How, LandWant, Landed, LeftAlone, Refusal, land, preview};
use oarlock_world::workspace::{Kind, Ready, bring_home, prepare};

/// A repository with a workspace that has two commits on `work/one`.
fn at_work() -> (Repo, Ready, Oid) {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    write(&ready.path, "new.txt", "1\n");
    commit(&ready.path, "add\r\x1b[31m new\x03 file");
    write(&ready.path, "a.txt", "one\nTWO\nthree\n");
    let head = commit(&ready.path, "change two");
    (repo, ready, head)
}

fn want(repo: &Repo, head: &Oid, how: How) -> LandWant {
    LandWant {
        repository: repo.root.clone(),
        head: head.clone(),
        base_branch: "main".into(),
        expect_base: None,
        expect_tree: None,
        how,
        fast_forward: false,
        message: "Land the work".into(),
        author: None,
        trailers: vec![("Oarlock-Session".into(), "one".into())],
        key: "one/land/1".into(),
    }
}

#[track_caller]
fn refusal(want: &LandWant) -> Refusal {
    land(want).expect_err("this must be refused")
}

#[track_caller]
fn followed(landed: &Landed) {
    assert!(
        landed.followed.iter().all(|checkout| checkout.outcome == Follow::Followed),
        "{:?}",
        landed.followed
    );
    assert!(!landed.followed.is_empty());
}

#[test]
fn the_preview_counts_and_cleans_and_touches_nothing() {
    let (repo, _, head) = at_work();
    let before = (status(&repo.root), repo.git(&["for-each-ref"]));
    let found = preview(&repo.root, &head, "main").unwrap();
    assert_eq!(found.commits.len(), 2);
    assert!(found.commits[0].subject.chars().all(|c| !c.is_control()), "{:?}", found.commits[0].subject);
    assert_eq!(found.commits[1].subject, "change two");
    assert_eq!((found.files, found.insertions, found.deletions), (2, 2, 1));
    assert!(found.conflicts.is_empty() && !found.empty && !found.already_landed);
    assert_eq!((status(&repo.root), repo.git(&["for-each-ref"])), before);
}

#[test]
fn a_merge_lands_with_both_parents_and_the_clean_checkout_follows() {
    let (repo, _, head) = at_work();
    let base = oid(&repo.root, "main");
    let landed = land(&want(&repo, &head, How::Merge)).unwrap();
    assert_eq!(
        repo.git(&["log", "-1", "--format=%P", "main"]),
        format!("{base} {head}"),
        "no silent fast-forward"
    );
    let message = repo.git(&["log", "-1", "--format=%B", "main"]);
    assert!(message.starts_with("Land the work\n\n"), "{message}");
    assert!(
        message.contains("Oarlock-Session: one") && message.contains("Oarlock-Land: one/land/1"),
        "{message}"
    );
    assert_eq!((landed.base_before, &landed.oid), (base, &oid(&repo.root, "main")));
    assert_eq!(landed.commits.len(), 3);
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    assert_eq!(read(&repo.root, "new.txt"), "1\n");
}

#[test]
fn a_squash_is_one_commit_by_the_author_named() {
    let (repo, _, head) = at_work();
    let mut want = want(&repo, &head, How::Squash);
    want.author = Some(("An Agent".into(), "agent@example.org".into()));
    let landed = land(&want).unwrap();
    followed(&landed);
    assert_eq!(landed.commits, std::slice::from_ref(&landed.oid));
    let line = repo.git(&["log", "-1", "--format=%an %cn %P", "main"]);
    assert_eq!(line, format!("An Agent Ada {}", landed.base_before));
    assert!(preview(&repo.root, &head, "main").unwrap().already_landed);
}

#[test]
fn a_rebase_keeps_each_author_date_and_message() {
    let (repo, ready, _) = at_work();
    write(&ready.path, "third.txt", "3\n");
    git(&ready.path, &["add", "-A"]);
    git(
        &ready.path,
        &[
            "-c",
            "user.name=Bob",
            "-c",
            "user.email=b@x",
            "commit",
            "-q",
            "--date=2001-02-03T04:05:06+0700",
            "-m",
            "third\n\nbody  \n# not a comment",
            "--cleanup=verbatim",
        ],
    );
    let head = oid(&ready.path, "HEAD");
    repo.write("b.txt", "main moved\n");
    let base = repo.commit("main moved");
    let format = "--format=%an|%ae|%ad|%B";
    let before = repo.git(&["log", "-3", format, head.as_str()]);
    let landed = land(&want(&repo, &head, How::Rebase)).unwrap();
    followed(&landed);
    assert_eq!(repo.git(&["log", "-3", format, "main"]), before);
    assert_eq!(oid(&repo.root, "main~3"), base);
    assert_eq!(repo.git(&["log", "--merges", "--oneline"]), "");
    assert_eq!(read(&repo.root, "third.txt"), "3\n");
}

#[test]
fn a_fast_forward_is_taken_when_asked_for() {
    let (repo, _, head) = at_work();
    let mut want = want(&repo, &head, How::Merge);
    want.fast_forward = true;
    let landed = land(&want).unwrap();
    followed(&landed);
    assert_eq!(landed.oid, head);
}

#[test]
fn landing_repeated_lands_once() {
    for how in [How::Merge, How::Squash, How::Rebase] {
        let (repo, _, head) = at_work();
        repo.write("b.txt", "main moved\n");
        let base = repo.commit("main moved");
        let mut want = want(&repo, &head, how);
        want.expect_base = Some(base);
        let first = land(&want).unwrap();
        let second = land(&want).unwrap();
        assert!(second.repeated && !first.repeated);
        assert_eq!(
            (second.oid, second.base_before, second.commits),
            (first.oid.clone(), first.base_before, first.commits)
        );
        assert_eq!(oid(&repo.root, "main"), first.oid);
        // Also when others have landed since.
        let later = repo.commit("later");
        assert_eq!(land(&want).unwrap().oid, first.oid);
        assert_eq!(oid(&repo.root, "main"), later);
        // Taken back, it may land again.
        repo.git(&["reset", "-q", "--hard", first.oid.as_str()]);
        repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
        want.expect_base = None;
        assert!(!land(&want).unwrap().repeated);
    }
}

#[test]
fn a_repeat_finishes_a_checkout_that_was_left_half_way() {
    let (repo, _, head) = at_work();
    let first = land(&want(&repo, &head, How::Squash)).unwrap();
    let rewind = || repo.git(&["read-tree", "--reset", "-u", first.base_before.as_str()]);
    // Cut short after the branch moved.
    rewind();
    assert!(!repo.root.join("new.txt").exists());
    followed(&land(&want(&repo, &head, How::Squash)).unwrap());
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    // Cut short between two files.
    rewind();
    let marker = repo.root.join(".git/oarlock-follow");
    std::fs::write(&marker, format!("{} {}\n", first.base_before, first.oid)).unwrap();
    repo.write("a.txt", "one\nTWO\nthree\n");
    repo.write("new.txt", "1\n");
    followed(&land(&want(&repo, &head, How::Squash)).unwrap());
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    assert!(!marker.exists());
    // A person's change among them is not overwritten.
    rewind();
    std::fs::write(&marker, format!("{} {}\n", first.base_before, first.oid)).unwrap();
    repo.write("a.txt", "a person wrote this\n");
    let landed = land(&want(&repo, &head, How::Squash)).unwrap();
    assert!(matches!(&landed.followed[0].outcome, Follow::LeftAlone { why: LeftAlone::Dirty, .. }));
    assert_eq!(read(&repo.root, "a.txt"), "a person wrote this\n");
}

#[test]
fn a_dirty_main_checkout_is_left_alone_with_a_hint_that_works() {
    let (repo, _, head) = at_work();
    repo.write("b.txt", "a person's change\n");
    let landed = land(&want(&repo, &head, How::Merge)).unwrap();
    let Follow::LeftAlone { why: LeftAlone::Dirty, hint } = &landed.followed[0].outcome else {
        panic!("{:?}", landed.followed)
    };
    assert_eq!(read(&repo.root, "b.txt"), "a person's change\n");
    assert!(!repo.root.join("new.txt").exists(), "nothing in a dirty checkout is touched");
    let command = hint.split_once(": ").unwrap().1;
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", command]).env_remove("GIT_DIR").env_remove("GIT_INDEX_FILE");
    assert!(shell.status().unwrap().success(), "{command}");
    assert_eq!(repo.git(&["status", "--porcelain"]), " M b.txt");
    assert_eq!(read(&repo.root, "new.txt"), "1\n");
}

#[test]
fn untracked_and_ignored_files_in_the_way_are_not_overwritten() {
    let (repo, ready, _) = at_work();
    write(&ready.path, ".env", "from the agent\n");
    git(&ready.path, &["add", "-f", ".env"]);
    let head = commit(&ready.path, "add an ignored file");
    repo.write("new.txt", "a person's\n");
    repo.write(".env", "SECRET\n");
    let landed = land(&want(&repo, &head, How::Merge)).unwrap();
    let Follow::LeftAlone { why: LeftAlone::InTheWay(paths), .. } = &landed.followed[0].outcome else {
        panic!("{:?}", landed.followed)
    };
    assert_eq!(paths, &[PathBuf::from(".env"), PathBuf::from("new.txt")]);
    assert_eq!(
        (read(&repo.root, "new.txt"), read(&repo.root, ".env")),
        ("a person's\n".into(), "SECRET\n".into())
    );
}

#[test]
fn a_linked_checkout_of_the_base_follows_when_clean_and_stops_the_landing_when_not() {
    let (repo, _, head) = at_work();
    repo.git(&["switch", "-q", "--detach"]);
    repo.git(&["worktree", "add", "-q", "../linked", "main"]);
    let linked = repo.beside("linked");
    write(&linked, "b.txt", "somebody's\n");
    let base = oid(&repo.root, "main");
    let error = refusal(&want(&repo, &head, How::Merge));
    assert!(
        matches!(&error, Refusal::BaseCheckedOutElsewhere { path, .. } if path.ends_with("linked")),
        "{error}"
    );
    git(&linked, &["checkout", "-q", "b.txt"]);
    repo.git(&["worktree", "lock", "../linked"]);
    assert_eq!(refusal(&want(&repo, &head, How::Merge)).code(), "base_checked_out_elsewhere");
    assert_eq!(oid(&repo.root, "main"), base, "a refusal moves nothing");
    repo.git(&["worktree", "unlock", "../linked"]);
    followed(&land(&want(&repo, &head, How::Merge)).unwrap());
    assert_eq!(read(&linked, "new.txt"), "1\n");
    assert_eq!(git(&linked, &["status", "--porcelain"]), "");
    assert!(!repo.root.join("new.txt").exists(), "a checkout of something else stays");
}

#[test]
fn a_base_in_the_middle_of_a_merge_rebase_or_bisect_stops_the_landing() {
    let (repo, _, head) = at_work();
    repo.git(&["switch", "-q", "-c", "other"]);
    repo.write("b.txt", "other\n");
    repo.commit("other");
    repo.git(&["switch", "-q", "main"]);
    repo.write("b.txt", "mine\n");
    repo.commit("mine");
    for (start, stop) in
        [(["merge", "other"], ["merge", "--abort"]), (["rebase", "other"], ["rebase", "--abort"])]
    {
        assert!(!try_git(&repo.root, &start).0);
        let error = refusal(&want(&repo, &head, How::Merge));
        assert_eq!(error.code(), "base_checked_out_elsewhere", "{start:?}");
        repo.git(&stop);
    }
    repo.git(&["bisect", "start", "HEAD", "HEAD~1"]);
    assert_eq!(refusal(&want(&repo, &head, How::Merge)).code(), "base_checked_out_elsewhere");
    repo.git(&["bisect", "reset"]);
    land(&want(&repo, &head, How::Merge)).unwrap();
}

#[test]
fn each_conflict_is_named_and_no_ref_moves() {
    let (repo, ready, _) = at_work();
    git(&ready.path, &["mv", "b.txt", "renamed.txt"]);
    git(&ready.path, &["rm", "-q", "dir/c.txt"]);
    write(&ready.path, "both.txt", "mine\n");
    let head = commit(&ready.path, "rename and delete");
    repo.write("a.txt", "one\n2\nthree\n");
    repo.git(&["rm", "-q", "b.txt"]);
    repo.write("dir/c.txt", "changed\n");
    repo.write("both.txt", "theirs\n");
    repo.commit("main moved");
    let refs = repo.git(&["for-each-ref"]);
    let found = preview(&repo.root, &head, "main").unwrap();
    let kind = |path: &str| {
        let conflict = found.conflicts.iter().find(|conflict| conflict.path.as_os_str() == path);
        conflict.map(|conflict| conflict.kind.clone()).unwrap_or_default()
    };
    assert_eq!(kind("a.txt"), "contents");
    assert_eq!(kind("dir/c.txt"), "modify/delete");
    assert_eq!(kind("both.txt"), "add/add");
    assert_eq!(kind("renamed.txt"), "rename/delete");
    for how in [How::Merge, How::Squash, How::Rebase] {
        assert_eq!(refusal(&want(&repo, &head, how)).code(), "conflicts", "{how:?}");
    }
    assert_eq!(repo.git(&["for-each-ref"]), refs);
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}

#[test]
fn nothing_to_land_and_landed_already_are_told_apart() {
    let (repo, ready, head) = at_work();
    let base = oid(&repo.root, "main");
    assert_eq!(refusal(&want(&repo, &base, How::Merge)).code(), "landing_empty");
    repo.git(&["merge", "-q", "--no-ff", "-m", "by hand", head.as_str()]);
    assert_eq!(refusal(&want(&repo, &head, How::Merge)).code(), "already_landed");
    repo.commit("later");
    assert_eq!(
        refusal(&want(&repo, &base, How::Merge)).code(),
        "landing_empty",
        "an old tip of the base itself"
    );
    let empty = commit(&ready.path, "nothing in it");
    git(&ready.path, &["commit", "-q", "--allow-empty", "-m", "nor in this"]);
    assert_eq!(refusal(&want(&repo, &empty, How::Merge)).code(), "landing_empty");
}

#[test]
fn a_base_that_moved_is_refused_with_where_it_is() {
    let (repo, _, head) = at_work();
    let expected = oid(&repo.root, "main");
    let found = repo.commit("main moved");
    let mut want = want(&repo, &head, How::Merge);
    want.expect_base = Some(expected.clone());
    let error = refusal(&want);
    assert!(
        matches!(&error, Refusal::BaseMoved { expected: e, found: f, .. } if *e == expected && *f == found)
    );
    assert_eq!(oid(&repo.root, "main"), found);
}

#[test]
fn what_is_missing_is_refused() {
    let (repo, _, head) = at_work();
    let mut nowhere = want(&repo, &head, How::Merge);
    for name in ["nope", "-x", "a..b", ""] {
        nowhere.base_branch = name.into();
        assert_eq!(refusal(&nowhere).code(), "base_missing", "{name:?}");
    }
    let gone = Oid::parse(&"1".repeat(40)).unwrap();
    assert_eq!(refusal(&want(&repo, &gone, How::Merge)).code(), "head_missing");
    let lone = Oid::parse(&repo.git(&["commit-tree", "-m", "lone", "main^{tree}"])).unwrap();
    assert_eq!(refusal(&want(&repo, &lone, How::Merge)).code(), "unrelated_histories");
}

#[test]
fn hooks_that_refuse_are_named_with_their_words() {
    let (repo, _, head) = at_work();
    let base = oid(&repo.root, "main");
    hook(
        &repo,
        "commit-msg",
        "grep -q TICKET \"$1\" || { printf 'no \\033[31mticket\\n' >&2; exit 1; }; echo edited >> \"$1\"",
    );
    let error = refusal(&want(&repo, &head, How::Squash));
    assert!(
        matches!(&error, Refusal::HookRefused { hook: "commit-msg", output } if output.contains("ticket") && !output.contains('\u{1b}')),
        "{error:?}"
    );
    let mut with_ticket = want(&repo, &head, How::Squash);
    with_ticket.message = "TICKET-1 land".into();
    hook(
        &repo,
        "reference-transaction",
        "test \"$1\" = prepared && grep -q refs/heads/main && { echo frozen >&2; exit 1; }; exit 0",
    );
    let error = refusal(&with_ticket);
    assert!(
        matches!(&error, Refusal::HookRefused { hook: "reference-transaction", output } if output.contains("frozen")),
        "{error:?}"
    );
    assert_eq!(oid(&repo.root, "main"), base);
    std::fs::remove_file(repo.root.join(".git/hooks/reference-transaction")).unwrap();
    land(&with_ticket).unwrap();
    assert!(
        repo.git(&["log", "-1", "--format=%B", "main"]).ends_with("edited"),
        "the hook may change the message"
    );
}

#[test]
fn without_an_identity_nothing_is_committed() {
    let (repo, _, head) = at_work();
    repo.git(&["config", "--unset", "user.email"]);
    let error = refusal(&want(&repo, &head, How::Merge));
    assert_eq!(error.code(), "no_identity");
    assert!(error.hint().unwrap().contains("user.email"));
}

#[test]
fn a_rebase_refuses_merges_in_the_range() {
    let (repo, ready, _) = at_work();
    repo.write("b.txt", "main moved\n");
    repo.commit("main moved");
    git(&ready.path, &["merge", "-q", "--no-edit", "main"]);
    let head = oid(&ready.path, "HEAD");
    assert_eq!(refusal(&want(&repo, &head, How::Rebase)).code(), "merges_in_range");
    land(&want(&repo, &head, How::Squash)).unwrap();
}

#[test]
fn the_work_of_a_clone_and_a_bare_repository_land_too() {
    let repo = Repo::new();
    repo.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    let bare = repo.beside("bare.git");
    git(&bare, &["config", "user.name", "Ada"]);
    git(&bare, &["config", "user.email", "ada@example.org"]);
    let mut ws = repo.want("one");
    ws.repository = bare.clone();
    ws.kind = Kind::Clone;
    let ready = prepare(&ws).unwrap();
    write(&ready.path, "new.txt", "1\n");
    commit(&ready.path, "work");
    let head = bring_home(&bare, &ready.path, "one", "HEAD").unwrap();
    let mut want = want(&repo, &head, How::Merge);
    want.repository = bare.clone();
    let landed = land(&want).unwrap();
    assert!(landed.followed.is_empty());
    assert_eq!(git(&bare, &["show", "main:new.txt"]), "1");
}

#[test]
fn two_landings_at_once_both_land() {
    let repo = Repo::new();
    let heads: Vec<Oid> = (0..4)
        .map(|number| {
            let ready = prepare(&repo.want(&format!("n{number}"))).unwrap();
            write(&ready.path, &format!("n{number}.txt"), "x\n");
            commit(&ready.path, "work")
        })
        .collect();
    std::thread::scope(|scope| {
        for head in &heads {
            let want = want(&repo, head, How::Squash);
            scope.spawn(move || land(&want).unwrap());
        }
    });
    assert_eq!(repo.git(&["rev-list", "--count", "main"]), "5");
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}
