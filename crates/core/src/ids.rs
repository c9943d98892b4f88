//! Identifiers and small values that cross every seam, each a type of its own.
//!
//! They must not know how they are made: ids come from requests, never from here.

use alloc::string::{String, ToString};
use core::fmt;
use serde::{Deserialize, Serialize};

/// Longest name of a session, in characters: it is part of a branch, a path and a column of `ls`.
pub const NAME_LEN_MAX: usize = 40;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
        pub struct $name(pub String);

        impl $name {
            /// Returns the text of the id.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_string())
            }
        }
    };
}

text_id!(
    /// A session's id: eight characters of `a-z2-7`, drawn once and never reused.
    SessionId
);
text_id!(
    /// A project's id: a slug of its folder's name, unique among registered projects.
    ProjectId
);
text_id!(
    /// The id a client gives to a request, so that a retry is the same request.
    RequestId
);
text_id!(
    /// A message's id, which the host remembers so that nothing is typed twice.
    MessageId
);
text_id!(
    /// A git object id in hexadecimal, 40 or 64 characters.
    Oid
);
text_id!(
    /// An entry of the trash, the last part of `refs/oarlock/trash/<id>`.
    TrashId
);
text_id!(
    /// A session's name: lower-case letters, digits and hyphens inside, so that it fits a path, a ref and a shell.
    Name
);

impl Name {
    /// Returns the name, when the text is one: 1 to [`NAME_LEN_MAX`] of `a-z0-9-`, beginning and ending in a letter
    /// or digit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let ok_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends_ok = !text.starts_with('-') && !text.ends_with('-');
        let is_name = !text.is_empty() && text.len() <= NAME_LEN_MAX && text.chars().all(ok_char) && ends_ok;
        is_name.then(|| Self(text.into()))
    }

    /// Makes a name from any text: letters and digits kept in lower case, everything else one hyphen, cut at
    /// `len_max` characters. Returns `None` when nothing usable is left.
    #[must_use]
    pub fn slug(text: &str, len_max: usize) -> Option<Self> {
        let mut slug = String::new();
        for c in text.chars() {
            if c.is_ascii_alphanumeric() {
                slug.push(c.to_ascii_lowercase());
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        slug.truncate(len_max.min(NAME_LEN_MAX));
        Self::parse(slug.trim_matches('-'))
    }
}

/// One life of an agent process within a session, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
pub struct RunId(pub u32);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A moment, in milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns the moment a number of milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_a_path_a_ref_and_a_shell() {
        for good in ["a", "payments", "p-1", "p-10", "x9"] {
            assert!(Name::parse(good).is_some(), "{good} is a fine name");
        }
        for bad in ["", "-a", "a-", "A", "a b", "a/b", "a.b", "é", "..", "a\n"] {
            assert!(Name::parse(bad).is_none(), "{bad:?} must not reach a path or a ref");
        }
    }

    #[test]
    fn a_slug_is_always_a_name() {
        assert_eq!(
            Name::slug("Fix the login, please!", 40).map(|n| n.0).as_deref(),
            Some("fix-the-login-please")
        );
        assert_eq!(Name::slug("a very long sentence", 6).map(|n| n.0).as_deref(), Some("a-very"));
        assert_eq!(Name::slug("…", 40), None);
    }
}
