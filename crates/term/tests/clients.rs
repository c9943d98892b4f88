//! What clients may rely on, on real processes. Every test uses a directory of its own and ends what it started.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{Bench, DEADLINE, PTY, message, output_until_exit, until, watching};
use oarlock_term::protocol::{MessageState, Watch};
use oarlock_term::{Client, ConnectOptions, Event, Io, RunDir, Size, render};
use std::fs::{read, read_to_string};
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_message_is_typed_once_even_if_sent_twice() {
    let bench = Bench::new();
    bench.start(Io::Pipes, "cat > typed");
    let mut client = Client::connect(bench.dir()).unwrap();
    assert_eq!(client.message_state("m-1").unwrap(), MessageState::Unknown);
    assert!(!client.message(&message("m-1", "once\r\nand\x1b[31m done")).unwrap());
    assert!(client.message(&message("m-1", "once\r\nand\x1b[31m done")).unwrap(), "a duplicate, and said so");
    assert!(Client::connect(bench.dir()).unwrap().message(&message("m-1", "other")).unwrap());
    assert!(!client.message(&message("m-2", "next")).unwrap());
    assert!(client.message(&message("", "nameless")).is_err());
    client.end_input().unwrap();
    assert!(client.message(&message("m-3", "late")).is_err(), "the input is closed");
    bench.wait_end();
    assert_eq!(read_to_string(bench.file("typed")).unwrap(), "once\nand[31m done\nnext\n");
    let inbox = read_to_string(RunDir::new(bench.dir()).input()).unwrap();
    assert_eq!(inbox.matches("\"m-1\"").count(), 2, "once queued, once typed: {inbox}");
}

#[test]
fn a_message_is_a_paste_only_where_the_application_wants_one() {
    let bench = Bench::new();
    bench.start(PTY, "stty raw -echo; touch ready; head -c 4 > plain; printf '\\033[?2004h'; cat > pasted");
    until("it is ready", || bench.file("ready").exists());
    let mut client = Client::connect(bench.dir()).unwrap();
    client.message(&message("m-1", "a\nb")).unwrap();
    until("the mode is on", || client.status().unwrap().bracketed_paste);
    client.message(&message("m-2", "c\x1b[201~d")).unwrap();
    until("it was typed", || client.message_state("m-2").unwrap() == MessageState::Typed);
    until("it was read", || read(bench.file("pasted")).is_ok_and(|bytes| bytes.ends_with(b"\r")));
    assert_eq!(read(bench.file("plain")).unwrap(), b"a\nb\r");
    assert_eq!(read(bench.file("pasted")).unwrap(), b"\x1b[200~c[201~d\x1b[201~\r");
    bench.kill();
}

#[test]
fn all_clients_see_the_same_bytes_from_where_they_ask() {
    let bench = Bench::new();
    bench.start(Io::Pipes, "read go; seq 1 20000; read end");
    let mut clients: Vec<_> = (0..4).map(|_| watching(&bench, Watch::Output { from: 0 })).collect();
    clients[0].input(b"go\n").unwrap();
    until("all is written", || read(bench.output()).is_ok_and(|bytes| bytes.ends_with(b"\n20000\n")));
    clients.push(watching(&bench, Watch::Output { from: 0 }));
    let mut late = watching(&bench, Watch::Output { from: 100 });
    clients[0].input(b"end\n").unwrap();
    let whole = output_until_exit(&mut clients[0]);
    assert_eq!(whole, read(bench.output()).unwrap());
    for client in &mut clients[1..] {
        assert!(output_until_exit(client) == whole);
    }
    assert!(output_until_exit(&mut late) == whole[100..], "from the offset it asked for");
}

#[test]
fn a_client_that_never_reads_holds_up_nobody() {
    let bench = Bench::new();
    bench.start(Io::Pipes, "read go; head -c 20000000 /dev/zero");
    let lazy = watching(&bench, Watch::Output { from: 0 });
    Client::connect(bench.dir()).unwrap().input(b"go\n").unwrap();
    let record = bench.wait_end();
    assert_eq!(record.bytes, 20_000_000);
    let mut lazy = lazy;
    assert_eq!(
        output_until_exit(&mut lazy).len(),
        20_000_000,
        "it reads the rest from the file, losing nothing"
    );
}

