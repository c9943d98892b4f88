//! Claude Code held by its protocol: a process that lives for the whole run and speaks JSON lines on its standard input
//! and output (`-p --input-format stream-json --output-format stream-json`). It knows of no process and no clock.

mod asks;
mod lines;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use oarlock_core::ids::{MessageId, Timestamp};
use oarlock_core::session::fact::{Observation, Showing, Span, TurnEnd};
use oarlock_core::text;
use serde_json::json;

use super::transcript::{Message, Tokens, micros};
use super::{class_of, class_of_status, common, env, is_too_long};
use crate::call;
use crate::drive::{Driver, NO_CONVERSATION, Say, Show, Step};
use crate::launch::{Launch, Plan};
use crate::part::{Raw, Word, each, read};
use crate::screen::Answer;
use crate::{ID_CHARS_MAX, NOTE_CHARS_MAX};
use asks::{Ask, Asks};
use lines::{Block, Line, ModelUse, Output, RateLimit, Request};

/// Longest note shown to people, in characters.
const NOTE_SHOWN_CHARS_MAX: usize = 300;
/// Most bytes of a raw record of usage.
const RAW_BYTES_MAX: usize = 8 * 1024;
/// What it says when it does not know a conversation.
const UNKNOWN_CONVERSATION: &str = "No conversation found";

/// The driver.
pub struct Stream {
    plan: Plan,
    workspace: String,
    conversation: String,
    /// What ids of messages are made from: the agent drops a message whose id is in the conversation already.
    salt: String,
    said: u64,
    /// What was said and not taken up: the id it has there, ours, and the words.
    waiting: Vec<Waiting>,
    asks: Asks,
    in_turn: bool,
    interrupting: bool,
    greeted: bool,
    known: Option<Observation>,
    /// Whether the provider asked it to wait, and has not answered since.
    limited: bool,
    /// The agent's own word for the error of the last answer.
    error: String,
    tokens: Tokens,
    over: bool,
}

struct Waiting {
    uuid: String,
    id: Option<MessageId>,
    text: String,
}

