//! A person at a bridge's terminal.

use oarlock_term::Exit;
use serde_json::json;

use super::bench::{Bench, is_alive};

#[test]
fn what_a_person_types_is_drawn_and_told_to_the_agent() {
    let bench = Bench::start("say Ready.");
    bench.wait_turns(1);
    bench.press("say grüx\x7fße, b");
    assert!(bench.wait_screen("› say grüße, b").ends_with("\n› say grüße, b"));
    bench.press("ox\x15say again\r");
    bench.wait_turns(2);
    let expected = "› say Ready.\n\n  Ready.\n\n› say again\n\n  again";
    bench.until("the draft gone, and what was said there once", || bench.screen() == expected);
}

#[test]
fn a_paste_of_many_lines_is_one_message() {
    let bench = Bench::start("say Ready.");
    bench.wait_turns(1);
    bench.press(b"\x1b[200~append log.txt one\rappend log.txt two\r\nappend log.txt three\x1b[201~");
    let screen = bench.wait_screen("three");
    assert!(
        screen.ends_with("› append log.txt one\n  append log.txt two\n  append log.txt three"),
        "{screen}"
    );
    assert_eq!(bench.file("log.txt"), "", "nothing is sent before Enter");
    bench.press("\r");
    bench.wait_turns(2);
    assert_eq!(bench.file("log.txt"), "one\ntwo\nthree\n");
    assert_eq!(bench.count(&json!("turn_started")), 2);
}

#[test]
fn a_draft_stays_while_the_agent_talks_and_the_daemon_commands() {
    let bench = Bench::start("say Ready.");
    bench.wait_turns(1);
    bench.press("half a li");
    bench.wait_screen("› half a li");
    bench.say("m1", "spin 1s ; say Done with it. ; work 600s");
    let screen = bench.wait_screen("\n  Done with it.");
    assert!(screen.ends_with("  Done with it.\n› half a li"), "{screen}");
    let ticks = screen.lines().find(|line| line.contains("tick")).unwrap().trim();
    assert!(
        ticks.split(' ').all(|word| word == "tick"),
        "words that came in pieces are in one line: {ticks}"
    );
    bench.press("ne\r");
    assert!(
        bench.wait_screen("waits to be taken up").contains("- Told, and waits to be taken up: half a line")
    );
    bench.press("\x03");
    bench.wait_turns(3);
    assert!(
        bench.wait_screen("heard").ends_with("› half a line\n\n  heard: half a line"),
        "{}",
        bench.screen()
    );
}

#[test]
fn a_permission_is_answered_by_hand() {
    let bench = Bench::start("ask push it ; ask push more ; ask push all");
    let screen = bench.wait_screen("and Enter");
    assert!(screen.ends_with("? May I push it?\n  y allows, a always, n refuses, and Enter"), "{screen}");
    bench.press("what for?\r");
    let screen = bench.wait_screen("Answer first");
    assert!(screen.ends_with("\n› what for?"), "words that are no answer are kept: {screen}");
    assert_eq!(bench.count(&json!("permission_resolved")), 0);
    bench.press("\x15y\r");
    bench.wait_seen(&json!({"permission_asked": {"what": "push more", "ask": "ask-2"}}));
    bench.press("n, it is Friday\r");
    bench.wait_screen("Denied. it is Friday");
    bench.wait_seen(&json!({"permission_asked": {"what": "push all", "ask": "ask-3"}}));
    bench.press("A\r");
    bench.wait_screen("Allowed always.");
    bench.wait_turns(1);
    // Nothing is asked any more: the same letter is a word.
    bench.press("y\r");
    bench.wait_screen("heard: y");
}

#[test]
fn a_question_is_answered_with_words() {
    let bench = Bench::start("question Dark or light?");
    bench.wait_seen(&json!({"question_asked": {"what": "Dark or light?"}}));
    bench.wait_screen("? Dark or light?");
    bench.press("dark\r");
    bench.wait_screen("heard: dark");
}

#[test]
fn ctrl_c_interrupts_the_turn_and_ends_nobody() {
    let bench = Bench::start("say Working. ; work 600s");
    bench.wait_seen(&json!("turn_started"));
    let agent = bench.agent_pid();
    bench.press("\x03");
    bench.wait_turns(1);
    assert_eq!(bench.count(&json!({"turn_ended": "interrupted"})), 1);
    bench.press("a draft");
    bench.wait_screen("› a draft");
    bench.press("\x03");
    bench.until("the draft to be gone", || !bench.screen().contains("a draft"));
    bench.press("\x03");
    bench.wait_screen("No turn is under way. Ctrl-D leaves.");
    assert!(is_alive(agent));
    bench.say("m1", "say Well and alive.");
    bench.wait_turns(2);
}

#[test]
fn ctrl_d_on_an_empty_line_leaves() {
    let bench = Bench::start("say Up.");
    bench.wait_turns(1);
    bench.press("a word\x04");
    bench.press("s");
    bench.wait_screen("› a words");
    bench.press("\x15\x04");
    assert_eq!(bench.wait_end().exit, Exit::Code(0));
    assert_eq!(bench.screen(), "› say Up.\n\n  Up.");
}

#[test]
fn a_commands_end_is_no_enter_of_a_persons() {
    let bench = Bench::start("say Ready.");
    bench.wait_turns(1);
    bench.press("append log.txt draft");
    bench.wait_screen("› append log.txt draft");
    for number in 0..20 {
        bench.say(&format!("m{number}"), &format!("append log.txt {number}"));
    }
    bench.wait_turns(21);
    let all: String = (0..20).map(|number| format!("{number}\n")).collect();
    assert_eq!(bench.file("log.txt"), all, "a draft is not sent by anybody else's Enter");
    bench.press("\r");
    bench.wait_turns(22);
    assert_eq!(bench.file("log.txt"), all + "draft\n");
}
