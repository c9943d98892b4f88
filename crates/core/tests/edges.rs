//! The edges of the core's limits and of what it tells others of a session: each was a fault planted by hand or by machine
//! that no script and no simulated case had noticed.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use oarlock_core::crew::{Admitted, Crew, Request, Spawn};
use oarlock_core::fleet;
use oarlock_core::ids::{MessageId, Name, Oid, ProjectId, RequestId, SessionId, Timestamp, TrashId};
use oarlock_core::machine::Decision;
use oarlock_core::playbook::{Playbook, supervise};
use oarlock_core::session::fact::{Adopted, Agent, Author, Begun, Fact, Farewell, Role, When, WorkspaceKind};
use oarlock_core::session::{
    self, Checkout, MESSAGE_BYTES_MAX, PROMPT_BYTES_MAX, REQUESTS_KEPT, Session, Workspace,
};
use oarlock_core::{crew::Line, machine::Entry};

/// A crew and the position of its last line.
#[derive(Default)]
struct Log {
    crew: Crew,
    seq: u64,
}

impl Log {
    fn begin() -> Self {
        let mut log = Self::default();
        log.ask(Request::Fleet(fleet::Request::AddProject(RequestId::from("add"), "/src/app".into())))
            .unwrap();
        log
    }

    fn ask(&mut self, request: Request) -> Result<Admitted, &'static str> {
        let admitted = self.crew.admit(request).map_err(|refusal| refusal.code)?;
        if let Admitted::Lines(lines) = &admitted {
            lines.iter().for_each(|line| self.record(line));
        }
        Ok(admitted)
    }

    fn see(&mut self, fact: Fact) {
        self.record(&Line::Session(SessionId::from("pay"), Entry::Fact(fact)));
    }

    fn record(&mut self, line: &Line) {
        self.seq += 1;
        self.crew.record(self.seq, Timestamp(1_000 * self.seq), line);
    }

    fn session(&self) -> &Session {
        &self.crew.sessions[&SessionId::from("pay")].state
    }
}

fn spawn(prompt: String) -> Request {
    Request::Spawn(Spawn {
        request: RequestId::from("spawn"),
        id: SessionId::from("pay"),
        project: ProjectId::from("app"),
        name: Name::parse("pay"),
        agent: Agent { command: Some("true".into()), ..Agent::named("exec") },
        prompt,
        branch: None,
        base: None,
        workspace: WorkspaceKind::Worktree,
        playbook: Playbook::Supervise(supervise::Options {}),
        adopted: Adopted::Nothing,
        role: Role::Builder,
        issue: None,
        again: false,
    })
}

fn to_pay(request: session::Request) -> Request {
    Request::Session(SessionId::from("pay"), request)
}

fn ready() -> Fact {
    Fact::WorkspaceReady {
        path: "/ws/pay".into(),
        branch: "oarlock/pay/work".into(),
        base_branch: "main".into(),
        base: Oid::from("c0"),
        head: Oid::from("c0"),
        notes: vec![],
        work: None,
    }
}

/// A session whose agent runs.
fn running() -> Log {
    let mut log = Log::begin();
    log.ask(spawn("Fix it.".into())).unwrap();
    log.see(ready());
    log.see(Fact::RunStarted {
        run: oarlock_core::ids::RunId(0),
        role: Role::Builder,
        host_pid: 7,
        begun: Begun::Fresh,
    });
    log
}

#[test]
fn of_two_deadlines_the_earlier_one_wakes() {
    for moments in [[5, 9, 7], [9, 5, 7], [9, 7, 5]] {
        let mut decision: Decision<()> = Decision::nothing();
        assert_eq!(decision.wake, None);
        moments.into_iter().for_each(|at| decision.wake_at(Timestamp(at), &format!("at {at}")));
        let wake = decision.wake.unwrap();
        assert_eq!((wake.at, wake.why.as_str()), (Timestamp(5), "at 5"));
    }
}

