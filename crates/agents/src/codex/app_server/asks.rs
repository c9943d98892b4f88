//! What the agent asked and nobody answered yet. It may ask several things at once; people are shown one after the other.

use oarlock_core::session::fact::Observation;
use oarlock_core::text;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::drive::{Show, Step};
use crate::part::{Raw, Word, each, read};
use crate::screen::Answer;
use crate::{ID_CHARS_MAX, NOTE_CHARS_MAX};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Asked<'a> {
    #[serde(borrow)]
    item_id: Word<'a>,
    #[serde(borrow)]
    command: Word<'a>,
    #[serde(borrow)]
    command_actions: Raw<'a>,
    #[serde(borrow)]
    reason: Word<'a>,
    #[serde(borrow)]
    grant_root: Word<'a>,
    #[serde(borrow)]
    questions: Raw<'a>,
    #[serde(borrow)]
    permissions: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Action<'a> {
    #[serde(borrow)]
    command: Word<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question<'a> {
    #[serde(borrow)]
    id: Word<'a>,
    #[serde(borrow)]
    question: Word<'a>,
    #[serde(borrow)]
    options: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice<'a> {
    #[serde(borrow)]
    label: Word<'a>,
}

/// What kind of answer is wanted.
enum Kind {
    /// A decision about a command or a change of files.
    Decision,
    /// More permissions than it has: those asked for.
    Permissions(Value),
    /// Words: each question's id, itself and the choices given.
    Words(Vec<(String, String, Vec<String>)>),
}

/// Something asked.
pub struct Ask {
    /// The id of the request as it was written: a number or a string of the protocol's.
    pub request: String,
    /// The id of the call, by which everybody else knows it.
    call: String,
    what: String,
    kind: Kind,
}

/// An answer in the protocol's words.
pub struct Reply {
    /// The result of its request.
    pub result: Value,
    /// What the agent is told beside it: a decision has no room for a reason.
    pub then_say: Option<String>,
}

