//! Windows of tmux, 3.2 or newer: a server of our own, found by its socket's name alone. It must not touch a server that a person
//! started. What it relies on is in tmux(1), and was seen in 3.3a.

use super::program::{Answer, ask, command};
use super::{Display, DisplayError, Id, Place, check, plain_name, quoted, short_hash, unusable};
use std::path::{Path, PathBuf};
use std::process::Command;

const TMUX: &str = "tmux";
/// `-e` of `new-session` came with this.
const VERSION_MIN: (u32, u32) = (3, 2);
/// How often a window is tried to be opened: its session may come or go in between.
const TRIES: u32 = 3;
/// What names a window for ever: ids start anew with each server.
const WINDOW: &str = "#{pid}.#{start_time}.#{window_id}";
/// Settings of the server, since it reads no configuration: the window is all the agent's, it closes with its command, keeps
/// the name it was given, and a lone Escape arrives at once.
const SETTINGS: [&[&str]; 5] = [
    &["set-option", "-g", "status", "off"],
    &["set-option", "-g", "remain-on-exit", "off"],
    &["set-option", "-g", "allow-rename", "off"],
    &["set-option", "-g", "automatic-rename", "off"],
    &["set-option", "-s", "escape-time", "10"],
];

/// Windows in a tmux server of our own. A person sees them with `tmux -L NAME attach`, where the name is
/// [`Tmux::socket_name`].
#[derive(Debug, Clone)]
pub struct Tmux {
    socket_name: String,
    socket_folder: Option<PathBuf>,
}

impl Tmux {
    /// Returns the display of this state folder: one server for each, named after it. Its socket is where tmux puts it: below
    /// `TMUX_TMPDIR`, or `/tmp`.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        let hash = short_hash(state.as_os_str().as_encoded_bytes());
        let socket_folder = std::env::var_os("TMUX_TMPDIR").map(PathBuf::from);
        Self { socket_name: format!("oarlock-{}", &hash[..8]), socket_folder }
    }

    /// Returns the same with its socket below this folder.
    #[must_use]
    pub fn with_socket_folder(self, folder: impl Into<PathBuf>) -> Self {
        Self { socket_folder: Some(folder.into()), ..self }
    }

    /// Returns the name of the server's socket, for `tmux -L`.
    #[must_use]
    pub fn socket_name(&self) -> &str {
        &self.socket_name
    }

    /// Returns the command line by which a person sees a window, from any shell.
    #[must_use]
    pub fn reach(&self, id: &Id) -> String {
        let socket = match &self.socket_folder {
            Some(folder) => format!("TMUX_TMPDIR={} ", quoted(&folder.to_string_lossy())),
            None => String::new(),
        };
        // Inside of another tmux it refuses, unless it does not know of it.
        let window = quoted(id.as_str().rsplit('.').next().unwrap_or_default());
        format!("{socket}TMUX= {TMUX} -L {} attach -t {window}", self.socket_name)
    }

    /// Returns a call of tmux to our server and no other, without anybody's configuration.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = command(TMUX);
        if let Some(folder) = &self.socket_folder {
            command.env("TMUX_TMPDIR", folder);
        }
        command.args(["-u", "-L", &self.socket_name, "-f", "/dev/null"]);
        command
    }

    fn ask(&self, args: &[&str]) -> Result<Answer, DisplayError> {
        ask(self.command().args(args))
    }

    /// Returns tmux's own name of a window, if it is open.
    fn window(&self, id: &Id) -> Result<Option<String>, DisplayError> {
        let answer = self.ask(&["list-windows", "-a", "-F", WINDOW])?;
        if !answer.is_ok {
            return if has_no_server(&answer) { Ok(None) } else { Err(refused(&answer)) };
        }
        let is_there = answer.stdout.lines().any(|line| line == id.as_str());
        Ok(is_there.then(|| id.as_str().rsplit('.').next().unwrap_or_default().to_owned()))
    }

    fn open_window(&self, id: &Id) -> Result<String, DisplayError> {
        self.window(id)?.ok_or_else(|| DisplayError::NotOpen { id: id.clone() })
    }
}

