//! The contract of a display, held against each of the three on the real thing: a host, tmux and zellij. A display shows a client of a
//! run; the run itself is its own host's. A program that is not installed is said to be missing, and its part passes.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(clippy::print_stdout, reason = "what was left out, and why, has to be told")]

mod common;

use common::{Bench, PTY, until};
use oarlock_term::display::{Display, DisplayError, Hosts, Id, Place, Tmux, Zellij};
use oarlock_term::{AttachOptions, Client, ConnectOptions, Io, Size, attach};
use rustix::process::Signal;
use std::fs::{read, read_to_string};
use tempfile::TempDir;

const WORK: &str = "stty -echo; printf 'Grüße 漢字 🛶'; while read line; do printf \"<$line $(stty size)>\"; echo $line >> lines; done; exit 4";
const SIZE: Size = Size { rows: 31, cols: 91 };

/// Not a test: what a display shows, a person's client of a run.
#[test]
#[ignore = "a helper of other tests"]
fn a_person_looks() {
    attach(std::env::var("ATTACH_TO").unwrap().as_ref(), AttachOptions::default()).unwrap();
}

/// What a person does to a display, each in its own way.
trait Person {
    /// Whether a window has the size it was opened with before anybody looks at it.
    const HAS_FIRST_SIZE: bool = true;
    /// What keeps the size while it is there.
    type Looker;
    /// Presses keys in a window.
    fn press(&self, id: &Id, keys: &str);
    /// Gives a window another size, for as long as what is returned is kept.
    fn resize(&self, id: &Id, size: Size) -> Self::Looker;
    /// Kills the server that has the window, without a warning.
    fn kill_server(&self, id: &Id);
}

/// A display with all that it needs, in folders of its own. The server is ended on drop.
struct Stage<D: Display> {
    display: D,
    _folder: TempDir,
    end: fn(&D),
}

impl<D: Display> Drop for Stage<D> {
    fn drop(&mut self) {
        (self.end)(&self.display);
    }
}

impl Person for Hosts {
    type Looker = Client;

    fn press(&self, id: &Id, keys: &str) {
        Client::connect(&self.folder(id)).unwrap().input(keys.as_bytes()).unwrap();
    }

    fn resize(&self, id: &Id, size: Size) -> Client {
        let options = ConnectOptions { size: Some(size), ..ConnectOptions::default() };
        Client::connect_with(&self.folder(id), options).unwrap()
    }

    fn kill_server(&self, id: &Id) {
        let host = Client::connect(&self.folder(id)).unwrap().identity().host.pid;
        common::signal(host, Signal::KILL);
        until("the host is dead", || !common::is_alive(host));
        // Nobody else ends what a dead host leaves.
        oarlock_term::sweep(&self.folder(id)).unwrap();
    }
}

impl Person for Tmux {
    type Looker = ();

    fn press(&self, id: &Id, keys: &str) {
        tmux(self, &["send-keys", "-l", "-t", window(id), keys]);
    }

    fn resize(&self, id: &Id, size: Size) {
        let (rows, cols) = (size.rows.to_string(), size.cols.to_string());
        tmux(self, &["resize-window", "-t", window(id), "-x", &cols, "-y", &rows]);
    }

    fn kill_server(&self, id: &Id) {
        let pid: u32 = id.as_str().split('.').next().unwrap().parse().unwrap();
        common::signal(pid, Signal::KILL);
        until("the server is dead", || !common::is_alive(pid));
    }
}

impl Person for Zellij {
    type Looker = Bench;
    const HAS_FIRST_SIZE: bool = false;

    fn press(&self, id: &Id, keys: &str) {
        zellij(
            self,
            &["--session", Zellij::session_name(id), "action", "write-chars", "-p", "terminal_0", keys],
        );
    }

