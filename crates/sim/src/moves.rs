//! What happens next, chosen by four bytes: the whole case is a script of such moves, so a shorter script is a simpler
//! case.
//!
//! It must not judge anything.

use oarlock_core::crew::{Request, Spawn};
use oarlock_core::fleet;
use oarlock_core::ids::{MessageId, Name, ProjectId, RequestId, RunId, SessionId, Timestamp};
use oarlock_core::playbook::{Playbook, gate, relay, supervise};
use oarlock_core::session;
use oarlock_core::session::fact::{
    Adopted, Agent, Answer, Author, Begun, Claim, Exit, Fact, Farewell, How, LandWish, Observation, Role,
    Showing, Source, TurnEnd, When, WorkspaceKind,
};
use oarlock_engine::Input;

use crate::sabotage::Sabotage;
use crate::scenario::{Asked, Broken, Scenario};
use crate::world::Luck;

/// One move: its kind, and what it is about.
pub type Move = [u8; 4];

/// Sessions a case has at most: enough to crowd the lanes and to compete for names and ports.
const SESSIONS_MAX: usize = 9;
/// Names to compete for.
const NAMES: [&str; 3] = ["pay", "p-1", "p-10"];

impl Scenario {
    /// Makes one move.
    ///
    /// # Errors
    /// The invariant that broke.
    pub fn play(&mut self, [kind, a, b, c]: Move) -> Result<(), Broken> {
        match kind % 32 {
            0..=7 => self.act(pick(a, self.hands.len()), luck(b)),
            8..=13 => self.report(pick(a, self.hands.len())),
            14..=18 => self.agent_does(a, b, c),
            19..=21 => self.post_comes(a, b),
            22..=26 => self.somebody_asks(a, b, c),
            27 => self.somebody_asks_again(a, b),
            28 => self.time_passes(a, b),
            29 => self.watch_processes().map(drop),
            30 if a.is_multiple_of(2) => self.crash(),
            30 if a % 32 == 31 => self.user_deletes(b),
            30 if a % 16 == 15 => {
                self.tell(|| "somebody pushes to the base branch".into());
                self.world.judged.pushes += 1;
                Ok(())
            }
            30 => self.stale_news(b, c),
            _ => {
                let failing = u32::from(b % 4);
                self.tell(|| format!("the disk is full for {failing} appends"));
                self.store.memory().failing = failing;
                Ok(())
            }
        }
    }

    /// Begins as many sessions as a case may have, all at once.
    ///
    /// # Errors
    /// The invariant that broke.
    pub fn crowd(&mut self) -> Result<(), Broken> {
        let id = self.fresh_request();
        self.ask(Request::Fleet(fleet::Request::AddProject(id, "/src/app".into())), None)?;
        for n in 0..SESSIONS_MAX {
            let id = self.fresh_request();
            self.ask(spawn(id, n, ProjectId::from("app"), 0, 7), None)?;
        }
        Ok(())
    }

    fn any_session(&self, byte: u8) -> Option<SessionId> {
        let sessions = &self.crew().sessions;
        sessions.keys().nth(pick(byte, sessions.len())).cloned()
    }

