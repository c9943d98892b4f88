//! One life of one agent process, and what was seen of it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::ids::{RunId, Timestamp};
use crate::machine::Decision;
use crate::playbook::gate::GateBrief;
use crate::playbook::relay::LegBrief;

use super::fact::{Begun, Brief, Exit, Observation, Role, Showing, Source, TurnEnd};
use super::seen::{Count, Evidence};
use super::{Checkout, Effect, PROMPT_STANDS_MS, RUNS_MAX, Session};

/// What the agent is doing, as it was seen last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Nothing but the process is known: the agent has no way to tell, or has not told yet.
    #[default]
    Unknown,
    /// In a turn.
    Working,
    /// Between turns.
    Idle,
    /// Between turns, the last of which failed, by class.
    Failing(String),
    /// A permission dialog is up; nothing may be typed.
    Blocked(String),
    /// It asked the person something.
    Asking(String),
    /// The provider asked it to wait, until a moment if one is known.
    RateLimited(Option<Timestamp>),
    /// It left, or was seen gone, and its terminal lives on: what is typed now goes to somebody else.
    Gone(String),
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Which.
    pub id: RunId,
    /// What it is for.
    pub role: Role,
    /// When its host came up.
    pub started_at: Timestamp,
    /// Process id of its host.
    pub host_pid: u32,
    /// What the agent is doing.
    pub activity: Activity,
    /// Who said so, and since when.
    pub seen: (Source, Timestamp),
    /// The agent's own resumable thread id.
    pub conversation: Option<String>,
    /// How it began.
    #[serde(default)]
    pub begun: Begun,
    /// The model it uses, as it said.
    #[serde(default)]
    pub model: Option<String>,
    /// The agent's version, as it said.
    #[serde(default)]
    pub version: Option<String>,
    /// Turns begun.
    #[serde(default)]
    pub turns: u32,
    /// Whether it was told something first, so that it is about to begin a turn.
    #[serde(default)]
    pub told: bool,
    /// What it was told first, kept while another run may have to be told it: it began in a conversation that may not be
    /// there.
    #[serde(default)]
    pub words: Option<String>,
    /// Since when it shows its prompt although it was told something and began nothing.
    #[serde(default)]
    pub prompt_since: Option<Timestamp>,
    /// Whether its screen shows that its provider makes it wait: a screen that does not any more tells that it is over.
    #[serde(default)]
    pub limit_shown: bool,
    /// The tool at work: its call, and what for.
    #[serde(default)]
    pub tool: Option<(String, String)>,
    /// The call that the permission asked is about.
    #[serde(default)]
    pub ask: Option<String>,
    /// When the limit ends that its provider told of last, while it may still hold.
    #[serde(default)]
    pub limited_until: Option<Timestamp>,
    /// How its tokens are counted.
    #[serde(default)]
    pub count: Count,
    /// The last word of each source.
    #[serde(default)]
    pub evidence: BTreeMap<Source, Evidence>,
    /// How far the run's inbox was read, in bytes.
    pub cursor: u64,
    /// How and when it ended.
    pub ended: Option<(Exit, Timestamp)>,
    /// Its last words, when it failed.
    pub last_words: String,
}

impl Run {
    /// Begins a run of which only the process is known.
    #[must_use]
    pub fn begin(id: RunId, role: Role, host_pid: u32, at: Timestamp) -> Self {
        Self {
            id,
            role,
            started_at: at,
            host_pid,
            activity: Activity::Unknown,
            seen: (Source::Process, at),
            conversation: None,
            begun: Begun::Fresh,
            model: None,
            version: None,
            turns: 0,
            told: false,
            words: None,
            prompt_since: None,
            limit_shown: false,
            tool: None,
            ask: None,
            limited_until: None,
            count: Count::default(),
            evidence: BTreeMap::new(),
            cursor: 0,
            ended: None,
            last_words: String::new(),
        }
    }

