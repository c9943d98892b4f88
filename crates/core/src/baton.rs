//! The baton: what one leg of a relay leaves for the next, in a page. Less is more here: what does not fit is in git.
//!
//! It must not read files or git: what a baton states is handed out to be held against them, and what came of that is
//! handed in.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Most lines of a baton: a page. A longer one carries the worn context on.
pub const LINES_MAX: usize = 40;
/// Most bytes of a baton: forty full lines.
pub const BYTES_MAX: usize = 4 * 1024;
/// Longest line of a derived baton, in bytes: as many fit as there may be lines.
const LINE_BYTES_MAX: usize = BYTES_MAX / LINES_MAX - 1;
/// Statements that are held against git; more are an inventory.
const STATEMENTS_MAX: usize = 40;
/// Shortest commit id that is taken for one: git's own abbreviations have seven.
const OID_CHARS_MIN: usize = 7;

/// What a baton states that git can tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Statements {
    /// The phase it speaks of, counted from 1.
    pub phase: Option<u32>,
    /// Commits it names, as written.
    pub commits: Vec<String>,
    /// Paths it names as files that are there.
    pub files: Vec<String>,
}

/// What is wrong with a baton. It does not stop a relay: a baton in its place is derived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// There is none.
    Missing,
    /// It is the one that the leg was given.
    Stale,
    /// Nothing but white space.
    Empty,
    /// It is no text.
    Binary,
    /// It has this many lines.
    TooManyLines(u32),
    /// It has this many bytes.
    TooLong(u64),
    /// It says nothing of what comes next.
    NoNext,
    /// It speaks of a phase that the plan does not have.
    NoSuchPhase(u32),
    /// It names a commit that the branch does not have.
    NoSuchCommit(String),
    /// It names a file that is not there.
    NoSuchFile(String),
}

impl Fault {
    /// Returns it as a sentence.
    #[must_use]
    pub fn says(&self) -> String {
        match self {
            Fault::Missing => "It wrote no baton.".into(),
            Fault::Stale => "The baton is the one it was given.".into(),
            Fault::Empty => "The baton is empty.".into(),
            Fault::Binary => "The baton is no text.".into(),
            Fault::TooManyLines(lines) => format!("The baton has {lines} lines; {LINES_MAX} are passed on."),
            Fault::TooLong(bytes) => format!("The baton has {bytes} bytes; {BYTES_MAX} are passed on."),
            Fault::NoNext => "The baton does not say what comes next.".into(),
            Fault::NoSuchPhase(phase) => {
                format!("The baton speaks of phase {phase}, which the plan does not have.")
            }
            Fault::NoSuchCommit(oid) => {
                format!("The baton names commit {oid}, which its branch does not have.")
            }
            Fault::NoSuchFile(path) => format!("The baton names {path}, which is not there."),
        }
    }

    /// Tells whether the baton can be passed on all the same, with the fault said beside it.
    #[must_use]
    pub fn is_slight(&self) -> bool {
        matches!(self, Fault::NoNext | Fault::NoSuchFile(_) | Fault::NoSuchCommit(_))
    }
}

/// Looks at a baton's form: its size, and whether it says what comes next.
///
/// # Errors
/// What is wrong with it, the gravest alone.
pub fn read(bytes: &[u8], phases: u32) -> Result<(String, Statements, Vec<Fault>), Fault> {
    let text = core::str::from_utf8(bytes).map_err(|_| Fault::Binary)?;
    if text.contains('\0') {
        return Err(Fault::Binary);
    }
    let text = crate::text::clean(text);
    let text = text.trim();
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        return Err(Fault::TooManyLines(u32::try_from(lines).unwrap_or(u32::MAX)));
    }
    if text.len() > BYTES_MAX {
        return Err(Fault::TooLong(text.len() as u64));
    }
    let statements = state(text);
    if let Some(phase) = statements.phase.filter(|phase| *phase == 0 || *phase > phases) {
        return Err(Fault::NoSuchPhase(phase));
    }
    let faults = if says_next(text) { Vec::new() } else { alloc::vec![Fault::NoNext] };
    Ok((text.to_string(), statements, faults))
}

/// A baton says what comes next under a heading or label that begins with "next", or "remaining", or "to do".
fn says_next(text: &str) -> bool {
    text.lines().any(|line| {
        let bare = line.trim_start_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        ["next", "remaining", "todo", "to do", "what is left", "left to do"]
            .iter()
            .any(|word| bare.starts_with(word))
    })
}

/// Picks out what git can tell: the phase of a `Phase:` line, ids of commits, paths of code spans.
fn state(text: &str) -> Statements {
    let mut statements = Statements::default();
    for line in text.lines() {
        let bare = line.trim_start_matches(|c: char| !c.is_alphanumeric());
        if statements.phase.is_none()
            && let Some(rest) =
                bare.get(..5).filter(|word| word.eq_ignore_ascii_case("phase")).map(|_| &bare[5..])
        {
            let rest = rest.trim_start_matches([':', ' ', '*', '#']);
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            statements.phase = rest[..digits].parse().ok();
        }
        for word in line.split(|c: char| !c.is_ascii_alphanumeric()) {
            if is_oid(word) && statements.commits.len() < STATEMENTS_MAX {
                statements.commits.push(word.to_string());
            }
        }
        // What is to be written is not there yet.
        for span in line.split('`').skip(1).step_by(2).map(str::trim) {
            if is_path(span) && statements.files.len() < STATEMENTS_MAX {
                statements.files.push(span.to_string());
            }
        }
    }
    statements
}

