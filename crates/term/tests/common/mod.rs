//! What the host's tests share: a run directory of its own, and a wait for a state with a deadline.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(dead_code, reason = "each suite uses its part")]

use oarlock_term::protocol::{Message, Watch};
use oarlock_term::{
    Client, ConnectOptions, Event, ExitRecord, Io, Probe, RunDir, Size, Spec, Started, ensure, probe, sweep,
};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take. Generous: the machine is small and others use it.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A terminal of the usual size.
pub const PTY: Io = Io::Pty { size: Size { rows: 24, cols: 80 } };

static RUNS: AtomicU32 = AtomicU32::new(0);

/// A run in directories of its own. Whatever still lives is ended on drop.
pub struct Bench {
    work: TempDir,
    dir: PathBuf,
    run: String,
}

impl Bench {
    pub fn new() -> Self {
        Self::with_run(&format!("r{}", RUNS.fetch_add(1, Ordering::Relaxed)))
    }

    /// The name is made unique by the process, but one prefix of another stays one.
    pub fn with_run(run: &str) -> Self {
        let work = tempfile::tempdir().unwrap();
        let dir = work.path().join("run");
        Self { dir, work, run: format!("test-{}-{run}", std::process::id()) }
    }

    pub fn with_depth(bytes: usize) -> Self {
        let mut bench = Self::new();
        while bench.dir.as_os_str().len() <= bytes {
            bench.dir = bench.dir.join("a-directory-with-a-long-name");
        }
        bench
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn run(&self) -> &str {
        &self.run
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    pub fn output(&self) -> PathBuf {
        RunDir::new(&self.dir).output()
    }

    pub fn spec(&self, io: Io, argv: &[&str]) -> Spec {
        Spec {
            run: self.run.clone(),
            argv: argv.iter().map(|&arg| arg.to_owned()).collect(),
            cwd: self.work.path().to_owned(),
            env: vec![("PATH".into(), std::env::var("PATH").unwrap())],
            io,
            grace_ms: 300,
        }
    }

    pub fn start(&self, io: Io, script: &str) -> Started {
        ensure(&self.dir, &self.spec(io, &["sh", "-c", script]), &host()).unwrap()
    }

    pub fn run_to_end(&self, io: Io, script: &str) -> ExitRecord {
        self.start(io, script);
        self.wait_end()
    }

    pub fn wait_end(&self) -> ExitRecord {
        let mut found = None;
        until("the run is over", || {
            if let Probe::Ended(record) = probe(&self.dir).unwrap() {
                found = Some(record);
            }
            found.is_some()
        });
        found.unwrap()
    }

    pub fn kill(&self) {
        Client::connect(&self.dir).unwrap().kill().unwrap();
        self.wait_end();
    }

    /// Returns the process id a script wrote to a file, once it is whole.
    pub fn pid(&self, name: &str) -> Option<u32> {
        let text = std::fs::read_to_string(self.file(name)).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        match probe(&self.dir) {
            Ok(Probe::Live(_)) => {
                let _ = Client::connect(&self.dir).and_then(|mut client| client.kill());
                // The directory is removed after this; the host needs it until its end.
                let deadline = Instant::now() + DEADLINE;
                while matches!(probe(&self.dir), Ok(Probe::Live(_))) && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(5)); // poll: a process's end is nobody's event
                }
            }
            Ok(Probe::Lost { .. }) => {
                let _ = sweep(&self.dir);
            }
            Ok(Probe::Ended(_) | Probe::Never) | Err(_) => {}
        }
    }
}

/// The command that is a host.
pub fn host() -> Vec<OsString> {
    vec![env!("CARGO_BIN_EXE_oarlock-host").into()]
}

/// This test program again, to run one of its helpers as a process of its own.
pub fn again(helper: &str) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", helper]);
    command
}

/// Runs a script on a pseudo-terminal and reads it in the plainest way there is. Returns the bytes read.
pub fn bare_loop(script: &str) -> u64 {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    unlockpt(&master).unwrap();
    let side = ioctl_tiocgptpeer(&master, flags).unwrap();
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", script])
        .stdin(side.try_clone().unwrap())
        .stdout(side.try_clone().unwrap())
        .stderr(side);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0;
    while let Ok(count) = rustix::io::read(&master, &mut buffer) {
        total += count as u64;
    }
    child.wait().unwrap();
    total
}

/// A message that is submitted at once.
pub fn message(id: &str, text: &str) -> Message {
    let (id, text) = (id.to_owned(), text.to_owned());
    Message { id, text, submit: true, ..Message::default() }
}

pub fn watching(bench: &Bench, watch: Watch) -> Client {
    Client::connect_with(bench.dir(), ConnectOptions { watch, ..ConnectOptions::default() }).unwrap()
}

pub fn output_until_exit(client: &mut Client) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match client.next_event(Some(DEADLINE)).unwrap() {
            Some(Event::Output { offset, bytes }) => {
                assert!(all.is_empty() || offset > 0, "offsets go on");
                all.extend(bytes);
            }
            Some(Event::Screen(_) | Event::InputRefused { .. }) => {}
            Some(Event::Exited(_) | Event::Lost) | None => return all,
        }
    }
}

/// Waits for a state.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5)); // poll: a process's end is nobody's event
    }
}

pub fn random_bytes(count: usize) -> Vec<u8> {
    // xorshift64: all byte values in no order, the same each time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

pub fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

fn stat(pid: u32) -> Option<Vec<String>> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(line[line.rfind(')')? + 2..].split(' ').map(str::to_owned).collect())
}

pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields[0] != "Z")
}

pub fn is_asleep(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields[0] == "S")
}

pub fn parent(pid: u32) -> Option<u32> {
    stat(pid)?[1].parse().ok()
}

pub fn session(pid: u32) -> Option<u32> {
    stat(pid)?[3].parse().ok()
}

/// Clock ticks of processor time used, in user and in system mode.
pub fn cpu_ticks(pid: u32) -> u64 {
    let fields = stat(pid).unwrap();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn status(pid: u32, key: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How often it gave up the processor by itself: once for each time it went to sleep.
pub fn switches(pid: u32) -> u64 {
    status(pid, "voluntary_ctxt_switches")
}

pub fn resident_kib(pid: u32) -> u64 {
    status(pid, "VmRSS")
}

/// Returns a child of a process.
pub fn child_of(parent_pid: u32) -> Option<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.into_iter().find(|&pid| parent(pid) == Some(parent_pid))
}

/// Returns a process whose command line fits.
pub fn pid_of(fits: impl Fn(&[String]) -> bool) -> Option<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let mut pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = line.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        fits(&words.filter(|word| !word.is_empty()).collect::<Vec<_>>())
    })
}
