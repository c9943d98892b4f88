//! What each fact changes. Total and silent: late, stale and repeated news is legal and harmless.

use alloc::string::String;
use alloc::vec::Vec;

use crate::ids::{MessageId, Oid, RequestId, RunId, Timestamp, TrashId};
use crate::machine::{Key, Recorded};

use super::answer::given_of;
use super::fact::{Begun, Exit, Fact, Farewell, Hold, LandWish, Ports, Role, Trouble, Work};
use super::{
    Checkout, GO_ON, Halt, Landing, Message, Outcome, Parting, REQUESTS_KEPT, RUNS_KEPT, Run, Session,
    Workspace,
};

/// Takes in one fact.
pub(super) fn fold(session: &mut Session, recorded: &Recorded<Fact>) {
    let Recorded { seq, at, fact } = recorded;
    let (seq, at) = (*seq, *at);
    // The wall clock may jump back; time as the core knows it does not.
    session.clock = session.clock.max(at);
    if let Some(request) = request_of(fact) {
        session.requests.push_back((request.clone(), seq));
        if session.requests.len() > REQUESTS_KEPT {
            session.requests.pop_front();
        }
    }
    match fact {
        Fact::Requested { name, brief, .. } => session.requested(name, brief, at),
        Fact::Renamed { name, .. } => session.name = name.clone(),
        Fact::WorkspaceReady { path, branch, base_branch, base, head: _, notes, work } => session
            .workspace_ready(
                Checkout {
                    path: path.clone(),
                    branch: branch.clone(),
                    base_branch: base_branch.clone(),
                    base: base.clone(),
                    notes: notes.clone(),
                },
                work.as_ref(),
                (seq, at),
            ),
        Fact::WorkspaceRemoved { trash, .. } => session.workspace_removed(trash.clone()),
        Fact::RunStarted { run, role, host_pid, begun } => {
            session.run_started(Run { begun: *begun, ..Run::begin(*run, *role, *host_pid, at) });
        }
        Fact::RunEnded { run, exit, last_words } => session.run_ended(*run, exit, last_words, seq, at),
        Fact::Observed { run, source, observation, cursor } => {
            session.observe(*run, *source, observation, *cursor, (seq, at));
        }
        Fact::WorkSeen(work) => session.work = Some((work.clone(), at)),
        Fact::MessageQueued { message, author, text, when, .. } => {
            session.queue_message(Message::queued(message.clone(), *author, text.clone(), *when, at));
        }
        Fact::Pressed { message, number } => session.note_pressed(message, *number),
        // What became of a leg is its playbook's.
        Fact::Asked { .. }
        | Fact::LegClosed { .. }
        | Fact::Examined(_)
        | Fact::Checked(_)
        | Fact::Reviewed { .. }
        | Fact::DependencyEnded { .. }
        | Fact::TurnCame => {}
        Fact::Interrupted { message, run } => session.note_interrupted(message, *run),
        Fact::AnswerGiven { ask, answer, .. } => session.answer_given(ask.as_ref(), answer, seq),
        Fact::AnswerCarried { given, trouble } => session.answer_carried(*given, trouble.as_ref()),
        Fact::MessageReceipt { message, receipt, .. } => session.note_receipt(message, *receipt, at),
        Fact::MessageHeld { message, .. } => session.note_held(message),
        Fact::MessageNotTyped { message, trouble, again } => session.note_not_typed(message, trouble, *again),
        Fact::StopRequested { .. } => session.halt_requested(session.halt.unwrap_or(Halt::Stop)),
        Fact::KillRequested { .. } => session.halt_requested(Halt::Kill),
        Fact::ResumeRequested { prompt, hold, .. } => session.resume_requested(prompt, *hold),
        Fact::LandRequested { wish, .. } => session.land_requested(wish, seq),
        Fact::Landed { key, oid, onto, .. } => session.landed(key, oid, onto, seq),
        Fact::LandRefused { key, trouble } => session.land_refused(key, trouble),
        Fact::FarewellRequested { why, .. } => session.farewell_requested(*why, seq),
        Fact::RemovalRefused { key, trouble } => session.removal_refused(key, trouble),
        Fact::UndoRequested { ports, .. } => session.undo_requested(*ports, seq),
        Fact::UndoRefused { key, trouble } => session.undo_refused(key, trouble),
        Fact::PerformFailed { key, trouble, transient } => session.perform_failed(key, trouble, *transient),
        Fact::EffectLost { key } => session.effect_lost(key, seq, at),
        Fact::Woke { .. } => {
            let clock = session.clock;
            session.runs.last_mut().into_iter().for_each(|run| run.settle_prompt(clock));
        }
    }
}

