//! The pages of `docs/cli` are executed: what they show is what oarlock prints. `OARLOCK_UPDATE=1` rewrites what is shown.
#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

#[allow(dead_code, reason = "the pages need less of it than the end-to-end tests do")]
mod harness;
mod manual;

use std::collections::BTreeSet;

use harness::Crew;

macro_rules! pages {
    ($($claim:ident: $page:literal,)*) => {
        /// Every page, by its verb.
        const PAGES: &[&str] = &[$($page),*];
        $(
            #[test]
            fn $claim() {
                manual::play($page);
            }
        )*
    };
}

pages! {
    the_page_of_answer_is_true: "answer",
    the_page_of_attach_is_true: "attach",
    the_page_of_claim_is_true: "claim",
    the_page_of_cleanup_is_true: "cleanup",
    the_page_of_completion_is_true: "completion",
    the_page_of_daemon_is_true: "daemon",
    the_page_of_demo_is_true: "demo",
    the_page_of_diff_is_true: "diff",
    the_page_of_doctor_is_true: "doctor",
    the_page_of_events_is_true: "events",
    the_page_of_forget_is_true: "forget",
    the_page_of_gate_is_true: "gate",
    the_page_of_init_is_true: "init",
    the_page_of_kill_is_true: "kill",
    the_page_of_land_is_true: "land",
    the_page_of_logs_is_true: "logs",
    the_page_of_ls_is_true: "ls",
    the_page_of_man_is_true: "man",
    the_page_of_metrics_is_true: "metrics",
    the_page_of_orchestrator_is_true: "orchestrator",
    the_page_of_project_is_true: "project",
    the_page_of_reject_is_true: "reject",
    the_page_of_relay_is_true: "relay",
    the_page_of_rename_is_true: "rename",
    the_page_of_resume_is_true: "resume",
    the_page_of_rm_is_true: "rm",
    the_page_of_send_is_true: "send",
    the_page_of_show_is_true: "show",
    the_page_of_spawn_is_true: "spawn",
    the_page_of_start_is_true: "start",
    the_page_of_status_is_true: "status",
    the_page_of_stop_is_true: "stop",
    the_page_of_trash_is_true: "trash",
    the_page_of_undo_is_true: "undo",
    the_page_of_version_is_true: "version",
    the_page_of_watch_is_true: "watch",
    the_page_of_why_is_true: "why",
}

/// Verbs that have a page although the help hides them: agents read it.
const HIDDEN: &[&str] = &["claim"];

#[test]
fn every_verb_has_a_page_and_every_page_a_verb() {
    let help = Crew::new().ok(&["--help"]);
    let commands = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    // A verb stands two columns in; what explains it stands further in.
    let verbs =
        commands.lines().filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    let verbs = verbs.filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help");
    let verbs: BTreeSet<&str> = verbs.chain(HIDDEN.iter().copied()).collect();
    let pages = manual::pages();
    assert_eq!(
        pages.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        verbs,
        "a page per verb in docs/cli"
    );
    assert_eq!(PAGES.iter().copied().collect::<BTreeSet<_>>(), verbs, "each page is executed by a test here");
}

#[test]
fn the_index_names_every_page() {
    let index = manual::read("README");
    for page in PAGES {
        assert!(index.contains(&format!("({page}.md)")), "README.md has no line for {page}");
    }
}
