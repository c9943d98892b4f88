//! How a process leaves its parent, its session and its descriptors behind. It must not know what it does afterwards.

use crate::dir::{RunDir, open_private, try_lock_file};
use rustix::fd::AsFd;
use std::fs::{File, OpenOptions};
use std::io;

/// Closes whatever the caller left open beyond the standard three.
pub(super) fn close_inherited() {
    // SAFETY: called first in the process, so nothing in it owns a descriptor yet.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
}

/// Returns the lock of the directory: the one handed over as stdin, or else taken now.
pub(super) fn take_lock(run: &RunDir) -> io::Result<File> {
    let mut lock = open_private(&run.lock())?;
    let wanted = rustix::fs::fstat(&lock)?;
    let given = rustix::fs::fstat(rustix::stdio::stdin());
    if given.is_ok_and(|given| (given.st_dev, given.st_ino) == (wanted.st_dev, wanted.st_ino)) {
        lock = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    }
    if try_lock_file(&lock)? { Ok(lock) } else { Err(io::Error::other("another host holds this directory")) }
}

/// Forks, and returns whether this is the half that has to end. The other half is nobody's child to wait for: whoever
/// called us collects the first half at once and never sees a zombie.
pub(super) fn is_first_half() -> io::Result<bool> {
    // SAFETY: there is one thread, so the child may go on like any process.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(false),
        _ => Ok(true),
    }
}

/// Leaves session, directory and standard streams, and returns where to say that the host is ready.
pub(super) fn leave_everything(run: &RunDir) -> io::Result<File> {
    let errors = open_private(&run.errors())?;
    let ready = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?);
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(null.as_fd())?;
    rustix::stdio::dup2_stdout(null.as_fd())?;
    rustix::stdio::dup2_stderr(errors.as_fd())?;
    rustix::process::setsid()?;
    std::env::set_current_dir("/")?;
    Ok(ready)
}
