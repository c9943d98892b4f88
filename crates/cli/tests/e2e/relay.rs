//! Relays: real agents processes over a real plan, with real git, and everything that may go wrong between two legs.

use std::fs;

use serde_json::Value;

use crate::harness::{Crew, until};

const PLAN: &str = "# Tea\n\n## Phase 1: Kettle\nboil\n\n## Phase 2: Pot\npour\n\n## Phase 3: Cup\ndrink\n";

/// Writes a plan and the script of an agent beside the repository, and returns their paths.
fn props(crew: &Crew, plan: &str, script: &str) -> (String, String) {
    let (plan_file, agent) = (crew.home.join("tea.md"), crew.home.join("agent.sh"));
    fs::write(&plan_file, plan).unwrap();
    fs::write(&agent, format!("set -e\nbaton() {{ printf 'Phase: %s\\n## Next\\n- %s\\n' \"$OARLOCK_PHASE\" \"$1\" > \"$OARLOCK_BATON\"; }}\nsave() {{ echo \"$1\" >> work.txt; git add -A; git commit -qm \"$1\"; }}\n{script}\n")).unwrap();
    (plan_file.display().to_string(), format!("sh {}", agent.display()))
}

fn relay_of(crew: &Crew) -> Value {
    crew.json(&["show", "tea"])["relay"].clone()
}

#[test]
fn four_legs_over_three_phases_each_told_what_the_last_one_left() {
    let crew = Crew::new();
    let (plan, agent) = props(
        &crew,
        PLAN,
        "cat \"$OARLOCK_PROMPT_FILE\"\nsave \"leg $OARLOCK_LEG\"\nbaton \"after leg $OARLOCK_LEG\"\n\
         if [ $OARLOCK_LEG = 2 ]; then oarlock claim handing_off; else oarlock claim phase_done \"phase $OARLOCK_PHASE\"; fi",
    );
    crew.ok(&["relay", &plan, "--exec", &agent]);
    let session = crew.wait_status("tea", "claimed");
    assert_eq!((&session["playbook"], &session["ahead"]), (&"relay".into(), &4.into()));
    let relay = relay_of(&crew);
    let phases: Vec<u64> =
        relay["legs"].as_array().unwrap().iter().map(|leg| leg["phase"].as_u64().unwrap()).collect();
    assert_eq!(phases, [1, 2, 2, 3]);
    let told =
        fs::read_to_string(crew.state.join("runs").join(session["id"].as_str().unwrap()).join("2/prompt.md"));
    let told = told.unwrap();
    for part in [
        "You are agent 3",
        "phase 2: Phase 2: Pot",
        "after leg 2",
        "leg 1",
        "## Phase 3: Cup",
        "PHASE_COMPLETE",
    ] {
        assert!(told.contains(part), "{part} is missing from {told}");
    }
    let workspace = crew.workspace_of(&session);
    assert_eq!(crew.git_in(&workspace, &["status", "--porcelain"]), "", "no baton is left in the tree");
    assert!(!crew.git_in(&workspace, &["ls-files"]).contains("baton"), "nor committed");
    let story = crew.ok(&["show", "tea"]);
    assert!(
        story.contains("leg 2") && story.contains("It handed over.") && story.contains("✓ Phase 3: Cup"),
        "{story}"
    );
    crew.ok(&["land", "tea"]);
    assert_eq!(crew.git(&["show", "HEAD:work.txt"]), "leg 1\nleg 2\nleg 3\nleg 4\n");
}

