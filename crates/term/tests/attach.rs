//! What a person at a terminal gets. The person's terminal is a run of its own: a host holds the attach, as it holds
//! anything, and its log shows what the terminal was told.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{Bench, PTY, until};
use oarlock_term::{AttachEnd, AttachOptions, Client, Exit, Io, Size, attach};
use std::fs::{read, read_to_string};

const WORK: &str =
    "stty -echo; printf 'picture'; while read line; do echo \"<$line $(stty size)>\"; done; exit 4";

/// Not a test: a person's attach, in a process of its own with a terminal.
#[test]
#[ignore = "a helper of other tests"]
fn a_person_attaches() {
    let options = AttachOptions { read_only: std::env::var("LOOK").is_ok(), ..AttachOptions::default() };
    let end = match attach(std::env::var("ATTACH_TO").unwrap().as_ref(), options).unwrap() {
        AttachEnd::Detached => "left".to_owned(),
        AttachEnd::Exited(record) => format!("{:?}", record.exit),
        AttachEnd::Lost => "lost".to_owned(),
    };
    std::fs::write(std::env::var("END").unwrap(), end).unwrap();
}

/// Starts a person's terminal: settings before, an attach, settings after.
fn person(at: &Bench, size: Size, extra: &[(&str, &str)]) -> Bench {
    let bench = Bench::new();
    let test = std::env::current_exe().unwrap();
    let call = format!("{} --ignored --exact --nocapture a_person_attaches", test.display());
    let script = format!("stty -g > before; {call}; stty -g > after; touch back; exec sleep 1000");
    let mut spec = bench.spec(Io::Pty { size }, &["sh", "-c", &script]);
    let end = bench.file("end");
    let own = [("ATTACH_TO", at.dir().to_str().unwrap()), ("END", end.to_str().unwrap())];
    spec.env.extend(own.iter().chain(extra).map(|&(name, value)| (name.to_owned(), value.to_owned())));
    oarlock_term::ensure(bench.dir(), &spec, &common::host()).unwrap();
    bench
}

fn told(bench: &Bench) -> String {
    String::from_utf8_lossy(&read(bench.output()).unwrap()).into_owned()
}

fn press(bench: &Bench, keys: &[u8]) {
    Client::connect(bench.dir()).unwrap().input(keys).unwrap();
}

fn is_as_before(bench: &Bench) {
    until("the attach is over", || bench.file("back").exists());
    let [before, after] = ["before", "after"].map(|name| read_to_string(bench.file(name)).unwrap());
    assert_eq!(before, after, "the terminal's settings");
    assert!(told(bench).contains("\x1b[?25h\x1b[?1049l"), "the terminal's modes");
}

#[test]
fn a_person_sees_types_resizes_leaves_and_finds_the_terminal_as_it_was() {
    let work = Bench::new();
    work.start(PTY, WORK);
    let person = person(&work, Size { rows: 31, cols: 91 }, &[]);
    until("the picture is shown", || told(&person).contains("picture"));
    press(&person, b"hello\r");
    until("the answer is shown", || told(&person).contains("<hello 31 91>"));
    let size = Size { rows: 40, cols: 100 };
    let window = oarlock_term::ConnectOptions { size: Some(size), ..Default::default() };
    let _window = Client::connect_with(person.dir(), window).unwrap();
    until("the run has the new size", || {
        Client::connect(work.dir()).unwrap().status().unwrap().size == Some(size)
    });
    press(&person, b"again\r");
    until("the answer is shown", || told(&person).contains("<again 40 100>"));
    press(&person, b"\x1d");
    is_as_before(&person);
    assert_eq!(read_to_string(person.file("end")).unwrap(), "left");
    assert!(Client::connect(work.dir()).unwrap().status().unwrap().child_alive, "the run goes on");
}

#[test]
fn a_person_hears_of_the_end_of_the_run() {
    let work = Bench::new();
    work.start(PTY, WORK);
    let person = person(&work, Size::default(), &[]);
    until("the picture is shown", || told(&person).contains("picture"));
    press(&person, b"\x04");
    is_as_before(&person);
    assert_eq!(read_to_string(person.file("end")).unwrap(), format!("{:?}", Exit::Code(4)));
}

#[test]
fn a_terminal_is_restored_when_the_attach_or_the_host_is_ended() {
    use rustix::process::Signal;
    for signal in [Signal::TERM, Signal::HUP, Signal::KILL] {
        let work = Bench::new();
        let started = work.start(PTY, WORK);
        let person = person(&work, Size::default(), &[]);
        until("the picture is shown", || told(&person).contains("picture"));
        if signal == Signal::KILL {
            common::signal(started.host.pid, signal);
        } else {
            let shell = Client::connect(person.dir()).unwrap().identity().child.unwrap().pid;
            common::signal(common::child_of(shell).unwrap(), signal);
        }
        is_as_before(&person);
        let expected = if signal == Signal::KILL { "lost" } else { "left" };
        assert_eq!(read_to_string(person.file("end")).unwrap(), expected);
    }
}

#[test]
fn a_person_who_only_looks_types_nothing() {
    let work = Bench::new();
    work.start(PTY, WORK);
    let person = person(&work, Size { rows: 10, cols: 20 }, &[("LOOK", "1")]);
    until("the picture is shown", || told(&person).contains("picture"));
    press(&person, b"hello\r");
    press(&person, b"\x1d");
    is_as_before(&person);
    assert!(!told(&work).contains("hello"));
    assert_eq!(Client::connect(work.dir()).unwrap().status().unwrap().size, Some(Size::default()));
}
