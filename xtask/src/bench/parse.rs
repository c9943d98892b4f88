//! How fast what agents print is read: the recordings of each, again and again, beside the same lines read into a tree by the
//! usual library, which says nothing yet of what they mean.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use oarlock_agents::streams::{self, READERS};

use super::suite::Plan;
use super::table::{Line, Samples};

/// Bytes read each time: some tenths of a second.
const BYTES: usize = 64 << 20;

/// Measures each agent's reader in turns with its peer.
///
/// # Errors
/// When a recording cannot be read.
pub fn run(plan: &Plan) -> Result<Vec<Line>, String> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/samples");
    let mut lines = Vec::new();
    for (agent, _) in READERS {
        let recorded = recorded(&samples.join(agent).join("stream"))?;
        let size: usize = recorded.iter().map(Vec::len).sum();
        if size == 0 {
            continue;
        }
        let rounds = BYTES.div_ceil(size);
        let rate = |begun: Instant| (rounds * size) as f64 / 1e6 / begun.elapsed().as_secs_f64();
        let (mut ours, mut tree) = <(Samples, Samples)>::default();
        for _ in 0..plan.times(5, 2) {
            let begun = Instant::now();
            for _ in 0..rounds {
                let mut reader = streams::reader(agent).ok_or("a reader of the list is not found")?;
                recorded.iter().for_each(|line| drop(black_box(reader.line(black_box(line)))));
            }
            ours.0.push(rate(begun));
            let begun = Instant::now();
            for _ in 0..rounds {
                for line in &recorded {
                    drop(black_box(serde_json::from_slice::<serde_json::Value>(black_box(line))));
                }
            }
            tree.0.push(rate(begun));
        }
        let note = format!("{} lines, {} bytes each", recorded.len(), size / recorded.len());
        let peers = vec![("serde_json::Value".to_owned(), tree)];
        lines.push(Line {
            what: format!("{agent}'s stream"),
            unit: "MB/s",
            ours,
            peers,
            aim: "200 MB/s",
            note,
        });
    }
    Ok(lines)
}

fn recorded(folder: &Path) -> Result<Vec<Vec<u8>>, String> {
    let mut lines = Vec::new();
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if file.path().extension().is_some_and(|end| end == "jsonl") {
            let bytes = std::fs::read(file.path()).map_err(|error| error.to_string())?;
            lines.extend(bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(Vec::from));
        }
    }
    Ok(lines)
}
