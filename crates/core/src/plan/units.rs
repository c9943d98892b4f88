//! Which lines of a plan begin a phase. Authors differ, so the surest sign that is there decides for all of it.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::lines::{Line, What};

/// What authors call the pieces of a plan, the surest first.
const WORDS: [&str; 12] = [
    "phase",
    "sprint",
    "milestone",
    "stage",
    "step",
    "iteration",
    "part",
    "task",
    "epic",
    "chapter",
    "week",
    "day",
];
/// Numbers in words, from one.
const NUMERALS: [&str; 12] =
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
/// Sections that tell about a plan and are no work.
const ABOUT: [&str; 26] = [
    "acceptance",
    "appendix",
    "assumptions",
    "background",
    "changelog",
    "constraints",
    "context",
    "contents",
    "definition of done",
    "dependencies",
    "description",
    "glossary",
    "goal",
    "introduction",
    "motivation",
    "non-goals",
    "notes",
    "open questions",
    "out of scope",
    "overview",
    "references",
    "requirements",
    "risks",
    "success criteria",
    "summary",
    "table of contents",
];

/// Where phases begin.
pub(super) struct Found {
    /// What they are called.
    pub unit: String,
    /// Each of them, in order.
    pub starts: Vec<Start>,
    /// What was doubtful.
    pub warning: Option<String>,
}

/// Where one phase begins and ends.
pub(super) struct Start {
    /// Index of its first line.
    pub at: usize,
    /// Index past its last line.
    pub end: usize,
    /// What it is called beside its title.
    pub label: String,
    /// Its title.
    pub title: String,
    /// Whether it is marked as done.
    pub is_ticked: bool,
    /// Whether it is itself an item of a task list.
    pub is_task: bool,
}

/// Finds the phases of a plan.
pub(super) fn find(lines: &[Line<'_>]) -> Option<Found> {
    by_word(lines)
        .or_else(|| by_numbered_heading(lines))
        .or_else(|| by_sections_of_tasks(lines))
        .or_else(|| by_items(lines, "task", |line| line.task().is_some()))
        .or_else(|| by_items(lines, "step", |line| line.item().is_some_and(|item| item.number.is_some())))
        .or_else(|| by_section(lines))
}

/// Headings, bold lines or items that say "phase 2", "Sprint three", "Milestone: …".
fn by_word(lines: &[Line<'_>]) -> Option<Found> {
    let marks: Vec<(usize, u8, Named)> = lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| {
            let (level, text) = headline(lines, at, line)?;
            Some((at, level, named(text)?))
        })
        .collect();
    let unit = WORDS.iter().find(|word| marks.iter().any(|(_, _, named)| named.word == **word))?;
    let of_unit = || marks.iter().filter(|(_, _, named)| named.word == *unit);
    let level = of_unit().map(|(_, level, _)| *level).min()?;
    let chosen: Vec<(usize, Named)> =
        of_unit().filter(|(_, own, _)| *own == level).map(|(at, _, named)| (*at, named.clone())).collect();
    let starts = spread(lines, level, chosen.iter().map(|(at, _)| *at).collect());
    let starts = starts
        .into_iter()
        .zip(chosen)
        .map(|((at, end), (_, named))| Start {
            at,
            end,
            label: named.label,
            title: named.title,
            is_ticked: named.is_ticked,
            is_task: false,
        })
        .collect();
    let other = marks.iter().find(|(_, own, named)| named.word != *unit && *own < level);
    let warning = other.map(|(_, _, other)| {
        format!("Each {} is worked by itself; each {} only groups them.", unit, other.word)
    });
    Some(Found { unit: (*unit).to_owned(), starts, warning })
}

/// Returns what stands out as a heading: a real one, a bold line, a line by itself, an item of the outermost list.
fn headline<'a>(lines: &[Line<'a>], at: usize, line: &Line<'a>) -> Option<(u8, &'a str)> {
    let stands_alone = at.checked_sub(1).is_none_or(|before| lines[before].is_blank());
    match &line.what {
        What::Heading(level, text) => Some((*level, text)),
        What::Text(text) if text.starts_with("**") && text.trim_end_matches(':').ends_with("**") => {
            Some((7, text))
        }
        What::Text(text) if stands_alone && text.chars().count() <= 100 => Some((8, text)),
        What::Item(item) if item.indent == 0 => Some((9, item.text)),
        _ => None,
    }
}