/// Returns the client's id for the wish a fact came from.
fn request_of(fact: &Fact) -> Option<&RequestId> {
    match fact {
        Fact::Requested { request, .. }
        | Fact::MessageQueued { request, .. }
        | Fact::AnswerGiven { request, .. }
        | Fact::StopRequested { request }
        | Fact::KillRequested { request }
        | Fact::ResumeRequested { request, .. }
        | Fact::Renamed { request, .. }
        | Fact::LandRequested { request, .. }
        | Fact::FarewellRequested { request, .. }
        | Fact::UndoRequested { request, .. } => Some(request),
        Fact::WorkspaceReady { .. }
        | Fact::WorkspaceRemoved { .. }
        | Fact::RunStarted { .. }
        | Fact::RunEnded { .. }
        | Fact::Observed { .. }
        | Fact::WorkSeen(_)
        | Fact::MessageReceipt { .. }
        | Fact::AnswerCarried { .. }
        | Fact::Pressed { .. }
        | Fact::Interrupted { .. }
        | Fact::Asked { .. }
        | Fact::LegClosed { .. }
        | Fact::Examined(_)
        | Fact::Checked(_)
        | Fact::Reviewed { .. }
        | Fact::DependencyEnded { .. }
        | Fact::TurnCame
        | Fact::MessageHeld { .. }
        | Fact::MessageNotTyped { .. }
        | Fact::Landed { .. }
        | Fact::LandRefused { .. }
        | Fact::RemovalRefused { .. }
        | Fact::UndoRefused { .. }
        | Fact::PerformFailed { .. }
        | Fact::EffectLost { .. }
        | Fact::Woke { .. } => None,
    }
}

/// Tells whether a removal or an undo, at whatever attempt, is the one wished for at a position in the log.
fn is_of(key: &Key, seq: u64) -> bool {
    key.0.split('/').nth(1).is_some_and(|of| of.parse() == Ok(seq))
}

/// Returns the run that an attempt to start one is about.
fn run_of(key: &Key) -> Option<RunId> {
    key.0.split('/').nth(1).and_then(|run| run.parse().ok()).map(RunId)
}

impl Session {
    fn role(&self) -> Role {
        self.brief.as_ref().map(|brief| brief.role).unwrap_or_default()
    }

    fn requested(&mut self, name: &crate::ids::Name, brief: &super::Brief, at: Timestamp) {
        if self.brief.is_some() {
            return;
        }
        self.name = name.clone();
        self.run_wanted = Some(brief.prompt.clone());
        self.requested_at = at;
        self.brief = Some(brief.clone());
    }

    fn workspace_ready(&mut self, checkout: Checkout, work: Option<&Work>, (seq, at): (u64, Timestamp)) {
        self.tries("workspace").succeed();
        match (work, &self.workspace) {
            // Where the workspace is known already, an agent may have been at work since.
            (Some(work), Workspace::Wanted) => self.work = Some((work.clone(), at)),
            _ => self.work_due = Some(seq),
        }
        let restored = self.parting.as_ref().is_some_and(|parting| parting.undo.is_some());
        match &self.workspace {
            Workspace::Ready(_) => return,
            // A late repeat of the first answer must not bring back what was taken away since.
            Workspace::Removed { .. } if !restored => return,
            Workspace::Wanted | Workspace::Removed { .. } => self.workspace = Workspace::Ready(checkout),
        }
        if restored {
            self.end_parting(seq);
        }
    }

    fn workspace_removed(&mut self, trash: Option<TrashId>) {
        let was = match &self.workspace {
            Workspace::Ready(was) => was.clone(),
            // A farewell came before it was ready; at most a part of it was there.
            Workspace::Wanted if self.is_parting() => self.unmade(),
            Workspace::Wanted | Workspace::Removed { .. } => return,
        };
        self.workspace = Workspace::Removed { was, trash };
        self.work_due = None;
    }

