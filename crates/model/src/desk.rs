//! The desk: takes a request and says what to answer, how, and after which wait. It keeps what was seen, and counts what
//! happens only so often.
//!
//! It does not wait and does not write to a socket; that is the server's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::choice::{Choice, choose, fill, sha256};
use crate::dialog::Dialog;
use crate::script::{Fault, Hold, Script, Step};
use crate::seen::{Asked, Seen};
use crate::tools::{Mapped, map};
use crate::wire::{Event, Protocol, Reply, Want};

/// The models that are listed: one of each provider, as agents look for theirs.
const MODELS: &[&str] = &["scripted", "claude-sonnet-4-5", "gpt-5.4", "gemini-2.5-pro"];
/// What is sent as one token, in bytes; near enough for whoever only wants a number.
const TOKEN_BYTES: usize = 4;

/// What is sent back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A document.
    Whole(String),
    /// A stream of events.
    Events(Vec<Event>),
}

/// An answer, and how it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The request's number in what was seen; 0 for a look at it.
    pub number: u64,
    /// The HTTP status.
    pub status: u16,
    /// Headers beside those of the body.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body,
    /// Milliseconds before the first byte.
    pub delay_ms: u64,
    /// Milliseconds between events.
    pub drip_ms: u64,
    /// Where it waits.
    pub hold: Option<Hold>,
    /// Whether it breaks off in its middle.
    pub cut: bool,
}

impl Plan {
    fn json(status: u16, value: &Value) -> Self {
        let body = Body::Whole(value.to_string());
        Self { number: 0, status, headers: vec![], body, delay_ms: 0, drip_ms: 0, hold: None, cut: false }
    }
}

/// The desk.
pub struct Desk {
    script: Script,
    log: Option<Mutex<File>>,
    inside: Mutex<Inside>,
    news: Condvar,
}

/// What changes.
#[derive(Default)]
struct Inside {
    seen: Seen,
    /// How often an error or a break was dealt, by the key of its step.
    dealt: BTreeMap<String, u32>,
    opened: BTreeSet<String>,
    /// How many answers were made.
    replies: u64,
}

