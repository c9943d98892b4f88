//! The log of facts, and what is remembered of it.

use oarlock_api::place::Place;
use oarlock_api::wire::Check;
use oarlock_core::crew::Crew;
use oarlock_core::ids::Timestamp;
use oarlock_engine::{Store, StoreError};
use oarlock_store::SqliteStore;

use super::check;

/// Reads what the log holds, without a change: the crew, and the stamp of its last line. Nothing where there is none, or none that
/// can be read.
pub(super) fn remembered(place: &Place) -> Option<(Crew, Timestamp)> {
    let mut store = place.database().exists().then(|| SqliteStore::open_reader(&place.database()))?.ok()?;
    store.load().ok().map(|(crew, _, at)| (crew, at))
}

pub(super) fn log(place: &Place, verify: bool) -> Vec<Check> {
    if !place.database().exists() {
        return vec![check("log", "ok", "None yet.", "")];
    }
    let damaged = |error: &StoreError| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        let hint = match error {
            StoreError::Newer { .. } => "Use the newer oarlock, or set OARLOCK_HOME to another folder.",
            _ => {
                "Keep a copy of the state folder, then move the database away; workspaces and branches stay."
            }
        };
        check("log", "fail", format!("{text}."), hint)
    };
    let store = match SqliteStore::open_reader(&place.database()) {
        Ok(store) => store,
        Err(error) => return vec![damaged(&error)],
    };
    let size = match store.bounds() {
        Ok((first, last)) if first > last => check("log", "ok", "Empty.", ""),
        Ok((first, last)) => check("log", "ok", format!("Lines {first} to {last}."), ""),
        Err(error) => return vec![damaged(&error)],
    };
    if !verify {
        return vec![size];
    }
    let mut checks = vec![size];
    match store.check_pages() {
        Ok(faults) if faults.is_empty() => {}
        Ok(faults) => {
            checks.push(check("pages", "fail", faults.join("; "), "Restore the database from a copy."))
        }
        Err(error) => checks.push(damaged(&error)),
    }
    match store.verify() {
        Ok(differences) if differences.is_empty() => {
            checks.push(check("replay", "ok", "The whole log folds to the stored state.", ""));
        }
        Ok(differences) => {
            let hint = "The log decides: stop the daemon and report this, with a copy of the state folder.";
            checks
                .extend(differences.into_iter().map(|difference| check("replay", "fail", difference, hint)));
        }
        Err(error) => checks.push(damaged(&error)),
    }
    checks
}
