//! The script: scenarios of steps, read from TOML. What a model would say, for whoever asks as the scenario expects.
//!
//! It knows no protocol. Everything that could run away has its limit here, so that a slip in a script is a sentence and
//! not a test that hangs.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Longest wait that a script may ask for, in milliseconds: agents give up on an answer after ten minutes.
pub const WAIT_MS_MAX: u64 = 600_000;
/// The scenarios that most tests want.
const EVERYDAY: &str = include_str!("../scripts/everyday.toml");

/// A script: scenarios by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The scenario of a conversation that names none.
    pub default: String,
    /// What is said to a request that offers no tools.
    pub aside: String,
    /// What an answer costs when its step does not say.
    #[serde(default)]
    pub usage: Counts,
    /// The scenarios.
    pub scenario: BTreeMap<String, Scenario>,
}

/// A scenario: what it is for, and its steps in order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is for.
    pub about: String,
    /// Values for `{word}` where the prompt gives none.
    #[serde(default)]
    pub with: BTreeMap<String, String>,
    /// Whether a request without tools is part of it, as from agents that have none.
    #[serde(default)]
    pub plain: bool,
    /// The steps.
    pub step: Vec<Step>,
}

/// One answer of the model.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Text.
    pub say: String,
    /// Reasoning, where the protocol shows it.
    pub think: String,
    /// Tools to call.
    pub call: Vec<Call>,
    /// What it costs.
    pub usage: Counts,
    /// Why it ended, in the protocol's own word; its usual one when empty.
    pub stop: String,
    /// Milliseconds before the first byte, an error's too.
    pub delay_ms: u64,
    /// Milliseconds between the pieces of a stream.
    pub drip_ms: u64,
    /// Where it waits until it is let go, or the longest wait is over.
    pub hold: Option<Hold>,
    /// An error in place of the answer.
    pub error: Option<Fault>,
    /// The connection breaks in the middle of the answer.
    pub cut: Option<Cut>,
}

/// A tool to call, in words that no agent knows.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "tool", rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// Writes a file.
    Write {
        /// Relative to the agent's folder, or absolute.
        path: String,
        /// All of it.
        text: String,
    },
    /// Runs a command line.
    Shell {
        /// For a POSIX shell.
        command: String,
    },
    /// Reads a file.
    Read {
        /// Relative to the agent's folder, or absolute.
        path: String,
    },
    /// Asks the person; an agent without such a tool is given the question as text.
    Ask {
        /// The question.
        question: String,
        /// The answers to choose from.
        options: Vec<String>,
    },
    /// Calls the tool whose name ends so, as those of MCP servers do.
    Named {
        /// The end of its name.
        name: String,
        /// Its arguments, as JSON.
        #[serde(default)]
        arguments: String,
    },
}

/// A place where an answer waits.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The gate's name; empty waits for ever, which is until the limit.
    #[serde(default)]
    pub gate: String,
    /// Where.
    pub at: Where,
}

/// Where in the answer.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Where {
    /// Before its first byte.
    Start,
    /// After half of a stream's pieces.
    Middle,
}

/// An error that the provider answers with.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The HTTP status.
    pub status: u16,
    /// The provider's word for it.
    pub kind: String,
    /// The provider's sentence.
    pub message: String,
    /// How many requests get it, after which the step is played; all of them when missing.
    pub times: Option<u32>,
    /// A gate: once it is open the step is played. Empty for none.
    #[serde(default)]
    pub gate: String,
    /// When to try again, in seconds.
    pub retry_after_s: Option<u64>,
    /// When a used up allowance is there again, in seconds from the request.
    pub resets_in_s: Option<u64>,
}

/// A connection that breaks.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// How many times, after which the step is played; always when missing.
    pub times: Option<u32>,
}

/// Tokens, where they are given.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Counts {
    /// Read, and in no cache.
    pub input: Option<u64>,
    /// Read from a cache.
    pub cache_read: Option<u64>,
    /// Read, and put into a cache.
    pub cache_write: Option<u64>,
    /// Written, with reasoning.
    pub output: Option<u64>,
    /// Reasoning among what was written.
    pub thinking: Option<u64>,
}

/// Tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Read, and in no cache.
    pub input: u64,
    /// Read from a cache.
    pub cache_read: u64,
    /// Read, and put into a cache.
    pub cache_write: u64,
    /// Written, with reasoning.
    pub output: u64,
    /// Reasoning among what was written.
    pub thinking: u64,
}

impl Usage {
    /// Returns everything read.
    pub fn read(&self) -> u64 {
        self.input + self.cache_read + self.cache_write
    }
}

