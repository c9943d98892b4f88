//! Measures how fast what agents print is read: the recordings of `spec/samples/*/stream`, again and again.
//! `cargo run --release -p oarlock-agents --example parse_speed`

// A measurement is its print-out.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use oarlock_agents::streams::{self, READERS};

/// Bytes read of each agent, at least: a second's worth, about.
const BYTES: usize = 256 << 20;

fn main() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/samples");
    println!("{:<12} {:>10} {:>10} {:>12}", "agent", "lines", "bytes/line", "MB/s");
    for (agent, _) in READERS {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for file in std::fs::read_dir(samples.join(agent).join("stream")).into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|end| end == "jsonl") {
                let bytes = std::fs::read(file.path()).unwrap_or_default();
                lines.extend(
                    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(Vec::from),
                );
            }
        }
        let size: usize = lines.iter().map(Vec::len).sum();
        if size == 0 {
            println!("{agent:<12} has no recordings here");
            continue;
        }
        let rounds = BYTES / size;
        let begun = Instant::now();
        for _ in 0..rounds {
            let mut reader = streams::reader(agent).expect("every agent of the list has a reader");
            for line in &lines {
                black_box(reader.line(black_box(line)));
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // A figure for people.
        let speed = (rounds * size) as f64 / seconds / 1e6;
        println!("{agent:<12} {:>10} {:>10} {speed:>12.0}", lines.len(), size / lines.len());
    }
}
