//! The rule for what was found when the work was looked at, for what the checks said, and for each verdict.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::ids::{Oid, RunId, Timestamp};
use crate::playbook::relay::{BACKOFF_MS, STRIKES_MAX};
use crate::session::Session;
use crate::text;

use super::round::{Checked, Exam, Review};
use super::state::{Approval, Rest, State, Step};
use super::{CHECK_FAULTS_MAX, Options, SILENCES_MAX};

impl State {
    /// The rule for what was found when the work was looked at.
    pub(super) fn examined(
        &mut self,
        session: &mut Session,
        options: &Options,
        exam: &Exam,
        seq: u64,
        at: Timestamp,
    ) {
        if exam.number != self.exams + 1 {
            return;
        }
        // Also one that nobody waits for any more has had its number.
        self.exams = exam.number;
        session.forget_tries("exam");
        if self.step != Step::Examine {
            return;
        }
        let before = self.last_head();
        let Some(round) = self.rounds.last_mut() else { return };
        let is_claimed = round.is_claimed();
        round.exam = Some(exam.clone());
        (round.checking, round.checked) = (None, None);
        if let Some(trouble) = &exam.trouble {
            self.rest = Some(Rest::Asks(trouble.message.clone()));
            return;
        }
        if !is_claimed {
            return self.unclaimed(exam, before.as_ref(), at);
        }
        self.strikes = 0;
        if self.approval.as_ref().is_some_and(|known| known.head != exam.head) {
            self.drop_approval();
        }
        let issues = issues_of(exam);
        if !issues.is_empty() {
            return self.reject(issues);
        }
        self.step =
            if options.checks.is_empty() { self.after_checks(session, options, seq) } else { Step::Check };
    }

    /// Returns the commit that the work was at when it was looked at last.
    fn last_head(&self) -> Option<Oid> {
        self.rounds.iter().rev().find_map(|round| round.exam.as_ref()).map(|exam| exam.head.clone())
    }

    /// A builder ended without a claim: another goes on, unless too many came to nothing.
    fn unclaimed(&mut self, exam: &Exam, before: Option<&Oid>, at: Timestamp) {
        let leg = self.rounds.last().and_then(|round| round.builders.last());
        let end = leg.and_then(|leg| leg.ended.as_ref()).map(|(end, _)| end.says()).unwrap_or_default();
        let moved = exam.commits > 0 && before != Some(&exam.head);
        self.note = format!(
            "The builder before you claimed nothing. {end} The work is {} ahead, with {} not committed.",
            text::count(exam.commits, "commit"),
            text::count(u32::try_from(exam.dirty.len()).unwrap_or(u32::MAX), "path"),
        );
        self.strikes = if moved { 0 } else { self.strikes + 1 };
        self.step = Step::Build;
        if self.strikes > 0 {
            self.not_before = at.plus_ms(BACKOFF_MS << (self.strikes - 1).min(8));
        }
        if self.strikes >= STRIKES_MAX {
            let why = format!("{STRIKES_MAX} builders in a row came to nothing. The last: {end}");
            self.rest = Some(Rest::Asks(why));
        }
    }

    pub(super) fn checked(&mut self, session: &mut Session, options: &Options, checked: &Checked, seq: u64) {
        if self.step != Step::ReadChecks || self.checking() != Some(checked.run) {
            return;
        }
        session.forget_tries("checked");
        let Some(round) = self.rounds.last_mut() else { return };
        round.checked = Some(checked.clone());
        if let Some(trouble) = &checked.trouble {
            self.check_faults += 1;
            self.step = Step::Check;
            if self.check_faults >= CHECK_FAULTS_MAX {
                self.rest = Some(Rest::Asks(format!("The checks could not be run: {}", trouble.message)));
            }
            return;
        }
        self.check_faults = 0;
        if checked.is_green(&options.checks) {
            self.step = self.after_checks(session, options, seq);
            return;
        }
        let red = checked.results.iter().filter(|result| !result.red.is_empty());
        let mut issues: Vec<String> = red
            .map(|result| {
                format!("Check \"{}\" is not green: {}\n{}", result.command, result.red, result.tail)
            })
            .collect();
        if issues.is_empty() {
            issues.push("Not every check was run.".into());
        }
        self.reject(issues);
    }

