//! The page about the accuracy of status: written whole, from the records of all measurements. It measures nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::count::Count;

/// A measurement of one agent, held one way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub agent: String,
    pub hold: String,
    pub version: String,
    pub notes: Vec<String>,
    pub count: Count,
}

/// The words, in the order in which a session meets them.
const WORDS: [&str; 8] =
    ["starting", "working", "idle", "blocked", "rate_limited", "needs_input", "stopped", "failed"];

const HEAD: &str = "# How accurate status is

Written by `cargo xtask agents accuracy`; do not edit it by hand.

Real agent programs were led through everything that a status has a word for, against a scripted model server on loopback.
Every 100 ms, what a follower of the feed was told is held against what is true.

## What is true, and who says so

Nothing of oarlock's own is taken for the truth. The witnesses are the model's server, which knows when it is asked and when the
last byte of an answer was handed over; marks with the time in them, which tools leave where they run; and `/proc`.

| state | begins | ends | the right word |
|---|---|---|---|
| starting | the command to spawn | the agent's program is there | `starting` |
| working | its program is there, with words to begin with; the model is asked about what it was told | the last answer of the turn was handed over | `working` |
| idle | the last answer of the turn was handed over, or an interrupted answer was hung up on | it is told something | `idle` |
| permission asked | a call that needs leave was handed over, and its mark is not made | its mark is made | `blocked` |
| rate limited | the first refusal with 429 was handed over | the first byte of the answer that is none | `rate_limited` |
| turn given up | the last refusal, after which no request came | it is told something | `needs_input` |
| stopped | the agent's process is gone, after `oarlock stop` | | `stopped` |
| crashed | SIGKILL | | `failed` |

Three kinds of samples are told apart. **Decided** ones are right or wrong, and the percentage is of them. **Settling** ones lie
between a change and the moment at which it was said, when that is at most 500 ms later; a change that is seen later than that is
wrong from its first sample on. **Open** ones lie where the witness cannot tell the moment of a change: between the keystroke or the
command and its effect (a message sent and the model asked about it, an answer given and the tool begun, Esc and the hung up
answer), where the word before it and the word after it are both right, and a third is wrong. So it is while an agent asks the model
for a title, or for what the person may say next, right after a turn: some end their turn before that, some after. The model's last
byte is not an agent's last act: what an agent does after it (calling a hook, drawing its prompt) counts against oarlock here.

Each agent runs twice. Once nothing is asked: it answers (2 s), runs a command (3 s), says something long (8 s), is refused three
times and let in again, is interrupted with the keys for it, and is killed. Once it asks: a command waits 8 s for leave, runs, and
the session is stopped.

Delays are from the end of what the witness cannot tell to the word. Zero is a word that was there by then.
";

/// Returns the folder of the source tree.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("it is built from there")
}

impl Record {
    /// Keeps the record, and writes the page anew if that is asked for.
    pub fn keep(&self) {
        let folder = super::play::target().join("accuracy");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{}-{}.json", self.agent, self.hold));
        fs::write(path, serde_json::to_vec_pretty(self).unwrap()).unwrap();
        if std::env::var_os("OARLOCK_UPDATE").is_none() {
            return;
        }
        let mut paths: Vec<PathBuf> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let records: Vec<Record> =
            paths.iter().map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect();
        fs::write(root().join("docs/status-accuracy.md"), page(&records)).unwrap();
    }
}

/// Returns the whole page.
pub fn page(records: &[Record]) -> String {
    let mut page = HEAD.to_owned();
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    writeln!(page, "\n## Figures\n\nMeasured on {day}, on Linux with {cores} cores, in a debug build, several agents at a time.\n")
        .unwrap();
    page.push_str("| agent | version | held by | samples | right | settling | open | p50 | p95 | slowest | never seen |\n");
    page.push_str("|---|---|---|---|---|---|---|---|---|---|---|\n");
    let mut all = Count::default();
    for record in records {
        all.add(&record.count);
        let names = format!("{} | {} | {}", record.agent, record.version, record.hold);
        writeln!(page, "| {names} | {} |", figures(&record.count)).unwrap();
    }
    writeln!(page, "| all | | | {} |", figures(&all)).unwrap();
    page.push_str("\nDelays are in milliseconds.\n");
    writeln!(page, "\n## All of them\n\n{}", matrix(&all)).unwrap();
    for record in records {
        page.push_str(&section(record));
    }
    page
}

