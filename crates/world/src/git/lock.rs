//! One at a time: per repository, and per workspace of a repository.
//!
//! `git worktree add` run eight at once on one repository fails reading another's half-written entry. Threads of
//! this process queue on a mutex by the lock file's path; other processes are kept out by `flock` on that file, which
//! the kernel drops when its holder dies. Must not know what is done under a lock.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use super::GitError;

/// How long one waits for a lock. Work under the repository's lock takes milliseconds; a clone or the checkout
/// of a large tree under a workspace's own lock takes minutes at most.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Longest pause between two looks at a lock another process holds: short beside the work done under it.
const PAUSE_MAX: Duration = Duration::from_millis(50);

static HELD: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);
static FREED: Condvar = Condvar::new();

/// A held lock; dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    file: Option<File>,
}

impl Lock {
    /// Waits for the one lock of the repository whose common directory is `common_dir`.
    ///
    /// # Errors
    /// [`GitError::Lock`] when it cannot be had within five minutes or its file cannot be made.
    pub(crate) fn repository(common_dir: &Path) -> Result<Lock, GitError> {
        Lock::take(common_dir.join("oarlock").join("repository.lock"))
    }

    /// Waits for the lock of one workspace, by its key.
    ///
    /// # Errors
    /// As for [`Lock::repository`].
    pub(crate) fn workspace(common_dir: &Path, key: &str) -> Result<Lock, GitError> {
        Lock::take(common_dir.join("oarlock").join("workspaces").join(format!("{key}.lock")))
    }

    /// Waits for the one lock that landings on a repository's branches take.
    ///
    /// # Errors
    /// As for [`Lock::repository`].
    pub(crate) fn landing(common_dir: &Path) -> Result<Lock, GitError> {
        Lock::take(common_dir.join("oarlock").join("landing.lock"))
    }

    /// Waits for the lock whose file is at `path`.
    ///
    /// # Errors
    /// As for [`Lock::repository`].
    pub(crate) fn take(path: PathBuf) -> Result<Lock, GitError> {
        let deadline = Instant::now() + WAIT_MAX;
        wait_in_process(&path, deadline)?;
        let mut lock = Lock { path, file: None };
        lock.file = Some(lock_file(&lock.path, deadline)?);
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.file = None;
        if let Some(held) = held().as_mut() {
            held.remove(&self.path);
        }
        FREED.notify_all();
    }
}

fn held() -> MutexGuard<'static, Option<HashSet<PathBuf>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait_in_process(path: &Path, deadline: Instant) -> Result<(), GitError> {
    let mut held = held();
    loop {
        if held.get_or_insert_default().insert(path.to_path_buf()) {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(busy(path));
        }
        held = FREED.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

fn lock_file(path: &Path, deadline: Instant) -> Result<File, GitError> {
    let failed = |source: std::io::Error| GitError::Lock { path: path.to_path_buf(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    let mut pause = Duration::from_millis(1);
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
        if Instant::now() >= deadline {
            return Err(busy(path));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn busy(path: &Path) -> GitError {
    let source = std::io::Error::new(std::io::ErrorKind::TimedOut, "another process holds it");
    GitError::Lock { path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn only_one_thread_is_inside_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _lock = Lock::repository(dir.path()).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "somebody else was inside");
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
    }
}
