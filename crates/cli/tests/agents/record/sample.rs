//! Where samples go, and those that an agent prints when it runs without a person. A sample that differs is told of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use oarlock_model::drive::Agent;

use super::scrub::Scrub;
use crate::harness::wait;
use crate::stage::Stage;

/// Longest that a run without a person may take; the slowest takes ten seconds on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// What is played, as what, and whether it fails. The readers' tests know by the name what is a failure.
const PLAYED: [(&str, &str); 4] = [
    ("recorded_commit", "[[play:commit file=tea.txt text=green]] Make tea."),
    ("recorded_think", "[[play:think]] Good morning."),
    ("recorded_failing_tool", "[[play:failing_tool]] Try it."),
    ("err_recorded_bad_request", "[[play:bad_request]] Let me in."),
];

/// The samples of an agent.
pub struct Samples {
    folder: PathBuf,
}

impl Samples {
    pub fn of(agent: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/samples").join(agent);
        Self { folder }
    }

    /// Writes a sample, and says what became of it.
    pub fn put(&mut self, name: &str, text: String) {
        let path = self.folder.join(name);
        let before = fs::read_to_string(&path).ok();
        let word = match &before {
            None => "new".to_owned(),
            Some(before) if *before == text => "as it was".to_owned(),
            Some(before) => {
                let same = before.lines().zip(text.lines()).take_while(|(old, new)| old == new).count();
                format!(
                    "differs from line {} on: {} lines, were {}",
                    same + 1,
                    text.lines().count(),
                    before.lines().count()
                )
            }
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        eprintln!("{}: {word}", path.strip_prefix(&self.folder).unwrap().display());
    }
}

/// Records what the agent prints when it is run without a person.
pub fn streams(program: Agent, stage: &Stage, samples: &mut Samples) {
    for (name, prompt) in PLAYED {
        let mut command = stage.crew.program(program.name(), &[]);
        command.args(program.headless(prompt)).env("TERM", "xterm-256color");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let read = |mut from: Box<dyn std::io::Read + Send>| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                from.read_to_end(&mut bytes).unwrap();
                String::from_utf8_lossy(&bytes).into_owned()
            })
        };
        let (out, err) = (read(Box::new(out)), read(Box::new(err)));
        let status = wait(PATIENCE, || child.try_wait().unwrap());
        if status.is_none() {
            child.kill().unwrap();
        }
        let status = status.unwrap_or_else(|| panic!("{name} hangs"));
        let mut scrub = Scrub::new(stage, &stage.crew.repo, None);
        let text: String = out.join().unwrap().lines().map(|line| scrub.line(line) + "\n").collect();
        samples.put(&format!("stream/{name}.jsonl"), text);
        if !status.success() {
            samples.put(&format!("stream/{name}.exit"), format!("{}\n", status.code().unwrap_or(1)));
            let text: String = err.join().unwrap().lines().map(|line| scrub.line(line) + "\n").collect();
            if !text.trim().is_empty() {
                samples.put(&format!("stream/{name}.stderr"), text);
            }
        }
    }
}
