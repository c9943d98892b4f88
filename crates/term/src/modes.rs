//! Which modes an application has switched on, from its bytes as they pass: a scanner cheap enough for the read path.
//! It must not know about screens; it only follows `CSI ? … h`, `CSI ? … l` and a full reset.

/// The modes which have to be known at any time without a screen model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Modes {
    /// Mode 2004: the application wants pastes marked.
    pub bracketed_paste: bool,
    /// Mode 1049, 1047 or 47: the application draws on the alternate screen.
    pub alternate_screen: bool,
    /// Mode 2026: the application is in the middle of drawing a picture that is to be shown at once.
    pub redrawing: bool,
}

/// Follows a stream in chunks cut anywhere.
#[derive(Debug, Default)]
pub(crate) struct ModeScanner {
    modes: Modes,
    at: At,
}

/// Where in a sequence the last chunk ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Text,
    Escape,
    Csi,
    /// In `CSI ?`: the number being read, and the known modes named before it.
    Private {
        number: u16,
        found: Modes,
    },
}

const ESC: u8 = 0x1b;
/// Bytes looked at in one go for an ESC: `contains` on bytes compares words, so plain text costs next to nothing.
const STRIDE: usize = 256;

impl ModeScanner {
    /// Returns the modes after everything fed.
    pub fn modes(&self) -> Modes {
        self.modes
    }

    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        for stride in bytes.chunks(STRIDE) {
            if self.at != At::Text || stride.contains(&ESC) {
                stride.iter().for_each(|&byte| self.step(byte));
            }
        }
    }

    fn step(&mut self, byte: u8) {
        self.at = match (self.at, byte) {
            (_, ESC) => At::Escape,
            (At::Text, _) => At::Text,
            (At::Escape, b'[') => At::Csi,
            (At::Escape, b'c') => {
                self.modes = Modes::default();
                At::Text
            }
            (At::Csi, b'?') => At::Private { number: 0, found: Modes::default() },
            (At::Escape | At::Csi, _) => At::Text,
            (At::Private { number, found }, b'0'..=b'9') => {
                let number = number.saturating_mul(10).saturating_add(u16::from(byte - b'0'));
                At::Private { number, found }
            }
            (At::Private { number, mut found }, _) => {
                match number {
                    2004 => found.bracketed_paste = true,
                    47 | 1047 | 1049 => found.alternate_screen = true,
                    2026 => found.redrawing = true,
                    _ => {}
                }
                match byte {
                    b';' => At::Private { number: 0, found },
                    b'h' | b'l' => {
                        self.set(found, byte == b'h');
                        At::Text
                    }
                    _ => At::Text,
                }
            }
        };
    }

    fn set(&mut self, found: Modes, on: bool) {
        if found.bracketed_paste {
            self.modes.bracketed_paste = on;
        }
        if found.alternate_screen {
            self.modes.alternate_screen = on;
        }
        if found.redrawing {
            self.modes.redrawing = on;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(bytes: &[u8], chunk: usize) -> Modes {
        let mut scanner = ModeScanner::default();
        bytes.chunks(chunk).for_each(|chunk| scanner.feed(chunk));
        scanner.modes()
    }

    #[test]
    fn a_mode_is_known_however_its_sequence_is_cut() {
        let filler = vec![b'x'; 700];
        let bytes = [b"\x1b[?25l\x1b[?1049;2004h\x1b[31m".as_slice(), &filler, b"\x1b[?1049l"].concat();
        for chunk in 1..bytes.len() {
            let expected = Modes { bracketed_paste: true, ..Modes::default() };
            assert_eq!(after(&bytes, chunk), expected, "cut every {chunk} bytes");
        }
    }

    #[test]
    fn lookalikes_and_resets_are_told_apart() {
        assert_eq!(after(b"\x1b[2004h\x1b[?20040h\x1b[?2004$p[?2004h", 3), Modes::default());
        assert_eq!(after(b"\x1b[?2004h\x1b[?1049h\x1bc", 3), Modes::default());
        let drawing = Modes { redrawing: true, ..Modes::default() };
        assert_eq!(after(b"\x1b[?2026hhalf a picture", 5), drawing);
        assert_eq!(after(b"\x1b[?2026ha whole one\x1b[?2026l", 5), Modes::default());
        assert!(after(b"\x1b[?2004\x1b[?2004h", 1).bracketed_paste, "an ESC starts anew inside a sequence");
    }
}
