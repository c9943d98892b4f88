//! goose, written from its documentation and never run here.
//!
//! It is held a turn at a time (`goose run`), under a session name of ours. What it may do is a variable of its
//! environment, and its instructions are a file, so that any prompt is safe.

use oarlock_core::session::fact::{Hold, Permissions, Showing};

use crate::drive::Driver;
use crate::launch::{Launch, Plan};
use crate::screen::{Answer, Guard, Keys, Screen, Typing};
use crate::streams;
use crate::turns::{Turns, Way};
use crate::{Agent, Asked};

/// Its prompt.
const PROMPT: &str = r"^\( O\)> ";
/// What a question about a tool says.
const ASKS: &str = "do you allow";

/// goose.
pub struct Goose;

impl Agent for Goose {
    fn name(&self) -> &'static str {
        "goose"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["goose"]
    }

    fn places(&self) -> &'static [&'static str] {
        &["~/.local/bin"]
    }

    fn install_hint(&self) -> &'static str {
        "https://block.github.io/goose/docs/getting-started/installation"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Protocol, Hold::Terminal]
    }

    fn env(&self) -> &'static [&'static str] {
        crate::aider::PROVIDERS
    }

    fn login(&self) -> &'static [&'static str] {
        &["~/.config/goose/config.yaml", "$GOOSE_PROVIDER"]
    }

    fn cannot(&self, hold: Hold) -> &'static [Asked] {
        match hold {
            // A session of its own interface takes neither.
            Hold::Terminal => &[Asked::AcceptEdits, Asked::Model, Asked::Rules],
            _ => &[Asked::AcceptEdits],
        }
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        let mut argv = vec![launch.program.to_owned(), "session".into(), "--name".into()];
        argv.push(launch.conversation.unwrap_or(launch.new_conversation).into());
        argv.extend(launch.conversation.map(|_| "--resume".into()));
        argv.extend(launch.args.iter().cloned());
        Plan { argv, env: mode(launch), first_message: launch.prompt_argument(), ..Plan::default() }
    }

    fn driver(&self, launch: &Launch<'_>) -> Option<Box<dyn Driver>> {
        let way =
            Way { plan: turn, reader: || Box::<streams::goose::Goose>::default(), is_named_by_us: true };
        Some(Box::new(Turns::new(launch, way)))
    }

    fn screen(&self, screen: &Screen<'_>) -> Option<Showing> {
        let rows = screen.bottom(6);
        if let Some(asks) = rows.iter().find(|row| row.contains(ASKS)) {
            return Some(Showing::Dialog(asks.trim().to_owned()));
        }
        let last = rows.last()?;
        last.starts_with("( O)>").then_some(Showing::Prompt)
    }

    fn typing(&self) -> Typing {
        let ready = Guard { shows: vec![PROMPT.into()], hides: vec![ASKS.into()], rows: 1 };
        Typing { ready, steer: None, interrupt: "\u{3}", clear: "\u{15}" }
    }

    fn answer(&self, answer: &Answer) -> Option<Keys> {
        let guard = Guard { shows: vec![ASKS.into()], hides: vec![], rows: 6 };
        // The first of the list is marked.
        match answer {
            Answer::Allow => Some(Keys { guard, keys: "\r".into(), then_say: None }),
            Answer::AllowAlways | Answer::Deny(_) | Answer::Words(_) => None,
        }
    }
}

fn turn(launch: &Launch<'_>) -> Plan {
    let mut argv: Vec<String> =
        [launch.program, "run", "--quiet", "--output-format", "stream-json", "--name"].map(Into::into).into();
    argv.push(launch.conversation.unwrap_or(launch.new_conversation).into());
    argv.extend(launch.conversation.map(|_| "--resume".into()));
    argv.extend(launch.model.map(|model| format!("--model={model}")));
    if !launch.rules.is_empty() {
        argv.push(format!("--system={}", launch.rules));
    }
    argv.extend(launch.args.iter().cloned());
    argv.extend(["--instructions".into(), launch.prompt_file.into()]);
    Plan { argv, env: mode(launch), ..Plan::default() }
}

fn mode(launch: &Launch<'_>) -> Vec<(String, String)> {
    let mode = match launch.permissions {
        Permissions::Default | Permissions::AcceptEdits => return Vec::new(),
        Permissions::Auto => "smart_approve",
        Permissions::Bypass => "auto",
    };
    vec![("GOOSE_MODE".into(), mode.into())]
}
