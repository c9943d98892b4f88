//! How a gate looks on the wire: its rounds, what the checks and the overseers said, and what follows.

use oarlock_api::{place::Place, wire};
use oarlock_core::playbook::gate::{CheckResult, Options, Rest, Reviewed, Round, Step};
use oarlock_core::session::Session;
use oarlock_world::relay::plan_file;

use super::agent;

pub(super) fn view(place: &Place, session: &Session) -> Option<wire::Gate> {
    let options = session.brief.as_ref()?.playbook.gate()?;
    let state = session.gate.as_ref()?;
    let check = |check: &oarlock_core::playbook::gate::Check| wire::GateCheck {
        command: check.command.clone(),
        origin: check.origin.clone(),
    };
    Some(wire::Gate {
        title: options.spec.title.clone(),
        source: options.spec.source.clone(),
        spec: plan_file(place.state(), &options.spec.digest).display().to_string(),
        step: step(state.step).into(),
        rounds_max: state.rounds_max,
        checks: options.checks.iter().map(check).collect(),
        overseers: options.overseers.iter().map(agent).collect(),
        waits_for: options.waits_for(state).map(str::to_owned).collect(),
        confined: options.is_confined,
        rounds: state.rounds.iter().map(|one| round(options, one)).collect(),
        approved: state.approval.as_ref().map(|approval| approval.head.0.clone()),
        rest: state.rest.as_ref().map(|rest| match rest {
            Rest::Approved => "It is approved; land it.".into(),
            Rest::Asks(why) | Rest::Limit(why) => why.clone(),
        }),
    })
}

fn step(step: Step) -> &'static str {
    match step {
        Step::Build => "build",
        Step::Examine => "examine",
        Step::Check => "check",
        Step::ReadChecks => "read_checks",
        Step::Judge => "judge",
        Step::ReadVerdict => "read_verdict",
        Step::Queue => "queue",
        Step::Land => "land",
    }
}

fn round(options: &Options, round: &Round) -> wire::GateRound {
    let exam = round.exam.as_ref();
    let oid = |oid: &str| Some(oid.to_owned()).filter(|oid| !oid.is_empty());
    let checked = round.checked.as_ref();
    wire::GateRound {
        number: round.number,
        builders: round.builders.iter().map(|leg| leg.run.0).collect(),
        claim: round.claim(),
        built: round.builders.last().and_then(|leg| leg.ended.as_ref()).map(|(end, _)| match end {
            oarlock_core::playbook::relay::LegEnd::Claimed(_) => "It claims to be done.".into(),
            other => other.says(),
        }),
        head: exam.and_then(|exam| oid(exam.head.as_str())),
        base: exam.and_then(|exam| oid(exam.base.as_str())),
        commits: exam.map_or(0, |exam| exam.commits),
        files: exam.map_or(0, |exam| exam.files),
        edited: exam.map(|exam| exam.edited.clone()).unwrap_or_default(),
        checks: checked.map(|checked| checked.results.iter().map(check).collect()).unwrap_or_default(),
        reviews: round.reviews.iter().map(|one| review(options, one)).collect(),
        issues: round.issues.clone(),
        approved: round.is_approved,
    }
}

pub(crate) fn check(result: &CheckResult) -> wire::CheckResult {
    wire::CheckResult {
        command: result.command.clone(),
        exit: result.exit,
        ms: result.ms,
        counts: result.counts.map(|counts| (counts.passed, counts.failed, counts.skipped)),
        output: result.output_digest.clone(),
        runs: result.runs,
        flaky: result.is_flaky,
        red: result.red.clone(),
    }
}

fn review(options: &Options, reviewed: &Reviewed) -> wire::GateReview {
    let review = reviewed.review.as_ref();
    let verdict = review.and_then(|review| review.verdict.as_ref());
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let met = verdict.map(|verdict| verdict.requirements.iter().filter(|one| one.met).count());
    wire::GateReview {
        run: reviewed.run.0,
        agent: options.overseers.get(reviewed.overseer as usize).map(agent).unwrap_or_default(),
        verdict: verdict.map(|verdict| if verdict.is_approval() { "approve" } else { "issues" }.into()),
        summary: verdict.map(|verdict| verdict.summary.clone()).unwrap_or_default(),
        met: (count(met.unwrap_or(0)), verdict.map_or(0, |verdict| count(verdict.requirements.len()))),
        fault: review.map(|review| review.fault.clone()).unwrap_or_default(),
    }
}
