//! Calls of tools: what one is for, in a line that a person understands, and a name for those whose agent gives none.

use std::fmt;

use oarlock_core::text;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::part::{Raw, Word, each, read};
use crate::{ID_CHARS_MAX, NOTE_CHARS_MAX};

/// What agents' tools are given, as far as it tells what a call is for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Input<'a> {
    #[serde(borrow)]
    command: Word<'a>,
    #[serde(borrow)]
    file_path: Word<'a>,
    #[serde(borrow)]
    notebook_path: Word<'a>,
    #[serde(borrow)]
    pattern: Word<'a>,
    #[serde(borrow)]
    path: Word<'a>,
    #[serde(borrow)]
    url: Word<'a>,
    #[serde(borrow)]
    query: Word<'a>,
    #[serde(borrow)]
    skill: Word<'a>,
    #[serde(borrow)]
    description: Word<'a>,
    #[serde(borrow)]
    questions: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question<'a> {
    #[serde(borrow)]
    question: Word<'a>,
}

/// Returns what a call is for, in one line: the tool's name and the part of its input that matters. `folder` is the
/// agent's working directory: paths inside it are shown without it.
#[must_use]
pub fn what(tool: &str, input: Raw<'_>, folder: &str) -> String {
    let input: Input<'_> = read(input);
    let tool = plain_name(tool);
    let file = [&input.file_path, &input.notebook_path].into_iter().find_map(|path| path.some());
    let said = [&input.command, &input.pattern, &input.url, &input.query, &input.skill, &input.description];
    let asked: Vec<Question<'_>> = each(input.questions);
    let line = if let Some(file) = file.or(input.path.some().filter(|_| input.pattern.is_empty())) {
        format!("{tool} {}", inside(file, folder))
    } else if let Some(said) = said.into_iter().find_map(|word| word.some()) {
        format!("{tool}: {said}")
    } else if let Some(first) = asked.first().and_then(|question| question.question.some()) {
        first.to_owned()
    } else {
        tool
    };
    text::line(&line, NOTE_CHARS_MAX)
}

/// Returns the questions that a call asks the person, in one line each.
#[must_use]
pub fn questions(input: Raw<'_>) -> Vec<String> {
    let input: Input<'_> = read(input);
    let asked: Vec<Question<'_>> = each(input.questions);
    let asked = asked.iter().filter_map(|question| question.question.some());
    asked.map(|question| text::line(question, NOTE_CHARS_MAX)).collect()
}

/// `mcp__github__create_issue` is the tool `create_issue` of the server `github`.
fn plain_name(tool: &str) -> String {
    let parts = tool.strip_prefix("mcp__").and_then(|rest| rest.split_once("__"));
    parts.map_or_else(|| tool.to_owned(), |(server, tool)| format!("{server} {tool}"))
}

fn inside<'a>(path: &'a str, folder: &str) -> &'a str {
    let rest = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
    rest.filter(|_| !folder.is_empty()).unwrap_or(path)
}

/// Lines of a tool's output shown to people, and characters of each: enough to see what happened.
const OUTPUT_LINES_MAX: usize = 12;
const OUTPUT_CHARS_MAX: usize = 300;

/// Returns what a tool gave, cut for people.
#[must_use]
pub fn excerpt(output: &str) -> String {
    let mut lines = output.lines();
    let cut = |line| text::line(line, OUTPUT_CHARS_MAX);
    let mut shown: Vec<String> = lines.by_ref().take(OUTPUT_LINES_MAX).map(cut).collect();
    match lines.count() {
        0 => {}
        more => {
            shown.push(format!("… {} more", text::count(u32::try_from(more).unwrap_or(u32::MAX), "line")))
        }
    }
    shown.join("\n")
}

/// Returns a name for a call that has no id where a permission is asked for it: made of the tool, its input (in whatever
/// order its keys come) and the sub-agent that calls it. The same call twice has the same name.
#[must_use]
pub fn fingerprint(tool: &str, input: Raw<'_>, sub_agent: &str) -> String {
    let input = input.and_then(|input| serde_json::from_str(input.get()).ok()).unwrap_or(Hash(0));
    let Hash(mixed) = Hash::of(tool.as_bytes()).then(Hash::of(sub_agent.as_bytes())).then(input);
    text::line(&format!("{}-{mixed:016x}", plain_name(tool).replace(' ', "-")), ID_CHARS_MAX)
}

