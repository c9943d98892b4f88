//! What a landing rests on, kept as a commit under a ref of its own, and named by a trailer of the commit that landed: anybody who
//! has the repository can hold the two against each other, without oarlock's state.

use std::fs;
use std::path::Path;

use oarlock_core::ids::SessionId;
use oarlock_core::playbook::gate::Evidence;
use oarlock_core::session::fact::Trouble;
use oarlock_core::text;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::bench::NO_HOOKS;
use crate::git::{Git, GitError, Oid, read};
use crate::{trouble, workspace};

/// The trailer that names the record.
pub const TRAILER: &str = "Oarlock-Evidence";

/// Where records are kept, by session.
const REFS: &str = "refs/oarlock/evidence/";

/// What a record was held against, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// What must hold, as a sentence.
    pub says: String,
    /// Whether it does.
    pub holds: bool,
}

/// A record that was read, and what of it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The commit that landed.
    pub commit: String,
    /// The commit that holds the record.
    pub record: String,
    /// The record.
    pub evidence: Evidence,
    /// What it was held against.
    pub held: Vec<Held>,
}

impl Verified {
    /// Tells whether all of it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.held.iter().all(|held| held.holds)
    }
}

/// Keeps a record, and returns the commit that holds it: the same for the same record.
pub(crate) fn keep(
    repository: &Path,
    session: &SessionId,
    evidence: &Evidence,
    spec: &Path,
) -> Result<String, Trouble> {
    let home =
        workspace::home(repository).map_err(|error| trouble::error(error.code(), "The project", &error))?;
    let git = Git::at(&home.root);
    let spec = fs::read(spec).map_err(|error| trouble::io("read the spec", spec, &error))?;
    let json = serde_json::to_vec_pretty(evidence).unwrap_or_default();
    let written = write(&git, session, &json, &spec);
    written
        .map_err(|error| trouble::error("git_failed", "What the landing rests on could not be kept", &error))
}

fn write(git: &Git, session: &SessionId, json: &[u8], spec: &[u8]) -> Result<String, GitError> {
    let blob = |bytes: &[u8]| -> Result<String, GitError> {
        let call =
            git.writes("keep a part of the record").args(["hash-object", "-w", "--stdin", "--no-filters"]);
        Ok(call.input(bytes).run()?.text().trim().to_owned())
    };
    let tree = format!("100644 blob {}\tevidence.json\n100644 blob {}\tspec.md\n", blob(json)?, blob(spec)?);
    let tree = git.writes("keep the record").args(["mktree"]).input(tree).run()?.text().trim().to_owned();
    let mut call = git.writes("keep the record").args(["commit-tree", "--no-gpg-sign", &tree]);
    for who in ["AUTHOR", "COMMITTER"] {
        call = call
            .env(format!("GIT_{who}_NAME"), "oarlock")
            .env(format!("GIT_{who}_EMAIL"), "oarlock@localhost")
            .env(format!("GIT_{who}_DATE"), "@0 +0000");
    }
    let oid = call.input("What a landing rests on\n").run()?.text().trim().to_owned();
    let name = format!("{REFS}{session}");
    git.writes("name the record").config(NO_HOOKS).args(["update-ref", &name, &oid]).run()?;
    Ok(oid)
}

/// Reads the record of a landing and holds it against the repository. `what` is the commit that landed, or the id or the name of
/// the session.
///
/// # Errors
/// A sentence that says why there is nothing to verify.
pub fn verify(repository: &Path, what: &str) -> Result<Verified, String> {
    let git = Git::at(repository);
    let what = text::line(what, 200);
    let commit = match landed_by(&git, &what).or_else(|| read::commit(&git, &what).ok().flatten()) {
        Some(commit) => commit,
        None => {
            return Err(format!(
                "\"{what}\" is no commit of this repository, and no session that landed in it through a gate."
            ));
        }
    };
    let named = trailer(&git, &commit)
        .ok_or_else(|| format!("{} names no evidence: it did not land through a gate.", commit.short()))?;
    let record = read::commit(&git, &named).ok().flatten().ok_or_else(|| {
        format!(
            "{} names the record {named}, which this repository does not have. Fetch {REFS}*.",
            commit.short()
        )
    })?;
    let file = |name: &str| {
        let object = format!("{record}:{name}");
        git.reads("read the record").args(["cat-file", "blob", &object]).run().map(|answer| answer.stdout)
    };
    let json = file("evidence.json").map_err(|_| "The record holds no evidence.".to_owned())?;
    let evidence: Evidence = serde_json::from_slice(&json)
        .map_err(|error| format!("The record cannot be read: {}.", text::line(&error.to_string(), 120)))?;
    let spec = file("spec.md").unwrap_or_default();
    let held = hold(&git, &commit, &evidence, &spec);
    Ok(Verified { commit: commit.to_string(), record: record.to_string(), evidence, held })
}

