//! What sessions do and cost, as Prometheus reads it (text format 0.0.4). Every number is folded from the log, so that counters go on
//! where they were when the daemon is started again.

use std::fmt::Write;

use oarlock_core::crew::Crew;
use oarlock_core::ids::Timestamp;
use oarlock_core::session::{Run, Session};
use oarlock_core::status::{Status, status};

use crate::view;

/// Every status there is.
const STATUSES: [Status; 12] = [
    Status::Starting,
    Status::Working,
    Status::Idle,
    Status::NeedsInput,
    Status::Blocked,
    Status::RateLimited,
    Status::Claimed,
    Status::Judging,
    Status::Mergeable,
    Status::Stopped,
    Status::Done,
    Status::Failed,
];

/// The content type of what [`text`] returns.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A family of samples: its name, its kind, what it is.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: Vec<(String, f64)>,
}

/// Writes the metrics of all sessions that are on the list.
pub(crate) fn text(crew: &Crew, head: u64, version: &str) -> String {
    let listed: Vec<_> = crew
        .sessions
        .iter()
        .filter(|(_, scope)| !scope.state.is_hidden() && scope.state.brief.is_some())
        .map(|(id, scope)| (id.as_str(), &scope.state))
        .collect();
    let mut out = String::new();
    for family in [own(head, version), by_status(&listed)].into_iter().flatten().chain(of_sessions(&listed)) {
        let Family { name, kind, help, samples } = family;
        if samples.is_empty() {
            continue;
        }
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    }
    out
}

fn own(head: u64, version: &str) -> Vec<Family> {
    vec![
        Family {
            name: "oarlock_build_info",
            kind: "gauge",
            help: "Always 1; the label says which version runs.",
            samples: vec![(labels(&[("version", version)]), 1.0)],
        },
        Family {
            name: "oarlock_log_lines_total",
            kind: "counter",
            help: "Lines of the log of facts.",
            samples: vec![(String::new(), head as f64)],
        },
    ]
}

fn by_status(listed: &[(&str, &Session)]) -> Vec<Family> {
    let count = |wanted: Status| listed.iter().filter(|(_, session)| status(session) == wanted).count();
    let samples = STATUSES.iter().map(|one| (labels(&[("status", one.word())]), count(*one) as f64));
    vec![Family {
        name: "oarlock_sessions",
        kind: "gauge",
        help: "Sessions on the list, by status.",
        samples: samples.collect(),
    }]
}

/// What is told of each session: name, kind, help, and its samples, each with more labels.
type Tells =
    (&'static str, &'static str, &'static str, fn(&Session) -> Vec<(Vec<(&'static str, String)>, f64)>);

const TELLS: &[Tells] = &[
    ("oarlock_session_info", "gauge", "Always 1; the labels say what the session is.", info),
    ("oarlock_session_status", "gauge", "1 for the status that the session has.", statuses),
    ("oarlock_session_runs_total", "counter", "Runs begun.", |session| plain(f64::from(session.runs_begun))),
    (
        "oarlock_session_runs_uncounted_total",
        "counter",
        "Runs that ended and told of no tokens.",
        |session| plain(f64::from(session.uncounted)),
    ),
    ("oarlock_session_iterations_total", "counter", "Legs of a relay, or rounds of a gate.", |session| {
        iterations(session).map(|(done, _)| plain(f64::from(done))).unwrap_or_default()
    }),
    ("oarlock_session_iterations_max", "gauge", "Legs or rounds that it may have.", |session| {
        iterations(session).map(|(_, most)| plain(f64::from(most))).unwrap_or_default()
    }),
    ("oarlock_session_reviews_total", "counter", "Verdicts of overseers, by result.", reviews),
    (
        "oarlock_session_checks_total",
        "counter",
        "Checks that were run in rounds of a gate, by result.",
        checks,
    ),
    ("oarlock_session_tokens_total", "counter", "Tokens used, by kind; each is in one of them.", tokens),
    ("oarlock_session_cost_dollars_total", "counter", "US dollars, as far as agents say.", |session| {
        plain(session.spent.cost_micros as f64 / 1e6)
    }),
    ("oarlock_session_context_tokens", "gauge", "Tokens in the context of the last run.", |session| {
        let context = session.last_run().and_then(|run| run.count.context);
        context.map(|(used, _)| plain(used as f64)).unwrap_or_default()
    }),
    ("oarlock_session_last_run_seconds", "gauge", "How long the last run of each role took.", durations),
    ("oarlock_session_last_update_timestamp_seconds", "gauge", "When something was last heard.", |session| {
        plain(seconds(session.clock))
    }),
];

