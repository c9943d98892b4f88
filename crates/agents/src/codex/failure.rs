//! What went wrong and what is used up, in the words of Codex's protocol and of its records: the same, but for their case.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::class_of_words;
use crate::part::{Number, Raw, Word, read};

/// An error of a turn, of a call of the model or of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Failure<'a> {
    #[serde(borrow)]
    pub message: Word<'a>,
    #[serde(alias = "additional_details", borrow)]
    additional_details: Word<'a>,
    #[serde(alias = "codex_error_info", borrow)]
    codex_error_info: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Http {
    #[serde(alias = "http_status_code")]
    http_status_code: Number,
}

impl Failure<'_> {
    /// Returns its class: by the protocol's word, then by the status of the provider's answer, then by its own words.
    pub fn class(&self) -> &'static str {
        let word: Word<'_> = read(self.codex_error_info);
        match word.replace('_', "").to_ascii_lowercase().as_str() {
            "contextwindowexceeded" => return "context_full",
            "usagelimitexceeded" | "ratelimitexceeded" => return "rate_limit",
            "sessionbudgetexceeded" | "toomanydenials" => return "limit",
            "serveroverloaded" | "flexunavailable" | "policycapacityunavailable" => return "overloaded",
            "unauthorized" => return "auth",
            "modelnotfound" | "badrequest" => return "bad_request",
            "cyberpolicy"
            | "misalignmentpolicyviolation"
            | "inferencehookdenied"
            | "sandboxerror"
            | "internalservererror" => return "error",
            _ => {}
        }
        let by_kind: BTreeMap<String, Raw<'_>> = read(self.codex_error_info);
        let status =
            by_kind.values().map(|kind| read::<Http>(*kind).http_status_code.count()).find(|code| *code > 0);
        match status {
            Some(429) => "rate_limit",
            Some(401 | 403) => "auth",
            Some(402) => "billing",
            Some(503 | 529) => "overloaded",
            Some(400..500) => "bad_request",
            Some(_) => "error",
            None if !by_kind.is_empty() => {
                // The connection broke, or that is the last of several: its words may know more.
                Some(class_of_words(&self.message)).filter(|class| *class != "error").unwrap_or("network")
            }
            None if self.additional_details.is_empty() => class_of_words(&self.message),
            None => class_of_words(&format!("{} {}", &*self.message, &*self.additional_details)),
        }
    }

    /// Whether a thread was asked for that is not there.
    pub fn is_unknown_thread(&self) -> bool {
        let words = self.message.to_ascii_lowercase();
        ["no rollout found", "not found", "no thread", "unknown thread"]
            .iter()
            .any(|word| words.contains(word))
    }
}

/// How much of what may be used is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Limits<'a> {
    #[serde(alias = "rate_limit_reached_type", borrow)]
    rate_limit_reached_type: Word<'a>,
    #[serde(borrow)]
    primary: Raw<'a>,
    #[serde(borrow)]
    secondary: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Window {
    #[serde(alias = "used_percent")]
    used_percent: Number,
    #[serde(alias = "resets_at")]
    resets_at: Number,
}

impl Limits<'_> {
    /// Whether one is reached.
    pub fn is_reached(&self) -> bool {
        self.rate_limit_reached_type.some().is_some()
    }

    /// Returns when the last of the windows that are used up begins anew, in seconds since the Unix epoch.
    pub fn until_s(&self) -> Option<u64> {
        let windows = [read::<Window>(self.primary), read::<Window>(self.secondary)];
        let used_up = windows.iter().filter(|window| window.used_percent.count() >= 100);
        used_up.filter_map(|window| window.resets_at.0.map(|_| window.resets_at.count())).max()
    }
}
