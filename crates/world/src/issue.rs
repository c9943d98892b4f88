//! Issues as briefs: which one is meant, its text from GitHub, a file or standard input, and the prompt made of it. It must not
//! know sessions.
//!
//! It runs in the command line and not in the daemon: `gh`, its login, a proxy and the network are a person's, and the daemon may
//! have been started from anywhere, with none of them. What the daemon gets is a prompt, and what the issue is known by.

pub(crate) mod github;
mod material;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use oarlock_core::text;

pub use oarlock_core::session::fact::Trouble;

pub use material::{MATERIAL_BYTES_MAX, cleaned, prompt};

/// Longest title, in characters: trackers take 256, and it is shown on a line.
const TITLE_CHARS_MAX: usize = 200;
/// Most bytes read of a file or of standard input: more than is kept of any, and a device has no end.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Which issue is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// Standard input.
    Standard,
    /// A file, absolute or from the current folder on.
    File(PathBuf),
    /// One on GitHub, by its number.
    GitHub {
        /// `OWNER/REPOSITORY`, with `HOST/` in front when an address named one; the one of the folder's remote when missing.
        repository: Option<String>,
        /// Its number, from 1.
        number: u64,
    },
}

/// An issue as it was found. All of it was written by others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issue {
    /// Where it stands: a URL, or a file's absolute path; `None` for what came from nowhere that has a name.
    pub reference: Option<String>,
    /// Its title, on one line, cleaned.
    pub title: String,
    /// Its labels and its state, a line each, in our words about them.
    pub notes: Vec<String>,
    /// Its text, as it was written; empty when it has none.
    pub text: String,
    /// Comments: who said it and when, and the words, as they were written.
    pub comments: Vec<(String, String)>,
}

impl Issue {
    /// Whether it says nothing but its title.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        cleaned(&self.text).trim().is_empty() && self.comments.is_empty()
    }
}

/// Reads which issue is meant: `-`, a number, `#N`, `OWNER/REPOSITORY#N`, the address of an issue, or a file's path. What could be
/// both is no file; a path that begins with `./` always is.
///
/// # Errors
/// When it is an address, and not of an issue.
pub fn named(words: &str) -> Result<Named, Trouble> {
    let on_github = |repository, number| Ok(Named::GitHub { repository, number });
    if words == "-" {
        return Ok(Named::Standard);
    }
    if let Some(number) = self::number(words.strip_prefix('#').unwrap_or(words)) {
        return on_github(None, number);
    }
    if let Some(address) = words.strip_prefix("https://").or_else(|| words.strip_prefix("http://")) {
        return address_of(address).ok_or_else(|| not_an_issue(words)).and_then(|found| match found {
            Address::Issue(repository, number) => on_github(Some(repository), number),
            Address::Pull => Err(pull_request(words)),
        });
    }
    if let Some((repository, number)) = words.split_once('#')
        && let (Some(number), true) = (self::number(number), repository.split('/').count() == 2)
        && repository.split('/').all(is_plain)
    {
        return on_github(Some(repository.to_owned()), number);
    }
    Ok(Named::File(PathBuf::from(words)))
}

/// Reads the issue. `folder` is in the repository whose issues are meant when no other is named; a relative file is looked for from
/// the current folder on.
///
/// # Errors
/// When it cannot be read, says nothing, or is none. The code tells: `not_found`, `pull_request`, `empty`, `no_gh`, `gh_login`,
/// `gh_network`, `gh_slow`, `gh_failed`, `io`, `not_text`.
pub fn read(named: &Named, folder: &Path) -> Result<Issue, Trouble> {
    match named {
        Named::Standard => {
            let doing = |error| crate::trouble::io("read an issue", Path::new("standard input"), &error);
            written(std::io::stdin().lock(), None).map_err(|failed| failed.trouble("standard input", doing))
        }
        Named::File(path) => file(path),
        Named::GitHub { repository, number } => github::read(repository.as_deref(), *number, folder),
    }
}

fn file(path: &Path) -> Result<Issue, Trouble> {
    let doing = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => no_such_issue(path),
        _ => crate::trouble::io("read an issue", path, &error),
    };
    let opened = File::open(path).map_err(doing)?;
    // A pipe's path says nothing of what comes through it.
    let is_file = opened.metadata().map_err(doing)?.is_file();
    let absolute = path.canonicalize().map_err(doing)?;
    let reference = is_file.then(|| absolute.to_string_lossy().into_owned());
    // A path that drives a terminal is no name for anything.
    let reference = reference.filter(|path| *path == text::line(path, path.len()));
    written(opened, reference).map_err(|failed| failed.trouble(&path.to_string_lossy(), doing))
}

/// Why a text is no issue.
enum Failed {
    Io(std::io::Error),
    NotText,
    Empty,
}

impl Failed {
    fn trouble(self, what: &str, io: impl Fn(std::io::Error) -> Trouble) -> Trouble {
        let what = text::line(what, TITLE_CHARS_MAX);
        match self {
            Failed::Io(error) => io(error),
            Failed::NotText => trouble("not_text", format!("{what} is not text in UTF-8."), "Convert it."),
            Failed::Empty => trouble("empty", format!("{what} is empty."), "Say in it what is to be done."),
        }
    }
}