/// Letters and digits both, so that neither a number nor a word of the right letters is taken for a commit.
fn is_oid(word: &str) -> bool {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    (OID_CHARS_MIN..=40).contains(&word.len())
        && word.chars().all(hex)
        && word.contains(|c: char| c.is_ascii_digit())
        && word.contains(|c: char| c.is_ascii_alphabetic())
}

fn is_path(span: &str) -> bool {
    let plain = span.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c));
    plain && span.contains('/') && !span.starts_with('/') && !span.contains("..") && !span.ends_with('/')
}

/// What is known of a leg without asking anybody, for a baton in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The phase it worked on, counted from 1, and its title.
    pub phase: (u32, String),
    /// The commits it made, the oldest first: short id and subject.
    pub commits: Vec<String>,
    /// Paths changed and not committed.
    pub dirty: Vec<String>,
    /// How it ended, in one sentence.
    pub ended: String,
    /// Its last words, in one line.
    pub last_words: String,
}

/// Writes a baton out of what is known, within the limits of one.
#[must_use]
pub fn derive(known: &Known) -> String {
    let (phase, title) = &known.phase;
    let mut lines = alloc::vec![
        "# Baton, derived by oarlock: the agent before you left none that could be passed on.".to_string(),
        format!("Phase: {phase} ({title}), in progress as far as is known."),
        format!("How it ended: {}", known.ended),
        String::new(),
        "## Done".to_string(),
    ];
    // Each part has its share of the page.
    part(&mut lines, known.commits.iter().map(|commit| format!("- {commit}")), 12, "No commit.");
    lines.extend([String::new(), "## Changed and not committed".to_string()]);
    part(&mut lines, known.dirty.iter().map(|path| format!("- {path}")), 10, "Nothing.");
    if !known.last_words.is_empty() {
        lines.extend([String::new(), format!("Its last words: {}", known.last_words)]);
    }
    lines.extend([
        String::new(),
        "## Next".to_string(),
        "- Look at the commits and at what is not committed, then go on with the phase.".to_string(),
    ]);
    let lines: Vec<String> = lines.iter().map(|line| cut(&crate::text::line(line, LINE_BYTES_MAX))).collect();
    lines.join("\n")
}

/// Forty lines of this length are a baton.
fn cut(line: &str) -> String {
    line[..line.floor_char_boundary(LINE_BYTES_MAX)].to_string()
}

fn part(lines: &mut Vec<String>, all: impl ExactSizeIterator<Item = String>, kept: usize, none: &str) {
    let total = all.len();
    if total == 0 {
        lines.push(none.into());
    }
    // The last ones say most.
    let skipped = total.saturating_sub(kept);
    if skipped > 0 {
        lines.push(format!("- … {skipped} more"));
    }
    lines.extend(all.skip(skipped));
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "# Baton\nPhase: 2\n\n## Done\n- parser, in `src/parse.rs` (a1b2c3d)\n\n## Next\n- printer\n";

    #[test]
    fn a_good_baton_states_what_git_can_tell() {
        let (text, statements, faults) = read(GOOD.as_bytes(), 4).unwrap();
        assert_eq!(text, GOOD.trim());
        assert_eq!(faults, []);
        assert_eq!(statements.phase, Some(2));
        assert_eq!(statements.commits, ["a1b2c3d"]);
        assert_eq!(statements.files, ["src/parse.rs"]);
    }

    #[test]
    fn a_page_is_passed_on_and_no_more() {
        let line = "- and\n";
        let lines = format!("Next: it\n{}", line.repeat(LINES_MAX - 1));
        assert!(read(lines.as_bytes(), 1).is_ok());
        assert_eq!(read((lines + line).as_bytes(), 1), Err(Fault::TooManyLines(41)));
        let long = format!("Next: {}", "x".repeat(BYTES_MAX));
        assert_eq!(read(long.as_bytes(), 1), Err(Fault::TooLong(BYTES_MAX as u64 + 6)));
    }

    #[test]
    fn what_is_no_baton_is_told_apart() {
        assert_eq!(read(b" \n\t", 1), Err(Fault::Empty));
        assert_eq!(read(b"\xff\xfe", 1), Err(Fault::Binary));
        assert_eq!(read(b"Next\0", 1), Err(Fault::Binary));
        assert_eq!(read(b"Phase 3\nNext: all of it", 2), Err(Fault::NoSuchPhase(3)));
        let (_, _, faults) = read(b"I did a lot.", 2).unwrap();
        assert_eq!(faults, [Fault::NoNext]);
        let (text, ..) = read(b"Next: \x1b[2Jit", 2).unwrap();
        assert_eq!(text, "Next: [2Jit", "nothing in it drives a terminal");
    }

    #[test]
    fn neither_numbers_nor_words_are_taken_for_commits() {
        let (_, statements, _) =
            read(b"Next: 12345678 deadbeef effaced a1b2c3 A1B2C3D abc1234 `a/../b` `/etc/x` `a/b`", 1)
                .unwrap();
        assert_eq!(statements.commits, ["abc1234"]);
        assert_eq!(statements.files, ["a/b"]);
    }

    #[test]
    fn a_derived_baton_is_a_baton() {
        let known = Known {
            phase: (2, "Parser ".repeat(30)),
            commits: (0..50).map(|n| format!("{n:07x} {}", "Wörter ".repeat(40))).collect(),
            dirty: (0..50).map(|n| format!("src/{n}/{}.rs", "日本".repeat(90))).collect(),
            ended: "signal 9 ended it.".into(),
            last_words: "and so\nI said".into(),
        };
        let text = derive(&known);
        let (_, statements, faults) = read(text.as_bytes(), 2).unwrap();
        assert_eq!(statements.phase, Some(2));
        assert_eq!(faults, []);
        assert!(text.contains("… 38 more") && text.contains("src/49/"), "{text}");
    }
}