impl Desk {
    /// Makes a desk that plays a script, and writes each request to the log as a line of JSON.
    pub fn new(script: Script, log: Option<File>) -> Self {
        Self { script, log: log.map(Mutex::new), inside: Mutex::default(), news: Condvar::new() }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // What is inside is whole at every moment, so a thread that panicked does no harm.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what was seen.
    pub fn seen(&self) -> Seen {
        self.inside().seen.clone()
    }

    /// Waits until what was seen is as wanted, at most so long; says whether it is.
    pub fn wait(&self, within: Duration, mut wanted: impl FnMut(&Seen) -> bool) -> bool {
        let end = Instant::now() + within;
        let mut inside = self.inside();
        loop {
            if wanted(&inside.seen) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            inside = self.news.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Opens a gate, for those who wait at it and those to come.
    pub fn open(&self, gate: &str) {
        self.inside().opened.insert(gate.to_owned());
    }

    /// Tells whether a gate is open.
    pub fn is_open(&self, gate: &str) -> bool {
        self.inside().opened.contains(gate)
    }

    /// Takes a request and says what to answer. Any bytes are a request.
    pub fn take(&self, method: &str, path: &str, query: &str, body: &[u8]) -> Plan {
        let mut asked = Asked { at_ms: millis(), path: format!("{method} {path}"), ..Asked::default() };
        let mut plan = match (method, Protocol::of(path)) {
            ("GET" | "HEAD", _) => self.get(path),
            ("POST", Some((protocol, want))) => {
                asked.protocol = Some(protocol.name().to_owned());
                self.post(protocol, want, &Post { path, query, body }, &mut asked)
            }
            _ => nothing(path),
        };
        // To look is no request of an agent.
        if !path.starts_with("/__") {
            asked.status = plan.status;
            plan.number = self.note(asked);
        }
        plan
    }

    /// Takes in that an answer begins to be handed over.
    pub fn begun(&self, number: u64) {
        let mut inside = self.inside();
        if let Some(asked) = inside.seen.requests.iter_mut().rev().find(|asked| asked.number == number) {
            asked.begun_at_ms = Some(millis());
        }
        drop(inside);
        self.news.notify_all();
    }

    /// Takes in that an answer is over: handed over to its end, or given to nobody any more.
    pub fn over(&self, number: u64, whole: bool) {
        let mut inside = self.inside();
        if let Some(asked) = inside.seen.requests.iter_mut().rev().find(|asked| asked.number == number) {
            asked.over_at_ms = Some(millis());
            asked.whole = whole;
        }
        drop(inside);
        self.news.notify_all();
    }

    fn note(&self, asked: Asked) -> u64 {
        let mut inside = self.inside();
        inside.seen.note(asked);
        let number = inside.seen.count;
        let line = inside.seen.requests.last().map(|asked| json!(asked).to_string()).unwrap_or_default();
        // Inside the lock, so that the lines are in order.
        if let Some(log) = &self.log {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            // A full disk must not become an error of the provider's.
            let _ = writeln!(log, "{line}");
        }
        drop(inside);
        self.news.notify_all();
        number
    }

    fn get(&self, path: &str) -> Plan {
        if path == "/__state" {
            return Plan::json(200, &json!(self.seen()));
        }
        if path.contains("/v1beta/") && path.ends_with("/models") {
            let model = |id: &&str| {
                json!({"name": format!("models/{id}"), "supportedGenerationMethods": ["generateContent"],
                    "inputTokenLimit": 1_000_000, "outputTokenLimit": 8192})
            };
            return Plan::json(200, &json!({"models": MODELS.iter().map(model).collect::<Vec<_>>()}));
        }
        if path.ends_with("/models") {
            let model = |id: &&str| {
                json!({"id": id, "object": "model", "type": "model", "display_name": id, "owned_by": "script",
                    "created": 1_700_000_000, "created_at": "2026-01-01T00:00:00Z"})
            };
            let data: Vec<Value> = MODELS.iter().map(model).collect();
            return Plan::json(
                200,
                &json!({"object": "list", "data": data, "has_more": false,
                "first_id": MODELS.first(), "last_id": MODELS.last()}),
            );
        }
        // Agents look whether anybody is there.
        if path == "/" { Plan::json(200, &json!({})) } else { nothing(path) }
    }

    fn post(&self, protocol: Protocol, want: Want, post: &Post, asked: &mut Asked) -> Plan {
        let Ok(body) = serde_json::from_slice::<Value>(post.body) else {
            let fault = Fault {
                status: 400,
                kind: "invalid_request_error".into(),
                message: "The body is no JSON.".into(),
                times: None,
                gate: String::new(),
                retry_after_s: None,
                resets_in_s: None,
            };
            return Plan::json(400, &protocol.error(&fault, millis() / 1000));
        };
        if want == Want::Count {
            return Plan::json(200, &protocol.count(post.body.len() / TOKEN_BYTES));
        }
        let dialog = protocol.read(post.path, &body);
        let choice = choose(&self.script, &dialog);
        asked.model.clone_from(&dialog.model);
        asked.scenario = choice.scenario.map(str::to_owned);
        asked.step = choice.index;
        asked.played = choice.step.is_some();
        asked.tools = dialog.tools.iter().map(|tool| tool.name.clone()).collect();
        asked.fresh = self.inside().seen.hear(&dialog);
        if let Some(fault) = self.fault(&choice) {
            let delay_ms = choice.step.map(|step| step.delay_ms).unwrap_or_default();
            return Plan { delay_ms, ..fail(protocol, fault) };
        }
        let reply = self.reply(&dialog, &choice, post.body);
        asked.called = reply.calls.iter().map(|call| call.name.clone()).collect();
        self.play(protocol, &dialog, &choice, &reply, post)
    }

    /// Returns the error that is to be answered, if it was not dealt often enough and its gate is not open.
    fn fault<'a>(&self, choice: &Choice<'a>) -> Option<&'a Fault> {
        let fault = choice.step?.error.as_ref()?;
        if !fault.gate.is_empty() && self.is_open(&fill(&fault.gate, &choice.words)) {
            return None;
        }
        self.is_due(&choice.key, fault.times).then_some(fault)
    }

    fn is_due(&self, key: &str, times: Option<u32>) -> bool {
        let mut inside = self.inside();
        let dealt = inside.dealt.entry(key.to_owned()).or_default();
        *dealt = dealt.saturating_add(1);
        times.is_none_or(|times| *dealt <= times)
    }

    fn reply(&self, dialog: &Dialog, choice: &Choice, body: &[u8]) -> Reply {
        let number = {
            let mut inside = self.inside();
            inside.replies += 1;
            inside.replies
        };
        let at_s = millis() / 1000;
        // Of the time, too: a conversation may be resumed after another server answered it, and must get no id twice.
        let id = sha256(format!("{} {number} {}", millis(), sha256(body)).as_bytes());
        let mut reply =
            Reply { id: id[..16].to_owned(), at_s, model: dialog.model.clone(), ..Reply::default() };
        let nothing = Step::default();
        let step = choice.step.unwrap_or(&nothing);
        let put = |text: &str| fill(text, &choice.words);
        reply.say = match (choice.scenario, choice.step) {
            (None, _) => self.script.aside.clone(),
            (Some(name), None) => format!("Nothing more is scripted in {name}."),
            (Some(_), Some(step)) => put(&step.say),
        };
        reply.think = put(&step.think);
        reply.stop.clone_from(&step.stop);
        reply.usage = step.usage.or(&self.script.usage);
        for call in &step.call {
            match map(call, dialog, &choice.words) {
                Mapped::Call(called) => reply.calls.push(called),
                Mapped::Say(words) => reply.say = format!("{}\n{words}", reply.say).trim().to_owned(),
            }
        }
        reply
    }

    fn play(&self, protocol: Protocol, dialog: &Dialog, choice: &Choice, reply: &Reply, post: &Post) -> Plan {
        let streams = dialog.stream && (protocol != Protocol::Gemini || post.query.contains("alt=sse"));
        let whole = || match dialog.stream {
            // A stream that is asked for in one piece is a list of its pieces.
            true => json!([protocol.whole(reply)]),
            false => protocol.whole(reply),
        };
        let body =
            if streams { Body::Events(protocol.events(reply)) } else { Body::Whole(whole().to_string()) };
        let mut plan = Plan::json(200, &Value::Null);
        plan.headers.push(("request-id", format!("req_{}", reply.id)));
        plan.body = body;
        let Some(step) = choice.step else { return plan };
        plan.delay_ms = step.delay_ms;
        plan.drip_ms = step.drip_ms;
        plan.cut =
            step.cut.as_ref().is_some_and(|cut| self.is_due(&format!("{} cut", choice.key), cut.times));
        plan.hold =
            step.hold.as_ref().map(|hold| Hold { gate: fill(&hold.gate, &choice.words), at: hold.at });
        plan
    }
}

/// A `POST`, as it came.
struct Post<'a> {
    path: &'a str,
    query: &'a str,
    body: &'a [u8],
}

