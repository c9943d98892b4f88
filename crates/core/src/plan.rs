//! Plans: what a person wrote for a relay, read into phases and their checks, without a model.
//!
//! It must not know where a plan comes from, nor what becomes of it. A plan is a person's text in whatever form they write
//! plans: headings of any level that say phase, sprint, milestone or the like, numbered headings, task lists, numbered lists,
//! or plain sections. What was understood is data, and what was doubtful is said.

mod checks;
mod lines;
mod units;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use lines::Line;

/// Longest plan, in bytes: a book has a megabyte, and agents read the plan.
pub const PLAN_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Most phases a plan may have: a leg is minutes to hours, so more are a list of something else.
pub const PHASES_MAX: usize = 200;
/// Longest title of a phase, in characters: it is shown in one line.
const TITLE_CHARS_MAX: usize = 100;

/// A plan, as it was understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its title; empty when it has none.
    pub title: String,
    /// What its phases are called by its author: `phase`, `sprint`, `task` and so on.
    pub unit: String,
    /// Its phases, in order; never none.
    pub phases: Vec<Phase>,
    /// What was doubtful, in a sentence each.
    pub warnings: Vec<String>,
}

/// One phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// Counted from 1 in the order of the plan, whatever its author calls it.
    pub number: u32,
    /// What its author calls it beside its title, such as `Phase 2a`; empty when it has only a title.
    pub label: String,
    /// Its title.
    pub title: String,
    /// Its first line in the plan, counted from 1.
    pub line_first: u32,
    /// Its last line, counted from 1.
    pub line_last: u32,
    /// Tasks in it, and how many of them are ticked off.
    pub tasks: (u32, u32),
    /// Whether its author marked it as done already.
    pub is_ticked: bool,
    /// How to tell that it is done, as its author says.
    pub checks: Vec<Check>,
}

/// One way to tell that a phase is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What its author wrote, in one line.
    pub text: String,
    /// The command to run, where the text names one.
    pub command: Option<String>,
}

/// Why a text is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlan {
    /// Nothing but white space.
    Empty,
    /// It has bytes that no text has.
    Binary,
    /// It has this many bytes.
    TooLong(usize),
    /// It has this many phases.
    TooMany(usize),
    /// It is text, and nothing in it can be done one after the other.
    NoPhases,
}

impl NoPlan {
    /// Returns a stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            NoPlan::Empty => "plan_empty",
            NoPlan::Binary => "plan_binary",
            NoPlan::TooLong(_) => "plan_too_long",
            NoPlan::TooMany(_) => "plan_too_many_phases",
            NoPlan::NoPhases => "plan_no_phases",
        }
    }

    /// Returns one sentence for people.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            NoPlan::Empty => "The plan is empty.".into(),
            NoPlan::Binary => "The plan is no text.".into(),
            NoPlan::TooLong(bytes) => format!("The plan has {bytes} bytes; at most {PLAN_BYTES_MAX} are read."),
            NoPlan::TooMany(phases) => format!("The plan has {phases} phases; at most {PHASES_MAX} are run."),
            NoPlan::NoPhases => {
                "The plan has no phases: no heading that says phase, sprint, milestone or step, no two sections, and no \
                 list of tasks or numbered items."
                    .into()
            }
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            NoPlan::Empty | NoPlan::NoPhases => {
                "Give each piece of work a heading, such as \"## Phase 1: Scaffolding\".".into()
            }
            NoPlan::Binary => "Export it as Markdown or plain text.".into(),
            NoPlan::TooLong(_) => "Put reference material into files that the plan names.".into(),
            NoPlan::TooMany(_) => {
                "Group its items under headings, one for each agent's worth of work.".into()
            }
        }
    }
}