    /// A person's terminal of this size, in which zellij shows the session.
    fn resize(&self, id: &Id, size: Size) -> Bench {
        let person = Bench::new();
        let mut command = self.command();
        command.args(["attach", Zellij::session_name(id)]);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let argv: Vec<&str> = words.map(|word| word.to_str().unwrap()).collect();
        let mut spec = person.spec(Io::Pty { size }, &argv);
        let text = |word: &std::ffi::OsStr| word.to_str().unwrap().to_owned();
        spec.env = command.get_envs().map(|(name, value)| (text(name), text(value.unwrap()))).collect();
        oarlock_term::ensure(person.dir(), &spec, &common::host()).unwrap();
        person
    }

    fn kill_server(&self, id: &Id) {
        let end = format!("/{}", Zellij::session_name(id));
        let pid = common::pid_of(|words| {
            words.len() == 3
                && words[1] == "--server"
                && words[2].ends_with(&end)
                && words[2].starts_with(self.socket_folder().to_str().unwrap())
        });
        let pid = pid.expect("the session has a server");
        common::signal(pid, Signal::KILL);
        until("the server is dead", || !common::is_alive(pid));
    }
}

fn zellij(zellij: &Zellij, args: &[&str]) {
    let said = zellij.command().args(args).output().unwrap();
    assert!(said.status.success(), "{args:?}: {said:?}");
}

fn in_zellij() -> Option<Stage<Zellij>> {
    let folder = tempfile::tempdir().unwrap();
    let display = Zellij::new(folder.path()).with_socket_folder(folder.path().join("s"));
    let end = |zellij: &Zellij| drop(zellij.command().args(["kill-all-sessions", "--yes"]).output());
    is_there(&display).then_some(Stage { display, _folder: folder, end })
}

fn window(id: &Id) -> &str {
    id.as_str().rsplit('.').next().unwrap()
}

fn tmux(tmux: &Tmux, args: &[&str]) -> String {
    let said = tmux.command().args(args).output().unwrap();
    assert!(said.status.success(), "{args:?}: {said:?}");
    String::from_utf8(said.stdout).unwrap()
}

fn hosts() -> Option<Stage<Hosts>> {
    let folder = tempfile::tempdir().unwrap();
    let display = Hosts::new(folder.path(), common::host());
    let end = |hosts: &Hosts| {
        for entry in std::fs::read_dir(hosts.folder(&Id::from_text("x")).parent().unwrap()).unwrap() {
            let id = Id::from_text(entry.unwrap().file_name().into_string().unwrap());
            let _ = hosts.close(&id);
            until("it is closed", || !hosts.is_open(&id).unwrap());
        }
    };
    Some(Stage { display, _folder: folder, end })
}

fn in_tmux() -> Option<Stage<Tmux>> {
    let folder = tempfile::tempdir().unwrap();
    let display = Tmux::new(folder.path()).with_socket_folder(folder.path());
    let end = |tmux: &Tmux| drop(tmux.command().arg("kill-server").output());
    is_there(&display).then_some(Stage { display, _folder: folder, end })
}

/// Says why a display is left out. One that is installed is never left out.
fn is_there(display: &impl Display) -> bool {
    match display.available() {
        Ok(version) => {
            println!("{} {version}", display.name());
            true
        }
        Err(why) => {
            println!("skipped: {why}");
            false
        }
    }
}

/// The command of a client of this run.
fn looking() -> Vec<String> {
    let test = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
    let args = ["--ignored", "--exact", "--nocapture", "a_person_looks"].map(str::to_owned);
    [vec![test], args.into()].concat()
}

fn place(work: &Bench, session: &str) -> Place {
    let attach_to = work.dir().to_str().unwrap().to_owned();
    let env = vec![("ATTACH_TO".to_owned(), attach_to), ("PATH".to_owned(), std::env::var("PATH").unwrap())];
    Place { session: session.to_owned(), cwd: work.file(""), env, size: SIZE }
}

/// A run, and a window in which a person sees it.
fn shown<D: Display + Person>(display: &D, session: &str) -> (Bench, Id) {
    let work = Bench::new();
    work.start(PTY, WORK);
    let id = display.open(&place(&work, session), &looking(), session).unwrap();
    until("it is shown", || display.is_open(&id).unwrap() && shows(display, &id, "Grüße 漢字 🛶"));
    (work, id)
}

