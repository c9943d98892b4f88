//! Notices when the daemon loses its footing: its lock or its socket is taken away, mostly with the folder that held it.
//! Nobody can reach it from then on, and somebody else may be the daemon in its place.
//!
//! It must not know what follows from that.

use std::collections::BTreeSet;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// Room for some events of a folder (inotify(7): one has 16 bytes and a name).
const EVENT_BYTES: usize = 4096;

/// A lookout, until dropped. It sleeps in the kernel.
pub(crate) struct Lookout {
    _end: PipeWriter,
}

/// Returns which file lies at a path: its device and number.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

impl Lookout {
    /// Calls `lost` once when one of the files is gone, or another lies in its place.
    pub(crate) fn keep(files: &[&Path], lost: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let leaving = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVE_SELF;
        for folder in files.iter().filter_map(|file| file.parent()).collect::<BTreeSet<_>>() {
            inotify::add_watch(&events, folder, leaving)?;
        }
        let known: Vec<_> = files.iter().map(|file| (file.to_path_buf(), identity(file))).collect();
        let (end, _end) = io::pipe()?;
        thread::Builder::new().name("footing".into()).spawn(move || {
            if is_lost(&events, &end, &known) {
                lost();
            }
        })?;
        Ok(Self { _end })
    }
}

/// Waits until a file is not what it was. `false` when the lookout is over before that.
fn is_lost(events: &OwnedFd, end: &PipeReader, known: &[(PathBuf, Option<(u64, u64)>)]) -> bool {
    let mut event = [0; EVENT_BYTES];
    loop {
        if known.iter().any(|(file, before)| identity(file) != *before) {
            return true;
        }
        let mut ready = [PollFd::new(events, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
        let polled = poll(&mut ready, None);
        let is_over = !ready[1].revents().is_empty();
        if is_over || polled.is_err_and(|error| error != rustix::io::Errno::INTR) {
            return false;
        }
        // What happened does not matter, only that the files are looked at again.
        while rustix::io::read(events, &mut event).is_ok_and(|bytes| bytes > 0) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_away_or_replaced_is_noticed_once_and_its_neighbours_are_not() {
        let folder = std::env::temp_dir().join(format!("oarlock-footing-{}", std::process::id()));
        for (change, replaced) in [("remove", false), ("replace", true)] {
            std::fs::create_dir_all(&folder).unwrap();
            let (file, neighbour) = (folder.join("file"), folder.join("neighbour"));
            std::fs::write(&file, "").unwrap();
            std::fs::write(&neighbour, "").unwrap();
            let (tell, told) = std::sync::mpsc::channel();
            let lookout = Lookout::keep(&[&file], move || tell.send(()).unwrap()).unwrap();
            std::fs::remove_file(&neighbour).unwrap();
            if replaced {
                std::fs::write(&neighbour, "").unwrap();
                std::fs::rename(&file, folder.join("old")).unwrap();
                std::fs::rename(&neighbour, &file).unwrap();
            } else {
                assert!(told.try_recv().is_err(), "a neighbour is none of its business");
                std::fs::remove_dir_all(&folder).unwrap();
            }
            let patience = std::time::Duration::from_secs(20);
            assert_eq!(told.recv_timeout(patience), Ok(()), "{change} is noticed");
            drop(lookout);
            assert!(told.recv_timeout(patience).is_err(), "and told once");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
