//! Runs the texts under `spec/`: requests and facts in; effects, status and refusals out.
//!
//! A script is read by people, so it looks like what they do. Its first paragraph of comment says which rule it shows.
//! Input lines stand as they are, what comes of them follows in lines that begin with `> `:
//!
//! ```text
//! # An agent that exits cleanly leaves the session done.
//!
//! project add /src/app
//! spawn pay: Fix the payments.
//! > status starting: The workspace is on its way.
//! > want workspace/0 prepare
//! pay workspace/0 -> ready
//! > want run/0 start run 0: "Fix the payments."
//! ```
//!
//! The core alone is driven, as the engine does it, with a fleet whose lanes never fill: what becomes wanted is handed
//! out at once (`> want`), what is not wanted any more while it is in flight is told (`> withdraw`), and a line
//! `<session> <key> -> <fact>; <fact>` settles it. `*` in a key stands for the one in flight that fits. [`words`] lists
//! every verb and fact. Time moves by `+5s` alone, and deadlines come back as facts as in the engine. `crash` forgets
//! what is in flight and recovers.

pub(crate) mod gates;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use oarlock_core::crew::{Admitted, Crew, Line, Request};
use oarlock_core::ids::{MessageId, RequestId, SessionId, Timestamp};
use oarlock_core::machine::{Entry, Key, Machine, Wake};
use oarlock_core::session::fact::Fact;
use oarlock_core::session::{Effect, MessageState, Refusal, Session};
use oarlock_core::status;

use words::{Input, effect_words, parse};

/// A script being run.
#[derive(Default)]
struct Play {
    crew: Crew,
    seq: u64,
    now: Timestamp,
    requests: u32,
    in_flight: BTreeMap<SessionId, BTreeMap<Key, Effect>>,
    withdrawn: BTreeSet<(SessionId, Key)>,
    wakes: BTreeMap<SessionId, Wake>,
    said: BTreeMap<SessionId, String>,
    messages: BTreeMap<(SessionId, MessageId), MessageState>,
    out: Vec<String>,
}

