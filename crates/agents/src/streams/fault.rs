//! What kind of failure an error is, from its HTTP status and its words. Every provider words them otherwise.
//!
//! The classes are those of [`oarlock_core::session::fact::TurnEnd::Error`].

/// Words (in lower case) that tell a class, the surest first.
const WORDS: &[(&str, &[&str])] = &[
    (
        "context_full",
        &[
            "prompt is too long",
            "prompt as too long",
            "prompt too long",
            "context length",
            "context_length",
            "context window",
            "context.overflow",
            "maximum context",
            "too many tokens in",
        ],
    ),
    (
        "billing",
        &[
            "billing",
            "insufficient_quota",
            "insufficient credit",
            "out of credits",
            "payment required",
            "credit balance",
        ],
    ),
    (
        "auth",
        &[
            "unauthorized",
            "unauthenticated",
            "authentication",
            "auth_error",
            "api key",
            "api_key",
            "not logged in",
            "log in",
            "login",
            "permission_denied",
            "forbidden",
        ],
    ),
    ("rate_limit", &["rate limit", "rate_limit", "ratelimit", "too many requests", "usage limit", "quota"]),
    ("overloaded", &["overloaded", "service unavailable", "at capacity"]),
    ("limit", &["max turns", "maximum turns", "max_turns", "budget", "step limit"]),
    (
        "network",
        &[
            "network",
            "disconnected",
            "connection",
            "econn",
            "enotfound",
            "timed out",
            "timeout",
            "dns",
            "unreachable",
            "socket",
        ],
    ),
    ("bad_request", &["bad request", "bad_request", "invalid_request", "invalid request"]),
];

/// Returns the class of an error: by its status when that is known or in its words (`status 429`, `429 Too Many`), else by its
/// words; `error` when neither tells.
#[must_use]
pub fn class(status: Option<u16>, words: &str) -> &'static str {
    // The end says it: what comes before may be a whole transcript.
    let start = words.len().saturating_sub(4096);
    let start = (start..=words.len()).find(|at| words.is_char_boundary(*at)).unwrap_or(0);
    let words = words[start..].to_lowercase();
    let told = |class: &str| {
        WORDS
            .iter()
            .find(|(name, _)| *name == class)
            .is_some_and(|(_, all)| all.iter().any(|word| words.contains(word)))
    };
    match status.or_else(|| find_status(&words)) {
        Some(400 | 413 | 422) if told("context_full") => return "context_full",
        Some(413) => return "context_full",
        Some(402) => return "billing",
        Some(401 | 403) => return "auth",
        Some(429) if told("billing") => return "billing",
        Some(429) => return "rate_limit",
        Some(503 | 529) => return "overloaded",
        Some(400 | 404 | 422) => return "bad_request",
        Some(408 | 500 | 502 | 504) => return "network",
        _ => {}
    }
    let found = WORDS.iter().find(|(_, all)| all.iter().any(|word| words.contains(word)));
    found.map_or("error", |(class, _)| class)
}

/// Finds a status of an HTTP error in words: three digits of their own, from 400 on.
fn find_status(words: &str) -> Option<u16> {
    words
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.len() == 3)
        .filter_map(|word| word.parse().ok())
        .find(|status| (400..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_known_by_status_or_words() {
        for (status, words, want) in [
            (Some(401), "", "auth"),
            (Some(429), "This request would exceed your rate limit", "rate_limit"),
            (Some(400), "Prompt is too long", "context_full"),
            (Some(529), "", "overloaded"),
            (None, "exceeded retry limit, last status: 429 Too Many Requests", "rate_limit"),
            (
                None,
                "unexpected status 401 Unauthorized: invalid x-api-key, url: http://127.0.0.1:18777/v1",
                "auth",
            ),
            (None, "stream disconnected before completion: network error", "network"),
            (None, "provider.rate_limit", "rate_limit"),
            (None, "context.overflow", "context_full"),
            (None, "Not logged in", "auth"),
            (None, "", "error"),
            (None, "line 1234 of 987654", "error"),
        ] {
            assert_eq!(class(status, words), want, "{status:?} {words}");
        }
    }
}
