//! The hook verb, as agents call it: the built program, with a run's folder of its own, by a payload on a pipe.
//!
//! A hook must never disturb its agent, so each test also holds that it ended well and said nothing it was not to say.
#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use oarlock_agents::Report;
use oarlock_world::run::inbox;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take: far more than a hook may, since the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(30);

/// A run's folder, a home and a workspace, of one test.
struct Bench {
    root: TempDir,
    run: PathBuf,
    name: &'static str,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("state/runs/abcd2345/3");
        for folder in [inbox::folder(&run), root.path().join("home"), root.path().join("workspace")] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(run.join("spec.json"), "{}").unwrap();
        Self { root, run, name: "abcd2345/3" }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    /// Prepares a hook of this run.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
        command.arg("hook").args(args).current_dir(self.path("workspace")).env_clear();
        command.env("HOME", self.path("home")).env("OARLOCK_INBOX", inbox::file(&self.run));
        command.env("OARLOCK_RUN", self.name);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Calls a hook with a payload and returns what it printed.
    fn call(&self, event: &str, payload: &Value) -> String {
        let mut hook = self.command(&["scripted", event]).spawn().unwrap();
        hook.stdin.take().unwrap().write_all(payload.to_string().as_bytes()).unwrap();
        quiet(hook.wait_with_output().unwrap())
    }

    /// Returns what is in the inbox, as the daemon reads it: a source and observations for each report.
    fn heard(&self) -> Vec<Value> {
        let text = fs::read_to_string(inbox::file(&self.run)).unwrap_or_default();
        let reports = text.lines().map(|line| oarlock_agents::read(&serde_json::from_str(line).unwrap()));
        reports.map(|report| serde_json::to_value(report).unwrap()).collect()
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.run.join("hook.errors")).unwrap_or_default()
    }
}

/// Returns what a hook printed, which must have ended well and told nobody of trouble.
fn quiet(output: Output) -> String {
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits for the end of a hook whose standard input stays open.
fn ends_by_itself(mut hook: Child) -> String {
    let open = hook.stdin.take();
    let deadline = Instant::now() + DEADLINE;
    while hook.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "a hook hangs");
        std::thread::sleep(Duration::from_millis(2)); // poll: a process's end is nobody's event
    }
    drop(open);
    quiet(hook.wait_with_output().unwrap())
}

fn asked(what: &str) -> Value {
    json!({"permission_asked": {"what": what, "ask": null}})
}

fn ended() -> Value {
    json!({"turn_ended": "ok"})
}

fn by_hook(seen: &[Value]) -> Value {
    json!(["hook", seen])
}

fn by_file(seen: &[Value]) -> Value {
    json!(["transcript", seen])
}

fn is_by_file(report: &Value) -> bool {
    report[0] == "transcript"
}

/// Returns the text of every file below a folder, by its path.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn what_a_hook_is_told_is_left_in_the_inbox_and_its_answer_is_printed() {
    let bench = Bench::new();
    let payload = json!({"what": "make", "answer": "{\"go\":\"on\"}\n", "usage": "{\"input\":7}"});
    assert_eq!(bench.call("permission_asked", &payload), "{\"go\":\"on\"}\n");
    assert_eq!(bench.heard(), [by_hook(&[asked("make")])]);
    let text = fs::read_to_string(inbox::file(&bench.run)).unwrap();
    let report: Report = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(report.payload["raw"], json!(["{\"input\":7}"]), "the agent's own record is kept as it was");
    assert!(report.payload["at_ms"].as_u64().unwrap() > 1_700_000_000_000);
    assert_eq!(bench.errors(), "");
}

#[test]
fn a_hook_that_knows_nothing_leaves_nothing() {
    let bench = Bench::new();
    assert_eq!(bench.call("not_invented_yet", &json!({})), "");
    assert_eq!(bench.call("turn_started", &json!("no object")), "");
    assert_eq!(bench.heard().len(), 1, "an event is one whatever its payload is");
}

#[test]
fn a_hook_outside_a_run_says_nothing_and_reads_nothing() {
    let bench = Bench::new();
    let before = tree(bench.root.path());
    let other = bench.path("state/runs/abcd2345/4/inbox/reports.jsonl");
    let dots = bench.path("state/runs/abcd2345/4/../3/inbox/reports.jsonl");
    let cases: [&dyn Fn(&mut Command) -> &mut Command; 7] = [
        &|command| command.env_remove("OARLOCK_INBOX"),
        &|command| command.env_remove("OARLOCK_RUN"),
        &|command| command.env("OARLOCK_RUN", "abcd2345/4"),
        &|command| command.env("OARLOCK_RUN", "3"),
        &|command| command.env("OARLOCK_INBOX", &other).env("OARLOCK_RUN", "abcd2345/4"),
        &|command| command.env("OARLOCK_INBOX", &dots),
        &|command| command.env("OARLOCK_INBOX", bench.run.join("reports.jsonl")),
    ];
    for (case, change) in cases.into_iter().enumerate() {
        let mut command = bench.command(&["scripted", "turn_started"]);
        change(&mut command);
        // Nobody writes a payload: a hook that waited for one would not end.
        assert_eq!(ends_by_itself(command.spawn().unwrap()), "", "case {case}");
    }
    assert_eq!(tree(bench.root.path()), before, "and nothing was written");
}

