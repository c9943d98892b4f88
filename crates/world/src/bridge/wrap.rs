//! Words on lines of a terminal: wrapped between words, indented, piece by piece as they come. Plain text in, and nothing
//! that operates a terminal out but line ends and colours. It must not know what the words are.

use unicode_width::UnicodeWidthChar;

/// Columns from one tab stop to the next.
const TAB: usize = 4;

/// How a block of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// What stands before its first line, which is as wide as the indent of the others.
    pub marker: &'static str,
    /// Columns before each line.
    pub indent: usize,
    /// The colour of its marker and of its text, as SGR parameters (ECMA-48); empty for none.
    pub colour: &'static str,
}

/// Writes a block of text.
pub(super) struct Wrap {
    style: Style,
    width: usize,
    /// Columns used of the line under way; 0 when none is.
    column: usize,
    is_first: bool,
    spaces: usize,
    word: String,
    word_width: usize,
}

impl Wrap {
    /// Begins a block; lines have at most `width` columns.
    pub(super) fn new(style: Style, width: usize) -> Self {
        // On a terminal that is all margin, text is cut into columns of a few characters rather than none.
        let width = width.max(style.indent + 8);
        Self { style, width, column: 0, is_first: true, spaces: 0, word: String::new(), word_width: 0 }
    }

    /// Returns the columns used of the line under way.
    pub(super) fn column(&self) -> usize {
        self.column
    }

    /// Takes another width for the lines to come.
    pub(super) fn set_width(&mut self, width: usize) {
        self.width = width.max(self.style.indent + 8);
    }

    /// Returns what sets the colour of the line under way again, after something else was drawn.
    pub(super) fn colour(&self) -> String {
        sgr(self.style.colour)
    }

    /// Writes more text. Its last word waits for the next piece, which may go on with it.
    pub(super) fn push(&mut self, text: &str, out: &mut String) {
        for c in text.chars() {
            match c {
                '\n' => {
                    self.end_word(out);
                    self.end_line(out);
                }
                ' ' | '\t' => {
                    self.end_word(out);
                    self.spaces += if c == '\t' { TAB } else { 1 };
                }
                c => self.character(c, out),
            }
        }
    }

    fn character(&mut self, c: char, out: &mut String) {
        let width = c.width().unwrap_or(0);
        // Scripts without spaces may be broken anywhere.
        let stands_alone = width == 2;
        if stands_alone || self.style.indent + self.word_width + width > self.width {
            self.end_word(out);
        }
        self.word.push(c);
        self.word_width += width;
        if stands_alone {
            self.end_word(out);
        }
    }

    /// Ends the block: nothing of it waits any more, and its last line is ended.
    pub(super) fn end(&mut self, out: &mut String) {
        self.end_word(out);
        if self.column > 0 || self.is_first {
            self.end_line(out);
        }
    }

    /// Writes what waits and leaves the line open. Returns the columns used of it.
    pub(super) fn end_here(&mut self, out: &mut String) -> usize {
        self.end_word(out);
        self.column
    }

    fn end_word(&mut self, out: &mut String) {
        if self.word.is_empty() {
            return;
        }
        if self.column > self.style.indent && self.column + self.spaces + self.word_width > self.width {
            self.end_line(out);
        }
        self.begin_line(out);
        let fits = self.column + self.spaces + self.word_width <= self.width;
        // Spaces that begin a line are layout, such as that of code; those at a break are not.
        let spaces = if fits { self.spaces } else { 0 };
        out.extend(std::iter::repeat_n(' ', spaces));
        out.push_str(&self.word);
        self.column += spaces + self.word_width;
        self.spaces = 0;
        self.word.clear();
        self.word_width = 0;
    }

    fn begin_line(&mut self, out: &mut String) {
        if self.column > 0 {
            return;
        }
        let marker = if std::mem::take(&mut self.is_first) { self.style.marker } else { "" };
        out.push_str(&sgr(self.style.colour));
        out.push_str(marker);
        out.extend(std::iter::repeat_n(' ', self.style.indent.saturating_sub(marker.chars().count())));
        self.column = self.style.indent.max(1);
    }

    fn end_line(&mut self, out: &mut String) {
        if self.is_first {
            self.begin_line(out);
        }
        if self.column > 0 && !self.style.colour.is_empty() {
            out.push_str("\x1b[0m");
        }
        out.push_str("\r\n");
        self.column = 0;
        self.spaces = 0;
    }
}

fn sgr(colour: &str) -> String {
    if colour.is_empty() { String::new() } else { format!("\x1b[{colour}m") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { marker: "> ", indent: 2, colour: "" };

    fn wrapped(text: &str, width: usize) -> String {
        let mut whole = String::new();
        let mut wrap = Wrap::new(PLAIN, width);
        wrap.push(text, &mut whole);
        wrap.end(&mut whole);
        for (cut, _) in text.char_indices() {
            let mut out = String::new();
            let mut wrap = Wrap::new(PLAIN, width);
            wrap.push(&text[..cut], &mut out);
            wrap.push(&text[cut..], &mut out);
            wrap.end(&mut out);
            assert_eq!(out, whole, "in two pieces, cut at {cut}");
        }
        whole.replace("\r\n", "|")
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three", 12), "> one two|  three|");
        assert_eq!(wrapped("one  two", 12), "> one  two|");
        assert_eq!(wrapped("one\n\n    code", 20), "> one||      code|");
        assert_eq!(wrapped("", 20), "> |");
        assert_eq!(wrapped("tail\n", 20), "> tail|");
    }

    #[test]
    fn what_is_longer_than_a_line_is_cut_and_wide_characters_count_twice() {
        assert_eq!(wrapped("abcdefghijklmnop", 12), "> abcdefghij|  klmnop|");
        assert_eq!(wrapped("漢字漢字漢字", 12), "> 漢字漢字漢|  字|");
        assert_eq!(wrapped("é e\u{301}e\u{301}", 12), "> é e\u{301}e\u{301}|");
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        let text =
            "The quick brown fox, 漢字 and all, jumps over\n\tthe-lazy-dog-that-has-a-very-long-name again";
        for width in 10..80 {
            for line in wrapped(text, width).split('|') {
                let columns: usize = line.chars().filter_map(UnicodeWidthChar::width).sum();
                assert!(columns <= width, "{line:?} is wider than {width}");
            }
        }
    }
}
