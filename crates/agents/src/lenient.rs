//! Reading of JSON that others wrote: a field of a wrong type is a field that is missing, and costs the rest nothing.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A string that is borrowed where it can be.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Reads a field; `None` when it is of another type than expected.
///
/// # Errors
/// Only when the document itself is broken.
pub fn maybe<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// Returns a text that may be missing.
#[must_use]
pub fn word<'t>(text: Option<&'t Text<'_>>) -> &'t str {
    text.map_or("", |text| &text.0)
}

/// Reads the members of an array, without those that cannot be read.
#[must_use]
pub fn members<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Vec<T> {
    let members: Vec<&RawValue> =
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    members.into_iter().filter_map(|member| serde_json::from_str(member.get()).ok()).collect()
}
