//! Rust, read just closely enough: which characters are code, and which lines are tests.
//!
//! It must not judge. It relies on rustfmt's layout: a block ends at its own indentation.

use super::File;

/// A line of Rust.
pub struct Line {
    /// As it stands in the file.
    pub raw: String,
    /// The same with comments and the insides of literals blanked.
    pub code: String,
    /// Whether only tests compile it.
    pub test: bool,
}

/// A Rust file.
pub struct Source {
    /// Its path, relative to the root.
    pub path: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

impl Source {
    /// Reads a file.
    pub fn read(file: &File) -> Self {
        let code = blank(&file.text);
        let mut lines: Vec<Line> = file
            .text
            .lines()
            .zip(code.lines())
            .map(|(raw, code)| Line { raw: raw.to_owned(), code: code.to_owned(), test: false })
            .collect();
        mark_tests(&mut lines);
        if in_tests_folder(&file.path) {
            lines.iter_mut().for_each(|line| line.test = true);
        }
        Self { path: file.path.clone(), lines }
    }

    /// Returns the lines with their numbers, from 1.
    pub fn numbered(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Returns the modules in other files that only tests compile: `#[cfg(test)] mod name;`.
    fn test_modules(&self) -> Vec<String> {
        let declared = self.lines.iter().filter(|line| line.test).filter_map(|line| {
            let words = line.code.trim().trim_start_matches("pub ");
            words.strip_prefix("mod ")?.strip_suffix(';')
        });
        let beside = match self.path.rsplit_once('/') {
            Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        };
        declared.map(|name| format!("{beside}/{name}")).collect()
    }
}

fn in_tests_folder(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "benches")
}

/// Marks the files that other files declare as modules of tests.
pub fn mark_test_files(sources: &mut [Source]) {
    let modules: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in sources {
        let inside = |module: &String| {
            source.path == format!("{module}.rs") || source.path.starts_with(&format!("{module}/"))
        };
        if modules.iter().any(inside) {
            source.lines.iter_mut().for_each(|line| line.test = true);
        }
    }
}

/// Marks what stands under `#[cfg(test)]`.
fn mark_tests(lines: &mut [Line]) {
    let mut index = 0;
    while index < lines.len() {
        let code = &lines[index].code;
        let is_marker = code.trim().starts_with("#[cfg(test)]") || code.trim().starts_with("#[cfg(all(test");
        if !is_marker {
            index += 1;
            continue;
        }
        let indent = code.len() - code.trim_start().len();
        let end = end_of_item(lines, index, indent);
        lines[index..=end].iter_mut().for_each(|line| line.test = true);
        index = end + 1;
    }
}

/// Returns the last line of the item whose attribute stands at `start`.
fn end_of_item(lines: &[Line], start: usize, indent: usize) -> usize {
    let closing = format!("{}}}", " ".repeat(indent));
    let mut opened = false;
    for (index, line) in lines.iter().enumerate().skip(start) {
        let code = line.code.trim_end();
        let attribute = code.trim_start().starts_with("#[");
        if !opened && !attribute && code.ends_with([';', ',']) {
            return index;
        }
        opened |= !attribute && code.ends_with('{');
        // A closing brace alone ends the block; with a comma it ends a field or an arm.
        if opened && (code == closing || code.strip_suffix([',', ';']) == Some(&closing)) {
            return index;
        }
        if !opened && !attribute && code.ends_with('}') {
            return index;
        }
    }
    lines.len() - 1
}

/// Returns the text with comments and the insides of string and character literals replaced by blanks.
pub fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let (length, kind) = piece(&chars, at);
        for &c in &chars[at..at + length] {
            out.push(if kind == Kind::Code || c == '\n' { c } else { ' ' });
        }
        at += length;
    }
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Other,
}

