//! Bytes of a pipe, cut into lines: none longer than a bound, each byte looked at once. It must not know what a line says.

/// Longest line taken, in bytes: agents put whole files and pictures into one. What is longer is skipped whole.
pub(super) const LINE_BYTES_MAX: usize = 64 << 20;

/// What was read of a stream and is no whole line yet.
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where the first line begins that was not given yet.
    start: usize,
    /// Up to where no line's end is.
    looked: usize,
    /// Whether the rest of a line is skipped that was too long.
    skipping: bool,
    max: usize,
}

/// What comes out of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// A line that was too long begins here, and is not given.
    TooLong,
}

impl Lines {
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, looked: 0, skipping: false, max }
    }

    /// Takes in bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        // What was given is dropped once it is the bigger half, so that a byte is moved once at most on the whole.
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.looked -= self.start;
            self.start = 0;
            if self.bytes.is_empty() && self.bytes.capacity() > 1 << 20 {
                // One long line does not keep its room for ever.
                self.bytes = Vec::new();
            }
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next line, if it is whole. A carriage return before the line's end is a part of the end.
    pub(super) fn next(&mut self) -> Option<Cut<'_>> {
        loop {
            let Some(found) = self.bytes[self.looked..].iter().position(|byte| *byte == b'\n') else {
                self.looked = self.bytes.len();
                let is_too_long = !self.skipping && self.looked - self.start > self.max;
                if self.skipping || is_too_long {
                    self.start = self.looked;
                    self.skipping = true;
                }
                return is_too_long.then_some(Cut::TooLong);
            };
            let (start, end) = (self.start, self.looked + found);
            self.start = end + 1;
            self.looked = self.start;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            let line = &self.bytes[start..end];
            if line.len() > self.max {
                return Some(Cut::TooLong);
            }
            return Some(Cut::Line(line.strip_suffix(b"\r").unwrap_or(line)));
        }
    }

    /// Returns what is left when the stream is over: a last line without an end.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let rest = if self.skipping { Vec::new() } else { self.bytes.split_off(self.start) };
        *self = Self::new(self.max);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines, out: &mut Vec<String>) {
        while let Some(cut) = lines.next() {
            out.push(match cut {
                Cut::Line(line) => String::from_utf8_lossy(line).into_owned(),
                Cut::TooLong => "<too long>".into(),
            });
        }
    }

    #[test]
    fn lines_are_the_same_wherever_the_stream_is_cut() {
        let text = "one\n\nz\u{e9}ro\r\nmuch too long a line\nlast\nrest".as_bytes();
        for cut in 0..text.len() {
            let (mut lines, mut out) = (Lines::new(10), Vec::new());
            for piece in [&text[..cut], &text[cut..]] {
                lines.push(piece);
                all(&mut lines, &mut out);
            }
            assert_eq!(out, ["one", "", "z\u{e9}ro", "<too long>", "last"], "cut at {cut}");
            assert_eq!(lines.rest(), b"rest");
        }
    }

    #[test]
    fn a_line_without_an_end_keeps_no_more_than_its_bound() {
        let mut lines = Lines::new(1000);
        let mut out = Vec::new();
        for _ in 0..1000 {
            lines.push(&[b'x'; 500]);
            all(&mut lines, &mut out);
            assert!(lines.bytes.len() <= 2000, "{} bytes are kept", lines.bytes.len());
        }
        lines.push(b"\nnext\n");
        all(&mut lines, &mut out);
        assert_eq!(out, ["<too long>", "next"]);
    }
}
