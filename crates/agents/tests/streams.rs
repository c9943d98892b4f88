//! What real agents printed, and what was read in it: every recording in `spec/samples/*/stream` beside its expected steps.
//! `OARLOCK_UPDATE=1` writes what is read now; look at the difference before it is committed.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use oarlock_agents::drive::{Show, Step};
use oarlock_agents::streams::{self, READERS};
use oarlock_core::session::fact::{Observation, Span, TurnEnd, Usage};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/samples")
}

/// Returns every recording: the agent, and its path.
fn recordings() -> Vec<(&'static str, PathBuf)> {
    let mut found = Vec::new();
    for (agent, _) in READERS {
        let folder = samples().join(agent).join("stream");
        let files = std::fs::read_dir(&folder).unwrap_or_else(|_| panic!("{agent} has no recordings"));
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
        files.sort();
        assert!(!files.is_empty(), "{agent} has no recordings");
        found.extend(files.into_iter().map(|path| (*agent, path)));
    }
    found
}

/// Returns the steps read from a recording, and how the turn ended.
fn read(agent: &str, path: &Path) -> (Vec<Step>, TurnEnd) {
    let mut reader = streams::reader(agent).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let steps = bytes.split(|byte| *byte == b'\n').flat_map(|line| reader.line(line)).collect();
    let beside = |end: &str| std::fs::read_to_string(path.with_extension(end)).unwrap_or_default();
    let code = beside("exit").trim().parse().unwrap_or(0);
    (steps, streams::ended(reader.end(), Some(code), &beside("stderr")))
}

fn one_line(text: &str) -> String {
    text.replace('\n', "\\n").chars().take(160).collect()
}

fn written(steps: &[Step], end: &TurnEnd) -> String {
    let mut out = String::new();
    for step in steps {
        let line = match step {
            Step::Observe(seen) => format!("sees {}", serde_json::to_string(seen).unwrap()),
            Step::Show(Show::Words { text, whole: true }) => format!("says {}", one_line(text)),
            Step::Show(Show::Words { text, whole: false }) => {
                format!("says, going on, \"{}\"", one_line(text))
            }
            Step::Show(Show::Thought(text)) => format!("thinks {}", one_line(text)),
            Step::Show(Show::Tool(text)) => format!("calls {}", one_line(text)),
            Step::Show(Show::Output(text)) => format!("gets {}", one_line(text)),
            Step::Show(Show::Note(text)) => format!("notes {}", one_line(text)),
            Step::Raw(record) => format!("keeps {} bytes", record.len()),
            other => panic!("a reader has no business with {other:?}"),
        };
        writeln!(out, "{line}").unwrap();
    }
    writeln!(out, "ends {}", serde_json::to_string(end).unwrap()).unwrap();
    out
}

