//! A name for the feed's reader that only fuzzers call, behind the feature `fuzzing`. It must not hold any rule of its own.

use crate::client::{self, ClientError};
use crate::wire::Frame;

/// Returns the frames of a feed that arrives in these pieces, and the error that ended it, if one did.
pub fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<ClientError>) {
    let mut frames = Vec::new();
    let mut pending = Vec::new();
    for piece in pieces {
        pending.extend_from_slice(piece);
        loop {
            match client::take_frame(&mut pending) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}
