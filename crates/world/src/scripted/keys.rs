//! The scripted agent's keyboard: raw mode, bracketed paste, and Enter, as agents with a screen of their own read it.

use std::io::{self, Read, Write};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::termios::{OptionalActions, isatty, tcgetattr, tcsetattr};

const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
/// Longest text taken before Enter, in bytes: above it the oldest is dropped, so that a stuck key costs no memory.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Reads what is typed, and sends each text that Enter ends. The channel closes when the terminal does.
pub(super) fn read_for_ever() -> Receiver<String> {
    let stdin = io::stdin();
    if isatty(&stdin)
        && let Ok(mut modes) = tcgetattr(&stdin)
    {
        modes.make_raw();
        // Without raw mode a line longer than 4 KiB would be cut by the kernel.
        tcsetattr(&stdin, OptionalActions::Now, &modes).ok();
        drop(io::stdout().write_all(b"\x1b[?2004h").and_then(|()| io::stdout().flush()));
    }
    let (send, texts) = mpsc::channel();
    thread::spawn(move || {
        let mut keys = Keys::default();
        let mut piece = [0; 4096];
        while let Ok(count) = io::stdin().read(&mut piece) {
            let closed =
                count == 0 || keys.feed(&piece[..count]).into_iter().any(|text| send.send(text).is_err());
            if closed {
                return;
            }
        }
    });
    texts
}

/// Splits typed bytes into texts.
#[derive(Default)]
pub(crate) struct Keys {
    line: Vec<u8>,
    pasting: bool,
}

impl Keys {
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut texts = Vec::new();
        for byte in bytes {
            let enter = !self.pasting && (*byte == b'\r' || *byte == b'\n');
            if enter {
                texts.push(String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned());
                continue;
            }
            self.line.push(*byte);
            for (mark, begins) in [(PASTE_BEGIN, true), (PASTE_END, false)] {
                if self.line.ends_with(mark) {
                    self.line.truncate(self.line.len() - mark.len());
                    self.pasting = begins;
                }
            }
            if self.line.len() > LINE_BYTES_MAX {
                self.line.drain(..LINE_BYTES_MAX / 2);
            }
        }
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paste_is_one_text_whatever_lines_it_holds() {
        let typed = b"\x1b[200~one\ntwo\rthree\x1b[201~\rnext\r";
        for cut in 0..typed.len() {
            let mut keys = Keys::default();
            let mut texts = keys.feed(&typed[..cut]);
            texts.extend(keys.feed(&typed[cut..]));
            assert_eq!(texts, ["one\ntwo\rthree", "next"], "cut at {cut}");
        }
    }
}
