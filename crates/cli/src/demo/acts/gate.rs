//! The act of the gate: a builder that is wrong twice, checks that say so, an overseer that says so, and what lands then.

use super::{Tally, status_of};
use crate::demo::stage::{Shown, Stage, wrong};

/// A spec as people write it; what its agents do stands under headings of their own, as they are scripted.
const SPEC: &str = "\
# A sign for the shop

sign.txt says that the shop is open, and until when.

Run tests: `grep -c open sign.txt`

## Round 1
- write sign.txt closed ; commit Paint a sign ; claim there is a sign

## Round 2
- write sign.txt open ; commit Say that it is open ; claim the sign is done

## Round 3
- append sign.txt until six ; commit Say until when ; claim it says until when

## Verdict 2
- object the sign does not say until when

## Verdict 3
- approve the sign says open, until six
";

pub(super) fn play(stage: &mut Stage, tally: &mut Tally) -> Shown {
    stage.act("A spec is built by one agent and judged by another; only what passes lands")?;
    let spec = stage.folder().join("sign.md");
    std::fs::write(&spec, SPEC).or_else(|error| wrong(error.to_string()))?;
    let path = spec.display().to_string();
    // Where the system does not let agents be held, the tour goes on without; a gate itself would refuse.
    let mut args = vec!["gate", path.as_str(), "--agent", "scripted", "--overseer", "scripted"];
    if stage.quiet(&args).is_err() {
        args.push("--unconfined");
        stage.quiet(&args)?;
    }
    stage.say("$ oarlock gate sign.md --agent scripted --overseer scripted");
    stage.live("Three rounds", |sessions| matches!(status_of(sessions, "sign"), "" | "done"))?;
    let detail = stage.session("sign")?;
    let Some(gate) = &detail.gate else { return wrong("sign is no gate.") };
    let approved: Vec<bool> = gate.rounds.iter().map(|round| round.approved).collect();
    if approved != [false, false, true] {
        return wrong(format!("Its rounds were approved: {approved:?}."));
    }
    for round in &gate.rounds {
        let issue =
            round.issues.first().and_then(|issue| issue.lines().next()).unwrap_or("approved, and landed");
        stage.say(&format!(
            "round {}  it claims \"{}\": {issue}",
            round.number,
            round.claim.as_deref().unwrap_or_default()
        ));
    }
    let sign = std::fs::read_to_string(stage.shop().join("sign.txt")).unwrap_or_default();
    if sign != "open\nuntil six\n" {
        return wrong(format!("The sign is {sign:?}."));
    }
    stage.oarlock(&["show", "sign", "--evidence"], 0)?;
    tally.rounds = gate.rounds.len();
    tally.landed += 1;
    Ok(())
}
