//! What gates meet of the outside: commits, checks, verdicts and a base that others push to.

use oarlock_core::ids::{Oid, RunId, SessionId};
use oarlock_core::playbook::gate::{
    CheckResult, Checked, Exam, Examine, Finding, GateBrief, ReadVerdict, Review, Verdict,
};
use oarlock_core::session::Effect;
use oarlock_core::session::fact::{Fact, LandWish};
use oarlock_engine::Job;

use super::{Luck, World, trouble};
use crate::sabotage::Sabotage;

/// What was checked, judged and landed, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Trees that the checks found green, by session.
    pub green: Vec<(SessionId, Oid)>,
    /// Commits that an overseer approved, by session.
    pub approved: Vec<(SessionId, Oid)>,
    /// Commits and trees that landed as approved, by session.
    pub landed: Vec<(SessionId, Oid, Oid)>,
    /// Pushes of others to the base branch.
    pub pushes: u32,
}

impl World {
    /// Returns the commit that the base branch is at.
    fn base(&self) -> Oid {
        Oid(format!("b{}-{}", self.landings.len(), self.judged.pushes))
    }

    /// Looks at a builder's work. Every builder commits.
    pub(super) fn examine(&self, session: &SessionId, want: &Examine, luck: Luck) -> Vec<Fact> {
        let content = self.trees.get(&want.workspace).map_or(0, |tree| tree.content);
        let builders = self.builders(session);
        let (head, base) = (Oid(format!("h{content}-{builders}")), self.base());
        let mut exam = Exam {
            number: want.number,
            tree: Oid(format!("t-{head}-{base}")),
            candidate: Oid(format!("c-{head}-{base}")),
            head,
            base,
            commits: 1,
            files: 1,
            is_touched: want.number.is_multiple_of(3),
            ..Exam::default()
        };
        if luck == Luck::Refuses {
            match want.number % 3 {
                0 => exam.dirty = vec!["left".into()],
                1 => exam.conflicts = vec!["same".into()],
                _ => exam.trouble = Some(trouble("tampered", "It is another workspace.")),
            }
        }
        vec![Fact::Examined(exam)]
    }

    fn builders(&self, session: &SessionId) -> usize {
        let runs = self.starts.iter().filter(|(owner, _)| owner == session);
        runs.filter(|(owner, run)| !self.checked.contains_key(&(owner.clone(), *run))).count()
    }

    /// Notes what a run was given to check or to judge.
    pub(super) fn give(&mut self, job: &Job) {
        let Effect::StartRun { run, gate: Some(gate), .. } = &job.effect else { return };
        let exam = match gate {
            GateBrief::Check(brief) => &brief.exam,
            GateBrief::Judge(brief) => &brief.exam,
            GateBrief::Build(_) => return,
        };
        self.checked.insert((job.session.clone(), *run), exam.clone());
    }

    /// Reads what the checks of a run said: most runs are green.
    pub(super) fn read_checks(&mut self, session: &SessionId, run: RunId) -> Vec<Fact> {
        let mut checked = Checked { run, ..Checked::default() };
        let red = if run.0 % 5 == 1 { "exit code 1" } else { "" };
        if run.0 % 7 == 6 {
            checked.trouble = Some(trouble("no_result", "Nothing came of it."));
            return vec![Fact::Checked(checked)];
        }
        checked.results = vec![result("make test", red)];
        if let Some(exam) = self.checked.get(&(session.clone(), run)).filter(|_| red.is_empty()) {
            self.judged.green.push((session.clone(), exam.tree.clone()));
        }
        vec![Fact::Checked(checked)]
    }

    /// Reads a verdict: some find issues, some say nothing.
    pub(super) fn read_verdict(&mut self, session: &SessionId, want: &ReadVerdict) -> Vec<Fact> {
        let review = match want.run.0 % 6 {
            0 => Review { verdict: Some(verdict(false, &want.binding)), fault: String::new() },
            1 => Review { verdict: None, fault: "It left no verdict.".into() },
            2 => Review { verdict: Some(verdict(true, "another")), fault: String::new() },
            _ => Review { verdict: Some(verdict(true, &want.binding)), fault: String::new() },
        };
        let is_yes = review
            .verdict
            .as_ref()
            .is_some_and(|verdict| verdict.approved && verdict.binding == want.binding);
        if let Some(exam) = self.checked.get(&(session.clone(), want.run)).filter(|_| is_yes) {
            self.judged.approved.push((session.clone(), exam.head.clone()));
        }
        vec![Fact::Reviewed { run: want.run, review }]
    }

    /// Tells whether the base is where a landing expects it, and notes what lands.
    pub(super) fn lands_approved(&mut self, job: &Job, wish: &LandWish) -> bool {
        if wish.expect_base.as_ref().is_some_and(|base| *base != self.base()) {
            return false;
        }
        if let Some((head, tree)) = &wish.approved {
            let head = match self.sabotage {
                Some(Sabotage::LandsUnjudged) => Oid(format!("{head}-and-more")),
                _ => head.clone(),
            };
            self.judged.landed.push((job.session.clone(), head, tree.clone()));
        }
        true
    }
}

pub(crate) fn result(command: &str, red: &str) -> CheckResult {
    CheckResult {
        command: command.into(),
        exit: Some(i32::from(!red.is_empty())),
        ms: 1,
        counts: None,
        output_digest: "d".into(),
        output_bytes: 1,
        tail: String::new(),
        runs: 1,
        is_flaky: false,
        red: red.into(),
    }
}

pub(crate) fn verdict(approved: bool, binding: &str) -> Verdict {
    Verdict {
        approved,
        summary: "Looked.".into(),
        requirements: vec![Finding { requirement: "It works".into(), met: approved, seen: "ran it".into() }],
        issues: vec![],
        binding: binding.into(),
    }
}
