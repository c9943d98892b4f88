//! Any facts in any order, as late, stale and repeated news: the state keeps to its limits and survives being stored, a retried
//! request is the same request, and nothing is typed twice.

use std::collections::{BTreeMap, BTreeSet};

use oarlock_core::crew::{Admitted, Crew, Line, Request as Wish};
use oarlock_core::ids::{MessageId, Name, RequestId, SessionId, Timestamp};
use oarlock_core::machine::{Entry, Key, Scope};
use oarlock_core::session::{Effect, MessageState, REQUESTS_KEPT, RUNS_KEPT, Request, Session, fact::Author};
use oarlock_core::status;

use crate::make::Choices;

/// Lines of the log at most: what goes wrong goes wrong early.
const LINES_MAX: u64 = 200;

/// The bytes are choices.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut world = World::default();
    while !choices.is_empty() && world.seq < LINES_MAX {
        world.step(&mut choices);
        world.holds();
    }
    world.survives_being_stored();
}

#[derive(Default)]
struct World {
    crew: Crew,
    seq: u64,
    at: u64,
    /// Keys of deliveries that were begun: none may begin again.
    typed: BTreeSet<(SessionId, Key)>,
    /// The same lines, folded from what is stored of them.
    stored: Crew,
}

impl World {
    fn append(&mut self, line: &Line) {
        self.seq += 1;
        let text = serde_json::to_string(line).expect("a line is JSON");
        let again: Line = serde_json::from_str(&text).expect("our own JSON");
        assert_eq!(again, *line);
        self.crew.record(self.seq, Timestamp(self.at), line);
        self.stored.record(self.seq, Timestamp(self.at), &again);
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let id = SessionId::from(["a", "b"][choices.below(2)]);
        match choices.below(8) {
            // Time passes, and the wall clock may jump back.
            0 => self.at = choices.make().unwrap_or_default(),
            1 => self.begin(&id, choices),
            2 => {
                let scope = self.crew.sessions.get(&id);
                let started: Vec<Key> = scope.into_iter().flat_map(|scope| scope.started.clone()).collect();
                if let Some(key) = started.get(choices.below(started.len())) {
                    self.append(&Line::Session(id, Entry::Settled(key.clone())));
                }
            }
            3 => {
                let lines = self.crew.sessions.get(&id).map(Scope::recover).unwrap_or_default();
                lines.into_iter().for_each(|entry| self.append(&Line::Session(id.clone(), entry)));
            }
            4 => self.wish(&id, choices),
            _ => {
                if let Some(entry) = choices.make::<Line>() {
                    let line = match entry {
                        Line::Session(_, Entry::Fact(fact)) => Line::Session(id, Entry::Fact(fact)),
                        // What was begun is the engine's to say; it begins only what is wanted.
                        Line::Session(..) => return,
                        line @ Line::Fleet(_) => line,
                    };
                    self.append(&line);
                }
            }
        }
    }

    /// Begins one of the effects that may run.
    fn begin(&mut self, id: &SessionId, choices: &mut Choices<'_>) {
        let wanted = self.crew.runnable(id, &BTreeSet::new()).effects;
        let chosen = wanted.into_iter().nth(choices.below(8));
        let Some((key, effect)) = chosen else { return };
        if matches!(effect, Effect::Deliver { .. }) {
            let is_first = self.typed.insert((id.clone(), key.clone()));
            assert!(is_first, "{key} is begun twice");
        }
        self.append(&Line::Session(id.clone(), Entry::Started(key)));
    }

    fn wish(&mut self, id: &SessionId, choices: &mut Choices<'_>) {
        let number: u8 = choices.make().unwrap_or_default();
        let Some(request) = request(RequestId(format!("r{number}")), choices) else { return };
        let wish = Wish::Session(id.clone(), request);
        match self.crew.admit(wish.clone()) {
            Ok(Admitted::Lines(lines)) => {
                lines.iter().for_each(|line| self.append(line));
                let again = self.crew.admit(wish);
                assert_eq!(again, Ok(Admitted::Before(self.seq)), "a retried wish is the same wish");
            }
            Ok(Admitted::Before(seq)) => assert!(seq <= self.seq),
            Err(refusal) => {
                assert!(!refusal.code.is_empty() && refusal.message.ends_with('.'), "{refusal:?}");
            }
        }
    }

    fn holds(&self) {
        for (id, scope) in &self.crew.sessions {
            let state = &scope.state;
            assert!(state.runs.len() <= RUNS_KEPT && state.requests.len() <= REQUESTS_KEPT);
            let (last, before) = state.runs.split_last().map_or((None, &[][..]), |(l, b)| (Some(l), b));
            assert!(before.iter().all(|run| run.ended.is_some()), "at most one run lives");
            assert!(last.is_none_or(|last| last.id.0 < state.runs_begun));
            let decision = scope.runnable(&BTreeSet::new());
            assert!(decision.effects.keys().all(|key| !scope.settled.contains(key)));
            assert!(decision.wake.is_none_or(|wake| wake.at > state.clock), "a deadline is in the future");
            let typed: BTreeMap<&MessageId, &MessageState> =
                state.messages.iter().map(|message| (&message.id, &message.state)).collect();
            assert_eq!(typed.len(), state.messages.len(), "a message is there once");
            for effect in decision.effects.values() {
                if let Effect::Deliver { message, .. } = effect {
                    assert_eq!(typed.get(message), Some(&&MessageState::Waiting), "only what waits is typed");
                }
            }
            let found = self.crew.find(id.as_str());
            assert_eq!(found, Ok(id));
            let (word, reasons) = status::explain(state);
            assert_eq!(word, status::status(state));
            assert!(state.brief.is_none() || !reasons.is_empty(), "{word:?} rests on something");
        }
    }

    fn survives_being_stored(&self) {
        assert_eq!(self.stored, self.crew, "the log alone decides");
        let text = serde_json::to_string(&self.crew.fleet).expect("a state is JSON");
        assert_eq!(serde_json::from_str::<Scope<_>>(&text).expect("our own JSON"), self.crew.fleet);
        for scope in self.crew.sessions.values() {
            let text = serde_json::to_string(scope).expect("a state is JSON");
            let again: Scope<Session> = serde_json::from_str(&text).expect("our own JSON");
            assert_eq!(&again, scope);
            assert_eq!(again.runnable(&BTreeSet::new()), scope.runnable(&BTreeSet::new()));
        }
    }
}

fn request(id: RequestId, choices: &mut Choices<'_>) -> Option<Request> {
    Some(match choices.below(9) {
        0 => Request::Send(id, choices.make()?, Author::Person, choices.make()?, choices.make()?),
        1 => Request::Stop(id),
        2 => Request::Kill(id),
        3 => Request::Resume(id, choices.make()?, choices.make()?),
        4 => Request::Rename(id, Name::slug(&choices.make::<String>()?, 8)?),
        5 => Request::Land(id, choices.make()?, choices.make()?),
        6 => Request::Part(id, choices.make()?),
        7 => Request::Answer(id, choices.make()?, choices.make()?),
        _ => Request::Undo(id),
    })
}
