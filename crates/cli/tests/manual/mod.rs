//! Reads a page, plays its transcripts in a world of its own, and compares what is shown with what is printed.
//!
//! A block fenced as `console` is played: `$ ` begins a command line, `> ` goes on with it, the rest is what it prints.
//! Between blocks stand directives that readers do not see:
//! `<!-- wait: NAME WORD -->` waits until a session has a status or an outcome; `+N` and `~N` after it are the commits
//! ahead and the uncommitted paths, `gone` that its workspace is away. `<!-- until: COMMAND => WORDS -->` waits until what a
//! command prints holds some words.

mod compare;
mod shell;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::harness::{Crew, PATIENCE, until, wait};
use shell::Shell;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli")
}

/// Returns the names of the pages, without the index.
pub fn pages() -> BTreeSet<String> {
    let entries =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = entries.filter_map(|name| name.strip_suffix(".md").map(str::to_owned));
    names.filter(|name| name != "README").collect()
}

/// Returns a page's text.
pub fn read(page: &str) -> String {
    fs::read_to_string(folder().join(format!("{page}.md"))).unwrap()
}

/// Plays a page; the test fails when it shows something else than what is printed.
pub fn play(page: &str) {
    let shown = read(page);
    let crew = Crew::new();
    let mut player =
        Player { shell: Shell::new(&crew), crew: &crew, played: Vec::new(), differences: Vec::new() };
    player.page(&shown);
    let (played, differences) = (player.played, player.differences);
    let mut text = played.join("\n");
    text.push('\n');
    if std::env::var_os("OARLOCK_UPDATE").is_some() && text != shown {
        fs::write(folder().join(format!("{page}.md")), text).unwrap();
    } else {
        assert!(differences.is_empty(), "{page}.md shows something else\n{}", differences.join("\n"));
    }
    end(&crew);
}

/// Ends by id what the page left running, as a person would.
fn end(crew: &Crew) {
    if crew.daemon_pid().is_none() {
        return;
    }
    for session in crew.json(&["ls", "--all"]).as_array().unwrap() {
        let id = session["id"].as_str().unwrap();
        let detail = crew.json(&["show", id]);
        let live = detail["runs"].as_array().unwrap().iter().any(|run| run["exit"].is_null());
        if live {
            // It may end by itself meanwhile; the world's end sees to what is left.
            drop(crew.run(&["kill", id]));
        }
    }
    crew.ok(&["stop"]);
}

struct Player<'a> {
    crew: &'a Crew,
    shell: Shell<'a>,
    played: Vec<String>,
    differences: Vec<String>,
}

impl Player<'_> {
    fn page(&mut self, text: &str) {
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            self.played.push(line.into());
            if let Some(directive) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) {
                self.directive(directive);
            } else if line == "```console" {
                let mut block = Vec::new();
                while let Some(line) = lines.next_if(|line| *line != "```") {
                    block.push(line);
                }
                self.block(&block);
            }
        }
    }

    /// Plays the commands of a block, each with the lines shown under it.
    fn block(&mut self, block: &[&str]) {
        let mut rest = block;
        while let [first, others @ ..] = rest {
            let first = first.strip_prefix("$ ").unwrap_or_else(|| panic!("{first:?} belongs to no command"));
            let more = others.iter().take_while(|line| line.starts_with("> ")).count();
            let shown = others[more..].iter().take_while(|line| !line.starts_with("$ ")).count();
            let command: Vec<&str> =
                [first].into_iter().chain(others[..more].iter().map(|line| &line[2..])).collect();
            self.command(&command, &others[more..more + shown]);
            rest = &others[more + shown..];
        }
    }

    fn command(&mut self, command: &[&str], shown: &[&str]) {
        let printed = self.shell.run(&command.join("\n"));
        let printed: Vec<&str> = printed.lines().collect();
        for (at, line) in command.iter().enumerate() {
            self.played.push(format!("{} {line}", if at == 0 { "$" } else { ">" }));
        }
        if compare::lines_match(shown, &printed) {
            self.played.extend(shown.iter().map(|line| (*line).to_owned()));
            return;
        }
        self.differences.push(format!(
            "$ {}\nshown:\n{}\nprinted:\n{}\n",
            command.join("\n> "),
            shown.join("\n"),
            printed.join("\n")
        ));
        let known = compare::Known { root: self.crew.root.to_str().unwrap().into(), ids: self.ids() };
        self.played.extend(compare::settle(shown, &printed, &known));
    }

    /// Returns the ids of all sessions, to know them in what is printed.
    fn ids(&self) -> Vec<String> {
        if self.crew.daemon_pid().is_none() {
            return Vec::new();
        }
        let all = self.crew.json(&["ls", "--all"]);
        all.as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
    }

    fn directive(&mut self, directive: &str) {
        match directive.split_once(": ") {
            Some(("wait", state)) => self.wait(state),
            Some(("until", look)) => {
                let (command, words) = look.split_once(" => ").expect("a command and the words it prints");
                until(look, || self.shell.run(command).contains(words).then_some(()));
            }
            _ => panic!("{directive:?} is no directive"),
        }
    }

    fn wait(&self, wanted: &str) {
        let mut words = wanted.split_whitespace();
        let (Some(name), Some(word)) = (words.next(), words.next()) else {
            panic!("{wanted:?} names no session and no word")
        };
        let rest: Vec<&str> = words.collect();
        let mut seen = serde_json::Value::Null;
        let found = wait(PATIENCE, || {
            seen = self.crew.session(name);
            let holds = |word: &str| match word.split_at(1) {
                ("+", ahead) => seen["ahead"].as_u64() == ahead.parse().ok(),
                ("~", dirty) => seen["dirty"].as_u64() == dirty.parse().ok(),
                _ if word == "gone" => seen["workspace"].is_null(),
                _ => seen["status"] == word || seen["outcome"] == word,
            };
            (holds(word) && rest.iter().all(|word| holds(word))).then_some(())
        });
        assert!(found.is_some(), "waited for {wanted}, and it stays {seen}");
    }
}
