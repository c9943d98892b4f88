//! The Agent Client Protocol, version 1, spoken to any agent that has it: a small, lenient client. What is particular to an
//! agent is in its [`Quirks`]; nothing here names one.

mod call;
mod count;
mod log;
mod permission;
mod turn;
mod wire;

use std::collections::VecDeque;

use oarlock_core::ids::MessageId;
use oarlock_core::session::fact::{Observation, Permissions, Showing, Usage};
use oarlock_core::text;
use serde_json::json;

pub use count::UsageFrom;
pub use log::{Log, Said};

use crate::drive::{Driver, Say, Show, Step};
use crate::launch::{Launch, Plan};
use crate::lenient::{members, word};
use crate::screen::Answer;
use crate::{ID_CHARS_MAX, NOTE_CHARS_MAX, trouble};
use call::Call;
use permission::Ask;
use turn::Turn;
use wire::{Choice, ConfigOption, Error, Initialized, Line, Named, Opened, Prompted, Updated, read};

/// Most messages that wait for a turn's end. A person types a handful; more is a loop.
const QUEUE_MAX: usize = 256;
/// Most calls of tools remembered: those of a turn, side by side, are a few dozen.
const CALLS_MAX: usize = 256;
/// Longest id of a request taken from an agent, in bytes: it is echoed.
const RPC_ID_BYTES_MAX: usize = 256;
/// Longest record of usage kept, in bytes.
const RAW_BYTES_MAX: usize = 4096;
/// JSON-RPC's "method not found".
const NO_SUCH_METHOD: i64 = -32601;
/// The protocol's "authentication required".
const LOGIN_NEEDED: i64 = -32000;

/// What is particular to an agent's way of speaking the protocol.
pub struct Quirks {
    /// How the agent is called in sentences.
    pub title: &'static str,
    /// The session mode for what it may do, by whether the conversation is an earlier one; `None` leaves its own.
    pub mode: fn(Permissions, bool) -> Option<&'static str>,
    /// A setting of the session for what it may do: its id and value.
    pub setting: fn(Permissions) -> Option<(&'static str, &'static str)>,
    /// The setting that is the model, when its command line takes none.
    pub model_setting: Option<&'static str>,
    /// Ways to authenticate that ask nobody anything, tried in this order when the agent wants that.
    pub logins: &'static [&'static str],
    /// Where usage is told.
    pub usage: UsageFrom,
    /// How a chunk of words begins that is an error of the agent's own and not the model's words.
    pub errors_begin: &'static [&'static str],
    /// Whether a turn in which nothing was said or done is an error that it keeps to itself.
    pub silence_is_an_error: bool,
    /// Whether a hook beside the protocol tells of limits: then it is told when the provider answers.
    pub limits_by_hook: bool,
    /// The log on its standard error that tells of limits, where the protocol is silent about them.
    pub log: Option<Log>,
    /// Whether rules go before the first prompt: for agents that have no other place for them.
    pub rules_in_prompt: bool,
}

/// What a request of ours was for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum For {
    Greeting,
    Login,
    Opening(Opening),
    Setting(String),
    Prompt,
}

/// How a session is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    New,
    Load,
    Resume,
}

/// The client, in the middle of a dialogue.
pub struct Acp {
    quirks: &'static Quirks,
    plan: Plan,
    workspace: String,
    permissions: Permissions,
    model: Option<String>,
    rules: String,
    /// The conversation to go on with, until it was.
    conversation: Option<String>,
    version: Option<String>,
    can_load: bool,
    can_resume: bool,
    logins: VecDeque<String>,
    session: Option<String>,
    is_ready: bool,
    is_over: bool,
    next_id: u64,
    requests: Vec<(u64, For)>,
    queue: VecDeque<Say>,
    turn: Option<Turn>,
    turns: u64,
    calls: VecDeque<Call>,
    asks: VecDeque<Ask>,
    /// Model calls counted, for their names.
    counted: u64,
    last_usage: Usage,
    /// The context and the cost told last.
    last_context: (Option<u64>, Option<u64>),
    words_open: bool,
    /// Whether words came in since the turn began or a tool came back.
    is_answered: bool,
    /// Whether the log told of a limit whose end was not seen.
    is_limited: bool,
    /// Whether the log's last entry may go on.
    in_log: bool,
    thought: String,
    out: Vec<Step>,
}

