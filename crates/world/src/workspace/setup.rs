//! Gives a fresh workspace what git does not: ignored files, links to shared directories, and setup commands.
//!
//! Sources and targets stay inside the project's checkout and the workspace; what is already there is never overwritten.
//! Must not know what the files are for.

use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::inspect::Home;
use super::record::{Record, Records, digest};
use super::{Error, Setup, Skipped, SkippedWhy, exclude};
use crate::git::process::{Job, Keep, run};
use crate::git::text::{clean_line, clean_tail, path_of};
use crate::git::{Git, read, scrub};

/// Time one setup command may take: a cold install of a large project's dependencies takes minutes.
const COMMAND_MAX: Duration = Duration::from_secs(20 * 60);

/// Bytes of a command's output kept, from its end, for the error.
const OUTPUT_KEPT: usize = 16 * 1024;

/// Characters of it shown.
const OUTPUT_SHOWN: usize = 4000;

/// Files copied at most: more than that (a `node_modules`) should be linked or installed.
const COPIES_MAX: usize = 50_000;

/// Refuses setup paths that could leave the repository, before anything is made.
pub(crate) fn check(setup: &Setup) -> Result<(), Error> {
    for path in setup.copy.iter().chain(&setup.link) {
        let refused = |why| Error::SetupRefused { path: clean_line(path.as_bytes(), 200), why };
        if path.is_empty() || path.contains('\0') {
            return Err(refused("it is empty or no path"));
        }
        for part in Path::new(path).components() {
            match part {
                Component::Normal(name) if name.eq_ignore_ascii_case(".git") => {
                    return Err(refused("it is git's own"));
                }
                Component::Normal(_) | Component::CurDir => {}
                Component::ParentDir => return Err(refused("it holds \"..\"")),
                Component::RootDir | Component::Prefix(_) => return Err(refused("it is absolute")),
            }
        }
    }
    Ok(())
}

/// Copies and links what `setup` names. Returns what was left out.
pub(crate) fn files(repository: &Home, workspace: &Path, setup: &Setup) -> Result<Vec<Skipped>, Error> {
    let mut skipped = Vec::new();
    if repository.bare {
        let all = setup.copy.iter().chain(&setup.link);
        skipped.extend(all.map(|path| Skipped { path: path.clone(), why: SkippedWhy::NoCheckout }));
        return Ok(skipped);
    }
    let planter = Planter { root: read::physical(&repository.root), workspace };
    let mut copies: Vec<PathBuf> = Vec::new();
    for wanted in &setup.copy {
        let found = planter.ignored_files(wanted)?;
        if found.is_empty() {
            let there = std::fs::symlink_metadata(planter.root.join(wanted)).is_ok();
            let why = if there { SkippedWhy::NotIgnored } else { SkippedWhy::Missing };
            skipped.push(Skipped { path: wanted.clone(), why });
        }
        copies.extend(found);
        if copies.len() > COPIES_MAX {
            return Err(Error::SetupRefused {
                path: wanted.clone(),
                why: "it holds more than 50,000 files; link it instead",
            });
        }
    }
    // Excluded before they exist: the workspace is never seen dirty with them.
    let links: Vec<PathBuf> = setup.link.iter().map(|path| normal(path)).collect();
    let planted: Vec<&PathBuf> = copies.iter().chain(&links).collect();
    exclude::exclude(workspace, &planted)?;
    let mut skip = |path: &Path, why: Option<SkippedWhy>| {
        skipped.extend(why.map(|why| Skipped { path: path.to_string_lossy().into_owned(), why }));
    };
    for path in &copies {
        skip(path, planter.copy(path)?);
    }
    for path in &links {
        skip(path, planter.link(path)?);
    }
    Ok(skipped)
}

fn normal(path: &str) -> PathBuf {
    Path::new(path).components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

/// Plants files of the project's checkout in a workspace.
struct Planter<'a> {
    root: PathBuf,
    workspace: &'a Path,
}

