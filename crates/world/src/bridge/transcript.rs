//! What a person sees of a bridge: the agent's words and deeds, one below the other, and the draft of what is typed, which
//! stays below them. Everything but the draft is written once and never drawn again, so that it reads as well from a log.

use oarlock_agents::drive::Show;
use oarlock_core::text;

use super::wrap::{Style, Wrap};

/// Widest text, in columns: longer lines are hard to read.
const TEXT_COLUMNS_MAX: usize = 100;
/// Lines shown of what a tool gave.
const OUTPUT_LINES_MAX: usize = 6;
/// Lines shown of a thought.
const THOUGHT_LINES_MAX: usize = 4;
/// Characters shown of one piece, so that a flood is one no longer on the screen.
const PIECE_CHARS_MAX: usize = 64 * 1024;
/// Characters shown of a line that is not to be wrapped.
const LINE_CHARS_MAX: usize = 400;
/// Rows shown of a draft: of a longer one, its end.
const DRAFT_ROWS_MAX: usize = 8;

const TOLD: Style = Style { marker: "› ", indent: 2, colour: "1" };
const WORDS: Style = Style { marker: "", indent: 2, colour: "" };
const THOUGHT: Style = Style { marker: "", indent: 2, colour: "2;3" };
const TOOL: Style = Style { marker: "· ", indent: 2, colour: "2" };
const OUTPUT: Style = Style { marker: "", indent: 4, colour: "2" };
const ASKS: Style = Style { marker: "? ", indent: 2, colour: "1;33" };
const HINT: Style = Style { marker: "", indent: 2, colour: "2" };
const NOTE: Style = Style { marker: "- ", indent: 2, colour: "2" };
const DRAFT: Style = Style { marker: "› ", indent: 2, colour: "" };

/// The transcript as far as it is written, and the draft as it is drawn below it.
pub(super) struct Transcript {
    /// What is to be written.
    body: String,
    /// The block under way: words of which more may come.
    open: Option<Wrap>,
    /// How the last block looked.
    last: Option<Style>,
    width: usize,
    draft: String,
    drawn: Option<Drawn>,
}

/// A draft on the screen.
struct Drawn {
    text: String,
    /// Rows from its first to the one the cursor is in.
    rows_below: usize,
    /// The column the cursor is in.
    column: usize,
    /// The column that the transcript goes on at, in the row above: 0 when the draft began a row.
    above: usize,
}

impl Transcript {
    /// Makes an empty one for a terminal of so many columns.
    pub(super) fn new(columns: usize) -> Self {
        let width = text_width(columns);
        Self { body: String::new(), open: None, last: None, width, draft: String::new(), drawn: None }
    }

    /// Takes note of the terminal's columns.
    pub(super) fn set_columns(&mut self, columns: usize) {
        self.width = text_width(columns);
        if let Some(open) = &mut self.open {
            open.set_width(self.width);
        }
    }

    /// Adds a piece.
    pub(super) fn show(&mut self, show: &Show) {
        match show {
            Show::Told(words) => self.block(TOLD, &text::clean(words)),
            Show::Words { text, whole } => self.words(text, *whole),
            Show::Thought(words) => self.block(THOUGHT, &first_lines(words, THOUGHT_LINES_MAX)),
            Show::Tool(words) => self.block(TOOL, &text::line(words, LINE_CHARS_MAX)),
            Show::Output(words) => self.block(OUTPUT, &first_lines(words, OUTPUT_LINES_MAX)),
            Show::Asks(words) => self.block(ASKS, &text::clean(words)),
            Show::Note(words) => self.note(words),
        }
    }

    /// Adds a word of the bridge's own.
    pub(super) fn note(&mut self, words: &str) {
        self.block(NOTE, &text::clean(words));
    }

    /// Adds how a question is answered, below it.
    pub(super) fn hint(&mut self, words: &str) {
        self.block(HINT, words);
    }

    /// Sets the draft.
    pub(super) fn set_draft(&mut self, draft: &str) {
        self.draft = text::clean(draft);
    }

    fn words(&mut self, words: &str, whole: bool) {
        if self.open.is_none() && words.trim().is_empty() {
            return;
        }
        // A paragraph's blank edges are the space between blocks, which is there already.
        let begins = self.open.is_none();
        let cleaned = text::clean(&cut(words));
        let words = if begins { cleaned.trim_start_matches('\n') } else { &cleaned };
        let words = if whole { words.trim_end() } else { words };
        if begins {
            self.space(WORDS);
            self.open = Some(Wrap::new(WORDS, self.width));
        }
        if let Some(open) = &mut self.open {
            open.push(words, &mut self.body);
        }
        if whole {
            self.end_words();
        }
    }

