//! Where the tour takes place: a folder with a repository and a state of its own, and the program run as a person
//! would run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use oarlock_api::client::Client;
use oarlock_api::place::Place;
use oarlock_api::wire;
use oarlock_world::git::Git;

use crate::connect;
use crate::error::CliError;
use crate::out;

/// How long any one thing may take before the tour calls it wrong.
const STEP_MAX: Duration = Duration::from_secs(40);
/// Pause between two looks at the sessions.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Why the tour ended early.
#[derive(Debug)]
pub enum Miss {
    /// The person pressed Ctrl-C.
    Interrupted,
    /// Something was not as it should be.
    Wrong(String),
}

/// Whether a step did what it says.
pub type Shown<T = ()> = Result<T, Miss>;

/// Makes a miss of a sentence.
pub fn wrong<T>(what: impl Into<String>) -> Shown<T> {
    Err(Miss::Wrong(what.into()))
}

/// The folder, and everything in it.
pub struct Stage {
    folder: PathBuf,
    keep: bool,
    leave_folder: bool,
    interrupted: Arc<AtomicBool>,
    seen: Vec<(String, String)>,
}

impl Stage {
    /// Makes the folder with an empty repository.
    pub fn build(folder: Option<&Path>, keep: bool) -> Result<Self, CliError> {
        let failed = |error: std::io::Error| CliError::io("make the demo's folder", &error);
        let folder = match folder {
            Some(folder) => {
                std::fs::create_dir(folder).map_err(failed)?;
                folder.canonicalize().map_err(failed)?
            }
            None => tempfile::Builder::new().prefix("oarlock-demo-").tempdir().map_err(failed)?.keep(),
        };
        let stage = Self {
            folder,
            keep,
            leave_folder: keep,
            interrupted: Arc::new(AtomicBool::new(false)),
            seen: Vec::new(),
        };
        for part in ["shop", "home"] {
            std::fs::create_dir(stage.folder.join(part)).map_err(failed)?;
        }
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, stage.interrupted.clone()).map_err(failed)?;
        }
        Ok(stage)
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the repository's path.
    pub fn shop(&self) -> PathBuf {
        self.folder.join("shop")
    }

    /// Returns where the tour's own daemon keeps its state.
    pub fn place(&self) -> Place {
        Place::at(&self.folder.join("state"))
    }

    /// Leaves the folder when the tour ends; agents and daemon are ended all the same.
    pub fn leave_folder(&mut self) {
        self.leave_folder = true;
    }

    /// Says what comes, as a heading.
    pub fn act(&self, text: &str) -> Shown {
        out::line("");
        out::line(&format!("── {text}"));
        self.go_on()
    }

    /// Says something about what was seen.
    pub fn say(&self, text: &str) {
        out::line(&format!("   {text}"));
    }

    fn go_on(&self) -> Shown {
        if self.interrupted.load(Ordering::Relaxed) { Err(Miss::Interrupted) } else { Ok(()) }
    }

    /// The person's surroundings: a home of its own, so that nothing of theirs is read or touched.
    fn surroundings(&self) -> Vec<(&'static str, std::ffi::OsString)> {
        let folder = |part: &str| self.folder.join(part).into_os_string();
        vec![
            ("HOME", folder("home")),
            ("OARLOCK_HOME", folder("state")),
            ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_AUTHOR_NAME", "Demo".into()),
            ("GIT_AUTHOR_EMAIL", "demo@oarlock.invalid".into()),
            ("GIT_COMMITTER_NAME", "Demo".into()),
            ("GIT_COMMITTER_EMAIL", "demo@oarlock.invalid".into()),
        ]
    }

    /// Runs git in the repository and returns what it said.
    pub fn git(&self, args: &[&str]) -> Shown<String> {
        let mut git = Git::at(self.shop());
        for (name, value) in self.surroundings() {
            git = git.env(name, value);
        }
        let answer = git.writes("play the demo").args(args).run();
        answer.map(|answer| answer.text()).or_else(|error| wrong(crate::error::chain(&error)))
    }

    /// Runs a verb without showing it.
    pub fn quiet(&self, args: &[&str]) -> Shown<Output> {
        self.go_on()?;
        let oarlock = std::env::current_exe().or_else(|error| wrong(error.to_string()))?;
        let mut command = Command::new(oarlock);
        for gone in ["XDG_RUNTIME_DIR", "XDG_STATE_HOME", "OARLOCK_RUN", "OARLOCK_TOKEN", "OARLOCK_INBOX"] {
            command.env_remove(gone);
        }
        let ran = command
            .args(args)
            .envs(self.surroundings())
            .current_dir(self.shop())
            .stdin(Stdio::null())
            .output();
        self.go_on()?;
        ran.or_else(|error| wrong(error.to_string()))
    }

    /// Shows a verb as typed, runs it, and shows what it prints. It must end with this exit code.
    pub fn oarlock(&self, args: &[&str], code: i32) -> Shown<String> {
        let quoted = |arg: &&str| {
            let plain = arg.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=".contains(c));
            if plain { (*arg).to_owned() } else { format!("'{arg}'") }
        };
        let typed: Vec<String> = args.iter().map(quoted).collect();
        out::line(&format!("   $ oarlock {}", typed.join(" ")));
        let ran = self.quiet(args)?;
        let text =
            format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        for line in text.lines() {
            out::line(&format!("     {}", out::clean(line)));
        }
        if ran.status.code() == Some(code) {
            return Ok(text);
        }
        wrong(format!(
            "\"oarlock {}\" ended with {}, not with exit code {code}.",
            typed.join(" "),
            ran.status
        ))
    }

    /// Returns a client of the tour's daemon, which must be running.
    pub fn client(&self) -> Shown<Client> {
        connect::running(&self.place()).or_else(|_| wrong("The daemon does not answer."))
    }

    /// Returns every session.
    pub fn sessions(&self) -> Shown<Vec<wire::Session>> {
        self.client()?.get("/v1/sessions?all=true").or_else(|error| wrong(error.to_string()))
    }

    /// Returns everything about a session.
    pub fn session(&self, name: &str) -> Shown<wire::SessionDetail> {
        self.client()?.get(&format!("/v1/sessions/{name}")).or_else(|error| wrong(error.to_string()))
    }

    /// Shows each change of status as it happens, until something holds of the sessions.
    pub fn live(&mut self, what: &str, holds: impl Fn(&[wire::Session]) -> bool) -> Shown {
        let deadline = Instant::now() + STEP_MAX;
        loop {
            self.go_on()?;
            let sessions = self.sessions()?;
            for session in &sessions {
                self.show_change(session);
            }
            if holds(&sessions) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return wrong(format!("{what} did not come true within {} s.", STEP_MAX.as_secs()));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn show_change(&mut self, session: &wire::Session) {
        let status = session.outcome.clone().unwrap_or_else(|| session.status.clone());
        let known = self.seen.iter_mut().find(|(name, _)| *name == session.name);
        match known {
            Some((_, before)) if *before == status => return,
            Some((_, before)) => before.clone_from(&status),
            None => self.seen.push((session.name.clone(), status.clone())),
        }
        let because = out::cut(&out::clean(&session.because), 60);
        out::line(&format!("     {:<12} {status:<12} {because}", session.name));
    }

    /// Says how to look around in what is kept.
    pub fn farewell(&self) {
        out::line("");
        out::line("Everything is still there. To look around:");
        out::line(&format!("  cd '{}'", self.shop().display()));
        out::line(&format!("  export OARLOCK_HOME='{}'", self.folder.join("state").display()));
        out::line("  oarlock ls --all");
        out::line("To end it: oarlock stop, then delete the folder.");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // The tour's own agents and daemon, and no others. What cannot be ended is told, not hidden.
        self.interrupted.store(false, Ordering::Relaxed);
        let sessions = self.sessions().unwrap_or_default();
        let mut ended = true;
        for session in sessions {
            // Refused when no agent runs, which is as good.
            ended &= self.quiet(&["kill", &session.id]).is_ok();
        }
        ended &= self.quiet(&["stop"]).is_ok_and(|output| output.status.success());
        let removed = self.leave_folder || std::fs::remove_dir_all(&self.folder).is_ok();
        if !ended || !removed {
            out::talk(&format!("warning: something is left in {}.", self.folder.display()));
        }
    }
}
