//! What is said on a host's socket, without any input or output: frames, their types, and a decoder fed in any chunks.
//! It must not know who carries the bytes: the client here reads a blocking socket, the daemon an asynchronous one.
//!
//! A frame is one byte of kind, four bytes of payload length (little endian), and the payload: JSON for control, raw
//! bytes for data. The first frame of a client is `Hello`, whose version the host must know. Kinds are never reused.

mod message;

pub use message::{
    Bracketed, GUARD_EXPRESSION_BYTES_MAX, GUARD_EXPRESSIONS_MAX, Guard, MESSAGE_ID_BYTES_MAX, Message,
    MessageState, RefusalCode, SETTLE_MS_MAX,
};

use crate::record::{ExitRecord, Identity};
use crate::screen::Screen;
use crate::spec::Size;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version of this protocol. Hosts live on through an update, so a client speaks to an old one in its own version, and a
/// daemon from before an update may start a new host, which then speaks in the daemon's.
///
/// - 1: the first.
/// - 2: guards and keys of messages, refusals with a code, [`Watch::Screens`], and who is in the terminal's foreground.
pub const VERSION: u32 = 2;
/// The oldest version still spoken.
pub const VERSION_MIN: u32 = 1;
/// The longest payload a host takes, in bytes: as much as may wait for a child, and the most one client makes it hold.
pub const CLIENT_PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// The longest payload a client takes, in bytes: the largest screen with its own colour on every cell stays below.
pub const HOST_PAYLOAD_BYTES_MAX: usize = 16 << 20;
/// The shortest pause between two screens of [`Watch::Screens`], in milliseconds: no eye and no program follows faster.
pub const SCREENS_PAUSE_MS_MIN: u32 = 10;
/// The longest, in milliseconds: an hour. It keeps arithmetic on time sane.
pub const SCREENS_PAUSE_MS_MAX: u32 = 3_600_000;

const HEADER: usize = 5;

/// What a client wants to be told without asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// Nothing: it asks and goes.
    #[default]
    None,
    /// The end of the run.
    Exit,
    /// All output from this byte on, and the end. An offset beyond the end waits there.
    Output {
        /// The first byte wanted, counted from the start of `output.log`.
        from: u64,
    },
    /// The screen as it is, the output after it, and the end.
    Screen,
    /// The screen as it is; then a whole one again each time output came, and the end. Nothing comes while there is no
    /// output. A client that does not read is sent the latest when it does, and misses those between. Since version 2.
    Screens {
        /// How long there has to be no output before a screen is sent, in milliseconds, 10 to 3 600 000.
        quiet_ms: u32,
        /// After how long one is sent although output keeps coming, in milliseconds, 10 to 3 600 000.
        at_most_every_ms: u32,
    },
}

/// The first thing a client says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version it speaks.
    pub version: u32,
    /// What it wants to be told.
    pub watch: Watch,
    /// The size of its terminal, if it has one that counts.
    pub size: Option<Size>,
    /// Whether it may only look. Its size does not count then.
    pub read_only: bool,
    /// How a prompt looks, for one who follows screens: on a screen that fits, the host notes who drew it, so that it can tell
    /// when that one left a shell behind. A host of before knows nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Guard>,
}

/// How a run is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The length of the output so far, in bytes.
    pub bytes: u64,
    /// When the child last wrote, in milliseconds since the Unix epoch.
    pub last_output_at_ms: Option<u64>,
    /// The terminal's size; none for pipes.
    pub size: Option<Size>,
    /// Clients connected, the asking one included.
    pub clients: u32,
    /// Whether the child has not ended yet.
    pub child_alive: bool,
    /// Whether the run is being ended.
    pub stopping: bool,
    /// Input not yet taken by the child, in bytes.
    pub input_queued_bytes: u64,
    /// Whether the application has bracketed paste on.
    pub bracketed_paste: bool,
    /// Whether it draws on the alternate screen.
    pub alternate_screen: bool,
    /// Why output cannot be kept at the moment, such as a full disk. The child waits meanwhile; nothing is lost.
    pub stalled: Option<String>,
    /// Whether the child's own process group is in the foreground of the terminal; false when a shell or an editor took it
    /// over. None for pipes, and from a host of version 1.
    #[serde(default)]
    pub foreground: Option<bool>,
}

