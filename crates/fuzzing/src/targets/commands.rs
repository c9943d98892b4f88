//! What is typed at a bridge, by the host or a person: the same is understood however the bytes are cut, a command is written again as
//! it was, and nothing that a person sees of a draft drives a terminal.

use oarlock_agents::bridge::{BEGINS, Command};
use oarlock_world::fuzzing::typed;

use super::pieces;

/// The first bytes say how the rest, what is typed, is cut.
pub fn run(data: &[u8]) {
    let (pieces, whole) = pieces(data);
    let (at_once, draft) = typed([whole]);
    assert_eq!(typed(pieces), (at_once.clone(), draft.clone()), "however it is cut");
    assert!(!draft.starts_with(BEGINS), "a command is no draft of a person's");
    at_once.iter().flatten().for_each(is_written_again);
    for line in String::from_utf8_lossy(whole).lines() {
        if let Some(command) = Command::read(line) {
            is_written_again(&command);
        }
    }
}

fn is_written_again(command: &Command) {
    let line = command.line();
    assert!(line.starts_with(BEGINS), "{line} begins as commands do");
    assert!(!line.contains(|c: char| c < ' '), "{line:?} is one line");
    assert_eq!(Command::read(&line).as_ref(), Some(command), "{line}");
}
