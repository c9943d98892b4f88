//! Samples, what is said of them, and the table they end up in.

use std::fmt::Write;

use serde_json::{Value, json};

/// One thing measured several times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// Returns the value below which this part of the samples lies, between 0 and 1, interpolated; 0 without samples.
    pub fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
        let place = part * last as f64;
        let (below, above) = (place.floor() as usize, place.ceil() as usize);
        sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
    }

    /// Returns the middle.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<T: IntoIterator<Item = f64>>(iter: T) -> Self {
        Self(iter.into_iter().collect())
    }
}

/// A line of the table.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// What was measured.
    pub what: String,
    /// In which unit.
    pub unit: &'static str,
    /// Ours.
    pub ours: Samples,
    /// What it is compared with, in the same unit and measured in the same run.
    pub peers: Vec<(String, Samples)>,
    /// What we want to see, in words.
    pub aim: &'static str,
    /// What a reader must know to believe the numbers.
    pub note: String,
}

/// What became of a row.
pub struct Measured {
    /// Its name.
    pub row: &'static str,
    /// Its lines, or why there are none.
    pub lines: Result<Vec<Line>, String>,
}

/// Writes a number with three significant digits.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// Writes the table for people: a line for ours, and one for each peer under it.
pub fn text(rows: &[Measured]) -> String {
    let mut cells = vec![["measured", "median", "p10-p90", "ratio", "aim"].map(str::to_owned)];
    let mut notes = String::new();
    for Measured { row, lines } in rows {
        let lines = match lines {
            Ok(lines) => lines,
            Err(why) => {
                cells.push([
                    format!("{row}: {why}"),
                    String::new(),
                    String::new(),
                    String::new(),
                    String::new(),
                ]);
                continue;
            }
        };
        for line in lines {
            cells.push(cell(&format!("{row}: {}", line.what), line.unit, &line.ours, "", line.aim));
            for (peer, samples) in &line.peers {
                let ratio = format!("{}x", number(line.ours.median() / samples.median()));
                cells.push(cell(&format!("    beside {peer}"), line.unit, samples, &ratio, ""));
            }
            if !line.note.is_empty() {
                let _ = writeln!(notes, "{row}: {}: {}", line.what, line.note);
            }
        }
    }
    let mut out = String::new();
    let widest = |column: usize| {
        let whole = cells.iter().filter(|row| !row[1].is_empty() || column > 0);
        whole.map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..5).map(widest).collect();
    for row in &cells {
        let columns = row.iter().zip(&widths).enumerate().map(|(index, (cell, width))| match index {
            0 | 4 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        let _ = writeln!(out, "{}", columns.collect::<Vec<_>>().join("  ").trim_end());
    }
    format!("{out}\n{notes}")
}

fn cell(what: &str, unit: &str, samples: &Samples, ratio: &str, aim: &str) -> [String; 5] {
    let spread = match samples.0.len() {
        0 | 1 => String::new(),
        _ => format!("{}-{}", number(samples.quantile(0.1)), number(samples.quantile(0.9))),
    };
    [
        what.into(),
        format!("{} {unit}", number(samples.median())).trim_end().into(),
        spread,
        ratio.into(),
        aim.into(),
    ]
}

/// Returns the table for programs: an array of rows.
pub fn json(rows: &[Measured]) -> Value {
    let samples = |samples: &Samples| json!({"median": samples.median(), "p10": samples.quantile(0.1), "p90": samples.quantile(0.9), "samples": samples.0});
    let line = |line: &Line| {
        let peers: Vec<Value> = line
            .peers
            .iter()
            .map(|(name, peer)| json!({"name": name, "measured": samples(peer), "ratio": line.ours.median() / peer.median()}))
            .collect();
        json!({"what": line.what, "unit": line.unit, "ours": samples(&line.ours), "peers": peers, "aim": line.aim, "note": line.note})
    };
    let row = |row: &Measured| match &row.lines {
        Ok(lines) => json!({"row": row.row, "lines": lines.iter().map(line).collect::<Vec<_>>()}),
        Err(why) => json!({"row": row.row, "not_measured": why}),
    };
    Value::Array(rows.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_samples() {
        let samples = Samples(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!(samples.median(), 2.5);
        assert_eq!(samples.quantile(0.0), 1.0);
        assert_eq!(samples.quantile(1.0), 4.0);
        assert_eq!(Samples::default().median(), 0.0);
    }

    #[test]
    fn the_table_shows_ours_beside_its_peer() {
        let line = Line {
            what: "list".into(),
            unit: "ms",
            ours: Samples(vec![2.0, 2.0]),
            peers: vec![("true".into(), Samples(vec![1.0, 1.0]))],
            aim: "under 5 ms",
            note: "as started".into(),
        };
        let rows = [
            Measured { row: "ls", lines: Ok(vec![line]) },
            Measured { row: "mesh", lines: Err("not yet: there is no mesh".into()) },
        ];
        let expected = "\
measured          median    p10-p90  ratio  aim
ls: list         2.00 ms  2.00-2.00         under 5 ms
    beside true  1.00 ms  1.00-1.00  2.00x
mesh: not yet: there is no mesh

ls: list: as started
";
        assert_eq!(text(&rows), expected);
    }
}
