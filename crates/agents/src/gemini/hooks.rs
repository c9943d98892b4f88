//! What Gemini CLI's hooks are given, and the settings that call them. Payloads do not name the call.
//!
//! The hooks of the model's calls are not asked for: they are given whole conversations, again for each piece of an answer.

use oarlock_core::session::fact::{Observation, TurnEnd};
use oarlock_core::text;
use serde::Deserialize;
use serde_json::json;

use crate::launch::{Edit, Launch, Place, Plant, Put, What};
use crate::lenient::{Text, maybe, word};
use crate::payload::Payload;
use crate::{Hooked, ID_CHARS_MAX, NOTE_CHARS_MAX, trouble};

/// The events asked for.
pub const ALL: &[&str] =
    &["SessionStart", "BeforeAgent", "BeforeTool", "AfterTool", "Notification", "AfterAgent", "SessionEnd"];

/// How long it waits for a hook, in milliseconds: ours takes a few.
const HOOK_MS_MAX: u64 = 10_000;

/// Returns the workspace's settings that call the hooks; what else is in them stays.
pub fn settings(launch: &Launch<'_>) -> Plant {
    let edits = ALL.iter().map(|event| Edit {
        path: vec!["hooks".into(), (*event).into()],
        value: json!({"matcher": "*", "hooks": [{
            "type": "command",
            "name": format!("oarlock-{event}"),
            "command": launch.hook_command("gemini", event),
            "timeout": HOOK_MS_MAX,
        }]}),
        put: Put::Append,
    });
    Plant { place: Place::Workspace(".gemini/settings.json".into()), what: What::Json(edits.collect()) }
}

/// What it says of a turn that was interrupted, that failed, or that needed no words.
const NO_WORDS: &str = "[no response text]";

/// Reads what a hook is given.
pub fn read(event: &str, payload: &[u8]) -> Hooked {
    let Ok(payload) = serde_json::from_slice::<Payload<'_>>(payload) else { return Hooked::default() };
    let path = word(payload.transcript_path.as_ref());
    let transcript = Some(path.to_owned()).filter(|path| !path.is_empty());
    Hooked { transcript, ..told(event, &payload) }
}

#[derive(Debug, Default, Deserialize)]
struct Line<'a> {
    #[serde(borrow, default, rename = "type", deserialize_with = "maybe")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "maybe")]
    content: Option<Text<'a>>,
}

/// Reads a line of its record: a turn that failed, which ends like any other for its hooks.
pub fn read_line(line: &[u8]) -> Hooked {
    let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { return Hooked::default() };
    let words = word(line.content.as_ref());
    if word(line.kind.as_ref()) != "error" || !words.contains("API Error") {
        return Hooked::default();
    }
    Hooked::one(Observation::TurnEnded(TurnEnd::Error(trouble::class(words).into())))
}

fn told(event: &str, payload: &Payload<'_>) -> Hooked {
    let call = payload.call();
    let what = || call.what(word(payload.cwd.as_ref()));
    let one = match event {
        "SessionStart" => payload.started(),
        "BeforeAgent" => Observation::TurnStarted,
        "BeforeTool" if call.name == "ask_user" => Observation::QuestionAsked { what: call.question() },
        "AfterTool" if call.name == "ask_user" => Observation::PermissionResolved,
        "BeforeTool" => Observation::ToolStarted {
            id: call.fingerprint(),
            name: text::line(call.name, ID_CHARS_MAX),
            what: what(),
        },
        "AfterTool" => Observation::ToolEnded { id: call.fingerprint(), ok: !payload.failed() },
        "Notification" => return notified(payload),
        // How it ended, its record and its screen say.
        "AfterAgent" if word(payload.prompt_response.as_ref()) == NO_WORDS => return Hooked::default(),
        "AfterAgent" => Observation::TurnEnded(TurnEnd::Ok),
        // The conversation is cleared or another is taken up; the program goes on.
        "SessionEnd" if matches!(word(payload.reason.as_ref()), "clear" | "resume") => {
            return Hooked::default();
        }
        "SessionEnd" => Observation::Gone { why: text::line(word(payload.reason.as_ref()), NOTE_CHARS_MAX) },
        _ => return Hooked::default(),
    };
    Hooked::one(one)
}

/// Reads a notification: one of a dialog for a tool says which tool, in its own words.
fn notified(payload: &Payload<'_>) -> Hooked {
    if word(payload.notification_type.as_ref()) != "ToolPermission" {
        return Hooked::default();
    }
    let details = payload.details();
    let what =
        text::line(&details.what(word(payload.cwd.as_ref()), word(payload.message.as_ref())), NOTE_CHARS_MAX);
    Hooked::one(Observation::PermissionAsked { what, ask: details.ask() })
}