#[test]
fn the_fleet_remembers_as_many_requests_as_it_promises_and_no_more() {
    let mut log = Log::default();
    let request = |number: usize| RequestId(format!("r{number}"));
    let add = |number: usize| fleet::Request::AddProject(request(number), format!("/src/p{number}"));
    for number in 0..REQUESTS_KEPT + 5 {
        log.ask(Request::Fleet(add(number))).unwrap();
        assert_eq!(log.crew.fleet.state.requests.len(), (number + 1).min(REQUESTS_KEPT));
    }
    for number in 5..REQUESTS_KEPT + 5 {
        let again = log.ask(Request::Fleet(add(number)));
        assert_eq!(again, Ok(Admitted::Before(number as u64 + 1)), "the position of the wish itself");
    }
    assert_eq!(log.ask(Request::Fleet(add(4))), Err("already_registered"), "older ones are forgotten");
}

#[test]
fn texts_are_taken_up_to_the_last_byte_that_is_promised() {
    assert_eq!((MESSAGE_BYTES_MAX, PROMPT_BYTES_MAX), (65_536, 524_288), "as the manual says");
    assert_eq!(Log::begin().ask(spawn("x".repeat(PROMPT_BYTES_MAX + 1))), Err("too_long"));
    assert!(Log::begin().ask(spawn("x".repeat(PROMPT_BYTES_MAX))).is_ok());
    let mut log = running();
    let mut send = |id: &str, length: usize| {
        let text = "x".repeat(length);
        let wish = session::Request::Send(
            RequestId::from(id),
            MessageId::from(id),
            Author::Person,
            text,
            When::Idle,
        );
        log.ask(to_pay(wish)).map(drop)
    };
    assert_eq!(send("a", MESSAGE_BYTES_MAX), Ok(()));
    assert_eq!(send("b", MESSAGE_BYTES_MAX + 1), Err("too_long"));
}

#[test]
fn a_place_is_known_while_it_is_there_and_after_and_never_before() {
    let mut log = Log::begin();
    log.ask(spawn(String::new())).unwrap();
    assert_eq!(log.session().place(), None);
    log.see(ready());
    assert_eq!(log.session().place().map(|place| place.path.as_str()), Some("/ws/pay"));
    log.ask(to_pay(session::Request::Part(RequestId::from("away"), Farewell::Rejected))).unwrap();
    log.see(Fact::WorkspaceRemoved { trash: Some(TrashId::from("pay-1")), branch_kept: false });
    assert_eq!(log.session().place().map(|place| place.path.as_str()), Some("/ws/pay"), "where it was");
    // One that was never made was nowhere.
    let never = Workspace::Removed { was: Checkout::default(), trash: None };
    assert_eq!(Session { workspace: never, ..Session::default() }.place(), None);
}

#[test]
fn only_who_was_removed_is_off_every_list() {
    for (why, hidden, off) in [
        (Farewell::Rejected, false, false),
        (Farewell::Forgotten, true, false),
        (Farewell::Removed, true, true),
    ] {
        let mut log = Log::begin();
        log.ask(spawn(String::new())).unwrap();
        assert!(!log.session().is_hidden() && !log.session().is_off_the_list(), "{why:?}: not before");
        log.ask(to_pay(session::Request::Part(RequestId::from("away"), why))).unwrap();
        assert_eq!((log.session().is_hidden(), log.session().is_off_the_list()), (hidden, off), "{why:?}");
    }
}

#[test]
fn commits_count_from_the_branch_they_land_on_and_in_a_clone_from_where_it_began() {
    let checkout = Checkout { base_branch: "main".into(), base: Oid::from("c0"), ..Checkout::default() };
    assert_eq!(checkout.counts_from(WorkspaceKind::Worktree), "refs/heads/main");
    assert_eq!(checkout.counts_from(WorkspaceKind::Clone), "c0");
}

#[test]
fn a_way_of_working_has_the_word_people_use_for_it() {
    assert_eq!(Playbook::Supervise(supervise::Options {}).word(), "supervise");
}