/// From a client to its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// First of all.
    Hello(Hello),
    /// Bytes for the child as they are: keys of a person.
    Input(Vec<u8>),
    /// Text to type exactly once. Answered by `Accepted` or `Refused`.
    Message(Message),
    /// The client's terminal has this size.
    Resize(Size),
    /// Send this signal to the child's process group. Answered by `Done`.
    Signal(i32),
    /// End the run: SIGTERM to all of it, and SIGKILL after this many milliseconds. Answered by `Done`.
    Stop {
        /// Milliseconds until SIGKILL.
        grace_ms: u64,
    },
    /// End the run with SIGKILL. Answered by `Done`.
    Kill,
    /// Send the screen. Answered by `Screen`.
    SnapshotRequest,
    /// Send the status. Answered by `Status`.
    StatusRequest,
    /// Answered by `Pong`.
    Ping,
    /// What has become of this message? Answered by `MessageState`.
    MessageStatus {
        /// The message's id.
        id: String,
    },
    /// No more input will come: close the child's stdin once all was written. Pipes only. Answered by `Done`.
    EndInput,
}

/// From a host to its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostFrame {
    /// The answer to `Hello`.
    Welcome {
        /// Who is speaking.
        identity: Identity,
        /// How the run is doing.
        status: Status,
    },
    /// Bytes of the child.
    Output {
        /// Where they start in `output.log`.
        offset: u64,
        /// The bytes, at most 64 KiB.
        bytes: Vec<u8>,
    },
    /// The screen.
    Screen(Screen),
    /// The status.
    Status(Status),
    /// The message is recorded and will be typed, or was.
    Accepted {
        /// Which one.
        id: String,
        /// Whether it had been accepted before, so that nothing was done now.
        duplicate: bool,
    },
    /// The message was not taken, and nothing of it was typed.
    Refused {
        /// Which one.
        id: String,
        /// Why, as a sentence.
        reason: String,
        /// Why, for programs. A host of version 1 gives none, which reads as `Other`.
        code: RefusalCode,
    },
    /// The run is over. The last frame.
    Exited(ExitRecord),
    /// The answer to `Ping`.
    Pong,
    /// Something asked for cannot be done.
    Error {
        /// Why, as a sentence.
        reason: String,
    },
    /// What has become of a message.
    MessageState {
        /// Which one.
        id: String,
        /// Its state.
        state: MessageState,
    },
    /// What was asked for is done.
    Done,
    /// Input was dropped whole. It comes unasked, since nobody waits for an answer to keys.
    InputRefused {
        /// Why, as a sentence.
        reason: String,
    },
}

/// Why bytes are not this protocol.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProtocolError {
    /// A payload is longer than its receiver takes.
    #[error("a frame of {length} bytes is longer than the {max} allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The most allowed.
        max: usize,
    },
    /// A kind nobody knows.
    #[error("a frame of unknown kind {kind}")]
    UnknownKind {
        /// The kind byte.
        kind: u8,
    },
    /// A payload which does not fit its kind.
    #[error("a frame of kind {kind} with a payload that does not fit: {detail}")]
    BadPayload {
        /// The kind byte.
        kind: u8,
        /// What does not fit.
        detail: String,
    },
}

/// One frame, undecoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the payload is.
    pub kind: u8,
    /// The payload.
    pub payload: Vec<u8>,
}

/// Cuts a stream of bytes into frames, whatever chunks it comes in.
#[derive(Debug)]
pub struct Decoder {
    pending: Vec<u8>,
    taken: usize,
    payload_bytes_max: usize,
}

impl Decoder {
    /// Returns a decoder that takes payloads up to this many bytes.
    #[must_use]
    pub fn new(payload_bytes_max: usize) -> Self {
        Self { pending: Vec::new(), taken: 0, payload_bytes_max }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.pending.drain(..self.taken);
            self.taken = 0;
        }
        self.pending.extend_from_slice(bytes);
    }

    /// Returns the next whole frame, if there is one.
    ///
    /// # Errors
    /// When a frame announces more than allowed; the stream is of no use after that.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ProtocolError> {
        let rest = &self.pending[self.taken..];
        let Some((header, body)) = rest.split_first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
        if length > self.payload_bytes_max {
            return Err(ProtocolError::TooLong { length, max: self.payload_bytes_max });
        }
        let Some(payload) = body.get(..length) else { return Ok(None) };
        let frame = Frame { kind: header[0], payload: payload.to_vec() };
        self.taken += HEADER + length;
        if self.taken == self.pending.len() {
            self.pending = Vec::new();
            self.taken = 0;
        }
        Ok(Some(frame))
    }
}

