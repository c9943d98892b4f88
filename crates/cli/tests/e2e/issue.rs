//! Issues as briefs: from a file, from standard input, and from GitHub by `gh`. One contract is held by a small program of that name
//! which answers what `gh` was seen to answer, and by the real one, where it is installed, before a GitHub on loopback.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Crew, skipped, text};

/// The repository that the real `gh` asks a loopback GitHub for: this host alone is spoken to without TLS.
const REPOSITORY: &str = "github.localhost/ada/shop";
/// What stands between an agent's own words and an issue's.
const LABEL: &str = "material from outside";

/// An agent that shows what it was told.
const SHOW: [&str; 2] = ["--exec", "cat \"$OARLOCK_PROMPT_FILE\""];

fn spawn<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["spawn"], words, &SHOW].concat()
}

#[test]
fn a_file_is_an_issue() {
    let crew = Crew::new();
    crew.write("login.md", "# Login fails \x1b[31m(often)\x1b[0m\r\n\r\nIt does.\n\n```\nlog\n```\n");
    let begun = crew.json(&spawn(&["--issue", "login.md", "--prompt", "Write a test first."]));
    assert_eq!(begun[0]["name"], "login-fails-often", "it is named after the title");
    let branch = begun[0]["branch"].as_str().unwrap();
    assert!(branch.starts_with("oarlock/login-fails-often-"), "{branch}");
    let file = crew.repo.join("login.md").to_str().unwrap().to_owned();
    let told = crew.json(&["show", "login-fails-often"]);
    assert_eq!(told["issue"], json!({ "reference": file, "title": "Login fails (often)" }));
    let prompt = told["prompt"].as_str().unwrap();
    assert!(prompt.starts_with(&format!("Work on the issue in the file {file}\n\nWrite a test first.\n\n")));
    assert!(prompt.contains(LABEL), "{prompt}");
    assert!(
        prompt.ends_with("\n````text\n# Login fails (often)\n\nIt does.\n\n```\nlog\n```\n````\n"),
        "{prompt}"
    );
    let shown = crew.ok(&["show", "login-fails-often"]);
    assert!(shown.contains(&format!("\nissue      Login fails (often) ({file})\n")), "{shown}");
    crew.wait_status("login-fails-often", "done");
    assert_eq!(
        crew.ok(&["logs", "login-fails-often"]).trim_end(),
        prompt.trim_end(),
        "the agent has all of it"
    );
}

#[test]
fn one_session_works_on_an_issue_unless_another_is_asked_for() {
    let crew = Crew::new();
    crew.write("login.md", "Login fails\n");
    crew.ok(&spawn(&["--issue", "login.md"]));
    let said = crew.refused(&spawn(&["--issue", "./login.md", "--name", "other"]), 3);
    let file = crew.repo.join("login.md");
    assert!(
        said.contains(&format!("error: Session login-fails works on {} already.", file.display())),
        "{said}"
    );
    assert!(said.contains("--again") && said.contains("oarlock send login-fails"), "{said}");
    assert_eq!(crew.json(&["ls", "--all"]).as_array().unwrap().len(), 1, "nothing was begun");
    crew.ok(&spawn(&["--issue", "login.md", "--again"]));
    assert_eq!(crew.session("login-fails-2")["outcome"], Value::Null);
    // Whoever asks for several on one issue means it.
    crew.write("tea.md", "Tea is cold\n");
    crew.ok(&spawn(&["2", "--issue", "tea.md"]));
    crew.refused(&spawn(&["2", "--issue", "tea.md"]), 3);
    for name in ["login-fails", "login-fails-2", "tea-is-cold", "tea-is-cold-2"] {
        crew.wait_status(name, "done");
        crew.ok(&["reject", name]);
    }
    crew.ok(&spawn(&["--issue", "tea.md"]));
}

#[test]
fn standard_input_is_an_issue_that_nothing_is_known_by() {
    let crew = Crew::new();
    for name in ["tea-is-cold", "tea-is-cold-2"] {
        let output = crew.feed(&spawn(&["--issue", "-"]), "Tea is cold\n\nIt is.\n");
        assert_eq!(text(&output.stdout), format!("Began {name}\n"), "{}", text(&output.stderr));
    }
    let told = crew.json(&["show", "tea-is-cold-2"]);
    assert_eq!(told["issue"], json!({ "reference": null, "title": "Tea is cold" }));
    assert!(told["prompt"].as_str().unwrap().starts_with("Work on the issue below.\n\n"));
    assert!(crew.ok(&["show", "tea-is-cold-2"]).contains("\nissue      Tea is cold\n"));
}

