//! A fake outside: hosts, workspaces, a trash and a base branch, all of which outlive the daemon.
//!
//! It performs jobs as the real adapters do: what an earlier attempt under the same key or id left is adopted. It must
//! not know what the core wants or why. It writes down everything it ever did, for the invariants to judge.

pub(crate) mod gates;

use std::collections::{BTreeMap, BTreeSet};

use oarlock_core::ids::{MessageId, Oid, RunId, SessionId, TrashId};
use oarlock_core::machine::Key;
use oarlock_core::playbook::gate::Exam;
use oarlock_core::playbook::relay::{Ask, Close, Closed};
use oarlock_core::session::Effect;
use oarlock_core::session::fact::{Begun, Exit, Fact, LandWish, Receipt, Role, Trouble, Work};
use oarlock_engine::Job;

use crate::sabotage::Sabotage;

pub use gates::Judged;

/// How a host treats a message it has been given before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Typist {
    /// It remembers message ids, as the real host does.
    #[default]
    Remembers,
    /// It types whatever it is given: only the core's `Repeat::Never` stands between the agent and a repeat.
    TypesAnything,
}

/// How an attempt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Luck {
    /// As it should.
    Fine,
    /// Nothing is done, and trying again may help.
    Transient,
    /// Nothing is done, and trying again does not help.
    Fails,
    /// It is done, or half done, and reported as a failure that may pass.
    FailsHalfway,
    /// The world says no in its own words (conflicts, in use, not ready for words).
    Refuses,
}

/// The host of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where the agent works.
    pub workspace: String,
    /// How it ended, once it has.
    pub exit: Option<Exit>,
    /// Whether a permission dialog is on its screen.
    pub blocked: bool,
    /// Messages it was given.
    pub given: BTreeSet<MessageId>,
}

impl Host {
    /// Tells whether its child runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.exit.is_none()
    }
}

/// What a workspace holds: a number that no other workspace ever gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Whose it is.
    pub session: SessionId,
    /// Stands for the work in it.
    pub content: u64,
}

/// The outside.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Every host there ever was.
    pub hosts: BTreeMap<(SessionId, RunId), Host>,
    /// Workspaces on disk, by path.
    pub trees: BTreeMap<String, Tree>,
    /// What was taken away.
    pub trash: BTreeMap<TrashId, Tree>,
    /// Every workspace ever made.
    pub made: Vec<Tree>,
    /// Contents the user deleted by hand.
    pub vanished: BTreeSet<u64>,
    /// Merges into the base branch, in order.
    pub landings: Vec<(SessionId, Key)>,
    /// Everything ever typed, in order.
    pub typed: Vec<(SessionId, RunId, MessageId)>,
    /// What was typed although the process was gone.
    pub typed_into_the_dead: Vec<(SessionId, RunId, MessageId)>,
    /// Enters pressed again, and whether a dialog was up.
    pub pressed: Vec<(SessionId, RunId, MessageId, bool)>,
    /// Answers given, and whether a dialog was up.
    pub answered: Vec<(SessionId, RunId, u64, bool)>,
    /// What was checked, judged and landed of gates.
    pub judged: Judged,
    /// What runs of gates were given to check or to judge.
    pub checked: BTreeMap<(SessionId, RunId), Exam>,
    /// What agents of legs were asked.
    pub asked_legs: Vec<(SessionId, RunId, Ask)>,
    /// Processes started, in order.
    pub starts: Vec<(SessionId, RunId)>,
    /// Workspaces taken away while something ran in them.
    pub removed_under_a_run: Vec<String>,
    /// Workspaces brought back: what had been taken away, and what came.
    pub restored: Vec<(u64, Option<u64>)>,
    /// How hosts treat repeats.
    pub typist: Typist,
    /// How it misbehaves.
    pub sabotage: Option<Sabotage>,
}

