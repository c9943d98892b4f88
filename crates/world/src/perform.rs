//! The real world behind the engine: each wanted effect mapped to what carries it out, its result to facts.

mod land;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oarlock_core::ids::{Oid, RunId, SessionId, TrashId};
use oarlock_core::machine::{Key, Scope};
use oarlock_core::playbook::relay::Ask;
use oarlock_core::session::fact::{Adopted, Brief, Fact, Farewell, Trouble, Work, WorkspaceKind};
use oarlock_core::session::{Activity, Checkout, Effect, Session};
use oarlock_engine::{Handle, Job, Perform};
use tracing::{info, warn};

use land::LandJob;

use crate::config::{self, Config};
use crate::gate;
use crate::observe::screens::{Looker, sight};
use crate::observe::{Head, Inbox, Observer, Tell};
use crate::relay;
use crate::run::talk::Party;
use crate::run::watch::{Watch, Watched};
use crate::run::{self, Start, Surroundings, inbox};
use crate::workspace::{self, Adopt, Kind, RemoveWant, Setup, Want};
use crate::{trash, trouble};

/// Where the world keeps what it makes.
#[derive(Clone, Debug)]
pub struct Folders {
    /// The state folder.
    pub state: PathBuf,
    /// Runs: `<session>/<run>`.
    pub runs: PathBuf,
    /// Workspaces: `<project>/<name>-<id>`.
    pub workspaces: PathBuf,
    /// The program whose hidden verbs are the host and the scripted agent.
    pub oarlock: PathBuf,
}

/// Makes the capability of a run: session and run in, token out.
pub type IssueToken = Box<dyn Fn(&str, u32) -> String + Send + Sync>;

/// The real world.
pub struct World {
    folders: Folders,
    engine: Handle,
    issue: IssueToken,
    watch: Watch,
    observer: Observer,
    looker: Looker,
}

impl World {
    /// Opens the eyes of the world.
    ///
    /// # Errors
    /// When the system has no handles left for it.
    pub fn start(folders: Folders, engine: Handle, issue: IssueToken) -> io::Result<Arc<Self>> {
        let to_engine = engine.clone();
        let tell: Tell = Arc::new(move |session, facts| to_engine.seen(session, facts));
        let looker = Looker::start(tell.clone())?;
        let observer = Observer::start(tell, |workspace, base, branch| {
            read_work(workspace, base, branch).ok().map(Fact::WorkSeen)
        })?;
        let watch = Watch::start(observer.last_look())?;
        Ok(Arc::new(Self { folders, engine, issue, watch, observer, looker }))
    }

    /// Returns the program whose hidden verbs hold and judge.
    #[must_use]
    pub fn oarlock(&self) -> &Path {
        &self.folders.oarlock
    }

    fn run_folder(&self, session: &SessionId, run: RunId) -> PathBuf {
        self.folders.runs.join(session.as_str()).join(run.to_string())
    }

    fn prepare(&self, session: &SessionId, brief: &Brief) -> Result<Vec<Fact>, Trouble> {
        let repository = PathBuf::from(&brief.repository);
        let config = Config::read(&repository).map_err(|error| Trouble {
            hint: "Correct it, then \"oarlock resume\".".into(),
            ..config::trouble(&error)
        })?;
        let default_branch = config.project.default_branch.clone();
        let path = self.place_of(brief, "");
        let env = vec![
            ("OARLOCK_WORKSPACE".into(), path.to_string_lossy().into_owned()),
            ("OARLOCK_PORT".into(), brief.ports.first.to_string()),
            ("OARLOCK_PORT_COUNT".into(), brief.ports.count.to_string()),
        ];
        let (setup, left_out) = config.setup(env);
        let want = Want {
            repository,
            path,
            branch: brief.branch.clone(),
            base: brief.base.clone().or(default_branch),
            kind: kind(brief.workspace),
            id: session.0.clone(),
            // What somebody made is theirs to set up.
            setup: if is_adopted_whole(brief) { Setup::default() } else { setup },
            adopt: adopt(brief),
        };
        let ready = workspace::prepare(&want).map_err(|error| of_workspace(&error))?;
        let mut notes: Vec<String> = ready
            .skipped
            .iter()
            .map(|skipped| format!("Setup left out {}: {:?}.", skipped.path, skipped.why))
            .collect();
        notes.extend(left_out);
        notes.extend(
            ready.moved_aside.iter().map(|to| format!("What lay in its place went to {}.", to.display())),
        );
        notes.extend(ready.hook_failed.iter().map(|said| format!("The post-checkout hook failed: {said}")));
        Ok(vec![workspace_ready(&ready, notes)])
    }

