//! Claims about making, reading and removing workspaces, on real repositories.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{Repo, commit, git, hook, oid, read, status, try_git, write};
use oarlock_world::git::Operation;
use oarlock_world::workspace::{
    BranchLeft, DiffWant, Error, Kind, Setup, SkippedWhy, Want, bring_home, changes, diff, inspect,
    inspect_with, prepare, remove, state,
};

#[track_caller]
fn refusal(want: &Want) -> Error {
    prepare(want).expect_err("this must be refused")
}

#[test]
fn a_workspace_is_clean_right_after_it_was_made_links_and_all() {
    let repo = Repo::new();
    repo.write(".env", "SECRET=1\n");
    repo.write("node_modules/x/index.js", "x\n");
    repo.write("logs/a.log", "log\n");
    let mut want = repo.want("one");
    want.setup = Setup {
        copy: vec![".env".into(), "logs".into(), "missing.log".into(), "b.txt".into()],
        link: vec!["node_modules".into(), "nowhere".into()],
        commands: vec!["echo built > build.log".into()],
        env: vec![],
    };
    let ready = prepare(&want).unwrap();
    assert_eq!(git(&ready.path, &["status", "--porcelain"]), "", "planted files must not show");
    assert_eq!(git(&repo.root, &["status", "--porcelain"]), "", "nor in the project's own checkout");
    assert_eq!(read(&ready.path, ".env"), "SECRET=1\n");
    assert_eq!(read(&ready.path, "logs/a.log"), "log\n");
    assert!(ready.path.join("node_modules").is_symlink());
    assert_eq!(read(&ready.path, "node_modules/x/index.js"), "x\n");
    let why =
        |path: &str| ready.skipped.iter().find(|skipped| skipped.path == path).map(|skipped| skipped.why);
    assert_eq!(why("missing.log"), Some(SkippedWhy::Missing));
    assert_eq!(why("nowhere"), Some(SkippedWhy::Missing));
    assert_eq!(why("b.txt"), Some(SkippedWhy::NotIgnored));
    assert_eq!((ready.branch.as_str(), ready.base_branch.as_str()), ("work/one", "main"));
    assert_eq!(ready.head, ready.base);
    assert!(!ready.adopted);
}

#[test]
fn a_setup_command_that_failed_is_tried_again_and_one_that_succeeded_is_not() {
    let repo = Repo::new();
    let mut want = repo.want("one");
    want.setup.commands =
        vec!["echo first >> ran.log".into(), "echo \"$HINT\"; echo bad >&2; test -e ../go || exit 7".into()];
    want.setup.env = vec![("HINT".into(), "hello".into())];
    let Error::SetupFailed { command, exit, output } = refusal(&want) else { panic!("the setup failed") };
    assert!(command.contains("exit 7"));
    assert_eq!(exit, "status 7");
    assert_eq!(output, "hello\nbad");
    write(&repo.beside(""), "go", "");
    prepare(&want).unwrap();
    assert_eq!(read(&want.path, "ran.log"), "first\n", "the first command ran once");
}

#[test]
fn setup_paths_that_leave_the_repository_are_refused() {
    let repo = Repo::new();
    for path in ["../x", "/etc/passwd", "a/../../x", ".git/config", ""] {
        let mut want = repo.want("one");
        want.setup.link = vec![path.into()];
        assert_eq!(refusal(&want).code(), "setup_refused", "{path:?}");
    }
    assert!(!repo.beside("ws-one").exists(), "nothing was made");
    std::os::unix::fs::symlink("/etc", repo.root.join("out.log")).unwrap();
    let mut want = repo.want("one");
    want.setup.link = vec!["out.log".into()];
    want.setup.copy = vec!["out.log".into()];
    let ready = prepare(&want).unwrap();
    assert!(ready.skipped.iter().all(|skipped| skipped.why == SkippedWhy::Escapes));
    assert_eq!(ready.skipped.len(), 2);
}

#[test]
fn a_branch_that_was_there_before_is_refused_with_its_place() {
    let repo = Repo::new();
    repo.git(&["branch", "work/one"]);
    let error = refusal(&repo.want("one"));
    assert_eq!(error.code(), "branch_exists");
    assert!(error.hint().is_some());
}

#[test]
fn a_branch_and_one_below_it_cannot_both_be() {
    let repo = Repo::new();
    repo.git(&["branch", "a"]);
    let mut want = repo.want("one");
    want.branch = "a/b".into();
    let error = refusal(&want);
    assert!(matches!(&error, Error::BranchNested { existing, .. } if existing == "a"), "{error}");
    repo.git(&["branch", "x/y/z"]);
    want.branch = "x".into();
    let error = refusal(&want);
    assert!(matches!(&error, Error::BranchNested { existing, .. } if existing == "x/y/z"), "{error}");
    want.branch = "x/y2".into();
    prepare(&want).unwrap();
}

