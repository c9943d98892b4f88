//! Real agent programs do a task against the scripted model, and the commit is looked at.
//!
//! They are ignored where nobody installed the programs: `cargo xtask agents install`, then `cargo xtask agents try`.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use oarlock_model::drive::{Agent, Place, agents_dir};
use oarlock_model::{Script, Server};

/// Longest that a headless run may take; the slowest needs ten seconds on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(180);

macro_rules! agents {
    ($($name:ident => $agent:expr, $scenario:literal, $protocol:literal;)*) => {
        $(mod $name {
            use super::*;

            #[test]
            #[ignore = "needs the real program, which cargo xtask agents install brings"]
            fn commits_what_it_was_told_and_hears_it_once_and_whole() {
                tried($agent, $scenario, $protocol);
            }
        })*
    };
}

agents! {
    claude => Agent::Claude, "commit", "messages";
    codex => Agent::Codex, "commit", "responses";
    copilot => Agent::Copilot, "commit", "chat";
    gemini => Agent::Gemini, "commit", "gemini";
    opencode => Agent::Opencode, "commit", "chat";
    qwen => Agent::Qwen, "commit", "chat";
    kimi => Agent::Kimi, "commit", "chat";
    aider => Agent::Aider, "whole_file", "chat";
}

fn tried(agent: Agent, scenario: &str, protocol: &str) {
    let agents = agents_dir();
    let program = agent.program(&agents).expect("it is installed");
    let dir = tempfile::tempdir().expect("a folder");
    let (home, workspace) = (dir.path().join("home"), dir.path().join("workspace"));
    fs::create_dir_all(&home).expect("a home");
    fs::create_dir_all(&workspace).expect("a workspace");
    git(&workspace, &["init", "--quiet", "--initial-branch=main"]);
    let identity = ["-c", "user.name=a", "-c", "user.email=a@example.invalid"];
    git(&workspace, &[&identity[..], &["commit", "--quiet", "--allow-empty", "-m", "base"]].concat());

    let server = Server::start(Script::everyday(), 0, None).expect("loopback");
    let url = server.url();
    let setup = agent.setup(&Place { url: &url, home: &home, trusted: &[&workspace], agents: &agents });
    setup.plant(&home).expect("planted");
    let long: String = (0..1000).map(|line| format!("Line {line} of a long message.\n")).collect();
    let prompt = format!("Do it [[play:{scenario} file=tea.txt]] [[msg:long]]{long}[[end:long]]");
    let mut command = Command::new(program);
    command
        .args(agent.headless(&prompt))
        .env_clear()
        .envs(setup.environment(&home))
        .env("TERM", "xterm-256color");
    let (status, output) = ended(command.current_dir(&workspace), dir.path());

    let seen = server.seen();
    let context = || format!("{status}\n{output}\n{:#?}", seen.requests);
    assert_eq!(status, "exit status: 0", "{}", context());
    assert_eq!(git(&workspace, &["show", "HEAD:tea.txt"]), "hello\n", "{}", context());
    let played = |step: usize| {
        seen.requests.iter().any(|asked| {
            asked.scenario.as_deref() == Some(scenario)
                && asked.step == step
                && asked.protocol.as_deref() == Some(protocol)
        })
    };
    let last = Script::everyday().scenario[scenario].step.len() - 1;
    assert!((0..=last).all(played), "{}", context());
    let mark = &seen.marks["long"];
    assert_eq!((mark.times, mark.whole, mark.bytes), (1, true, long.len()), "{mark:?}");
    eprintln!("{}: {} requests, {} messages", agent.name(), seen.count, seen.messages.len());
}

fn git(workspace: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(args).current_dir(workspace).env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = command.output().expect("git");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command to its end, or ends it with its group, and returns how it ended and the end of what it said.
fn ended(command: &mut Command, dir: &Path) -> (String, String) {
    let path = dir.join("output");
    let file = File::create(&path).expect("a file");
    command.stdin(Stdio::null()).stderr(file.try_clone().expect("a file")).stdout(file).process_group(0);
    let mut child = command.spawn().expect("started");
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait()));
    let status = match receiver.recv_timeout(PATIENCE) {
        Ok(status) => status.expect("waited for").to_string(),
        Err(_) => "it did not end".to_owned(),
    };
    // The group is gone already, unless something was left behind.
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{id}")]).stderr(Stdio::null()).status();
    let text = fs::read(&path).expect("read");
    let end = text.len().saturating_sub(4000);
    (status, String::from_utf8_lossy(&text[end..]).into_owned())
}
