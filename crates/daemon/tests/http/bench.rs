//! A daemon in a process and a folder of its own, and the plainest client there is.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use oarlock_api::place::Place;
use oarlock_daemon::{Options, Patience};
use serde_json::{Value, json};

/// How long anything may take. Generous: the machine may be small and busy.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for a state.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5)); // poll: another process gets there
    }
}

/// What a test shortens, in milliseconds; the followers' bound is in steps.
#[derive(Clone, Copy, Default)]
pub struct Short {
    pub headers: Option<u64>,
    pub body: Option<u64>,
    pub heartbeat: Option<u64>,
    pub drain: Option<u64>,
    pub behind: Option<u64>,
}

impl Short {
    const NAMES: [&str; 5] = ["HEADERS", "BODY", "HEARTBEAT", "DRAIN", "BEHIND"];

    fn values(self) -> [Option<u64>; 5] {
        [self.headers, self.body, self.heartbeat, self.drain, self.behind]
    }
}

/// A running daemon. It is ended on drop, and whatever its log calls an error fails the test.
pub struct Bench {
    child: Child,
    folder: tempfile::TempDir,
    errors_expected: bool,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(Short::default())
    }

    pub fn with(short: Short) -> Self {
        let bench = Self::launch(short);
        until("the daemon listens", || UnixStream::connect(bench.socket()).is_ok());
        bench
    }

    /// Begins a daemon without waiting for it.
    pub fn launch(short: Short) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = again("bench::helper_daemon");
        command
            .env("OARLOCK_TEST_STATE", folder.path().join("state"))
            .env("HOME", folder.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("OARLOCK_LOG")
            .stdout(std::process::Stdio::null());
        for (name, value) in Short::NAMES.iter().zip(short.values()) {
            if let Some(value) = value {
                command.env(format!("OARLOCK_TEST_{name}"), value.to_string());
            }
        }
        Self { child: command.spawn().unwrap(), folder, errors_expected: false }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn socket(&self) -> PathBuf {
        self.state().join("daemon.sock")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.state().join("log/daemon.log")).unwrap_or_default()
    }

    /// Waits for the daemon's own end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        until("the daemon ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: oarlock\r\nconnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n", body.len());
        // A daemon that has heard enough may answer and hang up before it has read all of it.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        Answer::read(&mut stream)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, id: &str, body: &Value) -> Answer {
        let headers = [("idempotency-key", id), ("content-type", "application/json")];
        self.ask("POST", path, &headers, body.to_string().as_bytes())
    }

    /// Makes a repository with one commit.
    pub fn repository(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let init = ["init", "--quiet", "--initial-branch=main", path.to_str().unwrap()];
        let commit = ["-C", path.to_str().unwrap(), "commit", "--quiet", "--allow-empty", "--message=begin"];
        for args in [&init[..], &commit[..]] {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=Test", "-c", "user.email=test@example.org"]).args(args);
            git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
            assert!(git.status().unwrap().success());
        }
        path
    }

    /// Begins a session whose agent cannot come up, for there is no host here. Returns its id.
    pub fn spawn(&self, repository: &Path, name: &str) -> String {
        let body = json!({"project": repository, "agent": "exec", "command": "true", "name": name});
        let answer = self.post("/v1/sessions", &format!("spawn-{name}"), &body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Waits until nothing goes on by itself in a session: its agent cannot come up here, and that has to be known.
    pub fn until_at_rest(&self, id: &str) {
        until("the session is at rest", || {
            self.get(&format!("/v1/sessions/{id}")).json()["session"]["status"] == "failed"
        });
    }

    /// Returns every event of the log.
    pub fn events(&self) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let since = all.last().map_or(0, |event| event["seq"].as_u64().unwrap());
            let page = self.get(&format!("/v1/events?since={since}")).json();
            let page = page.as_array().unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page.iter().cloned());
        }
    }

    pub fn count(&self, kind: &str) -> usize {
        self.events().iter().filter(|event| event["kind"] == kind).count()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        let error = log.lines().find(|line| line.contains(" ERROR "));
        if !self.errors_expected && !std::thread::panicking() {
            assert_eq!(error, None, "the daemon's log has an error");
        }
    }
}

/// An answer, read to the end of its connection.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads an answer; status 0 is a connection closed without one.
    pub fn read(stream: &mut UnixStream) -> Self {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head, body: bytes.get(end + 4..).unwrap_or_default().to_vec() }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}\n{}", self.head, self.text()))
    }

    /// Returns the code of a refusal, after looking at its shape.
    pub fn refusal(&self) -> String {
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        let json = self.json();
        for word in ["code", "message", "hint"] {
            assert!(json[word].is_string(), "{word} is missing: {json}");
        }
        let message = json["message"].as_str().unwrap();
        assert!(message.ends_with('.') && !message.contains(['\n', '\u{1b}']), "a sentence: {message:?}");
        json["code"].as_str().unwrap().to_owned()
    }
}

/// This test program again, to run one of its helpers as a process of its own.
pub fn again(helper: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", helper]);
    command
}

#[test]
#[ignore = "the daemon of the other tests"]
fn helper_daemon() {
    let state = std::env::var_os("OARLOCK_TEST_STATE").expect("the test that starts it says where");
    let number = |name: &str| std::env::var(format!("OARLOCK_TEST_{name}")).ok().map(|n| n.parse().unwrap());
    let wait = |name: &str, or: Duration| number(name).map_or(or, Duration::from_millis);
    let usual = Patience::default();
    let patience = Patience {
        headers: wait("HEADERS", usual.headers),
        body: wait("BODY", usual.body),
        heartbeat: wait("HEARTBEAT", usual.heartbeat),
        drain: wait("DRAIN", usual.drain),
        behind: number("BEHIND").map_or(usual.behind, |steps| usize::try_from(steps).unwrap()),
    };
    // No run comes up: its host is a program that only fails.
    let options = Options { oarlock: "/bin/false".into(), foreground: false, say_ready: false };
    oarlock_daemon::run_patiently(&Place::at(Path::new(&state)), &options, patience).unwrap();
}
