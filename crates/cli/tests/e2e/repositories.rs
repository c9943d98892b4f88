//! Repositories of every shape, and repositories, workspaces and state folders that go away under live sessions.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::harness::{Crew, is_alive, signal, text, until};

const WORK: &str = "echo bread >list.txt && git add . && git commit -qm 'Write list'";

/// Spawns, works, rejects, undoes and lands in the repository at the current folder.
fn life(crew: &Crew, branch: &str) {
    crew.exec("list", WORK);
    crew.wait_status("list", "done");
    assert!(crew.ok(&["diff", "list", "--stat"]).contains("list.txt"));
    crew.ok(&["reject", "list"]);
    crew.wait_gone("list");
    crew.ok(&["undo"]);
    crew.ok(&["land", "list"]);
    assert_eq!(crew.git(&["show", &format!("{branch}:list.txt")]), "bread\n");
}

/// Puts another repository in the place of the crew's.
fn replace(crew: &mut Crew, name: &str, arguments: &[&str]) {
    let from = format!("file://{}", crew.repo.display());
    let to = crew.root.join(name);
    let arguments = [&["clone", "--quiet"], arguments, &[&from, to.to_str().unwrap()]].concat();
    crew.git(&arguments);
    crew.repo = to;
}

#[test]
fn work_comes_home_to_a_bare_repository() {
    let mut crew = Crew::new();
    replace(&mut crew, "bare.git", &["--bare"]);
    life(&crew, "main");
}

#[test]
fn work_comes_home_to_a_detached_checkout() {
    let crew = Crew::new();
    crew.git(&["checkout", "--quiet", "--detach"]);
    life(&crew, "main");
    assert_eq!(crew.git(&["status", "--porcelain"]), "", "the detached checkout is as it was");
    assert!(!crew.repo.join("list.txt").exists());
}

#[test]
fn work_comes_home_to_a_shallow_repository() {
    let mut crew = Crew::new();
    crew.git(&["commit", "--quiet", "--allow-empty", "--message", "Second"]);
    replace(&mut crew, "shallow", &["--depth=1"]);
    assert_eq!(crew.git(&["rev-parse", "--is-shallow-repository"]), "true\n");
    life(&crew, "main");
}

