//! Plans as people write them, and what is understood of them.

use oarlock_core::plan::{NoPlan, PHASES_MAX, Plan, decode, read};

/// Tells a plan in a line for each phase: label, title, lines, tasks, checks.
fn told(text: &str) -> String {
    let plan = read(text).unwrap_or_else(|no| panic!("{}", no.message()));
    tell(&plan)
}

fn tell(plan: &Plan) -> String {
    let mut told = format!("{} x {}: {}", plan.phases.len(), plan.unit, plan.title);
    for phase in &plan.phases {
        let label = if phase.label.is_empty() { String::new() } else { format!("[{}] ", phase.label) };
        told += &format!("\n{label}{} {}-{}", phase.title, phase.line_first, phase.line_last);
        let (tasks, ticked) = phase.tasks;
        if tasks > 0 {
            told += &format!(" {ticked}/{tasks}");
        }
        if phase.is_ticked {
            told += " ticked";
        }
        for check in &phase.checks {
            told += &format!("\n  ? {}", check.text);
            if let Some(command) = &check.command {
                told += &format!(" $ {command}");
            }
        }
    }
    for warning in &plan.warnings {
        told += &format!("\n! {warning}");
    }
    told
}

#[test]
fn headings_that_say_phase_are_phases() {
    let plan = "# Payments v2\n\nWhy we do it.\n\n## Phase 1: Scaffolding\n- [ ] crate\n- [x] CI\n\n## Phase 2 - Stripe\n\
                Talk to Stripe.\n### Details\nmore\n\n## Notes\nnone\n";
    assert_eq!(
        told(plan),
        "2 x phase: Payments v2\n[Phase 1] Scaffolding 5-7 1/2\n[Phase 2] Stripe 9-12",
        "notes after the last phase are no part of it"
    );
}

#[test]
fn any_level_any_mark_and_any_name_will_do() {
    for (heading, label, title) in [
        ("# Phase 1. Setup", "[Phase 1] ", "Setup"),
        ("###### PHASE 1 — Setup ######", "[Phase 1] ", "Setup"),
        ("## **Phase 1:** Setup", "[Phase 1] ", "Setup"),
        ("**Phase 1: Setup**", "[Phase 1] ", "Setup"),
        ("Phase 1: Setup\n--------------", "[Phase 1] ", "Setup"),
        ("Phase 1: Setup\n==============", "[Phase 1] ", "Setup"),
        ("Phase 1: Setup\n", "[Phase 1] ", "Setup"),
        ("- Phase 1: Setup", "[Phase 1] ", "Setup"),
        ("## 1. Phase one: Setup", "[Phase one] ", "Setup"),
        ("## Phase I: Setup", "[Phase I] ", "Setup"),
        ("## Phase A) Setup", "[Phase A] ", "Setup"),
        ("## Phase #1 Setup", "[Phase 1] ", "Setup"),
        ("## Phase 2.1: Setup", "[Phase 2.1] ", "Setup"),
        ("## Phase: Setup", "", "Setup"),
        ("## Sprint 3: Setup", "[Sprint 3] ", "Setup"),
        ("## Milestone 1 | Setup", "[Milestone 1] ", "Setup"),
        ("## Step 12: `Setup`", "[Step 12] ", "Setup"),
    ] {
        let first = told(heading).lines().nth(1).unwrap_or_default().to_owned();
        assert!(first.starts_with(&format!("{label}{title} 1-")), "{heading:?} gave {first:?}");
    }
}

#[test]
fn what_only_looks_like_a_phase_is_none() {
    let plan = "# Plan\n\n```md\n## Phase 9: Example\n```\n<!--\n## Phase 8: Old\n-->\n    ## Phase 7: indented\n\n\
                ## Phases\n\nIn phase 6 we rest.\n\n## Phase 1: Real\nIn C# and #hashtag.\n";
    assert_eq!(told(plan), "1 x phase: Plan\n[Phase 1] Real 15-16");
}

