//! tmux as a peer: a server of its own in the ground, without the person's configuration.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::ground::{Ground, run};
use crate::programs;

/// A tmux server. It ends with the ground, because its command line names it.
pub struct Tmux<'a> {
    ground: &'a Ground,
    socket: PathBuf,
}

impl<'a> Tmux<'a> {
    /// Starts a server with one window that runs a shell command; `None` when there is no tmux.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(ground: &'a Ground, command: &str) -> Result<Option<Self>, String> {
        if programs::find("tmux").is_none() {
            return Ok(None);
        }
        // One that was told to end still holds its socket for a moment, so none is used twice.
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let tmux = Self { ground, socket: ground.path(&format!("tmux-{number}")) };
        tmux.tell(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", command])?;
        Ok(Some(tmux))
    }

    /// Starts more windows, one pane each, until there are `count` with the first.
    ///
    /// # Errors
    /// When one does not start.
    pub fn fill(&self, count: usize, command: &str) -> Result<(), String> {
        (1..count).try_for_each(|_| self.tell(&["new-window", "-d", command]))
    }

    /// Sends the server a command.
    ///
    /// # Errors
    /// When it fails.
    pub fn tell(&self, args: &[&str]) -> Result<(), String> {
        run(self.ground.command("tmux").arg("-S").arg(&self.socket).args(args))
    }

    /// Returns the server's process.
    ///
    /// # Errors
    /// When it is gone.
    pub fn pid(&self) -> Result<u32, String> {
        let mut command = self.ground.command("tmux");
        command.arg("-S").arg(&self.socket).args(["display-message", "-p", "#{pid}"]);
        let output =
            command.stdout(std::process::Stdio::piped()).output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().map_err(|_| format!("tmux tells no pid: {text}"))
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        // A server that is gone already is as good; the ground ends one that stays.
        let _ = self.tell(&["kill-server"]);
    }
}
