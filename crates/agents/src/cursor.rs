//! Cursor's agent (`cursor-agent`), written from its documentation and never run here.
//!
//! Its hooks are a file of the workspace. None of them tells of a permission dialog (`beforeShellExecution` comes before
//! commands that need none, too), so that the dialog is seen on its screen. Rules are a file as well: it has no flag for them.

use oarlock_core::session::fact::{Hold, Observation, Permissions, Showing, TurnEnd};
use oarlock_core::text;
use serde::Deserialize;

use crate::drive::Driver;
use crate::launch::{Edit, Launch, Place, Plan, Plant, Put, What};
use crate::screen::{Answer, Guard, Keys, Screen, Typing};
use crate::streams::loose::{Flag, Object, Text};
use crate::streams::{self, Input, fault, what};
use crate::turns::{Turns, Way};
use crate::{Agent, Asked, Hooked, ID_CHARS_MAX, NOTE_CHARS_MAX};

const EVENTS: &[&str] = &[
    "sessionStart",
    "beforeSubmitPrompt",
    "preToolUse",
    "postToolUse",
    "postToolUseFailure",
    "stop",
    "sessionEnd",
];

/// Its prompt, waiting for words.
const PROMPT: &str = "→ (Plan, search|Add a follow-up)";
/// What it shows during a turn.
const BUSY: &str = r"ctrl\+c to stop";
/// A choice of a dialog, with its key.
const CHOICE: &str = r"→ .*\(y\)|\(esc or p\)";

/// Cursor.
pub struct Cursor;

impl Agent for Cursor {
    fn name(&self) -> &'static str {
        "cursor"
    }

    fn title(&self) -> &'static str {
        "Cursor"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["cursor-agent"]
    }

    fn places(&self) -> &'static [&'static str] {
        &["~/.local/bin"]
    }

    fn install_hint(&self) -> &'static str {
        "curl https://cursor.com/install -fsS | bash"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Protocol, Hold::Terminal]
    }

    fn env(&self) -> &'static [&'static str] {
        &["CURSOR_*"]
    }

    fn login(&self) -> &'static [&'static str] {
        &["~/.config/cursor/auth.json", "$CURSOR_API_KEY"]
    }

    /// Between asking and not asking there is only its own list of allowed commands.
    fn cannot(&self, _hold: Hold) -> &'static [Asked] {
        &[Asked::AcceptEdits, Asked::Auto]
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        let mut argv = vec![launch.program.to_owned()];
        argv.extend(flags(launch));
        if let Some(prompt) = launch.prompt_argument() {
            argv.extend(["--".into(), prompt]);
        }
        let mut files = rules(launch);
        let hook = |event: &&str| Edit {
            path: vec!["hooks".into(), (*event).into()],
            value: serde_json::json!({"command": launch.hook_command("cursor", event)}),
            put: Put::Append,
        };
        let version = Edit { path: vec!["version".into()], value: serde_json::json!(1), put: Put::Default };
        let edits = std::iter::once(version).chain(EVENTS.iter().map(hook)).collect();
        files.push(Plant { place: Place::Workspace(".cursor/hooks.json".into()), what: What::Json(edits) });
        Plan { argv, files, ..Plan::default() }
    }

    fn driver(&self, launch: &Launch<'_>) -> Option<Box<dyn Driver>> {
        let way =
            Way { plan: turn, reader: || Box::<streams::cursor::Cursor>::default(), is_named_by_us: false };
        Some(Box::new(Turns::new(launch, way)))
    }

    fn hooks(&self) -> &'static [&'static str] {
        EVENTS
    }

    fn hook(&self, event: &str, payload: &[u8]) -> Hooked {
        let Ok(payload) = serde_json::from_slice::<Payload<'_>>(payload) else { return Hooked::default() };
        payload.read(event)
    }

    fn screen(&self, screen: &Screen<'_>) -> Option<Showing> {
        let rows = screen.bottom(12);
        let has = |words: &str| rows.iter().any(|row| row.contains(words));
        if has("(y)") && has("(esc") {
            let asks = rows.iter().find(|row| row.trim_end().ends_with('?'));
            let asks = asks.map_or("Run this command?", |row| row.trim_matches([' ', '│']));
            return Some(Showing::Dialog(text::line(asks, NOTE_CHARS_MAX)));
        }
        if has("ctrl+c to stop") {
            return Some(Showing::Busy);
        }
        (has("→ Plan, search") || has("→ Add a follow-up")).then_some(Showing::Prompt)
    }

    fn typing(&self) -> Typing {
        let ready = Guard { shows: vec![PROMPT.into()], hides: vec![BUSY.into(), CHOICE.into()], rows: 12 };
        Typing { ready, steer: None, interrupt: "\u{3}", clear: "\u{15}" }
    }

    fn answer(&self, answer: &Answer) -> Option<Keys> {
        let guard = Guard { shows: vec![CHOICE.into()], hides: vec![], rows: 12 };
        let keys = |keys: &str, then_say| Some(Keys { guard, keys: keys.into(), then_say });
        match answer {
            Answer::Allow => keys("y", None),
            Answer::Deny(why) => keys("\u{1b}", Some(why.clone()).filter(|why| !why.is_empty())),
            Answer::AllowAlways | Answer::Words(_) => None,
        }
    }
}

