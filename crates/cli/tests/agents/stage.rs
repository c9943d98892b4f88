//! A crew whose agents are real and whose model is scripted.

use std::time::{Duration, Instant, SystemTime};

use oarlock_model::drive::{Agent, Place, agents_dir};
use oarlock_model::{Script, Server};
use serde_json::Value;

use super::harness::Crew;

/// How long a real agent may take for anything: the slowest takes ten seconds to come up on a busy machine, and one that
/// tries a provider again waits longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// The variable that says when a lane is to be over, in seconds since 1970. What begins later fails at once: a test that is cut off
/// in its middle would leave its agents behind.
const UNTIL: &str = "OARLOCK_AGENTS_UNTIL_S";

fn is_too_late() -> bool {
    let until = std::env::var(UNTIL).ok().and_then(|until| until.parse().ok()).map(Duration::from_secs);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    until.is_some_and(|until| now > until)
}

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
        assert!(!is_too_late(), "the time of this lane is over: {UNTIL}");
        let server = Server::start(script, 0, None).expect("a port of loopback is free");
        let mut crew = Crew::new();
        crew.set(
            "OARLOCK_PASS_ENV",
            "SCRIPTED_*,OPENAI_*,COPILOT_*,KIMI_*,GEMINI_*,GOOGLE_*,QWEN_*,OPENCODE_*",
        );
        let mut stage = Self { crew, server, agent, hold };
        stage.join(program);
        stage
    }

    /// Sets up another agent beside those that are there.
    ///
    /// # Panics
    /// When its program is not installed.
    pub fn join(&mut self, program: Agent) {
        let agents = agents_dir();
        let found = program.program(&agents);
        assert!(
            found.is_some(),
            "{} is not in {}: cargo xtask agents install",
            program.name(),
            agents.display()
        );
        let (url, crew) = (self.server.url(), &mut self.crew);
        let place = Place { url: &url, home: &crew.home, trusted: &[], agents: &agents };
        let setup = program.setup(&place);
        setup.plant(&crew.home).expect("its files are written");
        for (name, value) in &setup.env {
            crew.set(name, value);
        }
        let path = crew
            .env
            .iter()
            .find(|(name, _)| name == "PATH")
            .map(|(_, path)| path.clone())
            .unwrap_or_default();
        let folders = setup.path_dirs.iter().cloned().chain(std::env::split_paths(&path));
        crew.set("PATH", std::env::join_paths(folders).unwrap_or(path));
    }

    /// Lets it ask before it runs a command, where it would not by itself or its setup says otherwise: by the user's own settings.
    pub fn let_it_ask(&self) {
        let edit = |path: &str, change: &dyn Fn(String) -> String| {
            let path = self.crew.home.join(path);
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, change(text)).unwrap();
        };
        match self.agent {
            "codex" => {
                let rules = self.crew.home.join(".codex/rules");
                std::fs::create_dir_all(&rules).unwrap();
                let rule = "prefix_rule(pattern = [\"touch\"], decision = \"prompt\")\n";
                std::fs::write(rules.join("default.rules"), rule).unwrap();
            }
            "opencode" => edit(".config/opencode/opencode.json", &|text| {
                text.replace("\"bash\": \"allow\"", "\"bash\": \"ask\"")
            }),
            // What its interface does of itself is to have a model judge.
            "claude-code" => edit(".claude/settings.json", &|text| {
                text.replacen('{', "{\"permissions\": {\"defaultMode\": \"manual\"},", 1)
            }),
            _ => {}
        }
    }

    /// Returns the agent's own process: what bears the run's mark and is started of its program, and starts no other such.
    /// A program may be started by a small one of its package, whose death would tell less.
    pub fn agent_process(&self) -> i32 {
        let bridge = env!("CARGO_BIN_EXE_oarlock");
        let found: Vec<i32> = self
            .marked()
            .into_iter()
            .filter(|(_, line)| !line.starts_with(bridge))
            .map(|(pid, _)| pid)
            .collect();
        let parent = |pid: i32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let after = stat.rsplit_once(')').map(|(_, after)| after.to_owned()).unwrap_or_default();
            after.split_whitespace().nth(1).and_then(|parent| parent.parse::<i32>().ok())
        };
        let leaf = found.iter().find(|pid| !found.iter().any(|other| parent(*other) == Some(**pid)));
        *leaf.unwrap_or_else(|| panic!("an agent lives among {:?}", self.marked()))
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
            let shown = self.screen(name).unwrap_or_else(|| self.crew.ok(&["logs", name]));
            let lines: Vec<&str> = shown.lines().collect();
            picture.push_str(&lines[lines.len().saturating_sub(40)..].join("\n"));
        }
        picture
    }

    /// Returns the files below the agent's home that hold this text and nothing else but space around it.
    pub fn files_holding(&self, text: &str) -> Vec<std::path::PathBuf> {
        let mut folders = vec![self.crew.home.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(kind) if kind.is_file() => {
                        let kept = std::fs::read(entry.path()).unwrap_or_default();
                        found.extend((kept.trim_ascii() == text.trim().as_bytes()).then(|| entry.path()));
                    }
                    _ => {}
                }
            }
        }
        found
    }

    /// Returns what the terminal of a session's last run shows, its title first, while its host lives.
    fn screen(&self, name: &str) -> Option<String> {
        let mut host = oarlock_term::Client::connect(&self.crew.run_folder(name)).ok()?;
        let screen = host.snapshot().ok()?;
        Some(format!("[{}]\n{}", screen.title.unwrap_or_default(), screen.lines.join("\n")))
    }

    /// Returns the processes that bear the mark of one of this crew's runs, hosts aside, once there are none or for too long.
    pub fn leftovers(&self) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let found = self.marked();
            if found.is_empty() || Instant::now() > end {
                return found.into_iter().map(|(_, line)| line).collect();
            }
            // poll: processes of a tree that is being ended go one by one.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns the processes that bear the mark of one of this crew's runs, with their command lines.
    fn marked(&self) -> Vec<(i32, String)> {
        let state = self.crew.state.to_string_lossy().into_owned();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let environ = String::from_utf8_lossy(&environ).into_owned();
            let is_ours = environ
                .split('\0')
                .any(|one| one.strip_prefix("OARLOCK_INBOX=").is_some_and(|path| path.starts_with(&state)));
            if is_ours {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push((pid, String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        found
    }
}
