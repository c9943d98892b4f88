//! Keeps what oarlock plants in a workspace out of `git status`, by a marked block in `info/exclude`.
//!
//! Linked worktrees share one such file with the project's own checkout (gitignore(5)), so patterns are exact and anchored,
//! and the rest of the file stays as the person wrote it. Must not know what is planted.

use std::path::{Path, PathBuf};

use super::Error;
use crate::git::lock::Lock;
use crate::git::read;

const BEGIN: &str = "# >>> oarlock: planted in workspaces, do not edit this block";
pub(super) const END: &str = "# <<< oarlock";

/// Excludes `paths` (relative to the checkout's top, no leading slash) from `git status` in the checkout at `workspace`
/// and those that share its repository. Safe to repeat; a pattern already there is not added again.
///
/// # Errors
/// [`Error::NotARepository`] when `workspace` is no checkout; [`Error::Io`] when the file cannot be read or
/// written; [`Error::Git`] when the lock cannot be had.
pub fn exclude<P: AsRef<Path>>(workspace: &Path, paths: &[P]) -> Result<(), Error> {
    if paths.is_empty() {
        return Ok(());
    }
    let common = common_dir(workspace)?;
    let _one = Lock::repository(&common)?;
    let patterns: Vec<Vec<u8>> = paths.iter().filter_map(|path| pattern(path.as_ref())).collect();
    edit(&common, |before| with_patterns(before, &patterns))
}

/// Replaces `info/exclude` by what `change` makes of it, unless that is `None`. The repository's lock must be held.
pub(super) fn edit(common: &Path, change: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Result<(), Error> {
    let file = common.join("info").join("exclude");
    let before = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Error::io("read", &file)(error)),
    };
    let Some(after) = change(&before) else { return Ok(()) };
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(common.join("info"))?;
        let part = file.with_extension("oarlock-part");
        std::fs::write(&part, &after)?;
        if let Ok(meta) = std::fs::metadata(&file) {
            std::fs::set_permissions(&part, meta.permissions())?;
        }
        std::fs::rename(&part, &file)
    };
    write().map_err(Error::io("write", &file))
}

/// Returns the common directory of a checkout without starting git: `commondir` is in gitrepository-layout(5).
pub(crate) fn common_dir(workspace: &Path) -> Result<PathBuf, Error> {
    let dir =
        read::git_dir(workspace).ok_or_else(|| Error::NotARepository { path: workspace.to_path_buf() })?;
    match std::fs::read_to_string(dir.join("commondir")) {
        Ok(text) => Ok(read::physical(&dir.join(text.trim_end_matches('\n')))),
        Err(_) => Ok(read::physical(&dir)),
    }
}

/// Returns the anchored pattern that matches `path` alone; `None` where no pattern can, because of a line end.
pub(super) fn pattern(path: &Path) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.contains(&b'\n') {
        return None;
    }
    let mut pattern = vec![b'/'];
    for byte in bytes {
        if matches!(byte, b'*' | b'?' | b'[' | b'\\' | b'!' | b'#' | b' ' | b'\r') {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    Some(pattern)
}

/// Returns the file with the patterns in its block, or `None` when they are all there.
fn with_patterns(before: &[u8], patterns: &[Vec<u8>]) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = before.split(|byte| *byte == b'\n').collect();
    let begin = lines.iter().position(|line| *line == BEGIN.as_bytes());
    let end = begin.and_then(|begin| {
        lines[begin..].iter().position(|line| *line == END.as_bytes()).map(|length| begin + length)
    });
    let (head, mut block, tail) = match (begin, end) {
        (Some(begin), Some(end)) => (&lines[..begin], lines[begin + 1..end].to_vec(), &lines[end + 1..]),
        _ => (&lines[..], Vec::new(), &[][..]),
    };
    let had = block.len();
    for pattern in patterns {
        if !block.contains(&pattern.as_slice()) {
            block.push(pattern);
        }
    }
    if block.len() == had {
        return None;
    }
    let mut after = head.join(&b'\n');
    if !after.is_empty() && !after.ends_with(b"\n") {
        after.push(b'\n');
    }
    for line in [BEGIN.as_bytes()].into_iter().chain(block).chain([END.as_bytes()]) {
        after.extend_from_slice(line);
        after.push(b'\n');
    }
    after.extend_from_slice(&tail.join(&b'\n'));
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(before: &[u8], paths: &[&str]) -> Option<String> {
        let patterns: Vec<_> = paths.iter().filter_map(|path| pattern(path.as_ref())).collect();
        with_patterns(before, &patterns).map(|after| String::from_utf8(after).unwrap())
    }

    #[test]
    fn what_the_person_wrote_stays_and_a_repeat_changes_nothing() {
        let once = add(b"*.swp\nlast line without end", &["node_modules"]).unwrap();
        assert_eq!(once, format!("*.swp\nlast line without end\n{BEGIN}\n/node_modules\n{END}\n"));
        assert_eq!(add(once.as_bytes(), &["node_modules"]), None);
        let more = format!("{once}below\n");
        let twice = add(more.as_bytes(), &[".env"]).unwrap();
        assert_eq!(
            twice,
            format!("*.swp\nlast line without end\n{BEGIN}\n/node_modules\n/.env\n{END}\nbelow\n")
        );
    }

    #[test]
    fn wildcards_in_a_name_match_only_themselves() {
        assert_eq!(pattern(Path::new("a*[b] c")).unwrap(), br"/a\*\[b]\ c");
        assert_eq!(pattern(Path::new("two\nlines")), None);
    }
}
