//! The lines of the protocol, as far as they say something. Every part may be missing or something else.

use oarlock_core::text;
use serde::Deserialize;

use crate::part::{Flag, Number, Raw, Word, each, read};
use crate::{ID_CHARS_MAX, NOTE_CHARS_MAX};

/// Any line: a request has an id and a method, a response an id, a notification a method.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Line<'a> {
    #[serde(borrow)]
    pub id: Raw<'a>,
    #[serde(borrow)]
    pub method: Word<'a>,
    #[serde(borrow)]
    pub params: Raw<'a>,
    #[serde(borrow)]
    pub result: Raw<'a>,
    #[serde(borrow)]
    pub error: Raw<'a>,
}

/// Parameters of any notification.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Params<'a> {
    #[serde(borrow)]
    pub thread_id: Word<'a>,
    #[serde(borrow)]
    pub turn_id: Word<'a>,
    #[serde(borrow)]
    pub turn: Raw<'a>,
    #[serde(borrow)]
    pub item: Raw<'a>,
    #[serde(borrow)]
    pub request_id: Raw<'a>,
    #[serde(borrow)]
    pub token_usage: Raw<'a>,
    #[serde(borrow)]
    pub rate_limits: Raw<'a>,
    #[serde(borrow)]
    pub error: Raw<'a>,
    pub will_retry: Flag,
}

/// What a greeting and the start of a thread are answered with.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Started<'a> {
    #[serde(borrow)]
    user_agent: Word<'a>,
    #[serde(borrow)]
    pub thread: Raw<'a>,
    #[serde(borrow)]
    pub model: Word<'a>,
}

impl Started<'_> {
    /// `oarlock/0.169.0 (Debian …)`: the version is its own, the name the client's.
    pub fn version(&self) -> Option<String> {
        let version = self.user_agent.split_whitespace().next()?.split_once('/')?.1;
        Some(text::line(version, ID_CHARS_MAX))
    }
}

/// A thread.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Thread<'a> {
    #[serde(borrow)]
    pub id: Word<'a>,
    #[serde(borrow)]
    pub cli_version: Word<'a>,
}

/// A turn.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Turn<'a> {
    #[serde(borrow)]
    pub id: Word<'a>,
    #[serde(borrow)]
    pub status: Word<'a>,
    #[serde(borrow)]
    pub error: Raw<'a>,
}

/// A part of a turn: words, a command, a change of files, a call of a tool.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Item<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Word<'a>,
    #[serde(borrow)]
    pub id: Word<'a>,
    #[serde(borrow)]
    pub client_id: Word<'a>,
    #[serde(borrow)]
    pub text: Word<'a>,
    #[serde(borrow)]
    pub summary: Raw<'a>,
    #[serde(borrow)]
    command: Word<'a>,
    #[serde(borrow)]
    command_actions: Raw<'a>,
    #[serde(borrow)]
    cwd: Word<'a>,
    #[serde(borrow)]
    changes: Raw<'a>,
    #[serde(borrow)]
    server: Word<'a>,
    #[serde(borrow)]
    tool: Word<'a>,
    #[serde(borrow)]
    query: Word<'a>,
    #[serde(borrow)]
    status: Word<'a>,
    exit_code: Number,
    #[serde(borrow)]
    pub aggregated_output: Word<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Change<'a> {
    #[serde(borrow)]
    path: Word<'a>,
    #[serde(borrow)]
    command: Word<'a>,
}

impl Item<'_> {
    /// Returns the name of the tool called and what for, in one line; `None` for what is no call.
    pub fn call(&self) -> Option<(String, String)> {
        let line = |words: &str| text::line(words, NOTE_CHARS_MAX);
        let (name, what) = match &*self.kind {
            "commandExecution" => ("Bash".to_owned(), format!("Bash: {}", self.plain_command())),
            "fileChange" => ("apply_patch".to_owned(), self.files_changed()),
            "mcpToolCall" | "dynamicToolCall" | "collabAgentToolCall" => {
                let name = format!("{} {}", &*self.server, &*self.tool).trim().to_owned();
                (name.clone(), name)
            }
            "webSearch" => ("web_search".to_owned(), format!("Search: {}", &*self.query)),
            _ => return None,
        };
        Some((text::line(&name, ID_CHARS_MAX), line(&what)))
    }

    /// The command without the shell around it.
    fn plain_command(&self) -> String {
        let actions: Vec<Change<'_>> = each(self.command_actions);
        match actions.as_slice() {
            [only] if !only.command.is_empty() => only.command.to_string(),
            _ => self.command.to_string(),
        }
    }

    fn files_changed(&self) -> String {
        let changes: Vec<Change<'_>> = each(self.changes);
        let inside = |path: &str| {
            let rest = path.strip_prefix(&*self.cwd).filter(|_| !self.cwd.is_empty());
            rest.map_or(path, |rest| rest.trim_start_matches('/')).to_owned()
        };
        let paths: Vec<String> = changes.iter().map(|change| inside(&change.path)).collect();
        format!("Edit {}", paths.join(", "))
    }

    pub fn is_ok(&self) -> bool {
        let failed = matches!(&*self.status, "failed" | "declined");
        !failed && self.exit_code.count() == 0
    }

    /// What it thought, as far as it says.
    pub fn thought(&self) -> String {
        each::<Word<'_>>(self.summary).iter().map(|part| &**part).collect::<Vec<_>>().join(" ")
    }
}

/// Tokens of a thread: in all, and of the last call of the model.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TokenUsage<'a> {
    #[serde(borrow)]
    last: Raw<'a>,
    #[serde(borrow)]
    total: Raw<'a>,
    pub model_context_window: Number,
}

impl TokenUsage<'_> {
    pub fn last(&self) -> Tokens {
        read(self.last)
    }

    pub fn total(&self) -> Tokens {
        read(self.total)
    }
}

/// Counts of tokens: what came from a cache or went there is input, too.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Tokens {
    pub input_tokens: Number,
    pub cached_input_tokens: Number,
    pub cache_write_input_tokens: Number,
    pub output_tokens: Number,
    pub total_tokens: Number,
}
