//! Bringing a package onto this machine: whole under its final name, or not at all.
//!
//! A package is made in a folder of its own beside its place and moved there by one rename, so a folder with a final
//! name is complete. What broke off is begun again; the package clients keep what they had fetched. Beside
//! `NAME-VERSION` a link `NAME` leads to the version of the table, for those who do not read it.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::table::{From, Package};
use super::{Trouble, folder, home};
use crate::{programs, shell};

/// What clients say when there is no way to a registry.
const NO_WAY: &[&str] = &[
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ENETUNREACH",
    "EHOSTUNREACH",
    "ERR_SOCKET_TIMEOUT",
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "name resolution",
    "Network is unreachable",
];
/// The Pythons that aider runs on, newest first.
const PYTHONS: &[&str] = &["python3.12", "python3.11", "python3.10", "python3"];

/// Installs what is not there yet, one after the other, and says what it did.
///
/// # Errors
/// At the first that fails, or cannot be had.
pub fn all(packages: &[&Package]) -> Result<(), Trouble> {
    fs::create_dir_all(folder()).map_err(|error| failed("make the folder", &folder(), &error))?;
    // Two who install at once would take each other's half-made folders away.
    let path = folder().join(".lock");
    let lock = File::create(&path).map_err(|error| failed("open", &path, &error))?;
    lock.lock().map_err(|error| failed("lock", &path, &error))?;
    for package in packages {
        let place = home(package);
        if !place.exists() {
            println!("Installing {} {}.", package.name, package.version);
            one(package, &place)?;
        }
        point(package)?;
        println!("{} {} is in {}.", package.name, package.version, place.display());
    }
    Ok(())
}

fn one(package: &Package, place: &Path) -> Result<(), Trouble> {
    let making = folder().join(format!(".{}-{}.making", package.name, package.version));
    if making.exists() {
        fs::remove_dir_all(&making).map_err(|error| failed("clear", &making, &error))?;
    }
    let bin = making.join("bin");
    fs::create_dir_all(&bin).map_err(|error| failed("make the folder", &bin, &error))?;
    match package.from {
        From::Npm(name) => npm(package, name, &making)?,
        From::Pip(name) => pip(package, name, &making)?,
    }
    if !bin.join(package.program).exists() {
        let (name, program) = (package.name, package.program);
        return Err(Trouble::Failed(format!("the package of {name} holds no program \"{program}\"")));
    }
    fs::rename(&making, place).map_err(|error| failed("move to its place", &making, &error))
}

fn npm(package: &Package, name: &str, making: &Path) -> Result<(), Trouble> {
    let Some(program) = programs::find("npm") else {
        return Err(Trouble::Unavailable("npm is not installed, and brings the agents".into()));
    };
    let mut command = shell::command(program);
    command.arg("install").arg("--prefix").arg(making).args([
        "--no-fund",
        "--no-audit",
        "--loglevel=error",
        // A registry that does not answer is found out in seconds, not in the client's own five minutes.
        "--fetch-retries=1",
        "--fetch-retry-maxtimeout=5000",
        "--fetch-timeout=60000",
    ]);
    command.arg(format!("{name}@{}", package.version));
    fetch(command, package)?;
    let target = Path::new("../node_modules/.bin").join(package.program);
    let link = making.join("bin").join(package.program);
    symlink(target, &link).map_err(|error| failed("link", &link, &error))
}

fn pip(package: &Package, name: &str, making: &Path) -> Result<(), Trouble> {
    let Some(python) = PYTHONS.iter().find_map(|name| python(name)) else {
        return Err(Trouble::Unavailable(format!(
            "{name} needs Python 3.10, 3.11 or 3.12, and none is here"
        )));
    };
    let library = making.join("lib");
    let mut command = shell::command(&python);
    command.args(["-m", "pip", "install", "--quiet", "--retries", "1", "--no-compile", "--target"]);
    command.arg(&library).arg(format!("{name}=={}", package.version));
    fetch(command, package)?;
    // No virtual environment: it holds its own path, and could not be moved.
    let text = format!(
        "#!/bin/sh\nhere=$(dirname \"$(dirname \"$(readlink -f \"$0\")\")\")\n\
         PYTHONPATH=\"$here/lib\" PYTHONDONTWRITEBYTECODE=1 exec {python} -m {} \"$@\"\n",
        package.program
    );
    let script = making.join("bin").join(package.program);
    fs::write(&script, text)
        .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
        .map_err(|error| failed("write", &script, &error))
}

/// Returns the path of a Python that aider runs on, as that Python tells it: a name on `PATH` may be a switch between
/// several, which the agents' bare environment would set otherwise.
fn python(name: &str) -> Option<String> {
    let mut command = shell::command(programs::find(name)?);
    let code = "import sys; assert (3, 10) <= sys.version_info < (3, 13); print(sys.executable)";
    command.args(["-c", code]);
    shell::quiet(command).ok().filter(|ran| ran.ok).map(|ran| ran.text.trim().to_owned())
}

/// Runs a package client, and tells a missing way to its registry from a failure.
fn fetch(command: Command, package: &Package) -> Result<(), Trouble> {
    let ran = shell::quiet(command).map_err(Trouble::Failed)?;
    if ran.ok {
        return Ok(());
    }
    let name = package.name;
    Err(match no_way(&ran.text) {
        Some(line) => {
            Trouble::Unavailable(format!("{name} cannot be fetched: no way to the registry ({line})"))
        }
        None => Trouble::Failed(format!(
            "{name} {} cannot be installed:\n{}",
            package.version,
            ran.text.trim_end()
        )),
    })
}

/// Returns the line that says that the registry cannot be reached.
fn no_way(text: &str) -> Option<&str> {
    text.lines().find(|line| NO_WAY.iter().any(|word| line.contains(word))).map(str::trim)
}

/// Lets the link `NAME` lead to the version of the table.
fn point(package: &Package) -> Result<(), Trouble> {
    let link = folder().join(package.name);
    let target = format!("{}-{}", package.name, package.version);
    if fs::read_link(&link).is_ok_and(|found| found == Path::new(&target)) {
        return Ok(());
    }
    let fresh = folder().join(format!(".{}.link", package.name));
    // One may be left by an attempt that broke off.
    let _ = fs::remove_file(&fresh);
    symlink(&target, &fresh)
        .and_then(|()| fs::rename(&fresh, &link))
        .map_err(|error| failed("link", &link, &error))
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Trouble {
    Trouble::Failed(format!("failed to {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_out_of_reach_is_no_failure_of_the_package() {
        let unreachable = "npm error code ENOTFOUND\nnpm error syscall getaddrinfo\n";
        assert_eq!(no_way(unreachable), Some("npm error code ENOTFOUND"));
        let gone = "npm error code ETARGET\nnpm error notarget No matching version found\n";
        assert_eq!(no_way(gone), None, "the registry answered");
    }

    #[test]
    fn npm_without_a_registry_is_found_out() {
        if programs::find("npm").is_none() {
            return;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let mut command = shell::command("npm");
        // A port that nobody listens on: bound and closed again.
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        command.args(["install", "--fetch-retries=0", "--prefix"]).arg(dir.path());
        command
            .arg(format!("--registry=http://127.0.0.1:{port}/"))
            .arg("--cache")
            .arg(dir.path().join("cache"));
        let package = &super::super::TABLE[0];
        command.arg("oarlock-no-such-package");
        match fetch(command, package) {
            Err(Trouble::Unavailable(why)) => assert!(why.contains("ECONNREFUSED"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}