    /// Returns what is known of a workspace that was never reported ready.
    fn unmade(&self) -> Checkout {
        let branch = self.brief.as_ref().map(|brief| brief.branch.clone()).unwrap_or_default();
        Checkout { branch, ..Checkout::default() }
    }

    fn run_started(&mut self, run: Run) {
        if run.id != RunId(self.runs_begun) {
            self.reopen(run.id, run.host_pid);
            return;
        }
        // The next one is only begun when the last one is over: late news of its start was wrong.
        if let Some(last) = self.runs.last_mut() {
            last.ended.get_or_insert((Exit::Unknown, run.started_at));
        }
        self.tries.remove("run");
        self.runs_begun += 1;
        let words = self.run_wanted.take();
        let told = self.relay.is_some()
            || self.gate.is_some()
            || words.as_ref().is_some_and(|prompt| !prompt.trim().is_empty());
        let words = words.filter(|_| run.begun == Begun::Conversation);
        self.claim = None;
        self.runs.push(Run { told, words, ..run });
        if self.runs.len() > RUNS_KEPT {
            self.runs.remove(0);
        }
    }

    /// Takes in news of the start of a run that was only taken for begun: an end that nobody saw was no end.
    fn reopen(&mut self, id: RunId, host_pid: u32) {
        let Some(known) = self.runs.last_mut().filter(|known| known.id == id && known.host_pid == 0) else {
            return;
        };
        known.host_pid = host_pid;
        if matches!(known.ended, Some((Exit::Unknown, _))) {
            known.ended = None;
        }
    }

    fn run_ended(&mut self, id: RunId, exit: &Exit, last_words: &str, seq: u64, at: Timestamp) {
        let Some(run) = self.runs.last_mut().filter(|run| run.id == id && run.ended.is_none()) else {
            return;
        };
        run.ended = Some((exit.clone(), at));
        run.last_words = last_words.into();
        self.uncounted += u32::from(run.count.span.is_none() && run.role != Role::Checks);
        self.tries.remove("stop");
        self.work_due = Some(seq);
        // What nobody can be told any more waits for the next run; what was in doubt stays in doubt.
        if self.halt.is_some() {
            self.run_wanted = None;
            return;
        }
        // The agent does not have its conversation any more, or not yet: a kill may come before it is kept. Once only, as
        // the next run begins in none.
        let words = run.words.take();
        if run.was_in_vain() && self.outcome.is_none() && self.parting.is_none() {
            let brief = self.brief.as_ref().map(|brief| brief.prompt.clone());
            self.run_wanted = match words {
                Some(words) if !words.is_empty() && words != GO_ON => Some(words),
                _ => brief,
            };
        }
    }

    /// A person who asks again wants another attempt at what failed for good.
    fn halt_requested(&mut self, halt: Halt) {
        self.halt = Some(halt);
        self.take_for_begun();
        if self.stuck_on("stop").is_some() {
            let clock = self.clock;
            self.tries("stop").again(clock);
        }
    }

    /// Takes a run that is not wanted any more for begun when attempts to start it failed: the host may have come up
    /// all the same, so somebody looks and ends it.
    fn take_for_begun(&mut self) {
        if self.tries.get("run").is_some_and(|tries| tries.trouble.is_some()) && self.live_run().is_none() {
            self.run_started(Run::begin(RunId(self.runs_begun), self.role(), 0, self.clock));
        }
    }

    fn resume_requested(&mut self, prompt: &str, hold: Option<(Hold, bool)>) {
        if let (Some((hold, tells_of_turns)), Some(brief)) = (hold, &mut self.brief) {
            brief.agent.hold = hold;
            brief.agent.tells_of_turns = tells_of_turns;
        }
        let told = match (prompt, self.conversation()) {
            // Its conversation holds the brief.
            ("", Some(_)) if self.last_run().is_some_and(Run::was_cut_short) => GO_ON.into(),
            ("", Some(_)) => String::new(),
            ("", None) => self.brief.as_ref().map(|brief| brief.prompt.clone()).unwrap_or_default(),
            (prompt, _) => prompt.into(),
        };
        self.halt = None;
        self.run_wanted = Some(told);
        let clock = self.clock;
        for tries in self.tries.values_mut() {
            tries.again(clock);
        }
    }

