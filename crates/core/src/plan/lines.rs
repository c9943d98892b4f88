//! The lines of a plan: which are headings, list items, code or words. A small part of Markdown, read as people write it.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What<'a> {
    /// Nothing.
    Blank,
    /// A heading of a level from 1.
    Heading(u8, &'a str),
    /// An item of a list.
    Item(Item<'a>),
    /// A line of a code block, with its language.
    Code(&'a str, &'a str),
    /// The fence of a code block, a comment, front matter, the underline of a heading: it says nothing.
    Mark,
    /// Words.
    Text(&'a str),
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    /// Columns it is indented.
    pub indent: usize,
    /// Its number, in a numbered list.
    pub number: Option<u32>,
    /// Whether it is ticked off, when it is a task.
    pub task: Option<bool>,
    /// Its words.
    pub text: &'a str,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub number: u32,
    /// What it is.
    pub what: What<'a>,
}

impl<'a> Line<'a> {
    pub(super) fn heading(&self) -> Option<(u8, &'a str)> {
        match self.what {
            What::Heading(level, text) => Some((level, text)),
            _ => None,
        }
    }

    pub(super) fn item(&self) -> Option<&Item<'a>> {
        match &self.what {
            What::Item(item) => Some(item),
            _ => None,
        }
    }

    /// Tells whether it is a task, and ticked off.
    pub(super) fn task(&self) -> Option<bool> {
        self.item().and_then(|item| item.task)
    }

    pub(super) fn is_blank(&self) -> bool {
        matches!(self.what, What::Blank | What::Mark)
    }
}

/// All lines, and what was doubtful about them.
pub(super) struct Scan<'a> {
    pub lines: Vec<Line<'a>>,
    pub warnings: Vec<String>,
}

/// Reads a text into lines. Line ends of every system are one: `\r\n`, `\n` and a lone `\r`.
pub(super) fn scan(text: &str) -> Scan<'_> {
    let raw: Vec<&str> = text.split('\n').flat_map(|line| line.trim_end_matches('\r').split('\r')).collect();
    let mut marked = vec![None; raw.len()];
    front_matter(&raw, &mut marked);
    comments(&raw, &mut marked);
    let warnings = fences(&raw, &mut marked);
    let mut lines: Vec<Line<'_>> = Vec::with_capacity(raw.len());
    for ((text, mark), number) in raw.iter().zip(marked).zip(1..) {
        let what = mark.unwrap_or_else(|| read(text));
        if let (Some(level), Some(last)) = (underline(text), lines.last_mut())
            && let What::Text(heading) = last.what
            && matches!(what, What::Text(_) | What::Mark)
        {
            last.what = What::Heading(level, heading.trim());
            lines.push(Line { number, what: What::Mark });
            continue;
        }
        lines.push(Line { number, what });
    }
    Scan { lines, warnings }
}

/// Settings before the text are no part of it.
fn front_matter<'a>(raw: &[&'a str], marked: &mut [Option<What<'a>>]) {
    if raw.first().is_none_or(|line| line.trim_end() != "---") {
        return;
    }
    let end = raw.iter().skip(1).position(|line| matches!(line.trim_end(), "---" | "..."));
    if let Some(end) = end {
        marked[..=end + 1].fill(Some(What::Mark));
    }
}

fn comments<'a>(raw: &[&'a str], marked: &mut [Option<What<'a>>]) {
    let mut inside = false;
    for at in 0..raw.len() {
        let opens = !inside && raw[at].trim_start().starts_with("<!--");
        if opens || inside {
            marked[at] = Some(What::Mark);
            let rest = if opens { raw[at].split_once("<!--").map_or("", |(_, rest)| rest) } else { raw[at] };
            inside = !rest.contains("-->");
        }
    }
    // One that is never closed hides nothing.
    if inside {
        let open = raw.iter().rposition(|line| line.trim_start().starts_with("<!--")).unwrap_or(0);
        marked[open..].fill(None);
    }
}

/// A fence that is never closed is none: half a plan would vanish behind it.
fn fences<'a>(raw: &[&'a str], marked: &mut [Option<What<'a>>]) -> Vec<String> {
    let (mut at, mut warnings) = (0, Vec::new());
    while at < raw.len() {
        let Some((mark, length, language)) = fence(raw[at]).filter(|_| marked[at].is_none()) else {
            at += 1;
            continue;
        };
        let closes = |line: &&str| {
            fence(line)
                .is_some_and(|(other, long, language)| other == mark && long >= length && language.is_empty())
        };
        let Some(inside) = raw[at + 1..].iter().position(closes) else {
            warnings.push(format!("The code fence opened in line {} is never closed.", at + 1));
            marked[at] = Some(What::Mark);
            at += 1;
            continue;
        };
        marked[at] = Some(What::Mark);
        for line in at + 1..=at + inside {
            marked[line] = Some(What::Code(language, raw[line]));
        }
        marked[at + inside + 1] = Some(What::Mark);
        at += inside + 2;
    }
    warnings
}

/// Returns a fence's character, length and language.
fn fence(line: &str) -> Option<(char, usize, &str)> {
    let line = line.trim();
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    let language = line[length..].trim();
    (length >= 3 && !(mark == '`' && language.contains('`'))).then_some((mark, length, language))
}

/// Returns the level that a line of `=` or `-` gives to the words above it.
fn underline(line: &str) -> Option<u8> {
    let line = line.trim_end();
    let of = |mark: char| line.len() >= 2 && line.chars().all(|c| c == mark);
    if of('=') {
        Some(1)
    } else if of('-') {
        Some(2)
    } else {
        None
    }
}

fn read(line: &str) -> What<'_> {
    let text = line.trim();
    if text.is_empty() {
        return What::Blank;
    }
    let indent = line.len() - line.trim_start().len();
    let level = text.chars().take_while(|c| *c == '#').count();
    if (1..=6).contains(&level) && indent < 4 {
        let rest = &text[level..];
        // A closing row of # is decoration; a # that follows no space is a name such as C#.
        let closed = rest.trim_end().trim_end_matches('#');
        let words = if closed.ends_with(' ') { closed } else { rest };
        if rest.is_empty() || rest.starts_with([' ', '\t']) {
            return What::Heading(u8::try_from(level).unwrap_or(6), words.trim());
        }
    }
    item(line, indent).map_or(What::Text(text), What::Item)
}

fn item(line: &str, indent: usize) -> Option<Item<'_>> {
    let text = line.trim();
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, rest) = if let Some(rest) = text.strip_prefix(['-', '*', '+', '•']) {
        (None, rest)
    } else if (1..=4).contains(&digits) {
        (text[..digits].parse().ok(), text[digits..].strip_prefix(['.', ')'])?)
    } else {
        return None;
    };
    let rest = rest.strip_prefix([' ', '\t'])?.trim();
    // A row of marks is a rule, not an item.
    if rest.chars().all(|c| matches!(c, '-' | '*' | ' ')) {
        return None;
    }
    let (task, text) = match rest.get(..3).zip(rest.get(3..)) {
        Some(("[ ]", words)) => (Some(false), words.trim()),
        Some(("[x]" | "[X]", words)) => (Some(true), words.trim()),
        _ => (None, rest),
    };
    Some(Item { indent, number, task, text })
}