impl Planter<'_> {
    /// Returns the ignored files that `wanted` names as a path, as a directory or as a glob.
    fn ignored_files(&self, wanted: &str) -> Result<Vec<PathBuf>, Error> {
        let answer = Git::at(&self.root)
            .reads("find the ignored files to copy")
            .magic_pathspecs()
            .args(["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--"])
            .arg(format!(":(top,literal){wanted}"))
            .arg(format!(":(top,glob){wanted}"))
            .run()?;
        Ok(answer.fields().map(path_of).collect())
    }

    /// Copies one file or symbolic link; data is shared where the file system can. Returns why it was left out.
    fn copy(&self, path: &Path) -> Result<Option<SkippedWhy>, Error> {
        let from = self.root.join(path);
        let Ok(meta) = std::fs::symlink_metadata(&from) else { return Ok(Some(SkippedWhy::Missing)) };
        if meta.is_dir() {
            // git lists a repository inside a directory as one path.
            return Ok(Some(SkippedWhy::Repository));
        }
        let Ok(physical) = from.canonicalize() else { return Ok(Some(SkippedWhy::Escapes)) };
        if !physical.starts_with(&self.root) {
            return Ok(Some(SkippedWhy::Escapes));
        }
        let to = match self.target(path)? {
            Ok(to) => to,
            Err(why) => return Ok(Some(why)),
        };
        let part = to.with_file_name(".oarlock-part");
        let copied = if meta.is_symlink() {
            let _ = std::fs::remove_file(&part);
            std::fs::read_link(&from).and_then(|target| std::os::unix::fs::symlink(target, &part))
        } else {
            std::fs::copy(&from, &part).map(|_| ())
        };
        copied.and_then(|()| std::fs::rename(&part, &to)).map_err(Error::io("copy", &from))?;
        Ok(None)
    }

    /// Links to one path of the project's checkout. Returns why it was left out.
    fn link(&self, path: &Path) -> Result<Option<SkippedWhy>, Error> {
        let from = self.root.join(path);
        let Ok(physical) = from.canonicalize() else { return Ok(Some(SkippedWhy::Missing)) };
        if !physical.starts_with(&self.root) {
            return Ok(Some(SkippedWhy::Escapes));
        }
        if std::fs::read_link(self.workspace.join(path)).is_ok_and(|target| target == from) {
            return Ok(None);
        }
        match self.target(path)? {
            Ok(to) => std::os::unix::fs::symlink(&from, &to).map_err(Error::io("link", &to)).map(|()| None),
            Err(why) => Ok(Some(why)),
        }
    }

    /// Returns the free place for `path` in the workspace, its parents made; no parent may be a symbolic link.
    fn target(&self, path: &Path) -> Result<Result<PathBuf, SkippedWhy>, Error> {
        let mut at = self.workspace.to_path_buf();
        let parents = path.parent().map(Path::components).into_iter().flatten();
        for part in parents {
            at.push(part);
            match std::fs::symlink_metadata(&at) {
                Ok(meta) if meta.is_symlink() => return Ok(Err(SkippedWhy::Escapes)),
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Ok(Err(SkippedWhy::Exists)),
                Err(_) => std::fs::create_dir(&at).map_err(Error::io("create", &at))?,
            }
        }
        let to = self.workspace.join(path);
        let free = std::fs::symlink_metadata(&to).is_err();
        Ok(if free { Ok(to) } else { Err(SkippedWhy::Exists) })
    }
}

/// Sets a checkout up that is no workspace, each command with a prefix that holds it to its places.
pub(crate) fn set_up(
    repository: &Home,
    checkout: &Path,
    setup: &Setup,
    prefix: &[String],
) -> Result<(), Error> {
    check(setup)?;
    files(repository, checkout, setup)?;
    setup.commands.iter().try_for_each(|line| command(checkout, line, &setup.env, prefix))
}

/// Runs the setup commands that did not succeed before, in order, each stamped when it has.
pub(crate) fn commands(records: &Records, record: &mut Record, setup: &Setup) -> Result<(), Error> {
    for (number, line) in setup.commands.iter().enumerate() {
        let stamp = digest(format!("{number}\0{line}").as_bytes());
        if record.setup_done.contains(&stamp) {
            continue;
        }
        command(&record.path, line, &setup.env, &[])?;
        record.setup_done.push(stamp);
        records.write(record)?;
    }
    Ok(())
}

fn command(workspace: &Path, line: &str, env: &[(String, String)], prefix: &[String]) -> Result<(), Error> {
    use std::os::unix::process::ExitStatusExt;
    let mut words = prefix.iter().map(String::as_str).chain(["sh"]);
    let mut command = Command::new(words.next().unwrap_or("sh"));
    scrub(&mut command);
    command.args(words);
    // Both outputs in the order they came, and syntax errors as the command's own.
    command.args(["-c", "exec 2>&1; eval \"$1\"", "sh", line]).current_dir(workspace);
    command.envs(env.iter().map(|(name, value)| (name, value)));
    let job = Job {
        command,
        input: None,
        time_max: COMMAND_MAX,
        stdout_max: OUTPUT_KEPT,
        keep: Keep::Tail,
        stdout_file: None,
    };
    let ended = run(job).map_err(Error::io("start a setup command in", workspace))?;
    if ended.status.success() && !ended.timed_out {
        return Ok(());
    }
    let exit = match (ended.timed_out, ended.status.code(), ended.status.signal()) {
        (true, _, _) => format!("more than {} s", COMMAND_MAX.as_secs()),
        (_, Some(code), _) => format!("status {code}"),
        (_, None, signal) => format!("signal {}", signal.unwrap_or_default()),
    };
    let output = clean_tail(&ended.stdout, OUTPUT_SHOWN);
    Err(Error::SetupFailed { command: clean_line(line.as_bytes(), 400), exit, output })
}
