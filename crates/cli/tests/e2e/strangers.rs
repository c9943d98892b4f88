//! Other users of the machine: what they may see, what they may reach, and what they may put in the way. Needs root, for
//! nobody else can become another user.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::harness::{Crew, text, until};

/// The user called nobody.
const STRANGER: u32 = 65_534;

/// Says that a test cannot run here, when it cannot.
fn cannot_become_another_user(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: {test}: only root can become another user");
    }
    !is_root
}

fn open_up(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A world with a session at work, in a folder that anybody may enter, and everything in it that is worth reading.
fn crew() -> Crew {
    let crew = Crew::new();
    open_up(&crew.root, 0o755);
    for program in [Path::new(env!("CARGO_BIN_EXE_oarlock")), &std::env::current_exe().unwrap()] {
        // The build folder may be closed to others.
        fs::copy(program, crew.root.join(program.file_name().unwrap())).unwrap();
    }
    crew
}

fn with_session() -> (Crew, PathBuf) {
    let crew = crew();
    crew.scripted("list", "say a secret thing ; claim it is all done");
    crew.wait_status("list", "claimed");
    let run = crew.run_folder("list");
    (crew, run)
}

fn as_stranger(crew: &Crew, program: &str, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).env_clear().current_dir("/").stdin(Stdio::null()).uid(STRANGER).gid(STRANGER);
    command.envs(crew.env.iter().map(|(name, value)| (name, value)));
    command.output().unwrap()
}

fn oarlock(crew: &Crew, args: &[&str]) -> Output {
    as_stranger(crew, crew.root.join("oarlock").to_str().unwrap(), args)
}

/// Has a stranger connect to a socket and say what any client would; returns what it tells of that.
fn connect(crew: &Crew, socket: &Path) -> String {
    let own = std::env::current_exe().unwrap();
    let program = crew.root.join(own.file_name().unwrap());
    let mut command = Command::new(program);
    command.args(["--ignored", "--exact", "--nocapture", "strangers::helper_connect"]).current_dir("/");
    let output = command.env("OARLOCK_TEST_SOCKET", socket).uid(STRANGER).gid(STRANGER).output().unwrap();
    text(&output.stdout)
}

#[test]
#[ignore = "the stranger of the other tests"]
fn helper_connect() {
    match UnixStream::connect(std::env::var_os("OARLOCK_TEST_SOCKET").unwrap()) {
        Ok(mut stream) => {
            drop(
                stream.write_all(b"GET /v1/sessions HTTP/1.1\r\nhost: oarlock\r\nconnection: close\r\n\r\n"),
            );
            let mut heard = Vec::new();
            drop(stream.read_to_end(&mut heard));
            println!("connected, and heard {} bytes", heard.len());
        }
        Err(error) => println!("not connected: {:?}", error.kind()),
    }
}

/// Returns every path below a folder, but for what lies in checkouts.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() && !path.ends_with("workspaces") {
            all.extend(below(&path));
        }
        all.push(path);
    }
    all
}

#[test]
fn another_user_can_neither_connect_nor_read() {
    if cannot_become_another_user("another_user_can_neither_connect_nor_read") {
        return;
    }
    let (crew, run) = with_session();
    let all = below(&crew.state);
    for needed in
        ["secret", "oarlock.db", "daemon.json", "prompt.md", "output.log", "spec.json", "reports.jsonl"]
    {
        assert!(all.iter().any(|path| path.ends_with(needed)), "{needed} is there to be looked at");
    }
    for path in all.iter().filter(|path| path.is_file()) {
        let read = as_stranger(&crew, "cat", &[path.to_str().unwrap()]);
        assert!(!read.status.success() && read.stdout.is_empty(), "{} can be read", path.display());
    }
    assert!(!as_stranger(&crew, "ls", &[crew.state.to_str().unwrap()]).status.success());
    for socket in [crew.state.join("daemon.sock"), run.join("host.sock")] {
        let said = connect(&crew, &socket);
        assert!(said.contains("not connected: PermissionDenied"), "{}: {said}", socket.display());
    }
    for verb in [&["ls"][..], &["start"], &["send", "list", "hi"], &["logs", "list"]] {
        let output = oarlock(&crew, verb);
        assert_eq!(output.status.code(), Some(1), "{verb:?}");
        let talk = text(&output.stderr);
        assert!(talk.contains("belongs to another user") && talk.contains("hint: "), "{verb:?}: {talk}");
    }
    assert_eq!(crew.session("list")["status"], "claimed");
}

