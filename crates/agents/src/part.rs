//! Readers of single parts of agents' JSON that never fail: what has the wrong type is as good as missing.
//!
//! Agents change what they write between versions; a field that became something else must cost that field, not the
//! line. No agent is known here.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A part of a line put aside unread.
pub type Raw<'a> = Option<&'a RawValue>;

/// Reads a part that was put aside; what cannot be read is as good as missing.
#[must_use]
pub fn read<'a, T: Default + Deserialize<'a>>(raw: Raw<'a>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// Reads each element of an array that was put aside; those that cannot be read are skipped.
#[must_use]
pub fn each<'a, T: Deserialize<'a>>(raw: Raw<'a>) -> Vec<T> {
    let parts: Vec<&RawValue> = read(raw);
    parts.into_iter().filter_map(|part| serde_json::from_str(part.get()).ok()).collect()
}

/// A string; empty when there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word<'a>(pub Cow<'a, str>);

impl Deref for Word<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Word<'_> {
    /// Returns it when it is not empty.
    #[must_use]
    pub fn some(&self) -> Option<&str> {
        Some(&**self).filter(|word| !word.is_empty())
    }
}

/// A number that is not negative; `None` when there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Number(pub Option<f64>);

impl Number {
    /// Returns it as a count; 0 when there is none.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is finite and not negative"
    )]
    pub fn count(self) -> u64 {
        // Above 2^53 a count of tokens or seconds is nonsense anyway.
        self.0.map_or(0, |number| number.round() as u64)
    }
}

/// A truth; false when there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flag(pub bool);

/// What a part turned out to be.
enum Parts<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Truth(bool),
    Other,
}

impl<'a> From<Parts<'a>> for Word<'a> {
    fn from(parts: Parts<'a>) -> Self {
        match parts {
            Parts::Text(text) => Word(text),
            Parts::Number(_) | Parts::Truth(_) | Parts::Other => Word::default(),
        }
    }
}

impl From<Parts<'_>> for Number {
    fn from(parts: Parts<'_>) -> Self {
        match parts {
            Parts::Number(number) => {
                Number(Some(number).filter(|number| number.is_finite() && *number >= 0.0))
            }
            Parts::Text(_) | Parts::Truth(_) | Parts::Other => Number(None),
        }
    }
}

impl From<Parts<'_>> for Flag {
    fn from(parts: Parts<'_>) -> Self {
        Flag(matches!(parts, Parts::Truth(true)))
    }
}

struct AnyPart;

impl<'de> Visitor<'de> for AnyPart {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Parts<'de>, E> {
        Ok(Parts::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Parts<'de>, E> {
        Ok(Parts::Text(Cow::Owned(text.into())))
    }

    #[expect(clippy::cast_precision_loss, reason = "a count that large is nonsense anyway")]
    fn visit_u64<E>(self, number: u64) -> Result<Parts<'de>, E> {
        Ok(Parts::Number(number as f64))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Parts<'de>, E> {
        Ok(Parts::Other)
    }

    fn visit_f64<E>(self, number: f64) -> Result<Parts<'de>, E> {
        Ok(Parts::Number(number))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Parts<'de>, E> {
        Ok(Parts::Truth(truth))
    }

    fn visit_unit<E>(self) -> Result<Parts<'de>, E> {
        Ok(Parts::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Parts<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Parts::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Parts::Other)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyPart).map(Word::from)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyPart).map(Number::from)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyPart).map(Flag::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Line<'a> {
        #[serde(borrow)]
        word: Word<'a>,
        number: Number,
        flag: Flag,
        #[serde(borrow)]
        rest: Raw<'a>,
    }

    #[test]
    fn a_part_of_the_wrong_type_costs_that_part_alone() {
        for (word, number, flag) in [
            ("7", "\"x\"", "1"),
            ("null", "null", "null"),
            ("{\"a\":[1,{}]}", "[[]]", "\"true\""),
            ("-1", "-1", "-1.5"),
            ("true", "true", "{}"),
        ] {
            let text = format!("{{\"word\":{word},\"number\":{number},\"flag\":{flag},\"rest\":[1]}}");
            let line: Line = serde_json::from_str(&text).unwrap();
            assert_eq!((line.word.some(), line.number.0, line.flag.0), (None, None, false), "{text}");
            assert_eq!(line.rest.map(RawValue::get), Some("[1]"), "the parts beside it are read: {text}");
        }
    }

    #[test]
    fn parts_are_read() {
        let text = r#"{"word":"a\nb","number":2.6,"flag":true}"#;
        let line: Line = serde_json::from_str(text).unwrap();
        assert_eq!((line.word.some(), line.number.count(), line.flag.0), (Some("a\nb"), 3, true));
    }
}
