//! Durable facts a second through the store, one at a time and in batches, beside `fdatasync` of 4 KiB in a loop.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use oarlock_engine::Store;
use oarlock_store::SqliteStore;

use super::boot::History;
use super::ground::Ground;
use super::suite::Plan;
use super::table::{Line, Samples};

/// Facts appended one by one, batches, and syncs in one piece; pieces alternate, so that a busy moment meets all.
const PIECE: usize = 200;
/// Facts of a batch.
const BATCH: usize = 100;

/// Measures in turns.
///
/// # Errors
/// When the disk refuses.
pub fn run(plan: &Plan) -> Result<Vec<Line>, String> {
    let ground = Ground::new(&plan.oarlock)?;
    let failed = |error: std::io::Error| format!("failed to write: {error}");
    // Written in place like a log that was cut back: a growing file would cost the peer more than it costs us.
    let file = File::create(ground.path("synced")).map_err(failed)?;
    file.write_all_at(&vec![7; PIECE * 4096], 0).and_then(|()| file.sync_all()).map_err(failed)?;
    let mut store = SqliteStore::open(&ground.path("log.db")).map_err(|error| error.to_string())?;
    let mut history = History::begin(10);
    let lines = history.opening();
    store.append(&lines, &history.crew).map_err(|error| error.to_string())?;
    let (mut single, mut batched, mut synced) = <(Samples, Samples, Samples)>::default();
    for _ in 0..plan.times(15, 5) {
        let mut append = |count: usize, size: usize| -> Result<f64, String> {
            let batches: Vec<_> = (0..count).map(|_| history.more(size)).collect();
            let begun = Instant::now();
            for lines in &batches {
                store.append(lines, &history.crew).map_err(|error| error.to_string())?;
            }
            Ok((count * size) as f64 / begun.elapsed().as_secs_f64())
        };
        single.0.push(append(PIECE, 1)?);
        batched.0.push(append(PIECE / 4, BATCH)?);
        let begun = Instant::now();
        for place in 0..PIECE as u64 {
            file.write_all_at(&[7; 4096], place * 4096).and_then(|()| file.sync_data()).map_err(failed)?;
        }
        synced.0.push(PIECE as f64 / begun.elapsed().as_secs_f64());
    }
    let peer = vec![("fdatasync of 4 KiB in place".to_owned(), synced)];
    let line = |what: &str, ours, peers, aim, note: &str| Line {
        what: what.into(),
        unit: "/s",
        ours,
        peers,
        aim,
        note: note.into(),
    };
    Ok(vec![
        line("one fact a transaction", single, peer.clone(), "at least 0.7x", ""),
        line(
            "100 facts a transaction",
            batched,
            peer,
            "at least 50,000/s",
            "the states of 10 sessions are written every thousand facts",
        ),
    ])
}
