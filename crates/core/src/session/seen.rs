//! What an observation makes of a run. The order of evidence is here: what the agent itself says by protocol or hook decides;
//! what its screen shows fills the gaps; a tool's noise clears no dialog but its own.

use alloc::collections::VecDeque;
use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::ids::{RunId, Timestamp};

use super::fact::{Begun, Claim, Observation, Showing, Source, Span, TurnEnd, Usage};
use super::{Activity, Run, Session};

/// Calls and turns remembered so that none is counted twice: an agent repeats itself within a few lines.
const COUNTED_KEPT: usize = 64;

/// Tokens and money used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Spent {
    /// Input tokens that came from no cache.
    pub input: u64,
    /// Input tokens read from a cache.
    pub cache_read: u64,
    /// Input tokens written to a cache.
    pub cache_write: u64,
    /// Output tokens.
    pub output: u64,
    /// Millionths of a US dollar, as far as agents said.
    pub cost_micros: u64,
}

impl Spent {
    fn of(usage: &Usage) -> Self {
        Self {
            input: usage.input,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write,
            output: usage.output,
            cost_micros: 0,
        }
    }

    fn add(&mut self, more: Spent) {
        self.input = self.input.saturating_add(more.input);
        self.cache_read = self.cache_read.saturating_add(more.cache_read);
        self.cache_write = self.cache_write.saturating_add(more.cache_write);
        self.output = self.output.saturating_add(more.output);
        self.cost_micros = self.cost_micros.saturating_add(more.cost_micros);
    }

    /// Returns what came on top of an earlier count of the same thing; all of it when the count began anew.
    fn since(self, earlier: Spent) -> Spent {
        let began_anew = self.output < earlier.output || self.input < earlier.input;
        if began_anew {
            return self;
        }
        Spent {
            input: self.input - earlier.input,
            cache_read: self.cache_read.saturating_sub(earlier.cache_read),
            cache_write: self.cache_write.saturating_sub(earlier.cache_write),
            output: self.output - earlier.output,
            cost_micros: 0,
        }
    }
}

/// How a run's tokens are counted, so that none is counted twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Count {
    /// The span the run's counts come in: the first that came. Counts over other spans are of the same tokens.
    pub span: Option<Span>,
    /// The last count over a run or conversation.
    pub last: Spent,
    /// The last cost of a run or conversation.
    pub last_cost: u64,
    /// Calls or turns counted, the latest last.
    pub counted: VecDeque<String>,
    /// Tokens in the context, and how many fit.
    pub context: Option<(u64, Option<u64>)>,
}

/// The last word of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it said.
    pub says: String,
    /// When.
    pub at: Timestamp,
}

impl Run {
    /// Takes in what was seen, and returns what the agent is doing by it; `None` when it says nothing of that.
    fn activity_by(&mut self, observation: &Observation, at: Timestamp) -> Option<Activity> {
        let waits = matches!(self.activity, Activity::Blocked(_) | Activity::Asking(_));
        match observation {
            Observation::Started { conversation, model, version } => {
                self.conversation = conversation.clone().or(self.conversation.take());
                self.model = model.clone().or(self.model.take());
                self.version = version.clone().or(self.version.take());
                // It may begin a turn with what it was told first, so it is not idle yet.
                None
            }
            Observation::TurnStarted => {
                self.turns += 1;
                self.limited_until = None;
                Some(Activity::Working)
            }
            Observation::ToolStarted { id, what, .. } => {
                self.tool = Some((id.clone(), what.clone()));
                // What works in the background answers no dialog, and begins no turn.
                matches!(self.activity, Activity::Unknown | Activity::RateLimited(_))
                    .then_some(Activity::Working)
            }
            Observation::ToolEnded { id, .. } => {
                self.tool = self.tool.take().filter(|(call, _)| call != id);
                (waits && self.ask.as_ref() == Some(id)).then_some(Activity::Working)
            }
            Observation::PermissionAsked { what, ask } => {
                self.ask.clone_from(ask);
                Some(Activity::Blocked(what.clone()))
            }
            Observation::PermissionResolved => {
                let over = matches!(self.activity, Activity::Idle | Activity::Failing(_) | Activity::Gone(_));
                (!over).then_some(Activity::Working)
            }
            Observation::QuestionAsked { what } => Some(Activity::Asking(what.clone())),
            Observation::TurnEnded(end) => {
                self.tool = None;
                Some(match end {
                    TurnEnd::Ok | TurnEnd::Interrupted | TurnEnd::Unknown => Activity::Idle,
                    TurnEnd::Error(class) => Activity::Failing(class.clone()),
                })
            }
            Observation::RateLimited { until } => {
                // Who tells of a limit again need not tell again when it ends.
                self.limited_until = until.or(self.limited_until);
                Some(Activity::RateLimited(self.limited_until))
            }
            // Tokens come from a provider that answers again.
            Observation::Answers | Observation::Used(_) => {
                matches!(self.activity, Activity::RateLimited(_)).then_some(Activity::Working)
            }
            Observation::Shows(showing) => self.activity_shown(showing, waits, at),
            Observation::Gone { why } => Some(Activity::Gone(why.clone())),
            Observation::Claimed { .. } | Observation::MessageTaken { .. } => None,
        }
    }

