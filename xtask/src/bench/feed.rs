//! From a request to its frame at each of 100 subscribers, beside a bare durable broadcast over as many sockets.
//!
//! The fact is appended durably between the two ends; what is measured is all that a client waits for.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use serde_json::json;

use super::ground::Ground;
use super::suite::Plan;
use super::table::{Line, Samples};

const SUBSCRIBERS: usize = 100;
/// Bytes of a frame with its session, about.
const FRAME_BYTES: usize = 900;
/// Longest wait for one frame at one subscriber.
const FRAME_WAIT: Duration = Duration::from_secs(10);

/// One arrival: of which round, and when.
type Arrival = (usize, Instant);

/// What is kept of the rounds: the middle subscriber's wait, the last one's, and all of them, in milliseconds.
#[derive(Default)]
struct Waits {
    middle: Samples,
    last: Samples,
    all: Samples,
}

impl Waits {
    /// Takes in a round: waits until every subscriber has its frame.
    fn take(&mut self, round: usize, begun: Instant, arrivals: &Receiver<Arrival>) -> Result<(), String> {
        let mut waits = Samples::default();
        while waits.0.len() < SUBSCRIBERS {
            let (of, at) =
                arrivals.recv_timeout(FRAME_WAIT).map_err(|_| "a subscriber got no frame".to_owned())?;
            if of == round {
                waits.0.push(at.duration_since(begun).as_secs_f64() * 1e3);
            }
        }
        self.middle.0.push(waits.median());
        self.last.0.push(waits.quantile(1.0));
        self.all.0.extend(waits.0);
        Ok(())
    }
}

/// Measures the daemon, then the bare broadcast.
///
/// # Errors
/// When a frame does not come.
pub fn run(plan: &Plan) -> Result<Vec<Line>, String> {
    let hundred = plan.hundred()?;
    let rounds = plan.times(200, 40);
    let ours = through_daemon(&hundred.daemon.http, rounds)?;
    let bare = through_sockets(&hundred.ground, rounds)?;
    let note = format!(
        "from the start of a rename request to the frame, {SUBSCRIBERS} reading threads on this machine; of all frames \
         p50 {:.2} ms, p99 {:.2} ms, bare p50 {:.2} ms, p99 {:.2} ms",
        ours.all.median(),
        ours.all.quantile(0.99),
        bare.all.median(),
        bare.all.quantile(0.99)
    );
    let peer = |samples| vec![("fdatasync and 100 bare sockets".to_owned(), samples)];
    let line = |what: &str, ours, bare, note| Line {
        what: what.into(),
        unit: "ms",
        ours,
        peers: peer(bare),
        aim: "p99 under 10 ms",
        note,
    };
    Ok(vec![
        line("until the middle subscriber has the frame", ours.middle, bare.middle, note),
        line("until the last of 100 has it", ours.last, bare.last, String::new()),
    ])
}

fn through_daemon(http: &super::http::Http, rounds: usize) -> Result<Waits, String> {
    let sessions = http.get("/v1/sessions")?;
    let id = sessions[0]["id"].as_str().ok_or("there is no session to rename")?.to_owned();
    let (sender, arrivals) = mpsc::channel();
    let mut handles = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let feed = http.follow()?;
        handles.push(feed.handle().map_err(|error| error.to_string())?);
        let sender = sender.clone();
        std::thread::spawn(move || subscribe(feed, &sender));
    }
    let mut waits = Waits::default();
    let path = format!("/v1/sessions/{id}/rename");
    let outcome = (0..rounds).try_for_each(|round| {
        let begun = Instant::now();
        http.post(&path, &json!({"name": format!("round-{round}")}))?;
        waits.take(round, begun, &arrivals)
    });
    for handle in handles {
        // A reader whose daemon hung up first has ended already.
        let _ = handle.shutdown(std::net::Shutdown::Both);
    }
    outcome.map(|()| waits)
}

/// Reads frames until the connection ends, and tells when each new name came.
fn subscribe(mut feed: super::http::Feed, sender: &Sender<Arrival>) {
    while let Ok(event) = feed.next() {
        let at = Instant::now();
        let text = String::from_utf8_lossy(&event);
        let Some((_, rest)) = text.split_once("\"name\":\"round-") else { continue };
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let is_news = text.contains("renamed") || text.contains("Renamed");
        if let Ok(round) = digits.parse()
            && is_news
            && sender.send((round, at)).is_err()
        {
            return;
        }
    }
}

/// The floor: make four kilobytes durable, then write a frame into 100 sockets with a thread behind each.
fn through_sockets(ground: &Ground, rounds: usize) -> Result<Waits, String> {
    let failed = |error: std::io::Error| format!("failed to broadcast: {error}");
    // In place, like a log that was cut back: a growing file would make the floor higher than it is.
    let file = File::create(ground.path("broadcast")).map_err(failed)?;
    file.write_all_at(&[7; 4096], 0).and_then(|()| file.sync_all()).map_err(failed)?;
    let (sender, arrivals) = mpsc::channel();
    let mut writers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let (writer, mut reader) = UnixStream::pair().map_err(failed)?;
        writers.push(writer);
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut frame = [0; FRAME_BYTES];
            let mut round = 0;
            while reader.read_exact(&mut frame).is_ok() && sender.send((round, Instant::now())).is_ok() {
                round += 1;
            }
        });
    }
    let mut waits = Waits::default();
    for round in 0..rounds {
        let begun = Instant::now();
        file.write_all_at(&[7; 4096], 0).and_then(|()| file.sync_data()).map_err(failed)?;
        for writer in &mut writers {
            writer.write_all(&[7; FRAME_BYTES]).map_err(failed)?;
        }
        waits.take(round, begun, &arrivals)?;
    }
    Ok(waits)
}