    fn start_run(&self, session: &SessionId, want: &Start<'_>) -> Result<Vec<Fact>, Trouble> {
        let (run, workspace) = (want.run, want.workspace);
        let (name, base) = {
            let crew = self.engine.crew();
            let state = crew.sessions.get(session).map(|scope| &scope.state);
            let base = state.and_then(Session::place).map(|place| place.base.0.clone());
            (state.map(|state| state.name.0.clone()).unwrap_or_default(), base.unwrap_or_default())
        };
        let around = Surroundings {
            oarlock: &self.folders.oarlock,
            state: &self.folders.state,
            folder: &self.run_folder(session, run),
            session,
            name: &name,
            base: &base,
            token: (self.issue)(session.as_str(), run.0),
        };
        let mut facts = Vec::new();
        if !Path::new(workspace).exists() {
            // Somebody deleted it; what is on its branch can be had again.
            facts = self.prepare(session, want.brief)?;
        }
        facts.extend(run::start(&around, want)?);
        Ok(facts)
    }

    /// Types a message, unless a turn began since it was wanted: a dialog may come up in it, and would take the text for
    /// its answer.
    fn deliver(
        &self,
        session: &SessionId,
        run: RunId,
        id: &oarlock_core::ids::MessageId,
        text: &str,
        mid_turn: bool,
    ) -> Vec<Fact> {
        let folder = self.run_folder(session, run);
        let known = {
            let crew = self.engine.crew();
            crew.sessions.get(session).and_then(|scope| {
                let live = scope.state.live_run().filter(|live| live.id == run)?;
                let takes = match live.activity {
                    Activity::Working => mid_turn,
                    _ => scope.state.takes_messages(),
                };
                takes.then_some(live.cursor)
            })
        };
        let may_type = known.is_some_and(|cursor| match mid_turn {
            true => !inbox::dialog_is_up(&folder, cursor),
            false => !inbox::turn_is_under_way(&folder, cursor),
        });
        if !may_type {
            return vec![Fact::MessageHeld { message: id.clone() }];
        }
        self.with_party(session, run, |party| party.deliver(id, text, mid_turn))
    }

    /// Asks the agent of a leg something. Whether it heard is seen by what it does.
    fn ask(&self, session: &SessionId, run: RunId, ask: Ask, mid_turn: bool) -> Vec<Fact> {
        let words = match self.is_gate(session) {
            true => gate::ASK.to_owned(),
            false => relay::words(ask, &self.run_folder(session, run)),
        };
        let id = oarlock_core::ids::MessageId(format!("ask-{session}-{run}-{}", ask.word()));
        drop(self.deliver(session, run, &id, &words, mid_turn));
        vec![Fact::Asked { run, ask }]
    }

    fn is_gate(&self, session: &SessionId) -> bool {
        self.engine.crew().sessions.get(session).is_some_and(|scope| scope.state.gate.is_some())
    }

    /// Returns a message's text; none of one that is long gone.
    fn text_of(&self, session: &SessionId, id: &oarlock_core::ids::MessageId) -> String {
        let crew = self.engine.crew();
        let messages = crew.sessions.get(session).map(|scope| scope.state.messages.as_slice());
        let message = messages.unwrap_or_default().iter().find(|message| message.id == *id);
        message.map(|message| message.text.clone()).unwrap_or_default()
    }

