//! Odd places: paths with everything in them, folders that cannot be written, deep ones.

use crate::harness::{Crew, text};

/// Takes a session from its beginning to its landing and back.
fn whole_life(crew: &Crew) {
    crew.exec(
        "list",
        "echo bread >list.txt && git add . && git commit -qm 'Write list' && echo tea >more.txt",
    );
    crew.wait_status("list", "done");
    assert!(crew.ok(&["diff", "list", "--stat"]).contains("list.txt"));
    crew.ok(&["reject", "list"]);
    crew.ok(&["undo"]);
    crew.scripted("greet", "say ready");
    crew.wait_output("greet", "ready");
    crew.ok(&["send", "greet", "say heard you"]);
    crew.wait_output("greet", "heard you");
    crew.kill_daemon();
    crew.ok(&["stop", "greet"]);
    crew.ok(&["land", "list", "--committed-only"]);
    assert_eq!(crew.git(&["show", "main:list.txt"]), "bread\n");
    assert_eq!(crew.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_repository_may_lie_anywhere() {
    whole_life(&Crew::of("state", "a \"b\" it's $HOME;\nand more"));
}

#[test]
fn the_state_folder_may_have_any_name() {
    whole_life(&Crew::of("st \"a\" it's $t;\ne", "shop"));
}

#[test]
fn a_state_folder_may_lie_deep() {
    whole_life(&Crew::of(&format!("{}/{}", "d".repeat(120), "e".repeat(120)), "shop"));
}

#[test]
fn a_home_that_cannot_be_written_needs_another_place_and_says_so() {
    let mut crew = Crew::new();
    // Nothing can be made in /proc, not even by root.
    crew.set("HOME", "/proc");
    whole_life(&crew);
    crew.unset("OARLOCK_HOME");
    let talk = crew.refused(&["ls"], 1);
    assert!(talk.contains("/proc/") && talk.contains("hint: Set OARLOCK_HOME"), "{talk}");
    crew.unset("HOME");
    let talk = crew.refused(&["ls"], 1);
    assert!(talk.contains("all unset"), "{talk}");
}

#[test]
fn a_folder_inside_the_repository_is_as_good_as_its_root() {
    let crew = Crew::new();
    let inside = crew.repo.join("deep/er");
    std::fs::create_dir_all(&inside).unwrap();
    let spawn = |folder: &std::path::Path, name: &str| {
        let mut command = crew.command(&["spawn", "--exec", "true", "--name", name]);
        command.current_dir(folder).output().unwrap()
    };
    assert!(spawn(&inside, "inside").status.success());
    crew.wait_status("inside", "done");
    let workspace = crew.workspace("inside");
    assert!(spawn(&workspace, "of-a-workspace").status.success(), "a workspace belongs to its project");
    assert_eq!(crew.json(&["project", "ls"]).as_array().unwrap().len(), 1, "all of it is one project");
    let elsewhere = spawn(&crew.home, "elsewhere");
    assert_eq!(elsewhere.status.code(), Some(3), "{}", text(&elsewhere.stderr));
}
