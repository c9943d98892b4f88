//! Gemini CLI. Held over ACP, or in a terminal with hooks.
//!
//! Its hooks are read from settings: those of the system only when root owns them and every folder above, those of the user,
//! and those of the workspace once it is trusted. The workspace's are for this workspace alone, so they are used; the variable
//! `GEMINI_CLI_TRUST_WORKSPACE` trusts it for the run, where `--skip-trust` comes too late for settings (seen in 0.61.0).

mod hooks;
mod screen;

use oarlock_core::session::fact::{Hold, Permissions, Showing};

use crate::acp::{Acp, Log, Quirks, Said, UsageFrom};
use crate::drive::Driver;
use crate::launch::{Launch, Plan, Version};
use crate::screen::{Answer, Keys, Screen, Typing};
use crate::{Agent, Hooked, trouble};

/// Gemini CLI.
pub struct Gemini;

const QUIRKS: Quirks = Quirks {
    title: "Gemini CLI",
    // The mode is on its command line.
    mode: |_, _| None,
    setting: |_| None,
    model_setting: None,
    // It logs in with what its settings say; these ask nobody when the variables are there.
    logins: &["gemini-api-key", "vertex-ai"],
    usage: UsageFrom::QuotaOfTurn,
    errors_begin: &[],
    silence_is_an_error: false,
    limits_by_hook: false,
    log: Some(Log { entry: log_entry }),
    rules_in_prompt: true,
};

impl Agent for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn title(&self) -> &'static str {
        "Gemini CLI"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["gemini"]
    }

    fn places(&self) -> &'static [&'static str] {
        &["~/.local/bin", "/usr/local/bin", "/opt/homebrew/bin"]
    }

    fn install_hint(&self) -> &'static str {
        "npm install -g @google/gemini-cli"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Acp, Hold::Terminal]
    }

    fn tried(&self) -> Option<(Version, Version)> {
        Some((Version(0, 61, 0), Version(0, 61, 0)))
    }

    fn env(&self) -> &'static [&'static str] {
        &["GEMINI_*", "GOOGLE_*"]
    }

    fn login(&self) -> &'static [&'static str] {
        &[
            "~/.gemini/oauth_creds.json",
            "$GEMINI_API_KEY",
            "$GOOGLE_API_KEY",
            "$GOOGLE_APPLICATION_CREDENTIALS",
        ]
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        let mut argv = vec![launch.program.to_owned()];
        match launch.conversation {
            Some(conversation) => argv.push(format!("--resume={conversation}")),
            None => argv.push(format!("--session-id={}", launch.new_conversation)),
        }
        argv.extend(common(launch));
        argv.extend(launch.args.iter().cloned());
        let prompt = match launch.conversation {
            Some(_) => launch.prompt_argument(),
            None => launch.prompt_with_rules(),
        };
        if let Some(prompt) = prompt {
            argv.push(format!("--prompt-interactive={prompt}"));
        }
        Plan { argv, env: env(), files: vec![hooks::settings(launch)], ..Plan::default() }
    }

    fn driver(&self, launch: &Launch<'_>) -> Option<Box<dyn Driver>> {
        let mut argv = vec![launch.program.to_owned(), "--acp".into()];
        argv.extend(common(launch));
        argv.extend(launch.args.iter().cloned());
        let mut env = env();
        // It asks a provider that refused it again without a word by its protocol. Its log, which it writes nowhere of
        // itself, says so at once (seen in 0.61.0); the bridge reads it and keeps none of it.
        env.push(("GEMINI_DEBUG_LOG_FILE".into(), "/dev/stderr".into()));
        Some(Box::new(Acp::new(&QUIRKS, launch, Plan { argv, env, ..Plan::default() })))
    }

    fn hooks(&self) -> &'static [&'static str] {
        hooks::ALL
    }

    fn hook(&self, event: &str, payload: &[u8]) -> Hooked {
        hooks::read(event, payload)
    }

    fn transcript_line(&self, line: &[u8]) -> Hooked {
        hooks::read_line(line)
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
    let mut argv = vec!["--skip-trust".to_owned()];
    if let Some(model) = launch.model {
        argv.push(format!("--model={model}"));
    }
    match launch.permissions {
        Permissions::Default => {}
        // It judges nothing itself.
        Permissions::AcceptEdits | Permissions::Auto => argv.push("--approval-mode=auto_edit".into()),
        Permissions::Bypass => argv.push("--approval-mode=yolo".into()),
    }
    argv
}

fn env() -> Vec<(String, String)> {
    [
        ("GEMINI_CLI_TRUST_WORKSPACE", "true"),
        // It would start itself again as a child that outlives it.
        ("GEMINI_CLI_NO_RELAUNCH", "true"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into()
}

/// Reads the head of an entry of its log: `[2026-11-25T20:51:59.740Z] [WARN] Attempt 3 failed with status 429. Retrying …`.
/// An error's words may have more lines.
fn log_entry(line: &str) -> Option<Said> {
    if line.contains("Retrying after ") && line.ends_with("ms...") && !line.starts_with('[') {
        return Some(Said::Other);
    }
    let (time, rest) = line.strip_prefix('[')?.split_once("] [")?;
    let (level, words) = rest.split_once("] ")?;
    if !time.ends_with('Z') || !matches!(level, "LOG" | "DEBUG" | "WARN" | "ERROR") {
        return None;
    }
    let refused = level == "WARN" && words.starts_with("Attempt ") && words.contains(" failed");
    Some(if refused && trouble::class(words) == "rate_limit" { Said::Limited } else { Said::Other })
}
