//! Codex held by its protocol: `codex app-server`, JSON-RPC in lines on its standard input and output. It knows of no
//! process and no clock.

mod asks;
mod lines;

use std::collections::VecDeque;

use oarlock_core::ids::{MessageId, Timestamp};
use oarlock_core::session::fact::{Observation, Permissions, Showing, Span, TurnEnd, Usage};
use oarlock_core::text;
use serde_json::{Value, json};

use super::failure::{Failure, Limits};
use super::{class_of_words, settings};
use crate::call;
use crate::drive::{Driver, NO_CONVERSATION, Say, Show, Step};
use crate::launch::{Launch, Plan};
use crate::part::{Raw, Word, read};
use crate::screen::Answer;
use crate::{ID_CHARS_MAX, NOTE_CHARS_MAX};
use asks::{Ask, Asks};
use lines::{Item, Line, Params, Started, Thread, TokenUsage, Turn};

/// Longest note shown to people, in characters.
const NOTE_SHOWN_CHARS_MAX: usize = 300;
/// Most bytes of a raw record of usage.
const RAW_BYTES_MAX: usize = 8 * 1024;

/// The driver.
pub struct AppServer {
    plan: Plan,
    /// The thread as it is to be started or gone on with: the method and its parameters.
    thread: (&'static str, Value),
    workspace: String,
    conversation: Option<String>,
    /// The turn under way, once it said so.
    turn: Option<String>,
    /// Whether a turn was asked for and has not begun.
    starting: bool,
    /// Whether words wait until the turn is over, because it takes none or was interrupted.
    holding: bool,
    said: u64,
    /// What was said and not sent, in order.
    queue: VecDeque<Said>,
    /// What was sent and not taken up.
    sent: Vec<Said>,
    requests: u64,
    asks: Asks,
    version: Option<String>,
    /// Whether the provider asked it to wait, and has not answered since.
    limited: bool,
    over: bool,
}

struct Said {
    /// The id it has there.
    client: String,
    id: Option<MessageId>,
    text: String,
    /// The request that carried it.
    request: u64,
}

/// Ids of requests of which there is one each. Those that carry words are numbered from there on.
const INITIALIZE: u64 = 1;
const THREAD: u64 = 2;
const INTERRUPT: u64 = 3;

impl AppServer {
    /// Makes a driver for a launch.
    pub fn new(launch: &Launch<'_>) -> Self {
        let mut argv = vec![launch.program.to_owned(), "app-server".into()];
        argv.extend(settings(launch));
        argv.extend(launch.args.iter().cloned());
        let mut params = json!({"cwd": launch.workspace});
        if let Some(model) = launch.model {
            params["model"] = json!(model);
        }
        if !launch.rules.is_empty() {
            params["developerInstructions"] = json!(launch.rules);
        }
        if launch.permissions == Permissions::Bypass {
            params["approvalPolicy"] = json!("never");
            params["sandbox"] = json!("danger-full-access");
        }
        let method = if let Some(conversation) = launch.conversation {
            params["threadId"] = json!(conversation);
            params["excludeTurns"] = json!(true);
            "thread/resume"
        } else {
            "thread/start"
        };
        Self {
            plan: Plan { argv, ..Plan::default() },
            thread: (method, params),
            workspace: launch.workspace.into(),
            conversation: launch.conversation.map(Into::into),
            turn: None,
            starting: false,
            holding: false,
            said: 0,
            queue: VecDeque::new(),
            sent: Vec::new(),
            requests: INTERRUPT,
            asks: Asks::default(),
            version: None,
            limited: false,
            over: false,
        }
    }

    /// Sends what waits, if it can be taken now: the first words begin a turn, more go into it.
    fn flush(&mut self, steps: &mut Vec<Step>) {
        while !self.starting && !self.holding && self.is_ready() {
            let Some(mut said) = self.queue.pop_front() else { return };
            self.requests += 1;
            said.request = self.requests;
            let mut params = json!({"threadId": self.conversation, "clientUserMessageId": said.client,
                "input": [{"type": "text", "text": said.text, "text_elements": []}]});
            let method = if let Some(turn) = &self.turn {
                params["expectedTurnId"] = json!(turn);
                "turn/steer"
            } else {
                self.starting = true;
                "turn/start"
            };
            steps.push(request(said.request, method, &params));
            self.sent.push(said);
        }
    }