    fn end_words(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.end(&mut self.body);
        }
    }

    fn block(&mut self, style: Style, words: &str) {
        self.end_words();
        let words = cut(words);
        let words = words.trim_matches('\n').trim_end();
        if words.is_empty() {
            return;
        }
        self.space(style);
        let mut wrap = Wrap::new(style, self.width);
        wrap.push(words, &mut self.body);
        wrap.end(&mut self.body);
    }

    /// Parts a block from the last one by a blank line, unless they belong together.
    fn space(&mut self, next: Style) {
        let works = |style: Style| style == TOOL || style == OUTPUT;
        let belongs =
            |last: Style| (works(last) && works(next)) || next == HINT || (last == NOTE && next == NOTE);
        if self.last.is_some_and(|last| !belongs(last)) {
            self.body.push_str("\r\n");
        }
        self.last = Some(next);
    }

    /// Ends the block under way and takes the draft away: nothing is drawn after this.
    pub(super) fn close(&mut self) -> String {
        self.end_words();
        self.draft.clear();
        self.draw()
    }

    /// Returns what is to be written to the terminal, at once: what came, and the draft below it. Empty when it shows all.
    pub(super) fn draw(&mut self) -> String {
        let is_drawn = self.drawn.as_ref().map_or("", |drawn| drawn.text.as_str()) == self.draft;
        if self.body.is_empty() && is_drawn {
            return String::new();
        }
        if self.body.is_empty()
            && let Some(more) = self.more_of_the_draft()
        {
            return more;
        }
        let mut out = String::new();
        if let Some(drawn) = self.drawn.take() {
            let up = drawn.rows_below + usize::from(drawn.above > 0);
            if up > 0 {
                out.push_str(&format!("\x1b[{up}A"));
            }
            // Columns count from 1.
            out.push_str(&format!("\x1b[{}G\x1b[J", drawn.above + 1));
            if let Some(open) = self.open.as_ref().filter(|open| open.column() > 0) {
                out.push_str(&open.colour());
            }
        }
        out.push_str(&std::mem::take(&mut self.body));
        if !self.draft.is_empty() {
            self.draw_draft(&mut out);
        }
        out
    }

    /// Returns what goes on with the draft as it is drawn, when that is all there is to do: a key pressed at its end.
    fn more_of_the_draft(&mut self) -> Option<String> {
        let drawn = self.drawn.as_mut()?;
        let more = self.draft.strip_prefix(&drawn.text)?;
        let columns = unicode_width::UnicodeWidthStr::width(more);
        let fits = drawn.column + columns < self.width && !more.contains(['\n', '\t']);
        if !fits {
            return None;
        }
        let more = more.to_owned();
        drawn.text.push_str(&more);
        drawn.column += columns;
        Some(more)
    }

    fn draw_draft(&mut self, out: &mut String) {
        let above = self.open.as_ref().map_or(0, Wrap::column);
        if above > 0 {
            out.push_str("\x1b[0m\r\n");
        }
        let mut rows = String::new();
        let mut wrap = Wrap::new(DRAFT, self.width);
        wrap.push(&self.draft, &mut rows);
        // A mark that no character of the draft is, so that blanks before the cursor are drawn, too.
        wrap.push("\u{1}", &mut rows);
        let column = wrap.end_here(&mut rows);
        let rows = rows.replace('\u{1}', "");
        let all: Vec<&str> = rows.split("\r\n").collect();
        let shown = &all[all.len().saturating_sub(DRAFT_ROWS_MAX)..];
        if shown.len() < all.len() {
            out.push_str("… ");
            out.push_str(shown[0].trim_start());
        } else {
            out.push_str(shown[0]);
        }
        shown[1..].iter().for_each(|row| {
            out.push_str("\r\n");
            out.push_str(row);
        });
        self.drawn = Some(Drawn { text: self.draft.clone(), rows_below: shown.len() - 1, column, above });
    }
}

fn text_width(columns: usize) -> usize {
    // The last column stays free: some terminals go to the next row after it, and some do not.
    columns.saturating_sub(1).clamp(20, TEXT_COLUMNS_MAX)
}

/// Returns a text up to a bound, with a mark where it was cut.
fn cut(words: &str) -> String {
    match words.char_indices().nth(PIECE_CHARS_MAX) {
        None => words.into(),
        Some((end, _)) => format!("{}… ({} bytes more)", &words[..end], words.len() - end),
    }
}

/// Returns the first lines of a text, each cut, and how many are left.
fn first_lines(words: &str, lines_max: usize) -> String {
    let cleaned = text::clean(&cut(words));
    let mut lines: Vec<String> =
        cleaned.trim().lines().take(lines_max).map(|line| text::line(line, LINE_CHARS_MAX)).collect();
    let left = cleaned.trim().lines().count().saturating_sub(lines_max);
    if left > 0 {
        lines.push(format!("… {}", text::count(u32::try_from(left).unwrap_or(u32::MAX), "more line")));
    }
    lines.join("\n")
}
