//! Says what repository a path belongs to.
//!
//! Must not change anything.

use std::path::{Path, PathBuf};

use super::{Error, known};
use crate::git::text::path_of;
use crate::git::{Git, GitError, Oid, read};

/// Where a repository is, and where work in it lands: what making and taking away a workspace needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The top of its main checkout; for a bare repository the repository itself.
    pub root: PathBuf,
    /// The directory that all its worktrees share: objects, refs, configuration.
    pub common_dir: PathBuf,
    /// It has no main checkout. Workspaces can be made from it all the same; copies and links then have no source.
    pub bare: bool,
    /// The branch work lands on by default, without `refs/heads/`. It may exist only as `origin/…`.
    pub default_branch: Option<String>,
    /// The folder of its hooks, which `core.hooksPath` may have moved.
    pub hooks: PathBuf,
}

/// A repository, as found from some path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Where it is.
    pub home: Home,
    /// HEAD of the main checkout; none while its branch is unborn.
    pub head: Option<Oid>,
    /// Its history is cut off.
    pub shallow: bool,
    /// HEAD has a `.gitmodules`. Workspaces leave submodules uninitialised unless a setup command does otherwise.
    pub has_submodules: bool,
    /// It has no commit on HEAD and no branch.
    pub empty: bool,
}

/// Returns the repository that `path` lies in. A subdirectory and a linked worktree lead to the main checkout; a repository
/// nested in another is itself.
///
/// # Errors
/// [`Error::NotARepository`] when there is none; [`Error::Git`] when git fails or is too old.
pub fn inspect(path: &Path) -> Result<Repository, Error> {
    inspect_with(path, None)
}

/// Like [`inspect`], with the default branch the project's configuration names, which wins when it exists.
///
/// # Errors
/// As for [`inspect`].
pub fn inspect_with(path: &Path, default_branch: Option<&str>) -> Result<Repository, Error> {
    let home = find_home(path, default_branch)?;
    if default_branch.is_none() {
        known::remember(path, &home);
        known::remember(&home.root, &home);
    }
    let git = Git::at(&home.root);
    let head = read::commit(&git, "HEAD")?;
    let empty = head.is_none() && is_empty(&git)?;
    let has_submodules = match &head {
        Some(_) => !git
            .reads("look for submodules")
            .args(["ls-tree", "HEAD", "--", ".gitmodules"])
            .run()?
            .stdout
            .is_empty(),
        None => false,
    };
    let shallow = home.common_dir.join("shallow").exists();
    Ok(Repository { home, head, shallow, has_submodules, empty })
}

/// Returns where the repository of `path` is, from memory while nothing it rests on has changed: a look takes git six
/// processes, as long as the checkout of a small project.
///
/// # Errors
/// As for [`inspect`].
pub(crate) fn home(path: &Path) -> Result<Home, Error> {
    if let Some(home) = known::recall(path) {
        return Ok(home);
    }
    let home = find_home(path, None)?;
    known::remember(path, &home);
    Ok(home)
}

fn find_home(path: &Path, default_branch: Option<&str>) -> Result<Home, Error> {
    crate::git::require(crate::git::VERSION_MIN)?;
    let not_one = || Error::NotARepository { path: path.to_path_buf() };
    if !path.is_dir() {
        return Err(not_one());
    }
    let git = Git::at(path);
    let answer = git
        .reads("find the repository")
        .args(["rev-parse", "--path-format=absolute", "--git-common-dir"])
        .allow(128)
        .run()?;
    if answer.code != 0 {
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        // Anything else, such as an owner git does not trust, is git's to explain.
        if said.contains("not a git repository") {
            return Err(not_one());
        }
        let answer = crate::git::text::clean_line(&answer.stderr, 400);
        return Err(GitError::Unreadable { operation: "find the repository", answer }.into());
    }
    let common_dir = read::physical(&path_of(answer.line()));
    let (root, bare) = find_root(&git, &common_dir)?;
    let git = Git::at(&root);
    let default_branch = find_default(&git, default_branch)?;
    let args = ["rev-parse", "--path-format=absolute", "--git-path", "hooks"];
    let hooks = path_of(git.reads("find the hooks").args(args).run()?.line());
    Ok(Home { root, common_dir, bare, default_branch, hooks })
}

/// Returns the top of the main checkout, and whether there is none.
fn find_root(git: &Git, common_dir: &Path) -> Result<(PathBuf, bool), Error> {
    let top = |git: &Git| -> Result<Option<PathBuf>, Error> {
        let args = ["rev-parse", "--path-format=absolute", "--show-toplevel"];
        let answer = git.reads("find the checkout").args(args).allow(128).run()?;
        Ok((answer.code == 0).then(|| path_of(answer.line())))
    };
    if let Some(found) = top(git)? {
        // A linked worktree has a git directory of its own below the common one.
        if read::git_dir(&found).is_some_and(|dir| read::physical(&dir) == common_dir) {
            return Ok((found, false));
        }
    }
    let entries = read::worktrees(git)?;
    let Some(main) = entries.first() else { return Ok((common_dir.to_path_buf(), true)) };
    if main.bare {
        return Ok((common_dir.to_path_buf(), true));
    }
    // git lists a submodule's main worktree by its git directory; asking there gives the real place.
    let main = top(&Git::at(&main.path))?.unwrap_or_else(|| main.path.clone());
    Ok((main, false))
}

/// Whether a repository has no commit on HEAD and no branch.
pub(crate) fn is_empty(git: &Git) -> Result<bool, GitError> {
    let args = ["for-each-ref", "--count=1", "--format=%(refname)", "refs/heads/", "refs/remotes/"];
    let has_branch = !git.reads("look for branches").args(args).run()?.stdout.is_empty();
    Ok(!has_branch && read::commit(git, "HEAD")?.is_none())
}

/// The default branch: what the project says, else origin's HEAD, else `init.defaultBranch`, `main` or `master` where
/// they exist, and only then what is checked out: a person may be on any branch when oarlock is first started.
fn find_default(git: &Git, wanted: Option<&str>) -> Result<Option<String>, GitError> {
    let exists = |name: &str| -> Result<bool, GitError> {
        Ok(read::branch(git, name)?.is_some()
            || read::reference(git, &format!("refs/remotes/origin/{name}"))?.is_some())
    };
    if let Some(name) = wanted
        && exists(name)?
    {
        return Ok(Some(name.to_owned()));
    }
    let args = ["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"];
    let answer = git.reads("read origin's HEAD").args(args).allow(1).allow(128).run()?;
    if let Some(name) = answer.text().strip_prefix("refs/remotes/origin/")
        && exists(name)?
    {
        return Ok(Some(name.to_owned()));
    }
    let configured = read::setting(git, "init.defaultBranch")?;
    for name in configured.as_deref().into_iter().chain(["main", "master"]) {
        if read::branch(git, name)?.is_some() {
            return Ok(Some(name.to_owned()));
        }
    }
    read::head_branch(git)
}