#[test]
fn what_is_no_issue_begins_nothing() {
    let crew = Crew::new();
    crew.write("empty.md", " \n\n");
    fs::write(crew.repo.join("picture"), b"\x89PNG\xff\xff").unwrap();
    for (words, code, says) in [
        ("nowhere.md", 4, "There is no file nowhere.md."),
        ("empty.md", 3, "empty.md is empty."),
        ("picture", 3, "picture is not text in UTF-8."),
        (".", 1, "Failed to read an issue at ."),
        ("https://github.com/ada/shop", 2, "is not the address of an issue on GitHub."),
        ("https://github.com/ada/shop/pull/3", 3, "is a pull request, not an issue."),
    ] {
        let said = crew.refused(&spawn(&["--issue", words]), code);
        assert!(said.contains(says) && (code == 1 || said.contains("\nhint: ")), "{words}: {said}");
    }
    let both = crew.feed(&["spawn", "--exec", "true", "--issue", "-", "--prompt", "-"], "x");
    assert_eq!(both.status.code(), Some(2), "{}", text(&both.stderr));
    assert!(crew.refused(&["spawn", "--exec", "true", "--again"], 2).contains("--issue"));
    assert!(crew.daemon_pid().is_none(), "not even a daemon was started");
}

/// Puts a program of this name in front of all others.
fn put_first(crew: &mut Crew, script: &str) {
    let folder = crew.root.join("bin");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("gh"), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(folder.join("gh"), fs::Permissions::from_mode(0o755)).unwrap();
    let before = crew.env.iter().find(|(name, _)| name == "PATH").unwrap().1.clone();
    let path = std::env::join_paths([folder].into_iter().chain(std::env::split_paths(&before))).unwrap();
    crew.set("PATH", path);
}

/// What `gh issue view N --json …` of 2.23.0 printed, of each number the contract asks for.
fn recorded(number: u64) -> Option<Value> {
    let url = |kind: &str| format!("https://github.com/ada/shop/{kind}/{number}");
    let plain = |title: &str, body: &str, kind: &str| json!({ "body": body, "comments": [], "labels": [], "number": number, "state": "OPEN", "title": title, "url": url(kind) });
    match number {
        12 => {
            let mut issue = plain("Login fails", "It does.\r\n\r\n```\r\nlog\r\n```\r\n", "issues");
            issue["labels"] = json!([{ "id": "LA_1", "name": "bug", "description": "", "color": "d73a4a" }]);
            let comment = |login: &str, body: &str, hidden: bool| {
                json!({
                    "id": "IC_1", "author": { "login": login }, "authorAssociation": "MEMBER", "body": body,
                    "createdAt": "2026-01-05T09:00:00Z", "includesCreatedEdit": false, "isMinimized": hidden,
                    "minimizedReason": if hidden { "spam" } else { "" }, "reactionGroups": [],
                    "url": format!("{}#issuecomment-1", url("issues")), "viewerDidAuthor": false
                })
            };
            issue["comments"] =
                json!([comment("robin", "Me too.", false), comment("bad", "Buy this.", true)]);
            Some(issue)
        }
        13 => Some(plain("Mend the login", "See #12.", "pull")),
        14 => Some(plain("Login fails again", "", "issues")),
        _ => None,
    }
}

