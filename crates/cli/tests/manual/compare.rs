//! Compares what a page shows with what was printed, and writes down what was printed for a page to show.
//!
//! A line shown may hold `[..]` for anything, or the name of something that differs from run to run; where one does, runs
//! of spaces count as one, because columns move with what stands in them. A line `...` stands for any lines.

/// Tells whether a text is of a kind.
type Test = fn(&str) -> bool;

/// What stands in a page for something that differs from run to run, and the test for it.
const WILDCARDS: &[(&str, Test)] = &[
    ("[..]", |_| true),
    ("[id]", is_id),
    ("[oid]", is_oid),
    ("[age]", is_age),
    ("[time]", is_time),
    ("[pid]", is_number),
    ("[seq]", is_number),
    ("[path]", is_path),
];

fn is_id(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}

fn is_oid(text: &str) -> bool {
    (7..=40).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_age(text: &str) -> bool {
    text.strip_suffix(['s', 'm', 'h', 'd']).is_some_and(is_number)
}

/// A time of day, or a moment as RFC 3339 writes it, to the second, millisecond or microsecond.
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let moment = shape.strip_prefix("0000-00-00T00:00:00").and_then(|rest| rest.strip_suffix('Z'));
    shape == "00:00:00" || moment.is_some_and(|part| ["", ".000", ".000000"].contains(&part))
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.contains(|c: char| c.is_whitespace() || "\"'".contains(c))
}

/// Tells whether the lines shown stand for the lines printed.
pub(super) fn lines_match(shown: &[&str], printed: &[&str]) -> bool {
    let loose = shown.iter().any(|line| is_loose(line));
    every_line(
        shown,
        printed,
        |shown, printed| if loose { is_like(shown, printed) } else { shown == printed },
    )
}

fn every_line(shown: &[&str], printed: &[&str], same: impl Fn(&str, &str) -> bool + Copy) -> bool {
    match shown {
        [] => printed.is_empty(),
        ["...", rest @ ..] => (0..=printed.len()).any(|skipped| every_line(rest, &printed[skipped..], same)),
        [first, rest @ ..] => {
            printed.first().is_some_and(|line| same(first, line)) && every_line(rest, &printed[1..], same)
        }
    }
}

/// Tells whether a line shown holds something that differs from run to run.
fn is_loose(shown: &str) -> bool {
    WILDCARDS.iter().any(|(name, _)| shown.contains(name))
}

fn is_like(shown: &str, printed: &str) -> bool {
    matches(&one_space(shown), &one_space(printed))
}

fn one_space(line: &str) -> String {
    let mut short = String::new();
    for c in line.chars() {
        if c != ' ' || !short.ends_with(' ') {
            short.push(c);
        }
    }
    short
}

fn matches(shown: &str, printed: &str) -> bool {
    let Some(first) = shown.chars().next() else { return printed.is_empty() };
    if let Some((name, accepts)) = WILDCARDS.iter().find(|(name, _)| shown.starts_with(name)) {
        let rest = &shown[name.len()..];
        let ends = printed.char_indices().map(|(at, _)| at).chain([printed.len()]);
        return ends.into_iter().any(|end| accepts(&printed[..end]) && matches(rest, &printed[end..]));
    }
    printed.strip_prefix(first).is_some_and(|printed| matches(&shown[first.len_utf8()..], printed))
}

/// What is known of the world that printed something.
pub(super) struct Known {
    /// The folder that holds all of it.
    pub root: String,
    /// The sessions' ids.
    pub ids: Vec<String>,
}

/// Returns lines to show for lines printed: those shown already where they still stand, else with names for what differs
/// from run to run.
pub(super) fn settle(shown: &[&str], printed: &[&str], known: &Known) -> Vec<String> {
    let mut rest = shown;
    let mut settled = Vec::new();
    for line in printed {
        if let Some(at) =
            rest.iter().position(|shown| *shown == *line || is_loose(shown) && is_like(shown, line))
        {
            settled.push(rest[at].to_owned());
            rest = &rest[at + 1..];
        } else {
            settled.push(general(line, known));
        }
    }
    settled
}

