//! What the agent asked and nobody answered yet. It may ask several things at once; people are shown one after the other.

use oarlock_core::session::fact::Observation;
use oarlock_core::text;
use serde_json::{Value, json};

use super::lines::Request;
use crate::call;
use crate::drive::{Show, Step};
use crate::part::Raw;
use crate::screen::Answer;
use crate::{ID_CHARS_MAX, NOTE_CHARS_MAX};

/// Something asked.
pub struct Ask {
    /// The id of the request, by which it is answered.
    pub request: String,
    /// The id of the tool's call, by which everybody else knows it.
    call: String,
    what: String,
    input: Value,
    suggestions: Value,
    /// What a person is asked, when it is no permission.
    questions: Vec<String>,
}

impl Ask {
    pub fn new(request: &str, asked: &Request<'_>, workspace: &str) -> Self {
        let is_question = &*asked.tool_name == "AskUserQuestion";
        let questions = if is_question { call::questions(asked.input) } else { Vec::new() };
        let call = asked.tool_use_id.some().unwrap_or(request);
        Self {
            request: request.into(),
            call: text::line(call, ID_CHARS_MAX),
            what: call::what(&asked.tool_name, asked.input, workspace),
            input: value(asked.input),
            suggestions: value(asked.permission_suggestions),
            questions,
        }
    }

    /// Shows it to the person.
    pub fn show(&self, steps: &mut Vec<Step>) {
        if self.questions.is_empty() {
            let (what, ask) = (self.what.clone(), Some(self.call.clone()));
            steps.push(Step::Show(Show::Asks(format!("{what}? (yes, always, no)"))));
            steps.push(Step::Observe(Observation::PermissionAsked { what, ask }));
            return;
        }
        let lines = self.questions.iter().enumerate().map(|(at, question)| {
            let options = self.options(at).join(", ");
            if options.is_empty() { question.clone() } else { format!("{question} ({options})") }
        });
        steps.push(Step::Show(Show::Asks(lines.collect::<Vec<_>>().join("\n"))));
        let what = text::line(&self.questions.join(" / "), NOTE_CHARS_MAX);
        steps.push(Step::Observe(Observation::QuestionAsked { what }));
    }

    /// Returns the reply that the agent's protocol wants.
    ///
    /// # Errors
    /// A sentence for the person when the answer does not fit what was asked.
    pub fn reply(&self, answer: &Answer) -> Result<Value, &'static str> {
        let deny = |why: &str| {
            let why = if why.is_empty() { "The user said no." } else { why };
            json!({"behavior": "deny", "message": why})
        };
        let allow = || json!({"behavior": "allow", "updatedInput": self.input});
        match answer {
            Answer::Deny(why) => Ok(deny(why)),
            Answer::Words(words) if self.questions.is_empty() => Ok(deny(words)),
            Answer::Words(words) => {
                let mut reply = allow();
                reply["updatedInput"]["answers"] = self.answers(words);
                Ok(reply)
            }
            Answer::Allow | Answer::AllowAlways if !self.questions.is_empty() => {
                Err("It asks a question: answer it in words.")
            }
            Answer::Allow => Ok(allow()),
            Answer::AllowAlways => {
                let mut reply = allow();
                reply["updatedPermissions"] = self.for_this_conversation();
                Ok(reply)
            }
        }
    }

    /// It suggests what would settle the like for ever; we settle it for the conversation, and write no file of anybody's.
    fn for_this_conversation(&self) -> Value {
        let mut suggestions = self.suggestions.as_array().cloned().unwrap_or_default();
        for suggestion in suggestions.iter_mut().filter_map(Value::as_object_mut) {
            suggestion.insert("destination".into(), "session".into());
        }
        Value::Array(suggestions)
    }

    /// Answers are given by question. One line each when there are as many, else each gets all the words.
    fn answers(&self, words: &str) -> Value {
        let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let by_line = lines.len() == self.questions.len();
        let asked = self.input["questions"].as_array().into_iter().flatten();
        let answer = |(at, question): (usize, &Value)| {
            let said = if by_line { lines[at.min(lines.len() - 1)] } else { words.trim() };
            let options = self.options(at);
            let number = said.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            let chosen =
                number.and_then(|number| options.get(number)).cloned().unwrap_or_else(|| said.into());
            (question["question"].as_str().unwrap_or_default().to_owned(), Value::String(chosen))
        };
        Value::Object(asked.enumerate().map(answer).collect())
    }

    fn options(&self, question: usize) -> Vec<String> {
        let options = self.input["questions"][question]["options"].as_array().into_iter().flatten();
        options
            .filter_map(|option| option["label"].as_str())
            .map(|label| text::line(label, NOTE_CHARS_MAX))
            .collect()
    }
}

fn value(raw: Raw<'_>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or(Value::Null)
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
