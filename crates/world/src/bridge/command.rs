//! Commands to a bridge, as the host types them, turned into what it does. It must not know who sends them, nor any agent.

use oarlock_agents::bridge::{self, BEGINS};
use oarlock_agents::drive::Say;
use oarlock_agents::screen::Answer;
use oarlock_core::ids::MessageId;

/// How a command begins: what a person types does not.
pub(super) const PREFIX: &str = BEGINS;

/// What a bridge may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Tell the agent something.
    Say(Say),
    /// Answer a question: the named one, or the oldest.
    Answer(Option<String>, Answer),
    /// Interrupt the turn.
    Interrupt,
    /// End the agent at leisure, and the bridge with it.
    Leave,
}

/// Reads a command. `None` when it is none.
pub(super) fn read(line: &str) -> Option<Command> {
    if !line.starts_with(PREFIX) {
        return None;
    }
    Some(match bridge::Command::read(line)? {
        bridge::Command::Say { id, text, interrupt } => {
            let id = id.filter(|id| !id.is_empty()).map(MessageId);
            Command::Say(Say { id, text, interrupt })
        }
        bridge::Command::Answer { ask, answer } => Command::Answer(ask.filter(|ask| !ask.is_empty()), answer),
        bridge::Command::Interrupt {} => Command::Interrupt,
        bridge::Command::Leave {} => Command::Leave,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_read() {
        let said = read(r#"{"oarlock":{"say":{"id":"m1","text":"a\nb","interrupt":true}}}"#);
        let say = Say { id: Some("m1".into()), text: "a\nb".into(), interrupt: true };
        assert_eq!(said, Some(Command::Say(say)));
        let said = read(r#"{"oarlock":{"answer":{"ask":null,"answer":{"deny":"no"}}}}"#);
        assert_eq!(said, Some(Command::Answer(None, Answer::Deny("no".into()))));
        let said = read(r#"{"oarlock":{"answer":{"ask":"a1","answer":"allow"}}}"#);
        assert_eq!(said, Some(Command::Answer(Some("a1".into()), Answer::Allow)));
        assert_eq!(read(r#"{"oarlock":{"interrupt":{}}}"#), Some(Command::Interrupt));
        assert_eq!(read(r#"{"oarlock":{"leave":{}}}"#), Some(Command::Leave));
    }

    #[test]
    fn what_is_no_command_is_none() {
        for none in ["", "hello", r#"{"oarlock":"#, r#"{"oarlock":{"dance":{}}}"#, r#"{"say":{"text":"x"}}"#]
        {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