fn trouble(code: &str, message: &str) -> Trouble {
    Trouble { code: code.into(), message: message.into(), hint: String::new(), paths: vec![] }
}

fn failed(job: &Job, transient: bool) -> Vec<Fact> {
    let trouble = trouble("io", "The disk said no.");
    vec![Fact::PerformFailed { key: job.key.clone(), trouble, transient }]
}

impl World {
    /// Makes an empty outside.
    #[must_use]
    pub fn new(typist: Typist, sabotage: Option<Sabotage>) -> Self {
        Self { typist, sabotage, ..Self::default() }
    }

    /// Performs a job, and returns what came of it.
    pub fn perform(&mut self, job: &Job, luck: Luck) -> Vec<Fact> {
        match luck {
            Luck::Transient => return failed(job, true),
            // What was done already cannot turn out to be impossible.
            Luck::Fails if !self.is_done(job) => return failed(job, false),
            Luck::Fine | Luck::Fails | Luck::FailsHalfway | Luck::Refuses => {}
        }
        let facts = match &job.effect {
            Effect::PrepareWorkspace { brief } => self.prepare(&job.session, &brief.branch),
            Effect::StartRun { run, role, workspace, .. } => {
                self.give(job);
                self.start(job, *run, *role, workspace, luck)
            }
            Effect::Examine(want) => self.examine(&job.session, want, luck),
            Effect::ReadChecks { run } => self.read_checks(&job.session, *run),
            Effect::ReadVerdict(want) => self.read_verdict(&job.session, want),
            Effect::StopRun { run, grace_ms } => {
                let end = self.stop(&job.session, *run, *grace_ms);
                // The real adapter leaves the end to whoever watches the processes.
                if luck == Luck::Refuses { vec![] } else { end }
            }
            Effect::Deliver { run, message, .. } => self.deliver(&job.session, *run, message, luck),
            Effect::Press { run, message, number } => self.press(&job.session, *run, message, *number),
            Effect::Interrupt { run, message } => {
                vec![Fact::Interrupted { message: message.clone(), run: *run }]
            }
            Effect::Ask { run, ask, .. } => {
                self.asked_legs.push((job.session.clone(), *run, *ask));
                if self.sabotage == Some(Sabotage::AsksAgain) {
                    self.asked_legs.push((job.session.clone(), *run, *ask));
                }
                vec![Fact::Asked { run: *run, ask: *ask }]
            }
            Effect::CloseLeg(close) => self.close_leg(&job.session, close),
            Effect::Answer { run, given, .. } => self.answer(&job.session, *run, *given, luck),
            Effect::SeekReceipt { run, message } => self.receipt(&job.session, *run, message),
            Effect::ReadWork { workspace, .. } => self.read(workspace),
            Effect::Land { base_branch, wish, .. } => self.land(job, base_branch, wish, luck),
            Effect::RemoveWorkspace { trash, .. } => self.remove(job, trash, luck),
            Effect::RestoreWorkspace { trash, branch, .. } => self.restore(job, trash, branch, luck),
        };
        let lies = self.sabotage == Some(Sabotage::LandsAndDenies)
            && facts.iter().any(|fact| matches!(fact, Fact::Landed { .. }));
        if lies {
            let trouble = trouble("conflicts", "It does not merge.");
            return vec![Fact::LandRefused { key: job.key.clone(), trouble }];
        }
        // Nothing may fail after it changed the base branch or moved a workspace: those answer for themselves.
        let halfway = luck == Luck::FailsHalfway
            && matches!(job.effect, Effect::PrepareWorkspace { .. } | Effect::Deliver { .. });
        if halfway { failed(job, true) } else { facts }
    }

