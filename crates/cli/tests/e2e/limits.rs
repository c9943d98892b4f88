//! What runs out or stands in the way: file handles, git itself, room in a line, locks left behind, hooks that hang.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::harness::{Crew, is_alive, text, until};

/// Bytes of the one long line.
const LINE_BYTES: usize = 10_000_000;
/// Memory that the daemon may gain from it: it reads in pieces of 4 MiB, and some are on their way at once.
const DAEMON_GAIN_KIB_MAX: u64 = 24 << 10;
/// Memory that a host may ever take, the line on its screen included: less than the line.
const HOST_KIB_MAX: u64 = 8 << 10;

/// Returns the most memory that a process ever held (VmHWM, proc(5)).
fn peak_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn ten_megabytes_in_one_line_are_kept_and_shown_piece_by_piece() {
    let crew = Crew::new();
    crew.exec("flood", &format!("until [ -e go ]; do sleep 0.05; done; rm go; head -c {LINE_BYTES} /dev/zero | tr '\\0' x; sleep 600"));
    crew.wait_status("flood", "working");
    let daemon = crew.daemon_pid().unwrap();
    let before = peak_kib(daemon);
    fs::write(crew.workspace("flood").join("go"), "").unwrap();
    let log = crew.run_folder("flood").join("output.log");
    until("the whole line", || (fs::metadata(&log).unwrap().len() == LINE_BYTES as u64).then_some(()));
    assert!(fs::read(&log).unwrap().iter().all(|byte| *byte == b'x'), "every byte is kept as it was");
    let screen = crew.host("flood").snapshot().unwrap();
    assert!(
        screen.lines.iter().all(|line| line.trim_end().chars().all(|c| c == 'x')),
        "the screen is full of it"
    );
    assert_eq!(crew.ok(&["logs", "flood"]).len(), 16 * 1024, "the end of it is shown");
    assert_eq!(crew.ok(&["logs", "flood", "--all", "--raw"]).len(), LINE_BYTES);
    assert_eq!(crew.ok(&["logs", "flood", "--all"]).trim_end().len(), LINE_BYTES);
    for verb in ["ls", "show flood", "why flood", "diff flood", "events"] {
        assert!(crew.ok(&verb.split(' ').collect::<Vec<_>>()).len() < 100_000, "{verb} is for reading");
    }
    crew.ok(&["kill", "flood"]);
    let why = crew.ok(&["why", "flood"]);
    assert!(why.len() < 2_000, "its last words are cut: {} bytes", why.len());
    let after = peak_kib(daemon);
    assert!(after - before < DAEMON_GAIN_KIB_MAX, "the daemon had {before} KiB and needed {after}");
}

#[test]
fn a_host_shows_a_line_of_ten_megabytes_without_holding_it() {
    let crew = Crew::new();
    crew.exec("flood", &format!("head -c {LINE_BYTES} /dev/zero | tr '\\0' x; sleep 600"));
    let log = crew.run_folder("flood").join("output.log");
    until("the whole line", || {
        fs::metadata(&log).is_ok_and(|meta| meta.len() == LINE_BYTES as u64).then_some(())
    });
    let [host, _] = crew.run_processes("flood");
    crew.host("flood").snapshot().unwrap();
    assert!(peak_kib(host) < HOST_KIB_MAX, "the host needed {} KiB", peak_kib(host));
}

#[test]
fn a_daemon_without_file_handles_says_so_and_goes_on_when_there_are_some() {
    let mut crew = Crew::new();
    crew.expect_error("Too many open files");
    crew.expect_error("os error 24");
    crew.exec("list", "echo ready; sleep 600");
    crew.wait_output("list", "ready");
    let (daemon, before) = (crew.daemon_pid().unwrap(), crew.run_processes("list"));
    let own = getrlimit(Resource::Nofile);
    let limit = |current: Option<u64>| {
        prlimit(Pid::from_raw(daemon), Resource::Nofile, Rlimit { current, ..own }).unwrap()
    };
    let open = fs::read_dir(format!("/proc/{daemon}/fd")).unwrap().count() as u64;
    // One connection fits, and no child's pipes beside it.
    let normal = limit(Some(open + 1));
    let spawned = crew.run(&["spawn", "--name", "late", "--exec", "echo tea >tea.txt"]);
    let talk = text(&spawned.stderr);
    assert!(spawned.status.success() || talk.contains("error: "), "{}: {talk}", spawned.status);
    limit(normal.current);
    assert!(is_alive(daemon), "it lives through it");
    if !spawned.status.success() {
        crew.ok(&["spawn", "--name", "late", "--exec", "echo tea >tea.txt"]);
    }
    until("the late one to be done", || {
        let session = crew.session("late");
        if session["status"] == "failed" {
            crew.ok(&["resume", "late"]);
        }
        (session["status"] == "done").then_some(())
    });
    assert_eq!(crew.daemon_pid(), Some(daemon));
    assert_eq!(crew.run_processes("list"), before);
    assert_eq!(crew.session("list")["status"], "working");
}

