//! Panes of zellij, 0.45 or newer: each window is a session of its own with one pane, in a socket folder of our own. It must not
//! touch a session that a person started. What it relies on is what `zellij --help` says, and was seen in 0.45.1.
//!
//! A session of its own, because in one that nobody looks at, zellij has no room for a second tab or pane, and says nothing.
//! It answers before it has done what it was asked, so an open pane is waited for.

use super::program::{Answer, ask, command};
use super::{Display, DisplayError, Id, Place, check, plain_name, quoted, short_hash, unusable};
use rustix::process::geteuid;
use serde::Deserialize;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const ZELLIJ: &str = "zellij";
/// `attach` with a command for the first pane was seen in this.
const VERSION_MIN: (u32, u32) = (0, 45);
/// The only pane of each session.
const PANE: &str = "terminal_0";
/// How many windows one session's name may have at once; each has a name with its number.
const SESSIONS_MAX: u32 = 100;
/// How long a pane may take to be there, and how often to look: it takes a tenth of a second.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often a session is asked that says nothing and means no error: one that is ending does so for a moment.
const ASKS_MAX: u32 = 100;
/// Ours, whatever a person has for their own sessions: keys go to the agent until Ctrl-g unlocks zellij's, the pane is all there is,
/// and nothing is brought back after its end.
const CONFIG: &str = "default_layout \"pane\"\ndefault_mode \"locked\"\npane_frames false\nsession_serialization false\n\
    show_startup_tips false\nshow_release_notes false\nload_plugins {\n}\n";
const LAYOUT: &str = "layout {\n    pane\n}\n";
/// Runs the command with what it is given, and then ends the session: one that nobody looks at outlives its last pane.
const PANE_COMMAND: &str = "env -u XDG_CACHE_HOME -u XDG_DATA_HOME -u TMPDIR -- \"$@\"; exec zellij kill-session \"$ZELLIJ_SESSION_NAME\"";

/// Panes in zellij sessions of our own. A person sees them with `zellij attach NAME` when `ZELLIJ_SOCKET_DIR` is
/// [`Zellij::socket_folder`].
#[derive(Debug, Clone)]
pub struct Zellij {
    folder: PathBuf,
    socket_folder: PathBuf,
}

/// One line of `list-panes --json`, as far as it matters.
#[derive(Deserialize)]
struct Pane {
    id: u32,
    is_plugin: bool,
    exited: bool,
}

