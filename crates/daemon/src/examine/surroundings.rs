//! git and who it takes the user for, the repository one stands in, the state folder, the socket, the daemon.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use oarlock_api::place::Place;
use oarlock_api::wire::Check;
use oarlock_world::config;
use oarlock_world::git::Git;
use oarlock_world::workspace;

use super::check;

/// The oldest git that computes a merge without a checkout (`git merge-tree --write-tree`, release notes of 2.38).
const GIT_NEEDED: (u32, u32) = (2, 38);
/// Free space below which a checkout is likely to fail, in bytes.
const FREE_BYTES_LOW: u64 = 1 << 30;
/// Files that a file system must have room for: a checkout of a large project.
const FREE_FILES_LOW: u64 = 20_000;

pub(super) fn all(place: &Place, running: bool) -> Vec<Check> {
    let mut checks = vec![git(), identity()];
    checks.extend(project());
    checks.extend(state(place));
    checks.extend([socket(place), daemon(running)]);
    checks
}

fn git() -> Check {
    match oarlock_world::git::version() {
        Ok(found) if found >= GIT_NEEDED => {
            check("git", "ok", format!("Version {}.{}.", found.0, found.1), "")
        }
        Ok(found) => {
            let text = format!(
                "Version {}.{} is too old; {}.{} is needed.",
                found.0, found.1, GIT_NEEDED.0, GIT_NEEDED.1
            );
            check("git", "fail", text, "Install a newer git.")
        }
        Err(error) => check("git", "fail", format!("git does not answer: {error}."), "Install git."),
    }
}

/// Looks whom git takes for the author of a commit: agents commit, and landing does.
fn identity() -> Check {
    let call = Git::at(".").reads("ask git who commits").config("user.useConfigOnly=true");
    match call.args(["var", "GIT_COMMITTER_IDENT"]).run() {
        Ok(answer) => {
            let text = answer.text();
            let who = text.rsplit_once('>').map_or(text.trim(), |(who, _)| who);
            check("identity", "ok", format!("Commits are by {who}>."), "")
        }
        Err(_) => check(
            "identity",
            "warn",
            "git does not know who commits, so agents cannot commit and nothing can land.",
            "git config --global user.name \"You\"; git config --global user.email you@example.org",
        ),
    }
}

/// Looks at the repository one stands in, where one does.
fn project() -> Option<Check> {
    let here = std::env::current_dir().ok()?;
    let repository = match workspace::inspect(&here) {
        Ok(repository) => repository,
        Err(error) if error.code() == "not_a_repository" => return None,
        Err(error) => {
            let hint = error.hint().unwrap_or_default();
            return Some(check("project", "warn", format!("{}.", capital(&error.to_string())), hint));
        }
    };
    let root = repository.home.root;
    let file = root.join(config::FILE_NAME);
    Some(match config::Config::read(&root) {
        Ok(_) if file.is_file() => check("project", "ok", format!("{} is understood.", file.display()), ""),
        Ok(_) => check("project", "ok", format!("{}, without an {}.", root.display(), config::FILE_NAME), ""),
        Err(error) => {
            let trouble = config::trouble(&error);
            check("project", "fail", trouble.message, trouble.hint)
        }
    })
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// What is known of the state folder.
struct Folder {
    free_bytes: u64,
    free_files: Option<u64>,
    mode: u32,
    is_ours: bool,
    trash: usize,
}

fn state(place: &Place) -> Vec<Check> {
    let folder = place.state();
    // One that is not there yet is made by the first daemon, in the nearest folder that is.
    let stands = folder.ancestors().find(|path| path.exists()).unwrap_or(folder);
    let looked = try_to_write(stands).and_then(|()| {
        let disk = rustix::fs::statvfs(stands)?;
        let meta = fs::metadata(stands)?;
        let is_made = stands == folder;
        Ok(Folder {
            free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            // Some file systems do not count them.
            free_files: (disk.f_files > 0).then_some(disk.f_favail),
            mode: if is_made { meta.mode() & 0o777 } else { 0o700 },
            is_ours: !is_made || meta.uid() == rustix::process::getuid().as_raw(),
            trash: fs::read_dir(folder.join("trash")).map_or(0, Iterator::count),
        })
    });
    match looked {
        Ok(found) => judge(folder, &found),
        Err(error) => {
            let text = format!("{}: nothing can be made in {}: {error}.", folder.display(), stands.display());
            vec![check("state", "fail", text, "Set OARLOCK_HOME to a folder of your own.")]
        }
    }
}

/// Makes a file and takes it away again: the owner and the mode of a folder do not tell whether its disk takes anything.
fn try_to_write(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".oarlock-doctor-{}", std::process::id()));
    fs::File::create_new(&probe)?;
    fs::remove_file(&probe)
}

