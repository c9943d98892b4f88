//! The feed as a client reads it: the same frames however the bytes are cut, and what was said comes out as it went in.

use oarlock_api::fuzzing::frames;
use oarlock_api::wire::Frame;

use super::pieces;

/// The bytes are cut into pieces.
pub fn run(data: &[u8]) {
    let (pieces, whole) = pieces(data);
    let (cut, cut_error) = frames(pieces);
    let (heard, error) = frames([whole]);
    assert_eq!(cut, heard, "frames are the same however the bytes are cut");
    assert_eq!(cut_error.is_some(), error.is_some());
    let said: Vec<u8> = heard.iter().flat_map(event).collect();
    assert_eq!(frames([said.as_slice()]).0, heard);
}

fn event(frame: &Frame) -> Vec<u8> {
    let json = serde_json::to_string(frame).expect("a frame is JSON");
    format!(": talk\nid: 1\ndata: {json}\n\n").into_bytes()
}