    /// Tells whether an earlier attempt left what a job is to do.
    fn is_done(&self, job: &Job) -> bool {
        let there = self.trees.contains_key(&Self::place(&job.session));
        match &job.effect {
            Effect::PrepareWorkspace { .. } | Effect::RestoreWorkspace { .. } => there,
            Effect::RemoveWorkspace { .. } => !there,
            Effect::StartRun { run, .. } => self.hosts.contains_key(&(job.session.clone(), *run)),
            Effect::Land { .. } => self.landings.iter().any(|(session, _)| *session == job.session),
            Effect::StopRun { .. }
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
            | Effect::ReadWork { .. } => false,
        }
    }

    /// Returns where a session's workspace goes.
    #[must_use]
    pub fn place(session: &SessionId) -> String {
        format!("/ws/{session}")
    }

    /// Tells that a workspace is there; one that is new is known to be clean.
    fn ready(path: String, branch: &str, is_new: bool) -> Vec<Fact> {
        vec![Fact::WorkspaceReady {
            path,
            branch: branch.into(),
            base_branch: "main".into(),
            base: Oid::from("c0"),
            head: Oid::from("c0"),
            notes: vec![],
            work: is_new.then(|| Work { head: Oid::from("c0"), ..Work::default() }),
        }]
    }

    fn prepare(&mut self, session: &SessionId, branch: &str) -> Vec<Fact> {
        let path = Self::place(session);
        let is_new = !self.trees.contains_key(&path);
        if is_new {
            let tree = Tree { session: session.clone(), content: self.made.len() as u64 };
            self.made.push(tree.clone());
            self.trees.insert(path.clone(), tree);
        }
        Self::ready(path, branch, is_new)
    }

    fn start(&mut self, job: &Job, run: RunId, role: Role, workspace: &str, luck: Luck) -> Vec<Fact> {
        let id = (job.session.clone(), run);
        let fresh = !self.hosts.contains_key(&id) || self.sabotage == Some(Sabotage::StartsTwice);
        if fresh {
            if !self.trees.contains_key(workspace) {
                return failed(job, false);
            }
            self.starts.push(id.clone());
            let exit = (luck == Luck::Refuses).then(|| Exit::NotStarted("no such program".into()));
            let host = Host { workspace: workspace.into(), exit, blocked: false, given: BTreeSet::new() };
            if self.sabotage == Some(Sabotage::StartsAnother) {
                self.hosts.insert((job.session.clone(), RunId(run.0 + 1_000)), host.clone());
            }
            self.hosts.insert(id.clone(), host);
        }
        let mut facts = vec![Fact::RunStarted { run, role, host_pid: 100 + run.0, begun: Begun::Fresh }];
        facts.extend(self.ended(&job.session, run));
        facts
    }

    /// Returns the end of a run, when it has come.
    #[must_use]
    pub fn ended(&self, session: &SessionId, run: RunId) -> Option<Fact> {
        let exit = match self.hosts.get(&(session.clone(), run)) {
            Some(host) => host.exit.clone()?,
            None => Exit::Unknown,
        };
        Some(Fact::RunEnded { run, exit, last_words: String::new() })
    }

    fn stop(&mut self, session: &SessionId, run: RunId, grace_ms: u64) -> Vec<Fact> {
        if self.sabotage == Some(Sabotage::RemovesBeforeStopping) {
            self.take_away(session, &TrashId::from("sabotage"));
        }
        if let Some(host) = self.hosts.get_mut(&(session.clone(), run)) {
            let signal = if grace_ms == 0 { 9 } else { 15 };
            host.exit.get_or_insert(Exit::Signal(signal));
        }
        self.ended(session, run).into_iter().collect()
    }

