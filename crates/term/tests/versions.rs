//! Old and new speak to each other: a client to a host that was started before an update, and a daemon from before it to a new
//! host. What version 1 says is written out here byte by byte, as it was.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{Bench, DEADLINE, PTY, message, until};
use oarlock_term::protocol::{Guard, Message, MessageState};
use oarlock_term::{Client, ClientError, RunDir, Screens, connect_stream, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

const IDENTITY: &str =
    r#"{"host":{"pid":1,"start_time":1,"boot_id":"b"},"child":{"pid":2,"start_time":1},"ready":true}"#;
const STATUS: &str = r#"{"bytes":0,"last_output_at_ms":null,"size":{"rows":24,"cols":80},"clients":1,"child_alive":true,"stopping":false,"input_queued_bytes":0,"bracketed_paste":false,"alternate_screen":false,"stalled":null}"#;

fn say(stream: &mut UnixStream, kind: u8, payload: &str) {
    let mut frame = vec![kind];
    frame.extend((payload.len() as u32).to_le_bytes());
    frame.extend(payload.as_bytes());
    stream.write_all(&frame).unwrap();
}

/// Returns the next frame; nothing when the other end has closed.
fn hear(stream: &mut UnixStream) -> Option<(u8, String)> {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut header = [0; 5];
    stream.read_exact(&mut header).ok()?;
    let mut payload = vec![0; u32::from_le_bytes(header[1..].try_into().unwrap()) as usize];
    stream.read_exact(&mut payload).unwrap();
    Some((header[0], String::from_utf8_lossy(&payload).into_owned()))
}

/// Does what a host of version 1 did with one client, and returns all that it was told.
fn serve_as_version_1(listener: &UnixListener) -> Vec<(u8, String)> {
    let timeout = Timespec { tv_sec: DEADLINE.as_secs().cast_signed(), tv_nsec: 0 };
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    assert_eq!(poll(&mut fds, Some(&timeout)).unwrap(), 1, "nobody came");
    let (mut stream, _) = listener.accept().unwrap();
    let mut heard = Vec::new();
    while let Some((kind, payload)) = hear(&mut stream) {
        match kind {
            1 if payload.contains("screens") => {
                let reason = "a frame of kind 1 with a payload that does not fit: unknown variant `screens`";
                say(&mut stream, 73, &serde_json::to_string(reason).unwrap());
                return heard;
            }
            1 if !payload.contains("\"version\":1,") => {
                say(&mut stream, 73, "\"this host speaks version 1, not 2\"");
                return heard;
            }
            1 => say(&mut stream, 65, &format!("[{IDENTITY},{STATUS}]")),
            3 => say(&mut stream, 70, r#"["m-1","the child has ended"]"#),
            9 => say(&mut stream, 68, STATUS),
            _ => panic!("version 1 was not asked for {kind}"),
        }
        heard.push((kind, payload));
    }
    heard
}

#[test]
fn an_older_host_is_spoken_to_in_its_own_words_and_not_asked_for_what_it_does_not_know() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.dir()).unwrap();
    let listener = UnixListener::bind(RunDir::new(bench.dir()).socket()).unwrap();
    std::thread::scope(|scope| {
        let host = scope.spawn(|| {
            assert_eq!(serve_as_version_1(&listener), [], "it refused a newer hello");
            let heard = serve_as_version_1(&listener);
            assert_eq!(serve_as_version_1(&listener), [], "it refused to send screens");
            heard
        });
        let mut client = Client::connect(bench.dir()).unwrap();
        assert_eq!(client.version(), 1);
        assert_eq!(client.status().unwrap().foreground, None);
        for asked in [
            Message { keys: true, ..message("m-1", "1") },
            Message { guard: Some(Guard::default()), ..message("m-1", "text") },
        ] {
            let error = client.message(&asked).expect_err("an older host would type it");
            assert!(matches!(error, ClientError::TooOld { .. }), "{error:?}");
            assert!(error.to_string().ends_with("a resumed session gets a new host"), "{error}");
        }
        let refused = client.message(&message("m-1", "text")).unwrap_err();
        assert!(matches!(refused, ClientError::Refused { .. }), "{refused:?}");
        drop(client);
        let error = Screens::open(bench.dir(), Duration::ZERO, Duration::ZERO, None).unwrap_err();
        assert!(matches!(error, ClientError::TooOld { .. }), "{error:?}");
        let kinds: Vec<u8> = host.join().unwrap().iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [1, 9, 3], "no message with a guard or keys was sent");
    });
}

#[test]
fn a_new_host_serves_a_client_of_version_1_in_its_own_words() {
    let bench = Bench::new();
    bench.start(PTY, "stty raw -echo; touch ready; cat > typed");
    until("it is ready", || bench.file("ready").exists());
    let mut stream = connect_stream(bench.dir()).unwrap();
    let hello =
        |version: u32| format!(r#"{{"version":{version},"watch":"none","size":null,"read_only":false}}"#);
    say(&mut stream, 1, &hello(1));
    assert_eq!(hear(&mut stream).unwrap().0, 65);
    let text =
        |id: &str| format!(r#"{{"id":"{id}","text":"hi","submit":true,"bracketed":"auto","settle_ms":0}}"#);
    say(&mut stream, 3, &text("m-1"));
    assert_eq!(hear(&mut stream).unwrap(), (69, r#"["m-1",false]"#.to_owned()));
    say(&mut stream, 3, &text(""));
    assert_eq!(hear(&mut stream).unwrap(), (70, r#"["","a message's id has 1 to 128 bytes"]"#.to_owned()));
    until("it is typed", || {
        say(&mut stream, 11, "\"m-1\"");
        hear(&mut stream).unwrap() == (74, r#"["m-1","typed"]"#.to_owned())
    });
    let mut newer = connect_stream(bench.dir()).unwrap();
    say(&mut newer, 1, &hello(3));
    assert_eq!(hear(&mut newer).unwrap(), (73, "\"this host speaks version 2, not 3\"".to_owned()));
    assert_eq!(hear(&mut newer), None, "and is turned away");
    bench.kill();
}

/// The same with a real host of version 1: `OARLOCK_OLD_HOST` names its program.
#[test]
#[ignore = "it needs a host built before version 2"]
fn a_real_host_of_version_1_is_spoken_to() {
    let old = std::env::var_os("OARLOCK_OLD_HOST").expect("OARLOCK_OLD_HOST names an old host's program");
    let bench = Bench::new();
    let spec = bench.spec(PTY, &["sh", "-c", "stty raw -echo; touch ready; cat > typed"]);
    ensure(bench.dir(), &spec, &[old]).unwrap();
    until("it is ready", || bench.file("ready").exists());
    let mut client = Client::connect(bench.dir()).unwrap();
    assert_eq!((client.version(), client.status().unwrap().foreground), (1, None));
    let keys = client.message(&Message { keys: true, ..message("m-1", "1") });
    assert!(matches!(keys, Err(ClientError::TooOld { .. })), "{keys:?}");
    client.message(&message("m-1", "text")).unwrap();
    until("it is typed", || client.message_state("m-1").unwrap() == MessageState::Typed);
    assert!(client.message(&message("", "nameless")).is_err());
    assert_eq!(client.snapshot().unwrap().foreground, None);
    let screens = Screens::open(bench.dir(), Duration::ZERO, Duration::ZERO, None);
    assert!(matches!(screens, Err(ClientError::TooOld { .. })), "{screens:?}");
    bench.kill();
}
