//! How a run of a gate is laid out: what it is told, where it works, and what it is held to.

use std::fs;
use std::path::{Path, PathBuf};

use oarlock_agents::Agent;
use oarlock_core::plan;
use oarlock_core::playbook::gate::{BuildBrief, CheckBrief, GateBrief, JudgeBrief};
use oarlock_core::session::fact::{Brief, Permissions, Trouble};

use super::{bench, bench_folder, checks, confine, found, protected, told, verdict};
use crate::config::Config;
use crate::git::{Git, Oid};
use crate::relay::plan_file;
use crate::run::digest;
use crate::run::{Start, Surroundings};
use crate::{trouble, workspace};

/// Bytes of a change that are kept for an overseer to read.
const DIFF_BYTES_MAX: usize = 8 << 20;

/// What is particular to a run of a gate.
pub(crate) struct Part {
    /// What it is told.
    pub prompt: String,
    /// Where it works.
    pub workspace: String,
    /// Variables it is given.
    pub env: Vec<(String, String)>,
    /// What stands before its command line.
    pub prefix: Vec<String>,
    /// What it may do without asking, when that is not for its session to say.
    pub permissions: Option<Permissions>,
    /// What is run instead of an agent.
    pub argv: Option<Vec<String>>,
}

/// Lays out a run.
pub(crate) fn of(
    around: &Surroundings<'_>,
    want: &Start<'_>,
    gate: &GateBrief,
    agent: &dyn Agent,
) -> Result<Part, Trouble> {
    let repository = Path::new(&want.brief.repository);
    let options = want.brief.playbook.gate();
    let is_confined = options.is_some_and(|options| options.is_confined);
    let layout = Layout {
        around,
        want,
        agent,
        repository,
        spec_file: plan_file(around.state, options.map_or("", |options| options.spec.digest.as_str())),
        protect: is_confined.then(|| protected(repository, around.state)),
    };
    match gate {
        GateBrief::Build(brief) => layout.build(brief),
        GateBrief::Judge(brief) => layout.judge(brief),
        GateBrief::Check(brief) => layout.check(brief),
    }
}

/// What all runs of a gate have in common.
struct Layout<'a> {
    around: &'a Surroundings<'a>,
    want: &'a Start<'a>,
    agent: &'a dyn Agent,
    repository: &'a Path,
    spec_file: PathBuf,
    /// What it must not change; `None` where it is not held.
    protect: Option<Vec<PathBuf>>,
}

impl Layout<'_> {
    /// Returns what stands before a command line so that it is held to some folders.
    fn prefix(&self, open: &[&Path]) -> Vec<String> {
        let Some(protect) = self.protect.clone() else { return vec![] };
        let open = open.iter().map(|path| path.to_path_buf()).collect();
        confine::Places { protect, open }.prefix(self.around.oarlock)
    }

    fn spec(&self) -> Result<String, Trouble> {
        let bytes = fs::read(&self.spec_file)
            .map_err(|error| trouble::io("read the spec", &self.spec_file, &error))?;
        plan::decode(&bytes).map(|(text, _)| text).map_err(|no| trouble::new(no.code(), no.message()))
    }

    fn build(&self, brief: &BuildBrief) -> Result<Part, Trouble> {
        let workspace = Path::new(self.want.workspace);
        let spec = self.spec()?;
        Ok(Part {
            prompt: if self.agent.carries_out_scripts() {
                script(&spec, &format!("Round {}", brief.round))
            } else {
                told::build(
                    brief,
                    (&spec, &self.spec_file),
                    &digest::commits(workspace, self.around.base),
                    self.around.oarlock,
                )
            },
            workspace: self.want.workspace.into(),
            env: vec![("OARLOCK_ROUND".into(), brief.round.to_string())],
            prefix: self.prefix(&[self.around.folder, workspace]),
            permissions: None,
            argv: None,
        })
    }

    fn judge(&self, brief: &JudgeBrief) -> Result<Part, Trouble> {
        let folder = bench_folder(self.around.state, self.around.session, self.want.run);
        let diff = judged(self.repository, &folder, brief, &self.spec_file)?;
        let verdict = verdict::file(self.around.folder);
        let spec = self.spec()?;
        Ok(Part {
            prompt: if self.agent.carries_out_scripts() {
                script(&spec, &format!("Verdict {}", brief.round))
            } else {
                told::judge(
                    brief,
                    (&spec, &self.spec_file),
                    (&diff, &folder.join("change.diff")),
                    self.around.oarlock,
                )
            },
            workspace: folder.join("tree").to_string_lossy().into_owned(),
            env: vec![
                ("OARLOCK_ROUND".into(), brief.round.to_string()),
                (verdict::FILE.into(), verdict.to_string_lossy().into_owned()),
                (verdict::BINDING.into(), brief.binding.clone()),
            ],
            prefix: self.prefix(&[self.around.folder]),
            // It is held by the system, and asks nobody.
            permissions: self.protect.is_some().then_some(Permissions::Bypass),
            argv: None,
        })
    }

    fn check(&self, brief: &CheckBrief) -> Result<Part, Trouble> {
        let folder = bench_folder(self.around.state, self.around.session, self.want.run);
        let tree = folder.join("tree");
        // It has to be there to be opened.
        fs::create_dir_all(&tree).map_err(|error| trouble::io("make a checkout", &tree, &error))?;
        let prefix = self.prefix(&[&tree]);
        checked(self.repository, &tree, self.want.brief, brief, &prefix)?;
        let job = job(self.repository, &tree, prefix, self.want.run, brief, self.around.folder)?;
        let file = self.around.folder.join("checks.json");
        let bytes = serde_json::to_vec(&job).unwrap_or_default();
        fs::write(&file, bytes).map_err(|error| trouble::io("write what is to be checked", &file, &error))?;
        let argv = [self.around.oarlock, Path::new("checks"), &file];
        Ok(Part {
            prompt: String::new(),
            workspace: tree.to_string_lossy().into_owned(),
            env: vec![],
            prefix: vec![],
            permissions: None,
            argv: Some(argv.map(|word| word.to_string_lossy().into_owned()).to_vec()),
        })
    }
}

