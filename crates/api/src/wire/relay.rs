//! Relays on the wire: what is asked for, and how they stand.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// The largest whole number that every reader of JSON reads exactly.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;

/// A relay to begin: a plan, and its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RelayWish {
    /// The plan's text; at most 2 MiB.
    pub plan: String,
    /// The absolute path of the file it was read from, watched for edits; missing when it came from elsewhere.
    #[serde(default)]
    pub source: Option<String>,
    /// Tokens of context that a leg may fill: 20,000 at least, 100,000 when missing.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 20000, maximum = 9007199254740991_i64)]
    pub budget: Option<u64>,
    /// Legs at most: 1 to 500, 50 when missing.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 500)]
    pub legs: Option<u32>,
    /// Who runs legs in turn with `agent`, which runs the first: names, or `exec:COMMAND`.
    #[serde(default)]
    pub agents: Vec<String>,
    /// Time at most from the first leg on, in milliseconds.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    pub ms_max: Option<u64>,
    /// Money at most, in millionths of a US dollar, as far as agents say what they cost.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    pub cost_micros_max: Option<u64>,
}

/// How a relay stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Relay {
    /// The plan's title; may be empty.
    pub title: String,
    /// What its phases are called, such as `phase`.
    pub unit: String,
    /// The file the plan was read from; empty when it came from elsewhere.
    pub source: String,
    /// The file the plan is kept in.
    pub plan: String,
    /// Whether `source` says something else than the plan that is worked.
    pub plan_edited: bool,
    /// Its phases, in order.
    pub phases: Vec<RelayPhase>,
    /// The phase at hand, counted from 1; one past the last when all are claimed to be complete.
    pub phase: u32,
    /// Tokens of context that a leg may fill.
    pub budget: u64,
    /// Legs at most.
    pub legs_max: u32,
    /// Its legs, in order.
    pub legs: Vec<Leg>,
    /// What is passed to the next leg; empty before the first ended.
    pub baton: String,
    /// Why no leg follows; null while one runs or will.
    pub rest: Option<String>,
    /// When the next leg may begin, while the relay waits for that.
    pub not_before: Option<String>,
}

/// A phase of a relay's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RelayPhase {
    /// Its name.
    pub name: String,
    /// `ticked` (done before, by the plan), `claimed`, `at_hand` or `open`.
    #[schema(pattern = "^(ticked|claimed|at_hand|open)$")]
    pub state: String,
}

/// One leg of a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Leg {
    /// Its run.
    pub run: u32,
    /// The phase it was given, counted from 1.
    pub phase: u32,
    /// Its agent.
    pub agent: String,
    /// When it began.
    pub began_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Most tokens that were in its context, as far as it said.
    pub context: u64,
    /// What it claimed: `done`, `phase_done`, `handing_off` or `stuck`.
    pub claim: Option<String>,
    /// Its words to that.
    pub note: String,
    /// How it ended, in a sentence; null while it runs.
    pub ended: Option<String>,
    /// Commits it made.
    pub commits: Option<u32>,
    /// Paths it left changed and not committed.
    pub dirty: Option<u32>,
    /// Whether its baton was derived, as it left none that could be passed on.
    pub baton_derived: Option<bool>,
    /// What was wrong with its baton, in a sentence each.
    pub faults: Vec<String>,
}

/// Reads a whole number however it is written: to JSON Schema, `16.0` is an integer.
pub(super) fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    let written = number.to_string();
    let is_whole = |number: &f64| number.fract() == 0.0 && (0.0..=WHOLE_MAX).contains(number);
    let plain = number.as_u64().or_else(|| format!("{:.0}", number.as_f64().filter(is_whole)?).parse().ok());
    let fits = plain.and_then(|plain| T::try_from(plain).ok());
    fits.map(Some).ok_or_else(|| D::Error::custom(format!("{written} is no whole number in range")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let read =
            |text: &str| serde_json::from_str::<RelayWish>(&format!("{{\"plan\":\"\",\"ms_max\":{text}}}"));
        for (text, number) in [("16", 16), ("16.0", 16), ("1e3", 1_000), ("16777216.0", 16_777_216)] {
            assert_eq!(read(text).unwrap().ms_max, Some(number), "{text}");
        }
        assert_eq!(read("null").unwrap().ms_max, None);
        for wrong in ["16.5", "-1", "1e300", "\"16\"", "[]"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<RelayWish>("{\"plan\":\"\",\"legs\":4294967296.0}").is_err());
    }
}