    fn agent_does(&mut self, a: u8, b: u8, c: u8) -> Result<(), Broken> {
        let alive: Vec<(SessionId, RunId)> =
            self.world.hosts.iter().filter(|(_, host)| host.is_alive()).map(|(id, _)| id.clone()).collect();
        let Some((id, run)) = alive.get(pick(a, alive.len())).cloned() else { return Ok(()) };
        // A run of a gate comes to its end more often than others: there are five of them before anything lands.
        let part = self.part(&id, run);
        let claims = part == Some(Role::Builder) && b % 4 == 1;
        let ends = part.is_some_and(|role| role != Role::Builder) && b % 2 == 1;
        let Some(host) = self.world.hosts.get_mut(&(id.clone(), run)) else { return Ok(()) };
        if claims || ends {
            if claims {
                let observation = Observation::Claimed { claim: Claim::Done, note: "All green.".into() };
                self.mail
                    .push((id.clone(), Fact::Observed { run, source: Source::Hook, observation, cursor: 1 }));
            }
            host.exit = Some(Exit::Code(0));
            self.mail
                .push((id.clone(), Fact::RunEnded { run, exit: Exit::Code(0), last_words: String::new() }));
            self.tell(|| format!("{id} run {run} comes to its end"));
            return self.look();
        }
        if b.is_multiple_of(12) {
            let exits = [Exit::Code(0), Exit::Code(3), Exit::Signal(11), Exit::Unknown];
            let exit = exits[pick(c, exits.len())].clone();
            host.exit = Some(exit.clone());
            self.mail.push((id.clone(), Fact::RunEnded { run, exit, last_words: "so long".into() }));
            self.tell(|| format!("{id} run {run} ends"));
            return self.look();
        }
        let observation = observation(b, c);
        match observation {
            Observation::PermissionAsked { .. } | Observation::Shows(Showing::Dialog(_)) => {
                host.blocked = true
            }
            Observation::PermissionResolved
            | Observation::Shows(Showing::Prompt | Showing::Busy | Showing::Answering | Showing::Limited) => {
                host.blocked = false;
            }
            _ => {}
        }
        self.tell(|| format!("{id} run {run} shows {observation:?}"));
        let fact = Fact::Observed { run, source: Source::Hook, observation, cursor: u64::from(c) };
        self.mail.push((id, fact));
        Ok(())
    }

    /// Returns what a run of a gate is for.
    fn part(&self, id: &SessionId, run: RunId) -> Option<Role> {
        let session = &self.crew().sessions.get(id)?.state;
        session.gate.as_ref()?;
        session.live_run().filter(|live| live.id == run).map(|live| live.role)
    }

    /// Delivers a fact that was seen: in any order, twice, or never.
    fn post_comes(&mut self, a: u8, b: u8) -> Result<(), Broken> {
        if self.mail.is_empty() {
            return self.give(vec![Input::Tick]);
        }
        let index = pick(a, self.mail.len());
        match b % 8 {
            0 => {
                self.tell(|| "a fact is lost".into());
                self.mail.remove(index);
                Ok(())
            }
            1 => {
                let (id, fact) = self.mail[index].clone();
                self.give(vec![Input::Seen(id.clone(), vec![fact.clone()]), Input::Seen(id, vec![fact])])
            }
            2 => {
                let all = self.mail.drain(..).map(|(id, fact)| Input::Seen(id, vec![fact])).collect();
                self.give(all)
            }
            3..=5 => {
                let (id, fact) = self.mail.remove(0);
                self.give(vec![Input::Seen(id, vec![fact])])
            }
            _ => {
                let (id, fact) = self.mail.remove(index);
                self.give(vec![Input::Seen(id, vec![fact])])
            }
        }
    }

    /// Tells of runs that ended, as spool files and slow observers do.
    fn stale_news(&mut self, a: u8, b: u8) -> Result<(), Broken> {
        let Some(id) = self.any_session(a) else { return Ok(()) };
        let begun = self.crew().sessions.get(&id).map_or(0, |scope| scope.state.runs_begun);
        let over = self.crew().sessions.get(&id).is_some_and(|scope| scope.state.live_run().is_none());
        let old = if over { begun } else { begun.saturating_sub(1) };
        let Some(run) = u32::from(b / 4).checked_rem(old).map(RunId) else { return Ok(()) };
        let was_up = self.world.hosts.contains_key(&(id.clone(), run));
        let fact = match b % 4 {
            0 => Fact::RunEnded { run, exit: Exit::Code(1), last_words: String::new() },
            1 if was_up => Fact::RunStarted { run, role: Role::Builder, host_pid: 7, begun: Begun::Fresh },
            _ => Fact::Observed { run, source: Source::Screen, observation: observation(b, a), cursor: 1 },
        };
        self.tell(|| format!("{id}: stale news {fact:?}"));
        self.give(vec![Input::Seen(id, vec![fact])])
    }

