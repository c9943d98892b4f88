//! Kimi Code. Held over ACP, or in a terminal by its screen.
//!
//! It has hooks, but reads them from one file only, `config.toml` in its home (seen in 2.1.0). That file is the user's, TOML
//! with comments, and for all sessions; a home of the run's own would be without the user's login. So no hooks are planted:
//! in a terminal its screen is all that is seen, and over ACP it needs none.

mod screen;

use oarlock_core::session::fact::{Hold, Permissions, Showing};

use crate::acp::{Acp, Quirks, UsageFrom};
use crate::drive::Driver;
use crate::launch::{Launch, Plan, Version};
use crate::screen::{Answer, Keys, Screen, Typing};
use crate::{Agent, Asked};

/// Kimi Code.
pub struct Kimi;

const QUIRKS: Quirks = Quirks {
    title: "Kimi Code",
    mode: |permissions, is_resumed| match permissions {
        // A conversation keeps the mode it had, which may have been one that never asks.
        Permissions::Default if is_resumed => Some("default"),
        Permissions::Default => None,
        // As it is, it edits files in the workspace without asking.
        Permissions::AcceptEdits => Some("default"),
        // `yolo` asks for what is risky and `auto` never asks, whatever the modes say of themselves: so says its command line.
        Permissions::Auto => Some("yolo"),
        Permissions::Bypass => Some("auto"),
    },
    setting: |_| None,
    model_setting: Some("model"),
    // Its only one opens a browser.
    logins: &[],
    // It tells the size of the context and nothing of what was used.
    usage: UsageFrom::Elsewhere,
    errors_begin: &[],
    // A provider's refusal ends a turn "well" and without a word.
    silence_is_an_error: true,
    limits_by_hook: false,
    log: None,
    rules_in_prompt: true,
};

impl Agent for Kimi {
    fn name(&self) -> &'static str {
        "kimi"
    }

    fn title(&self) -> &'static str {
        "Kimi Code"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["kimi"]
    }

    fn places(&self) -> &'static [&'static str] {
        &["~/.local/bin", "~/.kimi-code/bin", "/usr/local/bin", "/opt/homebrew/bin"]
    }

    fn install_hint(&self) -> &'static str {
        "npm install -g @moonshot-ai/kimi-code"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Acp, Hold::Terminal]
    }

    fn tried(&self) -> Option<(Version, Version)> {
        Some((Version(2, 1, 0), Version(2, 1, 0)))
    }

    fn env(&self) -> &'static [&'static str] {
        &["KIMI_*", "MOONSHOT_*"]
    }

    fn login(&self) -> &'static [&'static str] {
        &["~/.kimi-code/credentials", "$KIMI_MODEL_API_KEY", "$MOONSHOT_API_KEY", "$KIMI_API_KEY"]
    }

    fn cannot(&self, hold: Hold) -> &'static [Asked] {
        match hold {
            // It has no mode between asking and not asking in its own interface.
            Hold::Terminal => &[Asked::AcceptEdits],
            _ => &[],
        }
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        let mut argv = vec![launch.program.to_owned()];
        if let Some(conversation) = launch.conversation {
            argv.extend(["--session".into(), conversation.into()]);
        }
        if let Some(model) = launch.model {
            argv.extend(["--model".into(), model.into()]);
        }
        match launch.permissions {
            Permissions::Default | Permissions::AcceptEdits => {}
            // Named so by its help: `--yolo` still asks for what is risky, `--auto` never asks.
            Permissions::Auto => argv.push("--yolo".into()),
            Permissions::Bypass => argv.push("--auto".into()),
        }
        argv.extend(launch.args.iter().cloned());
        // Its command line takes a prompt only for a run of one turn.
        let first_message = match launch.conversation {
            Some(_) => launch.prompt_argument(),
            None => launch.prompt_with_rules(),
        };
        Plan { argv, env: env(), first_message, ..Plan::default() }
    }

    fn driver(&self, launch: &Launch<'_>) -> Option<Box<dyn Driver>> {
        let mut argv = vec![launch.program.to_owned(), "acp".into()];
        argv.extend(launch.args.iter().cloned());
        Some(Box::new(Acp::new(&QUIRKS, launch, Plan { argv, env: env(), ..Plan::default() })))
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

fn env() -> Vec<(String, String)> {
    vec![("KIMI_CODE_NO_AUTO_UPDATE".into(), "1".into())]
}