    /// Tells whether something may be typed now: between turns, or when the agent tells nothing of turns. A dialog is
    /// never typed into, and one may come up at any moment of a turn.
    #[must_use]
    pub fn takes_messages(&self, tells_of_turns: bool) -> bool {
        let between_turns = match self.activity {
            Activity::Unknown => !tells_of_turns,
            Activity::Idle | Activity::Failing(_) | Activity::Asking(_) => true,
            Activity::Working | Activity::Blocked(_) | Activity::RateLimited(_) | Activity::Gone(_) => false,
        };
        self.ended.is_none() && between_turns
    }

    /// Takes a prompt that was shown before the first turn, and still is, for what it is: nothing is going on.
    pub(super) fn settle_prompt(&mut self, clock: Timestamp) {
        let stood = self.prompt_since.is_some_and(|since| clock >= since.plus_ms(PROMPT_STANDS_MS));
        if stood && self.ended.is_none() && self.activity == Activity::Unknown {
            self.activity = Activity::Idle;
            self.seen = (Source::Screen, clock);
            self.prompt_since = None;
        }
    }

    /// Tells whether the agent waits for an answer to a permission or a question.
    #[must_use]
    pub fn waits_for_answer(&self) -> bool {
        self.ended.is_none() && matches!(self.activity, Activity::Blocked(_) | Activity::Asking(_))
    }

    /// Tells whether it ended, and not of its own will in good order.
    fn failed(&self) -> bool {
        matches!(&self.ended, Some((exit, _)) if !matches!(exit, Exit::Code(0)))
    }

    /// Tells whether the conversation that it began in could not be gone on with: it left by itself, at once.
    pub(super) fn was_in_vain(&self) -> bool {
        let left = matches!(self.ended, Some((Exit::Code(code), _)) if code != 0);
        self.begun == Begun::Conversation && self.turns == 0 && left
    }

    /// Tells whether it ended in the middle of a turn.
    #[must_use]
    pub fn was_cut_short(&self) -> bool {
        let mid_turn =
            matches!(self.activity, Activity::Working | Activity::Blocked(_) | Activity::RateLimited(_));
        self.ended.is_some() && mid_turn
    }

    /// Returns when the agent itself last gave a sign, by protocol or hook.
    #[must_use]
    pub fn signal_at(&self) -> Option<Timestamp> {
        [Source::Protocol, Source::Hook]
            .iter()
            .filter_map(|source| self.evidence.get(source))
            .map(|last| last.at)
            .max()
    }

    /// Keeps the last word of a source.
    pub(super) fn note_evidence(&mut self, source: Source, observation: &Observation, at: Timestamp) {
        self.evidence.insert(source, Evidence { says: says(observation), at });
    }
}

/// What the agent of a run is told, and what it goes on with.
#[derive(Default)]
struct Told {
    prompt: String,
    conversation: Option<String>,
    again: bool,
    leg: Option<LegBrief>,
    gate: Option<GateBrief>,
}

impl Session {
    /// Returns the conversation that the next run may go on with: that of the last run that had one. One that could not be
    /// gone on with, because a run begun in it ended before any turn, is left.
    #[must_use]
    pub fn conversation(&self) -> Option<&str> {
        Self::conversation_after(&self.runs)
    }

    /// Returns the conversation that the last run was to go on with.
    pub(super) fn conversation_before(&self) -> Option<&str> {
        self.runs.split_last().and_then(|(_, before)| Self::conversation_after(before))
    }

    fn conversation_after(runs: &[Run]) -> Option<&str> {
        // One without a turn is empty, and agents do not keep those.
        let holds =
            |run: &&Run| run.begun == Begun::Conversation || (run.conversation.is_some() && run.turns > 0);
        let last = runs.iter().rev().find(holds)?;
        let in_vain = last.begun == Begun::Conversation && last.turns == 0 && last.failed();
        last.conversation.as_deref().filter(|_| !in_vain)
    }

    /// Tells whether its agent may be typed to now.
    #[must_use]
    pub fn takes_messages(&self) -> bool {
        let tells = self.brief.as_ref().is_some_and(|brief| brief.agent.tells_of_turns);
        self.live_run().is_some_and(|run| run.takes_messages(tells))
    }

