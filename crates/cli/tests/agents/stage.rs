//! A crew whose agents are real and whose model is scripted.

use std::time::{Duration, Instant};

use oarlock_model::drive::{Agent, Place, agents_dir};
use oarlock_model::{Script, Server};
use serde_json::Value;

use super::harness::Crew;

/// How long a real agent may take for anything: the slowest takes ten seconds to come up on a busy machine, and one that
/// tries a provider again waits longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// One agent, its model, and the crew that holds it.
pub struct Stage {
    pub crew: Crew,
    pub server: Server,
    pub agent: &'static str,
    pub hold: &'static str,
}

impl Stage {
    /// Sets up a crew with this agent and no other.
    ///
    /// # Panics
    /// When its program is not installed: that is what the test is for.
    pub fn of(program: Agent, agent: &'static str, hold: &'static str) -> Self {
        Self::playing(Script::everyday(), program, agent, hold)
    }

    /// The same, with a script of one's own.
    ///
    /// # Panics
    /// When its program is not installed.
    pub fn playing(script: Script, program: Agent, agent: &'static str, hold: &'static str) -> Self {
        let agents = agents_dir();
        let found = program.program(&agents);
        assert!(
            found.is_some(),
            "{} is not in {}: cargo xtask agents install",
            program.name(),
            agents.display()
        );
        let server = Server::start(script, 0, None).expect("a port of loopback is free");
        let mut crew = Crew::new();
        let url = server.url();
        let place = Place { url: &url, home: &crew.home, trusted: &[], agents: &agents };
        let setup = program.setup(&place);
        setup.plant(&crew.home).expect("its files are written");
        for (name, value) in &setup.env {
            crew.set(name, value);
        }
        crew.set(
            "OARLOCK_PASS_ENV",
            "SCRIPTED_*,OPENAI_*,COPILOT_*,KIMI_*,GEMINI_*,GOOGLE_*,QWEN_*,OPENCODE_*",
        );
        let path = crew
            .env
            .iter()
            .find(|(name, _)| name == "PATH")
            .map(|(_, path)| path.clone())
            .unwrap_or_default();
        let folders = setup.path_dirs.iter().cloned().chain(std::env::split_paths(&path));
        crew.set("PATH", std::env::join_paths(folders).unwrap_or(path));
        Self { crew, server, agent, hold }
    }

    /// Begins a session.
    pub fn spawn(&self, name: &str, prompt: &str, permissions: &str) {
        let how = ["--agent", self.agent, "--hold", self.hold, "--permissions", permissions];
        self.crew.ok(&[&["spawn", "--name", name, "--prompt", prompt], &how[..]].concat());
    }

    /// Waits for something, and tells what the session looked like when it never came.
    pub fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < end, "waited {PATIENCE:?} for {what}\n{}", self.picture());
            // poll: a real agent tells nobody but its hooks, whose end is what is looked at.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a session has one of these statuses.
    pub fn until_status(&self, name: &str, statuses: &[&str]) -> Value {
        self.until(&format!("{name} to be {statuses:?}"), || {
            let now = self.crew.json(&["show", name])["session"].clone();
            statuses.iter().any(|status| now["status"] == *status).then_some(now)
        })
    }

    /// Returns the permissions with which the agent asks leave for a command. By default, one of them has a model judge.
    pub fn asking(&self) -> &'static str {
        if (self.agent, self.hold) == ("claude-code", "terminal") { "accept-edits" } else { "default" }
    }

    /// Presses the keys with which a person at its terminal interrupts the agent, one after the other.
    pub fn press_interrupt(&self, name: &str) {
        let agent = oarlock_agents::find(self.agent).expect("it is in the registry");
        // A bridge takes Ctrl-C, whichever agent it holds.
        let keys = if self.hold == "terminal" { agent.typing().interrupt } else { "\u{3}" };
        let mut host = self.crew.host(name);
        for key in keys.chars() {
            host.input(key.to_string().as_bytes()).unwrap();
            // poll: two keys that come at once are another key; this is a person's pace.
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Everything a person would look at.
    pub fn picture(&self) -> String {
        let mut picture = self.crew.ok(&["events"]);
        for session in self.crew.json(&["ls", "--all"]).as_array().into_iter().flatten() {
            let name = session["name"].as_str().unwrap_or_default();
            picture.push_str(&self.crew.ok(&["why", name]));
            let shown = self.crew.ok(&["logs", name]);
            let lines: Vec<&str> = shown.lines().collect();
            picture.push_str(&lines[lines.len().saturating_sub(40)..].join("\n"));
        }
        picture
    }

    /// Returns the processes that bear the mark of one of this crew's runs, hosts aside.
    pub fn leftovers(&self) -> Vec<String> {
        let state = self.crew.state.to_string_lossy().into_owned();
        let find = || {
            let mut found = Vec::new();
            for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
                let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
                let environ = String::from_utf8_lossy(&environ).into_owned();
                let ours = environ.split('\0').any(|one| {
                    one.strip_prefix("OARLOCK_INBOX=").is_some_and(|path| path.starts_with(&state))
                });
                if ours {
                    let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    found.push(String::from_utf8_lossy(&line).replace('\0', " "));
                }
            }
            found
        };
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let found = find();
            if found.is_empty() || Instant::now() > end {
                return found;
            }
            // poll: processes of a tree that is being ended go one by one.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
