//! What a guard promises, on real programs that draw prompts, dialogs and spinners, die, or hand the terminal to another.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{Bench, PTY, message, until};
use oarlock_term::protocol::{Guard, Message, MessageState, RefusalCode};
use oarlock_term::{Client, ClientError, Io, RunDir, Screens, Seen};
use std::fs::{read, read_to_string, write};
use std::time::Duration;

const RAW: &str = "stty raw -echo;";

/// A prompt is shown and no dialog.
fn at_prompt() -> Guard {
    Guard {
        shows: vec!["^>".into()],
        hides: vec!["Do you want".into()],
        rows: 0,
        foreground: false,
        standing: None,
    }
}

fn guarded(id: &str, text: &str, guard: Guard) -> Message {
    Message { guard: Some(guard), ..message(id, text) }
}

fn refused(client: &mut Client, message: &Message) -> (RefusalCode, String) {
    match client.message(message) {
        Err(ClientError::Refused { reason, code }) => (code, reason),
        other => panic!("it must be refused: {other:?}"),
    }
}

/// Sends a message under the same id until it is taken; any refusal but `not_ready` is a fault.
fn send_until_taken(client: &mut Client, message: &Message) {
    until("the message is taken", || match client.message(message) {
        Ok(duplicate) => {
            assert!(!duplicate, "what was refused is not remembered");
            true
        }
        Err(ClientError::Refused { code: RefusalCode::NotReady, .. }) => false,
        Err(error) => panic!("{error:?}"),
    });
}

fn until_typed(client: &mut Client, id: &str) {
    until("it is typed", || client.message_state(id).unwrap() == MessageState::Typed);
}

fn until_read(bench: &Bench, name: &str, wanted: &[u8]) {
    until("the child has read it", || read(bench.file(name)).is_ok_and(|bytes| bytes.len() >= wanted.len()));
    assert_eq!(read(bench.file(name)).unwrap().escape_ascii().to_string(), wanted.escape_ascii().to_string());
}

#[test]
fn a_message_is_typed_only_once_the_prompt_is_there_and_refused_without_a_trace_before() {
    let bench = Bench::new();
    bench.start(
        PTY,
        &format!(
            "{RAW} printf loading; while [ ! -e go ]; do sleep 0.02; done; printf '\\r\\n> '; cat > typed"
        ),
    );
    let mut client = Client::connect(bench.dir()).unwrap();
    let hello = guarded("m-1", "hello", at_prompt());
    let (code, reason) = refused(&mut client, &hello);
    assert_eq!((code.as_str(), code), ("not_ready", RefusalCode::NotReady));
    assert!(reason.contains("nothing of what it has to"), "{reason}");
    assert_eq!(client.message_state("m-1").unwrap(), MessageState::Unknown);
    assert_eq!(read_to_string(RunDir::new(bench.dir()).input()).unwrap(), "", "nothing was recorded");
    write(bench.file("go"), "").unwrap();
    send_until_taken(&mut client, &hello);
    assert!(client.message(&hello).unwrap(), "a duplicate, and said so");
    until_read(&bench, "typed", b"hello\r");
    until_typed(&mut client, "m-1");
    bench.kill();
}

#[test]
fn nothing_is_typed_into_a_dialog_although_the_prompt_is_still_in_sight() {
    let bench = Bench::new();
    let dialog = "printf '> \\r\\n\\r\\nDo you want to go on?\\r\\n 1. Yes'";
    bench.start(PTY, &format!("{RAW} {dialog}; cat > typed"));
    let mut client = Client::connect(bench.dir()).unwrap();
    until("it is drawn", || client.snapshot().unwrap().lines.iter().any(|line| line.contains("1. Yes")));
    let (code, reason) = refused(&mut client, &guarded("m-1", "no", at_prompt()));
    assert_eq!(code, RefusalCode::NotReady);
    assert!(reason.contains("Do you want"), "{reason}");
    // Only the lowest line, and then what is wanted is not there.
    assert_eq!(
        refused(&mut client, &guarded("m-1", "no", Guard { rows: 1, ..at_prompt() })).0,
        RefusalCode::NotReady
    );
    let yes = Guard { shows: vec!["^ 1\\. Yes$".into()], rows: 1, ..Guard::default() };
    client.message(&guarded("m-1", "yes", yes)).unwrap();
    until_read(&bench, "typed", b"yes\r");
    bench.kill();
}