/// Numbered headings of one level: "## 1. Scaffolding".
fn by_numbered_heading(lines: &[Line<'_>]) -> Option<Found> {
    let numbered: Vec<(usize, u8, &str)> =
        headings(lines).filter(|(_, _, text)| number_of(text).is_some()).collect();
    let level = level_of_several(&numbered)?;
    let chosen: Vec<usize> =
        numbered.iter().filter(|(_, own, _)| *own == level).map(|(at, ..)| *at).collect();
    Some(sections(lines, level, "phase", chosen, None))
}

/// Sections that hold tasks.
fn by_sections_of_tasks(lines: &[Line<'_>]) -> Option<Found> {
    let all: Vec<(usize, u8, &str)> = headings(lines).collect();
    let with_tasks: Vec<(usize, u8, &str)> = all
        .iter()
        .copied()
        .filter(|(at, _, text)| {
            let body = lines[at + 1..].iter().take_while(|line| line.heading().is_none());
            !is_about(text) && body.filter(|line| line.task().is_some()).count() > 0
        })
        .collect();
    let level = level_of_several(&with_tasks)?;
    let chosen = with_tasks.iter().filter(|(_, own, _)| *own == level).map(|(at, ..)| *at).collect();
    Some(sections(lines, level, "section", chosen, None))
}

/// The outermost items of a list, when there are two at least.
fn by_items(lines: &[Line<'_>], unit: &str, is_one: fn(&Line<'_>) -> bool) -> Option<Found> {
    let under_about = |at: usize| headings(&lines[..at]).last().is_some_and(|(_, _, text)| is_about(text));
    let indent_min = lines
        .iter()
        .filter(|line| is_one(line))
        .filter_map(|line| line.item())
        .map(|item| item.indent)
        .min()?;
    let chosen: Vec<usize> = (0..lines.len())
        .filter(|at| is_one(&lines[*at]) && lines[*at].item().is_some_and(|item| item.indent == indent_min))
        .filter(|at| !under_about(*at))
        .collect();
    if chosen.len() < 2 {
        return None;
    }
    let starts = spread(lines, u8::MAX, chosen)
        .into_iter()
        .filter_map(|(at, end)| {
            let item = lines[at].item()?;
            let title = plain(item.text);
            Some(Start {
                at,
                end,
                label: String::new(),
                title,
                is_ticked: item.task == Some(true),
                is_task: item.task.is_some(),
            })
        })
        .collect();
    Some(Found { unit: unit.to_owned(), starts, warning: None })
}

/// Plain sections, which may or may not be work.
fn by_section(lines: &[Line<'_>]) -> Option<Found> {
    let all: Vec<(usize, u8, &str)> = headings(lines).filter(|(_, _, text)| !is_about(text)).collect();
    let level = level_of_several(&all)?;
    let chosen = all.iter().filter(|(_, own, _)| *own == level).map(|(at, ..)| *at).collect();
    let warning =
        "No heading says phase, and nothing is numbered: each section was taken for one.".to_owned();
    Some(sections(lines, level, "section", chosen, Some(warning)))
}

fn headings<'a>(lines: &[Line<'a>]) -> impl Iterator<Item = (usize, u8, &'a str)> {
    lines.iter().enumerate().filter_map(|(at, line)| line.heading().map(|(level, text)| (at, level, text)))
}

/// Returns the outermost level that two of these headings have.
fn level_of_several(headings: &[(usize, u8, &str)]) -> Option<u8> {
    (1..=6).find(|level| headings.iter().filter(|(_, own, _)| own == level).count() >= 2)
}

fn sections(lines: &[Line<'_>], level: u8, unit: &str, chosen: Vec<usize>, warning: Option<String>) -> Found {
    let starts = spread(lines, level, chosen)
        .into_iter()
        .map(|(at, end)| {
            let text = lines[at].heading().map_or("", |(_, text)| text);
            let (label, title) = match number_of(text) {
                Some((number, rest)) => (number.to_string(), plain(rest)),
                None => (String::new(), plain(text)),
            };
            Start { at, end, label, title, is_ticked: is_ticked(text), is_task: false }
        })
        .collect();
    Found { unit: unit.to_owned(), starts, warning }
}

/// Each phase ends where the next begins, or where a heading of its level or a higher one begins something else.
fn spread(lines: &[Line<'_>], level: u8, chosen: Vec<usize>) -> Vec<(usize, usize)> {
    let ends = |at: usize, next: usize| {
        let other = (at + 1..next).find(|other| lines[*other].heading().is_some_and(|(own, _)| own <= level));
        other.unwrap_or(next)
    };
    let nexts = chosen.iter().skip(1).copied().chain([lines.len()]);
    chosen.iter().copied().zip(nexts).map(|(at, next)| (at, ends(at, next))).collect()
}

/// A heading that says what it is.
#[derive(Clone)]
struct Named {
    word: &'static str,
    label: String,
    title: String,
    is_ticked: bool,
}

/// Tells whether a line says that it is a piece of a plan.
pub(super) fn is_unit(text: &str) -> bool {
    named(text).is_some()
}

fn named(original: &str) -> Option<Named> {
    let whole = plain(original);
    let text = number_of(&whole).map_or(whole.as_str(), |(_, rest)| rest);
    let end = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    let word = WORDS.iter().find(|word| text[..end].eq_ignore_ascii_case(word))?;
    let rest = text[end..].trim_start().trim_start_matches('#');
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '.')).unwrap_or(rest.len());
    let number = rest[..end].trim_end_matches('.');
    let is_number =
        !number.is_empty() && (number.starts_with(|c: char| c.is_ascii_digit()) || is_numeral(number));
    let (label, title) = if is_number {
        (format!("{} {number}", capital(word)), &rest[number.len()..])
    } else if rest.starts_with([':', '–', '—']) {
        (String::new(), rest)
    } else {
        return None;
    };
    let title = title.trim_start_matches(|c: char| c.is_whitespace() || ".:)]-–—|/".contains(c)).trim();
    Some(Named { word, label, title: title.to_owned(), is_ticked: is_ticked(original) })
}

/// Tells whether a word is a number: `two`, `IV`, `B`.
fn is_numeral(word: &str) -> bool {
    let roman = word.chars().all(|c| "IVX".contains(c));
    let letter = word.len() == 1 && word.chars().all(|c| c.is_ascii_uppercase());
    roman || letter || NUMERALS.iter().any(|numeral| word.eq_ignore_ascii_case(numeral))
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

/// Returns the number that a heading begins with, and what follows it: `1. `, `2) `, `3 - `, `1.2 `.
fn number_of(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let number = text[..end].trim_end_matches('.');
    let rest = text[end..].trim_start_matches([')', ':']);
    let follows =
        rest.starts_with(' ') && number.len() <= 7 && number.starts_with(|c: char| c.is_ascii_digit());
    let rest = rest.trim_start().trim_start_matches(['-', '–', '—']).trim_start();
    (follows && rest.starts_with(|c: char| !c.is_ascii_digit())).then_some((number, rest))
}

/// Returns the number in a label, when it is a plain one.
pub(super) fn plain_number(label: &str) -> Option<u32> {
    label.rsplit(' ').next()?.parse().ok()
}

/// Returns a line's words without what only decorates them.
pub(super) fn plain(text: &str) -> String {
    let text = text.trim().trim_start_matches(['✅', '✔', '☑', '🚧', '⬜', '🔲', '\u{fe0f}', ' ']);
    let text =
        text.strip_prefix("[x]").or(text.strip_prefix("[X]")).or(text.strip_prefix("[ ]")).unwrap_or(text);
    let kept: String = text.replace("**", "").replace("__", "").replace("~~", "").replace('`', "");
    kept.trim().trim_end_matches(['✅', '✔', '☑', '\u{fe0f}']).trim().trim_end_matches(':').to_owned()
}

fn is_ticked(text: &str) -> bool {
    let lower = text.to_lowercase();
    let says = ["(done)", "(complete)", "(completed)", "(finished)", "[x]", "[done]"]
        .iter()
        .any(|word| lower.contains(word));
    says || text.contains(['✅', '✔', '☑']) || is_struck(text)
}

fn is_struck(text: &str) -> bool {
    text.trim().starts_with("~~") && text.trim().ends_with("~~")
}

fn is_about(text: &str) -> bool {
    let lower = plain(text).to_lowercase();
    let lower = number_of(&lower).map_or(lower.as_str(), |(_, rest)| rest);
    ABOUT.iter().any(|about| {
        lower
            .strip_prefix(about)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphabetic()) || rest == "s")
    })
}
