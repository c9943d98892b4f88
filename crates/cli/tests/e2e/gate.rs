//! Gates: real builders and overseers over a real spec, with real git, checks and namespaces.

mod bypass;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{Crew, until};

const SPEC: &str = "# Tea\n\nThere is a file tea.txt that says tea.\n\nRun tests: `sh check.sh`\n";
const CHECK: &str = "grep -q tea tea.txt && echo '1 passing'\n";
const YES: &str = r#"{"verdict":"approve","summary":"Tea.","requirements":[{"requirement":"tea","met":true,"seen":"cat"}]}"#;
const NO: &str = r#"{"verdict":"issues","requirements":[{"requirement":"tea","met":false,"seen":"cat"}],"issues":["The tea is cold."]}"#;

/// A project with a check, a spec, a builder and an overseer.
struct Tea {
    crew: Crew,
    spec: PathBuf,
    props: PathBuf,
}

impl Tea {
    fn new(builder: &str, overseer: &str) -> Self {
        Self::of(Crew::new(), builder, overseer)
    }

    fn of(crew: Crew, builder: &str, overseer: &str) -> Self {
        crew.write("check.sh", CHECK);
        crew.git(&["add", "-A"]);
        crew.git(&["commit", "-qm", "a check"]);
        let spec = crew.home.join("tea.md");
        fs::write(&spec, SPEC).unwrap();
        let props = crew.home.join("props");
        fs::create_dir(&props).unwrap();
        let tea = Self { crew, spec, props };
        let save = "save() { echo \"$2\" > \"$1\"; git add -A; git commit -qm \"$1\"; }";
        tea.prop("build.sh", &format!("{save}\n{builder}\n"));
        tea.prop("judge.sh", &format!("yes_() {{ echo '{YES}' | oarlock verdict -; }}\nno_() {{ echo '{NO}' | oarlock verdict -; }}\n{overseer}\n"));
        tea
    }

    fn prop(&self, name: &str, text: &str) {
        fs::write(self.props.join(name), text).unwrap();
    }

    fn script(&self, name: &str) -> String {
        format!("sh -e {}", self.props.join(name).display())
    }

    fn begin(&self, more: &[&str]) -> String {
        let (spec, builder) = (self.spec.display().to_string(), self.script("build.sh"));
        let overseer = format!("exec:{}", self.script("judge.sh"));
        let args = ["gate", &spec, "--exec", &builder, "--overseer", &overseer];
        self.crew.ok(&[&args, more].concat())
    }

    fn gate(&self) -> Value {
        self.crew.json(&["show", "tea"])["gate"].clone()
    }

    fn head(&self) -> String {
        self.crew.git(&["rev-parse", "main"]).trim().to_owned()
    }

    fn landed(&self) -> Value {
        until("it landed", || {
            let session = self.crew.session("tea");
            (session["outcome"] == "landed").then_some(session)
        })
    }
}

