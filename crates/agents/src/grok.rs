//! Grok, xAI's agent (`grok`), written from its documentation and never run here.
//!
//! Its hooks are a file of ours in the user's own folder: in the workspace they would run only when all of what the
//! repository brings (its tool servers too) is trusted. The file is the same for every run, and outside a run of ours
//! the hook says nothing.

use std::fmt::Write;

use oarlock_core::session::fact::{Hold, Observation, Permissions, TurnEnd};
use oarlock_core::text;
use serde::Deserialize;

use crate::drive::Driver;
use crate::launch::{Launch, Place, Plan, Plant, What};
use crate::screen::{Guard, Typing};
use crate::streams::loose::{Object, Text};
use crate::streams::{self, Input, fault, what};
use crate::turns::{Turns, Way};
use crate::{Agent, Hooked, ID_CHARS_MAX, NOTE_CHARS_MAX};

const EVENTS: &[&str] = &[
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "PermissionDenied",
    "Notification",
    "Stop",
    "StopFailure",
    "SessionEnd",
];
/// Seconds a hook may take: it takes milliseconds.
const HOOK_TIMEOUT_S: u32 = 10;

/// Grok.
pub struct Grok;

impl Agent for Grok {
    fn name(&self) -> &'static str {
        "grok"
    }

    fn title(&self) -> &'static str {
        "Grok"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["grok"]
    }

    fn places(&self) -> &'static [&'static str] {
        &["~/.grok/bin", "~/.local/bin"]
    }

    fn install_hint(&self) -> &'static str {
        "curl -fsSL https://x.ai/cli/install.sh | bash"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Protocol, Hold::Terminal]
    }

    fn env(&self) -> &'static [&'static str] {
        &["GROK_*", "XAI_*"]
    }

    fn login(&self) -> &'static [&'static str] {
        &["~/.grok/auth.json", "$XAI_API_KEY"]
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        let mut argv = common(launch);
        argv.extend(launch.args.iter().cloned());
        let hooks = Plant {
            place: Place::User("~/.grok/hooks/oarlock.json".into()),
            what: What::Text(hooks_file(launch)),
        };
        Plan { argv, files: vec![hooks], first_message: launch.prompt_argument(), ..Plan::default() }
    }

    fn driver(&self, launch: &Launch<'_>) -> Option<Box<dyn Driver>> {
        let way = Way { plan: turn, reader: || Box::<streams::grok::Grok>::default(), is_named_by_us: true };
        Some(Box::new(Turns::new(launch, way)))
    }

    fn hooks(&self) -> &'static [&'static str] {
        EVENTS
    }

    fn hook(&self, event: &str, payload: &[u8]) -> Hooked {
        let Ok(payload) = serde_json::from_slice::<Payload<'_>>(payload) else { return Hooked::default() };
        payload.read(event)
    }

    fn typing(&self) -> Typing {
        // As its pictures show it. Where that is wrong nothing is typed, and a person who attaches can.
        let ready =
            Guard { shows: vec![r"^\s*(│\s*)?❯( |$)".into()], hides: vec![r"\besc\b".into()], rows: 8 };
        Typing { ready, steer: None, interrupt: "\u{1b}", clear: "\u{15}" }
    }
}

/// Returns what every way of running it begins with.
fn common(launch: &Launch<'_>) -> Vec<String> {
    let mut argv = vec![launch.program.to_owned(), "--no-auto-update".into()];
    match launch.conversation {
        Some(conversation) => argv.extend(["--resume".into(), conversation.into()]),
        None => argv.extend(["--session-id".into(), launch.new_conversation.into()]),
    }
    argv.extend(launch.model.map(|model| format!("--model={model}")));
    argv.extend(match launch.permissions {
        Permissions::Default => None,
        Permissions::AcceptEdits => Some("--permission-mode=acceptEdits".to_owned()),
        Permissions::Auto => Some("--permission-mode=auto".to_owned()),
        Permissions::Bypass => Some("--permission-mode=bypassPermissions".to_owned()),
    });
    if !launch.rules.is_empty() {
        argv.push(format!("--rules={}", launch.rules));
    }
    argv
}

fn turn(launch: &Launch<'_>) -> Plan {
    let mut argv = common(launch);
    argv.extend(["--output-format".into(), "streaming-json".into()]);
    argv.extend(launch.args.iter().cloned());
    // From its file any prompt is safe.
    argv.extend(["--prompt-file".into(), launch.prompt_file.into()]);
    Plan { argv, ..Plan::default() }
}

fn hooks_file(launch: &Launch<'_>) -> String {
    let mut hooks = serde_json::Map::new();
    for event in EVENTS {
        let command = launch.hook_command("grok", event);
        let hook = serde_json::json!({"type": "command", "command": command, "timeout": HOOK_TIMEOUT_S});
        hooks.insert((*event).into(), serde_json::json!([{"hooks": [hook]}]));
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:#}", serde_json::json!({"hooks": hooks}));
    text
}

/// What a hook is given, in either of the two ways of writing names.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(borrow, alias = "session_id")]
    session_id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    source: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow, alias = "agent_id", alias = "subagentId")]
    agent_id: Text<'a>,
    #[serde(borrow, alias = "tool_name")]
    tool_name: Text<'a>,
    #[serde(borrow, alias = "tool_input")]
    tool_input: Object<Input<'a>>,
    #[serde(borrow, alias = "tool_use_id", alias = "toolCallId")]
    tool_use_id: Text<'a>,
    #[serde(borrow)]
    error: Text<'a>,
    #[serde(borrow, alias = "notification_type")]
    notification_type: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
}

impl Payload<'_> {
    fn read(&self, event: &str) -> Hooked {
        // A sub-agent's turns are not the agent's.
        let is_sub_agent = !self.agent_id.is_empty();
        let call = || {
            let what = what(&self.tool_name, &self.tool_input);
            let id = if self.tool_use_id.is_empty() { what.clone() } else { self.tool_use_id.to_string() };
            (text::line(&id, ID_CHARS_MAX), what)
        };
        Hooked::one(match event {
            "SessionStart" if matches!(&*self.source, "compact" | "clear") => return Hooked::default(),
            "SessionStart" => Observation::Started {
                conversation: self.session_id.some(),
                model: self.model.some(),
                version: None,
            },
            "UserPromptSubmit" if !is_sub_agent => Observation::TurnStarted,
            "PreToolUse" if !self.tool_name.is_empty() => {
                let (id, what) = call();
                Observation::ToolStarted { id, name: self.tool_name.some().unwrap_or_default(), what }
            }
            "PostToolUse" if !self.tool_name.is_empty() => Observation::ToolEnded { id: call().0, ok: true },
            "PostToolUseFailure" | "PermissionDenied" if !self.tool_name.is_empty() => {
                Observation::ToolEnded { id: call().0, ok: false }
            }
            "Notification" if &*self.notification_type == "permission_prompt" => {
                Observation::PermissionAsked { what: text::line(&self.message, NOTE_CHARS_MAX), ask: None }
            }
            "Stop" if !is_sub_agent => Observation::TurnEnded(TurnEnd::Ok),
            "StopFailure" if !is_sub_agent => {
                Observation::TurnEnded(TurnEnd::Error(fault::class(None, &self.error).into()))
            }
            "SessionEnd" if !matches!(&*self.reason, "clear" | "resume") => {
                Observation::Gone { why: text::line(&self.reason, NOTE_CHARS_MAX) }
            }
            _ => return Hooked::default(),
        })
    }
}
