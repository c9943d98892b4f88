//! What agents print and give to their hooks: nothing in it hurts a reader, every text that is seen fits its line, and numbers stay
//! numbers whatever they are said to be.

use oarlock_agents::drive::{Show, Step};
use oarlock_agents::screen::Screen;
use oarlock_agents::streams::{self, READERS};
use oarlock_agents::{REGISTRY, report};
use oarlock_core::session::fact::{Observation, Source, TurnEnd};

use super::is_a_line;

/// Longest name, and longest line about something, in characters.
const ID_CHARS_MAX: usize = 128;
const LINE_CHARS_MAX: usize = 200;
/// Longest record of usage kept, in bytes, when every byte of it was no text.
const RAW_BYTES_MAX: usize = 3 * 4 * 1024;

/// The first byte says whose stream it is, the second how its process ended; the rest is the stream.
pub fn run(data: &[u8]) {
    let &[whose, exit, ref bytes @ ..] = data else { return };
    stream(READERS[usize::from(whose) % READERS.len()].0, exit, bytes);
    let agent = REGISTRY[usize::from(whose) % REGISTRY.len()];
    for event in agent.hooks() {
        let hooked = agent.hook(event, bytes);
        hooked.seen.iter().for_each(is_tame);
    }
    agent.transcript_line(bytes);
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

fn is_tame(seen: &Observation) {
    match seen {
        Observation::Started { conversation, model, version } => {
            for text in [conversation, model, version].into_iter().flatten() {
                is_a_line(text, ID_CHARS_MAX);
            }
        }
        Observation::ToolStarted { id, name, what } => {
            is_a_line(id, ID_CHARS_MAX);
            is_a_line(name, ID_CHARS_MAX);
            is_a_line(what, LINE_CHARS_MAX);
        }
        Observation::ToolEnded { id, .. } => is_a_line(id, ID_CHARS_MAX),
        Observation::TurnEnded(TurnEnd::Error(text))
        | Observation::PermissionAsked { what: text, .. }
        | Observation::QuestionAsked { what: text }
        | Observation::Gone { why: text } => is_a_line(text, LINE_CHARS_MAX),
        Observation::Used(usage) => {
            is_a_line(&usage.id, ID_CHARS_MAX);
            let all = [usage.input, usage.cache_read, usage.cache_write, usage.output];
            assert!(all.iter().try_fold(0_u64, |sum, one| sum.checked_add(*one)).is_some());
        }
        _ => {}
    }
}
