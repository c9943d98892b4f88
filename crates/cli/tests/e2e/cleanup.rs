//! Clearing away: what holds nothing to land goes, everything else stays, and the plan says which is which.

use std::fs;
use std::path::Path;

use oarlock_api::wire;
use serde_json::{Value, json};

use crate::harness::{Crew, text};

/// What a cleanup says of each session: whether it goes, and why.
fn said(answer: &Value) -> Vec<(String, bool, String)> {
    let word = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    let items = answer["items"].as_array().unwrap().iter();
    items.map(|item| (word(item, "name"), item["goes"] == true, word(item, "why"))).collect()
}

fn names(items: &[(&str, bool, &str)]) -> Vec<(String, bool, String)> {
    items.iter().map(|(name, goes, why)| ((*name).to_owned(), *goes, (*why).to_owned())).collect()
}

#[test]
fn only_workspaces_that_hold_nothing_to_land_go_and_the_plan_is_what_is_done() {
    let crew = Crew::new();
    let commit = "echo Milk >list.txt; git add .; git commit -qm List";
    crew.exec("look", "true");
    crew.wait_status("look", "done");
    crew.exec("half", "echo Bread >half.txt");
    crew.wait_status("half", "done");
    crew.exec("list", commit);
    crew.wait_status("list", "done");
    crew.exec(
        "kept",
        "echo Tea >tea.txt; git add .; git commit -qm Tea; git commit -q --allow-empty -m More",
    );
    crew.wait_status("kept", "done");
    crew.ok(&["land", "kept", "--keep", "--how", "squash"]);
    crew.scripted("greet", "");
    crew.wait_status("greet", "idle");
    let expected = names(&[
        ("look", true, "nothing"),
        ("half", false, "uncommitted"),
        ("list", false, "unlanded"),
        ("kept", true, "landed"),
        ("greet", false, "running"),
    ]);
    let (look, kept) = (crew.workspace("look"), crew.workspace("kept"));
    let stay = ["half", "list", "greet"].map(|name| crew.workspace(name));

    let history = || crew.ok(&["events", "--json"]).lines().count();
    let events = history();
    assert_eq!(said(&crew.json(&["cleanup", "--dry-run"])), expected);
    assert_eq!(history(), events, "a dry run touches nothing");

    let done = crew.json(&["cleanup"]);
    assert_eq!(said(&done), expected, "what was shown is what is done");
    assert!(!look.exists() && !kept.exists());
    assert!(stay.iter().all(|workspace| workspace.exists()));
    assert_eq!(fs::read_to_string(stay[0].join("half.txt")).unwrap(), "Bread\n");
    assert_eq!(crew.session("kept")["outcome"], "landed", "a list of all still shows what landed");
    for item in done["items"].as_array().unwrap() {
        assert_eq!(item["done"], item["goes"], "{item}");
        assert_eq!(item["trash"].is_string(), item["goes"] == true, "{item}");
    }
    let left = said(&crew.json(&["cleanup"]));
    assert_eq!(left.len(), 3, "what is gone is no longer spoken of: {left:?}");
    crew.ok(&["undo", "look"]);
    assert!(look.exists(), "what went comes back");
}

#[test]
fn work_squashed_or_picked_by_somebody_else_counts_as_landed_and_work_done_since_does_not() {
    let crew = Crew::new();
    crew.exec("list", "echo Milk >list.txt; git add .; git commit -qm List");
    crew.wait_status("list", "done");
    let (branch, workspace) = (crew.session("list")["branch"].clone(), crew.workspace("list"));
    crew.git(&["cherry-pick", "--no-commit", branch.as_str().unwrap()]);
    crew.git(&["commit", "--quiet", "--message", "List, by hand"]);
    assert_eq!(said(&crew.json(&["cleanup", "--dry-run"])), names(&[("list", true, "nothing")]));
    fs::write(workspace.join("list.txt"), "Milk\nEggs\n").unwrap();
    crew.git_in(&workspace, &["commit", "--quiet", "--all", "--message", "Eggs"]);
    assert_eq!(said(&crew.json(&["cleanup", "--dry-run"])), names(&[("list", false, "unlanded")]));
    crew.git_in(&workspace, &["switch", "--quiet", "--create", "aside", "main"]);
    assert_eq!(said(&crew.json(&["cleanup"])), names(&[("list", false, "strayed")]));
    assert!(workspace.exists());
}