#[test]
fn every_recording_is_read_as_expected() {
    let mut wrong = Vec::new();
    for (agent, path) in recordings() {
        let (steps, end) = read(agent, &path);
        let now = written(&steps, &end);
        let expected = path.with_extension("expected");
        if std::env::var_os("OARLOCK_UPDATE").is_some() {
            std::fs::write(&expected, &now).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != now {
            wrong.push(format!("{}:\n{now}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "read otherwise than expected:\n{}", wrong.join("\n"));
}

#[test]
fn no_failure_is_read_as_success() {
    let mut failures = 0;
    for (agent, path) in recordings() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (_, end) = read(agent, &path);
        // A command that failed, and a provider that recovered, are turns that went well.
        let is_failure =
            name.starts_with("err_") && !name.ends_with("fail_shell") && !name.ends_with("overloaded_once");
        failures += u32::from(is_failure);
        assert_eq!(matches!(end, TurnEnd::Error(_)), is_failure, "{agent} {name}: {end:?}");
        // A tool that was not permitted cut this one off in the middle, with an exit code of 0.
        let is_cut_off = (agent, name.as_str()) == ("opencode", "ask");
        assert_eq!(end == TurnEnd::Unknown, is_cut_off, "{agent} {name}: {end:?}");
    }
    assert!(failures >= 10, "the recordings hold failures");
}

fn used(agent: &str, case: &str) -> Vec<Usage> {
    let path = samples().join(agent).join("stream").join(format!("{case}.jsonl"));
    let (steps, _) = read(agent, &path);
    let used = steps.into_iter().filter_map(|step| match step {
        Step::Observe(Observation::Used(usage)) => Some(usage),
        _ => None,
    });
    used.collect()
}

/// Sums calls, or takes the last count of a conversation: what the session makes of them.
fn total(usages: &[Usage]) -> (u64, u64, u64, u64) {
    let adds = usages.iter().all(|usage| matches!(usage.span, Span::Call | Span::Turn));
    let of = |usage: &Usage| (usage.input, usage.cache_read, usage.cache_write, usage.output);
    if !adds {
        return usages.last().map(of).unwrap_or_default();
    }
    usages
        .iter()
        .map(of)
        .fold((0, 0, 0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2, sum.3 + one.3))
}

/// The same work by every agent: three calls with 1156 tokens of new input, 2005 read from the cache, 1158 written to it
/// where the protocol tells of that (else they are input), and 76 of output (21 of reasoning beside them for some).
#[test]
fn tokens_are_counted_once_and_right() {
    assert_eq!(total(&used("claude-code", "write_commit")), (1156, 2005, 1158, 76));
    assert_eq!(total(&used("claude-code", "partial")), (1156, 2005, 1158, 76), "pieces do not count");
    assert_eq!(total(&used("codex", "write_commit")), (1156, 2005, 1158, 76));
    assert_eq!(total(&used("opencode", "write_commit")), (2314, 2005, 0, 76));
    assert_eq!(total(&used("gemini", "write_commit")), (2314, 2005, 0, 97));
    assert_eq!(total(&used("qwen", "write_commit")), (2314, 2005, 0, 76));
    let file = samples().join("copilot/stream/write_commit.usage.json");
    let usage = streams::copilot::usage_file(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(total(&[usage]), (2314, 2005, 0, 76));
    let cost: u64 = used("opencode", "write_commit").iter().filter_map(|usage| usage.cost_micros).sum();
    assert_eq!(cost, 6_171 + 1_665 + 847);
    assert_eq!(used("claude-code", "write_commit")[0].cost_micros, Some(12_335));
    for agent in READERS.iter().map(|(agent, _)| *agent) {
        for usage in recordings().iter().filter(|(one, _)| *one == agent).flat_map(|(_, path)| {
            let case = path.file_stem().unwrap().to_string_lossy().into_owned();
            used(agent, &case)
        }) {
            let is_named = !usage.id.is_empty() || matches!(usage.span, Span::Run | Span::Conversation);
            assert!(
                is_named,
                "{agent}: a count that adds up must have a name, or a repeat would count twice"
            );
        }
    }
}

#[test]
fn hostile_lines_say_nothing_and_hurt_nobody() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"type\":\"assistant\",\"message\":\"{}\"}}", "x".repeat(1 << 20));
    let kinds =
        ["system", "assistant", "user", "result", "error", "message", "tool_use", "end", "turn.failed"];
    let parts = ["null", "7", "-1e308", "[]", "{}", "\"\\u0000\\u001b[2J\"", "[[{\"a\":[]}]]", "true"];
    for (agent, _) in READERS {
        let mut reader = streams::reader(agent).unwrap();
        for line in ["", "null", "{", "\u{7f}", "[]", "7", "\"x\"", "{\"type\":{}}", &deep, &long] {
            reader.line(line.as_bytes());
        }
        reader.line(&[0xff, 0xfe, b'{', 0]);
        for kind in kinds {
            for part in parts {
                let keys = "type role message content error usage result item part data stats tool_call \
                            session_id event model is_error total_cost_usd timestamp tool_calls";
                for key in keys.split_whitespace().skip(1) {
                    reader.line(format!("{{\"type\":\"{kind}\",\"{key}\":{part}}}").as_bytes());
                }
            }
        }
        // It still reads what is right.
        let path = recordings().into_iter().find(|(one, _)| one == agent).unwrap().1;
        let bytes = std::fs::read(path).unwrap();
        assert!(bytes.split(|byte| *byte == b'\n').any(|line| !reader.line(line).is_empty()), "{agent}");
    }
}

#[test]
fn a_process_that_fails_is_believed_more_than_its_last_word() {
    let ok = Some(TurnEnd::Ok);
    assert_eq!(streams::ended(ok.clone(), Some(0), ""), TurnEnd::Ok);
    assert_eq!(streams::ended(ok.clone(), Some(1), "429"), TurnEnd::Error("rate_limit".into()));
    assert_eq!(streams::ended(ok, None, ""), TurnEnd::Error("error".into()));
    assert_eq!(streams::ended(None, Some(0), ""), TurnEnd::Unknown);
    let said = Some(TurnEnd::Error("auth".into()));
    assert_eq!(streams::ended(said, Some(0), "429"), TurnEnd::Error("auth".into()));
}
