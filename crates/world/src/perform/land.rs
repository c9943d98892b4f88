//! Landing a session's work: what of it may land, what the commit says, and what the answer means.

use std::path::{Path, PathBuf};

use oarlock_core::ids::{Oid, SessionId};
use oarlock_core::playbook::gate::Evidence;
use oarlock_core::session::PATHS_MAX;
use oarlock_core::session::fact::{Brief, Fact, How, LandWish, Trouble, WorkspaceKind};
use oarlock_core::text;
use oarlock_engine::Job;

use super::{World, core_oid, count, hinted, of_workspace};
use crate::landing::{self, Follow, LandWant, LeftAlone};
use crate::{gate, relay, trouble, workspace};

impl World {
    /// Keeps what a landing rests on beside the repository's history, and returns the commit that holds it.
    fn keep_evidence(&self, session: &SessionId, repository: &Path) -> Result<Option<String>, Trouble> {
        let evidence = {
            let crew = self.engine.crew();
            let state = crew.sessions.get(session).map(|scope| &scope.state);
            state.and_then(|state| {
                let options = state.brief.as_ref()?.playbook.gate()?;
                Evidence::of(state, options, state.gate.as_ref()?)
            })
        };
        let Some(evidence) = evidence else { return Ok(None) };
        let spec = relay::plan_file(&self.folders.state, &evidence.spec.0);
        gate::evidence::keep(repository, session, &evidence, &spec).map(Some)
    }

    pub(super) fn land(&self, job: &Job, land: &LandJob<'_>) -> Result<Fact, Trouble> {
        let repository = PathBuf::from(&land.brief.repository);
        let head = match &land.wish.approved {
            Some((head, _)) => approved(&repository, head)?,
            None => self.to_land(&repository, job, land)?,
        };
        let mut trailers = vec![("Oarlock-Session".into(), format!("{} {}", land.name, job.session))];
        if land.wish.approved.is_some() {
            let kept = self.keep_evidence(&job.session, &repository)?;
            trailers.extend(kept.map(|oid| (gate::evidence::TRAILER.to_owned(), oid)));
        }
        let parse = |oid: &Oid| crate::git::Oid::parse(oid.as_str());
        let want = LandWant {
            repository: repository.clone(),
            head: head.clone(),
            base_branch: land.base_branch.into(),
            expect_base: land.wish.expect_base.as_ref().and_then(parse),
            expect_tree: land.wish.approved.as_ref().and_then(|(_, tree)| parse(tree)),
            how: match land.wish.how {
                How::Merge => landing::How::Merge,
                How::Squash => landing::How::Squash,
                How::Rebase => landing::How::Rebase,
            },
            fast_forward: false,
            message: message(&repository, &head, land),
            author: None,
            trailers,
            key: format!("{}/{}", job.session, job.key),
        };
        let landed = landing::land(&want).map_err(|refusal| of_landing(&refusal, land))?;
        Ok(Fact::Landed {
            key: job.key.clone(),
            oid: core_oid(&landed.oid),
            base_before: core_oid(&landed.base_before),
            head: core_oid(&head),
            onto: land.base_branch.into(),
            commits: brought(&landed),
            notes: landed.followed.iter().filter_map(followed).collect(),
        })
    }

    /// Returns the commit of a workspace that may land, when it may.
    fn to_land(&self, repository: &Path, job: &Job, land: &LandJob<'_>) -> Result<crate::git::Oid, Trouble> {
        let path = Path::new(land.workspace);
        let state = workspace::state(path, land.base_branch).map_err(|error| of_workspace(&error))?;
        if let Some(operation) = state.operation {
            let message = format!("The workspace is in the middle of a {}.", operation.as_str());
            return Err(hinted(
                "operation_under_way",
                message,
                format!("Finish or abort it in {}.", land.workspace),
            ));
        }
        let dirty = state.staged + state.unstaged + state.untracked;
        if dirty > 0 && !land.wish.committed_only {
            return Err(hinted(
                "uncommitted",
                format!("Not committed: {}.", text::count(count(dirty), "changed path")),
                format!(
                    "Have them committed, or land what is committed with \"oarlock land {} --committed-only\"; the rest \
                     stays in the trash.",
                    land.name
                ),
            ));
        }
        if state.branch.as_deref() != Some(land.branch) {
            let on = state.branch.unwrap_or_else(|| "a detached commit".into());
            return Err(hinted(
                "strayed",
                format!("The workspace is on {on}, not on its branch {}.", land.branch),
                format!("Bring it back: git -C '{}' switch '{}'.", land.workspace, land.branch),
            ));
        }
        self.home(repository, job, land)
    }

