//! Puts what an agent needs beside its run, into its workspace and into its user's own files, and takes it away again.
//!
//! What is there before a run is there after it, byte for byte; where somebody changed a file meanwhile, only what oarlock
//! put there goes. A record in the run's folder is written first, so that whatever a crash leaves can be taken away. Must
//! not know agents, nor decide when a run is over.

use std::path::{Component, Path, PathBuf};

use oarlock_agents::launch::{Place, Plant, What};
use serde::{Deserialize, Serialize};

use crate::git::lock::Lock;
use crate::git::{Git, GitError, read};
use crate::workspace::{self, hidden, record::digest};
use document::Edit;
use file::Found;
use ledger::{Holder, Ledger};

pub(crate) use file::replace;

mod document;
mod file;
mod ledger;

/// The record of what was planted for a run, in the run's folder.
pub(crate) const RECORD: &str = "planted.json";

/// Times a file is read again because somebody wrote it meanwhile: agents write theirs a few times a second at most.
const TRIES_MAX: usize = 8;

/// Locks for files: more than there are hands to hold them, few enough to be no litter.
const LOCKS: usize = 16;

/// Where things are planted. All are absolute.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The run's own folder. It names the run.
    pub run: &'a Path,
    /// The session's workspace.
    pub workspace: &'a Path,
    /// The home of the run's environment.
    pub home: &'a Path,
    /// A folder that all runs share: what is held in files that more than one of them needs is kept here.
    pub shared: &'a Path,
}

/// What was planted for one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planted {
    /// The run's folder.
    run: PathBuf,
    /// The folder that all runs share.
    shared: PathBuf,
    /// The files that are not the run's own.
    targets: Vec<Target>,
    /// The common directory of the workspace's repository, when something in it is hidden from git.
    common_dir: Option<PathBuf>,
    /// What was left alone, a sentence each.
    pub notes: Vec<String>,
}

/// A file that is not the run's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Target {
    /// Where it is: behind all links.
    path: PathBuf,
    /// How people call it.
    called: String,
    /// Its path in the workspace; `None` when it is the user's.
    inside: Option<PathBuf>,
}

/// Why something cannot be planted or taken away.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The place is none that an agent may have files in.
    #[error("{} is no place for an agent's file: {why}", path.display())]
    Place {
        /// The place, as the agent's file names it.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// The file system failed.
    #[error("failed to {operation} {}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// git, or a lock, failed.
    #[error("git failed on the workspace")]
    Git {
        /// How.
        #[source]
        source: GitError,
    },
    /// What is planted could not be hidden from git.
    #[error("failed to keep planted files out of git's sight")]
    Hide {
        /// Why.
        #[source]
        source: workspace::Error,
    },
}

impl From<GitError> for Error {
    fn from(source: GitError) -> Self {
        Error::Git { source }
    }
}

impl Error {
    fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Error::Io { operation, path, source }
    }
}

impl Planted {
    /// Returns what was planted for the run of a folder; `None` when nothing is, or nothing any more.
    ///
    /// # Errors
    /// [`Error::Io`] when the record is there and cannot be read.
    pub fn read(run: &Path) -> Result<Option<Self>, Error> {
        let path = run.join(RECORD);
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path)(error)),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| Error::io("read", path)(std::io::Error::other(error))),
        }
    }
}