fn fail(protocol: Protocol, fault: &Fault) -> Plan {
    let now_s = millis() / 1000;
    let mut plan = Plan::json(fault.status, &protocol.error(fault, now_s));
    if let Some(seconds) = fault.retry_after_s {
        plan.headers.push(("retry-after", seconds.to_string()));
    }
    if let Some(seconds) = fault.resets_in_s {
        // The first provider tells the time of a subscription's limit so.
        plan.headers.push(("anthropic-ratelimit-unified-status", "rejected".into()));
        plan.headers.push(("anthropic-ratelimit-unified-reset", (now_s + seconds).to_string()));
        // And the second so: the window, how much of it is used, and when the next begins.
        plan.headers.push(("x-codex-primary-used-percent", "100".into()));
        plan.headers.push(("x-codex-primary-window-minutes", (seconds.div_ceil(60)).to_string()));
        plan.headers.push(("x-codex-primary-reset-at", (now_s + seconds).to_string()));
        plan.headers.push(("x-codex-rate-limit-reached-type", "rate_limit_reached".into()));
    }
    plan
}

fn nothing(path: &str) -> Plan {
    let message = format!("There is nothing at {path}.");
    Plan::json(404, &json!({"type": "error", "error": {"type": "not_found_error", "message": message}}))
}

fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