#[test]
fn nothing_is_typed_into_a_program_that_took_the_terminal() {
    let bench = Bench::new();
    // Job control gives the second cat a group of its own, and the terminal.
    let script = "stty -echo; printf '> '; set -m; cat > stranger; touch back; while read line; do echo $line >> own; done";
    bench.start(PTY, script);
    let mut client = Client::connect(bench.dir()).unwrap();
    until("the other has the terminal", || client.status().unwrap().foreground == Some(false));
    let own_only = Guard { foreground: true, ..at_prompt() };
    let (code, reason) = refused(&mut client, &guarded("m-1", "for the agent", own_only.clone()));
    assert_eq!(code, RefusalCode::NotReady);
    assert!(reason.contains("another program"), "{reason}");
    assert_eq!(client.snapshot().unwrap().foreground, Some(false));
    client.message(&guarded("m-2", "for anyone", at_prompt())).unwrap();
    until("it was read", || read(bench.file("stranger")).is_ok_and(|bytes| bytes == b"for anyone\n"));
    client.input(b"\x04").unwrap();
    until("the child is back", || bench.file("back").exists());
    until("it has the terminal", || client.status().unwrap().foreground == Some(true));
    send_until_taken(&mut client, &guarded("m-1", "for the agent", own_only));
    until("it was read", || read(bench.file("own")).is_ok_and(|bytes| bytes == b"for the agent\n"));
    assert_eq!(read_to_string(bench.file("stranger")).unwrap(), "for anyone\n");
    bench.kill();
}

#[test]
fn nothing_is_typed_into_a_shell_that_its_agent_left_behind() {
    let bench = Bench::new();
    // No job control: the agent is in the shell's own group, and its prompt stays on the screen.
    let agent =
        "printf \"> \"; while read -r line; do echo $line >> heard; [ $line = die ] && kill -9 $$; done";
    bench.start(
        PTY,
        &format!(
            "stty -echo; sh -c '{agent}'; touch shell left; while read -r line; do echo $line >> shell; done"
        ),
    );
    let mut client = Client::connect(bench.dir()).unwrap();
    let own_only = Guard { foreground: true, ..at_prompt() };
    send_until_taken(&mut client, &guarded("m-1", "live", own_only.clone()));
    until("it was read", || read(bench.file("heard")).is_ok_and(|bytes| bytes == b"live\n"));
    send_until_taken(&mut client, &guarded("m-2", "die", own_only.clone()));
    until("only the shell is left", || bench.file("left").exists());
    until("the host knows", || client.status().unwrap().foreground == Some(false));
    let (code, reason) = refused(&mut client, &guarded("m-3", "rm -rf .", own_only));
    assert_eq!(code, RefusalCode::NotReady);
    assert!(reason.contains("another program"), "{reason}");
    assert_eq!(read(bench.file("shell")).unwrap(), b"");
    bench.kill();
}

#[test]
fn an_agent_that_dies_before_its_first_message_is_known_by_the_prompt_it_drew() {
    let bench = Bench::new();
    let agent = "printf \"> \"; until [ -e go ]; do sleep 0.02; done";
    let shell = "touch left; while read -r line; do echo $line >> shell; done";
    bench.start(PTY, &format!("stty -echo; touch shell; sh -c '{agent}'; {shell}"));
    let own_only = Guard { foreground: true, ..at_prompt() };
    let (quiet, longest) = (Duration::from_millis(30), Duration::from_millis(300));
    let mut screens = Screens::open(bench.dir(), quiet, longest, Some(&own_only)).unwrap();
    let shows_prompt = |seen: &Seen| matches!(seen, Seen::Screen(screen) if screen.lines[0].starts_with('>'));
    until("its prompt is seen", || screens.read_ready().unwrap().iter().any(shows_prompt));
    write(bench.file("go"), "").unwrap();
    until("only the shell is left", || bench.file("left").exists());
    let mut client = Client::connect(bench.dir()).unwrap();
    let (code, reason) = refused(&mut client, &guarded("m-1", "rm -rf .", own_only));
    assert_eq!(code, RefusalCode::NotReady);
    assert!(reason.contains("another program"), "{reason}");
    assert_eq!(read(bench.file("shell")).unwrap(), b"");
    bench.kill();
}

