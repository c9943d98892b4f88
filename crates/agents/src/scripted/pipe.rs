//! The scripted agent's own protocol: a JSON object a line, both ways. It is for the demo, the tests and the simulator, which
//! need an agent that speaks one without a model. Both sides of it are described here; processes are nobody's here.

use oarlock_core::session::fact::{Claim, Observation, Span, TurnEnd, Usage};
use serde::{Deserialize, Serialize};

use crate::drive::{Driver, Say, Show, Step};
use crate::launch::{Launch, Plan};
use crate::screen::Answer;

/// A line that the agent reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Take this up: now, or after the turn under way.
    Say {
        /// The message's id, given back when it is taken up.
        id: Option<String>,
        /// A script, or words.
        text: String,
    },
    /// The answer to a question.
    Answer {
        /// The question's name.
        ask: String,
        /// Whether it may.
        allow: bool,
        /// Whether it may from now on without asking.
        always: bool,
        /// Why not.
        why: String,
    },
    /// End the turn here.
    Interrupt {},
}

/// A line that the agent writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tells {
    /// It is up.
    Started {},
    /// A message was taken up.
    Taken {
        /// Its id.
        id: Option<String>,
        /// Its text.
        text: String,
    },
    /// A turn began.
    TurnStarted {},
    /// A turn ended.
    TurnEnded {
        /// The class of its error, `interrupted`, or nothing.
        error: String,
        /// The turn's number, from 1.
        turn: u64,
        /// Characters it was told in the turn, which are what it has for tokens.
        told: u64,
        /// Characters it said in the turn.
        said: u64,
    },
    /// Words.
    Words {
        /// The words, or the next piece of them.
        text: String,
        /// Whether the paragraph ends.
        whole: bool,
    },
    /// A tool is called.
    Tool {
        /// Names the call.
        id: String,
        /// The tool.
        name: String,
        /// What for.
        what: String,
    },
    /// A tool came back.
    ToolEnded {
        /// Names the call.
        id: String,
        /// Whether it did it.
        ok: bool,
        /// What it gave.
        output: String,
    },
    /// It asks whether it may do something.
    Asks {
        /// Names the question.
        ask: String,
        /// What.
        what: String,
    },
    /// The question was answered.
    Answered {
        /// Names the question.
        ask: String,
    },
    /// It asks the person something; the turn is over.
    Question {
        /// The question.
        what: String,
    },
    /// It claims to be done.
    Claim {
        /// What it claims.
        claim: Claim,
        /// In its words.
        note: String,
    },
    /// It was asked to wait.
    RateLimited {},
}

/// Speaks it.
pub(super) struct Pipe {
    plan: Plan,
    conversation: String,
    asks: Vec<String>,
    in_turn: bool,
}

impl Pipe {
    pub(super) fn new(launch: &Launch<'_>) -> Self {
        let argv = vec![launch.oarlock.into(), "scripted".into(), "--pipe".into()];
        Self {
            plan: Plan { argv, ..Plan::default() },
            conversation: launch.conversation.unwrap_or(launch.new_conversation).into(),
            asks: Vec::new(),
            in_turn: false,
        }
    }

    fn take(&mut self, tells: Tells, line: &str) -> Vec<Step> {
        let see = Step::Observe;
        match tells {
            Tells::Started {} => {
                let conversation = Some(self.conversation.clone()).filter(|id| !id.is_empty());
                vec![see(Observation::Started { conversation, model: None, version: None })]
            }
            Tells::Taken { id, text } => {
                let taken = id.map(|id| Step::Taken(id.as_str().into()));
                taken.into_iter().chain([Step::Show(Show::Told(text))]).collect()
            }
            Tells::TurnStarted {} => {
                self.in_turn = true;
                vec![see(Observation::TurnStarted)]
            }
            Tells::TurnEnded { error, turn, told, said } => {
                self.in_turn = false;
                self.asks.clear();
                let end = match error.as_str() {
                    "" => TurnEnd::Ok,
                    "interrupted" => TurnEnd::Interrupted,
                    _ => TurnEnd::Error(error.clone()),
                };
                let note = (!error.is_empty()).then_some(Step::Show(Show::Note(error)));
                let used = see(Observation::Used(usage(turn, told, said)));
                let steps = [Step::Raw(line.into()), used, see(Observation::TurnEnded(end))];
                steps.into_iter().chain(note).collect()
            }
            Tells::Words { text, whole } => vec![Step::Show(Show::Words { text, whole })],
            Tells::Tool { id, name, what } => {
                let show = Show::Tool(format!("{name}: {what}"));
                vec![Step::Show(show), see(Observation::ToolStarted { id, name, what })]
            }
            Tells::ToolEnded { id, ok, output } => {
                vec![Step::Show(Show::Output(output)), see(Observation::ToolEnded { id, ok })]
            }
            Tells::Asks { ask, what } => {
                self.asks.push(ask.clone());
                let asked = Observation::PermissionAsked { what: what.clone(), ask: Some(ask) };
                vec![Step::Show(Show::Asks(format!("May I {what}?"))), see(asked)]
            }
            Tells::Answered { ask } => {
                self.asks.retain(|asked| *asked != ask);
                vec![see(Observation::PermissionResolved)]
            }
            Tells::Question { what } => {
                vec![Step::Show(Show::Asks(what.clone())), see(Observation::QuestionAsked { what })]
            }
            Tells::Claim { claim, note } => vec![
                Step::Show(Show::Note(format!("Claims to be done: {note}"))),
                see(Observation::Claimed { claim, note }),
            ],
            Tells::RateLimited {} => vec![see(Observation::RateLimited { until: None })],
        }
    }
}

