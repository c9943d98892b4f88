//! Makes the commits of a landing: identity, message, hook and signature.
//!
//! Must not move any ref.

use std::path::Path;

use super::{How, LandWant, Refusal};
use crate::git::text::{clean_line, clean_tail};
use crate::git::{Call, Git, GitError, Oid, read};

/// Characters kept of what a hook or a signing program said.
const SAID_MAX: usize = 2000;

/// Characters of a trailer's value.
const TRAILER_MAX: usize = 1000;

/// The name of the trailer that ties a commit to its landing.
const LAND_TRAILER: &str = "Oarlock-Land";

/// Checks that git knows who commits. What it would make up from user and host name does not count.
pub(super) fn check_identity(git: &Git) -> Result<(), Refusal> {
    for who in ["GIT_COMMITTER_IDENT", "GIT_AUTHOR_IDENT"] {
        let call = git.reads("ask git who commits").config("user.useConfigOnly=true").args(["var", who]);
        if call.allow(128).run()?.code != 0 {
            return Err(Refusal::NoIdentity);
        }
    }
    Ok(())
}

/// Returns the final message: tidied, with trailers, and passed by the repository's `commit-msg` hook, which may
/// change it. No other commit hook runs: they look at a checkout, and there is none.
pub(super) fn message(
    git: &Git,
    common_dir: &Path,
    want: &LandWant,
    ref_key: &str,
) -> Result<String, Refusal> {
    let text = want.message.replace('\0', "");
    let verb = if want.how == How::Squash { "Squash" } else { "Merge" };
    let text = if text.trim().is_empty() { format!("{verb} {}", want.head.short()) } else { text };
    let tidy = git.reads("tidy the message").arg("stripspace").input(text).run()?.stdout;
    let mut call =
        git.reads("add trailers").args(["interpret-trailers", "--no-divider", "--if-exists=addIfDifferent"]);
    let own = (LAND_TRAILER.to_owned(), want.key.clone());
    for (name, value) in want.trailers.iter().chain([&own]) {
        let value = clean_line(value.as_bytes(), TRAILER_MAX);
        call = call.arg("--trailer").arg(format!("{}: {value}", clean_line(name.as_bytes(), 80)));
    }
    let full = call.input(tidy).run()?.stdout;
    let file = common_dir.join("oarlock").join(format!("LAND_MSG-{ref_key}"));
    let written = std::fs::write(&file, &full);
    written.map_err(crate::workspace::Error::io("write the message to", &file))?;
    let ran = git
        .writes("run the commit-msg hook")
        .args(["hook", "run", "--ignore-missing", "commit-msg", "--"])
        .arg(&file)
        .run();
    let edited = std::fs::read(&file).unwrap_or(full);
    // Nobody reads it again; a leftover would be overwritten by the repeat.
    let _ = std::fs::remove_file(&file);
    match ran {
        Ok(_) => Ok(String::from_utf8_lossy(&edited).into_owned()),
        Err(GitError::Failed { stderr, .. }) => {
            Err(Refusal::HookRefused { hook: "commit-msg", output: clean_tail(stderr.as_bytes(), SAID_MAX) })
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes the commit of a merge or a squash.
pub(super) fn make(
    git: &Git,
    want: &LandWant,
    tree: &Oid,
    parents: &[&Oid],
    message: &str,
) -> Result<Oid, Refusal> {
    let mut call = commit_tree(git, tree, parents)?;
    if let Some((name, email)) = &want.author {
        call = call.env("GIT_AUTHOR_NAME", name).env("GIT_AUTHOR_EMAIL", email);
    }
    finish(call.input(message))
}

/// Makes a commit again on another parent: author, date, encoding and message stay; the committer is the person.
pub(super) fn make_again(git: &Git, original: &Oid, tree: &Oid, parent: &Oid) -> Result<Oid, Refusal> {
    let answer = git.reads("read a commit").args(["cat-file", "commit", original.as_str()]).run()?;
    let Original { author, encoding, message } =
        original_parts(&answer.stdout).ok_or_else(|| answer.unreadable())?;
    let mut call = commit_tree(git, tree, &[parent])?;
    if let Some(encoding) = encoding {
        call = call.config(&format!("i18n.commitEncoding={}", String::from_utf8_lossy(encoding)));
    }
    use std::os::unix::ffi::OsStrExt;
    for (name, value) in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE"].into_iter().zip(author) {
        call = call.env(name, std::ffi::OsStr::from_bytes(&value));
    }
    finish(call.input(message))
}

/// What of a commit stays when it is made again.
#[derive(Debug)]
pub(crate) struct Original<'a> {
    /// Name, address and date, the last in git's internal format with `@` before it.
    pub(crate) author: [Vec<u8>; 3],
    pub(crate) encoding: Option<&'a [u8]>,
    pub(crate) message: &'a [u8],
}

/// Reads a commit object: header lines, an empty line, the message. `None` when it has no author that can be read.
pub(crate) fn original_parts(commit: &[u8]) -> Option<Original<'_>> {
    let end = commit.windows(2).position(|two| two == b"\n\n");
    let (header, message) = match end {
        Some(end) => (&commit[..end], &commit[end + 2..]),
        None => (commit, &[][..]),
    };
    let line = |name: &[u8]| header.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name));
    Some(Original { author: author_parts(line(b"author ")?)?, encoding: line(b"encoding "), message })
}

/// Splits `name <address> seconds zone`.
fn author_parts(line: &[u8]) -> Option<[Vec<u8>; 3]> {
    let open = line.iter().position(|byte| *byte == b'<')?;
    let close = line.iter().rposition(|byte| *byte == b'>')?;
    let name = line[..open].trim_ascii();
    let mut date = vec![b'@'];
    date.extend_from_slice(line.get(close + 1..)?.trim_ascii());
    Some([name.to_vec(), line.get(open + 1..close)?.to_vec(), date])
}

/// Begins a commit; signed where the person's configuration says so, as their own commits would be.
fn commit_tree(git: &Git, tree: &Oid, parents: &[&Oid]) -> Result<Call, GitError> {
    let args = ["config", "--type=bool", "--get", "commit.gpgSign"];
    let sign = git.reads("read commit.gpgSign").args(args).allow(1).run()?.text() == "true";
    let mut call = git.writes("make a commit").args(["commit-tree", tree.as_str()]);
    for parent in parents {
        call = call.args(["-p", parent.as_str()]);
    }
    Ok(if sign { call.arg("-S") } else { call })
}

fn finish(call: Call) -> Result<Oid, Refusal> {
    match call.args(["-F", "-"]).run() {
        Ok(answer) => Ok(answer.oid()?),
        Err(GitError::Failed { stderr, .. })
            if stderr.contains("failed to sign") || stderr.contains("gpg") =>
        {
            Err(Refusal::SigningFailed { output: clean_tail(stderr.as_bytes(), SAID_MAX) })
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the tree of a commit; here so that replaying needs no other door.
pub(super) fn tree(git: &Git, commit: &Oid) -> Result<Oid, GitError> {
    read::tree(git, commit)
}