impl Stream {
    /// Makes a driver for a launch.
    pub fn new(launch: &Launch<'_>) -> Self {
        let mut files = Vec::new();
        let fixed = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];
        let mut argv = vec![launch.program.to_owned()];
        argv.extend(fixed.map(String::from));
        argv.extend(["--replay-user-messages", "--permission-prompt-tool", "stdio"].map(String::from));
        // Else nothing tells that an answer has begun, until a whole paragraph of it is there.
        argv.push("--include-partial-messages".into());
        argv.extend(common(launch, &mut files));
        let conversation = launch.conversation.unwrap_or(launch.new_conversation).to_owned();
        Self {
            plan: Plan { argv, env: env(launch), files, first_message: None },
            workspace: launch.workspace.into(),
            conversation,
            salt: format!("{} {}", launch.folder, launch.new_conversation),
            said: 0,
            waiting: Vec::new(),
            asks: Asks::default(),
            in_turn: false,
            interrupting: false,
            greeted: false,
            known: None,
            limited: false,
            error: String::new(),
            tokens: Tokens::default(),
            over: false,
        }
    }

    fn begin_turn(&mut self, steps: &mut Vec<Step>) {
        if !self.in_turn {
            self.in_turn = true;
            self.interrupting = false;
            self.error.clear();
            steps.push(Step::Observe(Observation::TurnStarted));
        }
    }

    fn take_line(&mut self, line: &Line<'_>, steps: &mut Vec<Step>) {
        match (&*line.kind, &*line.subtype) {
            ("system", "init") => self.take_init(line, steps),
            ("system", "api_retry") => self.take_retry(line, steps),
            ("system", "informational") => note(&line.content, steps),
            ("rate_limit_event", _) => self.take_rate_limit(line.rate_limit_info, steps),
            // A piece of an answer: of a provider, then, that answers.
            ("stream_event", _) if std::mem::take(&mut self.limited) => {
                steps.push(Step::Observe(Observation::Answers));
            }
            ("command_lifecycle", _) => self.take_lifecycle(line, steps),
            ("assistant", _) => self.take_assistant(line, steps),
            ("user", _) => self.take_user(line, steps),
            ("control_request", _) => self.take_request(line, steps),
            ("control_cancel_request", _) => self.asks.settle(&line.request_id, steps),
            ("control_response", _) if !self.greeted => {
                self.greeted = true;
                if self.waiting.is_empty() && !self.in_turn {
                    let conversation = Some(self.conversation.clone());
                    let started = Observation::Started { conversation, model: None, version: None };
                    steps.push(Step::Observe(started));
                    steps.push(Step::Observe(Observation::Shows(Showing::Prompt)));
                }
            }
            ("result", _) => self.take_result(line, steps),
            _ => {}
        }
    }

    fn take_init(&mut self, line: &Line<'_>, steps: &mut Vec<Step>) {
        let id = |word: &Word<'_>| word.some().map(|word| text::line(word, ID_CHARS_MAX));
        let started = Observation::Started {
            conversation: id(&line.session_id),
            model: id(&line.model),
            version: id(&line.claude_code_version),
        };
        // It is told again at every turn.
        if self.known.as_ref() != Some(&started) {
            self.known = Some(started.clone());
            steps.push(Step::Observe(started));
        }
        self.begin_turn(steps);
    }

    fn take_retry(&mut self, line: &Line<'_>, steps: &mut Vec<Step>) {
        let status = line.error_status.count();
        if status == 429 {
            self.limited = true;
            steps.push(Step::Observe(Observation::RateLimited { until: None }));
        }
        let why = class_of_status(status).or(class_of(&line.error)).unwrap_or("network");
        let (attempt, of) = (line.attempt.count(), line.max_retries.count());
        note(&format!("The provider did not answer ({why}); it is asked again ({attempt} of {of})."), steps);
    }

    fn take_rate_limit(&mut self, info: Raw<'_>, steps: &mut Vec<Step>) {
        let info: RateLimit<'_> = read(info);
        if &*info.status == "rejected" {
            self.limited = true;
            let until = info.resets_at.0.map(|_| Timestamp(info.resets_at.count().saturating_mul(1000)));
            steps.push(Step::Observe(Observation::RateLimited { until }));
        }
    }

    fn take_lifecycle(&mut self, line: &Line<'_>, steps: &mut Vec<Step>) {
        match &*line.state {
            "started" => {
                self.begin_turn(steps);
                self.take_up(&line.command_uuid, steps);
            }
            "cancelled" | "discarded" | "refused" => {
                // A message that was taken up is cancelled, too, when its turn is interrupted.
                let before = self.waiting.len();
                self.waiting.retain(|waiting| waiting.uuid != *line.command_uuid);
                if self.waiting.len() < before {
                    note(&format!("The agent did not take a message: {}.", &*line.state), steps);
                }
            }
            _ => {}
        }
    }

    /// A message was taken up: the agent says so twice, and older versions once.
    fn take_up(&mut self, uuid: &str, steps: &mut Vec<Step>) {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.uuid == uuid) else { return };
        let waiting = self.waiting.remove(at);
        steps.extend(waiting.id.map(Step::Taken));
        steps.push(Step::Show(Show::Told(waiting.text)));
    }

    fn take_assistant(&mut self, line: &Line<'_>, steps: &mut Vec<Step>) {
        let message: Message<'_> = read(line.message);
        let is_own = line.parent_tool_use_id.is_empty();
        if is_own {
            self.begin_turn(steps);
            let tokens: Tokens = read(message.usage);
            if !tokens.is_nothing() {
                self.tell_context(tokens, &message.id, steps);
            }
            if !line.error.is_empty() {
                text::line(&line.error, ID_CHARS_MAX).clone_into(&mut self.error);
            }
        }
        for block in each::<Block<'_>>(message.content) {
            match &*block.kind {
                // The words of an error are told with the result.
                "text" if is_own && line.error.is_empty() => {
                    steps.push(Step::Show(Show::Words { text: text::clean(&block.text), whole: true }));
                }
                "thinking" if is_own && !block.thinking.is_empty() => {
                    steps.push(Step::Show(Show::Thought(text::line(&block.thinking, NOTE_CHARS_MAX))));
                }
                "tool_use" => {
                    let what = call::what(&block.name, block.input, &self.workspace);
                    let (id, name) =
                        (text::line(&block.id, ID_CHARS_MAX), text::line(&block.name, ID_CHARS_MAX));
                    steps.push(Step::Show(Show::Tool(what.clone())));
                    steps.push(Step::Observe(Observation::ToolStarted { id, name, what }));
                }
                _ => {}
            }
        }
    }

    /// What is in the context is told with every answer, so that somebody may act before the turn ends; the tokens themselves
    /// are counted with the turn.
    fn tell_context(&mut self, tokens: Tokens, id: &str, steps: &mut Vec<Step>) {
        let before = std::mem::replace(&mut self.tokens, tokens).context();
        if before != tokens.context() {
            let mut usage = Tokens::default().usage(Span::Turn, id);
            usage.context = Some(tokens.context());
            steps.push(Step::Observe(Observation::Used(usage)));
        }
    }

    fn take_user(&mut self, line: &Line<'_>, steps: &mut Vec<Step>) {
        if line.is_replay.0 {
            self.begin_turn(steps);
            self.take_up(&line.uuid, steps);
            return;
        }
        let message: Message<'_> = read(line.message);
        for block in each::<Block<'_>>(message.content) {
            if &*block.kind == "tool_result" {
                let Output(output) = read(block.content);
                let output = call::excerpt(&output);
                if !output.is_empty() && line.parent_tool_use_id.is_empty() {
                    steps.push(Step::Show(Show::Output(output)));
                }
                let (id, ok) = (text::line(&block.tool_use_id, ID_CHARS_MAX), !block.is_error.0);
                steps.push(Step::Observe(Observation::ToolEnded { id, ok }));
            }
        }
    }

    fn take_request(&mut self, line: &Line<'_>, steps: &mut Vec<Step>) {
        let request: Request<'_> = read(line.request);
        if &*request.subtype != "can_use_tool" {
            // Hooks, servers and forms in the client's process: there are none. Without an answer it would wait.
            steps.push(send(&json!({"type": "control_response", "response": {
                "subtype": "error", "request_id": &*line.request_id, "error": "not supported"}})));
            return;
        }
        self.begin_turn(steps);
        self.asks.add(Ask::new(&line.request_id, &request, &self.workspace), steps);
    }

    fn take_result(&mut self, line: &Line<'_>, steps: &mut Vec<Step>) {
        let errors: Vec<Word<'_>> = each(line.errors);
        if errors.iter().any(|error| error.starts_with(UNKNOWN_CONVERSATION)) {
            self.lose_conversation(steps);
            return;
        }
        let end = self.end_of(line, &errors);
        if let TurnEnd::Error(class) = &end {
            let words = line.result.some().or(errors.first().and_then(Word::some)).unwrap_or_default();
            note(&format!("The turn ended with an error ({class}): {words}"), steps);
        }
        self.count(line, steps);
        self.in_turn = false;
        self.interrupting = false;
        self.asks = Asks::default();
        steps.push(Step::Observe(Observation::TurnEnded(end)));
    }

    fn end_of(&self, line: &Line<'_>, errors: &[Word<'_>]) -> TurnEnd {
        let reason = &*line.terminal_reason;
        let is_broken_off = &*line.subtype == "error_during_execution" && self.interrupting;
        if reason.starts_with("aborted") || is_broken_off {
            return TurnEnd::Interrupted;
        }
        let class = match (&*line.subtype, reason) {
            ("error_max_turns" | "error_max_budget_usd", _) | (_, "max_turns" | "budget_exhausted") => {
                "limit"
            }
            (_, "prompt_too_long" | "blocking_limit") => "context_full",
            ("success", _) if !line.is_error.0 => return TurnEnd::Ok,
            _ if is_too_long(&line.result) || errors.iter().any(|error| is_too_long(error)) => "context_full",
            _ if line.api_error.starts_with("connection") => "network",
            _ => class_of(&self.error)
                .or_else(|| class_of_status(line.api_error_status.count()))
                .unwrap_or("error"),
        };
        TurnEnd::Error(class.into())
    }

    /// The usage of a result is the turn's, its cost the conversation's.
    fn count(&mut self, line: &Line<'_>, steps: &mut Vec<Step>) {
        let tokens: Tokens = read(line.usage);
        if tokens.is_nothing() {
            return;
        }
        let mut usage = tokens.usage(Span::Turn, &line.uuid);
        usage.cost_micros = micros(line.total_cost_usd);
        usage.context = Some(self.tokens.context()).filter(|context| *context > 0);
        let models: BTreeMap<Cow<'_, str>, Raw<'_>> = read(line.model_usage);
        let windows = models.values().map(|model| read::<ModelUse>(*model).context_window);
        usage.window = windows.filter_map(|window| window.0.map(|_| window.count())).max();
        steps.push(Step::Observe(Observation::Used(usage)));
        if let Some(raw) = line.usage.filter(|raw| raw.get().len() <= RAW_BYTES_MAX) {
            let (cost, models) = (line.total_cost_usd, line.model_usage.map_or("null", |raw| raw.get()));
            let cost = cost.0.map_or_else(|| "null".into(), |cost| cost.to_string());
            let raw = format!(r#"{{"usage":{},"total_cost_usd":{cost},"modelUsage":{models}}}"#, raw.get());
            steps.extend(Some(raw).filter(|raw| raw.len() <= RAW_BYTES_MAX).map(Step::Raw));
        }
    }

    fn lose_conversation(&mut self, steps: &mut Vec<Step>) {
        if !std::mem::replace(&mut self.over, true) {
            note(&format!("The agent does not know the conversation {} any more.", self.conversation), steps);
            steps.push(Step::Observe(Observation::TurnEnded(TurnEnd::Error("no_conversation".into()))));
            steps.push(Step::End(NO_CONVERSATION));
        }
    }
}