    /// Whether the thread is there: until its request is answered, nothing can be said to it.
    fn is_ready(&self) -> bool {
        self.thread.0.is_empty()
    }

    fn take_response(&mut self, id: u64, line: &Line<'_>, steps: &mut Vec<Step>) {
        let failure: Option<Failure<'_>> = line.error.map(|error| read(Some(error)));
        match (id, failure) {
            (INITIALIZE, None) => {
                let info: Started<'_> = read(line.result);
                self.version = info.version();
                steps.push(Step::Send(json!({"method": "initialized"}).to_string()));
                let (method, params) = &self.thread;
                steps.push(request(THREAD, method, params));
            }
            (THREAD, None) => self.take_thread(read(line.result), steps),
            (INITIALIZE | THREAD, Some(failure)) => self.fail_to_start(id, &failure, steps),
            (INTERRUPT, _) | (_, None) => {}
            (_, Some(failure)) => self.take_refusal(id, &failure, steps),
        }
    }

    fn take_thread(&mut self, started: Started<'_>, steps: &mut Vec<Step>) {
        let thread: Thread<'_> = read(started.thread);
        let id = |word: &Word<'_>| word.some().map(|word| text::line(word, ID_CHARS_MAX));
        self.conversation = id(&thread.id).or(self.conversation.take());
        self.thread.0 = "";
        steps.push(Step::Observe(Observation::Started {
            conversation: self.conversation.clone(),
            model: id(&started.model),
            version: id(&thread.cli_version).or(self.version.take()),
        }));
        if self.queue.is_empty() {
            steps.push(Step::Observe(Observation::Shows(Showing::Prompt)));
        }
        self.flush(steps);
    }

    fn fail_to_start(&mut self, id: u64, failure: &Failure<'_>, steps: &mut Vec<Step>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        note(&failure.message, steps);
        let is_unknown = id == THREAD && self.thread.0 == "thread/resume" && failure.is_unknown_thread();
        let class = if is_unknown { "no_conversation" } else { class_of_words(&failure.message) };
        steps.push(Step::Observe(Observation::TurnEnded(TurnEnd::Error(class.into()))));
        steps.push(Step::End(if is_unknown { NO_CONVERSATION } else { 1 }));
    }

    /// Words were refused. A turn that takes none in may be over by now, or be one that does not: they wait for the next.
    fn take_refusal(&mut self, id: u64, failure: &Failure<'_>, steps: &mut Vec<Step>) {
        let Some(at) = self.sent.iter().position(|said| said.request == id) else { return };
        let said = self.sent.remove(at);
        if self.starting {
            self.starting = false;
            note(&format!("The agent refused a message: {}", &*failure.message), steps);
            let class = class_of_words(&failure.message);
            steps.push(Step::Observe(Observation::TurnEnded(TurnEnd::Error(class.into()))));
        } else {
            self.queue.push_front(said);
            self.holding = self.turn.is_some();
        }
        self.flush(steps);
    }

    fn take_notification(&mut self, line: &Line<'_>, steps: &mut Vec<Step>) {
        let params: Params<'_> = read(line.params);
        let is_own = params.thread_id.is_empty() || Some(&*params.thread_id) == self.conversation.as_deref();
        // Anything of an answer: of a provider, then, that answers.
        if is_own && line.method.starts_with("item/") && std::mem::take(&mut self.limited) {
            steps.push(Step::Observe(Observation::Answers));
        }
        match &*line.method {
            "turn/started" if is_own => {
                let turn: Turn<'_> = read(params.turn);
                self.turn = Some(text::line(&turn.id, ID_CHARS_MAX));
                self.starting = false;
                steps.push(Step::Observe(Observation::TurnStarted));
                self.flush(steps);
            }
            "turn/completed" if is_own => self.end_turn(&read(params.turn), steps),
            "item/started" => self.begin_item(&read(params.item), is_own, steps),
            "item/completed" => self.end_item(&read(params.item), is_own, steps),
            "serverRequest/resolved" => {
                if let Some(id) = params.request_id {
                    self.asks.settle(id.get(), steps);
                }
            }
            // When a thread is gone on with, the last count of before is told again.
            "thread/tokenUsage/updated" if !is_own || self.turn.as_deref() == params.turn_id.some() => {
                count(&params, is_own, steps);
            }
            "account/rateLimits/updated" => limit(params.rate_limits, steps),
            "error" if is_own => {
                let failure: Failure<'_> = read(params.error);
                // What is tried again in vain ends the turn, and is told there.
                if params.will_retry.0 && failure.class() == "rate_limit" {
                    self.limited = true;
                    steps.push(Step::Observe(Observation::RateLimited { until: None }));
                }
                note(&failure.message, steps);
            }
            _ => {}
        }
    }

