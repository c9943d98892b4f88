//! Looks at what a builder claims to be done, from outside of its clone: the commit is fetched into the project, and its files
//! are compared by the project's git and configuration. What would land is made as a commit that no branch holds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use oarlock_core::ids::{Oid as CoreOid, SessionId};
use oarlock_core::playbook::gate::{Exam, Examine};
use oarlock_core::session::PATHS_MAX;
use oarlock_core::session::fact::Trouble;
use oarlock_core::text;

use super::{bench::NO_HOOKS, found};
use crate::git::{Git, GitError, Oid, read};
use crate::landing::merge::{merge, merge_base};
use crate::workspace::record::key;
use crate::workspace::{self, Home, home};
use crate::{landing, trouble};

/// Where a commit that may land is kept from being collected.
const CANDIDATE_REFS: &str = "refs/oarlock/candidate/";

/// Looks at a builder's work.
pub(crate) fn examine(want: &Examine, session: &SessionId, repository: &Path) -> Result<Exam, Trouble> {
    let mut exam = Exam { number: want.number, ..Exam::default() };
    let clone = Path::new(&want.workspace);
    if let Err(why) = is_own_clone(clone) {
        exam.trouble = Some(trouble::new("tampered", why));
        return Ok(exam);
    }
    if found::git_configuration(repository) != want.git {
        exam.trouble = Some(Trouble {
            hint: "If you changed it yourself, \"oarlock resume\" goes on with it.".into(),
            ..trouble::new(
                "git_changed",
                "Git's configuration or hooks changed since it began, and nothing is judged under another one.".into(),
            )
        });
        return Ok(exam);
    }
    let project = home(repository).map_err(|error| trouble::error(error.code(), "The project", &error))?;
    let head = workspace::bring_home(repository, clone, session.as_str(), "HEAD")
        .map_err(|error| trouble::error(error.code(), "The work could not be fetched", &error))?;
    let looked = look(&mut exam, want, session, &project, clone, &head);
    looked.map_err(|refusal| {
        let mut trouble = trouble::new(refusal.code(), trouble::sentence(&refusal));
        trouble.hint = refusal.hint().unwrap_or_default();
        trouble
    })?;
    Ok(exam)
}

/// Tells whether a workspace still is the clone that was made, and no way to somewhere else.
fn is_own_clone(clone: &Path) -> Result<(), String> {
    for path in [clone.to_path_buf(), clone.join(".git"), clone.join(".git/objects"), clone.join(".git/refs")]
    {
        if !std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            return Err(format!(
                "{} is no folder any more: the workspace is not the one that was made.",
                path.display()
            ));
        }
    }
    Ok(())
}

fn look(
    exam: &mut Exam,
    want: &Examine,
    session: &SessionId,
    project: &Home,
    clone: &Path,
    head: &Oid,
) -> Result<(), landing::Refusal> {
    let git = Git::at(&project.root);
    let (base, head) = landing::ends(&git, head, &want.base_branch)?;
    let fork = merge_base(&git, &base, &head, &want.base_branch)?;
    (exam.head, exam.base, exam.merge_base) = (core(&head), core(&base), core(&fork));
    let on = read::head_branch(&Git::at(clone))?;
    exam.strayed_to = (on.as_deref() != Some(want.branch.as_str()))
        .then(|| on.unwrap_or_else(|| "a detached commit".to_owned()));
    let count = git
        .reads("count the commits")
        .args(["rev-list", "--count", &format!("{base}..{head}"), "--"])
        .run()?;
    exam.commits = count.text().trim().parse().unwrap_or(0);
    exam.dirty = dirty(project, clone, session, &head)?;
    let changed = changed(&git, &fork, &head)?;
    exam.files = u32::try_from(changed.len()).unwrap_or(u32::MAX);
    let made_of: BTreeSet<String> =
        want.checks.iter().flat_map(|check| found::files_of(&git, &fork, &check.command)).collect();
    exam.edited = changed.intersection(&made_of).take(PATHS_MAX).cloned().collect();
    if let Some((judged_base, judged_head)) = &want.approved
        && judged_head == &exam.head
        && let Some(old) = Oid::parse(judged_base.as_str())
    {
        let moved = self::changed(&git, &old, &base)?;
        exam.is_touched = moved.iter().any(|path| changed.contains(path) || made_of.contains(path));
    }
    let merged = merge(&git, &base, &head, None)?;
    let conflicts = merged.conflicts.iter().take(PATHS_MAX);
    exam.conflicts = conflicts.map(|conflict| conflict.path.to_string_lossy().into_owned()).collect();
    if exam.conflicts.is_empty() {
        exam.tree = core(&merged.tree);
        exam.candidate = core(&candidate(&git, session, &merged.tree, &base, &head)?);
    }
    Ok(())
}

