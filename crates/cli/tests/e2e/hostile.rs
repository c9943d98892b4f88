//! Agents that are up to no good, as far as an agent of the same user can be held: what they write, claim, flood and call.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use oarlock_api::wire;
use serde_json::{Value, json};

use crate::harness::{Crew, ended, text, until};

/// Most memory that the daemon may come to hold through any of this, in KiB: it has 20 MiB by itself in a debug build.
const RESIDENT_GROWTH_KIB_MAX: u64 = 96 << 10;

fn resident_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn inbox(crew: &Crew, name: &str) -> std::path::PathBuf {
    crew.run_folder(name).join("inbox/reports.jsonl")
}

fn claim_line(note: &str) -> String {
    json!({"event": "claim", "payload": {"claim": "done", "note": note}}).to_string() + "\n"
}

#[test]
fn a_flood_of_an_inbox_holds_up_nobody_and_loses_no_report() {
    let crew = Crew::new();
    for name in ["flood", "calm"] {
        crew.scripted(name, "say ready");
        crew.wait_status(name, "idle");
    }
    let daemon = crew.daemon_pid().unwrap();
    let before = resident_kib(daemon);
    let mut file = fs::OpenOptions::new().append(true).open(inbox(&crew, "flood")).unwrap();
    let garbage: Vec<u8> = (0..=255_u8).cycle().take(1 << 20).collect();
    for _ in 0..64 {
        file.write_all(&garbage).unwrap(); // lines of every byte there is
        file.write_all(&vec![b'x'; 3 << 20]).unwrap(); // a line without an end
    }
    file.write_all(b"\n").unwrap();
    file.write_all(&b"{\"event\":\"made_up\",\"payload\":{}}\n".repeat(500_000)).unwrap();
    let deep = format!("{{\"event\":\"claim\",\"payload\":{}}}\n", "[".repeat(200_000));
    file.write_all(deep.as_bytes()).unwrap();
    file.write_all(claim_line("behind the flood").as_bytes()).unwrap();
    // Meanwhile the other is served.
    crew.ok(&["send", "calm", "say served"]);
    crew.wait_output("calm", "served");
    crew.wait_status("flood", "claimed");
    assert!(crew.ok(&["why", "flood"]).contains("behind the flood"), "what was reported is not lost");
    let grown = resident_kib(daemon).saturating_sub(before);
    assert!(grown < RESIDENT_GROWTH_KIB_MAX, "the daemon grew by {grown} KiB");
    assert_eq!(crew.daemon_pid(), Some(daemon));
}