impl Zellij {
    /// Returns the display of this state folder, which keeps its settings there. Its sockets are below `XDG_RUNTIME_DIR` or
    /// `/tmp`, since their paths have to be short.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        let hash = short_hash(state.as_os_str().as_encoded_bytes());
        let runtime =
            std::env::var_os("XDG_RUNTIME_DIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        Self {
            folder: state.join("zellij"),
            socket_folder: runtime.join(format!("oarlock-zellij-{}", &hash[..8])),
        }
    }

    /// Returns the same with its sockets in this folder.
    #[must_use]
    pub fn with_socket_folder(self, folder: impl Into<PathBuf>) -> Self {
        Self { socket_folder: folder.into(), ..self }
    }

    /// Returns the folder of the sessions' sockets, for `ZELLIJ_SOCKET_DIR`.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        &self.socket_folder
    }

    /// Returns a call of zellij to our sessions and no others, without anybody's configuration.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = command(ZELLIJ);
        command.env("ZELLIJ_SOCKET_DIR", &self.socket_folder);
        command
            .env("XDG_CACHE_HOME", self.folder.join("cache"))
            .env("XDG_DATA_HOME", self.folder.join("data"));
        // Its log goes there.
        command.env("TMPDIR", &self.folder);
        command.arg("--config-dir").arg(&self.folder);
        command
    }

    /// Returns the command line by which a person sees a window, from any shell.
    #[must_use]
    pub fn reach(&self, id: &Id) -> String {
        let folder = |path: &Path| quoted(&path.to_string_lossy());
        let (sockets, config) = (folder(&self.socket_folder), folder(&self.folder));
        let session = quoted(Self::session_name(id));
        // Inside of another zellij it attaches all the same.
        format!("ZELLIJ_SOCKET_DIR={sockets} {ZELLIJ} --config-dir {config} attach {session}")
    }

    /// Returns the name of the zellij session in which a window is.
    #[must_use]
    pub fn session_name(id: &Id) -> &str {
        id.as_str().rsplit('.').next().unwrap_or_default()
    }

    fn prepare(&self) -> io::Result<()> {
        for folder in [&self.folder.join("layouts"), &self.socket_folder] {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        // In /tmp another user may have made it first, to be asked in our place.
        let found = fs::symlink_metadata(&self.socket_folder)?;
        let is_ours =
            found.is_dir() && found.uid() == geteuid().as_raw() && found.mode().trailing_zeros() >= 6;
        if !is_ours {
            let reason = format!("{} is not ours alone", self.socket_folder.display());
            return Err(io::Error::new(ErrorKind::PermissionDenied, reason));
        }
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700))?;
        for (name, text) in [("config.kdl", CONFIG), ("layouts/pane.kdl", LAYOUT)] {
            let path = self.folder.join(name);
            if !fs::read_to_string(&path).is_ok_and(|found| found == text) {
                fs::write(path, text)?;
            }
        }
        Ok(())
    }

    /// Returns which socket a session's server listens on, as far as it matters to tell it from a later one of the same name.
    fn socket(&self, session: &str) -> io::Result<Option<String>> {
        let folders = match fs::read_dir(&self.socket_folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            folders => folders?,
        };
        // One folder for each version of zellij's own protocol.
        for folder in folders {
            match fs::symlink_metadata(folder?.path().join(session)) {
                Ok(found) => {
                    return Ok(Some(format!(
                        "{:x}-{:x}-{:x}",
                        found.ino(),
                        found.mtime(),
                        found.mtime_nsec()
                    )));
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn act(&self, session: &str, action: &[&str]) -> Result<Answer, DisplayError> {
        ask(self.command().args(["--session", session, "action"]).args(action))
    }

    /// Returns whether a session has its pane; nothing when there is no such session.
    fn has_pane(&self, session: &str) -> Result<Option<bool>, DisplayError> {
        for _ in 0..ASKS_MAX {
            let answer = self.act(session, &["list-panes", "--json"])?;
            if has_no_session(&answer) {
                return Ok(None);
            }
            if !answer.is_ok {
                return Err(refused(answer.stderr.trim()));
            }
            if !answer.stdout.trim().is_empty() {
                let panes: Vec<Pane> = serde_json::from_str(&answer.stdout)
                    .map_err(|error| refused(&format!("its panes cannot be read: {error}")))?;
                return Ok(Some(panes.iter().any(|pane| pane.id == 0 && !pane.is_plugin && !pane.exited)));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Err(refused("it does not say which panes there are"))
    }

    fn open_session<'a>(&self, id: &'a Id) -> Result<&'a str, DisplayError> {
        if self.is_open(id)? {
            Ok(Self::session_name(id))
        } else {
            Err(DisplayError::NotOpen { id: id.clone() })
        }
    }

    /// Waits until the pane is there, or its command has ended already.
    fn wait_open(&self, session: &str) -> Result<(), DisplayError> {
        let deadline = Instant::now() + OPEN_WITHIN;
        while self.has_pane(session)? == Some(false) {
            if Instant::now() >= deadline {
                let seconds = OPEN_WITHIN.as_secs();
                return Err(DisplayError::Late { program: ZELLIJ.to_owned(), seconds });
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

impl Display for Zellij {
    fn name(&self) -> &'static str {
        ZELLIJ
    }

    fn available(&self) -> Result<String, String> {
        // Before it reads its arguments it makes its log below TMPDIR, and panics when it cannot: so in our folder as always.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|error| {
            format!("zellij cannot be used: {} cannot be made: {error}.", self.folder.display())
        })?;
        let answer = match ask(self.command().arg("--version")) {
            Ok(answer) => answer,
            Err(DisplayError::Program { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Err("zellij is not installed.".to_owned());
            }
            Err(error) => return Err(format!("zellij cannot be used: {error}.")),
        };
        if !answer.is_ok {
            return Err(unusable(ZELLIJ, &answer));
        }
        let version = answer.stdout.trim().trim_start_matches("zellij ").to_owned();
        let mut numbers = version.split('.').map_while(|number| number.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(major), Some(minor)) if (major, minor) < VERSION_MIN => {
                let (major, minor) = VERSION_MIN;
                Err(format!("zellij is too old: it is {version}, and {major}.{minor} is needed."))
            }
            _ => Ok(version),
        }
    }

    /// The size is that of whoever looks at it: until then zellij gives none.
    fn open(&self, place: &Place, argv: &[String], title: &str) -> Result<Id, DisplayError> {
        check(ZELLIJ, argv)?;
        self.prepare().map_err(failed)?;
        let plain = plain_name(&place.session);
        for number in 1..=SESSIONS_MAX {
            let session = if number == 1 { plain.clone() } else { format!("{plain}_{number}") };
            if self.has_pane(&session)?.is_some() {
                continue;
            }
            let mut start = self.command();
            start.current_dir(&place.cwd);
            start.args(["attach", "--create-background", "--close-on-exit", &session, "--"]);
            start.args(["sh", "-c", PANE_COMMAND, "sh"]);
            start.args(place.env.iter().map(|(name, value)| format!("{name}={value}"))).args(argv);
            let answer = ask(&mut start)?;
            if answer.stderr.contains("already exists") {
                continue;
            }
            if !answer.is_ok {
                return Err(refused(answer.stderr.trim()));
            }
            let socket = self.socket(&session).map_err(failed)?.unwrap_or_else(|| "ended".to_owned());
            self.wait_open(&session)?;
            // A pane that has ended meanwhile needs no title.
            let _ = self.act(&session, &["rename-pane", "--pane-id", PANE, "--", title])?;
            return Ok(Id::from_text(format!("{socket}.{session}")));
        }
        Err(refused(&format!("there are {SESSIONS_MAX} windows of this name already")))
    }

    fn is_open(&self, id: &Id) -> Result<bool, DisplayError> {
        let session = Self::session_name(id);
        let socket = self.socket(session).map_err(failed)?;
        if socket.is_none_or(|socket| format!("{socket}.{session}") != id.as_str()) {
            return Ok(false);
        }
        Ok(self.has_pane(session)? == Some(true))
    }

    /// A window is a session with nothing else in it, so nothing is in front of it.
    fn focus(&self, id: &Id) -> Result<(), DisplayError> {
        self.open_session(id).map(drop)
    }

    fn close(&self, id: &Id) -> Result<(), DisplayError> {
        if !self.is_open(id)? {
            return Ok(());
        }
        let answer = ask(self.command().args(["kill-session", Self::session_name(id)]))?;
        let is_gone = !self.is_open(id)?;
        if answer.is_ok || is_gone { Ok(()) } else { Err(refused(answer.stderr.trim())) }
    }

    fn capture(&self, id: &Id) -> Result<String, DisplayError> {
        let session = self.open_session(id)?;
        let answer = self.act(session, &["dump-screen", "--pane-id", PANE])?;
        if has_no_session(&answer) {
            return Err(DisplayError::NotOpen { id: id.clone() });
        }
        if answer.is_ok { Ok(answer.stdout) } else { Err(refused(answer.stderr.trim())) }
    }
}

/// Zellij says so, and where there are other sessions it exits well all the same.
fn has_no_session(answer: &Answer) -> bool {
    let says = |text| answer.stderr.contains(text);
    says("There is no active session") || says("' not found. The following sessions are active")
}

fn refused(reason: &str) -> DisplayError {
    DisplayError::Refused { program: ZELLIJ.to_owned(), reason: reason.to_owned() }
}

fn failed(source: io::Error) -> DisplayError {
    DisplayError::Program { program: ZELLIJ.to_owned(), source }
}