    fn deliver(&mut self, session: &SessionId, run: RunId, message: &MessageId, luck: Luck) -> Vec<Fact> {
        let typist = self.typist;
        let dead_too = self.sabotage == Some(Sabotage::TypesIntoTheDead);
        let Some(host) = self.hosts.get_mut(&(session.clone(), run)) else {
            return not_typed(message, "no_host");
        };
        if luck == Luck::Refuses && host.blocked {
            return vec![Fact::MessageHeld { message: message.clone() }];
        }
        if luck == Luck::Refuses || (!host.is_alive() && !dead_too) {
            return not_typed(message, "not_ready");
        }
        let known = !host.given.insert(message.clone());
        let entry = (session.clone(), run, message.clone());
        if !host.is_alive() {
            self.typed_into_the_dead.push(entry.clone());
        }
        if !known || typist == Typist::TypesAnything {
            self.typed.push(entry.clone());
        }
        match self.sabotage {
            Some(Sabotage::TypesTwice) => self.typed.push(entry),
            Some(Sabotage::AnswersNothing) => return vec![],
            _ => {}
        }
        vec![Fact::MessageReceipt { message: message.clone(), run, receipt: Receipt::Typed }]
    }

    fn press(&mut self, session: &SessionId, run: RunId, message: &MessageId, number: u32) -> Vec<Fact> {
        let Some(host) = self.hosts.get_mut(&(session.clone(), run)).filter(|host| host.is_alive()) else {
            return vec![];
        };
        // A dialog takes an Enter for its answer: the host looks first.
        if !host.blocked || self.sabotage == Some(Sabotage::PressesInDialogs) {
            let id = MessageId(format!("{message}.{number}"));
            if host.given.insert(id.clone()) || self.typist == Typist::TypesAnything {
                self.pressed.push((session.clone(), run, id, host.blocked));
            }
        }
        vec![Fact::Pressed { message: message.clone(), number }]
    }

    fn answer(&mut self, session: &SessionId, run: RunId, given: u64, luck: Luck) -> Vec<Fact> {
        let host = self.hosts.get_mut(&(session.clone(), run)).filter(|host| host.is_alive());
        let Some(host) = host.filter(|_| luck != Luck::Refuses) else {
            let trouble = trouble("not_ready", "It does not ask.");
            return vec![Fact::AnswerCarried { given, trouble: Some(trouble) }];
        };
        let is_new = host.given.insert(MessageId(format!("answer-{given}")));
        if is_new || self.sabotage == Some(Sabotage::AnswersAgain) {
            self.answered.push((session.clone(), run, given, host.blocked));
            host.blocked = false;
        }
        vec![Fact::AnswerCarried { given, trouble: None }]
    }

    fn close_leg(&self, session: &SessionId, close: &Close) -> Vec<Fact> {
        let content = self.trees.get(&close.workspace).map_or(0, |tree| tree.content);
        // Every second leg commits something.
        let head = Oid(format!("c{content}-{}", close.run.0 / 2));
        let (is_derived, baton) =
            (close.run.0.is_multiple_of(3), format!("{session} leg {}", close.run.0 / 2));
        let closed =
            Closed { head, commits: 1, dirty: 0, baton, is_derived, faults: vec![], plan_edited: false };
        vec![Fact::LegClosed { run: close.run, closed }]
    }

    fn receipt(&self, session: &SessionId, run: RunId, message: &MessageId) -> Vec<Fact> {
        match self.hosts.get(&(session.clone(), run)) {
            Some(host) if host.given.contains(message) => {
                vec![Fact::MessageReceipt { message: message.clone(), run, receipt: Receipt::Typed }]
            }
            _ => not_typed(message, "not_typed"),
        }
    }

    fn read(&self, workspace: &str) -> Vec<Fact> {
        let Some(tree) = self.trees.get(workspace) else { return vec![] };
        let head = Oid(format!("c{}", tree.content));
        vec![Fact::WorkSeen(Work { head, strayed_to: None, ahead: 1, dirty: 0 })]
    }

