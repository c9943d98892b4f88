//! A shell that remembers where it stands: each command line is run by `sh -c`, as a reader would type it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;

use crate::harness::{Crew, text, wait};

/// How long one command line may take.
const COMMAND_PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

pub(super) struct Shell<'a> {
    crew: &'a Crew,
    folder: PathBuf,
}

impl<'a> Shell<'a> {
    /// Opens a shell in the repository.
    pub(super) fn new(crew: &'a Crew) -> Self {
        Self { crew, folder: crew.repo.clone() }
    }

    /// Runs a command line and returns what it printed, and how it ended when it did not end well.
    pub(super) fn run(&mut self, line: &str) -> String {
        // A file, not a pipe: whatever goes on in the background may hold it open.
        let (paper, place) = (self.crew.root.join("printed"), self.crew.root.join("stands-in"));
        let (out, error) = {
            let file = File::create(&paper).unwrap();
            (file.try_clone().unwrap(), file)
        };
        let script = format!("trap 'pwd >{}' EXIT\n{line}", place.display());
        let mut command = self.crew.program("sh", &["-c", &script]);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(out).stderr(error);
        let mut child = command.spawn().unwrap();
        let Some(status) = wait(COMMAND_PATIENCE, || child.try_wait().unwrap()) else {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{line} hangs, having printed {}", text(&fs::read(&paper).unwrap()));
        };
        if let Ok(folder) = fs::read_to_string(&place) {
            self.folder = folder.trim_end_matches('\n').into();
        }
        let mut printed = text(&fs::read(&paper).unwrap());
        if !printed.is_empty() && !printed.ends_with('\n') {
            printed.push('\n');
        }
        match status.code() {
            Some(0) => {}
            Some(code) => printed.push_str(&format!("[exit {code}]\n")),
            None => printed.push_str(&format!("[{status}]\n")),
        }
        printed
    }
}
