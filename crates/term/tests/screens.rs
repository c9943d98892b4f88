//! What one who follows screens may rely on, on real programs. Every test uses a directory of its own and ends what it started.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{Bench, DEADLINE, PTY, until, watching};
use oarlock_term::protocol::Watch;
use oarlock_term::{Client, ClientError, ConnectOptions, Event, Exit, Io, Screen, Screens, Seen, Size};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use std::time::{Duration, Instant};

const QUIET: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(600);

/// Waits for the descriptor as an event loop does, and reads until something is seen.
fn next(screens: &mut Screens) -> Vec<Seen> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let seen = screens.read_ready().unwrap();
        if !seen.is_empty() {
            return seen;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "nothing came in time");
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        poll(&mut [PollFd::new(screens, PollFlags::IN)], Some(&timeout)).unwrap();
    }
}

/// Reads until a screen fits, and returns it and how many came before.
fn until_screen(screens: &mut Screens, fits: impl Fn(&Screen) -> bool) -> (Screen, usize) {
    let mut before = 0;
    loop {
        for seen in next(screens) {
            match seen {
                Seen::Screen(screen) if fits(&screen) => return (screen, before),
                Seen::Screen(_) => before += 1,
                other => panic!("no such screen came: {other:?}"),
            }
        }
    }
}

fn shows(screen: &Screen, text: &str) -> bool {
    screen.lines.iter().any(|line| line.contains(text))
}

#[test]
fn a_screen_comes_at_once_and_then_after_each_change_with_its_title_and_nothing_in_between() {
    let bench = Bench::new();
    let script =
        "stty -echo; printf '\\033]0;* first\\007one'; read line; printf '\\033]2;done\\007 two'; read line";
    let started = bench.start(PTY, script);
    until("it is drawn", || Client::connect(bench.dir()).unwrap().status().unwrap().bytes >= 15);
    let mut screens = Screens::open(bench.dir(), QUIET, LONG, None).unwrap();
    assert_eq!(screens.identity().child.unwrap().pid, started.child_pid);
    assert_eq!(screens.first_status().foreground, Some(true));
    let (first, before) = until_screen(&mut screens, |_| true);
    assert_eq!((first.title.as_deref(), before, first.foreground), (Some("* first"), 0, Some(true)));
    assert!(shows(&first, "one"));
    until("the host sleeps", || common::is_asleep(started.host.pid));
    let before = common::switches(started.host.pid);
    let begin = Instant::now();
    while begin.elapsed() < 10 * QUIET {
        // Something else that takes a while, instead of a sleep: a whole other run.
        Bench::new().run_to_end(PTY, "true");
    }
    assert!(common::switches(started.host.pid) - before <= 1, "no wakeups while nothing is drawn");
    assert_eq!(screens.read_ready().unwrap(), [], "and nothing is sent");
    Client::connect(bench.dir()).unwrap().input(b"\r").unwrap();
    let (second, before) = until_screen(&mut screens, |screen| screen.title.as_deref() == Some("done"));
    assert!(shows(&second, "one two"));
    assert_eq!(before, 0, "both pieces in one screen");
    bench.kill();
}

#[test]
fn output_without_a_pause_is_shown_now_and_then() {
    const EVERY: Duration = Duration::from_millis(200);
    let bench = Bench::new();
    bench.start(PTY, "n=0; while [ $n -lt 2000 ]; do n=$((n+1)); printf \"\\r$n\"; sleep 0.002; done; printf last; read line");
    let begin = Instant::now();
    let mut screens = Screens::open(bench.dir(), Duration::from_secs(2), EVERY, None).unwrap();
    let (_, before) = until_screen(&mut screens, |screen| shows(screen, "2000last"));
    let most = begin.elapsed().as_millis() / EVERY.as_millis() + 2;
    assert!((3..=most as usize).contains(&before), "{before} screens, at most {most} were due");
    bench.kill();
}

