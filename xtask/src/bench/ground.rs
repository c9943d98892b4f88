//! Where a bench takes place: a temporary folder with a home, a state and a repository of its own.
//!
//! Whatever was started there is ended by its id when the ground goes, also after a failure or Ctrl-C.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::http::Http;
use super::proc;

/// Longest wait for anything: a thousand sessions on two loaded cores take minutes.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// How often what is left is looked for and ended: something may start between two looks.
const SWEEPS_MAX: u32 = 50;

/// The folders in use, for the end after a signal.
static GROUNDS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A temporary folder and the oarlock that is measured.
pub struct Ground {
    folder: tempfile::TempDir,
    oarlock: PathBuf,
}

impl Ground {
    /// Makes the folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(oarlock: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("failed to make a temporary folder: {error}");
        let folder = tempfile::Builder::new().prefix("oarlock-bench-").tempdir().map_err(failed)?;
        let ground = Self { folder, oarlock: oarlock.to_owned() };
        fs::create_dir(ground.path("home")).map_err(failed)?;
        if let Ok(mut grounds) = GROUNDS.lock() {
            grounds.push(ground.folder.path().to_owned());
        }
        Ok(ground)
    }

    /// Returns a path inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns a command that knows only this place.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("OARLOCK_HOME", self.path("state"));
        command.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "Bench")
                .env(format!("GIT_{who}_EMAIL"), "bench@oarlock.invalid");
        }
        command
    }

    /// Returns a command of the oarlock that is measured, inside the repository when there is one.
    pub fn oarlock(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.oarlock);
        command.args(args);
        let repository = self.path("repo");
        if repository.is_dir() {
            command.current_dir(repository);
        }
        command
    }

    /// Returns the program that is measured.
    pub fn program(&self) -> &Path {
        &self.oarlock
    }

    /// Makes a small repository: one commit with a few files.
    ///
    /// # Errors
    /// When git fails.
    pub fn small_repository(&self) -> Result<(), String> {
        let repository = self.path("repo");
        fs::create_dir(&repository).map_err(|error| error.to_string())?;
        for number in 0..5 {
            let file = repository.join(format!("file-{number}.txt"));
            fs::write(file, format!("{number}\n")).map_err(|error| error.to_string())?;
        }
        for args in [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-q", "-m", "Begin"]] {
            let mut command = self.command("git");
            run(command.args(args).current_dir(&repository))?;
        }
        Ok(())
    }

    /// Starts the daemon and returns who it is.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(&self) -> Result<Daemon, String> {
        run(&mut self.oarlock(&["start"]))?;
        self.daemon()
    }

    /// Returns the running daemon.
    ///
    /// # Errors
    /// When none runs.
    pub fn daemon(&self) -> Result<Daemon, String> {
        let status = json(&mut self.oarlock(&["status", "--json"]))?;
        let pid =
            status["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).ok_or("status tells no pid")?;
        let socket = status["socket"].as_str().ok_or("status tells no socket")?;
        Ok(Daemon { pid, socket: socket.into(), http: Http::new(Path::new(socket)) })
    }

    /// Spawns sessions of the scripted agent and waits until all have this status.
    ///
    /// # Errors
    /// When one does not come that far.
    pub fn sessions(&self, daemon: &Daemon, count: usize, prompt: &str, status: &str) -> Result<(), String> {
        let mut begun = 0;
        while begun < count {
            // The command line takes a hundred at most.
            let now = (count - begun).min(100);
            let name = format!("s{begun}");
            let args =
                ["spawn", &now.to_string(), "--agent", "scripted", "--prompt", prompt, "--name", &name];
            run(&mut self.oarlock(&args))?;
            begun += now;
        }
        let all = || Ok(daemon.statuses()?.iter().filter(|word| *word == status).count() == count);
        wait(&format!("{count} sessions to be {status}"), Duration::from_millis(50), all)
    }

    /// Returns the processes of all hosts that live, and those of their children.
    pub fn hosts(&self) -> Vec<(u32, u32)> {
        let mut hosts = Vec::new();
        let folders =
            |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        for session in folders(&self.path("state/runs")) {
            for run in folders(&session).filter(|run| !run.join("exit.json").exists()) {
                let text = fs::read_to_string(run.join("host.json")).unwrap_or_default();
                let who: Value = serde_json::from_str(&text).unwrap_or_default();
                let pid = |of: &str| who[of]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
                hosts.extend(pid("host").zip(pid("child")));
            }
        }
        hosts
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        end(self.folder.path());
        if let Ok(mut grounds) = GROUNDS.lock() {
            grounds.retain(|folder| folder != self.folder.path());
        }
    }
}

/// A running daemon.
pub struct Daemon {
    /// Its process.
    pub pid: u32,
    /// Its socket.
    pub socket: PathBuf,
    /// A client of it.
    pub http: Http,
}

impl Daemon {
    /// Returns the status of every session.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn statuses(&self) -> Result<Vec<String>, String> {
        let sessions = self.http.get("/v1/sessions")?;
        let word = |session: &Value| session["status"].as_str().unwrap_or_default().to_owned();
        Ok(sessions.as_array().map(|list| list.iter().map(word).collect()).unwrap_or_default())
    }
}

/// Ends every process that names the folder.
fn end(folder: &Path) {
    for _ in 0..SWEEPS_MAX {
        let left = proc::naming(folder);
        if left.is_empty() {
            return;
        }
        for pid in left {
            kill(pid);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    eprintln!("these would not end: {:?}", proc::naming(folder));
}

/// Ends a process at once.
pub fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // One that is gone already is as good.
    let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
}

/// Ends all grounds and this process when Ctrl-C or SIGTERM comes.
///
/// # Errors
/// When the signals cannot be caught.
pub fn end_on_signals() -> Result<(), String> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| format!("failed to catch signals: {error}"))?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            let grounds = GROUNDS.lock().map(|grounds| grounds.clone()).unwrap_or_default();
            for folder in grounds {
                end(&folder);
                // What cannot be taken away stays in the temporary folder.
                let _ = fs::remove_dir_all(&folder);
            }
            std::process::exit(130);
        }
    });
    Ok(())
}

/// Runs a command to its end.
///
/// # Errors
/// When it fails, with what it said.
pub fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stderr(Stdio::piped()).output();
    let output = output.map_err(|error| format!("failed to run {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
    Err(format!("{} failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// Runs a command to its end and reads its answer.
///
/// # Errors
/// When it fails, or what it says is no JSON.
pub fn json(command: &mut Command) -> Result<Value, String> {
    let output = command.stdout(Stdio::piped()).output();
    let output = output.map_err(|error| format!("failed to run {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{command:?} says no JSON: {error}"))
}

/// Returns how long a command takes from its start to its end, in milliseconds.
///
/// # Errors
/// When it fails.
pub fn timed_ms(command: &mut Command) -> Result<f64, String> {
    let begun = Instant::now();
    run(command)?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// Waits until something holds, looking again after each pause.
///
/// # Errors
/// When it does not come true within ten minutes, or cannot be looked at.
pub fn wait(
    what: &str,
    pause: Duration,
    mut holds: impl FnMut() -> Result<bool, String>,
) -> Result<(), String> {
    let deadline = Instant::now() + WAIT_MAX;
    while !holds()? {
        if Instant::now() >= deadline {
            return Err(format!("waited {} s for {what}", WAIT_MAX.as_secs()));
        }
        std::thread::sleep(pause);
    }
    Ok(())
}
