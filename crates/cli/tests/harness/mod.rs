//! A crew of its own for every test: a home, a state folder, a repository; real git, real hosts, a real daemon. Whatever
//! it started is ended by id when the test is over, and anything left over fails the test.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use oarlock_api::client::Client;
use oarlock_api::place::Place;
use oarlock_term::protocol::Watch;
use oarlock_term::{ConnectOptions, Probe, RunDir, probe};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything waited for may take: seconds on a busy machine, and a test that hangs still ends.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at something waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The date of the repository's first commit, so that its id is the same in every run.
const FIRST_DATE: &str = "2026-01-05T09:00:00Z";

/// One test's whole world.
pub struct Crew {
    _root: TempDir,
    /// The folder that holds all the others.
    pub root: PathBuf,
    /// HOME.
    pub home: PathBuf,
    /// OARLOCK_HOME.
    pub state: PathBuf,
    /// The repository, on branch main with one commit.
    pub repo: PathBuf,
    /// The whole environment of whatever is started.
    pub env: Vec<(OsString, OsString)>,
    /// Words of the errors that the daemon is driven to log.
    errors_expected: Vec<String>,
}

impl Crew {
    /// Makes a world with a repository called `shop`.
    pub fn new() -> Self {
        Self::of("state", "shop")
    }

    /// Makes a world whose state folder and repository have these names; both may have several parts.
    pub fn of(state: &str, repo: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("oar").tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (home, state, repo) = (root.join("home"), root.join(state), root.join(repo));
        fs::create_dir_all(&home).unwrap();
        fs::create_dir_all(&repo).unwrap();
        let env = environment(&home, &state);
        let crew = Self { _root: folder, root, home, state, repo, env, errors_expected: Vec::new() };
        crew.first_commit();
        crew
    }

    fn first_commit(&self) {
        self.write("README.md", "# Shop\n\nSells things.\n");
        self.git(&["init", "--quiet", "--initial-branch=main"]);
        self.git(&["add", "--all"]);
        let mut commit = self.program("git", &["commit", "--quiet", "--message", "Open the shop"]);
        commit.env("GIT_AUTHOR_DATE", FIRST_DATE).env("GIT_COMMITTER_DATE", FIRST_DATE);
        good(commit.output().unwrap(), "git commit");
    }

