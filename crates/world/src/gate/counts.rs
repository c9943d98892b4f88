//! How many tests ran, as test programs say at the end of their output. A check that ran none proves nothing.
//!
//! What is not recognised counts nothing, and is not held against a check.

use oarlock_core::playbook::gate::Counts;

/// Returns the tests that an output tells of, summed over all its summaries; `None` when it has none that is known.
pub(crate) fn read(output: &str) -> Option<Counts> {
    let mut total: Option<Counts> = None;
    let mut tap = Counts::default();
    for line in output.lines() {
        let plain = plain(line);
        if let Some(counts) = of_line(plain.trim()) {
            let sum = total.get_or_insert_default();
            sum.passed += counts.passed;
            sum.failed += counts.failed;
            sum.skipped += counts.skipped;
        }
        match plain.split_whitespace().next() {
            Some("ok") if numbered(&plain, 1) => tap.passed += 1,
            Some("not") if plain.starts_with("not ok ") && numbered(&plain, 2) => tap.failed += 1,
            _ => {}
        }
    }
    total.or((tap != Counts::default()).then_some(tap))
}

/// Returns a line without the colours a terminal would show.
fn plain(line: &str) -> String {
    strip_ansi_escapes::strip_str(line)
}

/// Tells whether the word at a place is a number, as in TAP's `ok 1 - reads`.
fn numbered(line: &str, at: usize) -> bool {
    line.split_whitespace().nth(at).is_some_and(|word| word.parse::<u64>().is_ok())
}

fn of_line(line: &str) -> Option<Counts> {
    // cargo test: "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s".
    if let Some(rest) = line.strip_prefix("test result: ") {
        return worded(rest, ';');
    }
    // cargo nextest: "Summary [   0.012s] 3 tests run: 2 passed, 1 failed, 4 skipped".
    if let Some((_, rest)) = line.split_once("tests run:").or_else(|| line.split_once("test run:")) {
        return worded(rest, ',');
    }
    // Jest and Vitest: "Tests:       1 failed, 2 passed, 3 total".
    if let Some(rest) = line.strip_prefix("Tests:").or_else(|| line.strip_prefix("Tests ")) {
        return worded(rest, if rest.contains('|') { '|' } else { ',' });
    }
    // unittest: "Ran 3 tests in 0.001s"; what failed of them stands in a line of its own.
    if let Some(rest) = line.strip_prefix("Ran ") {
        let mut words = rest.split_whitespace();
        let number = words.next()?.parse().ok()?;
        return words.next()?.starts_with("test").then_some(Counts { passed: number, ..Counts::default() });
    }
    // pytest: "=== 1 failed, 2 passed, 1 skipped in 0.12s ===", "=== no tests ran in 0.01s ===".
    if line.starts_with('=') && line.ends_with('=') {
        let inner = line.trim_matches(['=', ' ']);
        if inner.starts_with("no tests ran") {
            return Some(Counts::default());
        }
        let (inner, _) = inner.rsplit_once(" in ")?;
        return worded(inner, ',');
    }
    // Mocha: "3 passing (10ms)"; node --test: "# pass 3".
    let words: Vec<&str> = line.trim_start_matches(['#', 'ℹ', ' ']).split_whitespace().collect();
    match words[..] {
        [number, "passing", ..] => Some(Counts { passed: number.parse().ok()?, ..Counts::default() }),
        [number, "failing", ..] => Some(Counts { failed: number.parse().ok()?, ..Counts::default() }),
        ["pass", number] => Some(Counts { passed: number.parse().ok()?, ..Counts::default() }),
        ["fail", number] => Some(Counts { failed: number.parse().ok()?, ..Counts::default() }),
        // go test -v.
        ["---", "PASS:", ..] => Some(Counts { passed: 1, ..Counts::default() }),
        ["---", "FAIL:", ..] => Some(Counts { failed: 1, ..Counts::default() }),
        _ => None,
    }
}

/// Reads `3 passed, 1 failed` in any order.
fn worded(text: &str, separator: char) -> Option<Counts> {
    let mut counts = Counts::default();
    let mut found = false;
    for part in text.split(separator) {
        let mut words = part.split_whitespace().rev();
        let (Some(word), Some(number)) = (words.next(), words.next()) else { continue };
        let Ok(number) = number.trim_start_matches('.').parse::<u64>() else { continue };
        match word.trim_end_matches(['.', ',']) {
            "passed" => counts.passed += number,
            "failed" | "errors" | "error" => counts.failed += number,
            "skipped" | "ignored" | "xfailed" | "todo" => counts.skipped += number,
            _ => continue,
        }
        found = true;
    }
    found.then_some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_test_programs_are_read() {
        let counts = |passed, failed, skipped| Some(Counts { passed, failed, skipped });
        for (output, expected) in [
            (
                "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
                counts(3, 0, 1),
            ),
            ("     Summary [   0.012s] 3 tests run: 2 passed, 1 failed, 4 skipped", counts(2, 1, 4)),
            ("Tests:       1 failed, 2 passed, 3 total", counts(2, 1, 0)),
            ("Ran 3 tests in 0.001s\n\nOK", counts(3, 0, 0)),
            ("===== 1 failed, 2 passed, 1 skipped in 0.12s =====", counts(2, 1, 1)),
            ("\u{1b}[32m===== 2 passed in 0.12s =====\u{1b}[0m", counts(2, 0, 0)),
            ("===== no tests ran in 0.01s =====", counts(0, 0, 0)),
            ("  3 passing (10ms)\n  1 failing", counts(3, 1, 0)),
            ("1..2\nok 1 - reads\nnot ok 2 - writes", counts(1, 1, 0)),
            ("--- PASS: TestAdd (0.00s)\n--- FAIL: TestSub (0.00s)", counts(1, 1, 0)),
            ("running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored", counts(0, 0, 0)),
            ("Compiling\nFinished in 3 s\nok then", None),
            ("", None),
        ] {
            assert_eq!(read(output), expected, "{output}");
        }
    }
}
