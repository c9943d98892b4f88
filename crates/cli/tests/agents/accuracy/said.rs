//! What oarlock says of sessions, with the moment at which a follower of its feed knew it. It judges nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use oarlock_api::client::Client;
use oarlock_api::wire::Frame;

use super::count::Said;
use crate::harness::Crew;

/// Returns milliseconds since the epoch, as the model's server and tools tell the time.
pub fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A follower of the feed.
pub struct Follower {
    heard: Arc<Mutex<Vec<(u64, String, String)>>>,
}

impl Follower {
    /// Follows the feed of a crew whose daemon runs, until the daemon ends.
    pub fn of(crew: &Crew) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&heard);
        let socket = oarlock_daemon::read_note(&crew.place()).expect("a daemon runs").socket;
        thread::spawn(move || {
            let client = Client::new(&socket, None).unwrap();
            // The end of the daemon is the end of the feed.
            let _ = client.follow(None, |frame| {
                if let Frame::Event { view: Some(session), .. } = frame {
                    let mut heard = note.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.push((millis(), session.name, session.status));
                }
                true
            });
        });
        Self { heard }
    }

    /// Returns what was said of a session so far: each word with the moment from which on it was said.
    pub fn said(&self, name: &str) -> Vec<Said> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut said: Vec<Said> = Vec::new();
        for (at, _, word) in heard.iter().filter(|(_, of, _)| of == name) {
            if said.last().is_none_or(|(_, last)| last != word) {
                said.push((*at, word.clone()));
            }
        }
        said
    }
}