/// Returns what the page says of one agent.
pub fn section(record: &Record) -> String {
    let mut section = format!("\n## {} {}, by {}\n\n", record.agent, record.version, record.hold);
    section.push_str(&matrix(&record.count));
    for note in &record.notes {
        writeln!(section, "\n{note}").unwrap();
    }
    section
}

fn figures(count: &Count) -> String {
    let (right, wrong) = count.right_wrong();
    let [p50, p95, max] = quantiles(count.delays.iter().filter_map(|(_, delay)| *delay).collect());
    let missed = count.delays.iter().filter(|(_, delay)| delay.is_none()).count();
    let percent = percent(right, right + wrong);
    let (all, settling, open) = (right + wrong, count.settling, count.open);
    format!("{all} | {percent} | {settling} | {open} | {p50} | {p95} | {max} | {missed}")
}

/// Returns a part of a whole, with two digits after the point, cut and not rounded: 100 means all of it.
fn percent(part: u64, whole: u64) -> String {
    let hundredths = (part * 10_000).checked_div(whole).unwrap_or_default();
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

/// Returns the middle one, the one that 95 of 100 do not exceed, and the largest; nearest rank.
fn quantiles(mut delays: Vec<u64>) -> [u64; 3] {
    delays.sort_unstable();
    let rank = |percent: usize| {
        let rank = (delays.len() * percent).div_ceil(100).max(1);
        delays.get(rank - 1).copied().unwrap_or_default()
    };
    [rank(50), rank(95), rank(100)]
}

/// Returns a table of what was true, by row, and what was said, by column, in samples; with how late each state was seen.
fn matrix(count: &Count) -> String {
    let said: BTreeSet<&str> = count.cells.values().flat_map(|row| row.keys().map(String::as_str)).collect();
    let known = WORDS.iter().copied().filter(|word| said.contains(word));
    let columns: Vec<&str> = known.chain(said.iter().copied().filter(|word| !WORDS.contains(word))).collect();
    let mut table = format!("| true \\ said | {} | delays, ms |\n|---|", columns.join(" | "));
    table.push_str(&"---|".repeat(columns.len() + 1));
    table.push('\n');
    for truth in WORDS {
        let delays: Vec<String> = count
            .delays
            .iter()
            .filter(|(state, _)| state == truth)
            .map(|(_, delay)| delay.map_or_else(|| "never".to_owned(), |ms| ms.to_string()))
            .collect();
        if delays.is_empty() {
            continue;
        }
        let cell = |said: &&str| {
            let found = count.cells.get(truth).and_then(|row| row.get(*said));
            found.map(u64::to_string).unwrap_or_default()
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        writeln!(table, "| {truth} | {} | {} |", cells.join(" | "), summary(&delays)).unwrap();
    }
    table
}

/// Returns all delays where they are few, else the span they lie in.
fn summary(delays: &[String]) -> String {
    if delays.len() <= 6 {
        return delays.join(", ");
    }
    let known: Vec<u64> = delays.iter().filter_map(|delay| delay.parse().ok()).collect();
    let [p50, p95, max] = quantiles(known.clone());
    let never = delays.len() - known.len();
    let never = if never == 0 { String::new() } else { format!(", {never} never") };
    format!("p50 {p50}, p95 {p95}, slowest {max}{never}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_percent_is_all_of_them() {
        assert_eq!(percent(9_999, 10_000), "99.99 %");
        assert_eq!(percent(99_999, 100_000), "99.99 %");
        assert_eq!(percent(7, 7), "100.00 %");
        assert_eq!(percent(0, 0), "0.00 %");
    }

    #[test]
    fn a_quantile_is_one_of_the_delays() {
        assert_eq!(quantiles((1..=100).collect()), [50, 95, 100]);
        assert_eq!(quantiles(vec![7]), [7, 7, 7]);
        assert_eq!(quantiles(vec![]), [0, 0, 0]);
    }
}