    fn land(&mut self, job: &Job, onto: &str, wish: &LandWish, luck: Luck) -> Vec<Fact> {
        let entry = (job.session.clone(), job.key.clone());
        // What the base branch has already is not merged again, whichever wish it came by.
        let lands_again = matches!(self.sabotage, Some(Sabotage::LandsAgain | Sabotage::LandsAndDenies));
        let known = self.landings.iter().any(|(session, _)| *session == job.session);
        if !known || lands_again {
            let in_the_way = luck == Luck::Refuses || !self.trees.contains_key(&Self::place(&job.session));
            if in_the_way && !known {
                let trouble = trouble("conflicts", "It does not merge.");
                return vec![Fact::LandRefused { key: job.key.clone(), trouble }];
            }
            if !self.lands_approved(job, wish) && !known {
                let trouble = trouble("base_moved", "The base moved.");
                return vec![Fact::LandRefused { key: job.key.clone(), trouble }];
            }
            self.landings.push(entry);
        }
        vec![Fact::Landed {
            key: job.key.clone(),
            oid: Oid(format!("m-{}", job.key)),
            base_before: Oid::from("c0"),
            head: Oid::from("c1"),
            onto: onto.into(),
            commits: 1,
            notes: vec![],
        }]
    }

    /// Merges a session's work although nobody may want it any more.
    pub fn land_uninvited(&mut self, session: &SessionId) {
        self.landings.push((session.clone(), Key("land/uninvited".into())));
    }

    fn remove(&mut self, job: &Job, trash: &TrashId, luck: Luck) -> Vec<Fact> {
        if luck == Luck::Refuses && self.trees.contains_key(&Self::place(&job.session)) {
            let trouble = trouble("in_use", "Something is open in it.");
            return vec![Fact::RemovalRefused { key: job.key.clone(), trouble }];
        }
        self.take_away(&job.session, trash);
        let kept = self.trash.contains_key(trash) || self.sabotage == Some(Sabotage::MislabelsTrash);
        vec![Fact::WorkspaceRemoved { trash: kept.then(|| trash.clone()), branch_kept: true }]
    }

    fn take_away(&mut self, session: &SessionId, trash: &TrashId) {
        let path = Self::place(session);
        let Some(tree) = self.trees.remove(&path) else { return };
        if self.hosts.values().any(|host| host.is_alive() && host.workspace == path) {
            self.removed_under_a_run.push(path);
        }
        match self.sabotage {
            Some(Sabotage::RemovesWithoutTrash) => {}
            Some(Sabotage::MislabelsTrash) => drop(self.trash.insert(TrashId(format!("x-{trash}")), tree)),
            _ => drop(self.trash.insert(trash.clone(), tree)),
        }
    }

    fn restore(&mut self, job: &Job, trash: &TrashId, branch: &str, luck: Luck) -> Vec<Fact> {
        let path = Self::place(&job.session);
        if luck == Luck::Refuses && self.trash.contains_key(trash) {
            let trouble = trouble("exists", "Something is in its place.");
            return vec![Fact::UndoRefused { key: job.key.clone(), trouble }];
        }
        if !self.trees.contains_key(&path) {
            let Some(tree) = self.trash.remove(trash) else {
                let trouble = trouble("not_found", "The trash holds no such entry.");
                return vec![Fact::UndoRefused { key: job.key.clone(), trouble }];
            };
            let wanted = tree.content;
            if self.sabotage == Some(Sabotage::RestoresNothing) {
                self.trash.insert(trash.clone(), tree);
                self.prepare(&job.session, branch);
            } else {
                self.trees.insert(path.clone(), tree);
            }
            self.restored.push((wanted, self.trees.get(&path).map(|tree| tree.content)));
        }
        Self::ready(path, branch, false)
    }

    /// Deletes a session's workspace as a user with `rm -rf` does.
    pub fn vanish(&mut self, session: &SessionId) {
        if let Some(tree) = self.trees.remove(&Self::place(session)) {
            self.vanished.insert(tree.content);
        }
    }
}

fn not_typed(message: &MessageId, code: &str) -> Vec<Fact> {
    let trouble = trouble(code, "It was not typed.");
    vec![Fact::MessageNotTyped { message: message.clone(), trouble, again: true }]
}
