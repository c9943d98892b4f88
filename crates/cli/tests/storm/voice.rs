//! One who talks to one agent: sends, follows each message's receipt, and brings an agent up that died. It must not know
//! what the agent made of it.

use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use oarlock_api::client::{Client, ClientError};
use oarlock_api::place::Place;
use oarlock_api::wire;

use super::Storm;
use super::harness::{ended, text};
use super::words::{Dice, cleaned, message};

/// How long a message may take until its agent is seen to take it up: an Enter that a dialog held back is pressed again after
/// five seconds, three times.
const ARRIVES: Duration = Duration::from_secs(45);
/// Pause before something that was refused is tried again.
const AGAIN: Duration = Duration::from_millis(30);
/// How often a session whose agent died is brought up again by whoever talks to it.
const RESUMES_MAX: usize = 6;
/// Every so many messages, one is sent by the verb.
const BY_VERB_EVERY: u64 = 20;
/// Messages from this length on have their number in them.
const TELLING_BYTES: usize = 20;
/// Messages of one voice whose end is not known yet, at most.
const OPEN_MAX: u64 = 5;
/// How long a shell that an agent left behind is talked to before the run is ended.
const SHELL_WAITS: Duration = Duration::from_secs(3);

/// A message that was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) number: usize,
    pub(super) session: String,
    /// Who sent it, and in which place: of one voice, an earlier one comes first.
    pub(super) voice: usize,
    pub(super) place: usize,
    pub(super) id: String,
    pub(super) state: String,
    pub(super) trouble: String,
}

/// Why a message was not taken.
enum No {
    /// Later, it may be; what was said instead.
    NotNow(String),
    /// Nobody lives there.
    Dead,
}

struct Voice<'a> {
    storm: &'a Storm,
    session: &'a str,
    number: usize,
    client: Client,
    dice: Dice,
    open: Vec<Sent>,
    /// How many it said.
    said: usize,
}

