//! Whether a screen fits what a message's sender said of it: a guard's expressions, compiled within bounds, and held against lines.
//! It must not know what is typed when they fit, or what the lines mean.

use crate::protocol::{GUARD_EXPRESSION_BYTES_MAX, GUARD_EXPRESSIONS_MAX, Guard};
use regex_lite::{Regex, RegexBuilder};

/// The largest compiled expression, in bytes: some hundred times what 256 bytes without repetitions come to, and small enough
/// that a look stays a matter of milliseconds.
const COMPILED_BYTES_MAX: usize = 128 << 10;

/// A guard ready to look.
#[derive(Debug)]
pub(crate) struct Lookout {
    shows: Vec<Regex>,
    hides: Vec<Regex>,
    /// Which of `hides` the message's own text fits: on the screen they prove no dialog once it is typed.
    quoted: Vec<usize>,
    rows: usize,
    /// Whether the child's group has to be in the foreground.
    pub foreground: bool,
    /// Whether the text stands at the prompt already, so that only an Enter is to come.
    pub is_enter: bool,
}

impl Lookout {
    /// Returns the guard of a text compiled, or why it can never be met.
    pub fn new(guard: &Guard, text: &str) -> Result<Self, String> {
        let hides = compile("hides", &guard.hides)?;
        let text = guard.standing.as_deref().unwrap_or(text);
        let is_quoted = |hidden: &Regex| text.lines().any(|line| hidden.is_match(line));
        let quoted = hides.iter().enumerate().filter(|(_, hidden)| is_quoted(hidden)).map(|(place, _)| place);
        Ok(Self {
            shows: compile("shows", &guard.shows)?,
            // Without a sign of the prompt nothing would be left to look for.
            quoted: if guard.shows.is_empty() { vec![] } else { quoted.collect() },
            hides,
            rows: guard.rows.into(),
            foreground: guard.foreground,
            is_enter: guard.standing.is_some(),
        })
    }

    /// Returns why these lines, top first, do not fit; nothing if they do. Before an Enter only what must not be there counts,
    /// unless the text itself says such words: then the prompt has to be in sight, and the words prove nothing.
    pub fn objection(&self, lines: &[String], is_enter: bool) -> Option<String> {
        let mut lowest: Vec<&str> =
            lines.iter().map(String::as_str).filter(|line| !line.is_empty()).collect();
        if self.rows > 0 {
            lowest.drain(..lowest.len().saturating_sub(self.rows));
        }
        let is_there = |expression: &&Regex| lowest.iter().any(|line| expression.is_match(line));
        let proves = |place: usize| !(is_enter && self.quoted.contains(&place));
        let hidden = self.hides.iter().enumerate().find(|(place, hidden)| proves(*place) && is_there(hidden));
        if let Some((_, hidden)) = hidden {
            return Some(format!("the screen shows what it must not: {}", hidden.as_str()));
        }
        let is_met = (is_enter && self.quoted.is_empty())
            || self.shows.is_empty()
            || self.shows.iter().any(|shown| is_there(&shown));
        (!is_met).then(|| "the screen shows nothing of what it has to".to_owned())
    }
}

