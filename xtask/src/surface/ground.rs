//! Where the surface is driven: a temporary folder with a home, a repository and a daemon of its own, and sessions in many
//! states. Whatever was started there is ended by its id when the ground goes, also after Ctrl-C.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::bridge::Bridge;
use super::client::Need;
use crate::shell;

/// Longest wait for a session to come to where it is wanted.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often what is left is looked for and ended: something may start between two looks.
const SWEEPS_MAX: u32 = 50;

/// The sessions: name, arguments of `spawn`, and the status waited for.
const SESSIONS: &[(&str, &[&str], &str)] = &[
    ("idle", &["--agent", "scripted"], "idle"),
    ("asks", &["--agent", "scripted", "--prompt", "ask rm"], "blocked"),
    ("question", &["--agent", "scripted", "--prompt", "question Tea?"], "needs_input"),
    ("claims", &["--agent", "scripted", "--prompt", "write a.txt b ; commit Add a ; claim done"], "claimed"),
    ("clone", &["--agent", "scripted", "--workspace", "clone", "--prompt", "write b.txt c"], "idle"),
    ("ended", &["--exec", "echo said"], "done"),
    ("failed", &["--exec", "exit 7"], "failed"),
    ("missing", &["--exec", "exec /no/such/program"], "failed"),
    ("gone", &["--exec", "echo x >x.txt"], "done"),
    ("off", &["--exec", "true"], "done"),
];

/// Words that the client tries beside those it thinks of, so that requests also come to what is there. No `exec`: what it
/// thinks of is not to be run as a command.
const WORDS: &[&str] = &[
    "shop",
    "scripted",
    "merge",
    "squash",
    "rebase",
    "worktree",
    "clone",
    "idle",
    "gone",
    "main",
    "HEAD",
    "@{-1}",
    "oarlock/x/work",
    "say hi ; claim done",
    "ask more",
    "--upload-pack=x",
    "../../etc/passwd",
    "refs/heads/main",
    "0",
];

/// The folder, and the daemon in it.
pub struct Ground {
    folder: tempfile::TempDir,
    oarlock: PathBuf,
    daemon: u32,
}

