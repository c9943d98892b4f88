//! What an agent asked and nobody answered, and what a person's words mean while something is asked. It answers nothing.

use std::collections::VecDeque;

use oarlock_agents::screen::Answer;
use oarlock_core::session::fact::Observation;

/// Most questions kept. Agents ask one after the other, or a few for tools called at once.
const ASKS_MAX: usize = 64;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Whether it may do something, with the question's name.
    Permission(Option<String>),
    /// Something to be answered with words.
    Question,
}

/// What a person's words are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The answer to a permission asked for: the named one, or the oldest.
    Answer(Option<String>, Answer),
    /// Words while a permission is asked for, which are no answer.
    Unclear,
    /// Words for the agent.
    Words,
}

/// The questions, the oldest first.
#[derive(Default)]
pub(super) struct Asks {
    asked: VecDeque<Asked>,
    /// Answers given here whose effect was not seen yet.
    answered: usize,
}

impl Asks {
    /// Returns the oldest.
    pub(super) fn first(&self) -> Option<&Asked> {
        self.asked.front()
    }

    /// Takes note of what was seen. Returns whether a permission was asked for.
    pub(super) fn observe(&mut self, observation: &Observation) -> bool {
        match observation {
            Observation::PermissionAsked { ask, .. } => {
                self.add(Asked::Permission(ask.clone()));
                return true;
            }
            Observation::QuestionAsked { .. } => self.add(Asked::Question),
            Observation::PermissionResolved if self.answered > 0 => self.answered -= 1,
            Observation::PermissionResolved => drop(self.asked.pop_front()),
            Observation::ToolEnded { id, .. } => {
                self.asked.retain(|asked| !matches!(asked, Asked::Permission(Some(ask)) if ask == id));
            }
            Observation::TurnEnded(_) => *self = Self::default(),
            _ => {}
        }
        false
    }

    fn add(&mut self, asked: Asked) {
        if self.asked.len() < ASKS_MAX {
            self.asked.push_back(asked);
        }
    }

    /// Takes note that a question is answered here: the named one, or the oldest.
    pub(super) fn settle(&mut self, ask: Option<&str>) {
        let named =
            |asked: &Asked| matches!(asked, Asked::Permission(Some(name)) if Some(name.as_str()) == ask);
        let at = if ask.is_some() { self.asked.iter().position(named) } else { Some(0) };
        if at.and_then(|at| self.asked.remove(at)).is_some_and(|asked| asked != Asked::Question) {
            self.answered += 1;
        }
    }

    /// Returns what a person's words are now.
    pub(super) fn reply(&self, words: &str) -> Reply {
        let Some(Asked::Permission(ask)) = self.first() else { return Reply::Words };
        let words = words.trim();
        let (first, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
        let answer = match (first.trim_end_matches(',').to_lowercase().as_str(), rest) {
            ("y" | "yes", "") => Answer::Allow,
            ("a" | "always", "") => Answer::AllowAlways,
            ("n" | "no", why) => Answer::Deny(why.trim().into()),
            _ => return Reply::Unclear,
        };
        Reply::Answer(ask.clone(), answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oarlock_core::session::fact::TurnEnd;

    fn asked(name: &str) -> Observation {
        Observation::PermissionAsked { what: "x".into(), ask: Some(name.into()) }
    }

    #[test]
    fn words_answer_only_what_is_asked() {
        let mut asks = Asks::default();
        assert_eq!(asks.reply("y"), Reply::Words, "nothing is asked");
        asks.observe(&asked("a1"));
        assert_eq!(asks.reply(" Y "), Reply::Answer(Some("a1".into()), Answer::Allow));
        assert_eq!(asks.reply("always"), Reply::Answer(Some("a1".into()), Answer::AllowAlways));
        assert_eq!(asks.reply("n"), Reply::Answer(Some("a1".into()), Answer::Deny(String::new())));
        assert_eq!(
            asks.reply("no, use tests"),
            Reply::Answer(Some("a1".into()), Answer::Deny("use tests".into()))
        );
        for unclear in ["", "yes please", "stop it", "nope"] {
            assert_eq!(asks.reply(unclear), Reply::Unclear, "{unclear}");
        }
        asks.observe(&Observation::TurnEnded(TurnEnd::Interrupted));
        assert_eq!(asks.reply("y"), Reply::Words, "a turn that is over asks nothing");
    }

    #[test]
    fn an_answer_given_here_settles_one_question() {
        let mut asks = Asks::default();
        asks.observe(&asked("a1"));
        asks.observe(&asked("a2"));
        asks.settle(Some("a1"));
        asks.observe(&Observation::PermissionResolved);
        assert_eq!(asks.first(), Some(&Asked::Permission(Some("a2".into()))));
        asks.observe(&Observation::PermissionResolved);
        assert_eq!(asks.first(), None, "one that was answered elsewhere is settled, too");
        asks.observe(&asked("a3"));
        asks.observe(&Observation::ToolEnded { id: "a3".into(), ok: false });
        assert_eq!(asks.first(), None);
    }
}