#[test]
fn front_matter_is_no_plan() {
    let plan = "---\ntitle: Phase 0\n---\n# Plan\n## Phase 1: A\n## Phase 2: B\n";
    assert_eq!(told(plan), "2 x phase: Plan\n[Phase 1] A 5-5\n[Phase 2] B 6-6");
}

#[test]
fn a_fence_that_is_never_closed_hides_nothing() {
    let plan = "## Phase 1: A\n```sh\nmake\n\n## Phase 2: B\nb\n";
    assert_eq!(
        told(plan),
        "2 x phase: \n[Phase 1] A 1-3\n[Phase 2] B 5-6\n! The code fence opened in line 2 is never closed."
    );
    let plan = "## Phase 1: A\n<!-- note\n\n## Phase 2: B\n";
    assert_eq!(told(plan), "2 x phase: \n[Phase 1] A 1-2\n[Phase 2] B 4-4");
}

#[test]
fn numbered_headings_are_phases_when_none_says_so() {
    let plan = "# Rewrite\n## Overview\n## 1. Parser\na\n## 2) Printer\nb\n### 2.1 Colours\n## Risks\n";
    assert_eq!(told(plan), "2 x phase: Rewrite\n[1] Parser 3-4\n[2] Printer 5-7");
}

#[test]
fn sections_that_hold_tasks_are_phases() {
    let plan =
        "# Todo\n## Backend\n- [x] api\n- [x] db\n## Frontend\n- [ ] form\n  - [ ] button\n## Notes\nno\n";
    assert_eq!(
        told(plan),
        "2 x section: Todo\nBackend 2-4 2/2 ticked\nFrontend 5-7 0/2\n! section 1 is marked as done already, and is not \
         worked again."
    );
}

#[test]
fn tasks_and_numbered_items_are_phases_when_there_is_nothing_else() {
    let plan = "Do this:\n- [x] first\n- [ ] second\n  - [ ] a part\n  more of it\n* [ ] third\n";
    assert_eq!(
        told(plan),
        "3 x task: \nfirst 2-2 ticked\nsecond 3-5 0/1\nthird 6-6\n! task 1 is marked as done already, and is not worked \
         again."
    );
    assert_eq!(
        told("1. parse\n   - fast\n2. print\n10. ship\n"),
        "3 x step: \nparse 1-2\nprint 3-3\nship 4-4"
    );
}

#[test]
fn plain_sections_are_phases_with_a_doubt() {
    let plan = "# Plan\n## Goal\nx\n## Build the parser\na\n## Build the printer\nb\n## Non-goals\n";
    assert_eq!(
        told(plan),
        "2 x section: Plan\nBuild the parser 4-5\nBuild the printer 6-7\n! No heading says phase, and nothing is \
         numbered: each section was taken for one."
    );
}

#[test]
fn phases_within_milestones_are_the_phases() {
    let plan = "# Milestone 1\n## Phase 1: A\n## Phase 2: B\n# Milestone 2\n## Phase 3: C\n";
    assert_eq!(
        told(plan),
        "3 x phase: \n[Phase 1] A 2-2\n[Phase 2] B 3-3\n[Phase 3] C 5-5\n! Each phase is worked by itself; each milestone \
         only groups them."
    );
}

#[test]
fn doubts_about_numbers_and_marks_are_said() {
    let plan = "## Phase 1: A\na\n## Phase 3: B\nb\n## Phase 3: C\nc\n## ✅ Phase 4: D\nd\n## ~~Phase 5: E~~\n## Phase 6\n";
    assert_eq!(
        told(plan),
        "6 x phase: \n[Phase 1] A 1-2\n[Phase 3] B 3-4\n[Phase 3] C 5-6\n[Phase 4] D 7-8 ticked\n[Phase 5] E 9-9 \
         ticked\n[Phase 6]  10-10\n! Phase 3 comes twice.\n! After phase 1 comes phase 3; they are worked in the order \
         they are written.\n! phase 6 in line 10 says nothing.\n! phase 4 is marked as done already, and is not worked \
         again.\n! phase 5 is marked as done already, and is not worked again."
    );
}