    /// Sets a variable of whatever is started from here on; the daemon has it only if it is not started yet.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.unset(name);
        self.env.push((name.into(), value.into()));
    }

    /// Takes a variable away.
    pub fn unset(&mut self, name: &str) {
        self.env.retain(|(known, _)| known != name);
    }

    /// Says that the daemon is going to log errors with these words in them: the fault is not its own.
    pub fn expect_error(&mut self, words: &str) {
        self.errors_expected.push(words.into());
    }

    /// Prepares a program in the repository, with this world's environment only and nothing on standard input.
    pub fn program(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.repo).stdin(Stdio::null());
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Prepares oarlock.
    pub fn command(&self, args: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_oarlock"), args)
    }

    /// Runs oarlock to its end.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs oarlock with something on standard input.
    #[must_use]
    pub fn feed(&self, args: &[&str], input: &str) -> Output {
        let file = self.root.join("standard-input");
        fs::write(&file, input).unwrap();
        self.command(args).stdin(fs::File::open(&file).unwrap()).output().unwrap()
    }

    /// Runs oarlock, which must do well, and returns what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        good(self.run(args), &args.join(" "))
    }

    /// Runs oarlock, which must refuse with an exit code, and returns its talk.
    pub fn refused(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        let talk = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?} said {}{talk}", text(&output.stdout));
        talk
    }

    /// Runs oarlock with `--json` and reads its answer.
    pub fn json(&self, args: &[&str]) -> Value {
        let said = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{args:?} is not JSON: {error}\n{said}"))
    }

    /// Runs git in the repository, which must do well, and returns what it printed.
    pub fn git(&self, args: &[&str]) -> String {
        good(self.program("git", args).output().unwrap(), &format!("git {args:?}"))
    }

    /// Runs git in a folder.
    pub fn git_in(&self, folder: &Path, args: &[&str]) -> String {
        let mut command = self.program("git", args);
        good(command.current_dir(folder).output().unwrap(), &format!("git {args:?}"))
    }

    /// Writes a file of the repository's checkout.
    pub fn write(&self, path: &str, words: &str) {
        fs::write(self.repo.join(path), words).unwrap();
    }

    /// Begins a session with the embedded agent.
    pub fn scripted(&self, name: &str, script: &str) {
        self.ok(&["spawn", "--name", name, "--agent", "scripted", "--prompt", script]);
    }

    /// Begins a session with a shell command as its agent.
    pub fn exec(&self, name: &str, command: &str) {
        self.ok(&["spawn", "--name", name, "--exec", command]);
    }

    /// Returns a session as `ls --all --json` has it.
    pub fn session(&self, name: &str) -> Value {
        let all = self.json(&["ls", "--all"]);
        let found = all.as_array().unwrap().iter().find(|session| session["name"] == name);
        found.unwrap_or_else(|| panic!("{name} is not listed in {all}")).clone()
    }

    /// Returns a session's workspace.
    pub fn workspace(&self, name: &str) -> PathBuf {
        self.workspace_of(&self.session(name))
    }

    /// Returns the workspace of a session as listed, without asking again.
    pub fn workspace_of(&self, session: &Value) -> PathBuf {
        PathBuf::from(session["workspace"].as_str().unwrap())
    }

    /// Returns the folder of a session's last run.
    pub fn run_folder(&self, name: &str) -> PathBuf {
        until(&format!("{name} to have a run"), || {
            let detail = self.json(&["show", name]);
            detail["runs"]
                .as_array()
                .unwrap()
                .last()
                .map(|run| PathBuf::from(run["folder"].as_str().unwrap()))
        })
    }

    /// Waits until a session has a status or an outcome, and returns it as listed.
    pub fn wait_status(&self, name: &str, word: &str) -> Value {
        let mut seen = Value::Null;
        until(&format!("{name} to be {word}"), || {
            seen = self.session(name);
            (seen["status"] == word || seen["outcome"] == word).then(|| seen.clone())
        })
    }

    /// Waits until a session's workspace is taken away.
    pub fn wait_gone(&self, name: &str) {
        until(&format!("{name}'s workspace to be gone"), || {
            self.session(name)["workspace"].is_null().then_some(())
        });
    }

    /// Returns what a run wrote, as it was written.
    pub fn output(&self, name: &str) -> String {
        text(&fs::read(RunDir::new(self.run_folder(name)).output()).unwrap_or_default())
    }

    /// Waits until an agent wrote something.
    pub fn wait_output(&self, name: &str, words: &str) -> String {
        until(&format!("{name} to write {words:?}"), || {
            Some(self.output(name)).filter(|output| output.contains(words))
        })
    }

    /// Connects to the host of a session's last run.
    pub fn host(&self, name: &str) -> oarlock_term::Client {
        oarlock_term::Client::connect(&self.run_folder(name)).unwrap()
    }

    /// Returns the processes of a session's last run, which lives: host and child.
    pub fn run_processes(&self, name: &str) -> [i32; 2] {
        let Ok(Probe::Live(identity)) = probe(&self.run_folder(name)) else {
            panic!("the run of {name} lives")
        };
        let child = identity.child.expect("a live run has a child");
        [identity.host.pid, child.pid].map(|pid| i32::try_from(pid).unwrap())
    }

    /// Returns a client of the running daemon, without a token.
    pub fn client(&self) -> Client {
        Client::new(&oarlock_daemon::read_note(&self.place()).unwrap().socket, None).unwrap()
    }

    /// Returns where things are.
    pub fn place(&self) -> Place {
        Place::at(&self.state)
    }

    /// Returns the daemon's process, if one of this world lives.
    pub fn daemon_pid(&self) -> Option<i32> {
        let pid = i32::try_from(oarlock_daemon::read_note(&self.place())?.pid).ok()?;
        self.processes().contains(&pid).then_some(pid)
    }

    /// Kills the daemon with SIGKILL and waits until it is gone.
    pub fn kill_daemon(&self) {
        let pid = self.daemon_pid().expect("a daemon runs");
        signal(pid, Signal::KILL);
        until("the daemon to be gone", || (!self.processes().contains(&pid)).then_some(()));
    }

    /// Returns every living process of this world: daemon, agents and orphans have its state folder in their environment, a
    /// host, which has no environment, in its arguments.
    pub fn processes(&self) -> Vec<i32> {
        let state = self.state.as_os_str().as_bytes();
        let variable = [b"OARLOCK_HOME=", state].concat();
        let holds = |pid: i32, file: &str, is: &dyn Fn(&[u8]) -> bool| {
            let words = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            words.split(|byte| *byte == 0).any(is)
        };
        let pids = fs::read_dir("/proc").unwrap().flatten();
        pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
            .filter(|pid| pid.unsigned_abs() != std::process::id() && is_alive(*pid))
            .filter(|pid| {
                holds(*pid, "environ", &|word| word == variable)
                    || holds(*pid, "cmdline", &|word| word.starts_with(state))
            })
            .collect()
    }

    /// Returns the lines of the daemon's log with level ERROR.
    pub fn errors_logged(&self) -> Vec<String> {
        let log = fs::read_to_string(self.place().log()).unwrap_or_default();
        let is_error = |line: &&str| line.split_whitespace().nth(1) == Some("ERROR");
        let is_expected = |line: &str| self.errors_expected.iter().any(|words| line.contains(words));
        log.lines().filter(is_error).filter(|line| !is_expected(line)).map(str::to_owned).collect()
    }

    /// Ends the daemon and every run by id, and returns the processes that were left over after that.
    fn end(&self) -> Vec<String> {
        if let Some(daemon) = self.daemon_pid() {
            signal(daemon, Signal::TERM);
            wait(Duration::from_secs(15), || (!is_alive(daemon)).then_some(()));
        }
        for folder in folders(&self.state.join("runs")).iter().flat_map(|session| folders(session)) {
            let options = ConnectOptions { watch: Watch::Exit, ..ConnectOptions::default() };
            // A run that is over has no host to connect to.
            let Ok(mut host) = oarlock_term::Client::connect_with(&folder, options) else { continue };
            drop(host.kill().and_then(|()| host.wait_exit(PATIENCE)));
        }
        // A process that was told to go needs a moment.
        wait(Duration::from_secs(5), || self.processes().is_empty().then_some(()));
        let left = self.processes();
        let named = left.iter().map(|pid| format!("{pid}: {}", command_line(*pid))).collect();
        left.iter().for_each(|pid| signal(*pid, Signal::KILL));
        named
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        let left = self.end();
        let errors = self.errors_logged();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.place().log()).unwrap_or_default();
            eprintln!("the daemon's log:\n{log}");
            return;
        }
        assert!(left.is_empty(), "a test leaves no process behind, and these were left: {left:#?}");
        assert!(errors.is_empty(), "a daemon that logs an error has a fault: {errors:#?}");
    }
}

