//! What an overseer says, as a file of its own run: written by `oarlock verdict`, which tells at once what is wrong with it, or by
//! the overseer itself. It must not know whether the verdict counts.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use oarlock_core::playbook::gate::{Finding, ReadVerdict, Review, Verdict};
use oarlock_core::text;
use rustix::fs::OFlags;
use serde::Deserialize;

use super::bench;
use crate::run::inbox;

/// The variable that names the file.
pub const FILE: &str = "OARLOCK_VERDICT";
/// The variable that names what the verdict is about.
pub const BINDING: &str = "OARLOCK_JUDGES";

/// Longest verdict, in bytes: more is a report, which belongs elsewhere.
const BYTES_MAX: u64 = 256 * 1024;
/// Most requirements and issues.
const ITEMS_MAX: usize = 200;
/// Longest text of each, in characters.
const ITEM_CHARS_MAX: usize = 2_000;
/// Longest summary, in characters.
const SUMMARY_CHARS_MAX: usize = 4_000;

/// Returns the file that the overseer of a run writes its verdict to.
pub(crate) fn file(run: &Path) -> PathBuf {
    inbox::folder(run).join("verdict.json")
}

/// A verdict as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    verdict: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    requirements: Vec<WrittenFinding>,
    #[serde(default)]
    issues: Vec<String>,
    #[serde(default)]
    judges: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFinding {
    requirement: String,
    met: bool,
    seen: String,
}

/// Reads a verdict; what is about something else than `binding` is none.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn parse(bytes: &[u8], binding: &str) -> Result<Verdict, String> {
    let written: Written = serde_json::from_slice(bytes).map_err(|error| {
        format!("The verdict is not what was asked for: {}.", text::line(&error.to_string(), 200))
    })?;
    let approved = match written.verdict.as_str() {
        "approve" => true,
        "issues" => false,
        other => {
            return Err(format!(
                "\"{}\" is no verdict; say \"approve\" or \"issues\".",
                text::line(other, 40)
            ));
        }
    };
    if written.judges.as_deref().is_some_and(|judges| judges != binding) {
        return Err(format!("The verdict is about something else; this is {binding}."));
    }
    if written.requirements.len() + written.issues.len() > ITEMS_MAX {
        return Err(format!("It has more than {ITEMS_MAX} requirements and issues."));
    }
    let clean = |text: &str| text::line(text.trim(), ITEM_CHARS_MAX);
    let requirements: Vec<Finding> = written
        .requirements
        .iter()
        .map(|one| Finding { requirement: clean(&one.requirement), met: one.met, seen: clean(&one.seen) })
        .collect();
    let issues: Vec<String> =
        written.issues.iter().map(|issue| clean(issue)).filter(|issue| !issue.is_empty()).collect();
    let verdict = Verdict {
        approved,
        summary: text::line(&written.summary, SUMMARY_CHARS_MAX),
        requirements,
        issues,
        binding: binding.into(),
    };
    check(&verdict)?;
    Ok(verdict)
}

fn check(verdict: &Verdict) -> Result<(), String> {
    if verdict.requirements.is_empty() {
        return Err(
            "It names no requirement of the spec; say of each whether it is met and how that was seen."
                .into(),
        );
    }
    if let Some(unseen) =
        verdict.requirements.iter().find(|one| one.seen.is_empty() || one.requirement.is_empty())
    {
        return Err(format!(
            "Of \"{}\" it does not say how it was seen.",
            text::line(&unseen.requirement, 80)
        ));
    }
    if verdict.approved && !verdict.is_approval() {
        return Err(
            "It approves, and names an issue or a requirement that is not met; say \"issues\" then.".into()
        );
    }
    if !verdict.approved && verdict.issues.is_empty() && verdict.requirements.iter().all(|one| one.met) {
        return Err("It does not approve, and names nothing that is to be mended.".into());
    }
    Ok(())
}

/// Writes a verdict that was read, for whoever reads it after the run.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Leaves a verdict of one requirement, as a scripted overseer does.
pub(crate) fn say(approves: bool, words: &str) {
    let Some(path) = std::env::var_os(FILE) else { return };
    let issues: Vec<&str> = (!approves).then_some(words).into_iter().collect();
    let verdict = serde_json::json!({
        "verdict": if approves { "approve" } else { "issues" },
        "summary": words,
        "requirements": [{"requirement": "what the spec asks for", "met": approves, "seen": words}],
        "issues": issues,
    });
    // Whoever reads it says that there is none.
    drop(write(Path::new(&path), verdict.to_string().as_bytes()));
}

/// Reads what an overseer left, and clears its checkout away.
pub(crate) fn read(want: &ReadVerdict, run: &Path, bench: &Path) -> Review {
    let untouched = bench::is_untouched(&bench.join("tree"), want.candidate.as_str());
    drop(bench::remove(bench));
    if let Err(fault) = untouched {
        return Review { verdict: None, fault };
    }
    match bytes(&file(run)).map(|bytes| parse(&bytes, &want.binding)) {
        None => Review { verdict: None, fault: "It left no verdict.".into() },
        Some(Ok(verdict)) => Review { verdict: Some(verdict), fault: String::new() },
        Some(Err(fault)) => Review { verdict: None, fault },
    }
}

/// Reads the file, and never more than tells that it is too long. A pipe or a link in its place is none.
fn bytes(path: &Path) -> Option<Vec<u8>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= BYTES_MAX).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YES: &str = r#"{"verdict":"approve","summary":"Good.","requirements":[{"requirement":"adds","met":true,"seen":"ran it"}]}"#;

    #[test]
    fn a_verdict_says_how_each_requirement_was_seen() {
        let verdict = parse(YES.as_bytes(), "b").unwrap();
        assert!(verdict.is_approval());
        assert_eq!(verdict.binding, "b");
        let no =
            r#"{"verdict":"issues","requirements":[{"requirement":"adds","met":false,"seen":"ran it"}]}"#;
        let no = parse(no.as_bytes(), "b").unwrap();
        assert!(!no.is_approval());
        assert_eq!(no.to_mend(), ["Not met: adds. ran it"]);
    }

    #[test]
    fn what_is_no_verdict_is_said_so() {
        for (text, says) in [
            ("", "not what was asked for"),
            ("[]", "not what was asked for"),
            (r#"{"verdict":"approve"}"#, "names no requirement"),
            (r#"{"verdict":"maybe"}"#, "is no verdict"),
            (r#"{"verdict":"approve","extra":1}"#, "unknown field"),
            (&YES.replace(r#""seen":"ran it""#, r#""seen":" ""#), "how it was seen"),
            (&YES.replace("true", "false"), "not met"),
            (&YES.replace(r#""summary":"Good.","#, r#""issues":["but"],"#), "names an issue"),
            (&YES.replace("approve", "issues"), "nothing that is to be mended"),
            (&YES.replace(r#""summary""#, r#""judges":"other","summary""#), "about something else"),
        ] {
            let why = parse(text.as_bytes(), "b").unwrap_err();
            assert!(why.contains(says), "{text}: {why}");
        }
    }
}