#[test]
fn names_and_bases_git_would_misread_are_refused() {
    let repo = Repo::new();
    for branch in ["", "-d", "a..b", "a b", "HEAD", "x.lock", "a\u{7}"] {
        let mut want = repo.want("one");
        want.branch = branch.into();
        assert_eq!(refusal(&want).code(), "branch_invalid", "{branch:?}");
    }
    for base in ["nope", "--all", "", "HEAD:a.txt"] {
        let mut want = repo.want("one");
        want.base = Some(base.into());
        assert_eq!(refusal(&want).code(), "base_unknown", "{base:?}");
    }
}

#[test]
fn a_path_inside_the_repository_or_in_use_is_refused() {
    let repo = Repo::new();
    let mut want = repo.want("one");
    want.path = repo.root.join("inside");
    assert_eq!(refusal(&want).code(), "path_refused");
    want.path = "relative".into();
    assert_eq!(refusal(&want).code(), "path_refused");
    want.path = repo.beside("theirs");
    repo.git(&["worktree", "add", "-q", "-b", "theirs", "../theirs"]);
    assert_eq!(refusal(&want).code(), "path_taken");
    prepare(&repo.want("one")).unwrap();
    let mut second = repo.want("two");
    second.path = repo.beside("ws-one");
    assert_eq!(refusal(&second).code(), "path_taken");
    let mut changed = repo.want("one");
    changed.branch = "other".into();
    assert_eq!(refusal(&changed).code(), "workspace_differs");
}

#[test]
fn our_branch_checked_out_elsewhere_is_refused_with_the_place() {
    let repo = Repo::new();
    let want = repo.want("one");
    prepare(&want).unwrap();
    git(&repo.root, &["worktree", "remove", want.path.to_str().unwrap()]);
    git(&repo.root, &["worktree", "add", "-q", "../elsewhere", "work/one"]);
    let error = refusal(&want);
    assert!(matches!(&error, Error::BranchElsewhere { at, .. } if at.ends_with("elsewhere")), "{error}");
}

#[test]
fn odd_paths_work() {
    let repo = Repo::new();
    for (number, name) in ["with space", "quo\"te'", "new\nline", "-dash", "ünï"].into_iter().enumerate() {
        let mut want = repo.want(&format!("odd{number}"));
        want.path = repo.beside(name);
        want.setup.commands = vec!["pwd > here.log".into()];
        let ready = prepare(&want).unwrap();
        assert_eq!(git(&ready.path, &["status", "--porcelain"]), "", "{name:?}");
        assert!(prepare(&want).unwrap().adopted, "{name:?}");
        let mut gone = repo.remove_want(&want.id);
        gone.path = want.path.clone();
        remove(&gone).unwrap();
        assert!(!want.path.exists(), "{name:?}");
    }
}

#[test]
fn a_file_name_that_is_no_utf8_does_not_panic() {
    use std::os::unix::ffi::OsStrExt;
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9 \"\n.txt");
    std::fs::write(ready.path.join(name), "x\n").unwrap();
    assert_eq!(state(&ready.path, "main").unwrap().untracked, 1);
    let (files, _) = changes(&ready.path, &ready.base, &DiffWant::default()).unwrap();
    assert_eq!(files[0].path.as_os_str(), name);
    let removed = remove(&repo.remove_want("one")).unwrap();
    let kept = removed.kept.unwrap();
    assert!(git(&repo.root, &["ls-tree", "-z", kept.commit.as_str()]).contains("caf"));
}

#[test]
fn what_is_no_repository_or_has_no_commit_is_refused() {
    common::hermetic();
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(inspect(dir.path()).unwrap_err().code(), "not_a_repository");
    assert_eq!(inspect(&dir.path().join("gone")).unwrap_err().code(), "not_a_repository");
    let unborn = Repo::unborn();
    let found = inspect(&unborn.root).unwrap();
    assert!(found.empty && found.head.is_none());
    let error = refusal(&unborn.want("one"));
    assert_eq!(error.code(), "empty_repository");
    assert!(error.hint().unwrap().contains("first commit"));
}

