//! What `qwen -p --output-format stream-json` prints (seen with 0.24.4): lines shaped as Claude's.
//!
//! A result's usage is the conversation's so far, and its input includes what came from the cache.

use oarlock_core::session::fact::Span;

use super::claude::{Claude, Counts};

/// Returns a reader.
#[must_use]
pub fn reader() -> Claude {
    Claude::with(Counts { span: Span::Conversation, input_includes_cached: true })
}