impl Counts {
    /// Returns the tokens: these, else those, else none.
    pub fn or(&self, else_: &Counts) -> Usage {
        let pick = |a: Option<u64>, b: Option<u64>| a.or(b).unwrap_or_default();
        Usage {
            input: pick(self.input, else_.input),
            cache_read: pick(self.cache_read, else_.cache_read),
            cache_write: pick(self.cache_write, else_.cache_write),
            output: pick(self.output, else_.output),
            thinking: pick(self.thinking, else_.thinking),
        }
    }
}

/// Why a text is no script.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It is no TOML, or has a field that is unknown.
    #[error("the script cannot be read")]
    Syntax(#[source] toml_edit::de::Error),
    /// It contradicts itself.
    #[error("{0}")]
    Sense(String),
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// When it has a field that is unknown, lacks its default, or asks for more than a limit.
    pub fn read(text: &str) -> Result<Self, ScriptError> {
        let script: Self = toml_edit::de::from_str(text).map_err(ScriptError::Syntax)?;
        if !script.scenario.contains_key(&script.default) {
            return Err(ScriptError::Sense(format!("the default \"{}\" is no scenario", script.default)));
        }
        for (name, scenario) in &script.scenario {
            if scenario.step.is_empty() {
                return Err(ScriptError::Sense(format!("the scenario \"{name}\" has no steps")));
            }
            for (index, step) in scenario.step.iter().enumerate() {
                let place = format!("step {index} of \"{name}\"");
                step.check().map_err(|why| ScriptError::Sense(format!("{place}: {why}")))?;
            }
        }
        Ok(script)
    }

    /// Returns the scenarios that most tests want; `scripts/everyday.toml` says what each is for.
    pub fn everyday() -> Self {
        Self::read(EVERYDAY).expect("a test reads it")
    }
}

impl Step {
    fn check(&self) -> Result<(), String> {
        for (what, ms) in [("delay_ms", self.delay_ms), ("drip_ms", self.drip_ms)] {
            if ms > WAIT_MS_MAX {
                return Err(format!("{what} is over {WAIT_MS_MAX}"));
            }
        }
        if let Some(fault) = self.error.as_ref().filter(|fault| !(400..600).contains(&fault.status)) {
            return Err(format!("{} is the status of no error", fault.status));
        }
        for call in &self.call {
            if let Call::Named { arguments, .. } = call
                && !arguments.is_empty()
            {
                let object: Result<serde_json::Map<_, _>, _> = serde_json::from_str(arguments);
                object.map_err(|error| format!("the arguments are no JSON object: {error}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "default = \"a\"\naside = \"t\"\n[scenario.a]\nabout = \"x\"\n";

    fn fault(rest: &str) -> String {
        Script::read(&format!("{HEAD}{rest}")).expect_err("wrong").to_string()
    }

    #[test]
    fn the_everyday_script_is_one() {
        let script = Script::everyday();
        for name in ["commit", "permission", "ask", "limited", "overloaded_once", "bad_auth", "bad_request"] {
            assert!(script.scenario.contains_key(name), "{name} is promised");
        }
    }

    #[test]
    fn what_makes_no_sense_is_a_sentence() {
        assert_eq!(fault("step = []"), "the scenario \"a\" has no steps");
        assert_eq!(fault("step = [{ delay_ms = 600001 }]"), "step 0 of \"a\": delay_ms is over 600000");
        let error = "step = [{ error = { status = 200, kind = \"k\", message = \"m\" } }]";
        assert_eq!(fault(error), "step 0 of \"a\": 200 is the status of no error");
        let call = "step = [{ call = [{ tool = \"named\", name = \"x\", arguments = \"[]\" }] }]";
        assert!(fault(call).starts_with("step 0 of \"a\": the arguments are no JSON object"));
        assert_eq!(fault("step = [{ sayy = \"x\" }]"), "the script cannot be read");
        let strange =
            Script::read(&HEAD.replacen("\"a\"", "\"b\"", 1).replace("about", "step = [{}]\nabout"));
        assert_eq!(strange.expect_err("wrong").to_string(), "the default \"b\" is no scenario");
    }

    #[test]
    fn a_step_takes_the_tokens_it_does_not_name_from_the_script() {
        let step = Counts { input: Some(3), ..Counts::default() };
        let script = Counts { input: Some(1), output: Some(2), ..Counts::default() };
        let usage = step.or(&script);
        assert_eq!((usage.input, usage.output, usage.read()), (3, 2, 3));
    }
}