#[test]
fn folders_opened_by_hand_open_no_file_and_no_socket() {
    if cannot_become_another_user("folders_opened_by_hand_open_no_file_and_no_socket") {
        return;
    }
    let (crew, run) = with_session();
    let session = run.parent().unwrap();
    let folders =
        [&crew.state, &crew.state.join("log"), &crew.state.join("runs"), session, &run, &run.join("inbox")];
    for folder in folders {
        open_up(folder, 0o777);
    }
    let all = below(&crew.state);
    for path in all.iter().filter(|path| path.is_file()) {
        let mode = fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
        let read = as_stranger(&crew, "cat", &[path.to_str().unwrap()]);
        assert!(!read.status.success() && read.stdout.is_empty(), "{} can be read", path.display());
    }
    for socket in [crew.state.join("daemon.sock"), run.join("host.sock")] {
        open_up(&socket, 0o777);
        let said = connect(&crew, &socket);
        assert!(said.contains("connected, and heard 0 bytes"), "{}: {said}", socket.display());
    }
    crew.host("list").ping().unwrap();
    assert_eq!(crew.session("list")["status"], "claimed", "its own user is served");
    crew.kill_daemon();
    crew.ok(&["start"]);
    assert_eq!(fs::metadata(&crew.state).unwrap().mode() & 0o777, 0o700, "the next daemon closes its folder");
}

#[test]
fn every_folder_of_a_run_is_closed_by_itself() {
    let crew = Crew::new();
    crew.exec("list", "oarlock claim done yes");
    crew.wait_status("list", "claimed");
    for path in below(&crew.state) {
        let meta = fs::symlink_metadata(&path).unwrap();
        assert_eq!(meta.mode() & 0o077, 0, "{} has mode {:o}", path.display(), meta.mode());
    }
}

