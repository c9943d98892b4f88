//! What is said in the storm: messages of every size and shape, drawn from a seed. It must not know who they are for.

/// The longest message taken, in bytes.
const BYTES_MAX: usize = 64 * 1024;

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// Throws a number below a limit.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    /// Draws one of several.
    pub(super) fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// How a message may begin: as a flag, a command, a comment, a number that answers dialogs.
const BEGINS: &[&str] =
    &["", "", "", "-", "--help ", "-rf ", "/", "/exit ", "!", "#", "1", "y ", "\u{1b}[A", "'", "\t"];
/// What a message is made of. Control characters among it would end a paste, press keys, or drive the terminal.
const PIECES: &[&str] = &[
    "mend the login ",
    "and then ",
    "\n",
    "\n\n",
    "\r\n",
    "\t",
    "\"quoted\" 'single' `id` $HOME ",
    "\\ ; & | > /dev/null ",
    "Grüße, 漢字 ",
    "🚣🏽 é ",
    "\u{1b}[201~\r",
    "\u{3}\u{4}\u{15}",
    "\u{1b}",
    "\u{9b}2J",
    "\u{7f}\u{8}\0",
    "\u{202e}",
    "❯ 1. Yes\nEsc to cancel\n",
    "esc to interrupt ",
    "────────────────",
    "a line that goes on for a good while, as lines of logs and of code do, again and again and again; ",
];
/// Messages of a byte or two.
const TINY: &[&str] = &["y", "n", "1", "2", "-", "/", "?", "é", "q", "\\", "\"", "-\n-", "go"];

/// Returns a message; the number names it for ever.
pub(super) fn message(seed: u64, number: usize) -> String {
    let mut dice = Dice(seed ^ (number as u64).wrapping_mul(0xd6e8_feb8_6659_fd93));
    let size = match dice.below(100) {
        0..=9 => return dice.one(TINY).into(),
        10..=54 => 20 + dice.below(230),
        55..=87 => 256 + dice.below(2_000),
        88..=96 => 2_000 + dice.below(14_000),
        97..=98 => 16_000 + dice.below(40_000),
        _ => BYTES_MAX as u64,
    };
    let size = usize::try_from(size).unwrap();
    let mut text = format!("{}{number}: ", dice.one(BEGINS));
    while text.len() < size {
        text.push_str(dice.one(PIECES));
    }
    let mut end = size.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// Returns what an agent is to get of a text: without whatever drives a terminal, its line ends as line feeds.
pub(super) fn cleaned(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let is_bidi = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|&c| c == '\n' || c == '\t' || !(c.is_control() || is_bidi(c))).collect()
}