#[test]
fn without_git_it_says_what_to_install_and_goes_on_once_it_is_there() {
    let mut crew = Crew::new();
    crew.exec("list", "echo bread >list.txt && git add . && git commit -qm 'Write list'");
    crew.wait_status("list", "done");
    crew.ok(&["stop"]);
    let path = crew.env.iter().find(|(name, _)| name == "PATH").unwrap().1.clone();
    let bare = crew.root.join("bin");
    fs::create_dir(&bare).unwrap();
    for program in ["sh", "env"] {
        let found =
            std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists());
        std::os::unix::fs::symlink(found.unwrap(), bare.join(program)).unwrap();
    }
    crew.set("PATH", &bare);
    let doctor = crew.run(&["doctor"]);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(text(&doctor.stdout).contains("Install git."), "{}", text(&doctor.stdout));
    for arguments in [["land", "list"], ["diff", "list"]] {
        let talk = crew.refused(&arguments, 3);
        assert!(talk.contains("git could not be started"), "{arguments:?}: {talk}");
    }
    crew.exec("late", "true");
    until("it to say what is missing", || {
        crew.ok(&["why", "late"]).contains("git could not be started").then_some(())
    });
    assert_eq!(crew.session("list")["status"], "done", "what is known is still told");
    crew.ok(&["stop"]);
    crew.set("PATH", path);
    crew.ok(&["land", "list"]);
}

#[test]
fn an_index_lock_left_behind_is_named_and_nothing_is_lost() {
    let crew = Crew::new();
    crew.exec(
        "list",
        "echo bread >list.txt && git add . && git commit -qm 'Write list'; echo tea >>list.txt",
    );
    crew.wait_status("list", "done");
    let workspace = crew.workspace("list");
    let lock = crew.git_in(&workspace, &["rev-parse", "--git-path", "index.lock"]);
    fs::write(lock.trim(), "").unwrap();
    crew.ok(&["diff", "list"]);
    crew.ok(&["reject", "list"]);
    crew.ok(&["undo", "list"]);
    assert_eq!(fs::read_to_string(workspace.join("list.txt")).unwrap(), "bread\ntea\n");
    // In the person's own checkout it stops the checkout from following, and no landing.
    fs::write(crew.repo.join(".git/index.lock"), "").unwrap();
    let landed = crew.run(&["land", "list", "--committed-only"]);
    assert!(landed.status.success(), "{}", text(&landed.stderr));
    assert!(text(&landed.stderr).contains("was left alone"), "{}", text(&landed.stderr));
    assert_eq!(crew.git(&["show", "main:list.txt"]), "bread\n");
    fs::remove_file(crew.repo.join(".git/index.lock")).unwrap();
}

#[test]
fn a_locked_worktree_stays_until_it_is_unlocked() {
    let crew = Crew::new();
    crew.exec("list", "echo bread >list.txt");
    crew.wait_status("list", "done");
    let workspace = crew.workspace("list");
    crew.git(&["worktree", "lock", "--reason", "on a stick", workspace.to_str().unwrap()]);
    let talk = crew.refused(&["reject", "list"], 3);
    assert!(talk.contains("on a stick") && talk.contains("hint: "), "{talk}");
    assert!(workspace.join("list.txt").exists());
    crew.git(&["worktree", "unlock", workspace.to_str().unwrap()]);
    crew.ok(&["rm", "list"]);
    assert!(!workspace.exists());
    crew.ok(&["undo", "list"]);
    assert!(workspace.join("list.txt").exists());
}

#[test]
fn a_hook_that_hangs_holds_up_its_own_session_only() {
    let crew = Crew::new();
    let hook = crew.repo.join(".git/hooks/post-checkout");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    // The one session whose branch is named so waits in its hook.
    fs::write(&hook, "#!/bin/sh\ncase \"$(git symbolic-ref HEAD)\" in *stuck*) until [ -e \"$OARLOCK_TEST_GO\" ]; do sleep 0.05; done;; esac\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let go = crew.root.join("go");
    let text = fs::read_to_string(&hook).unwrap().replace("$OARLOCK_TEST_GO", go.to_str().unwrap());
    fs::write(&hook, text).unwrap();
    crew.exec("stuck", "echo bread >list.txt");
    crew.wait_status("stuck", "starting");
    crew.exec("other", "echo bread >list.txt");
    crew.wait_status("other", "done");
    crew.ok(&["reject", "other"]);
    crew.wait_gone("other");
    assert_eq!(crew.session("stuck")["status"], "starting", "it is shown as on its way");
    crew.kill_daemon();
    assert_eq!(crew.session("stuck")["status"], "starting");
    fs::write(go, "").unwrap();
    crew.wait_status("stuck", "done");
}

#[test]
fn a_prompt_that_is_no_text_is_refused_and_nothing_begins() {
    let crew = Crew::new();
    let said = crew.feed(&["spawn", "--agent", "scripted", "--prompt", "-"], "say \0 hello");
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(2), "{text}");
    assert!(text.contains("NUL byte") && text.contains("hint:"), "{text}");
    assert_eq!(crew.json(&["ls", "--all"]).as_array().unwrap().len(), 0);
}
