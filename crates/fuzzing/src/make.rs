//! Values of any of our types from any bytes, through their own `Deserialize`: the bytes choose variants, lengths and numbers.
//!
//! Texts are short and mostly from a small set, so that facts made by chance speak of the same runs, messages and keys.
//! It must not know the types it makes.

use serde::de::value::Error;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

/// Longest list made, and longest text of free bytes.
const LENGTH_MAX: u8 = 6;
/// Names that ids and branches are taken from.
const NAMES: &[&str] = &["", "a", "b", "a-1", "main", "refs/heads/main", "/p/a", "/p/b"];
/// First parts of the keys of effects.
const KINDS: &[&str] =
    &["workspace", "run", "stop", "message", "receipt", "land", "remove", "undo", "work", "x"];

/// Bytes that choices are taken from. When they are used up, every choice is the first.
pub struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    /// Takes choices from bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Returns whether there is nothing left to choose by.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Makes a value; `None` when a type has a rule of its own and refuses what was made.
    pub fn make<T: DeserializeOwned>(&mut self) -> Option<T> {
        T::deserialize(&mut *self).ok()
    }

    /// Returns a number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    /// A small number in one byte, or any in eight more.
    fn number(&mut self) -> u64 {
        match self.byte() {
            255 => (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte())),
            254 => u64::MAX,
            253 => 1 << 32,
            small => u64::from(small),
        }
    }

    fn text(&mut self) -> String {
        match self.below(5) {
            0 => NAMES[self.below(NAMES.len())].to_owned(),
            1 => format!("{}/{}", KINDS[self.below(KINDS.len())], self.number()),
            2 => format!("{}/a/{}/{}", KINDS[self.below(KINDS.len())], self.number(), self.number()),
            3 => format!("{:040x}", self.number()),
            _ => {
                let bytes: Vec<u8> = (0..self.below(usize::from(LENGTH_MAX))).map(|_| self.byte()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.number() as $type)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Choices<'_> {
    type Error = Error;

    numbers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64, deserialize_f32 visit_f32 f32,
        deserialize_f64 visit_f64 f64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.byte() % 2 == 1)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_char(char::from(self.byte()))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text())
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_byte_buf(self.text().into_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.byte() % 2 == 1 { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.below(usize::from(LENGTH_MAX));
        visitor.visit_seq(Items { choices: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { choices: self, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { choices: self, left })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.below(usize::from(LENGTH_MAX));
        visitor.visit_map(Items { choices: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { choices: self, left: fields.len() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant = variants[self.below(variants.len())];
        visitor.visit_enum(Chosen { choices: self, variant })
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("a type that asks what there is cannot be made"))
    }
}

struct Items<'c, 'a> {
    choices: &'c mut Choices<'a>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.choices).map(Some)
    }
}

impl<'de> MapAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.choices)
    }
}

struct Chosen<'c, 'a> {
    choices: &'c mut Choices<'a>,
    variant: &'static str,
}

impl<'de> EnumAccess<'de> for Chosen<'_, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant: de::value::StrDeserializer<'_, Error> = self.variant.into_deserializer();
        Ok((seed.deserialize(variant)?, self))
    }
}

impl<'de> VariantAccess<'de> for Chosen<'_, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.choices)
    }

    fn tuple_variant<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { choices: self.choices, left })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { choices: self.choices, left: fields.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oarlock_core::crew::Line;
    use oarlock_core::session::Fact;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_of_fact_can_be_made() {
        let made = |first: u8| Choices::new(&[first, 1, 2, 3]).make::<Fact>();
        let kinds: BTreeSet<String> = (0..=255)
            .filter_map(made)
            .map(|fact| {
                let text = format!("{fact:?}");
                text.split([' ', '(']).next().unwrap().to_owned()
            })
            .collect();
        assert!(kinds.len() >= 25, "{kinds:?}");
    }

    #[test]
    fn no_bytes_make_the_first_of_everything() {
        let line: Line = Choices::new(&[]).make().unwrap();
        assert!(format!("{line:?}").contains("ProjectAdded"), "{line:?}");
    }
}