#[test]
fn a_late_client_sees_the_screen_as_it_is_and_then_what_follows() {
    let bench = Bench::new();
    let draw = "printf '\\033[?1049h\\033]2;title\\007\\033[2J\\033[5;10Hhello \\033[1;31mred'; read go; printf ' more'; read end";
    bench.start(PTY, &format!("stty -echo; {draw}"));
    let mut client = Client::connect(bench.dir()).unwrap();
    until("it is drawn", || client.status().unwrap().bytes >= 45);
    let bytes = read(bench.output()).unwrap();
    let mut direct = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
    direct.process(&bytes);
    let screen = client.snapshot().unwrap();
    assert_eq!(
        String::from_utf8(screen.contents_formatted.clone()).unwrap(),
        direct.screen().state_formatted()
    );
    assert_eq!((screen.title.as_deref(), screen.alternate_screen), (Some("title"), true));
    assert_eq!(screen.lines[4].trim(), "hello red");

    let mut watcher = watching(&bench, Watch::Screen);
    assert_eq!(watcher.next_event(Some(DEADLINE)).unwrap(), Some(Event::Screen(screen.clone())));
    watcher.input(b"go\n").unwrap();
    let Some(Event::Output { offset, bytes }) = watcher.next_event(Some(DEADLINE)).unwrap() else { panic!() };
    assert_eq!((offset, bytes.as_slice()), (screen.offset, b" more".as_slice()));
    let after = client.snapshot().unwrap();
    assert_eq!(after.lines[4].trim(), "hello red more", "a model that was made earlier goes on");
    watcher.input(b"end\n").unwrap();
    bench.wait_end();
    let ended = render(bench.dir(), None, Size::default()).unwrap();
    assert_eq!(ended.lines, after.lines, "the same from the file, after the end");
}

#[test]
fn the_terminal_has_the_size_of_whoever_did_something_last() {
    let bench = Bench::new();
    bench.start(PTY, "stty raw -echo; while :; do head -c 1 > /dev/null; stty size > size; done");
    let sized = |rows, read_only| {
        let size = Some(Size { rows, cols: 100 });
        Client::connect_with(bench.dir(), ConnectOptions { watch: Watch::Exit, size, read_only }).unwrap()
    };
    let mut first = sized(30, false);
    let mut second = sized(50, false);
    let looker = sized(10, true);
    let rows = |client: &mut Client| client.status().unwrap().size.unwrap().rows;
    assert_eq!(rows(&mut first), 50, "the last to attach, and one who only looks does not count");
    first.input(b"x").unwrap();
    assert_eq!(rows(&mut first), 30, "the last to type");
    second.resize(Size { rows: 51, cols: 100 }).unwrap();
    assert_eq!(rows(&mut second), 30, "moving a window is not typing");
    drop(first);
    until("the other's size is back", || rows(&mut second) == 51);
    second.input(b"x").unwrap();
    until("the child knows", || read_to_string(bench.file("size")).is_ok_and(|size| size == "51 100\n"));
    drop(looker);
    bench.kill();
}

#[test]
fn one_who_may_only_look_changes_nothing() {
    let bench = Bench::new();
    bench.start(Io::Pipes, "cat");
    let options = ConnectOptions { read_only: true, ..ConnectOptions::default() };
    let mut client = Client::connect_with(bench.dir(), options).unwrap();
    assert!(client.kill().is_err() && client.stop(1).is_err() && client.signal(9).is_err());
    assert!(client.message(&message("m", "text")).is_err() && client.end_input().is_err());
    assert!(client.status().unwrap().child_alive);
    bench.kill();
}

#[test]
fn a_directory_may_be_deeper_than_a_socket_address() {
    let bench = Bench::with_depth(300);
    assert!(bench.dir().as_os_str().len() > 300);
    bench.start(PTY, "sleep 1000");
    Client::connect(bench.dir()).unwrap().ping().unwrap();
    bench.kill();
}

#[test]
fn nobody_else_may_read_what_a_run_leaves() {
    let bench = Bench::new();
    bench.start(PTY, "sleep 1000");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(bench.dir()), 0o700);
    for entry in std::fs::read_dir(bench.dir()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    bench.kill();
}

#[test]
fn a_child_that_never_reads_blocks_nobody() {
    let bench = Bench::new();
    bench.start(Io::Pipes, "sleep 1000");
    let mut client = Client::connect(bench.dir()).unwrap();
    let big = "x".repeat(400_000);
    assert!(!client.message(&message("m-1", &big)).unwrap());
    assert!(!client.message(&message("m-2", &big)).unwrap());
    let refused = client.message(&message("m-3", &"y".repeat(600_000)));
    assert!(refused.unwrap_err().to_string().contains("refused"), "the queue has its bound");
    assert_eq!(client.message_state("m-2").unwrap(), MessageState::Queued);
    assert_eq!(client.message_state("m-3").unwrap(), MessageState::Unknown, "and may be sent again later");
    let mut watcher = watching(&bench, Watch::Exit);
    watcher.input(&vec![b'z'; 600_000]).unwrap();
    let refused = watcher.next_event(Some(DEADLINE)).unwrap();
    assert!(matches!(refused, Some(Event::InputRefused { .. })), "keys, too: {refused:?}");
    client.ping().unwrap();
    bench.kill();
}

#[test]
fn rubbish_on_the_socket_harms_only_its_sender() {
    use std::io::{Read, Write};
    let bench = Bench::new();
    bench.start(PTY, "sleep 1000");
    for rubbish in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[1, 255, 255, 255, 255], &[7, 0, 0, 0, 0], &[1, 1, 0, 0, 0, b'{']]
    {
        let mut stream = std::os::unix::net::UnixStream::connect(RunDir::new(bench.dir()).socket()).unwrap();
        stream.write_all(rubbish).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer.first(), Some(&73), "it is told off and turned away");
    }
    assert!(Client::connect(bench.dir()).unwrap().status().unwrap().child_alive);
    bench.kill();
}
