//! The inbox of a run, which agents and their hooks write: each report is read once, however the file grows and whatever the
//! limits, and nothing in it reaches a terminal as control.

use oarlock_agents::Report;
use oarlock_core::session::fact::{Fact, Observation, Showing, TurnEnd};
use oarlock_world::fuzzing::{Seen, inbox};

use super::is_a_line;

/// Longest note taken from an agent, in characters.
const NOTE_CHARS_MAX: usize = 200;

/// The first byte says how much one pass takes, the second where the file ends at first; the rest is the file.
pub fn run(data: &[u8]) {
    let &[pass, cut, ref file @ ..] = data else { return };
    // A pass holds the longest report and more, as the real limits do.
    let pass = u64::from(pass) + 2;
    let report = usize::try_from(pass).expect("a pass is short") / 2;
    whole(file);
    in_passes(file, (pass, report));
    as_it_grows(file, file.len().min(usize::from(cut)));
}

/// All of the file in one pass with the widest limits.
fn whole(file: &[u8]) {
    let Seen { seen, cursor, facts, .. } = inbox(file, 0, (u64::MAX / 2, usize::MAX));
    let end = file.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    assert_eq!(cursor, end as u64, "the cursor is past the last complete line");
    assert!(seen.is_sorted_by_key(|(.., at)| *at) && seen.iter().all(|(.., at)| *at <= cursor));
    assert_eq!(facts.len(), seen.len());
    for fact in facts {
        let Fact::Observed { observation, .. } = &fact else { panic!("{fact:?} is no observation") };
        is_tame(observation);
        let text = serde_json::to_string(&fact).expect("a fact is JSON");
        assert_eq!(serde_json::from_str::<Fact>(&text).expect("its own JSON"), fact);
    }
}

/// The file in passes as small as the limits say, against what is expected of each line alone.
fn in_passes(file: &[u8], (pass, report): (u64, usize)) {
    let mut expected = Vec::new();
    let mut end = 0;
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        end += line.len() as u64;
        if line.ends_with(b"\n")
            && line.len() <= report
            && let Ok(report) = serde_json::from_slice::<Report>(line)
        {
            let (source, seen) = oarlock_agents::read(&report);
            expected.extend(seen.into_iter().map(|observation| (source, observation, end)));
        }
    }
    let mut seen = Vec::new();
    let mut cursor = 0;
    loop {
        let found = inbox(file, cursor, (pass, report));
        seen.extend(found.seen);
        assert!(found.cursor <= file.len() as u64, "the cursor stays inside of the file");
        assert!(found.more || found.cursor >= cursor, "the cursor goes forward");
        assert!(!found.more || found.cursor > cursor, "a pass that leaves more gets on");
        cursor = found.cursor;
        if !found.more {
            break;
        }
    }
    assert_eq!(seen, expected, "each report once, and no line longer than a report");
}

/// What is read before the file has all its bytes, and what is read after.
fn as_it_grows(file: &[u8], cut: usize) {
    let limits = (u64::MAX / 2, usize::MAX);
    let all = inbox(file, 0, limits);
    let first = inbox(&file[..cut], 0, limits);
    let then = inbox(file, first.cursor, limits);
    let mut seen = first.seen;
    seen.extend(then.seen);
    assert_eq!((seen, then.cursor), (all.seen, all.cursor), "cut at {cut}");
}

/// What is shown of an observation is shown on one line.
fn is_tame(observation: &Observation) {
    let text = match observation {
        Observation::Started { conversation, .. } => conversation.as_deref().unwrap_or_default(),
        Observation::TurnEnded(TurnEnd::Error(text))
        | Observation::PermissionAsked { what: text, .. }
        | Observation::ToolStarted { what: text, .. }
        | Observation::Shows(Showing::Dialog(text) | Showing::Question(text))
        | Observation::Gone { why: text }
        | Observation::QuestionAsked { what: text }
        | Observation::Claimed { note: text, .. } => text,
        Observation::MessageTaken { message } => message.as_str(),
        Observation::TurnStarted
        | Observation::TurnEnded(_)
        | Observation::PermissionResolved
        | Observation::ToolEnded { .. }
        | Observation::Shows(Showing::Prompt | Showing::Busy | Showing::Answering | Showing::Limited)
        | Observation::Used(_)
        | Observation::RateLimited { .. }
        | Observation::Answers => "",
    };
    is_a_line(text, NOTE_CHARS_MAX);
}
