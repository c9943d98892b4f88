//! What a cleanup takes and what it leaves, as a table: a session's facts and a look at its workspace in, one verdict out.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;

use oarlock_core::cleanup::{Look, Scope, Verdict, plan, undecided};
use oarlock_core::crew::{Admitted, Crew, Line, Request, Spawn};
use oarlock_core::fleet;
use oarlock_core::ids::{Oid, ProjectId, RequestId, RunId, SessionId, Timestamp};
use oarlock_core::machine::{Entry, Key};
use oarlock_core::playbook::{Playbook, supervise};
use oarlock_core::session::fact::{
    Adopted, Agent, Begun, Exit, Fact, Farewell, How, LandWish, Role, Trouble, WorkspaceKind,
};
use oarlock_core::session::{self};

/// A crew and the position of its last line.
#[derive(Default)]
struct Log {
    crew: Crew,
    seq: u64,
}

impl Log {
    fn begin() -> Self {
        let mut log = Self::default();
        let add = fleet::Request::AddProject(RequestId::from("add"), "/src/app".into());
        log.ask(Request::Fleet(add));
        log
    }

    fn ask(&mut self, request: Request) -> u64 {
        let Admitted::Lines(lines) = self.crew.admit(request).unwrap() else { panic!("a new wish") };
        lines.iter().for_each(|line| self.record(line));
        self.seq
    }

    fn record(&mut self, line: &Line) {
        self.seq += 1;
        self.crew.record(self.seq, Timestamp(1_000 * self.seq), line);
    }

    fn see(&mut self, id: &str, fact: Fact) {
        self.record(&Line::Session(SessionId::from(id), Entry::Fact(fact)));
    }

    fn spawn(&mut self, id: &str) {
        self.ask(Request::Spawn(Spawn {
            request: RequestId(format!("spawn-{id}")),
            id: SessionId::from(id),
            project: ProjectId::from("app"),
            name: None,
            agent: Agent { command: Some("true".into()), ..Agent::named("exec") },
            prompt: String::new(),
            branch: None,
            base: None,
            workspace: WorkspaceKind::Worktree,
            playbook: Playbook::Supervise(supervise::Options {}),
            adopted: Adopted::Nothing,
            role: Role::Builder,
            issue: None,
            again: false,
        }));
    }

    /// One whose workspace is there and whose agent runs.
    fn running(&mut self, id: &str) {
        self.spawn(id);
        let oid = Oid::from("c0");
        self.see(
            id,
            Fact::WorkspaceReady {
                path: format!("/ws/{id}"),
                branch: format!("oarlock/{id}/work"),
                base_branch: "main".into(),
                base: oid.clone(),
                head: oid,
                notes: vec![],
                work: None,
            },
        );
        let (run, role, begun) = (RunId(0), Role::Builder, Begun::Fresh);
        self.see(id, Fact::RunStarted { run, role, host_pid: 7, begun });
    }

    /// One whose agent came and went.
    fn over(&mut self, id: &str) {
        self.running(id);
        self.see(id, Fact::RunEnded { run: RunId(0), exit: Exit::Code(0), last_words: String::new() });
    }

    fn wish(&mut self, id: &str, make: impl FnOnce(RequestId) -> session::Request) -> u64 {
        let request = RequestId(format!("wish-{}", self.seq));
        self.ask(Request::Session(SessionId::from(id), make(request)))
    }

    fn landed(&mut self, id: &str) {
        let wish = LandWish {
            how: How::Squash,
            message: None,
            committed_only: false,
            expect_base: None,
            approved: None,
            keep: true,
        };
        let seq = self.wish(id, |request| session::Request::Land(request, wish, false));
        let oid = Oid::from("c2");
        self.see(
            id,
            Fact::Landed {
                key: Key(format!("land/{seq}")),
                oid: oid.clone(),
                base_before: oid.clone(),
                head: oid,
                onto: "main".into(),
                commits: 1,
                notes: vec![],
            },
        );
    }

    fn refused(&mut self, id: &str, why: Farewell) {
        let seq = self.wish(id, |request| session::Request::Part(request, why));
        let key = Key(format!("remove/{seq}"));
        self.see(id, Fact::RemovalRefused { key, trouble: trouble() });
    }

    fn verdict(&self, id: &str, look: Option<Look>) -> Verdict {
        let looks = look.map(|look| (SessionId::from(id), Ok(look))).into_iter().collect();
        let items = plan(&self.crew, &named(id), &looks);
        items.into_iter().map(|item| item.verdict).next().unwrap()
    }
}

fn trouble() -> Trouble {
    let (code, message) = ("in_use".into(), "A shell is open in it.".into());
    Trouble { code, message, hint: String::new(), paths: vec![] }
}

fn named(id: &str) -> Scope {
    Scope { project: None, sessions: [SessionId::from(id)].into() }
}

