//! What agents give to their hooks, of every agent and for every event: nothing in it hurts the reader, what is seen fits its line and
//! comes out of an inbox as it went in, and the same payload says the same again. It must not know what an event means.

use oarlock_agents::{Agent, Hooked, REGISTRY, report};
use oarlock_core::session::fact::Source;

use super::drivers::{RAW_BYTES_MAX, is_tame};

/// The first byte says whose hook it is, the second for which event; the rest is the payload.
pub fn run(data: &[u8]) {
    let &[whose, which, ref payload @ ..] = data else { return };
    // The scripted agent has an event that panics, for the tests of what becomes of a hook that does.
    let hooked: Vec<&dyn Agent> = REGISTRY
        .iter()
        .copied()
        .filter(|agent| !agent.hooks().is_empty() && agent.name() != "scripted")
        .collect();
    let agent = hooked[usize::from(whose) % hooked.len()];
    let event = agent.hooks()[usize::from(which) % agent.hooks().len()];
    let said = agent.hook(event, payload);
    check(&said);
    assert_eq!(agent.hook(event, payload), said, "it is read without a memory");
    check(&agent.hook("an-event-nobody-calls", payload));
    for line in payload.split(|byte| *byte == b'\n') {
        let told = agent.transcript_line(line);
        check(&told);
        assert_eq!(told.answer, None, "nobody waits for an answer to a transcript");
    }
}

fn check(said: &Hooked) {
    said.seen.iter().for_each(is_tame);
    assert!(said.raw.iter().all(|record| record.len() <= RAW_BYTES_MAX), "a record is short");
    let (_, read) = oarlock_agents::read(&report(&said.seen, &said.raw, Source::Hook, 0));
    assert_eq!(read, said.seen, "what goes into the inbox comes out of it");
    if let Some(answer) = &said.answer {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(answer);
        assert!(parsed.is_ok(), "{answer:?} is no JSON");
    }
}
