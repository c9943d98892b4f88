//! What Qwen Code's hooks are given, and the settings that call them. The request for a permission comes before the call has
//! an id, so all of them go by what the call does.

use oarlock_core::session::fact::{Observation, TurnEnd};
use oarlock_core::text;
use serde_json::json;

use crate::launch::{Launch, Place, Plant, What};
use crate::lenient::word;
use crate::payload::Payload;
use crate::{Hooked, ID_CHARS_MAX, NOTE_CHARS_MAX, trouble};

/// The events asked for.
pub const ALL: &[&str] = &[
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "PostToolUseFailure",
    "Stop",
    "StopFailure",
    "SessionEnd",
];

/// How long it waits for a hook, in milliseconds (elsewhere these are seconds): ours takes a few.
const HOOK_MS_MAX: u64 = 10_000;
/// Where the settings are, in the run's folder.
const SETTINGS: &str = "qwen/settings.json";

/// Returns the settings that call the hooks, and the variable that names them.
pub fn settings(launch: &Launch<'_>) -> (Plant, (String, String)) {
    let mut hooks = serde_json::Map::new();
    for event in ALL {
        let hook = json!({
            "type": "command",
            "name": format!("oarlock-{event}"),
            "command": launch.hook_command("qwen", event),
            "timeout": HOOK_MS_MAX,
        });
        hooks.insert((*event).into(), json!([{"matcher": "*", "hooks": [hook]}]));
    }
    let settings = json!({"hooks": hooks, "general": {"enableAutoUpdate": false}});
    let file = Plant { place: Place::Run(SETTINGS.into()), what: What::Text(settings.to_string()) };
    (file, ("QWEN_CODE_SYSTEM_DEFAULTS_PATH".into(), format!("{}/{SETTINGS}", launch.folder)))
}

/// Reads what a hook is given.
pub fn read(event: &str, payload: &[u8]) -> Hooked {
    let Ok(payload) = serde_json::from_slice::<Payload<'_>>(payload) else { return Hooked::default() };
    // A helper's calls are of its own turn; its dialogs are put to the person all the same.
    let is_helpers = payload.agent_id.is_some();
    let call = payload.call();
    let what = || call.what(word(payload.cwd.as_ref()));
    let one = match event {
        "SessionStart" => payload.started(),
        // It is called again, with no prompt, for each answer of the model's tools.
        "UserPromptSubmit" if word(payload.prompt.as_ref()).is_empty() => return Hooked::default(),
        "UserPromptSubmit" => Observation::TurnStarted,
        "PreToolUse" if call.name == "ask_user_question" => {
            Observation::QuestionAsked { what: payload.questions() }
        }
        "PostToolUse" | "PostToolUseFailure" if call.name == "ask_user_question" => {
            Observation::PermissionResolved
        }
        "PreToolUse" => Observation::ToolStarted {
            id: call.fingerprint(),
            name: text::line(call.name, ID_CHARS_MAX),
            what: what(),
        },
        "PermissionRequest" if call.name == "ask_user_question" => {
            Observation::QuestionAsked { what: payload.questions() }
        }
        "PermissionRequest" => Observation::PermissionAsked { what: what(), ask: Some(call.fingerprint()) },
        "PostToolUse" => Observation::ToolEnded { id: call.fingerprint(), ok: true },
        "PostToolUseFailure" => Observation::ToolEnded { id: call.fingerprint(), ok: false },
        "Stop" | "StopFailure" if is_helpers => return Hooked::default(),
        "Stop" => Observation::TurnEnded(TurnEnd::Ok),
        "StopFailure" => {
            let words = payload.error.map_or("", |error| error.get());
            Observation::TurnEnded(TurnEnd::Error(trouble::class(words).into()))
        }
        // The conversation is cleared or another is taken up; the program goes on.
        "SessionEnd" if matches!(word(payload.reason.as_ref()), "clear" | "resume") => {
            return Hooked::default();
        }
        "SessionEnd" => Observation::Gone { why: text::line(word(payload.reason.as_ref()), NOTE_CHARS_MAX) },
        _ => return Hooked::default(),
    };
    Hooked::one(one)
}
