//! What people see: data on stdout, talk on stderr, plain when nobody looks.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::ProgressBar;
use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;

use crate::error::CliError;

/// Width used when there is no terminal to ask.
const WIDTH_DEFAULT: usize = 100;

/// Writes a line of data. A reader that has seen enough (`| head`) ends the program quietly.
pub fn line(text: &str) {
    bytes(format!("{text}\n").as_bytes());
}

/// Writes data as it is.
pub fn bytes(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            talk(&format!("error: Failed to write the output: {error}."));
            std::process::exit(i32::from(oarlock_api::exit::FAILED));
        }
    }
}

/// Ends the program quietly once the reader of its data is gone. For verbs that go on for ever: without this they would
/// find out only when there is something to write.
pub fn end_with_reader() {
    std::thread::spawn(|| {
        let out = io::stdout();
        // Nothing is asked for: a pipe without a reader says so anyhow (poll(2), POLLERR).
        let mut watched = [PollFd::new(&out, PollFlags::empty())];
        if poll(&mut watched, None).is_ok() {
            std::process::exit(0);
        }
    });
}

/// Writes a line of talk. When even stderr is gone there is nobody to tell.
pub fn talk(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// Asks for a line of input: the text stays before the cursor.
pub fn prompt(text: &str) {
    let mut err = io::stderr();
    drop(write!(err, "{text}").and_then(|()| err.flush()));
}

/// Writes a value as JSON, on one line.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(value).map_err(|error| CliError::failed(error.to_string(), ""))?;
    line(&text);
    Ok(())
}

/// Returns text without anything that drives a terminal.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if drives(c) { ' ' } else { c }).collect()
}

/// Tells whether a character drives a terminal, or reorders what is read on it (bidirectional overrides, UAX #9).
pub fn drives(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Cuts text to a number of characters; a cut is shown.
pub fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.into();
    }
    let mut cut: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Returns the terminal's width in columns, or a default when there is none.
pub fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    size.filter(|columns| *columns > 0).unwrap_or(WIDTH_DEFAULT)
}

/// Writes rows under headings, two spaces apart. The last column takes what is left of the line.
pub fn table(headings: &[&str], rows: &[Vec<String>]) {
    let last = headings.len().saturating_sub(1);
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| visible(cell));
            cells.chain([visible(headings[column])]).max().unwrap_or(0)
        })
        .collect();
    let taken: usize = widths[..last].iter().map(|width| width + 2).sum();
    let left = if io::stdout().is_terminal() { width().saturating_sub(taken).max(10) } else { usize::MAX };
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    for row in std::iter::once(&headings).chain(rows) {
        let mut text = String::new();
        for (cell, width) in row[..last].iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width + 2 - visible(cell)));
        }
        text.push_str(&cut(&row[last], left));
        line(text.trim_end());
    }
}

/// Counts the characters of a cell that take a column: all but colours.
fn visible(cell: &str) -> usize {
    let mut in_escape = false;
    let takes_column = |c: &char| {
        let escape = in_escape || *c == '\x1b';
        in_escape = escape && *c != 'm';
        !escape
    };
    cell.chars().filter(takes_column).count()
}

/// Shows on a terminal that something takes its time; gone when dropped.
pub struct Busy(Option<ProgressBar>);

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Begins to show that something is under way, on stderr and only to people.
pub fn busy(what: impl Into<String>) -> Busy {
    if !io::stderr().is_terminal() {
        return Busy(None);
    }
    let bar = ProgressBar::new_spinner().with_message(what.into());
    // Quick answers never flash: the first frame is drawn by the ticker.
    bar.enable_steady_tick(Duration::from_millis(120));
    Busy(Some(bar))
}

/// Returns how long ago a moment was, in the largest unit that fits: `12s`, `3m`, `5h`, `2d`.
pub fn age(rfc3339: &str) -> String {
    let Ok(at) = rfc3339.parse::<jiff::Timestamp>() else { return String::from("?") };
    let ms = jiff::Timestamp::now().as_millisecond() - at.as_millisecond();
    ago(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// Writes how long something took, or has taken so far.
pub fn between(from: &str, to: Option<&str>) -> String {
    let Ok(from) = from.parse::<jiff::Timestamp>() else { return String::from("?") };
    let to = to.and_then(|to| to.parse().ok()).unwrap_or_else(jiff::Timestamp::now);
    let ms = to.as_millisecond() - from.as_millisecond();
    ago(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// Writes a duration in the largest unit that fits.
pub fn ago(time: Duration) -> String {
    match time.as_secs() {
        secs @ 0..60 => format!("{secs}s"),
        secs @ 60..3_600 => format!("{}m", secs / 60),
        secs @ 3_600..86_400 => format!("{}h", secs / 3_600),
        secs => format!("{}d", secs / 86_400),
    }
}

/// Returns a number with its noun, in the plural unless it is one.
pub fn count(number: u32, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_takes_no_column() {
        assert_eq!(visible("\x1b[31mfailed\x1b[0m"), 6);
    }

    #[test]
    fn an_age_is_one_number_and_one_unit() {
        let ago = |secs| ago(Duration::from_secs(secs));
        assert_eq!(
            [ago(0), ago(59), ago(60), ago(3_599), ago(86_399), ago(90_000)],
            ["0s", "59s", "1m", "59m", "23h", "1d"]
        );
    }
}