#[test]
fn work_comes_home_to_a_repository_with_submodules() {
    let crew = Crew::new();
    let other = crew.root.join("other");
    fs::create_dir_all(&other).unwrap();
    crew.git_in(&other, &["init", "--quiet", "--initial-branch=main"]);
    crew.git_in(&other, &["commit", "--quiet", "--allow-empty", "--message", "First"]);
    let add =
        ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", other.to_str().unwrap(), "part"];
    crew.git(&add);
    crew.git(&["commit", "--quiet", "--message", "Add a part"]);
    life(&crew, "main");
    assert_eq!(crew.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_repository_without_a_commit_is_refused_with_what_to_do() {
    let mut crew = Crew::new();
    crew.repo = crew.root.join("empty");
    fs::create_dir_all(&crew.repo).unwrap();
    crew.git(&["init", "--quiet"]);
    let talk = crew.refused(&["spawn", "--exec", "true"], 3);
    assert!(talk.contains("no commit") && talk.contains("hint: "), "{talk}");
    assert!(crew.json(&["ls", "--all"]).as_array().unwrap().is_empty());
}

#[test]
fn a_repository_that_moved_away_stops_nobody_and_is_as_good_when_it_is_back() {
    let crew = Crew::new();
    crew.exec("list", &format!("{WORK}; echo ready; until [ -e go ]; do sleep 0.05; done; rm go"));
    crew.wait_output("list", "ready");
    let (elsewhere, before) = (crew.root.join("elsewhere"), crew.run_processes("list"));
    fs::rename(&crew.repo, &elsewhere).unwrap();
    let away = |args: &[&str]| crew.command(args).current_dir(&crew.root).output().unwrap();
    let listed = away(&["ls"]);
    assert!(listed.status.success() && text(&listed.stdout).contains("list"), "{}", text(&listed.stderr));
    for arguments in [&["land", "list", "--now"][..], &["land", "list", "--dry-run"], &["diff", "list"]] {
        let refused = away(arguments);
        let talk = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(3), "{arguments:?}: {}{talk}", text(&refused.stdout));
        assert!(talk.starts_with("error: ") && talk.lines().count() <= 4, "{arguments:?}: {talk}");
    }
    let spawned = away(&["--project", crew.repo.to_str().unwrap(), "spawn", "--exec", "true"]);
    assert_eq!(spawned.status.code(), Some(4), "{}", text(&spawned.stderr));
    fs::rename(&elsewhere, &crew.repo).unwrap();
    assert_eq!(crew.run_processes("list"), before, "its agent went on");
    fs::write(crew.workspace("list").join("go"), "").unwrap();
    crew.wait_status("list", "done");
    crew.ok(&["land", "list"]);
    assert_eq!(crew.git(&["show", "main:list.txt"]), "bread\n");
}

#[test]
fn a_repository_deleted_under_a_live_session_leaves_the_agent_to_be_stopped_and_let_go() {
    let crew = Crew::new();
    crew.exec("list", &format!("{WORK}; echo ready; sleep 600"));
    crew.wait_output("list", "ready");
    fs::remove_dir_all(&crew.repo).unwrap();
    let away = |args: &[&str]| crew.command(args).current_dir(&crew.root).output().unwrap();
    let refused = away(&["land", "list", "--now"]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    let stopped = away(&["stop", "list"]);
    assert!(stopped.status.success(), "{}", text(&stopped.stderr));
    let rejected = away(&["reject", "list"]);
    let listed = text(&away(&["ls", "--all"]).stdout);
    assert!(listed.contains("list"), "{listed}");
    assert!(
        crew.workspace_left().join("list.txt").exists(),
        "what git cannot keep is not deleted: {}",
        text(&rejected.stderr)
    );
}

#[test]
fn a_workspace_deleted_under_a_live_run_is_told_of_and_its_commits_are_not_lost() {
    let crew = Crew::new();
    crew.exec("list", &format!("{WORK}; echo ready; sleep 600"));
    crew.wait_output("list", "ready");
    until("its commit to be seen", || (crew.session("list")["ahead"] == 1).then_some(()));
    let workspace = crew.workspace("list");
    fs::remove_dir_all(&workspace).unwrap();
    for arguments in [&["land", "list", "--now"][..], &["diff", "list"]] {
        let talk = crew.refused(arguments, 3);
        assert!(talk.contains(workspace.file_name().unwrap().to_str().unwrap()), "{arguments:?}: {talk}");
    }
    crew.ok(&["kill", "list"]);
    crew.ok(&["resume", "list"]);
    crew.wait_output("list", "ready");
    assert!(workspace.join("list.txt").exists(), "what was committed is there again");
    crew.ok(&["stop", "list"]);
    // Deleted once more, and let go: there is nothing to keep, and the branch has it all the same.
    fs::remove_dir_all(&workspace).unwrap();
    assert!(crew.ok(&["reject", "list"]).contains("nothing to keep"), "no folder, no trash");
    crew.ok(&["undo", "list"]);
    crew.ok(&["resume", "list"]);
    until("the workspace to be made again", || workspace.join("list.txt").exists().then_some(()));
    crew.ok(&["kill", "list"]);
}

#[test]
fn a_state_folder_deleted_under_the_daemon_ends_it_and_the_next_verb_begins_anew() {
    let crew = Crew::new();
    crew.exec("list", &format!("{WORK}; echo ready; sleep 600"));
    crew.wait_output("list", "ready");
    let daemon = crew.daemon_pid().unwrap();
    let [host, agent] = crew.run_processes("list");
    // A host may write a file while it is deleted.
    until("the folder to be gone", || fs::remove_dir_all(&crew.state).is_ok().then_some(()));
    assert_eq!(crew.ok(&["ls", "--all"]).lines().filter(|line| line.starts_with("list ")).count(), 0);
    until("the daemon of the deleted folder to end", || (!is_alive(daemon)).then_some(()));
    assert!(crew.daemon_pid().is_some_and(|pid| pid != daemon), "another one serves the new folder");
    // Hosts end with their agents, also when the folder that they wrote to is gone.
    signal(agent, Signal::KILL);
    until("the host to end", || (!is_alive(host)).then_some(()));
    assert!(
        !crew.git(&["branch", "--list", "oarlock/list-*"]).is_empty(),
        "the commits are in the repository"
    );
    crew.exec("list", "true");
    crew.wait_status("list", "done");
}

impl Crew {
    /// Returns the only workspace there is on disk.
    fn workspace_left(&self) -> std::path::PathBuf {
        let only = |folder: &Path| fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        only(&only(&self.state.join("workspaces")))
    }
}
