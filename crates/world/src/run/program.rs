//! Where an agent's program is, and which version it has. It must not know what the agent does.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use oarlock_agents::Agent;
use oarlock_agents::launch::Version;

/// Longest time a program may take to tell its version: the slowest known takes 1.7 s on a busy machine.
const VERSION_TIME_MAX: Duration = Duration::from_secs(10);

/// Returns the variable that names an agent's program: `OARLOCK_CLAUDE_CODE_PROGRAM`.
#[must_use]
pub fn variable(agent: &str) -> String {
    format!("OARLOCK_{}_PROGRAM", agent.to_uppercase().replace('-', "_"))
}

/// Finds an agent's program: as the environment says, as the configuration says, in `PATH`, or where its installers put it.
///
/// # Errors
/// A sentence that says where it was looked for.
pub fn find(agent: &dyn Agent, configured: Option<&str>) -> Result<PathBuf, String> {
    let said = std::env::var_os(variable(agent.name())).filter(|path| !path.is_empty());
    let said = said.map(|path| (variable(agent.name()), PathBuf::from(path)));
    let said = said.or_else(|| configured.map(|path| ("the configuration".to_owned(), PathBuf::from(path))));
    if let Some((who, path)) = said {
        let found =
            if path.components().count() > 1 { Some(at_home(&path)) } else { in_path(path.as_os_str()) };
        return found.filter(|path| is_program(path)).ok_or_else(|| {
            format!("{who} names {} as {}, and that is no program", path.display(), agent.title())
        });
    }
    let names = agent.programs();
    let places = || agent.places().iter().map(|place| at_home(Path::new(place)));
    let found = names.iter().find_map(|name| {
        in_path(OsStr::new(name))
            .or_else(|| places().map(|place| place.join(name)).find(|path| is_program(path)))
    });
    found.ok_or_else(|| {
        format!(
            "{} is not installed: there is no {} in PATH nor where it is usually put",
            agent.title(),
            names.join(" or ")
        )
    })
}

fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

/// Finds a program in `PATH`.
#[must_use]
pub fn in_path(name: &OsStr) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| is_program(path))
}

/// Looks for what is there when a person has logged in to an agent. `None` when that cannot be told; `Some(None)` when
/// nothing is there, else the file or the variable as the agent's own file names it. What is in it is not read.
#[must_use]
pub fn login(agent: &dyn Agent) -> Option<Option<&'static str>> {
    let is_there = |login: &str| match login.strip_prefix('$') {
        Some(rest) => {
            let (variable, below) =
                rest.split_once('/').map_or((rest, None), |(name, path)| (name, Some(path)));
            let value = std::env::var_os(variable).filter(|value| !value.is_empty());
            value.is_some_and(|value| below.is_none_or(|path| Path::new(&value).join(path).exists()))
        }
        None => at_home(Path::new(login)).exists(),
    };
    let known = agent.login();
    (!known.is_empty()).then(|| known.iter().copied().find(|login| is_there(login)))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// What names a program as it is now: another one in its place has another stamp.
type Stamp = (PathBuf, i64, i64, u64);

static SEEN: Mutex<BTreeMap<Stamp, Option<Version>>> = Mutex::new(BTreeMap::new());

/// Returns the version that a program tells with `--version`, asked once for each program there is. `None` when it tells
/// none in time.
#[must_use]
pub fn version(program: &Path) -> Option<Version> {
    version_within(program, VERSION_TIME_MAX)
}

/// The same, for whoever waits no longer than this.
#[must_use]
pub fn version_within(program: &Path, patience: Duration) -> Option<Version> {
    let real = program.canonicalize().ok()?;
    let meta = real.metadata().ok()?;
    let stamp = (real, meta.mtime(), meta.mtime_nsec(), meta.len());
    if let Some(known) = SEEN.lock().unwrap_or_else(PoisonError::into_inner).get(&stamp) {
        return *known;
    }
    let version = ask(program, patience);
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(stamp, version);
    version
}

fn ask(program: &Path, patience: Duration) -> Option<Version> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // Some look for a newer version of themselves, or ask questions.
    command.env("CI", "1").env("NO_COLOR", "1").env("DISABLE_AUTOUPDATER", "1").current_dir("/");
    let mut child = command.spawn().ok()?;
    let mut out = child.stdout.take()?;
    let (tell, told) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut text = [0_u8; 4096];
        let mut length = 0;
        while let Ok(count @ 1..) = std::io::Read::read(&mut out, &mut text[length..]) {
            length += count;
        }
        drop(tell.send(String::from_utf8_lossy(&text[..length]).into_owned()));
    });
    let text = told.recv_timeout(patience);
    drop(child.kill());
    drop(child.wait());
    if text.is_ok() {
        drop(reader.join());
    }
    Version::find(&text.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn program(folder: &Path, name: &str, script: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_version_is_asked_once_and_again_after_an_update() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count");
        let script = format!("echo x >> {}; echo 'tool v1.2.3 (x)'", count.display());
        let path = program(folder.path(), "tool", &script);
        assert_eq!((version(&path), version(&path)), (Some(Version(1, 2, 3)), Some(Version(1, 2, 3))));
        assert_eq!(fs::read_to_string(&count).unwrap(), "x\n", "it was asked once");
        fs::remove_file(&path).unwrap();
        let path = program(folder.path(), "tool", "echo 2.0.0-beta");
        assert_eq!(version(&path), Some(Version(2, 0, 0)));
        assert_eq!(version(&program(folder.path(), "mute", "exit 1")), None);
        assert_eq!(version(Path::new("/nowhere/at/all")), None);
    }

    #[test]
    fn a_variable_is_named_after_the_agent() {
        assert_eq!(variable("claude-code"), "OARLOCK_CLAUDE_CODE_PROGRAM");
    }
}
