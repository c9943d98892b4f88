//! Counting what passed, failed and was skipped, and saying so, a line for each step.

use std::time::Instant;

/// How a step went.
pub enum Step {
    /// It passed; the words after its name may be empty.
    Passed(String),
    /// It failed; what was said about it.
    Failed(String),
    /// It could not run, and why.
    Skipped(String),
}

/// The steps so far.
#[derive(Default)]
pub struct Tally {
    /// How many passed: steps, and tests inside them.
    pub passed: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were skipped.
    pub skipped: u64,
    /// The names of failed steps.
    pub failures: Vec<String>,
    /// What could not run, and why.
    pub absent: Vec<(String, String)>,
}

impl Tally {
    /// Takes a step, prints its line, and counts it as one.
    pub fn step(&mut self, name: &str, act: impl FnOnce() -> Result<Step, String>) {
        let begun = Instant::now();
        let step = act().unwrap_or_else(Step::Failed);
        let seconds = begun.elapsed().as_secs_f64();
        match step {
            Step::Passed(words) => {
                self.passed += 1;
                let words = if words.is_empty() { words } else { format!(": {words}") };
                println!("ok       {name}{words} ({seconds:.1} s)");
            }
            Step::Failed(text) => {
                println!("FAILED   {name} ({seconds:.1} s)");
                for line in text.trim_end().lines() {
                    println!("         {line}");
                }
                self.fail(name);
            }
            Step::Skipped(why) => {
                println!("skipped  {name}: {why}");
                self.skip(name, &why);
            }
        }
    }

    /// Counts one failure of a named step.
    pub fn fail(&mut self, name: &str) {
        self.failed += 1;
        self.failures.push(name.to_owned());
    }

    /// Counts one step that could not run.
    pub fn skip(&mut self, name: &str, why: &str) {
        self.skipped += 1;
        self.absent.push((name.to_owned(), why.to_owned()));
    }

    /// Returns the counts in one line.
    pub fn line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_counted_once() {
        let mut tally = Tally::default();
        tally.step("a", || Ok(Step::Passed(String::new())));
        tally.step("b", || Ok(Step::Failed("it broke".into())));
        tally.step("c", || Err("it could not be started".into()));
        tally.step("d", || Ok(Step::Skipped("no program".into())));
        assert_eq!(tally.line(), "1 passed, 2 failed, 1 skipped");
        assert_eq!(tally.failures, ["b", "c"]);
        assert_eq!(tally.absent, [("d".to_owned(), "no program".to_owned())]);
    }
}
