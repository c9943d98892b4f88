//! What is typed at a bridge, by a person or by the host: keys, pastes and commands. It draws nothing and answers nothing.

use super::command::{self, Command, PREFIX};

const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
/// Longest draft, in bytes. A command of 512 KiB is at most 3 MiB when every character of it is escaped.
const DRAFT_BYTES_MAX: usize = 4 << 20;

/// What came of typing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// A command.
    Command(Command),
    /// Something that began as a command and is none.
    BadCommand,
    /// A text that a person sent with Enter; empty for Enter alone.
    Text(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D on an empty line.
    Leave,
    /// More was typed than is taken: the draft was dropped.
    TooLong,
}

/// Where in an escape sequence the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    /// After ESC.
    Begun,
    /// In a control sequence, which a byte from `@` to `~` ends.
    Sequence,
    /// After ESC O: one byte follows.
    Single,
}

/// Splits typed bytes into what they mean, and holds the draft of a person's line.
pub(super) struct Keys {
    draft: Vec<u8>,
    escape: Escape,
    sequence: Vec<u8>,
    /// Bytes of a paste under way, its end mark included.
    paste: Option<Vec<u8>>,
    /// Whether the paste under way is too long, and what is left of it is dropped.
    paste_is_dropped: bool,
    /// Whether the next Enter belongs to a command that was pasted.
    enter_is_spent: bool,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self {
            draft: Vec::new(),
            escape: Escape::None,
            sequence: Vec::new(),
            paste: None,
            paste_is_dropped: false,
            enter_is_spent: false,
        }
    }

    /// Returns the draft as far as it is a person's: nothing of what begins as a command.
    pub(super) fn draft(&self) -> std::borrow::Cow<'_, str> {
        if self.draft.starts_with(PREFIX.as_bytes()) {
            return "".into();
        }
        // The first bytes of a character wait for the rest.
        let whole = match std::str::from_utf8(&self.draft) {
            Err(error) if error.error_len().is_none() => &self.draft[..error.valid_up_to()],
            _ => &self.draft[..],
        };
        String::from_utf8_lossy(whole)
    }

    /// Puts a text back that was sent and cannot be used yet.
    pub(super) fn put_back(&mut self, text: &str) {
        self.draft = text.as_bytes().to_vec();
    }

    /// Drops the draft, and returns whether there was any.
    pub(super) fn clear(&mut self) -> bool {
        !std::mem::take(&mut self.draft).is_empty()
    }

    /// Takes in typed bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut typed = Vec::new();
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if let Some(paste) = &mut self.paste {
                // Up to where the end mark may end, all at once.
                let end = rest.iter().position(|byte| *byte == b'~').map_or(rest.len(), |at| at + 1);
                paste.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
                self.look_for_the_end(&mut typed);
                continue;
            }
            rest = after;
            self.byte(byte, &mut typed);
        }
        typed
    }

    fn look_for_the_end(&mut self, typed: &mut Vec<Typed>) {
        let Some(paste) = &mut self.paste else { return };
        if paste.ends_with(PASTE_END) {
            paste.truncate(paste.len() - PASTE_END.len());
            let paste = self.paste.take().unwrap_or_default();
            if std::mem::take(&mut self.paste_is_dropped) {
                self.enter_is_spent = true;
            } else {
                self.pasted(&paste, typed);
            }
        } else if paste.len() > DRAFT_BYTES_MAX {
            // Its end mark is still looked for, so that what follows is not taken for keys.
            paste.drain(..paste.len() - PASTE_END.len());
            if !std::mem::replace(&mut self.paste_is_dropped, true) {
                typed.push(Typed::TooLong);
            }
        }
    }

    fn pasted(&mut self, paste: &[u8], typed: &mut Vec<Typed>) {
        let text = String::from_utf8_lossy(paste);
        // A command is pasted by the host, whatever a person has half typed: the draft stays.
        if text.starts_with(PREFIX) {
            typed.push(command::read(&text).map_or(Typed::BadCommand, Typed::Command));
            self.enter_is_spent = true;
            return;
        }
        self.enter_is_spent = false;
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        self.draft.extend(text.bytes().filter(|byte| *byte >= b' ' || matches!(byte, b'\n' | b'\t')));
        self.bound(typed);
    }

    fn byte(&mut self, byte: u8, typed: &mut Vec<Typed>) {
        match (self.escape, byte) {
            (Escape::None, 0x1b) => self.escape = Escape::Begun,
            (Escape::None, _) => self.key(byte, typed),
            (Escape::Begun, b'[') => {
                self.escape = Escape::Sequence;
                self.sequence = b"\x1b[".to_vec();
            }
            (Escape::Begun, b'O') => self.escape = Escape::Single,
            // ESC by itself, and then a key: agents' users press it to interrupt, and here it does nothing.
            (Escape::Begun, _) => {
                self.escape = Escape::None;
                self.byte(byte, typed);
            }
            (Escape::Sequence, _) => {
                // No terminal's key has a longer name.
                if self.sequence.len() < 32 {
                    self.sequence.push(byte);
                }
                if (0x40..=0x7e).contains(&byte) {
                    self.escape = Escape::None;
                    if self.sequence == PASTE_BEGIN {
                        self.paste = Some(Vec::new());
                    }
                }
            }
            (Escape::Single, _) => self.escape = Escape::None,
        }
    }

    fn key(&mut self, byte: u8, typed: &mut Vec<Typed>) {
        if matches!(byte, b'\r' | b'\n') {
            if !std::mem::take(&mut self.enter_is_spent) {
                self.enter(typed);
            }
            return;
        }
        self.enter_is_spent = false;
        match byte {
            0x03 => typed.push(Typed::Interrupt),
            0x04 if self.draft.is_empty() => typed.push(Typed::Leave),
            0x08 | 0x7f => self.backspace(),
            0x15 => self.draft.clear(),
            0x17 => self.backspace_word(),
            b'\t' | b' '.. => {
                self.draft.push(byte);
                self.bound(typed);
            }
            _ => {}
        }
    }

    /// Enter: what was typed is a command, or a person's text, or, typed by two at once, one after the other.
    fn enter(&mut self, typed: &mut Vec<Typed>) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.draft)).into_owned();
        let Some(at) = line.find(PREFIX) else { return typed.push(Typed::Text(line)) };
        match (command::read(&line[at..]), at) {
            (Some(command), _) => {
                self.draft = line.as_bytes()[..at].to_vec();
                typed.push(Typed::Command(command));
            }
            (None, 0) => typed.push(Typed::BadCommand),
            (None, _) => typed.push(Typed::Text(line)),
        }
    }

    fn backspace(&mut self) {
        while let Some(byte) = self.draft.pop() {
            // A character's first byte is the one that does not go on.
            if byte & 0xc0 != 0x80 {
                return;
            }
        }
    }

    fn backspace_word(&mut self) {
        while self.draft.last().is_some_and(u8::is_ascii_whitespace) {
            self.draft.pop();
        }
        while self.draft.last().is_some_and(|byte| !byte.is_ascii_whitespace()) {
            self.draft.pop();
        }
    }

    fn bound(&mut self, typed: &mut Vec<Typed>) {
        if self.draft.len() > DRAFT_BYTES_MAX {
            self.draft.clear();
            typed.push(Typed::TooLong);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_anywhere(bytes: &[u8], expected: &[Typed], draft: &str) {
        for cut in 0..=bytes.len() {
            let mut keys = Keys::new();
            let mut typed = keys.feed(&bytes[..cut]);
            typed.extend(keys.feed(&bytes[cut..]));
            assert_eq!(typed, expected, "cut at {cut}");
            assert_eq!(keys.draft(), draft, "cut at {cut}");
        }
    }

    fn text(text: &str) -> Typed {
        Typed::Text(text.into())
    }

    #[test]
    fn a_paste_is_one_text_and_keys_are_keys() {
        cut_anywhere(
            b"\x1b[200~one\r\ntwo\rthree\x1b[201~\rnext\r",
            &[text("one\ntwo\nthree"), text("next")],
            "",
        );
        cut_anywhere("gr\u{fc}\u{df}x\x7fe\r".as_bytes(), &[text("gr\u{fc}\u{df}e")], "");
        cut_anywhere(
            "\u{1f6f6}\x7fab\x15two words\x17\x1b[A\x1bOBlate\r".as_bytes(),
            &[text("two late")],
            "",
        );
        cut_anywhere(b"a\x04b\x03", &[Typed::Interrupt], "ab");
        cut_anywhere(b"\x04", &[Typed::Leave], "");
        cut_anywhere(b"\x1b[200~a~b\x1b[31m~\x1b[201~", &[], "a~b[31m~");
    }

    #[test]
    fn a_command_leaves_a_persons_draft_alone() {
        let leave = Typed::Command(Command::Leave);
        let pasted = b"half a l\x1b[200~{\"oarlock\":{\"leave\":{}}}\x1b[201~\rine\r";
        cut_anywhere(pasted, &[leave.clone(), text("half a line")], "");
        let typed = b"half a l{\"oarlock\":{\"leave\":{}}}\rine\r";
        cut_anywhere(typed, &[leave.clone(), text("half a line")], "");
        cut_anywhere(b"{\"oarlock\":{\"leave\":{}}}\r", &[leave], "");
        cut_anywhere(b"{\"oarlock\":{\"dance\":{}}}\r", &[Typed::BadCommand], "");
        cut_anywhere(b"{\"oarlock\":{\"le", &[], "");
    }

    #[test]
    fn half_a_character_is_not_drawn() {
        let mut keys = Keys::new();
        keys.feed(b"a\xc3");
        assert_eq!(keys.draft(), "a");
        keys.feed(b"\xa9");
        assert_eq!(keys.draft(), "a\u{e9}");
    }

    #[test]
    fn what_is_too_long_is_dropped_whole() {
        let long = [PASTE_BEGIN, &vec![b'x'; DRAFT_BYTES_MAX + 1000], PASTE_END, b"\rnext\r"].concat();
        let mut keys = Keys::new();
        let typed: Vec<Typed> = long.chunks(1000).flat_map(|piece| keys.feed(piece)).collect();
        assert_eq!(typed, [Typed::TooLong, text("next")]);
    }
}
