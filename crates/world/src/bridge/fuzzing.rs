//! What is typed at a bridge, as plain values for fuzzers. It must not hold any rule of its own.

use oarlock_agents::bridge::Command as Told;

use super::command::Command;
use super::keys::{Keys, Typed};

/// Returns what these pieces of typing mean, and the draft that is left.
pub(crate) fn typed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Result<Told, String>>, String) {
    let mut keys = Keys::new();
    let typed = pieces.into_iter().flat_map(|piece| keys.feed(piece)).map(plain).collect();
    (typed, keys.draft().into_owned())
}

fn plain(typed: Typed) -> Result<Told, String> {
    Ok(match typed {
        Typed::Command(Command::Say(say)) => {
            Told::Say { id: say.id.map(|id| id.0), text: say.text, interrupt: say.interrupt }
        }
        Typed::Command(Command::Answer(ask, answer)) => Told::Answer { ask, answer },
        Typed::Command(Command::Interrupt) => Told::Interrupt {},
        Typed::Command(Command::Leave) => Told::Leave {},
        other => return Err(format!("{other:?}")),
    })
}
