//! The bridge, end to end: a real host, a real terminal, real pipes, and an agent that speaks a protocol without a model.
#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod agent;
mod bench;
mod person;

use bench::{Bench, is_alive};
use oarlock_term::Exit;
use serde_json::{Value, json};

#[test]
fn a_prompt_is_carried_out_and_all_of_it_is_seen() {
    let bench = Bench::start("say Hello there. ; write a.txt tea ; commit Add tea ; claim it is there");
    bench.wait_turns(1);
    assert_eq!(bench.file("a.txt"), "tea\n");
    let mut seen = bench.seen();
    let used = seen.iter().position(|seen| seen.get("used").is_some()).unwrap();
    assert_eq!(seen.remove(used)["used"]["output"], json!(12));
    let call = |id: &str, name: &str, what: &str| {
        let begun = json!({"tool_started": {"id": id, "name": name, "what": what}});
        [begun, json!({"tool_ended": {"id": id, "ok": true}})]
    };
    let [write, written] = call("call-1", "Write", "a.txt");
    let [commit, committed] = call("call-2", "Commit", "Add tea");
    let all = [
        json!({"started": {"conversation": "c-1", "model": null, "version": null}}),
        json!("turn_started"),
        write,
        written,
        commit,
        committed,
        json!({"claimed": {"claim": "done", "note": "it is there"}}),
        json!({"turn_ended": "ok"}),
    ];
    assert_eq!(seen, all);
    let reports = std::fs::read_to_string(oarlock_world::run::inbox::file(&bench.run)).unwrap();
    assert!(
        reports.contains(r#""raw":["{\"turn_ended\""#),
        "the agent's own record of usage is kept: {reports}"
    );
}

#[test]
fn the_transcript_reads_well_at_eighty_columns() {
    let bench = Bench::start(concat!(
        "say I will look at the recipe first, then brew a pot of it, and only then say whether anybody liked it.\n",
        "write tea.txt green\nappend tea.txt black\nmerge nowhere\nsay never said"
    ));
    bench.wait_turns(1);
    bench.say("m1", "say 日本語のお茶は緑です。とても美味しいので、毎日飲みます。それから、もう一杯。そして、もう一杯どうぞ。");
    bench.wait_turns(2);
    let expected = "\
› say I will look at the recipe first, then brew a pot of it, and only then say
  whether anybody liked it.
  write tea.txt green
  append tea.txt black
  merge nowhere
  say never said

  I will look at the recipe first, then brew a pot of it, and only then say
  whether anybody liked it.

· Write: tea.txt
· Append: tea.txt
· Merge: nowhere
    merge: nowhere - not something we can merge

- script: merge: nowhere - not something we can merge

› say 日本語のお茶は緑です。とても美味しいので、毎日飲みます。それから、もう一
  杯。そして、もう一杯どうぞ。

  日本語のお茶は緑です。とても美味しいので、毎日飲みます。それから、もう一杯。
  そして、もう一杯どうぞ。";
    bench.until("the transcript", || bench.screen() == expected);
}

#[test]
fn a_permission_is_asked_and_answered_by_command() {
    let bench = Bench::start("ask push it ; ask push it again ; ask push it for ever");
    bench.wait_seen(&json!({"permission_asked": {"what": "push it", "ask": "ask-1"}}));
    let answer = |ask: Option<&str>, answer: Value| json!({"answer": {"ask": ask, "answer": answer}});
    bench.command("wrong", &answer(Some("ask-7"), json!("allow")));
    bench.wait_screen("An answer came to what is not asked any more.");
    assert_eq!(
        bench.count(&json!("permission_resolved")),
        0,
        "an answer to another question is none to this one"
    );
    bench.command("right", &answer(Some("ask-1"), json!("allow")));
    bench.wait_seen(&json!({"permission_asked": {"what": "push it again", "ask": "ask-2"}}));
    bench.command("no", &answer(None, json!({"deny": "not today"})));
    bench.wait_seen(&json!({"permission_asked": {"what": "push it for ever", "ask": "ask-3"}}));
    bench.command("always", &answer(None, json!("allow_always")));
    bench.wait_turns(1);
    assert_eq!(bench.count(&json!("permission_resolved")), 3);
    for words in ["? May I push it?", "  Allowed.", "  Denied. not today", "  Allowed always."] {
        bench.wait_screen(words);
    }
}

#[test]
fn a_message_is_said_exactly_once_however_often_the_daemon_asks() {
    let bench = Bench::start("");
    let say = json!({"say": {"id": "m1", "text": "append log.txt once", "interrupt": false}});
    assert!(!bench.command("m1", &say));
    assert!(bench.command("m1", &say), "the host knows it");
    bench.command("another name for it", &say);
    bench.say("m2", "append log.txt then");
    bench.wait_turns(2);
    assert_eq!(bench.file("log.txt"), "once\nthen\n");
    for message in ["m1", "m2"] {
        assert_eq!(bench.count(&json!({"message_taken": {"message": message}})), 1);
    }
}

#[test]
fn a_message_that_came_in_a_turn_is_taken_up_after_it() {
    let bench = Bench::start("ask go on");
    bench.wait_seen(&json!({"permission_asked": {"what": "go on", "ask": "ask-1"}}));
    bench.say("m1", "write late.txt yes");
    bench.command("go", &json!({"answer": {"ask": null, "answer": "allow"}}));
    bench.wait_turns(2);
    let seen = bench.seen();
    let at = |what: &serde_json::Value| seen.iter().position(|seen| seen == what).unwrap();
    let taken = at(&json!({"message_taken": {"message": "m1"}}));
    assert!(at(&json!({"turn_ended": "ok"})) < taken, "{seen:#?}");
    assert_eq!(bench.file("late.txt"), "yes\n");
}

#[test]
fn a_turn_is_interrupted_and_the_agent_goes_on() {
    let bench = Bench::start("say Working. ; work 600s ; write never.txt x");
    bench.wait_seen(&json!("turn_started"));
    bench.command("stop", &json!({"interrupt": {}}));
    bench.wait_turns(1);
    assert_eq!(bench.count(&json!({"turn_ended": "interrupted"})), 1);
    bench.say("m1", "work 600s ; write never.txt x");
    bench.until("the second turn", || bench.count(&json!("turn_started")) == 2);
    bench.command("m2", &json!({"say": {"id": "m2", "text": "write now.txt y", "interrupt": true}}));
    bench.wait_turns(3);
    assert_eq!((bench.file("now.txt"), bench.file("never.txt")), ("y\n".into(), String::new()));
    // Between turns there is nothing to interrupt.
    bench.command("stop again", &json!({"interrupt": {}}));
    bench.say("m3", "write after.txt z");
    bench.wait_turns(4);
    assert_eq!(bench.file("after.txt"), "z\n");
}

#[test]
fn a_message_of_three_hundred_kilobytes_arrives_whole() {
    let bench = Bench::start("");
    let text = "0123456789 äöü\\\"".repeat(20_000);
    bench.say("m1", &format!("write big.txt {text}"));
    bench.wait_turns(1);
    assert!(bench.file("big.txt") == format!("{text}\n"), "{} bytes", bench.file("big.txt").len());
    assert!(text.len() > 300_000);
}

#[test]
fn the_bridge_leaves_when_it_is_told_to() {
    let bench = Bench::start("say Up.");
    bench.wait_turns(1);
    let agent = bench.agent_pid();
    bench.command("bye", &json!({"leave": {}}));
    assert_eq!(bench.wait_end().exit, Exit::Code(0));
    assert!(!is_alive(agent));
    assert_eq!(bench.screen(), "› say Up.\n\n  Up.");
}

#[test]
fn a_stop_ends_the_agent_and_an_agent_that_is_deaf_is_ended_all_the_same() {
    for script in ["work 600s", "ignore-term ; hang"] {
        let bench = Bench::start(script);
        bench.wait_seen(&json!("turn_started"));
        let agent = bench.agent_pid();
        oarlock_term::Client::connect(&bench.run).unwrap().stop(20_000).unwrap();
        let record = bench.wait_end();
        assert!(matches!(record.exit, Exit::Code(143 | 137)), "{script}: {:?}", record.exit);
        assert!(!is_alive(agent), "{script}");
        assert_eq!(record.survivors, 0);
    }
}

#[test]
fn a_bridge_without_instructions_says_so() {
    let unknown = Bench::start_with("", &json!({"agent": "nobody"}));
    assert_eq!(unknown.wait_end().exit, Exit::Code(78));
    assert_eq!(unknown.screen(), "oarlock bridge: nobody is no agent that a bridge can hold so");
    let terminal = Bench::start_with("", &json!({"hold": "terminal"}));
    assert_eq!(terminal.wait_end().exit, Exit::Code(78));
    let broken = Bench::start_with("", &json!({"folder": 7}));
    assert_eq!(broken.wait_end().exit, Exit::Code(78));
    assert!(broken.screen().contains("invalid type"), "{}", broken.screen());
}