/// Reads an issue from a text: its first line that says something is its title.
fn written(from: impl Read, reference: Option<String>) -> Result<Issue, Failed> {
    let mut bytes = Vec::new();
    from.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(Failed::Io)?;
    let words = match String::from_utf8(bytes) {
        Ok(words) => words,
        // The limit may have cut a character.
        Err(error) if error.utf8_error().error_len().is_none() => {
            let end = error.utf8_error().valid_up_to();
            String::from_utf8_lossy(&error.as_bytes()[..end]).into_owned()
        }
        Err(_) => return Err(Failed::NotText),
    };
    let clean = cleaned(&words);
    let title = clean.lines().map(|line| line.trim_start_matches('#').trim()).find(|line| !line.is_empty());
    let title = title.ok_or(Failed::Empty)?;
    Ok(Issue { reference, title: text::line(title, TITLE_CHARS_MAX), text: words, ..Issue::default() })
}

/// What an address leads to.
enum Address {
    Issue(String, u64),
    Pull,
}

/// Reads an address after its scheme: `HOST/OWNER/REPOSITORY/issues/N`, with whatever comes after a `?` or a `#`.
fn address_of(address: &str) -> Option<Address> {
    let path = address.split(['?', '#']).next()?.trim_end_matches('/');
    let [host, owner, repository, kind, number] = path.split('/').collect::<Vec<_>>()[..] else {
        return None;
    };
    if ![host, owner, repository].into_iter().all(is_plain) {
        return None;
    }
    match (kind, self::number(number)?) {
        ("issues", number) => Some(Address::Issue(format!("{host}/{owner}/{repository}"), number)),
        ("pull", _) => Some(Address::Pull),
        _ => None,
    }
}

/// Reads a number from 1 on, of digits alone.
fn number(words: &str) -> Option<u64> {
    let is_number = !words.is_empty() && words.bytes().all(|byte| byte.is_ascii_digit());
    words.parse().ok().filter(|number| is_number && *number > 0)
}

/// Whether a word can be a host, an owner or a repository, and nothing that a program takes for an option.
fn is_plain(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !word.is_empty() && !word.starts_with(['-', '.']) && word.bytes().all(plain)
}

fn trouble(code: &str, message: String, hint: impl Into<String>) -> Trouble {
    Trouble { hint: hint.into(), ..crate::trouble::new(code, message) }
}

fn not_an_issue(words: &str) -> Trouble {
    let message =
        format!("\"{}\" is not the address of an issue on GitHub.", text::line(words, TITLE_CHARS_MAX));
    trouble(
        "bad_issue",
        message,
        "Give one like https://github.com/OWNER/REPOSITORY/issues/N, or the text with --issue -.",
    )
}

fn pull_request(what: &str) -> Trouble {
    let message = format!("{} is a pull request, not an issue.", text::line(what, TITLE_CHARS_MAX));
    trouble("pull_request", message, "To work on its branch, use --branch; to tell an agent of it, --prompt.")
}

fn no_such_issue(path: &Path) -> Trouble {
    let message = format!("There is no file {}.", text::line(&path.to_string_lossy(), TITLE_CHARS_MAX));
    trouble(
        "not_found",
        message,
        "An issue is a number, OWNER/REPOSITORY#N, a URL, a file's path, or - for standard input.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_github(repository: Option<&str>, number: u64) -> Named {
        Named::GitHub { repository: repository.map(str::to_owned), number }
    }

    #[test]
    fn an_issue_is_named_as_people_name_it() {
        for (words, expected) in [
            ("-", Named::Standard),
            ("12", on_github(None, 12)),
            ("#12", on_github(None, 12)),
            ("ada/shop#7", on_github(Some("ada/shop"), 7)),
            ("https://github.com/ada/shop/issues/7", on_github(Some("github.com/ada/shop"), 7)),
            ("https://github.com/ada/shop/issues/7/", on_github(Some("github.com/ada/shop"), 7)),
            ("https://git.corp/a/b/issues/7?x=1#issuecomment-9", on_github(Some("git.corp/a/b"), 7)),
            ("issues/login.md", Named::File("issues/login.md".into())),
            ("./12", Named::File("./12".into())),
            ("0", Named::File("0".into())),
            ("12a", Named::File("12a".into())),
            ("a/b/c#7", Named::File("a/b/c#7".into())),
            ("ada/--repo#7", Named::File("ada/--repo#7".into())),
        ] {
            assert_eq!(named(words), Ok(expected), "{words}");
        }
    }

    #[test]
    fn an_address_of_something_else_is_said_to_be() {
        for (words, code) in [
            ("https://github.com/ada/shop/pull/7", "pull_request"),
            ("https://github.com/ada/shop", "bad_issue"),
            ("https://github.com/ada/shop/issues/new", "bad_issue"),
            ("https://gitlab.com/ada/shop/-/issues/7", "bad_issue"),
            ("https://-h/ada/shop/issues/7", "bad_issue"),
        ] {
            assert_eq!(named(words).map_err(|trouble| trouble.code), Err(code.into()), "{words}");
        }
    }

    #[test]
    fn the_first_line_that_says_something_is_the_title() {
        let of = |words: &str| written(words.as_bytes(), None).map(|issue| issue.title).ok();
        assert_eq!(of("\n\n## Login \x1b[31mfails\x1b[0m \n\nIt does.").as_deref(), Some("Login fails"));
        assert_eq!(of(" \n\t\r\n#\n"), None, "nothing is said");
        assert!(written(&b"caf\xe9 au lait"[..], None).is_err(), "it is not UTF-8");
        assert_eq!(written(&b"caf\xc3"[..], None).map(|issue| issue.title).ok().as_deref(), Some("caf"));
    }
}