fn usage(turn: u64, told: u64, said: u64) -> Usage {
    Usage {
        span: Span::Turn,
        id: format!("turn-{turn}"),
        input: told,
        cache_read: 0,
        cache_write: 0,
        output: said,
        cost_micros: None,
        cost_is_of_conversation: false,
        context: None,
        window: None,
    }
}

fn send(told: &Told) -> Step {
    // A derived writer of strings and booleans cannot fail.
    Step::Send(serde_json::to_string(told).unwrap_or_default())
}

impl Driver for Pipe {
    fn open(&mut self) -> Vec<Step> {
        vec![Step::Start(self.plan.clone())]
    }

    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let text = String::from_utf8_lossy(line);
        serde_json::from_str(&text).map(|tells| self.take(tells, &text)).unwrap_or_default()
    }

    fn say(&mut self, say: Say) -> Vec<Step> {
        let interrupt = (say.interrupt && self.in_turn).then(|| send(&Told::Interrupt {}));
        let told = Told::Say { id: say.id.map(|id| id.0), text: say.text };
        interrupt.into_iter().chain([send(&told)]).collect()
    }

    fn answer(&mut self, ask: Option<&str>, answer: Answer) -> Vec<Step> {
        let named = |asked: &String| ask.is_none_or(|ask| ask == asked);
        let Some(at) = self.asks.iter().position(named) else { return Vec::new() };
        let (allow, always, why) = match answer {
            Answer::Allow => (true, false, String::new()),
            Answer::AllowAlways => (true, true, String::new()),
            Answer::Deny(why) | Answer::Words(why) => (false, false, why),
        };
        vec![send(&Told::Answer { ask: self.asks.remove(at), allow, always, why })]
    }

    fn interrupt(&mut self) -> Vec<Step> {
        if self.in_turn { vec![send(&Told::Interrupt {})] } else { Vec::new() }
    }

    fn ended(&mut self, _code: Option<i32>, _stderr: &str) -> Vec<Step> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oarlock_core::session::fact::{Hold, Permissions};

    fn pipe() -> Pipe {
        Pipe::new(&Launch {
            writes: &[],
            hold: Hold::Protocol,
            program: "",
            version: None,
            workspace: "/w",
            folder: "/r",
            prompt: "",
            prompt_file: "/r/prompt.md",
            conversation: None,
            new_conversation: "c1",
            model: None,
            permissions: Permissions::Default,
            rules: "",
            args: &[],
            command: None,
            oarlock: "/bin/oarlock",
            is_root: false,
        })
    }

    #[test]
    fn an_answer_goes_to_the_question_it_is_for_and_to_no_other() {
        let mut pipe = pipe();
        for ask in ["a1", "a2"] {
            let line = serde_json::to_vec(&Tells::Asks { ask: ask.into(), what: "x".into() }).unwrap();
            assert_eq!(pipe.line(&line).len(), 2);
        }
        assert_eq!(pipe.answer(Some("a3"), Answer::Allow), [], "what is not asked is not answered");
        let told =
            |ask: &str, allow| Told::Answer { ask: ask.into(), allow, always: false, why: String::new() };
        assert_eq!(pipe.answer(Some("a2"), Answer::Allow), [send(&told("a2", true))]);
        assert_eq!(pipe.answer(None, Answer::Deny(String::new())), [send(&told("a1", false))]);
        assert_eq!(pipe.answer(None, Answer::Allow), [], "each is answered once");
    }

    #[test]
    fn what_is_no_line_of_the_protocol_is_skipped() {
        for line in [&b""[..], b"noise", b"{\"unknown\":{}}", b"\xff\xfe", b"[]"] {
            assert_eq!(pipe().line(line), []);
        }
    }
}
