//! Takes out of a recording what is of the machine, the person and the moment: paths, keys, ports, ids, times. What is left is
//! the same in every recording of the same version, and every id still names what it named.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::stage::Stage;

/// Numbers that grow with the time since 1970 in milliseconds or in seconds: anything since 2020, until 2100.
const MILLIS: std::ops::Range<u64> = 1_577_836_800_000..4_102_444_800_000;
const SECONDS: std::ops::Range<u64> = 1_577_836_800..4_102_444_800;
/// Least length of a word of hexadecimal digits, some of them letters and some not, that is an id.
const HEX_LENGTH_MIN: usize = 12;

/// Longest text that is kept whole, in characters: everything that is read is shorter.
const TEXT_CHARS_MAX: usize = 600;
/// Lists that are emptied: nothing in them is read, and they are long.
const LISTS: [&str; 9] = [
    "commands",
    "agents",
    "skills",
    "slash_commands",
    "plugins",
    "tools",
    "models",
    "availableCommands",
    "availableModels",
];

/// A scrubber of one recording.
pub struct Scrub {
    /// What is replaced by what, the longest first.
    words: Vec<(String, String)>,
    /// How the path of every crew's folder begins.
    cut: Option<String>,
    /// Ids as they were, and as they are written.
    ids: BTreeMap<String, String>,
    /// What we told the agent: an id that comes from there is the same every time.
    told: String,
}

impl Scrub {
    /// Makes a scrubber for an agent at work in a folder, which a run's own folder belongs to.
    pub fn new(stage: &Stage, workspace: &Path, run: Option<&Path>) -> Self {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let crew = &stage.crew;
        let mut words = vec![
            (path(workspace), "/src/app".to_owned()),
            (path(&crew.repo), "/src/shop".to_owned()),
            (path(&crew.home), "/home/me".to_owned()),
            (path(&crew.root), "/tmp/x".to_owned()),
            (env!("CARGO_BIN_EXE_oarlock").to_owned(), "/bin/oarlock".to_owned()),
            (path(&oarlock_model::drive::agents_dir()), "/opt/agents".to_owned()),
            (format!("127.0.0.1:{}", stage.server.port()), "127.0.0.1:9".to_owned()),
            (oarlock_model::drive::KEY.to_owned(), "KEY".to_owned()),
        ];
        if let Ok(real) = oarlock_model::drive::agents_dir().canonicalize() {
            words.push((path(&real), "/opt/agents".to_owned()));
        }
        if let Ok(tree) = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize() {
            words.push((path(&tree), "/opt".to_owned()));
        }
        words.extend(run.map(|run| (path(run), "/runs/1".to_owned())));
        // A session's folder and branch have its id in their names.
        let session = workspace.file_name().map(|name| name.to_string_lossy().into_owned());
        words.extend(
            session.filter(|name| name.starts_with("sample-")).map(|name| (name, "sample-a1b2c3d4".into())),
        );
        // Some name folders after paths, with other signs for the slashes.
        let dashed: Vec<_> = words
            .iter()
            .filter(|(from, _)| from.starts_with('/'))
            .flat_map(|(from, to)| {
                let dashes = |path: &str| path.replace(['/', '.', '_'], "-");
                [(dashes(from), dashes(to)), (from.replace('/', "\\/"), to.replace('/', "\\/"))]
            })
            .collect();
        words.extend(dashed);
        words.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
        let cut = crew.root.parent().map(|folder| path(&folder.join("oar")));
        Self { words, cut, ids: BTreeMap::new(), told: String::new() }
    }

    /// Notes what the agent is told: ids in it are kept as they are.
    pub fn tell(&mut self, line: &str) {
        self.told.push_str(line);
    }

    /// Returns a line without what is of the machine, the person and the moment.
    pub fn line(&mut self, line: &str) -> String {
        let mut line = shortened(line);
        for (from, to) in &self.words {
            line = line.replace(from, to);
        }
        // A piece of a stream may end in the middle of a path.
        while let Some(at) = self.cut.as_deref().and_then(|cut| line.find(cut)) {
            let cut = self.cut.as_deref().map_or(0, str::len);
            let rest = line[at + cut..].find(|c: char| !c.is_ascii_alphanumeric());
            let end = rest.map_or(line.len(), |rest| at + cut + rest);
            line.replace_range(at..end, "/tmp/x");
        }
        let mut out = String::with_capacity(line.len());
        let mut rest = line.as_str();
        while !rest.is_empty() {
            let length = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
            // A colon belongs to the time it stands in, and to nothing that it stands before.
            if length == 0 || rest.starts_with(':') {
                let next = rest.chars().next().expect("it is not empty");
                out.push(next);
                rest = &rest[next.len_utf8()..];
                continue;
            }
            let word = self.word(&rest[..length], &out);
            out.push_str(&word);
            rest = &rest[length..];
        }
        out
    }

