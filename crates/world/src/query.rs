//! What people ask of repositories and workspaces: read, and answered at once. Nothing is changed here.

use std::path::{Path, PathBuf};

use oarlock_core::cleanup::Look;
use oarlock_core::ids::Timestamp;
use oarlock_core::session::Session;
use oarlock_core::session::fact::{Trouble, WorkspaceKind};

use crate::perform::World;
use crate::workspace::{self, DiffWant, Fit, Home};
use crate::{config, landing, trash, trouble};

/// What landing would do.
#[derive(Clone, Debug)]
pub struct LandingPreview {
    /// The branch it lands on.
    pub onto: String,
    /// That branch's commit.
    pub base: String,
    /// The commit that lands.
    pub head: String,
    /// The commits it brings, oldest first: id and cleaned subject.
    pub commits: Vec<(String, String)>,
    /// Files it changes.
    pub files: u32,
    /// Lines it adds.
    pub insertions: u32,
    /// Lines it removes.
    pub deletions: u32,
    /// Paths in conflict with the base.
    pub conflicts: Vec<String>,
    /// Paths changed and not committed.
    pub dirty: u32,
}

/// A workspace in the trash.
#[derive(Clone, Debug)]
pub struct KeptWorkspace {
    /// Its id.
    pub id: String,
    /// The branch it was on.
    pub branch: String,
    /// The commit checked out.
    pub head: String,
    /// Why it was taken away.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

fn number(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn no_workspace(session: &Session) -> Trouble {
    let message = format!("{} has no workspace.", session.name);
    Trouble {
        hint: format!("See why with \"oarlock why {}\".", session.name),
        ..trouble::new("no_workspace", message)
    }
}

impl World {
    /// Finds the repository that a path lies in.
    ///
    /// # Errors
    /// When there is none, or nothing can be built on it.
    pub fn repository(&self, path: &Path) -> Result<Home, Trouble> {
        let found = workspace::inspect(path).map_err(|error| of(&error))?;
        if found.empty {
            return Err(of(&workspace::Error::Empty { root: found.home.root }));
        }
        let file = config::project(&found.home.root).unwrap_or_default();
        Ok(Home { default_branch: file.default_branch.or(found.home.default_branch), ..found.home })
    }

    /// Tells what landing a session would do.
    ///
    /// # Errors
    /// When it has no workspace, or landing it is refused for another reason than conflicts.
    pub fn preview(&self, session: &Session) -> Result<LandingPreview, Trouble> {
        let (Some(checkout), Some(brief)) = (session.checkout(), &session.brief) else {
            return Err(no_workspace(session));
        };
        if session.outcome.is_some() {
            return Err(trouble::new("already_over", format!("{} is over.", session.name)));
        }
        let (repository, path) = (PathBuf::from(&brief.repository), PathBuf::from(&checkout.path));
        let state = workspace::state(&path, checkout.base.as_str()).map_err(|error| of(&error))?;
        let no_commit = || trouble::new("landing_empty", "The workspace has no commit.".into());
        let head = match brief.workspace {
            WorkspaceKind::Worktree => state.head.clone().ok_or_else(no_commit)?,
            WorkspaceKind::Clone => {
                let id = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                workspace::bring_home(&repository, &path, &id, "HEAD").map_err(|error| of(&error))?
            }
        };
        let preview =
            landing::preview(&repository, &head, &checkout.base_branch).map_err(|refusal| Trouble {
                hint: refusal.hint().unwrap_or_default(),
                ..trouble::new(refusal.code(), trouble::sentence(&refusal))
            })?;
        Ok(LandingPreview {
            onto: checkout.base_branch.clone(),
            base: preview.base.as_str().into(),
            head: preview.head.as_str().into(),
            commits: preview.commits.into_iter().map(|c| (c.oid.as_str().to_owned(), c.subject)).collect(),
            files: number(preview.files),
            insertions: number(preview.insertions),
            deletions: number(preview.deletions),
            conflicts: preview.conflicts.iter().map(|c| c.path.to_string_lossy().into_owned()).collect(),
            dirty: number(state.staged + state.unstaged + state.untracked + state.conflicted),
        })
    }

    /// Returns what a session changed since its base: a patch or statistics, and whether it was cut.
    ///
    /// # Errors
    /// When it has no workspace, or git fails.
    pub fn diff(&self, session: &Session, stat: bool) -> Result<(Vec<u8>, bool), Trouble> {
        let checkout = session.checkout().ok_or_else(|| no_workspace(session))?;
        let Some(base) = crate::git::Oid::parse(checkout.base.as_str()) else {
            return Err(no_workspace(session));
        };
        let path = Path::new(&checkout.path);
        if !path.is_dir() {
            return Err(of(&workspace::Error::NotARepository { path: path.to_owned() }));
        }
        if stat {
            let (changes, cut) =
                workspace::changes(path, &base, &DiffWant::default()).map_err(|error| of(&error))?;
            return Ok((statistics(&changes).into_bytes(), cut));
        }
        let diff = workspace::diff(path, &base, &DiffWant::default()).map_err(|error| of(&error))?;
        Ok((diff.patch, diff.truncated))
    }

    /// Tells whether a worktree of a repository can be a session's, on a branch when one is named.
    ///
    /// # Errors
    /// With the reason why not.
    pub fn fit(&self, repository: &Path, path: &Path, branch: Option<&str>) -> Result<Fit, Trouble> {
        workspace::fit(repository, path, branch).map_err(|error| of(&error))
    }

    /// Tells whether a branch of a repository is there, and checked out nowhere.
    ///
    /// # Errors
    /// When it is checked out, or no branch can be called so.
    pub fn branch_is_there(&self, repository: &Path, branch: &str) -> Result<bool, Trouble> {
        workspace::branch_is_there(repository, branch).map_err(|error| of(&error))
    }

    /// Looks at what a workspace holds that its base does not have.
    ///
    /// # Errors
    /// When it has no workspace, or git cannot read it.
    pub fn look(&self, session: &Session) -> Result<Look, Trouble> {
        let (Some(checkout), Some(brief)) = (session.checkout(), &session.brief) else {
            return Err(no_workspace(session));
        };
        let (repository, path) = (PathBuf::from(&brief.repository), PathBuf::from(&checkout.path));
        let state =
            workspace::state(&path, &checkout.counts_from(brief.workspace)).map_err(|error| of(&error))?;
        let strayed = state.branch.as_deref() != Some(checkout.branch.as_str());
        let strayed_to =
            strayed.then(|| state.branch.clone().unwrap_or_else(|| "a detached commit".to_owned()));
        let mut look = Look {
            dirty: number(state.staged + state.unstaged + state.untracked + state.conflicted),
            unlanded: number(state.ahead),
            strayed_to,
            operation: state.operation.map(|operation| operation.as_str().to_owned()),
        };
        // Squashed or rebased, or landed by somebody else, the commits are others and the work is there.
        if let Some(head) = state.head.filter(|_| look.unlanded > 0) {
            if brief.workspace == WorkspaceKind::Clone {
                let id = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                workspace::bring_home(&repository, &path, &id, "HEAD").map_err(|error| of(&error))?;
            }
            let preview = landing::preview(&repository, &head, &checkout.base_branch);
            if preview.is_ok_and(|preview| preview.already_landed) {
                look.unlanded = 0;
            }
        }
        Ok(look)
    }

    /// Lists the kept workspaces of a repository.
    ///
    /// # Errors
    /// When git cannot read it.
    pub fn trash(&self, repository: &str) -> Result<Vec<KeptWorkspace>, Trouble> {
        let entries = trash::list(Path::new(repository))
            .map_err(|error| trouble::new(error.code(), trouble::sentence(&error)))?;
        let kept = |entry: trash::Entry| KeptWorkspace {
            id: entry.id,
            branch: entry.branch.or(entry.head_branch).unwrap_or_default(),
            head: entry.head.map(|oid| oid.as_str().to_owned()).unwrap_or_default(),
            reason: entry.reason,
            at: Timestamp(entry.at.unsigned_abs() * 1_000),
        };
        Ok(entries.into_iter().map(kept).collect())
    }
}

fn of(error: &workspace::Error) -> Trouble {
    Trouble { hint: error.hint().unwrap_or_default(), ..trouble::new(error.code(), trouble::sentence(error)) }
}

/// Writes a line per file, as `git diff --numstat` does: added, removed, path; binary files have dashes.
fn statistics(changes: &[workspace::FileChange]) -> String {
    let count = |lines: Option<u64>| lines.map_or_else(|| "-".to_owned(), |lines| lines.to_string());
    changes
        .iter()
        .map(|change| {
            let path = oarlock_core::text::line(&change.path.to_string_lossy(), 1_000);
            format!("{}\t{}\t{path}\n", count(change.insertions), count(change.deletions))
        })
        .collect()
}
