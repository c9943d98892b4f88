//! Late, stale and repeated news changes nothing that it is not about: each was a planted fault that no script noticed.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use oarlock_core::ids::{MessageId, Name, Oid, ProjectId, RequestId, RunId, Timestamp, TrashId};
use oarlock_core::machine::{Key, Machine, Recorded};
use oarlock_core::playbook::{Playbook, supervise};
use oarlock_core::session::fact::{
    Adopted, Agent, Author, Begun, Brief, Exit, Fact, Farewell, How, LandWish, Observation, Ports, Receipt,
    Role, Source, Trouble, TurnEnd, When, WorkspaceKind,
};
use oarlock_core::session::{
    Effect, MESSAGES_KEPT, MessageState, REQUESTS_KEPT, RUNS_KEPT, Request, Session, Workspace,
};

/// A session, fed facts one after the other; a fact's position is how many came before it, and one.
#[derive(Default)]
struct Story {
    session: Session,
    seq: u64,
}

impl Story {
    /// One that was asked for, and nothing else.
    fn begin() -> Self {
        let mut story = Self::default();
        story.see(Fact::Requested {
            request: RequestId::from("spawn"),
            name: Name::from("pay"),
            brief: Brief {
                project: ProjectId::from("app"),
                repository: "/src/app".into(),
                agent: Agent { command: Some("true".into()), ..Agent::named("exec") },
                prompt: String::new(),
                branch: "oarlock/pay/work".into(),
                folder: "pay".into(),
                base: None,
                workspace: WorkspaceKind::Worktree,
                ports: Ports { first: 20_000, count: 10 },
                playbook: Playbook::Supervise(supervise::Options {}),
                adopted: Adopted::Nothing,
                role: Role::Builder,
                issue: None,
            },
        });
        story
    }

    /// One whose agent came and went.
    fn done() -> Self {
        let mut story = Self::begin();
        story.see(ready());
        story.see(up(0, 7));
        story.see(over(0, Exit::Code(0)));
        story
    }

    /// Takes in a fact and returns its position.
    fn see(&mut self, fact: Fact) -> u64 {
        self.seq += 1;
        let recorded = Recorded { seq: self.seq, at: Timestamp(1_000 * self.seq), fact };
        Session::fold(&mut self.session, &recorded);
        self.seq
    }

    /// Takes in a fact that must change nothing but the clock.
    fn ignores(&mut self, fact: Fact) {
        let (before, words) = (self.session.clone(), format!("{fact:?}"));
        self.see(fact);
        let clock = self.session.clock;
        assert_eq!(self.session, Session { clock, ..before }, "{words}");
    }

    fn part(&mut self) -> u64 {
        let request = RequestId(format!("part-{}", self.seq));
        self.see(Fact::FarewellRequested { request, why: Farewell::Rejected })
    }

    fn undo(&mut self) -> u64 {
        let request = RequestId(format!("undo-{}", self.seq));
        self.see(Fact::UndoRequested { request, ports: None })
    }

