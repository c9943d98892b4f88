//! Self-examination: what oarlock needs around it, and whether its own state is whole. Reads only.

use oarlock_api::place::Place;
use oarlock_api::wire::Check;
use oarlock_engine::{Store, StoreError};
use oarlock_store::SqliteStore;

/// The oldest git that computes a merge without a checkout (`git merge-tree --write-tree`, release notes of 2.38).
const GIT_NEEDED: (u32, u32) = (2, 38);
/// Free space below which a checkout is likely to fail, in bytes.
const FREE_BYTES_LOW: u64 = 1 << 30;

fn check(name: &str, result: &str, text: String, hint: &str) -> Check {
    Check { name: name.into(), result: result.into(), text, hint: hint.into() }
}

/// Examines the surroundings and the state; `verify` also replays the whole log.
#[must_use]
pub fn examine(place: &Place, running: bool, verify: bool) -> Vec<Check> {
    let mut checks = vec![git(), state(place), socket(place), daemon(running)];
    checks.extend(log(place, verify));
    let agents: Vec<_> = oarlock_agents::REGISTRY.iter().map(|agent| agent.name()).collect();
    checks.push(check("agents", "ok", format!("Known: {}.", agents.join(", ")), ""));
    checks
}

fn git() -> Check {
    match oarlock_world::git::version() {
        Ok(found) if found >= GIT_NEEDED => {
            check("git", "ok", format!("Version {}.{}.", found.0, found.1), "")
        }
        Ok(found) => {
            let text = format!(
                "Version {}.{} is too old; {}.{} is needed.",
                found.0, found.1, GIT_NEEDED.0, GIT_NEEDED.1
            );
            check("git", "fail", text, "Install a newer git.")
        }
        Err(error) => check("git", "fail", format!("git does not answer: {error}."), "Install git."),
    }
}

fn state(place: &Place) -> Check {
    let folder = place.state().display();
    if let Err(error) = place.make() {
        return check("state", "fail", format!("{error}."), "Set OARLOCK_HOME to a folder of your own.");
    }
    let free = rustix::fs::statvfs(place.state()).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    match free {
        Ok(free) if free < FREE_BYTES_LOW => {
            let text = format!("{folder}: {} MB are free.", free >> 20);
            check("state", "warn", text, "Make room: each workspace is a checkout.")
        }
        Ok(free) => check("state", "ok", format!("{folder}, {} GB free.", free >> 30), ""),
        Err(error) => check("state", "warn", format!("{folder}: free space is not known: {error}."), ""),
    }
}

fn socket(place: &Place) -> Check {
    match place.socket() {
        Ok(path) => check("socket", "ok", format!("{}.", path.display()), ""),
        Err(error) => check("socket", "fail", format!("{error}."), "Set OARLOCK_HOME to a shorter path."),
    }
}

fn daemon(running: bool) -> Check {
    let text = if running { "Running." } else { "Not running; the next verb starts it." };
    check("daemon", "ok", text.into(), "")
}

fn log(place: &Place, verify: bool) -> Vec<Check> {
    if !place.database().exists() {
        return vec![check("log", "ok", "None yet.".into(), "")];
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
        Ok((first, last)) if first > last => check("log", "ok", "Empty.".into(), ""),
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
            checks.push(check("replay", "ok", "The whole log folds to the stored state.".into(), ""));
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