fn flags(launch: &Launch<'_>) -> Vec<String> {
    let mut flags = Vec::new();
    flags.extend(launch.model.map(|model| format!("--model={model}")));
    if launch.permissions == Permissions::Bypass {
        flags.push("--force".into());
    }
    flags.extend(launch.conversation.map(|conversation| format!("--resume={conversation}")));
    flags.extend(launch.args.iter().cloned());
    flags
}

/// Returns the file of standing rules.
fn rules(launch: &Launch<'_>) -> Vec<Plant> {
    if launch.rules.is_empty() {
        return Vec::new();
    }
    vec![Plant {
        place: Place::Workspace(".cursor/rules/oarlock.mdc".into()),
        what: What::Text(format!("---\nalwaysApply: true\n---\n{}\n", launch.rules)),
    }]
}

fn turn(launch: &Launch<'_>) -> Plan {
    let mut argv: Vec<String> =
        [launch.program, "-p", "--output-format", "stream-json", "--trust"].map(Into::into).into();
    argv.extend(flags(launch));
    if let Some(prompt) = launch.prompt_argument() {
        argv.extend(["--".into(), prompt]);
    }
    Plan { argv, files: rules(launch), ..Plan::default() }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Payload<'a> {
    #[serde(borrow)]
    conversation_id: Text<'a>,
    #[serde(borrow)]
    session_id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    cursor_version: Text<'a>,
    is_background_agent: Flag,
    #[serde(borrow)]
    tool_name: Text<'a>,
    #[serde(borrow)]
    tool_input: Object<Input<'a>>,
    #[serde(borrow)]
    tool_use_id: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    error_message: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
}

impl Payload<'_> {
    fn read(&self, event: &str) -> Hooked {
        if self.is_background_agent.0 {
            return Hooked::default();
        }
        let what = what(&self.tool_name, &self.tool_input);
        let id = if self.tool_use_id.is_empty() { &*what } else { &*self.tool_use_id };
        let id = text::line(id, ID_CHARS_MAX);
        Hooked::one(match event {
            "sessionStart" => Observation::Started {
                conversation: self.conversation_id.some().or_else(|| self.session_id.some()),
                model: self.model.some(),
                version: self.cursor_version.some(),
            },
            "beforeSubmitPrompt" => Observation::TurnStarted,
            "preToolUse" if !self.tool_name.is_empty() => {
                Observation::ToolStarted { id, name: self.tool_name.some().unwrap_or_default(), what }
            }
            "postToolUse" if !self.tool_name.is_empty() => Observation::ToolEnded { id, ok: true },
            "postToolUseFailure" if !self.tool_name.is_empty() => Observation::ToolEnded { id, ok: false },
            "stop" => Observation::TurnEnded(match &*self.status {
                "aborted" => TurnEnd::Interrupted,
                "error" => TurnEnd::Error(fault::class(None, &self.error_message).into()),
                "completed" => TurnEnd::Ok,
                _ => TurnEnd::Unknown,
            }),
            "sessionEnd" => Observation::Gone { why: text::line(&self.reason, NOTE_CHARS_MAX) },
            _ => return Hooked::default(),
        })
    }
}