    /// Talks to a run; one of which nothing is known any more says nothing.
    fn with_party(
        &self,
        session: &SessionId,
        run: RunId,
        talk: impl FnOnce(&Party<'_>) -> Vec<Fact>,
    ) -> Vec<Fact> {
        let folder = self.run_folder(session, run);
        let known = {
            let crew = self.engine.crew();
            let brief = crew.sessions.get(session).and_then(|scope| scope.state.brief.as_ref());
            brief.and_then(|brief| Some((oarlock_agents::find(&brief.agent.name)?, brief.agent.hold)))
        };
        let Some((agent, hold)) = known else { return vec![] };
        talk(&Party { folder: &folder, run, agent, hold })
    }

    /// Returns the repository of a session's project.
    fn project_of(&self, session: &SessionId) -> Result<PathBuf, Trouble> {
        let crew = self.engine.crew();
        let brief = crew.sessions.get(session).and_then(|scope| scope.state.brief.as_ref());
        let repository = brief.map(|brief| PathBuf::from(&brief.repository));
        repository.ok_or_else(|| trouble::new("not_found", "There is no such session.".into()))
    }

    fn remove(
        &self,
        job: &Job,
        brief: &Brief,
        path: &str,
        trash: &TrashId,
        why: Farewell,
    ) -> Result<Vec<Fact>, Trouble> {
        let want = RemoveWant {
            repository: PathBuf::from(&brief.repository),
            path: self.place_of(brief, path),
            id: job.session.0.clone(),
            trash_id: trash.0.clone(),
            reason: farewell(why).into(),
            // A branch that was there before is not oarlock's to delete.
            delete_branch: why != Farewell::Forgotten && brief.adopted == Adopted::Nothing,
            even_in_use: false,
        };
        // Letting go of a worktree that somebody made is giving it back.
        let gives_back = why == Farewell::Forgotten && is_adopted_whole(brief);
        if gives_back && workspace::give_back(&want).map_err(|error| of_workspace(&error))? {
            return Ok(vec![Fact::WorkspaceRemoved { trash: None, branch_kept: true }]);
        }
        let removed = workspace::remove(&want).map_err(|error| of_workspace(&error))?;
        if brief.playbook.gate().is_some() {
            gate::let_go(&want.repository, &self.folders.state, &job.session);
        }
        info!(session = %job.session, kept = removed.kept.is_some(), "workspace removed");
        Ok(vec![Fact::WorkspaceRemoved {
            trash: removed.kept.map(|entry| TrashId(entry.id)),
            branch_kept: matches!(
                removed.branch,
                workspace::BranchLeft::Left | workspace::BranchLeft::CheckedOut(_)
            ),
        }])
    }

    /// Returns where a workspace is: as it was reported, or, when it never was, where it would have been made.
    fn place_of(&self, brief: &Brief, reported: &str) -> PathBuf {
        match (reported, &brief.adopted) {
            ("", Adopted::Worktree(path)) => PathBuf::from(path),
            ("", _) => self.folders.workspaces.join(brief.project.as_str()).join(&brief.folder),
            (path, _) => PathBuf::from(path),
        }
    }

    fn restore(
        &self,
        job: &Job,
        brief: &Brief,
        checkout: &Checkout,
        trash: &TrashId,
    ) -> Result<Vec<Fact>, Trouble> {
        let want = trash::Restore {
            repository: PathBuf::from(&brief.repository),
            trash_id: trash.0.clone(),
            path: self.place_of(brief, &checkout.path),
            branch: Some(checkout.branch.clone()),
            adopted: adopt(brief),
            id: job.session.0.clone(),
        };
        let ready = trash::restore(&want).map_err(|error| {
            let mut trouble = trouble::error(error.code(), "It cannot be brought back", &error);
            trouble.hint = error.hint().unwrap_or_default();
            trouble
        })?;
        // Setup again brings back what the trash does not keep: ignored files. The work is back whatever becomes of it.
        let set_up = self.prepare(&job.session, &Brief { base: None, ..brief.clone() });
        let notes = set_up.err().map(|trouble| format!("Setup after the undo failed: {}", trouble.message));
        Ok(vec![workspace_ready(&ready, notes.into_iter().collect())])
    }

    fn try_perform(&self, job: &Job) -> Result<Vec<Fact>, Trouble> {
        let session = &job.session;
        match &job.effect {
            Effect::PrepareWorkspace { brief } => self.prepare(session, brief),
            Effect::StartRun { run, role, brief, workspace, prompt, conversation, again, leg, gate } => {
                let (run, role, again) = (*run, *role, *again);
                let (conversation, leg, gate) = (conversation.as_deref(), leg.as_ref(), gate.as_ref());
                self.start_run(
                    session,
                    &Start { run, role, brief, workspace, prompt, conversation, again, leg, gate },
                )
            }
            Effect::Ask { run, ask, mid_turn } => Ok(self.ask(session, *run, *ask, *mid_turn)),
            Effect::CloseLeg(close) => {
                let closed = relay::close(close, &self.run_folder(session, close.run))?;
                Ok(vec![Fact::LegClosed { run: close.run, closed }])
            }
            Effect::Examine(want) => gate::examine(want, session, &self.project_of(session)?)
                .map(|exam| vec![Fact::Examined(exam)]),
            Effect::ReadChecks { run } => {
                let bench = gate::bench_folder(&self.folders.state, session, *run);
                let checked = gate::checks::read(*run, &self.run_folder(session, *run), &bench);
                Ok(vec![Fact::Checked(checked)])
            }
            Effect::ReadVerdict(want) => {
                let bench = gate::bench_folder(&self.folders.state, session, want.run);
                let review = gate::verdict::read(want, &self.run_folder(session, want.run), &bench);
                Ok(vec![Fact::Reviewed { run: want.run, review }])
            }
            Effect::StopRun { run, grace_ms } => run::stop(&self.run_folder(session, *run), *grace_ms),
            Effect::Deliver { run, message, text, mid_turn, .. } => {
                Ok(self.deliver(session, *run, message, text, *mid_turn))
            }
            Effect::Press { run, message, number } => {
                let text = self.text_of(session, message);
                Ok(self.with_party(session, *run, |party| party.press(message, *number, &text)))
            }
            Effect::Interrupt { run, message } => {
                Ok(self.with_party(session, *run, |party| party.interrupt(message)))
            }
            Effect::Answer { run, given, ask, answer } => {
                Ok(self.with_party(session, *run, |party| party.answer(*given, ask.as_deref(), answer)))
            }
            Effect::SeekReceipt { run, message } => {
                Ok(run::talk::seek(&self.run_folder(session, *run), *run, message))
            }
            Effect::ReadWork { workspace, base, branch } => {
                read_work(Path::new(workspace), base, branch).map(|work| vec![Fact::WorkSeen(work)])
            }
            Effect::Land { brief, workspace, branch, base_branch, name, wish } => {
                let land = LandJob { brief, workspace, branch, base_branch, name, wish };
                self.land(job, &land).map(|fact| vec![fact])
            }
            Effect::RemoveWorkspace { brief, workspace, trash, why, .. } => {
                self.remove(job, brief, workspace, trash, *why)
            }
            Effect::RestoreWorkspace { brief, workspace, branch, base_branch, trash } => {
                let (path, branch, base_branch) = (workspace.clone(), branch.clone(), base_branch.clone());
                let checkout = Checkout { path, branch, base_branch, ..Checkout::default() };
                self.restore(job, brief, &checkout, trash)
            }
        }
    }
}

impl Perform for World {
    fn perform(&self, job: &Job) -> Vec<Fact> {
        self.try_perform(job).unwrap_or_else(|trouble| {
            warn!(session = %job.session, key = %job.key, code = trouble.code, "not performed");
            vec![failed(job.key.clone(), &job.effect, trouble)]
        })
    }