#[test]
fn a_subdirectory_and_a_linked_worktree_lead_to_the_main_checkout() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    for path in [repo.root.join("dir"), ready.path.clone(), ready.path.join("dir"), repo.root.join(".git")] {
        let found = inspect(&path).unwrap();
        assert_eq!((&found.home.root, found.home.bare), (&repo.root, false), "{}", path.display());
        assert_eq!(found.home.common_dir, repo.root.join(".git"));
    }
    // A repository inside another is itself.
    let nested = repo.root.join("dir/nested");
    std::fs::create_dir(&nested).unwrap();
    git(&nested, &["init", "-q", "-b", "main"]);
    assert_eq!(inspect(&nested).unwrap().home.root, nested);
}

#[test]
fn the_default_branch_is_not_what_happens_to_be_checked_out() {
    let repo = Repo::new();
    repo.git(&["switch", "-q", "-c", "feature"]);
    assert_eq!(inspect(&repo.root).unwrap().home.default_branch.as_deref(), Some("main"));
    repo.git(&["update-ref", "refs/remotes/origin/trunk", "HEAD"]);
    repo.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"]);
    assert_eq!(inspect(&repo.root).unwrap().home.default_branch.as_deref(), Some("trunk"));
    assert_eq!(
        inspect_with(&repo.root, Some("feature")).unwrap().home.default_branch.as_deref(),
        Some("feature")
    );
    assert_eq!(inspect_with(&repo.root, Some("nope")).unwrap().home.default_branch.as_deref(), Some("trunk"));
    assert_eq!(prepare(&repo.want("one")).unwrap().base_branch, "trunk");
}

#[test]
fn bare_shallow_and_detached_repositories_work() {
    let repo = Repo::new();
    repo.commit("second");
    let bare = repo.beside("bare.git");
    repo.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    let shallow = repo.beside("shallow");
    let url = format!("file://{}", repo.root.display()).replace(' ', "%20");
    repo.git(&["clone", "-q", "--depth=1", &url, "../shallow"]);
    repo.git(&["checkout", "-q", "--detach"]);
    assert!(inspect(&bare).unwrap().home.bare);
    assert!(inspect(&shallow).unwrap().shallow);
    for (name, root) in [("b", &bare), ("s", &shallow), ("d", &repo.root)] {
        for kind in [Kind::Worktree, Kind::Clone] {
            let mut want = repo.want(&format!("{name}-{kind:?}"));
            want.repository = root.clone();
            want.kind = kind;
            want.setup.link = vec!["node_modules".into()];
            let ready = prepare(&want).unwrap();
            assert_eq!(ready.base_branch, "main", "{name} {kind:?}");
            assert_eq!(git(&ready.path, &["status", "--porcelain"]), "", "{name} {kind:?}");
            let mut gone = repo.remove_want(&want.id);
            gone.repository = root.clone();
            remove(&gone).unwrap();
        }
    }
}