#[test]
fn a_text_that_says_what_a_dialog_says_is_submitted_all_the_same() {
    let bench = Bench::new();
    let echo = "printf '\\033[2J\\033[H> why: Do you want it\\r\\n'";
    bench.start(PTY, &format!("{RAW} printf '> '; head -c 20 > text; {echo}; cat > enter"));
    let mut client = Client::connect(bench.dir()).unwrap();
    let text = "why: Do you want it?";
    send_until_taken(&mut client, &Message { settle_ms: 300, ..guarded("m-1", text, at_prompt()) });
    until_typed(&mut client, "m-1");
    until_read(&bench, "enter", b"\r");
    // An Enter of its own for such a text, as when it is pressed again.
    let keys = |id: &str, guard| Message { keys: true, ..guarded(id, "\r", guard) };
    assert_eq!(refused(&mut client, &keys("m-2", at_prompt())).0, RefusalCode::NotReady);
    client.message(&keys("m-3", Guard { standing: Some(text.into()), ..at_prompt() })).unwrap();
    until_read(&bench, "enter", b"\r\r");
    bench.kill();
}

#[test]
fn a_spinner_keeps_no_one_waiting_for_an_answer() {
    let bench = Bench::new();
    let spin = "while :; do printf '\\033[2;1H* working'; sleep 0.1; printf '\\033[2;1H+ working'; sleep 0.1; done &";
    bench.start(PTY, &format!("{RAW} printf '\\033[2J\\033[H> '; {spin} cat > typed"));
    let mut client = Client::connect(bench.dir()).unwrap();
    until("it spins", || client.snapshot().unwrap().lines[1].contains("working"));
    let busy = Guard { hides: vec!["working".into()], ..at_prompt() };
    for _ in 0..20 {
        let (code, reason) = refused(&mut client, &guarded("m-1", "later", busy.clone()));
        assert_eq!(code, RefusalCode::NotReady);
        assert!(reason.contains("working"), "it was looked at: {reason}");
    }
    send_until_taken(&mut client, &guarded("m-1", "now", at_prompt()));
    until_read(&bench, "typed", b"now\r");
    bench.kill();
}

#[test]
fn a_flood_is_no_prompt_and_the_host_stays_in_reach() {
    let bench = Bench::new();
    bench.start(PTY, "stty raw -echo; yes '> '");
    let mut client = Client::connect(bench.dir()).unwrap();
    until("it floods", || client.status().unwrap().bytes > 100_000);
    for _ in 0..5 {
        assert_eq!(refused(&mut client, &guarded("m-1", "x", at_prompt())).0, RefusalCode::NotReady);
        client.ping().unwrap();
    }
    bench.kill();
}

#[test]
fn half_a_picture_is_not_judged() {
    let bench = Bench::new();
    // Whole pictures show the dialog; halves show a prompt.
    let draw =
        "printf '\\033[?2026h\\033[2J\\033[H> '; sleep 0.04; printf 'Do you want?\\033[?2026l'; sleep 0.04";
    bench.start(PTY, &format!("{RAW} (while :; do {draw}; done) & cat > typed"));
    let mut client = Client::connect(bench.dir()).unwrap();
    until("it draws", || client.status().unwrap().bytes > 40);
    for _ in 0..30 {
        assert_eq!(refused(&mut client, &guarded("m-1", "x", at_prompt())).0, RefusalCode::NotReady);
    }
    assert_eq!(read(bench.file("typed")).unwrap(), b"");
    bench.kill();
}

#[test]
fn an_enter_is_not_pressed_once_a_dialog_came_up_after_the_text() {
    let bench = Bench::new();
    let ask = "printf '\\r\\nDo you want to go on?\\r\\n> 1. Yes'";
    bench.start(PTY, &format!("{RAW} printf '> '; head -c 5 > text; {ask}; cat > answer"));
    let mut client = Client::connect(bench.dir()).unwrap();
    let slow = Message { settle_ms: 2000, ..guarded("m-1", "hello", at_prompt()) };
    send_until_taken(&mut client, &slow);
    assert_eq!(client.message_state("m-1").unwrap(), MessageState::Queued, "its Enter is to come");
    let meanwhile = refused(&mut client, &guarded("m-2", "me too", Guard::default()));
    assert_eq!(meanwhile.0, RefusalCode::NotReady, "nobody gets in between: {}", meanwhile.1);
    until("its fate is known", || client.message_state("m-1").unwrap() == MessageState::Unsubmitted);
    assert!(client.message(&slow).unwrap(), "and it is not typed again");
    assert_eq!(read(bench.file("text")).unwrap(), b"hello");
    let shown = Guard { shows: vec!["1\\. Yes".into()], rows: 2, ..Guard::default() };
    let escape = Message { keys: true, ..guarded("m-3", "\x1b", shown) };
    client.message(&escape).unwrap();
    until_read(&bench, "answer", b"\x1b");
    let record = read_to_string(RunDir::new(bench.dir()).input()).unwrap();
    assert!(record.contains("unsubmitted"), "{record}");
    bench.kill();
}