fn judge(folder: &Path, found: &Folder) -> Vec<Check> {
    let name = folder.display();
    let room = match found.free_bytes {
        free if free < FREE_BYTES_LOW => {
            let hint = "Make room: each workspace is a checkout. See \"oarlock cleanup --dry-run\" and \"oarlock trash ls\".";
            check("state", "warn", format!("{name}: {} MB are free.", free >> 20), hint)
        }
        _ if found.free_files.is_some_and(|free| free < FREE_FILES_LOW) => {
            let left = found.free_files.unwrap_or_default();
            let hint =
                "Make room: a checkout needs a file for each of its own. See \"oarlock cleanup --dry-run\".";
            check("state", "warn", format!("{name}: only {left} more files can be made."), hint)
        }
        free => {
            let trash =
                if found.trash == 0 { String::new() } else { format!(", {} in the trash", found.trash) };
            check("state", "ok", format!("{name}, {} GB free{trash}.", free >> 30), "")
        }
    };
    let mut checks = vec![room];
    if !found.is_ours {
        let hint = "Set OARLOCK_HOME to a folder of your own.";
        checks.push(check("permissions", "fail", format!("{name} belongs to somebody else."), hint));
    } else if found.mode & 0o077 != 0 {
        let text = format!(
            "{name} may be opened by others (mode {:03o}): it holds what agents read and write.",
            found.mode
        );
        checks.push(check("permissions", "warn", text, format!("chmod 700 '{name}'")));
    } else {
        checks.push(check("permissions", "ok", "Nobody else can open the state folder.", ""));
    }
    checks
}

fn socket(place: &Place) -> Check {
    match place.socket() {
        Ok(path) => check("socket", "ok", format!("{}.", path.display()), ""),
        Err(error) => check("socket", "fail", format!("{error}."), "Set OARLOCK_HOME to a shorter path."),
    }
}

fn daemon(running: bool) -> Check {
    check("daemon", "ok", if running { "Running." } else { "Not running; the next verb starts it." }, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_is_judged_by_its_room_and_its_mode() {
        let good = || Folder {
            free_bytes: 5 << 30,
            free_files: Some(1 << 20),
            mode: 0o700,
            is_ours: true,
            trash: 2,
        };
        let of = |found: &Folder| -> Vec<(String, String)> {
            judge(Path::new("/s"), found).into_iter().map(|check| (check.name, check.result)).collect()
        };
        let words = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, result)| ((*name).to_owned(), (*result).to_owned())).collect()
        };
        assert_eq!(of(&good()), words(&[("state", "ok"), ("permissions", "ok")]));
        assert_eq!(of(&Folder { free_bytes: 5 << 20, ..good() })[0].1, "warn");
        assert_eq!(of(&Folder { free_files: Some(3), ..good() })[0].1, "warn");
        assert_eq!(
            of(&Folder { free_files: None, ..good() })[0].1,
            "ok",
            "not every file system counts them"
        );
        assert_eq!(of(&Folder { mode: 0o755, ..good() })[1].1, "warn");
        assert_eq!(of(&Folder { is_ours: false, ..good() })[1].1, "fail");
    }
}
