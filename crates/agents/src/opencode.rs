//! opencode. Held over ACP, or in a terminal with a plugin of ours that calls the hooks.
//!
//! What it is given for a run (the plugin, standing rules, what needs no permission) goes through the variable
//! `OPENCODE_CONFIG_CONTENT`, which it merges over the user's own configuration. One that the user has set is replaced for the
//! run: the files it reads are the place for what shall stay.

mod hooks;
mod screen;

use oarlock_core::session::fact::{Hold, Permissions, Showing};
use serde_json::json;

use crate::acp::{Acp, Quirks, UsageFrom};
use crate::drive::Driver;
use crate::launch::{Launch, Place, Plan, Plant, Version, What};
use crate::screen::{Answer, Keys, Screen, Typing};
use crate::{Agent, Hooked};

/// opencode.
pub struct Opencode;

const QUIRKS: Quirks = Quirks {
    title: "opencode",
    // What needs no permission is in its configuration; its modes are kinds of agents.
    mode: |_, _| None,
    setting: |_| None,
    model_setting: None,
    logins: &[],
    // The answer to a prompt counts the last call only, so the plugin tells of each.
    usage: UsageFrom::Elsewhere,
    errors_begin: &[],
    silence_is_an_error: false,
    limits_by_hook: false,
    log: None,
    rules_in_prompt: false,
};

/// Where the plugin is, in the run's folder.
const PLUGIN: &str = "opencode/oarlock.js";
/// Where the rules are, in the run's folder.
const RULES: &str = "opencode/rules.md";

impl Agent for Opencode {
    fn name(&self) -> &'static str {
        "opencode"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["opencode"]
    }

    fn places(&self) -> &'static [&'static str] {
        &["~/.opencode/bin", "~/.local/bin", "/usr/local/bin", "/opt/homebrew/bin"]
    }

    fn install_hint(&self) -> &'static str {
        "npm install -g opencode-ai"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Acp, Hold::Terminal]
    }

    fn tried(&self) -> Option<(Version, Version)> {
        Some((Version(1, 18, 33), Version(1, 18, 33)))
    }

    fn env(&self) -> &'static [&'static str] {
        &[
            "OPENCODE_*",
            "ANTHROPIC_*",
            "OPENAI_*",
            "GEMINI_API_KEY",
            "GOOGLE_*",
            "OPENROUTER_API_KEY",
            "GROQ_API_KEY",
        ]
    }

    fn login(&self) -> &'static [&'static str] {
        &["~/.local/share/opencode/auth.json", "$ANTHROPIC_API_KEY", "$OPENAI_API_KEY", "$OPENROUTER_API_KEY"]
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        let mut argv = vec![launch.program.to_owned()];
        if let Some(model) = launch.model {
            argv.extend(["--model".into(), model.into()]);
        }
        if let Some(conversation) = launch.conversation {
            argv.extend(["--session".into(), conversation.into()]);
        }
        argv.extend(launch.args.iter().cloned());
        let mut first_message = launch.prompt_argument();
        if launch.conversation.is_none()
            && let Some(prompt) = first_message.take()
        {
            // In one word, so that a prompt may begin with `-`. In a conversation that goes on it is not heard (seen in 1.18.33).
            argv.push(format!("--prompt={prompt}"));
        }
        Plan { first_message, ..plan(launch, argv, hooks::ALL) }
    }

    fn driver(&self, launch: &Launch<'_>) -> Option<Box<dyn Driver>> {
        let mut argv = vec![launch.program.to_owned(), "acp".into()];
        argv.extend(launch.args.iter().cloned());
        Some(Box::new(Acp::new(&QUIRKS, launch, plan(launch, argv, hooks::BESIDE))))
    }

    fn hooks(&self) -> &'static [&'static str] {
        hooks::ALL
    }

    fn hook(&self, event: &str, payload: &[u8]) -> Hooked {
        hooks::read(event, payload)
    }

    fn screen(&self, screen: &Screen<'_>) -> Option<Showing> {
        screen::read(screen)
    }

    fn typing(&self) -> Typing {
        screen::typing()
    }

    fn answer(&self, answer: &Answer) -> Option<Keys> {
        screen::answer(answer)
    }
}

/// Returns the plan for an argv, with what the run is configured by; the plugin tells of `events`.
fn plan(launch: &Launch<'_>, argv: Vec<String>, events: &[&str]) -> Plan {
    let mut files = vec![Plant {
        place: Place::Run(PLUGIN.into()),
        what: What::Text(hooks::plugin(launch.oarlock, events)),
    }];
    let mut config = json!({
        "autoupdate": false,
        "plugin": [file_url(&format!("{}/{PLUGIN}", launch.folder))],
    });
    match launch.permissions {
        Permissions::Default => {}
        Permissions::AcceptEdits => config["permission"] = json!({"edit": "allow"}),
        // It judges nothing itself: what can be undone in the workspace is allowed, and what leaves it is asked for.
        Permissions::Auto => config["permission"] = json!({"edit": "allow", "bash": "allow"}),
        Permissions::Bypass => config["permission"] = json!("allow"),
    }
    if let Some(model) = launch.model {
        config["model"] = json!(model);
    }
    if !launch.rules.is_empty() {
        files.push(Plant { place: Place::Run(RULES.into()), what: What::Text(launch.rules.into()) });
        config["instructions"] = json!([format!("{}/{RULES}", launch.folder)]);
    }
    Plan { argv, env: vec![("OPENCODE_CONFIG_CONTENT".into(), config.to_string())], files, ..Plan::default() }
}

/// Returns the address of a file as it may stand in a configuration.
fn file_url(path: &str) -> String {
    let mut url = String::from("file://");
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}
