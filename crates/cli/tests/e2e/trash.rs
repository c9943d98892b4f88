//! Nothing is lost: whatever is taken away is kept whole, and comes back as it was.

use std::fs;
use std::path::Path;

use crate::harness::Crew;

/// Makes every kind of change there is in a workspace.
const CHANGES: &str = "echo one >committed.txt; git add .; git commit -qm One; echo staged >staged.txt; \
                       echo half >>README.md; git add staged.txt README.md; echo 'other half' >>README.md; \
                       git rm -q --cached committed.txt; mkdir -p deep/er; echo new >deep/er/untracked.txt; \
                       printf '\\000\\377' >binary; ln -s nowhere link; chmod +x binary";

/// What a workspace is: its status, its index, and each file.
fn contents(crew: &Crew, workspace: &Path) -> (String, String, String, Vec<u8>) {
    let git = |args: &[&str]| crew.git_in(workspace, args);
    (
        git(&["status", "--porcelain", "--branch", "--untracked-files=all"]),
        git(&["diff", "--cached"]),
        git(&["diff"]),
        fs::read(workspace.join("binary")).unwrap(),
    )
}

#[test]
fn every_farewell_can_be_undone_to_the_last_untracked_file() {
    let crew = Crew::new();
    crew.exec("list", CHANGES);
    crew.wait_status("list", "done");
    let workspace = crew.workspace("list");
    let (before, head) = (contents(&crew, &workspace), crew.git_in(&workspace, &["rev-parse", "HEAD"]));
    assert!(
        before.0.contains("?? deep/er/untracked.txt") && before.0.contains("MM README.md"),
        "{}",
        before.0
    );
    for farewell in ["reject", "forget", "rm"] {
        crew.ok(&[farewell, "list"]);
        assert!(!workspace.exists(), "{farewell} takes the workspace away");
        crew.ok(&["undo"]);
        assert_eq!(contents(&crew, &workspace), before, "{farewell} was undone");
        assert_eq!(crew.git_in(&workspace, &["rev-parse", "HEAD"]), head);
        assert_eq!(fs::read_link(workspace.join("link")).unwrap(), Path::new("nowhere"));
    }
    assert_eq!(crew.git(&["status", "--porcelain"]), "", "the person's checkout has no part in it");
}

#[test]
fn a_farewell_survives_the_daemon_s_death() {
    let crew = Crew::new();
    crew.exec("list", CHANGES);
    crew.wait_status("list", "done");
    let workspace = crew.workspace("list");
    let before = contents(&crew, &workspace);
    crew.ok(&["reject", "list"]);
    crew.kill_daemon();
    crew.ok(&["undo"]);
    assert_eq!(contents(&crew, &workspace), before);
}

#[test]
fn undo_brings_back_the_last_of_several() {
    let crew = Crew::new();
    for name in ["one", "two"] {
        crew.exec(name, "echo x >x.txt");
        crew.wait_status(name, "done");
        crew.ok(&["reject", name]);
    }
    assert!(crew.ok(&["undo"]).starts_with("Brought back two"));
    assert!(crew.ok(&["undo"]).starts_with("Brought back one"));
    assert!(crew.refused(&["undo"], 3).contains("Nothing"));
}

#[test]
fn a_session_at_work_is_stopped_before_its_workspace_goes() {
    let crew = Crew::new();
    crew.exec("busy", "i=0; while :; do i=$((i+1)); echo $i >count.txt; sleep 0.01; done");
    crew.wait_status("busy", "working");
    let host = crew.run_folder("busy");
    crew.ok(&["reject", "busy"]);
    assert!(host.join("exit.json").exists(), "its agent ended first");
    crew.ok(&["undo"]);
    assert!(crew.workspace("busy").join("count.txt").exists());
    assert_eq!(crew.session("busy")["status"], "stopped");
}
