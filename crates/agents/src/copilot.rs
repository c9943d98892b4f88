//! GitHub Copilot CLI. Held over ACP, or in a terminal with a plugin folder of the run's own that calls the hooks.

mod hooks;
mod screen;

use oarlock_core::session::fact::{Hold, Permissions, Showing};

use crate::acp::{Acp, Quirks, UsageFrom};
use crate::drive::Driver;
use crate::launch::{Launch, Place, Plan, Plant, Version, What};
use crate::screen::{Answer, Keys, Screen, Typing};
use crate::{Agent, Hooked};

/// GitHub Copilot CLI.
pub struct Copilot;

const QUIRKS: Quirks = Quirks {
    title: "Copilot",
    // What needs no permission is on its command line; its modes are ways of working.
    mode: |_, _| None,
    setting: |_| None,
    model_setting: None,
    logins: &[],
    usage: UsageFrom::PromptOfRun,
    errors_begin: &["Error: "],
    silence_is_an_error: false,
    limits_by_hook: true,
    log: None,
    rules_in_prompt: false,
};

/// The plugin's folder, in the run's.
const PLUGIN: &str = "copilot/plugin";
/// The folder of standing rules, in the run's: it reads an `AGENTS.md` there as if it were in the repository.
const RULES: &str = "copilot/rules";

impl Agent for Copilot {
    fn name(&self) -> &'static str {
        "copilot"
    }

    fn title(&self) -> &'static str {
        "GitHub Copilot"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["copilot"]
    }

    fn places(&self) -> &'static [&'static str] {
        &["~/.local/bin", "/usr/local/bin", "/opt/homebrew/bin"]
    }

    fn install_hint(&self) -> &'static str {
        "npm install -g @github/copilot"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Acp, Hold::Terminal]
    }

    fn tried(&self) -> Option<(Version, Version)> {
        Some((Version(1, 0, 102), Version(1, 0, 102)))
    }

    fn env(&self) -> &'static [&'static str] {
        &["COPILOT_*", "GH_TOKEN", "GITHUB_TOKEN", "GH_HOST"]
    }

    fn login(&self) -> &'static [&'static str] {
        &[
            "~/.copilot/config.json",
            "$COPILOT_GITHUB_TOKEN",
            "$GH_TOKEN",
            "$GITHUB_TOKEN",
            "$COPILOT_PROVIDER_BASE_URL",
        ]
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        let mut argv = vec![launch.program.to_owned()];
        match launch.conversation {
            Some(conversation) => argv.push(format!("--resume={conversation}")),
            None => argv.push(format!("--session-id={}", launch.new_conversation)),
        }
        argv.push(format!("--plugin-dir={}/{PLUGIN}", launch.folder));
        argv.extend(common(launch));
        argv.extend(launch.args.iter().cloned());
        if let Some(prompt) = launch.prompt_argument() {
            argv.push(format!("--interactive={prompt}"));
        }
        let asks = launch.permissions != Permissions::Bypass;
        let mut plan = plan(launch, argv);
        plan.files.extend(hooks::plugin(launch, PLUGIN, hooks::ALL, asks));
        plan
    }

    fn driver(&self, launch: &Launch<'_>) -> Option<Box<dyn Driver>> {
        let mut argv = vec![launch.program.to_owned(), "--acp".into()];
        argv.push(format!("--plugin-dir={}/{PLUGIN}", launch.folder));
        argv.extend(common(launch));
        argv.extend(launch.args.iter().cloned());
        let mut plan = plan(launch, argv);
        plan.files.extend(hooks::plugin(launch, PLUGIN, hooks::BESIDE, true));
        Some(Box::new(Acp::new(&QUIRKS, launch, plan)))
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
    let mut argv = vec!["--no-auto-update".to_owned()];
    if let Some(model) = launch.model {
        argv.push(format!("--model={model}"));
    }
    match launch.permissions {
        Permissions::Default => {}
        Permissions::AcceptEdits => argv.push("--allow-tool=write".into()),
        // It judges nothing itself: its tools are free inside the workspace, and paths and addresses outside are asked for.
        Permissions::Auto => argv.push("--allow-all-tools".into()),
        Permissions::Bypass => {
            argv.extend(["--allow-all-tools", "--allow-all-paths", "--allow-all-urls"].map(Into::into));
        }
    }
    argv
}

fn plan(launch: &Launch<'_>, argv: Vec<String>) -> Plan {
    let mut plan = Plan { argv, ..Plan::default() };
    // The folder is asked to be trusted on its first day; it is a workspace of ours.
    plan.files.push(Plant {
        place: Place::User("~/.copilot/config.json".into()),
        what: What::Json(vec![crate::launch::Edit {
            path: vec!["trustedFolders".into()],
            value: serde_json::json!(launch.workspace),
            put: crate::launch::Put::Append,
        }]),
    });
    if !launch.rules.is_empty() {
        let file = format!("{RULES}/AGENTS.md");
        plan.files.push(Plant { place: Place::Run(file), what: What::Text(launch.rules.into()) });
        plan.env.push(("COPILOT_CUSTOM_INSTRUCTIONS_DIRS".into(), format!("{}/{RULES}", launch.folder)));
    }
    plan
}
