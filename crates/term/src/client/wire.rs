//! The blocking side of the socket: saying hello, in the host's own version if that is an older one, and waiting for a frame.
//! It must not know what frames mean beyond the first.

use super::{ClientError, ConnectOptions, READ_BYTES};
use crate::dir::RunDir;
use crate::protocol::{
    ClientFrame, Decoder, Guard, HOST_PAYLOAD_BYTES_MAX, Hello, HostFrame, Status, VERSION, VERSION_MIN,
    Watch,
};
use crate::record::Identity;
use crate::socket;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an answer may take. A host answers in microseconds, or in a second when it replays a screen on a busy machine.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A host that was said hello to.
pub(super) struct Greeted {
    pub stream: UnixStream,
    pub decoder: Decoder,
    pub identity: Identity,
    pub status: Status,
    /// The version it is spoken to in.
    pub version: u32,
}

/// Connects and says hello.
pub(super) fn greet(
    run: &RunDir,
    options: ConnectOptions,
    prompt: Option<&Guard>,
) -> Result<Greeted, ClientError> {
    match greet_in(run, options, prompt, VERSION) {
        Err(ClientError::Refused { reason, .. }) if is_of_version_1(&reason) => {
            if matches!(options.watch, Watch::Screens { .. }) {
                return Err(ClientError::TooOld {
                    dir: run.path().to_owned(),
                    wanted: "send screens by itself",
                });
            }
            greet_in(run, options, prompt, VERSION_MIN)
        }
        greeted => greeted,
    }
}

/// A host of version 1 says one of these to a hello of version 2: the second when it cannot even read what is to be watched.
fn is_of_version_1(reason: &str) -> bool {
    reason.starts_with("this host speaks version 1,")
        || reason.starts_with("a frame of kind 1 with a payload")
}

fn greet_in(
    run: &RunDir,
    options: ConnectOptions,
    prompt: Option<&Guard>,
    version: u32,
) -> Result<Greeted, ClientError> {
    let connect = |source| ClientError::Connect { dir: run.path().to_owned(), source };
    let mut stream = socket::connect(run).map_err(connect)?;
    stream.set_write_timeout(Some(ANSWER_WITHIN)).map_err(connect)?;
    let ConnectOptions { watch, size, read_only } = options;
    let hello = ClientFrame::Hello(Hello { version, watch, size, read_only, prompt: prompt.cloned() });
    stream.write_all(&hello.encode()).map_err(connect)?;
    let mut wire = Wire { dir: run, stream: &mut stream, decoder: Decoder::new(HOST_PAYLOAD_BYTES_MAX) };
    match wire.next(Some(Instant::now() + ANSWER_WITHIN))? {
        HostFrame::Welcome { identity, status } => {
            let decoder = wire.decoder;
            Ok(Greeted { stream, decoder, identity, status, version })
        }
        HostFrame::Error { reason } => Err(ClientError::refused(reason)),
        _ => Err(ClientError::Unexpected),
    }
}

/// Connects to the socket of the run in this directory and says nothing yet: for those who bring their own loop and speak
/// [`crate::protocol`] themselves. Works at any depth of directory.
///
/// # Errors
/// When nobody listens there.
pub fn connect_stream(dir: &Path) -> std::io::Result<UnixStream> {
    socket::connect(&RunDir::new(dir))
}

/// The stream and what was read of the next frame.
pub(super) struct Wire<'a> {
    pub dir: &'a RunDir,
    pub stream: &'a mut UnixStream,
    pub decoder: Decoder,
}

impl Wire<'_> {
    /// Waits for the next frame, until the deadline if there is one.
    pub fn next(&mut self, deadline: Option<Instant>) -> Result<HostFrame, ClientError> {
        let dir = || self.dir.path().to_owned();
        let io = |source| ClientError::Io { dir: dir(), source };
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(ClientError::Protocol)? {
                return HostFrame::decode(frame).map_err(ClientError::Protocol);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(ClientError::TimedOut { dir: dir() });
            }
            self.stream.set_read_timeout(left).map_err(io)?;
            let mut buffer = vec![0; READ_BYTES];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ClientError::Closed { dir: dir() }),
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    ErrorKind::ConnectionReset => return Err(ClientError::Closed { dir: dir() }),
                    _ => return Err(io(error)),
                },
            }
        }
    }
}
