//! Reads values out of a TOML page strictly: whatever is not known is wrong, with its line, and with what would be right.
//!
//! It must not know what the keys are for.

use std::ops::Range;

use oarlock_core::text;
use toml_edit::{Document, Item, TableLike, Value};

/// Longest word repeated in an answer, in characters.
const WORD_CHARS_MAX: usize = 60;
/// Edits between a key and the one it may have been meant to be: a letter left out, two swapped, an ending forgotten.
const EDITS_MAX: usize = 3;

/// What is wrong, and on which line (counted from 1).
#[derive(Debug)]
pub(super) struct Wrong {
    pub line: usize,
    pub says: String,
}

pub(super) type Read<T> = Result<T, Wrong>;

/// A page that is being read.
pub(super) struct Reader<'a> {
    text: &'a str,
}

/// A table of the page, with the name people write above it; empty for the page itself.
pub(super) struct Section<'a> {
    pub name: String,
    pub table: &'a dyn TableLike,
}

impl Section<'_> {
    fn place(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) }
    }

    /// Names a table in this one.
    pub fn below(&self, key: &str) -> String {
        let key = text::line(key, WORD_CHARS_MAX);
        if self.name.is_empty() { key } else { format!("{}.{key}", self.name) }
    }
}

/// Parses a page.
pub(super) fn parse(text: &str) -> Read<Document<&str>> {
    Document::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Wrong { line: line(text, at), says: text::line(error.message(), 300) }
    })
}

fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Returns the word of a list that another one was probably meant to be.
fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let edits = |other: &str| strsim::damerau_levenshtein(word, other);
    let best = known.map(|other| (edits(other), other)).min()?;
    // Half of a short word is another word.
    (best.0 <= EDITS_MAX && best.0 * 2 <= best.1.chars().count()).then_some(best.1)
}

/// Says that a word is not known, and which one was meant or which are.
pub(super) fn unknown(what: &str, word: &str, place: &str, known: &[&str]) -> String {
    // A word without measure is compared with nothing.
    let shown = text::line(word, WORD_CHARS_MAX);
    let hint = match nearest(&shown, known.iter().copied()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("known: {}", known.join(", ")),
    };
    format!("there is no {what} \"{shown}\"{place}; {hint}")
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// Says what is wrong with something of the page.
    pub fn wrong(&self, span: Option<Range<usize>>, says: String) -> Wrong {
        Wrong { line: line(self.text, span.map_or(0, |span| span.start)), says }
    }

    /// Says what is wrong with the value of a key.
    pub fn wrong_value(&self, section: &Section<'_>, key: &str, says: &str) -> Wrong {
        let item = section.table.get(key);
        self.wrong(item.and_then(Item::span), format!("{key}{} {says}", section.place()))
    }

    /// Refuses keys that are not known. Those that belong elsewhere are answered with where.
    pub fn only(&self, section: &Section<'_>, known: &[&str], elsewhere: &[(&str, &str)]) -> Read<()> {
        for (key, _) in section.table.iter() {
            if known.contains(&key) {
                continue;
            }
            let span = section.table.key(key).and_then(toml_edit::Key::span);
            let says = match elsewhere.iter().find(|(other, _)| *other == key) {
                Some((key, belongs)) => format!("{key}{} {belongs}", section.place()),
                None => unknown("key", key, &section.place(), known),
            };
            return Err(self.wrong(span, says));
        }
        Ok(())
    }

    fn text_of(&self, section: &Section<'_>, key: &str, value: Option<&Value>, is: &str) -> Read<String> {
        let text = value.and_then(Value::as_str).ok_or_else(|| self.wrong_value(section, key, is))?;
        if text.contains('\0') {
            return Err(self.wrong_value(section, key, "holds a NUL byte, which no program takes"));
        }
        Ok(text.to_owned())
    }

    /// Reads a text that is not empty.
    pub fn text(&self, section: &Section<'_>, key: &str) -> Read<Option<String>> {
        let Some(item) = section.table.get(key) else { return Ok(None) };
        let text = self.text_of(section, key, item.as_value(), "must be a text in quotes")?;
        if text.trim().is_empty() {
            return Err(self.wrong_value(section, key, "is empty; leave the line out to say nothing"));
        }
        Ok(Some(text))
    }

    /// Reads a list of texts.
    pub fn texts(&self, section: &Section<'_>, key: &str) -> Read<Option<Vec<String>>> {
        const IS: &str = "must be a list of texts, such as [\"a\", \"b\"]";
        let Some(item) = section.table.get(key) else { return Ok(None) };
        let list = item.as_array().ok_or_else(|| self.wrong_value(section, key, IS))?;
        list.iter().map(|value| self.text_of(section, key, Some(value), IS)).collect::<Read<_>>().map(Some)
    }

    /// Reads true or false.
    pub fn flag(&self, section: &Section<'_>, key: &str) -> Read<Option<bool>> {
        let Some(item) = section.table.get(key) else { return Ok(None) };
        item.as_bool().map(Some).ok_or_else(|| self.wrong_value(section, key, "must be true or false"))
    }

    /// Reads one of some words.
    pub fn word<T: Copy>(&self, section: &Section<'_>, key: &str, words: &[(&str, T)]) -> Read<Option<T>> {
        let Some(item) = section.table.get(key) else { return Ok(None) };
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let said = item.as_str().unwrap_or_default();
        let found = words.iter().find(|(word, _)| *word == said).map(|(_, value)| *value);
        found.map(Some).ok_or_else(|| {
            let meant = nearest(&text::line(said, WORD_CHARS_MAX), known.iter().copied());
            let meant = meant.map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default();
            let known = known.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
            self.wrong_value(section, key, &format!("must be one of {known}{meant}"))
        })
    }

    /// Opens a table.
    pub fn section<'t>(&self, above: &Section<'t>, key: &str) -> Read<Option<Section<'t>>> {
        let Some(item) = above.table.get(key) else { return Ok(None) };
        let name = above.below(key);
        let table = item.as_table_like().ok_or_else(|| {
            let span = above.table.key(key).and_then(toml_edit::Key::span);
            self.wrong(span, format!("{name} must be a table: [{name}]"))
        })?;
        Ok(Some(Section { name, table }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_another_word_is_not() {
        let known = ["model", "permissions", "args"];
        let meant = |word| nearest(word, known.into_iter());
        assert_eq!(meant("modle"), Some("model"));
        assert_eq!(meant("permision"), Some("permissions"));
        assert_eq!(meant("arg"), Some("args"));
        assert_eq!(meant("colour"), None);
        assert_eq!(meant("x"), None, "nothing is near a single letter");
        assert_eq!(
            unknown("key", "colour", " in [agents.x]", &known),
            "there is no key \"colour\" in [agents.x]; known: model, permissions, args"
        );
    }
}