impl Driver for Stream {
    fn open(&mut self) -> Vec<Step> {
        let greet = json!({"type": "control_request", "request_id": "initialize",
            "request": {"subtype": "initialize", "hooks": null}});
        vec![Step::Start(self.plan.clone()), send(&greet)]
    }

    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Ok(line) = serde_json::from_slice::<Line<'_>>(line) {
            self.take_line(&line, &mut steps);
        }
        steps
    }

    fn say(&mut self, say: Say) -> Vec<Step> {
        let mut steps = Vec::new();
        if say.interrupt {
            steps.extend(self.interrupt());
        }
        self.said += 1;
        let uuid = uuid(&format!("{} {}", self.salt, self.said));
        // It is taken at once, and during a turn put into it at the next call of the model.
        steps.push(send(&json!({"type": "user", "uuid": uuid, "session_id": self.conversation,
            "parent_tool_use_id": null,
            "message": {"role": "user", "content": [{"type": "text", "text": say.text}]}})));
        self.waiting.push(Waiting { uuid, id: say.id, text: say.text });
        steps
    }

    fn answer(&mut self, ask: Option<&str>, answer: Answer) -> Vec<Step> {
        let mut steps = Vec::new();
        let reply =
            self.asks.find(ask).map(|ask| ask.reply(&answer).map(|reply| (ask.request.clone(), reply)));
        match reply {
            None => note("Nothing waits for an answer.", &mut steps),
            Some(Err(why)) => note(why, &mut steps),
            Some(Ok((request, reply))) => {
                steps.push(send(&json!({"type": "control_response", "response": {
                    "subtype": "success", "request_id": request, "response": reply}})));
                self.asks.settle(&request, &mut steps);
            }
        }
        steps
    }

    fn interrupt(&mut self) -> Vec<Step> {
        if !self.in_turn {
            return Vec::new();
        }
        self.interrupting = true;
        let interrupt = json!({"type": "control_request", "request_id": "interrupt",
            "request": {"subtype": "interrupt"}});
        vec![send(&interrupt), Step::Show(Show::Note("Interrupted.".into()))]
    }

    fn ended(&mut self, code: Option<i32>, stderr: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        if stderr.contains(UNKNOWN_CONVERSATION) {
            self.lose_conversation(&mut steps);
        } else if let Some(last) =
            stderr.lines().rfind(|line| !line.trim().is_empty()).filter(|_| code != Some(0))
        {
            note(last, &mut steps);
        }
        steps
    }
}

fn send(line: &serde_json::Value) -> Step {
    Step::Send(line.to_string())
}

fn note(words: &str, steps: &mut Vec<Step>) {
    steps.push(Step::Show(Show::Note(text::line(words, NOTE_SHOWN_CHARS_MAX))));
}

/// Returns a UUID (version 8: made by an application's own rule) out of a text.
fn uuid(text: &str) -> String {
    let half = |seed: &str| {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = seed.bytes().chain(text.bytes()).fold(0xcbf2_9ce4_8422_2325, mix);
        // Texts that differ in their last character alone get ids that look nothing alike.
        (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    };
    let (high, low) = (half("high "), half("low "));
    let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xfff);
    let (d, e) = (low >> 48 & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
    format!("{a:08x}-{b:04x}-8{c:03x}-{d:04x}-{e:012x}")
}
