//! A terminal's bytes on their way to a screen: whatever a program writes, a screen of the right size comes out, the same however
//! the bytes came, and nothing in its text drives the terminal of whoever looks.

use std::cell::OnceCell;
use std::fs::File;
use std::num::NonZeroU16;

use oarlock_term::fuzzing::{modes_in_pieces, screen_in_pieces};
use oarlock_term::{Screen, Size, render};
use tempfile::TempDir;

use super::pieces;

/// The longest title kept, in characters.
const TITLE_CHARS_MAX: usize = 256;
/// The most bytes before the end that a reader is sent again.
const UNFINISHED_BYTES_MAX: usize = 4096;

thread_local! {
    static RUN: OnceCell<TempDir> = const { OnceCell::new() };
}

/// The first two bytes are the size; the rest is cut into pieces.
pub fn run(data: &[u8]) {
    let &[rows, cols, ref data @ ..] = data else { return };
    let size = Size { rows: u16::from(rows), cols: u16::from(cols) };
    let (pieces, whole) = pieces(data);
    let modes = modes_in_pieces(pieces.iter().copied());
    assert_eq!(modes, modes_in_pieces([whole]), "modes are the same however the bytes are cut");
    RUN.with(|run| {
        let run = run.get_or_init(|| tempfile::tempdir().expect("there is room for a folder"));
        let path = run.path().join("output.log");
        std::fs::write(&path, whole).expect("there is room for a file");
        let screen = render(run.path(), None, size).expect("the file is there");
        is_a_screen(&screen, size, whole);
        let file = File::open(&path).expect("the file is there");
        let ends = pieces.iter().scan(0, |end, piece| {
            *end += piece.len() as u64;
            Some(*end)
        });
        let ends: Vec<u64> = ends.collect();
        let watched = screen_in_pieces(&file, &ends, size).expect("the file is there");
        assert_eq!(watched, screen, "a screen is the same however the bytes came");
        drawn_again(&screen);
    });
}

fn is_a_screen(screen: &Screen, size: Size, whole: &[u8]) {
    let size = size.clamped();
    assert_eq!((screen.rows, screen.cols), (size.rows, size.cols));
    assert_eq!(screen.lines.len(), usize::from(size.rows));
    // A column after the last is where the cursor waits for the next character.
    assert!(screen.cursor.0 < size.rows && screen.cursor.1 <= size.cols, "{:?}", screen.cursor);
    for line in &screen.lines {
        assert!(!line.contains(char::is_control), "{line:?} would drive a terminal");
    }
    if let Some(title) = &screen.title {
        assert!(title.chars().count() <= TITLE_CHARS_MAX && !title.contains(char::is_control), "{title:?}");
    }
    let length = whole.len() as u64;
    assert!(screen.offset <= length && length - screen.offset <= UNFINISHED_BYTES_MAX as u64);
}

/// What draws the screen on an empty terminal draws the same screen.
fn drawn_again(screen: &Screen) {
    let side = |cells| NonZeroU16::new(cells).expect("a screen has cells");
    let mut terminal = vt100::Parser::new(side(screen.rows), side(screen.cols), 0);
    terminal.process(&screen.contents_formatted);
    let lines = terminal.screen().rows(0, screen.cols).map(|row| row.trim_end().to_owned());
    assert_eq!(lines.collect::<Vec<_>>(), screen.lines, "{:?}", screen.contents_formatted);
}