fn shows(display: &impl Display, id: &Id, text: &str) -> bool {
    match display.capture(id) {
        Ok(screen) => screen.contains(text),
        Err(DisplayError::NotOpen { .. }) => false,
        Err(error) => panic!("{error:?}"),
    }
}

fn status_of(work: &Bench) -> oarlock_term::protocol::Status {
    Client::connect(work.dir()).unwrap().status().unwrap()
}

/// All that a display promises.
fn keeps_the_contract<D: Display + Person>(stage: Option<Stage<D>>) {
    let Some(stage) = &stage else { return };
    let display = &stage.display;
    shows_types_and_follows_the_size(display);
    a_closed_window_is_no_death(display);
    the_end_closes_the_window(display);
    names_are_exact(display);
    what_is_not_there_is_said_so(display);
    // The last: it takes the server away.
    a_dead_server_is_no_death(display);
}

fn shows_types_and_follows_the_size<D: Display + Person>(display: &D) {
    let (work, id) = shown(display, "one");
    if D::HAS_FIRST_SIZE {
        until("the run has its size", || status_of(&work).size == Some(SIZE));
    }
    let mut size = Size { rows: 40, cols: 120 };
    let first = display.resize(&id, size);
    until("the run has the size", || status_of(&work).size == Some(size));
    display.press(&id, "hello\r");
    until("the answer is shown", || shows(display, &id, "<hello 40 120>"));
    drop(first);
    size = Size { rows: 24, cols: 100 };
    let _second = display.resize(&id, size);
    until("the run has the size", || status_of(&work).size == Some(size));
    display.press(&id, "again\r");
    until("the answer is shown", || shows(display, &id, "<again 24 100>"));
    assert_eq!(read_to_string(work.file("lines")).unwrap(), "hello\nagain\n", "each key once");
    display.focus(&id).unwrap();
    display.close(&id).unwrap();
    work.kill();
}

fn a_closed_window_is_no_death<D: Display + Person>(display: &D) {
    let (work, id) = shown(display, "closed");
    display.close(&id).unwrap();
    until("it is closed", || !display.is_open(&id).unwrap());
    display.close(&id).unwrap();
    until("the client has left", || status_of(&work).clients == 1);
    assert!(status_of(&work).child_alive, "the run goes on");
    let again = display.open(&place(&work, "closed"), &looking(), "again").unwrap();
    until("it is shown again", || shows(display, &again, "Grüße 漢字 🛶"));
    assert_ne!(again, id);
    assert!(!display.is_open(&id).unwrap(), "and the old window is not taken for the new one");
    display.close(&again).unwrap();
    work.kill();
}

fn the_end_closes_the_window<D: Display + Person>(display: &D) {
    let (work, id) = shown(display, "ends");
    display.press(&id, "\x04");
    let record = work.wait_end();
    assert_eq!(record.exit, oarlock_term::Exit::Code(4), "exactly, whatever the display says");
    until("the window is closed", || !display.is_open(&id).unwrap());
}

fn names_are_exact<D: Display + Person>(display: &D) {
    let names = ["p-10", "p-1", "p", "a b.c:d", "a b.c_d", "=p", "#{pid} %H"];
    let runs: Vec<_> = names.iter().map(|name| shown(display, name)).collect();
    // Each is closed in turn, and all others stay.
    for (at, (_, id)) in runs.iter().enumerate() {
        display.press(id, &format!("run {at}\r"));
        until("it is typed", || read(runs[at].0.file("lines")).is_ok_and(|lines| !lines.is_empty()));
        display.close(id).unwrap();
        until("it is closed", || !display.is_open(id).unwrap());
        for (_, other) in &runs[at + 1..] {
            assert!(display.is_open(other).unwrap(), "closing {} closed another", names[at]);
        }
    }
    for (at, (work, _)) in runs.iter().enumerate() {
        assert_eq!(read_to_string(work.file("lines")).unwrap(), format!("run {at}\n"));
        work.kill();
    }
}

