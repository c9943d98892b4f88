//! A bridge of its own for every test: the built program as a real host's child in a real terminal, with the scripted agent
//! beneath it. Whatever it started is ended by id when the test is over.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use oarlock_term::{Client, ExitRecord, Io, Probe, RunDir, Size, Spec, ensure, probe, sweep};
use oarlock_world::run::inbox;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything waited for may take. Generous: the machine is small and others use it.
const DEADLINE: Duration = Duration::from_secs(30);
/// The terminal of a person.
pub const SIZE: Size = Size { rows: 40, cols: 80 };

static RUNS: AtomicU32 = AtomicU32::new(0);

/// A run held by a bridge.
pub struct Bench {
    _root: TempDir,
    pub workspace: PathBuf,
    pub run: PathBuf,
}

impl Bench {
    /// Starts a bridge whose agent is told this first, and waits for its first report: nothing is typed before, since a
    /// terminal that was not taken yet cuts long lines.
    pub fn start(prompt: &str) -> Self {
        let bench = Self::start_with(prompt, &json!({}));
        bench.until("the first report", || !bench.seen().is_empty());
        bench
    }

    /// Starts a bridge with other instructions in some of their fields.
    pub fn start_with(prompt: &str, changes: &Value) -> Self {
        let bench = Self::new(prompt, changes);
        let spec = Spec {
            // Unique: the end of a run takes everything with it that bears its name.
            run: format!("bridge-{}-{}/0", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed)),
            argv: [env!("CARGO_BIN_EXE_oarlock"), "bridge", bench.run.to_str().unwrap()]
                .map(Into::into)
                .into(),
            cwd: bench.workspace.clone(),
            env: ["PATH", "HOME"]
                .map(|name| (name.into(), std::env::var(name).unwrap_or_default()))
                .into_iter()
                .chain([("GIT_CONFIG_GLOBAL".into(), "/dev/null".into())])
                .collect(),
            io: Io::Pty { size: SIZE },
            grace_ms: 5000,
        };
        ensure(&bench.run, &spec, &[env!("CARGO_BIN_EXE_oarlock").into(), "host".into()]).unwrap();
        bench
    }

    fn new(prompt: &str, changes: &Value) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (workspace, run) = (root.path().join("work"), root.path().join("runs/abcd2345/0"));
        fs::create_dir_all(&workspace).unwrap();
        fs::create_dir_all(&run).unwrap();
        let init = Command::new("git").args(["init", "--quiet"]).current_dir(&workspace).status();
        assert!(init.unwrap().success());
        fs::write(run.join("prompt.md"), prompt).unwrap();
        let mut spec = json!({
            "agent": "scripted", "hold": "protocol", "program": "", "version": null,
            "workspace": workspace, "folder": run, "prompt_file": run.join("prompt.md"),
            "conversation": null, "new_conversation": "c-1", "model": null, "permissions": "default",
            "rules": "", "args": [], "command": null, "oarlock": env!("CARGO_BIN_EXE_oarlock"),
        });
        for (name, value) in changes.as_object().unwrap() {
            spec[name] = value.clone();
        }
        fs::write(run.join("bridge.json"), spec.to_string()).unwrap();
        Self { _root: root, workspace, run }
    }

    /// Gives a command as the daemon does: by the host, under an id that is typed once. Returns whether it was known.
    pub fn command(&self, id: &str, command: &Value) -> bool {
        let message = json!({"id": id, "text": json!({"oarlock": command}).to_string(), "submit": true,
            "bracketed": "auto", "settle_ms": 0});
        let message = serde_json::from_value(message).unwrap();
        Client::connect(&self.run).unwrap().message(&message).unwrap()
    }

    /// Tells the agent something, under an id.
    pub fn say(&self, id: &str, text: &str) {
        self.command(id, &json!({"say": {"id": id, "text": text, "interrupt": false}}));
    }

    /// Presses keys, as a person who is attached does.
    pub fn press(&self, keys: impl AsRef<[u8]>) {
        Client::connect(&self.run).unwrap().input(keys.as_ref()).unwrap();
    }

    /// Returns what was reported, each observation by itself.
    pub fn seen(&self) -> Vec<Value> {
        let text = fs::read_to_string(inbox::file(&self.run)).unwrap_or_default();
        let whole = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let reports = whole.map(|report| serde_json::to_value(oarlock_agents::read(&report)).unwrap());
        reports
            .flat_map(|report| {
                assert_eq!(report[0], "protocol");
                report[1].as_array().unwrap().clone()
            })
            .collect()
    }

    /// Counts how often something was seen.
    pub fn count(&self, observation: &Value) -> usize {
        self.seen().iter().filter(|seen| *seen == observation).count()
    }

    /// Waits until so many turns have ended, however.
    pub fn wait_turns(&self, turns: usize) {
        self.until(&format!("{turns} turns"), || {
            self.seen().iter().filter(|seen| seen.get("turn_ended").is_some()).count() >= turns
        });
    }

    /// Waits until something was seen.
    pub fn wait_seen(&self, observation: &Value) {
        self.until(&observation.to_string(), || self.count(observation) > 0);
    }

    /// Returns the screen, its trailing blank rows cut.
    pub fn screen(&self) -> String {
        let screen = oarlock_term::render(&self.run, None, SIZE).unwrap();
        screen.lines.join("\n").trim_end().to_owned()
    }

    /// Waits until the screen shows something, and returns it.
    pub fn wait_screen(&self, words: &str) -> String {
        self.until(&format!("{words:?} on the screen"), || self.screen().contains(words));
        self.screen()
    }

    /// Returns every byte the bridge wrote.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(RunDir::new(&self.run).output()).unwrap_or_default()).into_owned()
    }

    /// Returns a file of the workspace; empty when it is not there.
    pub fn file(&self, name: &str) -> String {
        fs::read_to_string(self.workspace.join(name)).unwrap_or_default()
    }

    /// Waits for the end of the run.
    pub fn wait_end(&self) -> ExitRecord {
        let mut found = None;
        self.until("the end of the run", || {
            if let Probe::Ended(record) = probe(&self.run).unwrap() {
                found = Some(record);
            }
            found.is_some()
        });
        found.unwrap()
    }

    /// Returns the processes whose command line holds this run's folder or whose parent is one of them.
    pub fn agent_pid(&self) -> u32 {
        let Probe::Live(identity) = probe(&self.run).unwrap() else { panic!("the run lives") };
        let bridge = identity.child.unwrap().pid;
        let mut found = None;
        self.until("the agent's process", || {
            let children = fs::read_to_string(format!("/proc/{bridge}/task/{bridge}/children"));
            found = children.unwrap_or_default().split_whitespace().next().and_then(|pid| pid.parse().ok());
            found.is_some()
        });
        found.unwrap()
    }

    pub fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so() {
            let late = Instant::now() >= deadline;
            assert!(!late, "not in time: {what}\nseen: {:#?}\nscreen:\n{}", self.seen(), self.screen());
            std::thread::sleep(Duration::from_millis(5)); // poll: the state waited for belongs to other processes
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        match probe(&self.run) {
            Ok(Probe::Live(_)) => {
                let _ = Client::connect(&self.run).and_then(|mut client| client.kill());
                let deadline = Instant::now() + DEADLINE;
                while matches!(probe(&self.run), Ok(Probe::Live(_))) && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(5)); // poll: a process's end is nobody's event
                }
            }
            Ok(Probe::Lost { .. }) => drop(sweep(&self.run)),
            Ok(Probe::Ended(_) | Probe::Never) | Err(_) => {}
        }
    }
}

/// Tells whether a process lives.
pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    stat.rfind(')').is_some_and(|at| !stat[at + 2..].starts_with('Z'))
}
