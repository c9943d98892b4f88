//! Configuration: what two files, the environment and flags say of an agent, and which of them holds.

use std::fs;
use std::path::Path;

use crate::harness::Crew;

/// Writes the person's own file.
fn person(crew: &Crew, text: &str) {
    let folder = crew.home.join(".config/oarlock");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), text).unwrap();
}

/// Returns the variables of a session's agent, as the system has them.
fn variables(crew: &Crew, name: &str) -> Vec<String> {
    let [_, child] = crew.run_processes(name);
    let bytes = fs::read(Path::new("/proc").join(child.to_string()).join("environ")).unwrap();
    bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

#[test]
fn an_agent_is_started_with_what_is_configured_of_it() {
    let crew = Crew::new();
    crew.write("RULES.md", "Test first.\n");
    crew.write(
        "oarlock.toml",
        "agent = \"scripted\"\n[agents.scripted]\nmodel = \"large\"\npermissions = \"auto\"\n\
         rules_file = \"RULES.md\"\n[roles.worker]\nmodel = \"small\"\n[roles.overseer]\nmodel = \"huge\"\n",
    );
    person(&crew, "[agents.scripted]\nargs = [\"-v\"]\nrules = \"Be kind.\"\nenv = { TEA = \"green\" }\n");
    crew.ok(&["spawn", "--name", "plain"]);
    crew.wait_status("plain", "idle");
    let told = &crew.json(&["show", "plain"])["told"];
    assert_eq!(crew.session("plain")["agent"], "scripted", "it is the default");
    assert_eq!(told["model"], "small", "the role is over the agent");
    assert_eq!(told["permissions"], "auto");
    assert_eq!(told["rules"], "Test first.\n\nBe kind.");
    assert_eq!((&told["args"], &told["env"]), (&"[\"-v\"]".parse().unwrap(), &"[\"TEA\"]".parse().unwrap()));
    assert!(variables(&crew, "plain").contains(&"TEA=green".into()), "the process has it");
    assert!(!crew.ok(&["show", "plain", "--json"]).contains("green"), "what is in a variable is not told");

    person(&crew, "[agents.scripted]\nmodel = \"medium\"\n");
    assert_eq!(crew.json(&["show", "plain"])["told"]["model"], "small", "what was asked is fixed");
    crew.ok(&["spawn", "--name", "later"]);
    assert_eq!(crew.json(&["show", "later"])["told"]["model"], "medium", "the person is over the project");
}

#[test]
fn a_flag_is_over_a_variable_and_a_variable_over_the_files() {
    let mut crew = Crew::new();
    person(
        &crew,
        "[agents.scripted]\nmodel = \"file\"\npermissions = \"auto\"\nargs = [\"a\"]\nrules = \"one\"\n",
    );
    for (variable, value) in [
        ("OARLOCK_AGENT", "scripted"),
        ("OARLOCK_MODEL", "variable"),
        ("OARLOCK_PERMISSIONS", "accept-edits"),
        ("OARLOCK_HOLD", "terminal"),
    ] {
        crew.set(variable, value);
    }
    crew.ok(&["spawn", "--name", "variables"]);
    let told = crew.json(&["show", "variables"])["told"].clone();
    assert_eq!((&told["model"], &told["permissions"]), (&"variable".into(), &"accept-edits".into()));
    let flags = ["--model", "flag", "--permissions", "default", "--arg", "b", "--rules", "two"];
    crew.ok(&[&["spawn", "--name", "flags"], &flags[..]].concat());
    let told = crew.json(&["show", "flags"])["told"].clone();
    assert_eq!((&told["model"], &told["permissions"]), (&"flag".into(), &"default".into()));
    assert_eq!(told["args"], "[\"a\",\"b\"]".parse::<serde_json::Value>().unwrap());
    assert_eq!(told["rules"], "one\n\ntwo");
    crew.ok(&["spawn", "--name", "command", "--exec", "sleep 600"]);
    assert_eq!(crew.session("command")["agent"], "exec:sleep 600", "a command is over a default");
    crew.set("OARLOCK_PERMISSIONS", "everything");
    let talk = crew.refused(&["spawn", "--name", "wrong"], 2);
    assert!(talk.contains("\"everything\" is no permission mode."), "{talk}");
}

#[test]
fn without_an_agent_and_a_default_nothing_begins() {
    let crew = Crew::new();
    let talk = crew.refused(&["spawn", "--prompt", "say hello"], 2);
    assert!(talk.contains("No agent was named") && talk.contains("oarlock.toml"), "{talk}");
    assert_eq!(
        crew.json(&["project", "ls"]).as_array().unwrap().len(),
        0,
        "no project was registered for it"
    );
}

#[test]
fn a_committed_file_decides_no_more_than_its_reader_trusts_it_with() {
    let crew = Crew::new();
    let spawn = |name| ["spawn", "--agent", "scripted", "--name", name];
    for (line, word) in [
        ("permissions = \"bypass\"", "permissions"),
        ("args = [\"--all\"]", "args"),
        ("env = { LD_PRELOAD = \"/tmp/x.so\" }", "env"),
    ] {
        crew.write("oarlock.toml", &format!("[agents.scripted]\n{line}\n"));
        let talk = crew.refused(&spawn("refused"), 3);
        assert!(talk.contains("you did not say that it may"), "{talk}");
        assert!(talk.contains(&format!("[trust] {word} = ")) && talk.contains("config.toml"), "{talk}");
    }
    crew.write(
        "oarlock.toml",
        "[agents.scripted]\npermissions = \"bypass\"\nargs = [\"--all\"]\nenv = { TEA = \"black\" }\n\
         [workspace]\nsetup = [\"touch set-up\"]\n",
    );
    let trust = "[trust]\npermissions = \"accept-edits\"\nargs = false\nenv = false\nsetup = false\n";
    person(&crew, trust);
    crew.ok(&spawn("wary"));
    crew.wait_status("wary", "idle");
    let told = &crew.json(&["show", "wary"])["told"];
    assert_eq!((&told["permissions"], &told["args"].as_array().unwrap().len()), (&"accept-edits".into(), &0));
    assert!(!variables(&crew, "wary").iter().any(|pair| pair.starts_with("TEA=")));
    assert!(!crew.workspace("wary").join("set-up").exists(), "no command of the repository's was run");

    person(&crew, "[trust]\npermissions = \"bypass\"\nargs = true\nenv = true\n");
    crew.ok(&spawn("trusting"));
    crew.wait_status("trusting", "idle");
    let told = &crew.json(&["show", "trusting"])["told"];
    assert_eq!((&told["permissions"], &told["args"][0]), (&"bypass".into(), &"--all".into()));
    assert!(variables(&crew, "trusting").contains(&"TEA=black".into()));
    assert!(crew.workspace("trusting").join("set-up").exists(), "setup is run as it always was");
}

#[test]
fn a_committed_file_names_no_program_and_reads_no_file_of_the_person_s() {
    let crew = Crew::new();
    crew.write("oarlock.toml", "[agents.scripted]\nprogram = \"/bin/sh\"\n");
    let talk = crew.refused(&["spawn", "--agent", "scripted"], 3);
    assert!(
        talk.contains("oarlock.toml, line 2: program in [agents.scripted] belongs into your own"),
        "{talk}"
    );
    fs::write(crew.root.join("secret"), "mine").unwrap();
    crew.write("oarlock.toml", "[agents.scripted]\nrules_file = \"../secret\"\n");
    let talk = crew.refused(&["spawn", "--agent", "scripted"], 3);
    assert!(talk.contains("it is not in the repository"), "{talk}");
}

#[test]
fn a_slip_in_a_file_is_answered_with_its_line_and_what_was_meant() {
    let crew = Crew::new();
    crew.write("oarlock.toml", "agent = \"scripted\"\n\n[roles.worker]\npermission = \"auto\"\n");
    let talk = crew.refused(&["spawn"], 3);
    assert!(
        talk.contains("oarlock.toml, line 4: there is no key \"permission\" in [roles.worker]; did you mean \"permissions\"?"),
        "{talk}"
    );
    crew.write("oarlock.toml", "agent = \"scripted\"\n");
    person(&crew, "[trust]\npermissions = \"byypass\"\n");
    let talk = crew.refused(&["spawn"], 3);
    assert!(talk.contains("config.toml, line 2:") && talk.contains("did you mean \"bypass\"?"), "{talk}");
    person(&crew, "");
    crew.ok(&["spawn", "--name", "mended"]);
    crew.wait_status("mended", "idle");
}