fn of_sessions(listed: &[(&str, &Session)]) -> impl Iterator<Item = Family> {
    TELLS.iter().map(move |(name, kind, help, tell)| {
        let of = |(id, session): &(&str, &Session)| {
            let samples = tell(session).into_iter().map(|(more, value)| {
                let mut all = vec![("id", *id), ("name", session.name.as_str())];
                all.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
                (labels(&all), value)
            });
            samples.collect::<Vec<_>>()
        };
        Family { name, kind, help, samples: listed.iter().flat_map(of).collect() }
    })
}

fn plain(value: f64) -> Vec<(Vec<(&'static str, String)>, f64)> {
    vec![(vec![], value)]
}

fn labelled(
    name: &'static str,
    samples: impl IntoIterator<Item = (&'static str, f64)>,
) -> Vec<(Vec<(&'static str, String)>, f64)> {
    samples.into_iter().map(|(word, value)| (vec![(name, word.to_owned())], value)).collect()
}

fn info(session: &Session) -> Vec<(Vec<(&'static str, String)>, f64)> {
    let Some(brief) = &session.brief else { return vec![] };
    let labels = vec![
        ("project", brief.project.0.clone()),
        ("playbook", brief.playbook.word().to_owned()),
        // A command may hold what nobody else is to see.
        ("agent", brief.agent.name.clone()),
        ("branch", brief.branch.clone()),
        (
            "outcome",
            session
                .outcome
                .as_ref()
                .map(|outcome| view::outcome_word(outcome).to_owned())
                .unwrap_or_default(),
        ),
    ];
    vec![(labels, 1.0)]
}

fn statuses(session: &Session) -> Vec<(Vec<(&'static str, String)>, f64)> {
    let now = status(session);
    labelled("status", STATUSES.map(|one| (one.word(), f64::from(u8::from(one == now)))))
}

fn iterations(session: &Session) -> Option<(u32, u32)> {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let relay = session.relay.as_ref().map(|relay| (count(relay.legs.len()), relay.legs_max));
    relay.or_else(|| session.gate.as_ref().map(|gate| (count(gate.rounds.len()), gate.rounds_max)))
}

fn reviews(session: &Session) -> Vec<(Vec<(&'static str, String)>, f64)> {
    let Some(gate) = &session.gate else { return vec![] };
    let (mut approved, mut issues, mut none) = (0.0, 0.0, 0.0);
    for review in gate.rounds.iter().flat_map(|round| &round.reviews).filter_map(|one| one.review.as_ref()) {
        match &review.verdict {
            Some(verdict) if verdict.is_approval() => approved += 1.0,
            Some(_) => issues += 1.0,
            None => none += 1.0,
        }
    }
    labelled("result", [("approved", approved), ("issues", issues), ("none", none)])
}

fn checks(session: &Session) -> Vec<(Vec<(&'static str, String)>, f64)> {
    let Some(gate) = &session.gate else { return vec![] };
    let results =
        || gate.rounds.iter().filter_map(|round| round.checked.as_ref()).flat_map(|checked| &checked.results);
    let green = results().filter(|result| result.red.is_empty()).count() as f64;
    labelled("result", [("green", green), ("red", results().count() as f64 - green)])
}

fn tokens(session: &Session) -> Vec<(Vec<(&'static str, String)>, f64)> {
    let spent = &session.spent;
    let kinds = [
        ("input", spent.input),
        ("cache_read", spent.cache_read),
        ("cache_write", spent.cache_write),
        ("output", spent.output),
    ];
    labelled("kind", kinds.map(|(kind, tokens)| (kind, tokens as f64)))
}

fn durations(session: &Session) -> Vec<(Vec<(&'static str, String)>, f64)> {
    let took = |run: &Run| {
        let (_, ended) = run.ended.as_ref()?;
        Some((view::role(run.role), seconds(*ended) - seconds(run.started_at)))
    };
    let last: std::collections::BTreeMap<_, _> = session.runs.iter().filter_map(took).collect();
    labelled("role", last)
}

fn seconds(at: Timestamp) -> f64 {
    at.0 as f64 / 1e3
}

/// Writes labels, their values escaped as the format wants it.
fn labels(all: &[(&str, &str)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let each: Vec<String> =
        all.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", each.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_ends_it() {
        assert_eq!(labels(&[("a", "x\"} 1\n\\")]), "{a=\"x\\\"} 1\\n\\\\\"}");
    }

    #[test]
    fn every_status_has_its_place() {
        let words: std::collections::BTreeSet<&str> = STATUSES.iter().map(|status| status.word()).collect();
        assert_eq!(words.len(), STATUSES.len());
    }
}