/// Makes the overseer's checkout with what lies beside it, and returns the change.
fn judged(repository: &Path, folder: &Path, brief: &JudgeBrief, spec_file: &Path) -> Result<String, Trouble> {
    let home =
        workspace::home(repository).map_err(|error| trouble::error(error.code(), "The project", &error))?;
    bench::make(&home.common_dir, brief.exam.candidate.as_str(), &folder.join("tree"))?;
    let args = ["diff", "--no-color", "--no-ext-diff", "--no-textconv", "--stat", "--patch"];
    let range = [brief.exam.base.as_str(), brief.exam.candidate.as_str()];
    let call = Git::at(&home.root).reads("read the change").args(args).args(range);
    let answer = call.cut_at(DIFF_BYTES_MAX).run();
    let answer =
        answer.map_err(|error| trouble::error("git_failed", "The change could not be read", &error))?;
    let diff = oarlock_core::text::clean(&String::from_utf8_lossy(&answer.stdout));
    let written = fs::write(folder.join("change.diff"), &diff)
        .and_then(|()| fs::copy(spec_file, folder.join("spec.md")).map(drop));
    written.map_err(|error| trouble::io("write what is to be judged", folder, &error))?;
    Ok(diff)
}

/// Makes the checks' checkout, set up as every workspace of the project is.
fn checked(
    repository: &Path,
    tree: &Path,
    session: &Brief,
    brief: &CheckBrief,
    prefix: &[String],
) -> Result<(), Trouble> {
    let home =
        workspace::home(repository).map_err(|error| trouble::error(error.code(), "The project", &error))?;
    bench::make(&home.common_dir, brief.exam.candidate.as_str(), tree)?;
    let config = Config::read(repository).map_err(|error| crate::config::trouble(&error))?;
    let env = vec![
        ("OARLOCK_WORKSPACE".into(), tree.to_string_lossy().into_owned()),
        ("OARLOCK_PORT".into(), session.ports.first.to_string()),
        ("OARLOCK_PORT_COUNT".into(), session.ports.count.to_string()),
    ];
    let (setup, _) = config.setup(env);
    workspace::set_up(&home, tree, &setup, prefix)
        .map_err(|error| trouble::error(error.code(), "The checks' checkout could not be set up", &error))
}

fn job(
    repository: &Path,
    tree: &Path,
    prefix: Vec<String>,
    run: oarlock_core::ids::RunId,
    brief: &CheckBrief,
    folder: &Path,
) -> Result<checks::Job, Trouble> {
    let git = Git::at(repository);
    let before = brief.exam.merge_base.as_str();
    let scripts = |command: &str| match Oid::parse(before) {
        Some(fork) => found::scripts_of(&git, &fork, command),
        None => vec![],
    };
    let checks = brief.checks.iter().map(|check| {
        let mut edited = scripts(&check.command);
        edited.retain(|path| brief.exam.edited.contains(path));
        (check.clone(), edited)
    });
    Ok(checks::Job {
        tree: tree.to_path_buf(),
        prefix,
        checks: checks.collect(),
        before: before.into(),
        folder: folder.to_path_buf(),
        run,
    })
}

/// Returns the lines of a spec that an agent carries out which reads no prose: those under a heading that names its part.
fn script(spec: &str, part: &str) -> String {
    let mut script = String::new();
    let mut is_mine = false;
    for line in spec.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            is_mine = heading.trim() == part;
        } else if is_mine && let Some(step) = line.strip_prefix("- ") {
            script += step;
            script.push('\n');
        }
    }
    script
}
