//! `oarlock logs`.

use std::path::Path;

use clap::Args;
use oarlock_api::client::Client;
use oarlock_api::wire;
use oarlock_term::protocol::Watch;
use oarlock_term::{ConnectOptions, Event};

use super::{Context, in_path};
use crate::error::{CliError, Done};
use crate::out;

/// Bytes shown from the end when nothing else is asked for: a few screens.
const TAIL_BYTES: i64 = 16 * 1024;

/// Show what an agent wrote to its terminal
///
/// Shows the end of the last run as plain text. Every byte is kept: --all shows it from the start, --raw as it was
/// written, escape sequences included.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  oarlock logs payments\n  oarlock logs payments -f\n  oarlock logs payments --all --raw > run.log"
)]
pub struct Logs {
    /// The session: name, id, or a unique prefix
    #[arg(value_name = "S")]
    session: String,
    /// Go on as more is written, until the run ends
    #[arg(long, short)]
    follow: bool,
    /// From the start
    #[arg(long)]
    all: bool,
    /// As it was written
    #[arg(long)]
    raw: bool,
    /// Which run (default: the last)
    #[arg(long, value_name = "N")]
    run: Option<u32>,
}

pub fn run(context: &Context, logs: &Logs) -> Done {
    let client = context.client()?;
    let detail: wire::SessionDetail = client.get(&format!("/v1/sessions/{}", in_path(&logs.session)))?;
    let number = logs.run.or(detail.runs.last().map(|run| run.id));
    let Some(number) = number else {
        out::talk("Nothing was written: no agent has run yet.");
        return Ok(());
    };
    let at = |from: i64| format!("/v1/sessions/{}/output?run={number}&from={from}", detail.session.id);
    let shown = if logs.all || context.json {
        from_start(&client, at, logs.raw, context.json)?
    } else {
        let bytes = client.get_bytes(&at(-TAIL_BYTES))?;
        show(&bytes, logs.raw);
        0
    };
    if context.json || !logs.follow {
        return Ok(());
    }
    let folder = detail.runs.iter().find(|run| run.id == number).map(|run| run.folder.clone());
    let folder = folder.ok_or_else(|| CliError::failed("The run is too old to follow.", ""))?;
    let end = std::fs::metadata(Path::new(&folder).join("output.log")).map(|meta| meta.len()).unwrap_or(0);
    let from = if logs.all { shown } else { end };
    follow(Path::new(&folder), from, logs.raw)
}

/// Shows everything from the start, and returns how much that was.
fn from_start(client: &Client, at: impl Fn(i64) -> String, raw: bool, json: bool) -> Result<u64, CliError> {
    let mut offset = 0;
    loop {
        let bytes = client.get_bytes(&at(offset))?;
        if bytes.is_empty() {
            return Ok(offset.unsigned_abs());
        }
        if json {
            let piece = serde_json::json!({"offset": offset, "text": String::from_utf8_lossy(&bytes)});
            out::json(&piece)?;
        } else {
            show(&bytes, raw);
        }
        offset += i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    }
}

fn show(bytes: &[u8], raw: bool) {
    if raw {
        return out::bytes(bytes);
    }
    out::bytes(plain(bytes).as_bytes());
}

/// Returns what was written as plain text. A line that was drawn over and over, such as a progress bar, is there as it
/// was last.
fn plain(bytes: &[u8]) -> String {
    // The stripper drops tabs and carriage returns, so it gets what stands between them.
    let strip = |piece: &[u8]| String::from_utf8_lossy(&strip_ansi_escapes::strip(piece)).into_owned();
    let drawn = |drawn: &[u8]| drawn.split(|byte| *byte == b'\t').map(strip).collect::<Vec<_>>().join("\t");
    let mut text = String::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (line, end) = line.strip_suffix(b"\n").map_or((line, ""), |line| (line, "\n"));
        let last = line.rsplit(|byte| *byte == b'\r').map(drawn).find(|drawn| !drawn.is_empty());
        text.extend(last.unwrap_or_default().chars().filter(|c| *c == '\t' || !out::drives(*c)));
        text.push_str(end);
    }
    text
}

fn follow(folder: &Path, from: u64, raw: bool) -> Done {
    let options = ConnectOptions { watch: Watch::Output { from }, size: None, read_only: true };
    out::end_with_reader();
    // A run that is over has nothing more to say.
    let Ok(mut client) = oarlock_term::Client::connect_with(folder, options) else { return Ok(()) };
    for event in client.events() {
        match event {
            Ok(Event::Output { bytes, .. }) => show(&bytes, raw),
            Ok(Event::Screen(_) | Event::InputRefused { .. }) => {}
            Ok(Event::Exited(_) | Event::Lost) | Err(_) => break,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_drawn_over_and_over_is_shown_once() {
        let written =
            b"| busy\r\x1b[2K/ busy\r\x1b[2K\x1b[32mok\x1b[0m\ta\r\n\x07two\x1b]0;title\x07\r\n\r\nthree";
        assert_eq!(plain(written), "ok\ta\ntwo\n\nthree");
    }
}
