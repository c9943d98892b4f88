//! Gates whose builder and overseer are real agents: two rejections, then an approval, and nothing written where it is not theirs.

use std::fs;

use oarlock_model::Script;
use oarlock_model::drive::Agent;

use crate::stage::Stage;

/// One scenario for both: what is done depends on the run's own variables, as the same spec is told to both.
const SCRIPT: &str = r#"
default = "gate"
aside = "A gate"

[scenario.gate]
about = "runs a script of the test's and says so"

[[scenario.gate.step]]
call = [{ tool = "shell", command = "sh $HOME/act.sh" }]

[[scenario.gate.step]]
say = "That was it."
"#;

/// What is done in the place of a model: a builder builds and claims; an overseer looks, tries to change what it judges, and says what
/// it found.
const ACT: &str = r#"
if [ -n "$OARLOCK_VERDICT" ]; then
    echo mended > tea.txt 2>/dev/null && echo yes > "$HOME/overseer-wrote"
    met=false; word=issues; issues='"The tea is cold."'
    if [ "$OARLOCK_ROUND" = 3 ]; then met=true; word=approve; issues=; fi
    echo "{\"verdict\":\"$word\",\"summary\":\"Looked.\",\"requirements\":[{\"requirement\":\"tea\",\"met\":$met,\"seen\":\"cat tea.txt\"}],\"issues\":[$issues]}" > "${TMPDIR:-/tmp}/verdict-$$.json"
    "$OARLOCK_BIN" verdict "${TMPDIR:-/tmp}/verdict-$$.json"; rm -f "${TMPDIR:-/tmp}/verdict-$$.json"
else
    echo "tea $OARLOCK_ROUND" > tea.txt
    git add -A && git commit -qm "tea $OARLOCK_ROUND" && "$OARLOCK_BIN" claim done "round $OARLOCK_ROUND"
fi
"#;

fn is_judged(builder: Agent, names: [&'static str; 2], overseer: Agent, permissions: &str) {
    let mut stage = Stage::playing(Script::read(SCRIPT).unwrap(), builder, names[0], "protocol");
    stage.join(overseer);
    fs::write(stage.crew.home.join("act.sh"), ACT).unwrap();
    let spec = stage.crew.home.join("tea.md");
    fs::write(&spec, "# Tea\n\nThere is tea in tea.txt. [[play:gate]]\n").unwrap();
    let spec = spec.display().to_string();
    stage.crew.ok(&[
        "gate",
        &spec,
        "--builder",
        names[0],
        "--overseer",
        names[1],
        "--check",
        "grep tea tea.txt",
        "--permissions",
        permissions,
    ]);
    stage.until("tea to land", || (stage.crew.session("tea")["outcome"] == "landed").then_some(()));
    let gate = stage.crew.json(&["show", "tea"])["gate"].clone();
    let rounds = gate["rounds"].as_array().unwrap();
    let approved: Vec<bool> = rounds.iter().map(|round| round["approved"] == true).collect();
    assert_eq!(approved, [false, false, true], "{gate}");
    assert_eq!(rounds[1]["issues"][0], "The tea is cold.");
    assert!(!stage.crew.home.join("overseer-wrote").exists(), "an overseer cannot change what it judges");
    assert_eq!(stage.crew.git(&["show", "main:tea.txt"]), "tea 3\n");
    let evidence = stage.crew.ok(&["show", "tea", "--evidence"]);
    assert!(!evidence.contains("BROKEN") && evidence.contains(names[1]), "{evidence}");
    assert_eq!(stage.leftovers(), Vec::<String>::new(), "nothing lives on");
}

#[test]
#[ignore = "needs a real agent program: cargo xtask agents test"]
fn claude_builds_and_codex_judges() {
    is_judged(Agent::Claude, ["claude-code", "codex"], Agent::Codex, "bypass");
}

#[test]
#[ignore = "needs a real agent program: cargo xtask agents test"]
fn codex_builds_and_claude_judges() {
    // It makes a sandbox of its own inside of the one that holds it.
    is_judged(Agent::Codex, ["codex", "claude-code"], Agent::Claude, "auto");
}