impl Display for Tmux {
    fn name(&self) -> &'static str {
        TMUX
    }

    fn available(&self) -> Result<String, String> {
        let answer = match ask(command(TMUX).arg("-V")) {
            Ok(answer) => answer,
            Err(DisplayError::Program { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err("tmux is not installed.".to_owned());
            }
            Err(error) => return Err(format!("tmux cannot be used: {error}.")),
        };
        if !answer.is_ok {
            return Err(unusable(TMUX, &answer));
        }
        let version = answer.stdout.trim().trim_start_matches("tmux ").to_owned();
        match parse_version(&version) {
            Some(found) if found < VERSION_MIN => {
                let (major, minor) = VERSION_MIN;
                Err(format!("tmux is too old: it is {version}, and {major}.{minor} is needed."))
            }
            // A development version has no number, and is newer.
            _ => Ok(version),
        }
    }

    fn open(&self, place: &Place, argv: &[String], title: &str) -> Result<Id, DisplayError> {
        check(TMUX, argv)?;
        let session = plain_name(&place.session);
        let target = format!("={session}:");
        // Expanded as a format.
        let title = title.replace('#', "##");
        let cwd = place.cwd.to_string_lossy().replace('#', "##");
        let env: Vec<String> = place.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut common = vec!["-d", "-P", "-F", WINDOW, "-n", &title, "-c", &cwd];
        env.iter().for_each(|entry| common.extend(["-e", entry]));
        // More than one word is run as it is; a single one would go through a shell.
        common.extend(["--", "env", "--"]);
        common.extend(argv.iter().map(String::as_str));
        let (cols, rows) = (place.size.cols.to_string(), place.size.rows.to_string());
        let mut last = None;
        for _ in 0..TRIES {
            let answer = self.ask(&[&["new-window", "-t", &target][..], &common].concat())?;
            if answer.is_ok {
                return Ok(Id::from_text(answer.stdout.trim()));
            }
            if !has_no_server(&answer) && !answer.stderr.contains("can't find session") {
                return Err(refused(&answer));
            }
            let mut start = vec!["start-server", ";"];
            SETTINGS.iter().for_each(|setting| {
                start.extend(*setting);
                start.push(";");
            });
            start.extend(["new-session", "-s", &session, "-x", &cols, "-y", &rows]);
            let answer = self.ask(&[&start[..], &common].concat())?;
            if answer.is_ok {
                return Ok(Id::from_text(answer.stdout.trim()));
            }
            last = Some(refused(&answer));
        }
        Err(last.expect("there was at least one try"))
    }

    fn is_open(&self, id: &Id) -> Result<bool, DisplayError> {
        Ok(self.window(id)?.is_some())
    }

    fn focus(&self, id: &Id) -> Result<(), DisplayError> {
        let window = self.open_window(id)?;
        let answer = self.ask(&["select-window", "-t", &window])?;
        if answer.is_ok { Ok(()) } else { Err(refused(&answer)) }
    }

    fn close(&self, id: &Id) -> Result<(), DisplayError> {
        let Some(window) = self.window(id)? else { return Ok(()) };
        let answer = self.ask(&["kill-window", "-t", &window])?;
        let is_gone = has_no_server(&answer) || answer.stderr.contains("can't find window");
        if answer.is_ok || is_gone { Ok(()) } else { Err(refused(&answer)) }
    }

    fn capture(&self, id: &Id) -> Result<String, DisplayError> {
        let window = self.open_window(id)?;
        let answer = self.ask(&["capture-pane", "-p", "-t", &window])?;
        if answer.is_ok { Ok(answer.stdout) } else { Err(refused(&answer)) }
    }
}

/// A socket that is not there or that nobody listens on, a server that ended while it was asked, or one whose last session is gone
/// and that ends in a moment ("no current target"): its windows are gone in any case.
fn has_no_server(answer: &Answer) -> bool {
    let says = |text| answer.stderr.contains(text);
    let cannot_connect =
        says("error connecting to") && (says("No such file or directory") || says("Connection refused"));
    let ends = ["no server running on", "server exited", "lost server", "no current target"];
    !answer.is_ok && (cannot_connect || ends.into_iter().any(says))
}

fn refused(answer: &Answer) -> DisplayError {
    DisplayError::Refused { program: TMUX.to_owned(), reason: answer.stderr.trim().to_owned() }
}

/// Versions look like `3.3a`, `3.4`, `next-3.5`, `openbsd-7.4`.
fn parse_version(version: &str) -> Option<(u32, u32)> {
    let (major, rest) = version.strip_prefix("next-").unwrap_or(version).split_once('.')?;
    let digits = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_tmux_writes_them() {
        assert_eq!(parse_version("3.3a"), Some((3, 3)));
        assert_eq!(parse_version("next-3.5"), Some((3, 5)));
        assert_eq!(parse_version("2.9"), Some((2, 9)));
        assert_eq!(parse_version("master"), None);
        assert!(parse_version("3.1c").unwrap() < VERSION_MIN);
    }

    #[test]
    fn each_state_folder_has_a_server_of_its_own() {
        let name = |path: &str| Tmux::new(Path::new(path)).socket_name;
        assert_ne!(name("/a/state"), name("/b/state"));
        assert_eq!(name("/a/state"), name("/a/state"), "and finds it again");
        assert_eq!(name("/a/state").len(), "oarlock-".len() + 8);
    }
}