fn compile(list: &str, expressions: &[String]) -> Result<Vec<Regex>, String> {
    if expressions.len() > GUARD_EXPRESSIONS_MAX {
        return Err(format!(
            "{list} has {} expressions; it may have {GUARD_EXPRESSIONS_MAX}",
            expressions.len()
        ));
    }
    let compiled = expressions.iter().map(|expression| {
        if expression.len() > GUARD_EXPRESSION_BYTES_MAX {
            let length = expression.len();
            return Err(format!(
                "an expression of {list} has {length} bytes; it may have {GUARD_EXPRESSION_BYTES_MAX}"
            ));
        }
        let built = RegexBuilder::new(expression).size_limit(COMPILED_BYTES_MAX).build();
        built.map_err(|error| format!("{expression:?} of {list} is no expression: {error}"))
    });
    compiled.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookout(shows: &[&str], hides: &[&str], rows: u16) -> Lookout {
        let list = |expressions: &[&str]| expressions.iter().map(|&each| each.to_owned()).collect();
        let guard = Guard { shows: list(shows), hides: list(hides), rows, ..Guard::default() };
        Lookout::new(&guard, "").unwrap()
    }

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn one_of_what_has_to_be_shown_is_enough_and_one_that_must_not_be_is_too_much() {
        let screen = lines("history: Do you want to?\n\n❯ \n? for shortcuts\n\n");
        assert_eq!(lookout(&["^❯", "^> $"], &[], 2).objection(&screen, false), None);
        assert!(lookout(&["^> "], &[], 0).objection(&screen, false).is_some());
        assert!(lookout(&["^❯"], &["Do you want"], 0).objection(&screen, false).is_some());
        assert_eq!(lookout(&[], &["nothing like it"], 0).objection(&screen, false), None);
    }

    #[test]
    fn only_the_lowest_lines_that_are_not_blank_are_looked_at() {
        let screen = lines("Do you want to?\n\n\n❯ \n\nfooter\n\n\n");
        assert_eq!(lookout(&["^❯"], &["Do you want"], 2).objection(&screen, false), None);
        assert!(lookout(&["^❯"], &["Do you want"], 3).objection(&screen, false).is_some());
        assert!(lookout(&["^❯"], &[], 1).objection(&screen, false).is_some());
    }

    #[test]
    fn before_an_enter_only_what_must_not_be_there_counts() {
        let guard = lookout(&["^❯ $"], &["Do you want"], 0);
        assert_eq!(guard.objection(&lines("❯ my message"), true), None, "the text itself changes the prompt");
        assert!(guard.objection(&lines("❯ my message\nDo you want to?"), true).is_some());
    }

    #[test]
    fn a_text_that_says_what_a_dialog_says_is_no_dialog_while_its_prompt_is_in_sight() {
        let guard = |shows: &[&str]| Guard {
            shows: shows.iter().map(|&each| each.to_owned()).collect(),
            hides: vec!["Do you want".into(), "Esc to cancel".into()],
            ..Guard::default()
        };
        let text = "it asked:\nDo you want to?";
        let own = Lookout::new(&guard(&["^❯"]), text).unwrap();
        assert!(
            own.objection(&lines("❯ it asked:\n  Do you want to?"), false).is_some(),
            "not before it is typed"
        );
        assert_eq!(own.objection(&lines("❯ it asked:\n  Do you want to?"), true), None);
        assert!(
            own.objection(&lines(" Do you want to?\n ❯ 1. Yes"), true).is_some(),
            "the prompt is not in sight"
        );
        assert!(
            own.objection(&lines("❯ it asked\nEsc to cancel"), true).is_some(),
            "that the text did not say"
        );
        let blind = Lookout::new(&guard(&[]), text).unwrap();
        assert!(
            blind.objection(&lines("it asked:\n  Do you want to?"), true).is_some(),
            "nothing else to go by"
        );
        let standing = Guard { standing: Some(text.into()), ..guard(&["^❯"]) };
        assert!(Lookout::new(&standing, "\r").unwrap().is_enter);
    }

    #[test]
    fn what_can_never_be_met_says_why() {
        let with = |shows: Vec<String>| Lookout::new(&Guard { shows, ..Guard::default() }, "").err();
        assert!(with(vec!["(".into()]).unwrap().contains("no expression"));
        assert!(with(vec!["x".repeat(257)]).unwrap().contains("257 bytes"));
        assert!(with(vec!["x".into(); 33]).unwrap().contains("33 expressions"));
        assert!(
            with(vec!["(((x{99}){99}){99})".into()]).is_some(),
            "a small expression may be a large machine"
        );
        assert_eq!(with(vec!["x".repeat(256); 32]), None, "the bounds themselves are allowed");
    }
}