impl ClientFrame {
    /// Returns the frame as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello(hello) => json_frame(1, hello),
            Self::Input(bytes) => frame(2, &[bytes]),
            Self::Message(message) => json_frame(3, message),
            Self::Resize(size) => json_frame(4, size),
            Self::Signal(signal) => json_frame(5, signal),
            Self::Stop { grace_ms } => json_frame(6, grace_ms),
            Self::Kill => frame(7, &[]),
            Self::SnapshotRequest => frame(8, &[]),
            Self::StatusRequest => frame(9, &[]),
            Self::Ping => frame(10, &[]),
            Self::MessageStatus { id } => json_frame(11, id),
            Self::EndInput => frame(12, &[]),
        }
    }

    /// Returns what a frame means.
    ///
    /// # Errors
    /// When its kind is unknown or its payload does not fit.
    pub fn decode(frame: Frame) -> Result<Self, ProtocolError> {
        Ok(match frame.kind {
            1 => Self::Hello(parse(&frame)?),
            2 => Self::Input(frame.payload),
            3 => Self::Message(parse(&frame)?),
            4 => Self::Resize(parse(&frame)?),
            5 => Self::Signal(parse(&frame)?),
            6 => Self::Stop { grace_ms: parse(&frame)? },
            7 => Self::Kill,
            8 => Self::SnapshotRequest,
            9 => Self::StatusRequest,
            10 => Self::Ping,
            11 => Self::MessageStatus { id: parse(&frame)? },
            12 => Self::EndInput,
            kind => return Err(ProtocolError::UnknownKind { kind }),
        })
    }
}

impl HostFrame {
    /// Returns the frame as bytes for a client of this version.
    #[must_use]
    pub fn encode_for(&self, version: u32) -> Vec<u8> {
        match self {
            Self::Refused { id, reason, .. } if version < 2 => json_frame(70, &(id, reason)),
            // Only what a client of version 2 sent can come to this; the text was typed.
            Self::MessageState { id, state: MessageState::Unsubmitted } if version < 2 => {
                json_frame(74, &(id, MessageState::Typed))
            }
            _ => self.encode(),
        }
    }

    /// Returns the frame as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Welcome { identity, status } => json_frame(65, &(identity, status)),
            Self::Output { offset, bytes } => frame(66, &[&offset.to_le_bytes(), bytes]),
            Self::Screen(screen) => {
                // The contents are mostly ESC, which JSON would write as six bytes each: they go raw, after the rest.
                let header = json(screen);
                frame(67, &[&(header.len() as u32).to_le_bytes(), &header, &screen.contents_formatted])
            }
            Self::Status(status) => json_frame(68, status),
            Self::Accepted { id, duplicate } => json_frame(69, &(id, duplicate)),
            Self::Refused { id, reason, code } => json_frame(77, &(id, reason, code)),
            Self::Exited(record) => json_frame(71, record),
            Self::Pong => frame(72, &[]),
            Self::Error { reason } => json_frame(73, reason),
            Self::MessageState { id, state } => json_frame(74, &(id, state)),
            Self::Done => frame(75, &[]),
            Self::InputRefused { reason } => json_frame(76, reason),
        }
    }

    /// Returns what a frame means.
    ///
    /// # Errors
    /// When its kind is unknown or its payload does not fit.
    pub fn decode(frame: Frame) -> Result<Self, ProtocolError> {
        Ok(match frame.kind {
            65 => {
                let (identity, status) = parse(&frame)?;
                Self::Welcome { identity, status }
            }
            66 => {
                let (offset, bytes) =
                    frame.payload.split_first_chunk().ok_or_else(|| bad(66, "it has no offset"))?;
                Self::Output { offset: u64::from_le_bytes(*offset), bytes: bytes.to_vec() }
            }
            67 => Self::Screen(parse_screen(&frame)?),
            68 => Self::Status(parse(&frame)?),
            69 => {
                let (id, duplicate) = parse(&frame)?;
                Self::Accepted { id, duplicate }
            }
            70 => {
                let (id, reason) = parse(&frame)?;
                Self::Refused { id, reason, code: RefusalCode::Other }
            }
            71 => Self::Exited(parse(&frame)?),
            72 => Self::Pong,
            73 => Self::Error { reason: parse(&frame)? },
            74 => {
                let (id, state) = parse(&frame)?;
                Self::MessageState { id, state }
            }
            75 => Self::Done,
            76 => Self::InputRefused { reason: parse(&frame)? },
            77 => {
                let (id, reason, code) = parse(&frame)?;
                Self::Refused { id, reason, code }
            }
            kind => return Err(ProtocolError::UnknownKind { kind }),
        })
    }
}

fn parse_screen(frame: &Frame) -> Result<Screen, ProtocolError> {
    let short = || bad(frame.kind, "it is cut short");
    let (length, rest) = frame.payload.split_first_chunk().ok_or_else(short)?;
    let (header, contents) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
    let mut screen: Screen =
        serde_json::from_slice(header).map_err(|error| bad(frame.kind, error.to_string()))?;
    screen.contents_formatted = contents.to_vec();
    Ok(screen)
}

fn parse<T: DeserializeOwned>(frame: &Frame) -> Result<T, ProtocolError> {
    serde_json::from_slice(&frame.payload).map_err(|error| bad(frame.kind, error.to_string()))
}