fn core(oid: &Oid) -> CoreOid {
    CoreOid::from(oid.as_str())
}

/// Returns the paths that differ between two commits.
fn changed(git: &Git, old: &Oid, new: &Oid) -> Result<BTreeSet<String>, GitError> {
    let args = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", old.as_str(), new.as_str(), "--"];
    let answer = git.reads("list what changed").args(args).run()?;
    Ok(answer.fields().map(|path| String::from_utf8_lossy(path).into_owned()).collect())
}

/// Returns what is in the workspace and not committed, by the project's configuration: a filter or a hook that the builder
/// configured in its clone is not run.
fn dirty(project: &Home, clone: &Path, session: &SessionId, head: &Oid) -> Result<Vec<String>, GitError> {
    let index = project.common_dir.join("oarlock").join(format!("index-{}", key(session.as_str())));
    let git = Git::at(clone)
        .env("GIT_DIR", &project.common_dir)
        .env("GIT_WORK_TREE", clone)
        .env("GIT_INDEX_FILE", &index);
    let call = |operation| git.writes(operation).config(NO_HOOKS).config("core.bare=false");
    drop(std::fs::create_dir_all(index.parent().unwrap_or(&index)));
    drop(std::fs::remove_file(&index));
    let listed = (|| {
        call("read the commit").args(["read-tree", head.as_str()]).run()?;
        call("compare the files").args(["update-index", "-q", "--refresh"]).allow(1).run()?;
        let tracked = call("list changed files").args(["diff-files", "--name-only", "-z", "--"]).run()?;
        let excludes = format!("--exclude-from={}", clone.join(".git/info/exclude").display());
        let mut untracked = call("list new files").args(["ls-files", "-z", "--others", "--exclude-standard"]);
        if clone.join(".git/info/exclude").is_file() {
            untracked = untracked.arg(excludes);
        }
        let untracked = untracked.run()?;
        let all = tracked.fields().chain(untracked.fields());
        let path = |path: &[u8]| text::line(&String::from_utf8_lossy(path), 200);
        Ok(all.take(PATHS_MAX).map(path).collect())
    })();
    drop(std::fs::remove_file(&index));
    listed
}

/// Makes the commit that would land: the same for the same two commits, so that a second look finds the first one's.
fn candidate(git: &Git, session: &SessionId, tree: &Oid, base: &Oid, head: &Oid) -> Result<Oid, GitError> {
    let mut call = git.writes("make the candidate").args(["commit-tree", "--no-gpg-sign", tree.as_str()]);
    for parent in [base, head] {
        call = call.args(["-p", parent.as_str()]);
    }
    for who in ["AUTHOR", "COMMITTER"] {
        call = call
            .env(format!("GIT_{who}_NAME"), "oarlock")
            .env(format!("GIT_{who}_EMAIL"), "oarlock@localhost")
            .env(format!("GIT_{who}_DATE"), "@0 +0000");
    }
    let answer = call.input("What would land\n").run()?;
    let oid = Oid::parse(answer.text().trim()).ok_or_else(|| answer.unreadable())?;
    let name = format!("{CANDIDATE_REFS}{}", key(session.as_str()));
    git.writes("keep the candidate").config(NO_HOOKS).args(["update-ref", &name, oid.as_str()]).run()?;
    Ok(oid)
}

/// Lets go of what was kept for a session's landing.
pub(crate) fn let_go(repository: &Path, session: &SessionId) {
    let name = format!("{CANDIDATE_REFS}{}", key(session.as_str()));
    let git = Git::at(PathBuf::from(repository));
    drop(git.writes("let the candidate go").config(NO_HOOKS).args(["update-ref", "-d", &name]).run());
}