    fn end_turn(&mut self, turn: &Turn<'_>, steps: &mut Vec<Step>) {
        let end = match &*turn.status {
            "completed" => TurnEnd::Ok,
            "interrupted" => TurnEnd::Interrupted,
            "failed" => {
                let failure: Failure<'_> = read(turn.error);
                TurnEnd::Error(failure.class().into())
            }
            _ => TurnEnd::Unknown,
        };
        self.turn = None;
        self.starting = false;
        self.holding = false;
        self.asks = Asks::default();
        steps.push(Step::Observe(Observation::TurnEnded(end)));
        // What was put into the turn too late for it is said in the next.
        for said in self.sent.drain(..).rev() {
            self.queue.push_front(said);
        }
        self.flush(steps);
    }

    fn begin_item(&mut self, item: &Item<'_>, is_own: bool, steps: &mut Vec<Step>) {
        if let Some((name, what)) = item.call() {
            let id = text::line(&item.id, ID_CHARS_MAX);
            steps.push(Step::Show(Show::Tool(what.clone())));
            steps.push(Step::Observe(Observation::ToolStarted { id, name, what }));
        } else if &*item.kind == "userMessage" && is_own {
            let Some(at) = self.sent.iter().position(|said| said.client == *item.client_id) else { return };
            let said = self.sent.remove(at);
            steps.extend(said.id.map(Step::Taken));
            steps.push(Step::Show(Show::Told(said.text)));
        }
    }

    fn end_item(&mut self, item: &Item<'_>, is_own: bool, steps: &mut Vec<Step>) {
        match &*item.kind {
            "agentMessage" | "plan" if is_own && !item.text.is_empty() => {
                steps.push(Step::Show(Show::Words { text: text::clean(&item.text), whole: true }));
            }
            "reasoning" if is_own => {
                let thought = item.thought();
                if !thought.is_empty() {
                    steps.push(Step::Show(Show::Thought(text::line(&thought, NOTE_CHARS_MAX))));
                }
            }
            _ if item.call().is_some() => {
                let output = call::excerpt(&item.aggregated_output);
                if !output.is_empty() && is_own {
                    steps.push(Step::Show(Show::Output(output)));
                }
                let (id, ok) = (text::line(&item.id, ID_CHARS_MAX), item.is_ok());
                steps.push(Step::Observe(Observation::ToolEnded { id, ok }));
            }
            _ => {}
        }
    }

    fn take_request(&mut self, line: &Line<'_>, id: &str, steps: &mut Vec<Step>) {
        match Ask::new(id, &line.method, line.params, &self.workspace) {
            Some(ask) => self.asks.add(ask, steps),
            None => {
                let refusal = if &*line.method == "mcpServer/elicitation/request" {
                    json!({"id": asks::value(id), "result": {"action": "decline"}})
                } else {
                    // It would wait for ever. -32601 is the code of JSON-RPC for a method that is not there.
                    json!({"id": asks::value(id), "error": {"code": -32601, "message": "not supported"}})
                };
                steps.push(Step::Send(refusal.to_string()));
            }
        }
    }
}

impl Driver for AppServer {
    fn open(&mut self) -> Vec<Step> {
        let client = json!({"name": "oarlock", "title": "oarlock", "version": env!("CARGO_PKG_VERSION")});
        vec![
            Step::Start(self.plan.clone()),
            request(INITIALIZE, "initialize", &json!({"clientInfo": client})),
        ]
    }

    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let mut steps = Vec::new();
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { return steps };
        match line.id {
            Some(id) if !line.method.is_empty() => self.take_request(&line, id.get(), &mut steps),
            Some(id) => {
                if let Ok(id) = id.get().parse() {
                    self.take_response(id, &line, &mut steps);
                }
            }
            None => self.take_notification(&line, &mut steps),
        }
        steps
    }

