//! Parts of a JSON line, taken loosely: of another type than expected they are empty, and the rest of the line still counts.
//!
//! Text is borrowed from the line where it can be. Must not know any agent.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use oarlock_core::text;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::ID_CHARS_MAX;

/// A text; empty when there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Text<'_> {
    /// Returns it as a name, cleaned and cut, unless it is empty.
    pub(crate) fn some(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| text::line(&self.0, ID_CHARS_MAX))
    }
}

/// A number that is not negative; 0 when there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Number(pub f64);

/// Largest number taken: nobody counts tokens beyond it, and sums of such numbers are far from too large.
const NUMBER_MAX: f64 = 9_007_199_254_740_992.0;

impl Number {
    /// Returns it without what is behind the point.
    pub(crate) fn whole(self) -> u64 {
        // Casts of floats saturate: what is no number is 0.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = self.0.min(NUMBER_MAX) as u64;
        whole
    }
}

/// Whether something is said to be so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flag(pub bool);

/// Whether anything but null stands there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present(pub bool);

/// An object; empty when there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Object<T>(pub T);

impl<T> std::ops::Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A list; empty when there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct List<T>(pub Vec<T>);

/// Makes a visitor that takes what it is told and answers anything else with the default.
macro_rules! visitor {
    ($name:ident, $out:ty, { $($take:item)* }) => {
        struct $name;

        impl<'de> Visitor<'de> for $name {
            type Value = $out;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            $($take)*

            fn visit_unit<E>(self) -> Result<$out, E> {
                Ok(<$out>::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<$out, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Self::of_container())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$out, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Self::of_container())
            }
        }
    };
}

visitor!(AnyText, Text<'de>, {
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }
});

impl AnyText {
    fn of_container<'a>() -> Text<'a> {
        Text::default()
    }
}

visitor!(AnyNumber, Number, {
    fn visit_str<E>(self, _: &str) -> Result<Number, E> {
        Ok(Number::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Number, E> {
        Ok(Number::default())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
        #[allow(clippy::cast_precision_loss)] // Nobody counts tokens beyond 2^53.
        let number = number.max(0) as f64;
        Ok(Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        #[allow(clippy::cast_precision_loss)] // As above.
        let number = number as f64;
        Ok(Number(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
        Ok(Number(number.max(0.0)))
    }
});

impl AnyNumber {
    fn of_container() -> Number {
        Number::default()
    }
}

visitor!(AnyFlag, Flag, {
    fn visit_bool<E>(self, flag: bool) -> Result<Flag, E> {
        Ok(Flag(flag))
    }

    fn visit_str<E>(self, _: &str) -> Result<Flag, E> {
        Ok(Flag::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Flag, E> {
        Ok(Flag::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Flag, E> {
        Ok(Flag::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Flag, E> {
        Ok(Flag::default())
    }
});

impl AnyFlag {
    fn of_container() -> Flag {
        Flag::default()
    }
}

visitor!(AnyPresent, Present, {
    fn visit_bool<E>(self, _: bool) -> Result<Present, E> {
        Ok(Present(true))
    }

    fn visit_str<E>(self, _: &str) -> Result<Present, E> {
        Ok(Present(true))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Present, E> {
        Ok(Present(true))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Present, E> {
        Ok(Present(true))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Present, E> {
        Ok(Present(true))
    }
});

impl AnyPresent {
    fn of_container() -> Present {
        Present(true)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyText)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyNumber)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyFlag)
    }
}

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyPresent)
    }
}

/// Answers everything that is neither a list nor an object with the default.
macro_rules! scalars_are_default {
    ($out:ty) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("anything")
        }

        fn visit_unit<E>(self) -> Result<$out, E> {
            Ok(<$out>::default())
        }

        fn visit_bool<E>(self, _: bool) -> Result<$out, E> {
            Ok(<$out>::default())
        }

        fn visit_i64<E>(self, _: i64) -> Result<$out, E> {
            Ok(<$out>::default())
        }

        fn visit_u64<E>(self, _: u64) -> Result<$out, E> {
            Ok(<$out>::default())
        }

        fn visit_f64<E>(self, _: f64) -> Result<$out, E> {
            Ok(<$out>::default())
        }

        fn visit_str<E>(self, _: &str) -> Result<$out, E> {
            Ok(<$out>::default())
        }
    };
}

struct AnyObject<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for AnyObject<T> {
    type Value = Object<T>;

    scalars_are_default!(Object<T>);

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Object<T>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Object::default())
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyObject(PhantomData))
    }
}

struct AnyList<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AnyList<T>
where
    List<T>: Default,
{
    type Value = List<T>;

    scalars_are_default!(List<T>);

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<List<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<List<T>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(List::default())
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyList(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Line<'a> {
        #[serde(borrow)]
        text: Text<'a>,
        number: Number,
        flag: Flag,
        present: Present,
        #[serde(borrow)]
        object: Object<Inner<'a>>,
        #[serde(borrow)]
        list: List<Object<Inner<'a>>>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Inner<'a> {
        #[serde(borrow)]
        name: Text<'a>,
    }

    #[test]
    fn a_part_of_another_type_is_empty_and_the_rest_still_counts() {
        let wrong = ["null", "7", "-1.5", "true", "\"a\\nb\"", "[1,{}]", "{\"a\":[]}"];
        for part in ["text", "number", "flag", "present", "object", "list"] {
            for wrong in wrong {
                let text = format!("{{\"{part}\":{wrong},\"unknown\":{wrong}}}");
                assert!(serde_json::from_str::<Line<'_>>(&text).is_ok(), "{text}");
            }
        }
        let line =
            r#"{"list":[{"name":"a"},7,{"name":8}],"text":"plain","object":{"name":"x"},"number":3.9}"#;
        let line: Line<'_> = serde_json::from_str(line).unwrap();
        assert!(matches!(line.text.0, Cow::Borrowed("plain")), "text is borrowed where it can be");
        assert_eq!((line.object.name.0.as_ref(), line.number.whole()), ("x", 3));
        let names: Vec<&str> = line.list.0.iter().map(|one| one.name.0.as_ref()).collect();
        assert_eq!(names, ["a", "", ""]);
        let huge: Line<'_> = serde_json::from_str(r#"{"number":1e300}"#).unwrap();
        assert!(huge.number.whole().checked_mul(1000).is_some(), "sums of lies do not overflow");
    }
}