impl Acp {
    /// Makes the driver of an agent that is started by a plan.
    #[must_use]
    pub fn new(quirks: &'static Quirks, launch: &Launch<'_>, plan: Plan) -> Self {
        Self {
            quirks,
            plan,
            workspace: launch.workspace.trim_end_matches('/').into(),
            permissions: launch.permissions,
            model: launch.model.map(Into::into),
            rules: launch.rules.into(),
            conversation: launch.conversation.map(Into::into),
            version: None,
            can_load: false,
            can_resume: false,
            logins: VecDeque::new(),
            session: None,
            is_ready: false,
            is_over: false,
            next_id: 1,
            requests: Vec::new(),
            queue: VecDeque::new(),
            turn: None,
            turns: 0,
            calls: VecDeque::new(),
            asks: VecDeque::new(),
            counted: 0,
            last_usage: count::nothing(quirks.usage.span(), String::new()),
            last_context: (None, None),
            words_open: false,
            is_answered: false,
            is_limited: false,
            in_log: false,
            thought: String::new(),
            out: Vec::new(),
        }
    }

    fn steps(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.out)
    }

    fn observe(&mut self, observation: Observation) {
        self.out.push(Step::Observe(observation));
    }

    fn note(&mut self, words: &str) {
        self.out.push(Step::Show(Show::Note(text::line(words, NOTE_CHARS_MAX))));
    }

    fn request(&mut self, purpose: For, method: &str, params: &serde_json::Value) {
        let id = self.next_id;
        self.next_id += 1;
        self.requests.push((id, purpose));
        self.out.push(Step::Send(wire::request(id, method, params)));
    }

    fn open_session(&mut self, how: Opening) {
        let mut params = json!({"cwd": self.workspace, "mcpServers": []});
        let method = match (how, &self.conversation) {
            (Opening::Load, Some(conversation)) => {
                params["sessionId"] = json!(conversation);
                "session/load"
            }
            (Opening::Resume, Some(conversation)) => {
                params["sessionId"] = json!(conversation);
                "session/resume"
            }
            (Opening::New, _) | (_, None) => "session/new",
        };
        self.request(For::Opening(how), method, &params);
    }

    /// Returns how the session is opened first: a conversation is taken up without its history where that can be, since the
    /// transcript has it already.
    fn first_opening(&self) -> Opening {
        match self.conversation {
            Some(_) if self.can_resume => Opening::Resume,
            Some(_) if self.can_load => Opening::Load,
            _ => Opening::New,
        }
    }

    fn greeted(&mut self, answer: &Initialized<'_>) {
        let version =
            answer.agent_info.as_ref().map(|info| text::line(word(info.version.as_ref()), ID_CHARS_MAX));
        self.version = version.filter(|version| !version.is_empty());
        if let Some(can) = &answer.agent_capabilities {
            self.can_load = can.load_session == Some(true);
            self.can_resume = can.session_capabilities.as_ref().is_some_and(|can| can.resume.is_some());
        }
        let offered: Vec<Named<'_>> = members(answer.auth_methods);
        let offered: Vec<&str> = offered.iter().map(|method| word(method.id.as_ref())).collect();
        let known = self.quirks.logins.iter().filter(|login| offered.contains(*login));
        self.logins = known.map(|login| (*login).into()).collect();
        if self.conversation.is_some() && !self.can_resume && !self.can_load {
            self.give_up("it cannot take up an earlier conversation", "error");
            return;
        }
        self.open_session(self.first_opening());
    }

    fn opened(&mut self, how: Opening, answer: &Opened<'_>) {
        let earlier = self.conversation.take().filter(|_| how != Opening::New);
        let id = Some(word(answer.session_id.as_ref()).to_owned()).filter(|id| !id.is_empty());
        let Some(session) = id.or_else(|| earlier.clone()) else {
            self.give_up("it opened a session without an id", "error");
            return;
        };
        if earlier.is_some() {
            // They are in the conversation already.
            self.rules.clear();
        }
        self.session = Some(session.clone());
        let settings: Vec<ConfigOption<'_>> = members(answer.config_options);
        let model = model_of(answer, &settings);
        let (conversation, version) = (Some(session), self.version.clone());
        self.observe(Observation::Started { conversation, model, version });
        self.note(&format!(
            "{} is ready{}.",
            self.quirks.title,
            if earlier.is_some() { ", and knows what was said before" } else { "" }
        ));
        self.settle(answer, &settings, earlier.is_some());
        self.go_on();
    }

    /// Sets what the session is to be like, as far as it is not so already.
    fn settle(&mut self, answer: &Opened<'_>, settings: &[ConfigOption<'_>], is_resumed: bool) {
        let session = self.session.clone().unwrap_or_default();
        if let Some(mode) = (self.quirks.mode)(self.permissions, is_resumed) {
            let modes = answer.modes.as_ref();
            let offered: Vec<Named<'_>> = members(modes.and_then(|modes| modes.available_modes));
            // What an agent says of a conversation taken up need not be so (Kimi Code 2.1.0).
            let is_so =
                !is_resumed && modes.is_some_and(|modes| word(modes.current_mode_id.as_ref()) == mode);
            if !is_so && offered.iter().any(|offer| word(offer.id.as_ref()) == mode) {
                let what = format!("the mode {mode}");
                self.request(
                    For::Setting(what),
                    "session/set_mode",
                    &json!({"sessionId": session, "modeId": mode}),
                );
            } else if !is_so {
                self.note(&format!("{} offers no mode {mode}.", self.quirks.title));
            }
        }
        let model = self.quirks.model_setting.zip(self.model.clone());
        let setting = (self.quirks.setting)(self.permissions).map(|(id, value)| (id, value.to_owned()));
        for (id, value) in model.into_iter().chain(setting) {
            let Some(found) = settings.iter().find(|setting| word(setting.id.as_ref()) == id) else {
                self.note(&format!("{} has no setting {id}.", self.quirks.title));
                continue;
            };
            if word(found.current_value.as_ref()) == value {
                continue;
            }
            let params = json!({"sessionId": session, "configId": id, "value": value});
            self.request(For::Setting(format!("{id} to {value}")), "session/set_config_option", &params);
        }
    }

    /// Begins a turn with the oldest message that waits, when nothing is in its way.
    fn go_on(&mut self) {
        let settling = self.requests.iter().any(|(_, purpose)| matches!(purpose, For::Setting(_)));
        if self.is_over || self.turn.is_some() || self.session.is_none() || settling {
            return;
        }
        let was_ready = std::mem::replace(&mut self.is_ready, true);
        match self.queue.pop_front() {
            Some(say) => self.prompt(say),
            None if !was_ready => self.observe(Observation::Shows(Showing::Prompt)),
            None => {}
        }
    }

    fn prompt(&mut self, say: Say) {
        let rules = std::mem::take(&mut self.rules);
        let told = match (self.quirks.rules_in_prompt, rules.as_str()) {
            (false, _) | (_, "") => say.text.clone(),
            (true, rules) => format!("{rules}\n\n{}", say.text),
        };
        self.turns += 1;
        self.turn = Some(Turn::default());
        self.is_answered = false;
        self.is_limited = false;
        self.out.push(Step::Show(Show::Told(say.text)));
        let params = json!({"sessionId": self.session, "prompt": [{"type": "text", "text": told}]});
        self.request(For::Prompt, "session/prompt", &params);
        self.observe(Observation::TurnStarted);
        if let Some(message) = say.id {
            self.took(message);
        }
    }

    fn took(&mut self, message: MessageId) {
        self.out.push(Step::Taken(message));
    }

    fn answered(&mut self, purpose: For, line: &Line<'_>) {
        if let Some(error) = line.error {
            let error: Error<'_> = read(Some(error));
            self.refused(purpose, &error);
            return;
        }
        match purpose {
            For::Greeting => self.greeted(&read(line.result)),
            For::Login => self.open_session(self.first_opening()),
            For::Opening(how) => self.opened(how, &read(line.result)),
            For::Setting(_) => self.go_on(),
            For::Prompt => self.turn_answered(&read::<Prompted<'_>>(line.result)),
        }
    }

    fn refused(&mut self, purpose: For, error: &Error<'_>) {
        let words = said(error);
        let class = trouble::class(&words);
        let needs_login = error.code == Some(LOGIN_NEEDED) || class == "auth";
        match purpose {
            For::Greeting => self.give_up(&words, class),
            For::Login => self.log_in(&words),
            For::Opening(_) if needs_login => self.log_in(&words),
            For::Opening(Opening::Resume) if self.can_load => self.open_session(Opening::Load),
            For::Opening(Opening::Resume | Opening::Load) if is_missing(error, &words) => {
                // One in which nothing was said yet is kept by no agent: there is nothing to go on with.
                self.note("The earlier conversation is not there; this is a new one.");
                self.conversation = None;
                self.open_session(Opening::New);
            }
            For::Opening(_) => self.give_up(&words, class),
            For::Setting(what) => {
                self.note(&format!("{} did not take {what}: {words}", self.quirks.title));
                self.go_on();
            }
            For::Prompt => self.turn_refused(&words, class),
        }
    }

    /// Tries the next of the ways to log in that ask nobody anything.
    fn log_in(&mut self, words: &str) {
        match self.logins.pop_front() {
            Some(method) => self.request(For::Login, "authenticate", &json!({"methodId": method})),
            None => self.give_up(&format!("it wants a login: {words}"), "auth"),
        }
    }

    fn give_up(&mut self, words: &str, class: &str) {
        self.is_over = true;
        let words = text::line(words, NOTE_CHARS_MAX);
        self.note(&format!("{} cannot be used: {words}", self.quirks.title));
        self.observe(Observation::TurnEnded(oarlock_core::session::fact::TurnEnd::Error(class.into())));
        self.observe(Observation::Gone { why: words });
        self.out.push(Step::End(1));
    }

    fn requested(&mut self, id: &str, line: &Line<'_>) {
        let method = word(line.method.as_ref());
        if method == "session/request_permission" {
            self.permission_requested(id, read(line.params));
            return;
        }
        let why = match method.split_once('/') {
            Some(("fs" | "terminal", _)) => "the agent works on the files and in the shell itself",
            _ => "there is no such method here",
        };
        self.out.push(Step::Send(wire::refusal(
            id,
            NO_SUCH_METHOD,
            &format!("{}: {why}", text::line(method, 80)),
        )));
    }

    fn is_replaying(&self) -> bool {
        self.session.is_none()
    }
}

