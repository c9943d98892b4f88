//! What `amp -x --stream-json` prints, written from its documentation, which says that it is shaped as Claude's. Never run here.

use oarlock_core::session::fact::Span;

use super::claude::{Claude, Counts};

/// Returns a reader.
#[must_use]
pub fn reader() -> Claude {
    Claude::with(Counts { span: Span::Turn, input_includes_cached: false })
}