#[test]
fn a_leg_without_a_baton_is_followed_by_one_that_knows_what_git_knows() {
    let crew = Crew::new();
    let (plan, agent) = props(
        &crew,
        PLAN,
        "save \"subject of leg $OARLOCK_LEG\"\necho loose > loose.txt\ncat \"$OARLOCK_PROMPT_FILE\" > /dev/null\n\
         if [ $OARLOCK_LEG = 1 ]; then kill -9 $$; fi\nbaton on\noarlock claim done",
    );
    crew.ok(&["relay", &plan, "--exec", &agent]);
    let session = crew.wait_status("tea", "claimed");
    let relay = relay_of(&crew);
    let first = &relay["legs"][0];
    assert_eq!(
        (&first["baton_derived"], &first["commits"], &first["dirty"]),
        (&true.into(), &1.into(), &1.into())
    );
    assert!(first["ended"].as_str().unwrap().contains("ended"), "{first}");
    let told = crew.state.join("runs").join(session["id"].as_str().unwrap()).join("1/prompt.md");
    let told = fs::read_to_string(told).unwrap();
    for part in ["derived by oarlock", "subject of leg 1", "loose.txt"] {
        assert!(told.contains(part), "{part} is missing from {told}");
    }
    assert!(crew.workspace_of(&session).join("loose.txt").exists(), "uncommitted work is kept");
}

#[test]
fn a_baton_is_held_against_git_and_a_bad_one_is_not_passed_on() {
    let crew = Crew::new();
    let (plan, agent) = props(
        &crew,
        PLAN,
        "save x\ncase $OARLOCK_LEG in\n1) printf 'Next: see abc1234 and `src/none.rs`\\n' > \"$OARLOCK_BATON\";;\n\
         2) yes line | head -n 200 > \"$OARLOCK_BATON\";;\n3) : > \"$OARLOCK_BATON\";;\n\
         4) ln -s /etc/hostname \"$OARLOCK_BATON\";;\nesac\noarlock claim handing_off",
    );
    crew.ok(&["relay", &plan, "--exec", &agent, "--legs", "4"]);
    crew.wait_status("tea", "stopped");
    let relay = relay_of(&crew);
    let faults: Vec<String> =
        relay["legs"].as_array().unwrap().iter().map(|leg| leg["faults"].to_string()).collect();
    assert!(faults[0].contains("abc1234") && faults[0].contains("src/none.rs"), "{faults:?}");
    assert_eq!(relay["legs"][0]["baton_derived"], false, "it is passed on with its doubts");
    for (leg, says) in [(1, "200 lines"), (2, "is empty"), (3, "wrote no baton")] {
        assert!(faults[leg].contains(says), "leg {leg}: {faults:?}");
        assert_eq!(relay["legs"][leg]["baton_derived"], true);
    }
    assert_eq!(relay["rest"], "It has had its 4 legs.");
}

#[test]
fn a_plan_is_kept_and_an_edit_is_seen_and_changes_nothing() {
    let crew = Crew::new();
    let (plan, agent) = props(
        &crew,
        PLAN,
        &format!(
            "save x\nbaton on\necho '## Phase 4: Milk' >> {}/tea.md\noarlock claim phase_done",
            crew.home.display()
        ),
    );
    crew.ok(&["relay", &plan, "--exec", &agent]);
    crew.wait_status("tea", "claimed");
    let relay = relay_of(&crew);
    assert_eq!((&relay["plan_edited"], relay["phases"].as_array().unwrap().len()), (&true.into(), 3));
    assert!(crew.ok(&["show", "tea"]).contains("edited since it began"));
    let kept = relay["plan"].as_str().unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), PLAN);
}

#[test]
fn an_agent_that_fails_at_once_does_not_burn_the_session() {
    let crew = Crew::new();
    let (plan, agent) = props(&crew, PLAN, "exit 1");
    crew.ok(&["relay", &plan, "--exec", &agent]);
    let waits = crew.wait_status("tea", "starting");
    let waits = waits["because"].as_str().unwrap().to_owned();
    assert!(waits.contains("on its way") || waits.contains("waits before the next leg"), "{waits}");
    let asked = crew.wait_status("tea", "needs_input");
    assert!(asked["because"].as_str().unwrap().contains("3 legs in a row came to nothing"), "{asked}");
    assert_eq!(relay_of(&crew)["legs"].as_array().unwrap().len(), 3);
    crew.ok(&["resume", "tea"]);
    crew.wait_status("tea", "starting");
    crew.ok(&["stop", "tea"]);
}

