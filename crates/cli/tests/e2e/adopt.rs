//! Sessions in branches and worktrees that were there before: taken over as they are, and never lost.

use std::fs;
use std::path::PathBuf;

use oarlock_api::wire;

use crate::harness::{Crew, until};

/// A worktree somebody made by hand, with a commit and uncommitted work.
fn made(crew: &Crew) -> PathBuf {
    let place = crew.root.join("made");
    crew.git(&["worktree", "add", "--quiet", "-b", "robin/made", place.to_str().unwrap()]);
    fs::write(place.join("mine.txt"), "mine\n").unwrap();
    crew.git_in(&place, &["add", "--all"]);
    crew.git_in(&place, &["commit", "--quiet", "--message", "Mine"]);
    fs::write(place.join("half.txt"), "half\n").unwrap();
    place
}

#[test]
fn a_session_works_in_an_adopted_worktree_and_forget_gives_it_back() {
    let crew = Crew::new();
    let place = made(&crew);
    fs::write(crew.repo.join("oarlock.toml"), "[workspace]\nsetup = [\"echo set-up >set-up.txt\"]\n")
        .unwrap();
    crew.ok(&[
        "spawn",
        "--name",
        "list",
        "--adopt",
        place.to_str().unwrap(),
        "--exec",
        "echo bread >list.txt",
    ]);
    let session = crew.wait_status("list", "done");
    assert_eq!(crew.workspace_of(&session), place);
    assert_eq!((&session["branch"], &session["base_branch"]), (&"robin/made".into(), &"main".into()));
    assert_eq!(crew.json(&["show", "list"])["adopted"], "worktree");
    assert_eq!(fs::read_to_string(place.join("half.txt")).unwrap(), "half\n");
    assert!(!place.join("set-up.txt").exists(), "what somebody made is theirs to set up");
    assert!(crew.ok(&["diff", "list"]).contains("+mine"), "all work since it left the base is the session's");

    crew.ok(&["forget", "list"]);
    assert_eq!(fs::read_to_string(place.join("list.txt")).unwrap(), "bread\n");
    assert_eq!(fs::read_to_string(place.join("half.txt")).unwrap(), "half\n");
    assert_eq!(crew.json(&["trash", "ls"]), serde_json::json!([]), "nothing had to be kept");
    crew.ok(&["undo", "list"]);
    until("it to be the session's again", || {
        (crew.session("list")["workspace"] == place.to_str().unwrap()).then_some(())
    });
}

#[test]
fn an_adopted_worktree_goes_to_the_trash_whole_and_its_branch_stays() {
    let crew = Crew::new();
    let place = made(&crew);
    crew.ok(&["spawn", "--name", "list", "--adopt", place.to_str().unwrap(), "--exec", "true"]);
    crew.wait_status("list", "done");
    for farewell in ["reject", "rm"] {
        crew.ok(&[farewell, "list"]);
        assert!(!place.exists(), "{farewell} takes it away");
        crew.git(&["rev-parse", "--verify", "robin/made"]);
        crew.ok(&["undo", "list"]);
        assert_eq!(fs::read_to_string(place.join("half.txt")).unwrap(), "half\n", "{farewell} was undone");
    }
    crew.ok(&["land", "list", "--committed-only"]);
    assert_eq!(fs::read_to_string(crew.repo.join("mine.txt")).unwrap(), "mine\n");
    crew.git(&["rev-parse", "--verify", "robin/made"]);
}

#[test]
fn what_cannot_be_adopted_is_refused_before_anything_begins() {
    let crew = Crew::new();
    let place = made(&crew);
    let spawn = |path: &str, more: &[&str], code| {
        crew.refused(&[&["spawn", "--exec", "true", "--adopt", path], more].concat(), code)
    };
    assert!(spawn(crew.repo.to_str().unwrap(), &[], 3).contains("main checkout"));
    assert!(spawn(crew.home.to_str().unwrap(), &[], 3).contains("no worktree of this repository"));
    assert!(spawn("/no/such/folder", &[], 4).contains("There is no folder"));
    assert!(spawn(place.to_str().unwrap(), &["--branch", "other"], 3).contains("on the branch robin/made"));
    assert!(spawn(place.to_str().unwrap(), &["--workspace", "clone"], 2).contains("--workspace"));
    assert!(crew.refused(&["spawn", "2", "--exec", "true", "--adopt", "."], 2).contains("one branch"));
    crew.git_in(&place, &["switch", "--quiet", "--detach"]);
    assert!(spawn(place.to_str().unwrap(), &[], 3).contains("--branch"), "the hint says how");
    assert_eq!(crew.json(&["ls", "--all"]), serde_json::json!([]), "no session was begun");

    crew.ok(&[
        "spawn",
        "--name",
        "one",
        "--exec",
        "true",
        "--adopt",
        place.to_str().unwrap(),
        "--branch",
        "robin/two",
    ]);
    crew.wait_status("one", "done");
    assert_eq!(crew.git_in(&place, &["branch", "--show-current"]).trim(), "robin/two");
    let talk = spawn(place.to_str().unwrap(), &[], 3);
    assert!(
        talk.contains("workspace of") || talk.contains("Session one"),
        "one workspace, one session: {talk}"
    );
}

#[test]
fn a_branch_that_is_there_is_worked_on_and_stays_when_the_session_goes() {
    let crew = Crew::new();
    crew.git(&["switch", "--quiet", "--create", "robin/tea"]);
    crew.write("tea.txt", "Black tea\n");
    crew.git(&["add", "--all"]);
    crew.git(&["commit", "--quiet", "--message", "Tea"]);
    let talk = crew.refused(&["spawn", "--exec", "true", "--branch", "robin/tea"], 3);
    assert!(talk.contains(crew.repo.to_str().unwrap()), "it says where it is checked out: {talk}");
    crew.git(&["switch", "--quiet", "main"]);
    let work = "cat tea.txt; echo Green tea >>tea.txt; git commit -qam 'More tea'";
    crew.ok(&["spawn", "--name", "tea", "--exec", work, "--branch", "robin/tea"]);
    let session = crew.wait_status("tea", "done");
    crew.wait_output("tea", "Black tea");
    assert_eq!(session["branch"], "robin/tea");
    let tip = crew.git(&["rev-parse", "robin/tea"]);
    crew.ok(&["reject", "tea"]);
    assert_eq!(crew.git(&["rev-parse", "robin/tea"]), tip, "a branch that was there before is not deleted");
    crew.ok(&["undo", "tea"]);
    crew.wait_status("tea", "done");
    let landed = crew.json(&["land", "tea"]);
    assert_eq!(landed["commits"], 2, "{landed}");
    crew.git(&["rev-parse", "--verify", "robin/tea"]);
}

#[test]
fn an_adoption_asked_for_twice_is_one_session() {
    let crew = Crew::new();
    let place = made(&crew);
    crew.ok(&["start"]);
    let wish = wire::Spawn {
        project: crew.repo.to_str().unwrap().into(),
        agent: "exec".into(),
        command: Some("true".into()),
        adopt: Some(place.to_str().unwrap().into()),
        ..wire::Spawn::default()
    };
    let spawn = || crew.client().post::<_, wire::Session>("/v1/sessions", "the-same-wish", &wish).unwrap();
    let first = spawn();
    crew.wait_status(&first.name, "done");
    assert_eq!(spawn().id, first.id);
    crew.kill_daemon();
    crew.ok(&["ls"]);
    assert_eq!(crew.workspace(&first.name), place, "a restart finds it");
}