#[test]
fn a_state_folder_that_somebody_else_made_is_refused() {
    if cannot_become_another_user("a_state_folder_that_somebody_else_made_is_refused") {
        return;
    }
    let crew = crew();
    fs::create_dir(&crew.state).unwrap();
    open_up(&crew.state, 0o777);
    // A note leads to a socket where somebody listens for prompts.
    let socket = crew.state.join("daemon.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let note = serde_json::json!({"pid": 1, "version": "0.1.0", "socket": socket});
    fs::write(crew.state.join("daemon.json"), note.to_string()).unwrap();
    chown(&crew.state, Some(STRANGER), Some(STRANGER)).unwrap();
    for verb in [&["ls"][..], &["spawn", "--exec", "true"], &["start"], &["status"], &["daemon"]] {
        let talk = crew.refused(verb, 1);
        assert!(talk.contains("belongs to another user") && talk.contains("hint: "), "{verb:?}: {talk}");
    }
    assert!(listener.accept().is_err(), "nobody connected");
    let link = crew.root.join("link");
    symlink(&crew.state, &link).unwrap();
    let mut through = crew.command(&["ls"]);
    assert_eq!(through.env("OARLOCK_HOME", &link).output().unwrap().status.code(), Some(1), "nor by a link");
}

#[test]
fn a_listener_of_somebody_else_is_told_nothing() {
    if cannot_become_another_user("a_listener_of_somebody_else_is_told_nothing") {
        return;
    }
    let crew = crew();
    fs::create_dir(&crew.state).unwrap();
    open_up(&crew.state, 0o777);
    let socket = crew.root.join("theirs.sock");
    open_up(&crew.root, 0o777);
    let own = std::env::current_exe().unwrap();
    let mut helper = Command::new(crew.root.join(own.file_name().unwrap()));
    helper.args(["--ignored", "--exact", "--nocapture", "strangers::helper_listen"]).current_dir("/");
    helper.env("OARLOCK_TEST_SOCKET", &socket).uid(STRANGER).gid(STRANGER).stdout(Stdio::piped());
    let mut helper = helper.spawn().unwrap();
    until("the stranger to listen", || UnixStream::connect(&socket).is_ok().then_some(()));
    let note = serde_json::json!({"pid": 1, "version": "0.1.0", "socket": socket});
    fs::write(crew.state.join("daemon.json"), note.to_string()).unwrap();
    // What listens there is no daemon of ours, so one is started, and says where it is.
    crew.ok(&["spawn", "--name", "list", "--exec", "true", "--prompt", "a secret"]);
    crew.wait_status("list", "done");
    // A client that was led there all the same says nothing before it has looked.
    let client = oarlock_api::client::Client::new(&socket, Some("token".into())).unwrap();
    let refused = client.get::<serde_json::Value>("/v1/sessions").unwrap_err().to_string();
    assert!(refused.contains("another user's process"), "{refused}");
    helper.kill().unwrap();
    let mut heard = String::new();
    helper.stdout.take().unwrap().read_to_string(&mut heard).unwrap();
    helper.wait().unwrap();
    assert!(heard.contains("heard 0") && !heard.contains("heard 1") && !heard.contains("GET"), "{heard}");
}

#[test]
#[ignore = "the listener of a_listener_of_somebody_else_is_told_nothing"]
fn helper_listen() {
    let listener = UnixListener::bind(std::env::var_os("OARLOCK_TEST_SOCKET").unwrap()).unwrap();
    open_up(Path::new(&std::env::var_os("OARLOCK_TEST_SOCKET").unwrap()), 0o777);
    for stream in listener.incoming() {
        let mut heard = Vec::new();
        drop(stream.unwrap().read_to_end(&mut heard));
        println!("heard {} bytes: {}", heard.len(), text(&heard));
    }
}

#[test]
fn what_was_planted_in_an_open_state_folder_is_not_written_through() {
    let names = [
        "daemon.lock",
        "daemon.new",
        "daemon.json",
        "daemon.sock",
        "secret",
        "secret.new",
        "oarlock.db",
        "oarlock.db-wal",
        "log/daemon.log",
    ];
    for name in names {
        for exists in [true, false] {
            let crew = Crew::new();
            fs::create_dir_all(crew.state.join("log")).unwrap();
            open_up(&crew.state, 0o777);
            let victim = crew.root.join("victim");
            if exists {
                fs::write(&victim, "precious").unwrap();
            }
            symlink(&victim, crew.state.join(name)).unwrap();
            let output = crew.run(&["ls"]);
            let talk = text(&output.stderr);
            let why = format!("{name} was put there by somebody else");
            let is_refused = talk.contains("hint: ") && talk.contains(&why);
            assert!(output.status.success() || is_refused, "{name} is refused with a reason: {talk}");
            if !output.status.success() {
                // The log says so, too, and a test whose log has an error fails.
                drop(fs::remove_file(crew.place().log()));
            }
            let left = fs::read_to_string(&victim).ok();
            assert_eq!(left.as_deref(), exists.then_some("precious"), "{name} led to the victim: {talk}");
        }
    }
}

#[test]
fn the_socket_is_put_into_no_runtime_folder_that_others_may_write_to() {
    let mut crew = Crew::new();
    let (open, own) = (crew.root.join("open"), crew.root.join("own"));
    for (folder, mode) in [(&open, 0o777), (&own, 0o700)] {
        fs::create_dir(folder).unwrap();
        open_up(folder, mode);
    }
    let link = crew.root.join("link");
    symlink(&own, &link).unwrap();
    let file = crew.root.join("file");
    fs::write(&file, "").unwrap();
    for (runtime, is_used) in
        [(&open, false), (&link, false), (&file, false), (&crew.root.join("missing"), false), (&own, true)]
    {
        crew.set("XDG_RUNTIME_DIR", runtime.as_os_str());
        crew.ok(&["start"]);
        let socket = PathBuf::from(crew.json(&["status"])["socket"].as_str().unwrap());
        assert_eq!(socket.starts_with(runtime), is_used, "{}", socket.display());
        assert_eq!(fs::symlink_metadata(&socket).unwrap().mode() & 0o777, 0o600);
        crew.ok(&["stop"]);
    }
    // Something lies where the socket belongs: a link is taken away, not followed; a folder is refused.
    let socket = own.join(own_socket(&crew));
    let victim = crew.root.join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, &socket).unwrap();
    crew.ok(&["start"]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    crew.ok(&["stop"]);
    fs::create_dir(&socket).unwrap();
    let talk = crew.refused(&["ls"], 5);
    assert!(talk.contains("listen on the socket"), "{talk}");
    // Refused, and told in the log as well; that is what the log is for.
    fs::remove_dir(&socket).unwrap();
    fs::remove_file(crew.place().log()).unwrap();
}

/// Returns the name that the socket of a state folder has in a runtime folder.
fn own_socket(crew: &Crew) -> String {
    crew.ok(&["start"]);
    let socket = PathBuf::from(crew.json(&["status"])["socket"].as_str().unwrap());
    crew.ok(&["stop"]);
    socket.file_name().unwrap().to_str().unwrap().to_owned()
}
