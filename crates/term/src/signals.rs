//! Signals as something to poll: a handler which writes the number into a pipe, and the dispositions a child starts with.
//! It must not know what a signal means to anybody.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

/// Where the handler writes. One pipe per process: signals are the process's own, not a thread's.
static WRITE_END: AtomicI32 = AtomicI32::new(-1);

/// Signals which arrive on a pipe as long as this lives; then the dispositions are as before.
pub(crate) struct SignalPipe {
    read: OwnedFd,
    write: OwnedFd,
    before: Vec<(i32, libc::sigaction)>,
}

impl SignalPipe {
    /// Redirects these signals to a pipe.
    pub fn install(signals: &[i32]) -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let taken = WRITE_END.compare_exchange(-1, write.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst);
        if taken.is_err() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "signals are already redirected"));
        }
        let mut pipe = Self { read, write, before: Vec::with_capacity(signals.len()) };
        for &signal in signals {
            let handler = on_signal as extern "C" fn(i32) as libc::sighandler_t;
            let before = set_action(signal, handler)?;
            pipe.before.push((signal, before));
        }
        Ok(pipe)
    }

    /// Returns the signals since the last call, oldest first, each as often as it was delivered.
    pub fn take(&self) -> Vec<i32> {
        let mut bytes = [0u8; 64];
        match rustix::io::read(&self.read, &mut bytes) {
            Ok(count) => bytes[..count].iter().map(|&byte| i32::from(byte)).collect(),
            Err(_) => Vec::new(),
        }
    }
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl Drop for SignalPipe {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            // SAFETY: `before` came from sigaction for the same signal; a null third argument is allowed.
            unsafe { libc::sigaction(*signal, before, std::ptr::null_mut()) };
        }
        debug_assert!(self.write.as_raw_fd() >= 0);
        WRITE_END.store(-1, Ordering::SeqCst);
    }
}

/// Only calls what signal-safety(7) allows, and leaves errno alone. A full pipe drops the byte: there is news anyway.
extern "C" fn on_signal(signal: i32) {
    let fd = WRITE_END.load(Ordering::SeqCst);
    let byte = [signal as u8];
    // SAFETY: errno's address is valid in this thread; write takes one readable byte, and a bad fd only gives EBADF.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(fd, byte.as_ptr().cast(), 1);
        *libc::__errno_location() = errno;
    }
}

/// Ignores these signals in this process.
pub(crate) fn ignore(signals: &[i32]) -> io::Result<()> {
    signals.iter().try_for_each(|&signal| set_action(signal, libc::SIG_IGN).map(drop))
}

/// Gives every signal its default disposition and unblocks all: how a program expects to be started.
/// Only calls what is allowed between fork and exec.
pub(crate) fn reset_all() {
    // The kernel's own call and not libc's, which refuses the two real-time signals it keeps for itself: ignored ones
    // would stay ignored for the program. KILL and STOP refuse here: fine. A kernel sigaction of zeros is SIG_DFL.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SAFETY: the kernel reads one struct of at most 32 bytes, and writes none.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0usize, 8usize) };
    }
    unblock_all();
}

/// Unblocks every signal for this thread.
pub(crate) fn unblock_all() {
    // SAFETY: the set is initialised by sigemptyset before use; a null third argument is allowed.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

fn set_action(signal: i32, handler: libc::sighandler_t) -> io::Result<libc::sigaction> {
    // SAFETY: zeroed is a valid sigaction; the handler is a function of the right type or one of the constants.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART;
        libc::sigemptyset(&mut action.sa_mask);
        if libc::sigaction(signal, &action, &mut before) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(before)
    }
}