#[test]
fn checks_are_found_where_authors_put_them() {
    let plan = "## Phase 1: A\nDo it.\n\n### Acceptance criteria\n- all tests pass: `cargo test --workspace`\n- docs read \
                well\n\n## Phase 2: B\n**Done when:**\n1. `make check` is green\n\n**Files**\n- not a check\n\n## Phase \
                3: C\n- Verify: run `./ci.sh`\n- verify the token in `auth.rs`\nDone when the page loads.\n\n## Phase 4: \
                D\nVerification:\n```sh\n# all of it\n$ npm test\n```\n";
    assert_eq!(
        told(plan),
        "4 x phase: \n[Phase 1] A 1-6\n  ? all tests pass: cargo test --workspace $ cargo test --workspace\n  ? docs read \
         well\n[Phase 2] B 8-13\n  ? make check is green $ make check\n[Phase 3] C 15-18\n  ? run ./ci.sh $ ./ci.sh\n  ? \
         the page loads.\n[Phase 4] D 20-25\n  ? npm test $ npm test"
    );
}

#[test]
fn every_line_end_and_encoding_gives_the_same_plan() {
    let plan = "# Plän\n\n## Phase 1: Straße\na\n## Phase 2: B\n";
    let expected = told(plan);
    let crlf = plan.replace('\n', "\r\n");
    let cr = plan.replace('\n', "\r");
    let le: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(crlf.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let be: Vec<u8> =
        [0xfe, 0xff].into_iter().chain(plan.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    let bom = [b"\xef\xbb\xbf".as_slice(), plan.as_bytes()].concat();
    for bytes in [plan.as_bytes().to_vec(), crlf.into_bytes(), cr.into_bytes(), le, be, bom] {
        let (text, doubt) = decode(&bytes).unwrap();
        assert_eq!(told(&text), expected);
        assert_eq!(doubt, None);
    }
    let latin: Vec<u8> = plan.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let (text, doubt) = decode(&latin).unwrap();
    assert_eq!(told(&text), expected);
    assert!(doubt.is_some_and(|doubt| doubt.contains("Latin-1")), "a guess is said");
}

#[test]
fn what_is_no_plan_is_refused_with_the_reason() {
    assert_eq!(read(" \r\n\t"), Err(NoPlan::Empty));
    assert_eq!(read("Just make it work, please."), Err(NoPlan::NoPhases));
    assert_eq!(read("# Title\n\nSome words.\n\n- one thing\n- another\n"), Err(NoPlan::NoPhases));
    assert_eq!(decode(b"\x7fELF\0\0").map(drop), Err(NoPlan::Binary));
    let many: String = (0..=PHASES_MAX).map(|n| format!("## Phase {n}\nx\n")).collect();
    assert_eq!(read(&many), Err(NoPlan::TooMany(PHASES_MAX + 1)));
    for no in [NoPlan::Empty, NoPlan::NoPhases, NoPlan::Binary, NoPlan::TooLong(1), NoPlan::TooMany(1)] {
        assert!(no.message().ends_with('.') && no.hint().ends_with('.'), "{}", no.code());
    }
}

#[test]
fn a_long_plan_is_read_quickly_enough_to_wait_for() {
    let body = "Some words that say what is to be done, and why.\n".repeat(200);
    let plan: String = (1..=200).map(|n| format!("## Phase {n}: Part of it\n{body}")).collect();
    assert!(plan.len() > 1_900_000);
    let (text, _) = decode(plan.as_bytes()).unwrap();
    assert_eq!(read(&text).unwrap().phases.len(), 200);
}