    fn land_requested(&mut self, wish: &LandWish, seq: u64) {
        if self.open_landing().is_some() || self.outcome.is_some() {
            return;
        }
        self.begin_landing(wish, seq);
    }

    /// Wants something landed, unless something is being landed; returns the landing's key.
    pub(crate) fn begin_landing(&mut self, wish: &LandWish, seq: u64) -> Option<Key> {
        if self.open_landing().is_some() || self.outcome.is_some() {
            return None;
        }
        let key = Key(alloc::format!("land/{seq}"));
        self.landing = Some(Landing { key: key.clone(), wish: wish.clone(), answer: None });
        Some(key)
    }

    fn landed(&mut self, key: &Key, oid: &Oid, onto: &str, seq: u64) {
        let Some(landing) = self.landing.as_mut().filter(|landing| landing.key == *key) else { return };
        let keep = landing.wish.keep;
        landing.answer = Some(Ok(oid.clone()));
        if self.outcome.is_some() {
            return;
        }
        self.outcome = Some(Outcome::Landed { oid: oid.clone(), onto: onto.into() });
        self.run_wanted = None;
        self.take_for_begun();
        self.halt = self.halt.or(self.live_run().map(|_| Halt::Stop));
        if !keep {
            self.begin_parting(Farewell::Landed, seq);
        }
    }

    fn land_refused(&mut self, key: &Key, trouble: &Trouble) {
        let open = self.landing.as_mut().filter(|landing| landing.key == *key && landing.answer.is_none());
        if let Some(landing) = open {
            landing.answer = Some(Err(trouble.clone()));
        }
    }

    fn begin_parting(&mut self, why: Farewell, seq: u64) {
        self.parting = Some(Parting { seq, why, refused: None, undo: None, undo_refused: None });
        self.tries.remove("remove");
    }

    fn farewell_requested(&mut self, why: Farewell, seq: u64) {
        let (clock, in_doubt) = (self.clock, self.stuck_on("remove").is_some());
        match &mut self.parting {
            // The removal under way, done, or perhaps done serves this farewell too: another would find nothing to
            // keep.
            Some(parting) if parting.undo.is_none() && (parting.refused.is_none() || in_doubt) => {
                parting.why = why;
                parting.refused = None;
                if in_doubt {
                    self.tries("remove").again(clock);
                }
            }
            Some(_) | None => self.begin_parting(why, seq),
        }
        // What a farewell ends was stopped by a person: an undo finds it stopped, not failed.
        self.halt = self.halt.or(self.live_run().map(|_| Halt::Stop));
        self.run_wanted = None;
        self.take_for_begun();
        let outcome = match why {
            Farewell::Rejected => Outcome::Rejected,
            Farewell::Forgotten | Farewell::Removed | Farewell::Landed => Outcome::Forgotten,
        };
        self.outcome.get_or_insert(outcome);
    }

    fn removal_refused(&mut self, key: &Key, trouble: &Trouble) {
        let Some(parting) = &mut self.parting else { return };
        if is_of(key, parting.seq) {
            parting.refused = Some(trouble.clone());
        }
    }

    fn undo_requested(&mut self, ports: Option<Ports>, seq: u64) {
        if let (Some(ports), Some(brief)) = (ports, &mut self.brief) {
            brief.ports = ports;
        }
        let in_doubt = self.stuck_on("remove").is_some();
        self.tries.remove("undo");
        let Some(parting) = &self.parting else { return };
        match &self.workspace {
            Workspace::Removed { trash: Some(_), .. } => self.begin_undo(seq),
            // Nothing was kept because nothing was there: it is made again.
            Workspace::Removed { trash: None, .. } => {
                let clock = self.clock;
                self.workspace = Workspace::Wanted;
                self.tries("workspace").again(clock);
                self.end_parting(seq);
            }
            // Nobody knows whether it was taken away: bringing it back looks, and is content when it is there.
            Workspace::Ready(was) if in_doubt => {
                let trash = Some(Self::trash_id(&was.path, parting));
                self.workspace = Workspace::Removed { was: was.clone(), trash };
                self.begin_undo(seq);
            }
            // It was never taken away.
            Workspace::Ready(_) | Workspace::Wanted => self.end_parting(seq),
        }
    }