/// A file system of its own, with little room.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one. `None`, said aloud, where this user may not.
    pub fn mount(test: &str, megabytes: u32) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("oar").tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=700"), "tmpfs"]).arg(folder.path());
        let mounted = mount.output();
        if mounted.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        let why = mounted.map_or_else(|error| error.to_string(), |output| text(&output.stderr));
        skipped(test, why.trim());
        None
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room there is, until the file is removed.
    pub fn fill(&self) -> PathBuf {
        let filler = self.path().join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        // The last bytes go one by one: a write that does not fit whole may be refused whole.
        for piece in [&[0; 4096][..], &[0]] {
            while file.write_all(piece).is_ok() {}
        }
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What was just killed may hold its files for a moment longer.
        let unmounted = wait(Duration::from_secs(10), || {
            let unmounted = Command::new("umount").arg(self.path()).output();
            unmounted.is_ok_and(|output| output.status.success()).then_some(())
        });
        assert!(unmounted.is_some() || std::thread::panicking(), "nobody is left on the disk");
    }
}

/// Says that a test cannot run here, where the runner does not swallow it.
pub fn skipped(test: &str, why: &str) {
    let line = format!("SKIPPED {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// The environment of a test: nothing of the machine's but the programs, and an identity for git.
fn environment(home: &Path, state: &Path) -> Vec<(OsString, OsString)> {
    let own = Path::new(env!("CARGO_BIN_EXE_oarlock")).parent().unwrap().to_owned();
    let machine = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([own].into_iter().chain(std::env::split_paths(&machine))).unwrap();
    let who = [("NAME", "Robin"), ("EMAIL", "robin@example.org")];
    let identity = ["AUTHOR", "COMMITTER"].into_iter().flat_map(|role| {
        who.map(|(what, value)| (OsString::from(format!("GIT_{role}_{what}")), OsString::from(value)))
    });
    let plain = [
        ("PATH", path),
        ("HOME", home.as_os_str().to_owned()),
        ("OARLOCK_HOME", state.as_os_str().to_owned()),
        ("GIT_CONFIG_NOSYSTEM", "1".into()),
        ("LANG", "C.UTF-8".into()),
        ("TZ", "UTC".into()),
    ];
    plain.into_iter().map(|(name, value)| (name.into(), value)).chain(identity).collect()
}

/// Waits until something is found; the test fails when it is not found in time.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait(PATIENCE, look).unwrap_or_else(|| panic!("waited {PATIENCE:?} for {what}"))
}

/// Waits until something is found or time is up.
pub fn wait<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        // poll: the state waited for belongs to other processes.
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits for a child's end; one that does not end in time is killed, and fails the test.
pub fn ended(mut child: Child) -> Output {
    let ended = wait(PATIENCE, || child.try_wait().unwrap());
    if ended.is_none() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert!(ended.is_some(), "a command hangs, having said {}", text(&output.stdout));
    output
}

/// Returns the output of a command that must have done well.
pub fn good(output: Output, what: &str) -> String {
    let (said, talk) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{said}{talk}", output.status);
    said
}

/// Returns bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Tells whether a process lives; one that waits to be reaped does not.
pub fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may hold any character (proc(5)).
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}

/// Sends a signal to a process of the test's own.
pub fn signal(pid: i32, signal: Signal) {
    // It may have ended by itself, which is as good.
    if let Some(pid) = Pid::from_raw(pid) {
        kill_process(pid, signal).ok();
    }
}

fn command_line(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    text(&line).replace('\0', " ")
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).collect()
}
