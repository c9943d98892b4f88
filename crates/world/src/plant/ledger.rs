//! What oarlock holds in one file: for which runs, and how the file is without it.
//!
//! A ledger is written before its file is, so that whatever a crash leaves is known. It holds no copy of the file (users'
//! settings may have secrets in them), only what was cut out of it. Must not know places, locks, nor git.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::document::{self, Edit, Undo, Unfit};
use super::file;
use crate::workspace::record::digest;

/// States of the file remembered: the one it has, and the one it is about to get, twice over for crashes in a row.
const KNOWN_MAX: usize = 4;

/// What one run wants in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Holder {
    /// The run's folder.
    pub run: PathBuf,
    /// All of the file, when there is none.
    pub text: Option<String>,
    /// Values in it.
    pub edits: Vec<Edit>,
}

/// The ledger of one file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ledger {
    /// The file: for whoever reads the ledger.
    pub path: PathBuf,
    /// Those that hold something in it, the earliest first.
    pub holders: Vec<Holder>,
    /// Folders made for it, the outermost first.
    pub folders: Vec<PathBuf>,
    /// Whether the file was there without us.
    existed: bool,
    /// The digest of the file without us.
    base: String,
    /// States with something of ours in it.
    known: Vec<Known>,
    /// What was done to the file without us.
    undo: Vec<Undo>,
}

/// A state of the file that we made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Known {
    /// Its digest.
    digest: String,
    /// Where it differs from the file without us, in bytes.
    at: usize,
    /// How long it differs.
    len: usize,
    /// What the file without us has there.
    was: String,
}

/// The file as it should be, for its holders.
#[derive(Debug, PartialEq)]
pub(super) struct Wanted {
    /// Its text; `None` for no file.
    pub text: Option<String>,
    /// What could not be done for the last holder: ends of sentences that begin with the file's name.
    pub notes: Vec<String>,
}

impl Ledger {
    /// Reads a ledger; there may be none. One that cannot be read is moved aside: what it was about stays in the file.
    pub(super) fn load(at: &Path, path: &Path) -> io::Result<Self> {
        let none = || Self { path: path.to_owned(), ..Self::default() };
        let bytes = match std::fs::read(at) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(none()),
            bytes => bytes?,
        };
        if let Ok(ledger) = serde_json::from_slice(&bytes) {
            return Ok(ledger);
        }
        tracing::warn!(ledger = %at.display(), "a ledger of planted files cannot be read, and is moved aside");
        std::fs::rename(at, at.with_extension("unreadable"))?;
        Ok(none())
    }

    /// Writes the ledger, or takes it away when nobody holds anything.
    pub(super) fn store(&self, at: &Path, durable: bool) -> io::Result<()> {
        file::replace(at, &serde_json::to_vec(self)?, file::PRIVATE, durable)
    }

    /// Returns the file without anything of ours, from how it is now. What others changed in it stays.
    ///
    /// # Errors
    /// When others changed it, and it cannot be read any more.
    pub(super) fn without_us(&mut self, now: Option<&str>) -> Result<Option<String>, Unfit> {
        let Some(now) = now else { return Ok(self.begin(None)) };
        let digest = digest(now.as_bytes());
        if self.existed && digest == self.base {
            return Ok(Some(now.to_owned()));
        }
        if let Some(known) = self.known.iter().find(|known| known.digest == digest) {
            if !self.existed {
                return Ok(None);
            }
            let (head, tail) = (now.get(..known.at), now.get(known.at + known.len..));
            if let (Some(head), Some(tail)) = (head, tail) {
                return Ok(Some(format!("{head}{}{tail}", known.was)));
            }
        }
        if self.undo.is_empty() {
            return Ok(self.begin(Some(now.to_owned())));
        }
        let rest = document::take_back(now, &self.undo)?;
        let is_ours_alone = !self.existed && document::is_empty(&rest);
        Ok(self.begin((!is_ours_alone).then_some(rest)))
    }

    /// Whether there is a file without us, from how it is now.
    pub(super) fn is_somebody_else_s(&self, now: Option<&str>) -> bool {
        self.clone().without_us(now) != Ok(None)
    }

    /// Whether the file was there without us, as far as is known.
    pub(super) fn existed(&self) -> bool {
        self.existed
    }

    /// Takes the file without us anew: others changed it.
    fn begin(&mut self, base: Option<String>) -> Option<String> {
        self.known.clear();
        self.undo.clear();
        self.existed = base.is_some();
        self.base = base.as_ref().map(|base| digest(base.as_bytes())).unwrap_or_default();
        base
    }

    /// Works out the file for its holders, and remembers it as a state of ours.
    ///
    /// # Errors
    /// When values are wanted in a file that is unfit for them.
    pub(super) fn render(&mut self, base: Option<&str>) -> Result<Wanted, Unfit> {
        self.existed = base.is_some();
        self.base = base.map(|base| digest(base.as_bytes())).unwrap_or_default();
        self.undo.clear();
        let whole = self.holders.iter().rev().find_map(|holder| holder.text.as_ref());
        let mut notes = Vec::new();
        if let (Some(base), Some(Some(text))) = (base, self.holders.last().map(|holder| &holder.text))
            && base != text
        {
            notes.push("is there already".into());
        }
        let mut text = base.or(whole.map(String::as_str)).map(str::to_owned);
        for holder in self.holders.iter().filter(|holder| !holder.edits.is_empty()) {
            let edits: Vec<&Edit> = holder.edits.iter().collect();
            let done = document::put(text.as_deref().unwrap_or_default(), &edits)?;
            text = Some(done.text);
            self.undo.extend(done.undo);
            if Some(&holder.run) == self.holders.last().map(|last| &last.run) {
                notes.extend(done.notes);
            }
        }
        if let Some(text) = &text
            && Some(text.as_str()) != base
        {
            self.remember(base.unwrap_or_default(), text);
        }
        Ok(Wanted { text, notes })
    }

    fn remember(&mut self, base: &str, text: &str) {
        let digest = digest(text.as_bytes());
        self.known.retain(|known| known.digest != digest);
        let excess = (self.known.len() + 1).saturating_sub(KNOWN_MAX);
        self.known.drain(..excess);
        let (at, base_end, text_end) = difference(base, text);
        let was = base[at..base_end].to_owned();
        self.known.push(Known { digest, at, len: text_end - at, was });
    }
}