    /// Wants the next run, under a key that is this run's for ever.
    pub(crate) fn decide_run(
        &self,
        brief: &Brief,
        checkout: &Checkout,
        role: Role,
        decision: &mut Decision<Effect>,
    ) {
        let told = Told {
            prompt: self.run_wanted.clone().unwrap_or_default(),
            conversation: self.conversation().map(String::from),
            again: self.runs_begun > 0,
            ..Told::default()
        };
        self.decide_start(brief, checkout, role, told, decision);
    }

    /// Wants the next leg of a relay: a fresh agent, whatever ran before it.
    pub(crate) fn decide_leg(
        &self,
        brief: &Brief,
        checkout: &Checkout,
        leg: LegBrief,
        decision: &mut Decision<Effect>,
    ) {
        let told = Told { leg: Some(leg), ..Told::default() };
        self.decide_start(brief, checkout, brief.role, told, decision);
    }

    /// Wants the next run of a gate: a fresh agent as well.
    pub(crate) fn decide_part(
        &self,
        brief: &Brief,
        checkout: &Checkout,
        role: Role,
        gate: GateBrief,
        decision: &mut Decision<Effect>,
    ) {
        let told = Told { gate: Some(gate), ..Told::default() };
        self.decide_start(brief, checkout, role, told, decision);
    }

    fn decide_start(
        &self,
        brief: &Brief,
        checkout: &Checkout,
        role: Role,
        told: Told,
        decision: &mut Decision<Effect>,
    ) {
        if self.run_wanted.is_none() {
            return;
        }
        let Some((run, key)) = self.next_run(decision) else { return };
        let Told { prompt, conversation, again, leg, gate } = told;
        let (brief, workspace) = (brief.clone(), checkout.path.clone());
        decision.want(
            key,
            Effect::StartRun { run, role, brief, workspace, prompt, conversation, again, leg, gate },
        );
    }

    /// Returns the next run and its key, when one may begin.
    fn next_run(&self, decision: &mut Decision<Effect>) -> Option<(RunId, String)> {
        if self.live_run().is_some() || self.halt.is_some() || self.runs_begun >= RUNS_MAX {
            return None;
        }
        let run = RunId(self.runs_begun);
        self.next_key("run", &format!("{run}"), decision).map(|key| (run, key))
    }
}

/// Returns what an observation says, as a sentence.
fn says(observation: &Observation) -> String {
    match observation {
        Observation::Started { .. } => "It is up.".into(),
        Observation::TurnStarted => "A turn began.".into(),
        Observation::TurnEnded(TurnEnd::Ok) => "The turn ended.".into(),
        Observation::TurnEnded(TurnEnd::Unknown) => "The turn ended; how, it does not say.".into(),
        Observation::TurnEnded(TurnEnd::Interrupted) => "The turn was interrupted.".into(),
        Observation::TurnEnded(TurnEnd::Error(class)) => format!("The turn failed: {class}."),
        Observation::ToolStarted { name, what, .. } => format!("Tool {name} was called: {what}"),
        Observation::ToolEnded { ok: true, .. } => "A tool came back.".into(),
        Observation::ToolEnded { ok: false, .. } => "A tool failed.".into(),
        Observation::PermissionAsked { what, .. } => format!("It asks for permission: {what}"),
        Observation::PermissionResolved => "The permission was answered.".into(),
        Observation::QuestionAsked { what } => format!("It asks: {what}"),
        Observation::Shows(Showing::Prompt) => "It shows its prompt.".into(),
        Observation::Shows(Showing::Busy) => "It shows that it is busy.".into(),
        Observation::Shows(Showing::Answering) => "It shows an answer coming in.".into(),
        Observation::Shows(Showing::Limited) => "It shows that its provider makes it wait.".into(),
        Observation::Shows(Showing::Dialog(what)) => format!("It shows a dialog: {what}"),
        Observation::Shows(Showing::Question(what)) => format!("It shows a question: {what}"),
        Observation::RateLimited { .. } => "The provider asked it to wait.".into(),
        Observation::Answers => "The provider answers.".into(),
        Observation::Used(_) => "It counted tokens.".into(),
        Observation::Gone { why } if why.is_empty() => "It left.".into(),
        Observation::Gone { why } => format!("It left: {why}"),
        Observation::Claimed { note, .. } => format!("It claims: {note}"),
        Observation::MessageTaken { .. } => "It took up a message.".into(),
    }
}
