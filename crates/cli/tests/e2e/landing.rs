//! Work lands once, or is refused and left as it was; a person's own checkout is never touched while it is dirty.

use std::fs;

use crate::harness::{Crew, text};

/// Begins a session that commits a file, and waits until it has.
fn committed(crew: &Crew, name: &str, file: &str, words: &str) {
    crew.exec(name, &format!("echo '{words}' >{file} && git add . && git commit -qm 'Write {file}'"));
    crew.wait_status(name, "done");
}

/// Returns what git says of the repository's own checkout: nothing when it is clean.
fn status(crew: &Crew) -> String {
    crew.git(&["status", "--porcelain", "--untracked-files=all"])
}

#[test]
fn checkouts_stay_clean_before_while_and_after() {
    let crew = Crew::new();
    crew.exec("fresh", "git status --porcelain --ignored >../status.txt");
    crew.wait_status("fresh", "done");
    let seen = crew.workspace("fresh").parent().unwrap().join("status.txt");
    assert_eq!(fs::read_to_string(&seen).unwrap(), "", "a fresh workspace is clean");
    assert_eq!(status(&crew), "", "the person's checkout is clean while agents work");
    committed(&crew, "list", "list.txt", "bread");
    crew.ok(&["land", "list"]);
    assert_eq!(status(&crew), "", "and when the work is in");
    assert_eq!(fs::read_to_string(crew.repo.join("list.txt")).unwrap(), "bread\n");
}

#[test]
fn every_way_to_land_brings_the_same_tree() {
    let crew = Crew::new();
    for (name, how, parents) in [("one", "merge", 2), ("two", "squash", 1), ("three", "rebase", 1)] {
        crew.exec(
            name,
            &format!(
                "for n in 1 2; do echo $n >{name}-$n.txt; git add .; git commit -qm \"{name} $n\"; done"
            ),
        );
        crew.wait_status(name, "done");
        crew.ok(&["land", name, "--how", how]);
        let landed = crew.git(&["rev-list", "--parents", "--max-count=1", "main"]);
        assert_eq!(landed.split_whitespace().count() - 1, parents, "{how}: {landed}");
        assert_eq!(crew.git(&["show", &format!("main:{name}-2.txt")]), "2\n");
    }
    assert_eq!(status(&crew), "");
    assert!(
        crew.git(&["log", "--format=%B", "main"]).contains("Oarlock-Session: one "),
        "it says where it comes from"
    );
}

#[test]
fn a_dirty_checkout_is_left_alone_and_told_about() {
    let crew = Crew::new();
    committed(&crew, "list", "list.txt", "bread");
    crew.write("README.md", "Half a thought");
    crew.write("mine.txt", "mine");
    crew.git(&["add", "mine.txt"]);
    let (before, head) = (status(&crew), crew.git(&["rev-parse", "HEAD"]));
    let landed = crew.run(&["land", "list"]);
    assert!(landed.status.success());
    assert!(text(&landed.stderr).contains("was left alone"), "{}", text(&landed.stderr));
    assert_ne!(crew.git(&["rev-parse", "main"]), head, "it landed");
    assert_eq!(fs::read_to_string(crew.repo.join("README.md")).unwrap(), "Half a thought");
    assert_eq!(fs::read_to_string(crew.repo.join("mine.txt")).unwrap(), "mine");
    assert!(!crew.repo.join("list.txt").exists(), "nothing was written into the dirty checkout");
    let talk = text(&landed.stderr);
    let command = talk.split("losing a change: ").nth(1).unwrap().trim();
    let mut advised = crew.program("sh", &["-c", command]);
    assert!(advised.status().unwrap().success(), "the advice can be run: {command}");
    assert_eq!(status(&crew), before, "and brings the checkout up with the same changes");
    assert!(crew.repo.join("list.txt").exists());
}

#[test]
fn a_conflict_is_refused_then_resolved_by_its_agent_and_lands() {
    let crew = Crew::new();
    committed(&crew, "first", "list.txt", "bread");
    // A plain shell is the agent: what it is told is typed into its terminal.
    crew.exec("second", "PS1= exec sh");
    crew.wait_status("second", "working");
    crew.ok(&[
        "send",
        "second",
        "echo milk >list.txt && git add . && git commit -qm 'Write list' && echo wrote-it",
    ]);
    crew.wait_output("second", "\nwrote-it");
    crew.ok(&["land", "first"]);
    let (main, work) = (crew.git(&["rev-parse", "main"]), crew.session("second")["head"].clone());
    for arguments in [&["land", "second", "--now"][..], &["land", "second", "--dry-run"]] {
        let talk = crew.refused(arguments, 3);
        assert!(talk.contains("list.txt"), "it names what is in conflict: {talk}");
    }
    assert_eq!(crew.git(&["rev-parse", "main"]), main, "a refused landing moves nothing");
    assert_eq!(crew.session("second")["head"], work);
    assert_eq!(status(&crew), "");
    crew.ok(&[
        "send",
        "second",
        "git merge main; printf 'bread\\nmilk\\n' >list.txt; git commit -qam 'Merge main' && echo merged-it",
    ]);
    crew.wait_output("second", "\nmerged-it");
    crew.ok(&["land", "second", "--now"]);
    assert_eq!(crew.git(&["show", "main:list.txt"]), "bread\nmilk\n");
    assert_eq!(fs::read_to_string(crew.repo.join("list.txt")).unwrap(), "bread\nmilk\n");
}

