//! Agents that misbehave, and what their bridge makes of it.

use oarlock_term::Exit;
use serde_json::json;

use super::bench::Bench;

#[test]
fn an_agent_that_dies_is_told_of_with_its_code_and_its_last_words() {
    let bench = Bench::start("say Up. ; exit 7");
    assert_eq!(bench.wait_end().exit, Exit::Code(7));
    assert!(
        bench.screen().ends_with("- The agent's process ended with exit status: 7."),
        "{}",
        bench.screen()
    );

    let bench = Bench::start("say Up. ; crash");
    assert_eq!(bench.wait_end().exit, Exit::Code(128 + 6));
    let screen = bench.screen();
    assert!(screen.contains("signal: 6 (SIGABRT)"), "{screen}");
    assert!(screen.ends_with("scripted: about to crash"), "{screen}");
    let errors = std::fs::read_to_string(bench.run.join("agent.err")).unwrap();
    assert!(errors.contains("scripted: about to crash"), "{errors}");

    let bench = Bench::start("exit 0");
    assert_eq!(bench.wait_end().exit, Exit::Code(0));
    assert!(!bench.screen().contains("ended"), "one that just ends is no trouble");
}

#[test]
fn an_agent_that_cannot_be_started_is_told_of() {
    let bench = Bench::start_with("say hi", &json!({"oarlock": "/no/such/agent"}));
    assert_eq!(bench.wait_end().exit, Exit::Code(127));
    assert!(
        bench.screen().contains("- /no/such/agent could not be started: No such file"),
        "{}",
        bench.screen()
    );
}

#[test]
fn what_is_no_line_of_the_protocol_disturbs_nobody() {
    let bench = Bench::start("escapes ; half-character ; say Still here.");
    bench.wait_turns(1);
    let screen = bench.wait_screen("\n  Still here.");
    assert_eq!(screen, "› escapes ; half-character ; say Still here.\n\n  café\n\n  Still here.");
    assert!(!bench.output().contains("\x1b[31m"), "what an agent prints does not drive the terminal");
}

#[test]
fn a_line_of_twenty_megabytes_is_one_line_and_little_of_it_is_shown() {
    let bench = Bench::start("flood 20m ; say Still here.");
    bench.wait_turns(1);
    let screen = bench.wait_screen("\n  Still here.");
    assert!(screen.contains("… (19934464 bytes more)"), "{screen}");
    assert!(screen.ends_with("Still here."), "{screen}");
    assert!(bench.output().len() < 200_000, "{} bytes were drawn", bench.output().len());
    let used = bench.seen().into_iter().find(|seen| seen.get("used").is_some()).unwrap();
    assert_eq!(used["used"]["output"], json!(20_000_011), "and all of it was said");
}

#[test]
fn what_an_agent_leaves_behind_does_not_hold_its_end_up() {
    let bench = Bench::start("orphan ; say Left one behind. ; exit 3");
    let record = bench.wait_end();
    assert_eq!((record.exit, record.survivors), (Exit::Code(3), 0));
}

#[test]
fn an_agents_words_cannot_drive_the_terminal() {
    let bench = Bench::start("");
    bench.say("m1", "say a\u{1b}[2Jb\u{9b}31mc\u{7}d");
    bench.wait_turns(1);
    bench.wait_screen("  a[2Jb31mcd");
}