#[test]
fn a_submodule_stays_uninitialised_and_its_unpushed_work_stops_removal() {
    let repo = Repo::new();
    let library = repo.beside("library");
    std::fs::create_dir(&library).unwrap();
    git(&library, &["init", "-q", "-b", "main"]);
    git(
        &library,
        &["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-q", "--allow-empty", "-m", "lib"],
    );
    repo.git(&["submodule", "--quiet", "add", "../library", "lib"]);
    repo.commit("add a submodule");
    assert!(inspect(&repo.root).unwrap().has_submodules);
    let ready = prepare(&repo.want("one")).unwrap();
    assert!(!ready.path.join("lib/.git").exists());
    assert_eq!(git(&ready.path, &["status", "--porcelain"]), "");
    git(&ready.path, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init"]);
    git(
        &ready.path.join("lib"),
        &["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-q", "--allow-empty", "-m", "own"],
    );
    let error = remove(&repo.remove_want("one")).unwrap_err();
    assert_eq!(error.code(), "submodule_changed");
    // Also when the submodule is back at its recorded commit but has a branch of its own.
    git(&ready.path.join("lib"), &["branch", "own"]);
    git(&ready.path, &["submodule", "--quiet", "update"]);
    assert_eq!(remove(&repo.remove_want("one")).unwrap_err().code(), "submodule_changed");
    git(&ready.path.join("lib"), &["branch", "-D", "own"]);
    remove(&repo.remove_want("one")).unwrap();
}

#[test]
fn the_post_checkout_hook_runs_once_after_the_files_are_there() {
    let repo = Repo::new();
    hook(&repo, "post-checkout", "test -e a.txt && echo \"$1 $3\" >> ../hook-ran; echo no >&2; exit 3");
    let ready = prepare(&repo.want("one")).unwrap();
    prepare(&repo.want("one")).unwrap();
    assert_eq!(ready.hook_failed.as_deref(), Some("no"));
    let ran = read(&repo.beside(""), "hook-ran");
    assert_eq!(ran, format!("{} 1\n", "0".repeat(40)));
}

#[test]
fn hooks_that_are_checked_out_with_the_files_run_too() {
    let repo = Repo::new();
    let hook = "#!/bin/sh\necho \"$PWD\" >> ../hook-ran\n";
    repo.write("hooks/post-checkout", hook);
    repo.git(&["add", "."]);
    repo.git(&["update-index", "--chmod=+x", "hooks/post-checkout"]);
    repo.git(&["commit", "--quiet", "-m", "hooks"]);
    repo.git(&["config", "core.hooksPath", "hooks"]);
    std::fs::remove_file(repo.root.join("hooks/post-checkout")).unwrap();
    let ready = prepare(&repo.want("one")).unwrap();
    assert_eq!(read(&repo.beside(""), "hook-ran"), format!("{}\n", ready.path.display()));
    assert!(!ready.untouched, "a hook may have written anything");
}

#[test]
fn a_clone_has_refs_of_its_own_and_the_project_origin() {
    let repo = Repo::new();
    repo.git(&["remote", "add", "origin", "https://example.org/p.git"]);
    repo.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    let mut want = repo.want("one");
    want.kind = Kind::Clone;
    let ready = prepare(&want).unwrap();
    assert_eq!(git(&ready.path, &["status", "--porcelain"]), "");
    assert_eq!(git(&ready.path, &["remote", "get-url", "origin"]), "https://example.org/p.git");
    assert_eq!(git(&ready.path, &["branch", "--format=%(refname:short)"]), "work/one");
    assert_eq!(oid(&ready.path, "origin/main"), ready.base);
    assert!(prepare(&want).unwrap().adopted);
    write(&ready.path, "new.txt", "n\n");
    let head = commit(&ready.path, "work");
    assert!(!try_git(&repo.root, &["cat-file", "-e", head.as_str()]).0);
    assert_eq!(bring_home(&repo.root, &ready.path, "one", "HEAD").unwrap(), head);
    git(&repo.root, &["cat-file", "-e", head.as_str()]);
}

#[test]
fn the_state_counts_each_kind_of_work() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    write(&ready.path, "new.txt", "n\n");
    let head = commit(&ready.path, "work");
    repo.commit("on main");
    write(&ready.path, "a.txt", "staged\n");
    git(&ready.path, &["add", "a.txt"]);
    write(&ready.path, "b.txt", "unstaged\n");
    write(&ready.path, "u1", "");
    let found = state(&ready.path, "main").unwrap();
    assert_eq!((found.staged, found.unstaged, found.untracked, found.conflicted), (1, 1, 1, 0));
    assert_eq!((found.ahead, found.behind), (1, 1));
    assert_eq!((found.head, found.branch.as_deref()), (Some(head), Some("work/one")));
    assert_eq!(found.operation, None);
    git(&ready.path, &["reset", "-q", "--hard"]);
    git(&ready.path, &["checkout", "-q", "--detach"]);
    write(&ready.path, "a.txt", "mine\n");
    commit(&ready.path, "mine");
    git(&ready.path, &["branch", "other", "main"]);
    write(&repo.root, "a.txt", "theirs\n");
    repo.commit("theirs");
    assert!(!try_git(&ready.path, &["merge", "main"]).0);
    let found = state(&ready.path, ready.base.as_str()).unwrap();
    assert_eq!((found.conflicted, found.operation, found.branch), (1, Some(Operation::Merge), None));
}

#[test]
fn the_diff_shows_committed_uncommitted_and_untracked_work_and_is_cut_at_its_limit() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    write(&ready.path, "a.txt", "committed\n");
    commit(&ready.path, "work");
    write(&ready.path, "b.txt", "uncommitted\n");
    write(&ready.path, "new.txt", "untracked\n");
    std::fs::remove_file(ready.path.join("dir/c.txt")).unwrap();
    repo.write("a.txt", "main went on\n");
    repo.commit("elsewhere");
    let before = status(&ready.path);
    let all = diff(&ready.path, &ready.base, &DiffWant::default()).unwrap();
    let patch = String::from_utf8(all.patch).unwrap();
    for part in ["+committed", "+uncommitted", "+untracked", "deleted file mode"] {
        assert!(patch.contains(part), "{part} in {patch}");
    }
    assert!(!patch.contains("main went on"));
    assert!(!all.truncated);
    assert_eq!(status(&ready.path), before, "the index is not touched");
    let (files, more) = changes(&ready.path, &ready.base, &DiffWant::default()).unwrap();
    assert_eq!((files.len(), more), (4, false));
    let cut = diff(&ready.path, &ready.base, &DiffWant { bytes_max: 40, ..DiffWant::default() }).unwrap();
    assert_eq!((cut.patch.len(), cut.truncated), (40, true));
}