    /// A screen says what is there now, and nothing of why: it keeps the words of a better source.
    fn activity_shown(&mut self, showing: &Showing, waits: bool, at: Timestamp) -> Option<Activity> {
        if let Activity::Gone(_) = self.activity {
            return None;
        }
        match showing {
            Showing::Dialog(what) if !waits => {
                self.ask = None;
                Some(Activity::Blocked(what.clone()))
            }
            Showing::Question(what) if !waits => Some(Activity::Asking(what.clone())),
            Showing::Dialog(_) | Showing::Question(_) => None,
            Showing::Limited if waits => None,
            Showing::Limited => {
                self.limit_shown = true;
                let keeps = matches!(self.activity, Activity::RateLimited(_));
                (!keeps).then_some(Activity::RateLimited(self.limited_until))
            }
            Showing::Busy | Showing::Answering => {
                let was_shown = core::mem::take(&mut self.limit_shown) || *showing == Showing::Answering;
                let keeps = match self.activity {
                    Activity::Working => true,
                    // A limit that was told, and is not shown, may be one that it never shows.
                    Activity::RateLimited(_) => !was_shown,
                    _ => false,
                };
                (!keeps).then_some(Activity::Working)
            }
            // It draws its prompt before it takes up what it was told first.
            Showing::Prompt if self.activity == Activity::Unknown && self.told && self.turns == 0 => {
                self.prompt_since = Some(at);
                None
            }
            Showing::Prompt => {
                self.tool = None;
                self.limit_shown = false;
                let keeps = matches!(self.activity, Activity::Idle | Activity::Failing(_));
                // A question in words ends a turn: the prompt is where it is answered.
                let asked_in_words = matches!(self.activity, Activity::Asking(_)) && self.ask.is_none();
                (!keeps && !asked_in_words).then_some(Activity::Idle)
            }
        }
    }
}