/// Returns where two texts begin to differ, and where they cease to in each, at borders of characters.
fn difference(one: &str, other: &str) -> (usize, usize, usize) {
    let at = one.char_indices().zip(other.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at);
    let at = at.unwrap_or(one.len().min(other.len()));
    let same: usize = one[at..]
        .chars()
        .rev()
        .zip(other[at..].chars().rev())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum();
    (at, one.len() - same, other.len() - same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plant::document::tests::{edits, jsonc};
    use oarlock_agents::launch::Put;
    use proptest::prelude::*;
    use serde_json::json;

    fn holder(run: &str, keys: &[&str], value: serde_json::Value, put: Put) -> Holder {
        let path = keys.iter().map(|key| (*key).to_owned()).collect();
        Holder { run: run.into(), text: None, edits: vec![Edit { path, value, put: put.into() }] }
    }

    #[test]
    fn a_difference_is_found_at_borders_of_characters() {
        assert_eq!(difference("aéz", "aèz"), (1, 3, 3));
        assert_eq!(difference("", "abc"), (0, 0, 3));
        assert_eq!(difference("aa", "aaa"), (2, 2, 3));
        assert_eq!(difference("same", "same"), (4, 4, 4));
    }

    #[test]
    fn the_file_without_us_is_known_from_every_state_a_crash_may_leave() {
        let base = "{\n  // mine\n  \"a\": 1,\n}\n";
        let mut ledger = Ledger::default();
        assert_eq!(ledger.without_us(Some(base)).unwrap().as_deref(), Some(base));
        ledger.holders.push(holder("/run/1", &["b"], json!(true), Put::Set));
        let first = ledger.render(Some(base)).unwrap().text.unwrap();
        ledger.holders.push(holder("/run/2", &["list"], json!("x"), Put::Append));
        let second = ledger.render(Some(base)).unwrap().text.unwrap();
        for state in [base, &first, &second] {
            let mut after_crash = ledger.clone();
            assert_eq!(after_crash.without_us(Some(state)).unwrap().as_deref(), Some(base), "from {state}");
        }
    }

    #[test]
    fn a_ledger_holds_nothing_of_the_file_that_was_not_cut_out() {
        let base = r#"{"key": "a secret", "theme": "dark"}"#;
        let mut ledger = Ledger::default();
        ledger.without_us(Some(base)).unwrap();
        ledger.holders.push(holder("/run/1", &["theme"], json!("light"), Put::Set));
        ledger.render(Some(base)).unwrap();
        assert!(!serde_json::to_string(&ledger).unwrap().contains("secret"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn planting_and_taking_away_is_the_identity_whoever_goes_first(
            text in jsonc(),
            one in edits(),
            two in edits(),
            first_goes_first in any::<bool>(),
        ) {
            let mut ledger = Ledger::default();
            let mut now = text.clone();
            for (run, edits) in [("/run/1", one), ("/run/2", two)] {
                let base = ledger.without_us(Some(&now)).unwrap();
                prop_assert_eq!(base.as_deref(), Some(text.as_str()));
                ledger.holders.push(Holder { run: run.into(), text: None, edits });
                now = ledger.render(base.as_deref()).unwrap().text.unwrap();
            }
            let leave = if first_goes_first { ["/run/1", "/run/2"] } else { ["/run/2", "/run/1"] };
            for run in leave {
                let base = ledger.without_us(Some(&now)).unwrap();
                ledger.holders.retain(|holder| holder.run != Path::new(run));
                now = ledger.render(base.as_deref()).unwrap().text.unwrap();
            }
            prop_assert_eq!(now, text);
        }
    }
}
