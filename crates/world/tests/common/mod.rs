//! Real git repositories in temporary directories, apart from the person's own configuration.
//!
//! Must not sleep, nor reach anything outside its directory.

// Each test file uses its part of this, and a helper that fails has found what the test looks for.
#![allow(dead_code, clippy::unwrap_used)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use oarlock_world::git::Oid;
use oarlock_world::workspace::{Adopt, Kind, RemoveWant, Setup, Want};

/// A repository, and room beside it for workspaces.
pub struct Repo {
    pub dir: tempfile::TempDir,
    pub root: PathBuf,
}

/// Points git away from the person's configuration, once, before the first git of this process.
pub fn hermetic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let home = std::env::temp_dir().join("oarlock-no-home");
        for (name, value) in [
            ("HOME", home.as_os_str()),
            ("XDG_CONFIG_HOME", home.as_os_str()),
            ("GIT_CONFIG_GLOBAL", OsStr::new("/dev/null")),
            ("GIT_CONFIG_NOSYSTEM", OsStr::new("1")),
            // A leak of the caller's environment would show at once.
            ("GIT_DIR", OsStr::new("/nonexistent")),
            ("GIT_INDEX_FILE", OsStr::new("/nonexistent")),
        ] {
            // SAFETY: every test calls this first and waits here; nothing reads the environment beside std, which locks.
            unsafe { std::env::set_var(name, value) };
        }
    });
}

impl Repo {
    /// An unborn repository.
    pub fn unborn() -> Repo {
        hermetic();
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let root = base.join("pro ject");
        std::fs::create_dir(&root).unwrap();
        let repo = Repo { dir, root };
        repo.git(&["init", "--quiet", "-b", "main"]);
        repo.git(&["config", "user.name", "Ada"]);
        repo.git(&["config", "user.email", "ada@example.org"]);
        repo
    }

    /// A repository with some files and one commit on `main`.
    pub fn new() -> Repo {
        let repo = Repo::unborn();
        repo.write("a.txt", "one\ntwo\nthree\n");
        repo.write("b.txt", "b\n");
        repo.write("dir/c.txt", "c\n");
        repo.write(".gitignore", "*.log\nnode_modules/\n.env\n");
        repo.commit("first");
        repo
    }

    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.parent().unwrap().join(name)
    }

    pub fn git(&self, args: &[&str]) -> String {
        git(&self.root, args)
    }

    pub fn write(&self, path: &str, text: &str) {
        write(&self.root, path, text);
    }

    pub fn commit(&self, message: &str) -> Oid {
        commit(&self.root, message)
    }

    pub fn want(&self, name: &str) -> Want {
        Want {
            repository: self.root.clone(),
            path: self.beside(&format!("ws-{name}")),
            branch: format!("work/{name}"),
            base: None,
            kind: Kind::Worktree,
            id: name.to_owned(),
            setup: Setup::default(),
            adopt: Adopt::Nothing,
        }
    }

    pub fn remove_want(&self, name: &str) -> RemoveWant {
        RemoveWant {
            repository: self.root.clone(),
            path: self.beside(&format!("ws-{name}")),
            id: name.to_owned(),
            trash_id: format!("{name}/1"),
            reason: "the test is over".to_owned(),
            delete_branch: true,
            even_in_use: false,
        }
    }
}

/// Runs git and returns what it wrote, without the last line end; panics when it fails.
pub fn git(dir: &Path, args: &[&str]) -> String {
    let (ok, out) = try_git(dir, args);
    assert!(ok, "git {args:?}: {out}");
    out
}

pub fn try_git(dir: &Path, args: &[&str]) -> (bool, String) {
    let output = Command::new("git")
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .current_dir(dir)
        .env_remove("GIT_DIR")
        .env_remove("GIT_INDEX_FILE")
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8_lossy(&text).trim_end_matches('\n').to_owned())
}

pub fn write(dir: &Path, path: &str, text: &str) {
    let file = dir.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

pub fn read(dir: &Path, path: &str) -> String {
    std::fs::read_to_string(dir.join(path)).unwrap()
}

pub fn commit(dir: &Path, message: &str) -> Oid {
    git(dir, &["add", "-A"]);
    git(dir, &["commit", "--quiet", "--allow-empty", "-m", message]);
    oid(dir, "HEAD")
}

pub fn oid(dir: &Path, revision: &str) -> Oid {
    Oid::parse(&git(dir, &["rev-parse", "--verify", revision])).unwrap()
}

pub fn status(dir: &Path) -> String {
    git(dir, &["status", "--porcelain=v2", "--branch", "--untracked-files=all"])
}

pub fn hook(repo: &Repo, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    let file = repo.root.join(".git/hooks").join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
}