    fn begin_undo(&mut self, seq: u64) {
        if let Some(parting) = &mut self.parting {
            parting.undo = Some(seq);
            parting.undo_refused = None;
        }
    }

    fn end_parting(&mut self, seq: u64) {
        self.parting = None;
        // Nobody looked meanwhile.
        self.work_due = Some(seq);
        self.halt = self.halt.filter(|_| self.live_run().is_none());
        if !matches!(self.outcome, Some(Outcome::Landed { .. })) {
            self.outcome = None;
        }
    }

    fn undo_refused(&mut self, key: &Key, trouble: &Trouble) {
        let Some(parting) = &mut self.parting else { return };
        if parting.undo.is_some_and(|undo| is_of(key, undo)) {
            parting.undo_refused = Some(trouble.clone());
        }
    }

    /// Takes in that an effect was begun, that its end is not known, and that it is not going to be repeated.
    fn effect_lost(&mut self, key: &Key, seq: u64, at: Timestamp) {
        match key.kind() {
            "message" => self.note_delivery_lost(key),
            "press" => self.note_press_unknown(key),
            "interrupt" => self.note_interrupt_unknown(key),
            "answer" => self.note_answer_lost(key),
            "receipt" => self.note_receipt_lost(key),
            // Whatever made it unwanted wants the run gone: it is taken for begun, so that somebody looks and ends it.
            "run" => {
                if let Some(run) = run_of(key) {
                    self.run_started(Run::begin(run, self.role(), 0, at));
                }
            }
            kind @ ("workspace" | "stop" | "remove" | "undo" | "leg" | "exam" | "checked" | "judged") => {
                self.tries(kind).skip();
            }
            "work" => self.work_due = self.work_due.map(|_| seq),
            _ => {}
        }
    }

    fn perform_failed(&mut self, key: &Key, trouble: &Trouble, transient: bool) {
        match key.kind() {
            "land" => self.land_refused(key, trouble),
            kind @ ("remove" | "undo") => self.parting_failed(kind, key, trouble, transient),
            "message" => {
                // An adapter that fails without saying whether it typed leaves it in doubt.
                self.note_delivery_lost(key);
            }
            // The host may have done it; what comes of it is seen. A Press is counted, so that another may follow.
            "press" => self.note_press_unknown(key),
            "interrupt" => self.note_interrupt_unknown(key),
            "answer" => {
                if let Some(given) = given_of(key) {
                    self.answer_carried(given, Some(trouble));
                }
            }
            "receipt" => {
                let parts: Vec<&str> = key.0.split('/').collect();
                if let [_, id, _] = parts[..] {
                    self.note_not_typed(&MessageId(String::from(id)), trouble, false);
                }
            }
            "run" => self.start_failed(key, trouble, transient),
            kind @ ("workspace" | "stop" | "leg" | "exam" | "checked" | "judged") => {
                let clock = self.clock;
                self.tries(kind).fail(trouble, transient, clock);
            }
            _ => {}
        }
    }

    fn start_failed(&mut self, key: &Key, trouble: &Trouble, transient: bool) {
        match run_of(key) {
            Some(run) if run.0 < self.runs_begun => self.reopen(run, 0),
            Some(_) | None => {
                let clock = self.clock;
                self.tries("run").fail(trouble, transient, clock);
                if self.halt.is_some() || self.run_wanted.is_none() {
                    self.take_for_begun();
                }
            }
        }
    }

    /// A failure that may pass says nothing about what an earlier attempt did: it is tried again, as the same removal
    /// or undo.
    fn parting_failed(&mut self, kind: &str, key: &Key, trouble: &Trouble, transient: bool) {
        let current = self.parting.as_ref().and_then(|parting| match kind {
            "remove" => Some(parting.seq),
            _ => parting.undo,
        });
        if !current.is_some_and(|seq| is_of(key, seq)) {
            return;
        }
        let clock = self.clock;
        self.tries(kind).fail(trouble, transient, clock);
        if self.stuck_on(kind).is_none() {
            return;
        }
        if kind == "remove" {
            self.removal_refused(key, trouble);
        } else {
            self.undo_refused(key, trouble);
        }
    }
}
