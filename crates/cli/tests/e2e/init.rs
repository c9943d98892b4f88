//! Setting a repository up: what is asked, what is guessed, what is written, and what is left alone.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::harness::{Crew, SmallDisk, text, until};

/// Columns of the terminals that people have at least.
const COLUMNS: u16 = 80;

/// A crew whose PATH has git, a shell, and programs of the test's.
fn crew(programs: &[&str]) -> Crew {
    let mut crew = Crew::new();
    let path = crew.env.iter().find(|(name, _)| name == "PATH").unwrap().1.clone();
    let bin = crew.root.join("bin");
    fs::create_dir(&bin).unwrap();
    for program in ["sh", "env", "git", "setsid", "touch"] {
        let found =
            std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists());
        symlink(found.unwrap(), bin.join(program)).unwrap();
    }
    for program in programs {
        let path = bin.join(program);
        fs::write(&path, "#!/bin/sh\nexit 1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    crew.set("PATH", &bin);
    crew
}

fn file(crew: &Crew) -> PathBuf {
    crew.repo.join("oarlock.toml")
}

fn read(crew: &Crew) -> String {
    fs::read_to_string(file(crew)).unwrap()
}

/// Makes a repository in which there is something to guess.
fn with_much_to_guess(crew: &Crew) {
    for name in ["package-lock.json", "mix.lock", ".env", ".envrc"] {
        crew.write(name, "x\n");
    }
    fs::create_dir_all(crew.repo.join("node_modules")).unwrap();
    fs::create_dir_all(crew.repo.join("vendor")).unwrap();
    crew.write(".gitignore", "/node_modules\n/vendor\n.env\n");
}

/// A person at a terminal, who has begun `oarlock init`.
struct Person {
    child: Child,
    keys: fs::File,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Person {
    fn begins(crew: &Crew, args: &[&str]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).unwrap();
        unlockpt(&ours).unwrap();
        let side = ioctl_tiocgptpeer(&ours, flags).unwrap();
        tcsetwinsize(&side, Winsize { ws_row: 24, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        // With a terminal of its own Ctrl-C is a signal, as at a person's.
        let words = ["--ctty", env!("CARGO_BIN_EXE_oarlock"), "init"];
        let mut command = crew.program("setsid", &[&words[..], args].concat());
        command.stdin(side.try_clone().unwrap()).stdout(side.try_clone().unwrap()).stderr(side);
        let child = command.spawn().unwrap();
        drop(command);
        let keys = fs::File::from(ours);
        let (mut screen, seen) = (keys.try_clone().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let shown = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with an error when nobody has the other side any more (pty(7)).
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                shown.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self { child, keys, seen }
    }

    fn seen(&self) -> String {
        text(&self.seen.lock().unwrap())
    }

    /// Waits for a prompt that stands at the end of what is shown, and types after it.
    fn answers(&mut self, prompt: &str, keys: &str) {
        until(&format!("the prompt {prompt:?} in {:?}", self.seen()), || {
            self.seen().ends_with(prompt).then_some(())
        });
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn ends(mut self) -> (ExitStatus, String) {
        let status = until("it to end", || self.child.try_wait().unwrap());
        (
            status,
            until("all that was shown", || {
                Some(self.seen()).filter(|seen| seen.ends_with('\n') || !status.success())
            }),
        )
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn without_questions_all_is_taken_that_can_be_guessed_and_done_here() {
    let crew = crew(&["claude", "npm"]);
    with_much_to_guess(&crew);
    let output = crew.run(&["init", "--yes"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        text(&output.stdout),
        format!(
            "Wrote {}:\n  + agent = \"claude-code\"\n  + workspace.copy = [\".env\"]\n  + workspace.link = [\"vendor\"]\n  \
             + workspace.setup = [\"npm ci\"]\n",
            file(&crew).display()
        )
    );
    let talk = text(&output.stderr);
    assert!(talk.contains("Left out \"mix deps.get\", for mix.lock: there is no mix in PATH."), "{talk}");
    let said = "agent = \"claude-code\"\n\n[workspace]\ncopy = [\".env\"]\nlink = [\"vendor\"]\nsetup = [\"npm ci\"]\n";
    let written = read(&crew);
    assert_eq!(
        written.split_once('\n').unwrap().1,
        said,
        "node_modules is not linked: npm ci would empty it"
    );
    assert_eq!(
        crew.git(&["status", "--porcelain", "oarlock.toml"]),
        "?? oarlock.toml\n",
        "nothing is committed"
    );
    assert!(crew.ok(&["init", "--yes"]).starts_with("Nothing to change in "));
    assert_eq!(read(&crew), written);
    assert!(crew.daemon_pid().is_none(), "no daemon is needed");
}

#[test]
fn what_was_logged_in_to_goes_before_what_was_only_installed() {
    let mut crew = crew(&["claude", "codex"]);
    crew.set("CODEX_API_KEY", "sk-of-robin");
    let said = crew.json(&["init", "--yes"]);
    assert_eq!(said["changes"][0], serde_json::json!({"key": "agent", "was": null, "is": "codex"}));
    assert_eq!(said["path"], file(&crew).to_str().unwrap());
    assert!(!said.to_string().contains("sk-of-robin") && !read(&crew).contains("sk-of-robin"));
}

#[test]
fn what_is_written_is_what_the_next_session_gets() {
    let crew = crew(&[]);
    crew.write(".gitignore", ".env\n");
    crew.write(".env", "TEA=green\n");
    crew.ok(&[
        "init",
        "--agent",
        "scripted",
        "--permissions",
        "auto",
        "--setup",
        "touch set-up",
        "--copy",
        ".env",
    ]);
    crew.ok(&["spawn", "--name", "one"]);
    crew.wait_status("one", "idle");
    assert_eq!(crew.session("one")["agent"], "scripted");
    assert_eq!(crew.json(&["show", "one"])["told"]["permissions"], "auto");
    let workspace = crew.workspace("one");
    assert!(workspace.join("set-up").exists());
    assert_eq!(fs::read_to_string(workspace.join(".env")).unwrap(), "TEA=green\n");
}

#[test]
fn a_second_run_adds_and_leaves_the_rest_to_the_byte() {
    let crew = crew(&["claude"]);
    let text = "# Ours.\ndefault_branch   = 'main'\n\n[workspace] # for all\nsetup = [\n\t\"make\", # first\n]\n\n\
                [agents.codex]\nmodel = \"x\"\n# The end.";
    crew.write("oarlock.toml", text);
    fs::set_permissions(file(&crew), fs::Permissions::from_mode(0o640)).unwrap();
    let flags = ["--agent", "scripted", "--setup", "make", "--setup", "make docs", "--link", "-"];
    let said = crew.ok(&[&["init"], &flags[..]].concat());
    let shown = "  + agent = \"scripted\"\n  + workspace.link = []\n  ~ workspace.setup = [\"make\", \"make docs\"], was [\"make\"]\n";
    assert_eq!(said.split_once('\n').unwrap().1, shown);
    assert_eq!(
        read(&crew),
        "# Ours.\ndefault_branch   = 'main'\nagent = \"scripted\"\n\n[workspace] # for all\nsetup = [\n\t\"make\", # first\n\t\
         \"make docs\",\n]\nlink = []\n\n[agents.codex]\nmodel = \"x\"\n# The end.\n"
    );
    assert_eq!(fs::metadata(file(&crew)).unwrap().permissions().mode() & 0o777, 0o640);
    let before = read(&crew);
    assert!(crew.ok(&[&["init"], &flags[..]].concat()).starts_with("Nothing to change"));
    fs::create_dir(crew.repo.join("vendor")).unwrap();
    crew.write(".gitignore", "/vendor\n");
    assert!(
        crew.ok(&["init", "--yes"]).starts_with("Nothing to change"),
        "that nothing is linked was decided"
    );
    assert_eq!(read(&crew), before);
}

#[test]
fn a_person_is_asked_little_and_enter_takes_what_is_offered() {
    let crew = crew(&["claude", "codex", "npm"]);
    with_much_to_guess(&crew);
    let mut person = Person::begins(&crew, &[]);
    person.answers("Agent [claude-code]: ", "codx\n");
    person.answers("did you mean \"codex\"?\r\nAgent [claude-code]: ", "codex\n");
    person.answers("Permissions [default]: ", "bypass\n");
    person.answers("Permissions [default]: ", "all\n");
    person.answers("is none of them.\r\nPermissions [default]: ", "auto\n");
    person.answers("Setup [as shown]: ", "\n");
    person.answers("Links [as shown]: ", "-\n");
    person.answers("Copies [as shown]: ", ".env\n");
    person.answers("and (Enter ends): ", ".envrc\n");
    person.answers("and (Enter ends): ", "\n");
    let (status, seen) = person.ends();
    assert!(status.success(), "{seen}");
    assert!(seen.contains("  npm ci                         for package-lock.json"), "{seen}");
    assert!(seen.contains("  not mix deps.get, for mix.lock: there is no mix in PATH"), "{seen}");
    assert!(
        seen.contains("is no place for \"bypass\"") && seen.contains(".config/oarlock/config.toml"),
        "{seen}"
    );
    let said = "agent = \"codex\"\n\n[workspace]\ncopy = [\".env\", \".envrc\"]\nlink = []\nsetup = [\"npm ci\"]\n\n\
                [roles.worker]\npermissions = \"auto\"\n";
    assert_eq!(read(&crew).split_once('\n').unwrap().1, said);
    // What names a file is as long as its path; all else fits.
    let long = |line: &&str| {
        line.chars().count() > usize::from(COLUMNS) && !line.contains(crew.root.to_str().unwrap())
    };
    assert_eq!(seen.lines().filter(long).collect::<Vec<_>>(), [""; 0]);

    let mut again = Person::begins(&crew, &["--setup", "make"]);
    again.answers("Agent [codex]: ", "\n");
    again.answers("Permissions [auto]: ", "\n");
    again.answers("Copies [as shown]: ", "\n");
    let (status, seen) = again.ends();
    assert!(status.success() && !seen.contains("Setup [") && !seen.contains("Links ["), "{seen}");
    assert!(seen.contains("~ workspace.setup = [\"npm ci\", \"make\"], was [\"npm ci\"]"), "{seen}");
}

#[test]
fn whoever_leaves_in_the_middle_leaves_nothing() {
    let crew = crew(&["claude", "npm"]);
    with_much_to_guess(&crew);
    let before = crew.git(&["status", "--porcelain", "--ignored"]);
    let mut person = Person::begins(&crew, &[]);
    person.answers("Agent [claude-code]: ", "\n");
    person.answers("Permissions [default]: ", "auto\n");
    person.answers("Setup [as shown]: ", "\x03");
    let (status, _) = person.ends();
    assert_eq!(status.signal(), Some(rustix::process::Signal::INT.as_raw()), "{status}");
    let mut person = Person::begins(&crew, &[]);
    person.answers("Agent [claude-code]: ", "\x04");
    until("it says so", || person.seen().contains("Nothing was written.").then_some(()));
    let (status, seen) = person.ends();
    assert_eq!(status.code(), Some(130), "{seen}");
    assert!(seen.contains("Nothing was written."), "{seen}");
    assert_eq!(crew.git(&["status", "--porcelain", "--ignored"]), before);
}

#[test]
fn without_a_terminal_it_asks_nothing_and_says_what_to_do() {
    let crew = crew(&["claude"]);
    let talk = crew.refused(&["init"], 2);
    assert!(talk.contains("no terminal to ask on") && talk.contains("oarlock init --yes"), "{talk}");
    assert!(!file(&crew).exists());
    crew.ok(&["init", "--permissions", "accept-edits"]);
    let said = "\n[roles.worker]\npermissions = \"accept-edits\"\n";
    assert_eq!(read(&crew).split_once('\n').unwrap().1, said, "flags alone are no wish for guesses");
    for (args, words) in [
        (["--agent", "codx"], "did you mean \"codex\"?"),
        (["--agent", "exec"], "There is no agent \"exec\"; known: claude-code"),
        (["--setup", ""], "--setup says both something and nothing."),
    ] {
        let talk = crew.refused(&[&["init"], &args[..]].concat(), 2);
        assert!(talk.contains(words), "{talk}");
    }
    let talk = crew.refused(&["init", "--link", "../secret"], 3);
    assert!(talk.contains("is refused: it holds \"..\""), "{talk}");
}

#[test]
fn a_committed_file_gives_no_permission_for_everything() {
    let crew = crew(&[]);
    for more in [&[][..], &["--yes"], &["--json"]] {
        let talk = crew.refused(&[&["init", "--permissions", "bypass"], more].concat(), 3);
        assert!(talk.contains("is no place for") && talk.contains(".config/oarlock/config.toml"), "{talk}");
        assert!(more != ["--json"] || talk.contains("\"code\":\"not_trusted\""), "{talk}");
    }
    assert!(!file(&crew).exists());
}

#[test]
fn a_file_that_is_wrong_is_shown_and_not_touched() {
    let crew = crew(&["claude"]);
    for (wrong, words) in [
        (
            "agent = \"scripted\"\n[workspace]\ncoppy = []\n",
            "line 3: there is no key \"coppy\" in [workspace]",
        ),
        ("agent = \"scripted\"\nsetup", "line 2: key with no value"),
        ("[trust]\nsetup = true\n", "belongs into your own config.toml"),
    ] {
        crew.write("oarlock.toml", wrong);
        for args in [&["init", "--yes"][..], &["init", "--agent", "codex"]] {
            let talk = crew.refused(args, 3);
            assert!(talk.contains(words) && talk.contains("hint: Correct "), "{talk}");
        }
        assert_eq!(read(&crew), wrong);
    }
    fs::write(file(&crew), b"agent = \"\xff\"\n").unwrap();
    let talk = crew.refused(&["init", "--yes"], 3);
    assert!(talk.contains("failed to read"), "{talk}");
}

#[test]
fn what_is_no_plain_file_is_not_written_through() {
    let crew = crew(&["claude"]);
    fs::create_dir(file(&crew)).unwrap();
    let talk = crew.refused(&["init", "--yes"], 3);
    assert!(talk.contains("is a folder") && talk.contains("hint: Move it away"), "{talk}");
    fs::remove_dir(file(&crew)).unwrap();
    let elsewhere = crew.root.join("elsewhere.toml");
    for is_there in [false, true] {
        if is_there {
            fs::write(&elsewhere, "# precious\n").unwrap();
        }
        symlink(&elsewhere, file(&crew)).unwrap();
        let talk = crew.refused(&["init", "--yes"], 3);
        assert!(talk.contains("is a link to ") && talk.contains("hint: "), "{talk}");
        assert_eq!(fs::read_link(file(&crew)).unwrap(), elsewhere, "the link stays");
        fs::remove_file(file(&crew)).unwrap();
    }
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "# precious\n");
    let pipe = Command::new("mkfifo").arg(file(&crew)).status().unwrap();
    assert!(pipe.success());
    let talk = crew.refused(&["init", "--yes"], 3);
    assert!(talk.contains("is no plain file"), "a pipe is not waited for: {talk}");
}

#[test]
fn without_a_checkout_there_is_no_place_for_a_file() {
    let crew = crew(&["claude"]);
    let bare = crew.root.join("shop.git");
    crew.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    let run = |folder: &Path| crew.command(&["init", "--yes"]).current_dir(folder).output().unwrap();
    for (folder, words) in [(&bare, "is a bare repository"), (&crew.home, "is not in a git repository")] {
        let output = run(folder);
        let talk = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{talk}");
        assert!(talk.contains(words) && talk.contains("hint: "), "{talk}");
        assert!(!folder.join("oarlock.toml").exists());
    }
    let talk = crew.refused(&["init", "--yes", "--project", "/nowhere"], 4);
    assert!(talk.contains("There is no folder /nowhere."), "{talk}");
}

#[test]
fn the_file_stands_at_the_root_from_wherever_it_is_asked_for() {
    let crew = crew(&["claude"]);
    let (inside, linked) = (crew.repo.join("deep/er"), crew.root.join("linked"));
    fs::create_dir_all(&inside).unwrap();
    crew.git(&["worktree", "add", "--quiet", linked.to_str().unwrap()]);
    let run = |folder: &Path, args: &[&str]| {
        let output = crew.command(args).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    let id = crew.json(&["project", "add"])["id"].as_str().unwrap().to_owned();
    run(&inside, &["init", "--agent", "scripted"]);
    run(&linked, &["init", "--setup", "make"]);
    run(&crew.home, &["init", "--permissions", "auto", "--project", crew.repo.to_str().unwrap()]);
    run(&crew.home, &["init", "--copy", ".env", "--project", &id]);
    let said = "agent = \"scripted\"\n\n[workspace]\nsetup = [\"make\"]\ncopy = [\".env\"]\n\n[roles.worker]\npermissions = \"auto\"\n";
    assert_eq!(read(&crew).split_once('\n').unwrap().1, said, "it is the one that the daemon reads");
    assert!(!linked.join("oarlock.toml").exists() && !inside.join("oarlock.toml").exists());
}

#[test]
fn an_agent_does_not_set_up_what_agents_are_given() {
    let crew = crew(&["claude"]);
    crew.exec("work", &format!("{} init --yes; echo ended $?", env!("CARGO_BIN_EXE_oarlock")));
    let said = crew.wait_output("work", "ended 3");
    assert!(said.contains("An agent does not set up what agents are given."), "{said}");
    crew.wait_status("work", "done");
    assert!(!file(&crew).exists() && !crew.workspace("work").join("oarlock.toml").exists());
}

#[test]
fn a_disk_that_is_full_or_read_only_leaves_the_file_as_it_was() {
    let Some(disk) = SmallDisk::mount("a_disk_that_is_full_or_read_only_leaves_the_file_as_it_was", 2) else {
        return;
    };
    let crew = Crew::of("state", disk.path().join("shop").to_str().unwrap());
    crew.write("oarlock.toml", "# Ours.\n");
    let filler = disk.fill();
    let long = format!("true {}", "x".repeat(10_000));
    let args = ["init", "--agent", "scripted", "--setup", &long];
    let talk = crew.refused(&args, 1);
    assert!(talk.to_lowercase().contains("no space left") && talk.contains("hint: Make room"), "{talk}");
    let left = || {
        let mut names: Vec<_> =
            fs::read_dir(&crew.repo).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(
        (read(&crew).as_str(), left()),
        ("# Ours.\n", vec![".git".into(), "README.md".into(), "oarlock.toml".into()])
    );
    fs::remove_file(filler).unwrap();
    let remount = |how: &str| {
        let mounted = Command::new("mount").args(["-o", how]).arg(disk.path()).status().unwrap();
        assert!(mounted.success(), "{how}");
    };
    remount("remount,ro");
    let talk = crew.refused(&args, 1);
    assert!(
        talk.contains("Read-only file system") && talk.contains("hint: Make the folder writable"),
        "{talk}"
    );
    remount("remount,rw");
    assert_eq!(read(&crew), "# Ours.\n");
    crew.ok(&args);
    assert!(read(&crew).starts_with("# Ours.\nagent = \"scripted\"\n"), "{}", read(&crew));
}