#[test]
fn an_enter_is_pressed_when_only_the_prompt_has_changed() {
    let bench = Bench::new();
    bench.start(
        PTY,
        &format!("{RAW} printf '> '; head -c 5 > text; printf '\\033[2J\\033[Hhello'; cat > enter"),
    );
    let mut client = Client::connect(bench.dir()).unwrap();
    send_until_taken(
        &mut client,
        &Message { settle_ms: 300, ..guarded("m-1", "hello", Guard { foreground: true, ..at_prompt() }) },
    );
    until_typed(&mut client, "m-1");
    until_read(&bench, "enter", b"\r");
    bench.kill();
}

#[test]
fn keys_are_written_as_they_are_and_once() {
    let bench = Bench::new();
    bench.start(PTY, &format!("{RAW} printf '> \\033[?2004h'; cat > typed"));
    let mut client = Client::connect(bench.dir()).unwrap();
    until("it wants pastes", || client.status().unwrap().bracketed_paste);
    let keys = |id: &str, text: &str| Message { keys: true, settle_ms: 5000, ..message(id, text) };
    client.message(&keys("m-1", "\x1b[A\x03\r1y")).unwrap();
    assert!(client.message(&keys("m-1", "\x1b[A\x03\r1y")).unwrap());
    client.message(&Message { guard: Some(at_prompt()), ..keys("m-2", "\x1b") }).unwrap();
    client.message(&keys("m-3", "")).unwrap();
    until_read(&bench, "typed", b"\x1b[A\x03\r1y\x1b");
    ["m-1", "m-2", "m-3"].iter().for_each(|id| until_typed(&mut client, id));
    bench.kill();
}

#[test]
fn a_guard_that_can_never_be_met_is_told_from_one_that_is_not_met_yet() {
    let bench = Bench::new();
    bench.start(PTY, &format!("{RAW} printf '> '; cat > typed"));
    let mut client = Client::connect(bench.dir()).unwrap();
    let bad = Guard { hides: vec!["(".into()], ..at_prompt() };
    let (code, reason) = refused(&mut client, &guarded("m-1", "x", bad));
    assert_eq!((code.as_str(), code), ("bad_guard", RefusalCode::BadGuard));
    assert!(reason.contains("of hides is no expression"), "{reason}");
    let many = Guard { shows: vec!["x".into(); 33], ..Guard::default() };
    assert_eq!(refused(&mut client, &guarded("m-1", "x", many)).0, RefusalCode::BadGuard);
    assert_eq!(client.message_state("m-1").unwrap(), MessageState::Unknown);
    bench.kill();
    let piped = Bench::new();
    piped.start(Io::Pipes, "cat > typed");
    let mut client = Client::connect(piped.dir()).unwrap();
    assert_eq!(refused(&mut client, &guarded("m-1", "x", Guard::default())).0, RefusalCode::BadGuard);
    assert_eq!(client.status().unwrap().foreground, None);
    client.end_input().unwrap();
    piped.wait_end();
    assert_eq!(read(piped.file("typed")).unwrap(), b"");
}

#[test]
fn a_child_that_died_is_not_typed_to() {
    let bench = Bench::new();
    // What it leaves behind keeps the run from being over.
    bench.start(PTY, "printf '> '; (trap '' TERM HUP; touch there; sleep 1000) & while [ ! -e there ]; do sleep 0.02; done");
    let mut client = Client::connect(bench.dir()).unwrap();
    until("the child has ended", || !client.status().unwrap().child_alive);
    assert_eq!(refused(&mut client, &guarded("m-1", "x", at_prompt())).0, RefusalCode::Ended);
    bench.wait_end();
}