    /// Returns what stands for a word, after what was written before it.
    fn word(&mut self, word: &str, before: &str) -> String {
        if let Ok(number) = word.parse::<u64>() {
            return match number {
                _ if MILLIS.contains(&number) => "1767225600000".into(),
                _ if SECONDS.contains(&number) => "1767225600".into(),
                _ if is_measure(before) => "7".into(),
                _ => word.to_owned(),
            };
        }
        if is_measure(before) && word.parse::<f64>().is_ok() {
            return "7".into();
        }
        if is_time(word) {
            return "2026-01-01T00:00:00.000Z".into();
        }
        if is_clock(word) {
            return if word.len() == 5 { "12:00".into() } else { "1:00".into() };
        }
        // A socket is named after a process.
        if word.strip_suffix(".sock").is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
            return "1.sock".into();
        }
        // An id may have words around it: "call_", "rollout-", "sh_1_".
        let mut out = String::new();
        let mut rest = word;
        while let Some((at, length)) = id(rest) {
            out.push_str(&rest[..at]);
            out.push_str(&self.id(&rest[at..at + length]));
            rest = &rest[at + length..];
        }
        out + rest
    }

    fn id(&mut self, id: &str) -> String {
        if self.told.contains(id) && !self.ids.contains_key(id) {
            return id.to_owned();
        }
        let number = self.ids.len() + 1;
        let fresh = if is_uuid(id) {
            format!("00000000-0000-4000-8000-{number:012}")
        } else {
            // As long as it was, and still of letters and digits.
            format!("{:a>1$}", number, id.len())
        };
        self.ids.entry(id.to_owned()).or_insert(fresh).clone()
    }
}

/// Returns a line of JSON without what an agent says about itself at length: descriptions, and lists of what it can do.
fn shortened(line: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(line) else { return line.to_owned() };
    if shorten(&mut value) { value.to_string() } else { line.to_owned() }
}

/// Shortens a value, and says whether there was anything to shorten.
fn shorten(value: &mut Value) -> bool {
    match value {
        Value::String(text) if text.chars().count() > TEXT_CHARS_MAX => {
            *text = text.chars().take(TEXT_CHARS_MAX).chain(['…']).collect();
            true
        }
        Value::Array(all) => all.iter_mut().fold(false, |cut, one| shorten(one) | cut),
        Value::Object(fields) => fields.iter_mut().fold(false, |cut, (key, value)| match value {
            Value::Array(all) if LISTS.contains(&key.as_str()) && !all.is_empty() => {
                all.clear();
                true
            }
            _ => shorten(value) | cut,
        }),
        _ => false,
    }
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '+')
}

/// Tells whether a number comes next that says how long something took, or how much memory it had.
fn is_measure(before: &str) -> bool {
    let Some(key) = before.trim_end().strip_suffix(':').map(str::trim_end) else { return false };
    let Some(key) = key.strip_suffix('"').and_then(|key| key.rsplit('"').next()) else { return false };
    let key = key.to_ascii_lowercase();
    let ends = [
        "duration",
        "_ms",
        "durationms",
        "elapsed",
        "latency",
        "timems",
        "duration_api_ms",
        "uptime",
        "timing",
    ];
    ends.iter().any(|end| key.ends_with(end)) || key.contains("duration")
}

/// Tells whether a word is a time as RFC 3339 has it, with or without its colons.
fn is_time(word: &str) -> bool {
    let bytes = word.as_bytes();
    let is = |at: usize, sign: u8| bytes.get(at) == Some(&sign);
    bytes.len() >= 16 && word.starts_with("20") && is(4, b'-') && is(7, b'-') && is(10, b'T')
}

