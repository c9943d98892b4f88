//! aider (run with 0.86.2): a text interface at a prompt, with neither hooks, nor tools, nor a machine protocol.
//!
//! It edits files and commits by itself, so git says most of what it did; its screen says whether it is at its prompt, at
//! work, or asks. Its bell rings in the middle of turns as well as at their end, so that it is no hook. What is said first
//! is typed: with `--message` it ends after one turn.

use oarlock_core::session::fact::{Hold, Permissions, Showing};

use crate::launch::{Launch, Place, Plan, Plant, Version, What};
use crate::screen::{Answer, Guard, Keys, Screen, Typing};
use crate::{Agent, Asked};

/// Its prompt, with the chat's mode before it: `> `, `ask> `, `multi> `.
const PROMPT: &str = "^(ask|code|architect|context|help|diff|whole|udiff)?( ?multi)?> ?$";
/// The end of its questions: `(Y)es/(N)o [Yes]: `.
const ASKS: &str = r"\(Y\)es/\(N\)o.*\[(Yes|No)\]: ?$";
/// Where it caches what it knows of the files of a repository, in the workspace. A file in its place makes it keep the
/// cache in memory: as a folder it would be in the way of every `git status`, and in a commit one day.
const CACHE: &str = ".aider.tags.cache.v4";
/// Where its rules are, in the run's folder.
const RULES: &str = "rules.md";

/// Variables with the keys and addresses of the providers that agents of no provider's own use.
pub(crate) const PROVIDERS: &[&str] = &[
    "AIDER_*",
    "ANTHROPIC_*",
    "AWS_*",
    "AZURE_*",
    "DEEPSEEK_*",
    "GEMINI_API_KEY",
    "GOOGLE_*",
    "GOOSE_*",
    "GROQ_*",
    "LITELLM_*",
    "MISTRAL_*",
    "OLLAMA_*",
    "OPENAI_*",
    "OPENROUTER_*",
    "VERTEXAI_*",
    "XAI_*",
];

/// aider.
pub struct Aider;

impl Agent for Aider {
    fn name(&self) -> &'static str {
        "aider"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["aider"]
    }

    fn places(&self) -> &'static [&'static str] {
        &["~/.local/bin"]
    }

    fn install_hint(&self) -> &'static str {
        "python -m pip install aider-install && aider-install"
    }

    fn holds(&self) -> &'static [Hold] {
        &[Hold::Terminal]
    }

    fn tried(&self) -> Option<(Version, Version)> {
        Some((Version(0, 86, 2), Version(0, 86, 2)))
    }

    fn env(&self) -> &'static [&'static str] {
        PROVIDERS
    }

    /// Edits need no permission anyway, and it judges nothing itself. Its conversations have no names: one that goes on
    /// is read from the history in the run's own folder.
    fn cannot(&self, _hold: Hold) -> &'static [Asked] {
        &[Asked::AcceptEdits, Asked::Auto, Asked::Resume]
    }

    fn launch(&self, launch: &Launch<'_>) -> Plan {
        let mut argv: Vec<String> = vec![launch.program.into()];
        argv.extend(
            [
                "--no-check-update",
                "--no-show-release-notes",
                "--no-show-model-warnings",
                "--no-analytics",
                "--no-gitignore",
                "--no-detect-urls",
            ]
            .map(Into::into),
        );
        // Its histories would lie in the workspace, and be committed one day.
        for (flag, file) in [
            ("--input-history-file", "aider.input"),
            ("--chat-history-file", "aider.chat.md"),
            ("--llm-history-file", "aider.llm"),
        ] {
            argv.push(format!("{flag}={}/{file}", launch.folder));
        }
        argv.extend(launch.model.map(|model| format!("--model={model}")));
        if launch.permissions == Permissions::Bypass {
            argv.push("--yes-always".into());
        }
        let mut files = vec![Plant {
            place: Place::Workspace(CACHE.into()),
            what: What::Text("In the place of aider's cache.\n".into()),
        }];
        if !launch.rules.is_empty() {
            argv.push(format!("--read={}/{RULES}", launch.folder));
            files.push(Plant { place: Place::Run(RULES.into()), what: What::Text(launch.rules.into()) });
        }
        argv.extend(launch.args.iter().cloned());
        Plan { argv, env: Vec::new(), files, first_message: launch.prompt_argument() }
    }

    fn screen(&self, screen: &Screen<'_>) -> Option<Showing> {
        let rows = screen.bottom(1);
        let last = rows.last()?.trim_end();
        if let Some(question) = question(last) {
            return Some(Showing::Dialog(question.to_owned()));
        }
        if is_prompt(last) {
            return Some(Showing::Prompt);
        }
        let is_waiting = last.contains("Waiting for ");
        is_waiting.then_some(Showing::Busy)
    }

    fn typing(&self) -> Typing {
        let ready = Guard { shows: vec![PROMPT.into()], hides: vec![ASKS.into()], rows: 1 };
        Typing { ready, steer: None, interrupt: "\u{3}", clear: "\u{15}" }
    }

    fn answer(&self, answer: &Answer) -> Option<Keys> {
        let guard = Guard { shows: vec![ASKS.into()], hides: vec![], rows: 1 };
        let keys = |keys: &str| Some(Keys { guard, keys: keys.into(), then_say: None });
        match answer {
            Answer::Allow => keys("y\r"),
            Answer::Deny(why) if why.is_empty() => keys("n\r"),
            Answer::Deny(why) => keys("n\r").map(|keys| Keys { then_say: Some(why.clone()), ..keys }),
            // Not all of its questions can be answered for good.
            Answer::AllowAlways | Answer::Words(_) => None,
        }
    }
}

/// Returns the words of a question, without the answers it takes.
fn question(row: &str) -> Option<&str> {
    let (words, answers) = row.split_once(" (Y)es/(N)o")?;
    (answers.ends_with("[Yes]:") || answers.ends_with("[No]:")).then(|| words.trim())
}

/// Whether a row is its prompt, with nothing typed.
fn is_prompt(row: &str) -> bool {
    let Some(mode) = row.strip_suffix('>') else { return false };
    mode.len() <= 16 && mode.chars().all(|c| c.is_ascii_lowercase() || c == ' ')
}