    /// Goes on with a candidate whose checks are green. A verdict stands where the base changed nothing that it rests on.
    fn after_checks(&mut self, session: &mut Session, options: &Options, seq: u64) -> Step {
        let exam = self.round().and_then(|round| round.exam.as_ref()).cloned().unwrap_or_default();
        match &mut self.approval {
            Some(approval) if approval.head == exam.head && !exam.is_touched => {
                approval.base = exam.base;
                if !options.lands {
                    self.rest = Some(Rest::Approved);
                }
                if self.has_turn { self.land(session, options, seq) } else { Step::Queue }
            }
            _ => {
                self.drop_approval();
                Step::Judge
            }
        }
    }

    pub(super) fn drop_approval(&mut self) {
        self.approval = None;
        self.has_turn = false;
    }

    /// The rule for each verdict.
    pub(super) fn reviewed(
        &mut self,
        session: &mut Session,
        options: &Options,
        run: RunId,
        review: &Review,
        seq: u64,
    ) {
        if self.step != Step::ReadVerdict {
            return;
        }
        let spec = options.spec.digest.clone();
        let Some(round) = self.rounds.last_mut() else { return };
        let (number, binding) = (round.number, round.binding(&spec));
        let Some(known) = round.reviews.last_mut().filter(|one| one.run == run && one.review.is_none())
        else {
            return;
        };
        known.review = Some(review.clone());
        session.forget_tries("judged");
        let exam = round.exam.clone().unwrap_or_default();
        match &review.verdict {
            Some(verdict) if review.fault.is_empty() && verdict.binding == binding => {
                self.silences = 0;
                if verdict.is_approval() {
                    round.is_approved = true;
                    let (head, base) = (exam.head, exam.base);
                    let judged_base = base.clone();
                    self.approval = Some(Approval { round: number, head, base, judged_base, seq });
                    self.step = Step::Queue;
                    if !options.lands {
                        self.rest = Some(Rest::Approved);
                    }
                } else {
                    let issues = verdict.to_mend();
                    self.reject(issues);
                }
            }
            _ => {
                self.silences += 1;
                self.overseer =
                    (self.overseer + 1) % u32::try_from(options.overseers.len().max(1)).unwrap_or(1);
                self.step = Step::Judge;
                if self.silences >= SILENCES_MAX {
                    let why =
                        format!("{} overseers in a row gave no verdict. {}", self.silences, review.fault);
                    self.rest = Some(Rest::Asks(why.trim_end().to_string()));
                }
            }
        }
    }

    /// The work goes back to a builder.
    pub(super) fn reject(&mut self, issues: Vec<String>) {
        self.drop_approval();
        self.step = Step::Build;
        if let Some(round) = self.rounds.last_mut() {
            round.is_approved = false;
            round.issues = issues;
        }
    }
}

/// What an exam finds wrong, for a builder to mend.
fn issues_of(exam: &Exam) -> Vec<String> {
    let list = |paths: &[String]| paths.join(", ");
    let mut issues = Vec::new();
    if let Some(to) = &exam.strayed_to {
        issues
            .push(format!("The workspace is on {to}, not on its branch. Bring the work back to its branch."));
    }
    if !exam.dirty.is_empty() {
        issues.push(format!("Not committed: {}. Only what is committed is judged.", list(&exam.dirty)));
    }
    if exam.commits == 0 {
        issues.push("Nothing is committed on top of the base branch.".into());
    }
    if !exam.conflicts.is_empty() {
        issues.push(format!(
            "It does not merge with the base branch: {}. Merge the base branch into the work and resolve them.",
            list(&exam.conflicts)
        ));
    }
    issues
}
