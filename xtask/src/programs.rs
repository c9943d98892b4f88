//! Programs that are needed and may be missing: which there are, and of which version.

use std::env;
use std::path::PathBuf;

use crate::shell;

/// The oldest git that works: `merge-tree --write-tree` came with 2.38.
pub const GIT_MIN: (u32, u32) = (2, 38);

/// Returns where a program is, looking through `PATH` and cargo's own folder.
pub fn find(name: &str) -> Option<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Says why git cannot be used, or nothing.
pub fn git_trouble() -> Option<String> {
    if find("git").is_none() {
        return Some("git is not installed".into());
    }
    let mut command = shell::command("git");
    command.arg("--version");
    match shell::quiet(command) {
        Ok(ran) => match version(&ran.text) {
            Some(found) if found >= GIT_MIN => None,
            _ => Some(format!("{} is older than {}.{}", ran.text.trim(), GIT_MIN.0, GIT_MIN.1)),
        },
        Err(why) => Some(why),
    }
}

/// Reads major and minor off words such as `git version 2.47.3`.
fn version(text: &str) -> Option<(u32, u32)> {
    let word = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut numbers = word.split('.').map(|number| number.parse::<u32>().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_off_what_git_says() {
        assert_eq!(version("git version 2.47.3\n"), Some((2, 47)));
        assert_eq!(version("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(version("no git here"), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_not_found() {
        assert!(find("sh").is_some(), "every machine has a shell");
        assert_eq!(find("oarlock-no-such-program"), None);
    }
}