#[test]
fn red_checks_and_a_rejection_go_back_and_what_is_green_and_approved_lands() {
    let tea = Tea::new(
        "cat \"$OARLOCK_PROMPT_FILE\" > \"$HOME/told-$OARLOCK_ROUND\"\n\
         if [ $OARLOCK_ROUND = 1 ]; then save tea.txt coffee; else save tea.txt \"tea $OARLOCK_ROUND\"; fi\n\
         oarlock claim done \"round $OARLOCK_ROUND\"",
        "cat \"$OARLOCK_PROMPT_FILE\" > \"$HOME/judged-$OARLOCK_ROUND\"\nif [ $OARLOCK_ROUND = 2 ]; then no_; else yes_; fi",
    );
    let before = tea.head();
    tea.begin(&[]);
    tea.landed();
    let gate = tea.gate();
    let rounds = gate["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 3, "{gate}");
    assert_eq!(rounds[0]["checks"][0]["red"], "exit code 1");
    assert_eq!(rounds[0]["checks"][0]["runs"], 2, "what fails is run again");
    assert!(rounds[0]["reviews"].as_array().unwrap().is_empty(), "red work is not judged");
    assert_eq!(rounds[1]["issues"][0], "The tea is cold.");
    assert_eq!(rounds[2]["reviews"][0]["verdict"], "approve");
    let told = |name: &str| fs::read_to_string(tea.crew.home.join(name)).unwrap();
    assert!(
        told("told-2").contains("is not green: exit code 1") && told("told-3").contains("The tea is cold.")
    );
    for part in ["1 passed, 0 failed", "+tea 3", "round 3", "The tea is cold.", "\"judges\": "] {
        assert!(told("judged-3").contains(part), "{part} is missing from {}", told("judged-3"));
    }
    assert_eq!(tea.crew.git(&["show", "main:tea.txt"]), "tea 3\n");
    assert_eq!(tea.crew.git(&["rev-parse", "main^1"]).trim(), before, "it is merged");
    let story = tea.crew.ok(&["show", "tea"]);
    for part in ["round 1", "issue    The tea is cold.", "approves, 1 of 1 requirements met", "approved"] {
        assert!(story.contains(part), "{part} is missing from {story}");
    }
    let evidence = tea.crew.ok(&["show", "tea", "--evidence"]);
    assert!(
        evidence.contains("holds      The tree that landed") && !evidence.contains("BROKEN"),
        "{evidence}"
    );
}

#[test]
fn the_evidence_is_in_the_repository_and_a_false_one_is_found_out() {
    let tea = Tea::new("save tea.txt tea\noarlock claim done", "yes_");
    tea.begin(&[]);
    tea.landed();
    let clone = tea.crew.home.join("elsewhere");
    let repo = tea.crew.repo.display().to_string();
    tea.crew.git_in(&tea.crew.home, &["clone", "-q", &repo, "elsewhere"]);
    tea.crew.git_in(&clone, &["fetch", "-q", "origin", "refs/oarlock/evidence/*:refs/oarlock/evidence/*"]);
    let clone = clone.display().to_string();
    let verified = tea.crew.json(&["show", "main", "--evidence", "--project", &clone]);
    assert!(verified["held"].as_array().unwrap().iter().all(|held| held["holds"] == true), "{verified}");
    // Somebody lands something else under the same record.
    let record = verified["record"].as_str().unwrap();
    tea.crew.write("tea.txt", "poison");
    tea.crew.git(&["add", "-A"]);
    tea.crew.git(&["commit", "-qm", &format!("Land more\n\nOarlock-Evidence: {record}")]);
    let said = tea.crew.run(&["show", "HEAD", "--evidence"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("BROKEN     The tree that landed"), "{said}");
}

#[test]
fn what_is_not_committed_or_does_not_merge_goes_back_unjudged() {
    let tea = Tea::new(
        "case $OARLOCK_ROUND in\n\
         1) save tea.txt tea; echo loose > loose.txt; while [ ! -e $HOME/props/moved ]; do sleep 0.05; done;;\n\
         2) git add -A; git commit -qm loose;;\n\
         3) git fetch -q oarlock-home main; git merge -q -X ours FETCH_HEAD -m merged;;\n\
         esac\noarlock claim done",
        "yes_",
    );
    tea.begin(&["--hold"]);
    // While the first round is under way, somebody adds the same file to the base.
    tea.crew.wait_status("tea", "working");
    tea.crew.write("tea.txt", "black tea");
    tea.crew.git(&["add", "-A"]);
    tea.crew.git(&["commit", "-qm", "black"]);
    tea.prop("moved", "");
    tea.crew.wait_status("tea", "mergeable");
    let gate = tea.gate();
    let issue = |round: usize| gate["rounds"][round]["issues"][0].as_str().unwrap_or_default().to_owned();
    assert!(issue(0).contains("Not committed: loose.txt"), "{gate}");
    assert!(issue(1).contains("does not merge with the base branch: tea.txt"), "{gate}");
    assert_eq!(gate["rounds"][2]["approved"], true, "{gate}");
    for round in 0..2 {
        assert!(gate["rounds"][round]["reviews"].as_array().unwrap().is_empty());
    }
}

#[test]
fn a_flaky_check_is_run_again_and_shown_as_flaky() {
    let tea = Tea::new("save tea.txt tea\noarlock claim done", "yes_");
    let count = tea.crew.home.join("count");
    let flaky = format!("echo x >> {0}; test $(wc -l < {0}) -gt 1", count.display());
    tea.begin(&["--check", &flaky]);
    tea.landed();
    let check = tea.gate()["rounds"][0]["checks"][0].clone();
    assert_eq!((&check["flaky"], &check["runs"], &check["red"]), (&true.into(), &3.into(), &"".into()));
}

#[test]
fn a_check_has_its_time() {
    let tea = Tea::new("save tea.txt tea\noarlock claim done", "yes_");
    tea.begin(&["--check", "sleep 600 & sleep 600", "--check-time", "1s", "--rounds", "1"]);
    tea.crew.wait_status("tea", "stopped");
    let check = tea.gate()["rounds"][0]["checks"][0].clone();
    assert_eq!((&check["red"], &check["exit"]), (&"it took longer than 1 s".into(), &Value::Null));
    let left = tea.crew.processes();
    let sleeps = left
        .iter()
        .filter(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n"));
    assert_eq!(sleeps.count(), 0, "nothing that a check started lives on");
}

#[test]
fn a_silent_overseer_is_replaced_and_two_ask_the_person() {
    let tea = Tea::new("save tea.txt tea\noarlock claim done", "exit 0");
    tea.prop("other.sh", &format!("echo '{YES}' > \"$OARLOCK_VERDICT\"\n"));
    let other = format!("exec:{}", tea.script("other.sh"));
    tea.begin(&["--overseer", &other]);
    tea.landed();
    let reviews = tea.gate()["rounds"][0]["reviews"].clone();
    assert_eq!(reviews[0]["fault"], "It left no verdict.");
    assert_eq!(reviews[1]["verdict"], "approve", "a file is as good as the verb: {reviews}");
}

#[test]
fn two_at_once_land_one_after_the_other_and_one_waits_for_another() {
    let tea = Tea::new("save $OARLOCK_NAME.txt tea\noarlock claim done", "yes_");
    let mut specs = Vec::new();
    for (name, head) in [("cup", "Depends on: pot"), ("pot", "# Pot"), ("jug", "# Jug")] {
        let file = tea.crew.home.join(format!("{name}.md"));
        fs::write(&file, format!("{head}\n\nA file.\n")).unwrap();
        specs.push(file.display().to_string());
    }
    let (builder, overseer) = (tea.script("build.sh"), format!("exec:{}", tea.script("judge.sh")));
    let more = ["--exec", &builder, "--overseer", &overseer, "--check", "true"];
    tea.crew.ok(&[&["gate", &specs[0], &specs[1], &specs[2]], &more[..]].concat());
    for name in ["pot", "cup", "jug"] {
        until("it landed", || (tea.crew.session(name)["outcome"] == "landed").then_some(()));
    }
    let files = tea.crew.git(&["ls-tree", "--name-only", "main"]);
    assert!(["pot.txt", "cup.txt", "jug.txt"].iter().all(|file| files.contains(file)), "{files}");
    let cup = tea.crew.json(&["show", "cup"]);
    let pot = tea.crew.json(&["show", "pot"]);
    let runs = |session: &Value| session["runs"].as_array().unwrap().clone();
    let first = runs(&cup)[0]["started_at"].as_str().unwrap().to_owned();
    let last = runs(&pot).last().unwrap()["ended_at"].as_str().unwrap().to_owned();
    assert!(first >= last, "the cup began at {first}, and the pot was judged until {last}");
    fs::write(tea.crew.home.join("pot.md"), "Depends on: cup\n\nA pot.\n").unwrap();
    let refused = tea.crew.refused(&[&["gate", &specs[0], &specs[1]], &more[..]].concat(), 3);
    assert!(refused.contains("wait for each other"), "{refused}");
}

#[test]
fn a_gate_that_cannot_be_judged_is_not_begun() {
    let tea = Tea::new("true", "yes_");
    let spec = tea.crew.home.join("bare.md");
    fs::write(&spec, "# Bare\n\nDo it.\n").unwrap();
    let bare = spec.display().to_string();
    let overseer = ["--overseer", "exec:true"];
    let refused = |args: &[&str], code| tea.crew.refused(&[&["gate"], args].concat(), code);
    let no_checks = refused(&[&[&bare, "--exec", "true"], &overseer[..]].concat(), 2);
    assert!(no_checks.contains("No check is declared") && no_checks.contains("--check CMD"), "{no_checks}");
    let no_overseer = refused(&[&bare, "--exec", "true", "--check", "true"], 2);
    assert!(no_overseer.contains("cannot judge itself"), "{no_overseer}");
    fs::write(&spec, " \n").unwrap();
    let empty = refused(&[&[&bare, "--exec", "true", "--check", "true"], &overseer[..]].concat(), 2);
    assert!(empty.contains("The spec is empty"), "{empty}");
    let nobody = refused(
        &[&[&bare, "--exec", "true", "--check", "true", "--after", "nobody"], &overseer[..]].concat(),
        2,
    );
    assert!(!nobody.is_empty());
    let rounds = refused(&[&[&bare, "--exec", "true", "--rounds", "0"], &overseer[..]].concat(), 2);
    assert!(rounds.contains("--rounds"), "{rounds}");
    assert_eq!(tea.crew.json(&["ls", "--all"]).as_array().unwrap().len(), 0, "nothing was begun");
}

#[test]
fn a_daemon_killed_while_it_judges_goes_on_where_it_was() {
    let tea = Tea::new("save tea.txt tea\noarlock claim done", "sleep 0.3; yes_");
    tea.begin(&["--check", "sleep 0.3; sh check.sh"]);
    for role in ["checks", "overseer"] {
        until("the run is up", || {
            let session = tea.crew.json(&["show", "tea"]);
            let last = session["runs"].as_array().unwrap().last().cloned().unwrap_or_default();
            (last["role"] == role || session["outcome"] == "landed").then_some(())
        });
        tea.crew.kill_daemon();
    }
    tea.landed();
    let gate = tea.gate();
    assert_eq!(gate["rounds"].as_array().unwrap().len(), 1, "{gate}");
    assert_eq!(gate["rounds"][0]["checks"][0]["runs"], 1, "the checks were not run again: {gate}");
    assert_eq!(gate["rounds"][0]["reviews"].as_array().unwrap().len(), 1, "{gate}");
}