#[test]
fn a_clone_lands_too_and_shares_nothing_before() {
    let crew = Crew::new();
    let write = "echo bread >list.txt && git add . && git commit -qm 'Write list'";
    crew.ok(&["spawn", "--name", "list", "--workspace", "clone", "--exec", write]);
    crew.wait_status("list", "done");
    assert!(crew.workspace("list").join(".git").is_dir(), "a clone is a repository of its own");
    assert!(!crew.git(&["branch", "--list", "--all"]).contains("list"), "its branch is not in the project's");
    assert!(crew.ok(&["land", "list", "--dry-run"]).contains("Write list"));
    crew.ok(&["land", "list"]);
    assert_eq!(crew.git(&["show", "main:list.txt"]), "bread\n");
    assert_eq!(status(&crew), "");
    crew.wait_gone("list");
    crew.ok(&["undo", "list"]);
    assert!(crew.workspace("list").join(".git").is_dir());
}

#[test]
fn uncommitted_work_is_not_left_behind_unasked() {
    let crew = Crew::new();
    crew.exec(
        "list",
        "echo bread >list.txt && git add . && git commit -qm 'Write list' && echo milk >more.txt",
    );
    crew.wait_status("list", "done");
    assert!(crew.refused(&["land", "list"], 3).contains("1 changed path"));
    crew.ok(&["land", "list", "--committed-only"]);
    assert!(!crew.repo.join("more.txt").exists());
    crew.wait_gone("list");
    crew.ok(&["undo", "list"]);
    assert_eq!(
        fs::read_to_string(crew.workspace("list").join("more.txt")).unwrap(),
        "milk\n",
        "the trash had it"
    );
}

#[test]
fn a_hostile_subject_is_harmless_wherever_it_is_shown() {
    let crew = Crew::new();
    let commit = "echo x >\"$(printf 'x\\033[2J\\r\\003.txt')\" && git add . && \
                  git commit -qm \"$(printf 'evil\\r\\033[2J\\033]0;owned\\007\\003 ^C \\302\\233 end')\"";
    crew.exec("evil", commit);
    crew.wait_status("evil", "done");
    let harmless = |arguments: &[&str]| {
        let output = crew.run(arguments);
        let shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
        let obeyed = shown.chars().find(|c| c.is_control() && !"\n\t".contains(*c));
        assert_eq!(obeyed, None, "{arguments:?} would drive a terminal: {shown:?}");
        shown
    };
    assert!(harmless(&["land", "evil", "--dry-run"]).contains("evil"));
    harmless(&["land", "evil", "--dry-run", "--json"]);
    for arguments in ["show evil", "why evil", "ls", "diff evil --stat", "events", "logs evil", "status"] {
        harmless(&arguments.split(' ').collect::<Vec<_>>());
    }
    harmless(&["land", "evil"]);
    crew.wait_gone("evil");
    crew.ok(&["undo", "evil"]);
    crew.ok(&["rm", "evil"]);
    for arguments in [
        &["events"][..],
        &["events", "--json"],
        &["trash", "ls"],
        &["trash", "ls", "--json"],
        &["ls", "--all"],
    ] {
        harmless(arguments);
    }
    let message = crew.git(&["log", "--format=%B", "--max-count=1", "main"]);
    assert!(
        !message.contains('\x1b') && message.contains("evil"),
        "the merge quotes it without its teeth: {message:?}"
    );
}

#[test]
fn without_an_identity_landing_says_what_git_needs() {
    let mut crew = Crew::new();
    committed(&crew, "list", "list.txt", "bread");
    crew.ok(&["stop"]);
    for role in ["AUTHOR", "COMMITTER"] {
        ["NAME", "EMAIL"].iter().for_each(|what| crew.unset(&format!("GIT_{role}_{what}")));
    }
    crew.git(&["config", "user.useConfigOnly", "true"]);
    let talk = crew.refused(&["land", "list"], 3);
    assert!(talk.contains("user.name"), "{talk}");
    assert_eq!(crew.git(&["rev-list", "--count", "main"]).trim(), "1", "nothing landed");
    crew.git(&["config", "user.name", "Robin"]);
    crew.git(&["config", "user.email", "robin@example.org"]);
    crew.ok(&["land", "list"]);
    assert_eq!(status(&crew), "");
}

#[test]
fn a_base_that_moved_since_it_was_shown_is_not_landed_on() {
    let crew = Crew::new();
    committed(&crew, "list", "list.txt", "bread");
    let shown = crew.json(&["land", "list", "--dry-run"]);
    crew.git(&["commit", "--quiet", "--allow-empty", "--message", "Meanwhile"]);
    let wish = oarlock_api::wire::Land {
        expect_base: shown["base"].as_str().map(str::to_owned),
        ..Default::default()
    };
    let refused =
        crew.client().post::<_, oarlock_api::wire::Landed>("/v1/sessions/list/landing", "late", &wish);
    let Err(oarlock_api::client::ClientError::Refused(error, 409)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code, "base_moved");
    crew.ok(&["land", "list"]);
}
