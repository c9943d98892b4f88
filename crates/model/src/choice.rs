//! Which step of which scenario answers a conversation: a pure function of the script and the conversation.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::dialog::{Dialog, Who};
use crate::script::{Scenario, Script, Step};

/// What begins a scenario, and what ends its name and words.
const PLAY: (&str, &str) = ("[[play:", "]]");

/// A step, and what its words stand for.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    /// The scenario's name; none for an aside.
    pub scenario: Option<&'a str>,
    /// The step's number, from 0.
    pub index: usize,
    /// The step; none when the scenario is over, or for an aside.
    pub step: Option<&'a Step>,
    /// What stands for `{word}`.
    pub words: BTreeMap<String, String>,
    /// Names this step of this conversation: what is done only so often is counted by it.
    pub key: String,
}

/// The beginning of a scenario in a prompt.
#[derive(Debug, PartialEq, Eq)]
struct Begin<'a> {
    name: &'a str,
    words: Vec<(&'a str, &'a str)>,
}

/// Chooses.
pub fn choose<'a>(script: &'a Script, dialog: &Dialog) -> Choice<'a> {
    let mut name = script.default.as_str();
    let mut words = BTreeMap::new();
    let mut since = 0;
    let mut told = last_told(dialog);
    for (index, turn) in dialog.turns.iter().enumerate().filter(|(_, turn)| turn.who == Who::User) {
        for text in &turn.texts {
            let Some(begin) = begin(text, script) else { continue };
            let (known, _) = script.scenario.get_key_value(begin.name).expect("it was looked up");
            name = known;
            words = begin.words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            since = index;
            told = text.clone();
        }
    }
    let scenario = &script.scenario[name];
    for (key, value) in &scenario.with {
        words.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let index = answers(dialog, since);
    let key = format!("{name}/{index}/{}", sha256(told.as_bytes()));
    words.extend(measures(told, dialog));
    if dialog.tools.is_empty() && !scenario.plain {
        return Choice { scenario: None, index: 0, step: None, words, key };
    }
    Choice { scenario: Some(name), index, step: step(scenario, index), words, key }
}

/// Returns the step; a scenario that ended is not begun again by whoever asks on.
fn step(scenario: &Scenario, index: usize) -> Option<&Step> {
    scenario.step.get(index)
}

/// Returns what the prompt says when it begins no scenario: the last thing a person said.
fn last_told(dialog: &Dialog) -> String {
    let last = dialog.turns.iter().rev().find(|turn| turn.who == Who::User);
    last.and_then(|turn| turn.texts.last().cloned()).unwrap_or_default()
}

fn measures(told: String, dialog: &Dialog) -> [(String, String); 5] {
    let result = dialog.turns.iter().rev().find(|turn| turn.who == Who::Tool);
    let result = result.map(|turn| turn.texts.join("\n").trim().to_owned()).unwrap_or_default();
    [
        ("told_bytes".into(), told.len().to_string()),
        ("told_sha256".into(), sha256(told.as_bytes())),
        ("told".into(), told),
        ("result".into(), result),
        ("cwd".into(), dialog.folder().unwrap_or_else(|| ".".into())),
    ]
}

/// Returns how many answers stand after a place; what a protocol sends as several items is one.
fn answers(dialog: &Dialog, since: usize) -> usize {
    let turns = dialog.turns.get(since..).unwrap_or_default();
    let is_answer = |index: usize| turns[index].who == Who::Assistant;
    (0..turns.len()).filter(|&index| is_answer(index) && (index == 0 || !is_answer(index - 1))).count()
}

/// Returns the last scenario that a text begins, of those the script has.
fn begin<'a>(text: &'a str, script: &Script) -> Option<Begin<'a>> {
    let found = text.rmatch_indices(PLAY.0).filter_map(|(at, _)| {
        let rest = &text[at + PLAY.0.len()..];
        let inside = &rest[..rest.find(PLAY.1)?];
        let mut parts = inside.split_whitespace();
        let name = parts.next()?;
        Some(Begin { name, words: parts.filter_map(|part| part.split_once('=')).collect() })
    });
    found.into_iter().find(|begin| script.scenario.contains_key(begin.name))
}

