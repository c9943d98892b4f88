//! The words of scripts about gates.
//!
//! A look answers `examined HEAD on BASE` with `dirty`, `conflicts`, `empty`, `strayed` or `touched` after it, or `examined
//! trouble: WHY`; checks answer `green`, `red: WHY` or `no result: WHY`; a verdict is `approves`, `approves something else`,
//! `finds: ISSUE` or `says nothing: WHY`.

use oarlock_core::ids::{Name, Oid, RunId, SessionId};
use oarlock_core::playbook::gate::{
    Check, Checked, Exam, Examine, GateBrief, Options, ReadVerdict, Review, SpecRef,
};
use oarlock_core::session::fact::{Agent, Fact, How, Trouble};

use crate::world::gates::{result, verdict};

/// What a script says of a gate that it begins.
#[derive(Default)]
pub(super) struct Wish {
    pub checks: Vec<String>,
    pub rounds: Option<u32>,
    pub after: Vec<(SessionId, Name)>,
    pub hold: bool,
}

/// Returns the gate of a script's `spawn`: the first agent builds, the others judge.
pub(crate) fn gate(
    checks: &[String],
    rounds: u32,
    agents: &[Agent],
    after: Vec<(SessionId, Name)>,
    lands: bool,
) -> Options {
    let check = |command: &String| Check { command: command.clone(), ms_max: 1_000, origin: "flag".into() };
    let (builder, overseers) = agents
        .split_first()
        .map(|(first, rest)| (first.clone(), rest.to_vec()))
        .unwrap_or_else(|| (Agent::named("claude-code"), vec![]));
    Options {
        spec: SpecRef { digest: "s1".into(), source: "/src/spec.md".into(), title: "Spec".into() },
        checks: checks.iter().map(check).collect(),
        rounds_max: rounds,
        overseers: if overseers.is_empty() { vec![builder.clone()] } else { overseers },
        builder,
        after,
        lands,
        how: How::Merge,
        is_confined: true,
        git: "g1".into(),
        ms_max: None,
        cost_micros_max: None,
    }
}

impl Wish {
    pub(super) fn options(self, agents: &[Agent]) -> Options {
        gate(&self.checks, self.rounds.unwrap_or(10), agents, self.after, !self.hold)
    }
}

fn because(text: &str) -> Trouble {
    let message = text.split_once(':').map_or(text, |(_, why)| why).trim().to_owned();
    Trouble { code: "io".into(), message, hint: String::new(), paths: vec![] }
}

/// Reads what was found when the work was looked at.
pub(super) fn examined(text: &str, want: &Examine) -> Result<Fact, String> {
    let mut exam = Exam { number: want.number, commits: 1, files: 1, ..Exam::default() };
    if text.starts_with("examined trouble") {
        exam.trouble = Some(because(text));
        return Ok(Fact::Examined(exam));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let ["examined", head, "on", base, ref rest @ ..] = words[..] else {
        return Err(format!("what is {text:?}?"));
    };
    (exam.head, exam.base) = (Oid::from(head), Oid::from(base));
    exam.tree = Oid(format!("{head}+{base}"));
    exam.candidate = exam.tree.clone();
    for word in rest {
        match *word {
            "dirty" => exam.dirty = vec!["left.txt".into()],
            "conflicts" => exam.conflicts = vec!["same.txt".into()],
            "empty" => exam.commits = 0,
            "strayed" => exam.strayed_to = Some("other".into()),
            "touched" => exam.is_touched = true,
            other => return Err(format!("what is {other:?} of a look?")),
        }
    }
    Ok(Fact::Examined(exam))
}

/// Reads what the checks said.
pub(super) fn checked(text: &str, run: RunId, checks: &[Check]) -> Result<Fact, String> {
    let mut checked = Checked { run, ..Checked::default() };
    let red = match text.split_once(':') {
        None if text == "green" => String::new(),
        Some(("red", why)) => why.trim().into(),
        Some(("no result", _)) => {
            checked.trouble = Some(because(text));
            return Ok(Fact::Checked(checked));
        }
        _ => return Err(format!("what is {text:?}?")),
    };
    checked.results = checks.iter().map(|check| result(&check.command, &red)).collect();
    Ok(Fact::Checked(checked))
}

/// Reads what an overseer left.
pub(super) fn reviewed(text: &str, want: &ReadVerdict) -> Result<Fact, String> {
    let review = |verdict| Review { verdict: Some(verdict), fault: String::new() };
    let review = match text.split_once(':') {
        None if text == "approves" => review(verdict(true, &want.binding)),
        None if text == "approves something else" => review(verdict(true, "another")),
        Some(("finds", issue)) => {
            let mut no = verdict(false, &want.binding);
            no.issues = vec![issue.trim().into()];
            review(no)
        }
        Some(("says nothing", why)) => Review { verdict: None, fault: why.trim().into() },
        _ => return Err(format!("what is {text:?}?")),
    };
    Ok(Fact::Reviewed { run: want.run, review })
}

/// Returns what a run of a gate is begun for, in a few words.
pub(super) fn start_words(run: RunId, agent: &str, gate: &GateBrief) -> String {
    match gate {
        GateBrief::Build(brief) => {
            let mut words = format!("start run {run} by {agent} to build, round {}", brief.round);
            for (what, text) in [("words", &brief.words), ("note", &brief.note)] {
                if !text.is_empty() {
                    words += &format!(", {what} \"{text}\"");
                }
            }
            let issue =
                |issue: &String| format!(", to mend \"{}\"", issue.lines().next().unwrap_or_default());
            words.extend(brief.issues.iter().map(issue));
            words
        }
        GateBrief::Check(brief) => {
            format!("start run {run} to check {} on {}", brief.exam.head, brief.exam.base)
        }
        GateBrief::Judge(brief) => {
            format!("start run {run} by {agent} to judge {} on {}", brief.exam.head, brief.exam.base)
        }
    }
}