/// Tells whether a word is the time on a clock, in hours and minutes.
fn is_clock(word: &str) -> bool {
    let Some((hours, minutes)) = word.split_once(':') else { return false };
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    matches!(hours.len(), 1 | 2) && minutes.len() == 2 && is_number(hours) && is_number(minutes)
}

fn is_uuid(word: &str) -> bool {
    word.len() == 36
        && word.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Finds the first id in a word: where, and how long it is.
fn id(word: &str) -> Option<(usize, usize)> {
    for at in 0..word.len() {
        if word.get(at..at + 36).is_some_and(is_uuid) {
            return Some((at, 36));
        }
        let starts = at == 0 || !word.as_bytes()[at - 1].is_ascii_alphanumeric();
        let run = word[at..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        let run_word = &word[at..at + run];
        let mixed = run_word.bytes().any(|byte| byte.is_ascii_digit())
            && run_word.bytes().any(|byte| byte.is_ascii_alphabetic());
        if starts && run >= HEX_LENGTH_MIN && mixed {
            return Some((at, run));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrub(words: &[(&str, &str)]) -> Scrub {
        let words = words.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        Scrub { words, cut: Some("/tmp/oar".into()), ids: BTreeMap::new(), told: String::new() }
    }

    #[test]
    fn an_id_names_the_same_wherever_it_stands() {
        let mut scrub = scrub(&[]);
        let line = "{\"id\":\"call_0a1b2c3d4e5f\",\"s\":\"9f1c2d3e-0000-4111-8222-abcdefabcdef\",\"of\":\"call_0a1b2c3d4e5f\"}";
        let now = scrub.line(line);
        assert_eq!(
            now,
            "{\"id\":\"call_aaaaaaaaaaa1\",\"s\":\"00000000-0000-4000-8000-000000000002\",\"of\":\"call_aaaaaaaaaaa1\"}"
        );
        let again = scrub.line("rollout-2026-11-25T13-33-43-9f1c2d3e-0000-4111-8222-abcdefabcdef.jsonl");
        assert!(again.contains("00000000-0000-4000-8000-000000000002"), "{again}");
    }

    #[test]
    fn what_an_agent_can_do_is_left_out_and_long_texts_are_cut() {
        let long = "x".repeat(5_000);
        let line = format!("{{\"tools\":[\"Bash\"],\"a\":{{\"commands\":[1]}},\"text\":\"{long}\"}}");
        let now: Value = serde_json::from_str(&shortened(&line)).unwrap();
        assert_eq!((&now["tools"], &now["a"]["commands"]), (&serde_json::json!([]), &serde_json::json!([])));
        assert_eq!(now["text"].as_str().unwrap().chars().count(), TEXT_CHARS_MAX + 1);
        let short = "{\"b\":1,  \"a\":2}";
        assert_eq!(shortened(short), short, "what is short is as it was");
    }

    #[test]
    fn an_id_of_ours_is_kept() {
        let mut scrub = scrub(&[]);
        scrub.tell("{\"uuid\":\"9f1c2d3e-0000-4111-8222-abcdefabcdef\"}");
        assert_eq!(
            scrub.line("9f1c2d3e-0000-4111-8222-abcdefabcdef"),
            "9f1c2d3e-0000-4111-8222-abcdefabcdef"
        );
    }

    #[test]
    fn times_and_measures_of_time_are_always_the_same_and_counts_are_kept() {
        let mut scrub = scrub(&[("/tmp/oarX", "/src/app")]);
        let line = "{\"at\":\"2026-11-25T13:46:46.367Z\",\"ms\":1795620598935,\"duration_ms\":123,\"input_tokens\":1001,\
            \"cwd\":\"/tmp/oarX/y\",\"duration_api_ms\": 4.5}";
        let now = "{\"at\":\"2026-01-01T00:00:00.000Z\",\"ms\":1767225600000,\"duration_ms\":7,\"input_tokens\":1001,\
            \"cwd\":\"/src/app/y\",\"duration_api_ms\": 7}";
        assert_eq!(scrub.line(line), now);
        assert_eq!(scrub.line("a piece: /tmp/oar6"), "a piece: /tmp/x");
        assert_eq!(scrub.line("done 4:45 PM, 16:45, /tmp/x/123.sock"), "done 1:00 PM, 12:00, /tmp/x/1.sock");
    }
}
