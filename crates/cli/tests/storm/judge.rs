//! What became of every message, told by three who do not know of each other: the receipts, the log, and what the agents
//! wrote down themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use oarlock_api::wire;

use super::Storm;
use super::voice::Sent;
use super::words::{cleaned, message};

/// What there was of everything.
#[derive(Default)]
pub(super) struct Tally {
    states: BTreeMap<String, usize>,
    submitted: usize,
    deaths: usize,
    windows: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, submitted, deaths, windows } = self;
        write!(
            f,
            "{states:?}, {submitted} submitted; agents died {deaths} times; {windows} came just when one turned away"
        )
    }
}

/// Holds every session to what was promised of its messages.
pub(super) fn everything(storm: &Storm, sessions: &[String]) -> Tally {
    let mut all = storm.sent.lock().unwrap().clone();
    all.sort_by_key(|sent| sent.number);
    let numbers: BTreeSet<usize> = all.iter().map(|sent| sent.number).collect();
    assert_eq!((numbers.len(), all.len()), (storm.messages, storm.messages), "each was acknowledged, once");
    let order = order_of_the_log(storm);
    let mut tally = Tally::default();
    for session in sessions {
        let books = storm.books(session);
        let faults = books.lines("faults");
        assert!(faults.is_empty(), "{session} was typed to where nobody may: {faults:?}");
        tally.deaths += books.lines("deaths").len();
        tally.windows += books.lines("windows").len();
        let mut own: Vec<Sent> = all.iter().filter(|sent| sent.session == *session).cloned().collect();
        let place =
            |sent: &Sent| *order.get(&sent.id).unwrap_or_else(|| panic!("{sent:?} is not in the log"));
        own.sort_by_key(place);
        each_voice_in_order(&own);
        last_words(storm, session, &mut own);
        own.iter().for_each(|sent| *tally.states.entry(sent.state.clone()).or_default() += 1);
        let heard: Vec<String> =
            books.lines("submitted").iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect();
        tally.submitted += heard.len();
        let has_died = !books.lines("deaths").is_empty();
        let wanted: Vec<(String, Need)> = own
            .iter()
            .map(|sent| (cleaned(&message(storm.seed, sent.number)), need(sent, has_died)))
            .filter(|(_, need)| *need != Need::Not)
            .collect();
        if let Err(why) = fits(&heard, &wanted) {
            let states: Vec<_> = own.iter().map(|sent| (sent.number, &sent.state)).collect();
            panic!("{session}: {why}\nthe receipts, in the order of the log: {states:?}");
        }
    }
    tally
}

/// Returns the place in the log of each message.
fn order_of_the_log(storm: &Storm) -> BTreeMap<String, u64> {
    let client = storm.crew.client();
    let (mut order, mut after) = (BTreeMap::new(), 0);
    loop {
        let page: Vec<wire::Event> = client.get(&format!("/v1/events?since={after}")).unwrap();
        let Some(last) = page.last() else { return order };
        after = last.seq;
        for event in page.iter().filter(|event| event.kind == "message_queued") {
            let id = event.text.split(' ').nth(1).unwrap();
            assert_eq!(order.insert(id.to_owned(), event.seq), None, "{id} is queued once");
        }
    }
}

/// What one voice said after an earlier word of its own was acknowledged stands behind it in the log.
fn each_voice_in_order(own: &[Sent]) {
    let mut last = BTreeMap::new();
    for sent in own {
        let before = last.insert(sent.voice, sent.place);
        assert!(before.is_none_or(|before| before < sent.place), "{sent:?} overtook one said before it");
    }
}

/// Asks once more for those whose end was not known when everybody fell silent.
fn last_words(storm: &Storm, session: &str, own: &mut [Sent]) {
    let client = storm.crew.client();
    for sent in own.iter_mut().filter(|sent| !matches!(sent.state.as_str(), "accepted" | "refused")) {
        // One that is long gone stands as it stood last.
        let path = format!("/v1/sessions/{session}/messages/{}", sent.id);
        if let Ok(now) = client.get::<wire::Message>(&path) {
            (sent.state, sent.trouble) = (now.state, now.trouble);
        }
    }
}

/// Whether a message has to be among what the agent wrote down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Must,
    May,
    Not,
}

fn need(sent: &Sent, has_died: bool) -> Need {
    match sent.state.as_str() {
        "accepted" => Need::Must,
        // It was in the terminal of one that may have died before Enter.
        "delivered" if has_died => Need::May,
        "delivered" => Need::Must,
        "in_doubt" => Need::May,
        "refused" if sent.trouble.contains("whether it was typed is not known") => Need::May,
        // It waits for an agent that is dead.
        "queued" if has_died => Need::Not,
        "refused" if has_died => Need::Not,
        other => panic!("{sent:?} is {other}, and its agent lives"),
    }
}

/// Tells whether what was heard is what was wanted, in its order: all that must be there, and nothing twice.
fn fits(heard: &[String], wanted: &[(String, Need)]) -> Result<(), String> {
    // Which counts of heard messages the wanted ones so far can account for.
    let mut reached = BTreeSet::from([0_usize]);
    for (place, (text, need)) in wanted.iter().enumerate() {
        let mut next = BTreeSet::new();
        for &count in &reached {
            if heard.get(count) == Some(text) {
                next.insert(count + 1);
            }
            if *need == Need::May {
                next.insert(count);
            }
        }
        if next.is_empty() {
            let furthest = *reached.last().unwrap();
            let came = heard.get(furthest).map_or("nothing", String::as_str);
            return Err(format!(
                "message {place} of {}, {text:.200?} ({} bytes), did not arrive in its place, and there is {came:.200?} ({} \
                 bytes) instead, after {furthest} others",
                wanted.len(),
                text.len(),
                came.len()
            ));
        }
        reached = next;
    }
    if reached.contains(&heard.len()) {
        return Ok(());
    }
    let first = &heard[*reached.last().unwrap()];
    Err(format!(
        "{first:.200?} ({} bytes) was submitted, and nobody sent it or it was there already",
        first.len()
    ))
}

#[test]
fn a_judge_sees_what_is_lost_doubled_and_out_of_order() {
    let words = |text: &[&str]| text.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let wanted = |must: &[(&str, Need)]| {
        must.iter().map(|(word, need)| ((*word).to_owned(), *need)).collect::<Vec<_>>()
    };
    let two = wanted(&[("a", Need::Must), ("b", Need::Must)]);
    assert!(fits(&words(&["a", "b"]), &two).is_ok());
    for wrong in [&["a"][..], &["a", "b", "b"], &["a", "a", "b"], &["b", "a"], &["ab"], &[]] {
        assert!(fits(&words(wrong), &two).is_err(), "{wrong:?}");
    }
    let maybe = wanted(&[("a", Need::Must), ("a", Need::May), ("b", Need::Must)]);
    for good in [&["a", "b"][..], &["a", "a", "b"]] {
        assert!(fits(&words(good), &maybe).is_ok(), "{good:?}");
    }
    assert!(fits(&words(&["a", "a", "a", "b"]), &maybe).is_err());
}