#[test]
fn removal_keeps_the_work_and_leaves_nothing_behind() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    write(&ready.path, "new.txt", "work\n");
    let head = commit(&ready.path, "work");
    std::os::unix::fs::symlink(&repo.root, ready.path.join("link")).unwrap();
    let removed = remove(&repo.remove_want("one")).unwrap();
    assert_eq!(removed.branch, BranchLeft::Deleted(head.clone()));
    assert_eq!(removed.kept.unwrap().head, Some(head));
    assert!(!ready.path.exists());
    assert!(repo.root.join("a.txt").exists(), "a link is not followed");
    assert_eq!(git(&repo.root, &["worktree", "list"]).lines().count(), 1);
    assert_eq!(git(&repo.root, &["branch", "--list", "work/*"]), "");
    let again = remove(&repo.remove_want("one")).unwrap();
    assert_eq!(again.branch, BranchLeft::Gone);
}

#[test]
fn removal_cut_short_is_finished_by_a_repeat() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    write(&ready.path, "new.txt", "work\n");
    // The directory could not be deleted the first time: it is a mount point to the test, a busy path to the code.
    let record = repo.root.join(".git/oarlock/workspaces");
    let file = std::fs::read_dir(&record)
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "json"))
        .unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let keep = oarlock_world::trash::Keep {
        workspace: ready.path.clone(),
        id: "one/1".into(),
        session: "one".into(),
        reason: "r".into(),
        branch: None,
        base: None,
        base_branch: None,
    };
    oarlock_world::trash::keep(&keep).unwrap();
    std::fs::write(&file, text.replace("\"ready\"", "{\"removing\":{\"kept\":\"one/1\"}}")).unwrap();
    std::fs::remove_file(ready.path.join(".git")).unwrap();
    assert_eq!(refusal(&repo.want("one")).code(), "being_removed");
    let removed = remove(&repo.remove_want("one")).unwrap();
    assert_eq!(removed.kept.unwrap().id, "one/1");
    assert!(!ready.path.exists());
    assert_eq!(git(&repo.root, &["worktree", "list"]).lines().count(), 1);
}

#[test]
fn removal_leaves_the_registration_of_a_missing_sibling_alone() {
    let repo = Repo::new();
    let one = prepare(&repo.want("one")).unwrap();
    let two = prepare(&repo.want("two")).unwrap();
    std::fs::rename(&two.path, repo.beside("unmounted")).unwrap();
    std::fs::remove_dir_all(&one.path).unwrap();
    let removed = remove(&repo.remove_want("one")).unwrap();
    assert_eq!(removed.kept, None);
    std::fs::rename(repo.beside("unmounted"), &two.path).unwrap();
    assert_eq!(git(&two.path, &["status", "--porcelain"]), "");
    assert_eq!(git(&repo.root, &["worktree", "list"]).lines().count(), 2);
}

#[test]
fn removal_is_refused_with_its_reason_and_nothing_is_touched() {
    let repo = Repo::new();
    let ready = prepare(&repo.want("one")).unwrap();
    let path = ready.path.to_str().unwrap();
    let mut other = repo.remove_want("stranger");
    other.path = ready.path.clone();
    assert_eq!(remove(&other).unwrap_err().code(), "not_ours");
    git(&repo.root, &["worktree", "lock", "--reason", "on\x1b a stick", path]);
    let error = remove(&repo.remove_want("one")).unwrap_err();
    assert!(matches!(&error, Error::Locked { reason, .. } if reason == "on a stick"), "{error:?}");
    git(&repo.root, &["worktree", "unlock", path]);
    git(&ready.path, &["init", "-q", "inner"]);
    let error = remove(&repo.remove_want("one")).unwrap_err();
    assert_eq!(error.code(), "not_kept");
    std::fs::remove_dir_all(ready.path.join("inner")).unwrap();
    let mut child = sleeper(&ready.path.join("dir"));
    let error = remove(&repo.remove_want("one")).unwrap_err();
    assert!(matches!(&error, Error::InUse { pids, .. } if *pids == [child.id()]), "{error:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ready.path.join("a.txt").exists());
    remove(&repo.remove_want("one")).unwrap();
}

/// A process that stays in `dir` until killed: it waits for input that never comes.
fn sleeper(dir: &Path) -> std::process::Child {
    std::process::Command::new("cat").current_dir(dir).stdin(std::process::Stdio::piped()).spawn().unwrap()
}
