//! Messages: text or keys to type exactly once, under which conditions, and what becomes of them. It must not know how any of it
//! is done.

use serde::{Deserialize, Serialize};

/// The longest message id, in bytes. Ids are short; this bounds the host's memory of them.
pub const MESSAGE_ID_BYTES_MAX: usize = 128;
/// The most milliseconds a message may let pass between its text and its submit. Longer is the sender's business.
pub const SETTLE_MS_MAX: u32 = 5_000;
/// The most expressions in each list of a guard: an agent has a handful of prompts and dialogs.
pub const GUARD_EXPRESSIONS_MAX: usize = 32;
/// The longest expression of a guard, in bytes: a line of a dialog, with room. With their number it bounds what one look costs.
pub const GUARD_EXPRESSION_BYTES_MAX: usize = 256;

/// Whether a message is typed as a bracketed paste.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bracketed {
    /// If the application has mode 2004 on.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

/// Text to type exactly once. The host strips control characters but newline and tab, unless it is keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Message {
    /// Its name for ever, 1 to 128 bytes: the same id is never typed again.
    pub id: String,
    /// What to type.
    pub text: String,
    /// Whether to press Enter after it, as a write of its own after the text was taken whole.
    pub submit: bool,
    /// Whether it is a paste.
    pub bracketed: Bracketed,
    /// How long to wait between text and submit, in milliseconds, at most 5000: some interfaces swallow an Enter that
    /// comes while they still take in a large paste.
    pub settle_ms: u32,
    /// Whether the text is keys: written as it is, control characters and all, no paste and no Enter after it.
    /// `submit`, `bracketed` and `settle_ms` do not count then. Since version 2.
    #[serde(default)]
    pub keys: bool,
    /// What has to be on the screen, or else nothing is typed. Since version 2.
    #[serde(default)]
    pub guard: Option<Guard>,
}

/// What has to be on the screen at the moment a message is typed. The host looks after it has taken in all that the child
/// wrote; when the screen does not fit, nothing is typed and the same id may be tried again.
///
/// The lines looked at are the rows of the terminal as text, without trailing blanks: an empty prompt `> ` is the line `>`.
/// Expressions are those of the `regex-lite`
/// crate: no look-around, no back-references, and `\w`, `\d` and `(?i)` know ASCII only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Guard {
    /// At least one of these has to match one of the lines; with none given, anything may be shown. At most 32 of at most
    /// 256 bytes.
    pub shows: Vec<String>,
    /// None of these may match any of the lines. Looked for again before Enter is pressed. At most 32 of at most 256 bytes.
    pub hides: Vec<String>,
    /// How many lines are looked at: the lowest that are not blank. 0 means all of the screen.
    pub rows: u16,
    /// Whether the child's own process group has to be in the foreground of the terminal, so that nothing is typed into a
    /// shell or an editor that took it over, nor into a shell that started the agent and outlived it. Looked for again
    /// before Enter is pressed.
    pub foreground: bool,
    /// For keys that submit a text typed earlier: that text. Its own words on the screen are then no dialog's. A host that
    /// does not know of it takes them for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<String>,
}

/// What has become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Not accepted here, or not typed at all: it may be tried again.
    Unknown,
    /// Accepted, and not yet taken whole by the terminal.
    Queued,
    /// Taken whole by the terminal. Whether the application read it is its own affair.
    Typed,
    /// Its text was taken whole by the terminal, and Enter was not pressed: the screen did not fit its guard any more.
    /// Since version 2.
    Unsubmitted,
}

/// Why a host did not do what was asked, for programs. The words for people come beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The screen does not fit the guard at the moment. Try again later, under the same id.
    NotReady,
    /// The guard can never be met: an expression is invalid, or there are too many, or there is no screen.
    BadGuard,
    /// The id or the text is not allowed.
    BadMessage,
    /// This client may only look.
    ReadOnly,
    /// The child has ended, or its input is closed.
    Ended,
    /// The child does not read, and no more can wait for it.
    Busy,
    /// The run was sent as many messages as it may be.
    TooMany,
    /// The message could not be recorded, so it was not typed.
    NotRecorded,
    /// Anything else, and whatever a host of another version says.
    #[serde(other)]
    Other,
}

impl RefusalCode {
    /// Returns the code as it is on the wire, for logs and other programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::BadGuard => "bad_guard",
            Self::BadMessage => "bad_message",
            Self::ReadOnly => "read_only",
            Self::Ended => "ended",
            Self::Busy => "busy",
            Self::TooMany => "too_many",
            Self::NotRecorded => "not_recorded",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_as_it_is_written_and_an_unknown_one_is_other() {
        for code in [
            RefusalCode::NotReady,
            RefusalCode::BadGuard,
            RefusalCode::BadMessage,
            RefusalCode::ReadOnly,
            RefusalCode::Ended,
            RefusalCode::Busy,
            RefusalCode::TooMany,
            RefusalCode::NotRecorded,
            RefusalCode::Other,
        ] {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{}\"", code.as_str()));
            assert_eq!(serde_json::from_str::<RefusalCode>(&format!("\"{}\"", code.as_str())).unwrap(), code);
        }
        assert_eq!(serde_json::from_str::<RefusalCode>("\"from the future\"").unwrap(), RefusalCode::Other);
    }

    #[test]
    fn a_message_of_version_1_is_understood() {
        let old = r#"{"id":"m","text":"hi","submit":true,"bracketed":"auto","settle_ms":3}"#;
        let message: Message = serde_json::from_str(old).unwrap();
        assert_eq!((message.keys, message.guard, message.settle_ms), (false, None, 3));
    }
}