    fn say(&mut self, say: Say) -> Vec<Step> {
        let mut steps = Vec::new();
        if say.interrupt {
            steps.extend(self.interrupt());
            self.holding = self.turn.is_some();
        }
        self.said += 1;
        let client =
            say.id.as_ref().map_or_else(|| format!("say-{}", self.said), |id| id.as_str().to_owned());
        self.queue.push_back(Said { client, id: say.id, text: say.text, request: 0 });
        self.flush(&mut steps);
        steps
    }

    fn answer(&mut self, ask: Option<&str>, answer: Answer) -> Vec<Step> {
        let mut steps = Vec::new();
        let reply = self.asks.find(ask).map(|ask| (ask.request.clone(), ask.reply(&answer)));
        match reply {
            None => note("Nothing waits for an answer.", &mut steps),
            Some((_, Err(why))) => note(why, &mut steps),
            Some((request, Ok(reply))) => {
                let line = json!({"id": asks::value(&request), "result": reply.result});
                steps.push(Step::Send(line.to_string()));
                self.asks.settle(&request, &mut steps);
                if let Some(words) = reply.then_say {
                    steps.extend(self.say(Say { id: None, text: words, interrupt: false }));
                }
            }
        }
        steps
    }

    fn interrupt(&mut self) -> Vec<Step> {
        let Some(turn) = &self.turn else { return Vec::new() };
        let params = json!({"threadId": self.conversation, "turnId": turn});
        vec![request(INTERRUPT, "turn/interrupt", &params), Step::Show(Show::Note("Interrupted.".into()))]
    }

    fn ended(&mut self, code: Option<i32>, stderr: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        // It warns there, too, and is well.
        let last = stderr.lines().rfind(|line| !line.trim().is_empty());
        if let Some(last) = last.filter(|_| code != Some(0)) {
            note(last, &mut steps);
        }
        steps
    }
}

/// The tokens of the last call of the model, and of sub-agents' calls theirs.
fn count(params: &Params<'_>, is_own: bool, steps: &mut Vec<Step>) {
    let tokens: TokenUsage<'_> = read(params.token_usage);
    let last = tokens.last();
    let (cached, written) = (last.cached_input_tokens.count(), last.cache_write_input_tokens.count());
    let usage = Usage {
        span: Span::Call,
        // The sum of the thread grows with each call: it names the call.
        id: text::line(
            &format!("{}-{}", &*params.turn_id, tokens.total().total_tokens.count()),
            ID_CHARS_MAX,
        ),
        input: last.input_tokens.count().saturating_sub(cached).saturating_sub(written),
        cache_read: cached,
        cache_write: written,
        output: last.output_tokens.count(),
        cost_micros: None,
        cost_is_of_conversation: false,
        context: is_own.then(|| last.total_tokens.count()),
        window: tokens.model_context_window.0.map(|_| tokens.model_context_window.count()),
    };
    steps.push(Step::Observe(Observation::Used(usage)));
    let raw = params.token_usage.filter(|raw| raw.get().len() <= RAW_BYTES_MAX);
    steps.extend(raw.map(|raw| Step::Raw(raw.get().to_owned())));
}

/// A limit that is reached, with the time when it ends.
fn limit(limits: Raw<'_>, steps: &mut Vec<Step>) {
    let limits: Limits<'_> = read(limits);
    if limits.is_reached() {
        let until = limits.until_s().map(|seconds| Timestamp(seconds.saturating_mul(1000)));
        steps.push(Step::Observe(Observation::RateLimited { until }));
    }
}

fn request(id: u64, method: &str, params: &Value) -> Step {
    Step::Send(json!({"id": id, "method": method, "params": params}).to_string())
}

fn note(words: &str, steps: &mut Vec<Step>) {
    steps.push(Step::Show(Show::Note(text::line(words, NOTE_SHOWN_CHARS_MAX))));
}