/// Returns the script with the lines that begin with `> ` as they are today.
///
/// # Errors
/// The number of a line that cannot be read, and why.
pub fn run(script: &str) -> Result<String, String> {
    let mut play = Play::default();
    let mut text = String::new();
    for (number, line) in script.lines().enumerate() {
        if line.starts_with('>') {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        let is_input = !line.trim().is_empty() && !line.starts_with('#');
        if is_input {
            play.line(line.trim()).map_err(|why| format!("line {}: {why}", number + 1))?;
        }
        for said in play.out.drain(..) {
            let _ = writeln!(text, "> {said}");
        }
    }
    Ok(text)
}

/// Returns where two texts part and meet again: lines only in the first marked `-`, those only in the second `+`, after
/// a few they share.
#[must_use]
pub fn diff(before: &str, after: &str) -> String {
    /// Lines shown before the difference.
    const CONTEXT: usize = 4;
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let head = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let rest = before[head..].iter().rev().zip(after[head..].iter().rev());
    let tail = rest.take_while(|(a, b)| a == b).count();
    let shared = before[head.saturating_sub(CONTEXT)..head].iter().map(|line| format!("  {line}\n"));
    let gone = before[head..before.len() - tail].iter().map(|line| format!("- {line}\n"));
    let come = after[head..after.len() - tail].iter().map(|line| format!("+ {line}\n"));
    shared.chain(gone).chain(come).collect()
}

impl Play {
    fn line(&mut self, line: &str) -> Result<(), String> {
        match parse(line)? {
            Input::Pass { forward, ms } => {
                let now = self.now.0;
                self.now = Timestamp(if forward { now + ms } else { now.saturating_sub(ms) });
                self.wake();
            }
            Input::Crash => self.crash(),
            Input::Find(text) => {
                let found = self.crew.find(&text).map(|id| id.0.clone());
                self.out.push(match found {
                    Ok(id) => format!("found {id}"),
                    Err(refusal) => refused(&refusal),
                });
            }
            Input::Spawn { request, spawn } => {
                let mut spawn = *spawn;
                spawn.request = self.request_id(request);
                self.ask(Request::Spawn(spawn));
            }
            Input::Fleet { request, make } => {
                let request = make(self.request_id(request));
                self.ask(Request::Fleet(request));
            }
            Input::Ask { request, session, make } => {
                let id = self.session(&session)?;
                let request = make(self.request_id(request));
                self.ask(Request::Session(id, request));
            }
            Input::Seen { session, fact } => {
                let id = self.session(&session)?;
                let fact = words::seen(&fact, &id)?;
                self.push(Line::Session(id, Entry::Fact(fact)));
            }
            Input::Settled { session, key, facts } => {
                let id = self.session(&session)?;
                let key = self.fitting(&id, &key)?;
                self.settle(&id, &key, &facts)?;
            }
        }
        self.react();
        self.decide();
        Ok(())
    }

    /// Returns the given request id, or one that was not used.
    fn request_id(&mut self, given: Option<String>) -> RequestId {
        self.requests += 1;
        RequestId(given.unwrap_or_else(|| format!("request-{}", self.requests)))
    }

    /// Returns the session with an id, or else the one on the list with that name, or else any with it.
    fn session(&self, text: &str) -> Result<SessionId, String> {
        let sessions = &self.crew.sessions;
        let id = SessionId::from(text);
        if sessions.contains_key(&id) {
            return Ok(id);
        }
        let named = |hidden: bool| {
            sessions.iter().find(|(_, scope)| scope.state.name.0 == text && scope.state.is_hidden() == hidden)
        };
        let found = named(false).or_else(|| named(true));
        found.map(|(id, _)| id.clone()).ok_or_else(|| format!("no session is called {text}"))
    }

    /// Returns the one key in flight that fits a pattern.
    fn fitting(&self, id: &SessionId, pattern: &str) -> Result<Key, String> {
        let keys = self.in_flight.get(id).into_iter().flat_map(BTreeMap::keys);
        let fits = |key: &&Key| match pattern.split_once('*') {
            Some((head, tail)) => key.0.starts_with(head) && key.0.ends_with(tail),
            None => key.0 == pattern,
        };
        let fitting: Vec<&Key> = keys.filter(fits).collect();
        match fitting[..] {
            [key] => Ok(key.clone()),
            [] => Err(format!("{pattern} is not in flight")),
            _ => Err(format!("{pattern} may be any of {fitting:?}")),
        }
    }

    fn settle(&mut self, id: &SessionId, key: &Key, facts: &[String]) -> Result<(), String> {
        let effect = self.in_flight.get(id).and_then(|keys| keys.get(key)).cloned();
        for fact in facts {
            let brief = self.crew.sessions.get(id).and_then(|scope| scope.state.brief.clone());
            let checks =
                brief.and_then(|brief| Some(brief.playbook.gate()?.checks.clone())).unwrap_or_default();
            let fact = words::answer(fact, id, key, effect.as_ref(), &checks)?;
            self.push(Line::Session(id.clone(), Entry::Fact(fact)));
        }
        self.push(Line::Session(id.clone(), Entry::Settled(key.clone())));
        if let Some(keys) = self.in_flight.get_mut(id) {
            keys.remove(key);
        }
        self.withdrawn.remove(&(id.clone(), key.clone()));
        Ok(())
    }

    fn push(&mut self, line: Line) {
        self.seq += 1;
        self.crew.record(self.seq, self.now, &line);
    }

    fn ask(&mut self, request: Request) {
        match self.crew.admit(request) {
            Ok(Admitted::Lines(lines)) => lines.into_iter().for_each(|line| self.push(line)),
            Ok(Admitted::Before(seq)) => self.out.push(format!("the same request as line {seq} of the log")),
            Err(refusal) => self.out.push(refused(&refusal)),
        }
    }

    fn wake(&mut self) {
        let due: Vec<(SessionId, Wake)> = self
            .wakes
            .iter()
            .filter(|(_, wake)| wake.at <= self.now)
            .map(|(i, w)| (i.clone(), w.clone()))
            .collect();
        for (id, wake) in due {
            self.push(Line::Session(id, Entry::Fact(Session::woke(wake.why))));
        }
    }

    fn crash(&mut self) {
        self.in_flight.clear();
        self.withdrawn.clear();
        let lines: Vec<Line> = self
            .crew
            .sessions
            .iter()
            .flat_map(|(id, scope)| scope.recover().into_iter().map(|entry| Line::Session(id.clone(), entry)))
            .collect();
        for line in lines {
            if let Line::Session(_, Entry::Fact(Fact::EffectLost { key })) = &line {
                self.out.push(format!("lost {key}"));
            }
            self.push(line);
        }
    }

    /// Tells sessions what they have to know of others.
    fn react(&mut self) {
        loop {
            let facts = self.crew.reactions();
            if facts.is_empty() {
                return;
            }
            for (id, fact) in facts {
                self.push(Line::Session(id, Entry::Fact(fact)));
            }
        }
    }

    /// Hands out what is wanted, and tells what changed.
    fn decide(&mut self) {
        let ids: Vec<SessionId> = self.crew.sessions.keys().cloned().collect();
        let many = ids.len() > 1;
        for id in ids {
            let name =
                self.crew.sessions.get(&id).map(|scope| scope.state.name.0.clone()).unwrap_or_default();
            let whose = if many { format!("{name}: ") } else { String::new() };
            self.tell_status(&id, &whose);
            self.tell_messages(&id, &whose);
            let in_flight = self.in_flight.entry(id.clone()).or_default();
            let busy: BTreeSet<Key> = in_flight.keys().cloned().collect();
            let Some(scope) = self.crew.sessions.get(&id) else { continue };
            let wanted = Session::decide(&scope.state).effects;
            let gone = busy.iter().filter(|key| !wanted.contains_key(*key));
            for key in gone {
                if self.withdrawn.insert((id.clone(), key.clone())) {
                    self.out.push(format!("{whose}withdraw {key}"));
                }
            }
            let decision = self.crew.runnable(&id, &busy);
            for (key, effect) in decision.effects {
                self.out.push(format!("{whose}want {key} {}", effect_words(&effect)));
                self.push(Line::Session(id.clone(), Entry::Started(key.clone())));
                self.in_flight.entry(id.clone()).or_default().insert(key, effect);
            }
            self.tell_wake(&id, &whose, decision.wake);
        }
    }

    fn tell_status(&mut self, id: &SessionId, whose: &str) {
        let Some(scope) = self.crew.sessions.get(id) else { return };
        let (status, reasons) = status::explain(&scope.state);
        let mut says = reasons.iter().map(|reason| reason.says.as_str());
        let first = format!("{whose}status {status}: {}", says.next().unwrap_or_default());
        let all = std::iter::once(first.as_str()).chain(says).collect::<Vec<_>>().join(" | ");
        if self.said.insert(id.clone(), all.clone()).is_none_or(|before| before != all) {
            self.out.push(all);
        }
    }

    fn tell_messages(&mut self, id: &SessionId, whose: &str) {
        let messages = self.crew.sessions.get(id).into_iter().flat_map(|scope| &scope.state.messages);
        for message in messages {
            let name = (id.clone(), message.id.clone());
            // A time says nothing that the script does not.
            let state = match &message.state {
                MessageState::Typed(_) => MessageState::Typed(Timestamp::default()),
                MessageState::Taken(_) => MessageState::Taken(Timestamp::default()),
                state => state.clone(),
            };
            if self.messages.insert(name, state.clone()).as_ref() != Some(&state) {
                self.out.push(format!("{whose}message {} {}", message.id, words::message_words(&state)));
            }
        }
    }

    fn tell_wake(&mut self, id: &SessionId, whose: &str, wake: Option<Wake>) {
        let Some(wake) = wake else {
            self.wakes.remove(id);
            return;
        };
        let ms = wake.at.0.saturating_sub(self.now.0);
        if self.wakes.insert(id.clone(), wake.clone()).is_none_or(|before| before != wake) {
            self.out.push(format!("{whose}wake in {} ms: {}", ms, wake.why));
        }
    }
}

fn refused(refusal: &Refusal) -> String {
    let mut text = format!("refused {}: {}", refusal.code, refusal.message);
    if !refusal.hint.is_empty() {
        text.push_str(" | ");
        text.push_str(&refusal.hint);
    }
    text
}