#[test]
fn only_what_holds_nothing_to_land_goes() {
    let mut log = Log::begin();
    log.over("pay");
    let look = |change: fn(&mut Look)| {
        let mut look = Look::default();
        change(&mut look);
        log.verdict("pay", Some(look))
    };
    assert_eq!(look(|_| {}), Verdict::Nothing);
    assert_eq!(look(|look| look.dirty = 2), Verdict::Uncommitted(2));
    assert_eq!(look(|look| look.unlanded = 3), Verdict::Unlanded(3));
    assert_eq!(look(|look| look.strayed_to = Some("x".into())), Verdict::Strayed("x".into()));
    assert_eq!(look(|look| look.operation = Some("rebase".into())), Verdict::Operation("rebase".into()));
    assert!(matches!(log.verdict("pay", None), Verdict::Unread(_)), "unseen, it stays");
    let unread = [(SessionId::from("pay"), Err("git is gone.".to_owned()))].into();
    let items = plan(&log.crew, &named("pay"), &unread);
    assert_eq!(items[0].verdict, Verdict::Unread("git is gone.".into()));
    for verdict in [Verdict::Uncommitted(2), Verdict::Unlanded(3), Verdict::Unread(String::new())] {
        assert_eq!(verdict.farewell(), None, "{verdict:?}");
    }
}

#[test]
fn what_runs_or_is_under_way_stays_however_clean_it_is() {
    let mut log = Log::begin();
    let clean = || Some(Look::default());
    log.spawn("new");
    assert_eq!(log.verdict("new", clean()), Verdict::Running, "its workspace is on the way");
    log.running("busy");
    assert_eq!(log.verdict("busy", clean()), Verdict::Running);
    log.over("again");
    log.wish("again", |request| session::Request::Resume(request, "More.".into(), None));
    assert_eq!(log.verdict("again", clean()), Verdict::Running, "its next run is on the way");
    log.over("going");
    log.wish("going", |request| session::Request::Part(request, Farewell::Rejected));
    assert_eq!(log.verdict("going", clean()), Verdict::UnderWay);
    log.see("going", Fact::WorkspaceRemoved { trash: None, branch_kept: false });
    assert_eq!(log.verdict("going", clean()), Verdict::Gone);
    log.running("stopping");
    log.wish("stopping", session::Request::Stop);
    assert_eq!(log.verdict("stopping", clean()), Verdict::Running, "it may still write");
}

#[test]
fn a_workspace_that_landing_kept_goes_as_landed_and_stays_on_the_list() {
    let mut log = Log::begin();
    log.over("pay");
    log.landed("pay");
    assert_eq!(log.verdict("pay", Some(Look { unlanded: 1, ..Look::default() })), Verdict::Unlanded(1));
    let verdict = log.verdict("pay", Some(Look::default()));
    assert_eq!(verdict, Verdict::Landed);
    let why = verdict.farewell().unwrap();
    log.wish("pay", |request| session::Request::Part(request, why));
    let session = &log.crew.sessions[&SessionId::from("pay")].state;
    assert!(session.is_parting() && !session.is_off_the_list(), "a list of all shows what landed");
}

#[test]
fn a_workspace_that_had_to_stay_is_tried_again_for_the_same_reason() {
    for why in [Farewell::Rejected, Farewell::Forgotten, Farewell::Removed] {
        let mut log = Log::begin();
        log.over("pay");
        log.refused("pay", why);
        assert_eq!(log.verdict("pay", None), Verdict::Parted(why), "no look is needed");
        let outcome = log.crew.sessions[&SessionId::from("pay")].state.outcome.clone();
        log.wish("pay", |request| session::Request::Part(request, why));
        let session = &log.crew.sessions[&SessionId::from("pay")].state;
        assert_eq!(session.outcome, outcome);
        assert!(session.parting.as_ref().unwrap().refused.is_none());
    }
}

#[test]
fn only_what_landed_is_retired() {
    let mut log = Log::begin();
    log.over("pay");
    let wish = session::Request::Part(RequestId::from("part"), Farewell::Landed);
    let refusal = log.crew.admit(Request::Session(SessionId::from("pay"), wish)).unwrap_err();
    assert_eq!(refusal.code, "not_landed");
}

#[test]
fn a_plan_is_of_its_project_and_of_those_with_a_workspace_oldest_first() {
    let mut log = Log::begin();
    for id in ["zebra", "ant"] {
        log.over(id);
    }
    log.spawn("new");
    let names = |scope: &Scope| -> Vec<String> {
        plan(&log.crew, scope, &BTreeMap::new()).into_iter().map(|item| item.session.0).collect()
    };
    assert_eq!(names(&Scope::default()), ["zebra", "ant"]);
    assert_eq!(names(&named("new")), ["new"], "one that is named is answered for");
    let other = Scope { project: Some(ProjectId::from("other")), ..Scope::default() };
    assert!(names(&other).is_empty());
    let ids: Vec<_> = undecided(&log.crew, &Scope::default()).into_iter().map(|id| id.0).collect();
    assert_eq!(ids, ["ant", "zebra"]);
}