#[test]
fn a_relay_is_stopped_and_goes_on_and_two_run_side_by_side() {
    let crew = Crew::new();
    let (plan, agent) = props(
        &crew,
        PLAN,
        "if [ $OARLOCK_LEG = 1 ]; then echo unsaved > unsaved.txt; sleep 600; fi\nbaton on\noarlock claim done",
    );
    crew.ok(&["relay", &plan, "--exec", &agent]);
    crew.ok(&["relay", &plan, "--exec", &agent, "--name", "other"]);
    let working = crew.wait_status("tea", "working");
    let unsaved = crew.workspace_of(&working).join("unsaved.txt");
    until("the first leg to have written", || unsaved.exists().then_some(()));
    crew.ok(&["stop", "tea"]);
    crew.wait_status("tea", "stopped");
    assert!(unsaved.exists(), "uncommitted work is kept at a stop");
    crew.ok(&["resume", "tea", "--prompt", "Milk first."]);
    let session = crew.wait_status("tea", "claimed");
    let told = crew.state.join("runs").join(session["id"].as_str().unwrap()).join("1/prompt.md");
    assert!(fs::read_to_string(told).unwrap().contains("Milk first."));
    assert!(unsaved.exists());
    let refused = crew.refused(&["resume", "tea"], 3);
    assert!(refused.contains("All phases of tea are claimed to be complete"), "{refused}");
    crew.ok(&["stop", "other"]);
    crew.wait_status("other", "stopped");
    crew.ok(&["reject", "other"]);
}

#[test]
fn what_is_no_plan_or_no_limit_is_refused_and_nothing_is_begun() {
    let crew = Crew::new();
    let (plan, agent) = props(&crew, "Just do it.", "true");
    let talk = crew.refused(&["relay", &plan, "--exec", &agent], 2);
    assert!(talk.contains("The plan has no phases") && talk.contains("hint: "), "{talk}");
    let talk = crew.refused(&["relay", "none.md", "--exec", &agent], 1);
    assert!(talk.contains("read the plan none.md"), "{talk}");
    fs::write(crew.home.join("tea.md"), PLAN).unwrap();
    let talk = crew.refused(&["relay", &plan, "--exec", &agent, "--budget", "5k"], 2);
    assert!(talk.contains("used up before an agent has begun"), "{talk}");
    crew.refused(&["relay", &plan, "--exec", &agent, "--budget", "abc"], 2);
    crew.refused(&["relay", &plan, "--exec", &agent, "--legs", "0"], 2);
    let talk = crew.refused(&["relay", &plan, "--agent", "nobody"], 2);
    assert!(talk.contains("There is no agent \"nobody\""), "{talk}");
    let talk = crew.refused(&["relay", &plan, "--agent", "scripted,nobody"], 2);
    assert!(talk.contains("There is no agent \"nobody\""), "{talk}");
    assert_eq!(crew.json(&["ls", "--all"]).as_array().unwrap().len(), 0);
}

/// What an agent with a protocol would tell of its context.
const USED: &str = r#"{"event":"seen","payload":{"seen":[{"used":{"span":"call","id":"c1","input":1,"cache_read":0,"cache_write":0,"output":1,"cost_micros":null,"cost_is_of_conversation":false,"context":30000,"window":200000}}]}}"#;

#[test]
fn at_its_budget_an_agent_is_asked_to_hand_over() {
    let crew = Crew::new();
    let (plan, agent) = props(
        &crew,
        PLAN,
        &format!(
            "if [ $OARLOCK_LEG = 1 ]; then echo '{USED}' >> \"$OARLOCK_INBOX\"; read -r words; save \"$words\"; baton rest; \
             oarlock claim handing_off; else oarlock claim done; fi"
        ),
    );
    crew.ok(&["relay", &plan, "--exec", &agent, "--budget", "30k"]);
    let session = crew.wait_status("tea", "claimed");
    let heard = fs::read_to_string(crew.workspace_of(&session).join("work.txt")).unwrap();
    assert!(heard.starts_with("Your context is nearly full"), "{heard}");
    let relay = relay_of(&crew);
    assert_eq!(
        (&relay["legs"][0]["context"], &relay["legs"][0]["claim"]),
        (&30_000.into(), &"handing_off".into())
    );
    assert!(crew.ok(&["events"]).contains("asked to hand over"));
}

