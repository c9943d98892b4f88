//! What git writes, whose paths and names are other people's: entries are never more than the bytes can hold, paths come out as
//! they went in, and what is shown on a line stays on one.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use oarlock_world::fuzzing::{commit, merge_tree, numstat, status, trash, trash_body};

use super::is_a_line;
use crate::make::Choices;

/// The first byte says what the rest is.
pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 6 {
        0 => read_status(bytes),
        1 => read_numstat(bytes),
        2 => read_merge(bytes),
        3 => read_commit(bytes),
        4 => read_trash(bytes),
        _ => kept(&mut Choices::new(bytes)),
    }
}

fn fields(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0)
}

fn read_status(bytes: &[u8]) {
    let (head, _, lines) = status(bytes, b"");
    assert!(head.is_none_or(|head| matches!(head.as_str().len(), 40 | 64)));
    // Each line is a field, and its path is the end of it.
    let mut ends = fields(bytes);
    for line in &lines {
        let path = line.path.as_os_str().as_bytes();
        assert!(ends.any(|field| field.ends_with(path)), "{line:?} is in the output, in order");
    }
}

fn read_numstat(bytes: &[u8]) {
    let files = numstat(bytes);
    for file in &files {
        let shown = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
        let path = file.path.as_os_str().as_bytes();
        assert!(fields(bytes).any(|field| field.ends_with(path)), "{file:?}");
        let again = [shown(file.insertions).as_bytes(), shown(file.deletions).as_bytes(), path].join(&b'\t');
        assert_eq!(numstat(&again), std::slice::from_ref(file));
    }
}

fn read_merge(bytes: &[u8]) {
    if let Some((_, conflicts)) = merge_tree(bytes, true) {
        assert!(conflicts.is_empty(), "a clean merge has no conflicts");
    }
    let Some((tree, conflicts)) = merge_tree(bytes, false) else { return };
    assert!(bytes.starts_with(tree.as_str().as_bytes()));
    assert!(!conflicts.is_empty(), "a merge that is not clean says where");
    assert!(conflicts.is_sorted_by(|a, b| a.path < b.path), "a path is named once");
    conflicts.iter().for_each(|conflict| is_a_line(&conflict.kind, 61));
}

fn read_commit(bytes: &[u8]) {
    let Some(([name, address, date], encoding, message)) = commit(bytes) else { return };
    assert!(bytes.ends_with(message), "the message stays as it was");
    for part in [&name, &address, &date] {
        assert!(!part.contains(&b'\n'), "a header is one line");
    }
    assert!(date.starts_with(b"@") && !name.contains(&b'<'));
    assert!(encoding.is_none_or(|encoding| !encoding.contains(&b'\n')));
}

fn read_trash(bytes: &[u8]) {
    let entries = trash(bytes);
    assert!(entries.len() <= fields(bytes).count() / 4);
    for entry in &entries {
        assert!(!entry.reason.contains('\n') && !entry.id.contains('\0'), "{entry:?}");
    }
}

/// What is kept in the trash is listed as it was.
fn kept(choices: &mut Choices<'_>) {
    let mut bytes = || choices.make::<Vec<u8>>().unwrap_or_default();
    let (path, reason) = (bytes(), bytes());
    let oid = [b'a'; 40];
    let body = trash_body(&[
        ("Session", b"s"),
        ("Path", &path),
        ("Reason", &reason),
        ("Index", &oid),
        ("Also", &[&oid, b" refs/heads/x y".as_slice()].concat()),
    ]);
    let oid = String::from_utf8_lossy(&oid).into_owned();
    let listed = format!("refs/oarlock/trash/t-1\0{oid}\x007\0{body}\0\n");
    let entries = trash(listed.repeat(2).as_bytes());
    assert_eq!(entries.len(), 2, "{listed:?}");
    for entry in entries {
        assert_eq!(entry.path.as_os_str(), OsStr::from_bytes(&path));
        assert_eq!(entry.reason, String::from_utf8_lossy(&reason));
        assert_eq!((entry.id.as_str(), entry.at), ("t-1", 7));
    }
}
