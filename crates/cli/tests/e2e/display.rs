//! A session in a window of tmux or zellij, the real ones. What is not installed is said to be missing, and its part passes.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::harness::{Crew, skipped, text, until};

/// An agent that answers what is typed.
const AGENT: &str = "echo it is here; while read line; do echo \"<$line>\"; done";

/// Ends the server that a window was opened in, by the command that leads to it.
struct Server<'a>(&'a Crew, String);

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let (server, _) = self.1.split_once(" attach ").unwrap();
        let end = if server.contains("tmux") { "kill-server" } else { "kill-all-sessions --yes" };
        // It ends by itself with its last window.
        drop(self.0.program("sh", &["-c", &format!("{server} {end}")]).output());
    }
}

/// Returns a world whose windows' sockets are in its own folder, if there is such a program.
fn with(test: &str, program: &str) -> Option<Crew> {
    let mut crew = Crew::new();
    if Command::new(program).arg(if program == "tmux" { "-V" } else { "--version" }).output().is_err() {
        skipped(test, &format!("{program} is not installed"));
        return None;
    }
    let root = crew.root.clone();
    crew.set("TMUX_TMPDIR", &root);
    crew.set("XDG_RUNTIME_DIR", &root);
    Some(crew)
}

fn shows_takes_keys_and_is_no_more_than_a_view(crew: &Crew, program: &str) {
    crew.exec("tidy", AGENT);
    crew.wait_output("tidy", "it is here");
    let opened = crew.json(&["attach", "tidy", "--in", program]);
    let command = opened["command"].as_str().unwrap().to_owned();
    let server = Server(crew, command.clone());
    assert_eq!((&opened["session"], &opened["display"]), (&"tidy".into(), &program.into()));
    // A person's terminal, in which the printed command is carried out as it stands.
    crew.exec("looker", &command);
    crew.wait_output("looker", "it is here");
    crew.host("looker").input(b"tea\r").unwrap();
    crew.wait_output("tidy", "<tea>");
    crew.wait_output("looker", "<tea>");
    drop(server);
    // tmux says that it failed, zellij that it did not.
    let is_over = |status: &str| status == "done" || status == "failed";
    until("the looker to end", || is_over(crew.session("looker")["status"].as_str().unwrap()).then_some(()));
    until("the client to be gone", || (crew.host("tidy").status().unwrap().clients == 1).then_some(()));
    assert!(crew.host("tidy").status().unwrap().child_alive, "a window was lost, and no agent");

    // Another one, to which the first words lead as well; it closes when the agent ends.
    let printed = crew.ok(&["attach", "tidy", "--in", program]);
    let _server = Server(crew, printed.clone());
    crew.exec("again", printed.trim());
    crew.wait_output("again", "<tea>");
    crew.ok(&["kill", "tidy"]);
    crew.wait_status("again", "done");
    let said = crew.refused(&["attach", "tidy", "--in", program], 3);
    assert!(said.contains("No agent runs in tidy."), "{said}");
}

#[test]
fn a_session_is_shown_in_tmux() {
    let Some(crew) = with("a_session_is_shown_in_tmux", "tmux") else { return };
    shows_takes_keys_and_is_no_more_than_a_view(&crew, "tmux");
}

#[test]
fn a_session_is_shown_in_zellij() {
    let Some(mut crew) = with("a_session_is_shown_in_zellij", "zellij") else { return };
    shows_takes_keys_and_is_no_more_than_a_view(&crew, "zellij");
    // Before it says its version it wants to write into a temporary folder; that is not the person's.
    crew.exec("other", AGENT);
    crew.set("TMPDIR", "/nowhere");
    let printed = crew.ok(&["attach", "other", "--in", "zellij"]);
    crew.unset("TMPDIR");
    drop(Server(&crew, printed));
}

#[test]
fn what_cannot_show_it_is_said_to_be_missing_or_broken() {
    let mut crew = Crew::new();
    crew.exec("tidy", AGENT);
    let git = Command::new("sh").args(["-c", "command -v git"]).output().unwrap();
    let bare = crew.root.join("bare");
    std::fs::create_dir(&bare).unwrap();
    symlink(text(&git.stdout).trim(), bare.join("git")).unwrap();
    crew.set("PATH", &bare);
    for program in ["tmux", "zellij"] {
        let said = crew.refused(&["attach", "tidy", "--in", program], 1);
        assert!(
            said.contains(&format!("{program} is not installed.")) && said.contains("\nhint: "),
            "{said}"
        );
    }
    // A program that fails is not taken for one that is there.
    for program in ["tmux", "zellij"] {
        std::fs::write(bare.join(program), "#!/bin/sh\nexit 101\n").unwrap();
        std::fs::set_permissions(bare.join(program), std::fs::Permissions::from_mode(0o755)).unwrap();
        let said = crew.refused(&["attach", "tidy", "--in", program], 1);
        assert!(said.contains(&format!("{program} cannot be used: it ends without a word.")), "{said}");
    }
    assert_eq!(crew.host("tidy").status().unwrap().clients, 1, "nobody else was let in");
}
