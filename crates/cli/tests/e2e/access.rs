//! Places that cannot be written, for a user whom modes bind; and a runtime folder that is not there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use crate::harness::{Crew, PATIENCE, skipped, text, wait};

/// The user and group that own nothing (shadow and systemd know them by this number).
const NOBODY: &str = "65534";

/// A crew of an ordinary user's: nobody, where the tests run as root.
struct Plain {
    crew: Crew,
    as_root: bool,
}

impl Plain {
    fn new(test: &str) -> Option<Self> {
        let plain = Self { crew: Crew::new(), as_root: rustix::process::geteuid().is_root() };
        if plain.as_root {
            let owned =
                std::process::Command::new("chown").args(["-R", NOBODY]).arg(&plain.crew.root).status();
            if !owned.is_ok_and(|status| status.success()) || !plain.run(&["version"]).status.success() {
                skipped(test, "the program cannot be run as nobody");
                return None;
            }
        }
        Some(plain)
    }

    fn run(&self, args: &[&str]) -> Output {
        self.program("oarlock", args)
    }

    fn program(&self, program: &str, args: &[&str]) -> Output {
        if !self.as_root {
            return self.crew.program(program, args).output().unwrap();
        }
        let who = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", program];
        self.crew.program("setpriv", &[&who[..], args].concat()).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        crate::harness::good(self.run(args), &args.join(" "))
    }

    fn refused(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        let talk = text(&output.stderr);
        assert!(talk.starts_with("error: ") && talk.contains("hint: "), "{args:?}: {talk}");
        talk
    }

    fn wait_done(&self, name: &str) {
        let done = || self.ok(&["ls"]).lines().any(|line| line.starts_with(name) && line.contains(" done "));
        assert!(wait(PATIENCE, || done().then_some(())).is_some(), "{name} is done: {}", self.ok(&["ls"]));
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_home_of_ones_own_that_cannot_be_written_is_said_and_another_place_does() {
    let Some(mut plain) = Plain::new("a_home_of_ones_own_that_cannot_be_written_is_said") else { return };
    let (home, state) = (plain.crew.home.clone(), plain.crew.state.clone());
    set_mode(&home, 0o500);
    plain.crew.unset("OARLOCK_HOME");
    let talk = plain.refused(&["ls"], 1);
    assert!(talk.contains("ermission denied") && talk.contains("OARLOCK_HOME"), "{talk}");
    plain.crew.set("OARLOCK_HOME", &state);
    plain.ok(&["spawn", "--name", "list", "--exec", "echo bread >list.txt"]);
    plain.wait_done("list");
    set_mode(&home, 0o700);
}

#[test]
fn a_state_folder_that_cannot_be_written_is_said_and_is_as_good_as_before_when_it_can() {
    let Some(mut plain) = Plain::new("a_state_folder_that_cannot_be_written_is_said") else { return };
    plain.crew.expect_error("the daemon did not start");
    plain.ok(&["spawn", "--name", "list", "--exec", "echo bread >list.txt"]);
    plain.wait_done("list");
    plain.ok(&["stop"]);
    let state = plain.crew.state.clone();
    set_mode(&state, 0o500);
    let talk = plain.refused(&["ls"], 5);
    assert!(talk.contains("ermission denied") || talk.contains("readonly"), "it says why: {talk}");
    assert_eq!(plain.run(&["status"]).status.code(), Some(5));
    set_mode(&state, 0o700);
    plain.wait_done("list");
}

#[test]
fn a_runtime_folder_that_is_missing_or_open_to_others_is_done_without() {
    let mut crew = Crew::new();
    let folder = crew.root.join("runtime");
    crew.set("XDG_RUNTIME_DIR", &folder);
    crew.ok(&["start"]);
    assert!(crew.place().state().join("daemon.sock").exists(), "the socket is in the state folder");
    crew.ok(&["stop"]);
    fs::create_dir(&folder).unwrap();
    set_mode(&folder, 0o777);
    crew.ok(&["start"]);
    assert!(
        crew.place().state().join("daemon.sock").exists(),
        "a folder that others may write to is not used"
    );
    crew.ok(&["stop"]);
    set_mode(&folder, 0o700);
    crew.ok(&["start"]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "one of one's own is");
    // It is taken away when the person logs out; the daemon is found again, or replaced.
    fs::remove_dir_all(&folder).unwrap();
    let listed = crew.run(&["ls"]);
    assert!(listed.status.success(), "{}", text(&listed.stderr));
}

#[test]
fn a_user_without_processes_left_is_told_and_goes_on_when_there_are_some() {
    let Some(mut plain) = Plain::new("a_user_without_processes_left_is_told") else { return };
    plain.crew.expect_error("Resource temporarily unavailable");
    if !plain.as_root {
        return skipped("a_user_without_processes_left_is_told", "the limit would be on the person's own");
    }
    plain.ok(&["start"]);
    let daemon = plain.crew.daemon_pid().unwrap();
    // Only the soft limit: the hard one cannot be raised again by everybody.
    let limit = |count: &str| {
        let set = ["--pid", &daemon.to_string(), &format!("--nproc={count}:")];
        crate::harness::good(plain.program("prlimit", &set), "prlimit");
    };
    let limits = fs::read_to_string(format!("/proc/{daemon}/limits")).unwrap();
    let before = limits.lines().find_map(|line| line.strip_prefix("Max processes")).unwrap();
    let before = before.split_whitespace().next().unwrap();
    limit("1");
    let spawn = ["spawn", "--name", "list", "--exec", "echo bread >list.txt"];
    let talk = plain.refused(&spawn, 1);
    assert!(talk.contains("Resource temporarily unavailable"), "it says why: {talk}");
    limit(before);
    plain.ok(&spawn);
    plain.wait_done("list");
    assert_eq!(plain.crew.daemon_pid(), Some(daemon), "the daemon lived through it");
}