    fn wants(&self) -> Vec<String> {
        Session::decide(&self.session).effects.keys().map(|key| key.0.clone()).collect()
    }
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

fn up(run: u32, host_pid: u32) -> Fact {
    Fact::RunStarted { run: RunId(run), role: Role::Builder, host_pid, begun: Begun::Fresh }
}

fn over(run: u32, exit: Exit) -> Fact {
    Fact::RunEnded { run: RunId(run), exit, last_words: String::new() }
}

fn trouble() -> Trouble {
    Trouble { code: "in_use".into(), message: "No.".into(), hint: String::new(), paths: vec![] }
}

fn removal_refused(of: u64) -> Fact {
    Fact::RemovalRefused { key: Key(format!("remove/{of}")), trouble: trouble() }
}

fn land(request: &str) -> Fact {
    let (how, message, expect_base) = (How::Merge, None, None);
    let wish = LandWish { how, message, expect_base, committed_only: false, keep: false, approved: None };
    Fact::LandRequested { request: RequestId::from(request), wish }
}

#[test]
fn an_answer_to_an_earlier_farewell_is_none_to_this_one() {
    let mut story = Story::done();
    let first = story.part();
    story.see(removal_refused(first));
    assert!(!story.wants().iter().any(|key| key.starts_with("remove/")), "a refusal is not argued with");
    story.undo();
    let second = story.part();
    story.ignores(removal_refused(first));
    assert!(story.wants().contains(&format!("remove/{second}")), "{:?}", story.wants());
    story.see(removal_refused(second));
    assert_eq!(story.session.parting.as_ref().unwrap().refused, Some(trouble()));
}

#[test]
fn a_workspace_that_nobody_took_away_is_not_gone() {
    let mut story = Story::begin();
    story.ignores(Fact::WorkspaceRemoved { trash: None, branch_kept: true });
    assert!(story.wants().contains(&"workspace/0".to_owned()), "it is still wanted");
}

#[test]
fn a_workspace_made_again_is_made_under_a_key_of_its_own() {
    let mut story = Story::begin();
    assert_eq!(story.wants(), ["workspace/0"]);
    story.see(ready());
    story.part();
    story.see(Fact::WorkspaceRemoved { trash: None, branch_kept: true });
    story.undo();
    assert_eq!(story.wants(), ["workspace/1"], "what came back is not done again under its old name");
}

#[test]
fn what_was_taken_away_half_made_comes_back_on_its_own_branch() {
    let mut story = Story::begin();
    story.part();
    story.see(Fact::WorkspaceRemoved { trash: Some(TrashId::from("workspace-2")), branch_kept: false });
    story.undo();
    let effects = Session::decide(&story.session).effects;
    let restore = effects.values().find_map(|effect| match effect {
        Effect::RestoreWorkspace { branch, .. } => Some(branch.as_str()),
        _ => None,
    });
    assert_eq!(restore, Some("oarlock/pay/work"));
}

#[test]
fn news_of_a_start_that_is_known_changes_nothing() {
    let mut story = Story::begin();
    story.see(ready());
    story.see(up(0, 7));
    story.ignores(up(0, 9));
    let failed =
        |key: &str| Fact::PerformFailed { key: Key(key.into()), trouble: trouble(), transient: true };
    story.ignores(failed("run/0"));
    assert!(
        story.session.live_run().is_some(),
        "an attempt that failed late does not end the run that is up"
    );
    story.see(over(0, Exit::Unknown));
    story.ignores(up(0, 9));
    assert!(story.session.live_run().is_none(), "an end that was seen of a host that was known is an end");
}

#[test]
fn a_wish_to_land_what_is_over_or_landing_begins_no_landing() {
    let mut story = Story::done();
    let first = story.see(land("one"));
    story.see(land("two"));
    let key = Key(format!("land/{first}"));
    assert_eq!(story.session.landing.as_ref().map(|landing| &landing.key), Some(&key));
    // A refusal of another landing is none of this one, and an answer stays the answer.
    story.ignores(Fact::LandRefused { key: Key("land/99".into()), trouble: trouble() });
    story.see(Fact::LandRefused { key: key.clone(), trouble: trouble() });
    let other = Trouble { code: "late".into(), ..trouble() };
    story.ignores(Fact::LandRefused { key, trouble: other });
    let before = story.session.landing.clone();
    story.part();
    story.see(land("three"));
    assert_eq!(story.session.landing, before, "it was rejected");
}

/// A session whose agent is up.
fn running() -> Story {
    let mut story = Story::begin();
    story.see(ready());
    story.see(up(0, 7));
    story
}

fn queue(id: usize) -> Fact {
    let (request, message) = (RequestId(format!("q{id}")), MessageId(format!("m{id}")));
    Fact::MessageQueued { request, message, author: Author::Person, text: "go on".into(), when: When::Idle }
}

fn typed(id: usize) -> Fact {
    Fact::MessageReceipt { message: MessageId(format!("m{id}")), run: RunId(0), receipt: Receipt::Typed }
}

fn sees(run: u32, observation: Observation) -> Fact {
    Fact::Observed { run: RunId(run), source: Source::Hook, observation, cursor: 0 }
}

#[test]
fn a_run_that_opened_another_conversation_than_the_one_it_was_to_go_on_with_did_not_begin_in_it() {
    let named = |id: &str| Observation::Started { conversation: Some(id.into()), model: None, version: None };
    for (opened, begun) in [("c-1", Begun::Conversation), ("c-2", Begun::Fresh)] {
        let mut story = Story::begin();
        story.see(ready());
        story.see(up(0, 7));
        story.see(sees(0, named("c-1")));
        story.see(sees(0, Observation::TurnStarted));
        story.see(over(0, Exit::Signal(9)));
        story.see(Fact::RunStarted {
            run: RunId(1),
            role: Role::Builder,
            host_pid: 8,
            begun: Begun::Conversation,
        });
        story.see(sees(1, named(opened)));
        assert_eq!(story.session.runs[1].begun, begun, "it says that it is in {opened}");
        // A person may leave a conversation for another later; that is not how the run began.
        story.see(sees(1, named("c-3")));
        assert_eq!(story.session.runs[1].begun, begun, "and then in c-3");
    }
}

#[test]
fn messages_that_are_over_are_forgotten_oldest_first_and_a_waiting_one_never() {
    let mut story = running();
    for id in 0..MESSAGES_KEPT + 3 {
        story.see(queue(id));
        // The first one stays where it is.
        if id > 0 {
            story.see(typed(id));
        }
        let kept: Vec<usize> =
            story.session.messages.iter().map(|message| message.id.0[1..].parse().unwrap()).collect();
        let first = (id + 2).saturating_sub(MESSAGES_KEPT).max(1);
        let wanted: Vec<usize> = std::iter::once(0).chain(first..=id).take(MESSAGES_KEPT).collect();
        assert_eq!(kept, if id == 0 { vec![0] } else { wanted });
    }
}

#[test]
fn what_was_typed_is_not_held_back_any_more() {
    let mut story = running();
    story.see(queue(1));
    story.see(typed(1));
    story.ignores(Fact::MessageHeld { message: MessageId::from("m1") });
}

#[test]
fn a_turn_of_an_earlier_run_takes_up_no_message_of_this_one() {
    let mut story = running();
    story.see(over(0, Exit::Code(0)));
    story.see(up(1, 8));
    story.see(queue(1));
    story.see(Fact::MessageReceipt {
        message: MessageId::from("m1"),
        run: RunId(1),
        receipt: Receipt::Typed,
    });
    story.ignores(sees(0, Observation::TurnStarted));
    story.see(sees(1, Observation::TurnStarted));
    assert!(matches!(story.session.messages[0].state, MessageState::Taken(_)));
}

#[test]
fn an_activity_is_as_old_as_its_beginning() {
    let mut story = running();
    let since = |story: &Story| story.session.live_run().unwrap().seen.1;
    let begun = Timestamp(1_000 * story.see(sees(0, Observation::TurnStarted)));
    story.see(sees(0, Observation::TurnStarted));
    assert_eq!(since(&story), begun, "the same again is no new activity");
    let ended = Timestamp(1_000 * story.see(sees(0, Observation::TurnEnded(TurnEnd::Ok))));
    assert_eq!(since(&story), ended);
}

#[test]
fn a_farewell_is_said_once_unless_the_workspace_had_to_stay() {
    let part = |story: &Story, why| {
        let wish = Request::Part(RequestId::from("again"), why);
        Session::admit(&story.session, wish).map(drop).map_err(|refusal| refusal.code)
    };
    let mut story = Story::done();
    let at = story.part();
    for why in [Farewell::Rejected, Farewell::Forgotten, Farewell::Landed] {
        assert_eq!(part(&story, why), Err("already_over"), "{why:?}");
    }
    assert_eq!(part(&story, Farewell::Removed), Ok(()), "what is over may still be taken off the list");
    story.see(removal_refused(at));
    assert_eq!(part(&story, Farewell::Removed), Ok(()), "and its removal may be tried again");
    story.see(Fact::FarewellRequested { request: RequestId::from("rm"), why: Farewell::Removed });
    assert_eq!(part(&story, Farewell::Removed), Err("already_over"));
}

#[test]
fn an_undo_of_what_was_never_taken_away_is_taken_and_one_of_nobody_is_not() {
    let undo = || Request::Undo(RequestId::from("undo"));
    let mut story = Story::begin();
    let at = story.part();
    let code =
        |story: &Story| Session::admit(&story.session, undo()).map(drop).map_err(|refusal| refusal.code);
    assert_eq!(code(&story), Err("removing"), "it is under way");
    story.see(removal_refused(at));
    assert_eq!(code(&story), Ok(()));
    assert_eq!(code(&Story::default()), Err("not_found"), "there is no such session");
}

#[test]
fn a_reading_of_git_that_was_lost_is_made_again() {
    let mut story = Story::begin();
    let due = story.see(ready());
    assert!(story.wants().contains(&format!("work/{due}")));
    let lost = story.see(Fact::EffectLost { key: Key(format!("work/{due}")) });
    assert!(story.wants().contains(&format!("work/{lost}")), "{:?}", story.wants());
}

#[test]
fn as_many_runs_and_requests_are_remembered_as_promised() {
    let mut story = Story::begin();
    story.see(ready());
    for number in 0..u32::try_from(RUNS_KEPT).unwrap() + 3 {
        story.see(up(number, 7));
        story.see(over(number, Exit::Code(0)));
        let kept = story.session.runs.iter().map(|run| run.id.0);
        let first = (number + 1).saturating_sub(u32::try_from(RUNS_KEPT).unwrap());
        assert!(kept.eq(first..=number), "the last ones are kept, in order");
    }
    let mut story = Story::begin();
    for number in 1..REQUESTS_KEPT + 4 {
        story.see(Fact::Renamed { request: RequestId(format!("r{number}")), name: Name::from("pay") });
        assert_eq!(story.session.requests.len(), (number + 1).min(REQUESTS_KEPT));
    }
    assert!(matches!(story.session.workspace, Workspace::Wanted));
}
