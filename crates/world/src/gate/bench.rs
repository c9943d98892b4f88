//! Clean checkouts of what would land: one for the checks, one for the overseer. Each is a repository of its own that borrows the
//! project's objects, so that nothing done in it reaches the project.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use oarlock_core::session::fact::Trouble;

use crate::git::{CHECKOUT_MAX, Git};
use crate::trouble;

/// Runs no hook and no helper of anybody's.
pub(crate) const NO_HOOKS: &str = "core.hooksPath=/dev/null";

/// Makes a checkout of a commit, anew.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn make(common_dir: &Path, commit: &str, tree: &Path) -> Result<(), Trouble> {
    let io = |error| trouble::io("make a checkout to look at", tree, &error);
    remove(tree).map_err(io)?;
    let parent = tree.parent().unwrap_or(tree);
    DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(io)?;
    let failed =
        |error| trouble::error("git_failed", "What is to be judged could not be checked out", &error);
    // A clone would copy every ref of the project; the objects are all that is borrowed.
    let format = if commit.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
    Git::at(parent)
        .writes("make a repository to look at")
        .config(NO_HOOKS)
        .args(["init", "--quiet", "--template=", format, "--"])
        .arg(tree)
        .run()
        .map_err(failed)?;
    let info = tree.join(".git/objects/info");
    let borrowed = format!("{}\n", common_dir.join("objects").display());
    fs::create_dir_all(&info).and_then(|()| fs::write(info.join("alternates"), borrowed)).map_err(io)?;
    fs::write(tree.join(".git/HEAD"), format!("{commit}\n")).map_err(io)?;
    Git::at(tree)
        .writes("check out what is to be judged")
        .config(NO_HOOKS)
        .args(["reset", "--hard", "--quiet", "HEAD", "--"])
        .time_max(CHECKOUT_MAX)
        .run()
        .map_err(failed)?;
    Ok(())
}

/// Tells whether a checkout is as it was made; in a sentence what is not.
pub(crate) fn is_untouched(tree: &Path, commit: &str) -> Result<(), String> {
    let git = Git::at(tree);
    let read = |args: &[&str]| {
        let call = git.reads("look at the checkout").config(NO_HOOKS).args(args);
        call.run()
            .map(|answer| answer.text().trim().to_owned())
            .map_err(|_| "Its checkout is broken.".to_owned())
    };
    if read(&["rev-parse", "HEAD"])? != commit {
        return Err("It moved its checkout to another commit.".into());
    }
    let changed = read(&["status", "--porcelain", "--untracked-files=all"])?;
    match changed.lines().next() {
        None => Ok(()),
        Some(line) => Err(format!("It changed its checkout: {}.", oarlock_core::text::line(line, 120))),
    }
}

/// Removes a checkout; one that is not there is gone already.
pub(crate) fn remove(tree: &Path) -> io::Result<()> {
    match fs::remove_dir_all(tree) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Tests make folders that even their owner may not empty.
            unlock(tree);
            fs::remove_dir_all(tree)
        }
        other => other,
    }
}

fn unlock(folder: &Path) {
    drop(fs::set_permissions(folder, fs::Permissions::from_mode(0o700)));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unlock(&entry.path());
        }
    }
}
