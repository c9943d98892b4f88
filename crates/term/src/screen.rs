//! What a terminal shows, computed from the bytes it was sent: a model made when somebody looks, and a `render` of a run
//! that may be long over. It must not know about processes or sockets.

use crate::dir::RunDir;
use crate::modes::{ModeScanner, Modes};
use crate::spec::Size;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::num::NonZeroU16;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The most output replayed to make a screen, in bytes. A screen shows its last few kilobytes; this is far more, and at
/// vt100's 88 MB/s still only takes 50 ms.
pub const REPLAY_BYTES_MAX: u64 = 4 << 20;
/// The most output before the replay that is scanned for modes, in bytes. Scanning runs at gigabytes a second.
const MODE_SCAN_BYTES_MAX: u64 = 256 << 20;
/// Where a replay that starts in the middle looks for a line to begin with, in bytes: a half escape sequence or
/// character at the cut would leave rubbish.
const ALIGN_BYTES_MAX: usize = 4096;
/// One read, in bytes.
const READ_BYTES: usize = 64 << 10;
/// The longest unfinished sequence at the end of the output that is sent again to one who goes on from a screen, in
/// bytes. Titles and links are shorter.
const UNFINISHED_BYTES_MAX: usize = 4096;
/// The longest title kept, in characters: it is shown in lists.
const TITLE_CHARS_MAX: usize = 256;

/// What a terminal shows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Screen {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
    /// Where the cursor is: row and column, from 0.
    pub cursor: (u16, u16),
    /// Whether the cursor is shown.
    pub cursor_visible: bool,
    /// Bytes which draw this screen on an empty terminal of the same size, and set its input modes.
    #[serde(skip)]
    pub contents_formatted: Vec<u8>,
    /// The rows as plain text, top first, without trailing blanks.
    pub lines: Vec<String>,
    /// The window title the application set, at most 256 characters, without control characters.
    pub title: Option<String>,
    /// Whether this is the alternate screen.
    pub alternate_screen: bool,
    /// Whether the application wants pastes bracketed.
    pub bracketed_paste: bool,
    /// Where in `output.log` to read on from here. Bytes of an unfinished sequence are before it in the log and after it
    /// for the reader, so that nobody sees half a sequence.
    pub offset: u64,
    /// Whether the child's own process group is in the foreground of the terminal; none when no host was asked.
    #[serde(default)]
    pub foreground: Option<bool>,
}

/// Why there is no screen.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// The output cannot be read.
    #[error("failed to read the output at {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Returns what a terminal of this size shows after the first `upto` bytes of a run's output (all, if none is given),
/// also when the run is over. Only the last [`REPLAY_BYTES_MAX`] are replayed.
///
/// # Errors
/// When the output cannot be read.
pub fn render(dir: &Path, upto: Option<u64>, size: Size) -> Result<Screen, ScreenError> {
    let path = RunDir::new(dir).output();
    let drawn = || -> io::Result<Screen> {
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        let end = upto.unwrap_or(length).min(length);
        let modes = modes_before(&file, end.saturating_sub(REPLAY_BYTES_MAX))?;
        let mut model = Model::new(size);
        model.catch_up(&file, end, modes)?;
        model.screen(&file)
    };
    drawn().map_err(|source| ScreenError::Read { path: path.clone(), source })
}

/// A screen that follows a file.
pub(crate) struct Model {
    parser: vt100::Parser<Title>,
    /// How much of the file it has seen. Of a character that has not come whole it has seen nothing: the parser would lose
    /// what follows one that never does.
    offset: u64,
    size: Size,
}

#[derive(Default)]
struct Title(Option<String>);

impl vt100::Callbacks for Title {
    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        let text = String::from_utf8_lossy(title);
        self.0 = Some(text.chars().filter(|c| !c.is_control()).take(TITLE_CHARS_MAX).collect());
    }
}

impl Model {
    pub fn new(size: Size) -> Self {
        let size = size.clamped();
        let (rows, cols) = sides(size);
        Self { parser: vt100::Parser::new_with_callbacks(rows, cols, 0, Title::default()), offset: 0, size }
    }

    pub fn resize(&mut self, size: Size) {
        self.size = size.clamped();
        let (rows, cols) = sides(self.size);
        self.parser.set_size(rows, cols);
    }