fn what_is_not_there_is_said_so<D: Display + Person>(display: &D) {
    let nowhere = Id::from_text("1.1.@99999");
    assert!(!display.is_open(&nowhere).unwrap());
    assert!(matches!(display.capture(&nowhere), Err(DisplayError::NotOpen { .. })));
    assert!(matches!(display.focus(&nowhere), Err(DisplayError::NotOpen { .. })));
    display.close(&nowhere).unwrap();
    let work = Bench::new();
    assert!(display.open(&place(&work, "empty"), &[], "").is_err(), "there is no command");
}

fn a_dead_server_is_no_death<D: Display + Person>(display: &D) {
    let (work, id) = shown(display, "server");
    display.kill_server(&id);
    assert!(!display.is_open(&id).unwrap());
    display.close(&id).unwrap();
    until("the client has left", || status_of(&work).clients == 1);
    assert!(status_of(&work).child_alive, "the run goes on");
    let again = display.open(&place(&work, "server"), &looking(), "again").unwrap();
    until("it is shown again", || shows(display, &again, "Grüße 漢字 🛶"));
    assert!(!display.is_open(&id).unwrap(), "a window of a dead server is not one of the next");
    work.kill();
}

#[test]
fn a_host_keeps_the_contract() {
    keeps_the_contract(hosts());
}

#[test]
fn tmux_keeps_the_contract() {
    keeps_the_contract(in_tmux());
}

#[test]
fn zellij_keeps_the_contract() {
    keeps_the_contract(in_zellij());
}

#[test]
fn tmux_opens_each_window_in_the_session_of_its_very_name() {
    let Some(stage) = in_tmux() else { return };
    let work = Bench::new();
    let wait = ["sh", "-c", "read end"].map(str::to_owned);
    let mut sessions = Vec::new();
    for name in ["p-10", "p-1", "p", "a b", "p-1", "a.b"] {
        let id = stage.display.open(&place(&work, name), &wait, "title").unwrap();
        let shown = tmux(&stage.display, &["display-message", "-p", "-t", window(&id), "#{session_name}"]);
        sessions.push(shown.trim().to_owned());
    }
    assert_eq!(sessions[..3], ["p-10", "p-1", "p"]);
    assert_eq!(sessions[4], "p-1", "a second window, in the session that is there");
    assert_ne!(sessions[3], sessions[5], "what tmux cannot tell apart is told apart");
}

#[test]
fn tmux_hands_on_nothing_but_what_it_is_given() {
    let Some(stage) = in_tmux() else { return };
    let work = Bench::new();
    let tell = [
        "sh",
        "-c",
        "env > seen; tty >> seen; printf '%s|' \"$@\" > args; touch done; read end",
        "sh",
        "a b",
        "$HOME;#{pid}",
        "",
    ];
    let argv: Vec<String> = tell.iter().map(|&arg| arg.to_owned()).collect();
    let place = Place { env: vec![("OWN".into(), "a b;c#d".into())], ..place(&work, "env") };
    let id = stage.display.open(&place, &argv, "it's #{pid} \u{1f6f6}").unwrap();
    until("it has told", || work.file("done").exists());
    let seen = read_to_string(work.file("seen")).unwrap();
    let socket = format!("/{},", stage.display.socket_name());
    for line in seen.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let ours =
            ["OWN", "PATH", "HOME", "USER", "SHELL", "TMPDIR", "LC_ALL", "PWD", "OLDPWD", "SHLVL", "_"];
        let theirs =
            ["TERM", "TMUX_PANE", "TMUX_TMPDIR", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "COLORTERM"];
        let is_own_server = name == "TMUX" && value.contains(&socket);
        assert!(is_own_server || ours.contains(&name) || theirs.contains(&name), "{line}");
    }
    assert!(seen.contains("OWN=a b;c#d\n"), "{seen}");
    assert_eq!(
        read_to_string(work.file("args")).unwrap(),
        "a b|$HOME;#{pid}||",
        "words as they are, through no shell"
    );
    let title = tmux(&stage.display, &["display-message", "-p", "-t", window(&id), "#{window_name}"]);
    assert_eq!(title.trim(), "it's #{pid} \u{1f6f6}");
    let options = tmux(&stage.display, &["show-options", "-gv", "status"]);
    assert_eq!(options.trim(), "off");
}
