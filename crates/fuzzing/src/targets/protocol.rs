//! The host's socket: frames are the same however the bytes are cut, no frame is longer than allowed, and what was encoded is
//! decoded as it was.

use oarlock_term::protocol::{
    ClientFrame, Decoder, Frame, HostFrame, Message, ProtocolError, Status, VERSION, VERSION_MIN,
};
use oarlock_term::{ExitRecord, Identity, Screen};

use super::pieces;
use crate::make::Choices;

/// The longest payload taken, in bytes: small, so that what is too long can be made of few bytes.
const PAYLOAD_BYTES_MAX: usize = 1000;
const HEADER: usize = 5;

/// The first byte says whether the rest is a stream to cut or choices that make frames.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((0..128, rest)) => stream(rest),
        Some((_, rest)) => made(&mut Choices::new(rest)),
        None => {}
    }
}

fn stream(data: &[u8]) {
    let (pieces, whole) = pieces(data);
    let (expected, is_too_long) = by_hand(whole);
    let mut decoder = Decoder::new(PAYLOAD_BYTES_MAX);
    let mut found = Vec::new();
    let mut error = None;
    'pieces: for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(what) => {
                    error = Some(what);
                    break 'pieces;
                }
            }
        }
    }
    assert_eq!(found, expected, "frames are the same however the bytes are cut");
    assert_eq!(matches!(error, Some(ProtocolError::TooLong { .. })), is_too_long);
    found.into_iter().for_each(mean_the_same);
}

/// Reads the stream as the format's description says. The second value tells whether it ends in a frame that is too long.
fn by_hand(mut bytes: &[u8]) -> (Vec<Frame>, bool) {
    let mut frames = Vec::new();
    while let Some((header, rest)) = bytes.split_at_checked(HEADER) {
        let length = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return (frames, true);
        }
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        frames.push(Frame { kind: header[0], payload: payload.to_vec() });
        bytes = rest;
    }
    (frames, false)
}

/// A frame that is understood means the same after it was encoded again.
fn mean_the_same(frame: Frame) {
    if let Ok(meant) = ClientFrame::decode(frame.clone()) {
        assert_eq!(ClientFrame::decode(one(&meant.encode())), Ok(meant));
    }
    if let Ok(meant) = HostFrame::decode(frame) {
        // A client of any version can read what it is told.
        for version in VERSION_MIN..=VERSION {
            HostFrame::decode(one(&meant.encode_for(version))).expect("it is understood");
        }
        assert_eq!(HostFrame::decode(one(&meant.encode())), Ok(meant));
    }
}

fn one(bytes: &[u8]) -> Frame {
    let mut decoder = Decoder::new(usize::MAX);
    decoder.push(bytes);
    let frame = decoder.next_frame().expect("it is not too long").expect("it is whole");
    assert_eq!(bytes.len(), HEADER + frame.payload.len(), "one frame and no more");
    frame
}

fn made(choices: &mut Choices<'_>) {
    while !choices.is_empty() {
        let kind = choices.below(28);
        if let Some(frame) = client_frame(kind, choices) {
            assert_eq!(ClientFrame::decode(one(&frame.encode())), Ok(frame));
        } else if let Some(frame) = host_frame(kind, choices) {
            assert_eq!(HostFrame::decode(one(&frame.encode())), Ok(frame));
        }
    }
}

fn client_frame(kind: usize, choices: &mut Choices<'_>) -> Option<ClientFrame> {
    Some(match kind {
        0 => ClientFrame::Hello(choices.make()?),
        1 => ClientFrame::Input(choices.make()?),
        2 => ClientFrame::Message(choices.make::<Message>()?),
        3 => ClientFrame::Resize(choices.make()?),
        4 => ClientFrame::Signal(choices.make()?),
        5 => ClientFrame::Stop { grace_ms: choices.make()? },
        6 => ClientFrame::Kill,
        7 => ClientFrame::SnapshotRequest,
        8 => ClientFrame::StatusRequest,
        9 => ClientFrame::Ping,
        10 => ClientFrame::MessageStatus { id: choices.make()? },
        11 => ClientFrame::EndInput,
        _ => return None,
    })
}

fn host_frame(kind: usize, choices: &mut Choices<'_>) -> Option<HostFrame> {
    Some(match kind {
        12 => HostFrame::Welcome { identity: choices.make::<Identity>()?, status: choices.make::<Status>()? },
        13 => HostFrame::Output { offset: choices.make()?, bytes: choices.make()? },
        14 => {
            let contents_formatted = choices.make()?;
            HostFrame::Screen(Screen { contents_formatted, ..choices.make()? })
        }
        15 => HostFrame::Status(choices.make()?),
        16 => HostFrame::Accepted { id: choices.make()?, duplicate: choices.make()? },
        17 => HostFrame::Refused { id: choices.make()?, reason: choices.make()?, code: choices.make()? },
        18 => HostFrame::Exited(choices.make::<ExitRecord>()?),
        19 => HostFrame::Pong,
        20 => HostFrame::Error { reason: choices.make()? },
        21 => HostFrame::MessageState { id: choices.make()?, state: choices.make()? },
        22 => HostFrame::Done,
        23 => HostFrame::InputRefused { reason: choices.make()? },
        _ => return None,
    })
}