#[test]
fn a_flood_of_claims_is_taken_in_order_and_to_its_end() {
    let crew = Crew::new();
    crew.scripted("flood", "say ready");
    crew.wait_status("flood", "idle");
    let daemon = crew.daemon_pid().unwrap();
    let before = resident_kib(daemon);
    let mut file = fs::OpenOptions::new().append(true).open(inbox(&crew, "flood")).unwrap();
    for number in 0..5_000 {
        file.write_all(claim_line(&format!("claim {number}")).as_bytes()).unwrap();
    }
    until("the last claim", || crew.ok(&["why", "flood"]).contains("claim 4999").then_some(()));
    let events = crew.ok(&["events", "--session", "flood", "--json"]);
    let claims = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let claims: Vec<String> = claims
        .filter(|event| event["kind"] == "claimed")
        .map(|event| event["text"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        claims,
        (0..5_000).map(|number| number.to_string()).collect::<Vec<_>>(),
        "each once, in order"
    );
    let grown = resident_kib(daemon).saturating_sub(before);
    assert!(grown < RESIDENT_GROWTH_KIB_MAX, "the daemon grew by {grown} KiB");
}

#[test]
fn output_at_full_speed_is_kept_whole_and_holds_up_nobody() {
    let crew = Crew::new();
    crew.scripted("calm", "say ready");
    crew.wait_status("calm", "idle");
    let daemon = crew.daemon_pid().unwrap();
    let before = resident_kib(daemon);
    crew.scripted("flood", "flood 200m ; say the end of it");
    crew.ok(&["send", "calm", "say served"]);
    crew.wait_output("calm", "served");
    crew.wait_status("flood", "idle");
    let output = crew.run_folder("flood").join("output.log");
    until("all of it to be kept", || (fs::metadata(&output).unwrap().len() >= 200_000_000).then_some(()));
    assert!(crew.ok(&["logs", "flood"]).contains("the end of it"));
    let grown = resident_kib(daemon).saturating_sub(before);
    assert!(grown < RESIDENT_GROWTH_KIB_MAX, "the daemon grew by {grown} KiB");
}

#[test]
fn output_is_read_at_any_offset_and_of_no_run_that_never_was() {
    let crew = Crew::new();
    crew.exec("list", "echo bread");
    crew.wait_status("list", "done");
    let client = crew.client();
    let at = |query: &str| client.get_bytes(&format!("/v1/sessions/list/output{query}"));
    assert_eq!(at("?from=0").unwrap(), "bread\r\n");
    for from in ["7", "8", "9223372036854775806", "9223372036854775807"] {
        assert_eq!(at(&format!("?run=0&from={from}")).unwrap(), "", "{from}");
    }
    assert_eq!(at("?from=-9223372036854775808").unwrap(), "bread\r\n");
    let missing = at("?run=7").unwrap_err().to_string();
    assert_eq!(missing, "list has no run 7.");
    assert!(crew.refused(&["logs", "list", "--run", "7"], 4).contains("list has no run 7."));
}

/// A token of a live run, as its agent has it.
fn token(crew: &Crew, name: &str) -> String {
    let spec: Value =
        serde_json::from_slice(&fs::read(crew.run_folder(name).join("spec.json")).unwrap()).unwrap();
    let env = spec["env"].as_array().unwrap();
    let found = env.iter().find(|pair| pair[0] == "OARLOCK_TOKEN").unwrap();
    found[1].as_str().unwrap().to_owned()
}

#[test]
fn a_token_dies_with_its_run() {
    let crew = Crew::new();
    crew.scripted("list", "say ready");
    crew.wait_status("list", "idle");
    let first = token(&crew, "list");
    let id = crew.session("list")["id"].as_str().unwrap().to_owned();
    let ask = |token: &str| {
        let mut command = crew.command(&["send", &id, "say hello"]);
        command.env("OARLOCK_TOKEN", token).output().unwrap()
    };
    assert!(ask(&first).status.success(), "a live run may send to its own session");
    crew.ok(&["stop", "list"]);
    assert_eq!(ask(&first).status.code(), Some(3), "an ended one may not");
    crew.ok(&["resume", "list", "--prompt", "say again"]);
    crew.wait_output("list", "again");
    let second = token(&crew, "list");
    assert_ne!(first, second);
    let refused = ask(&first);
    assert_eq!(refused.status.code(), Some(3), "nor speak for the next");
    assert!(text(&refused.stderr).contains("not one of this daemon's live runs"));
    assert!(ask(&second).status.success());
}

#[test]
fn a_token_is_shown_to_nobody_but_its_own_run() {
    let mut crew = Crew::new();
    crew.set("OARLOCK_LOG", "trace");
    crew.scripted("one", "say ready ; claim fine");
    crew.wait_status("one", "claimed");
    crew.exec(
        "two",
        "env; cat /proc/self/environ; oarlock show one --json; oarlock events; oarlock send two hi; true",
    );
    crew.wait_status("two", "done");
    let (one, two) = (token(&crew, "one"), token(&crew, "two"));
    let secret = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    let (one, two) = (secret(&one), secret(&two));
    assert!(one.len() == 64 && one != two);
    for verb in [
        "ls --all",
        "show one",
        "show two",
        "why one",
        "events",
        "logs one --all",
        "status",
        "doctor",
        "trash ls",
    ] {
        for json in [&[][..], &["--json"]] {
            let arguments: Vec<&str> = verb.split(' ').chain(json.iter().copied()).collect();
            let output = crew.run(&arguments);
            let said = text(&output.stdout) + &text(&output.stderr);
            assert!(
                !said.contains(&one) && (verb == "show two" || !said.contains(&two)),
                "{verb} shows a token"
            );
        }
    }
    assert!(crew.output("two").contains(&two), "its own is in its environment");
    assert!(!crew.output("two").contains(&one), "another's is not");
    // Neither the log, traced to the last step, nor the facts hold one.
    crew.ok(&["stop"]);
    for file in ["log/daemon.log", "oarlock.db"] {
        let bytes = fs::read(crew.state.join(file)).unwrap();
        assert!(!bytes.is_empty());
        for secret in [&one, &two] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{file} holds a token");
        }
    }
    let log = fs::read_to_string(crew.place().log()).unwrap();
    assert!(log.contains(" TRACE ") || log.contains(" DEBUG "), "it was traced");
}

