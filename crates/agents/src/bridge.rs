//! What a bridge is told: one JSON object a line, typed by the run's host. Whoever sits at its terminal may type words
//! instead.
//!
//! A line is a command when it begins with `{"oarlock":`; everything else is a person's.

use oarlock_core::session::fact::Answer;
use serde::{Deserialize, Serialize};

/// How a line begins that is a command.
pub const BEGINS: &str = "{\"oarlock\":";

/// A command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Tell the agent something.
    Say {
        /// The message's id.
        id: Option<String>,
        /// The text.
        text: String,
        /// Whether the turn under way is interrupted for it.
        #[serde(default)]
        interrupt: bool,
    },
    /// Answer what it asked.
    Answer {
        /// Which question; the oldest that stands when missing.
        ask: Option<String>,
        /// The answer.
        answer: Answer,
    },
    /// Interrupt the turn under way.
    Interrupt {},
    /// Leave in good order.
    Leave {},
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    oarlock: T,
}

impl Command {
    /// Returns the command as a line without its end. No control character is in it.
    #[must_use]
    pub fn line(&self) -> String {
        // DEL and the C1 controls are not escaped by JSON, and a host takes them out: the texts are cleaned of them before.
        serde_json::to_string(&Line { oarlock: self }).expect("a command is JSON")
    }

    /// Reads a line; `None` when it is no command.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        serde_json::from_str::<Line<Self>>(line.trim()).ok().map(|line| line.oarlock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_back_as_it_was_written() {
        let commands = [
            Command::Say { id: Some("m1".into()), text: "one\ntwo \"three\" 漢".into(), interrupt: true },
            Command::Answer { ask: None, answer: Answer::Deny("not now\n".into()) },
            Command::Answer { ask: Some("t1".into()), answer: Answer::AllowAlways },
            Command::Interrupt {},
            Command::Leave {},
        ];
        for command in commands {
            let line = command.line();
            assert!(line.starts_with(BEGINS) && !line.chars().any(char::is_control), "{line}");
            assert_eq!(Command::read(&line), Some(command));
        }
        assert_eq!(Command::read("{\"oarlock\":{\"dance\":{}}}"), None);
        assert_eq!(Command::read("hello"), None);
    }
}
