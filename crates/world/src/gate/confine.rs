//! Holding a program to its places by the operating system: what it must not change is mounted read-only for it, in a user and a
//! mount namespace of its own (user_namespaces(7), mount_namespaces(7)).
//!
//! All that it starts is held in the same way, and cannot get out: it has no right over the namespace, and one of its own that
//! it makes inherits the mounts locked. The daemon tells such a program from a person by its namespace. It must not know what
//! is protected, nor why.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The exit code of a program that could not be held, and was not started.
pub const NOT_HELD: u8 = 125;

/// What a program is held to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// What it must not change, with all that is below.
    pub protect: Vec<PathBuf>,
    /// What it may change although it is below of something protected.
    pub open: Vec<PathBuf>,
}

impl Places {
    /// Returns what to put before a command line so that it is held.
    #[must_use]
    pub fn prefix(&self, oarlock: &Path) -> Vec<String> {
        let mut argv = vec![oarlock.to_string_lossy().into_owned(), "confine".into()];
        for (flag, paths) in [("--protect", &self.protect), ("--open", &self.open)] {
            for path in paths {
                argv.extend([flag.to_owned(), path.to_string_lossy().into_owned()]);
            }
        }
        argv.push("--".into());
        argv
    }
}

/// Tells whether programs can be held here, by holding one; in a sentence why not.
///
/// # Errors
/// The sentence.
pub fn available(oarlock: &Path) -> Result<(), String> {
    let output = Command::new(oarlock).args(["confine", "--protect", "/usr", "--", "true"]).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(crate::git::text::clean_line(&output.stderr, 200)),
        Err(error) => Err(error.to_string()),
    }
}

/// `oarlock confine [--protect PATH]… [--open PATH]… -- COMMAND…`: becomes the command, held.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    let mut places = Places::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match (arg.to_str(), arg == "--") {
            (_, true) => break,
            (Some("--protect"), _) => places.protect.extend(rest.next().map(PathBuf::from)),
            (Some("--open"), _) => places.open.extend(rest.next().map(PathBuf::from)),
            _ => return fail("what it is asked for is not understood"),
        }
    }
    let Some(program) = rest.next() else { return fail("no command is given") };
    if let Err(error) = held::hold(&places) {
        return fail(&error.to_string());
    }
    // The folder it stands in is looked up anew: the old one is of the mounts from before.
    let error = Command::new(program).args(rest).exec();
    eprintln!("oarlock: failed to start {}: {error}", program.to_string_lossy());
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}

fn fail(why: &str) -> ExitCode {
    eprintln!("oarlock: the program cannot be held to its places: {why}");
    ExitCode::from(NOT_HELD)
}

#[cfg(target_os = "linux")]
mod held {
    use super::*;
    use std::fs;

    use rustix::fs::{StatVfsMountFlags, statvfs};
    use rustix::mount::{
        MountFlags, MountPropagationFlags, mount_bind, mount_bind_recursive, mount_change, mount_remount,
    };
    use rustix::thread::{CapabilitySet, UnshareFlags};

    /// Makes the namespaces, and the mounts in them.
    pub(super) fn hold(places: &Places) -> io::Result<()> {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let folder = std::env::current_dir()?;
        // SAFETY: the process has this one thread, and no file descriptor is unshared.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) }
            .map_err(|error| says("a namespace of its own", error.into()))?;
        let map = |name: &str, text: String| {
            fs::write(format!("/proc/self/{name}"), text).map_err(|error| says("its own user", error))
        };
        map("setgroups", "deny".into())?;
        map("uid_map", format!("{uid} {uid} 1"))?;
        map("gid_map", format!("{gid} {gid} 1"))?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .map_err(|error| says("mounts of its own", error.into()))?;
        // From the top down, so that what is mounted last is what is seen.
        let mut all: Vec<(PathBuf, bool)> = Vec::new();
        all.extend(places.protect.iter().filter_map(|path| Some((path.canonicalize().ok()?, true))));
        for path in &places.open {
            all.push((path.canonicalize().map_err(|error| at(path, error))?, false));
        }
        all.sort();
        all.dedup();
        for (path, is_protected) in &all {
            if *is_protected { protect(path) } else { open(path) }.map_err(|error| at(path, error))?;
        }
        std::env::set_current_dir(&folder).map_err(|error| at(&folder, error))?;
        renounce().map_err(|error| says("fewer rights", error))
    }

    fn says(what: &str, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("the system does not give it {what}: {error}"))
    }

    fn at(path: &Path, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    }

    fn protect(path: &Path) -> io::Result<()> {
        mount_bind_recursive(path, path)?;
        remount(path, true)?;
        // What is mounted below it was bound along, and is as it was.
        for below in mounts_below(path)? {
            remount(&below, true)?;
        }
        Ok(())
    }

    fn open(path: &Path) -> io::Result<()> {
        mount_bind(path, path)?;
        remount(path, false)
    }

    /// Makes a mount read-only, or not; what it had of other restrictions it keeps, as the kernel wants it.
    fn remount(path: &Path, read_only: bool) -> io::Result<()> {
        let had = statvfs(path)?.f_flag;
        let mut flags = MountFlags::BIND;
        for (old, new) in [
            (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
            (StatVfsMountFlags::NODEV, MountFlags::NODEV),
            (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
            (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
            (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
            (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
        ] {
            if had.contains(old) {
                flags |= new;
            }
        }
        if read_only {
            flags |= MountFlags::RDONLY;
        }
        mount_remount(path, flags, "").map_err(io::Error::from)
    }

    /// Returns the mount points below a path (proc_pid_mountinfo(5), field 5).
    fn mounts_below(path: &Path) -> io::Result<Vec<PathBuf>> {
        let text = fs::read_to_string("/proc/self/mountinfo")?;
        let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape);
        Ok(points.filter(|point| point.starts_with(path) && point != path).collect())
    }

    /// Reads a path in which space, tab, line end and backslash are written in octal.
    fn unescape(text: &str) -> PathBuf {
        let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
        let plain = escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        PathBuf::from(plain)
    }

    /// Gives up for ever what would let it change its mounts, or look into programs that are not held.
    fn renounce() -> io::Result<()> {
        for right in [
            CapabilitySet::SYS_ADMIN,
            CapabilitySet::SYS_PTRACE,
            CapabilitySet::SYS_CHROOT,
            CapabilitySet::SYS_MODULE,
            CapabilitySet::SYS_RAWIO,
            CapabilitySet::SYS_BOOT,
            CapabilitySet::MKNOD,
        ] {
            rustix::thread::remove_capability_from_bounding_set(right)?;
        }
        Ok(rustix::thread::set_no_new_privs(true)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod held {
    use super::*;

    pub(super) fn hold(_: &Places) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no namespaces"))
    }
}