impl Ask {
    /// Reads a request; `None` when it is nothing that a person is asked.
    pub fn new(request: &str, method: &str, params: Raw<'_>, workspace: &str) -> Option<Self> {
        let asked: Asked<'_> = read(params);
        let because = |what: String| match asked.reason.some() {
            Some(reason) => format!("{what} ({reason})"),
            None => what,
        };
        let (what, kind) = match method {
            "item/commandExecution/requestApproval" => {
                let actions: Vec<Action<'_>> = each(asked.command_actions);
                let plain = match actions.as_slice() {
                    [only] if !only.command.is_empty() => &*only.command,
                    _ => &*asked.command,
                };
                (format!("Bash: {plain}"), Kind::Decision)
            }
            "item/fileChange/requestApproval" => {
                let root = asked.grant_root.some().unwrap_or(workspace);
                (because(format!("Edit files in {root}")), Kind::Decision)
            }
            "item/permissions/requestApproval" => {
                let permissions = asked.permissions.map_or(Value::Null, |raw| value(raw.get()));
                (because("More permissions".into()), Kind::Permissions(permissions))
            }
            "item/tool/requestUserInput" => {
                let questions: Vec<Question<'_>> = each(asked.questions);
                let line = |words: &str| text::line(words, NOTE_CHARS_MAX);
                let read = |question: &Question<'_>| {
                    let choices: Vec<Choice<'_>> = each(question.options);
                    let choices = choices.iter().map(|choice| line(&choice.label)).collect();
                    (question.id.to_string(), line(&question.question), choices)
                };
                let questions: Vec<_> = questions.iter().map(read).collect();
                let all: Vec<&str> = questions.iter().map(|(_, question, _)| question.as_str()).collect();
                (all.join(" / "), Kind::Words(questions))
            }
            _ => return None,
        };
        let call = text::line(asked.item_id.some().unwrap_or(request), ID_CHARS_MAX);
        Some(Self { request: request.into(), call, what: text::line(&what, NOTE_CHARS_MAX), kind })
    }

    /// Shows it to the person.
    fn show(&self, steps: &mut Vec<Step>) {
        let what = self.what.clone();
        if let Kind::Words(questions) = &self.kind {
            let line = |(_, question, choices): &(String, String, Vec<String>)| match choices.join(", ") {
                choices if choices.is_empty() => question.clone(),
                choices => format!("{question} ({choices})"),
            };
            steps.push(Step::Show(Show::Asks(questions.iter().map(line).collect::<Vec<_>>().join("\n"))));
            steps.push(Step::Observe(Observation::QuestionAsked { what }));
        } else {
            let ask = Some(self.call.clone());
            steps.push(Step::Show(Show::Asks(format!("{what}? (yes, always, no)"))));
            steps.push(Step::Observe(Observation::PermissionAsked { what, ask }));
        }
    }

    /// Returns the reply that the protocol wants.
    ///
    /// # Errors
    /// A sentence for the person when the answer does not fit what was asked.
    pub fn reply(&self, answer: &Answer) -> Result<Reply, &'static str> {
        let say = |words: &str| Some(words.to_owned()).filter(|words| !words.trim().is_empty());
        let decide = |decision: &str, words: &str| Reply {
            result: json!({"decision": decision}),
            then_say: say(words),
        };
        let grant = |permissions: &Value, scope: &str, words: &str| Reply {
            result: json!({"permissions": permissions, "scope": scope}),
            then_say: say(words),
        };
        Ok(match (&self.kind, answer) {
            (Kind::Decision, Answer::Allow) => decide("accept", ""),
            (Kind::Decision, Answer::AllowAlways) => decide("acceptForSession", ""),
            (Kind::Decision, Answer::Deny(words) | Answer::Words(words)) => decide("decline", words),
            (Kind::Permissions(asked), Answer::Allow) => grant(asked, "turn", ""),
            (Kind::Permissions(asked), Answer::AllowAlways) => grant(asked, "session", ""),
            (Kind::Permissions(_), Answer::Deny(words) | Answer::Words(words)) => {
                grant(&json!({}), "turn", words)
            }
            (Kind::Words(questions), Answer::Words(words)) => answers(questions, words),
            (Kind::Words(questions), Answer::Deny(words)) if !words.is_empty() => answers(questions, words),
            (Kind::Words(_), Answer::Deny(_)) => Reply { result: json!({"answers": {}}), then_say: None },
            (Kind::Words(_), Answer::Allow | Answer::AllowAlways) => {
                return Err("It asks a question: answer it in words.");
            }
        })
    }
}

/// Answers are given by question. One line each when there are as many, else each gets all the words.
fn answers(questions: &[(String, String, Vec<String>)], words: &str) -> Reply {
    let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let by_line = lines.len() == questions.len();
    let answer = |(at, (id, _, choices)): (usize, &(String, String, Vec<String>))| {
        let said = if by_line { lines[at] } else { words.trim() };
        let number = said.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let chosen = number.and_then(|number| choices.get(number)).map_or(said, String::as_str);
        (id.clone(), json!({"answers": [chosen]}))
    };
    let answers: serde_json::Map<_, _> = questions.iter().enumerate().map(answer).collect();
    Reply { result: json!({"answers": answers}), then_say: None }
}

/// Returns a piece of JSON as it is.
pub fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// What waits for an answer, the oldest first: the one that people are shown.
#[derive(Default)]
pub struct Asks(Vec<Ask>);

impl Asks {
    /// Adds one, and shows it unless another is shown.
    pub fn add(&mut self, ask: Ask, steps: &mut Vec<Step>) {
        if self.0.is_empty() {
            ask.show(steps);
        }
        self.0.push(ask);
    }

    /// Returns the one that an answer is for: the named one, or the oldest.
    pub fn find(&self, name: Option<&str>) -> Option<&Ask> {
        match name {
            None => self.0.first(),
            Some(name) => self.0.iter().find(|ask| ask.call == name || ask.request == name),
        }
    }

    /// Takes away one that is answered or wanted no more. When it was the one shown, the next is.
    pub fn settle(&mut self, request: &str, steps: &mut Vec<Step>) {
        let Some(at) = self.0.iter().position(|ask| ask.request == request) else { return };
        self.0.remove(at);
        if at == 0 {
            steps.push(Step::Observe(Observation::PermissionResolved));
            if let Some(next) = self.0.first() {
                next.show(steps);
            }
        }
    }
}
