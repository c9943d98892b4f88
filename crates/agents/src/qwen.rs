//! Qwen Code. Held over ACP, or in a terminal with hooks.
//!
//! Its hooks come from settings of the run's own, named by `QWEN_CODE_SYSTEM_DEFAULTS_PATH`: they are merged under the user's,
//! whose own hooks are called as well, and nobody's settings are replaced but defaults of the machine (seen in 0.24.4).

mod hooks;
mod screen;

use oarlock_core::session::fact::{Hold, Permissions, Showing};

use crate::acp::{Acp, Log, Quirks, Said, UsageFrom};
use crate::drive::Driver;
use crate::launch::{Launch, Plan, Version};
use crate::screen::{Answer, Keys, Screen, Typing};
use crate::{Agent, Hooked};

/// Qwen Code.
pub struct Qwen;

const QUIRKS: Quirks = Quirks {
    title: "Qwen Code",
    // The mode is on its command line.
    mode: |_, _| None,
    setting: |_| None,
    model_setting: None,
    logins: &["openai"],
    usage: UsageFrom::ChunksOfCall,
    errors_begin: &["[API Error: "],
    silence_is_an_error: false,
    limits_by_hook: false,
    log: Some(Log { entry: log_entry }),
    rules_in_prompt: false,
};

impl Agent for Qwen {
    fn name(&self) -> &'static str {
        "qwen"
    }

    fn title(&self) -> &'static str {
        "Qwen Code"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["qwen"]
    }

    fn places(&self) -> &'static [&'static str] {
        &["~/.local/bin", "/usr/local/bin", "/opt/homebrew/bin"]
    }

    fn install_hint(&self) -> &'static str {
        "npm install -g @qwen-code/qwen-code"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Acp, Hold::Terminal]
    }

    fn tried(&self) -> Option<(Version, Version)> {
        Some((Version(0, 24, 4), Version(0, 24, 4)))
    }

    fn env(&self) -> &'static [&'static str] {
        &["QWEN_*", "OPENAI_*", "DASHSCOPE_*", "ANTHROPIC_*", "GEMINI_API_KEY", "GOOGLE_API_KEY"]
    }

    fn login(&self) -> &'static [&'static str] {
        &["~/.qwen/oauth_creds.json", "~/.qwen/settings.json", "$OPENAI_API_KEY", "$DASHSCOPE_API_KEY"]
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        let mut argv = vec![launch.program.to_owned()];
        match launch.conversation {
            Some(conversation) => argv.push(format!("--resume={conversation}")),
            None => argv.push(format!("--session-id={}", launch.new_conversation)),
        }
        argv.extend(common(launch));
        argv.extend(launch.args.iter().cloned());
        if let Some(prompt) = launch.prompt_argument() {
            argv.push(format!("--prompt-interactive={prompt}"));
        }
        let (file, variable) = hooks::settings(launch);
        Plan { argv, env: vec![variable], files: vec![file], ..Plan::default() }
    }

    fn driver(&self, launch: &Launch<'_>) -> Option<Box<dyn Driver>> {
        let mut argv = vec![launch.program.to_owned(), "--acp".into()];
        argv.extend(common(launch));
        argv.extend(launch.args.iter().cloned());
        // A provider that refused it is asked again four times before anything is said of it by its protocol. What it asks
        // with logs each of them when told to, by status and without what was said (seen in 0.24.4).
        let env = vec![("OPENAI_LOG".into(), "info".into())];
        Some(Box::new(Acp::new(&QUIRKS, launch, Plan { argv, env, ..Plan::default() })))
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

/// Returns the arguments that both holds take.
fn common(launch: &Launch<'_>) -> Vec<String> {
    let mut argv = Vec::new();
    if let Some(model) = launch.model {
        argv.push(format!("--model={model}"));
    }
    match launch.permissions {
        Permissions::Default => {}
        Permissions::AcceptEdits => argv.push("--approval-mode=auto-edit".into()),
        Permissions::Auto => argv.push("--approval-mode=auto".into()),
        Permissions::Bypass => argv.push("--approval-mode=yolo".into()),
    }
    if !launch.rules.is_empty() {
        argv.push(format!("--append-system-prompt={}", launch.rules));
    }
    argv
}

/// Reads a line of the log of what it asks a provider with: `[log_2a90ee] post http://… failed with status 429 in 28ms - …`.
fn log_entry(line: &str) -> Option<Said> {
    let words = line.strip_prefix("[log_")?;
    Some(if words.contains(" failed with status 429 ") {
        Said::Limited
    } else if words.contains(" succeeded with status ") {
        Said::Answered
    } else {
        Said::Other
    })
}