    fn changed(&self, id: &SessionId, scope: &Scope<Session>) {
        let session = &scope.state;
        let live = session.live_run().map(|live| (self.run_folder(id, live.id), live));
        let inbox = live.as_ref().map(|(folder, live)| Inbox {
            run: live.id,
            folder: folder.clone(),
            cursor: live.cursor,
        });
        let kind = session.brief.as_ref().map(|brief| brief.workspace).unwrap_or_default();
        // What a builder configured in a clone of its own is run by nobody: its work is looked at when it is claimed.
        let is_gate = session.gate.is_some();
        let head = session.checkout().filter(|_| !is_gate).map(|checkout| Head {
            workspace: PathBuf::from(&checkout.path),
            base: checkout.counts_from(kind),
            branch: checkout.branch.clone(),
            seen: session.work.as_ref().map(|(work, _)| work.head.0.clone()),
        });
        // Looked at before it is watched: its end is taken in after its last report.
        self.observer.look(id, inbox, head);
        self.looker.look(id, live.as_ref().and_then(|(folder, live)| sight(session, folder, live)));
        if let Some((folder, live)) = live {
            self.watch.add(Watched { session: id.clone(), run: live.id, folder });
        }
    }
}

/// Turns a trouble into the fact its effect expects.
fn failed(key: Key, effect: &Effect, trouble: Trouble) -> Fact {
    // A full disk, a busy lock, a host that was slow may be better in a second; a wrong branch name is not.
    let transient = ["git_failed", "io_failed", "io", "host", "disk_full"].contains(&trouble.code.as_str());
    match effect {
        Effect::Land { .. } => Fact::LandRefused { key, trouble },
        Effect::RemoveWorkspace { .. } if !transient => Fact::RemovalRefused { key, trouble },
        Effect::RestoreWorkspace { .. } if !transient => Fact::UndoRefused { key, trouble },
        Effect::RemoveWorkspace { .. }
        | Effect::RestoreWorkspace { .. }
        | Effect::PrepareWorkspace { .. }
        | Effect::StartRun { .. }
        | Effect::StopRun { .. }
        | Effect::Deliver { .. }
        | Effect::Press { .. }
        | Effect::Interrupt { .. }
        | Effect::Ask { .. }
        | Effect::CloseLeg(_)
        | Effect::Examine(_)
        | Effect::ReadChecks { .. }
        | Effect::ReadVerdict(_)
        | Effect::Answer { .. }
        | Effect::SeekReceipt { .. }
        | Effect::ReadWork { .. } => Fact::PerformFailed { key, trouble, transient },
    }
}

fn kind(kind: WorkspaceKind) -> Kind {
    match kind {
        WorkspaceKind::Worktree => Kind::Worktree,
        WorkspaceKind::Clone => Kind::Clone,
    }
}

fn adopt(brief: &Brief) -> Adopt {
    match &brief.adopted {
        Adopted::Nothing => Adopt::Nothing,
        Adopted::Branch => Adopt::Branch,
        Adopted::Worktree(_) => Adopt::Worktree,
    }
}

fn is_adopted_whole(brief: &Brief) -> bool {
    adopt(brief) == Adopt::Worktree
}

fn core_oid(oid: &crate::git::Oid) -> Oid {
    Oid(oid.as_str().to_owned())
}

fn hinted(code: &str, message: String, hint: String) -> Trouble {
    Trouble { hint, ..trouble::new(code, message) }
}

fn of_workspace(error: &workspace::Error) -> Trouble {
    hinted(error.code(), trouble::sentence(error), error.hint().unwrap_or_default())
}

fn workspace_ready(ready: &workspace::Ready, notes: Vec<String>) -> Fact {
    Fact::WorkspaceReady {
        path: ready.path.to_string_lossy().into_owned(),
        branch: ready.branch.clone(),
        base_branch: ready.base_branch.clone(),
        base: core_oid(&ready.base),
        head: core_oid(&ready.head),
        notes,
        work: ready.untouched.then(|| Work { head: core_oid(&ready.head), ..Work::default() }),
    }
}

fn farewell(why: Farewell) -> &'static str {
    match why {
        Farewell::Landed => "landed",
        Farewell::Rejected => "rejected",
        Farewell::Forgotten => "forgotten",
        Farewell::Removed => "removed",
    }
}

/// Reads what git says of a workspace.
fn read_work(path: &Path, base: &str, branch: &str) -> Result<Work, Trouble> {
    let state = workspace::state(path, base).map_err(|error| of_workspace(&error))?;
    let strayed = state.branch.as_deref() != Some(branch);
    Ok(Work {
        head: state.head.as_ref().map(core_oid).unwrap_or_default(),
        strayed_to: strayed.then(|| state.branch.clone().unwrap_or_else(|| "a detached commit".into())),
        ahead: count(state.ahead),
        dirty: count(state.staged + state.unstaged + state.untracked + state.conflicted),
    })
}

/// Turns a count of git's into one of ours.
fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