    fn user_deletes(&mut self, a: u8) -> Result<(), Broken> {
        let Some(id) = self.any_session(a) else { return Ok(()) };
        if self.world.hosts.iter().any(|((owner, _), host)| *owner == id && host.is_alive()) {
            return Ok(());
        }
        self.tell(|| format!("the user deletes the workspace of {id}"));
        self.world.vanish(&id);
        self.look()
    }

    fn time_passes(&mut self, a: u8, b: u8) -> Result<(), Broken> {
        self.now = match a % 8 {
            0 => Timestamp(self.now.0.saturating_sub(u64::from(b) * 1_000)),
            1 => self.now.plus_ms(u64::from(b) * 3_600_000),
            _ => self.now.plus_ms(u64::from(b) * 20),
        };
        self.give(vec![Input::Tick])
    }

    fn somebody_asks(&mut self, a: u8, b: u8, c: u8) -> Result<(), Broken> {
        let request = self.request(a, b, c);
        if self.setting_is(Sabotage::LandsTheRejected)
            && let Request::Session(id, session::Request::Part(..)) = &request
        {
            let id = id.clone();
            self.ask(request, None)?;
            self.world.land_uninvited(&id);
            return self.look();
        }
        self.ask(request, None)
    }

    fn somebody_asks_again(&mut self, a: u8, b: u8) -> Result<(), Broken> {
        if self.asked.is_empty() {
            return Ok(());
        }
        let Asked { mut request, seq } = self.asked[pick(a, self.asked.len())].clone();
        if self.setting_is(Sabotage::RenamesRetries)
            && let Request::Session(_, session::Request::Rename(id, _)) = &mut request
        {
            *id = RequestId(format!("again-{b}"));
        }
        self.tell(|| "the same request comes again".into());
        self.ask(request, Some(seq))
    }

    fn request(&mut self, a: u8, b: u8, c: u8) -> Request {
        let id = self.fresh_request();
        let sessions = self.crew().sessions.len();
        let project = ProjectId::from(if b.is_multiple_of(16) { "docs" } else { "app" });
        let fleet_empty = self.crew().fleet.state.projects.is_empty();
        if fleet_empty || a == 0 {
            let path = if b.is_multiple_of(4) && !fleet_empty { "/src/docs" } else { "/src/app" };
            return Request::Fleet(fleet::Request::AddProject(id, path.into()));
        }
        if a == 1 {
            return Request::Fleet(fleet::Request::RemoveProject(id, project, 0));
        }
        let wants_spawn = sessions == 0 || a % 16 == 2;
        if wants_spawn && sessions < SESSIONS_MAX {
            return spawn(id, sessions, project, b, c);
        }
        let Some(session) = self.any_session(b) else { return spawn(id, sessions, project, b, c) };
        Request::Session(session, session_request(id, a, c))
    }
}

fn spawn(request: RequestId, sessions: usize, project: ProjectId, b: u8, c: u8) -> Request {
    let name = (c % 8 < 4).then(|| Name::from(NAMES[pick(b, NAMES.len())]));
    Request::Spawn(Spawn {
        request,
        id: SessionId(format!("s{sessions}")),
        project,
        name,
        agent: Agent::named("claude-code"),
        prompt: if c.is_multiple_of(8) { String::new() } else { "Fix it.".into() },
        branch: None,
        base: None,
        workspace: WorkspaceKind::Worktree,
        playbook: match b % 8 {
            3 => relay(),
            4 | 5 => Playbook::Gate(gate(b, sessions)),
            _ => Playbook::Supervise(supervise::Options {}),
        },
        adopted: Adopted::Nothing,
        role: Role::Builder,
        issue: None,
        again: false,
    })
}

/// Three phases, few legs, two agents: enough to come to every end.
fn relay() -> Playbook {
    let agents = vec![Agent::named("claude-code"), Agent::named("codex")];
    Playbook::Relay(relay::Options {
        plan: crate::script::words::relay_of("Parser,*Printer,Docs"),
        budget: 100_000,
        legs_max: 6,
        agents,
        ms_max: Some(24 * 3_600_000),
        cost_micros_max: None,
    })
}