/// Talks until all is said, or nobody is left to talk to.
pub(super) fn talk(storm: &Storm, session: &str, number: usize) {
    let draws =
        session.bytes().fold(storm.seed ^ number as u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
    let client = reviving(storm);
    let mut voice = Voice { storm, session, number, client, dice: Dice(draws), open: vec![], said: 0 };
    let mut lives = true;
    while lives && let Some(message) = storm.take() {
        lives = voice.say(message);
        let open_max = voice.dice.below(OPEN_MAX);
        while lives && voice.open.len() as u64 > open_max {
            lives = voice.follow();
        }
    }
    while lives && !voice.open.is_empty() {
        lives = voice.follow();
    }
    // Their last word is asked for once more when all is over.
    storm.sent.lock().unwrap().append(&mut voice.open);
}

/// Returns a client that starts the daemon when it is gone, as the verbs do.
fn reviving(storm: &Storm) -> Client {
    let place = Place::at(&storm.crew.state);
    let socket = oarlock_daemon::read_note(&place).unwrap().socket;
    let (env, repo) = (storm.crew.env.clone(), storm.crew.repo.clone());
    let start = move || {
        let mut start = std::process::Command::new(env!("CARGO_BIN_EXE_oarlock"));
        start.arg("start").current_dir(&repo).env_clear().envs(env.iter().cloned());
        start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        start.status().ok()?;
        Some(oarlock_daemon::read_note(&place)?.socket)
    };
    Client::new(&socket, None).unwrap().reviving(start)
}

impl Voice<'_> {
    fn check_alarm(&self) {
        assert!(!self.storm.failed.load(Ordering::Relaxed), "another one failed first");
    }

    /// Sends a message until it is acknowledged. Returns whether somebody lives to talk to.
    fn say(&mut self, number: usize) -> bool {
        // A verb that lost its answer is asked after by its text, which has to be like no other.
        let by_verb =
            self.dice.below(BY_VERB_EVERY) == 0 && message(self.storm.seed, number).len() >= TELLING_BYTES;
        let deadline = Instant::now() + ARRIVES;
        loop {
            self.check_alarm();
            let said = if by_verb { self.by_verb(number) } else { self.by_request(number) };
            match said {
                Ok(taken) => {
                    let wanted = cleaned(&message(self.storm.seed, number));
                    assert!(taken.text == wanted, "{number} is kept as it was sent, made harmless");
                    let wire::Message { id, state, trouble, .. } = taken;
                    let (session, voice) = (self.session.to_owned(), self.number);
                    self.said += 1;
                    self.open.push(Sent { number, session, voice, place: self.said, id, state, trouble });
                    return true;
                }
                Err(No::NotNow(why)) => {
                    assert!(Instant::now() < deadline, "{number} is not taken by {}: {why}", self.session);
                    // poll: what it waits for is the agent's affair.
                    std::thread::sleep(AGAIN);
                }
                Err(No::Dead) if self.bring_up() => {}
                Err(No::Dead) => {
                    self.storm.put_back(number);
                    return false;
                }
            }
        }
    }

    fn path(&self) -> String {
        format!("/v1/sessions/{}/messages", self.session)
    }

    fn by_request(&self, number: usize) -> Result<wire::Message, No> {
        let body = wire::Send { text: message(self.storm.seed, number), when: None };
        // The same id is the same wish, however often it is made.
        self.client.post(&self.path(), &format!("storm-{number}"), &body).map_err(|error| self.no(&error))
    }

    fn no(&self, error: &ClientError) -> No {
        match error {
            ClientError::NoDaemon { .. } | ClientError::Broken(_) => No::NotNow(error.to_string()),
            ClientError::Refused(refusal, _) => no(&refusal.code, self.session),
            other => panic!("{}: {other:?}", self.session),
        }
    }

    fn by_verb(&self, number: usize) -> Result<wire::Message, No> {
        let said = message(self.storm.seed, number);
        // An argument holds no zero byte, and one dash alone is standard input.
        let is_argument = said.len() < 4096 && !said.contains('\0') && said != "-";
        let words: &[&str] = if is_argument { &["--", &said] } else { &["-"] };
        let mut command = self.storm.crew.command(&[&["--json", "send", self.session], words].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Who is given the text as an argument reads nothing.
        drop((!is_argument).then(|| stdin.write_all(said.as_bytes())));
        drop(stdin);
        let output = ended(child);
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap());
        }
        let talk = text(&output.stderr);
        let error: serde_json::Value = serde_json::from_str(&talk).unwrap_or_default();
        match (output.status.code(), error["code"].as_str()) {
            // It found no daemon three times over, or lost its answer: the log knows whether it was heard.
            (Some(1 | 5), _) => self.in_the_log(&cleaned(&said)).ok_or(No::NotNow(talk)),
            (_, Some(code)) => Err(no(code, self.session)),
            (_, None) => panic!("{} is told {talk}", self.session),
        }
    }

    /// Returns the message with this text, if the log has one.
    fn in_the_log(&self, said: &str) -> Option<wire::Message> {
        let path = format!("/v1/sessions/{}", self.session);
        let detail = loop {
            self.check_alarm();
            match self.client.get::<wire::SessionDetail>(&path) {
                Ok(detail) => break detail,
                Err(ClientError::NoDaemon { .. } | ClientError::Broken(_)) => {}
                Err(error) => panic!("{}: {error:?}", self.session),
            }
        };
        detail.messages.into_iter().find(|message| message.text == said)
    }

    /// Waits until the oldest open message comes further. Returns whether somebody lives to wait for.
    fn follow(&mut self) -> bool {
        let deadline = Instant::now() + ARRIVES;
        let mut oldest = self.open.remove(0);
        let mut typed_at = None;
        while !matches!(oldest.state.as_str(), "accepted" | "refused") {
            self.check_alarm();
            if self.is_dead() && !self.bring_up() {
                self.open.insert(0, oldest);
                return false;
            }
            let seen = if self.is_mortal() {
                // poll: it may die while its message waits.
                std::thread::sleep(AGAIN);
                self.ask(&oldest, "")
            } else {
                self.ask(&oldest, &format!("?beyond={}", oldest.state))
            };
            assert!(Instant::now() < deadline, "{oldest:?} comes no further");
            let Some(seen) = seen else { continue };
            (oldest.state, oldest.trouble) = (seen.state, seen.trouble);
            // What was typed to one who died before Enter is taken up by nobody.
            let typed_in =
                oldest.state == "delivered" && *typed_at.get_or_insert(self.deaths()) < self.deaths();
            if typed_in {
                break;
            }
        }
        self.storm.sent.lock().unwrap().push(oldest);
        true
    }

    /// Asks how far a message came; no answer from a daemon that dies meanwhile.
    fn ask(&self, sent: &Sent, query: &str) -> Option<wire::Message> {
        match self.client.get(&format!("{}/{}{query}", self.path(), sent.id)) {
            Ok(message) => Some(message),
            Err(ClientError::NoDaemon { .. } | ClientError::Broken(_)) => None,
            Err(error) => panic!("{sent:?}: {error:?}"),
        }
    }

    /// Tells whether the agent is of a kind that dies.
    fn is_mortal(&self) -> bool {
        self.session.starts_with("dying") || self.session.starts_with("shell")
    }

    fn deaths(&self) -> usize {
        self.storm.books(self.session).lines("deaths").len()
    }

    /// Tells whether the agent died and nobody brought it up since.
    fn is_dead(&self) -> bool {
        self.is_mortal() && self.deaths() > self.storm.books(self.session).lines("resumes").len()
    }

    /// Brings an agent up that died, unless another did it meanwhile. Returns whether somebody lives there now.
    fn bring_up(&mut self) -> bool {
        let mut resumes = self.storm.resumes[self.session].lock().unwrap();
        if !self.is_dead() {
            return true;
        }
        if *resumes >= RESUMES_MAX {
            return false;
        }
        *resumes += 1;
        if self.session.starts_with("shell") {
            // poll: nothing tells of a shell that waits; what is sent meanwhile has it before it.
            std::thread::sleep(SHELL_WAITS);
            drop(self.storm.crew.run(&["kill", self.session]));
        }
        let deadline = Instant::now() + ARRIVES;
        let books = self.storm.books(self.session);
        while !self.storm.crew.run(&["resume", self.session]).status.success() {
            self.check_alarm();
            assert!(Instant::now() < deadline, "{} is not brought up again", self.session);
            // poll: it is refused until the end of its last run is known.
            std::thread::sleep(AGAIN);
        }
        books.note("resumes", &serde_json::json!({}));
        true
    }
}

/// Reads the code of a refusal.
fn no(code: &str, session: &str) -> No {
    match code {
        "blocked" | "queue_full" => No::NotNow(code.into()),
        "not_running" => No::Dead,
        other => panic!("{session} refuses: {other}"),
    }
}
