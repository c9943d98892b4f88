//! Orchestrators: an agent that drives the others by the command line, as far as its token goes.

use crate::harness::Crew;

#[test]
fn an_orchestrator_s_agent_spawns_and_drives_workers_and_is_refused_the_rest() {
    let crew = Crew::new();
    let command = "grep -c 'You coordinate' \"$OARLOCK_PROMPT_FILE\"; \
                   oarlock spawn --name tea --agent scripted --prompt 'write tea.txt Tea ; commit Tea' && \
                   until oarlock ls --json | grep -q '\"idle\"'; do :; done; \
                   oarlock send tea 'write more.txt More ; commit More'; \
                   for verb in land reject forget kill rm cleanup undo; do oarlock $verb tea; echo $verb said $?; done; \
                   oarlock stop; echo stop said $?; oarlock stop tea; echo END";
    crew.ok(&["orchestrator", "start", "--exec", command, "--prompt", "Have tea made."]);
    let output = crew.wait_output("orchestrator", "END");
    assert!(output.starts_with('1'), "it was told its part: {output}");
    for verb in ["land", "reject", "forget", "kill", "rm", "stop"] {
        assert!(output.contains(&format!("{verb} said 3")), "{verb} is a person's: {output}");
    }
    let tea = crew.wait_status("tea", "stopped");
    assert_eq!((&tea["outcome"], &tea["role"]), (&serde_json::Value::Null, &"builder".into()));
    assert!(crew.workspace_of(&tea).join("tea.txt").exists());
    let messages = crew.json(&["show", "tea"])["messages"].clone();
    assert_eq!(messages[0]["author"], "agent", "{messages}");
    let listed = crew.json(&["orchestrator", "ls"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert!(crew.ok(&["ls"]).contains("[orchestrator]"), "the list marks it");
}

#[test]
fn there_is_one_orchestrator_and_restart_replaces_it() {
    let crew = Crew::new();
    crew.ok(&["orchestrator", "start", "--exec", "sleep 600"]);
    let first = crew.wait_status("orchestrator", "working");
    let talk = crew.refused(&["orchestrator", "start", "--exec", "true"], 3);
    assert!(talk.contains("orchestrator orchestrates shop already"), "{talk}");
    crew.ok(&["orchestrator", "start", "--exec", "true", "--restart"]);
    let second = crew.wait_status("orchestrator", "done");
    assert_ne!(second["id"], first["id"]);
    crew.ok(&["orchestrator", "start", "--exec", "true", "--restart"]);
    assert_eq!(crew.json(&["orchestrator", "ls"]).as_array().unwrap().len(), 1);
}
