//! What agents print and show: nothing in it hurts a reader, every text that is seen fits its line, and numbers stay
//! numbers whatever they are said to be.

use oarlock_agents::drive::{Show, Step};
use oarlock_agents::screen::Screen;
use oarlock_agents::streams::{self, READERS};
use oarlock_agents::{REGISTRY, report};
use oarlock_core::session::fact::{Source, TurnEnd};

use super::drivers::{RAW_BYTES_MAX, is_tame};
use super::is_a_line;

/// Longest name, and longest line about something, in characters.
const ID_CHARS_MAX: usize = 128;
const LINE_CHARS_MAX: usize = 200;

/// The first byte says whose stream it is, the second how its process ended; the rest is the stream.
pub fn run(data: &[u8]) {
    let &[whose, exit, ref bytes @ ..] = data else { return };
    stream(READERS[usize::from(whose) % READERS.len()].0, exit, bytes);
    let agent = REGISTRY[usize::from(whose) % REGISTRY.len()];
    let text = String::from_utf8_lossy(bytes);
    let rows: Vec<String> = text.lines().map(Into::into).collect();
    agent.screen(&Screen { title: "", rows: &rows });
}

fn stream(agent: &str, exit: u8, bytes: &[u8]) {
    let mut reader = streams::reader(agent).expect("it is of the list");
    for line in bytes.split(|byte| *byte == b'\n') {
        for step in reader.line(line) {
            match step {
                Step::Observe(seen) => {
                    is_tame(&seen);
                    // What goes into the inbox comes out of it.
                    let (_, read) =
                        oarlock_agents::read(&report(std::slice::from_ref(&seen), &[], Source::Protocol, 0));
                    assert_eq!(read, [seen]);
                }
                Step::Show(Show::Tool(text) | Show::Note(text)) => is_a_line(&text, LINE_CHARS_MAX),
                Step::Raw(record) => assert!(record.len() <= RAW_BYTES_MAX, "a record is short"),
                Step::Show(_) => {}
                other => panic!("a reader has no business with {other:?}"),
            }
        }
        if let Some(conversation) = reader.conversation() {
            is_a_line(conversation, ID_CHARS_MAX);
        }
    }
    let code = (exit < 200).then_some(i32::from(exit));
    let end = streams::ended(reader.end(), code, &String::from_utf8_lossy(bytes));
    assert!(code == Some(0) || end != TurnEnd::Ok, "a process that failed ended no turn well");
}