fn general(line: &str, known: &Known) -> String {
    let mut general = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if let Some(beyond) = rest.strip_prefix(&known.root) {
            let path = beyond.find(|c: char| c.is_whitespace() || "\"'".contains(c)).unwrap_or(beyond.len());
            let path = beyond[..path].trim_end_matches(['.', ':', ',', ';']).len();
            general.push_str("[path]");
            rest = &beyond[path..];
        } else if let Some(id) = known.ids.iter().find(|id| rest.starts_with(*id)) {
            general.push_str("[id]");
            rest = &rest[id.len()..];
        } else if first.is_ascii_alphanumeric() {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ":-.".contains(c)));
            let word = rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', ':', '-']);
            let (name, length) = named(word, &general);
            general.push_str(name.unwrap_or(&word[..length]));
            rest = &rest[length..];
        } else {
            general.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    general
}

/// Returns the name for a word, if it differs from run to run, and how much of the text it is.
fn named(word: &str, before: &str) -> (Option<&'static str>, usize) {
    let number = is_number(word);
    let name = if is_time(word) {
        "[time]"
    } else if [7, 9, 40].contains(&word.len()) && is_oid(word) {
        "[oid]"
    } else if is_age(word) && (before.is_empty() || before.ends_with(' ')) {
        "[age]"
    } else if number && ["process ", "host ", "\"pid\":"].iter().any(|lead| before.ends_with(lead)) {
        "[pid]"
    } else if number
        && (["\"seq\":", "line ", "[id]-"].iter().any(|lead| before.ends_with(lead))
            || (before.len() >= 2 && before.trim().is_empty()))
    {
        "[seq]"
    } else if number && before.ends_with("\"age_ms\":") {
        "[..]"
    } else {
        // Only the plain part is taken, so that an id after a hyphen is still seen.
        let plain = word.find(['-', ':', '.']).map_or(word.len(), |at| at + 1);
        return (None, plain.max(1));
    };
    (Some(name), word.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_what_it_names_and_for_nothing_else() {
        for (shown, printed) in [
            ("now at [oid]", "now at 0a1b2c3d4"),
            ("x  [age] ago", "x     12s ago"),
            ("[path].", "/a/b.c."),
            ("fix-[id]-[seq]", "fix-abcdef27-12"),
            ("a [..] c", "a b b c"),
            ("[time]", "2026-01-05T09:00:00.000Z"),
        ] {
            assert!(lines_match(&[shown], &[printed]), "{shown} stands for {printed}");
        }
        for (shown, printed) in [
            ("now at [oid]", "now at home"),
            ("[age] ago", "12 ago"),
            ("[path]", "a/b"),
            ("[id]", "abcdefg1"),
            ("two  spaces", "two spaces"),
        ] {
            assert!(!lines_match(&[shown], &[printed]), "{shown} does not stand for {printed}");
        }
    }

    #[test]
    fn dots_stand_for_any_lines() {
        assert!(lines_match(&["a", "...", "d"], &["a", "b", "c", "d"]));
        assert!(lines_match(&["..."], &[]));
        assert!(!lines_match(&["a", "...", "d"], &["a", "b", "c"]));
    }

    #[test]
    fn what_differs_from_run_to_run_gets_its_name() {
        let known = Known { root: "/tmp/x".into(), ids: vec!["abcdefgh".into()] };
        for (printed, shown) in [
            ("workspace  /tmp/x/fix-abcdefgh", "workspace  [path]"),
            ("oarlock/fix-abcdefgh/work.", "oarlock/fix-[id]/work."),
            ("run 0      live, began 3s ago", "run 0      live, began [age] ago"),
            ("process 123.", "process [pid]."),
            ("Lands on main, at 012345678", "Lands on main, at [oid]"),
            ("{\"seq\":12,\"at\":\"2026-01-05T09:00:00.000Z\"}", "{\"seq\":[seq],\"at\":\"[time]\"}"),
        ] {
            assert_eq!(settle(&[], &[printed], &known), [shown]);
        }
    }
}
