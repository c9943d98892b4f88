//! What the interface shows, and the keys it takes.

use oarlock_core::session::fact::Showing;

use crate::screen::{Answer, Keys, Screen, Typing};

/// Reads the bottom of the screen.
pub fn read(_screen: &Screen<'_>) -> Option<Showing> {
    None
}

/// Returns how it is typed to.
pub fn typing() -> Typing {
    Typing::default()
}

/// Returns the keys that answer its permission dialog.
pub fn answer(_answer: &Answer) -> Option<Keys> {
    None
}