    /// Feeds the file up to this offset. When that is too far, starts again from the tail, with these modes on.
    pub fn catch_up(&mut self, file: &File, upto: u64, modes: Modes) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        let mut align = false;
        if upto < self.offset || upto - self.offset > REPLAY_BYTES_MAX {
            *self = Self::new(self.size);
            self.offset = upto.saturating_sub(REPLAY_BYTES_MAX);
            align = self.offset > 0;
            self.parser.process(prelude(modes, align));
        }
        while self.offset < upto {
            let want = usize::try_from(upto - self.offset).unwrap_or(READ_BYTES).min(READ_BYTES);
            let count = file.read_at(&mut buffer[..want], self.offset)?;
            if count == 0 {
                break;
            }
            let whole = count - half_character(&buffer[..count]);
            if whole == 0 {
                break;
            }
            let start = if std::mem::take(&mut align) { first_line(&buffer[..whole]) } else { 0 };
            self.parser.process(&buffer[start..whole]);
            self.offset += whole as u64;
        }
        Ok(())
    }

    /// Returns the rows as plain text, top first, without trailing blanks.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.parser.screen().rows(0, self.size.cols).map(|row| row.trim_end().to_owned())
    }

    /// Returns the screen as it is now. The file is looked at for a sequence which is not finished yet.
    pub fn screen(&self, file: &File) -> io::Result<Screen> {
        let tail_start = self.offset.saturating_sub(UNFINISHED_BYTES_MAX as u64);
        let mut tail = vec![0; (self.offset - tail_start) as usize];
        file.read_exact_at(&mut tail, tail_start)?;
        let screen = self.parser.screen();
        Ok(Screen {
            rows: self.size.rows,
            cols: self.size.cols,
            cursor: screen.cursor_position(),
            cursor_visible: !screen.hide_cursor(),
            contents_formatted: screen.state_formatted().into_bytes(),
            lines: self.lines().collect(),
            title: self.parser.callbacks().0.clone(),
            alternate_screen: screen.alternate_screen(),
            bracketed_paste: screen.bracketed_paste(),
            offset: self.offset - unfinished(&tail) as u64,
            foreground: None,
        })
    }
}

fn sides(size: Size) -> (NonZeroU16, NonZeroU16) {
    let side = |cells| NonZeroU16::new(cells).unwrap_or(NonZeroU16::MIN);
    (side(size.rows), side(size.cols))
}

/// Sets the modes which were on before the part that is replayed, as far as they are known.
fn prelude(modes: Modes, is_needed: bool) -> &'static [u8] {
    match (is_needed, modes.alternate_screen, modes.bracketed_paste) {
        (false, _, _) | (true, false, false) => b"",
        (true, true, false) => b"\x1b[?1049h",
        (true, false, true) => b"\x1b[?2004h",
        (true, true, true) => b"\x1b[?1049h\x1b[?2004h",
    }
}

fn modes_before(file: &File, end: u64) -> io::Result<Modes> {
    let mut scanner = ModeScanner::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut at = end.saturating_sub(MODE_SCAN_BYTES_MAX);
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(READ_BYTES).min(READ_BYTES);
        let count = file.read_at(&mut buffer[..want], at)?;
        if count == 0 {
            break;
        }
        scanner.feed(&buffer[..count]);
        at += count as u64;
    }
    Ok(scanner.modes())
}

/// Returns where the first whole line starts, or else the first escape sequence, or else the first character.
fn first_line(bytes: &[u8]) -> usize {
    let head = &bytes[..bytes.len().min(ALIGN_BYTES_MAX)];
    let newline = head.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
    let escape = || head.iter().position(|&byte| byte == 0x1b);
    let character = || head.iter().position(|&byte| byte & 0xc0 != 0x80);
    newline.or_else(escape).or_else(character).unwrap_or(0)
}

/// Returns how many bytes at the end are the start of an escape sequence or of a character that has not come whole.
fn unfinished(tail: &[u8]) -> usize {
    if let Some(at) = tail.iter().rposition(|&byte| byte == 0x1b)
        && !is_finished(&tail[at + 1..])
    {
        return tail.len() - at;
    }
    half_character(tail)
}

/// Returns how many bytes at the end are the start of a character that has not come whole.
fn half_character(tail: &[u8]) -> usize {
    // The longest character has four bytes, so an unfinished one at most three.
    for back in 1..=tail.len().min(3) {
        let byte = tail[tail.len() - back];
        let width = match byte {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => 1,
        };
        return if width > back { back } else { 0 };
    }
    0
}

