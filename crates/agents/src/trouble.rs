//! What an error's words say of its kind. Providers and agents word the same few troubles in a hundred ways.

/// Words that name a class of error, the more telling first: a rate limit may be told with a 400, a full context is.
const CLASSES: &[(&str, &[&str], &[&str])] = &[
    (
        "billing",
        &["insufficient_quota", "billing", "credit balance", "payment required", "out of credits"],
        &["402"],
    ),
    (
        "context_full",
        &[
            "prompt is too long",
            "prompt as too long",
            "context length",
            "context window",
            "context_length",
            "maximum context",
            "context.overflow",
            "contextoverflow",
            "input token count",
        ],
        &[],
    ),
    (
        "rate_limit",
        &["rate limit", "rate_limit", "ratelimit", "too many requests", "quota", "resource_exhausted"],
        &["429"],
    ),
    ("overloaded", &["overloaded", "service unavailable", "try again later"], &["529", "503"]),
    (
        "auth",
        &[
            "unauthorized",
            "unauthenticated",
            "api key",
            "api_key",
            "api-key",
            "authenticat",
            "auth_error",
            "autherror",
            "not logged in",
            "log in",
            "login",
            "forbidden",
            "permission_denied",
        ],
        &["401", "403"],
    ),
    (
        "bad_request",
        &["invalid_request", "bad request", "invalid argument", "invalid_argument"],
        &["400", "404", "422"],
    ),
    (
        "network",
        &[
            "econnrefused",
            "econnreset",
            "enotfound",
            "etimedout",
            "connection",
            "network",
            "socket",
            "fetch failed",
            "timed out",
            "timeout",
            "cannot connect",
            "terminated",
        ],
        &[],
    ),
];

/// Most bytes of an error's words that are looked at: what kind it is, it says at its beginning.
const LOOKED_AT_BYTES: usize = 4096;

/// Returns the class of an error by its words, one of those that [`oarlock_core::session::fact::TurnEnd::Error`] names.
#[must_use]
pub fn class(words: &str) -> &'static str {
    let words = &words[..words.floor_char_boundary(LOOKED_AT_BYTES)];
    let words = words.to_ascii_lowercase();
    let numbers: Vec<&str> = words.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    CLASSES
        .iter()
        .find(|(_, telling, codes)| {
            telling.iter().any(|telling| words.contains(telling))
                || codes.iter().any(|code| numbers.contains(code))
        })
        .map_or("error", |(class, ..)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_has_one_class_however_it_is_worded() {
        for (words, expected) in [
            ("Last error: 429 This request would exceed your rate limit", "rate_limit"),
            ("Internal error: Too Many Requests", "rate_limit"),
            ("You exceeded your current quota (insufficient_quota)", "billing"),
            ("400 prompt is too long: 250000 tokens > 200000 maximum", "context_full"),
            ("401 invalid x-api-key", "auth"),
            ("Overloaded", "overloaded"),
            ("connect ECONNREFUSED 127.0.0.1:1", "network"),
            ("400 messages: at least one message is required", "bad_request"),
            ("the answer has 4290 lines", "error"),
            ("", "error"),
        ] {
            assert_eq!(class(words), expected, "{words}");
        }
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        assert_eq!(class(&"ü".repeat(100_000)), "error");
    }
}