/// Keys of an input that are not the same wherever the call is told of: a reason shown to the person, and what the person
/// answered.
const PASSING: [&str; 3] = ["description", "answers", "annotations"];

/// A hash of a JSON value that does not depend on the order of keys.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    /// FNV-1a, 64 bits.
    fn of(bytes: &[u8]) -> Self {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix))
    }

    fn then(self, next: Self) -> Self {
        Self((self.0.rotate_left(5) ^ next.0).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Hasher)
    }
}

struct Hasher;

impl<'de> Visitor<'de> for Hasher {
    type Value = Hash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Hash, E> {
        Ok(Hash::of(text.as_bytes()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Hash, E> {
        Ok(Hash(number).then(Hash(1)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Hash, E> {
        Ok(Hash(number.cast_unsigned()).then(Hash(2)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Hash, E> {
        Ok(Hash(number.to_bits()).then(Hash(3)))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Hash, E> {
        Ok(Hash(u64::from(truth)).then(Hash(4)))
    }

    fn visit_unit<E>(self) -> Result<Hash, E> {
        Ok(Hash(5))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Hash, A::Error> {
        let mut hash = Hash(6);
        while let Some(next) = seq.next_element::<Hash>()? {
            hash = hash.then(next);
        }
        Ok(hash)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Hash, A::Error> {
        let mut sum = 7_u64;
        while let Some((key, value)) = map.next_entry::<Word<'de>, Hash>()? {
            if !PASSING.contains(&&*key) {
                sum = sum.wrapping_add(Hash::of(key.as_bytes()).then(value).0);
            }
        }
        Ok(Hash(sum).then(Hash(8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw<'_> {
        Some(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_line_says_what_a_call_is_for() {
        for (tool, input, line) in [
            ("Bash", r#"{"command":"git push\nmake","description":"Push"}"#, "Bash: git push make"),
            ("Write", r#"{"file_path":"/w/src/a.rs","content":"x"}"#, "Write src/a.rs"),
            ("Read", r#"{"file_path":"/elsewhere/a.rs"}"#, "Read /elsewhere/a.rs"),
            ("Grep", r#"{"pattern":"todo","path":"/w"}"#, "Grep: todo"),
            ("mcp__git__log", r#"{"query":"x"}"#, "git log: x"),
            ("Task", r#"{"description":"look","prompt":"long"}"#, "Task: look"),
            ("AskUserQuestion", r#"{"questions":[{"question":"Which?"},7]}"#, "Which?"),
            ("Odd", r#"{"command":7,"file_path":{},"questions":"x"}"#, "Odd"),
            ("Odd", "[]", "Odd"),
        ] {
            assert_eq!(what(tool, raw(input), "/w"), line, "{tool} {input}");
        }
        assert_eq!(what("Bash", None, ""), "Bash");
    }

    #[test]
    fn an_excerpt_says_how_much_it_leaves_out() {
        assert_eq!(excerpt("a\u{1b}[2Jb\n\tc"), "a[2Jb\n c");
        let lines = |count: usize| "x\n".repeat(count);
        assert_eq!(excerpt(&lines(OUTPUT_LINES_MAX)).lines().count(), OUTPUT_LINES_MAX);
        assert!(excerpt(&lines(OUTPUT_LINES_MAX + 1)).ends_with("x\n… 1 line more"));
        assert_eq!(excerpt(""), "");
    }

    #[test]
    fn a_call_has_one_name_wherever_it_is_told_of() {
        let name = |input| fingerprint("Bash", raw(input), "");
        let call = name(r#"{"command":"make","timeout":5}"#);
        assert_eq!(call, name(r#"{"timeout":5,"command":"make","description":"why"}"#));
        assert_ne!(call, name(r#"{"command":"make","timeout":6}"#));
        assert_ne!(call, name(r#"{"command":"make all","timeout":5}"#));
        assert_ne!(
            call,
            fingerprint("Bash", raw(r#"{"command":"make","timeout":5}"#), "a1"),
            "a sub-agent's"
        );
        assert_ne!(name(r#"{"a":["x","y"]}"#), name(r#"{"a":["y","x"]}"#), "order in an array matters");
        assert_ne!(name(r#"{"a":"b"}"#), name(r#"{"b":"a"}"#));
    }
}
