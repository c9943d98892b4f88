//! A guard against a program whose dialogs come up at random moments and which records every byte it is sent, and when.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{Bench, PTY, until};
use oarlock_term::protocol::{Guard, Message, MessageState, RefusalCode};
use oarlock_term::{Client, ClientError, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fmt::Write as _;
use std::fs::{File, read_to_string};
use std::io::Write;
use std::time::{Duration, Instant};

/// Programs at once, and the messages each is sent: 500 rounds in all.
const PROGRAMS: u64 = 5;
const ROUNDS: u32 = 100;
/// How long a look may take. A byte that comes when a dialog is up for longer was typed by a host that did not see it.
const LOOK_WITHIN_US: u128 = 100_000;

/// Draws a prompt or a dialog in turn, each for a random time, and writes down what it is sent.
struct Program {
    record: File,
    is_dialog: bool,
    since: Instant,
    random: u64,
}

impl Program {
    /// xorshift64.
    fn next_ms(&mut self, max: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        1 + self.random % max
    }

    fn draw(&mut self) {
        let picture: &[u8] = if self.is_dialog {
            b"\x1b[2J\x1b[HDo you want to go on?\r\n> 1. Yes"
        } else {
            b"\x1b[2J\x1b[Hhello\r\n> "
        };
        assert_eq!(rustix::io::write(rustix::stdio::stdout(), picture).unwrap(), picture.len());
        self.since = Instant::now();
    }

    /// Reads what has come within this time, and tells whether anything has.
    fn hear(&mut self, within: Duration) -> bool {
        let timeout =
            Timespec { tv_sec: within.as_secs().cast_signed(), tv_nsec: within.subsec_nanos().into() };
        let stdin = rustix::stdio::stdin();
        if poll(&mut [PollFd::from_borrowed_fd(stdin, PollFlags::IN)], Some(&timeout)).unwrap() == 0 {
            return false;
        }
        let mut bytes = [0; 4096];
        let count = rustix::io::read(stdin, &mut bytes).unwrap();
        let mut line = format!("{} {} ", u8::from(self.is_dialog), self.since.elapsed().as_micros());
        bytes[..count].iter().for_each(|byte| write!(line, "{byte:02x}").unwrap());
        writeln!(self.record, "{line}").unwrap();
        true
    }
}

/// Not a test: the program, in a process of its own. Whoever started it ends it.
#[test]
#[ignore = "a helper of another test"]
fn puts_up_dialogs() {
    let mut modes = tcgetattr(rustix::stdio::stdin()).unwrap();
    modes.make_raw();
    tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes).unwrap();
    let record = File::create(std::env::var("RECORD").unwrap()).unwrap();
    let random = std::env::var("SEED").unwrap().parse().unwrap();
    let mut program = Program { record, is_dialog: false, since: Instant::now(), random };
    loop {
        program.draw();
        let stay =
            Duration::from_millis(if program.is_dialog { program.next_ms(250) } else { program.next_ms(80) });
        while let Some(left) = stay.checked_sub(program.since.elapsed()) {
            program.hear(left);
        }
        // What came before the next picture belongs to this one.
        while program.hear(Duration::ZERO) {}
        program.is_dialog = !program.is_dialog;
    }
}

/// Sends the messages of one program, and returns what it has to have read, its record, and how often it was not ready.
fn converse(seed: u64) -> (String, String, u32) {
    let bench = Bench::new();
    let test = std::env::current_exe().unwrap();
    let argv = [test.to_str().unwrap(), "--ignored", "--exact", "--nocapture", "puts_up_dialogs"];
    let mut spec = bench.spec(PTY, &argv);
    let record = bench.file("record");
    spec.env.push(("RECORD".into(), record.to_str().unwrap().into()));
    spec.env.push(("SEED".into(), seed.to_string()));
    ensure(bench.dir(), &spec, &common::host()).unwrap();
    let mut client = Client::connect(bench.dir()).unwrap();
    let mut expected = String::new();
    let mut not_ready = 0;
    for round in 0..ROUNDS {
        let guard = Guard {
            shows: vec!["^>$".into()],
            hides: vec!["Do you want".into()],
            rows: 5,
            foreground: true,
            standing: None,
        };
        let message = Message {
            id: format!("m-{round}"),
            text: format!("<{round}>"),
            submit: true,
            // At once, soon, and so late that an Enter pressed blindly is too old for any excuse.
            settle_ms: [0, 10, 250][round as usize % 3],
            guard: Some(guard),
            ..Message::default()
        };
        until("the message is taken", || match client.message(&message) {
            Ok(duplicate) => {
                assert!(!duplicate);
                true
            }
            Err(ClientError::Refused { code: RefusalCode::NotReady, .. }) => {
                not_ready += 1;
                false
            }
            Err(error) => panic!("{error:?}"),
        });
        let mut state = MessageState::Queued;
        until("its fate is known", || {
            state = client.message_state(&message.id).unwrap();
            state != MessageState::Queued
        });
        expected.push_str(&message.text);
        match state {
            MessageState::Typed => expected.push('\r'),
            MessageState::Unsubmitted => {}
            MessageState::Unknown | MessageState::Queued => panic!("{state:?}"),
        }
    }
    let wanted = expected.len() * 2;
    let read = || read_to_string(&record).unwrap();
    until("all is read", || {
        read().lines().filter_map(|line| line.split(' ').nth(2)).map(str::len).sum::<usize>() >= wanted
    });
    let record = read();
    bench.kill();
    (expected, record, not_ready)
}

#[test]
fn no_byte_reaches_a_dialog_that_was_up_for_longer_than_a_look() {
    let told: Vec<_> = std::thread::scope(|scope| {
        let start = |seed| scope.spawn(move || converse(0x9e37_79b9_7f4a_7c15 + seed));
        let threads: Vec<_> = (0..PROGRAMS).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (mut in_window, mut oldest_us, mut refusals, mut enters) = (0, 0, 0, 0);
    for (expected, record, not_ready) in told {
        let mut read = Vec::new();
        for line in record.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [is_dialog, age_us, hex] = fields[..] else { panic!("{line}") };
            for at in (0..hex.len()).step_by(2) {
                read.push(u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
            }
            if is_dialog == "1" {
                let age_us: u128 = age_us.parse().unwrap();
                assert!(age_us <= LOOK_WITHIN_US, "{hex} came {age_us} us after the dialog was up");
                in_window += 1;
                oldest_us = oldest_us.max(age_us);
            }
        }
        assert_eq!(
            String::from_utf8(read).unwrap(),
            expected,
            "each text once, and each Enter that was told of"
        );
        refusals += not_ready;
        enters += expected.matches('\r').count();
    }
    let rounds = PROGRAMS * u64::from(ROUNDS);
    println!(
        "{rounds} messages, {enters} submitted, refused {refusals} times; the window between look and write was hit \
         {in_window} times, at most {oldest_us} us after the dialog was drawn"
    );
}