/// Returns how many characters from `at` on belong together, and what they are.
fn piece(chars: &[char], at: usize) -> (usize, Kind) {
    let get = |offset: usize| chars.get(at + offset).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let until = |from: usize, test: &dyn Fn(usize) -> bool| {
        (from..=chars.len() - at).find(|&n| at + n >= chars.len() || test(n)).unwrap_or(from)
    };
    match (get(0), get(1)) {
        ('/', '/') => (until(2, &|n| get(n) == '\n'), Kind::Other),
        ('/', '*') => (comment_length(&chars[at..]), Kind::Other),
        ('"', _) => (string_length(&chars[at..]), Kind::Other),
        ('r', '"' | '#') if at == 0 || !is_word(chars[at - 1]) || prefixed(chars, at) => {
            match raw_length(&chars[at..]) {
                Some(length) => (length, Kind::Other),
                None => (1, Kind::Code),
            }
        }
        ('\'', '\\') => ((until(3, &|n| get(n) == '\'') + 1).min(chars.len() - at), Kind::Other),
        ('\'', _) if get(2) == '\'' => (3, Kind::Other),
        _ => (1, Kind::Code),
    }
}

/// Tells whether the `r` at a place belongs to `br"…"` or `cr"…"`.
fn prefixed(chars: &[char], at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).map(|index| chars[index]);
    matches!(before(1), Some('b' | 'c')) && before(2).is_none_or(|c| !c.is_alphanumeric() && c != '_')
}

fn comment_length(chars: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

fn string_length(chars: &[char]) -> usize {
    let mut at = 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn raw_length(chars: &[char]) -> Option<usize> {
    let hashes = chars[1..].iter().take_while(|c| **c == '#').count();
    if chars.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let begun = 2 + hashes;
    let closes = |at: &usize| {
        chars[*at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    Some((begun..chars.len()).find(closes).map_or(chars.len(), |at| at + 1 + hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test_lines(text: &str) -> Vec<usize> {
        let source = Source::read(&File { path: "src/a.rs".into(), text: text.into() });
        source.numbered().filter(|(_, line)| line.test).map(|(number, _)| number).collect()
    }

    #[test]
    fn literals_and_comments_are_blanked_and_lines_stay() {
        assert_eq!(blank("a(); // todo\nb"), "a();        \nb");
        assert_eq!(blank("x /* a /* b */ c */ y"), "x                   y");
        assert_eq!(blank(r#"f("a\"b", 'c', '\'', 'x)"#), r#"f(      ,    ,     , 'x)"#);
        assert_eq!(blank("r#\"a\"b\"# z"), "         z");
        assert_eq!(blank("br\"a\" c"), "b     c");
        assert_eq!(blank("r#fn + var\"s\""), "r#fn + var   ");
        assert_eq!(blank("\"open"), "     ", "an unfinished literal ends with the file");
    }

    #[test]
    fn a_module_of_tests_ends_at_its_brace() {
        assert_eq!(
            test_lines("fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n"),
            [2, 3, 4, 5, 6]
        );
        assert_eq!(
            test_lines("impl A {\n    #[cfg(test)]\n    fn b() {\n        x();\n    }\n    fn c() {}\n}\n"),
            [2, 3, 4, 5]
        );
        assert_eq!(test_lines("#[cfg(test)]\nuse a::b;\nfn c() {}\n"), [1, 2]);
    }

    #[test]
    fn a_module_of_tests_in_a_file_of_its_own_is_known() {
        let file = |path: &str, text: &str| Source::read(&File { path: path.into(), text: text.into() });
        let mut sources = vec![
            file("src/lib.rs", "#[cfg(test)]\nmod tests;\nmod real;\n"),
            file("src/tests.rs", "fn a() {}\n"),
            file("src/tests/deep.rs", "fn a() {}\n"),
            file("src/real.rs", "fn a() {}\n#[cfg(test)]\nmod proof;\n"),
            file("src/real/proof.rs", "fn a() {}\n"),
        ];
        mark_test_files(&mut sources);
        let tests: Vec<bool> = sources.iter().map(|source| source.lines[0].test).collect();
        assert_eq!(tests, [true, true, true, false, true]);
    }
}