#[test]
fn a_payload_may_be_the_last_argument() {
    let bench = Bench::new();
    let hook = bench.command(&["scripted", "permission_asked", r#"{"what":"make"}"#]).spawn().unwrap();
    ends_by_itself(hook);
    assert_eq!(bench.heard(), [by_hook(&[asked("make")])]);
}

#[test]
fn a_pipe_that_is_left_open_holds_nobody_up() {
    let bench = Bench::new();
    let mut hook = bench.command(&["scripted", "permission_asked"]).spawn().unwrap();
    hook.stdin.as_mut().unwrap().write_all(br#"{"what":"make"}"#).unwrap();
    ends_by_itself(hook);
    assert_eq!(bench.heard(), [by_hook(&[asked("make")])], "what came is heard");
}

#[test]
fn a_payload_too_long_to_read_breaks_no_pipe() {
    let bench = Bench::new();
    let what = "x".repeat(8 << 20);
    bench.call("permission_asked", &json!({"what": what}));
    bench.call("turn_ended", &json!({}));
    assert_eq!(bench.heard(), [by_hook(&[ended()])]);
}

#[test]
fn a_terminal_is_not_read() {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    let bench = Bench::new();
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let person = openpt(flags).unwrap();
    unlockpt(&person).unwrap();
    let side = ioctl_tiocgptpeer(&person, flags).unwrap();
    rustix::io::write(&person, b"{\"what\":\"make\"}\n").unwrap();
    let hook = bench.command(&["scripted", "permission_asked"]).stdin(side).spawn().unwrap();
    quiet(hook.wait_with_output().unwrap());
    assert_eq!(bench.heard(), [by_hook(&[asked("")])], "what was typed there is the person's own");
}

#[test]
fn a_reader_that_panics_ends_well_and_leaves_a_note() {
    let bench = Bench::new();
    assert_eq!(bench.call("crash", &json!({})), "");
    assert!(bench.errors().contains("the hook panicked: the scripted agent's reader was told to crash"));
    let nobody = bench.command(&["nobody", "stop"]).spawn().unwrap();
    ends_by_itself(nobody);
    assert!(bench.errors().contains("there is no agent nobody"));
    ends_by_itself(bench.command(&[]).spawn().unwrap());
    assert_eq!(bench.errors().lines().count(), 3);
    fs::write(bench.run.join("hook.errors"), vec![b'x'; 64 * 1024]).unwrap();
    bench.call("crash", &json!({}));
    assert_eq!(bench.errors().len(), 64 * 1024, "the notes have an end");
}

#[test]
fn an_inbox_that_cannot_be_written_is_not_the_agents_trouble() {
    let bench = Bench::new();
    fs::create_dir(inbox::file(&bench.run)).unwrap();
    assert_eq!(bench.call("turn_started", &json!({"answer": "go on"})), "go on");
    assert!(bench.errors().contains("a report was not left"));
}

#[test]
fn a_hook_of_a_run_that_is_over_tells_its_own_inbox() {
    let bench = Bench::new();
    fs::write(bench.run.join("exit.json"), "{}").unwrap();
    bench.call("turn_started", &json!({}));
    assert_eq!(bench.heard().len(), 1);
}

fn line(what: &str) -> String {
    format!("{}\n", json!({"event": "permission_asked", "payload": {"what": what}}))
}

#[test]
fn a_transcript_is_read_on_from_hook_to_hook_and_each_line_once() {
    let bench = Bench::new();
    let path = bench.path("home/.agent/talk.jsonl");
    fs::create_dir(path.parent().unwrap()).unwrap();
    let tell = |event| bench.call(event, &json!({"transcript": path}));
    tell("turn_started");
    assert_eq!(bench.heard().len(), 1, "a transcript that is not there yet says nothing");
    fs::write(&path, line("one") + "no JSON\n" + &line("two") + "{\"event\":").unwrap();
    let outside = tree(&bench.path("home"));
    tell("turn_started");
    let rest = "\"turn_started\"}\n".to_owned() + &line("three");
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(rest.as_bytes()).unwrap();
    tell("turn_ended");
    tell("turn_ended");
    let started = || json!("turn_started");
    let heard = [
        by_hook(&[started()]),
        by_file(&[asked("one"), asked("two")]),
        by_hook(&[started()]),
        by_file(&[started(), asked("three")]),
        by_hook(&[ended()]),
        by_hook(&[ended()]),
    ];
    assert_eq!(bench.heard(), heard);
    assert_eq!(bench.errors(), "");
    assert_eq!(tree(&bench.path("home")).len(), outside.len(), "nothing is written beside the transcript");
    assert!(tree(&bench.path("workspace")).is_empty());
}

#[test]
fn what_a_transcript_held_before_the_run_was_told_in_an_earlier_one() {
    let bench = Bench::new();
    let path = bench.path("home/talk.jsonl");
    fs::write(&path, line("long ago")).unwrap();
    // The run begins after it, however coarse the clock of the file system is.
    let born = fs::metadata(&path)
        .unwrap()
        .created()
        .unwrap_or_else(|_| fs::metadata(&path).unwrap().modified().unwrap());
    fs::File::options()
        .write(true)
        .open(bench.run.join("spec.json"))
        .unwrap()
        .set_modified(born + Duration::from_secs(1))
        .unwrap();
    bench.call("turn_started", &json!({"transcript": path}));
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(line("new").as_bytes()).unwrap();
    bench.call("turn_ended", &json!({"transcript": path}));
    let of_file: Vec<_> = bench.heard().into_iter().filter(is_by_file).collect();
    assert_eq!(of_file, [by_file(&[asked("new")])]);
}

#[test]
fn a_path_that_names_no_transcript_is_not_read() {
    let bench = Bench::new();
    let elsewhere = bench.path("elsewhere.jsonl");
    fs::write(&elsewhere, line("not yours")).unwrap();
    let link = bench.path("home/link.jsonl");
    symlink(&elsewhere, &link).unwrap();
    let pipe = bench.path("home/pipe.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let dots = bench.path("home/../elsewhere.jsonl");
    for path in [&elsewhere, &link, &pipe, &dots, &bench.path("home"), &"/dev/zero".into(), &"home".into()] {
        bench.call("turn_started", &json!({"transcript": path}));
    }
    assert!(!bench.heard().iter().any(is_by_file), "{:?}", bench.heard());
    assert_eq!((bench.heard().len(), bench.errors().lines().count()), (7, 7), "{}", bench.errors());
    // A folder that the agent was told to use is its own.
    let mut hook = bench.command(&["scripted", "turn_started"]);
    let mut hook = hook.env("CODEX_HOME", bench.root.path()).spawn().unwrap();
    let payload = json!({"transcript": elsewhere}).to_string();
    hook.stdin.take().unwrap().write_all(payload.as_bytes()).unwrap();
    quiet(hook.wait_with_output().unwrap());
    assert_eq!(bench.heard()[7], by_file(&[asked("not yours")]));
}

#[test]
fn hooks_at_once_leave_whole_reports_and_share_a_transcript() {
    let bench = Bench::new();
    let path = bench.path("home/talk.jsonl");
    let lines: String = (0..100).map(|number| line(&number.to_string())).collect();
    fs::write(&path, lines).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| bench.call("turn_started", &json!({"transcript": path})));
        }
    });
    let heard = bench.heard();
    let (told, called): (Vec<_>, Vec<_>) = heard.into_iter().partition(is_by_file);
    assert_eq!(called.len(), 20);
    let once: Vec<_> = (0..100).map(|number: u32| asked(&number.to_string())).collect();
    assert_eq!(told, [by_file(&once)], "whichever came first read all of it, and no other any");
}