/// Returns whether a sequence is complete, given what follows its ESC (ECMA-48, 5.3 to 5.6).
fn is_finished(after: &[u8]) -> bool {
    match after.first() {
        None => false,
        Some(b'[') => after[1..].iter().any(|byte| (0x40..=0x7e).contains(byte)),
        // Strings end with BEL or ST; the ESC of an ST would have been the later one.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => after.contains(&0x07),
        Some(_) => after.iter().any(|byte| (0x30..=0x7e).contains(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::write;

    const SIZE: Size = Size { rows: 5, cols: 20 };

    fn direct(bytes: &[u8]) -> (String, String) {
        let (rows, cols) = sides(SIZE);
        let mut parser = vt100::Parser::new(rows, cols, 0);
        parser.process(bytes);
        (parser.screen().state_formatted(), parser.screen().contents())
    }

    fn rendered(bytes: &[u8], upto: Option<u64>) -> Screen {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path().join("output.log"), bytes).unwrap();
        render(dir.path(), upto, SIZE).unwrap()
    }

    #[test]
    fn a_screen_after_the_end_is_what_the_terminal_showed() {
        let bytes = "\x1b]2;my title\x07\x1b[31mred\x1b[0m\r\n漢字\x1b[?2004h\x1b[?25l".as_bytes();
        let screen = rendered(bytes, None);
        assert_eq!(String::from_utf8(screen.contents_formatted).unwrap(), direct(bytes).0);
        assert_eq!(screen.lines, ["red", "漢字", "", "", ""]);
        assert_eq!((screen.title.as_deref(), screen.cursor_visible), (Some("my title"), false));
        assert!(screen.bracketed_paste);
        assert_eq!(screen.offset, bytes.len() as u64);
    }

    #[test]
    fn a_screen_and_the_bytes_from_its_offset_make_the_same_screen_wherever_it_was_cut() {
        let bytes =
            "plain \x1b[1;32mgreen\x1b[0m\r\n\x1b]0;t\x07\x1b(0x\x1b(BGrüße 漢字 🛶\x1b[2;3Hmoved".as_bytes();
        for cut in 0..=bytes.len() {
            let screen = rendered(bytes, Some(cut as u64));
            let rest = &bytes[screen.offset as usize..];
            let (rows, cols) = sides(SIZE);
            let mut parser = vt100::Parser::new(rows, cols, 0);
            parser.process(&screen.contents_formatted);
            parser.process(rest);
            assert_eq!(parser.screen().contents(), direct(bytes).1, "cut at {cut}");
        }
    }

    #[test]
    fn a_screen_is_the_same_wherever_a_broken_character_was_cut() {
        // A byte that belongs to no character stands where the parser still looks for the end of one that was cut.
        let bytes = b"a\xe2\x94Gr\xc3\xbc\xc3\x9fe\x80\xe2\x94\x80x\xf0\x9fy\xe2";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        write(&path, bytes).unwrap();
        let file = File::open(path).unwrap();
        let whole = render(dir.path(), None, SIZE).unwrap();
        for cut in 0..bytes.len() as u64 {
            let mut model = Model::new(SIZE);
            for upto in [cut, bytes.len() as u64] {
                model.catch_up(&file, upto, Modes::default()).unwrap();
            }
            assert_eq!(model.screen(&file).unwrap(), whole, "cut at {cut}");
        }
        assert!(whole.lines[0].contains("Grüße"), "{:?}", whole.lines);
    }

    #[test]
    fn a_long_log_is_replayed_from_its_tail_with_the_modes_it_set_at_the_start() {
        let mut bytes = b"\x1b[?1049h\x1b[?2004h".to_vec();
        while bytes.len() < REPLAY_BYTES_MAX as usize + 100_000 {
            bytes.extend_from_slice("zeile äöü\r\n".as_bytes());
        }
        bytes.extend_from_slice(b"\x1b[2J\x1b[Hlast");
        let screen = rendered(&bytes, None);
        assert!(screen.alternate_screen && screen.bracketed_paste, "set four megabytes ago, still on");
        assert_eq!(screen.lines[0], "last");
    }

    #[test]
    fn a_replay_never_starts_inside_a_character_or_sequence() {
        assert_eq!(first_line(b"\xa4\xc3rest"), 1);
        assert_eq!(first_line(b"1;31mx\x1b[0m"), 6);
        assert_eq!(first_line(b"half\nline"), 5);
    }
}
