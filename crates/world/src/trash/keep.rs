//! Keeps a workspace's work as commits.
//!
//! Works on copies of the index; writes objects and one ref. Must not touch the checkout.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Entry, Error, Keep, TRASH_REFS, check_id, find, trailer};
use crate::git::text::{c_quoted, clean_line};
use crate::git::{CHECKOUT_MAX, Git, GitError, Oid, read};
use crate::workspace::record::Record;
use crate::workspace::{self, HOME_REMOTE, Kind};

/// Uncommitted bytes one entry takes at most: sources and notes are megabytes; what is larger is generated, and would
/// fill the disk of whoever keeps twenty of them.
const BYTES_MAX: u64 = 4 << 30;

/// Stash entries and branches of a clone kept at most.
const ALSO_MAX: usize = 200;

/// State of a merge, cherry-pick or revert under way that restore puts back: gitrepository-layout(5) names them.
pub(super) const STATE_FILES: [&str; 6] =
    ["MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "CHERRY_PICK_HEAD", "REVERT_HEAD", "AUTO_MERGE"];

/// Keeps HEAD, index and untracked (not ignored) files of a workspace in its project's trash. Keeping the same
/// work under the same id again returns the entry there is.
///
/// # Errors
/// [`Error::EmbeddedRepository`], [`Error::SubmoduleChanged`], [`Error::Unreadable`] and [`Error::TooLarge`] name what
/// cannot be kept; [`Error::AlreadyKept`] when the id holds other work.
pub fn keep(want: &Keep) -> Result<Entry, Error> {
    let git = Git::at(&want.workspace);
    check_id(&want.id)?;
    let dir = read::git_dir(&want.workspace)
        .ok_or_else(|| workspace::Error::NotARepository { path: want.workspace.clone() })?;
    let owner = workspace::worktree::owner(&want.workspace)?;
    let kind = owner.as_ref().map_or(Kind::Worktree, |(_, record)| record.kind);
    let home = owner.as_ref().map_or(want.workspace.as_path(), |(home, _)| home.root.as_path());
    let keeper = Keeper { git, want, dir, kind, record: owner.as_ref().map(|(_, record)| record) };
    let kept = keeper.write()?;
    let home_git = Git::at(home);
    let name = format!("{TRASH_REFS}{}", want.id);
    if let Some(there) = read::reference(&home_git, &name)? {
        let entry = find(home, &want.id)?;
        let same = same_tree(&home_git, &there, &keeper.git, &kept.commit)?
            && same_tree(&home_git, &entry.index, &keeper.git, &kept.index)?
            && entry.head == kept.head;
        return if same { Ok(entry) } else { Err(Error::AlreadyKept { id: want.id.clone() }) };
    }
    if kind == Kind::Clone {
        let there = read::reference(&keeper.git, &name)?.map_or(kept.commit.zero_like(), String::from);
        keeper.git.writes("keep the work").args(["update-ref", &name, kept.commit.as_str(), &there]).run()?;
        workspace::fetch_ref(&home_git, &want.workspace, &name, &name)?;
    } else {
        let zero = kept.commit.zero_like();
        keeper.git.writes("keep the work").args(["update-ref", &name, kept.commit.as_str(), &zero]).run()?;
    }
    find(home, &want.id)
}

fn same_tree(one: &Git, one_commit: &Oid, other: &Git, other_commit: &Oid) -> Result<bool, GitError> {
    Ok(read::tree(one, one_commit)? == read::tree(other, other_commit)?)
}

/// The commits that were written.
struct Kept {
    commit: Oid,
    index: Oid,
    head: Option<Oid>,
}

struct Keeper<'a> {
    git: Git,
    want: &'a Keep,
    dir: PathBuf,
    kind: Kind,
    record: Option<&'a Record>,
}