/// Plants `plants` for a run. Safe to repeat: after a crash it goes on. What must be left alone (a file that git tracks, one
/// that cannot be read, one that somebody else put there) is left alone, and the notes say so.
///
/// # Errors
/// [`Error::Place`] for a path that leads elsewhere than its place says: nothing was planted. Any other: a part may be
/// planted; a repeat goes on, and [`unplant`] of [`Planted::read`] takes it away.
pub fn plant(plants: &[Plant], places: &Places<'_>) -> Result<Planted, Error> {
    let mut planted = Planted {
        run: places.run.to_owned(),
        shared: places.shared.to_owned(),
        targets: Vec::new(),
        common_dir: None,
        notes: Vec::new(),
    };
    let mut own: Vec<(PathBuf, &What)> = Vec::new();
    let mut wanted: Vec<(Target, Holder)> = Vec::new();
    for plant in plants {
        let found = match &plant.place {
            Place::Run(inside) => {
                own.push((places.run.join(plain(inside)?), &plant.what));
                continue;
            }
            Place::Workspace(inside) => in_workspace(places.workspace, inside)?,
            Place::User(path) => of_user(places.home, path)?,
        };
        match found {
            Ok(target) => want(&mut wanted, target, places.run, &plant.what),
            Err(note) => planted.notes.push(note),
        }
    }
    leave_tracked_alone(places.workspace, &mut wanted, &mut planted.notes)?;
    for (path, what) in own {
        write_own(&path, what)?;
    }
    if wanted.is_empty() {
        return Ok(planted);
    }
    remember(&mut planted, &wanted, places)?;
    for (target, holder) in wanted {
        let notes = change(places.shared, &target, places.run, Some(holder))?;
        planted.notes.extend(notes);
    }
    write_record(&planted)?;
    Ok(planted)
}

