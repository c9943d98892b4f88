//! What an agent's own interface shows, and what may be typed into it. Readers of text; they hold no terminal.

pub use oarlock_core::session::fact::Answer;
use oarlock_core::session::fact::Showing;

/// A terminal's screen, as text.
#[derive(Clone, Copy, Debug)]
pub struct Screen<'a> {
    /// The window title (OSC 0 or 2); empty for none.
    pub title: &'a str,
    /// The rows from the top, trailing blanks cut.
    pub rows: &'a [String],
}

impl<'a> Screen<'a> {
    /// Returns the last `count` rows that are not blank, from the top.
    #[must_use]
    pub fn bottom(&self, count: usize) -> Vec<&'a str> {
        let mut rows: Vec<&str> = self
            .rows
            .iter()
            .rev()
            .map(String::as_str)
            .filter(|row| !row.trim().is_empty())
            .take(count)
            .collect();
        rows.reverse();
        rows
    }
}

/// When something may be typed: judged by the host on its screen, at the very moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Regular expressions, one of which some row must match; empty for no such condition.
    pub shows: Vec<String>,
    /// Regular expressions that no row may match.
    pub hides: Vec<String>,
    /// How many of the last rows that are not blank are looked at; 0 for all.
    pub rows: u16,
}

/// How an agent's own interface is typed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typing {
    /// When a message may be typed between turns.
    pub ready: Guard,
    /// When a message may be typed during a turn: `None` when the agent would lose it.
    pub steer: Option<Guard>,
    /// Keys that interrupt a turn, such as Esc; empty for none.
    pub interrupt: &'static str,
    /// Keys that empty its input line before a message is typed, for agents that put an interrupted prompt back there.
    pub clear: &'static str,
}

/// Keys that give an answer, and when they may be pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// When.
    pub guard: Guard,
    /// What: control characters included.
    pub keys: String,
    /// Whether words follow as a message of their own once the agent is ready for them.
    pub then_say: Option<String>,
}

/// What a reading of the screen says.
pub type Shown = Option<Showing>;