fn bad(kind: u8, detail: impl Into<String>) -> ProtocolError {
    ProtocolError::BadPayload { kind, detail: detail.into() }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("our own types have string keys only, so they always are JSON")
}

fn json_frame(kind: u8, value: &impl Serialize) -> Vec<u8> {
    frame(kind, &[&json(value)])
}

fn frame(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(HEADER + length);
    bytes.push(kind);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Exit;

    fn client_frames() -> Vec<ClientFrame> {
        let hello = Hello {
            version: VERSION,
            watch: Watch::Output { from: 7 },
            size: Some(Size::default()),
            read_only: true,
            prompt: None,
        };
        let guard =
            Guard { shows: vec!["❯".into()], hides: vec![], rows: 7, foreground: true, standing: None };
        let message = Message {
            id: "m".into(),
            text: "Grüße\n".into(),
            submit: true,
            settle_ms: 3,
            guard: Some(guard),
            ..Message::default()
        };
        vec![
            ClientFrame::Hello(hello),
            ClientFrame::Input(vec![0, 255, 3]),
            ClientFrame::Message(message),
            ClientFrame::Resize(Size { rows: 1, cols: 2 }),
            ClientFrame::Signal(2),
            ClientFrame::Stop { grace_ms: 9 },
            ClientFrame::Kill,
            ClientFrame::SnapshotRequest,
            ClientFrame::StatusRequest,
            ClientFrame::Ping,
            ClientFrame::MessageStatus { id: "m".into() },
            ClientFrame::EndInput,
        ]
    }

    #[test]
    fn frames_survive_any_cutting() {
        let frames = client_frames();
        let bytes: Vec<u8> = frames.iter().flat_map(ClientFrame::encode).collect();
        for chunk in [1, 2, 3, 5, 64, bytes.len()] {
            let mut decoder = Decoder::new(CLIENT_PAYLOAD_BYTES_MAX);
            let mut found = Vec::new();
            for part in bytes.chunks(chunk) {
                decoder.push(part);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    found.push(ClientFrame::decode(frame).unwrap());
                }
            }
            assert_eq!(found, frames, "in chunks of {chunk}");
        }
    }

    #[test]
    fn what_a_host_says_is_understood() {
        let screen = Screen { contents_formatted: b"\x1b[31mhi".to_vec(), ..Screen::default() };
        let record = ExitRecord {
            exit: Exit::NotStarted { reason: "no".into() },
            bytes: 1,
            ended_at_ms: 2,
            survivors: 0,
            lost_bytes: 0,
        };
        let frames = [
            HostFrame::Output { offset: u64::MAX, bytes: vec![1, 2] },
            HostFrame::Screen(screen),
            HostFrame::Accepted { id: "a".into(), duplicate: true },
            HostFrame::Exited(record),
            HostFrame::MessageState { id: "a".into(), state: MessageState::Typed },
            HostFrame::Error { reason: "r".into() },
            HostFrame::Refused { id: "a".into(), reason: "r".into(), code: RefusalCode::NotReady },
        ];
        for frame in frames {
            assert_eq!(read(&frame.encode()), frame);
            assert_eq!(read(&frame.encode_for(VERSION)), frame);
        }
    }

    fn read(bytes: &[u8]) -> HostFrame {
        let mut decoder = Decoder::new(HOST_PAYLOAD_BYTES_MAX);
        decoder.push(bytes);
        HostFrame::decode(decoder.next_frame().unwrap().unwrap()).unwrap()
    }

    #[test]
    fn a_client_of_version_1_is_told_in_words_it_knows() {
        let refused = HostFrame::Refused { id: "a".into(), reason: "r".into(), code: RefusalCode::Busy };
        assert_eq!(refused.encode_for(1), frame(70, &[br#"["a","r"]"#]));
        let state = |state| HostFrame::MessageState { id: "a".into(), state };
        assert_eq!(state(MessageState::Unsubmitted).encode_for(1), state(MessageState::Typed).encode());
        let other = HostFrame::Refused { id: "a".into(), reason: "r".into(), code: RefusalCode::Other };
        assert_eq!(read(&refused.encode_for(1)), other, "and a host's of version 1 are understood");
    }

    #[test]
    fn a_frame_too_long_is_refused_before_it_is_taken_in() {
        let mut decoder = Decoder::new(10);
        decoder.push(&[2, 11, 0, 0, 0]);
        assert_eq!(decoder.next_frame(), Err(ProtocolError::TooLong { length: 11, max: 10 }));
    }

    #[test]
    fn nonsense_is_an_error_and_no_panic() {
        for kind in 0..=255u8 {
            for payload in [vec![], b"{".to_vec(), vec![255; 9]] {
                let _ = ClientFrame::decode(Frame { kind, payload: payload.clone() });
                let _ = HostFrame::decode(Frame { kind, payload });
            }
        }
    }
}