/// Returns the commit that a session landed as.
fn landed_by(git: &Git, what: &str) -> Option<Oid> {
    let listed = git
        .reads("list the records")
        .args(["for-each-ref", "--format=%(objectname) %(refname)", REFS])
        .run()
        .ok()?;
    let text = listed.text();
    let of = |line: &str| {
        let (oid, name) = line.split_once(' ')?;
        let id = name.strip_prefix(REFS)?;
        let session = || {
            let object = format!("{oid}:evidence.json");
            let json = git.reads("read a record").args(["cat-file", "blob", &object]).run().ok()?.stdout;
            serde_json::from_slice::<Evidence>(&json).ok().map(|evidence| evidence.session)
        };
        (id == what || session().as_deref() == Some(what)).then(|| oid.to_owned())
    };
    let record = text.lines().find_map(of)?;
    let grep = format!("--grep=^{TRAILER}: {record}$");
    let found = git
        .reads("find the landing")
        .args(["log", "--all", "--format=%H", "--max-count=1", &grep])
        .run()
        .ok()?;
    Oid::parse(found.text().trim())
}

fn trailer(git: &Git, commit: &Oid) -> Option<String> {
    let format = format!("--format=%(trailers:key={TRAILER},valueonly,unfold)");
    let answer =
        git.reads("read the trailer").args(["log", "-1", &format, commit.as_str(), "--"]).run().ok()?;
    let oid = answer.text().trim().to_owned();
    (!oid.is_empty() && oid.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(oid)
}

fn hold(git: &Git, commit: &Oid, evidence: &Evidence, spec: &[u8]) -> Vec<Held> {
    let held = |says: String, holds: bool| Held { says, holds };
    let digest: String = Sha256::digest(spec).iter().map(|byte| format!("{byte:02x}")).collect();
    let tree = read::tree(git, commit).ok();
    let parents =
        git.reads("read the parents").args(["log", "-1", "--format=%P", commit.as_str(), "--"]).run();
    let parents = parents.map(|answer| answer.text().trim().to_owned()).unwrap_or_default();
    let parents: Vec<&str> = parents.split(' ').collect();
    let is_below =
        |oid: &str| Oid::parse(oid).is_some_and(|oid| read::is_ancestor(git, &oid, commit).unwrap_or(false));
    let (head, base) = (evidence.head.as_str(), evidence.base.as_str());
    let cut = |text: &str| text.get(..16).unwrap_or(text).to_owned();
    let binding = format!("{}.{}.{}.", cut(&evidence.spec.0), cut(head), cut(evidence.judged_base.as_str()));
    let green = evidence.checks.iter().filter(|check| check.red.is_empty()).count();
    vec![
        held(
            "The tree that landed is the one that was checked and judged.".into(),
            tree.is_some_and(|tree| tree.as_str() == evidence.tree.as_str()),
        ),
        held(
            "It landed on the base that it was merged with.".into(),
            is_below(base) && parents.first() != Some(&head),
        ),
        held(
            "Its work is the commit that was judged.".into(),
            // A squash or a rebase leaves the tree alone to tell.
            parents.get(1).is_none_or(|second| *second == head),
        ),
        held("The spec is the one that was judged by.".into(), digest == evidence.spec.0),
        held(
            format!("Every check passed: {green} of {}.", evidence.checks.len()),
            green == evidence.checks.len(),
        ),
        held(
            "The overseer approved every requirement, without an issue.".into(),
            evidence.verdict.is_approval(),
        ),
        held(
            "The verdict is about this spec, this work and this base.".into(),
            evidence.verdict.binding.starts_with(&binding),
        ),
    ]
}