/// Few rounds, two overseers, one check; some wait for a session that is there.
fn gate(b: u8, sessions: usize) -> gate::Options {
    let agents = ["claude-code", "codex", "gemini"].map(Agent::named);
    let after = (b % 16 == 5 && sessions > 0)
        .then(|| (SessionId(format!("s{}", usize::from(b) % sessions)), Name::from(NAMES[0])));
    let checks = ["make test".to_owned()];
    let lands = b % 32 != 12;
    crate::script::gates::gate(&checks, 4, &agents, after.into_iter().collect(), lands)
}

fn session_request(id: RequestId, a: u8, c: u8) -> session::Request {
    use session::Request as R;
    match a % 16 {
        0..=3 => {
            let when = [When::Idle, When::Idle, When::Now, When::Interrupt][pick(c, 4)];
            R::Send(id.clone(), MessageId(format!("m-{id}")), Author::Person, "And the tests.".into(), when)
        }
        4 => R::Stop(id),
        5 => R::Kill(id),
        6 | 7 => R::Resume(id, if c.is_multiple_of(2) { String::new() } else { "Go on.".into() }, None),
        8 => R::Rename(id, Name::from(NAMES[pick(c, NAMES.len())])),
        9 | 10 => {
            let wish = LandWish {
                how: How::Merge,
                message: None,
                committed_only: false,
                expect_base: None,
                keep: c.is_multiple_of(3),
                approved: None,
            };
            R::Land(id, wish, c.is_multiple_of(2))
        }
        11 => R::Part(id, Farewell::Rejected),
        12 => R::Part(id, Farewell::Forgotten),
        13 => R::Part(id, Farewell::Removed),
        14 => {
            let answers =
                [Answer::Allow, Answer::AllowAlways, Answer::Deny("no".into()), Answer::Words("80".into())];
            R::Answer(id, None, answers[pick(c, answers.len())].clone())
        }
        _ => R::Undo(id),
    }
}

fn observation(b: u8, c: u8) -> Observation {
    let what = String::from("rm -rf build");
    match b % 18 {
        16 => crate::script::words::used(u64::from(c) * 1_000),
        0 => {
            let conversation = Some(format!("conversation-{c}"));
            Observation::Started { conversation, model: None, version: None }
        }
        1 | 2 => Observation::TurnStarted,
        3 => Observation::TurnEnded(TurnEnd::Ok),
        4 => Observation::TurnEnded(TurnEnd::Error("overloaded".into())),
        5 | 6 => Observation::PermissionAsked { what, ask: None },
        7 => Observation::PermissionResolved,
        8 => Observation::QuestionAsked { what: "Which port?".into() },
        9 => Observation::RateLimited { until: c.is_multiple_of(2).then(|| Timestamp(u64::from(c))) },
        10 => Observation::ToolStarted { id: format!("t{}", c % 4), name: "Bash".into(), what },
        11 => Observation::ToolEnded { id: format!("t{}", c % 4), ok: true },
        12 => Observation::PermissionAsked { what, ask: Some(format!("t{}", c % 4)) },
        13 => Observation::Shows(Showing::Prompt),
        14 => Observation::Shows(
            [
                Showing::Busy,
                Showing::Answering,
                Showing::Limited,
                Showing::Dialog(what.clone()),
                Showing::Question(what),
            ][pick(c, 5)]
            .clone(),
        ),
        15 if c % 8 == 1 => Observation::Answers,
        15 if c.is_multiple_of(8) => Observation::Gone { why: String::new() },
        _ => {
            let claims = [Claim::Done, Claim::PhaseDone, Claim::HandingOff, Claim::Stuck];
            Observation::Claimed { claim: claims[pick(c, claims.len())], note: "All green.".into() }
        }
    }
}

/// Two thirds of all attempts go well: enough for a case to get anywhere.
fn luck(byte: u8) -> Luck {
    match byte % 16 {
        0 | 1 => Luck::Transient,
        2 => Luck::Fails,
        3 => Luck::FailsHalfway,
        4 | 5 => Luck::Refuses,
        _ => Luck::Fine,
    }
}

fn pick(byte: u8, len: usize) -> usize {
    usize::from(byte) % len.max(1)
}