/// Puts in what the words stand for, each once: what was put in is not looked at again.
pub fn fill(text: &str, words: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let after = &rest[open + 1..];
        let word = after.find('}').and_then(|close| words.get(&after[..close]).map(|value| (close, value)));
        match word {
            Some((close, value)) => {
                out.push_str(value);
                rest = &after[close + 1..];
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Returns the SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialog::{Kind, Turn};

    fn dialog(turns: &[(Who, &str)]) -> Dialog {
        let turn = |(who, text): &(Who, &str)| Turn { who: *who, texts: vec![(*text).to_owned()] };
        let mut dialog = Dialog { turns: turns.iter().map(turn).collect(), ..Dialog::default() };
        dialog.offer(&"Bash".into(), None, Kind::Function);
        dialog
    }

    fn chosen(turns: &[(Who, &str)]) -> (String, usize, bool) {
        let script = Script::everyday();
        let choice = choose(&script, &dialog(turns));
        (choice.scenario.unwrap_or("aside").to_owned(), choice.index, choice.step.is_some())
    }

    #[test]
    fn the_step_is_the_number_of_answers_since_the_scenario_began() {
        use Who::{Assistant, System, Tool, User};
        assert_eq!(chosen(&[(User, "do it")]), ("commit".into(), 0, true));
        let begun = [(System, "[[play:ask]]"), (User, "go [[play:hello]]"), (Assistant, "Hello")];
        assert_eq!(chosen(&begun), ("hello".into(), 1, false), "only people begin, and what is over is over");
        let many = [
            (User, "[[play:hello]]"),
            (Assistant, "x"),
            (User, "[[play:commit]]"),
            (Assistant, "a thought"),
            (Assistant, "a call"),
            (Tool, "[[play:hello]]"),
            (User, "a reminder"),
        ];
        assert_eq!(chosen(&many), ("commit".into(), 1, true), "an answer in two items is one");
        assert_eq!(
            chosen(&[(User, "[[play:no-such]] [[play:think]] [[play:no-such]]")]),
            ("think".into(), 0, true)
        );
        assert_eq!(chosen(&[(User, "[[play:"), (User, "[[play:]]")]), ("commit".into(), 0, true));
    }

    #[test]
    fn a_request_without_tools_gets_an_aside() {
        let script = Script::everyday();
        let mut dialog = dialog(&[(Who::User, "Name this: [[play:commit]]")]);
        dialog.tools.clear();
        assert_eq!(choose(&script, &dialog).scenario, None);
        dialog.turns[0].texts[0] = "[[play:whole_file]]".into();
        assert_eq!(choose(&script, &dialog).scenario, Some("whole_file"));
    }

    #[test]
    fn words_come_from_the_prompt_and_else_from_the_scenario() {
        let script = Script::everyday();
        let choice =
            choose(&script, &dialog(&[(Who::User, "[[play:commit file=tea.txt]]"), (Who::Tool, " out\n")]));
        assert_eq!(
            fill("{file} {text} {result} {nothing} {", &choice.words),
            "tea.txt hello out {nothing} {"
        );
        assert_eq!(fill("{told_bytes}", &choice.words), "28");
    }

    #[test]
    fn what_was_put_in_is_not_looked_at_again() {
        let words = [("a".to_owned(), "{b}".to_owned()), ("b".to_owned(), "no".to_owned())].into();
        assert_eq!(fill("x{a}y", &words), "x{b}y");
    }

    #[test]
    fn the_same_prompt_in_other_words_is_counted_apart() {
        let script = Script::everyday();
        let key = |text: &str| choose(&script, &dialog(&[(Who::User, text)])).key;
        assert_ne!(key("[[play:cut_once]] a"), key("[[play:cut_once]] b"));
        assert_eq!(key("[[play:cut_once]] a"), key("[[play:cut_once]] a"));
    }
}