impl Ground {
    /// Makes the folder, starts the daemon and brings the sessions to where they are wanted.
    ///
    /// # Errors
    /// When any of that fails.
    pub fn new() -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("failed to make a temporary folder: {error}");
        let folder = tempfile::Builder::new().prefix("oarlock-surface-").tempdir().map_err(failed)?;
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell::root().join("target"), PathBuf::from);
        let mut ground = Self { folder, oarlock: target.join("debug/oarlock"), daemon: 0 };
        end_on_signals(&ground.state())?;
        for name in ["home", "shop"] {
            fs::create_dir(ground.path(name)).map_err(failed)?;
        }
        for args in [&["init", "-q", "-b", "main"][..], &["commit", "-q", "--allow-empty", "-m", "Begin"]] {
            ground.run("git", args)?;
        }
        for (name, args, _) in SESSIONS {
            ground.oarlock(&[&["spawn", "--name", name], *args].concat())?;
        }
        for (name, _, status) in SESSIONS {
            ground.wait(name, status)?;
        }
        ground.oarlock(&["reject", "gone"])?;
        ground.oarlock(&["rm", "off"])?;
        ground.daemon = ground.daemon()?;
        Ok(ground)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Returns the daemon's socket.
    ///
    /// # Errors
    /// When no daemon runs.
    pub fn socket(&self) -> Result<PathBuf, String> {
        let status = self.json(&["status"])?;
        status["socket"].as_str().map(PathBuf::from).ok_or_else(|| "status tells no socket".into())
    }

    fn daemon(&self) -> Result<u32, String> {
        let status = self.json(&["status"])?;
        status["pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok())
            .ok_or_else(|| "status tells no pid".into())
    }

    /// Returns what a round needs to be about this place.
    pub fn round(&self, bridge: &Bridge, seed: u64) -> Need {
        let quoted =
            |words: &[&str]| words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        let mut sessions: Vec<&str> = SESSIONS.iter().map(|(name, ..)| *name).collect();
        sessions.extend(["i", "nobody", "g"]);
        let shop = self.path("shop").display().to_string();
        let words = [WORDS, &[shop.as_str()]].concat();
        let configuration = format!(
            "[dictionaries]\n\
             sessions = {{ values = [{}] }}\nprojects = {{ values = [\"shop\", \"nothing\"] }}\n\
             words = {{ values = [{}] }}\nnumbers = {{ values = [-1, 0, 1, 50] }}\n\n\
             [parameters]\n\"path.session\" = {{ dictionary = \"sessions\", probability = 0.8 }}\n\
             \"path.project\" = {{ dictionary = \"projects\", probability = 0.8 }}\n\n\
             [generation.dictionaries]\nstring = {{ dictionary = \"words\", probability = 0.3 }}\n\
             integer = {{ dictionary = \"numbers\", probability = 0.5 }}\n\n\
             # What was taken off the list can be asked about by its id, and brought back.\n\
             [checks.use_after_free]\nenabled = false\n\
             # Rules that are no shape are told by these, in the one form of every refusal.\n\
             # 405: an entry of the trash that is nobody's has an empty session, which makes another address of a link.\n\
             [checks.positive_data_acceptance]\n\
             expected-statuses = [\"2xx\", \"400\", \"404\", \"405\", \"409\", \"410\"]\n\
             [checks.negative_data_rejection]\n\
             expected-statuses = [\"400\", \"404\", \"405\", \"408\", \"409\", \"410\", \"413\", \"415\", \"422\", \"431\"]\n",
            quoted(&sessions),
            quoted(&words),
        );
        Need { url: format!("http://{}", bridge.address()), folder: self.path("client"), configuration, seed }
    }

    /// Says what is wrong with the daemon, if anything is: another one, an error in its log, a state that differs from it.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn trouble(&self) -> Result<Option<String>, String> {
        let log = fs::read_to_string(self.state().join("log/daemon.log"));
        let log = log.map_err(|error| format!("the daemon's log cannot be read: {error}"))?;
        if let Some(line) = log.lines().find(|line| line.split_whitespace().nth(1) == Some("ERROR")) {
            return Ok(Some(format!("the daemon's log has an error: {line}")));
        }
        let daemon = match self.daemon() {
            Ok(daemon) => daemon,
            Err(why) => return Ok(Some(format!("the daemon is gone: {why}"))),
        };
        Ok((daemon != self.daemon).then(|| format!("daemon {} was replaced by {daemon}", self.daemon)))
    }

    /// Stops the daemon in good order, compares what is stored with the log, and returns how many sessions there are.
    ///
    /// # Errors
    /// When one of these fails.
    pub fn end(&self) -> Result<usize, String> {
        let sessions = self.json(&["ls", "--all"])?.as_array().map_or(0, Vec::len);
        self.oarlock(&["stop"])?;
        self.oarlock(&["doctor", "--verify"])?;
        Ok(sessions)
    }

    fn wait(&self, name: &str, status: &str) -> Result<(), String> {
        let deadline = Instant::now() + WAIT_MAX;
        while self.json(&["show", name])?["session"]["status"] != status {
            if Instant::now() > deadline {
                return Err(format!("{name} did not come to be {status}"));
            }
            // poll: the agent gets there by itself.
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn json(&self, args: &[&str]) -> Result<Value, String> {
        let said = self.oarlock(&[args, &["--json"]].concat())?;
        serde_json::from_str(&said).map_err(|error| format!("{args:?} says no JSON: {error}"))
    }

    fn oarlock(&self, args: &[&str]) -> Result<String, String> {
        self.run(&self.oarlock, args)
    }

    /// Runs a program that knows only this place, and returns what it printed.
    fn run(&self, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program);
        command.args(args).env_clear().current_dir(self.path("shop")).stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("OARLOCK_HOME", self.state()).env("LC_ALL", "C.UTF-8");
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Surface");
            command.env(format!("GIT_{who}_EMAIL"), "surface@oarlock.invalid");
        }
        let output = command.output().map_err(|error| format!("failed to run {args:?}: {error}"))?;
        if !output.status.success() {
            return Err(format!("{args:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        end(&self.state());
    }
}

/// Ends every process of a state folder: agents and the daemon have it in their environment, hosts in their arguments.
fn end(state: &Path) {
    for _ in 0..SWEEPS_MAX {
        let left = processes(state);
        if left.is_empty() {
            return;
        }
        for pid in left {
            // One that is gone already is as good.
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
        std::thread::sleep(Duration::from_millis(20)); // poll: the kernel takes them away
    }
    eprintln!("these would not end: {:?}", processes(state));
}

fn processes(state: &Path) -> Vec<i32> {
    let state = state.as_os_str().as_bytes();
    let variable = [b"OARLOCK_HOME=", state].concat();
    let holds = |pid: i32, file: &str, is: &dyn Fn(&[u8]) -> bool| {
        let words = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(is)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_of_it = |pid: &i32| {
        holds(*pid, "environ", &|word| word == variable)
            || holds(*pid, "cmdline", &|word| word.starts_with(state))
    };
    pids.filter(is_of_it).collect()
}

/// Ends the ground and this process when Ctrl-C or SIGTERM comes.
fn end_on_signals(state: &Path) -> Result<(), String> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| format!("failed to catch signals: {error}"))?;
    let state = state.to_owned();
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            end(&state);
            // What cannot be taken away stays in the temporary folder.
            drop(state.parent().map(fs::remove_dir_all));
            std::process::exit(130);
        }
    });
    Ok(())
}