#[test]
fn one_who_does_not_read_is_sent_the_latest_and_costs_the_host_nothing() {
    let bench = Bench::new();
    let page = "seq -s ' ' 1 2400; printf 'page %s of 400' $n";
    let script = format!(
        "stty -echo; read go; n=0; while [ $n -lt 400 ]; do n=$((n+1)); printf '\\033[2J\\033[H'; {page}; sleep 0.012; done; touch done; read line"
    );
    let started = bench.start(Io::Pty { size: Size { rows: 60, cols: 200 } }, &script);
    let mut screens = Screens::open(bench.dir(), Duration::from_millis(10), LONG, None).unwrap();
    let resident = common::resident_kib(started.host.pid);
    Client::connect(bench.dir()).unwrap().input(b"\r").unwrap();
    until("all is drawn", || bench.file("done").exists());
    let grown = common::resident_kib(started.host.pid).saturating_sub(resident);
    assert!(grown < 4 << 10, "{grown} KiB more for one who does not read");
    println!("{grown} KiB more for one who does not read");
    let (_, before) = until_screen(&mut screens, |screen| shows(screen, "page 400 of 400"));
    println!("{before} of 400 screens waited in the socket");
    bench.kill();
}

#[test]
fn the_last_screen_comes_before_the_end() {
    let bench = Bench::new();
    bench.start(PTY, "stty -echo; read line; echo last words; exit 3");
    let mut screens = Screens::open(bench.dir(), LONG, LONG, None).unwrap();
    let first = next(&mut screens);
    assert!(matches!(first[..], [Seen::Screen(_)]), "{first:?}");
    Client::connect(bench.dir()).unwrap().input(b"\r").unwrap();
    let mut seen = next(&mut screens);
    while !matches!(seen.last(), Some(Seen::Exited(_) | Seen::Closed)) {
        seen.extend(next(&mut screens));
    }
    let [Seen::Screen(screen), Seen::Exited(record)] = &seen[..] else { panic!("{seen:?}") };
    assert!(shows(screen, "last words"), "although it was never quiet for so long");
    assert_eq!(record.exit, Exit::Code(3));
    assert_eq!(screens.read_ready().unwrap(), [], "nothing comes after the end");
}

#[test]
fn a_host_that_dies_closes_the_watch() {
    let bench = Bench::new();
    let started = bench.start(PTY, "sleep 1000");
    let mut screens = Screens::open(bench.dir(), QUIET, LONG, None).unwrap();
    until_screen(&mut screens, |_| true);
    common::signal(started.host.pid, Signal::KILL);
    assert_eq!(next(&mut screens), [Seen::Closed]);
}

#[test]
fn a_new_size_and_another_program_in_the_foreground_are_shown() {
    let bench = Bench::new();
    bench.start(PTY, "stty -echo; printf ready; read line; set -m; sh -c 'printf stranger; sleep 1000'");
    let mut screens = Screens::open(bench.dir(), QUIET, LONG, None).unwrap();
    until_screen(&mut screens, |screen| shows(screen, "ready"));
    let size = Some(Size { rows: 30, cols: 90 });
    let sized = ConnectOptions { size, ..ConnectOptions::default() };
    let mut client = Client::connect_with(bench.dir(), sized).unwrap();
    until_screen(&mut screens, |screen| (screen.rows, screen.cols) == (30, 90));
    client.input(b"\r").unwrap();
    let (screen, _) = until_screen(&mut screens, |screen| shows(screen, "stranger"));
    assert_eq!(screen.foreground, Some(false));
    bench.kill();
}

#[test]
fn a_blocking_client_may_follow_screens_too_and_ask_meanwhile() {
    let bench = Bench::new();
    bench.start(PTY, "stty -echo; printf one; read line; printf ' two'; read line");
    let mut client = watching(&bench, Watch::Screens { quiet_ms: 30, at_most_every_ms: 1000 });
    until("it is drawn", || client.status().unwrap().bytes == 3);
    client.input(b"\r").unwrap();
    until("the change came", || match client.next_event(Some(DEADLINE)).unwrap() {
        Some(Event::Screen(screen)) => shows(&screen, "one two"),
        other => panic!("{other:?}"),
    });
    client.input(b"\r").unwrap();
    assert_eq!(
        client.wait_exit(DEADLINE).unwrap().exit,
        Exit::Code(0),
        "no output was asked for, and none came"
    );
}

#[test]
fn a_run_behind_pipes_has_no_screens() {
    let bench = Bench::new();
    bench.start(Io::Pipes, "cat");
    match Screens::open(bench.dir(), QUIET, LONG, None) {
        Err(ClientError::Refused { reason, .. }) => assert!(reason.contains("no screen"), "{reason}"),
        other => panic!("{other:?}"),
    }
    bench.kill();
}