    /// Returns the commit to land, in the project's repository: a clone's is fetched there first.
    fn home(&self, repository: &Path, job: &Job, land: &LandJob<'_>) -> Result<crate::git::Oid, Trouble> {
        let path = Path::new(land.workspace);
        if land.brief.workspace == WorkspaceKind::Clone {
            return workspace::bring_home(repository, path, job.session.as_str(), "HEAD")
                .map_err(|error| of_workspace(&error));
        }
        let state = workspace::state(path, land.base_branch).map_err(|error| of_workspace(&error))?;
        state.head.ok_or_else(|| trouble::new("landing_empty", "The workspace has no commit.".into()))
    }
}

/// Returns the commit that was judged: the look at it fetched it.
fn approved(repository: &Path, head: &Oid) -> Result<crate::git::Oid, Trouble> {
    let git = crate::git::Git::at(repository);
    let found = crate::git::read::commit(&git, head.as_str()).ok().flatten();
    found.ok_or_else(|| {
        trouble::new("head_missing", "The commit that was judged is not there any more.".into())
    })
}

/// What a landing is about.
pub(super) struct LandJob<'a> {
    pub brief: &'a Brief,
    pub workspace: &'a str,
    pub branch: &'a str,
    pub base_branch: &'a str,
    pub name: &'a str,
    pub wish: &'a LandWish,
}

fn of_landing(refusal: &landing::Refusal, land: &LandJob<'_>) -> Trouble {
    let mut trouble = hinted(refusal.code(), trouble::sentence(refusal), refusal.hint().unwrap_or_default());
    if let landing::Refusal::Conflicts { conflicts, .. } = refusal {
        let path = |conflict: &landing::Conflict| conflict.path.to_string_lossy().into_owned();
        trouble.paths = conflicts.iter().take(PATHS_MAX).map(path).collect();
        trouble.hint = format!(
            "Merge it into the work and resolve them: git -C '{}' merge {}.",
            land.workspace, land.base_branch
        );
    }
    trouble
}

/// Writes the message of the commit that lands: what it is, and the subjects of what it holds.
fn message(repository: &Path, head: &crate::git::Oid, land: &LandJob<'_>) -> String {
    /// Subjects listed: enough to know the work by, few enough to read.
    const SUBJECTS_MAX: usize = 30;
    if let Some(message) = &land.wish.message {
        return message.clone();
    }
    let subjects = landing::commits(repository, head, land.base_branch).unwrap_or_default();
    let verb = match land.wish.how {
        How::Squash => "Land",
        How::Merge | How::Rebase => "Merge",
    };
    let mut message = format!("{verb} {}\n", land.name);
    for commit in subjects.iter().take(SUBJECTS_MAX) {
        message.push_str(&format!("\n* {}", commit.subject));
    }
    if subjects.len() > SUBJECTS_MAX {
        message.push_str(&format!("\n* and {} more", subjects.len() - SUBJECTS_MAX));
    }
    message
}

/// Counts the session's own commits in a landing: the merge commit is not one of them.
fn brought(landed: &landing::Landed) -> u32 {
    let gained = count(landed.commits.len() as u64);
    match landed.how {
        landing::How::Merge => gained.saturating_sub(1).max(1),
        landing::How::Squash | landing::How::Rebase => gained,
    }
}

/// Says what became of a checkout of the base; one that followed needs no word.
fn followed(checkout: &landing::Checkout) -> Option<String> {
    let Follow::LeftAlone { why, hint } = &checkout.outcome else { return None };
    let why = match why {
        LeftAlone::Dirty => "has uncommitted changes".to_owned(),
        LeftAlone::InTheWay(paths) => format!("has {} untracked files in the way", paths.len()),
        LeftAlone::Failed(said) => format!("could not be brought up ({said})"),
    };
    Some(format!("The checkout at {} {why} and was left alone; {hint}", checkout.path.display()))
}
