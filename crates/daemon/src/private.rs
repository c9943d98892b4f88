//! Files of the state folder: opened only if nobody else made them or put something in their place.
//!
//! The folder is closed to others by now. What was planted while it was open (it came from a careless `mkdir`, or lay in
//! a shared place) must not be written through, nor believed. It must not know what the files hold.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Opens a file with these options, made with mode 0600 where they make one.
///
/// # Errors
/// When it cannot be opened, or is a link, no file, or somebody else's.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // A pipe in its place must not be waited for.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let planted = || {
        let says = format!("{} was put there by somebody else", path.display());
        io::Error::new(io::ErrorKind::PermissionDenied, says)
    };
    let file = match options.mode(0o600).custom_flags(flags).open(path) {
        // A link, or a pipe or a socket that nobody reads.
        Err(error) if is_no_file(&error) => return Err(planted()),
        opened => opened?,
    };
    let meta = file.metadata()?;
    if !meta.is_file() || meta.uid() != rustix::process::getuid().as_raw() {
        return Err(planted());
    }
    if meta.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

fn is_no_file(error: &io::Error) -> bool {
    [Errno::LOOP, Errno::NXIO].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Opens a draft that is to be written and then moved to its place, in the stead of whatever a dead daemon left.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn draft(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_planted_in_the_place_of_a_file_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("file"));
        std::fs::write(&victim, "precious").unwrap();
        let append = || open(&path, OpenOptions::new().create(true).append(true));
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(append().is_err(), "a link");
        draft(&path).unwrap().write_all(b"draft").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"draft");
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(open(&path, OpenOptions::new().read(true)).is_err(), "a pipe, and it is not waited for");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        append().unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        append().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "closed again");
    }
}