impl Session {
    /// Takes in what an adapter saw. News of a run that is not the live one changes nothing.
    pub(super) fn observe(
        &mut self,
        run_id: RunId,
        source: Source,
        observation: &Observation,
        cursor: u64,
        (seq, at): (u64, Timestamp),
    ) {
        match observation {
            Observation::MessageTaken { message } => self.note_taken(message),
            // A turn that begins after something was typed is the agent taking it up.
            Observation::TurnStarted
            | Observation::Shows(Showing::Busy | Showing::Answering | Showing::Limited)
                if self.live_run().is_some_and(|run| {
                    run.id == run_id
                        && (*observation == Observation::TurnStarted || run.activity == Activity::Idle)
                }) =>
            {
                self.note_turn_began();
            }
            _ => {}
        }
        let Some(run) = self.runs.last_mut().filter(|run| run.id == run_id) else { return };
        run.cursor = run.cursor.max(cursor);
        let is_builder = run.role.hears();
        if let Observation::Claimed { claim, note } = observation
            && is_builder
        {
            // A claim that was on its way when the process ended still stands.
            self.claim = Some((*claim, note.clone(), at));
        }
        if let Observation::Used(usage) = observation {
            self.count(run_id, usage);
        }
        let is_another = matches!(observation, Observation::Started { conversation: Some(opened), .. }
            if self.conversation_before().is_some_and(|before| before != opened));
        let Some(run) = self.runs.last_mut().filter(|run| run.ended.is_none()) else { return };
        if is_another && run.begun == Begun::Conversation && run.conversation.is_none() {
            // The agent did not have it any more, and opened another: it knows only what it was told now.
            run.begun = Begun::Fresh;
        }
        run.note_evidence(source, observation, at);
        // One that is up, speaks a protocol and was told nothing first has nothing to begin with: it may be told something.
        let is_ready = matches!(observation, Observation::Started { .. })
            && source == Source::Protocol
            && !run.told
            && run.activity == Activity::Unknown;
        let activity = run.activity_by(observation, at).or(is_ready.then_some(Activity::Idle));
        if let Some(activity) = activity {
            if !matches!(activity, Activity::Blocked(_) | Activity::Asking(_)) {
                run.ask = None;
            }
            if run.activity != activity {
                run.seen.1 = at;
            }
            run.seen.0 = source;
            let ready = matches!(activity, Activity::Idle | Activity::Failing(_)) && run.activity != activity;
            run.activity = activity;
            if ready {
                self.note_ready();
            }
            if matches!(observation, Observation::TurnStarted) {
                // New work makes an old claim stale.
                self.claim = self.claim.take().filter(|(claim, ..)| *claim == Claim::PhaseDone);
            }
        }
        if matches!(observation, Observation::TurnEnded(_) | Observation::Claimed { .. }) {
            self.work_due = Some(seq);
        }
    }

    /// Counts tokens, each once: what is counted over a run or conversation holds what was counted before.
    fn count(&mut self, run_id: RunId, usage: &Usage) {
        let earlier = self
            .runs
            .iter()
            .rev()
            .find(|run| run.id != run_id)
            .map(|run| (run.conversation.clone(), run.count.last, run.count.last_cost, run.count.span));
        let Some(run) = self.runs.last_mut().filter(|run| run.id == run_id) else { return };
        if run.count.span.is_none() {
            // A conversation that goes on in another run goes on being counted.
            if let Some((conversation, last, cost, span)) = earlier
                && conversation.is_some()
                && conversation == run.conversation
            {
                if usage.span == Span::Conversation && span == Some(Span::Conversation) {
                    run.count.last = last;
                }
                if usage.cost_is_of_conversation {
                    run.count.last_cost = cost;
                }
            }
            run.count.span = Some(usage.span);
        }
        if let Some(context) = usage.context {
            run.count.context = Some((context, usage.window));
        }
        let is_new = match usage.span {
            Span::Run | Span::Conversation => true,
            Span::Call | Span::Turn => usage.id.is_empty() || !run.count.counted.contains(&usage.id),
        };
        let mut more = Spent::default();
        if run.count.span == Some(usage.span) && is_new {
            let now = Spent::of(usage);
            match usage.span {
                Span::Call | Span::Turn => {
                    more = now;
                    run.count.counted.push_back(usage.id.clone());
                    if run.count.counted.len() > COUNTED_KEPT {
                        run.count.counted.pop_front();
                    }
                }
                Span::Run | Span::Conversation => {
                    more = now.since(run.count.last);
                    run.count.last = now;
                }
            }
        }
        if let Some(cost) = usage.cost_micros {
            let adds = matches!(usage.span, Span::Call | Span::Turn) && !usage.cost_is_of_conversation;
            more.cost_micros = match (adds, is_new) {
                (true, true) => cost,
                (true, false) => 0,
                (false, _) if cost < run.count.last_cost => cost,
                (false, _) => cost - run.count.last_cost,
            };
            if !adds {
                run.count.last_cost = cost;
            }
        }
        self.spent.add(more);
    }
}