impl Keeper<'_> {
    fn write(&self) -> Result<Kept, Error> {
        let status = workspace::status_entries(&self.git, "all")?;
        if let Some(what) = status.unreadable {
            return Err(Error::Unreadable { what: clean_line(what.as_bytes(), 300), source: None });
        }
        let changes = self.changes(&status.entries)?;
        let index = workspace::PrivateIndex::copy_of(&self.want.workspace)?;
        let private = self.git.clone().env("GIT_INDEX_FILE", index.path());
        let meta = self.meta(&private)?;
        let head = status.head;
        // An unborn branch says nothing of the hash in use; a removal's id is not looked at, only its length.
        let zero = head.as_ref().map_or_else(|| "0".repeat(40), Oid::zero_like);
        let index_tree = write_index_tree(&private, &meta.unmerged, &zero)?;
        let parents: Vec<Oid> = head.iter().cloned().collect();
        let index_commit = self.commit(&index_tree, &parents, "oarlock: the index of kept work\n")?;
        let tree = self.files_tree(&private, &changes, &zero)?;
        let extra = match &meta.tree {
            Some(tree) => Some(self.commit(tree, &parents, "oarlock: the state of kept work\n")?),
            None => None,
        };
        let also = self.also(head.as_ref())?;
        let mut all = parents;
        all.push(index_commit.clone());
        all.extend(extra.iter().cloned());
        all.extend(also.iter().map(|(_, oid)| oid.clone()));
        let message = self.message(
            head.as_ref(),
            status.branch.as_deref(),
            &index_commit,
            extra.as_ref(),
            &also,
            status.entries.len(),
        );
        let commit = self.commit(&tree, &all, &message)?;
        Ok(Kept { commit, index: index_commit, head })
    }

    /// Returns what the files tree has differently from the index, removals first.
    fn changes(&self, entries: &[workspace::StatusEntry]) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        let mut bytes = 0_u64;
        for entry in entries {
            if entry.submodule {
                if entry.submodule_changed {
                    return Err(Error::SubmoduleChanged { path: entry.path.clone() });
                }
                continue;
            }
            if entry.worktree == b'.' {
                continue;
            }
            if entry.path.as_os_str().as_bytes().ends_with(b"/") {
                return Err(Error::EmbeddedRepository { path: entry.path.clone() });
            }
            let what = match std::fs::symlink_metadata(self.want.workspace.join(&entry.path)) {
                Ok(meta) if meta.is_symlink() => What::Link,
                Ok(meta) if meta.is_file() => {
                    bytes += meta.len();
                    What::File { executable: meta.permissions().mode() & 0o100 != 0 }
                }
                // A directory in a file's place has its own entries; other kinds cannot be tracked.
                _ => What::Gone,
            };
            changes.push(Change { path: entry.path.clone(), what });
        }
        if bytes > BYTES_MAX {
            return Err(Error::TooLarge { bytes, bytes_max: BYTES_MAX });
        }
        changes.sort_by_key(|change| change.what != What::Gone);
        Ok(changes)
    }

    /// Returns the tree of the files as they are on disk: the index, with every changed path as its very bytes.
    fn files_tree(&self, private: &Git, changes: &[Change], zero: &str) -> Result<Oid, Error> {
        let files: Vec<&Change> =
            changes.iter().filter(|change| matches!(change.what, What::File { .. })).collect();
        let mut hashes = self.hash_files(&files)?.into_iter();
        let mut info = Vec::new();
        for change in changes {
            let (mode, oid) = match change.what {
                What::Gone => ("0", None),
                What::Link => ("120000", Some(self.hash_link(&change.path)?)),
                What::File { executable } => (if executable { "100755" } else { "100644" }, hashes.next()),
            };
            let oid = oid.map_or_else(|| zero.to_owned(), String::from);
            info.extend_from_slice(format!("{mode} {oid}\t").as_bytes());
            info.extend_from_slice(change.path.as_os_str().as_bytes());
            info.push(0);
        }
        if !info.is_empty() {
            private
                .writes("list the files to keep")
                .args(["update-index", "-z", "--index-info"])
                .input(info)
                .run()?;
        }
        Ok(private.writes("write the tree of the files").arg("write-tree").run()?.oid()?)
    }

    fn hash_files(&self, files: &[&Change]) -> Result<Vec<Oid>, Error> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for change in files {
            let path = self.want.workspace.join(&change.path);
            if let Err(source) = std::fs::File::open(&path) {
                let what = clean_line(change.path.as_os_str().as_bytes(), 300);
                return Err(Error::Unreadable { what, source: Some(source) });
            }
            names.extend_from_slice(&c_quoted(change.path.as_os_str()));
            names.push(b'\n');
        }
        let answer = self
            .git
            .writes("keep the files")
            .args(["hash-object", "-w", "--no-filters", "--stdin-paths"])
            .input(names)
            .time_max(CHECKOUT_MAX)
            .run()?;
        let oids: Vec<Oid> = answer.text().lines().filter_map(Oid::parse).collect();
        if oids.len() == files.len() { Ok(oids) } else { Err(answer.unreadable().into()) }
    }

    fn hash_link(&self, path: &Path) -> Result<Oid, Error> {
        let target = std::fs::read_link(self.want.workspace.join(path)).map_err(|source| {
            Error::Unreadable { what: clean_line(path.as_os_str().as_bytes(), 300), source: Some(source) }
        })?;
        Ok(self.blob(target.as_os_str().as_bytes())?)
    }

    fn blob(&self, bytes: &[u8]) -> Result<Oid, GitError> {
        self.git.writes("keep some bytes").args(["hash-object", "-w", "--stdin"]).input(bytes).run()?.oid()
    }

    /// Gathers what no tree can say: conflicted entries, files marked to be added, and a merge under way.
    fn meta(&self, private: &Git) -> Result<Meta, Error> {
        let unmerged = private.reads("list conflicts").args(["ls-files", "-z", "--unmerged"]).run()?.stdout;
        let args = ["diff-files", "-z", "--name-only", "--diff-filter=A", "--ignore-submodules=all"];
        let to_add = private.reads("list files to be added").args(args).run()?.stdout;
        let mut listing: Vec<(String, Oid)> = Vec::new();
        for (name, bytes) in [("unmerged", &unmerged), ("intent-to-add", &to_add)] {
            if !bytes.is_empty() {
                listing.push((format!("100644 blob {{}}\t{name}"), self.blob(bytes)?));
            }
        }
        for name in STATE_FILES {
            if let Ok(bytes) = std::fs::read(self.dir.join(name)) {
                listing.push((format!("100644 blob {{}}\t{name}"), self.blob(&bytes)?));
            }
        }
        let mut held: Vec<Oid> = unmerged
            .split(|byte| *byte == 0)
            .filter_map(|field| {
                let text = std::str::from_utf8(field.split(|byte| *byte == b'\t').next()?).ok()?;
                let mut parts = text.split(' ');
                let is_blob = parts.next()? != "160000";
                Oid::parse(parts.next()?).filter(|_| is_blob)
            })
            .collect();
        held.sort();
        held.dedup();
        listing.extend(held.into_iter().map(|oid| (format!("100644 blob {{}}\theld-{oid}"), oid)));
        if listing.is_empty() {
            return Ok(Meta { unmerged, tree: None });
        }
        let mut input = Vec::new();
        for (line, oid) in &listing {
            input.extend_from_slice(line.replace("{}", oid.as_str()).as_bytes());
            input.push(0);
        }
        let tree = self
            .git
            .writes("write the tree of the state")
            .args(["mktree", "-z"])
            .input(input)
            .run()?
            .oid()?;
        Ok(Meta { unmerged, tree: Some(tree) })
    }

    /// Returns commits that would be lost with the workspace, beside HEAD.
    fn also(&self, head: Option<&Oid>) -> Result<Vec<(String, Oid)>, Error> {
        let mut also = Vec::new();
        let branch = self.want.branch.as_deref().or(self.record.map(|record| record.branch.as_str()));
        if let Some(branch) = branch
            && let Some(at) = read::branch(&self.git, branch)?
        {
            also.push((format!("refs/heads/{branch}"), at));
        }
        for name in ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "ORIG_HEAD"] {
            if let Some(at) = read::commit(&self.git, name)? {
                also.push((name.to_owned(), at));
            }
        }
        // What `--autostash` set aside is held by these files alone.
        for name in ["MERGE_AUTOSTASH", "rebase-merge/autostash", "rebase-apply/autostash"] {
            let text = std::fs::read_to_string(self.dir.join(name)).unwrap_or_default();
            also.extend(Oid::parse(text.trim()).map(|at| (name.to_owned(), at)));
        }
        if self.kind == Kind::Clone {
            let format = "--format=%(objectname) %(refname)";
            let heads = self
                .git
                .reads("list the clone's branches")
                .args(["for-each-ref", format, "refs/heads/", "refs/tags/"])
                .run()?;
            let stash = self
                .git
                .reads("list the clone's stash")
                .args(["log", "--walk-reflogs", "--format=%H stash", "refs/stash", "--"])
                .allow(128)
                .run()?;
            let refs = [heads.text(), stash.text()];
            for line in refs.iter().flat_map(|text| text.lines()) {
                let Some((_, name)) = line.split_once(' ') else { continue };
                // A tag object is held through the commit it names.
                if let Some(at) =
                    line.split(' ').next().map(|oid| read::commit(&self.git, oid)).transpose()?.flatten()
                {
                    also.push((name.to_owned(), at));
                }
            }
            also = self.unknown_at_home(also)?;
        }
        let mut seen = Vec::new();
        also.retain(|(name, oid)| {
            let fresh = Some(oid) != head || name.starts_with("refs/heads/");
            let new = !seen.contains(&(name.clone(), oid.clone()));
            seen.push((name.clone(), oid.clone()));
            fresh && new
        });
        if also.len() > ALSO_MAX {
            let what = format!("more than {ALSO_MAX} branches and stash entries of the clone");
            return Err(Error::Unreadable { what, source: None });
        }
        Ok(also)
    }

    /// Drops the tags and branches a clone has only because it was cloned: the project's repository has those commits.
    fn unknown_at_home(&self, also: Vec<(String, Oid)>) -> Result<Vec<(String, Oid)>, Error> {
        let mut fresh = Vec::new();
        for (name, oid) in also {
            let args = ["rev-list", "--max-count=1", oid.as_str(), "--not"];
            let call = self.git.reads("look for commits of the clone alone").args(args);
            let own = call.arg(format!("--remotes={HOME_REMOTE}")).arg("--remotes=origin").arg("--").run()?;
            if !own.stdout.is_empty() || name.starts_with("refs/heads/") {
                fresh.push((name, oid));
            }
        }
        Ok(fresh)
    }

    fn message(
        &self,
        head: Option<&Oid>,
        head_branch: Option<&str>,
        index: &Oid,
        extra: Option<&Oid>,
        also: &[(String, Oid)],
        changed: usize,
    ) -> String {
        let want = self.want;
        let mut text = format!("oarlock: kept work of {}\n\n", clean_line(want.session.as_bytes(), 100));
        let mut add = |name: &str, value: Option<&[u8]>| {
            if let Some(value) = value {
                text.push_str(&trailer(name, value));
            }
        };
        add("Session", Some(want.session.as_bytes()));
        add("Reason", Some(want.reason.as_bytes()));
        add("Branch", want.branch.as_deref().or(self.record.map(|r| r.branch.as_str())).map(str::as_bytes));
        add("Head-Branch", head_branch.map(str::as_bytes));
        add("Head", head.map(|oid| oid.as_str().as_bytes()));
        add("Base", want.base.as_ref().or(self.record.map(|r| &r.base)).map(|oid| oid.as_str().as_bytes()));
        add(
            "Base-Branch",
            want.base_branch.as_deref().or(self.record.map(|r| r.base_branch.as_str())).map(str::as_bytes),
        );
        add("Path", Some(read::physical(&want.workspace).as_os_str().as_bytes()));
        add("Kind", Some(if self.kind == Kind::Clone { b"clone" } else { b"worktree" }));
        add("Changed", Some(changed.to_string().as_bytes()));
        add("Operation", read::operation(&self.dir).map(|operation| operation.as_str().as_bytes()));
        add("Index", Some(index.as_str().as_bytes()));
        add("Extra", extra.map(|oid| oid.as_str().as_bytes()));
        for (name, oid) in also {
            add("Also", Some(format!("{oid} {name}").as_bytes()));
        }
        text
    }

    /// Writes a commit as oarlock, unsigned, whatever the person's configuration says.
    fn commit(&self, tree: &Oid, parents: &[Oid], message: &str) -> Result<Oid, GitError> {
        let mut seen: Vec<&Oid> = Vec::new();
        let mut call =
            self.git.writes("write a kept commit").args(["commit-tree", "--no-gpg-sign", tree.as_str()]);
        for parent in parents {
            if !seen.contains(&parent) {
                call = call.args(["-p", parent.as_str()]);
                seen.push(parent);
            }
        }
        for (name, value) in [("NAME", "oarlock"), ("EMAIL", "oarlock@localhost")] {
            call = call.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
        }
        call.args(["-F", "-"]).input(message).run()?.oid()
    }
}

/// One path whose file differs from the index.
struct Change {
    path: PathBuf,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Gone,
    Link,
    File { executable: bool },
}

struct Meta {
    unmerged: Vec<u8>,
    tree: Option<Oid>,
}

/// Writes the tree of the index; a conflicted path, which no tree can hold, is left out of it.
fn write_index_tree(private: &Git, unmerged: &[u8], zero: &str) -> Result<Oid, GitError> {
    let mut info = Vec::new();
    for field in unmerged.split(|byte| *byte == 0) {
        if let Some(tab) = field.iter().position(|byte| *byte == b'\t') {
            info.extend_from_slice(format!("0 {zero}\t").as_bytes());
            info.extend_from_slice(&field[tab + 1..]);
            info.push(0);
        }
    }
    if !info.is_empty() {
        private
            .writes("set conflicts aside")
            .args(["update-index", "-z", "--index-info"])
            .input(info)
            .run()?;
    }
    private.writes("write the tree of the index").arg("write-tree").run()?.oid()
}