/// Returns a file's bytes as text, and what had to be guessed for that.
///
/// # Errors
/// When they are no text.
pub fn decode(bytes: &[u8]) -> Result<(String, Option<String>), NoPlan> {
    if bytes.len() > PLAN_BYTES_MAX {
        return Err(NoPlan::TooLong(bytes.len()));
    }
    let (text, guessed) = match bytes {
        [0xff, 0xfe, rest @ ..] => (utf16(rest, u16::from_le_bytes), None),
        [0xfe, 0xff, rest @ ..] => (utf16(rest, u16::from_be_bytes), None),
        _ => match core::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)) {
            Ok(text) => (text.to_string(), None),
            Err(_) => (
                bytes.iter().map(|byte| char::from(*byte)).collect(),
                Some("It is not UTF-8; it was read as Latin-1.".into()),
            ),
        },
    };
    if text.contains('\0') {
        return Err(NoPlan::Binary);
    }
    Ok((text, guessed))
}

fn utf16(bytes: &[u8], join: fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| join([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

/// Reads a plan.
///
/// # Errors
/// When it has no phases, or too many.
pub fn read(text: &str) -> Result<Plan, NoPlan> {
    if text.trim().is_empty() {
        return Err(NoPlan::Empty);
    }
    let scan = lines::scan(text);
    let found = units::find(&scan.lines).ok_or(NoPlan::NoPhases)?;
    if found.starts.len() > PHASES_MAX {
        return Err(NoPlan::TooMany(found.starts.len()));
    }
    let phases: Vec<Phase> = found
        .starts
        .iter()
        .zip(1..)
        .map(|(start, number)| phase(&scan.lines[start.at..start.end], number, start))
        .collect();
    let mut warnings = scan.warnings;
    let title = title(&scan.lines, &found);
    warnings.extend(found.warning);
    warn(&phases, &found.unit, &mut warnings);
    Ok(Plan { title, unit: found.unit, phases, warnings })
}

fn phase(lines: &[Line<'_>], number: u32, start: &units::Start) -> Phase {
    let body = lines.get(1..).unwrap_or_default();
    let tasks: Vec<bool> = lines.iter().skip(usize::from(start.is_task)).filter_map(Line::task).collect();
    let ticked = tasks.iter().filter(|done| **done).count();
    let is_ticked = start.is_ticked || (!tasks.is_empty() && ticked == tasks.len());
    let last = lines.iter().rev().find(|line| line.what != lines::What::Blank).or(lines.last());
    Phase {
        number,
        label: start.label.clone(),
        title: crate::text::line(&start.title, TITLE_CHARS_MAX),
        line_first: lines.first().map_or(0, |line| line.number),
        line_last: last.map_or(0, |line| line.number),
        tasks: (count(tasks.len()), count(ticked)),
        is_ticked,
        checks: checks::read(body),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The title is the first heading that is no phase.
fn title(lines: &[Line<'_>], found: &units::Found) -> String {
    let first = found.starts.first().map_or(0, |start| start.at);
    let heading = lines[..first].iter().filter_map(Line::heading).find(|(_, text)| !units::is_unit(text));
    heading.map(|(_, text)| crate::text::line(&units::plain(text), TITLE_CHARS_MAX)).unwrap_or_default()
}

fn warn(phases: &[Phase], unit: &str, warnings: &mut Vec<String>) {
    for (phase, next) in phases.iter().zip(phases.iter().skip(1)) {
        if !phase.label.is_empty() && phase.label == next.label {
            warnings.push(format!("{} comes twice.", phase.label));
        }
    }
    let numbers: Vec<u32> = phases.iter().filter_map(|phase| units::plain_number(&phase.label)).collect();
    if let Some(pair) = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1 && pair[1] != pair[0]) {
        warnings.push(format!(
            "After {unit} {} comes {unit} {}; they are worked in the order they are written.",
            pair[0], pair[1]
        ));
    }
    for phase in phases.iter().filter(|phase| phase.title.is_empty() && phase.line_first == phase.line_last) {
        warnings.push(format!("{unit} {} in line {} says nothing.", phase.number, phase.line_first));
    }
    for phase in phases.iter().filter(|phase| phase.is_ticked) {
        warnings.push(format!("{unit} {} is marked as done already, and is not worked again.", phase.number));
    }
}