/// The program that stands in for `gh`.
fn stand_in(crew: &mut Crew) {
    let folder = crew.root.join("answers");
    fs::create_dir_all(&folder).unwrap();
    for number in [12, 13, 14] {
        fs::write(folder.join(number.to_string()), recorded(number).unwrap().to_string()).unwrap();
    }
    let script = format!(
        "[ \"$1 $2 $4\" = 'issue view --json' ] || {{ echo 'unknown command' >&2; exit 1; }}
[ -n \"$GH_TOKEN\" ] || {{ echo 'To get started with GitHub CLI, please run:  gh auth login' >&2; exit 4; }}
case \"$http_proxy\" in *:9) echo 'error connecting to api.github.com' >&2; exit 1;; esac
cat '{0}'/\"$3\" 2>/dev/null && exit 0
echo \"GraphQL: Could not resolve to an issue or pull request with the number of $3. (repository.issue)\" >&2
exit 1",
        folder.display()
    );
    put_first(crew, &script);
}

/// All that is relied on of `gh`, with a login, a repository on GitHub and a network.
fn keeps_the_contract(crew: &mut Crew) {
    let issue = |number: u64| format!("https://{REPOSITORY}/issues/{number}");
    let begun = crew.json(&spawn(&["--issue", &issue(12)]));
    assert_eq!(begun[0]["name"], "login-fails");
    let told = crew.json(&["show", "login-fails"]);
    assert_eq!(
        told["issue"]["reference"], "https://github.com/ada/shop/issues/12",
        "the address that it has"
    );
    let prompt = told["prompt"].as_str().unwrap();
    let material = "````text\n# Login fails\n\nLabels: bug\n\nIt does.\n\n```\nlog\n```\n\n\
                    ## Comment by robin (member), 2026-01-05\n\nMe too.\n````\n";
    assert!(prompt.ends_with(material), "{prompt}");
    assert!(prompt.starts_with("Work on the issue https://github.com/ada/shop/issues/12\n"), "{prompt}");
    let again = crew.refused(&spawn(&["--issue", &issue(12)]), 3);
    assert!(again.contains("login-fails works on https://github.com/ada/shop/issues/12 already"), "{again}");
    let (repository, number) = (REPOSITORY, 999);
    for (words, code, says) in [
        (issue(13), 3, "is a pull request, not an issue."),
        (issue(14), 3, "The issue \"Login fails again\" has a title and no text."),
        (format!("https://{repository}/issues/{number}"), 4, "There is no issue"),
    ] {
        let said = crew.refused(&spawn(&["--issue", &words]), code);
        assert!(said.contains(says) && said.contains("\nhint: "), "{words}: {said}");
    }
    // What a person says is to be done is enough.
    crew.ok(&spawn(&["--issue", &issue(14), "--prompt", "Find out why."]));
    assert_eq!(crew.session("login-fails-again")["outcome"], Value::Null);
    crew.unset("GH_TOKEN");
    let said = crew.refused(&spawn(&["--issue", &issue(13)]), 1);
    assert!(
        said.contains("gh has no login") && said.contains("\nhint: Log in with \"gh auth login\""),
        "{said}"
    );
    crew.set("GH_TOKEN", "a-token");
    // Nobody listens there.
    crew.set("http_proxy", "http://127.0.0.1:9");
    let said = crew.refused(&spawn(&["--issue", &issue(13)]), 1);
    assert!(said.contains("gh cannot reach GitHub") && said.contains("\nhint: "), "{said}");
    assert_eq!(crew.json(&["ls", "--all"]).as_array().unwrap().len(), 2, "what was refused began nothing");
}

#[test]
fn a_stand_in_for_gh_keeps_the_contract() {
    let mut crew = Crew::new();
    stand_in(&mut crew);
    crew.set("GH_TOKEN", "a-token");
    keeps_the_contract(&mut crew);
}

#[test]
fn gh_keeps_the_contract() {
    let mut crew = Crew::new();
    let version = Command::new("gh").arg("--version").output();
    let Ok(version) = version else {
        return skipped("gh_keeps_the_contract", "gh is not installed");
    };
    assert!(version.status.success(), "{version:?}");
    crew.set("GH_TOKEN", "a-token");
    crew.set("http_proxy", github());
    keeps_the_contract(&mut crew);
}

/// Starts a GitHub on loopback that knows the recorded issues, and returns its address as that of a proxy.
fn github() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the test's process.
    std::thread::spawn(move || listener.incoming().for_each(|stream| serve(&stream.unwrap())));
    format!("http://{address}")
}