#[test]
fn what_is_too_long_for_one_report_goes_into_several() {
    let bench = Bench::new();
    let path = bench.path("home/talk.jsonl");
    // 800 KiB of lines, each of which has a note of the longest kind.
    let note = "é".repeat(180);
    let lines: String = (0..2000).map(|number| line(&format!("{number} {note}"))).collect();
    fs::write(&path, &lines).unwrap();
    bench.call("turn_started", &json!({"transcript": path}));
    let told = bench.heard().into_iter().filter(is_by_file);
    let told: Vec<Value> = told.flat_map(|report| report[1].as_array().unwrap().clone()).collect();
    let all: Vec<_> = (0..2000).map(|number| asked(&format!("{number} {note}"))).collect();
    assert!(told == all, "{} of them, in their order", told.len());
    assert!(bench.heard().len() > 2);
    assert_eq!(bench.errors(), "");
}

/// Not a claim but figures: `cargo test --release -p oarlock --test hook -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures of a release build"]
fn figures() {
    let bench = Bench::new();
    let payload = json!({"what": "make", "input": "x".repeat(2000)});
    let (mut of_true, mut of_hook) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        let begun = Instant::now();
        assert!(Command::new("/bin/true").stdin(Stdio::piped()).status().unwrap().success());
        of_true.push(begun.elapsed());
        let begun = Instant::now();
        bench.call("permission_asked", &payload);
        of_hook.push(begun.elapsed());
    }
    for (name, mut took) in [("/bin/true", of_true), ("oarlock hook", of_hook)] {
        took.sort();
        let at = |percent: usize| took[took.len() * percent / 100];
        println!("{name}: p50 {:?}, p95 {:?}, p99 {:?}", at(50), at(95), at(99));
    }
    assert_eq!(bench.heard().len(), 300);
}