/// Runs an internal verb in a hostile environment; it has to end by itself.
fn verb(crew: &Crew, args: &[&str], env: &[(&str, &Path)]) -> (i32, String) {
    let mut command = crew.command(args);
    command.envs(env.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = ended(command.spawn().unwrap());
    (output.status.code().unwrap_or(-1), text(&output.stderr) + &text(&output.stdout))
}

#[test]
fn internal_verbs_do_nothing_outside_a_run() {
    let crew = Crew::new();
    let (code, said) = verb(&crew, &["claim", "done", "yes"], &[]);
    assert!(
        code == 2 && said.contains("not a run of oarlock's") && said.contains("hint: "),
        "{code}: {said}"
    );
    let empty = crew.root.join("empty");
    fs::create_dir(&empty).unwrap();
    for folder in [&empty, &crew.root.join("missing"), Path::new("/etc/passwd"), Path::new("/proc/nowhere")] {
        let (code, said) = verb(&crew, &["host", folder.to_str().unwrap()], &[]);
        assert!(code == 1 && said.contains("oarlock host: "), "{}: {code} {said}", folder.display());
    }
    assert!(!crew.root.join("missing").exists(), "nothing is made for a folder that is no run's");
    let (code, said) = verb(&crew, &["scripted", "/no/such/script"], &[]);
    assert!(code == 1 && said.contains("cannot read"), "{code}: {said}");
    for bare in [&["host"][..], &["scripted"]] {
        let (code, said) = verb(&crew, bare, &[]);
        assert!(code == 2 && said.contains("error: "), "{bare:?}: {code} {said}");
    }
    assert!(crew.processes().is_empty(), "nothing was started");
}

#[test]
fn a_claim_is_written_into_no_file_but_an_inbox() {
    let crew = Crew::new();
    let victim = crew.root.join("victim");
    fs::write(&victim, "precious").unwrap();
    let at = |name: &str| crew.root.join(name);
    symlink(&victim, at("link")).unwrap();
    symlink(at("nothing"), at("dangling")).unwrap();
    assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
    fs::create_dir(at("folder")).unwrap();
    let missing = at("missing/inbox/reports.jsonl");
    for place in [
        &victim,
        &at("link"),
        &at("dangling"),
        &at("fifo"),
        &at("folder"),
        &missing,
        Path::new("/dev/full"),
        Path::new(""),
    ] {
        let env = [
            ("OARLOCK_INBOX", place),
            ("OARLOCK_RUN", Path::new("\u{1b}]0;x/../../7")),
            ("OARLOCK_TOKEN", Path::new("x")),
        ];
        let (code, said) = verb(&crew, &["claim", "done", "yes"], &env);
        assert!(
            code != 0 && said.contains("error: ") && !said.contains('\u{1b}'),
            "{}: {code} {said}",
            place.display()
        );
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(!at("nothing").exists() && !at("missing").exists());
}

/// What an agent might put into whatever it writes, to take over the terminal of whoever reads it.
const ESCAPES: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}gpj.exe\r\u{8}\u{0}";

/// Tells what in a text would drive a terminal; colours of our own are only made for one.
fn drives_a_terminal(said: &str) -> Option<char> {
    let harmless =
        |c: char| matches!(c, '\n' | '\t') || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
    said.chars().find(|c| !harmless(*c))
}

/// Begins sessions that put hostile words into whatever an agent writes: screen, reports, files, commits, last words.
fn hostile_sessions(crew: &Crew, hostile: &str) {
    crew.scripted("list", &format!("say {hostile}\nquestion {hostile}"));
    crew.wait_status("list", "needs_input");
    let mut file = fs::OpenOptions::new().append(true).open(inbox(crew, "list")).unwrap();
    let report = |event: &str| json!({"event": event, "payload": {"claim": "stuck", "note": ESCAPES, "what": ESCAPES, "error": ESCAPES}});
    for event in ["claim", "turn_ended", "permission_asked", "started"] {
        file.write_all((report(event).to_string() + "\n").as_bytes()).unwrap();
    }
    crew.wait_status("list", "blocked");
    let workspace = crew.workspace("list");
    let name = format!("file{}", hostile.replace('/', ""));
    fs::write(workspace.join(&name), "text\n").unwrap();
    crew.git_in(&workspace, &["add", "--all"]);
    crew.git_in(&workspace, &["commit", "--quiet", "--message", &format!("Subject {hostile}")]);
    fs::write(workspace.join(format!("new{name}")), "text\n").unwrap();
    crew.exec("dies", &format!("printf '%s' '{hostile}'; exit 7"));
    crew.wait_status("dies", "failed");
    crew.exec("missing", &format!("exec '/no/such/{hostile}'"));
    crew.wait_status("missing", "failed");
}

#[test]
fn nothing_an_agent_writes_drives_the_terminal_of_who_reads_it() {
    let crew = Crew::new();
    let hostile = ESCAPES.replace('\0', "");
    hostile_sessions(&crew, &hostile);
    let branch = crew.run(&["spawn", "--name", "b", "--exec", "true", "--branch", &hostile]);
    assert!(!branch.stderr.is_empty() || !branch.stdout.is_empty());
    drop(crew.run(&["send", "list", &hostile]));
    let path = format!("/{hostile}");
    for verb in [
        &["ls"][..],
        &["ls", "--all"],
        &["show", "list"],
        &["show", "dies"],
        &["show", "missing"],
        &["why", "list"],
        &["why", "dies"],
        &["why", "missing"],
        &["events"],
        &["logs", "list"],
        &["logs", "list", "--all"],
        &["logs", "dies"],
        &["diff", "list", "--stat"],
        &["land", "list", "--dry-run"],
        &["land", "list"],
        &["reject", "dies"],
        &["trash", "ls"],
        &["undo"],
        &["trash", "restore", &hostile],
        &["show", &hostile],
        &["why", &hostile],
        &["land", &hostile],
        &["rename", "list", &hostile],
        &["spawn", "--agent", &hostile],
        &["spawn", "--exec", "true", "--base", &hostile],
        &["spawn", "--exec", "true", "--name", &hostile],
        &["project", "add", &path],
        &["project", "show", &hostile],
        &["project", "rm", &hostile],
        &["--project", &path, "ls"],
        &["--project", &hostile, "spawn", "--exec", "true"],
        &["resume", "missing", "--prompt", &hostile],
        &["kill", &hostile],
        &["send", &hostile, "x"],
        &["rm", &hostile],
        &["show", "b"],
        &["why", "b"],
        &["events"],
        &["project", "ls"],
        &["doctor"],
    ] {
        let output = crew.run(verb);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(drives_a_terminal(&said), None, "{verb:?} prints {said:?}");
        assert!(output.status.code().is_some(), "{verb:?} ends by itself");
    }
    let detail: wire::SessionDetail = serde_json::from_value(crew.json(&["show", "list"])).unwrap();
    assert_eq!(drives_a_terminal(&detail.session.because), None, "nor is it so on the wire");
}