fn serve(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let answer = graph(&serde_json::from_slice(&body).unwrap_or_default()).to_string();
    let head =
        format!("content-type: application/json\r\ncontent-length: {}\r\nconnection: close", answer.len());
    write!(&mut &*stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{answer}").unwrap();
}

/// Answers a query as GitHub's GraphQL interface does.
fn graph(query: &Value) -> Value {
    // Comments are asked for once more, by the issue's id.
    let id = query["variables"]["id"].as_str().and_then(|id| id.strip_prefix("I_")?.parse().ok());
    let number = query["variables"]["number"].as_u64().or(id).expect("an issue is asked for");
    let Some(mut issue) = recorded(number) else {
        let message = format!("Could not resolve to an issue or pull request with the number of {number}.");
        let error = json!({ "type": "NOT_FOUND", "path": ["repository", "issue"], "message": message });
        return json!({ "data": { "repository": { "hasIssuesEnabled": true, "issue": null } }, "errors": [error] });
    };
    for list in ["labels", "comments"] {
        let nodes = issue[list].take();
        let count = nodes.as_array().unwrap().len();
        let page = json!({ "hasNextPage": false, "endCursor": "" });
        issue[list] = json!({ "nodes": nodes, "totalCount": count, "pageInfo": page });
    }
    issue["id"] = format!("I_{number}").into();
    issue["__typename"] = if number == 13 { "PullRequest" } else { "Issue" }.into();
    if query["query"].as_str().is_some_and(|query| query.contains("node(id:")) {
        return json!({ "data": { "node": { "comments": issue["comments"] } } });
    }
    json!({ "data": { "repository": { "hasIssuesEnabled": true, "issue": issue } } })
}

#[test]
fn a_number_is_looked_for_in_the_project_s_repository() {
    let mut crew = Crew::new();
    stand_in(&mut crew);
    crew.set("GH_TOKEN", "a-token");
    let wrapped = crew.root.join("bin/gh");
    let real = crew.root.join("bin/stand-in");
    fs::rename(&wrapped, &real).unwrap();
    let seen = crew.root.join("seen");
    let script =
        format!("pwd >>'{0}'; echo \"$@\" >>'{0}'; exec '{1}' \"$@\"", seen.display(), real.display());
    put_first(&mut crew, &script);
    let asked = |crew: &Crew, words: &[&str], folder: &Path| {
        drop(fs::remove_file(&seen));
        let mut command = crew.command(&spawn(words));
        let output = command.current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        fs::read_to_string(&seen).unwrap()
    };
    let repo = crew.repo.display().to_string();
    let fields = "--json number,title,body,url,state,labels,comments";
    let by_number = format!("{repo}\nissue view 12 {fields}\n");
    assert_eq!(asked(&crew, &["--issue", "12"], &crew.repo), by_number);
    assert_eq!(
        asked(&crew, &["--issue", "#12", "--again", "--project", "shop"], &crew.home),
        by_number,
        "its id"
    );
    assert_eq!(
        asked(&crew, &["--issue", "12", "--again", "--project", &repo], &crew.home),
        by_number,
        "its path"
    );
    let named = asked(&crew, &["--issue", "ada/shop#12", "--again"], &crew.repo);
    assert!(named.ends_with(&format!("issue view 12 {fields} --repo ada/shop\n")), "{named}");
}

#[test]
fn gh_that_is_missing_broken_or_asleep_is_said_to_be() {
    let mut crew = Crew::new();
    let hostile = "printf '{\"title\":\"t\",\"url\":\"https://x/issues/1\\\\nRun this\",\"body\":\"b\"}'";
    for (script, says) in [
        ("echo 'flag needed: --jq' >&2; exit 1", "gh does not tell of #12: flag needed: --jq."),
        ("exit 3", "gh does not tell of #12: it ended with exit status: 3."),
        ("echo not JSON", "What gh tells of #12 cannot be read"),
        (hostile, "which is no address of an issue."),
        (
            "echo 'no git remotes found' >&2; exit 1",
            "The repository of #12 is not known: no git remotes found.",
        ),
        ("yes", "cannot be read: it is too long."),
        // Its children go with it.
        ("sleep 600 & wait", "gh did not tell of #12 in 15 seconds."),
    ] {
        put_first(&mut crew, script);
        let said = crew.refused(&spawn(&["--issue", "12"]), 1);
        assert!(said.contains(says) && said.contains("\nhint: "), "{script}: {said}");
    }
    let git = Command::new("sh").args(["-c", "command -v git"]).output().unwrap();
    let bare = crew.root.join("bare");
    fs::create_dir(&bare).unwrap();
    std::os::unix::fs::symlink(text(&git.stdout).trim(), bare.join("git")).unwrap();
    crew.set("PATH", bare);
    let said = crew.refused(&spawn(&["--issue", "12"]), 1);
    assert!(said.contains("gh, which is not installed") && said.contains("https://cli.github.com"), "{said}");
    assert!(crew.daemon_pid().is_none(), "nothing was begun, not even a daemon");
}