#[test]
fn agents_take_turns() {
    let crew = Crew::new();
    let plan = "## Phase 1: A\n- write a.txt a ; commit one ; claim-phase one\n\n## Phase 2: B\n- write b.txt b ; commit two ; \
                claim-phase two\n";
    let (plan, _) = props(&crew, plan, "true");
    crew.ok(&["relay", &plan, "--agent", "scripted,exec:oarlock claim phase_done three", "--name", "tea"]);
    crew.wait_status("tea", "claimed");
    let relay = relay_of(&crew);
    let agents: Vec<&str> =
        relay["legs"].as_array().unwrap().iter().map(|leg| leg["agent"].as_str().unwrap()).collect();
    assert_eq!(agents, ["scripted", "exec:oarlock claim phase_done three"]);
}

#[test]
fn an_agent_with_a_protocol_claims_by_a_phrase_in_its_last_message() {
    let crew = Crew::new();
    let plan = "## Phase 1: A\n- say PHASE_COMPLETE\n- write a.txt a\n- commit one\n- say Not PHASE_COMPLETE yet.\n- say \
                **PHASE_COMPLETE**\n\n## Phase 2: B\n- say ALL_PHASES_COMPLETE\n";
    let (plan, _) = props(&crew, plan, "true");
    crew.ok(&["relay", &plan, "--agent", "scripted", "--hold", "protocol"]);
    crew.wait_status("tea", "claimed");
    let relay = relay_of(&crew);
    let claims: Vec<&str> =
        relay["legs"].as_array().unwrap().iter().map(|leg| leg["claim"].as_str().unwrap()).collect();
    assert_eq!(claims, ["phase_done", "done"]);
}

#[test]
fn a_daemon_killed_at_two_hundred_instants_of_a_relay_doubles_no_leg() {
    let crew = Crew::new();
    let phases: String = (1..=12).map(|n| format!("## Phase {n}: P{n}\nwork\n\n")).collect();
    let (plan, agent) = props(
        &crew,
        &phases,
        "echo \"$OARLOCK_LEG $OARLOCK_PHASE\" >> started.txt; save \"leg $OARLOCK_LEG\"; baton on; \
         oarlock claim phase_done",
    );
    // The instants are drawn from the clock's small end: no two runs of this test are the same, and each is told.
    let mut seed = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    eprintln!("seed {seed}");
    let mut kills = 0;
    for round in 0.. {
        let name = format!("tea-{round}");
        crew.ok(&["relay", &plan, "--exec", &agent, "--name", &name]);
        until(&format!("{name} to be at its end"), || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let pause = std::time::Duration::from_millis(u64::from(seed >> 24) / 4);
            // poll: the kill is to hit any instant, so nothing is waited for.
            std::thread::sleep(pause);
            crew.kill_daemon();
            kills += 1;
            let session = crew.json(&["show", &name]);
            (session["session"]["status"] == "claimed").then_some(())
        });
        let session = crew.json(&["show", &name]);
        let legs = session["relay"]["legs"].as_array().unwrap();
        let phases: Vec<u64> = legs.iter().map(|leg| leg["phase"].as_u64().unwrap()).collect();
        assert_eq!(phases, (1..=12).collect::<Vec<u64>>(), "{}", crew.ok(&["events"]));
        let started = fs::read_to_string(crew.workspace_of(&session["session"]).join("started.txt")).unwrap();
        let expected: String = (1..=12).map(|n| format!("{n} {n}\n")).collect();
        assert_eq!(started, expected, "each leg was begun once");
        assert_eq!(session["session"]["ahead"], 12);
        if kills >= 200 {
            break;
        }
    }
}
