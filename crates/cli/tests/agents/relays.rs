//! Relays whose legs are real agents: four phases, a budget that is crossed, a crash, and what comes after each.

use std::fs;

use oarlock_model::Script;
use oarlock_model::drive::Agent;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::signal;
use crate::stage::Stage;

/// The baton of a leg names the scenario of the next one.
const SCRIPT: &str = r#"
default = "leg"
aside = "A relay"

[usage]
input = 900

[scenario.leg]
about = "works its phase and claims it"

[[scenario.leg.step]]
call = [{ tool = "shell", command = "sh $HOME/act.sh phase_done" }]

[[scenario.leg.step]]
say = "That was it."

[scenario.big]
about = "fills its context, and hands over when it is asked to"

[[scenario.big.step]]
call = [{ tool = "shell", command = "sh $HOME/act.sh nothing" }]
usage = { input = 30000 }

[[scenario.big.step]]
call = [{ tool = "shell", command = "while [ ! -e $HOME/asked ]; do sleep 0.1; done; sh $HOME/act.sh handing_off" }]
usage = { input = 30000 }

[[scenario.big.step]]
say = "I handed over."

[scenario.lost]
about = "commits, and is killed in its middle"

[[scenario.lost.step]]
call = [{ tool = "shell", command = "sh $HOME/act.sh nothing" }]

[[scenario.lost.step]]
say = "On and on."
hold = { gate = "never", at = "start" }
"#;

const ACT: &str = r#"
echo "leg $OARLOCK_LEG" >> work.txt; git add -A; git commit -qm "leg $OARLOCK_LEG, phase $OARLOCK_PHASE"
case $OARLOCK_LEG in 1) next=big;; 2) next=lost;; *) next=leg;; esac
if [ "$1" != nothing ]; then
    printf 'Phase: %s\n\n## Next\n- go on [[play:%s]]\n' "$OARLOCK_PHASE" "$next" > "$OARLOCK_BATON"
    "$OARLOCK_BIN" claim "$1" "leg $OARLOCK_LEG"
fi
"#;

const PLAN: &str = "# Tea\n\n## Phase 1: Kettle\nboil\n\n## Phase 2: Pot\npour\n\n## Phase 3: Cup\nfill\n\n## Phase 4: Table\nserve [[play:leg]]\n";

fn is_relayed(agent: Agent, name: &'static str, permissions: &str) {
    let stage = Stage::playing(Script::read(SCRIPT).unwrap(), agent, name, "protocol");
    fs::write(stage.crew.home.join("act.sh"), ACT).unwrap();
    let plan = stage.crew.home.join("tea.md");
    fs::write(&plan, PLAN).unwrap();
    let plan = plan.display().to_string();
    stage.crew.ok(&["relay", &plan, "--agent", name, "--budget", "20k", "--permissions", permissions]);
    let legs = || stage.crew.json(&["show", "tea"])["relay"]["legs"].as_array().cloned().unwrap_or_default();
    stage.until("the second leg asked to hand over", || {
        stage.crew.ok(&["events"]).contains("asked to hand over").then_some(())
    });
    fs::write(stage.crew.home.join("asked"), "").unwrap();
    stage.until("the third leg to have committed, and to wait for its model", || {
        let seen = stage.server.seen();
        seen.requests
            .iter()
            .any(|asked| asked.scenario.as_deref() == Some("lost") && asked.step == 1)
            .then_some(())
    });
    signal(stage.agent_process(), Signal::KILL);
    let done = stage.until_status("tea", &["claimed"]);
    let legs = legs();
    let of = |key: &str| -> Vec<Value> { legs.iter().map(|leg| leg[key].clone()).collect() };
    assert_eq!(of("phase"), [1, 2, 2, 2, 3, 4], "{legs:?}");
    assert_eq!(of("claim")[..2], ["phase_done", "handing_off"]);
    assert!(legs[1]["context"].as_u64().unwrap() >= 20_000, "{legs:?}");
    assert_eq!(of("baton_derived"), [false, false, true, false, false, false], "{legs:?}");
    assert!(legs[2]["claim"].is_null() && !legs[2]["ended"].as_str().unwrap().contains("claims"), "{legs:?}");
    assert_eq!(done["ahead"], 7, "{done}");
    stage.crew.ok(&["land", "tea"]);
    let work = stage.crew.git(&["show", "main:work.txt"]);
    assert_eq!(work, "leg 1\nleg 2\nleg 2\nleg 3\nleg 4\nleg 5\nleg 6\n");
    assert_eq!(stage.leftovers(), Vec::<String>::new(), "nothing lives on");
}

#[test]
#[ignore = "needs a real agent program: cargo xtask agents test"]
fn claude_works_a_plan_through_a_full_context_and_a_crash() {
    is_relayed(Agent::Claude, "claude-code", "bypass");
}

#[test]
#[ignore = "needs a real agent program: cargo xtask agents test"]
fn codex_works_a_plan_through_a_full_context_and_a_crash() {
    is_relayed(Agent::Codex, "codex", "auto");
}