#[test]
fn a_clone_s_commits_are_seen_too() {
    let crew = Crew::new();
    let commit = "echo Milk >list.txt; git add .; git commit -qm List";
    crew.ok(&["spawn", "--name", "list", "--workspace", "clone", "--exec", commit]);
    crew.wait_status("list", "done");
    assert_eq!(said(&crew.json(&["cleanup"])), names(&[("list", false, "unlanded")]));
    crew.ok(&["land", "list", "--keep"]);
    let workspace = crew.workspace("list");
    assert_eq!(said(&crew.json(&["cleanup"])), names(&[("list", true, "landed")]));
    assert!(!workspace.exists());
}

#[test]
fn a_workspace_somebody_stands_in_stays_and_goes_with_the_next_cleanup() {
    let crew = Crew::new();
    crew.exec("list", "echo Bread >half.txt");
    crew.wait_status("list", "done");
    let workspace = crew.workspace("list");
    let mut shell = crew.program("sleep", &["60"]).current_dir(&workspace).spawn().unwrap();
    crew.refused(&["reject", "list"], 3);
    let talk = crew.run(&["cleanup"]);
    assert_eq!(talk.status.code(), Some(3), "what should go had to stay");
    assert!(text(&talk.stdout).contains("Leaves list: "), "{}", text(&talk.stdout));
    assert!(workspace.join("half.txt").exists());
    shell.kill().unwrap();
    shell.wait().unwrap();
    let done = crew.json(&["cleanup"]);
    assert_eq!(said(&done), names(&[("list", true, "parted")]));
    assert!(!workspace.exists());
    assert_eq!(crew.session("list")["outcome"], "rejected");
    crew.ok(&["undo", "list"]);
    assert!(workspace.join("half.txt").exists(), "uncommitted work survives every cleanup");
}

#[test]
fn a_cleanup_is_of_the_sessions_and_the_project_that_were_named() {
    let crew = Crew::new();
    for name in ["one", "two"] {
        crew.exec(name, "true");
        crew.wait_status(name, "done");
    }
    assert_eq!(
        crew.json(&["cleanup", "--project", "shop", "--dry-run"])["items"].as_array().unwrap().len(),
        2
    );
    let other = crew.root.join("other");
    fs::create_dir(&other).unwrap();
    crew.git_in(&other, &["init", "--quiet"]);
    crew.git_in(&other, &["commit", "--quiet", "--allow-empty", "--message", "begin"]);
    let elsewhere = crew.json(&["cleanup", "--project", other.to_str().unwrap()]);
    assert_eq!(elsewhere["items"], json!([]), "an unregistered repository has nothing to clear away");
    crew.refused(&["cleanup", "three"], 4);
    assert_eq!(said(&crew.json(&["cleanup", "two"])), names(&[("two", true, "nothing")]));
    assert!(crew.session("one")["workspace"].is_string());
}

#[test]
fn a_cleanup_asked_for_twice_by_the_same_client_says_the_same() {
    let crew = Crew::new();
    crew.exec("look", "true");
    crew.wait_status("look", "done");
    let client = crew.client();
    let once = || -> wire::Cleanup {
        client.post("/v1/cleanup", "the-same-wish", &wire::CleanUp::default()).unwrap()
    };
    let (first, again) = (once(), once());
    assert!(first.items[0].done, "{first:?}");
    assert_eq!(first, again, "an answer that was lost can be had again");
    let trashed = crew.json(&["trash", "ls"]).as_array().unwrap().len();
    assert_eq!(trashed, 1, "nothing is taken away twice");
    assert!(Path::new(&crew.state).exists());
}