/// Takes away what was planted for a run, and its record. Safe to repeat. Returns what had to stay, a sentence each.
///
/// # Errors
/// The first failure, after everything was tried; the record stays, for another attempt.
pub fn unplant(planted: &Planted) -> Result<Vec<String>, Error> {
    let mut notes = Vec::new();
    let mut failed = None;
    for target in planted.targets.iter().rev() {
        match change(&planted.shared, target, &planted.run, None) {
            Ok(more) => notes.extend(more),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if let Some(common_dir) = &planted.common_dir
        && let Err(source) = hidden::reveal(common_dir, &planted.run)
    {
        failed = failed.or(Some(Error::Hide { source }));
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let record = planted.run.join(RECORD);
    file::remove(&record).map_err(Error::io("remove", record))?;
    Ok(notes)
}

/// Returns a relative path of plain names, or why it is none.
fn plain(path: &str) -> Result<&Path, Error> {
    let path = Path::new(path);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if path.as_os_str().is_empty() || !is_plain {
        return Err(Error::Place { path: path.to_owned(), why: "it leads elsewhere" });
    }
    Ok(path)
}

/// Finds a file of the workspace; the inner error is a note. A repository may hold links to anywhere: none leads out.
fn in_workspace(workspace: &Path, inside: &str) -> Result<Result<Target, String>, Error> {
    let inside = plain(inside)?;
    let note = |why| Ok(Err(format!("{} in the workspace {why}, and was left alone.", inside.display())));
    let path = match file::follow(&workspace.join(inside)) {
        Ok(path) => path,
        Err(why) => return note(why),
    };
    let top = read::physical(workspace);
    let Ok(relative) = path.strip_prefix(&top) else { return note("leads out of it") };
    if relative.components().any(|part| part.as_os_str().eq_ignore_ascii_case(".git")) {
        return note("is git's own");
    }
    let inside_of = relative.to_owned();
    Ok(Ok(Target { path, called: inside.display().to_string(), inside: Some(inside_of) }))
}

/// Finds a file of the user's; the inner error is a note.
fn of_user(home: &Path, path: &str) -> Result<Result<Target, String>, Error> {
    let full = match path.strip_prefix("~/") {
        Some(inside) => home.join(plain(inside)?),
        None if Path::new(path).is_absolute() => PathBuf::from(path),
        None => {
            return Err(Error::Place { path: path.into(), why: "it is neither in the home nor absolute" });
        }
    };
    Ok(match file::follow(&full) {
        Ok(found) => Ok(Target { path: found, called: path.to_owned(), inside: None }),
        Err(why) => Err(format!("{path} {why}, and was left alone.")),
    })
}

/// Adds what is wanted in a file to what else is wanted there.
fn want(wanted: &mut Vec<(Target, Holder)>, target: Target, run: &Path, what: &What) {
    let at = wanted.iter().position(|(other, _)| other.path == target.path).unwrap_or_else(|| {
        wanted.push((target, Holder { run: run.to_owned(), text: None, edits: Vec::new() }));
        wanted.len() - 1
    });
    let holder = &mut wanted[at].1;
    match what {
        What::Text(text) => holder.text = Some(text.clone()),
        What::Json(edits) => holder.edits.extend(edits.iter().map(Edit::from)),
    }
}

/// A change of a tracked file would be in the agent's next commit: such files are left alone.
fn leave_tracked_alone(
    workspace: &Path,
    wanted: &mut Vec<(Target, Holder)>,
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    let inside: Vec<&Path> = wanted.iter().filter_map(|(target, _)| target.inside.as_deref()).collect();
    if inside.is_empty() || read::git_dir(workspace).is_none() {
        return Ok(());
    }
    let answer = Git::at(workspace)
        .reads("find which files are tracked")
        .magic_pathspecs()
        .args(["ls-files", "-z", "--full-name", "--"])
        .args(inside.iter().map(|path| format!(":(top,literal){}", path.display())))
        .run()?;
    let tracked: Vec<PathBuf> = answer.fields().map(crate::git::text::path_of).collect();
    wanted.retain(|(target, _)| {
        let is_tracked = target.inside.as_ref().is_some_and(|inside| tracked.contains(inside));
        if is_tracked {
            notes.push(format!("{} is tracked by git, and was left alone.", target.called));
        }
        !is_tracked
    });
    Ok(())
}

/// Writes a file of the run's own.
fn write_own(path: &Path, what: &What) -> Result<(), Error> {
    let text = match what {
        What::Text(text) => text.clone(),
        What::Json(edits) => {
            let edits: Vec<Edit> = edits
                .iter()
                .map(|edit| Edit { path: edit.path.clone(), value: edit.value.clone(), put: edit.put.into() })
                .collect();
            let now = file::read(path).map_err(Error::io("read", path))?;
            let edits: Vec<&Edit> = edits.iter().collect();
            let done = document::put(now.text().unwrap_or_default(), &edits)
                .or_else(|_| document::put("", &edits))
                .expect("an empty document takes any value");
            done.text
        }
    };
    file::make_folders(&file::missing_folders(path))
        .and_then(|()| file::replace(path, text.as_bytes(), file::PRIVATE, false))
        .map_err(Error::io("write", path))
}

/// Writes the record, and hides files of the workspace from git: both before anything is changed.
fn remember(planted: &mut Planted, wanted: &[(Target, Holder)], places: &Places<'_>) -> Result<(), Error> {
    if let Some(before) = Planted::read(places.run)? {
        planted.targets = before.targets;
    }
    for (target, _) in wanted {
        if !planted.targets.contains(target) {
            planted.targets.push(target.clone());
        }
    }
    let mut inside = Vec::new();
    for target in &planted.targets {
        // A file of somebody else's stays in sight: what git ignores is not kept when the workspace goes.
        if let Some(path) = target.inside.as_deref()
            && is_to_be_hidden(places.shared, target)?
        {
            inside.push(path);
        }
    }
    if !inside.is_empty() && read::git_dir(places.workspace).is_some() {
        let common_dir = workspace::common_dir(places.workspace).map_err(|source| Error::Hide { source })?;
        planted.common_dir = Some(common_dir);
    }
    file::make_folders(&file::missing_folders(&places.shared.join("lock")))
        .map_err(Error::io("create", places.shared))?;
    write_record(planted)?;
    let Some(common_dir) = &planted.common_dir else { return Ok(()) };
    hidden::hide(common_dir, places.run, &inside).map_err(|source| Error::Hide { source })
}

fn is_to_be_hidden(shared: &Path, target: &Target) -> Result<bool, Error> {
    let at = ledger_of(shared, target);
    let ledger = Ledger::load(&at, &target.path).map_err(Error::io("read", at))?;
    let now = file::read(&target.path).map_err(Error::io("read", &target.path))?;
    Ok(!matches!(now, Found::Unfit(_)) && !ledger.is_somebody_else_s(now.text()))
}

fn ledger_of(shared: &Path, target: &Target) -> PathBuf {
    shared.join(format!("{}.json", digest(target.path.as_os_str().as_encoded_bytes())))
}

fn write_record(planted: &Planted) -> Result<(), Error> {
    let path = planted.run.join(RECORD);
    let durable = planted.targets.iter().any(|target| target.inside.is_none());
    let bytes = serde_json::to_vec(planted).map_err(std::io::Error::other);
    bytes
        .and_then(|bytes| file::replace(&path, &bytes, file::PRIVATE, durable))
        .map_err(Error::io("write", path))
}

/// Puts in one file what a run wants there, or takes out what it holds. Returns what was left alone.
fn change(shared: &Path, target: &Target, run: &Path, wanted: Option<Holder>) -> Result<Vec<String>, Error> {
    let at = ledger_of(shared, target);
    let stripe =
        at.as_os_str().as_encoded_bytes().iter().map(|byte| usize::from(*byte)).sum::<usize>() % LOCKS;
    let _one = Lock::take(shared.join(format!("{stripe}.lock")))?;
    for _ in 0..TRIES_MAX {
        if let Some(notes) = try_change(&at, target, run, wanted.as_ref())? {
            return Ok(notes);
        }
    }
    Ok(vec![left(target, "is written again and again by somebody else")])
}

fn left(target: &Target, why: &str) -> String {
    format!("{} {why}, and was left alone.", target.called)
}

/// One attempt; `None` when somebody wrote the file meanwhile.
fn try_change(
    at: &Path,
    target: &Target,
    run: &Path,
    wanted: Option<&Holder>,
) -> Result<Option<Vec<String>>, Error> {
    let path = &target.path;
    let durable = target.inside.is_none();
    // Left by an attempt that died: whoever has the lock writes alone.
    file::remove(&file::part(path)).map_err(Error::io("clean up beside", path))?;
    let mut ledger = Ledger::load(at, path).map_err(Error::io("read", at))?;
    let held = ledger.holders.iter().find(|holder| holder.run == run).cloned();
    let was_ours_alone = held.is_some_and(|held| held.text.is_some()) && !ledger.existed();
    ledger.holders.retain(|holder| holder.run != run && holder.run.join(RECORD).exists());
    let before = ledger.clone();
    let give_up = |why: &str| -> Result<Option<Vec<String>>, Error> {
        if !before.holders.is_empty() || at.exists() {
            before.store(at, durable).map_err(Error::io("write", at))?;
        }
        Ok(Some(vec![left(target, why)]))
    };
    let now = file::read(path).map_err(Error::io("read", path))?;
    if let Found::Unfit(why) = now {
        return give_up(why);
    }
    let base = match ledger.without_us(now.text()) {
        Ok(base) => base,
        Err(unfit) => return give_up(unfit.says()),
    };
    ledger.holders.extend(wanted.cloned());
    let after = match ledger.render(base.as_deref()) {
        Ok(after) => after,
        Err(unfit) => return give_up(unfit.says()),
    };
    if after.text.as_deref() != now.text() {
        if let Found::Text { mode, .. } = now
            && file::is_read_only(mode)
        {
            return give_up("is read-only");
        }
        if now == Found::Absent {
            let missing = file::missing_folders(path);
            ledger.folders.retain(|folder| !missing.contains(folder));
            ledger.folders.extend(missing);
        }
        ledger.store(at, durable).map_err(Error::io("write", at))?;
        if file::read(path).map_err(Error::io("read", path))? != now {
            return Ok(None);
        }
        write(path, &now, after.text.as_deref(), durable, &ledger.folders)?;
    } else if !ledger.holders.is_empty() {
        ledger.store(at, durable).map_err(Error::io("write", at))?;
    }
    if ledger.holders.is_empty() {
        if after.text.is_none() {
            remove_folders(&ledger.folders);
        }
        file::remove(at).map_err(Error::io("remove", at))?;
    }
    Ok(Some(match wanted {
        Some(_) => after.notes.iter().map(|why| left(target, why)).collect(),
        None if was_ours_alone && after.text.is_some() => vec![left(target, "was changed by somebody else")],
        None => Vec::new(),
    }))
}

fn write(
    path: &Path,
    now: &Found,
    text: Option<&str>,
    durable: bool,
    folders: &[PathBuf],
) -> Result<(), Error> {
    let Some(text) = text else { return file::remove(path).map_err(Error::io("remove", path)) };
    let mode = match now {
        Found::Text { mode, .. } => *mode,
        Found::Absent | Found::Unfit(_) => file::PRIVATE,
    };
    file::make_folders(folders)
        .and_then(|()| file::replace(path, text.as_bytes(), mode, durable))
        .map_err(Error::io("write", path))
}

/// Folders made for a file go with it, unless something else moved in.
fn remove_folders(folders: &[PathBuf]) {
    for folder in folders.iter().rev() {
        // One that is not empty is somebody's by now.
        let _ = std::fs::remove_dir(folder);
    }
}

/// Names for the fuzzers.
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    use super::document::{self, Edit};

    /// See [`crate::fuzzing::document`].
    pub(crate) fn document(text: &str, edits: &[oarlock_agents::launch::Edit]) -> Option<(String, String)> {
        let edits: Vec<Edit> = edits.iter().map(Edit::from).collect();
        let done = document::put(text, &edits.iter().collect::<Vec<_>>()).ok()?;
        let after = document::take_back(&done.text, &done.undo).expect("what was written can be read");
        Some((done.text, after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use file::tests::steps_left;
    use oarlock_agents::launch::{self, Put};
    use serde_json::json;

    const SETTINGS: &str = "{ // mine\n\t\"theme\": \"dark\",\n}";

    fn plants() -> [Plant; 3] {
        let edit = |key: &str, put| launch::Edit { path: vec![key.into()], value: json!("light"), put };
        let what = What::Json(vec![edit("theme", Put::Set), edit("ours", Put::Append)]);
        [
            Plant { place: Place::User("~/a.json".into()), what: what.clone() },
            Plant { place: Place::User("~/deep/er/b.json".into()), what },
            Plant { place: Place::Workspace(".rules/x.md".into()), what: What::Text("rules".into()) },
        ]
    }

    /// Ends planting, then taking away, after each number of changes of the disk, until it is through; each time what is
    /// left must be known well enough to be taken away, at once or after another attempt.
    #[test]
    fn an_attempt_cut_short_at_any_step_can_be_taken_up_or_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let [run, workspace, home, shared] = ["run", "work", "home", "shared"].map(|name| root.join(name));
        for folder in [&run, &workspace, &home] {
            std::fs::create_dir(folder).unwrap();
        }
        let places = Places { run: &run, workspace: &workspace, home: &home, shared: &shared };
        let path = home.join("a.json");
        std::fs::write(&path, SETTINGS).unwrap();
        for (cuts_planting, goes_on) in [(true, false), (true, true), (false, false), (false, true)] {
            let mut steps = 0;
            loop {
                steps_left(cuts_planting.then_some(steps));
                let planted = plant(&plants(), &places);
                steps_left((!cuts_planting).then_some(steps));
                let is_through = planted.is_ok_and(|planted| unplant(&planted).is_ok());
                steps_left(None);
                if goes_on {
                    plant(&plants(), &places).unwrap();
                    assert!(std::fs::read_to_string(&path).unwrap().contains("light"), "{steps} steps");
                }
                if let Some(planted) = Planted::read(&run).unwrap() {
                    unplant(&planted).unwrap();
                }
                assert_eq!(std::fs::read_to_string(&path).unwrap(), SETTINGS, "{steps} steps, {goes_on}");
                assert_eq!(std::fs::read_dir(&home).unwrap().count(), 1, "{steps} steps, {goes_on}");
                assert_eq!(std::fs::read_dir(&workspace).unwrap().count(), 0, "{steps} steps, {goes_on}");
                if is_through {
                    break;
                }
                steps += 1;
            }
            assert!(steps > 8, "it was cut short on the way, {steps} times");
        }
    }
}