impl Driver for Acp {
    fn open(&mut self) -> Vec<Step> {
        self.out.push(Step::Start(self.plan.clone()));
        let params = json!({
            "protocolVersion": 1,
            "clientCapabilities": {"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false},
            "clientInfo": {"name": "oarlock", "title": "oarlock", "version": env!("CARGO_PKG_VERSION")},
        });
        self.request(For::Greeting, "initialize", &params);
        self.steps()
    }

    fn line(&mut self, line: &[u8]) -> Vec<Step> {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { return Vec::new() };
        if self.is_over {
            return Vec::new();
        }
        match (line.method.is_some(), line.id) {
            (true, Some(id)) if is_id(id.get()) => self.requested(id.get(), &line),
            (true, None) if word(line.method.as_ref()) == "session/update" => {
                let updated = line.params.and_then(|raw| serde_json::from_str::<Updated<'_>>(raw.get()).ok());
                if let Some(updated) = updated
                    && !self.is_replaying()
                    && self.session.as_deref() == Some(word(updated.session_id.as_ref()))
                {
                    self.updated(&updated.update);
                }
            }
            (false, Some(id)) => {
                let id: Option<u64> = id.get().parse().ok();
                let at = self.requests.iter().position(|(asked, _)| Some(*asked) == id);
                if let Some(at) = at {
                    let (_, purpose) = self.requests.remove(at);
                    self.answered(purpose, &line);
                }
            }
            (true, _) | (false, None) => {}
        }
        self.steps()
    }

    fn logged(&mut self, line: &[u8]) -> Option<Vec<Step>> {
        self.log_line(line)
    }

    fn say(&mut self, say: Say) -> Vec<Step> {
        if self.queue.len() >= QUEUE_MAX {
            self.note("Too much waits to be said; this was not taken.");
            return self.steps();
        }
        let interrupts = say.interrupt && self.turn.is_some();
        self.queue.push_back(say);
        if interrupts {
            self.cancel();
        }
        if self.is_ready {
            self.go_on();
        }
        self.steps()
    }

    fn answer(&mut self, ask: Option<&str>, answer: Answer) -> Vec<Step> {
        self.answer_permission(ask, &answer);
        self.steps()
    }

    fn interrupt(&mut self) -> Vec<Step> {
        self.cancel();
        self.steps()
    }

    fn ended(&mut self, code: Option<i32>, stderr: &str) -> Vec<Step> {
        let last = stderr.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let why = match (code, last) {
            (Some(0), _) => String::new(),
            (Some(code), "") => format!("it exited with {code}"),
            (None, "") => "a signal ended it".into(),
            (_, last) => text::line(last, NOTE_CHARS_MAX),
        };
        if !self.is_over {
            self.close_words();
            if self.turn.take().is_some() {
                self.end_turn(
                    oarlock_core::session::fact::TurnEnd::Error(trouble::class(stderr).into()),
                    &why,
                );
            }
            let sentence = if why.is_empty() { String::new() } else { format!(": {why}") };
            self.note(&format!("{} is gone{sentence}", self.quirks.title));
            self.observe(Observation::Gone { why });
        }
        self.is_over = true;
        let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        self.out.push(Step::End(code));
        self.steps()
    }
}

/// Tells whether JSON is what may name a request: a short string or a whole number.
fn is_id(json: &str) -> bool {
    json.len() <= RPC_ID_BYTES_MAX && (json.starts_with('"') || json.parse::<i64>().is_ok())
}

/// Returns an error in words: its message and, where that says little, what is beside it.
fn said(error: &Error<'_>) -> String {
    let beside = error.data.map_or("", |data| data.get());
    let code =
        error.code.filter(|code| (100..600).contains(code)).map_or(String::new(), |code| format!("{code} "));
    let words =
        format!("{code}{} {}", word(error.message.as_ref()), if beside == "null" { "" } else { beside });
    text::line(words.trim(), NOTE_CHARS_MAX)
}

/// Tells whether an error says that a conversation is not there.
fn is_missing(error: &Error<'_>, words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    error.code == Some(-32002)
        || ["not found", "no such", "no previous session", "does not exist", "unknown session"]
            .iter()
            .any(|w| words.contains(w))
}

/// Returns the model's name: some have an internal value and a name for people.
fn model_of(answer: &Opened<'_>, settings: &[ConfigOption<'_>]) -> Option<String> {
    let speaks = |value: &str| value.starts_with(|c: char| c.is_ascii_alphanumeric());
    let setting = settings.iter().find(|setting| word(setting.id.as_ref()) == "model");
    let named = setting.and_then(|setting| {
        let current = word(setting.current_value.as_ref());
        let choices: Vec<Choice<'_>> = members(setting.options);
        let name = choices.iter().find(|choice| word(choice.value.as_ref()) == current);
        match name {
            _ if speaks(current) => Some(current.to_owned()),
            Some(choice) => Some(word(choice.name.as_ref()).to_owned()),
            None => None,
        }
    });
    let current = answer.models.as_ref().map(|models| word(models.current_model_id.as_ref()).to_owned());
    named.or(current).filter(|model| speaks(model)).map(|model| text::line(&model, ID_CHARS_MAX))
}
